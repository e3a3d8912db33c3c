//! Verdicts that depend on what a setting says.

use super::Judged;
use crate::model::{
    DockerSetting,
    Verdict::{Equal, Manual, NoEquivalent},
};
use serde_json::Value;

/// Switches that change nothing for pods while they are off: that is how containerd behaves anyway.
const HARMLESS_OFF: [&str; 10] = [
    "experimental",
    "init",
    "ipv6",
    "no-new-privileges",
    "raw-logs",
    "selinux-enabled",
    "tls",
    "tlsverify",
    "rootless",
    "cri-containerd",
];

/// Settings that an empty text switches off.
const HARMLESS_EMPTY: [&str; 7] = [
    "cgroup-parent",
    "default-runtime",
    "metrics-addr",
    "seccomp-profile",
    "storage-driver",
    "userns-remap",
    "log-driver",
];

/// The verdict on a setting whose value decides; `None` leaves it to the table.
pub fn judge(setting: &DockerSetting) -> Option<Judged> {
    let key = setting.key.as_str();
    if (HARMLESS_OFF.contains(&key) && setting.value == Value::Bool(false))
        || (HARMLESS_EMPTY.contains(&key) && setting.value.as_str() == Some(""))
    {
        return Some((Equal, None, "it is off, as it is for pods under containerd"));
    }
    Some(match key {
        "storage-driver" => storage_driver(setting),
        "log-driver" => log_driver(setting),
        "default-runtime" if setting.value.as_str() == Some("runc") => {
            (Equal, Some("handler runc"), "containerd's default runtime is runc too")
        }
        "max-concurrent-downloads" if setting.value.as_i64() == Some(3) => {
            (Equal, None, "containerd's default is 3 too")
        }
        "icc" if setting.value == Value::Bool(false) => (
            NoEquivalent,
            Some("NetworkPolicy"),
            "it cut containers on Docker's bridge off from each other; pods never were",
        ),
        _ => return None,
    })
}

fn storage_driver(setting: &DockerSetting) -> Judged {
    match setting.value.as_str() {
        Some("overlay2" | "overlay" | "overlayfs") => {
            (Equal, Some("snapshotter overlayfs"), "containerd's default, on the same kind of file system")
        }
        Some("btrfs") => {
            (Manual, Some("snapshotter btrfs"), "containerd's root must be on btrfs; overlayfs works there too")
        }
        Some("zfs") => {
            (Manual, Some("snapshotter zfs"), "it needs a dataset mounted for it; overlayfs needs a recent ZFS")
        }
        Some("vfs") => (Manual, Some("snapshotter native"), "it copies each layer; choose overlayfs where it works"),
        Some("devicemapper") => (
            Manual,
            Some("snapshotter devmapper"),
            "it needs a thin pool of its own: pool_name, root_path, base_image_size",
        ),
        Some("fuse-overlayfs") => (
            Manual,
            Some("a proxy plugin for fuse-overlayfs"),
            "overlayfs needs no helper when containerd runs as root",
        ),
        Some("aufs") => {
            (NoEquivalent, Some("snapshotter overlayfs"), "containerd 2.0 has no aufs; images are unpacked anew")
        }
        _ => (Manual, Some("`snapshotter` in containerd's configuration"), "choose a snapshotter for this file system"),
    }
}

fn log_driver(setting: &DockerSetting) -> Judged {
    match setting.value.as_str() {
        Some("json-file" | "local") => {
            (Equal, Some("/var/log/pods"), "kubelet and containerd keep log files; their format is CRI's")
        }
        Some("none") => (NoEquivalent, None, "containerd always writes log files, which kubelet rotates"),
        _ => (NoEquivalent, None, "containerd writes CRI log files only; use a log agent"),
    }
}
