//! What dockerd says of itself, beside what its files say.

use crate::{
    host::{Engine, EngineContainer},
    inspect::files::Files,
    model::{CgroupDriver, DockerContainer, DockerDrift, DockerFacts, DockerImage, Origin, Sourced},
};
use serde_json::Value;
use std::collections::BTreeSet;

const SOCKET: &str = "/run/docker.sock";

/// Asks for its version.
pub fn version(engine: &dyn Engine, files: &mut Files<'_>, docker: &mut DockerFacts) -> bool {
    match engine.version() {
        Ok(version) => {
            docker.version = Some(Sourced::new(version.version, Origin::daemon(SOCKET, "/version")));
            if version.platform.to_ascii_lowercase().contains("mirantis") {
                let origin = Origin::daemon(SOCKET, "/version Platform");
                docker.product = Some(Sourced::new(super::MIRANTIS.to_owned(), origin));
            }
            true
        }
        Err(error) => {
            files.unseen("Docker", format!("{error:#}"));
            false
        }
    }
}

/// Asks for everything else.
pub fn ask(engine: &dyn Engine, files: &mut Files<'_>, docker: &mut DockerFacts) {
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

/// What dockerd says of itself beats its files: they may have changed since it started. Proxies are left alone, for it
/// masks their credentials.
fn from_info(info: &Value, docker: &mut DockerFacts) {
    drift(info, docker);
    if let Some(driver) = text(info, "CgroupDriver")
        && let Ok(value) = driver.value.parse::<CgroupDriver>()
        // The file's line says more than the daemon's word, as long as they agree.
        && docker.cgroup_driver.as_ref().is_none_or(|known| known.value != value)
    {
        docker.cgroup_driver = Some(driver.map(|_| value));
    }
    let live_root = text(info, "DockerRootDir");
    if let Some(root) = &live_root
        && docker.data_root.as_ref().is_none_or(|known| !same_root(&known.value, &root.value))
    {
        docker.data_root.clone_from(&live_root);
    }
    if docker.userns_remap.is_some() {
        docker.remapped_root = live_root.or(docker.remapped_root.take());
    }
    if let Some(driver) = text(info, "Driver")
        && docker.storage_driver.as_ref().is_none_or(|known| known.value != driver.value)
    {
        docker.storage_driver = Some(driver);
    }
    let pairs = info.get("DriverStatus").and_then(Value::as_array).into_iter().flatten();
    let pairs: Vec<(&str, &str)> =
        pairs.filter_map(|pair| Some((pair.get(0)?.as_str()?, pair.get(1)?.as_str()?))).collect();
    let store = pairs.contains(&("driver-type", "io.containerd.snapshotter.v1"));
    if info.get("DriverStatus").is_some() {
        docker.image_store = Some(Sourced::new(store, Origin::daemon(SOCKET, "/info DriverStatus")));
    }
    if let Some(on) = info.get("LiveRestoreEnabled").and_then(Value::as_bool)
        && docker.live_restore.as_ref().is_none_or(|known| known.value != on)
    {
        docker.live_restore = Some(Sourced::new(on, Origin::daemon(SOCKET, "/info LiveRestoreEnabled")));
    }
    if let Some(state) = info.pointer("/Swarm/LocalNodeState").and_then(Value::as_str) {
        let origin = Origin::daemon(SOCKET, "/info Swarm.LocalNodeState");
        docker.swarm = (!matches!(state, "" | "inactive")).then(|| Sourced::new(state.to_owned(), origin));
    }
    if let Some(address) = info.pointer("/Containerd/Address").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        let origin = Origin::daemon(SOCKET, "/info Containerd.Address");
        docker.managed_containerd = Some(Sourced::new(is_own(address), origin.clone()));
        docker.containerd_address = Some(Sourced::new(address.to_owned(), origin));
    }
    let options = info.get("SecurityOptions").and_then(Value::as_array).into_iter().flatten();
    if docker.userns_remap.is_none() && options.filter_map(Value::as_str).any(|option| option == "name=userns") {
        let origin = Origin::daemon(SOCKET, "/info SecurityOptions");
        docker.userns_remap = Some(Sourced::new("on".to_owned(), origin));
    }
}

/// A socket below Docker's own state directory belongs to a containerd that dockerd started.
pub fn is_own(address: &str) -> bool {
    address.contains("/docker/containerd/")
}

fn text(info: &Value, field: &str) -> Option<Sourced<String>> {
    let value = info.get(field)?.as_str().filter(|text| !text.is_empty())?.to_owned();
    Some(Sourced::new(value, Origin::daemon(SOCKET, format!("/info {field}"))))
}

/// With userns-remap the data lies in a directory `UID.GID` below the data root.
fn same_root(configured: &str, live: &str) -> bool {
    let configured = configured.trim_end_matches('/');
    let below = live.strip_prefix(configured).and_then(|rest| rest.strip_prefix('/'));
    let remapped = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_digit() || c == '.');
    live.trim_end_matches('/') == configured || below.is_some_and(remapped)
}

