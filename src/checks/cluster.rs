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
            names. It does not answer, or does not let us in. Without `--drain` castoff works on this node alone: the pods \
            stop here and start again here, on containerd.",
        run: None,
    },
    CheckInfo {
        id: "cluster-local-only",
        severity: Severity::Note,
        summary: "the cluster does not answer: only this node is looked at and changed",
        explanation: "kubelet has a kubeconfig, so this node belongs to a cluster, and its API server does not answer or does \
            not let us in. Nothing that castoff does on the node needs it. What it would do in the cluster is left to you: \
            the annotation kubeadm.alpha.kubernetes.io/cri-socket, and seeing that the node is Ready on containerd.",
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
