//! Findings about kubelet and the runtime it asks: what each means, and how it is found in facts.

use super::{CheckInfo, on_docker, version};
use crate::model::{Facts, Finding, Origin, RuntimeKind, Severity};

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
        summary: "kubelet.service cannot start without docker.service",
        explanation: "A unit or drop-in says `Requires=` or `BindsTo=docker.service`. Once Docker is masked, systemd would \
            refuse to start kubelet. systemd cannot take back a dependency in a drop-in: edit the file that declares it, \
            and use `Wants=containerd.service` and `After=containerd.service` instead.",
        run: Some(kubelet_requires_docker),
    },
    CheckInfo {
        id: "kubelet-flags-in-unit",
        severity: Severity::Block,
        summary: "flags that must change stand in kubelet's unit file itself",
        explanation: "castoff rewrites flags in environment files (kubeadm-flags.env, /etc/default/kubelet, \
            /etc/sysconfig/kubelet, or any EnvironmentFile). Here they stand in an ExecStart= line. Move them into an \
            environment file that the unit reads, then plan again.",
        run: None,
    },
    CheckInfo {
        id: "kubelet-flags-nowhere",
        severity: Severity::Block,
        summary: "there is no environment file in which kubelet's runtime flags could be set",
        explanation: "kubelet's unit reads no environment file that castoff may extend. Add `EnvironmentFile=-/etc/default/\
            kubelet` and `$KUBELET_EXTRA_ARGS` to it in a drop-in, create the file with `KUBELET_EXTRA_ARGS=`, then plan \
            again.",
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
