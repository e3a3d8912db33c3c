//! Findings about containerd: what each means, and how it is found in facts.

use super::{CheckInfo, on_docker, version};
use crate::model::{Facts, Finding, Origin, Severity};

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "containerd-missing",
        severity: Severity::Block,
        summary: "containerd is not installed as a system service",
        explanation: "kubelet needs a containerd that lives longer than Docker. Here there is no containerd.service: \
            either containerd is not installed, or dockerd runs a private one as its child. Install your distribution's \
            `containerd` or Docker's `containerd.io` package first; castoff installs nothing.",
        run: Some(containerd_missing),
    },
    CheckInfo {
        id: "containerd-masked",
        severity: Severity::Block,
        summary: "containerd.service is masked, so nothing can start it",
        explanation: "kubelet needs containerd.service, and a link to /dev/null stands in its place: somebody did not want it \
            beside the containerd that dockerd runs as its child. Neither a step of the plan nor the next boot could start it. \
            castoff does not take an administrator's mask away: `systemctl unmask containerd.service`, then plan again. That \
            starts nothing yet.",
        run: Some(containerd_masked),
    },
    CheckInfo {
        id: "containerd-version-unknown",
        severity: Severity::Block,
        summary: "containerd's version is unknown, so its configuration schema cannot be chosen",
        explanation: "containerd 1.x reads schema 2, containerd 2.x reads schema 3, and a file of the wrong one is often \
            accepted in silence with every CRI setting ignored. castoff asks the binary on a running node, and the \
            package database in a file tree. Where both are silent, use `--assume containerd.version=…`.",
        run: Some(containerd_version_unknown),
    },
    CheckInfo {
        id: "cri-plugin-disabled",
        severity: Severity::Note,
        summary: "containerd's CRI plugin is switched off",
        explanation: "Docker's package ships a containerd configuration with `disabled_plugins = [\"cri\"]`. containerd then \
            runs and Docker works, but kubelet finds no CRI service. The plan removes every spelling of it and proves \
            over gRPC that CRI really answers.",
        run: Some(cri_plugin_disabled),
    },
    CheckInfo {
        id: "containerd-imports",
        severity: Severity::Note,
        summary: "containerd's configuration is joined from several files",
        explanation: "containerd reads its main file and then everything named in `imports`, breadth first; a later file \
            wins over an earlier one. Before containerd 2.0 an imported file replaces the whole table of a plugin, from \
            2.0 on such tables are joined key by key, lists replaced. castoff joins the files as this release does, \
            names for each value the file it comes from, edits the file that decides, and proves the joined result.",
        run: Some(containerd_imports),
    },
    CheckInfo {
        id: "containerd-config-overruled",
        severity: Severity::Block,
        summary: "another file of containerd's would win over the plan",
        explanation: "After a plan's files are made, castoff joins them as this release of containerd does and looks whether \
            the result is what was wanted: CRI on, the systemd cgroup driver on every runc handler, the sandbox image and \
            every setting taken over from Docker. Here something would still be otherwise; the cause names what, and the \
            file and line that decides. Correct that file, or let one file be made anew with \
            `containerd-config = \"regenerate\"` in the profile.",
        run: None,
    },
    CheckInfo {
        id: "containerd-endpoint",
        severity: Severity::Block,
        summary: "containerd serves on another socket than the plan goes by",
        explanation: "`[grpc] address` in containerd's files, or `--address` on its command line, decides on which socket it \
            serves. A plan points kubelet and crictl to `endpoint` of the profile, or /run/containerd/containerd.sock, and waits \
            there for CRI. Here the two differ. castoff does not move the socket, which others may know: set `endpoint` in the \
            profile to the one that containerd is told, or let containerd serve where the profile says.",
        run: None,
    },
    CheckInfo {
        id: "sandbox-image-default",
        severity: Severity::Warn,
        summary: "containerd will use its own default sandbox image",
        explanation: "Neither kubelet's --pod-infra-container-image nor the profile names a sandbox (pause) image, and none \
            was found running. containerd then pulls the one its release was built with. Without a registry no pod can \
            start: name one with `sandbox-image` in the profile.",
        run: None,
    },
    CheckInfo {
        id: "containerd-trial-failed",
        severity: Severity::Block,
        summary: "the planned configuration does not bring CRI up in this node's containerd",
        explanation: "Before anything is touched, castoff starts the node's own containerd on the planned files, shut off \
            from the node in namespaces of its own, and asks it over gRPC whether its CRI plugin works. Here it does \
            not; the cause is in containerd's own words. systemd would not have noticed: containerd goes on running \
            when its CRI plugin fails to load. Usual causes: `config_path` beside `mirrors` or `configs`, a snapshotter \
            this containerd has not, a `default_runtime_name` without a runtime of that name, a value of the wrong type, \
            or an import that switches CRI off.",
        run: None,
    },
    CheckInfo {
        id: "containerd-trial-driver",
        severity: Severity::Block,
        summary: "containerd would not use systemd's cgroup driver as planned",
        explanation: "The node's own containerd was started on the planned files and came up, but at least one of its runtime \
            handlers would still create cgroups itself (cgroupfs). Then two managers share one tree, and pods are killed \
            under pressure that is not theirs. Usual causes: an import that replaces the handler's table, or options \
            under a name this release does not read. kubelet 1.31 and later takes containerd's answer over its own setting.",
        run: None,
    },
    CheckInfo {
        id: "pod-trial-failed",
        severity: Severity::Block,
        summary: "a container or pod of castoff's own does not run with what this node will have",
        explanation: "Before the first step castoff runs containers of its own with its own runtime and with the node's, and \
            pods with a containerd of its own on the planned configuration, apart from the node. One of these checks \
            failed; nothing was changed. The check's name says what stands in the way: `reference-` the kernel, its cgroups \
            or a privilege; `runc-` the node's runtime; `shadow-` containerd, its shim or its configuration. \
            `castoff verify --level cri` runs the same on the configuration that is there now.",
        run: None,
    },
    CheckInfo {
        id: "containerd-trial-undecided",
        severity: Severity::Warn,
        summary: "the planned configuration was tried, but nothing can be said about it",
        explanation: "The trial of the planned configuration came to no result: containerd did not answer in time, no namespaces \
            could be made, or the configuration needs something that a trial has not, such as a snapshotter with a disk of \
            its own. Nothing is known to be wrong. The verification after the switch decides, and takes the node back if \
            it fails.",
        run: None,
    },
    CheckInfo {
        id: "containerd-trial-skipped",
        severity: Severity::Note,
        summary: "the planned configuration was not tried with this node's containerd",
        explanation: "castoff tries the planned configuration with the node's own containerd where it can: as root, where the \
            program is there and runs on this machine. A captured copy of a node's files usually has no programs, and an \
            image for another architecture has some that do not run here. On the node itself it is tried before anything is \
            touched.",
        run: None,
    },
];

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

pub fn containerd_masked(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) || !facts.unit("containerd.service").is_masked() {
        return Vec::new();
    }
    vec![
        Finding::new("containerd-masked", Severity::Block, "containerd.service is masked, so nothing can start it")
            .cause("kubelet needs it from now on, and a mask keeps everybody from starting it")
            .fix("run `systemctl unmask containerd.service`, then plan again")
            .at(Origin::unit("/etc/systemd/system/containerd.service", None)),
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

pub fn containerd_imports(facts: &Facts) -> Vec<Finding> {
    if facts.containerd.config_files.len() < 2 {
        return Vec::new();
    }
    let summary = "containerd's configuration is joined from several files";
    let mut finding = Finding::new("containerd-imports", Severity::Note, summary)
        .cause(format!("in this order, the later winning: {}", facts.containerd.config_files.join(", ")))
        .fix("nothing to do: the plan edits the file that decides");
    finding.origins = facts.containerd.imports.iter().map(|import| import.origin.clone()).collect();
    vec![finding]
}
