//! Findings about others on the node that use Docker.

use super::{CheckInfo, on_docker};
use crate::model::{DOCKER_UNITS, DockerUser, Facts, Finding, Severity, Tie, UserKind};
use std::collections::BTreeSet;

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "units-need-docker",
        severity: Severity::Warn,
        summary: "units of the host cannot run without Docker's unit",
        explanation: "Requires=, Requisite=, BindsTo= and PartOf= tie a unit to docker.service: it stops when Docker \
            stops, and systemd refuses to start it while docker.service is masked. A unit that stands in \
            docker.service.wants/ is started by nothing but Docker's start. A dependency cannot be taken back by a \
            drop-in: edit the unit, or copy it to /etc/systemd/system without that line.",
        run: Some(units_need_docker),
    },
    CheckInfo {
        id: "units-use-docker",
        severity: Severity::Warn,
        summary: "units of the host run the docker command or talk to its socket",
        explanation: "The unit's command, or the script it calls, names the docker program or docker.sock. When Docker is \
            gone it fails; until then it sees none of the pods that moved to containerd. Use `crictl` or `nerdctl -n \
            k8s.io` instead.",
        run: Some(units_use_docker),
    },
    CheckInfo {
        id: "cron-uses-docker",
        severity: Severity::Warn,
        summary: "cron jobs use Docker",
        explanation: "A line of a crontab, or a script that cron calls, names the docker program or its socket: a nightly \
            `docker system prune`, a backup through `docker exec`. It will fail once Docker is gone. kubelet collects \
            images that are not in use by itself, so a prune job has no successor; other jobs want `crictl` or \
            `nerdctl -n k8s.io`.",
        run: Some(cron_uses_docker),
    },
    CheckInfo {
        id: "host-restarts-docker",
        severity: Severity::Warn,
        summary: "something on the host watches Docker and starts it again",
        explanation: "monit, supervisord, node-problem-detector's health checks, a timer or a cron job looks after Docker and \
            starts or restarts it. During the migration Docker is stopped on purpose, and whoever starts it again brings \
            its containers back beside containerd's. castoff masks docker.service and docker.socket, so that a start \
            fails; the watcher will then complain. Point it to containerd first.",
        run: Some(host_restarts_docker),
    },
    CheckInfo {
        id: "pods-mount-docker-socket",
        severity: Severity::Block,
        summary: "pods mount Docker's socket",
        explanation: "A pod that mounts docker.sock builds images, runs containers or watches them through Docker. On \
            containerd there is no such socket: the pod does not start, or, where its volume has no type, kubelet makes an \
            empty directory at that path. Change the workload (a build tool without a daemon, metrics from kubelet) or \
            remove it from this node. Skip the check if the pod may fail.",
        run: Some(pods_mount_docker_socket),
    },
    CheckInfo {
        id: "pods-mount-socket-folder",
        severity: Severity::Note,
        summary: "pods mount a folder that holds Docker's socket",
        explanation: "A pod that mounts /run, /var/run or / can reach docker.sock through it. Most such pods (network plugins, \
            storage drivers, node exporters) want something else there and will not notice; one that looks for \
            docker.sock will.",
        run: Some(pods_mount_socket_folder),
    },
    CheckInfo {
        id: "log-agents-read-docker",
        severity: Severity::Warn,
        summary: "log agents read the files of Docker's containers",
        explanation: "A pod or an agent of the host reads below /var/lib/docker/containers. containerd keeps no log files: \
            kubelet has them written to /var/log/pods as `TIME STREAM P|F TEXT` lines, and the links in \
            /var/log/containers lead there. Mount /var/log instead, and set the agent's parser to CRI (fluent-bit: \
            `parser cri`, fluentd: `cri`, filebeat: the container input, promtail: `cri: {}`).",
        run: Some(log_agents_read_docker),
    },
    CheckInfo {
        id: "logrotate-reads-docker",
        severity: Severity::Note,
        summary: "logrotate rotates the logs of Docker's containers",
        explanation: "A rule of logrotate is about /var/lib/docker/containers or restarts Docker. kubelet rotates the logs of \
            containerd's containers itself (`containerLogMaxSize`, `containerLogMaxFiles`), so the rule finds nothing any \
            more. Remove it; never point it to /var/log/pods, where it would fight kubelet.",
        run: Some(logrotate_reads_docker),
    },
    CheckInfo {
        id: "compose-projects",
        severity: Severity::Warn,
        summary: "Docker compose projects live on this node",
        explanation: "Containers carry compose's label. They are no pods: kubelet does not know them, and nothing moves them. \
            Move the project to another machine, or turn it into pods.",
        run: Some(compose_projects),
    },
];

/// Users that a finding is about. Pods are told by their name, others by place and words.
fn finding(
    facts: &Facts,
    id: &str,
    severity: Severity,
    summary: &str,
    fix: &str,
    of: impl Fn(&DockerUser) -> bool,
) -> Vec<Finding> {
    if !on_docker(facts) {
        return Vec::new();
    }
    let users: Vec<&DockerUser> = facts.docker_users.iter().filter(|user| of(user)).collect();
    if users.is_empty() {
        return Vec::new();
    }
    let mut said: Vec<String> = users.iter().map(|user| format!("{}: {}", user.name, user.detail)).collect();
    said.dedup();
    let finding = Finding::new(id, severity, summary).cause(said.join("; ")).fix(fix);
    vec![users.iter().fold(finding, |finding, user| finding.at(user.origin.clone()))]
}

