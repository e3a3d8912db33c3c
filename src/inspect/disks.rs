//! Disks: on which file system Docker, containerd, kubelet and pod logs are, and how much room is left.

use super::files::Files;
use crate::{
    formats::mounts::{self, Mount},
    host::{EntryKind, Host, unit_links::ADMIN_DIR},
    model::{DiskFacts, DiskUse, Facts, Origin},
};

/// The kernel's table. It is read without a digest: it changes while castoff works.
const MOUNTINFO: &str = "/proc/self/mountinfo";
const FSTAB: &str = "/etc/fstab";

/// dockerd's default of `data-root`.
const DOCKER_ROOT: &str = "/var/lib/docker";
/// containerd's default of `root`.
const CONTAINERD_ROOT: &str = "/var/lib/containerd";
/// kubelet's default of `--root-dir`.
const KUBELET_ROOT: &str = "/var/lib/kubelet";
/// kubelet's `ContainerLogsDir`; kubelet 1.33 and later have `podLogsDir` for it.
const POD_LOGS: &str = "/var/log/pods";

/// Mount units an administrator may reasonably have; more are not looked at.
const MAX_UNITS: usize = 64;

/// Looks at disks. Runs after Docker, containerd and kubelet, whose settings name directories.
pub fn probe(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    let tables = if host.is_live() { live_table(host) } else { tree_tables(host, files) };
    if tables.is_empty() {
        return;
    }
    for (of, path) in places(facts) {
        let real = real_path(host, &path);
        let found = tables.iter().filter_map(|(table, list)| Some((table, mounts::holder(list, &real)?)));
        let Some((table, mount)) = found.max_by_key(|(_, mount)| mount.point.len()) else { continue };
        let space = if host.is_live() { host.kernel.space(&host.root.outside(&real)).ok() } else { None };
        let origin =
            if host.is_live() { Origin::kernel(table.clone()) } else { Origin::file(table.clone(), mount.line) };
        facts.node.disks.push(DiskFacts {
            of,
            target: (real != path).then(|| real.clone()),
            path,
            mount_point: mount.point.clone(),
            source: mount.source.clone(),
            fs_type: mount.fs_type.clone(),
            total_bytes: space.map(|space| space.total_bytes),
            free_bytes: space.map(|space| space.free_bytes),
            total_inodes: space.map(|space| space.total_inodes),
            free_inodes: space.map(|space| space.free_inodes),
            apart: false,
            origin,
        });
    }
    if host.is_live() {
        apart(host, facts);
    }
}

/// Whether Docker's directory and containerd's are seen together anywhere.
fn apart(host: &Host, facts: &mut Facts) {
    let place = |of| facts.node.disk(of).map(|disk| disk.target.clone().unwrap_or_else(|| disk.path.clone()));
    let (Some(docker), Some(containerd)) = (place(DiskUse::Docker), place(DiskUse::Containerd)) else { return };
    let Ok(Some(table)) = host.root.text(MOUNTINFO) else { return };
    let apart = mounts::views(&table, &docker, &containerd).is_empty();
    for disk in facts.node.disks.iter_mut().filter(|disk| disk.of == DiskUse::Docker) {
        disk.apart = apart;
    }
}

fn places(facts: &Facts) -> Vec<(DiskUse, String)> {
    let mut places = Vec::new();
    let mut place = |of, there: bool, set: Option<&str>, default: &str| {
        let path = set.filter(|path| path.starts_with('/')).unwrap_or(default);
        if there {
            places.push((of, path.trim_end_matches('/').to_owned()));
        }
    };
    let docker = facts.docker.data_root.as_ref().map(|root| root.value.as_str());
    place(DiskUse::Docker, facts.docker.installed, docker, DOCKER_ROOT);
    let containerd = facts.containerd.root.as_ref().map(|root| root.value.as_str());
    place(DiskUse::Containerd, facts.containerd.installed, containerd, CONTAINERD_ROOT);
    let kubelet = facts.kubelet.flag("root-dir").map(|flag| flag.value.as_str());
    place(DiskUse::Kubelet, facts.kubelet.installed, kubelet, KUBELET_ROOT);
    place(DiskUse::PodLogs, facts.kubelet.installed, None, POD_LOGS);
    places
}

