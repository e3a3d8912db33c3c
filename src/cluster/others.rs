//! The other nodes: whether they can take pods, and how the cluster's other control plane nodes are.

use super::is_cordoned;
use crate::{
    host::{Api, ApiError, Verb},
    model::OtherNodes,
};
use anyhow::Result;
use serde_json::{Value, json};

/// Nodes per page where any one of them will do.
const FEW: usize = 50;
/// Roles of control plane nodes; kubeadm gave both from 1.20 to 1.23, and only the second before.
const ROLES: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// True for a node with the role of a control plane.
pub fn is_control_plane(node: &Value) -> bool {
    let labels = node.pointer("/metadata/labels");
    ROLES.iter().any(|role| labels.is_some_and(|labels| labels.get(role).is_some()))
}

fn name(node: &Value) -> &str {
    node.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// True for a node or pod that the cluster sees Ready.
pub fn is_ready(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let is = |condition: &Value, key: &str, word: &str| condition.get(key).and_then(Value::as_str) == Some(word);
    conditions.into_iter().any(|condition| is(condition, "type", "Ready") && is(condition, "status", "True"))
}

/// Looks at the other nodes, as far as these credentials may: from Kubernetes 1.32 on a node's own see only itself.
///
/// # Errors
/// When the API server does not answer.
pub fn look(api: &dyn Api, me: &str, control_plane: bool, all: bool) -> Result<OtherNodes> {
    let mut others = OtherNodes { takes_pods: seen(takes_pods(api, me))?, ..OtherNodes::default() };
    if others.takes_pods.is_none() {
        return Ok(others);
    }
    if control_plane {
        others.control_planes_down = seen(down(api, me))?.unwrap_or_default();
    }
    if all {
        let nodes = seen(api.list("/api/v1/nodes"))?;
        others.on_docker = nodes.map(|nodes| {
            let runtime = "/status/nodeInfo/containerRuntimeVersion";
            let on_docker = |node: &Value| node.pointer(runtime)?.as_str().map(|text| text.starts_with("docker://"));
            let here = |node: &&Value| name(node) != me && on_docker(node) == Some(true);
            nodes.iter().filter(here).map(|node| name(node).to_owned()).collect()
        });
    }
    Ok(others)
}

/// What may not be seen is unknown, and no error.
fn seen<T>(asked: Result<T>) -> Result<Option<T>> {
    match asked {
        Err(error) if matches!(ApiError::in_chain(&error), Some(ApiError::Forbidden { .. })) => Ok(None),
        asked => asked.map(Some),
    }
}

/// True when another node is Ready and takes pods: page by page, since in a large cluster the first one has one.
fn takes_pods(api: &dyn Api, me: &str) -> Result<bool> {
    let mut from = String::new();
    loop {
        let page = api.get(&format!("/api/v1/nodes?limit={FEW}{from}"))?.unwrap_or_default();
        let mut nodes = page.get("items").and_then(Value::as_array).into_iter().flatten();
        if nodes.any(|node| name(node) != me && is_ready(node) && !is_cordoned(node)) {
            return Ok(true);
        }
        match page.pointer("/metadata/continue").and_then(Value::as_str).filter(|next| !next.is_empty()) {
            Some(next) => from = format!("&continue={next}"),
            None => return Ok(false),
        }
    }
}

/// Other control plane nodes that are not Ready.
fn down(api: &dyn Api, me: &str) -> Result<Vec<String>> {
    let mut down = Vec::new();
    for role in ROLES {
        for node in api.list(&format!("/api/v1/nodes?labelSelector={}", role.replace('/', "%2F")))? {
            if is_control_plane(&node) && name(&node) != me && !is_ready(&node) {
                down.push(name(&node).to_owned());
            }
        }
    }
    down.sort();
    down.dedup();
    Ok(down)
}

/// Asks whether these credentials may do something; `None` where a cluster keeps even that question from them.
///
/// # Errors
/// When the API server does not answer.
pub fn allowed(api: &dyn Api, attributes: &Value) -> Result<Option<bool>> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": attributes },
    });
    let asked = seen(api.request(Verb::Post, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Some(&review)))?;
    Ok(asked.flatten().and_then(|review| review.pointer("/status/allowed")?.as_bool()))
}
