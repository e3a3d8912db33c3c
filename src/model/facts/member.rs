//! The node as its cluster has it.

use serde::{Deserialize, Serialize};

/// Why a drain treats a pod as it does (kubectl `pkg/drain/filters.go` sorts the same way).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PodKind {
    /// A static pod, of which the cluster only has a mirror: it moves with the node.
    Static,
    /// Of a DaemonSet: it would come back to this node at once.
    DaemonSet,
    /// A controller makes another one, elsewhere.
    Controlled,
    /// Nothing makes another one.
    Bare,
    /// It has run to its end.
    Finished,
}

/// A pod that the cluster has on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MemberPod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Tells it from a later one of the same name.
    pub uid: String,
    /// What a drain does with it.
    pub kind: PodKind,
    /// What made it, `Kind/name`; empty for one that nothing made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// True when it keeps data in an emptyDir, which ends with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local_data: bool,
    /// True when kubelet does not start it again after it was stopped, whatever it was doing (restartPolicy other than Always).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends: bool,
    /// True when somebody has deleted it, and kubelet has not ended it yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub going: bool,
    /// True when the cluster sees it Ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
}

impl MemberPod {
    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// True when it would be gone for good.
    pub const fn is_bare(&self) -> bool {
        matches!(self.kind, PodKind::Bare)
    }

    /// True when a drain makes it leave the node.
    pub const fn leaves(&self) -> bool {
        matches!(self.kind, PodKind::Controlled | PodKind::Bare)
    }
}

/// kubeadm's configuration of all kubelets: the ConfigMap that `kubeadm upgrade node` writes over a kubelet's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KubeletMap {
    /// Its name in kube-system: `kubelet-config`, up to 1.23 `kubelet-config-1.NN`.
    pub name: String,
    /// The cgroup driver it names; absent where it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_driver: Option<String>,
    /// Whether these credentials may change it; absent where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_change: Option<bool>,
}

impl KubeletMap {
    /// Its name for a release of Kubernetes: with the release up to 1.23 (kubeadm `UnversionedKubeletConfigMap`, on in 1.24).
    pub fn name_for((major, minor): (u32, u32)) -> String {
        if (major, minor) <= (1, 23) { format!("kubelet-config-{major}.{minor}") } else { "kubelet-config".to_owned() }
    }
}

/// Other nodes of the cluster. What these credentials may not see is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OtherNodes {
    /// Whether one of them is Ready and takes pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_pods: Option<bool>,
    /// Control plane nodes that are not Ready; asked on a control plane node only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_planes_down: Vec<String>,
    /// Nodes that run their pods on Docker; asked only where somebody wants kubeadm's ConfigMap changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_docker: Option<Vec<String>>,
}

impl OtherNodes {
    fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// A node of a cluster whose API server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MemberFacts {
    /// The API server.
    pub server: String,
    /// The kubeconfig castoff speaks with.
    pub kubeconfig: String,
    /// The node's name there.
    pub node: String,
    /// True when it takes no new pods.
    pub unschedulable: bool,
    /// Whether it is Ready.
    pub ready: bool,
    /// What runs its containers, `docker://20.10.24`.
    pub runtime: String,
    /// The annotation in which kubeadm keeps the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cri_socket: Option<String>,
    /// True for one with the role of a control plane.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control_plane: bool,
    /// The others.
    #[serde(default, skip_serializing_if = "OtherNodes::is_unknown")]
    pub others: OtherNodes,
    /// kubeadm's configuration of all kubelets, where there is one that may be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubelet_map: Option<KubeletMap>,
    /// Its pods.
    pub pods: Vec<MemberPod>,
    /// What that kubeconfig may not do and a drain needs, such as `create pods/eviction`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
}

/// Whether the node belongs to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Membership {
    /// Nobody asked: a file tree, or somebody who wants none of it.
    #[default]
    Unasked,
    /// kubelet has no kubeconfig: it runs static pods only.
    Standalone,
    /// Its API server does not answer, or does not let us.
    Away {
        /// The kubeconfig it was asked with.
        kubeconfig: String,
        /// Why not.
        why: String,
    },
    /// It answers.
    Member(Box<MemberFacts>),
}

impl Membership {
    /// The node in its cluster, where that could be asked.
    pub const fn member(&self) -> Option<&MemberFacts> {
        match self {
            Self::Member(member) => Some(member),
            _ => None,
        }
    }

    /// For documents of nodes that nobody asked about.
    pub const fn is_unasked(&self) -> bool {
        matches!(self, Self::Unasked)
    }
}
