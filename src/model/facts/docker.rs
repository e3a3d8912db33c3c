//! Docker as facts.

use crate::model::{CgroupDriver, Origin, Secret, Sourced};
use serde::{Deserialize, Serialize};

/// One effective setting of dockerd: a key stands once, whatever number of places added to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DockerSetting {
    /// Key as `daemon.json` spells it, also for flags and environment variables.
    pub key: String,
    /// Its value in the shape `daemon.json` has (lists as lists, switches as booleans), secrets masked.
    pub value: serde_json::Value,
    /// The same with its secrets, for the files a plan writes. Never serialised, so absent in facts read from JSON.
    #[serde(skip)]
    pub raw: Secret<serde_json::Value>,
    /// Where it is set; for a list the place of its first item.
    pub origin: Origin,
}

/// A container of Docker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerContainer {
    /// Docker's id.
    pub id: String,
    /// First name without the slash.
    pub name: String,
    /// Image reference as given.
    pub image: String,
    /// Image id, `sha256:…`.
    pub image_id: String,
    /// `running`, `exited`, …
    pub state: String,
    /// Folders and files of the host it mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<String>,
    /// The compose project that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<String>,
    /// True when the kubelet made it.
    pub kubernetes: bool,
    /// True for a pod's sandbox (pause) container.
    pub sandbox: bool,
    /// Pod name, from the kubelet's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Pod namespace, from the kubelet's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Container name inside the pod, from the kubelet's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// An image of Docker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerImage {
    /// Image id, `sha256:…`.
    pub id: String,
    /// Tags; empty for dangling images.
    pub tags: Vec<String>,
    /// Bytes on disk, shared layers counted.
    pub size: u64,
}

/// Docker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerFacts {
    /// True when dockerd or its unit is there.
    pub installed: bool,
    /// True when docker.service is active.
    pub running: bool,
    /// dockerd's version.
    pub version: Option<Sourced<String>>,
    /// The effective cgroup driver.
    pub cgroup_driver: Option<Sourced<CgroupDriver>>,
    /// Where images and containers are kept.
    pub data_root: Option<Sourced<String>>,
    /// `overlay2`, …
    pub storage_driver: Option<Sourced<String>>,
    /// True when containers survive dockerd's stop.
    pub live_restore: Option<Sourced<bool>>,
    /// True when dockerd starts a containerd of its own instead of using the system's.
    pub managed_containerd: Option<Sourced<bool>>,
    /// Effective settings, in the order found.
    pub settings: Vec<DockerSetting>,
    /// All containers, running or not.
    pub containers: Vec<DockerContainer>,
    /// All images.
    pub images: Vec<DockerImage>,
}

impl DockerFacts {
    /// The effective setting of that key.
    pub fn setting(&self, key: &str) -> Option<&DockerSetting> {
        self.settings.iter().find(|setting| setting.key == key)
    }
}
