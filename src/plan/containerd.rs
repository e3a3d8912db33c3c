//! What containerd's configuration must say.

use super::draft::{Draft, real};
use crate::{
    formats::{
        FormatError,
        containerd::{ContainerdConfig, CriTarget, Effective, Release},
        package_db::version_pair,
    },
    model::{ConfigWay, DEFAULT_ENDPOINT, Facts, Finding, OriginKind, Severity, Sourced, same_endpoint},
};
use std::collections::BTreeMap;

/// The plan waits for CRI, and points kubelet and crictl, to the wanted endpoint. castoff does not move containerd there: others
/// may know its socket.
pub fn endpoint(draft: &mut Draft<'_>) {
    let Some(said) = &draft.facts.containerd.endpoint else { return };
    // Where nothing says it, containerd serves on its own default whatever is wanted.
    let serves = if said.origin.kind == OriginKind::Default { DEFAULT_ENDPOINT } else { said.value.as_str() };
    let wanted = &draft.desired.endpoint;
    if same_endpoint(serves, wanted) {
        return;
    }
    let summary = "containerd serves on another socket than the plan goes by";
    draft.findings.push(
        Finding::new("containerd-endpoint", Severity::Block, summary)
            .cause(format!("containerd is told {serves}, and the plan {wanted}"))
            .fix(format!("set `endpoint = {serves:?}` in the profile, then plan again"))
            .at(said.origin.clone()),
    );
}

/// Adds the steps that edit containerd's main configuration file and what it imports, and proves the joined result.
pub fn config(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    let Some(path) = facts.containerd.config_path.as_ref().map(|path| path.value.clone()) else { return };
    let Some(release) = facts.containerd.version.as_ref().and_then(|version| Release::parse(&version.value)) else {
        return;
    };
    // A file that was made anew once is edited from then on: nothing in it would be lost.
    let ours = facts.texts.get(&path).is_some_and(|text| ContainerdConfig::is_from_template(text));
    let anew = draft.desired.containerd_config == ConfigWay::Regenerate && !ours;
    // A file that was read but could not be understood has its finding already.
    if facts.files.contains_key(&path) && !facts.texts.contains_key(&path) && !anew {
        return;
    }
    let before = draft.texts();
    let joined = match Effective::join(&path, release, &before) {
        Ok(joined) => joined,
        Err(error) => return draft.not_editable(&path, &error, "correct the file, then plan again"),
    };
    // So does a file that is newer than the release; only a new one helps then.
    if !anew && joined.parts.iter().any(|part| part.version > release.newest_schema()) {
        return;
    }
    let (mut sandbox, (mut bin_dir, mut conf_dir)) = (sandbox_image(draft, &joined), cni_dirs(facts, &joined));
    if anew {
        sandbox = sandbox.or_else(|| joined.sandbox_image().map(|image| image.value));
        let best = |dirs: Vec<Sourced<String>>| {
            dirs.into_iter().map(|dir| dir.value).min_by_key(|dir| facts.cni.lacking(&[dir]).len())
        };
        bin_dir = bin_dir.or_else(|| best(joined.cni_bin_dirs()));
        conf_dir = conf_dir.or_else(|| joined.cni_conf_dir().map(|dir| dir.value));
    }
    let is_new = before.get(&path).is_none_or(|text| text.trim().is_empty());
    let mut settings = if anew && !is_new { joined.essentials() } else { Vec::new() };
    settings.extend(draft.containerd.iter().cloned());
    let target = CriTarget {
        schema: schema_for(release, &joined, anew || is_new),
        systemd_cgroup: true,
        sandbox_image: sandbox.as_deref(),
        cni_bin_dir: bin_dir.as_deref(),
        cni_conf_dir: conf_dir.as_deref(),
        settings: &settings,
    };
    let made = if anew || is_new { made_anew(&path, &target) } else { edited(facts, &joined, &before, &target) };
    let files = match made {
        Ok(files) => files,
        Err((file, error)) => return draft.not_editable(&file, &error, BY_HAND),
    };
    for (file, after) in &files {
        if before.get(file) == Some(after) || packaged(draft, file) {
            continue;
        }
        let (id, why) = if *file == path {
            ("containerd-config", "CRI on, systemd's cgroup driver, the node's sandbox image")
        } else {
            ("containerd-import", "it is joined with the main file and wins over it")
        };
        draft.write(id, file, after, why);
    }
    prove(draft, &path, release, &target, &joined);
}

