//! Every finding castoff can make, with what `castoff explain` says about it.

use super::node;
use crate::model::{Explanation, Facts, Finding, Severity};

/// One kind of finding.
#[derive(Debug, Clone, Copy)]
pub struct CheckInfo {
    /// Public name.
    pub id: &'static str,
    /// The weight it has when it is found.
    pub severity: Severity,
    /// One line.
    pub summary: &'static str,
    /// What `castoff explain` prints.
    pub explanation: &'static str,
    /// How it is found in facts; absent for findings of the planner.
    pub run: Option<fn(&Facts) -> Vec<Finding>>,
}

impl CheckInfo {
    /// What there is to know about it.
    pub const fn explain(&self) -> Explanation {
        Explanation { id: self.id, severity: self.severity, summary: self.summary, text: self.explanation }
    }
}

/// The entry of an id.
pub fn find(id: &str) -> Option<&'static CheckInfo> {
    registry().iter().find(|check| check.id == id)
}

/// All kinds of findings, by subject.
pub const fn registry() -> &'static [CheckInfo] {
    REGISTRY
}

const REGISTRY: &[CheckInfo] = &[
    CheckInfo {
        id: "no-kubelet",
        severity: Severity::Note,
        summary: "there is no kubelet here, so there are no pods to move",
        explanation: "castoff moves the pods of a Kubernetes node. Where no kubelet.service (or kubelet package) is \
            installed there is nothing to move, and a plan is empty. If kubelet is installed in an unusual place, give \
            it a unit called kubelet.service.",
        run: Some(node::no_kubelet),
    },
    CheckInfo {
        id: "no-docker",
        severity: Severity::Note,
        summary: "there is no Docker here",
        explanation: "Neither docker.service nor a Docker package was found. A node that is on containerd already needs \
            none; castoff then only keeps containerd's and kubelet's configuration right.",
        run: Some(node::no_docker),
    },
    CheckInfo {
        id: "on-containerd-already",
        severity: Severity::Note,
        summary: "kubelet runs its pods on containerd already",
        explanation: "kubelet's endpoint is containerd's. A plan then holds only what is still different from the wanted \
            state (CRI switched on, one cgroup driver everywhere, crictl pointed to containerd), and is empty when \
            nothing is. Docker, when it is still there, is left as it is: it may serve something else.",
        run: Some(node::on_containerd_already),
    },
    CheckInfo {
        id: "runtime-unsupported",
        severity: Severity::Block,
        summary: "kubelet runs its pods on something castoff cannot move away from",
        explanation: "castoff moves nodes from Docker, through dockershim or cri-dockerd. kubelet's endpoint on this node \
            is another CRI runtime (CRI-O, or a socket castoff does not know). `castoff inspect` and `castoff verify` \
            work here; `castoff migrate` does not.",
        run: Some(node::runtime_unsupported),
    },
    CheckInfo {
        id: "runtime-unknown",
        severity: Severity::Block,
        summary: "it is not clear what kubelet runs its pods on",
        explanation: "No runtime endpoint was found in kubelet's flags or configuration, and without kubelet's version its \
            default is unknown: up to 1.23 that is Docker through dockershim, later there is none. On a file tree, state \
            the version with `--assume kubelet.version=1.23.17`.",
        run: Some(node::runtime_unknown),
    },
    CheckInfo {
        id: "kubelet-version-unknown",
        severity: Severity::Block,
        summary: "kubelet's version is unknown, so its flags cannot be rewritten safely",
        explanation: "kubelets die of unknown flags, and need others: `--container-runtime=remote` is required up to 1.26 \
            and fatal from 1.27 on; `--network-plugin` is fatal from 1.24 on. castoff asks the binary on a running node, \
            and the package database in a file tree. Where both are silent, use `--assume kubelet.version=…`.",
        run: Some(node::kubelet_version_unknown),
    },
    CheckInfo {
        id: "containerd-missing",
        severity: Severity::Block,
        summary: "containerd is not installed as a system service",
        explanation: "kubelet needs a containerd that lives longer than Docker. Here there is no containerd.service: \
            either containerd is not installed, or dockerd runs a private one as its child. Install your distribution's \
            `containerd` or Docker's `containerd.io` package first; castoff installs nothing.",
        run: Some(node::containerd_missing),
    },
    CheckInfo {
        id: "containerd-version-unknown",
        severity: Severity::Block,
        summary: "containerd's version is unknown, so its configuration schema cannot be chosen",
        explanation: "containerd 1.x reads schema 2, containerd 2.x reads schema 3, and a file of the wrong one is often \
            accepted in silence with every CRI setting ignored. castoff asks the binary on a running node, and the \
            package database in a file tree. Where both are silent, use `--assume containerd.version=…`.",
        run: Some(node::containerd_version_unknown),
    },
    CheckInfo {
        id: "cri-version-mismatch",
        severity: Severity::Block,
        summary: "kubelet and containerd have no version of CRI in common",
        explanation: "containerd up to 1.5 speaks CRI v1alpha2 only, 1.6 and 1.7 speak both, 2.x speaks v1 only. kubelet \
            up to 1.22 speaks v1alpha2 only, 1.23 to 1.25 both, and from 1.26 on v1 only. This pair cannot talk; upgrade \
            the older side first.",
        run: Some(node::cri_version_mismatch),
    },
    CheckInfo {
        id: "cri-plugin-disabled",
        severity: Severity::Note,
        summary: "containerd's CRI plugin is switched off",
        explanation: "Docker's package ships a containerd configuration with `disabled_plugins = [\"cri\"]`. containerd then \
            runs and Docker works, but kubelet finds no CRI service. The plan removes every spelling of it and proves \
            over gRPC that CRI really answers.",
        run: Some(node::cri_plugin_disabled),
    },
    CheckInfo {
        id: "cgroup-driver-mismatch",
        severity: Severity::Warn,
        summary: "Docker, containerd and kubelet do not use the same cgroup driver",
        explanation: "When kubelet and its runtime put processes into cgroups in different ways, two managers fight over \
            the same tree: under memory pressure pods are killed together, limits do not hold, metrics vanish. The plan \
            sets all of them to `systemd`, which is right wherever systemd is PID 1.",
        run: Some(node::cgroup_driver_mismatch),
    },
    CheckInfo {
        id: "cgroup-mode-unknown",
        severity: Severity::Note,
        summary: "the cgroup mode cannot be seen in a file tree",
        explanation: "Which cgroup hierarchy the kernel mounts is decided at boot. For a file tree, state it with \
            `--assume cgroup.mode=unified`, `hybrid` or `legacy`; it decides Docker's default cgroup driver.",
        run: Some(node::cgroup_mode_unknown),
    },
    CheckInfo {
        id: "docker-only-containers",
        severity: Severity::Block,
        summary: "containers run on Docker that kubelet did not make",
        explanation: "Stopping Docker stops them, and containerd will not run them. Move them into pods, or onto another \
            host, or stop them. With `--skip-check docker-only-containers` they are stopped with Docker, and a rollback \
            starts again those that ran.",
        run: Some(node::docker_only_containers),
    },
    CheckInfo {
        id: "docker-not-running",
        severity: Severity::Warn,
        summary: "Docker does not run, so its images cannot be brought along",
        explanation: "Images are carried by asking dockerd for them. Start Docker before the migration, or have a registry \
            (or `docker save` archives) ready from which the pods' images can be pulled. On a file tree this is always \
            so: images are pulled at the next boot.",
        run: Some(node::docker_not_running),
    },
    CheckInfo {
        id: "docker-cgroup-flag",
        severity: Severity::Warn,
        summary: "Docker's cgroup driver is set by a flag, which castoff does not edit",
        explanation: "dockerd refuses to start when the driver is given both as a flag and in daemon.json, so castoff does \
            not write it into daemon.json while the flag is there. Docker is stopped by the migration anyway; if you mean \
            to use it again, change the flag in the unit or drop-in that is named.",
        run: Some(node::docker_cgroup_flag),
    },
    CheckInfo {
        id: "live-restore",
        severity: Severity::Note,
        summary: "Docker leaves containers running when it stops (live-restore)",
        explanation: "With live-restore, stopping dockerd alone would leave every pod's containers running beside the new \
            ones, with port clashes and two copies of everything. castoff stops the containers of pods itself, each with \
            its own grace period, before it stops Docker.",
        run: Some(node::live_restore),
    },
    CheckInfo {
        id: "kubelet-requires-docker",
        severity: Severity::Block,
        summary: "kubelet.service cannot start without docker.service",
        explanation: "A unit or drop-in says `Requires=` or `BindsTo=docker.service`. Once Docker is masked, systemd would \
            refuse to start kubelet. systemd cannot take back a dependency in a drop-in: edit the file that declares it, \
            and use `Wants=containerd.service` and `After=containerd.service` instead.",
        run: Some(node::kubelet_requires_docker),
    },
    CheckInfo {
        id: "no-cni",
        severity: Severity::Block,
        summary: "there is no CNI configuration, so pods would get no network",
        explanation: "With kubenet, or with no `--network-plugin` at all, Docker's own bridge gave pods their network. \
            containerd always uses CNI and stays NetworkReady=false until a configuration is in its directory. Install a \
            CNI plugin and its configuration first. A node that runs only hostNetwork pods can skip this check.",
        run: Some(node::no_cni),
    },
    CheckInfo {
        id: "log-format-changes",
        severity: Severity::Warn,
        summary: "log files change their place and format",
        explanation: "Docker wrote JSON lines below its data root and kubelet linked them into /var/log/pods. containerd \
            writes CRI text lines (`TIME STREAM F MESSAGE`) straight into /var/log/pods. Agents that read \
            /var/lib/docker/containers, or parse JSON, must be told. Rotation is kubelet's from now on \
            (containerLogMaxSize, 10Mi; containerLogMaxFiles, 5).",
        run: Some(node::log_format_changes),
    },
    CheckInfo {
        id: "containerd-imports",
        severity: Severity::Warn,
        summary: "containerd's configuration imports other files, which castoff does not judge yet",
        explanation: "An imported file wins over the main one: before containerd 2.0 it replaces a whole plugin table, \
            later it is merged. castoff edits the main file only and proves the result over CRI; if an import switches \
            CRI off or sets another driver, the verification fails and the node is rolled back.",
        run: Some(node::containerd_imports),
    },
    CheckInfo {
        id: "not-everything-seen",
        severity: Severity::Warn,
        summary: "parts of this node could not be seen",
        explanation: "Files that only root may read, or daemons that did not answer, are listed under `unseen`. A plan made \
            from half of the facts may be half a plan: run castoff as root on the node.",
        run: Some(node::not_everything_seen),
    },
    CheckInfo {
        id: "systemd-silent",
        severity: Severity::Block,
        summary: "systemd does not answer, so it is not known what runs",
        explanation: "castoff asks systemd over D-Bus which units run, and has it stop and start them. Without an answer a \
            plan would not know whether Docker or kubelet runs, and could not be applied. Inside a container, or where \
            D-Bus is not installed, castoff can only work on a file tree: `--root DIR`.",
        run: Some(node::systemd_silent),
    },
    CheckInfo {
        id: "file-unreadable",
        severity: Severity::Block,
        summary: "a configuration file cannot be understood",
        explanation: "The file is not text, not in the format it should have, or no regular file. castoff edits only what it \
            understands completely, and the daemon that reads the file could not read it either. The finding shows the \
            place and the parser's reason.",
        run: None,
    },
    CheckInfo {
        id: "config-not-editable",
        severity: Severity::Block,
        summary: "a configuration file cannot be edited safely",
        explanation: "castoff edits documents in place and reads the result back with a second, independent parser. Here the \
            document has a shape in which the setting cannot be placed without touching more than it should. Make the \
            change by hand as the finding says, then plan again.",
        run: None,
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
        id: "images-without-name",
        severity: Severity::Warn,
        summary: "pods use images that have no tag and cannot be carried by name",
        explanation: "Docker knows these images only by id. An archive of them has no name in it, so containerd could not \
            find them again. They are left to be pulled; tag them first (`docker tag ID NAME`) if no registry has them.",
        run: None,
    },
    CheckInfo {
        id: "docker-unit-not-maskable",
        severity: Severity::Warn,
        summary: "a real unit file of Docker is in the way of masking it",
        explanation: "Masking links the unit's name below /etc/systemd/system to /dev/null; here an administrator's own unit \
            file has that name. It is not castoff's to move: the unit is stopped and disabled but not masked, so `systemctl \
            start docker` would still start it.",
        run: None,
    },
];
