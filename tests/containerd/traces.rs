//! What a daemon could leave behind on a machine.

use std::{collections::BTreeSet, fs, path::Path};

/// Mounts, processes, and the places where a containerd leaves things, one line each.
pub fn of_this_machine(tree: &Path) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter_map(|line| Some(format!("mount {}", line.split(' ').nth(4)?))));
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(exe) = fs::read_link(entry.path().join("exe")) else { continue };
        // Of this test alone: others on the machine may start what they like.
        if exe.starts_with(tree) {
            found.insert(format!("process {}", exe.display()));
        }
    }
    for dir in ["/run", "/run/containerd", "/run/nri", "/var/lib/containerd", "/opt/containerd", "/etc/cni", "/etc/nri"]
    {
        list(Path::new(dir), 1, &mut found);
    }
    list(tree, 12, &mut found);
    found
}

fn list(dir: &Path, depth: usize, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        // The lab and others come and go there.
        if path.to_string_lossy().contains("/run/systemd/") || path.to_string_lossy().contains("castoff-lab") {
            continue;
        }
        let kind = entry.file_type().unwrap();
        found.insert(format!("{} {}", if kind.is_dir() { "dir" } else { "file" }, path.display()));
        if kind.is_dir() && depth > 1 {
            list(&path, depth - 1, found);
        }
    }
}