const BY_HAND: &str = "switch CRI on and set SystemdCgroup = true by hand, or let the file be made anew with \
    `containerd-config = \"regenerate\"` in the profile";

type Files = Vec<(String, String)>;

fn made_anew(path: &str, target: &CriTarget<'_>) -> Result<Files, (String, FormatError)> {
    let made =
        ContainerdConfig::parse(ContainerdConfig::template(target.schema)).and_then(|base| base.with_cri(target));
    made.map(|text| vec![(path.to_owned(), text)]).map_err(|error| (path.to_owned(), error))
}

/// The file whose CRI settings count gets all of them; what others say is made to fit.
fn edited(
    facts: &Facts,
    joined: &Effective,
    texts: &BTreeMap<String, String>,
    target: &CriTarget<'_>,
) -> Result<Files, (String, FormatError)> {
    let main = joined.parts.first().map(|part| part.path.as_str());
    let winner = if joined.release().merges_plugins() { main } else { joined.cri_winner().or(main) };
    let handlers = joined.handlers();
    let shim = |name: &str| {
        let handler = handlers.iter().find(|handler| handler.name == name)?;
        handler.runtime_type.as_ref().map(|shim| shim.value.clone())
    };
    let of = |schema: u32| -> Result<Files, (String, FormatError)> {
        let target = CriTarget { schema, ..*target };
        let mut out = Vec::new();
        for part in &joined.parts {
            let text = texts.get(&part.path).map_or("", String::as_str);
            let after =
                ContainerdConfig::parse(text).map(|config| config.inheriting(joined.schema)).and_then(|config| {
                    // By whatever name it is read: a file has one text.
                    if winner.is_some_and(|winner| real(facts, winner) == real(facts, &part.path)) {
                        config.with_cri(&target)
                    } else {
                        config.with_share(&target, &shim)
                    }
                });
            out.push((part.path.clone(), after.map_err(|error| (part.path.clone(), error))?));
        }
        Ok(out)
    };
    let first = of(target.schema);
    // Every 2.x reads version 2 as well, and from version 1 the way there loses nothing.
    if first.is_err() && target.schema == 3 && joined.schema == 1 { of(2).or(first) } else { first }
}

/// What a package ships is not ours to edit, not even through a link.
pub(super) fn packaged(draft: &mut Draft<'_>, path: &str) -> bool {
    let ships = |path: &str| {
        ["/usr/", "/lib/", "/nix/store/"].iter().any(|dir| path.starts_with(dir)) && !path.starts_with("/usr/local/")
    };
    let target = draft.facts.files.get(path).and_then(|file| file.target.clone());
    let Some(home) = target.filter(|target| ships(target)).or_else(|| ships(path).then(|| path.to_owned())) else {
        return false;
    };
    draft.find(
        "config-not-editable",
        Severity::Block,
        &format!("{path} cannot be edited safely"),
        &format!("it is {home}, which belongs to a package: the next update would undo the edit"),
        &format!("put a copy in its place: `cp --remove-destination {home} {path}`, or import a copy instead"),
        path,
    );
    true
}

/// Joins the planned files as containerd will, and says what would still be otherwise.
fn prove(draft: &mut Draft<'_>, path: &str, release: Release, target: &CriTarget<'_>, before: &Effective) {
    let misses = match Effective::join(path, release, &draft.texts()) {
        Ok(after) => after.misses(target),
        Err(error) => return draft.not_editable(path, &error, BY_HAND),
    };
    // An import that is not there, or cannot be read, has its finding already.
    let known = before.faults();
    let new: Vec<_> = misses
        .into_iter()
        .filter(|miss| !known.contains(miss) && !before.broken.iter().any(|(file, _)| *file == miss.name))
        .collect();
    if new.is_empty() || draft.findings.iter().any(|finding| finding.id == "config-not-editable") {
        return;
    }
    let causes: Vec<String> = new.iter().map(|miss| format!("{}: {} ({})", miss.name, miss.why, miss.origin)).collect();
    let mut finding = Finding::new(
        "containerd-config-overruled",
        Severity::Block,
        "another file of containerd's would win over the plan",
    )
    .cause(causes.join("; "))
    .fix("correct the file that is named, or set `containerd-config = \"regenerate\"` in the profile");
    finding.origins = new.into_iter().map(|miss| miss.origin).collect();
    draft.findings.push(finding);
}

