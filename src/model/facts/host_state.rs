//! What the kernel and the file system hold beside configuration: leftovers, and what gets in the way.

use crate::model::{CgroupDriver, Origin, Sourced};
use serde::{Deserialize, Serialize};

/// An installed package that matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PackageFacts {
    /// The package's version, as the package manager knows it.
    pub version: String,
    /// True when the package manager may not change it (`apt-mark hold`).
    pub hold: bool,
    /// True when it was installed only because another package wants it; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<bool>,
    /// Where that stands.
    pub origin: Origin,
}

/// What no configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HostState {
    /// Docker's bridge, when it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_bridge: Option<Sourced<String>>,
    /// The policy of the filter table's FORWARD chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_policy: Option<Sourced<String>>,
    /// Shims of containers that Docker does not list as running.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphan_shims: Vec<Sourced<String>>,
    /// Swap that is on, or would be after a boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<Sourced<String>>,
    /// AppArmor's own profile for runc, when it is loaded at boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runc_profile: Option<Sourced<String>>,
    /// True when packages are upgraded without anybody asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unattended_upgrades: Option<Sourced<bool>>,
}

/// CRI-O, where it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CrioFacts {
    /// True when crio.service or its package is there.
    pub installed: bool,
    /// True when crio.service is active.
    pub running: bool,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Sourced<String>>,
    /// Its `cgroup_manager`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_manager: Option<Sourced<CgroupDriver>>,
    /// Its configuration files in the order they apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
}
