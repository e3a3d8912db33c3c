//! What a step does: one of few primitives, in a form that can be saved and read back.

use super::{CarryOptions, Digest, Span, Timeouts};
use serde::{Deserialize, Serialize};

/// What a file must look like before it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileBefore {
    /// Digest of its content.
    pub digest: Digest,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What a file will look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileAfter {
    /// Digest of the new content.
    pub digest: Digest,
    /// Permission bits for a file that is created; an existing file keeps its own.
    pub mode: u32,
}

/// One primitive. Features compose them; there are few, so that each can be done, undone and redone with care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Action {
    /// Writes a whole file.
    WriteFile {
        /// Absolute path below the root.
        path: String,
        /// What must be there; absent: nothing must be there.
        before: Option<FileBefore>,
        /// What will be there.
        after: FileAfter,
        /// Unified diff, secrets masked.
        diff: String,
        /// The new content; left out of documents meant for reading.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<String>,
    },
    /// Makes a directory and its missing parents.
    MakeDir {
        /// Absolute path below the root.
        path: String,
        /// Permission bits of what is created.
        mode: u32,
    },
    /// Stops a unit.
    StopUnit {
        /// Unit name.
        unit: String,
    },
    /// Starts a unit.
    StartUnit {
        /// Unit name.
        unit: String,
    },
    /// Restarts a unit.
    RestartUnit {
        /// Unit name.
        unit: String,
    },
    /// Makes the links that start a unit at boot, as its `[Install]` section says.
    EnableUnit {
        /// Unit name.
        unit: String,
    },
    /// Removes the links that start a unit at boot.
    DisableUnit {
        /// Unit name.
        unit: String,
    },
    /// Links a unit to `/dev/null`, so that nothing can start it.
    MaskUnit {
        /// Unit name.
        unit: String,
    },
    /// Makes systemd read its files again.
    DaemonReload,
    /// Stops the containers that the kubelet made through Docker, sandboxes last.
    StopDockerPods {
        /// Directories of CNI plugins that a flag names, for giving back the pods' networks.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cni_bin_dirs: Vec<String>,
    },
    /// Carries images from Docker's store into containerd's namespace `k8s.io`.
    ImportImages {
        /// References by which Docker knows them.
        images: Vec<String>,
        /// Bytes Docker reports for them together.
        bytes: u64,
        /// containerd's root, where the copy is kept.
        root: String,
        /// True when the running containerd keeps its data elsewhere and gets this root only with the plan.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        new_root: bool,
        /// Docker's data root; empty where its layers cannot be used as they are.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        source: String,
        /// True when Docker keeps its images in containerd's store.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        from_containerd: bool,
        /// CRI's snapshotter, where layers cannot be carried to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshotter: Option<String>,
        /// The image of sandboxes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sandbox: Option<String>,
        /// How they are carried.
        #[serde(default, skip_serializing_if = "CarryOptions::is_default")]
        options: CarryOptions,
    },
    /// Waits until CRI answers on the endpoint and its runtime is ready.
    AwaitCri {
        /// `unix://…`.
        endpoint: String,
    },
    /// Waits until these pods run on the new runtime.
    AwaitPods {
        /// `namespace/name` each.
        pods: Vec<String>,
        /// `unix://…`.
        endpoint: String,
    },
    /// Waits until these pods run on Docker again; for a plan that stays on Docker.
    AwaitDockerPods {
        /// `namespace/name` each.
        pods: Vec<String>,
    },
    /// Lets no new pods come to the node.
    CordonNode {
        /// Its name in the cluster.
        node: String,
        /// The kubeconfig to speak with.
        kubeconfig: String,
    },
    /// Evicts the node's pods, but for static ones and those of DaemonSets, and waits until they are gone.
    DrainNode {
        /// Its name in the cluster.
        node: String,
        /// The kubeconfig to speak with.
        kubeconfig: String,
        /// Pods leave that nothing makes again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
        /// Pods leave whose emptyDir ends with them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        delete_emptydir_data: bool,
        /// Grace period in seconds; absent: each pod's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grace: Option<u32>,
    },
    /// Waits until the cluster sees the node Ready on containerd, with news from kubelet as it is now, and its pods.
    AwaitNode {
        /// Its name in the cluster.
        node: String,
        /// The kubeconfig to speak with.
        kubeconfig: String,
        /// Pods that were Ready before and stay, `namespace/name` each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pods: Vec<String>,
    },
    /// Waits until etcd on this node is healthy again, with all it had.
    AwaitEtcd {
        /// Where it tells its health.
        metrics: String,
        /// The revision it had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
    },
    /// Sets a field of kubeadm's configuration of all kubelets.
    SetKubeletMap {
        /// The kubeconfig to speak with.
        kubeconfig: String,
        /// The ConfigMap in kube-system.
        map: String,
        /// The field.
        key: String,
        /// What it is; absent where it is not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// Its new value.
        value: String,
    },
    /// Sets an annotation of the node.
    AnnotateNode {
        /// Its name in the cluster.
        node: String,
        /// The kubeconfig to speak with.
        kubeconfig: String,
        /// The annotation.
        key: String,
        /// What it is; absent where it is not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// Its new value.
        value: String,
    },
    /// Lets pods come to the node again.
    UncordonNode {
        /// Its name in the cluster.
        node: String,
        /// The kubeconfig to speak with.
        kubeconfig: String,
    },
    /// Proves the node, as `castoff verify` does.
    Verify {
        /// `unix://…`; absent on a node that stays on Docker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
}

