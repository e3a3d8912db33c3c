//! containerd as facts.

use crate::model::{Origin, Sourced};
use serde::{Deserialize, Serialize};

/// containerd.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ContainerdFacts {
    /// True when containerd or its unit is there.
    pub installed: bool,
    /// True when containerd.service is active.
    pub running: bool,
    /// containerd's version.
    pub version: Option<Sourced<String>>,
    /// Its command line, as its unit says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Sourced<Vec<String>>>,
    /// The configuration file it reads.
    pub config_path: Option<Sourced<String>>,
    /// Schema of that file: 1 when no version is written.
    pub config_version: Option<Sourced<u32>>,
    /// False when a `disabled_plugins` entry switches CRI off.
    pub cri_enabled: Option<Sourced<bool>>,
    /// True when the default runtime handler uses systemd's cgroup driver.
    pub systemd_cgroup: Option<Sourced<bool>>,
    /// Persistent data.
    pub root: Option<Sourced<String>>,
    /// gRPC endpoint, `unix://…`.
    pub endpoint: Option<Sourced<String>>,
    /// Sandbox (pause) image.
    pub sandbox_image: Option<Sourced<String>>,
    /// Where CNI plugin binaries are looked up.
    pub cni_bin_dir: Option<Sourced<String>>,
    /// Where CNI configuration is looked up.
    pub cni_conf_dir: Option<Sourced<String>>,
    /// Every runtime handler, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handlers: Vec<HandlerFacts>,
    /// The handler of pods without a RuntimeClass, where a file names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_runtime: Option<Sourced<String>>,
    /// The default snapshotter, where a file names it, even if this release reads that only once the file is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshotter: Option<Sourced<String>>,
    /// Where the snapshotter `overlayfs` keeps layers, when a file names another place than containerd's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlayfs_root: Option<Sourced<String>>,
    /// Sockets and task state, where a file names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Sourced<String>>,
    /// `registry.config_path`, where it is not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_config_path: Option<Sourced<String>>,
    /// `disabled_plugins` of all files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disabled_plugins: Vec<Sourced<String>>,
    /// `required_plugins` of all files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_plugins: Vec<Sourced<String>>,
    /// The configuration files in the order in which they are joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_files: Vec<String>,
    /// Files named in `imports`, as written.
    pub imports: Vec<Sourced<String>>,
    /// True when the CRI service answered on the endpoint.
    pub cri_answers: Option<Sourced<bool>>,
}

/// One runtime handler of the CRI plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HandlerFacts {
    /// Its name, as RuntimeClass objects use it.
    pub name: String,
    /// Where it is named.
    pub origin: Origin,
    /// The shim.
    pub runtime_type: Option<Sourced<String>>,
    /// The OCI runtime's program.
    pub binary_name: Option<Sourced<String>>,
    /// Whether it uses systemd's cgroup driver.
    pub systemd_cgroup: Option<Sourced<bool>>,
    /// The snapshotter of its containers, where a file names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshotter: Option<Sourced<String>>,
}

impl HandlerFacts {
    fn other_snapshotter(&self) -> Option<&str> {
        self.snapshotter.as_ref().and_then(other)
    }
}

/// A snapshotter whose layers are not like Docker's.
fn other(name: &Sourced<String>) -> Option<&str> {
    Some(name.value.as_str()).filter(|name| !matches!(*name, "" | "overlayfs"))
}

impl ContainerdFacts {
    /// The snapshotter by which CRI makes containers, where that is not `overlayfs` below containerd's root: of layers that
    /// were put there it would know nothing.
    pub fn other_snapshotter(&self) -> Option<String> {
        let own = self.handlers.iter().find(|handler| handler.name == self.default_handler());
        let own = own.and_then(HandlerFacts::other_snapshotter);
        let name = own.or_else(|| self.snapshotter.as_ref().and_then(other)).map(|name| format!("`{name}`"));
        name.or_else(|| self.overlayfs_root.as_ref().map(|root| format!("`overlayfs` in {}", root.value)))
    }

    /// Handlers, apart from the default one, whose containers are made by another snapshotter.
    pub fn handlers_of_other_snapshotters(&self) -> impl Iterator<Item = &HandlerFacts> {
        let default = self.default_handler();
        self.handlers.iter().filter(move |handler| handler.name != default && handler.other_snapshotter().is_some())
    }

    fn default_handler(&self) -> &str {
        self.default_runtime.as_ref().map_or("runc", |name| name.value.as_str())
    }
}
