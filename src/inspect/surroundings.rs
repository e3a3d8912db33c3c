//! Around Docker: its unit and containerd's, what it set in the kernel, the cluster's addresses, paths its settings name.

use super::{files::Files, service};
use crate::{
    formats::{
        boot_files::{self, DIRS},
        unit_file::{self, UnitFile},
    },
    host::{EntryKind, Host},
    model::{DiskUse, Facts, KernelSwitch, Origin, Secret, ServiceFacts, Sourced, UnitFacts},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Services that containers or pulls inherit from.
const SERVICES: [&str; 4] = ["containerd.service", "cri-docker.service", "cri-dockerd.service", "docker.service"];

/// Settings of a service that are inherited, or that decide whether shims outlive it.
const KEYS: [&str; 20] = [
    "Delegate",
    "KillMode",
    "LimitAS",
    "LimitCORE",
    "LimitCPU",
    "LimitDATA",
    "LimitFSIZE",
    "LimitLOCKS",
    "LimitMEMLOCK",
    "LimitMSGQUEUE",
    "LimitNICE",
    "LimitNOFILE",
    "LimitNPROC",
    "LimitRSS",
    "LimitRTPRIO",
    "LimitRTTIME",
    "LimitSIGPENDING",
    "LimitSTACK",
    "OOMScoreAdjust",
    "TasksMax",
];

/// Sysctls that dockerd and dockershim set at runtime, and where the kernel shows them.
const SYSCTLS: [(&str, &str); 3] = [
    ("net.bridge.bridge-nf-call-ip6tables", "/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
    ("net.bridge.bridge-nf-call-iptables", "/proc/sys/net/bridge/bridge-nf-call-iptables"),
    ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
];

/// Modules that dockerd and dockershim load.
const MODULES: [&str; 2] = ["br_netfilter", "overlay"];

/// Looks around. Runs after Docker, containerd and kubelet, whose settings name files.
pub fn probe(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    for unit in SERVICES {
        let found = service_facts(&facts.unit(unit), files);
        if !found.settings.is_empty() || !found.environment.is_empty() {
            facts.surroundings.services.insert(unit.to_owned(), found);
        }
    }
    facts.surroundings.cri_dockerd_pause = pause_image(files, facts);
    if facts.docker.installed {
        facts.surroundings.sysctls = sysctls(host, files);
        facts.surroundings.modules = modules(host, files);
        paths(host, files, facts);
        super::cluster::probe(host, facts);
    }
    if let Some(root) = &facts.containerd.root {
        facts.surroundings.containerd_holds_data = Some(holds_data(host, &root.value));
    }
}

fn service_facts(unit: &UnitFacts, files: &mut Files<'_>) -> ServiceFacts {
    let parsed = service::unit_files(unit, files);
    let units: Vec<(&str, &UnitFile)> = parsed.iter().map(|(path, unit)| (path.as_str(), unit)).collect();
    let setting = |key: &str| {
        let (value, path, line) = unit_file::effective(&units, "Service", key).pop()?;
        Some((key.to_owned(), Sourced::new(value, Origin::unit(path, Some(line)).with_detail(key))))
    };
    let environment = service::read(unit, files).environment.into_iter();
    ServiceFacts {
        settings: KEYS.iter().filter_map(|key| setting(key)).collect(),
        environment: environment
            .map(|(name, found)| (name, Sourced::new(Secret::new(found.value), found.origin)))
            .collect(),
    }
}

/// `--pod-infra-container-image` of cri-dockerd.
fn pause_image(files: &mut Files<'_>, facts: &Facts) -> Option<Sourced<String>> {
    let words = service::read(&facts.unit(facts.shim_unit()?), files).words;
    let flag = "--pod-infra-container-image";
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let value = match word.text.strip_prefix(flag) {
            Some("") => words.next()?.text,
            Some(rest) => rest.strip_prefix('=')?.to_owned(),
            None => continue,
        };
        return Some(Sourced::new(value, word.origin.with_detail(flag)));
    }
    None
}

/// The files of a kind, in the order in which they are applied.
fn boot_paths(host: &Host, kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    for dir in DIRS.map(|dir| format!("{dir}/{kind}")) {
        // On a merged system /lib is /usr/lib, whose files would count twice.
        if host.root.target(&dir).is_some_and(|real| real != dir && dir.starts_with("/lib/")) {
            continue;
        }
        let names = host.root.list(&dir).unwrap_or_default();
        found.extend(names.into_iter().map(|(name, _)| format!("{dir}/{name}")));
    }
    boot_files::in_order(found)
}

fn sysctls(host: &Host, files: &mut Files<'_>) -> BTreeMap<String, KernelSwitch> {
    let mut persisted: BTreeMap<String, Sourced<String>> = BTreeMap::new();
    // /etc/sysctl.conf counts where a link leads to it, as on Debian up to 12, Ubuntu and RHEL (99-sysctl.conf): systemd
    // does not read it otherwise, and Debian 13 has dropped the link.
    for path in boot_paths(host, "sysctl.d") {
        for sysctl in files.text(&path).map(|text| boot_files::sysctls(&text)).unwrap_or_default() {
            persisted.insert(sysctl.key, Sourced::new(sysctl.value, Origin::file(&path, sysctl.line)));
        }
    }
    let running = |path: &str| {
        let text = host.root.text(path).ok().flatten().filter(|_| host.is_live())?;
        Some(text.trim().to_owned())
    };
    SYSCTLS
        .iter()
        .map(|(key, path)| {
            let switch = KernelSwitch { running: running(path), persisted: persisted.get(*key).cloned() };
            ((*key).to_owned(), switch)
        })
        .collect()
}

fn modules(host: &Host, files: &mut Files<'_>) -> BTreeMap<String, KernelSwitch> {
    let mut persisted: BTreeMap<String, Sourced<String>> = BTreeMap::new();
    // The same goes for /etc/modules and Debian's link modules.conf.
    for path in boot_paths(host, "modules-load.d") {
        for module in files.text(&path).map(|text| boot_files::modules(&text)).unwrap_or_default() {
            persisted.insert(module.value, Sourced::new(path.clone(), Origin::file(&path, module.line)));
        }
    }
    let running = |name: &str| {
        let there = host.root.exists(&format!("/sys/module/{name}"));
        // A tree that is looked at as if it ran has no /sys.
        (host.is_live() && host.root.exists("/sys/module")).then(|| if there { "loaded" } else { "absent" }.to_owned())
    };
    MODULES
        .iter()
        .map(|name| {
            let switch = KernelSwitch { running: running(name), persisted: persisted.get(*name).cloned() };
            ((*name).to_owned(), switch)
        })
        .collect()
}

/// Runtimes' programs and the seccomp profile: named by Docker, needed by containerd.
fn paths(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    let mut named: Vec<String> = Vec::new();
    let runtimes = facts.docker.setting("runtimes").and_then(|setting| setting.value.as_object());
    for runtime in runtimes.into_iter().flatten().map(|(_, runtime)| runtime) {
        let fields = ["path", "runtimeType"].iter().filter_map(|key| runtime.get(key)).filter_map(Value::as_str);
        named.extend(fields.map(str::to_owned));
    }
    if let Some(profile) = facts.docker.setting("seccomp-profile").and_then(|setting| setting.value.as_str()) {
        named.push(profile.to_owned());
        if profile.starts_with('/') {
            // Whether containerd can read it depends on what stands in it.
            let _ = files.text(profile);
        }
    }
    named.retain(|path| path.starts_with('/'));
    facts.surroundings.paths = named.into_iter().map(|path| (path.clone(), host.root.exists(&path))).collect();
    // Where containerd's data could go, beside Docker's: taken when something is there that is not containerd's.
    if let Some(disk) = facts.node.disk(DiskUse::Docker)
        && let Some((parent, _)) = disk.target.as_ref().unwrap_or(&disk.path).rsplit_once('/')
    {
        let beside = format!("{parent}/containerd");
        let inside = host.root.list(&beside).unwrap_or_default();
        let others = inside.iter().any(|(name, _)| !name.starts_with("io.containerd.") && name != "tmpmounts");
        facts.surroundings.paths.insert(beside, others);
    }
    // A pod's hostPath volume makes a directory of a socket that is not there; a daemon cannot bind to it then.
    let socket = facts.containerd.endpoint.as_ref().map(|endpoint| endpoint.value.trim_start_matches("unix://"));
    if let Some(socket) = socket.filter(|socket| host.root.kind(socket) == Some(EntryKind::Dir)) {
        facts.surroundings.paths.insert(format!("{socket}/"), true);
    }
}

/// Whether changing `root` would leave something behind: content of any namespace, or sandboxes and containers of CRI.
fn holds_data(host: &Host, root: &str) -> Sourced<bool> {
    let used = [
        "io.containerd.content.v1.content/blobs/sha256",
        "io.containerd.grpc.v1.cri/containers",
        "io.containerd.grpc.v1.cri/sandboxes",
    ];
    let full = used
        .iter()
        .map(|dir| format!("{root}/{dir}"))
        .find(|dir| host.root.list(dir).is_ok_and(|names| !names.is_empty()));
    Sourced::new(full.is_some(), Origin::path(full.unwrap_or_else(|| root.to_owned())))
}

#[cfg(test)]
#[path = "surroundings_tests.rs"]
mod tests;
