//! Which of Docker's images come along.

use super::{
    CONTAINERD, Options,
    draft::{Draft, Phase},
    finish, is_up,
};
use crate::formats::containerd::{Literal, Place, Setting};
use crate::model::{
    Action, CarryMode, Change, Desired, DockerImage, Facts, Finding, ImagePolicy, Plan, Risk, Severity, UndoKind,
};
use std::collections::{BTreeMap, BTreeSet};

/// Where containerd keeps its data unless its configuration says otherwise (every release).
pub const CONTAINERD_ROOT: &str = "/var/lib/containerd";

/// Adds the step that carries images, when there is something to carry.
pub fn import(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    if !facts.docker.running || draft.desired.images == ImagePolicy::None {
        return;
    }
    let needs = needs(facts, draft.desired.sandbox_image.as_deref());
    let all = draft.desired.images == ImagePolicy::All;
    // What nobody uses and nobody named is not worth it.
    let comes = |image: &&DockerImage| needs.contains_key(&image.id) || all && !image.tags.is_empty();
    let (mut wanted, nameless): (Vec<&DockerImage>, Vec<&DockerImage>) =
        facts.docker.images.iter().filter(comes).partition(|image| !image.tags.is_empty());
    let source = docker_layers(facts);
    if by_layers(draft) {
        wanted.extend(nameless);
        other_snapshotters(draft);
    } else {
        leave_out(draft, &nameless.iter().map(|image| image.id.as_str()).collect::<Vec<_>>());
    }
    let names = |image: &&DockerImage| match image.tags.as_slice() {
        [] => vec![image.id.clone()],
        tags => tags.to_vec(),
    };
    let images = wanted.iter().flat_map(names).collect();
    let bytes = wanted.iter().map(|image| image.size).sum();
    if !source.is_empty() {
        // What is carried has no archives of its layers; with this setting no containerd will ever miss them (open
        // changes of containerd, #13658 and #13890, would pull such images again without it).
        draft.containerd.push(Setting { place: Place::DiscardUnpackedLayers, value: Some(Literal::Bool(true)) });
    }
    step(draft, images, bytes, source);
}

/// Layers can be carried without a name; what `docker save` writes of an id cannot be found again.
fn by_layers(draft: &Draft<'_>) -> bool {
    let facts = draft.facts;
    draft.desired.carry.mode != CarryMode::Stream && (facts.docker_layers().is_some() || facts.shares_containerd())
}

fn leave_out(draft: &mut Draft<'_>, nameless: &[&str]) {
    if nameless.is_empty() {
        return;
    }
    draft.find(
        "images-without-name",
        Severity::Warn,
        "pods use images that have no tag and cannot be carried by name",
        &nameless.join(", "),
        "tag them with `docker tag ID NAME`, or have a registry ready",
        "/var/lib/docker",
    );
}

/// Handlers of another snapshotter unpack archives, and what is carried by layers mostly has none.
fn other_snapshotters(draft: &mut Draft<'_>) {
    let handlers: Vec<_> = draft.facts.containerd.handlers_of_other_snapshotters().collect();
    let [first, ..] = handlers.as_slice() else { return };
    let names: Vec<&str> = handlers.iter().map(|handler| handler.name.as_str()).collect();
    draft.findings.push(
        Finding::new(
            "runtime-snapshotter",
            Severity::Warn,
            "runtimes of another snapshotter cannot use carried images",
        )
        .cause(format!("layers come to overlayfs, and these have a snapshotter of their own: {}", names.join(", ")))
        .fix("where pods name such a runtime, set `carry = \"stream\"` in the profile, or have a registry ready")
        .at(first.snapshotter.as_ref().map_or_else(|| first.origin.clone(), |name| name.origin.clone())),
    );
}

fn step(draft: &mut Draft<'_>, mut images: Vec<String>, bytes: u64, source: String) {
    let facts = draft.facts;
    images.sort();
    images.dedup();
    if images.is_empty() {
        return;
    }
    let from_containerd = keeps_in_containerd(facts);
    let now = facts.containerd.root.as_ref().map_or(CONTAINERD_ROOT, |root| root.value.as_str());
    let new_root = draft.new_root().is_some_and(|root| root != now);
    let root = draft.new_root().unwrap_or(now).to_owned();
    if !new_root {
        start_idle(draft);
    }
    draft.step(
        "import-images",
        Phase::Images,
        Change::Run,
        Risk::None,
        if source.is_empty() && !from_containerd { UndoKind::None } else { UndoKind::ReturnImages },
        if source.is_empty() && !from_containerd {
            "containerd keeps images of its own; without this every image is pulled again"
        } else {
            "containerd keeps images of its own; layers change hands, are cloned or copied: see `castoff images list`"
        },
        Action::ImportImages {
            images,
            bytes,
            root,
            new_root,
            source,
            from_containerd,
            snapshotter: facts.containerd.other_snapshotter(),
            sandbox: draft.desired.sandbox_image.clone().or_else(|| sandbox_flag(facts).map(str::to_owned)),
            options: draft.desired.carry.clone(),
        },
    );
}

