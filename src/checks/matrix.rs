//! Which versions go together, as tables. Every line has its source; the borders are tested below.

/// Major, minor and patch; what is missing counts as 0.
pub type Version = (u32, u32, u32);

/// Reads `1.7.24`, `v2.1.9`, `5.15.0-91-generic`, `4.18.0-477.el8.x86_64`, `1.28.3+k3s1`.
pub fn version(text: &str) -> Option<Version> {
    let text = text.trim();
    let mut parts = text.strip_prefix('v').unwrap_or(text).split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let mut next = || parts.next().and_then(|part| part.parse().ok());
    let minor = next()?;
    Some((major, minor, next().unwrap_or(0)))
}

/// The first number of systemd's version: `252.22-1~deb12u1`, `v255.4-1ubuntu8`, `219`.
pub fn systemd(text: &str) -> Option<u32> {
    let text = text.trim().trim_start_matches('v');
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// Which CRI versions a containerd serves: (v1alpha2, v1). Scan of its source per tag: 1.4 and 1.5 register v1alpha2
/// only, 1.6 and 1.7 both, 2.0 and later v1 only. (RELEASES.md lists v1 for 1.5; the source of 1.5.18 has none.)
pub const fn containerd_serves((major, minor, _): Version) -> (bool, bool) {
    (major < 2, major >= 2 || minor >= 6)
}

/// Which CRI versions a kubelet speaks: (v1alpha2, v1). Kubernetes 1.23 adds v1 (kubernetes/kubernetes#106501), 1.26
/// drops v1alpha2 (#110618).
pub const fn kubelet_speaks((_, minor, _): Version) -> (bool, bool) {
    (minor < 26, minor >= 23)
}

/// Which containerd releases a Kubernetes minor release is tested with, as the first patch of each line that will do.
/// containerd RELEASES.md at v2.3.4, "Kubernetes Support". Before 1.32 the table there names no patch releases.
const SUPPORT: [(u32, &[Version]); 5] = [
    (32, &[(1, 6, 36), (1, 7, 24), (2, 0, 1), (2, 1, 0)]),
    (33, &[(1, 6, 36), (1, 7, 24), (2, 0, 4), (2, 1, 0)]),
    (34, &[(1, 6, 39), (1, 7, 28), (2, 0, 6), (2, 1, 3)]),
    (35, &[(1, 7, 28), (2, 1, 5), (2, 2, 0)]),
    (36, &[(2, 2, 0), (2, 3, 0)]),
];

/// The first patches that are tested with that kubelet, where this containerd is none of them nor later in its line.
/// `None` when the pair is fine or the table does not reach the kubelet's release.
pub fn untested(kubelet: Version, containerd: Version) -> Option<&'static [Version]> {
    let (_, lines) = SUPPORT.iter().find(|(minor, _)| *minor == kubelet.1)?;
    let newest = lines.iter().max()?;
    // A line newer than the newest one listed came out after the table; a listed line is good from its patch on.
    let listed = lines.iter().any(|line| (line.0, line.1) == (containerd.0, containerd.1) && containerd.2 >= line.2);
    (!listed && (containerd.0, containerd.1) <= (newest.0, newest.1)).then_some(*lines)
}

/// The first kubelet that wants the runtime to tell its cgroup driver, which containerd does from 2.0 on. Planned for
/// 1.36, then put off to 1.37 (kubernetes/kubernetes#136846) and 1.38 (#139121).
pub const RUNTIME_CONFIG_REQUIRED: u32 = 38;

/// The first kubelet that refuses to start on cgroup v1 unless `failCgroupV1` is false (KEP-5573,
/// kubernetes/kubernetes#134298).
pub const CGROUP_V1_REFUSED: u32 = 35;

/// The first systemd that cannot boot with cgroup v1 (KEP-5573 quotes systemd's announcement).
pub const SYSTEMD_WITHOUT_V1: u32 = 258;

/// The first systemd that makes transient slices, without which kubelet cannot make `kubepods.slice`
/// (systemd commit 17f62e9bd00f; kubernetes/website#44904). Red Hat's 219 of release 7 has it patched in.
pub const TRANSIENT_SLICES: u32 = 228;

/// The first systemd that hands the `cpuset` controller of cgroup v2 to runc (runc, docs/cgroup-v2.md).
pub const CPUSET_DELEGATED: u32 = 244;

/// Kernels for cgroup v2: below the first, device rules do not hold; below the second, there is no freezer
/// (runc, docs/cgroup-v2.md).
pub const CGROUP2_KERNEL: (Version, Version) = ((4, 15, 0), (5, 2, 0));

/// The first kernel on which the switches `enable_unprivileged_ports` and `_icmp` work. containerd 2.x sets them unless
/// told otherwise, and its CRI plugin refuses to load on older kernels (`ValidateEnableUnprivileged`).
pub const UNPRIVILEGED_KERNEL: Version = (4, 11, 0);

/// The first containerd of each line whose AppArmor template lets a confined runc signal containers
/// (containerd/containerd#10123; 1.7.16 by #10129).
const APPARMOR_FIXED: [Version; 2] = [(1, 6, 32), (1, 7, 16)];

