//! Who else uses Docker: units, cron jobs, log rotation, watchdogs, agents, static pods, pods.
//!
//! Only files that are small, regular and text are looked into, and only so many of them: none of this is
//! configuration that a plan edits, and a strange file here is nothing to stop for.

mod units;

use crate::{
    formats::{At, host_paths, mentions},
    host::{EntryKind, Host},
    model::{DockerUser, Facts, Origin, Tie, UserKind},
};

/// Scripts and rules are small; anything larger is a program or data.
const MAX_BYTES: u64 = 64 * 1024;
/// Files of one directory that are looked into.
const MAX_FILES: usize = 256;

/// Crontabs with a user's name in each line, and directories of such.
const CRONTABS: [&str; 2] = ["/etc/crontab", "/etc/anacrontab"];
const CRON_DIRS: [&str; 7] = [
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron",
    "/var/spool/cron/crontabs",
];

/// Supervisors of the host, by the places of their configuration.
const WATCHDOGS: [&str; 9] = [
    "/etc/monitrc",
    "/etc/monit/monitrc",
    "/etc/monit/conf.d",
    "/etc/monit/conf-enabled",
    "/etc/monit.d",
    "/etc/node-problem-detector",
    "/etc/node-problem-detector.d",
    "/etc/supervisor/conf.d",
    "/etc/supervisord.d",
];

/// Agents that collect logs or figures, likewise.
const AGENTS: [&str; 15] = [
    "/etc/fluent-bit",
    "/etc/fluent",
    "/etc/td-agent",
    "/etc/td-agent-bit",
    "/etc/filebeat",
    "/etc/filebeat/inputs.d",
    "/etc/promtail",
    "/etc/vector",
    "/etc/rsyslog.conf",
    "/etc/rsyslog.d",
    "/etc/telegraf",
    "/etc/telegraf/telegraf.d",
    "/etc/datadog-agent",
    "/etc/datadog-agent/conf.d/docker.d",
    "/etc/amazon/amazon-cloudwatch-agent",
];

const LOGROTATE: [&str; 2] = ["/etc/logrotate.conf", "/etc/logrotate.d"];

/// Looks for them. Runs after Docker and kubelet.
pub fn probe(host: &Host, facts: &mut Facts) {
    if !facts.docker.installed {
        return;
    }
    let root = facts.docker.data_root.as_ref().map_or("/var/lib/docker", |root| root.value.as_str()).to_owned();
    let mut found = Vec::new();
    units::probe(host, facts, &mut found);
    for place in CRONTABS.iter().chain(&CRON_DIRS) {
        for (path, text) in small_texts(host, place) {
            cron(host, &path, &text, &mut found);
        }
    }
    for (places, kind) in [(&WATCHDOGS[..], UserKind::Watchdog), (&AGENTS[..], UserKind::Agent)] {
        for (path, text) in places.iter().flat_map(|place| small_texts(host, place)) {
            configuration(kind, &path, &text, &root, &mut found);
        }
    }
    for (path, text) in LOGROTATE.iter().flat_map(|place| small_texts(host, place)) {
        // A rule that restarts or signals Docker after rotation is one as well.
        configuration(UserKind::Logrotate, &path, &text, &root, &mut found);
    }
    pods(host, facts, &root, &mut found);
    found.sort();
    found.dedup_by(|a, b| (a.kind, &a.name, a.tie) == (b.kind, &b.name, b.tie));
    facts.docker_users = found;
}

/// A file, or the files of a directory.
fn small_texts(host: &Host, place: &str) -> Vec<(String, String)> {
    let names = match host.root.kind(place) {
        Some(EntryKind::Dir) => host.root.list(place).unwrap_or_default(),
        Some(_) => return small_text(host, place).map(|text| (place.to_owned(), text)).into_iter().collect(),
        None => return Vec::new(),
    };
    // Packages of another distribution release and editors leave files that nobody reads.
    let dead = |name: &str| {
        name.ends_with('~')
            || [".dpkg-old", ".dpkg-dist", ".rpmsave", ".rpmnew", ".bak"].iter().any(|end| name.ends_with(end))
    };
    let files =
        names.into_iter().filter(|(name, kind)| *kind != EntryKind::Dir && *kind != EntryKind::Other && !dead(name));
    files
        .take(MAX_FILES)
        .filter_map(|(name, _)| {
            let path = format!("{place}/{name}");
            let text = small_text(host, &path)?;
            Some((path, text))
        })
        .collect()
}