/// Beside a Docker that runs a containerd of its own the system's may be installed and idle; images come to one that runs.
fn start_idle(draft: &mut Draft<'_>) {
    let own = draft.facts.docker.managed_containerd.as_ref().is_some_and(|own| own.value);
    if !own || is_up(draft.facts, CONTAINERD) {
        return;
    }
    let why = "it takes Docker's images now; Docker has a containerd of its own and does not notice";
    // A start is taken back first of all, a restart behind what needs a containerd for being taken back.
    let action = Action::RestartUnit { unit: CONTAINERD.to_owned() };
    draft.step("start-containerd", Phase::Images, Change::Run, Risk::None, UndoKind::Restart, why, action);
}

/// Makes the plan that carries these images and does nothing else.
pub fn carry(facts: &Facts, desired: &Desired, images: &[String]) -> Plan {
    let mut draft = Draft::new(facts, desired, Options::default());
    let layered = by_layers(&draft);
    let (images, nameless): (Vec<String>, Vec<String>) =
        images.iter().cloned().partition(|name| layered || !name.starts_with("sha256:"));
    leave_out(&mut draft, &nameless.iter().map(String::as_str).collect::<Vec<_>>());
    if layered {
        other_snapshotters(&mut draft);
    }
    let wanted: BTreeSet<String> = images.iter().map(|name| familiar(name)).collect();
    let is_wanted = |image: &&DockerImage| {
        images.contains(&image.id) || image.tags.iter().any(|tag| wanted.contains(&familiar(tag)))
    };
    let bytes = facts.docker.images.iter().filter(is_wanted).map(|image| image.size).sum();
    let source = docker_layers(facts);
    step(&mut draft, images, bytes, source);
    let mut plan = finish(draft);
    // What else is notable about the node does not matter here.
    plan.findings.retain(|finding| matches!(finding.id.as_str(), "images-without-name" | "runtime-snapshotter"));
    plan.verdicts.clear();
    plan
}

/// What running pods use, what static pods name, and the sandbox: image id → who needs it.
pub fn needs(facts: &Facts, sandbox: Option<&str>) -> BTreeMap<String, Vec<String>> {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut need = |id: &str, who: String| {
        let all = needs.entry(id.to_owned()).or_default();
        if !all.contains(&who) {
            all.push(who);
        }
    };
    for container in facts.docker.containers.iter().filter(|container| container.kubernetes) {
        let part = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        need(&container.image_id, format!("pod {}/{}", part(&container.namespace), part(&container.pod)));
    }
    let mut by_name = |name: &str, who: &str| {
        let name = familiar(name);
        for image in facts.docker.images.iter().filter(|image| image.tags.iter().any(|tag| familiar(tag) == name)) {
            need(&image.id, who.to_owned());
        }
    };
    for pod in &facts.kubelet.static_pods {
        for image in &pod.images {
            by_name(image, &format!("static pod {}", pod.name));
        }
    }
    for image in sandbox.into_iter().chain(sandbox_flag(facts)) {
        by_name(image, "sandbox");
    }
    needs
}

/// Docker's data root where its layers can be carried; else empty.
pub fn docker_layers(facts: &Facts) -> String {
    facts.docker_layers().unwrap_or_default().to_owned()
}

/// True when Docker keeps its images in the store of the containerd that CRI will be served by.
pub fn keeps_in_containerd(facts: &Facts) -> bool {
    facts.shares_containerd()
}

