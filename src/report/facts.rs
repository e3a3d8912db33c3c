//! `castoff inspect` for people: every value with its origin.

use super::{
    findings,
    style::{BAD, CAUTION, DIM, GOOD, Look, STRONG, paint},
    table::{pad, wrap},
};
use crate::model::{DOCKER_UNITS, Facts, Origin, Sourced};
use std::fmt::Display;

const LABEL: usize = 16;
const VALUE: usize = 26;

struct Page {
    look: Look,
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, state: &str) {
        let state = match state {
            "running" => paint(GOOD, state),
            "" => String::new(),
            "not installed" => paint(DIM, state),
            _ => paint(CAUTION, state),
        };
        let gap = if state.is_empty() { "" } else { "  " };
        self.text.push_str(&format!("\n{}{gap}{state}\n", paint(STRONG, name)));
    }

    fn line(&mut self, label: &str, value: &str, origin: &Origin) {
        let origin = origin.to_string();
        let fits = value.chars().count() <= VALUE && 4 + LABEL + VALUE + origin.chars().count() <= self.look.width;
        let label = if label.len() < LABEL { pad(label, LABEL) } else { format!("{label}  ") };
        let fits = fits && label.len() <= LABEL;
        if fits {
            self.text.push_str(&format!("  {label}{}  {}\n", pad(value, VALUE), paint(DIM, origin)));
        } else {
            let indent = " ".repeat(LABEL + 4);
            self.text.push_str(&format!("  {label}{value}\n{indent}{}\n", paint(DIM, origin)));
        }
    }

    fn row<T: Display>(&mut self, label: &str, value: Option<&Sourced<T>>) {
        if let Some(value) = value {
            self.line(label, &value.value.to_string(), &value.origin);
        }
    }
}

/// Facts as text.
pub fn facts(facts: &Facts, look: Look) -> String {
    let mut page = Page { look, text: title(facts, look) };
    node(&mut page, facts);
    docker(&mut page, facts);
    containerd(&mut page, facts);
    crio(&mut page, facts);
    kubelet(&mut page, facts);
    page.head("CNI", if facts.cni.config.is_some() { "" } else { "no configuration" });
    page.row("configuration", facts.cni.config.as_ref());
    if let Some(config) = facts.cni.config.as_ref().filter(|_| !facts.cni.calls.is_empty()) {
        page.line("plugins", &facts.cni.calls.join(", "), &config.origin);
    }
    pods(&mut page, facts);
    users(&mut page, facts);
    for unseen in &facts.unseen {
        let line = format!("{}: {}", unseen.what, unseen.why);
        page.text.push_str(&format!("\n{} {}\n", paint(CAUTION, "not seen"), wrap(&line, look.width, 9)));
    }
    page.text.push_str(&findings(&facts.findings, &[], look));
    page.text
}

