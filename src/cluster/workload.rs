//! What of the whole cluster's workload will not like the move: asked once, before the first node.

use super::look::controller;
use crate::{
    formats::host_paths::reach,
    host::Api,
    model::{Finding, Origin, PodKind, Severity, Tie},
};
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Docker's data root where nothing says otherwise; another one is a node's own affair.
const DATA_ROOT: &str = "/var/lib/docker";
/// Nodes named before the rest is only counted.
const NODES: usize = 6;

/// What of a pod will not like the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    /// It reaches something of Docker's.
    Of(Tie),
    /// It names an image by digest.
    Digest,
    /// It runs a Docker of its own.
    Inner,
    /// Nothing makes it again.
    Bare,
    /// It keeps data in an emptyDir.
    LocalData,
}

/// One workload: all pods of one controller.
#[derive(Debug, Default)]
struct Workload {
    signs: BTreeSet<Sign>,
    nodes: BTreeSet<String>,
    pods: usize,
}

/// Looks through every pod of the cluster; gives how many there were and what was found, workload by workload.
///
/// # Errors
/// When the API server does not answer, or does not let us see all pods.
pub fn survey(api: &dyn Api) -> Result<(usize, Vec<Finding>)> {
    let pods = api.list("/api/v1/pods")?;
    let mut workloads: BTreeMap<String, Workload> = BTreeMap::new();
    for pod in &pods {
        let finished = matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"));
        let signs = signs(pod);
        if finished || signs.is_empty() {
            continue;
        }
        let workload = workloads.entry(owner(pod)).or_default();
        workload.signs.extend(signs);
        workload.pods += 1;
        workload.nodes.extend(pod.pointer("/spec/nodeName").and_then(Value::as_str).map(str::to_owned));
    }
    let server = api.server();
    let of = |id: &str, severity, summary: &str, fix: &str, wanted: &dyn Fn(Sign) -> bool| -> Option<Finding> {
        let mut finding = Finding::new(id, severity, summary).fix(fix);
        let mut lines = Vec::new();
        for (name, workload) in workloads.iter().filter(|(_, workload)| workload.signs.iter().any(|sign| wanted(*sign)))
        {
            lines.push(format!("{name} ({})", places(workload)));
            finding = finding.at(Origin::daemon(server, name.clone()));
        }
        (!lines.is_empty()).then(|| finding.cause(lines.join("\n")))
    };
    let found = [
        of(
            "pods-mount-docker-socket",
            Severity::Block,
            "pods mount Docker's socket",
            "change or remove these workloads before their nodes move",
            &|sign| sign == Sign::Of(Tie::Socket),
        ),
        of(
            "log-agents-read-docker",
            Severity::Warn,
            "log agents read the files of Docker's containers",
            "have them read /var/log/pods (or /var/log/containers) and parse CRI lines",
            &|sign| matches!(sign, Sign::Of(Tie::Logs | Tie::Data)),
        ),
        of(
            "pods-mount-socket-folder",
            Severity::Note,
            "pods mount a folder that holds Docker's socket",
            "see that they do not look for docker.sock",
            &|sign| sign == Sign::Of(Tie::Folder),
        ),
        of(
            "workload-pins-digests",
            Severity::Note,
            "pods name images by digest, which must hold after the move",
            "have their registry at hand when the nodes move, or carry with `--online`",
            &|sign| sign == Sign::Digest,
        ),
        of(
            "workload-runs-docker",
            Severity::Note,
            "pods run a Docker of their own",
            "it is not moved; try one on a node that is: its storage and network lie on containerd's then",
            &|sign| sign == Sign::Inner,
        ),
        of(
            "workload-bare-pods",
            Severity::Note,
            "pods that nothing makes again: a drain is refused where they are",
            "have a controller make them, or drain with `--drain-force`",
            &|sign| sign == Sign::Bare,
        ),
        of(
            "workload-local-data",
            Severity::Note,
            "pods keep data in an emptyDir: a drain is refused where they are",
            "drain with `--delete-emptydir-data` where that is a cache; without a drain the data stays",
            &|sign| sign == Sign::LocalData,
        ),
    ];
    Ok((pods.len(), found.into_iter().flatten().collect()))
}

fn signs(pod: &Value) -> BTreeSet<Sign> {
    let list = |at: &str| pod.pointer(at).and_then(Value::as_array).into_iter().flatten();
    let paths = list("/spec/volumes").filter_map(|volume| volume.pointer("/hostPath/path")?.as_str());
    let mut signs: BTreeSet<Sign> = paths.filter_map(|path| reach(path, DATA_ROOT)).map(Sign::Of).collect();
    let containers = || list("/spec/initContainers").chain(list("/spec/containers"));
    let image = |container: &Value| container.get("image").and_then(Value::as_str).unwrap_or_default().to_owned();
    if containers().any(|container| image(container).contains("@sha256:")) {
        signs.insert(Sign::Digest);
    }
    if containers().any(|container| runs_docker(container, &image(container))) {
        signs.insert(Sign::Inner);
    }
    match super::look::kind(pod) {
        PodKind::Bare => drop(signs.insert(Sign::Bare)),
        PodKind::Controlled if list("/spec/volumes").any(|volume| volume.get("emptyDir").is_some()) => {
            signs.insert(Sign::LocalData);
        }
        _ => {}
    }
    signs
}