fn sandbox_flag(facts: &Facts) -> Option<&str> {
    facts.kubelet.shim_flag("pod-infra-container-image").map(|flag| flag.value.as_str())
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
    use super::{Draft, Options, carry, familiar, import};
    use crate::model::{
        Action, CarryMode, Desired, DockerContainer, DockerImage, Facts, Goal, HandlerFacts, ImagePolicy, Origin, Plan,
        Profile, Sourced,
    };

    fn sourced(text: &str) -> Option<Sourced<String>> {
        (!text.is_empty()).then(|| Sourced::new(text.to_owned(), Origin::path("/test")))
    }

    /// A tagged image, one that a pod was pinned to by digest, and one that nobody wants.
    fn node(driver: &str) -> Facts {
        let mut facts = Facts::empty(true);
        facts.docker.running = true;
        match driver {
            "containerd" => facts.docker.image_store = Some(Sourced::new(true, Origin::path("/test"))),
            driver => facts.docker.storage_driver = sourced(driver),
        }
        let image = |id: &str, tags: &[&str]| DockerImage {
            id: id.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            size: 1,
        };
        facts.docker.images =
            vec![image("sha256:tagged", &["web:1"]), image("sha256:pinned", &[]), image("sha256:dangling", &[])];
        let container: DockerContainer = serde_json::from_value(serde_json::json!({
            "id": "c", "name": "k8s_x", "image": "x@sha256:y", "imageId": "sha256:pinned", "state": "running",
            "kubernetes": true, "sandbox": false, "namespace": "default", "pod": "x",
        }))
        .unwrap();
        facts.docker.containers.push(container);
        facts
    }

    fn wishes(policy: ImagePolicy, mode: CarryMode) -> Desired {
        let mut desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap();
        (desired.images, desired.carry.mode) = (policy, mode);
        desired
    }

    /// What is planned to come along, and the ids that are warned about.
    fn planned(driver: &str, policy: ImagePolicy, mode: CarryMode) -> (Vec<String>, String) {
        let (facts, desired) = (node(driver), wishes(policy, mode));
        let mut draft = Draft::new(&facts, &desired, Options::default());
        import(&mut draft);
        let plan = super::finish(draft);
        (images_of(&plan), left_out(&plan))
    }

    fn images_of(plan: &Plan) -> Vec<String> {
        let images = plan.steps.iter().find_map(|step| match &step.action {
            Action::ImportImages { images, .. } => Some(images.clone()),
            _ => None,
        });
        images.unwrap_or_default()
    }

    fn left_out(plan: &Plan) -> String {
        let warned = plan.findings.iter().find(|finding| finding.id == "images-without-name");
        warned.map(|finding| finding.cause.clone()).unwrap_or_default()
    }

    #[test]
    fn what_is_asked_for_by_its_id_comes_by_layers_alone() {
        for (driver, mode, comes) in [
            ("overlay2", CarryMode::Auto, true),
            ("containerd", CarryMode::Copy, true),
            ("overlay2", CarryMode::Stream, false),
            ("btrfs", CarryMode::Auto, false),
        ] {
            let asked = ["sha256:pinned".to_owned(), "web:1".to_owned()];
            let plan = carry(&node(driver), &wishes(ImagePolicy::Needed, mode), &asked);
            assert_eq!(images_of(&plan), if comes { &asked[..] } else { &asked[1..] }, "{driver}, {mode}");
            assert_eq!(left_out(&plan), if comes { "" } else { "sha256:pinned" }, "{driver}, {mode}");
        }
    }

    #[test]
    fn what_pods_need_comes_along_without_a_tag_too() {
        use ImagePolicy::{All, Needed};
        for (driver, policy, mode, images, warned) in [
            ("overlay2", Needed, CarryMode::Auto, vec!["sha256:pinned"], ""),
            ("overlay2", All, CarryMode::Auto, vec!["sha256:pinned", "web:1"], ""),
            ("containerd", Needed, CarryMode::Auto, vec!["sha256:pinned"], ""),
            ("containerd", All, CarryMode::Auto, vec!["sha256:pinned", "web:1"], ""),
            ("overlay2", All, CarryMode::Stream, vec!["web:1"], "sha256:pinned"),
            ("btrfs", Needed, CarryMode::Auto, vec![], "sha256:pinned"),
            ("btrfs", All, CarryMode::Auto, vec!["web:1"], "sha256:pinned"),
        ] {
            let (planned, said) = planned(driver, policy, mode);
            assert_eq!(planned, images, "{driver}, {policy:?}, {mode}");
            assert_eq!(said, warned, "{driver}, {policy:?}, {mode}");
        }
    }

    #[test]
    fn layers_go_only_where_cri_looks_for_them() {
        for (default, handler, elsewhere, other) in [
            ("", ("runc", ""), "", None),
            ("overlayfs", ("runc", "overlayfs"), "", None),
            ("native", ("runc", ""), "", Some("`native`")),
            ("", ("runc", "zfs"), "", Some("`zfs`")),
            ("", ("kata", "devmapper"), "", None),
            ("", ("runc", ""), "/data/layers", Some("`overlayfs` in /data/layers")),
        ] {
            for driver in ["overlay2", "containerd"] {
                let (mut facts, desired) = (node(driver), wishes(ImagePolicy::All, CarryMode::Auto));
                facts.containerd.snapshotter = sourced(default);
                facts.containerd.overlayfs_root = sourced(elsewhere);
                facts.containerd.handlers = vec![HandlerFacts {
                    name: handler.0.to_owned(),
                    origin: Origin::path("/test"),
                    runtime_type: None,
                    binary_name: None,
                    systemd_cgroup: None,
                    snapshotter: sourced(handler.1),
                }];
                let mut draft = Draft::new(&facts, &desired, Options::default());
                import(&mut draft);
                let without_archives = !draft.containerd.is_empty();
                let plan = super::finish(draft);
                let what = format!("{driver}, {default}, {handler:?}, {elsewhere}");
                let action = plan.steps.into_iter().map(|step| step.action).next();
                let Some(Action::ImportImages { source, from_containerd, snapshotter, .. }) = action else {
                    panic!("{what}")
                };
                assert_eq!(snapshotter.as_deref(), other, "{what}");
                assert_eq!(!source.is_empty() || from_containerd, other.is_none(), "{what}");
                assert_eq!(without_archives, !source.is_empty(), "{what}");
                let warned = plan.findings.iter().any(|finding| finding.id == "runtime-snapshotter");
                assert_eq!(warned, handler.0 == "kata", "{what}");
            }
        }
    }

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
