//! Findings about the host around the runtimes: room, packages, leftovers, and what changes for its operators.

use super::{matrix, on_docker};
use crate::{
    formats::kubelet_fields,
    model::{DiskFacts, DiskUse, Facts, Finding, RuntimeKind, Severity},
};
use std::collections::BTreeSet;

mod infos;

pub use infos::CHECKS;

/// An image that goes through `docker save` is unpacked beside its blobs (measured).
const STREAMED: u64 = 2;

/// What carrying the images of the node's pods needs, and the disk it needs it on.
fn room(facts: &Facts) -> Option<(u64, &DiskFacts)> {
    let used = facts.docker.containers.iter().filter(|container| container.kubernetes);
    let used: BTreeSet<&str> = used.map(|container| container.image_id.as_str()).collect();
    let images = facts.docker.images.iter().filter(|image| used.contains(image.id.as_str()));
    let disk = facts.node.disk(DiskUse::Containerd)?;
    let copies = match (facts.docker_layers(), facts.node.disk(DiskUse::Docker)) {
        // Archives are shared, and layers are copied where the file system cannot share their blocks.
        _ if facts.shares_containerd() => 1,
        // On one file system layers change hands, or share their blocks.
        (Some(_), Some(docker)) if (&docker.source, &docker.fs_type) == (&disk.source, &disk.fs_type) => {
            u64::from(docker.apart)
        }
        (Some(_), _) => 1,
        (None, _) => STREAMED,
    };
    let needed = images.fold(0_u64, |sum, image| sum.saturating_add(image.size)).saturating_mul(copies);
    (on_docker(facts) && needed > 0).then_some((needed, disk))
}

const fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

pub fn no_room_for_images(facts: &Facts) -> Vec<Finding> {
    let Some((needed, disk)) = room(facts) else { return Vec::new() };
    let Some(free) = disk.free_bytes.filter(|free| *free < needed) else { return Vec::new() };
    let summary = format!("{} has too little room for the images of this node's pods", disk.path);
    vec![
        Finding::new("no-room-for-images", Severity::Block, summary)
            .cause(format!(
                "about {} MB are needed and {} MB are free on {}",
                megabytes(needed),
                megabytes(free),
                disk.mount_point
            ))
            .fix("make room (`docker image prune`), put containerd's root on another disk, or pull from a registry")
            .at(disk.origin.clone()),
    ]
}

pub fn disk_pressure(facts: &Facts) -> Vec<Finding> {
    let Some((needed, disk)) = room(facts) else { return Vec::new() };
    let (Some(free), Some(total)) = (disk.free_bytes, disk.total_bytes) else { return Vec::new() };
    let Some(threshold) = evicts_below(facts, disk, total) else { return Vec::new() };
    let left = free.saturating_sub(needed);
    if free < needed || left >= threshold {
        return Vec::new();
    }
    let summary = format!("{} will be so full that kubelet evicts pods", disk.mount_point);
    vec![
        Finding::new("disk-pressure", Severity::Warn, summary)
            .cause(format!(
                "about {} MB of {} MB stay free beside Docker's images, and kubelet evicts below {} MB",
                megabytes(left),
                megabytes(total),
                megabytes(threshold)
            ))
            .fix("make room before (`docker image prune`); Docker's own images stay until you remove them")
            .at(disk.origin.clone()),
    ]
}

/// The free bytes of the disk of images below which kubelet evicts pods. Where `evictionHard` is set at all, what it does not name has no
/// threshold (kubelet's `config/v1beta1/types.go`, EvictionHard).
fn evicts_below(facts: &Facts, disk: &DiskFacts, total: u64) -> Option<u64> {
    let Some(set) = facts.kubelet.setting("evictionHard") else { return kubelet_fields::threshold("15%", total) };
    let is_nodefs = facts.node.disk(DiskUse::Kubelet).is_some_and(|kubelet| kubelet.is_same_disk(disk));
    let signals = ["imagefs.available", "nodefs.available"].into_iter().take(1 + usize::from(is_nodefs));
    signals.filter_map(|signal| kubelet_fields::threshold(set.value.get(signal)?.as_str()?, total)).max()
}

