//! What a runtime shows of itself: what people ask `crictl` for.

use serde::{Deserialize, Serialize};

/// A runtime as CRI shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RuntimeView {
    /// Where it was asked.
    pub endpoint: String,
    /// `containerd 1.7.24`.
    pub runtime: String,
    /// Version of CRI.
    pub api: String,
    /// `RuntimeReady: true`, with the reason of one that is not.
    pub conditions: Vec<String>,
    /// Handlers it has loaded.
    pub handlers: Vec<HandlerView>,
    /// The sandbox image it wants, where it says so.
    pub sandbox_image: Option<String>,
    /// Pods.
    pub pods: Vec<PodView>,
    /// Containers.
    pub containers: Vec<ContainerView>,
    /// Images.
    pub images: Vec<ImageView>,
}

/// A handler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HandlerView {
    /// Name.
    pub name: String,
    /// Shim.
    pub runtime_type: String,
    /// Program; empty for runc.
    pub program: String,
    /// Cgroup driver, where it says.
    pub cgroup_driver: Option<String>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PodView {
    /// Id.
    pub id: String,
    /// Namespace and name.
    pub name: String,
    /// It runs.
    pub ready: bool,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ContainerView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Id of its pod.
    pub pod: String,
    /// Image.
    pub image: String,
    /// State.
    pub state: String,
}

/// An image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageView {
    /// Id.
    pub id: String,
    /// Names.
    pub names: Vec<String>,
    /// Bytes.
    pub size: u64,
    /// Kept by kubelet's garbage collection.
    pub pinned: bool,
}
