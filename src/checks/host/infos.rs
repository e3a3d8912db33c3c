//! What each finding of this subject means.

use super::super::CheckInfo;
use crate::model::Severity;

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "no-room-for-images",
        severity: Severity::Block,
        summary: "there is too little room for the images of this node's pods",
        explanation: "Where Docker's layers and containerd's are on one file system, nothing is copied and no room needed. On \
            different ones each layer is copied, and also where two mounts of one file system show them and none shows both. \
            With containerd's image store layers are copied unless the file system shares blocks (reflink), and then the block \
            may be skipped. Where Docker's layers cannot be used as they are (another storage driver, userns-remap, another \
            snapshotter of CRI's), images go through `docker save`, which takes twice what Docker reports. Make room, put \
            containerd's root beside Docker's or on a bigger disk, or leave the images behind and pull them again.",
        run: Some(super::no_room_for_images),
    },
    CheckInfo {
        id: "disk-pressure",
        severity: Severity::Warn,
        summary: "the disk will be so full that kubelet evicts pods",
        explanation: "kubelet evicts pods when less of the image file system is free than `imagefs.available` of evictionHard says, 15 % \
            where that is not set (and where kubelet's own directory is on it, than `nodefs.available` says). Until Docker's images \
            are removed the disk holds both stores. Prune what no pod uses before the migration.",
        run: Some(super::disk_pressure),
    },
    CheckInfo {
        id: "images-collected",
        severity: Severity::Warn,
        summary: "the disk is so full that kubelet collects images",
        explanation: "Above imageGCHighThresholdPercent (85 unless set) kubelet removes images that no pod uses, the oldest \
            first. What will be copied is reckoned with. Images that came along count with their full size although they share \
            the disk with Docker's, and removing them frees nothing while Docker's copy is there, so kubelet may go on until \
            none is left but those in use. Nothing that runs is harmed; what is missing later is pulled again.",
        run: Some(super::images_collected),
    },
    CheckInfo {
        id: "containerd-filesystem",
        severity: Severity::Block,
        summary: "containerd's root is on a file system that overlay cannot use",
        explanation: "The snapshotter overlayfs, containerd's default, cannot write to network file systems, FAT or another \
            overlay. Every container would fail. Put containerd's root on ext4 or xfs (with ftype=1), or choose the slow \
            snapshotter `native`.",
        run: Some(super::containerd_filesystem),
    },
    CheckInfo {
        id: "control-plane-node",
        severity: Severity::Note,
        summary: "this node runs parts of the control plane",
        explanation: "kube-apiserver, etcd or their like run here as static pods. They stop with Docker's pods and start \
            again on containerd, so on a cluster with one control plane node the API is away for that time; castoff does \
            not need it. With several, migrate one after the other and let etcd become healthy in between: two members \
            away out of three is a cluster without quorum.",
        run: Some(super::control_plane_node),
    },
    CheckInfo {
        id: "docker-starts-again",
        severity: Severity::Note,
        summary: "Docker would start again at boot or on its socket",
        explanation: "docker.service is enabled, or docker.socket is: then one `docker ps` or a boot brings dockerd back, and \
            with it containers it wants to restart. The plan disables and masks both, and notes how they were for a \
            rollback.",
        run: Some(super::docker_starts_again),
    },
    CheckInfo {
        id: "package-removal-traps",
        severity: Severity::Note,
        summary: "removing Docker's package later would take more than Docker",
        explanation: "Debian's docker.io depends on containerd and runc: once it is removed, `apt autoremove` removes them \
            too if they were installed for it only, and the node loses its runtime. Purging docker.io empties \
            /var/lib/docker. castoff leaves packages alone; do this when the migration is committed, and mark containerd \
            as wanted first.",
        run: Some(super::package_removal_traps),
    },
    CheckInfo {
        id: "packages-not-held",
        severity: Severity::Note,
        summary: "unattended upgrades may restart containerd at any time",
        explanation: "Unattended upgrades are on and containerd is not on hold. An upgrade restarts containerd (pods go on \
            running) and may ask about its changed configuration file or bring another release with another schema. \
            kubeadm's manual holds kubelet for the same reason.",
        run: Some(super::packages_not_held),
    },
    CheckInfo {
        id: "docker-bridge-stays",
        severity: Severity::Note,
        summary: "Docker's bridge outlives Docker",
        explanation: "dockerd makes docker0 and does not remove it when it stops. It does no harm unless its subnet (often \
            172.17.0.0/16) is wanted for something else. castoff removes no interfaces: a network plugin may have made use \
            of it.",
        run: Some(super::docker_bridge_stays),
    },
    CheckInfo {
        id: "orphan-shims",
        severity: Severity::Warn,
        summary: "containers run that Docker no longer knows",
        explanation: "A containerd-shim in Docker's namespace serves a container that Docker does not list as running. Docker \
            was killed or restored from a backup; the container's processes go on, hold ports and mounts, and nothing \
            will stop them. They would clash with their successors on containerd.",
        run: Some(super::orphan_shims),
    },
    CheckInfo {
        id: "swap-on",
        severity: Severity::Warn,
        summary: "swap is on, and kubelet refuses to start with it",
        explanation: "Unless `failSwapOn` is false, kubelet exits when it finds swap at its start. One that has run for \
            months does not notice swap that came later (a reload of systemd activates zram or a swap unit); the restart \
            of a migration does. castoff does not touch swap.",
        run: Some(super::swap_on),
    },
    CheckInfo {
        id: "metrics-change",
        severity: Severity::Note,
        summary: "labels of container metrics change",
        explanation: "cAdvisor inside kubelet reads containers from the runtime. On containerd the `name` label is the \
            container's id instead of k8s_…, cgroup paths end in cri-containerd-ID.scope, and figures of file systems \
            come from another place. Dashboards and alerts that match the old labels go silent.",
        run: Some(super::metrics_change),
    },
    CheckInfo {
        id: "half-migrated",
        severity: Severity::Warn,
        summary: "a migration to containerd stopped half-way",
        explanation: "kubelet's configuration points to containerd, but Docker still runs containers of pods: the files were \
            edited and kubelet not restarted, kubelet is stopped, or live-restore kept the old pods beside the new ones, \
            where they fight over ports and volumes. The plan does what is left: it stops Docker's pods, retires Docker, \
            and starts containerd and kubelet anew.",
        run: Some(super::half_migrated),
    },
    CheckInfo {
        id: "containerd-not-restarted",
        severity: Severity::Warn,
        summary: "CRI is switched on in containerd's file but not in the daemon",
        explanation: "containerd answers on its socket and has no CRI service, although its configuration does not disable \
            it. Either the file was edited and the daemon not restarted, or the plugin refused to load (a registry set in \
            two ways, an unknown snapshotter or runtime): an active unit proves nothing. The plan restarts containerd and \
            waits for CRI.",
        run: Some(super::containerd_not_restarted),
    },
    CheckInfo {
        id: "crio-node",
        severity: Severity::Note,
        summary: "this is a node of CRI-O",
        explanation: "castoff looks at nodes of CRI-O and checks them, and does not move them: there is no Docker to leave. It \
            becomes a warning when CRI-O's cgroup manager and kubelet's cgroup driver differ.",
        run: Some(super::crio_node),
    },
];
