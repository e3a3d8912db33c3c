//! Verdicts that depend on what a setting says.

use super::Judged;
use crate::model::{
    DockerSetting,
    Verdict::{Equal, Manual, NoEquivalent},
};

/// The verdict on a setting whose value decides; `None` leaves it to the table.
pub fn judge(setting: &DockerSetting) -> Option<Judged> {
    Some(match setting.key.as_str() {
        "storage-driver" => storage_driver(setting),
        "log-driver" => log_driver(setting),
        _ => return None,
    })
}

fn storage_driver(setting: &DockerSetting) -> Judged {
    match setting.value.as_str() {
        Some("overlay2" | "overlay") => (Equal, Some("snapshotter overlayfs"), "containerd's default"),
        _ => (Manual, Some("`snapshotter` in containerd's configuration"), "choose a snapshotter for this file system"),
    }
}

fn log_driver(setting: &DockerSetting) -> Judged {
    match setting.value.as_str() {
        Some("json-file" | "local") => {
            (Equal, Some("/var/log/pods"), "kubelet and containerd keep log files; their format is CRI's")
        }
        _ => (NoEquivalent, None, "containerd writes CRI log files only; use a log agent"),
    }
}
