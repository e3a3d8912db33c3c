//! What a node's cluster has to see of the move: its pods leave before anything stops and come back when all is proven, it is
//! Ready with its new runtime, and kubeadm finds the new endpoint at its next upgrade.

use super::draft::{Draft, Phase};
use crate::{
    formats::package_db::version_pair,
    model::{
        Action, CRI_SOCKET, Change, Finding, MemberFacts, MemberPod, Membership, Origin, Risk, Severity, UndoKind,
    },
};

/// Pods leave, where that is wanted.
pub fn leave(draft: &mut Draft<'_>) {
    others(draft);
    if !draft.desired.cluster.drain {
        if let Membership::Away { kubeconfig, why } = &draft.facts.cluster {
            let what = "the cluster does not answer: only this node is looked at and changed";
            let finding =
                Finding::new("cluster-local-only", Severity::Note, what).cause(why).at(Origin::path(kubeconfig));
            draft.findings.push(finding);
        }
        return;
    }
    let member = match &draft.facts.cluster {
        Membership::Member(member) => member,
        Membership::Away { kubeconfig, why } => return cannot_ask(draft, kubeconfig, why),
        Membership::Standalone => return nothing_leaves(draft),
        Membership::Unasked => return not_asked(draft),
    };
    forbid(draft, member);
    let (node, kubeconfig) = (member.node.clone(), member.kubeconfig.clone());
    if !member.unschedulable {
        draft.step(
            "cordon",
            Phase::Drain,
            Change::Update,
            Risk::None,
            UndoKind::RestoreNode,
            "no new pods come while it moves",
            Action::CordonNode { node: node.clone(), kubeconfig: kubeconfig.clone() },
        );
    }
    let options = draft.desired.cluster.clone();
    draft.step(
        "drain",
        Phase::Drain,
        Change::Run,
        Risk::RestartsPods,
        UndoKind::None,
        "pods that can run elsewhere do so before this node stops; disruption budgets are kept",
        Action::DrainNode {
            node,
            kubeconfig,
            force: options.force,
            delete_emptydir_data: options.delete_emptydir_data,
            grace: options.grace,
        },
    );
}

/// etcd is back with all it had, before anybody asks the API server that needs it.
pub fn etcd(draft: &mut Draft<'_>) {
    let Some(etcd) = &draft.facts.etcd else { return };
    let (Some(metrics), Some(health)) = (etcd.metrics.clone(), &etcd.health) else { return };
    let revision = health.revision;
    draft.step(
        "await-etcd",
        Phase::Start,
        Change::Run,
        Risk::None,
        UndoKind::None,
        "its pod has moved too, and must have found the cluster's data",
        Action::AwaitEtcd { metrics, revision },
    );
}

/// The cluster sees it, between the pods that run again and the proof.
pub fn arrive(draft: &mut Draft<'_>) {
    let Some(member) = draft.facts.cluster.member() else { return };
    let (node, kubeconfig) = (member.node.clone(), member.kubeconfig.clone());
    if !member.ready {
        let finding = Finding::new("node-not-ready", Severity::Warn, "the cluster does not see this node Ready")
            .cause("a move after which it still is not Ready is taken back")
            .fix(format!("look why first: kubectl describe node {node}; `--no-cluster` moves it without asking"))
            .at(Origin::daemon(&member.server, format!("node {node}")));
        draft.findings.push(finding);
    }
    let drained = draft.desired.cluster.drain;
    let goes = |pod: &MemberPod| pod.going || pod.ends || (drained && pod.leaves());
    let pods = member.pods.iter().filter(|pod| pod.ready && !goes(pod)).map(MemberPod::full_name).collect();
    draft.step(
        "await-node",
        Phase::Start,
        Change::Run,
        Risk::None,
        UndoKind::None,
        "the cluster has to see it Ready on containerd, by news of the kubelet that runs now, and its pods as Ready as before",
        Action::AwaitNode { node: node.clone(), kubeconfig: kubeconfig.clone(), pods },
    );
    if annotates(draft, member) {
        let value = draft.desired.endpoint.clone();
        draft.step(
            "annotate",
            Phase::Start,
            Change::Update,
            Risk::None,
            UndoKind::RestoreNode,
            "kubeadm's upgrade and reset ask the endpoint that is noted there",
            Action::AnnotateNode {
                node,
                kubeconfig,
                key: CRI_SOCKET.to_owned(),
                before: member.cri_socket.clone(),
                value,
            },
        );
    }
}

/// Pods come again, after the proof.
pub fn come_back(draft: &mut Draft<'_>) {
    let cordoned = draft.steps.iter().find_map(|step| match &step.action {
        Action::CordonNode { node, kubeconfig } => Some((node.clone(), kubeconfig.clone())),
        _ => None,
    });
    let Some((node, kubeconfig)) = cordoned else { return };
    draft.step(
        "uncordon",
        Phase::Verify,
        Change::Update,
        Risk::None,
        UndoKind::None,
        "it took new pods before",
        Action::UncordonNode { node, kubeconfig },
    );
}

