#![allow(clippy::disallowed_methods, reason = "it makes file trees to look at")]

use super::*;
use crate::{host::Faults, inspect::inspect, model::Assumptions};
use std::{fs, os::unix::fs::symlink, path::Path};

fn put(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn docker(dir: &Path) {
    put(
        dir,
        "/usr/lib/systemd/system/docker.service",
        "[Unit]\nRequires=docker.socket\n[Service]\nExecStart=/usr/bin/dockerd\n",
    );
}

fn look(dir: &Path) -> Facts {
    let host = Host::open(dir, &Faults::none()).unwrap();
    inspect(&host, &Assumptions::default(), "unix:///run/containerd/containerd.sock")
}

fn seen(facts: &Facts) -> Vec<(UserKind, &str, Tie, String)> {
    let row = |user: &DockerUser| {
        let (path, line) = (user.origin.path.clone().unwrap_or_default(), user.origin.line.unwrap_or_default());
        format!("{}|{path}:{line}", user.detail)
    };
    facts.docker_users.iter().map(|user| (user.kind, user.name.as_str(), user.tie, row(user))).collect()
}

#[test]
fn units_and_what_they_call() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    docker(dir);
    let etc = "/etc/systemd/system";
    put(
        dir,
        &format!("{etc}/gc.service"),
        "[Unit]\nAfter=docker.service\n[Service]\nExecStart=/usr/local/bin/gc.sh --all\n",
    );
    put(dir, "/usr/local/bin/gc.sh", "#!/bin/sh\nset -e\ndocker image prune -af\n");
    put(dir, &format!("{etc}/app.service.d/10-docker.conf"), "[Unit]\nBindsTo=docker.service\n");
    put(dir, &format!("{etc}/docker.service.wants/mirror.service"), "");
    put(dir, "/usr/lib/systemd/system/plain.service", "[Unit]\nAfter=docker.service\n[Service]\nExecStart=/bin/true\n");
    put(
        dir,
        "/usr/lib/systemd/system/kubelet.service",
        "[Unit]\nRequires=docker.service\n[Service]\nExecStart=/usr/bin/kubelet\n",
    );
    // The administrator's file hides the package's.
    put(dir, &format!("{etc}/hidden.service"), "[Service]\nExecStart=/bin/true\n");
    put(dir, "/usr/lib/systemd/system/hidden.service", "[Service]\nExecStart=/usr/bin/docker run x\n");
    symlink("/dev/null", dir.join("etc/systemd/system/off.service")).unwrap();
    put(dir, "/usr/lib/systemd/system/off.service", "[Service]\nExecStart=/usr/bin/docker run x\n");
    symlink("usr/lib", dir.join("lib")).unwrap();
    let facts = look(dir);
    assert_eq!(
        seen(&facts),
        [
            (
                UserKind::Unit,
                "app.service",
                Tie::Requires,
                format!("BindsTo=docker.service|{etc}/app.service.d/10-docker.conf:2")
            ),
            (UserKind::Unit, "gc.service", Tie::Command, "docker image prune|/usr/local/bin/gc.sh:3".to_owned()),
            (
                UserKind::Unit,
                "mirror.service",
                Tie::StartedBy,
                format!("docker.service.wants/|{etc}/docker.service.wants/mirror.service:0")
            ),
        ]
    );
    let dependents: Vec<String> =
        facts.unit("docker.service").dependents.iter().map(|by| format!("{} {}", by.kind, by.unit)).collect();
    assert_eq!(dependents, ["BindsTo app.service", "WantedBy mirror.service"]);
}

#[test]
fn cron_and_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    docker(dir);
    put(dir, "/etc/docker/daemon.json", "{\"data-root\": \"/data/docker\"}");
    put(dir, "/etc/cron.d/prune", "# docker ps\n0 3 * * * root docker system prune -f --filter secret=hunter2\n");
    put(dir, "/etc/cron.daily/look", "#!/bin/sh\nsystemctl restart docker\n");
    put(dir, "/etc/cron.d/prune.dpkg-old", "0 3 * * * root docker ps\n");
    put(dir, "/var/spool/cron/crontabs/root", "@daily /root/backup.sh\n");
    put(dir, "/root/backup.sh", "#!/bin/bash\ncurl --unix-socket /run/docker.sock http://x/info\n");
    put(dir, "/etc/monit/conf.d/docker", "check process dockerd with pidfile /run/docker.pid\n");
    put(dir, "/etc/logrotate.d/pods", "/data/docker/containers/*/*.log {\n daily\n}\n");
    put(dir, "/etc/filebeat/filebeat.yml", "paths: ['/data/docker/containers/*/*.log']\n");
    fs::write(dir.join("etc/cron.d/binary"), [0xff, 0xfe, b'\n']).unwrap();
    fs::create_dir(dir.join("etc/cron.d/folder")).unwrap();
    let facts = look(dir);
    assert_eq!(
        seen(&facts),
        [
            (UserKind::Cron, "/etc/cron.d/prune", Tie::Command, "docker system prune|/etc/cron.d/prune:2".to_owned()),
            (
                UserKind::Cron,
                "/etc/cron.daily/look",
                Tie::Restarts,
                "systemctl restart docker|/etc/cron.daily/look:2".to_owned()
            ),
            (UserKind::Cron, "/var/spool/cron/crontabs/root", Tie::Socket, "docker.sock|/root/backup.sh:2".to_owned()),
            (
                UserKind::Logrotate,
                "/etc/logrotate.d/pods",
                Tie::Logs,
                "/data/docker/containers|/etc/logrotate.d/pods:1".to_owned()
            ),
            (
                UserKind::Watchdog,
                "/etc/monit/conf.d/docker",
                Tie::Wants,
                "docker|/etc/monit/conf.d/docker:1".to_owned()
            ),
            (
                UserKind::Agent,
                "/etc/filebeat/filebeat.yml",
                Tie::Logs,
                "/data/docker/containers|/etc/filebeat/filebeat.yml:1".to_owned()
            ),
        ]
    );
    assert!(!serde_json::to_string(&facts).unwrap().contains("hunter2"));
    assert!(facts.findings.iter().all(|finding| finding.id != "file-unreadable"), "{:#?}", facts.findings);
}
