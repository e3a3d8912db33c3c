//! The node in its cluster: what the API server says of it, and the few things castoff changes there.
//!
//! castoff speaks with kubelet's own credentials unless it is given others. Those may look at the node and its pods, change the
//! node's own object but for its taints, and evict pods of this node (Kubernetes, node authorizer and NodeRestriction).

mod drain;
pub mod kubelet_map;
mod look;
mod others;
mod workload;

pub use drain::{Drain, drain};
pub use look::{look, pods, pods_not_ready};
pub use workload::survey;

use crate::{
    formats::kubeconfig::Kubeconfig,
    host::{Api, Host, Verb},
};
use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};

/// A client for the API server that a kubeconfig on the node names.
///
/// # Errors
/// When the kubeconfig, or what it names, is missing or cannot be used.
pub fn open(host: &Host, kubeconfig: &str) -> Result<Box<dyn Api>> {
    let text = host.root.text(kubeconfig)?.with_context(|| format!("{kubeconfig} is not there"))?;
    let config = Kubeconfig::parse(&text, kubeconfig).map_err(|why| anyhow!("{kubeconfig} cannot be used: {why}"))?;
    let read = |path: &str| {
        let file = host.root.read(path)?.with_context(|| format!("{path} is not there"))?;
        Ok(file.bytes)
    };
    host.doors.api(&config, &read).with_context(|| format!("{kubeconfig} cannot be used"))
}

fn path(node: &str) -> String {
    format!("/api/v1/nodes/{node}")
}

/// The node's object.
///
/// # Errors
/// When the API server does not answer, does not let us, or has no such node.
pub fn node(api: &dyn Api, node: &str) -> Result<Value> {
    api.get(&path(node))?.with_context(|| format!("the cluster has no node {node}"))
}

/// True when the node takes no new pods.
pub fn is_cordoned(node: &Value) -> bool {
    node.pointer("/spec/unschedulable").and_then(Value::as_bool).unwrap_or_default()
}

/// Lets new pods come to the node, or not.
///
/// # Errors
/// As [`node`].
pub fn cordon(api: &dyn Api, node: &str, cordoned: bool) -> Result<()> {
    // `null` takes the field away, which is how it is where nobody ever cordoned.
    let value = if cordoned { json!(true) } else { Value::Null };
    let patch = json!({ "spec": { "unschedulable": value } });
    let changed = api.request(Verb::Patch, &path(node), Some(&patch))?;
    changed.map(drop).with_context(|| format!("the cluster has no node {node}"))
}

/// An annotation of the node.
pub fn annotation(node: &Value, key: &str) -> Option<String> {
    node.get("metadata")?.get("annotations")?.get(key)?.as_str().map(str::to_owned)
}

/// Sets an annotation of the node, or takes it away.
///
/// # Errors
/// As [`node`].
pub fn annotate(api: &dyn Api, node: &str, key: &str, value: Option<&str>) -> Result<()> {
    let patch = json!({ "metadata": { "annotations": { key: value } } });
    let changed = api.request(Verb::Patch, &path(node), Some(&patch))?;
    changed.map(drop).with_context(|| format!("the cluster has no node {node}"))
}

/// What keeps the cluster from seeing the node Ready on containerd, by news that are later than `since` (RFC 3339).
///
/// # Errors
/// As [`node`].
pub fn not_ready(api: &dyn Api, name: &str, since: jiff::Timestamp) -> Result<Option<String>> {
    let node = node(api, name)?;
    let runtime = node.pointer("/status/nodeInfo/containerRuntimeVersion").and_then(Value::as_str).unwrap_or_default();
    if !runtime.starts_with("containerd://") {
        return Ok(Some(format!("the cluster still has {runtime} for node {name}")));
    }
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some("Ready"));
    let ready = ready.cloned().unwrap_or_default();
    let text = |key: &str| ready.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text("status") != "True" {
        return Ok(Some(format!("node {name} is not Ready: {}", text("message"))));
    }
    // Without a change kubelet writes the object every five minutes only, and renews its lease every ten seconds.
    let lease = api.get(&format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}"));
    let renewed = lease.ok().flatten().and_then(|lease| Some(lease.pointer("/spec/renewTime")?.as_str()?.to_owned()));
    let news = [Some(text("lastHeartbeatTime")), renewed];
    let newest = news.into_iter().flatten().filter_map(|time| time.parse::<jiff::Timestamp>().ok()).max();
    // The API writes whole seconds.
    if newest.is_some_and(|newest| newest.as_second() >= since.as_second()) {
        return Ok(None);
    }
    Ok(Some(format!("no news of node {name} since kubelet started")))
}

#[cfg(test)]
mod tests;
