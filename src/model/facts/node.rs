//! The machine as facts: its system, cgroups, CNI, pods, units and files.

use crate::model::{CgroupMode, Digest, DiskFacts, DiskUse, HostState, PackageFacts, Sourced};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeFacts {
    /// Host name: the node's name unless kubelet overrides it.
    pub hostname: Option<Sourced<String>>,
    /// `PRETTY_NAME` of os-release.
    pub os: Option<Sourced<String>>,
    /// `ID` of os-release, such as `debian`.
    pub os_id: Option<Sourced<String>>,
    /// Kernel release.
    pub kernel: Option<Sourced<String>>,
    /// Machine hardware name, such as `x86_64`.
    pub arch: Option<Sourced<String>>,
    /// systemd's version.
    pub systemd: Option<Sourced<String>>,
    /// The file systems of the directories that matter here; empty when no mount table could be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskFacts>,
    /// Installed packages that matter here, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, PackageFacts>,
    /// What no configuration says.
    #[serde(default)]
    pub state: HostState,
}

impl NodeFacts {
    /// The file system of the directory for that use.
    pub fn disk(&self, of: DiskUse) -> Option<&DiskFacts> {
        self.disks.iter().find(|disk| disk.of == of)
    }
}

/// The cgroup hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CgroupFacts {
    /// Its mode; absent when it cannot be seen (a file tree) and was not assumed.
    pub mode: Option<Sourced<CgroupMode>>,
}

/// A pod that runs on the node, whatever runs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PodFacts {
    /// Namespace.
    pub namespace: String,
    /// Name as the runtime knows it.
    pub name: String,
    /// `docker` or `containerd`.
    pub runtime: String,
    /// Names of its running containers.
    pub containers: Vec<String>,
}

/// CNI on the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CniFacts {
    /// The configuration that wins: the lexically first file.
    pub config: Option<Sourced<String>>,
    /// Further files that would be read if it were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// The specification's version the configuration is written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Sourced<String>>,
    /// The plugins it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// Plugin binaries by directory.
    pub plugins: BTreeMap<String, Vec<String>>,
}

impl CniFacts {
    /// The plugins that pods need and none of these directories has. Either runtime calls `loopback` for every pod.
    pub fn lacking(&self, dirs: &[&str]) -> Vec<&str> {
        let has =
            |dir: &str, plugin: &str| self.plugins.get(dir).is_some_and(|names| names.iter().any(|n| n == plugin));
        let calls = self.calls.iter().map(String::as_str).filter(|plugin| *plugin != "loopback");
        calls.chain(["loopback"]).filter(|plugin| !dirs.iter().any(|dir| has(dir, plugin))).collect()
    }
}

/// One systemd unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UnitFacts {
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, …; empty for a file tree.
    pub active: String,
    /// `enabled`, `disabled`, `masked`, `static`, …
    pub file_state: String,
    /// The unit file.
    pub fragment: Option<String>,
    /// Its drop-ins in systemd's order.
    pub drop_ins: Vec<String>,
    /// Units it cannot run without (`Requires=`, `BindsTo=`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Units that depend on it, for Docker's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<Dependent>,
}

/// A unit that depends on another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Dependent {
    /// Its name.
    pub unit: String,
    /// How, as its file says it: `Requires`, `Requisite`, `BindsTo`, `PartOf`, `Wants`; `WantedBy` for a unit that the
    /// other one starts.
    pub kind: String,
}

impl UnitFacts {
    /// True when nothing can start it.
    pub fn is_masked(&self) -> bool {
        self.load == "masked" || self.file_state.starts_with("masked")
    }

    /// True when systemd knows a unit file of that name.
    pub fn is_there(&self) -> bool {
        self.fragment.is_some() || matches!(self.load.as_str(), "loaded" | "masked" | "bad-setting" | "error")
    }
}

/// One file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileFacts {
    /// Digest of its content.
    pub digest: Digest,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Where the file really is, when its path leads through links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Something castoff could not see, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}
