//! Docker: what its files say, and what it says itself.

mod live;
mod settings;

use super::{files::Files, node::package_version, service};
use crate::{
    formats::{package_db::version_pair, service::Word},
    host::Host,
    model::{Assumptions, CgroupDriver, DockerFacts, Facts, Origin, Sourced, UnitFacts},
};
use serde_json::Value;
use settings::Settings;

const PACKAGES: [&str; 4] = ["docker-ce", "docker.io", "docker-ee", "moby-engine"];

/// The name of what used to be Docker Enterprise.
const MIRANTIS: &str = "Mirantis Container Runtime";

/// The system's containerd.
const SYSTEM_CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Looks at Docker.
pub fn probe(host: &Host, assumptions: &Assumptions, files: &mut Files<'_>, facts: &mut Facts) {
    let unit = facts.unit("docker.service");
    let package = PACKAGES.iter().find_map(|name| Some((*name, package_version(files, name)?)));
    let mut docker = DockerFacts {
        installed: unit.is_there() || package.is_some(),
        running: unit.active == "active",
        ..DockerFacts::default()
    };
    if let Some((name, version)) = package {
        let product = if name == "docker-ee" { MIRANTIS } else { "Docker Engine" };
        docker.product = Some(Sourced::new(product.to_owned(), version.origin.clone()));
        docker.version = Some(version);
    }
    if docker.installed {
        let answers = docker.running && live::version(&*host.engine, files, &mut docker);
        if let Some(version) = &assumptions.docker_version {
            docker.version = Some(Sourced::new(version.clone(), Origin::assumed("docker.version")));
        }
        from_files(host, &unit, files, &mut docker);
        containerd(host, facts, &mut docker);
        if answers {
            live::ask(&*host.engine, files, &mut docker);
        }
    }
    if let Some(version) = &assumptions.docker_version {
        docker.version = Some(Sourced::new(version.clone(), Origin::assumed("docker.version")));
        docker.installed = true;
    }
    if let Some(driver) = assumptions.docker_cgroup_driver {
        docker.cgroup_driver = Some(Sourced::new(driver, Origin::assumed("docker.cgroup-driver")));
    }
    let config = docker.config_path().to_owned();
    facts.docker = docker;
    if files.is_understood(&config) {
        default_driver(facts);
    }
}

