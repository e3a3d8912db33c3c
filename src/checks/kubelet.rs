//! Findings about kubelet and the runtime it asks: what each means, and how it is found in facts.

use super::{CheckInfo, on_docker, version};
use crate::model::{Facts, Finding, RuntimeKind, Severity, Sourced};

/// What `inspect` notes when kubelet's program did not tell its version.
pub const KUBELET_VERSION_UNSEEN: &str = "kubelet's version";

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "no-kubelet",
        severity: Severity::Note,
        summary: "there is no kubelet here, so there are no pods to move",
        explanation: "castoff moves the pods of a Kubernetes node. Where no kubelet.service (or kubelet package) is \
            installed there is nothing to move, and a plan is empty. If kubelet is installed in an unusual place, give \
            it a unit called kubelet.service.",
        run: Some(no_kubelet),
    },
    CheckInfo {
        id: "on-containerd-already",
        severity: Severity::Note,
        summary: "kubelet runs its pods on containerd already",
        explanation: "kubelet's endpoint is containerd's. A plan then holds only what is still different from the wanted \
            state (CRI switched on, one cgroup driver everywhere, crictl pointed to containerd), and is empty when \
            nothing is. Docker, when it is still there, is left as it is: it may serve something else.",
        run: Some(on_containerd_already),
    },
    CheckInfo {
        id: "runtime-unsupported",
        severity: Severity::Block,
        summary: "kubelet runs its pods on something castoff cannot move away from",
        explanation: "castoff moves nodes from Docker, through dockershim or cri-dockerd. kubelet's endpoint on this node \
            is another CRI runtime (CRI-O, or a socket castoff does not know). `castoff inspect` and `castoff verify` \
            work here; `castoff migrate` does not.",
        run: Some(runtime_unsupported),
    },
    CheckInfo {
        id: "runtime-unknown",
        severity: Severity::Block,
        summary: "it is not clear what kubelet runs its pods on",
        explanation: "No runtime endpoint was found in kubelet's flags or configuration, and without kubelet's version its \
            default is unknown: up to 1.23 that is Docker through dockershim, later there is none. On a file tree, state \
            the version with `--assume kubelet.version=1.23.17`.",
        run: Some(runtime_unknown),
    },
    CheckInfo {
        id: "kubelet-version-unknown",
        severity: Severity::Block,
        summary: "kubelet's version is unknown, so its flags cannot be rewritten safely",
        explanation: "kubelets die of unknown flags, and need others: `--container-runtime=remote` is required up to 1.26 \
            and fatal from 1.27 on; `--network-plugin` is fatal from 1.24 on. castoff asks the binary on a running node, \
            and the package database in a file tree. Where both are silent, use `--assume kubelet.version=…`.",
        run: Some(kubelet_version_unknown),
    },
    CheckInfo {
        id: "kubelet-requires-docker",
        severity: Severity::Block,
        summary: "kubelet.service cannot start without Docker, and castoff cannot change that",
        explanation: "Once Docker is masked, systemd would refuse to start a kubelet that requires it. Where a unit or \
            drop-in says `Requires=` or `BindsTo=docker.service`, a plan puts containerd.service in its place: in the file \
            itself below /etc, in a copy of it where a package ships it. What is left, and this finding is about, is a link \
            in /etc to a package's file, a package's link below kubelet.service.requires, and what somebody put around \
            kubelet: an `ExecStartPre=` that asks or starts Docker, `AssertPathExists=` or `ConditionPathExists=` of \
            Docker's socket. kubelet would wait for ever, or systemd would not start it. It only warns where the failure \
            does not count (a `-` in front of the command, `||`, `!`, `if` or `exit` in a shell's line, a `!` or `|` in front \
            of the path, commands at kubelet's end), where a script neither waits for Docker (`until`, `while`) nor ends at \
            a failure (`set -e`), or where the path goes with Docker's package. A loop that waits for Docker without an end \
            (`timeout`, a counter, `break`) blocks behind a `-` too: systemd waits for it and then gives up. Take the setting out, or make it one of \
            containerd's; a drop-in with an empty `ExecStartPre=` takes a package's back.",
        run: Some(unit_uses_docker),
    },
    CheckInfo {
        id: "kubelet-flags-nowhere",
        severity: Severity::Block,
        summary: "kubelet has no command line in which its runtime flags could be set",
        explanation: "castoff changes flags where they stand: in environment files, in Environment= and ExecStart= of units \
            and drop-ins, and over what packages ship in a drop-in of its own. kubelet.service has no ExecStart= here, or \
            its file cannot be read. Give it one that starts kubelet, then plan again.",
        run: None,
    },
];

pub fn no_kubelet(facts: &Facts) -> Vec<Finding> {
    if facts.kubelet.installed {
        return Vec::new();
    }
    vec![
        Finding::new("no-kubelet", Severity::Note, "there is no kubelet here, so there are no pods to move")
            .cause("no kubelet.service and no kubelet package was found"),
    ]
}

pub fn on_containerd_already(facts: &Facts) -> Vec<Finding> {
    let moved = |kind: &&Sourced<RuntimeKind>| kind.value == RuntimeKind::Containerd && !facts.is_half_migrated();
    let Some(runtime) = facts.kubelet.runtime.as_ref().filter(moved) else {
        return Vec::new();
    };
    vec![
        Finding::new("on-containerd-already", Severity::Note, "kubelet runs its pods on containerd already")
            .at(runtime.origin.clone()),
    ]
}

pub fn unit_uses_docker(facts: &Facts) -> Vec<Finding> {
    let uses = facts.kubelet.docker_uses.iter().filter(|_| on_docker(facts));
    uses.map(|one| {
        let (severity, summary) = if one.needed {
            (Severity::Block, "kubelet.service cannot start without Docker")
        } else {
            (Severity::Warn, "kubelet.service looks for Docker, which will not run any more")
        };
        Finding::new("kubelet-requires-docker", severity, summary)
            .cause(format!("{}=: {}", one.key, one.what))
            .fix("take it out of the unit, or have it wait for containerd instead")
            .at(one.origin.clone())
    })
    .collect()
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
    let asked = facts.unseen.iter().find(|unseen| unseen.what == KUBELET_VERSION_UNSEEN);
    let cause = asked.map_or_else(
        || "neither the kubelet binary nor the package database tells it".to_owned(),
        |unseen| format!("no package tells it, and {}", unseen.why),
    );
    vec![
        Finding::new("kubelet-version-unknown", Severity::Block, summary)
            .cause(cause)
            .fix("state it: `--assume kubelet.version=1.23.17`"),
    ]
}
