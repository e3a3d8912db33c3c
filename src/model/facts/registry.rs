//! How registries are reached, as facts: containerd's settings for them, and Docker's certificates.

use crate::model::Sourced;
use serde::{Deserialize, Serialize};

/// Registries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryFacts {
    /// `registry.config_path` of containerd as written; several directories are joined by colons.
    pub config_path: Option<Sourced<String>>,
    /// containerd's old table `mirrors`.
    pub mirrors: Vec<RegistryMirror>,
    /// containerd's old table `configs`.
    pub configs: Vec<RegistryConfig>,
    /// Endpoints of containerd's old table `auths`.
    pub auths: Vec<Sourced<String>>,
    /// Names of containerd's additional request headers.
    pub headers: Vec<Sourced<String>>,
    /// Directories of registries below those that `config_path` names and below `/etc/containerd/certs.d`; below
    /// `/etc/docker/certs.d` too where containerd has it in its default.
    pub hosts: Vec<RegistryDir>,
    /// Directories of registries below `/etc/docker/certs.d`.
    pub docker_certs: Vec<RegistryDir>,
    /// True when `use_local_image_pull` has images pulled the way from before containerd 2.1.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub local_pull: bool,
}

/// One registry of `mirrors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RegistryMirror {
    /// The registry; `*` for all that have no entry.
    pub host: Sourced<String>,
    /// Its endpoints, without credentials.
    pub endpoints: Vec<String>,
}

/// One host of `configs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RegistryConfig {
    /// The host of an endpoint, with its port if it has one.
    pub host: Sourced<String>,
    /// Its TLS settings.
    pub tls: Option<RegistryTls>,
    /// True when it has credentials.
    pub auth: bool,
}

/// TLS settings of a host of `configs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryTls {
    /// Certificate authority.
    pub ca: Option<String>,
    /// Client certificate.
    pub cert: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// Whether any certificate of the host will do.
    pub skip_verify: bool,
}

/// A directory with what belongs to one registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryDir {
    /// The directory it lies in.
    pub root: String,
    /// The directory itself.
    pub path: String,
    /// The registry, with its port if it has one.
    pub host: String,
    /// True when it holds a `hosts.toml`.
    pub hosts_toml: bool,
    /// Why containerd ignores that file.
    pub fault: Option<String>,
    /// Paths of certificate authorities, `*.crt`.
    pub ca: Vec<String>,
    /// Paths of client certificates and their keys, `*.cert` and `*.key`.
    pub client: Vec<(String, String)>,
    /// Paths of certificates without their key, and keys without their certificate.
    pub unpaired: Vec<String>,
}

impl RegistryFacts {
    /// The directories that `config_path` names.
    pub fn roots(&self) -> Vec<&str> {
        let list = self.config_path.as_ref().map_or("", |path| path.value.as_str());
        list.split(':').map(|dir| dir.trim_end_matches('/')).filter(|dir| !dir.is_empty()).collect()
    }

    /// True when nothing says how registries are reached: containerd 2.2 and later then go by a list of their own,
    /// `/etc/containerd/certs.d:/etc/docker/certs.d`.
    pub fn is_silent(&self) -> bool {
        self.config_path.is_none() && self.mirrors.is_empty() && self.configs.is_empty() && self.auths.is_empty()
    }

    /// True when that list would have something in it, as far as that is seen, and is not read: with `configs`, `auths` or
    /// `use_local_image_pull` images are pulled the older way, which reads lists.
    pub fn is_left_to_default(&self) -> bool {
        self.is_silent() && !self.local_pull && self.hosts.iter().any(RegistryDir::says_something)
    }
}

impl RegistryDir {
    /// True when containerd would find something in it.
    pub fn says_something(&self) -> bool {
        (self.hosts_toml && self.fault.is_none()) || !self.ca.is_empty() || !self.client.is_empty()
    }
}
