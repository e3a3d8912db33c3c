//! What a control plane node must not lose.

use super::{CheckInfo, on_docker};
use crate::model::{EtcdFacts, Facts, Finding, Origin, Severity};

pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "etcd-data-inside",
        severity: Severity::Block,
        summary: "etcd keeps the cluster's data inside its container",
        explanation: "The container that etcd runs in ends with Docker, and containerd makes a new one. What is not on a volume of \
            the host is gone then, and here that is the whole cluster. The manifest needs a `hostPath` volume that is mounted at \
            etcd's `--data-dir` (kubeadm: /var/lib/etcd). Move the data first, with a backup (`etcdctl snapshot save`).",
        run: Some(data_inside),
    },
    CheckInfo {
        id: "etcd-not-healthy",
        severity: Severity::Block,
        summary: "etcd on this node is not well",
        explanation: "It does not call itself healthy, or it has no leader. With a member that is ill already the cluster has none \
            to spare while this one is away. Look at `etcdctl endpoint health --cluster` and its log first.",
        run: Some(not_healthy),
    },
    CheckInfo {
        id: "etcd-unseen",
        severity: Severity::Warn,
        summary: "whether etcd on this node is well cannot be seen",
        explanation: "castoff asks etcd at the address in its `--listen-metrics-urls` (kubeadm: http://127.0.0.1:2381), where it needs no \
            certificate. It has none, or does not answer there. Then it is not proven that etcd is well before the node moves, nor \
            that it has all its data afterwards; the API server will not become ready without it. Look yourself: `etcdctl endpoint \
            health --cluster`.",
        run: Some(unseen),
    },
];

/// etcd of a node that is still to be moved.
fn etcd(facts: &Facts) -> Option<&EtcdFacts> {
    facts.etcd.as_ref().filter(|_| on_docker(facts))
}

fn data_inside(facts: &Facts) -> Vec<Finding> {
    let Some(etcd) = etcd(facts).filter(|etcd| etcd.host_dir.is_none()) else { return Vec::new() };
    let at = if etcd.data_dir.is_empty() { "its working directory" } else { &etcd.data_dir };
    vec![
        Finding::new("etcd-data-inside", Severity::Block, "etcd keeps the cluster's data inside its container")
            .cause(format!("{at} is on no volume of the host"))
            .fix("give its pod a hostPath volume at its --data-dir, and move the data there, with a backup")
            .at(Origin::path(&etcd.manifest)),
    ]
}

fn not_healthy(facts: &Facts) -> Vec<Finding> {
    let Some((etcd, health)) = etcd(facts).and_then(|etcd| Some((etcd, etcd.health.as_ref()?))) else {
        return Vec::new();
    };
    let cause = match (health.healthy, health.has_leader) {
        (true, true) => return Vec::new(),
        (_, false) => "it has no leader",
        (false, true) => "it says of itself that it is not healthy",
    };
    vec![
        Finding::new("etcd-not-healthy", Severity::Block, "etcd on this node is not well")
            .cause(cause)
            .fix("look at `etcdctl endpoint health --cluster` and at its log; move the node when all members are well")
            .at(Origin::daemon(etcd.metrics.as_deref().unwrap_or_default(), "/health")),
    ]
}

fn unseen(facts: &Facts) -> Vec<Finding> {
    let Some(etcd) = etcd(facts).filter(|etcd| !etcd.unseen.is_empty()) else { return Vec::new() };
    vec![
        Finding::new("etcd-unseen", Severity::Warn, "whether etcd on this node is well cannot be seen")
            .cause(&etcd.unseen)
            .fix("look yourself, before and after: etcdctl endpoint health --cluster")
            .at(Origin::path(&etcd.manifest)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EtcdHealth, RuntimeKind, Sourced};

    fn found(etcd: EtcdFacts) -> Vec<String> {
        let mut facts = Facts::empty(true);
        facts.etcd = Some(etcd);
        facts.kubelet.runtime = Some(Sourced::new(RuntimeKind::Dockershim, Origin::path("/x")));
        CHECKS.iter().filter_map(|check| check.run).flat_map(|run| run(&facts)).map(|finding| finding.id).collect()
    }

    #[test]
    fn etcd_must_be_well_and_its_data_outside() {
        let well = EtcdHealth { healthy: true, has_leader: true, revision: Some(7) };
        let etcd = EtcdFacts {
            host_dir: Some("/var/lib/etcd".into()),
            metrics: Some("http://127.0.0.1:2381".into()),
            health: Some(well.clone()),
            ..EtcdFacts::default()
        };
        assert_eq!(found(etcd.clone()), [""; 0]);
        assert_eq!(found(EtcdFacts { host_dir: None, ..etcd.clone() }), ["etcd-data-inside"]);
        let lonely = EtcdHealth { has_leader: false, ..well };
        assert_eq!(found(EtcdFacts { health: Some(lonely), ..etcd.clone() }), ["etcd-not-healthy"]);
        assert_eq!(found(EtcdFacts { health: None, unseen: "x".into(), ..etcd }), ["etcd-unseen"]);
    }
}
