//! Findings about the node as a whole: what each means, and how it is found in facts.

use super::{CheckInfo, matrix, on_docker};
use crate::model::{CNI_CONF_DIR, Facts, Finding, Origin, Severity};

/// What `inspect` notes when units cannot be asked.
pub const UNITS_UNSEEN: &str = "which units run";

/// How `inspect` begins to say of a manifest that kubelet might be able to read.
pub const POD_UNSEEN: &str = "it says that it is a Pod and cannot be read";

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "cri-version-mismatch",
        severity: Severity::Block,
        summary: "kubelet and containerd have no version of CRI in common",
        explanation: "containerd up to 1.5 speaks CRI v1alpha2 only, 1.6 and 1.7 speak both, 2.x speaks v1 only. kubelet \
            up to 1.22 speaks v1alpha2 only, 1.23 to 1.25 both, and from 1.26 on v1 only. This pair cannot talk; upgrade \
            the older side first.",
        run: Some(cri_version_mismatch),
    },
    CheckInfo {
        id: "cgroup-driver-mismatch",
        severity: Severity::Warn,
        summary: "Docker, containerd and kubelet do not use the same cgroup driver",
        explanation: "When kubelet and its runtime put processes into cgroups in different ways, two managers fight over \
            the same tree: under memory pressure pods are killed together, limits do not hold, metrics vanish. The plan \
            sets all of them to `systemd`, which is right wherever systemd is PID 1.",
        run: Some(cgroup_driver_mismatch),
    },
    CheckInfo {
        id: "cgroup-mode-unknown",
        severity: Severity::Note,
        summary: "the cgroup mode cannot be seen in a file tree",
        explanation: "Which cgroup hierarchy the kernel mounts is decided at boot. For a file tree, state it with \
            `--assume cgroup.mode=unified`, `hybrid` or `legacy`; it decides Docker's default cgroup driver.",
        run: Some(cgroup_mode_unknown),
    },
    CheckInfo {
        id: "no-cni",
        severity: Severity::Block,
        summary: "there is no CNI configuration, so pods would get no network",
        explanation: "With kubenet, or with no `--network-plugin` at all, Docker's own bridge gave pods their network. \
            containerd always uses CNI and stays NetworkReady=false until a configuration is in its directory. Install a \
            CNI plugin and its configuration first. A node that runs only hostNetwork pods can skip this check.",
        run: Some(no_cni),
    },
    CheckInfo {
        id: "not-everything-seen",
        severity: Severity::Warn,
        summary: "parts of this node could not be seen",
        explanation: "Files that only root may read, or daemons that did not answer, are listed under `unseen`. A plan made \
            from half of the facts may be half a plan: run castoff as root on the node.",
        run: Some(not_everything_seen),
    },
    CheckInfo {
        id: "static-pod-unreadable",
        severity: Severity::Block,
        summary: "a static pod's manifest cannot be read",
        explanation: "A file among kubelet's static pods says `kind: Pod`, and castoff cannot read the rest of it. Should kubelet \
            be able to, it runs a pod of which castoff knows nothing: that it is etcd with its data inside, that it mounts \
            Docker's socket, which image it needs. If kubelet cannot read it either, there is no such pod, and kubelet's log \
            names the file. Correct it, or take it out of the folder.",
        run: Some(static_pod_unreadable),
    },
    CheckInfo {
        id: "systemd-silent",
        severity: Severity::Block,
        summary: "systemd does not answer, so it is not known what runs",
        explanation: "castoff asks systemd over D-Bus which units run, and has it stop and start them. Without an answer a \
            plan would not know whether Docker or kubelet runs, and could not be applied. Inside a container, or where \
            D-Bus is not installed, castoff can only work on a file tree: `--root DIR`.",
        run: Some(systemd_silent),
    },
    CheckInfo {
        id: "file-unreadable",
        severity: Severity::Block,
        summary: "a configuration file cannot be understood",
        explanation: "The file is not text, not in the format it should have, or no regular file. castoff edits only what it \
            understands completely. The finding shows the place and the parser's reason. Mostly the daemon that reads the \
            file cannot read it either; where it can, as a daemon.json with a key twice, the fix says what to do.",
        run: None,
    },
    CheckInfo {
        id: "config-not-editable",
        severity: Severity::Block,
        summary: "a configuration file cannot be edited safely",
        explanation: "castoff edits documents in place and reads the result back with a second, independent parser. Here the \
            document has a shape in which the setting cannot be placed without touching more than it should. Make the \
            change by hand as the finding says, then plan again. For crictl's file it is a warning: the node does without.",
        run: None,
    },
];

pub fn cri_version_mismatch(facts: &Facts) -> Vec<Finding> {
    let (Some(kubelet), Some(containerd)) = (&facts.kubelet.version, &facts.containerd.version) else {
        return Vec::new();
    };
    let (Some(k), Some(c)) = (matrix::version(&kubelet.value), matrix::version(&containerd.value)) else {
        return Vec::new();
    };
    let (speaks, serves) = (matrix::kubelet_speaks(k), matrix::containerd_serves(c));
    let (old, new) = (speaks.0 && serves.0, speaks.1 && serves.1);
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

pub fn no_cni(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) || facts.cni.config.is_some() {
        return Vec::new();
    }
    let dirs = facts.cni_conf_dirs();
    let nothing = format!("no configuration was found in {}", dirs.join(" or "));
    let cause = match facts.kubelet.network_plugin() {
        _ if facts.is_half_migrated() => format!("containerd uses CNI, but {nothing}"),
        "kubenet" => "kubelet uses kubenet, which only Docker nodes have".to_owned(),
        "cni" => format!("the node uses CNI, but {nothing}"),
        _ => "kubelet uses no network plugin: Docker's bridge gives pods their network".to_owned(),
    };
    let dir = dirs.first().copied().unwrap_or(CNI_CONF_DIR);
    let fix = format!("install a CNI configuration below {dir}; nodes with hostNetwork pods only may skip this check");
    let summary = "there is no CNI configuration, so pods would get no network";
    let finding = Finding::new("no-cni", Severity::Block, summary).cause(cause).fix(fix);
    vec![match facts.kubelet.shim_flag("network-plugin") {
        Some(flag) => finding.at(flag.origin.clone()),
        None => finding,
    }]
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

pub fn static_pod_unreadable(facts: &Facts) -> Vec<Finding> {
    let unread = facts.unseen.iter().filter(|unseen| on_docker(facts) && unseen.why.starts_with(POD_UNSEEN));
    let finding = |path: &str, why: &str| {
        Finding::new("static-pod-unreadable", Severity::Block, format!("the static pod in {path} is not seen"))
            .cause(why)
            .fix("correct the file; if kubelet runs no pod of it, take it out of the folder")
            .at(Origin::path(path))
    };
    unread.map(|unseen| finding(&unseen.what, &unseen.why)).collect()
}

pub fn systemd_silent(facts: &Facts) -> Vec<Finding> {
    let Some(unseen) = facts.unseen.iter().find(|unseen| unseen.what == UNITS_UNSEEN) else { return Vec::new() };
    vec![
        Finding::new("systemd-silent", Severity::Block, "systemd does not answer, so it is not known what runs")
            .cause(unseen.why.clone())
            .fix("see that D-Bus and systemd run; for a file tree that does not run, use `--root DIR`"),
    ]
}
