//! Everything castoff saw on a node: the `Facts` document of `castoff inspect -o json`.

mod assumptions;
mod containerd;
mod control_plane;
mod disk;
mod docker;
mod host_state;
mod kubelet;
mod member;
mod node;
mod registry;
mod surroundings;
mod traits;
mod users;

pub use assumptions::Assumptions;
pub use containerd::{ContainerdFacts, HandlerFacts};
pub use control_plane::{EtcdFacts, EtcdHealth};
pub use disk::{DiskFacts, DiskUse};
pub use docker::{
    CredentialFile, DockerContainer, DockerDrift, DockerFacts, DockerImage, DockerProblem, DockerSetting, ProblemKind,
};
pub use host_state::{CrioFacts, HostState, PackageFacts};
pub use kubelet::{KubeletFacts, KubeletFlag, KubeletSetting, StaticPod, UnitNeed};
pub use member::{KubeletMap, MemberFacts, MemberPod, Membership, OtherNodes, PodKind};
pub use node::{CgroupFacts, CniFacts, Dependent, FileFacts, NodeFacts, PodFacts, UnitFacts, Unseen};
pub use registry::{RegistryConfig, RegistryDir, RegistryFacts, RegistryMirror, RegistryTls};
pub use surroundings::{ClusterFacts, KernelSwitch, ServiceFacts, Surroundings};
pub use users::{DockerUser, Tie, UserKind};

use crate::model::{Finding, RuntimeKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything castoff saw on a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// [`crate::model::API_VERSION`].
    pub api_version: String,
    /// `Facts`.
    pub kind: String,
    /// castoff's version.
    pub tool: String,
    /// True when a running system was looked at, false for a file tree.
    pub live: bool,
    /// The machine.
    pub node: NodeFacts,
    /// Its cgroups.
    pub cgroup: CgroupFacts,
    /// Docker.
    pub docker: DockerFacts,
    /// containerd.
    pub containerd: ContainerdFacts,
    /// Registries.
    #[serde(default)]
    pub registry: RegistryFacts,
    /// CRI-O.
    #[serde(default)]
    pub crio: CrioFacts,
    /// kubelet.
    pub kubelet: KubeletFacts,
    /// CNI.
    pub cni: CniFacts,
    /// What containers got from around Docker.
    #[serde(default)]
    pub surroundings: Surroundings,
    /// Running pods.
    pub pods: Vec<PodFacts>,
    /// Its cluster.
    #[serde(default, skip_serializing_if = "Membership::is_unasked")]
    pub cluster: Membership,
    /// etcd, on a control plane node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdFacts>,
    /// Who else uses Docker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docker_users: Vec<DockerUser>,
    /// The units that matter here, by name.
    pub units: BTreeMap<String, UnitFacts>,
    /// Digests of every file read.
    pub files: BTreeMap<String, FileFacts>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
    /// What is notable.
    pub findings: Vec<Finding>,
    /// Text of the files a plan may edit. Never printed: it may hold secrets.
    #[serde(skip)]
    pub texts: BTreeMap<String, String>,
}

impl Facts {
    /// Facts of which nothing is known yet.
    pub fn empty(live: bool) -> Self {
        Self {
            api_version: crate::model::API_VERSION.to_owned(),
            kind: "Facts".to_owned(),
            tool: crate::model::TOOL_VERSION.to_owned(),
            live,
            node: NodeFacts::default(),
            cgroup: CgroupFacts::default(),
            docker: DockerFacts::default(),
            containerd: ContainerdFacts::default(),
            registry: RegistryFacts::default(),
            crio: CrioFacts::default(),
            kubelet: KubeletFacts::default(),
            cni: CniFacts::default(),
            surroundings: Surroundings::default(),
            pods: Vec::new(),
            cluster: Membership::default(),
            etcd: None,
            docker_users: Vec::new(),
            units: BTreeMap::new(),
            files: BTreeMap::new(),
            unseen: Vec::new(),
            findings: Vec::new(),
            texts: BTreeMap::new(),
        }
    }

    /// The node's name for people.
    pub fn name(&self) -> &str {
        self.node.hostname.as_ref().map_or("this node", |name| name.value.as_str())
    }

    /// True when kubelet's configuration points to containerd, and Docker still runs pods or containerd cannot: a
    /// migration stopped half-way.
    pub fn is_half_migrated(&self) -> bool {
        let moved = self.kubelet.runtime.as_ref().is_some_and(|runtime| runtime.value == RuntimeKind::Containerd);
        let runs = |container: &DockerContainer| container.kubernetes && container.state == "running";
        let answers = self.containerd.cri_answers.as_ref().is_some_and(|answers| answers.value);
        // No pod ever ran on a containerd without CRI, so they ran on Docker until then.
        let never =
            self.docker.installed && !answers && self.containerd.cri_enabled.as_ref().is_some_and(|on| !on.value);
        moved && (never || self.docker.containers.iter().any(runs))
    }

    /// State of a unit; the default (nothing known) when it was not looked at.
    pub fn unit(&self, name: &str) -> UnitFacts {
        self.units.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_texts_never_reach_json() {
        let mut facts = Facts::empty(true);
        facts.texts.insert("/etc/containerd/config.toml".into(), "password = \"hunter2\"".into());
        assert!(!serde_json::to_string(&facts).unwrap().contains("hunter2"));
    }
}
