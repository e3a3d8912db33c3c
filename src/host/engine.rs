//! The Docker daemon through its HTTP API. Only what a migration needs: who it is, what runs, what images it has, and
//! stopping and exporting them.

mod client;
mod fake;
mod http;

pub use client::DockerEngine;
pub use fake::{Daemon, FakeEngine};

use anyhow::Context;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug, io::Write, time::Duration};

/// Version of a daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineVersion {
    /// `20.10.24`
    #[serde(rename = "Version", deserialize_with = "or_default")]
    pub version: String,
    /// `1.41`
    #[serde(rename = "ApiVersion", deserialize_with = "or_default")]
    pub api_version: String,
    /// The oldest API it still serves.
    #[serde(rename = "MinAPIVersion", deserialize_with = "or_default")]
    pub min_api_version: String,
    /// `linux`
    #[serde(rename = "Os", deserialize_with = "or_default")]
    pub os: String,
    /// `amd64`
    #[serde(rename = "Arch", deserialize_with = "or_default")]
    pub arch: String,
    /// What its makers call it: `Docker Engine - Community`, `Mirantis Container Runtime`.
    #[serde(rename = "Platform", deserialize_with = "platform")]
    pub platform: String,
    /// Versions of its parts: `Engine`, `containerd`, `runc`, …
    #[serde(rename = "Components", deserialize_with = "components")]
    pub components: BTreeMap<String, String>,
}

/// A container as the list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineContainer {
    /// Full id.
    #[serde(rename = "Id")]
    pub id: String,
    /// Names without the leading slash.
    #[serde(rename = "Names", deserialize_with = "names")]
    pub names: Vec<String>,
    /// Image as asked for.
    #[serde(rename = "Image", deserialize_with = "or_default")]
    pub image: String,
    /// Image id.
    #[serde(rename = "ImageID", deserialize_with = "or_default")]
    pub image_id: String,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    #[serde(rename = "State", deserialize_with = "or_default")]
    pub state: String,
    /// Labels. Those of dockershim and cri-dockerd begin with `io.kubernetes.`.
    #[serde(rename = "Labels", deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// What is mounted into it.
    #[serde(rename = "Mounts", deserialize_with = "or_default")]
    pub mounts: Vec<EngineMount>,
}

/// Something mounted into a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineMount {
    /// `bind`, `volume`, `tmpfs`.
    #[serde(rename = "Type", deserialize_with = "or_default")]
    pub kind: String,
    /// The host's path.
    #[serde(rename = "Source", deserialize_with = "or_default")]
    pub source: String,
}

impl EngineContainer {
    /// True when kubelet made it, through dockershim or cri-dockerd.
    pub fn is_kubernetes(&self) -> bool {
        self.labels.contains_key("io.kubernetes.pod.uid") || self.names.iter().any(|name| name.starts_with("k8s_"))
    }

    /// True when it has processes.
    pub fn is_alive(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused" | "restarting")
    }
}

/// An image as the list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineImage {
    /// Full id.
    #[serde(rename = "Id")]
    pub id: String,
    /// Names with tags; none for a dangling image.
    #[serde(rename = "RepoTags", deserialize_with = "real_names")]
    pub repo_tags: Vec<String>,
    /// Names with digests.
    #[serde(rename = "RepoDigests", deserialize_with = "real_names")]
    pub repo_digests: Vec<String>,
    /// Size in bytes; layers that images share are counted in each.
    #[serde(rename = "Size", deserialize_with = "size")]
    pub size: u64,
}

/// The Docker daemon. Errors carry a [`DaemonError`](super::DaemonError).
///
/// Connecting to the socket starts a stopped daemon when `docker.socket` listens on it. Whoever must not wake it
/// looks at that unit first; nothing here does.
pub trait Engine: Debug {
    /// Path of the socket.
    fn socket(&self) -> &str;

    /// Whether it answers.
    fn ping(&self) -> anyhow::Result<()>;

    /// Its version.
    fn version(&self) -> anyhow::Result<EngineVersion>;

    /// `GET /info`. Credentials in proxy addresses are masked by the daemon: never write them anywhere.
    fn info(&self) -> anyhow::Result<Value>;

    /// Containers; with `all` also those that do not run.
    fn containers(&self, all: bool) -> anyhow::Result<Vec<EngineContainer>>;

    /// Everything about a container.
    fn inspect(&self, id: &str) -> anyhow::Result<Value>;

    /// All images.
    fn images(&self) -> anyhow::Result<Vec<EngineImage>>;

    /// Stops a container; killed after `grace`. One that is stopped or gone is fine.
    fn stop(&self, id: &str, grace: Duration) -> anyhow::Result<()>;

    /// Stops many at the same time. One result for each, in the order given.
    fn stop_all(&self, ids: &[(String, Duration)]) -> Vec<(String, anyhow::Result<()>)>;

    /// Starts a container. One that runs is fine.
    fn start(&self, id: &str) -> anyhow::Result<()>;

    /// Streams the images of these names into `sink` as one `docker save` archive and returns its length. Fails when
    /// the archive is not complete, so never trust the sink before this returned. `sink` must not call a client of a
    /// daemon.
    fn save(&self, names: &[String], sink: &mut dyn Write) -> anyhow::Result<u64>;
}

/// First process of a container on the host, out of what [`Engine::inspect`] says; `None` when it does not run.
pub fn container_pid(inspect: &Value) -> Option<u32> {
    inspect.pointer("/State/Pid")?.as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0)
}

/// Reads the body of `GET /version`.
pub fn parse_version(body: &[u8]) -> anyhow::Result<EngineVersion> {
    parse(body, "version")
}

/// Reads the body of `GET /containers/json`.
pub fn parse_containers(body: &[u8]) -> anyhow::Result<Vec<EngineContainer>> {
    parse(body, "list of containers")
}

/// Reads the body of `GET /images/json`.
pub fn parse_images(body: &[u8]) -> anyhow::Result<Vec<EngineImage>> {
    parse(body, "list of images")
}

fn parse<T: DeserializeOwned + Default>(body: &[u8], what: &str) -> anyhow::Result<T> {
    // Go writes an empty list as `null`.
    let parsed: Option<T> = serde_json::from_slice(body).with_context(|| format!("failed to read Docker's {what}"))?;
    Ok(parsed.unwrap_or_default())
}

/// Go writes empty lists and maps as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = or_default(from)?;
    Ok(names.into_iter().map(|name| name.strip_prefix('/').map_or(name.clone(), str::to_owned)).collect())
}

/// Dangling images are listed as `<none>:<none>` by older daemons.
fn real_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = or_default(from)?;
    Ok(names.into_iter().filter(|name| !name.contains("<none>")).collect())
}

/// -1 stands for unknown in some lists.
fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let size: i64 = or_default(from)?;
    Ok(u64::try_from(size).unwrap_or(0))
}

fn platform<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    // Read back from our own output it is a text already.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Named(BTreeMap<String, Value>),
    }
    Ok(match Option::deserialize(from)? {
        Some(Either::Text(text)) => text,
        Some(Either::Named(fields)) => fields.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        None => String::new(),
    })
}

fn components<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Default, Deserialize, Serialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Component {
        name: String,
        version: String,
    }
    // Read back from our own output it is a map already.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<Component>),
        Map(BTreeMap<String, String>),
    }
    Ok(match Option::deserialize(from)? {
        Some(Either::List(list)) => list.into_iter().map(|part| (part.name, part.version)).collect(),
        Some(Either::Map(map)) => map,
        None => BTreeMap::new(),
    })
}

#[cfg(test)]
#[path = "engine/tests.rs"]
mod tests;
