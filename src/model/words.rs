//! Words that Docker, containerd and kubelet share: cgroup drivers and modes, kinds of runtime.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How the node's processes are put into cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CgroupDriver {
    /// Scopes and slices made by systemd.
    Systemd,
    /// Directories made straight in the cgroup file system.
    Cgroupfs,
}

impl CgroupDriver {
    /// The word Docker, containerd and kubelet use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Cgroupfs => "cgroupfs",
        }
    }
}

impl fmt::Display for CgroupDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for CgroupDriver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "systemd" => Ok(Self::Systemd),
            "cgroupfs" => Ok(Self::Cgroupfs),
            _ => Err(format!("`{text}` is no cgroup driver; it is `systemd` or `cgroupfs`")),
        }
    }
}

/// Which cgroup hierarchy the kernel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CgroupMode {
    /// cgroup v2 only.
    Unified,
    /// v1 controllers with a v2 tree beside them; counts as v1 for kubelet, runc and Docker.
    Hybrid,
    /// v1 only.
    Legacy,
}

impl fmt::Display for CgroupMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unified => "unified (v2)",
            Self::Hybrid => "hybrid (v1)",
            Self::Legacy => "legacy (v1)",
        })
    }
}

impl FromStr for CgroupMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unified" => Ok(Self::Unified),
            "hybrid" => Ok(Self::Hybrid),
            "legacy" => Ok(Self::Legacy),
            _ => Err(format!("`{text}` is no cgroup mode; it is `unified`, `hybrid` or `legacy`")),
        }
    }
}

/// Through what the kubelet runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeKind {
    /// Docker through the shim inside kubelet ≤ 1.23.
    Dockershim,
    /// Docker through cri-dockerd.
    CriDockerd,
    /// containerd.
    Containerd,
    /// CRI-O.
    CriO,
    /// A CRI endpoint castoff does not know.
    Other,
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dockershim => "Docker (dockershim)",
            Self::CriDockerd => "Docker (cri-dockerd)",
            Self::Containerd => "containerd",
            Self::CriO => "CRI-O",
            Self::Other => "another CRI runtime",
        })
    }
}