/// True when the node's annotation names another endpoint and kubeadm of this release uses it.
pub fn annotates(draft: &Draft<'_>, member: &MemberFacts) -> bool {
    let noted = member.cri_socket.as_ref().is_some_and(|noted| *noted != draft.desired.endpoint);
    let version = draft.facts.kubelet.version.as_ref().and_then(|version| version_pair(&version.value));
    noted && version.is_none_or(|version| version < (1, 34))
}

/// Of pods that are awaited, those that a drain has not sent away and that kubelet starts again. `namespace/name` each.
pub fn stay(draft: &Draft<'_>, pods: Vec<String>) -> Vec<String> {
    let Some(member) = draft.facts.cluster.member() else { return pods };
    let drained = draft.desired.cluster.drain;
    let goes = |pod: &MemberPod| pod.ends || (drained && pod.leaves());
    let gone = |name: &String| member.pods.iter().any(|pod| goes(pod) && pod.full_name() == *name);
    pods.into_iter().filter(|name| !gone(name)).collect()
}

fn cannot_ask(draft: &mut Draft<'_>, kubeconfig: &str, why: &str) {
    let finding = Finding::new("cluster-away", Severity::Block, "a drain was asked for, and the cluster does not answer")
        .cause(why)
        .fix("give a kubeconfig that works with `--kubeconfig FILE`, or leave `--drain` out: pods then stop here and start again here")
        .at(Origin::path(kubeconfig));
    draft.findings.push(finding);
}

/// Left out in silence, the node would stop under its pods.
fn not_asked(draft: &mut Draft<'_>) {
    let what = "a drain was asked for, and the cluster was not asked about this node";
    let finding = Finding::new("cluster-away", Severity::Block, what)
        .cause("a file tree, and a support bundle that was made without the cluster, do not say which pods would leave")
        .fix("plan on the running node, or leave `--drain` out: pods then stop here and start again here");
    draft.findings.push(finding);
}

fn nothing_leaves(draft: &mut Draft<'_>) {
    let what = "a drain was asked for, and this kubelet belongs to no cluster";
    let finding = Finding::new("cluster-local-only", Severity::Warn, what).cause(
        "it runs without `--kubeconfig`, so all its pods are static ones, which no drain makes leave: they stop here and start \
         again here",
    );
    draft.findings.push(finding);
}

/// What of the other nodes keeps this one from moving.
fn others(draft: &mut Draft<'_>) {
    let Some(member) = draft.facts.cluster.member() else { return };
    let mut found = Vec::new();
    if !member.others.control_planes_down.is_empty() {
        found.push(
            Finding::new("control-plane-down", Severity::Block, "another control plane node is not Ready")
                .cause(member.others.control_planes_down.join(", "))
                .fix("bring it back first: moved one after the other, etcd always has a quorum")
                .at(Origin::daemon(&member.server, "nodes")),
        );
    }
    if draft.desired.cluster.drain && member.others.takes_pods == Some(false) {
        found.push(
            Finding::new("drain-nowhere", Severity::Warn, "no other node takes the pods that a drain makes leave")
                .cause(
                    "every other node is cordoned or not Ready, or there is none: they are away until this one is back",
                )
                .fix("without `--drain` they stop and start here, which is as long and needs no eviction")
                .at(Origin::daemon(&member.server, "nodes")),
        );
    }
    draft.findings.extend(found);
}

/// What keeps pods from leaving is said before anything begins.
fn forbid(draft: &mut Draft<'_>, member: &MemberFacts) {
    let options = &draft.desired.cluster;
    let names = |of: &dyn Fn(&MemberPod) -> bool| -> Vec<String> {
        member.pods.iter().filter(|pod| pod.leaves() && of(pod)).map(MemberPod::full_name).collect()
    };
    let mut found = Vec::new();
    if !member.denied.is_empty() {
        found.push(
            Finding::new("drain-not-allowed", Severity::Block, "this kubeconfig may not drain the node")
                .cause(format!("the API server does not let it {}", member.denied.join(", ")))
                .fix("give one that may with `--kubeconfig FILE`, or drain by other means and leave `--drain` out")
                .at(Origin::path(&member.kubeconfig)),
        );
    }
    let bare = names(&MemberPod::is_bare);
    if !options.force && !bare.is_empty() {
        found.push(
            Finding::new("drain-bare-pods", Severity::Block, "a drain would end pods that nothing makes again")
                .cause(bare.join(", "))
                .fix("`--drain-force` lets them go; without `--drain` they stop and start here")
                .at(Origin::path(&member.kubeconfig)),
        );
    }
    let data = names(&|pod| pod.local_data);
    if !options.delete_emptydir_data && !data.is_empty() {
        found.push(
            Finding::new("drain-local-data", Severity::Block, "a drain would end pods that keep data in an emptyDir")
                .cause(data.join(", "))
                .fix("`--delete-emptydir-data` lets it go with them")
                .at(Origin::path(&member.kubeconfig)),
        );
    }
    draft.findings.extend(found);
}
