//! kubelet: its command line out of unit, drop-ins and environment files; its configuration file; its static pods.

use super::{
    files::Files,
    node::package_version,
    service::{self, Service, Word},
};
use crate::{
    formats::{kubelet_config::KubeletConfig, kubelet_flags, package_db},
    host::{EntryKind, Host},
    model::{
        Assumptions, CgroupDriver, Facts, KubeletFacts, KubeletFlag, Origin, OriginKind, RuntimeKind, Sourced,
        StaticPod,
    },
};
use serde::Deserialize;
use std::time::Duration;

/// Where the shim inside kubelet ≤ 1.23 serves CRI.
const DOCKERSHIM: &str = "unix:///var/run/dockershim.sock";

/// Looks at kubelet.
pub fn probe(host: &Host, assumptions: &Assumptions, files: &mut Files<'_>, facts: &mut Facts) {
    let unit = facts.unit("kubelet.service");
    let service = service::read(&unit, files);
    let package = package_version(files, "kubelet");
    let mut kubelet = KubeletFacts {
        installed: unit.is_there() || package.is_some(),
        running: unit.active == "active",
        version: package,
        flags: flags(&service),
        ..KubeletFacts::default()
    };
    if kubelet.installed && host.is_live() {
        if let Some(version) = binary_version(host, &service) {
            kubelet.version = Some(version);
        }
        if kubelet.running {
            kubelet.command_line = command_line(host, files);
        }
    }
    if let Some(version) = &assumptions.kubelet_version {
        kubelet.version = Some(Sourced::new(version.clone(), Origin::assumed("kubelet.version")));
        kubelet.installed = true;
    }
    let config = config(files, &mut kubelet);
    let known = kubelet.config_path.as_ref().is_none_or(|path| files.is_understood(&path.value));
    effective(config.as_ref(), known, &mut kubelet);
    if kubelet.installed {
        runtime(config.as_ref(), &mut kubelet);
        let name = facts.name().to_lowercase();
        static_pods(host, files, &name, &mut kubelet);
    }
    facts.kubelet = kubelet;
}

fn flags(service: &Service) -> Vec<KubeletFlag> {
    let texts: Vec<String> = service.words.iter().map(|word| word.text.clone()).collect();
    let mut at = 1; // the program itself
    let mut flags = Vec::new();
    let Some(arguments) = texts.get(1..) else { return flags };
    for flag in kubelet_flags::parse(arguments) {
        if let Some(word) = service.words.get(at)
            && !flag.name.is_empty()
        {
            flags.push(located(&flag, word));
        }
        at += flag.words.max(1);
    }
    flags
}

fn located(flag: &kubelet_flags::Flag, word: &Word) -> KubeletFlag {
    let kind = if word.origin.kind == OriginKind::EnvFile { OriginKind::EnvFile } else { OriginKind::Flag };
    let origin = Origin { kind, ..word.origin.clone() }.with_detail(format!("--{}", flag.name));
    let value = flag.value.clone().unwrap_or_else(|| "true".to_owned());
    KubeletFlag { name: flag.name.clone(), value, origin, variable: word.variable.clone() }
}

fn binary_version(host: &Host, service: &Service) -> Option<Sourced<String>> {
    let program = service.words.first().map_or("kubelet", |word| word.text.as_str());
    let ran = host.procs.query(program, &["--version"], Duration::from_secs(10)).ok()?;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let version = text.trim().strip_prefix("Kubernetes ")?.trim_start_matches('v').to_owned();
    Some(Sourced::new(version, Origin::process(program.to_owned()).with_detail("--version")))
}

fn command_line(host: &Host, files: &mut Files<'_>) -> Option<Sourced<Vec<String>>> {
    let pid = host.units.state("kubelet.service").ok()?.main_pid?;
    match host.procs.cmdline(pid) {
        Some(words) => Some(Sourced::new(words, Origin::process(format!("/proc/{pid}/cmdline")))),
        None => {
            files.unseen("kubelet's command line", format!("/proc/{pid}/cmdline cannot be read"));
            None
        }
    }
}

fn config(files: &mut Files<'_>, kubelet: &mut KubeletFacts) -> Option<(String, KubeletConfig)> {
    let flag = kubelet.flag("config")?;
    let path = Sourced::new(flag.value.clone(), flag.origin.clone());
    kubelet.config_path = Some(path.clone());
    let path = path.value;
    let Some(text) = files.text(&path) else {
        if files.is_understood(&path) {
            files.unseen(&path, "kubelet's --config names it and it is not there");
        }
        return None;
    };
    match KubeletConfig::parse(&text) {
        Ok(config) => Some((path, config)),
        Err(error) => {
            files.broken(&path, "YAML", &error);
            None
        }
    }
}

