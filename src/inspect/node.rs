//! The machine: name, distribution, kernel, systemd, cgroups.

use super::files::Files;
use crate::{
    formats::{os_release, package_db},
    host::{EntryKind, Host},
    model::{Assumptions, Facts, Origin, Sourced},
};

/// Where systemd looks for os-release, in order.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// dpkg's database.
pub const DPKG: &str = "/var/lib/dpkg/status";

/// Looks at the machine.
pub fn probe(host: &Host, assumptions: &Assumptions, files: &mut Files<'_>, facts: &mut Facts) {
    let name_origin = if host.is_live() { Origin::kernel("uname") } else { Origin::path("/etc/hostname") };
    facts.node.hostname = Some(Sourced::new(host.node_name(), name_origin));
    if let Some((path, text)) = OS_RELEASE.iter().find_map(|path| Some((*path, files.text(path)?))) {
        let fields = os_release::parse(&text);
        facts.node.os = Some(Sourced::new(os_release::pretty_name(&text), Origin::path(path)));
        facts.node.os_id = fields.get("ID").map(|id| Sourced::new(id.clone(), Origin::path(path)));
    }
    if host.is_live() {
        live(host, files, facts);
    } else {
        facts.node.systemd = package_version(files, "systemd");
        facts.node.kernel = only_kernel(host);
    }
    if let Some(version) = &assumptions.systemd_version {
        facts.node.systemd = Some(Sourced::new(version.clone(), Origin::assumed("systemd.version")));
    }
    if let Some(version) = &assumptions.kernel_version {
        facts.node.kernel = Some(Sourced::new(version.clone(), Origin::assumed("kernel.version")));
    }
    if let Some(mode) = assumptions.cgroup_mode {
        facts.cgroup.mode = Some(Sourced::new(mode, Origin::assumed("cgroup.mode")));
    }
}

/// The kernel a tree would boot, when it has modules of one kernel only.
fn only_kernel(host: &Host) -> Option<Sourced<String>> {
    const MODULES: &str = "/lib/modules";
    match host.root.list(MODULES).ok()?.as_slice() {
        [(release, EntryKind::Dir)] => {
            Some(Sourced::new(release.clone(), Origin::path(format!("{MODULES}/{release}"))))
        }
        _ => None,
    }
}

fn live(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    facts.node.kernel = host.kernel.release().ok().map(|release| Sourced::new(release, Origin::kernel("uname")));
    facts.node.arch = host.kernel.arch().ok().map(|arch| Sourced::new(arch, Origin::kernel("uname")));
    // That systemd does not answer is noted with the units.
    if let Ok(version) = host.units.systemd_version() {
        let origin = Origin::daemon("org.freedesktop.systemd1", "Version");
        facts.node.systemd = Some(Sourced::new(version, origin));
    }
    match host.kernel.cgroup_mode() {
        Ok(mode) => facts.cgroup.mode = Some(Sourced::new(mode, Origin::kernel("/sys/fs/cgroup"))),
        Err(error) => files.unseen("cgroup mode", format!("{error:#}")),
    }
}

/// The upstream version of an installed package.
pub fn package_version(files: &mut Files<'_>, package: &str) -> Option<Sourced<String>> {
    let status = files.text(DPKG)?;
    let version = package_db::dpkg_version(&status, package)?;
    let origin = Origin { line: Some(version.line), ..Origin::package(DPKG) };
    Some(Sourced::new(package_db::upstream_version(&version.value), origin.with_detail(package)))
}