/// Without a setting: systemd on cgroup v2 with systemd from 20.10 on, else cgroupfs (moby `UsingSystemd`).
fn default_driver(facts: &mut Facts) {
    if facts.docker.cgroup_driver.is_some() || !facts.docker.installed {
        return;
    }
    let (Some(mode), Some(version)) = (&facts.cgroup.mode, &facts.docker.version) else { return };
    let Some(version) = version_pair(&version.value) else { return };
    let unified = mode.value == crate::model::CgroupMode::Unified;
    let driver = if unified && version >= (20, 10) { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
    facts.docker.cgroup_driver = Some(Sourced::new(driver, Origin::default_of("dockerd")));
}

fn from_files(host: &Host, unit: &UnitFacts, files: &mut Files<'_>, docker: &mut DockerFacts) {
    let release = docker.version.as_ref().and_then(|version| version_pair(&version.value));
    let mut settings = Settings::default();
    settings.command_line(&command_line(host, unit, docker.running, files));
    docker.config_file = settings.config_file.clone();
    settings.file(docker.config_path(), release, files);
    settings.environment(&service::variables(unit, files));
    (docker.settings, docker.problems) = (settings.found, settings.problems);
    docker.cgroup_driver = settings::cgroup_driver(&docker.settings)
        .and_then(|driver| Some(Sourced::new(driver.value.parse().ok()?, driver.origin)));
    docker.data_root = text(docker, "data-root");
    docker.storage_driver = text(docker, "storage-driver");
    docker.live_restore = docker
        .setting("live-restore")
        .and_then(|setting| Some(Sourced::new(setting.value.as_bool()?, setting.origin.clone())));
    docker.userns_remap = text(docker, "userns-remap");
    docker.remapped_root = remapped_root(docker, files);
    docker.image_store = image_store(docker);
    docker.swarm = swarm(host, docker);
}

/// The words of dockerd's command line: its unit's, or those of the process where the unit starts a wrapper.
fn command_line(host: &Host, unit: &UnitFacts, running: bool, files: &mut Files<'_>) -> Vec<Word> {
    let words = service::read(unit, files).words;
    let plain = words.first().is_none_or(|word| settings::is_dockerd(&word.text));
    if plain || !running {
        return words;
    }
    let pid = host.units.state("docker.service").ok().and_then(|state| state.main_pid);
    let seen = pid.and_then(|pid| Some((pid, host.procs.cmdline(pid)?)));
    match seen.filter(|(_, line)| line.first().is_some_and(|program| settings::is_dockerd(program))) {
        Some((pid, line)) => {
            let origin = Origin::process(format!("/proc/{pid}/cmdline"));
            line.into_iter().map(|text| word(text, &origin)).collect()
        }
        None => words,
    }
}

fn text(docker: &DockerFacts, key: &str) -> Option<Sourced<String>> {
    let setting = docker.setting(key)?;
    let value = setting.value.as_str().filter(|text| !text.is_empty())?;
    Some(Sourced::new(value.to_owned(), setting.origin.clone()))
}

/// A word of a command line that no variable gave.
fn word(text: String, origin: &Origin) -> Word {
    Word { text, origin: origin.clone(), variable: None, at: 0, inner: 0 }
}

/// With userns-remap everything lies below `UID.GID`, the first subordinate ids of the user.
fn remapped_root(docker: &DockerFacts, files: &mut Files<'_>) -> Option<Sourced<String>> {
    let remap = docker.userns_remap.as_ref()?;
    let (user, group) = remap.value.split_once(':').unwrap_or((&remap.value, &remap.value));
    let name = |name: &str| if name == "default" { "dockremap".to_owned() } else { name.to_owned() };
    let mut first = |path: &str, name: &str| {
        let text = files.text(path)?;
        let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|line| line.first() == Some(&name)).and_then(|line| Some((*line.get(1)?).to_owned()))
    };
    let (uid, gid) = (first("/etc/subuid", &name(user))?, first("/etc/subgid", &name(group))?);
    let root = docker.data_root.as_ref().map_or("/var/lib/docker", |root| root.value.as_str());
    let path = format!("{}/{uid}.{gid}", root.trim_end_matches('/'));
    Some(Sourced::new(path, remap.origin.clone()))
}

/// Whether images are in containerd's own store. Docker 29 decides by what it finds, which only it can tell.
fn image_store(docker: &DockerFacts) -> Option<Sourced<bool>> {
    let feature = docker.setting("features").and_then(|setting| {
        let on = setting.value.get("containerd-snapshotter")?.as_bool()?;
        Some(Sourced::new(on, setting.origin.clone()))
    });
    let driver = docker.storage_driver.as_ref();
    feature.or_else(|| driver.map(|driver| Sourced::new(driver.value == "overlayfs", driver.origin.clone())))
}

/// A member of a swarm keeps its state below the data root.
fn swarm(host: &Host, docker: &DockerFacts) -> Option<Sourced<String>> {
    let root = docker.remapped_root.as_ref().or(docker.data_root.as_ref());
    let root = root.map_or("/var/lib/docker", |root| root.value.trim_end_matches('/'));
    let path = format!("{root}/swarm/docker-state.json");
    host.root.exists(&path).then(|| Sourced::new("member".to_owned(), Origin::path(path)))
}

/// dockerd uses the containerd it is told, else the system's if its socket is there, else a child of its own.
fn containerd(host: &Host, facts: &Facts, docker: &mut DockerFacts) {
    let embedded = docker
        .setting("features")
        .filter(|setting| setting.value.get("embedded-containerd") == Some(&Value::Bool(true)));
    if let Some(setting) = embedded {
        docker.managed_containerd = Some(Sourced::new(true, setting.origin.clone()));
    } else if let Some(address) = text(docker, "containerd") {
        docker.managed_containerd = Some(Sourced::new(live::is_own(&address.value), address.origin.clone()));
        docker.containerd_address = Some(address);
    } else if host.is_live() && docker.running {
        let managed = host.root.kind(SYSTEM_CONTAINERD).is_none();
        docker.managed_containerd = Some(Sourced::new(managed, Origin::path(SYSTEM_CONTAINERD)));
    } else {
        let system = facts.unit("containerd.service");
        let origin = system.fragment.map_or_else(|| Origin::default_of("dockerd"), |path| Origin::unit(path, None));
        docker.managed_containerd = Some(Sourced::new(!facts.unit("containerd.service").is_there(), origin));
    }
}