/// kubelet's default of `imageGCHighThresholdPercent` (kubelet reference, every release).
const COLLECT_ABOVE: u64 = 85;

/// Images that came along are in use only once their pods run again, and Docker's share of the disk is not freed by
/// removing them.
pub fn images_collected(facts: &Facts) -> Vec<Finding> {
    let Some(disk) = facts.node.disk(DiskUse::Containerd).filter(|_| on_docker(facts)) else { return Vec::new() };
    let (Some(free), Some(total)) = (disk.free_bytes, disk.total_bytes) else { return Vec::new() };
    let setting = facts.kubelet.setting("imageGCHighThresholdPercent");
    let above = setting.and_then(|setting| setting.value.as_u64()).unwrap_or(COLLECT_ABOVE);
    let needed = room(facts).map_or(0, |(needed, _)| needed);
    let left = free.saturating_sub(needed);
    let used = total.saturating_sub(left).saturating_mul(100).checked_div(total).unwrap_or_default();
    // 100 switches it off; and what does not fit is not carried.
    if above >= 100 || used < above || free < needed {
        return Vec::new();
    }
    let is = if needed > 0 { "will be" } else { "is" };
    let summary = format!("{} {is} so full that kubelet collects images", disk.mount_point);
    vec![
        Finding::new("images-collected", Severity::Warn, summary)
            .cause(format!("it {is} {used} % full, and kubelet removes images that no pod uses above {above} %"))
            .fix(
                "make room before, raise imageGCHighThresholdPercent for the time being, or remove Docker's copy soon \
                 (`castoff cleanup`)",
            )
            .at(disk.origin.clone()),
    ]
}

pub fn containerd_filesystem(facts: &Facts) -> Vec<Finding> {
    let Some(disk) = facts.node.disk(DiskUse::Containerd).filter(|_| on_docker(facts)) else { return Vec::new() };
    // `native` copies what overlay would stack.
    let native = facts.containerd.snapshotter.as_ref().is_some_and(|name| name.value == "native");
    if native || !matrix::overlay_refuses(&disk.fs_type) {
        return Vec::new();
    }
    vec![
        Finding::new(
            "containerd-filesystem",
            Severity::Block,
            format!("containerd cannot keep containers on {} ({})", disk.mount_point, disk.fs_type),
        )
        .cause("overlay needs a local file system with d_type and extended attributes for its upper layer")
        .fix("put containerd's root on ext4 or xfs, or choose the snapshotter `native`")
        .at(disk.origin.clone()),
    ]
}

pub fn control_plane_node(facts: &Facts) -> Vec<Finding> {
    let node = facts.name().to_lowercase();
    let parts = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    let pods = facts.kubelet.static_pods.iter().filter(|pod| {
        parts.iter().any(|part| pod.name == format!("{part}-{node}") || pod.name.starts_with(&format!("{part}-")))
    });
    let pods: Vec<&crate::model::StaticPod> = pods.collect();
    let [first, ..] = pods.as_slice() else { return Vec::new() };
    if !on_docker(facts) {
        return Vec::new();
    }
    let etcd = pods.iter().any(|pod| pod.name.starts_with("etcd"));
    let fix = if etcd {
        "migrate control plane nodes one after the other, each only when all members of etcd are healthy again"
    } else {
        "migrate control plane nodes one after the other"
    };
    vec![
        Finding::new("control-plane-node", Severity::Note, "this node runs parts of the control plane")
            .cause(pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(", "))
            .fix(fix)
            .at(crate::model::Origin::path(first.path.clone())),
    ]
}

pub fn docker_starts_again(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) {
        return Vec::new();
    }
    let units = ["docker.service", "docker.socket"];
    let on: Vec<&str> = units.into_iter().filter(|unit| facts.unit(unit).file_state == "enabled").collect();
    if on.is_empty() {
        return Vec::new();
    }
    vec![
        Finding::new("docker-starts-again", Severity::Note, "Docker would start again at boot or on its socket")
            .cause(format!(
                "{} enabled",
                if on.len() == 1 { format!("{} is", on.concat()) } else { format!("{} are", on.join(" and ")) }
            ))
                .fix("the plan disables both units, and masks them unless the profile says otherwise; a rollback puts them back"),
    ]
}

