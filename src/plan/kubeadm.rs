//! What must be said to the cluster, which castoff does not touch: kubeadm keeps a node's endpoint and every kubelet's
//! configuration there, and its next upgrade brings them back to the node.

use super::draft::Draft;
use crate::{
    formats::package_db::version_pair,
    model::{Facts, Finding, Origin, Severity},
};

const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// Says what is left to do in the cluster.
pub fn advice(draft: &mut Draft<'_>, endpoint_moves: bool) {
    let facts = draft.facts;
    let is_kubeadm = facts.files.contains_key(FLAGS) || facts.kubelet.instance_config.is_some();
    let Some(version) = facts.kubelet.version.as_ref().and_then(|version| version_pair(&version.value)) else { return };
    if !is_kubeadm {
        return;
    }
    // From 1.34 on kubeadm keeps the endpoint in instance-config.yaml and takes the annotation away.
    let by_step = facts.cluster.member().is_some_and(|member| super::cluster::annotates(draft, member));
    if endpoint_moves && facts.kubelet.instance_config.is_none() && !by_step {
        let endpoint = &draft.desired.endpoint;
        let command = format!(
            "kubectl annotate node {} --overwrite kubeadm.alpha.kubernetes.io/cri-socket={endpoint}",
            node(facts)
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
    let changes = facts.kubelet.cgroup_driver.as_ref().is_some_and(|driver| driver.value.word() != "systemd");
    if changes {
        let map = if version <= (1, 23) {
            format!("kubelet-config-{}.{}", version.0, version.1)
        } else {
            "kubelet-config".to_owned()
        };
        let finding = Finding::new(
            "kubeadm-cgroup-driver",
            Severity::Warn,
            "kubeadm's configuration of all kubelets may still say cgroupfs",
        )
        .cause(format!("`kubeadm upgrade node` writes ConfigMap kube-system/{map} over kubelet's configuration file"))
        .fix(format!("once for the cluster, set `cgroupDriver: systemd`: kubectl -n kube-system edit configmap {map}"))
        .at(facts
            .kubelet
            .config_path
            .as_ref()
            .map_or_else(|| Origin::path(FLAGS), |path| Origin::path(&path.value)));
        draft.findings.push(finding);
    }
}

/// The node's name in the cluster.
fn node(facts: &Facts) -> String {
    let name = facts.kubelet.setting_text("hostnameOverride").unwrap_or(facts.name());
    name.to_lowercase()
}