fn title(facts: &Facts, look: Look) -> String {
    let value = |sourced: &Option<Sourced<String>>| sourced.as_ref().map(|sourced| sourced.value.clone());
    let parts: Vec<String> = [
        Some(facts.name().to_owned()),
        value(&facts.node.os),
        value(&facts.node.kernel).map(|kernel| format!("kernel {kernel}")),
        value(&facts.node.arch),
        value(&facts.node.systemd).map(|systemd| format!("systemd {systemd}")),
        (!facts.live).then(|| "file tree".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("{}\n", paint(STRONG, parts.join(&format!(" {} ", look.glyphs.dot()))))
}

fn node(page: &mut Page, facts: &Facts) {
    page.head("node", "");
    page.row("name", facts.node.hostname.as_ref());
    page.row("distribution", facts.node.os.as_ref());
    page.row("kernel", facts.node.kernel.as_ref());
    page.row("systemd", facts.node.systemd.as_ref());
    page.row("cgroups", facts.cgroup.mode.as_ref());
    for (name, package) in &facts.node.packages {
        let hold = if package.hold { ", on hold" } else { "" };
        let automatic = if package.automatic == Some(true) { ", for others" } else { "" };
        page.line(&format!("package {name}"), &format!("{}{hold}{automatic}", package.version), &package.origin);
    }
    page.row("swap", facts.node.state.swap.as_ref());
    page.row("FORWARD policy", facts.node.state.forward_policy.as_ref());
    for disk in &facts.node.disks {
        let place = disk.target.as_ref().unwrap_or(&disk.path);
        let room = match (disk.free_bytes, disk.total_bytes) {
            (Some(free), Some(total)) => format!(", {} of {} free", size(free), size(total)),
            _ => String::new(),
        };
        let value = format!("{place} on {} ({}{room})", disk.mount_point, disk.fs_type);
        page.line(&format!("disk {}", disk.of), &value, &disk.origin);
    }
}

/// Bytes for people: whole numbers of a decimal unit.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

fn state(installed: bool, facts: &Facts, unit: &str) -> &'static str {
    match (installed, facts.unit(unit).active.as_str()) {
        (false, _) => "not installed",
        (true, "active") => "running",
        // Nobody told: a file tree, or a systemd that does not answer.
        (true, "") => "",
        (true, "failed") => "failed",
        (true, _) => "stopped",
    }
}

fn units(page: &mut Page, facts: &Facts, names: &[&str]) {
    for name in names {
        let unit = facts.unit(name);
        if !unit.is_there() {
            continue;
        }
        let active = if unit.active.is_empty() { String::new() } else { format!(", {}", unit.active) };
        let origin = Origin::unit(unit.fragment.clone().unwrap_or_else(|| (*name).to_owned()), None);
        let short = name.trim_end_matches(".service");
        page.line(&format!("unit {short}"), &format!("{}{active}", unit.file_state), &origin);
    }
}

fn docker(page: &mut Page, facts: &Facts) {
    let docker = &facts.docker;
    page.head("Docker", state(docker.installed, facts, "docker.service"));
    page.row("product", docker.product.as_ref());
    page.row("version", docker.version.as_ref());
    page.row("cgroup driver", docker.cgroup_driver.as_ref());
    page.row("data root", docker.data_root.as_ref());
    page.row("storage driver", docker.storage_driver.as_ref());
    page.row("live-restore", docker.live_restore.as_ref());
    page.row("own containerd", docker.managed_containerd.as_ref());
    page.row("containerd at", docker.containerd_address.as_ref());
    page.row("containerd store", docker.image_store.as_ref());
    page.row("remapped users", docker.userns_remap.as_ref());
    page.row("remapped root", docker.remapped_root.as_ref());
    page.row("swarm", docker.swarm.as_ref());
    let (own, shim): (Vec<&str>, Vec<&str>) = DOCKER_UNITS.into_iter().partition(|unit| unit.starts_with("docker."));
    units(page, facts, &own);
    units(page, facts, &shim);
    for (name, unit) in facts.units.iter().filter(|(name, _)| name.starts_with("docker.")) {
        for by in &unit.dependents {
            page.line("dependent", &format!("{} ({}={name})", by.unit, by.kind), &Origin::unit(by.unit.clone(), None));
        }
    }
    if docker.running {
        let running = docker.containers.iter().filter(|container| container.state == "running");
        let (all, kubernetes) = (running.clone().count(), running.filter(|container| container.kubernetes).count());
        let origin = Origin::daemon("/run/docker.sock", "/containers/json");
        page.line("containers", &format!("{all} running, {kubernetes} Kubernetes'"), &origin);
        let origin = Origin::daemon("/run/docker.sock", "/images/json");
        page.line("images", &docker.images.len().to_string(), &origin);
    }
    for setting in &docker.settings {
        page.line(&setting.key, &setting.value.to_string(), &setting.origin);
    }
    for flag in &facts.kubelet.shim_flags {
        page.line("cri-dockerd", &format!("--{}={}", flag.name, flag.value), &flag.origin);
    }
    for file in &docker.credentials {
        let whose = if file.kubelet_reads { "kubelet reads them" } else { "kubelet does not read them" };
        page.line("credentials", &format!("{} ({whose})", file.registries.join(", ")), &file.origin);
    }
}

fn containerd(page: &mut Page, facts: &Facts) {
    let containerd = &facts.containerd;
    page.head("containerd", state(containerd.installed, facts, "containerd.service"));
    page.row("version", containerd.version.as_ref());
    page.row("configuration", containerd.config_path.as_ref());
    page.row("schema", containerd.config_version.as_ref());
    if let Some(on) = &containerd.cri_enabled {
        page.line("CRI plugin", if on.value { "enabled" } else { "DISABLED" }, &on.origin);
    }
    if let Some(on) = &containerd.cri_answers {
        page.line("CRI service", if on.value { "answers" } else { "does not answer" }, &on.origin);
    }
    if let Some(on) = &containerd.systemd_cgroup {
        page.line("cgroup driver", if on.value { "systemd" } else { "cgroupfs" }, &on.origin);
    }
    page.row("root", containerd.root.as_ref());
    page.row("endpoint", containerd.endpoint.as_ref());
    page.row("sandbox image", containerd.sandbox_image.as_ref());
    for import in &containerd.imports {
        page.line("imports", &import.value, &import.origin);
    }
    units(page, facts, &["containerd.service"]);
}

fn crio(page: &mut Page, facts: &Facts) {
    if !facts.crio.installed {
        return;
    }
    page.head("CRI-O", state(true, facts, "crio.service"));
    page.row("version", facts.crio.version.as_ref());
    page.row("cgroup manager", facts.crio.cgroup_manager.as_ref());
    for path in &facts.crio.config {
        page.line("configuration", path, &Origin::path(path.clone()));
    }
}

fn kubelet(page: &mut Page, facts: &Facts) {
    let kubelet = &facts.kubelet;
    page.head("kubelet", state(kubelet.installed, facts, "kubelet.service"));
    page.row("version", kubelet.version.as_ref());
    page.row("runs pods on", kubelet.runtime.as_ref());
    page.row("endpoint", kubelet.endpoint.as_ref());
    page.row("cgroup driver", kubelet.cgroup_driver.as_ref());
    page.row("configuration", kubelet.config_path.as_ref());
    page.row("static pods", kubelet.static_pod_path.as_ref());
    units(page, facts, &["kubelet.service"]);
    for flag in &kubelet.flags {
        page.line(&format!("--{}", flag.name), &flag.value, &flag.origin);
    }
    if let Some(line) = &kubelet.command_line {
        page.line("runs as", &format!("{} arguments", line.value.len().saturating_sub(1)), &line.origin);
    }
}

fn users(page: &mut Page, facts: &Facts) {
    if facts.docker_users.is_empty() {
        return;
    }
    page.head("uses Docker", "");
    for user in &facts.docker_users {
        page.line(&user.kind.to_string(), &format!("{}: {}", user.name, user.detail), &user.origin);
    }
}

fn pods(page: &mut Page, facts: &Facts) {
    let count = facts.pods.len();
    page.head("pods", if count == 0 { "none running" } else { "" });
    for pod in &facts.pods {
        let name = format!("{}/{}", pod.namespace, pod.name);
        let runtime = if pod.runtime == "docker" { paint(CAUTION, &pod.runtime) } else { paint(GOOD, &pod.runtime) };
        page.text.push_str(&format!("  {name} on {runtime} ({})\n", pod.containers.join(", ")));
    }
    for pod in &facts.kubelet.static_pods {
        let name = format!("{}/{}", pod.namespace, pod.name);
        if !facts.pods.iter().any(|running| format!("{}/{}", running.namespace, running.name) == name) && facts.live {
            page.text.push_str(&format!("  {name} {} ({})\n", paint(BAD, "does not run"), pod.path));
        }
    }
}
