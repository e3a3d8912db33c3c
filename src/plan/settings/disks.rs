//! Docker's data on a disk of its own: containerd's data goes there too, or the root file system fills.
//!
//! Only where nothing is lost by it: containerd's `root` is still its default and holds nothing, and the new place is
//! beside Docker's data, not inside it, where cleaning up after Docker would take it along.

use super::{Carried, Draft, Judged, PUBLIC, drop_in, limits, path_of, values};
use crate::{
    formats::containerd::{Literal, Place},
    model::{DiskFacts, DiskUse, Finding, OriginKind, Severity, Verdict},
};

const DEFAULT_ROOT: &str = "/var/lib/containerd";
const NAME: &str = "50-castoff-root";
const WHY: &str = "containerd must not start before its disk is mounted";

/// Carries Docker's choice of disk.
pub fn carry(draft: &mut Draft<'_>, carried: &mut Carried) {
    let judged = decide(draft, carried);
    for key in ["data-root", "graph"] {
        draft.decide(key, &judged);
    }
    let note = "sockets and process state are small and stay where containerd keeps them";
    draft.decide("exec-root", &Judged::new(Verdict::Equal, "/run/containerd", note));
}

fn decide(draft: &mut Draft<'_>, carried: &mut Carried) -> Judged {
    let facts = draft.facts;
    let target = "`root` in containerd's configuration";
    let disks = facts.node.disk(DiskUse::Docker).zip(facts.node.disk(DiskUse::Containerd));
    let Some((docker, containerd)) = disks else {
        return Judged::new(Verdict::Manual, target, "no mount table tells on which disks Docker and containerd are");
    };
    if docker.is_same_disk(containerd) {
        let note = format!("both are on {}; containerd keeps its data in {}", docker.mount_point, containerd.path);
        return Judged::new(Verdict::Equal, &containerd.path, note);
    }
    if containerd.path != DEFAULT_ROOT || containerd.mount_point == containerd.path || containerd.target.is_some() {
        let note = format!("containerd has its own place, {} on {}", containerd.path, containerd.mount_point);
        return Judged::new(Verdict::Equal, &containerd.path, note);
    }
    match new_root(draft, docker) {
        Ok(root) => {
            draft.set_containerd(Place::Top(path_of(&["root"])), Literal::Text(root.clone()));
            let text = format!("# Written by castoff: `root` is on this disk.\n[Unit]\nRequiresMountsFor={root}\n");
            carried.file("containerd-root", &drop_in(NAME), text, PUBLIC, WHY);
            unlabelled(draft, &root);
            let note = format!("beside Docker's data on {}; {}", docker.mount_point, figures(docker, containerd));
            Judged::new(Verdict::Carried, format!("root = {root:?}"), note)
        }
        Err(why) => {
            let summary = format!("Docker's data is on {}, containerd's is not", docker.mount_point);
            let mut finding = Finding::new("data-root-own-disk", Severity::Warn, summary)
                .cause(format!("{why}; {}", figures(docker, containerd)))
                .fix(format!("give containerd room: mount a disk at {DEFAULT_ROOT}, or set `root` before the move"));
            finding.origins = vec![docker.origin.clone()];
            draft.findings.push(finding);
            Judged::new(Verdict::Manual, target, why)
        }
    }
}

/// From this systemd on a transient unit may have what the import into a new root needs (`RuntimeDirectory=`, and to be
/// forgotten when it failed).
const TRANSIENT_UNITS: u32 = 236;

/// Where containerd's data can go, or why it cannot.
fn new_root(draft: &Draft<'_>, docker: &DiskFacts) -> Result<String, String> {
    let around = &draft.facts.surroundings;
    let data = docker.target.as_ref().unwrap_or(&docker.path);
    if let Some(holds) = around.containerd_holds_data.as_ref().filter(|holds| holds.value) {
        let place = holds.origin.path.as_deref().unwrap_or(DEFAULT_ROOT);
        return Err(format!("containerd holds data already ({place}), which a new root would leave behind"));
    }
    if draft.facts.containerd.root.as_ref().is_some_and(|root| root.origin.kind == OriginKind::Flag) {
        return Err("containerd's command line names its root, which wins over every file".to_owned());
    }
    if docker.mount_point == *data {
        return Err(format!("the disk is mounted at Docker's own directory {data}: what is inside goes with Docker"));
    }
    if limits::systemd(draft.facts).is_some_and(|version| version < TRANSIENT_UNITS) {
        return Err("this systemd is too old to carry images into a new root before Docker stops".to_owned());
    }
    let driver = values::text(draft.facts, "storage-driver");
    let driver = driver.or_else(|| draft.facts.docker.storage_driver.as_ref().map(|driver| driver.value.clone()));
    if driver.as_deref().is_some_and(|driver| driver != "overlay2" && driver != "overlay") {
        return Err(format!("Docker uses {} there, so overlayfs may not work", driver.unwrap_or_default()));
    }
    if matches!(docker.fs_type.as_str(), "nfs" | "nfs4" | "cifs" | "zfs" | "fuse") {
        return Err(format!("{} is no file system for overlayfs", docker.fs_type));
    }
    let parent = data.rsplit_once('/').map_or("", |(parent, _)| parent);
    let root = format!("{parent}/containerd");
    if !root.starts_with(&format!("{}/", docker.mount_point.trim_end_matches('/'))) {
        return Err(format!("there is no place beside {data} on its disk"));
    }
    if root.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '/' | '-' | '_' | '.')) {
        return Err(format!("{root} has characters that do not go into every file"));
    }
    if around.paths.get(&root) == Some(&true) {
        return Err(format!("{root} is in use by something else"));
    }
    Ok(root)
}

fn figures(docker: &DiskFacts, containerd: &DiskFacts) -> String {
    let Some((there, here)) = docker.free_bytes.zip(containerd.free_bytes) else {
        return "how much is free only the running node can tell".to_owned();
    };
    let mb = |bytes: u64| bytes / 1_000_000;
    format!("{} MB are free on {}, {} MB on {}", mb(there), docker.mount_point, mb(here), containerd.mount_point)
}

/// Under SELinux a directory that the policy does not know gets the wrong label.
fn unlabelled(draft: &mut Draft<'_>, root: &str) {
    if values::switch(draft.facts, "selinux-enabled") != Some(true) {
        return;
    }
    draft.find(
        "containerd-root-unlabelled",
        Severity::Warn,
        "SELinux does not know containerd's new directory",
        &format!("the policy labels {DEFAULT_ROOT}, and {root} is not it"),
        &format!(
            "run `semanage fcontext -a -e {DEFAULT_ROOT} {root} && mkdir -p {root} && restorecon -R {root}` first"
        ),
        root,
    );
}
