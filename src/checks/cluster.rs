//! What the cluster says, or does not say. Found while a plan is made: only then is it asked.

use super::CheckInfo;
use crate::model::Severity;

/// Found by the planner.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "cluster-away",
        severity: Severity::Block,
        summary: "a drain was asked for, and the cluster does not answer",
        explanation: "With `--drain` the node's pods leave before anything stops, which only the cluster's API server can make \
            happen. castoff asks the one in kubelet's kubeconfig, with kubelet's own credentials, or the one `--kubeconfig` \
            names. It does not answer, or does not let us in; or nobody asked it, because a file tree or a support bundle stands for \
            the node. Without `--drain` castoff works on this node alone: the pods \
            stop here and start again here, on containerd.",
        run: None,
    },
    CheckInfo {
        id: "cluster-local-only",
        severity: Severity::Note,
        summary: "the cluster does not answer: only this node is looked at and changed",
        explanation: "kubelet has a kubeconfig, so this node belongs to a cluster, and its API server does not answer or does \
            not let us in. Nothing that castoff does on the node needs it. What it would do in the cluster is left to you: \
            the annotation kubeadm.alpha.kubernetes.io/cri-socket, and seeing that the node is Ready on containerd. A kubelet \
            without a kubeconfig belongs to no cluster; a drain of such a node has nothing to send away, which is a warning where \
            one was asked for.",
        run: None,
    },
    CheckInfo {
        id: "node-not-ready",
        severity: Severity::Warn,
        summary: "the cluster does not see this node Ready",
        explanation: "After the move the cluster must see the node Ready on containerd, or the run is taken back. It does not see it \
            Ready now, so what is wrong already would look like a failed move. Look at its conditions (`kubectl describe node`) \
            first. `--no-cluster` moves it without asking the cluster.",
        run: None,
    },
    CheckInfo {
        id: "control-plane-down",
        severity: Severity::Block,
        summary: "another control plane node is not Ready",
        explanation: "This is a control plane node, and another one is away or not Ready. While this one moves, its API server and \
            its member of etcd are away too, and etcd needs more than half of its members. Bring the other one back first. \
            castoff moves one node at a time where you do: the Ansible collection's waves are for that (`serial: 1`).",
        run: None,
    },
    CheckInfo {
        id: "drain-nowhere",
        severity: Severity::Warn,
        summary: "no other node takes the pods that a drain makes leave",
        explanation: "Every other node is cordoned or not Ready, or there is none. Evicted pods wait until this node takes pods again, and a \
            disruption budget may never let the last of them go. Without `--drain` they stop here and start here again, \
            which is as long and asks no budget.",
        run: None,
    },
    CheckInfo {
        id: "cluster-config-not-allowed",
        severity: Severity::Block,
        summary: "this kubeconfig may not change kubeadm's ConfigMap",
        explanation: "With `--cluster-config apply` castoff changes `cgroupDriver` in the ConfigMap kube-system/kubelet-config \
            (kubelet-config-1.NN up to 1.23). A node's own credentials may only read it. Give others with `--kubeconfig FILE`: on a \
            control plane node that is /etc/kubernetes/admin.conf.",
        run: None,
    },
    CheckInfo {
        id: "cluster-config-waits",
        severity: Severity::Note,
        summary: "kubeadm's ConfigMap is left as it is for now",
        explanation: "kubeadm writes the ConfigMap over the configuration of every kubelet at `kubeadm join` and `kubeadm upgrade node`. \
            Other nodes are still on Docker, where kubelet must use Docker's own cgroup driver: with systemd in the ConfigMap an \
            upgrade would stop those of them whose Docker uses cgroupfs. The last node that moves with `--cluster-config apply` \
            changes it; `castoff apply --cluster-config apply` on a node that is moved already does too.",
        run: None,
    },
    CheckInfo {
        id: "workload-pins-digests",
        severity: Severity::Note,
        summary: "pods name images by digest, which must hold after the move",
        explanation: "Docker 20.10 and later keep the registry's manifest of an image that they pulled, and castoff carries it: its digest \
            holds. Of images that were built or loaded, or pulled by an older Docker, castoff has to make one, and what pods name as \
            `image@sha256:…` is not there: containerd fetches its manifest (and no layer that is there already) from the registry, \
            or the pod does not start. `--online` has castoff fetch the manifests while the node still runs on Docker.",
        run: None,
    },
    CheckInfo {
        id: "workload-runs-docker",
        severity: Severity::Note,
        summary: "pods run a Docker of their own",
        explanation: "A privileged pod that starts dockerd (Docker in Docker, often for builds) brings its own daemon along and does not use \
            the node's. It goes on after the move, on containerd's snapshots instead of Docker's layers: with overlay2 inside of \
            it on overlayfs, so its data has to be on a volume. Try one on a moved node first.",
        run: None,
    },
    CheckInfo {
        id: "workload-bare-pods",
        severity: Severity::Note,
        summary: "pods that nothing makes again: a drain is refused where they are",
        explanation: "They have no controller, so an eviction is their end. castoff drains a node with such pods only with `--drain-force`. \
            Without a drain they stop and start again in place.",
        run: None,
    },
    CheckInfo {
        id: "workload-local-data",
        severity: Severity::Note,
        summary: "pods keep data in an emptyDir: a drain is refused where they are",
        explanation: "What is in an emptyDir ends with the pod that a drain evicts. castoff drains a node with such pods only with \
            `--delete-emptydir-data`. Without a drain the pods stop and start again in place, with the data.",
        run: None,
    },
    CheckInfo {
        id: "drain-not-allowed",
        severity: Severity::Block,
        summary: "this kubeconfig may not drain the node",
        explanation: "The API server was asked (SelfSubjectAccessReview) whether these credentials may change the node's object \
            and evict pods, and says no. kubelet's own may, where the node authorizer and NodeRestriction are as Kubernetes \
            ships them. Give others with `--kubeconfig FILE`, or drain the node by other means and leave `--drain` out.",
        run: None,
    },
    CheckInfo {
        id: "drain-bare-pods",
        severity: Severity::Block,
        summary: "a drain would end pods that nothing makes again",
        explanation: "These pods have no controller: evicted, they are gone for good, from this node and from the cluster. \
            `--drain-force` lets them go. Without `--drain` they stop here and start again here, on containerd.",
        run: None,
    },
    CheckInfo {
        id: "drain-local-data",
        severity: Severity::Block,
        summary: "a drain would end pods that keep data in an emptyDir",
        explanation: "An emptyDir lives as long as its pod: evicted, the pod starts elsewhere with an empty one. For caches and \
            sockets that is nothing; for anything else look first. `--delete-emptydir-data` lets it go.",
        run: None,
    },
];
