//! How each finding is found.

use crate::{
    formats::package_db::version_pair,
    model::{Facts, Finding, Origin, RuntimeKind, Severity, Sourced},
};

/// What `inspect` notes when units cannot be asked.
pub const UNITS_UNSEEN: &str = "which units run";

fn on_docker(facts: &Facts) -> bool {
    let runtime = facts.kubelet.runtime.as_ref().map(|runtime| runtime.value);
    matches!(runtime, Some(RuntimeKind::Dockershim | RuntimeKind::CriDockerd))
}

fn version(of: Option<&Sourced<String>>) -> Option<(u32, u32)> {
    version_pair(&of?.value)
}

pub fn no_kubelet(facts: &Facts) -> Vec<Finding> {
    if facts.kubelet.installed {
        return Vec::new();
    }
    vec![
        Finding::new("no-kubelet", Severity::Note, "there is no kubelet here, so there are no pods to move")
            .cause("no kubelet.service and no kubelet package was found"),
    ]
}

pub fn no_docker(facts: &Facts) -> Vec<Finding> {
    if facts.docker.installed {
        return Vec::new();
    }
    vec![
        Finding::new("no-docker", Severity::Note, "there is no Docker here")
            .cause("no docker.service and no Docker package was found"),
    ]
}

pub fn on_containerd_already(facts: &Facts) -> Vec<Finding> {
    let Some(runtime) = facts.kubelet.runtime.as_ref().filter(|kind| kind.value == RuntimeKind::Containerd) else {
        return Vec::new();
    };
    vec![
        Finding::new("on-containerd-already", Severity::Note, "kubelet runs its pods on containerd already")
            .at(runtime.origin.clone()),
    ]
}

pub fn runtime_unsupported(facts: &Facts) -> Vec<Finding> {
    let Some(runtime) = &facts.kubelet.runtime else { return Vec::new() };
    if !matches!(runtime.value, RuntimeKind::CriO | RuntimeKind::Other) {
        return Vec::new();
    }
    let endpoint = facts.kubelet.endpoint.as_ref().map_or("?", |endpoint| endpoint.value.as_str());
    let summary = format!("kubelet runs its pods on {}, which castoff cannot move away from", runtime.value);
    vec![
        Finding::new("runtime-unsupported", Severity::Block, summary)
            .cause(format!("its endpoint is {endpoint}"))
            .fix("castoff moves nodes from Docker only; `castoff inspect` and `castoff verify` work here")
            .at(runtime.origin.clone()),
    ]
}

pub fn runtime_unknown(facts: &Facts) -> Vec<Finding> {
    if !facts.kubelet.installed || facts.kubelet.runtime.is_some() {
        return Vec::new();
    }
    vec![
        Finding::new("runtime-unknown", Severity::Block, "it is not clear what kubelet runs its pods on")
            .cause("no runtime endpoint is set, and kubelet's default depends on its version")
            .fix("on a file tree: `--assume kubelet.version=1.23.17`; on a node: run castoff as root"),
    ]
}

pub fn kubelet_version_unknown(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) || version(facts.kubelet.version.as_ref()).is_some() {
        return Vec::new();
    }
    let summary = "kubelet's version is unknown, so its flags cannot be rewritten safely";
    vec![
        Finding::new("kubelet-version-unknown", Severity::Block, summary)
            .cause("neither the kubelet binary nor the package database tells it")
            .fix("state it: `--assume kubelet.version=1.23.17`"),
    ]
}

pub fn containerd_missing(facts: &Facts) -> Vec<Finding> {
    if facts.containerd.installed || !on_docker(facts) {
        return Vec::new();
    }
    let managed = facts.docker.managed_containerd.as_ref().filter(|managed| managed.value);
    let cause = if managed.is_some() {
        "dockerd runs a private containerd as its child, and there is no containerd.service"
    } else {
        "no containerd.service and no containerd package was found"
    };
    vec![
        Finding::new("containerd-missing", Severity::Block, "containerd is not installed as a system service")
            .cause(cause)
            .fix("install the package `containerd` (or `containerd.io`), then plan again"),
    ]
}

pub fn containerd_version_unknown(facts: &Facts) -> Vec<Finding> {
    if !facts.containerd.installed || !on_docker(facts) || version(facts.containerd.version.as_ref()).is_some() {
        return Vec::new();
    }
    let summary = "containerd's version is unknown, so its configuration schema cannot be chosen";
    vec![
        Finding::new("containerd-version-unknown", Severity::Block, summary)
            .cause("neither the containerd binary nor the package database tells it")
            .fix("state it: `--assume containerd.version=1.6.20`"),
    ]
}

