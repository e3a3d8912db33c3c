//! Where the node keeps what, and how much room there is.

use crate::model::Origin;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DiskUse {
    /// Docker's data root: images, containers, volumes and, for json-file, the containers' logs.
    Docker,
    /// containerd's persistent data.
    Containerd,
    /// kubelet's directory: the pods' volumes.
    Kubelet,
    /// `/var/log/pods`: where log files are written when containers run on containerd.
    PodLogs,
}

impl fmt::Display for DiskUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::PodLogs => "pod logs",
        })
    }
}

/// The file system a directory is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiskFacts {
    /// What the directory is for.
    pub of: DiskUse,
    /// The directory, as configured.
    pub path: String,
    /// Where it really is, when links lead elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Mount point of its file system.
    pub mount_point: String,
    /// The device, `UUID=…` or a server's path.
    pub source: String,
    /// `ext4`, `xfs`, …
    pub fs_type: String,
    /// Size in bytes; absent in a file tree, as everything below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Bytes a daemon without root's reserve may still write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Inodes; 0 on file systems that make them as needed (btrfs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_inodes: Option<u64>,
    /// Inodes that are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_inodes: Option<u64>,
    /// True for Docker's where no mount shows both its directory and containerd's: nothing can change hands between them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// The table that says so.
    pub origin: Origin,
}

impl DiskFacts {
    /// True when both are on one file system.
    pub fn is_same_disk(&self, other: &Self) -> bool {
        self.mount_point == other.mount_point
    }
}
