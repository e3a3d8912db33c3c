//! What no configuration says: packages, Docker's traces in kernel and file system, CRI-O.

use super::{files::Files, node::DPKG};
use crate::{
    formats::{crio, mounts, package_db, packages},
    host::{EntryKind, Host},
    model::{CrioFacts, Facts, HostState, Origin, PackageFacts, Sourced},
};
use std::{collections::BTreeSet, time::Duration};

/// Packages whose version, hold or reason to be there matters.
const PACKAGES: [&str; 20] = [
    "apparmor",
    "containerd",
    "containerd.io",
    "containernetworking-plugins",
    "cri-dockerd",
    "cri-o",
    "cri-tools",
    "docker-ce",
    "docker-ce-cli",
    "docker-ee",
    "docker-engine",
    "docker.io",
    "kubeadm",
    "kubelet",
    "kubernetes-cni",
    "moby-containerd",
    "moby-engine",
    "nvidia-container-toolkit",
    "runc",
    "unattended-upgrades",
];

const EXTENDED_STATES: &str = "/var/lib/apt/extended_states";
const APT_CONF: &str = "/etc/apt/apt.conf.d";
const RPM_DATABASES: [&str; 2] = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
const LIMIT: Duration = Duration::from_secs(10);

/// Shims that run a container of Docker's.
const SHIMS: [&str; 3] = ["containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2"];

/// Looks at all of it. Runs after Docker.
pub fn probe(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    packages(host, files, facts);
    let mut state =
        HostState { runc_profile: runc_profile(host), unattended_upgrades: unattended(host), ..HostState::default() };
    if host.is_live() {
        live(host, facts, &mut state);
    } else if let Some(fstab) = host.root.text("/etc/fstab").ok().flatten() {
        let swap = mounts::swap(&fstab).into_iter().next();
        state.swap = swap.map(|swap| Sourced::new(swap.value, Origin::file("/etc/fstab", swap.line)));
    }
    facts.node.state = state;
    facts.crio = crio_facts(host, files, facts);
}