pub fn package_removal_traps(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) {
        return Vec::new();
    }
    let packages = &facts.node.packages;
    let docker = ["docker.io", "docker-ce"].into_iter().find_map(|name| Some((name, packages.get(name)?)));
    let Some((docker, package)) = docker else { return Vec::new() };
    let swept: Vec<&str> = ["containerd", "containerd.io", "runc"]
        .into_iter()
        .filter(|name| packages.get(*name).is_some_and(|package| package.automatic == Some(true)))
        .collect();
    let mut causes = Vec::new();
    if !swept.is_empty() {
        causes
            .push(format!("{} came because of {docker} only: `autoremove` would take that along", swept.join(" and ")));
    }
    if docker == "docker.io" {
        causes.push("purging docker.io empties /var/lib/docker".to_owned());
    }
    if causes.is_empty() {
        return Vec::new();
    }
    let fix = match swept.as_slice() {
        [] => "remove Docker's package only after `castoff commit`".to_owned(),
        names => format!("`apt-mark manual {}` before {docker} is removed", names.join(" ")),
    };
    vec![
        Finding::new(
            "package-removal-traps",
            Severity::Note,
            format!("removing {docker} later would take more than Docker"),
        )
        .cause(causes.join("; "))
        .fix(fix)
        .at(package.origin.clone()),
    ]
}

pub fn packages_not_held(facts: &Facts) -> Vec<Finding> {
    let Some(on) = facts.node.state.unattended_upgrades.as_ref().filter(|on| on.value) else { return Vec::new() };
    let loose: Vec<&str> = ["containerd", "containerd.io", "runc"]
        .into_iter()
        .filter(|name| facts.node.packages.get(*name).is_some_and(|package| !package.hold))
        .collect();
    if loose.is_empty() || !facts.kubelet.installed || !facts.node.packages.contains_key("unattended-upgrades") {
        return Vec::new();
    }
    vec![
        Finding::new("packages-not-held", Severity::Note, "unattended upgrades may restart containerd at any time")
            .cause(format!("not on hold: {}", loose.join(", ")))
            .fix(format!("`apt-mark hold {}`, and upgrade them with the node drained", loose.join(" ")))
            .at(on.origin.clone()),
    ]
}

pub fn docker_bridge_stays(facts: &Facts) -> Vec<Finding> {
    let Some(bridge) = facts.node.state.docker_bridge.as_ref().filter(|_| on_docker(facts)) else { return Vec::new() };
    vec![
        Finding::new("docker-bridge-stays", Severity::Note, "Docker's bridge outlives Docker")
            .cause(format!(
                "{} and its addresses stay until somebody removes them, or a boot without Docker",
                bridge.value
            ))
            .fix("`ip link delete docker0` after `castoff commit`, when nothing else uses it")
            .at(bridge.origin.clone()),
    ]
}

pub fn orphan_shims(facts: &Facts) -> Vec<Finding> {
    let shims = &facts.node.state.orphan_shims;
    if shims.is_empty() || !on_docker(facts) {
        return Vec::new();
    }
    let finding = Finding::new(
        "orphan-shims",
        Severity::Warn,
        format!("{} containers run that Docker no longer knows", shims.len()),
    )
    .cause(
        "their shims are left from a Docker that was killed; they may hold ports, mounts and locks of their successors",
    )
    .fix("look at each with `cat /proc/PID/cgroup`, and end the shim with SIGTERM when nobody needs it");
    vec![shims.iter().take(8).fold(finding, |finding, shim| finding.at(shim.origin.clone()))]
}

pub fn swap_on(facts: &Facts) -> Vec<Finding> {
    let Some(swap) = facts.node.state.swap.as_ref().filter(|_| facts.kubelet.installed) else { return Vec::new() };
    if facts.kubelet.setting("failSwapOn").is_some_and(|setting| setting.value == false) {
        return Vec::new();
    }
    let (severity, summary) = if facts.live {
        (Severity::Warn, "swap is on, and kubelet refuses to start with it")
    } else {
        (Severity::Note, "swap will be on after a boot, and kubelet refuses to start with it")
    };
    vec![
        Finding::new("swap-on", severity, summary)
            .cause(format!("{} is swap, and `failSwapOn` is not false", swap.value))
            .fix("`swapoff -a` and take it out of /etc/fstab, or set `failSwapOn: false`")
            .at(swap.origin.clone()),
    ]
}