/// A flag beats the file, the file beats the default.
fn effective(config: Option<&(String, KubeletConfig)>, known: bool, kubelet: &mut KubeletFacts) {
    let from_config = |key: &str| {
        let (path, config) = config?;
        let at = config.string(key)?;
        Some(Sourced::new(at.value, Origin::file(path, at.line).with_detail(key)))
    };
    let from_flag = |name: &str| kubelet.flag(name).map(|flag| Sourced::new(flag.value.clone(), flag.origin.clone()));
    let driver = from_flag("cgroup-driver").or_else(|| from_config("cgroupDriver")).and_then(|driver| {
        let value: CgroupDriver = driver.value.parse().ok()?;
        Some(Sourced::new(value, driver.origin))
    });
    let pods = from_flag("pod-manifest-path").or_else(|| from_config("staticPodPath"));
    if kubelet.installed {
        let default = || Sourced::new(CgroupDriver::Cgroupfs, Origin::default_of("kubelet"));
        kubelet.cgroup_driver = driver.or_else(|| known.then(default));
        kubelet.static_pod_path = pods;
    }
}

fn runtime(config: Option<&(String, KubeletConfig)>, kubelet: &mut KubeletFacts) {
    let version = kubelet.version.as_ref().and_then(|version| package_db::version_pair(&version.value));
    let remote = kubelet.flag("container-runtime").map(|flag| flag.value == "remote");
    // Up to 1.23 the default is Docker through the shim; from 1.24 on there is no shim. Without a version, flags that
    // only the shim understood tell.
    let shim_flag = kubelet.flags.iter().find(|flag| kubelet_flags::docker_only(&flag.name)).map(|f| f.origin.clone());
    let shim = match (remote, version) {
        (Some(remote), Some(version)) => !remote && version <= (1, 23),
        (Some(remote), None) => !remote,
        (None, Some(version)) => version <= (1, 23),
        (None, None) => shim_flag.is_some(),
    };
    if shim {
        let origin = kubelet
            .flag("container-runtime")
            .map(|flag| flag.origin.clone())
            .or(shim_flag)
            .unwrap_or_else(|| Origin::default_of("kubelet"));
        kubelet.runtime = Some(Sourced::new(RuntimeKind::Dockershim, origin));
        kubelet.endpoint = Some(Sourced::new(DOCKERSHIM.to_owned(), Origin::default_of("kubelet")));
        return;
    }
    // The field exists from 1.27 on; older kubelets ignore it in silence.
    let field = config.filter(|_| version.is_none_or(|version| version >= (1, 27))).and_then(|(path, config)| {
        let at = config.string("containerRuntimeEndpoint").filter(|at| !at.value.is_empty())?;
        Some(Sourced::new(at.value, Origin::file(path, at.line).with_detail("containerRuntimeEndpoint")))
    });
    let flag = kubelet
        .flag("container-runtime-endpoint")
        .map(|flag| Sourced::new(flag.value.clone(), flag.origin.clone()))
        .or(field);
    let Some(endpoint) = flag else { return };
    kubelet.runtime = Some(Sourced::new(kind_of(&endpoint.value), endpoint.origin.clone()));
    kubelet.endpoint =
        Some(endpoint.map(|value| if value.starts_with('/') { format!("unix://{value}") } else { value }));
}

fn kind_of(endpoint: &str) -> RuntimeKind {
    let name = endpoint.rsplit('/').next().unwrap_or_default();
    match name {
        "containerd.sock" => RuntimeKind::Containerd,
        "cri-dockerd.sock" | "cri-docker.sock" => RuntimeKind::CriDockerd,
        "dockershim.sock" => RuntimeKind::Dockershim,
        "crio.sock" => RuntimeKind::CriO,
        _ => RuntimeKind::Other,
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Manifest {
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Container {
    image: String,
}

fn static_pods(host: &Host, files: &mut Files<'_>, node: &str, kubelet: &mut KubeletFacts) {
    let Some(dir) = kubelet.static_pod_path.clone() else { return };
    let dir = dir.value.trim_end_matches('/').to_owned();
    let names = match host.root.list(&dir) {
        Ok(names) => names,
        Err(error) => return files.unseen("static pods", error.to_string()),
    };
    // kubelet reads every file but those that start with a dot.
    for (name, _) in names.into_iter().filter(|(name, kind)| !name.starts_with('.') && *kind != EntryKind::Dir) {
        let path = format!("{dir}/{name}");
        let Some(text) = files.text(&path) else { continue };
        match serde_saphyr::from_str::<Manifest>(&text) {
            Ok(manifest) if manifest.kind == "Pod" => kubelet.static_pods.push(static_pod(path, node, manifest)),
            Ok(_) => files.unseen(&path, "it is no Pod"),
            Err(error) => files.unseen(&path, format!("it is no manifest: {}", first_line(&error.to_string()))),
        }
    }
}

fn static_pod(path: String, node: &str, manifest: Manifest) -> StaticPod {
    let containers = manifest.spec.init_containers.into_iter().chain(manifest.spec.containers);
    StaticPod {
        path,
        namespace: manifest.metadata.namespace.unwrap_or_else(|| "default".to_owned()),
        name: format!("{}-{node}", manifest.metadata.name),
        images: containers.map(|container| container.image).filter(|image| !image.is_empty()).collect(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