const fn is_pod(user: &DockerUser) -> bool {
    matches!(user.kind, UserKind::Pod | UserKind::StaticPod)
}

pub fn units_need_docker(facts: &Facts) -> Vec<Finding> {
    let summary = "units of the host cannot run without Docker's unit";
    let fix = "take Docker out of their files (a drop-in cannot), or stop using them on this node";
    let hard = |tie: Tie| matches!(tie, Tie::Requires | Tie::StartedBy);
    let mut found = finding(facts, "units-need-docker", Severity::Warn, summary, fix, |user| {
        user.kind == UserKind::Unit && hard(user.tie)
    });
    // What generators made, and links of kinds that files do not show, only systemd knows.
    let known: BTreeSet<&str> =
        facts.docker_users.iter().filter(|user| hard(user.tie)).map(|user| user.name.as_str()).collect();
    let own = |unit: &str| DOCKER_UNITS.contains(&unit) || matches!(unit, "kubelet.service" | "containerd.service");
    let mut others = BTreeSet::new();
    for name in ["docker.service", "docker.socket"] {
        let unit = facts.unit(name);
        let hard = unit.dependents.iter().filter(|by| by.kind != "Wants");
        others.extend(
            hard.filter(|by| !known.contains(by.unit.as_str()) && !own(&by.unit))
                .map(|by| format!("{}: {}={name}", by.unit, by.kind)),
        );
    }
    if others.is_empty() || !on_docker(facts) {
        return found;
    }
    let others = others.into_iter().collect::<Vec<_>>().join("; ");
    match found.first_mut() {
        Some(found) => found.cause = format!("{}; {others}", found.cause),
        None => found.push(Finding::new("units-need-docker", Severity::Warn, summary).cause(others).fix(fix)),
    }
    found
}

pub fn units_use_docker(facts: &Facts) -> Vec<Finding> {
    let summary = "units of the host run the docker command or talk to its socket";
    let fix = "use `crictl` or `nerdctl -n k8s.io` there, or disable them";
    finding(facts, "units-use-docker", Severity::Warn, summary, fix, |user| {
        matches!(user.kind, UserKind::Unit | UserKind::Agent) && matches!(user.tie, Tie::Command | Tie::Socket)
    })
}

pub fn cron_uses_docker(facts: &Facts) -> Vec<Finding> {
    let fix = "remove them, or use `crictl` or `nerdctl -n k8s.io` in them";
    finding(facts, "cron-uses-docker", Severity::Warn, "cron jobs use Docker", fix, |user| {
        user.kind == UserKind::Cron && user.tie != Tie::Restarts
    })
}

pub fn host_restarts_docker(facts: &Facts) -> Vec<Finding> {
    let summary = "something on the host watches Docker and starts it again";
    let fix = "point it to containerd, or switch it off, before the migration";
    finding(facts, "host-restarts-docker", Severity::Warn, summary, fix, |user| {
        user.kind == UserKind::Watchdog || user.tie == Tie::Restarts && user.kind != UserKind::Logrotate
    })
}

pub fn pods_mount_docker_socket(facts: &Facts) -> Vec<Finding> {
    let fix = "change or remove these workloads; `--skip-check pods-mount-docker-socket` if they may fail";
    finding(facts, "pods-mount-docker-socket", Severity::Block, "pods mount Docker's socket", fix, |user| {
        is_pod(user) && user.tie == Tie::Socket
    })
}

pub fn pods_mount_socket_folder(facts: &Facts) -> Vec<Finding> {
    let summary = "pods mount a folder that holds Docker's socket";
    finding(
        facts,
        "pods-mount-socket-folder",
        Severity::Note,
        summary,
        "see that they do not look for docker.sock",
        |user| is_pod(user) && user.tie == Tie::Folder,
    )
}

pub fn log_agents_read_docker(facts: &Facts) -> Vec<Finding> {
    let summary = "log agents read the files of Docker's containers";
    let fix = "have them read /var/log/pods (or /var/log/containers) and parse CRI lines";
    finding(facts, "log-agents-read-docker", Severity::Warn, summary, fix, |user| {
        (is_pod(user) || user.kind == UserKind::Agent) && matches!(user.tie, Tie::Logs | Tie::Data)
    })
}

pub fn logrotate_reads_docker(facts: &Facts) -> Vec<Finding> {
    let summary = "logrotate rotates the logs of Docker's containers";
    finding(
        facts,
        "logrotate-reads-docker",
        Severity::Note,
        summary,
        "remove the rule: kubelet rotates logs itself",
        |user| user.kind == UserKind::Logrotate,
    )
}

pub fn compose_projects(facts: &Facts) -> Vec<Finding> {
    let projects: BTreeSet<&str> =
        facts.docker.containers.iter().filter_map(|container| container.compose.as_deref()).collect();
    if projects.is_empty() || !on_docker(facts) {
        return Vec::new();
    }
    let names = projects.into_iter().collect::<Vec<_>>().join(", ");
    vec![
        Finding::new("compose-projects", Severity::Warn, "Docker compose projects live on this node")
            .cause(names)
            .fix("move them to another machine, or turn them into pods"),
    ]
}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
