//! Docker as facts.

use crate::model::{CgroupDriver, Origin, Secret, Sourced};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One effective setting of dockerd: a key stands once, whatever number of places added to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DockerImage {
    /// Image id, `sha256:…`.
    pub id: String,
    /// Tags; empty for dangling images.
    pub tags: Vec<String>,
    /// Bytes on disk, shared layers counted.
    pub size: u64,
}

/// What is wrong with one key of dockerd's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// It stands both in the command line and in the file: dockerd refuses to start.
    Conflict,
    /// This release does not know it: dockerd refuses to start.
    Unknown,
    /// dockerd takes it and ignores it.
    Ignored,
}

/// One key of dockerd's configuration that something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DockerProblem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The key.
    pub key: String,
    /// Where it stands.
    pub at: Vec<Origin>,
}

/// A setting that dockerd runs with other than its files have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DockerDrift {
    /// The key.
    pub key: String,
    /// What the files say.
    pub configured: Sourced<String>,
    /// What dockerd says.
    pub live: Sourced<String>,
}

/// A file with credentials of registries. Never the credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CredentialFile {
    /// The file.
    pub path: String,
    /// Registries it has credentials for.
    pub registries: Vec<String>,
    /// `credsStore`: a program that keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// `credHelpers`: programs by registry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub helpers: BTreeMap<String, String>,
    /// True when kubelet looks there.
    pub kubelet_reads: bool,
    /// The file as an origin.
    pub origin: Origin,
}

/// Docker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DockerFacts {
    /// True when dockerd or its unit is there.
    pub installed: bool,
    /// True when docker.service is active.
    pub running: bool,
    /// dockerd's version.
    pub version: Option<Sourced<String>>,
    /// What it is: `Docker Engine` or `Mirantis Container Runtime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Sourced<String>>,
    /// `--config-file`, where it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file: Option<Sourced<String>>,
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
    /// The containerd it is told to use, or says it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containerd_address: Option<Sourced<String>>,
    /// True when images are in containerd's own store; unknown where only dockerd could tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_store: Option<Sourced<bool>>,
    /// The user that root in containers is mapped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userns_remap: Option<Sourced<String>>,
    /// Where data lies under that mapping: `ROOT/UID.GID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remapped_root: Option<Sourced<String>>,
    /// Its part in a swarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Sourced<String>>,
    /// Keys that something is wrong with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<DockerProblem>,
    /// Settings that changed after dockerd started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DockerDrift>,
    /// Files with credentials of registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialFile>,
    /// Effective settings, in the order found.
    pub settings: Vec<DockerSetting>,
    /// All containers, running or not.
    pub containers: Vec<DockerContainer>,
    /// All images.
    pub images: Vec<DockerImage>,
}

impl DockerFacts {
    /// The data root, where its layers are directories that containerd could use as they are: driver overlay2, owners as
    /// in the images, and no image store of containerd's.
    pub fn layer_root(&self) -> Option<&str> {
        let is_overlay2 = self.storage_driver.as_ref().is_some_and(|driver| driver.value == "overlay2");
        let in_containerd = self.image_store.as_ref().is_some_and(|store| store.value);
        let root = self.data_root.as_ref().map_or("/var/lib/docker", |root| root.value.as_str());
        (is_overlay2 && !in_containerd && self.userns_remap.is_none()).then_some(root)
    }

    /// The file dockerd reads its settings from.
    pub fn config_path(&self) -> &str {
        self.config_file.as_ref().map_or(crate::model::DAEMON_JSON, |path| path.value.as_str())
    }

    /// The effective setting of that key.
    pub fn setting(&self, key: &str) -> Option<&DockerSetting> {
        self.settings.iter().find(|setting| setting.key == key)
    }
}