/// Which CRI versions a kubelet speaks: (v1alpha2, v1). RN1.23#106501, RN1.26#110618.
fn kubelet_speaks(version: (u32, u32)) -> (bool, bool) {
    (version < (1, 26), version >= (1, 23))
}

/// Which CRI versions a containerd serves: (v1alpha2, v1). Source scan per tag, `config-facts` §1.1.
fn containerd_serves(version: (u32, u32)) -> (bool, bool) {
    (version < (2, 0), version >= (1, 6))
}

pub fn cri_version_mismatch(facts: &Facts) -> Vec<Finding> {
    let (Some(kubelet), Some(containerd)) = (&facts.kubelet.version, &facts.containerd.version) else {
        return Vec::new();
    };
    let (Some(k), Some(c)) = (version_pair(&kubelet.value), version_pair(&containerd.value)) else {
        return Vec::new();
    };
    let (old, new) = (kubelet_speaks(k).0 && containerd_serves(c).0, kubelet_speaks(k).1 && containerd_serves(c).1);
    if old || new || !facts.kubelet.installed || !facts.containerd.installed {
        return Vec::new();
    }
    let summary =
        format!("kubelet {} and containerd {} have no version of CRI in common", kubelet.value, containerd.value);
    vec![
        Finding::new("cri-version-mismatch", Severity::Block, summary)
            .cause("kubelet speaks v1alpha2 up to 1.25 and v1 from 1.23; containerd v1alpha2 up to 1.7 and v1 from 1.6")
            .fix("upgrade the older of the two first")
            .at(kubelet.origin.clone())
            .at(containerd.origin.clone()),
    ]
}

pub fn cri_plugin_disabled(facts: &Facts) -> Vec<Finding> {
    let Some(enabled) = facts.containerd.cri_enabled.as_ref().filter(|enabled| !enabled.value) else {
        return Vec::new();
    };
    vec![
        Finding::new("cri-plugin-disabled", Severity::Note, "containerd's CRI plugin is switched off")
            .cause("`disabled_plugins` names it, as Docker's package ships the file")
            .fix("the plan switches it on")
            .at(enabled.origin.clone()),
    ]
}

pub fn cgroup_driver_mismatch(facts: &Facts) -> Vec<Finding> {
    let Some(kubelet) = &facts.kubelet.cgroup_driver else { return Vec::new() };
    let runtime = if on_docker(facts) {
        facts.docker.cgroup_driver.as_ref().map(|driver| ("Docker", driver.value.word(), &driver.origin))
    } else {
        facts
            .containerd
            .systemd_cgroup
            .as_ref()
            .map(|on| ("containerd", if on.value { "systemd" } else { "cgroupfs" }, &on.origin))
    };
    let Some((name, driver, origin)) = runtime.filter(|(_, driver, _)| *driver != kubelet.value.word()) else {
        return Vec::new();
    };
    let summary = format!("kubelet uses the cgroup driver {}, {name} uses {driver}", kubelet.value);
    vec![
        Finding::new("cgroup-driver-mismatch", Severity::Warn, summary)
            .cause("two managers of one cgroup tree")
            .fix("the plan sets all of them to systemd")
            .at(kubelet.origin.clone())
            .at(origin.clone()),
    ]
}

pub fn cgroup_mode_unknown(facts: &Facts) -> Vec<Finding> {
    if facts.cgroup.mode.is_some() {
        return Vec::new();
    }
    vec![
        Finding::new("cgroup-mode-unknown", Severity::Note, "the cgroup mode of this node is unknown")
            .fix("state it: `--assume cgroup.mode=unified`"),
    ]
}

pub fn docker_only_containers(facts: &Facts) -> Vec<Finding> {
    let others: Vec<&str> = facts
        .docker
        .containers
        .iter()
        .filter(|container| !container.kubernetes && container.state == "running")
        .map(|container| container.name.as_str())
        .collect();
    if others.is_empty() || !on_docker(facts) {
        return Vec::new();
    }
    let summary = format!("{} containers run on Docker that kubelet did not make", others.len());
    vec![
        Finding::new("docker-only-containers", Severity::Block, summary)
            .cause(others.join(", "))
            .fix("move or stop them; `--skip-check docker-only-containers` stops them with Docker"),
    ]
}

pub fn docker_not_running(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) || facts.docker.running {
        return Vec::new();
    }
    let summary = "Docker does not run, so its images cannot be brought along";
    vec![
        Finding::new("docker-not-running", Severity::Warn, summary)
            .cause(if facts.live { "docker.service is not active" } else { "this is a file tree" })
            .fix("have a registry ready from which the images can be pulled"),
    ]
}