/// Privileged, and by its image or its command a dockerd: Docker in Docker.
fn runs_docker(container: &Value, image: &str) -> bool {
    let privileged = container.pointer("/securityContext/privileged").and_then(Value::as_bool) == Some(true);
    let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let tagged = name.strip_prefix("docker:").is_some_and(|tag| tag.contains("dind"));
    let words = ["command", "args"].into_iter().filter_map(|key| container.get(key)?.as_array()).flatten();
    let starts = words.filter_map(Value::as_str).any(|word| word.rsplit('/').next() == Some("dockerd"));
    privileged && (tagged || starts)
}

/// `namespace/Kind/name` of what made the pod; a ReplicaSet of a Deployment is called by that.
fn owner(pod: &Value) -> String {
    let text = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let namespace = text("/metadata/namespace");
    let Some((kind, name)) = controller(pod) else {
        return format!("{namespace}/Pod/{}", text("/metadata/name"));
    };
    let hash = text("/metadata/labels/pod-template-hash");
    match name.strip_suffix(hash).and_then(|name| name.strip_suffix('-')) {
        Some(deployment) if kind == "ReplicaSet" && !hash.is_empty() => format!("{namespace}/Deployment/{deployment}"),
        _ => format!("{namespace}/{kind}/{name}"),
    }
}

fn places(workload: &Workload) -> String {
    let nodes: Vec<&str> = workload.nodes.iter().take(NODES).map(String::as_str).collect();
    let more = workload.nodes.len() - nodes.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let pods = if workload.pods == 1 { "1 pod".to_owned() } else { format!("{} pods", workload.pods) };
    if nodes.is_empty() { pods } else { format!("{pods} on {}{more}", nodes.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FakeApi;
    use serde_json::json;

    fn pod(api: &FakeApi, name: &str, owner: (&str, &str), path: &str, node: &str) {
        api.put(
            &format!("/api/v1/namespaces/apps/pods/{name}"),
            json!({
                "metadata": { "namespace": "apps", "name": name, "labels": { "pod-template-hash": "5d7c" },
                    "ownerReferences": [{ "kind": owner.0, "name": owner.1, "controller": true }] },
                "spec": { "nodeName": node, "volumes": [{ "hostPath": { "path": path } }, { "emptyDir": {} }] },
                "status": { "phase": "Running" },
            }),
        );
    }

    #[test]
    fn workloads_are_told_once_with_their_nodes() {
        let api = FakeApi::default();
        for node in 0..8 {
            pod(
                &api,
                &format!("agent-{node}"),
                ("DaemonSet", "agent"),
                "/var/lib/docker/containers",
                &format!("n{node}"),
            );
        }
        pod(&api, "ci-1", ("ReplicaSet", "ci-5d7c"), "/var/run/docker.sock", "n1");
        for (name, at, what) in [
            ("pinned", "/spec/containers", json!([{ "image": "r/web@sha256:00" }])),
            (
                "dind",
                "/spec/containers",
                json!([{ "image": "docker:24-dind", "securityContext": { "privileged": true } }]),
            ),
            ("lonely", "/metadata/ownerReferences", json!([])),
            ("web", "/spec/volumes", json!([{ "emptyDir": {} }])),
        ] {
            let path = format!("/api/v1/namespaces/apps/pods/{name}");
            pod(&api, name, ("ReplicaSet", &format!("{name}-5d7c")), "/srv", "n1");
            let mut object = api.object(&path).unwrap();
            object["spec"]["volumes"] = json!([]);
            object["spec"]["containers"] = json!([{ "image": "docker:24-dind" }]);
            *object.pointer_mut(at).unwrap() = what;
            api.put(&path, object);
        }
        pod(&api, "net", ("DaemonSet", "net"), "/run", "n1");
        pod(&api, "fine", ("DaemonSet", "fine"), "/var/log", "n1");
        let (pods, found) = survey(&api).unwrap();
        assert_eq!(pods, 15);
        let told: Vec<(&str, &str)> = found.iter().map(|f| (f.id.as_str(), f.cause.as_str())).collect();
        assert_eq!(
            told,
            [
                ("pods-mount-docker-socket", "apps/Deployment/ci (1 pod on n1)"),
                ("log-agents-read-docker", "apps/DaemonSet/agent (8 pods on n0, n1, n2, n3, n4, n5 and 2 more)"),
                ("pods-mount-socket-folder", "apps/DaemonSet/net (1 pod on n1)"),
                ("workload-pins-digests", "apps/Deployment/pinned (1 pod on n1)"),
                ("workload-runs-docker", "apps/Deployment/dind (1 pod on n1)"),
                ("workload-bare-pods", "apps/Pod/lonely (1 pod on n1)"),
                ("workload-local-data", "apps/Deployment/ci (1 pod on n1)\napps/Deployment/web (1 pod on n1)"),
            ]
        );
        api.away.set(true);
        assert!(survey(&api).is_err());
    }
}
