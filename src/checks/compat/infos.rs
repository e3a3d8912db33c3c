//! What each finding of this subject means.

use super::super::CheckInfo;
use crate::model::Severity;

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "cgroup-v1-refused",
        severity: Severity::Block,
        summary: "kubelet refuses to start on cgroup v1",
        explanation: "From 1.35 on kubelet fails at its start on cgroup v1 (also in the hybrid mode, which counts as v1) \
            unless `failCgroupV1: false` stands in its configuration. A migration restarts kubelet, so it would not come \
            back. Boot the node with cgroup v2, which is a migration of its own with other defaults, or set the switch \
            until then.",
        run: Some(super::cgroup_v1_refused),
    },
    CheckInfo {
        id: "cgroup-v1-ends",
        severity: Severity::Note,
        summary: "this node runs with cgroup v1",
        explanation: "cgroup v1 is on its way out: kubelet 1.35 refuses it by default, containerd 2.2 and Docker 29 \
            deprecate it, systemd 258 cannot boot with it. The migration to containerd works with it; do one thing at a \
            time and plan the other.",
        run: Some(super::cgroup_v1_ends),
    },
    CheckInfo {
        id: "containerd-too-old",
        severity: Severity::Block,
        summary: "kubelet, or castoff, needs a newer containerd",
        explanation: "From 1.38 on (it was put off twice) kubelet takes its cgroup driver from the runtime's answer to \
            RuntimeConfig and nowhere else. containerd answers it from 2.0 on. And up to 1.2 containerd reads version 1 of \
            its configuration only, while castoff writes version 2 and later: CRI would run on containerd's defaults. Upgrade \
            containerd first.",
        run: Some(super::containerd_too_old),
    },
    CheckInfo {
        id: "containerd-untested",
        severity: Severity::Note,
        summary: "this containerd is not among those tested with this Kubernetes release",
        explanation: "containerd's release table names, for each Kubernetes release from 1.32 on, the patch releases that \
            are tested with it. An older one usually works: the interface is the same. Fixes that this kubelet relies on \
            may be missing.",
        run: Some(super::containerd_untested),
    },
    CheckInfo {
        id: "systemd-too-old",
        severity: Severity::Warn,
        summary: "systemd is too old for the cgroup driver systemd",
        explanation: "castoff sets the cgroup driver to systemd everywhere. Before 228 systemd makes no transient slices, \
            and kubelet stops with `Unit type slice does not support transient units` (Red Hat's 219 of release 7 has this \
            patched in). On cgroup v2, systemd before 244 does not delegate the cpuset controller, so CPU pinning of \
            containers has no effect.",
        run: Some(super::systemd_too_old),
    },
    CheckInfo {
        id: "kernel-too-old",
        severity: Severity::Block,
        summary: "the kernel is too old for this setup",
        explanation: "containerd 2.x enables unprivileged ports and pings, which need Linux 4.11: on older kernels its CRI \
            plugin refuses to load unless both switches are off. On cgroup v2, runc needs 4.15 to keep devices from \
            containers, and 5.2 to freeze them (a warning only).",
        run: Some(super::kernel_too_old),
    },
    CheckInfo {
        id: "apparmor-stops-runc",
        severity: Severity::Warn,
        summary: "AppArmor keeps runc from stopping containers",
        explanation: "AppArmor 4 (Ubuntu 23.10 and later) has a profile for /usr/sbin/runc. The profile that containerd gives \
            to containers allowed signals from unconfined processes only until 1.6.32 and 1.7.16: pods then stay \
            Terminating with `unable to signal init: permission denied`. Docker hid this by sending the signal itself. \
            The runc of Docker's own packages is /usr/bin/runc and not concerned.",
        run: Some(super::apparmor_stops_runc),
    },
    CheckInfo {
        id: "cni-version-trap",
        severity: Severity::Warn,
        summary: "this containerd has trouble with older CNI plugins",
        explanation: "containerd 1.6.0 to 1.6.3 write the loopback network for CNI 1.0.0. Plugins before 1.0 answer \
            `incompatible CNI versions`, and networks without a `cniVersion` cannot be taken down. 1.6.4 is the fix.",
        run: Some(super::cni_version_trap),
    },
    CheckInfo {
        id: "cni-plugin-missing",
        severity: Severity::Warn,
        summary: "CNI plugins are missing that every pod needs",
        explanation: "The CNI configuration calls programs that are not where containerd will look for them, or `loopback`, \
            which it calls for every pod, is not there. Docker's shim searched a list of directories; containerd up to 2.0 \
            knows one, and the plan names the one that has most of what is called. A pod of the network (flannel, Calico, Cilium) may install them \
            when it starts; if not, pods stay ContainerCreating with `failed to find plugin`.",
        run: Some(super::cni_plugin_missing),
    },
    CheckInfo {
        id: "cni-several-configs",
        severity: Severity::Note,
        summary: "there are several CNI configurations",
        explanation: "dockershim and containerd (with `max_conf_num` 1, its default) both take the lexically first file that \
            ends in .conf, .conflist or .json. The others are ignored; often they are left over from a network that was \
            removed, and one day one of them is first.",
        run: Some(super::cni_several_configs),
    },
];
