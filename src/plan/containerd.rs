//! What containerd's configuration must say.

use super::draft::Draft;
use crate::{
    formats::{
        containerd::{ContainerdConfig, CriTarget},
        package_db::version_pair,
    },
    model::{Facts, RuntimeKind, Severity},
};

/// Where a CNI setup keeps its plugins unless somebody says otherwise; dockershim's and containerd's default.
const CNI_BIN: &str = "/opt/cni/bin";

/// Adds the step that edits containerd's main configuration file.
pub fn config(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    let Some(path) = facts.containerd.config_path.as_ref().map(|path| path.value.clone()) else { return };
    let Some(version) = facts.containerd.version.as_ref().and_then(|version| version_pair(&version.value)) else {
        return;
    };
    // A file that was read but could not be understood has its finding already.
    if facts.files.contains_key(&path) && !facts.texts.contains_key(&path) {
        return;
    }
    let text = facts.texts.get(&path).cloned().unwrap_or_default();
    let config = match ContainerdConfig::parse(&text) {
        Ok(config) => config,
        Err(error) => return draft.not_editable(&path, &error, "correct the file, then plan again"),
    };
    let sandbox = sandbox_image(draft, &config);
    let (bin_dir, conf_dir) = cni_dirs(facts, &config);
    let target = CriTarget {
        schema: schema_for(version, &text, &config),
        systemd_cgroup: true,
        sandbox_image: sandbox.as_deref(),
        cni_bin_dir: bin_dir.as_deref(),
        cni_conf_dir: conf_dir.as_deref(),
        settings: &draft.containerd,
    };
    match config.with_cri(&target) {
        Ok(after) => {
            draft.write(
                "containerd-config",
                &path,
                &after,
                "CRI on, systemd's cgroup driver, the node's sandbox image",
            );
        }
        Err(error) => draft.not_editable(&path, &error, "switch CRI on and set SystemdCgroup = true by hand"),
    }
}

/// containerd 1.x reads schema 2; 2.x reads 3, and migrates 2. A newer file than the binary reads is left to the editor
/// to refuse.
fn schema_for(version: (u32, u32), text: &str, config: &ContainerdConfig) -> u32 {
    let newest = if version >= (2, 0) { 3 } else { 2 };
    if text.trim().is_empty() { newest } else { config.schema().clamp(2, 4).min(newest.max(config.schema())) }
}

/// The profile's, else kubelet's, else the one that runs: what is in Docker's store is what can be carried.
fn sandbox_image(draft: &mut Draft<'_>, config: &ContainerdConfig) -> Option<String> {
    let facts = draft.facts;
    let flag = facts.kubelet.flag("pod-infra-container-image").map(|flag| flag.value.clone());
    // On a node with cri-dockerd its own flag counts; kubelet's only keeps the image from being collected.
    let runtime = facts.kubelet.runtime.as_ref().map(|runtime| runtime.value);
    let on_docker = matches!(runtime, Some(RuntimeKind::Dockershim | RuntimeKind::CriDockerd));
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

/// kubelet's flags named CNI's directories for dockershim; containerd has its own setting for them.
fn cni_dirs(facts: &Facts, config: &ContainerdConfig) -> (Option<String>, Option<String>) {
    let flag = |name: &str| facts.kubelet.shim_flag(name).map(|flag| flag.value.clone()).filter(|dir| !dir.is_empty());
    let has_plugins = |dir: &str| facts.cni.plugins.get(dir).is_some_and(|plugins| !plugins.is_empty());
    let configured = config.cni_bin_dir().into_iter().next().map(|dir| dir.value);
    let effective = configured.unwrap_or_else(|| CNI_BIN.to_owned());
    let wanted = flag("cni-bin-dir")
        .and_then(|list| list.split(',').map(str::to_owned).find(|dir| has_plugins(dir)))
        .or_else(|| facts.cni.plugins.keys().find(|dir| has_plugins(dir)).cloned());
    let bin_dir = wanted.filter(|wanted| *wanted != effective && !has_plugins(&effective));
    let conf_dir = flag("cni-conf-dir").filter(|dir| config.cni_conf_dir().is_none_or(|known| known.value != *dir));
    (bin_dir, conf_dir.filter(|dir| dir != "/etc/cni/net.d" || config.cni_conf_dir().is_some()))
}