type Table = (String, Vec<Mount>);

fn live_table(host: &Host) -> Vec<Table> {
    let text = host.root.text(MOUNTINFO).ok().flatten();
    text.map(|text| (MOUNTINFO.to_owned(), mounts::mountinfo(&text))).into_iter().collect()
}

/// What would be mounted at the next boot.
fn tree_tables(host: &Host, files: &mut Files<'_>) -> Vec<Table> {
    let Some(fstab) = files.text(FSTAB) else { return Vec::new() };
    let mut tables = vec![(FSTAB.to_owned(), mounts::fstab(&fstab))];
    let units = host.root.list(ADMIN_DIR).unwrap_or_default().into_iter();
    for (name, _) in units.filter(|(name, kind)| *kind == EntryKind::File && name.ends_with(".mount")).take(MAX_UNITS) {
        let path = format!("{ADMIN_DIR}/{name}");
        let mount = files.text(&path).and_then(|text| mounts::mount_unit(&text));
        tables.extend(mount.map(|mount| (path, vec![mount])));
    }
    tables
}

/// Follows links as far as the path is there: `/var/lib/docker` is often a link to a big disk.
fn real_path(host: &Host, path: &str) -> String {
    let mut there = path.to_owned();
    let mut rest = String::new();
    while !host.root.exists(&there) {
        let Some((parent, name)) = there.rsplit_once('/') else { break };
        rest = format!("/{name}{rest}");
        there = parent.to_owned();
    }
    match host.root.target(&there) {
        Some(target) if !there.is_empty() => format!("{}{rest}", target.trim_end_matches('/')),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "it makes a file tree to look at")]
mod tests {
    use super::*;
    use crate::{host::Faults, inspect::inspect, model::Assumptions};
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_link_to_another_disk_is_followed_and_mount_units_count() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("etc/fstab", "UUID=1 / ext4 defaults 0 1\n/dev/sdb1 /data xfs noatime 0 2\n");
        put("etc/systemd/system/var-lib-containerd.mount", "[Mount]\nWhat=/dev/sdc1\nWhere=/var/lib/containerd\n");
        put("usr/lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/dockerd\n");
        put("usr/lib/systemd/system/containerd.service", "[Service]\nExecStart=/usr/bin/containerd\n");
        put("data/docker/keep", "");
        fs::create_dir_all(dir.path().join("var/lib")).unwrap();
        symlink("/data/docker", dir.path().join("var/lib/docker")).unwrap();
        let host = Host::open(dir.path(), &Faults::none()).unwrap();
        let facts = inspect(&host, &Assumptions::default(), "unix:///run/containerd/containerd.sock");
        let docker = facts.node.disk(DiskUse::Docker).unwrap();
        assert_eq!((docker.path.as_str(), docker.target.as_deref()), ("/var/lib/docker", Some("/data/docker")));
        assert_eq!((docker.mount_point.as_str(), docker.fs_type.as_str()), ("/data", "xfs"));
        assert_eq!(docker.origin, Origin::file("/etc/fstab", 2));
        assert_eq!(docker.free_bytes, None, "what is free in a tree is not what is free on the node");
        let containerd = facts.node.disk(DiskUse::Containerd).unwrap();
        assert_eq!((containerd.mount_point.as_str(), containerd.source.as_str()), ("/var/lib/containerd", "/dev/sdc1"));
        assert!(!docker.is_same_disk(containerd));
        assert_eq!(facts.node.disk(DiskUse::Kubelet), None, "no kubelet here");
    }
}
