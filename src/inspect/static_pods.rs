//! Static pods: manifests that kubelet runs without asking anybody.

use super::files::Files;
use crate::{
    checks::POD_UNSEEN,
    formats::yaml::lenient,
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
        match lenient::<Manifest>(&text) {
            Ok(manifest) if manifest.kind == "Pod" => kubelet.static_pods.push(static_pod(path, node, manifest)),
            Ok(_) => files.unseen(&path, "it is no Pod"),
            // A value of a wrong type has no place, and kubelet does not take it either.
            Err(error) if error.line.is_some() && says_pod(&text) => {
                files.unseen(&path, format!("{POD_UNSEEN}: {error}"));
            }
            Err(error) => files.unseen(&path, format!("it is no manifest: {error}")),
        }
    }
}

/// Whether a line says that a text is a pod's manifest, in YAML or JSON.
fn says_pod(text: &str) -> bool {
    text.lines().any(|line| line.replace(['"', '\'', ',', ' ', '\t'], "") == "kind:Pod")
}

fn static_pod(path: String, node: &str, manifest: Manifest) -> StaticPod {
    let containers = manifest.spec.init_containers.into_iter().chain(manifest.spec.containers);
    StaticPod {
        path,
        namespace: manifest.metadata.namespace.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned()),
        name: format!("{}-{node}", manifest.metadata.name),
        images: containers.map(|container| container.image).filter(|image| !image.is_empty()).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "it makes file trees to look at")]
mod tests {
    use crate::{
        host::{Faults, Host},
        inspect::inspect,
        model::{Assumptions, Facts},
    };
    use std::fs;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: a, image: i}\n";

    /// A node whose kubelet has these manifests.
    fn look(manifests: &[(&str, &str)]) -> Facts {
        let dir = tempfile::tempdir().unwrap();
        let kubelet = "[Service]\nExecStart=/usr/bin/kubelet --pod-manifest-path=/m --hostname-override=N1 --container-runtime=docker\n";
        let manifests = manifests.iter().map(|(name, text)| (format!("m/{name}"), *text));
        let unit = ("usr/lib/systemd/system/kubelet.service".to_owned(), kubelet);
        for (path, text) in manifests.chain([unit]) {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let host = Host::open(dir.path(), &Faults::none()).unwrap();
        inspect(&host, &Assumptions::default(), "unix:///run/containerd/containerd.sock")
    }

    fn unseen(facts: &Facts) -> Vec<(String, bool)> {
        let blocks = |path: &str| {
            let mut found = facts.findings.iter().filter(|finding| finding.id == "static-pod-unreadable");
            found.any(|finding| finding.origins.iter().any(|origin| origin.path.as_deref() == Some(path)))
        };
        let manifests = facts.unseen.iter().filter(|unseen| unseen.what.starts_with("/m/"));
        manifests.map(|unseen| (unseen.what.clone(), blocks(&unseen.what))).collect()
    }

    #[test]
    fn a_manifest_is_read_as_kubelet_reads_it() {
        for text in [
            POD.to_owned(),
            format!("---\n# Source: x\n{POD}---\n"),
            format!("{POD}---\nkind: Service\n"),
            format!("kind: Job\n{POD}  initContainers:\n  hostNetwork: false\n  hostNetwork: true\n"),
            POD.replace("{name: a}", "{name: a, namespace: }").replace("image: i}", "image: i, args: , x: 1}"),
            POD.replace("{name: a}", "{name: a, labels: {commit: 12e34567}}"),
            POD.replace("image: i}", "command: [\"sh\",\n\t\"-c\",\n\t\tx],\n\timage: i}"),
        ] {
            let facts = look(&[("a.yaml", text.as_str()), (".a.yaml.swp", "\0")]);
            let [pod] = facts.kubelet.static_pods.as_slice() else { panic!("{text}\n{:#?}", facts.unseen) };
            assert_eq!((pod.namespace.as_str(), pod.name.as_str()), ("default", "a-n1"), "{text}");
            assert_eq!(pod.images, ["i"], "{text}");
            assert!(unseen(&facts).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_kubelet_might_run_and_nobody_can_read_blocks() {
        let broken = format!("{POD}  - [\n");
        let tabbed = POD.replace("{name: a, image: i}", "name: a\n\timage: i");
        let mistyped = POD.replace("image: i", "image: [i]");
        let facts = look(&[
            ("a", broken.as_str()),
            ("b", mistyped.as_str()),
            ("c", "# none\n"),
            ("d", "[\n"),
            ("e", "kind: Service\n"),
            ("f", tabbed.as_str()),
        ]);
        let blocks =
            [("/m/a", true), ("/m/b", false), ("/m/c", false), ("/m/d", false), ("/m/e", false), ("/m/f", true)];
        assert_eq!(unseen(&facts), blocks.map(|(path, blocks)| (path.to_owned(), blocks)), "{:#?}", facts.unseen);
    }
}