pub fn metrics_change(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) {
        return Vec::new();
    }
    vec![
        Finding::new("metrics-change", Severity::Note, "labels of container metrics change")
            .cause("cAdvisor takes them from containerd: container names, ids and file system figures look different")
            .fix("look through dashboards and alerts that match `name=~\"k8s_.*\"`, `id=~\".*docker.*\"` or container_fs_*"),
    ]
}

pub fn half_migrated(facts: &Facts) -> Vec<Finding> {
    if !facts.is_half_migrated() {
        return Vec::new();
    }
    let running = facts.docker.containers.iter().filter(|c| c.kubernetes && c.state == "running" && !c.sandbox).count();
    let mut causes = vec!["kubelet's configuration names containerd".to_owned()];
    if running > 0 {
        causes.push(format!("Docker still runs {running} containers of pods"));
    }
    if facts.containerd.cri_enabled.as_ref().is_some_and(|on| !on.value) {
        causes.push("CRI is switched off in containerd's".to_owned());
    }
    if !facts.kubelet.running && facts.live {
        causes.push("kubelet does not run".to_owned());
    }
    if facts.containerd.cri_answers.as_ref().is_some_and(|answers| !answers.value) {
        causes.push("containerd does not serve CRI".to_owned());
    }
    let finding = Finding::new("half-migrated", Severity::Warn, "a migration to containerd stopped half-way")
        .cause(causes.join("; "))
        .fix("the plan completes it: it stops Docker's pods, retires Docker and starts kubelet on containerd");
    vec![match &facts.kubelet.runtime {
        Some(runtime) => finding.at(runtime.origin.clone()),
        None => finding,
    }]
}

pub fn containerd_not_restarted(facts: &Facts) -> Vec<Finding> {
    let on = facts.containerd.cri_enabled.as_ref().is_some_and(|on| on.value);
    let Some(answers) = facts.containerd.cri_answers.as_ref().filter(|answers| on && !answers.value) else {
        return Vec::new();
    };
    vec![
        Finding::new(
            "containerd-not-restarted",
            Severity::Warn,
            "CRI is switched on in containerd's file but not in the daemon",
        )
        .cause("containerd reads its file at start only, or its CRI plugin refused to load")
        .fix("the plan restarts it; `ctr plugins ls` and containerd's journal tell why it refuses")
        .at(answers.origin.clone()),
    ]
}

pub fn crio_node(facts: &Facts) -> Vec<Finding> {
    let on_crio = facts.kubelet.runtime.as_ref().is_some_and(|runtime| runtime.value == RuntimeKind::CriO);
    if !facts.crio.installed || !on_crio {
        return Vec::new();
    }
    let version = facts.crio.version.as_ref().map_or("of unknown version".to_owned(), |version| version.value.clone());
    let driver = facts.crio.cgroup_manager.as_ref();
    let mut finding = Finding::new("crio-node", Severity::Note, format!("this is a node of CRI-O {version}"))
        .cause(format!(
            "its cgroup manager is {}; configuration: {}",
            driver.map_or("unknown", |driver| driver.value.word()),
            if facts.crio.config.is_empty() { "none".to_owned() } else { facts.crio.config.join(", ") },
        ))
        .fix("nothing to move: CRI-O is no Docker");
    if let (Some(driver), Some(kubelet)) = (driver, &facts.kubelet.cgroup_driver)
        && driver.value != kubelet.value
    {
        finding.severity = Severity::Warn;
        finding.fix = format!("kubelet uses {}: make both the same", kubelet.value);
        finding = finding.at(driver.origin.clone()).at(kubelet.origin.clone());
    }
    vec![finding]
}

#[cfg(test)]
#[path = "host/tests.rs"]
mod tests;
