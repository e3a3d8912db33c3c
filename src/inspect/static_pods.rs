//! Static pods: manifests that kubelet runs without asking anybody.

use super::files::Files;
use crate::{
    host::{EntryKind, Host},
    model::{KubeletFacts, StaticPod},
};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Manifest {
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Container {
    image: String,
}

/// Reads the manifests of the node's static pods.
pub fn static_pods(host: &Host, files: &mut Files<'_>, node: &str, kubelet: &mut KubeletFacts) {
    let Some(dir) = kubelet.static_pod_path.clone() else { return };
    let dir = dir.value.trim_end_matches('/').to_owned();
    let names = match host.root.list(&dir) {
        Ok(names) => names,
        Err(error) => return files.unseen("static pods", error.to_string()),
    };
    // kubelet reads every file but those that start with a dot.
    for (name, _) in names.into_iter().filter(|(name, kind)| !name.starts_with('.') && *kind != EntryKind::Dir) {
        let path = format!("{dir}/{name}");
        let Some(text) = files.text(&path) else { continue };
        match serde_saphyr::from_str::<Manifest>(&text) {
            Ok(manifest) if manifest.kind == "Pod" => kubelet.static_pods.push(static_pod(path, node, manifest)),
            Ok(_) => files.unseen(&path, "it is no Pod"),
            Err(error) => files.unseen(&path, format!("it is no manifest: {}", first_line(&error.to_string()))),
        }
    }
}

fn static_pod(path: String, node: &str, manifest: Manifest) -> StaticPod {
    let containers = manifest.spec.init_containers.into_iter().chain(manifest.spec.containers);
    StaticPod {
        path,
        namespace: manifest.metadata.namespace.unwrap_or_else(|| "default".to_owned()),
        name: format!("{}-{node}", manifest.metadata.name),
        images: containers.map(|container| container.image).filter(|image| !image.is_empty()).collect(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
