//! The Container Runtime Interface: what kubelet sees of a runtime, seen through the same socket. Speaks `v1` and,
//! for containerd before 1.6, `v1alpha2`.

mod client;
mod fake;
mod making;
mod messages;
mod pod_messages;
mod pods;

pub use client::GrpcCri;
pub use fake::{FakeCri, Health, Runtime};
pub use pods::{
    ContainerSpec, CriPods, Executed, IdRange, MountSpec, Order, PodSpec, Propagation, Seccomp, Security, Share, Stats,
    StatsOf,
};

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

/// Which version of the interface a runtime serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CriApi {
    /// `runtime.v1`: containerd 1.6 and later, the only one kubelet 1.26 and later accepts.
    V1,
    /// `runtime.v1alpha2`: containerd 1.7 and earlier.
    V1Alpha2,
}

impl CriApi {
    /// `v1` or `v1alpha2`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Alpha2 => "v1alpha2",
        }
    }
}

/// Who answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriVersion {
    /// `containerd`, `cri-o`, `docker`.
    pub runtime_name: String,
    /// Its version.
    pub runtime_version: String,
    /// The version of the interface as the runtime names it.
    pub runtime_api_version: String,
}

/// One condition of a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriCondition {
    /// `RuntimeReady`, `NetworkReady`, or the runtime's own.
    pub kind: String,
    /// Whether it holds.
    pub status: bool,
    /// Word for the reason.
    pub reason: String,
    /// Sentence for the reason.
    pub message: String,
}

/// State of a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriStatus {
    /// Pods in the host network can run.
    pub runtime_ready: bool,
    /// Pods with an own network can run.
    pub network_ready: bool,
    /// Why the network is not ready.
    pub network_reason: String,
    /// The same in a sentence: `cni plugin not initialized`.
    pub network_message: String,
    /// All conditions.
    pub conditions: Vec<CriCondition>,
    /// What the runtime adds when asked to be verbose; values are JSON. containerd: `config` is the configuration
    /// it loaded.
    pub info: BTreeMap<String, String>,
    /// Read-only mounts can include those below them (default handler; Kubernetes 1.30).
    pub recursive_read_only: bool,
    /// Pods can have users of their own (default handler; Kubernetes 1.30).
    pub user_namespaces: bool,
    /// The groups that an image gives a user can be left out (Kubernetes 1.31).
    pub strict_groups: bool,
}

/// A pod sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Id.
    pub id: String,
    /// Name of the pod.
    pub name: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// UID of the pod.
    pub uid: String,
    /// How often the sandbox was created anew.
    pub attempt: u32,
    /// It runs.
    pub ready: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub created_at: i64,
    /// Runtime handler; empty for the default one.
    pub runtime_handler: String,
}

/// State of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Created, not started.
    Created,
    /// Runs.
    Running,
    /// Ended.
    Exited,
    /// The runtime does not know, or says something we do not.
    #[default]
    Unknown,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Id.
    pub id: String,
    /// Sandbox it belongs to.
    pub sandbox_id: String,
    /// Name in the pod.
    pub name: String,
    /// Image as asked for.
    pub image: String,
    /// Image as resolved.
    pub image_ref: String,
    /// State.
    pub state: ContainerState,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations; kubelet notes the pod's grace period there.
    pub annotations: BTreeMap<String, String>,
}

/// A container in detail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// State.
    pub state: ContainerState,
    /// Exit code; means something once exited.
    pub exit_code: i32,
    /// Word for the reason: `Completed`, `Error`, `OOMKilled`.
    pub reason: String,
    /// Sentence for the reason.
    pub message: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Where its log is.
    pub log_path: String,
    /// Its first process on the host.
    pub pid: Option<u32>,
    /// `linux.cgroupsPath` of its OCI specification: shows which cgroup driver was used to create it.
    pub cgroups_path: Option<String>,
    /// Images that are mounted in it: where, and which, by id, digest or name.
    pub image_mounts: Vec<(String, String)>,
}

/// A sandbox in detail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxStatus {
    /// It runs.
    pub ready: bool,
    /// Name of the pod.
    pub name: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// UID of the pod.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its first process on the host (the pause container).
    pub pid: Option<u32>,
    /// `linux.cgroupsPath` of its OCI specification.
    pub cgroups_path: Option<String>,
    /// Its addresses; empty in the host network.
    pub ips: Vec<String>,
    /// Runtime handler.
    pub runtime_handler: String,
}

/// An image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriImage {
    /// Id: digest of its configuration.
    pub id: String,
    /// Names with tags.
    pub tags: Vec<String>,
    /// Names with digests.
    pub digests: Vec<String>,
    /// Size in bytes.
    pub size: u64,
    /// Its user by number.
    pub uid: Option<i64>,
    /// Its user by name.
    pub username: String,
    /// Exempt from kubelet's garbage collection.
    pub pinned: bool,
}

/// The cgroup driver a runtime reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CriCgroupDriver {
    /// `systemd`
    Systemd,
    /// `cgroupfs`
    Cgroupfs,
}

/// A runtime behind its CRI socket. Errors carry a [`DaemonError`](super::DaemonError); its kind `Unimplemented`
/// means that a daemon answers which does not serve CRI: the CRI plugin is disabled or failed to load.
pub trait Cri: Debug {
    /// Path of the socket.
    fn socket(&self) -> &str;

    /// The version of the interface it serves.
    fn api(&self) -> anyhow::Result<CriApi>;

    /// Who answers.
    fn version(&self) -> anyhow::Result<CriVersion>;

    /// Whether it is ready; `verbose` fills `info`.
    fn status(&self, verbose: bool) -> anyhow::Result<CriStatus>;

    /// The cgroup driver kubelet 1.31 and later would take over; `None` where the runtime does not say.
    fn cgroup_driver(&self) -> anyhow::Result<Option<CriCgroupDriver>>;

    /// All pod sandboxes, running or not.
    fn sandboxes(&self) -> anyhow::Result<Vec<Sandbox>>;

    /// Stops a sandbox and everything in it. One that is gone is stopped.
    fn stop_sandbox(&self, id: &str) -> anyhow::Result<()>;

    /// Removes a sandbox. One that is gone is removed.
    fn remove_sandbox(&self, id: &str) -> anyhow::Result<()>;

    /// A sandbox in detail.
    fn sandbox_status_verbose(&self, id: &str) -> anyhow::Result<SandboxStatus>;

    /// All containers, running or not.
    fn containers(&self) -> anyhow::Result<Vec<Container>>;

    /// A container in detail.
    fn container_status_verbose(&self, id: &str) -> anyhow::Result<ContainerStatus>;

    /// Stops a container; killed after `grace`. One that is gone is stopped.
    fn stop_container(&self, id: &str, grace: Duration) -> anyhow::Result<()>;

    /// Stops many at the same time, each killed after its own grace.
    fn stop_containers(&self, ids: &[(String, Duration)]) -> anyhow::Result<()>;

    /// Removes a container. One that is gone is removed.
    fn remove_container(&self, id: &str) -> anyhow::Result<()>;

    /// All images.
    fn images(&self) -> anyhow::Result<Vec<CriImage>>;

    /// The image of this name, if it is there.
    fn image_status(&self, name: &str) -> anyhow::Result<Option<CriImage>>;

    /// Asks a registry for an image, with what the runtime itself knows of registries; the id it has then.
    fn pull(&self, name: &str, limit: Duration) -> anyhow::Result<String>;
}
