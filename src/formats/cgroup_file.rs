//! `/proc/PID/cgroup`: where a process is in the cgroup trees (cgroups(7)).

/// One line of `/proc/PID/cgroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupLine {
    /// Hierarchy number; 0 is the unified hierarchy of cgroup v2.
    pub hierarchy: u32,
    /// Controllers of a v1 hierarchy (`memory`, `name=systemd`); empty for v2.
    pub controllers: Vec<String>,
    /// Path below the mount point of the hierarchy.
    pub path: String,
}

/// Reads the text of `/proc/PID/cgroup`. A line that is none is skipped: the kernel owns the format.
pub fn parse_cgroup(text: &str) -> Vec<CgroupLine> {
    text.lines().filter_map(cgroup_line).collect()
}

fn cgroup_line(line: &str) -> Option<CgroupLine> {
    // The path is last and may hold colons (`…slice:cri-containerd:ID` after a driver mismatch); names of
    // controllers cannot.
    let mut parts = line.splitn(3, ':');
    let hierarchy = parts.next()?.parse().ok()?;
    let controllers = parts.next()?.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect();
    Some(CgroupLine { hierarchy, controllers, path: parts.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_paths_keep_their_colons() {
        let lines = parse_cgroup(
            "12:cpu,cpuacct:/kubepods/burstable/pod1/abc\n1:name=systemd:/x\n0::/system.slice/containerd.service/kubepods.slice:cri-containerd:abc\nnot a line\n",
        );
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(lines[1].controllers, ["name=systemd"]);
        assert_eq!((lines[2].hierarchy, lines[2].controllers.len()), (0, 0));
        assert!(lines[2].path.ends_with("kubepods.slice:cri-containerd:abc"));
    }
}