impl Action {
    /// Name of the action in documents.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::WriteFile { before: None, .. } => "create",
            Self::WriteFile { .. } => "write",
            Self::MakeDir { .. } => "mkdir",
            Self::StopUnit { .. } | Self::StopDockerPods { .. } => "stop",
            Self::StartUnit { .. } => "start",
            Self::RestartUnit { .. } => "restart",
            Self::EnableUnit { .. } => "enable",
            Self::DisableUnit { .. } => "disable",
            Self::MaskUnit { .. } => "mask",
            Self::DaemonReload => "reload",
            Self::ImportImages { .. } => "import",
            Self::AwaitCri { .. }
            | Self::AwaitPods { .. }
            | Self::AwaitDockerPods { .. }
            | Self::AwaitEtcd { .. }
            | Self::AwaitNode { .. } => "wait",
            Self::SetKubeletMap { .. } => "configure",
            Self::CordonNode { .. } => "cordon",
            Self::DrainNode { .. } => "drain",
            Self::AnnotateNode { .. } => "annotate",
            Self::UncordonNode { .. } => "uncordon",
            Self::Verify { .. } => "verify",
        }
    }

    /// How long it may take, where it waits for something at all; a proof has limits of its own.
    pub const fn limit(&self, timeouts: &Timeouts) -> Option<Span> {
        Some(match self {
            Self::StopUnit { .. }
            | Self::StartUnit { .. }
            | Self::RestartUnit { .. }
            | Self::StopDockerPods { .. }
            | Self::AwaitCri { .. } => timeouts.unit,
            Self::AwaitPods { .. } | Self::AwaitDockerPods { .. } => timeouts.pods,
            Self::ImportImages { .. } => timeouts.images,
            Self::DrainNode { .. } => timeouts.drain,
            Self::AwaitNode { .. } | Self::AwaitEtcd { .. } => timeouts.node,
            _ => return None,
        })
    }

    /// What it acts on, for people.
    pub fn object(&self) -> String {
        match self {
            Self::WriteFile { path, .. } | Self::MakeDir { path, .. } => path.clone(),
            Self::StopUnit { unit }
            | Self::StartUnit { unit }
            | Self::RestartUnit { unit }
            | Self::EnableUnit { unit }
            | Self::DisableUnit { unit }
            | Self::MaskUnit { unit } => unit.clone(),
            Self::DaemonReload => "systemd".to_owned(),
            Self::StopDockerPods { .. } => "Docker's pod containers".to_owned(),
            Self::ImportImages { images, .. } => format!("{} image{}", images.len(), plural(images.len())),
            Self::AwaitCri { endpoint } => format!("CRI on {endpoint}"),
            Self::AwaitPods { pods, .. } => format!("{} pod{} on containerd", pods.len(), plural(pods.len())),
            Self::AwaitDockerPods { pods } => format!("{} pod{} on Docker", pods.len(), plural(pods.len())),
            Self::CordonNode { node, .. }
            | Self::DrainNode { node, .. }
            | Self::AnnotateNode { node, .. }
            | Self::UncordonNode { node, .. } => format!("node {node}"),
            Self::AwaitNode { node, .. } => format!("node {node} in the cluster"),
            Self::AwaitEtcd { .. } => "etcd, with its data".to_owned(),
            Self::SetKubeletMap { map, .. } => format!("ConfigMap kube-system/{map}"),
            Self::Verify { .. } => "the node".to_owned(),
        }
    }
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
