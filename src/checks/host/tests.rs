use super::*;
use crate::model::{
    CgroupDriver, CrioFacts, DiskFacts, DockerContainer, DockerImage, KubeletSetting, Origin, PackageFacts, Sourced,
    StaticPod,
};

fn on(kind: RuntimeKind) -> Facts {
    let mut facts = Facts::empty(true);
    facts.kubelet.installed = true;
    facts.kubelet.runtime = Some(Sourced::new(kind, Origin::default_of("kubelet")));
    facts
}

fn container(state: &str) -> DockerContainer {
    serde_json::from_value(serde_json::json!({
        "id": "a", "name": "k8s_web", "image": "web", "imageId": "sha256:web", "state": state, "kubernetes": true,
        "sandbox": false,
    }))
    .unwrap()
}

fn with_disk(free: u64, fs_type: &str) -> Facts {
    let mut facts = on(RuntimeKind::Dockershim);
    facts.docker.containers = vec![container("running")];
    facts.docker.images = vec![
        DockerImage { id: "sha256:web".to_owned(), tags: vec!["web".to_owned()], size: 1_000_000_000 },
        DockerImage { id: "sha256:unused".to_owned(), tags: vec!["x".to_owned()], size: 90_000_000_000 },
    ];
    facts.node.disks = vec![DiskFacts {
        of: DiskUse::Containerd,
        path: "/var/lib/containerd".to_owned(),
        target: None,
        mount_point: "/".to_owned(),
        source: "/dev/sda1".to_owned(),
        fs_type: fs_type.to_owned(),
        total_bytes: Some(20_000_000_000),
        free_bytes: Some(free),
        total_inodes: None,
        free_inodes: None,
        apart: false,
        origin: Origin::kernel("/proc/self/mountinfo"),
    }];
    facts
}

#[test]
fn room_has_two_borders() {
    let id = |free| {
        let facts = with_disk(free, "ext4");
        let found = no_room_for_images(&facts).into_iter().chain(disk_pressure(&facts));
        found.map(|finding| finding.id).collect::<Vec<_>>()
    };
    assert_eq!(id(1_999_999_999), ["no-room-for-images"]);
    assert_eq!(id(2_000_000_000), ["disk-pressure"]);
    assert_eq!(id(4_900_000_000), ["disk-pressure"]);
    assert!(id(5_100_000_000).is_empty(), "15 % of 20 GB and the images");
    let collected = |free| images_collected(&with_disk(free, "ext4")).len();
    assert_eq!((collected(5_000_000_000), collected(5_300_000_000)), (1, 0), "85 % of 20 GB, with the images");
    assert_eq!(collected(1_900_000_000), 0, "what does not fit is not carried");
    let evicts = |free, thresholds: serde_json::Value| {
        let mut facts = with_disk(free, "ext4");
        let origin = Origin::path("/var/lib/kubelet/config.yaml");
        facts.kubelet.settings = vec![KubeletSetting { key: "evictionHard".to_owned(), value: thresholds, origin }];
        let kubelet = DiskFacts { of: DiskUse::Kubelet, ..facts.node.disks[0].clone() };
        facts.node.disks.push(kubelet);
        disk_pressure(&facts).len()
    };
    let set = |signal: &str, value: &str| serde_json::json!({ signal: value });
    assert_eq!(evicts(4_000_000_000, set("imagefs.available", "1Gi")), 0);
    assert_eq!(evicts(3_000_000_000, set("imagefs.available", "1Gi")), 1);
    assert_eq!(evicts(7_000_000_000, set("imagefs.available", "30%")), 1);
    assert_eq!(evicts(7_000_000_000, set("nodefs.available", "30%")), 1, "it is the same disk");
    assert_eq!(evicts(2_100_000_000, set("memory.available", "100Mi")), 0, "the rest has no threshold then");
    let mut facts = with_disk(1, "ext4");
    let driver = Sourced::new("overlay2".to_owned(), Origin::default_of("dockerd"));
    facts.docker.storage_driver = Some(driver);
    let docker = crate::model::DiskFacts { of: DiskUse::Docker, ..facts.node.disks[0].clone() };
    facts.node.disks.push(docker);
    assert!(no_room_for_images(&facts).is_empty(), "layers change hands on one file system");
    facts.node.disks[1].apart = true;
    assert_eq!(no_room_for_images(&facts).len(), 1, "but not where no mount shows both");
    (facts.node.disks[1].apart, facts.node.disks[1].source) = (false, "/dev/sdb1".to_owned());
    assert_eq!(no_room_for_images(&facts).len(), 1, "and are copied between two");
    let mut facts = with_disk(1_500_000_000, "ext4");
    assert_eq!(no_room_for_images(&facts).len(), 1, "an import takes the size twice");
    facts.docker.image_store = Some(Sourced::new(true, Origin::default_of("dockerd")));
    assert!(no_room_for_images(&facts).is_empty(), "with containerd's store archives are shared");
    facts.node.disks[0].free_bytes = Some(900_000_000);
    assert_eq!(no_room_for_images(&facts).len(), 1, "and layers are not");
    assert!(containerd_filesystem(&with_disk(0, "xfs")).is_empty());
    let mut facts = with_disk(0, "nfs4");
    assert_eq!(containerd_filesystem(&facts)[0].severity, Severity::Block);
    facts.containerd.snapshotter = Some(Sourced::new("native".to_owned(), Origin::path("/etc/containerd/config.toml")));
    assert!(containerd_filesystem(&facts).is_empty(), "as it is advised");
}

