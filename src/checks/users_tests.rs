use super::*;
use crate::model::{Dependent, DockerContainer, Origin, RuntimeKind, Sourced, UnitFacts};

fn facts(users: &[(UserKind, Tie)]) -> Facts {
    let mut facts = Facts::empty(true);
    facts.kubelet.runtime = Some(Sourced::new(RuntimeKind::Dockershim, Origin::default_of("kubelet")));
    let user = |(kind, tie): &(UserKind, Tie)| DockerUser {
        kind: *kind,
        name: format!("{kind}"),
        tie: *tie,
        detail: "words".to_owned(),
        origin: Origin::file("/etc/x", 7),
    };
    facts.docker_users = users.iter().map(user).collect();
    facts
}

fn ids(facts: &Facts) -> Vec<String> {
    CHECKS.iter().filter_map(|check| check.run).flat_map(|run| run(facts)).map(|finding| finding.id).collect()
}

#[test]
fn each_tie_has_its_finding() {
    for (kind, tie, id) in [
        (UserKind::Unit, Tie::Requires, "units-need-docker"),
        (UserKind::Unit, Tie::StartedBy, "units-need-docker"),
        (UserKind::Unit, Tie::Command, "units-use-docker"),
        (UserKind::Unit, Tie::Socket, "units-use-docker"),
        (UserKind::Agent, Tie::Socket, "units-use-docker"),
        (UserKind::Unit, Tie::Restarts, "host-restarts-docker"),
        (UserKind::Cron, Tie::Restarts, "host-restarts-docker"),
        (UserKind::Watchdog, Tie::Wants, "host-restarts-docker"),
        (UserKind::Cron, Tie::Command, "cron-uses-docker"),
        (UserKind::Pod, Tie::Socket, "pods-mount-docker-socket"),
        (UserKind::StaticPod, Tie::Socket, "pods-mount-docker-socket"),
        (UserKind::Pod, Tie::Folder, "pods-mount-socket-folder"),
        (UserKind::Pod, Tie::Logs, "log-agents-read-docker"),
        (UserKind::Agent, Tie::Logs, "log-agents-read-docker"),
        (UserKind::Logrotate, Tie::Logs, "logrotate-reads-docker"),
        (UserKind::Logrotate, Tie::Restarts, "logrotate-reads-docker"),
    ] {
        assert_eq!(ids(&facts(&[(kind, tie)])), [id], "{kind:?} {tie:?}");
    }
    assert!(ids(&facts(&[(UserKind::Unit, Tie::Wants)])).is_empty(), "a wish is no need");
    let mut moved = facts(&[(UserKind::Pod, Tie::Socket)]);
    moved.kubelet.runtime = Some(Sourced::new(RuntimeKind::Containerd, Origin::default_of("kubelet")));
    assert!(ids(&moved).is_empty(), "the node left Docker already");
}

#[test]
fn what_only_systemd_knows_is_told_too() {
    let mut facts = facts(&[]);
    let by = |unit: &str, kind: &str| Dependent { unit: unit.to_owned(), kind: kind.to_owned() };
    let dependents = vec![by("gen.service", "BindsTo"), by("soft.service", "Wants"), by("kubelet.service", "Requires")];
    facts.units.insert("docker.service".to_owned(), UnitFacts { dependents, ..UnitFacts::default() });
    let found = units_need_docker(&facts);
    assert_eq!(found[0].cause, "gen.service: BindsTo=docker.service");
}

#[test]
fn compose_is_told_by_project() {
    let mut facts = facts(&[]);
    let container: DockerContainer = serde_json::from_value(serde_json::json!({
        "id": "a", "name": "web-1", "image": "x", "imageId": "sha256:x", "state": "exited", "kubernetes": false,
        "sandbox": false, "compose": "web",
    }))
    .unwrap();
    facts.docker.containers = vec![container.clone(), container];
    assert_eq!(compose_projects(&facts)[0].cause, "web");
}
