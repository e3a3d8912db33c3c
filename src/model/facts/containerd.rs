//! containerd as facts.

use crate::model::Sourced;
use serde::{Deserialize, Serialize};

/// containerd.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Files named in `imports`, as written.
    pub imports: Vec<Sourced<String>>,
    /// True when the CRI service answered on the endpoint.
    pub cri_answers: Option<Sourced<bool>>,
}