pub(super) fn small_text(host: &Host, path: &str) -> Option<String> {
    host.root.text_within(path, MAX_BYTES)
}

/// Where a script of the administrator's may be. Programs of packages are not looked into.
const SCRIPT_DIRS: [&str; 6] = ["/usr/local/", "/opt/", "/etc/", "/root/", "/home/", "/srv/"];

/// What the script says that a command line starts, if that is one: one level deep, as `docker-gc.sh` is called by a
/// timer whose own file never names Docker.
pub(super) fn called_script(host: &Host, command: &str) -> Option<(String, At<(Tie, String)>)> {
    let words = command.split_whitespace().map(|word| word.trim_start_matches(['-', '@', '+', '!', ':', '"', '\'']));
    let path = words.take(8).find(|word| SCRIPT_DIRS.iter().any(|dir| word.starts_with(dir)))?;
    let path = path.trim_end_matches([';', '"', '\'', ')', '&']);
    let text = small_text(host, path).filter(|text| text.starts_with("#!"))?;
    let strongest = mentions::in_script(&text).into_iter().min_by_key(|at| at.value.0)?;
    Some((path.to_owned(), strongest))
}

fn cron(host: &Host, path: &str, text: &str, found: &mut Vec<DockerUser>) {
    let user =
        |tie, detail: String, origin| DockerUser { kind: UserKind::Cron, name: path.to_owned(), tie, detail, origin };
    for at in mentions::in_script(text) {
        let (tie, detail) = at.value;
        found.push(user(tie, detail, Origin::file(path, at.line)));
    }
    // The scripts of cron.daily are looked at as such already.
    if text.starts_with("#!") {
        return;
    }
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')).take(MAX_FILES) {
        if let Some((script, at)) = called_script(host, line) {
            let (tie, detail) = at.value;
            found.push(user(tie, detail, Origin::file(script, at.line)));
        }
    }
}

fn configuration(kind: UserKind, path: &str, text: &str, root: &str, found: &mut Vec<DockerUser>) {
    let said = mentions::in_script(text).into_iter().chain(mentions::of_data(text, root));
    let watched = kind == UserKind::Watchdog && said.clone().next().is_none();
    found.extend(said.map(|at| {
        let (tie, detail) = at.value;
        DockerUser { kind, name: path.to_owned(), tie, detail, origin: Origin::file(path, at.line) }
    }));
    // `check process docker with pidfile …`, a plugin of node-problem-detector called docker-monitor.
    let line = text.lines().position(|line| {
        let line = line.trim();
        !line.starts_with('#')
            && line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| matches!(word, "docker" | "dockerd"))
    });
    if let Some(line) = line.filter(|_| watched) {
        found.push(DockerUser {
            kind,
            name: path.to_owned(),
            tie: Tie::Wants,
            detail: "docker".to_owned(),
            origin: Origin::file(path, u32::try_from(line + 1).unwrap_or(u32::MAX)),
        });
    }
}

/// Static pods by their manifests; running pods by what Docker mounted for them, which covers every other kind.
fn pods(host: &Host, facts: &Facts, root: &str, found: &mut Vec<DockerUser>) {
    for pod in &facts.kubelet.static_pods {
        let text = small_text(host, &pod.path).unwrap_or_default();
        for path in host_paths::of_manifest(&text) {
            let Some(tie) = host_paths::reach(&path, root) else { continue };
            let line = text.lines().position(|line| line.contains(&path)).and_then(|line| u32::try_from(line + 1).ok());
            let mut origin = Origin::path(pod.path.clone());
            origin.line = line;
            let name = format!("{}/{}", pod.namespace, pod.name);
            found.push(DockerUser { kind: UserKind::StaticPod, name, tie, detail: path, origin });
        }
    }
    for container in facts.docker.containers.iter().filter(|container| container.kubernetes) {
        let (Some(namespace), Some(pod)) = (&container.namespace, &container.pod) else { continue };
        let name = format!("{namespace}/{pod}");
        if container.state != "running"
            || facts.kubelet.static_pods.iter().any(|known| format!("{}/{}", known.namespace, known.name) == name)
        {
            continue;
        }
        for path in &container.mounts {
            let Some(tie) = host_paths::reach(path, root) else { continue };
            let origin = Origin::daemon("/run/docker.sock", format!("/containers/json {}", container.name));
            found.push(DockerUser { kind: UserKind::Pod, name: name.clone(), tie, detail: path.clone(), origin });
        }
    }
}

#[cfg(test)]
#[path = "users/tests.rs"]
mod tests;