/// True when runc with a profile of its own cannot stop containers of this containerd.
pub fn apparmor_stops_runc(containerd: Version) -> bool {
    let (major, minor, patch) = containerd;
    match APPARMOR_FIXED.iter().find(|fixed| (fixed.0, fixed.1) == (major, minor)) {
        Some(fixed) => patch < fixed.2,
        None => containerd < (1, 6, 0),
    }
}

/// True for the releases that write the loopback network for CNI 1.0.0, which older plugins refuse, and that trip over
/// configurations without a version (containerd/containerd#6876, fixed in 1.6.4).
pub fn cni_version_trap(containerd: Version) -> bool {
    ((1, 6, 0)..(1, 6, 4)).contains(&containerd)
}

/// File systems that overlay cannot write its upper layer to (kernel, filesystems/overlayfs.rst).
pub fn overlay_refuses(fs_type: &str) -> bool {
    matches!(fs_type, "nfs" | "nfs4" | "cifs" | "smb3" | "vfat" | "exfat" | "overlay" | "aufs" | "9p" | "ecryptfs")
}

/// `1.7.28+`, for people.
pub fn shown(versions: &[Version]) -> String {
    versions.iter().map(|(a, b, c)| format!("{a}.{b}.{c}+")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_people_and_packages_write_them() {
        for (text, wanted) in [
            ("1.7.24", Some((1, 7, 24))),
            ("v2.1.9", Some((2, 1, 9))),
            ("5.15.0-91-generic", Some((5, 15, 0))),
            ("3.10.0-1160.el7.x86_64", Some((3, 10, 0))),
            ("1.31", Some((1, 31, 0))),
            ("6.1-rt", Some((6, 1, 0))),
            ("2.0.0~rc.1", Some((2, 0, 0))),
            ("1", None),
            ("", None),
            ("x.y", None),
        ] {
            assert_eq!(version(text), wanted, "{text}");
        }
        for (text, wanted) in
            [("252.22-1~deb12u1", Some(252)), ("v255.4-1ubuntu8", Some(255)), ("219", Some(219)), ("", None)]
        {
            assert_eq!(systemd(text), wanted, "{text}");
        }
    }

    #[test]
    fn cri_borders() {
        for (containerd, serves) in [
            ((1, 4, 13), (true, false)),
            ((1, 5, 18), (true, false)),
            ((1, 6, 0), (true, true)),
            ((1, 7, 34), (true, true)),
            ((2, 0, 0), (false, true)),
            ((2, 3, 4), (false, true)),
        ] {
            assert_eq!(containerd_serves(containerd), serves, "{containerd:?}");
        }
        for (minor, speaks) in
            [(20, (true, false)), (22, (true, false)), (23, (true, true)), (25, (true, true)), (26, (false, true))]
        {
            assert_eq!(kubelet_speaks((1, minor, 0)), speaks, "1.{minor}");
        }
    }

    #[test]
    fn support_borders() {
        for (kubelet, containerd, fine) in [
            (31, (1, 6, 0), true),
            (32, (1, 6, 35), false),
            (32, (1, 6, 36), true),
            (32, (1, 7, 23), false),
            (32, (1, 7, 24), true),
            (32, (2, 0, 0), false),
            (32, (2, 0, 1), true),
            (32, (2, 3, 0), true),
            (33, (2, 0, 3), false),
            (33, (2, 0, 4), true),
            (34, (1, 7, 27), false),
            (34, (2, 1, 2), false),
            (34, (2, 1, 3), true),
            (35, (1, 6, 39), false),
            (35, (1, 7, 28), true),
            (35, (2, 0, 11), false),
            (35, (2, 1, 5), true),
            (36, (2, 1, 9), false),
            (36, (2, 2, 0), true),
            (36, (2, 3, 4), true),
            (36, (2, 4, 0), true),
            (37, (1, 4, 0), true),
        ] {
            assert_eq!(untested((1, kubelet, 0), containerd).is_none(), fine, "1.{kubelet} with {containerd:?}");
        }
        assert_eq!(shown(untested((1, 36, 0), (2, 1, 9)).unwrap()), "2.2.0+, 2.3.0+");
    }

    #[test]
    fn apparmor_and_cni_borders() {
        for (containerd, stops) in [
            ((1, 4, 13), true),
            ((1, 6, 31), true),
            ((1, 6, 32), false),
            ((1, 7, 15), true),
            ((1, 7, 16), false),
            ((2, 0, 0), false),
        ] {
            assert_eq!(apparmor_stops_runc(containerd), stops, "{containerd:?}");
        }
        for (patch, trap) in [(0, true), (3, true), (4, false), (20, false)] {
            assert_eq!(cni_version_trap((1, 6, patch)), trap, "1.6.{patch}");
        }
        assert!(!cni_version_trap((1, 5, 18)) && !cni_version_trap((1, 7, 0)));
        assert!(overlay_refuses("nfs4") && !overlay_refuses("xfs"));
    }
}
