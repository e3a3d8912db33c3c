//! Docker: what its files say, and what it says itself.

use super::{
    files::Files,
    node::package_version,
    service::{self, Service},
};
use crate::{
    formats::daemon_json::DaemonJson,
    host::{Engine, EngineContainer, Host},
    model::{
        Assumptions, CgroupDriver, DAEMON_JSON, DockerContainer, DockerFacts, DockerImage, DockerSetting, Facts,
        Origin, Secret, Sourced, redact_text,
    },
};
use serde_json::Value;

const SOCKET: &str = "/run/docker.sock";
const PACKAGES: [&str; 4] = ["docker-ce", "docker.io", "docker-ee", "moby-engine"];

/// Looks at Docker.
pub fn probe(host: &Host, assumptions: &Assumptions, files: &mut Files<'_>, facts: &mut Facts) {
    let unit = facts.unit("docker.service");
    let package = PACKAGES.iter().find_map(|name| package_version(files, name));
    let mut docker = DockerFacts {
        installed: unit.is_there() || package.is_some(),
        running: unit.active == "active",
        version: package,
        ..DockerFacts::default()
    };
    if docker.installed {
        let service = service::read(&unit, files);
        from_flags(&service, &mut docker);
        from_daemon_json(files, &mut docker);
        managed_containerd(host, &mut docker);
        if docker.running {
            live(&*host.engine, files, &mut docker);
        }
    }
    if let Some(version) = &assumptions.docker_version {
        docker.version = Some(Sourced::new(version.clone(), Origin::assumed("docker.version")));
        docker.installed = true;
    }
    if let Some(driver) = assumptions.docker_cgroup_driver {
        docker.cgroup_driver = Some(Sourced::new(driver, Origin::assumed("docker.cgroup-driver")));
    }
    facts.docker = docker;
    if files.is_understood(DAEMON_JSON) {
        default_driver(facts);
    }
}

/// Without a setting: systemd on cgroup v2 with systemd from 20.10 on, else cgroupfs (moby `UsingSystemd`).
fn default_driver(facts: &mut Facts) {
    if facts.docker.cgroup_driver.is_some() || !facts.docker.installed {
        return;
    }
    let (Some(mode), Some(version)) = (&facts.cgroup.mode, &facts.docker.version) else { return };
    let Some(version) = crate::formats::package_db::version_pair(&version.value) else { return };
    let unified = mode.value == crate::model::CgroupMode::Unified;
    let driver = if unified && version >= (20, 10) { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
    facts.docker.cgroup_driver = Some(Sourced::new(driver, Origin::default_of("dockerd")));
}

/// Flags whose value may be given more than once, with their key in `daemon.json`.
fn list_key(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "host" => "hosts",
        "exec-opt" => "exec-opts",
        "insecure-registry" => "insecure-registries",
        "registry-mirror" => "registry-mirrors",
        "log-opt" => "log-opts",
        "storage-opt" => "storage-opts",
        "label" => "labels",
        "default-ulimit" => "default-ulimits",
        "add-runtime" => "runtimes",
        "dns-opt" => "dns-opts",
        _ => return None,
    })
}

fn from_flags(service: &Service, docker: &mut DockerFacts) {
    let mut words = service.words.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.text.as_str() {
            "-H" => ("host".to_owned(), words.next().map(|next| next.text.clone())),
            text if text.starts_with("--") => {
                let flag = text.trim_start_matches('-');
                match flag.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => {
                        let value = words.next_if(|next| !next.text.starts_with('-')).map(|next| next.text.clone());
                        (flag.to_owned(), value)
                    }
                }
            }
            _ => continue,
        };
        let value = value.unwrap_or_else(|| "true".to_owned());
        let origin =
            Origin { kind: crate::model::OriginKind::Flag, ..word.origin.clone() }.with_detail(format!("--{name}"));
        if name == "exec-opt" {
            take_exec_opt(&value, &origin, docker);
        }
        let key = list_key(&name).map_or(name.clone(), str::to_owned);
        take_setting(&key, &Value::String(value), origin, docker);
    }
}

fn from_daemon_json(files: &mut Files<'_>, docker: &mut DockerFacts) {
    let Some(text) = files.text(DAEMON_JSON) else { return };
    let json = match DaemonJson::parse(&text) {
        Ok(json) => json,
        Err(error) => return files.broken(DAEMON_JSON, "JSON", &error),
    };
    for (key, value, line) in json.entries() {
        take_setting(&key, &value, Origin::file(DAEMON_JSON, line).with_detail(key.clone()), docker);
    }
    if let Some(driver) = json.exec_opt("native.cgroupdriver") {
        take_exec_opt(
            &format!("native.cgroupdriver={}", driver.value),
            &Origin::file(DAEMON_JSON, driver.line),
            docker,
        );
    }
}