fn packages(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    if let Some(status) = files.text(DPKG) {
        let states = host.root.text(EXTENDED_STATES).ok().flatten();
        let automatic: Option<BTreeSet<String>> = states.map(|text| packages::automatic(&text));
        for package in packages::dpkg(&status, &PACKAGES) {
            let automatic = automatic.as_ref().map(|names| names.contains(&package.name));
            let origin = Origin { line: Some(package.version.line), ..Origin::package(DPKG) };
            let known = PackageFacts { version: package.version.value, hold: package.hold, automatic, origin };
            facts.node.packages.insert(package.name, known);
        }
        return;
    }
    if !RPM_DATABASES.iter().any(|dir| host.root.exists(dir)) {
        return;
    }
    if !host.is_live() {
        let why = "rpm's database is read by rpm only; state versions with --assume";
        return files.unseen("package versions", why);
    }
    let mut words = vec!["-q", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n"];
    words.extend(PACKAGES);
    // rpm's status counts the packages that are not there; its answer is good all the same.
    let Ok(ran) = host.procs.query("rpm", &words, LIMIT) else { return };
    for (name, version) in packages::rpm(&ran.text()) {
        let origin = Origin::package("rpm").with_detail(name.clone());
        facts.node.packages.insert(name, PackageFacts { version, hold: false, automatic: None, origin });
    }
}

/// Ubuntu's profile is about /usr/sbin/runc, the place of Ubuntu's and Debian's package; Docker's own is elsewhere.
fn runc_profile(host: &Host) -> Option<Sourced<String>> {
    let found = ["runc", "usr.sbin.runc"].into_iter().find(|name| {
        let there = host.root.exists(&format!("/etc/apparmor.d/{name}"));
        there && host.root.kind(&format!("/etc/apparmor.d/disable/{name}")).is_none()
    })?;
    let path = format!("/etc/apparmor.d/{found}");
    host.root.exists("/usr/sbin/runc").then(|| Sourced::new("/usr/sbin/runc".to_owned(), Origin::path(path)))
}

fn unattended(host: &Host) -> Option<Sourced<bool>> {
    let mut said = None;
    for (name, kind) in host.root.list(APT_CONF).unwrap_or_default() {
        let path = format!("{APT_CONF}/{name}");
        let text = if kind == EntryKind::File { host.root.text_within(&path, 64 * 1024) } else { None };
        if let Some(at) = text.and_then(|text| packages::unattended(&text)) {
            said = Some(Sourced::new(at.value, Origin::file(path, at.line)));
        }
    }
    said
}

fn live(host: &Host, facts: &Facts, state: &mut HostState) {
    const BRIDGE: &str = "/sys/class/net/docker0";
    if host.root.exists(BRIDGE) {
        state.docker_bridge = Some(Sourced::new("docker0".to_owned(), Origin::kernel(BRIDGE)));
    }
    // The first line is a heading.
    let swaps = host.root.text("/proc/swaps").ok().flatten().unwrap_or_default();
    let swap = swaps.lines().skip(1).find_map(|line| line.split_whitespace().next());
    state.swap = swap.map(|device| Sourced::new(device.to_owned(), Origin::kernel("/proc/swaps")));
    if facts.docker.installed && host.procs.find("iptables").is_some() {
        let ran = host.procs.query("iptables", &["-S", "FORWARD"], LIMIT).ok().filter(|ran| ran.status == 0);
        let text = ran.map(|ran| ran.text()).unwrap_or_default();
        let policy = text.lines().find_map(|line| line.strip_prefix("-P FORWARD "));
        let origin = Origin::process("iptables").with_detail("-S FORWARD");
        state.forward_policy = policy.map(|policy| Sourced::new(policy.trim().to_owned(), origin));
    }
    if facts.docker.running {
        state.orphan_shims = orphan_shims(host, facts);
    }
}

/// A shim serves the container of its `-id`. One whose container Docker does not run has lost its master.
fn orphan_shims(host: &Host, facts: &Facts) -> Vec<Sourced<String>> {
    let running: BTreeSet<&str> = facts
        .docker
        .containers
        .iter()
        .filter(|container| !matches!(container.state.as_str(), "exited" | "created" | "dead"))
        .map(|container| container.id.as_str())
        .collect();
    let mut orphans = Vec::new();
    for pid in SHIMS.iter().flat_map(|name| host.procs.pids_of(name)) {
        let words = host.procs.cmdline(pid).unwrap_or_default();
        let after = |name: &str| {
            let at = words.iter().position(|word| word.trim_start_matches('-') == name && word.starts_with('-'))?;
            words.get(at + 1).cloned()
        };
        // The namespace of Docker's containers; with userns-remap it has a suffix.
        let (Some(namespace), Some(id)) = (after("namespace"), after("id")) else { continue };
        if namespace.starts_with("moby") && !running.contains(id.as_str()) {
            orphans.push(Sourced::new(id, Origin::process(format!("/proc/{pid}/cmdline"))));
        }
    }
    orphans
}

fn crio_facts(host: &Host, files: &mut Files<'_>, facts: &Facts) -> CrioFacts {
    let unit = facts.unit("crio.service");
    let package = facts.node.packages.get("cri-o");
    if !unit.is_there() && package.is_none() {
        return CrioFacts::default();
    }
    let mut crio = CrioFacts { installed: true, running: unit.active == "active", ..CrioFacts::default() };
    crio.version = package
        .map(|package| Sourced::new(package_db::upstream_version(&package.version), package.origin.clone()))
        .or_else(|| host.is_live().then(|| crio_version(host)).flatten());
    let main = "/etc/crio/crio.conf".to_owned();
    let more = host.root.list("/etc/crio/crio.conf.d").unwrap_or_default().into_iter();
    let more =
        more.filter(|(_, kind)| *kind != EntryKind::Dir).map(|(name, _)| format!("/etc/crio/crio.conf.d/{name}"));
    // systemd is the default of every release (crio.conf(5)).
    crio.cgroup_manager = Some(Sourced::new(crate::model::CgroupDriver::Systemd, Origin::default_of("crio")));
    for path in std::iter::once(main).chain(more) {
        let Some(text) = files.text(&path) else { continue };
        match crio::cgroup_manager(&text) {
            Ok(Some(at)) => {
                if let Ok(driver) = at.value.parse() {
                    crio.cgroup_manager = Some(Sourced::new(driver, Origin::file(&path, at.line)));
                }
            }
            Ok(None) => {}
            Err(error) => files.broken(&path, "TOML", &error),
        }
        crio.config.push(path);
    }
    crio
}

fn crio_version(host: &Host) -> Option<Sourced<String>> {
    let ran = host.procs.query("crio", &["--version"], LIMIT).ok()?;
    let text = ran.text();
    let version = text.lines().next()?.split_whitespace().last()?.to_owned();
    Some(Sourced::new(version, Origin::process("crio").with_detail("--version")))
}