#[test]
fn half_a_migration_is_told_by_evidence() {
    let mut facts = on(RuntimeKind::Containerd);
    assert!(half_migrated(&facts).is_empty());
    facts.docker.containers = vec![container("exited")];
    assert!(half_migrated(&facts).is_empty(), "what is left over and does not run is no half");
    facts.docker.containers = vec![container("running")];
    assert!(half_migrated(&facts)[0].cause.contains("kubelet does not run"));
    facts.docker.containers.clear();
    facts.docker.installed = true;
    facts.containerd.cri_enabled = Some(Sourced::new(false, Origin::path("/etc/containerd/config.toml")));
    assert!(half_migrated(&facts)[0].cause.contains("CRI is switched off"));
    facts.containerd.cri_answers = Some(Sourced::new(true, Origin::path("/run/containerd/containerd.sock")));
    assert!(half_migrated(&facts).is_empty(), "a package brought a new file; the daemon has the old one in memory");
    facts.kubelet.runtime = Some(Sourced::new(RuntimeKind::Dockershim, Origin::default_of("kubelet")));
    assert!(half_migrated(&facts).is_empty(), "this node has not begun");
}

#[test]
fn packages_and_their_traps() {
    let mut facts = on(RuntimeKind::Dockershim);
    let package = |automatic| PackageFacts {
        version: "1".to_owned(),
        hold: false,
        automatic,
        origin: Origin::package("/var/lib/dpkg/status"),
    };
    facts.node.packages.insert("docker-ce".to_owned(), package(Some(false)));
    facts.node.packages.insert("containerd.io".to_owned(), package(Some(false)));
    assert!(package_removal_traps(&facts).is_empty());
    facts.node.packages.insert("containerd.io".to_owned(), package(Some(true)));
    assert_eq!(package_removal_traps(&facts)[0].fix, "`apt-mark manual containerd.io` before docker-ce is removed");
    facts.node.packages.insert("docker.io".to_owned(), package(None));
    assert!(package_removal_traps(&facts)[0].cause.contains("empties /var/lib/docker"));
    assert!(packages_not_held(&facts).is_empty());
    facts.node.packages.insert("unattended-upgrades".to_owned(), package(None));
    let on = Sourced::new(true, Origin::file("/etc/apt/apt.conf.d/20auto-upgrades", 2));
    facts.node.state.unattended_upgrades = Some(on);
    assert_eq!(packages_not_held(&facts)[0].cause, "not on hold: containerd.io");
}

#[test]
fn what_the_host_has_left() {
    let mut facts = on(RuntimeKind::Dockershim);
    assert!(docker_bridge_stays(&facts).is_empty() && orphan_shims(&facts).is_empty() && swap_on(&facts).is_empty());
    facts.node.state.docker_bridge = Some(Sourced::new("docker0".to_owned(), Origin::kernel("/sys/class/net/docker0")));
    assert_eq!(docker_bridge_stays(&facts).len(), 1);
    facts.node.state.orphan_shims = vec![Sourced::new("abc".to_owned(), Origin::process("/proc/7/cmdline"))];
    assert_eq!(orphan_shims(&facts).len(), 1);
    facts.node.state.swap = Some(Sourced::new("/dev/zram0".to_owned(), Origin::kernel("/proc/swaps")));
    assert_eq!(swap_on(&facts)[0].severity, Severity::Warn);
    let origin = Origin::file("/etc/kubernetes/kubelet.conf.d/20-swap.conf", 3);
    facts.kubelet.settings = vec![KubeletSetting { key: "failSwapOn".to_owned(), value: false.into(), origin }];
    assert!(swap_on(&facts).is_empty());
}

#[test]
fn the_control_plane_is_told_with_etcd() {
    let mut facts = on(RuntimeKind::Dockershim);
    let pod = |name: &str| StaticPod {
        path: format!("/etc/kubernetes/manifests/{name}.yaml"),
        namespace: "kube-system".to_owned(),
        name: format!("{name}-this node"),
        images: Vec::new(),
    };
    facts.kubelet.static_pods = vec![pod("node-exporter")];
    assert!(control_plane_node(&facts).is_empty());
    facts.kubelet.static_pods = vec![pod("kube-apiserver"), pod("etcd")];
    assert!(control_plane_node(&facts)[0].fix.contains("etcd"));
}

#[test]
fn crio_differs_from_kubelet_or_not() {
    let mut facts = on(RuntimeKind::CriO);
    let systemd = Some(Sourced::new(CgroupDriver::Systemd, Origin::default_of("crio")));
    facts.crio = CrioFacts { installed: true, cgroup_manager: systemd.clone(), ..CrioFacts::default() };
    facts.kubelet.cgroup_driver = systemd;
    assert_eq!(crio_node(&facts)[0].severity, Severity::Note);
    facts.kubelet.cgroup_driver = Some(Sourced::new(CgroupDriver::Cgroupfs, Origin::default_of("kubelet")));
    assert_eq!(crio_node(&facts)[0].severity, Severity::Warn);
}
