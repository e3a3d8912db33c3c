//! What the cluster says of the node and its pods.

use super::{
    annotation, is_cordoned, kubelet_map, node, open,
    others::{self, allowed},
};
use crate::{
    formats::package_db::version_pair,
    host::{Api, Host},
    model::{CRI_SOCKET, ClusterConfig, ClusterOptions, Facts, MemberFacts, MemberPod, Membership, PodKind},
};
use anyhow::Result;
use serde_json::{Value, json};

/// Asks the cluster about a running node. Never fails: a cluster that does not answer is a fact too.
pub fn look(host: &Host, facts: &Facts, options: &ClusterOptions) -> Membership {
    if !host.is_live() {
        return Membership::Unasked;
    }
    let own = facts.kubelet.flag("kubeconfig").map(|flag| flag.value.clone());
    // Without the flag kubelet speaks to no API server, whatever files are there.
    let (Some(_), Some(path)) = (&own, options.kubeconfig.clone().or_else(|| own.clone())) else {
        return Membership::Standalone;
    };
    match open(host, &path).and_then(|api| member(&*api, &path, facts, options)) {
        Ok(member) => Membership::Member(Box::new(member)),
        Err(error) => Membership::Away { kubeconfig: path, why: format!("{error:#}") },
    }
}

fn member(api: &dyn Api, kubeconfig: &str, facts: &Facts, options: &ClusterOptions) -> Result<MemberFacts> {
    let name = &facts.node_name();
    let object = node(api, name)?;
    let control_plane = others::is_control_plane(&object);
    let version = facts.kubelet.version.as_ref().and_then(|version| version_pair(&version.value));
    let changes_map = options.config == ClusterConfig::Apply;
    let kubelet_map = match version {
        Some(version) if options.config != ClusterConfig::Skip => kubelet_map::look(api, version, changes_map)?,
        _ => None,
    };
    let runtime = object.pointer("/status/nodeInfo/containerRuntimeVersion").and_then(Value::as_str);
    Ok(MemberFacts {
        server: api.server().to_owned(),
        kubeconfig: kubeconfig.to_owned(),
        node: name.to_owned(),
        unschedulable: is_cordoned(&object),
        ready: others::is_ready(&object),
        runtime: runtime.unwrap_or_default().to_owned(),
        cri_socket: annotation(&object, CRI_SOCKET),
        control_plane,
        others: others::look(api, name, control_plane, changes_map)?,
        kubelet_map,
        pods: pods(api, name)?,
        denied: denied(api, name)?,
    })
}

/// The pods that the cluster has on a node, by name.
///
/// # Errors
/// When the API server does not answer or does not let us.
pub fn pods(api: &dyn Api, node: &str) -> Result<Vec<MemberPod>> {
    let mut pods: Vec<MemberPod> = listed(api, node)?.iter().map(pod).collect();
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(pods)
}

fn listed(api: &dyn Api, node: &str) -> Result<Vec<Value>> {
    let mut all = api.list(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"))?;
    all.retain(|pod| pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node));
    Ok(all)
}

/// Kind and name of what made a pod and would make another one.
pub(super) fn controller(pod: &Value) -> Option<(String, String)> {
    let mut owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array)?.iter();
    let owner = owners.find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    Some((owner.get("kind")?.as_str()?.to_owned(), owner.get("name")?.as_str()?.to_owned()))
}

/// What a drain does with a pod.
pub(super) fn kind(pod: &Value) -> PodKind {
    let mirror = pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    match (controller(pod), phase) {
        _ if mirror => PodKind::Static,
        (Some((kind, _)), _) if kind == "DaemonSet" => PodKind::DaemonSet,
        (_, "Succeeded" | "Failed") => PodKind::Finished,
        (Some(_), _) => PodKind::Controlled,
        (None, _) => PodKind::Bare,
    }
}

fn pod(pod: &Value) -> MemberPod {
    let text = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (controller, kind) = (controller(pod), kind(pod));
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let policy = text("/spec/restartPolicy");
    MemberPod {
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        uid: text("/metadata/uid"),
        kind,
        owner: controller.map(|(kind, name)| format!("{kind}/{name}")).unwrap_or_default(),
        local_data: volumes.into_iter().any(|volume| volume.get("emptyDir").is_some()),
        going: pod.pointer("/metadata/deletionTimestamp").is_some(),
        ends: !matches!(policy.as_str(), "" | "Always"),
        ready: others::is_ready(pod),
    }
}

/// What keeps these pods (`namespace/name`) from being Ready on containerd; `None` when nothing does. Those that are gone or on
/// their way, or have run to their end, are not missed.
///
/// # Errors
/// [`crate::host::ApiError`].
pub fn pods_not_ready(api: &dyn Api, node: &str, wanted: &[String]) -> Result<Option<String>> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let missing = |object: &Value| {
        let found = pod(object);
        let counts = wanted.contains(&found.full_name()) && !found.going && found.kind != PodKind::Finished;
        (counts && !(found.ready && is_of_now(object))).then(|| found.full_name())
    };
    let names: Vec<String> = listed(api, node)?.iter().filter_map(missing).collect();
    Ok((!names.is_empty()).then(|| format!("not Ready, as they were before: {}", names.join(", "))))
}

/// False while the cluster still has what kubelet told of the pod's containers on Docker.
fn is_of_now(pod: &Value) -> bool {
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten();
    !statuses
        .into_iter()
        .any(|status| status.get("containerID").and_then(Value::as_str).is_some_and(|id| id.starts_with("docker://")))
}

/// What a drain needs and we may not do. Asked for each by itself, as `kubectl auth can-i` does.
fn denied(api: &dyn Api, node: &str) -> Result<Vec<String>> {
    const NEEDED: [(&str, &str, &str); 2] = [("patch", "nodes", ""), ("create", "pods", "eviction")];
    let mut denied = Vec::new();
    for (verb, resource, sub) in NEEDED {
        let name = if resource == "nodes" { node } else { "" };
        let attributes = json!({ "verb": verb, "resource": resource, "subresource": sub, "name": name });
        // Where nobody says, doing it tells.
        if allowed(api, &attributes)? == Some(false) {
            let of = if sub.is_empty() { resource.to_owned() } else { format!("{resource}/{sub}") };
            denied.push(format!("{verb} {of}"));
        }
    }
    Ok(denied)
}
