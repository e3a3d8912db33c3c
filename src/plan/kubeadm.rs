//! What kubeadm keeps in the cluster: a node's endpoint and every kubelet's configuration. Its next upgrade brings them back to
//! the node, so they have to be true.

use super::draft::{Draft, Phase};
use crate::{
    formats::package_db::version_pair,
    model::{Action, Change, ClusterConfig, Facts, Finding, Goal, KubeletMap, Origin, Risk, Severity, UndoKind},
};

const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// Says what is left to do in the cluster.
pub fn advice(draft: &mut Draft<'_>, endpoint_moves: bool) {
    let facts = draft.facts;
    if !is_kubeadms(facts) || facts.kubelet.version.is_none() {
        return;
    }
    // From 1.34 on kubeadm keeps the endpoint in instance-config.yaml and takes the annotation away.
    let by_step = facts.cluster.member().is_some_and(|member| super::cluster::annotates(draft, member));
    if endpoint_moves && facts.kubelet.instance_config.is_none() && !by_step {
        let endpoint = &draft.desired.endpoint;
        let command = format!(
            "kubectl annotate node {} --overwrite kubeadm.alpha.kubernetes.io/cri-socket={endpoint}",
            facts.node_name()
        );
        let finding = Finding::new(
            "kubeadm-cri-socket",
            Severity::Warn,
            "kubeadm's note of this node's endpoint in the cluster names the old one",
        )
        .cause("the annotation kubeadm.alpha.kubernetes.io/cri-socket of the node object; kubeadm upgrade and reset use it")
        .fix(format!("when the node is back: {command}"))
        .at(Origin::path(FLAGS));
        draft.findings.push(finding);
    }
}

/// kubeadm's configuration of all kubelets must not bring the old driver back: last of all it is changed, or it is said how.
pub fn kubelet_map(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    let Some(version) = facts.kubelet.version.as_ref().and_then(|version| version_pair(&version.value)) else { return };
    if !is_kubeadms(facts) {
        return;
    }
    let way = draft.desired.cluster.config;
    let member = facts.cluster.member();
    let seen = member.and_then(|member| member.kubelet_map.as_ref());
    let wrong = match seen.map(|map| map.cgroup_driver.as_deref()) {
        Some(Some(driver)) => driver != "systemd",
        // kubeadm fills it in from 1.22 on.
        Some(None) => version < (1, 22),
        None => facts.kubelet.cgroup_driver.as_ref().is_some_and(|driver| driver.value.word() != "systemd"),
    };
    if !wrong || way == ClusterConfig::Skip {
        return;
    }
    let map = seen.map_or_else(|| KubeletMap::name_for(version), |map| map.name.clone());
    let finding = |id: &str, severity: Severity, summary: &str| {
        Finding::new(id, severity, summary).at(member.map_or_else(
            || facts.kubelet.config_path.as_ref().map_or_else(|| Origin::path(FLAGS), |path| Origin::path(&path.value)),
            |member| Origin::daemon(&member.server, format!("configmap kube-system/{map}")),
        ))
    };
    let by_hand =
        format!("once for the cluster, set `cgroupDriver: systemd`: kubectl -n kube-system edit configmap {map}");
    let (Some(member), Some(seen), ClusterConfig::Apply) = (member, seen, way) else {
        let says = if seen.is_some() { "says" } else { "may still say" };
        let driver = seen.map_or(Some("cgroupfs"), |map| map.cgroup_driver.as_deref()).unwrap_or("nothing");
        let summary = format!("kubeadm's configuration of all kubelets {says} {driver}");
        let finding = finding("kubeadm-cgroup-driver", Severity::Warn, &summary)
            .cause(format!(
                "`kubeadm upgrade node` writes ConfigMap kube-system/{map} over kubelet's configuration file"
            ))
            .fix(by_hand);
        return draft.findings.push(finding);
    };
    if seen.may_change == Some(false) {
        let finding =
            finding("cluster-config-not-allowed", Severity::Block, "this kubeconfig may not change kubeadm's ConfigMap")
                .cause(format!("the API server does not let it patch configmaps/{map} in kube-system"))
                .fix("give one that may with `--kubeconfig FILE` (/etc/kubernetes/admin.conf), or leave `--cluster-config apply` out");
        return draft.findings.push(finding);
    }
    let stays = draft.desired.goal == Goal::CgroupDriver;
    let left = member.others.on_docker.clone();
    if stays || left.as_ref().is_none_or(|left| !left.is_empty()) {
        let cause = match left {
            _ if stays => "the drivers of the other nodes cannot be seen from here".to_owned(),
            None => "this kubeconfig may not see the other nodes".to_owned(),
            Some(left) => format!("still on Docker: {}", left.join(", ")),
        };
        let finding = finding("cluster-config-waits", Severity::Note, "kubeadm's ConfigMap is left as it is for now")
            .cause(format!("{cause}; kubeadm would give them systemd's driver, and their Docker may have another"))
            .fix(format!("the last node that moves with `--cluster-config apply` changes it; or {by_hand}"));
        return draft.findings.push(finding);
    }
    let was = seen.cgroup_driver.as_deref().unwrap_or("absent");
    let why = format!("cgroupDriver is {was} there, and `kubeadm upgrade node` would bring it back; becomes systemd");
    let action = Action::SetKubeletMap {
        kubeconfig: member.kubeconfig.clone(),
        map,
        key: "cgroupDriver".to_owned(),
        before: seen.cgroup_driver.clone(),
        value: "systemd".to_owned(),
    };
    draft.step(
        "kubelet-config-map",
        Phase::Verify,
        Change::Update,
        Risk::None,
        UndoKind::RestoreConfigMap,
        &why,
        action,
    );
}

/// True where kubeadm made this node.
fn is_kubeadms(facts: &Facts) -> bool {
    facts.files.contains_key(FLAGS) || facts.kubelet.instance_config.is_some()
}