pub fn docker_cgroup_flag(facts: &Facts) -> Vec<Finding> {
    let flag = facts.docker.settings.iter().find(|setting| {
        setting.origin.kind == crate::model::OriginKind::Flag
            && setting.key == "exec-opts"
            && setting.value.as_str().is_some_and(|value| value == "native.cgroupdriver=cgroupfs")
    });
    let Some(flag) = flag else { return Vec::new() };
    let summary = "Docker's cgroup driver is set by a flag, which castoff does not edit";
    vec![
        Finding::new("docker-cgroup-flag", Severity::Warn, summary)
            .cause("`--exec-opt native.cgroupdriver=cgroupfs` stands in Docker's command line")
            .fix("change the flag by hand if Docker is to be used again")
            .at(flag.origin.clone()),
    ]
}

pub fn live_restore(facts: &Facts) -> Vec<Finding> {
    let Some(on) = facts.docker.live_restore.as_ref().filter(|on| on.value) else { return Vec::new() };
    let summary = "Docker leaves containers running when it stops (live-restore)";
    vec![
        Finding::new("live-restore", Severity::Note, summary)
            .fix("the plan stops the containers of pods before it stops Docker")
            .at(on.origin.clone()),
    ]
}

pub fn kubelet_requires_docker(facts: &Facts) -> Vec<Finding> {
    let unit = facts.unit("kubelet.service");
    let Some(name) = unit.requires.iter().find(|name| name.starts_with("docker.") || name.starts_with("cri-docker."))
    else {
        return Vec::new();
    };
    if !on_docker(facts) {
        return Vec::new();
    }
    let origin = unit.fragment.clone().unwrap_or_else(|| "kubelet.service".to_owned());
    vec![
        Finding::new(
            "kubelet-requires-docker",
            Severity::Block,
            format!("kubelet.service cannot start without {name}"),
        )
        .cause("a Requires= or BindsTo= in its unit or a drop-in")
        .fix("edit that file: `Wants=containerd.service` and `After=containerd.service` instead")
        .at(Origin::unit(origin, None)),
    ]
}

pub fn no_cni(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) || facts.cni.config.is_some() {
        return Vec::new();
    }
    let plugin = facts.kubelet.flag("network-plugin");
    let cause = match plugin.map(|flag| flag.value.as_str()) {
        Some("kubenet") => "kubelet uses kubenet, which only Docker nodes have",
        Some("cni") => "kubelet uses CNI, but no configuration was found",
        _ => "kubelet uses no network plugin: Docker's bridge gives pods their network",
    };
    let finding = Finding::new(
        "no-cni",
        Severity::Block,
        "there is no CNI configuration, so pods would get no network",
    )
    .cause(cause)
    .fix("install a CNI configuration below /etc/cni/net.d; nodes with hostNetwork pods only may skip this check");
    vec![match plugin {
        Some(flag) => finding.at(flag.origin.clone()),
        None => finding,
    }]
}

pub fn log_format_changes(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) {
        return Vec::new();
    }
    vec![
        Finding::new("log-format-changes", Severity::Warn, "log files change their place and format")
            .cause("containerd writes CRI text lines below /var/log/pods, Docker wrote JSON below its data root")
            .fix("tell log agents that read /var/lib/docker/containers or parse JSON"),
    ]
}

pub fn containerd_imports(facts: &Facts) -> Vec<Finding> {
    if facts.containerd.imports.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = facts.containerd.imports.iter().map(|import| import.value.as_str()).collect();
    let summary = "containerd's configuration imports other files, which castoff does not judge yet";
    let mut finding = Finding::new("containerd-imports", Severity::Warn, summary)
        .cause(names.join(", "))
        .fix("look at them by hand; the verification after the switch catches what they break");
    finding.origins = facts.containerd.imports.iter().map(|import| import.origin.clone()).collect();
    vec![finding]
}

pub fn not_everything_seen(facts: &Facts) -> Vec<Finding> {
    if facts.unseen.is_empty() {
        return Vec::new();
    }
    let what: Vec<String> = facts.unseen.iter().map(|unseen| format!("{}: {}", unseen.what, unseen.why)).collect();
    vec![
        Finding::new("not-everything-seen", Severity::Warn, "parts of this node could not be seen")
            .cause(what.join("; "))
            .fix(if what.iter().any(|why| why.contains("run as root")) {
                "run castoff as root on the node"
            } else {
                "a plan made from half of the facts may be half a plan; see to the reasons first"
            }),
    ]
}

pub fn systemd_silent(facts: &Facts) -> Vec<Finding> {
    let Some(unseen) = facts.unseen.iter().find(|unseen| unseen.what == UNITS_UNSEEN) else { return Vec::new() };
    vec![
        Finding::new("systemd-silent", Severity::Block, "systemd does not answer, so it is not known what runs")
            .cause(unseen.why.clone())
            .fix("see that D-Bus and systemd run; for a file tree that does not run, use `--root DIR`"),
    ]
}