/// The newest version any of the files has; version 1 is left behind, and a new file has what the whole line reads.
fn schema_for(release: Release, joined: &Effective, is_new: bool) -> u32 {
    let newest = joined.parts.iter().map(|part| part.version).max().unwrap_or_default().max(joined.schema);
    if is_new || newest <= 1 { release.preferred_schema() } else { newest }
}

/// The profile's, else kubelet's, else the one that runs: what is in Docker's store is what can be carried.
fn sandbox_image(draft: &mut Draft<'_>, config: &Effective) -> Option<String> {
    let facts = draft.facts;
    // On a node with cri-dockerd its own flag counts. Beside containerd kubelet's only keeps an image from being
    // collected, and says something about the sandbox just where containerd's configuration does not.
    let on_docker = facts.is_on_docker();
    let flag_counts = on_docker || facts.is_half_migrated() || config.sandbox_image().is_none();
    let flag = facts.kubelet.flag("pod-infra-container-image").filter(|_| flag_counts).map(|flag| flag.value.clone());
    let shim = facts.surroundings.cri_dockerd_pause.as_ref().filter(|_| on_docker).map(|image| image.value.clone());
    if let Some(image) = draft.desired.sandbox_image.clone().or(shim).or(flag) {
        return Some(image);
    }
    if config.sandbox_image().is_some() {
        return None;
    }
    let running = facts.docker.containers.iter().find(|container| container.sandbox && container.state == "running");
    if let Some(container) = running {
        let image = facts.docker.images.iter().find(|image| image.id == container.image_id);
        return Some(image.and_then(|image| image.tags.first().cloned()).unwrap_or_else(|| container.image.clone()));
    }
    if let Some(image) = thawed(facts).filter(|_| on_docker) {
        return Some(image.to_owned());
    }
    if facts.docker.installed && facts.live {
        draft.find(
            "sandbox-image-default",
            Severity::Warn,
            "containerd will use its own default sandbox image",
            "no sandbox image is named by kubelet, the profile or a running pod",
            "name one with `sandbox-image` in the profile when there is no registry",
            "/etc/castoff/profile.toml",
        );
    }
    None
}

/// Old releases default to a registry that is frozen and to be switched off; the same image is in its successor.
fn thawed(facts: &Facts) -> Option<&'static str> {
    match version_pair(&facts.containerd.version.as_ref()?.value)? {
        (1, 3) => Some("registry.k8s.io/pause:3.1"),
        (1, 4) => Some("registry.k8s.io/pause:3.2"),
        (1, 5) => Some("registry.k8s.io/pause:3.5"),
        (1, 6) => Some("registry.k8s.io/pause:3.6"),
        _ => None,
    }
}

/// Where Docker's pods have CNI's plugins and configuration; containerd has settings of its own for both. Nothing where
/// these say the same.
fn cni_dirs(facts: &Facts, config: &Effective) -> (Option<String>, Option<String>) {
    let configured = config.cni_bin_dirs();
    let configured: Vec<&str> = configured.iter().map(|dir| dir.value.as_str()).collect();
    let bin_dir = facts.cni_bin_dir(&configured, config.release().has_cni_dir_list());
    let [now, next] = facts.cni_conf_dirs()[..] else { return (bin_dir, None) };
    let found = facts.cni.config.as_ref().and_then(|config| config.value.rsplit_once('/')).map_or(now, |(dir, _)| dir);
    (bin_dir, (found != next).then(|| found.to_owned()))
}
