//! What a control plane node keeps itself: etcd, as its static pod's manifest has it.

use serde::{Deserialize, Serialize};

/// What etcd says of itself at its metrics address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EtcdHealth {
    /// It can write: `/health` says so.
    pub healthy: bool,
    /// It belongs to a quorum.
    pub has_leader: bool,
    /// The revision of its store, which only grows. Absent in releases before 3.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// etcd on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EtcdFacts {
    /// Its pod's manifest.
    pub manifest: String,
    /// Where it keeps its data, inside its container.
    pub data_dir: String,
    /// The same on the host; absent where no volume of the host holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_dir: Option<String>,
    /// Where it tells its health without asking who we are, `http://127.0.0.1:2381`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// What it says there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<EtcdHealth>,
    /// Why it says nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unseen: String,
}
