//! Which of Docker's images come along.

use super::draft::{Draft, Phase};
use crate::model::{Action, Change, DockerImage, Facts, ImagePolicy, Risk, Severity, UndoKind};
use std::collections::BTreeSet;

/// Adds the step that carries images, when there is something to carry.
pub fn import(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    if !facts.docker.running || draft.desired.images == ImagePolicy::None {
        return;
    }
    let wanted: Vec<&DockerImage> = match draft.desired.images {
        ImagePolicy::All => facts.docker.images.iter().collect(),
        _ => needed(facts, draft.desired.sandbox_image.as_deref()),
    };
    let nameless: Vec<&str> = wanted.iter().filter(|image| image.tags.is_empty()).map(|i| i.id.as_str()).collect();
    if !nameless.is_empty() && draft.desired.images == ImagePolicy::Needed {
        draft.find(
            "images-without-name",
            Severity::Warn,
            "pods use images that have no tag and cannot be carried by name",
            &nameless.join(", "),
            "tag them with `docker tag ID NAME`, or have a registry ready",
            "/var/lib/docker",
        );
    }
    let mut images: Vec<String> = wanted.iter().flat_map(|image| image.tags.clone()).collect();
    images.sort();
    images.dedup();
    if images.is_empty() {
        return;
    }
    let bytes = wanted.iter().filter(|image| !image.tags.is_empty()).map(|image| image.size).sum();
    let now = facts.containerd.root.as_ref().map_or("/var/lib/containerd", |root| root.value.as_str());
    let new_root = draft.new_root().is_some_and(|root| root != now);
    let root = draft.new_root().unwrap_or(now).to_owned();
    draft.step(
        "import-images",
        Phase::Images,
        Change::Run,
        Risk::None,
        UndoKind::None,
        "containerd keeps images of its own; without this every image is pulled again",
        Action::ImportImages { images, bytes, root, new_root },
    );
}

/// What running pods use, what static pods name, and the sandbox.
fn needed<'f>(facts: &'f Facts, sandbox: Option<&str>) -> Vec<&'f DockerImage> {
    let in_use: BTreeSet<&str> =
        facts.docker.containers.iter().filter(|c| c.kubernetes).map(|container| container.image_id.as_str()).collect();
    let flag = facts.kubelet.shim_flag("pod-infra-container-image").map(|flag| flag.value.as_str());
    let named: BTreeSet<String> = facts
        .kubelet
        .static_pods
        .iter()
        .flat_map(|pod| pod.images.iter().map(String::as_str))
        .chain(sandbox)
        .chain(flag)
        .map(familiar)
        .collect();
    let wanted = |image: &&DockerImage| {
        in_use.contains(image.id.as_str()) || image.tags.iter().any(|tag| named.contains(&familiar(tag)))
    };
    facts.docker.images.iter().filter(wanted).collect()
}

/// A name as Docker shows it: without the default registry, with a tag.
pub fn familiar(name: &str) -> String {
    let short = name.strip_prefix("docker.io/").unwrap_or(name);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let has_tag = short.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if has_tag { short.to_owned() } else { format!("{short}:latest") }
}

#[cfg(test)]
mod tests {
    use super::familiar;

    #[test]
    fn names_meet_however_they_are_written() {
        for name in ["nginx", "nginx:latest", "docker.io/nginx", "docker.io/library/nginx:latest", "library/nginx"] {
            assert_eq!(familiar(name), "nginx:latest", "{name}");
        }
        assert_eq!(familiar("localhost:5000/a/b"), "localhost:5000/a/b:latest");
        assert_eq!(familiar("k8s.gcr.io/pause:3.2"), "k8s.gcr.io/pause:3.2");
        assert_eq!(familiar("a@sha256:00"), "a@sha256:00");
    }
}
