//! What containers and pulls got from around Docker rather than from its settings: units, kernel, the cluster's addresses.

use crate::model::{Secret, Sourced};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A service, as far as others inherit from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServiceFacts {
    /// Settings of `[Service]` that matter here (`LimitNOFILE`, `Delegate`, `KillMode`, …), as written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Sourced<String>>,
    /// Its environment. Never serialised: proxies hold passwords.
    #[serde(skip)]
    pub environment: BTreeMap<String, Sourced<Secret<String>>>,
}

/// One switch of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KernelSwitch {
    /// What it is now: a sysctl's value, `loaded` or `absent` for a module. Unknown in a file tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// What a file makes of it at boot; for a module the file that loads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persisted: Option<Sourced<String>>,
}

/// Addresses that traffic of pods and of CNI plugins stays within.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    /// Ranges and hosts: pods and services as far as a file here names them, and the API server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Sourced<String>>,
    /// Addresses of the cluster's DNS service: inside the services' range, which is not itself known on most nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Sourced<String>>,
    /// The cluster's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Sourced<String>>,
}

/// Everything around Docker that its containers lived on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Surroundings {
    /// docker.service, containerd.service and cri-dockerd's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, ServiceFacts>,
    /// Sysctls that only Docker set at runtime.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, KernelSwitch>,
    /// Modules that only Docker loaded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, KernelSwitch>,
    /// The cluster's addresses.
    pub cluster: ClusterFacts,
    /// The sandbox image cri-dockerd was told to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cri_dockerd_pause: Option<Sourced<String>>,
    /// Paths that settings name, and whether something is there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, bool>,
    /// True when containerd's root holds content or sandboxes already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containerd_holds_data: Option<Sourced<bool>>,
}

impl Surroundings {
    /// A setting of a service.
    pub fn service_setting(&self, unit: &str, key: &str) -> Option<&Sourced<String>> {
        self.services.get(unit)?.settings.get(key)
    }
}