/// Settings whose effect `/info` shows, compared with the files.
fn drift(info: &Value, docker: &mut DockerFacts) {
    let mut found = Vec::new();
    let mut differ =
        |key: &str, field: &str, default: Option<&str>, live: Option<String>, same: &dyn Fn(&str, &str) -> bool| {
            let Some(live) = live else { return };
            let setting = docker.settings.iter().find(|setting| setting.key == key);
            let (said, origin) = match (setting, default) {
                (Some(setting), _) => (plain(&setting.value), setting.origin.clone()),
                (None, Some(default)) => (default.to_owned(), Origin::default_of("dockerd")),
                (None, None) => return,
            };
            if !same(&said, &live) {
                let now = Sourced::new(live, Origin::daemon(SOCKET, format!("/info {field}")));
                found.push(DockerDrift { key: key.to_owned(), configured: Sourced::new(said, origin), live: now });
            }
        };
    let equal = |said: &str, live: &str| said == live;
    let string = |field: &str| info.get(field).and_then(Value::as_str).map(str::to_owned);
    differ("data-root", "DockerRootDir", Some("/var/lib/docker"), string("DockerRootDir"), &same_root);
    differ("storage-driver", "Driver", None, string("Driver"), &equal);
    differ("log-driver", "LoggingDriver", Some("json-file"), string("LoggingDriver"), &equal);
    differ("default-runtime", "DefaultRuntime", Some("runc"), string("DefaultRuntime"), &equal);
    let live_restore = info.get("LiveRestoreEnabled").and_then(Value::as_bool).map(|on| on.to_string());
    differ("live-restore", "LiveRestoreEnabled", Some("false"), live_restore, &equal);
    let mirrors = info.pointer("/RegistryConfig/Mirrors").map(plain);
    differ("registry-mirrors", "RegistryConfig.Mirrors", Some(""), mirrors, &same_list);
    if let Some(driver) = super::settings::cgroup_driver(&docker.settings)
        && let Some(live) = string("CgroupDriver").filter(|live| *live != driver.value)
    {
        let now = Sourced::new(live, Origin::daemon(SOCKET, "/info CgroupDriver"));
        found.push(DockerDrift { key: "exec-opts".to_owned(), configured: driver, live: now });
    }
    docker.drift = found;
}

fn same_list(said: &str, live: &str) -> bool {
    let set = |text: &str| -> BTreeSet<String> {
        let items = text.split(", ").map(|item| item.trim_end_matches('/').to_owned());
        items.filter(|item| !item.is_empty()).collect()
    };
    set(said) == set(live)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DockerSetting, Secret};
    use serde_json::json;

    fn with(settings: &[(&str, Value)]) -> DockerFacts {
        let setting = |(key, value): &(&str, Value)| DockerSetting {
            key: (*key).to_owned(),
            value: value.clone(),
            raw: Secret::new(value.clone()),
            origin: Origin::file("/etc/docker/daemon.json", 2),
        };
        let mut docker = DockerFacts { settings: settings.iter().map(setting).collect(), ..DockerFacts::default() };
        docker.storage_driver = Some(Sourced::new("overlay2".to_owned(), Origin::default_of("x")));
        docker
    }

    #[test]
    fn a_file_that_changed_since_the_start_is_told_from_what_runs() {
        let mut docker = with(&[
            ("exec-opts", json!(["native.cgroupdriver=systemd"])),
            ("registry-mirrors", json!(["https://m"])),
            ("live-restore", json!(true)),
            ("log-driver", json!("local")),
        ]);
        docker.cgroup_driver = Some(Sourced::new(CgroupDriver::Systemd, Origin::file("/etc/docker/daemon.json", 2)));
        let info = json!({
            "CgroupDriver": "cgroupfs", "LiveRestoreEnabled": true, "LoggingDriver": "journald", "DefaultRuntime": "nvidia",
            "RegistryConfig": {"Mirrors": ["https://m/"]}, "DockerRootDir": "/var/lib/docker",
            "Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
            "Swarm": {"LocalNodeState": "active"}, "Containerd": {"Address": "/var/run/docker/containerd/containerd.sock"},
            "HttpProxy": "http://xxxxx:xxxxx@proxy"
        });
        from_info(&info, &mut docker);
        let keys: Vec<&str> = docker.drift.iter().map(|drift| drift.key.as_str()).collect();
        assert_eq!(keys, ["log-driver", "default-runtime", "exec-opts"]);
        assert_eq!(docker.cgroup_driver.as_ref().unwrap().value, CgroupDriver::Cgroupfs);
        assert_eq!(docker.storage_driver.as_ref().unwrap().value, "overlayfs");
        assert!(docker.image_store.as_ref().unwrap().value && docker.managed_containerd.as_ref().unwrap().value);
        assert_eq!(docker.swarm.as_ref().unwrap().value, "active");
        assert!(docker.setting("http-proxy").is_none());
    }

    #[test]
    fn the_root_of_remapped_users_is_the_root() {
        assert!(same_root("/data", "/data/100000.100000") && same_root("/data/", "/data"));
        assert!(!same_root("/data", "/data/docker") && !same_root("/data", "/database"));
    }

    #[test]
    fn a_daemon_that_says_little_changes_nothing() {
        let mut docker = with(&[("data-root", json!("/data"))]);
        let before = docker.clone();
        from_info(&json!({}), &mut docker);
        assert_eq!(docker, before);
    }
}
