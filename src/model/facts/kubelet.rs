//! kubelet as facts.

use crate::model::{CgroupDriver, Origin, RuntimeKind, Sourced};
use serde::{Deserialize, Serialize};

/// One kubelet flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletFlag {
    /// Name without dashes.
    pub name: String,
    /// Value; `true` for a bare boolean flag.
    pub value: String,
    /// The file and line that holds it.
    pub origin: Origin,
    /// The variable of an environment file it stands in, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

/// A static pod's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticPod {
    /// The manifest file.
    pub path: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod name as the runtime knows it: the manifest's name and the node's.
    pub name: String,
    /// Images its containers name.
    pub images: Vec<String>,
}

/// kubelet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeletFacts {
    /// True when kubelet or its unit is there.
    pub installed: bool,
    /// True when kubelet.service is active.
    pub running: bool,
    /// kubelet's version without `v`.
    pub version: Option<Sourced<String>>,
    /// What it runs containers through.
    pub runtime: Option<Sourced<RuntimeKind>>,
    /// CRI endpoint; for dockershim the one it serves itself.
    pub endpoint: Option<Sourced<String>>,
    /// The effective cgroup driver.
    pub cgroup_driver: Option<Sourced<CgroupDriver>>,
    /// The KubeletConfiguration file.
    pub config_path: Option<Sourced<String>>,
    /// Static pod manifests directory.
    pub static_pod_path: Option<Sourced<String>>,
    /// Every flag in the order the kubelet sees them; the last of a name wins.
    pub flags: Vec<KubeletFlag>,
    /// The live command line, when it runs and may be read.
    pub command_line: Option<Sourced<Vec<String>>>,
    /// Static pods found in `static_pod_path`.
    pub static_pods: Vec<StaticPod>,
}

impl KubeletFacts {
    /// The flag of that name that wins.
    pub fn flag(&self, name: &str) -> Option<&KubeletFlag> {
        self.flags.iter().rev().find(|flag| flag.name == name)
    }
}