fn take_exec_opt(value: &str, origin: &Origin, docker: &mut DockerFacts) {
    if let Some(driver) = value.strip_prefix("native.cgroupdriver=").and_then(|word| word.parse().ok()) {
        docker.cgroup_driver = Some(Sourced::new(driver, origin.clone()));
    }
}

fn take_setting(key: &str, value: &Value, origin: Origin, docker: &mut DockerFacts) {
    let text = || value.as_str().map(|text| Sourced::new(text.to_owned(), origin.clone()));
    match key {
        "data-root" | "graph" => docker.data_root = text(),
        "storage-driver" => docker.storage_driver = text(),
        "live-restore" => {
            let on = value.as_bool().unwrap_or(value.as_str() == Some("true"));
            docker.live_restore = Some(Sourced::new(on, origin.clone()));
        }
        _ => {}
    }
    docker.settings.push(DockerSetting {
        key: key.to_owned(),
        value: redact(value),
        raw: Secret::new(value.clone()),
        origin,
    });
}

/// Masks credentials inside a JSON value.
fn redact(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact_text(text)),
        Value::Array(items) => items.iter().map(redact).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), redact(value))).collect(),
        other => other.clone(),
    }
}

/// dockerd uses the containerd it is told, else the system's if its socket is there, else a child of its own.
fn managed_containerd(host: &Host, docker: &mut DockerFacts) {
    if let Some(setting) = docker.settings.iter().find(|setting| setting.key == "containerd") {
        docker.managed_containerd = Some(Sourced::new(false, setting.origin.clone()));
    } else if host.is_live() && docker.running {
        const SYSTEM: &str = "/run/containerd/containerd.sock";
        let managed = host.root.kind(SYSTEM).is_none();
        docker.managed_containerd = Some(Sourced::new(managed, Origin::path(SYSTEM)));
    }
}

fn live(engine: &dyn Engine, files: &mut Files<'_>, docker: &mut DockerFacts) {
    match engine.version() {
        Ok(version) => docker.version = Some(Sourced::new(version.version, Origin::daemon(SOCKET, "/version"))),
        Err(error) => return files.unseen("Docker", format!("{error:#}")),
    }
    match engine.info() {
        Ok(info) => from_info(&info, docker),
        Err(error) => files.unseen("Docker's settings", format!("{error:#}")),
    }
    match engine.containers(true) {
        Ok(containers) => docker.containers = containers.into_iter().map(container).collect(),
        Err(error) => files.unseen("Docker's containers", format!("{error:#}")),
    }
    match engine.images() {
        Ok(images) => {
            docker.images = images
                .into_iter()
                .map(|image| DockerImage { id: image.id, tags: image.repo_tags, size: image.size })
                .collect();
        }
        Err(error) => files.unseen("Docker's images", format!("{error:#}")),
    }
}

/// What dockerd says of itself beats its files: they may have changed since it started.
fn from_info(info: &Value, docker: &mut DockerFacts) {
    let text = |field: &str| {
        let value = info.get(field)?.as_str()?.to_owned();
        Some(Sourced::new(value, Origin::daemon(SOCKET, format!("/info {field}"))))
    };
    if let Some(driver) = text("CgroupDriver")
        && let Ok(value) = driver.value.parse::<CgroupDriver>()
        // The file's line says more than the daemon's word, as long as they agree.
        && docker.cgroup_driver.as_ref().is_none_or(|known| known.value != value)
    {
        docker.cgroup_driver = Some(driver.map(|_| value));
    }
    if docker.data_root.is_none() {
        docker.data_root = text("DockerRootDir");
    }
    if docker.storage_driver.is_none() {
        docker.storage_driver = text("Driver");
    }
    if docker.live_restore.is_none() {
        docker.live_restore = info
            .get("LiveRestoreEnabled")
            .and_then(Value::as_bool)
            .map(|on| Sourced::new(on, Origin::daemon(SOCKET, "/info LiveRestoreEnabled")));
    }
}

fn container(container: EngineContainer) -> DockerContainer {
    let label = |name: &str| container.labels.get(name).cloned();
    let kind = label("io.kubernetes.docker.type");
    let compose = label("com.docker.compose.project");
    let name = container.names.first().cloned().unwrap_or_default();
    DockerContainer {
        kubernetes: container.is_kubernetes(),
        sandbox: kind.as_deref() == Some("podsandbox"),
        pod: label("io.kubernetes.pod.name"),
        namespace: label("io.kubernetes.pod.namespace"),
        container: label("io.kubernetes.container.name"),
        id: container.id,
        name,
        image: container.image,
        image_id: container.image_id,
        state: container.state,
        mounts: container.mounts.into_iter().filter(|mount| mount.kind == "bind").map(|mount| mount.source).collect(),
        compose,
    }
}
