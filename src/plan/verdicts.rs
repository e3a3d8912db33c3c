//! A verdict for every Docker setting; nothing falls through.

use crate::model::{CgroupDriver, Desired, DockerSetting, Facts, SettingVerdict, Verdict};

use Verdict::{Carried, Equal, Manual, NoEquivalent};

/// Judges every setting, in the order found.
pub fn judge(facts: &Facts, desired: &Desired) -> Vec<SettingVerdict> {
    facts.docker.settings.iter().map(|setting| verdict(setting, facts, desired)).collect()
}

fn verdict(setting: &DockerSetting, facts: &Facts, _desired: &Desired) -> SettingVerdict {
    let (verdict, target, note) = match setting.key.as_str() {
        "exec-opts" => exec_opts(setting, facts),
        "live-restore" => (Equal, Some("containerd's shims"), "containers always outlive a restart of containerd"),
        "containerd" | "containerd-namespace" | "containerd-plugins-namespace" | "cri-containerd" => {
            (Equal, None, "it only says where Docker's own containers live")
        }
        "hosts"
        | "tls"
        | "tlsverify"
        | "tlscacert"
        | "tlscert"
        | "tlskey"
        | "group"
        | "authorization-plugins"
        | "api-cors-header" => (NoEquivalent, None, "there is no Docker API any more; its clients must be changed"),
        "bip"
        | "fixed-cidr"
        | "fixed-cidr-v6"
        | "default-address-pools"
        | "bridge"
        | "mtu"
        | "icc"
        | "ip"
        | "ipv6"
        | "userland-proxy"
        | "userland-proxy-path"
        | "default-gateway"
        | "default-gateway-v6"
        | "iptables"
        | "ip6tables"
        | "ip-masq"
        | "network-control-plane-mtu" => {
            (NoEquivalent, None, "pod networks belong to CNI; this only shaped Docker's own bridge")
        }
        "allow-nondistributable-artifacts"
        | "max-concurrent-uploads"
        | "max-download-attempts"
        | "default-shm-size"
        | "default-ipc-mode"
        | "default-cgroupns-mode"
        | "init"
        | "init-path"
        | "no-new-privileges"
        | "cgroup-parent"
        | "cpu-rt-period"
        | "cpu-rt-runtime"
        | "labels"
        | "label"
        | "node-generic-resources"
        | "swarm-default-advertise-addr"
        | "experimental"
        | "shutdown-timeout"
        | "metrics-addr"
        | "userns-remap"
        | "raw-logs"
        | "pidfile" => (NoEquivalent, None, "containerd and kubelet have nothing like it"),
        "storage-driver" => storage_driver(setting),
        "log-driver" if setting.value == "json-file" => {
            (Equal, Some("/var/log/pods"), "kubelet and containerd keep log files; their format is CRI's")
        }
        "log-driver" => (NoEquivalent, None, "containerd writes CRI log files only; use a log agent"),
        "log-opts" => (
            Manual,
            Some("containerLogMaxSize, containerLogMaxFiles in kubelet's configuration"),
            "rotation is kubelet's now (10Mi × 5 unless set); this release does not carry the values over",
        ),
        "registry-mirrors" | "insecure-registries" => {
            (Manual, Some("/etc/containerd/certs.d"), "write a hosts.toml; this release does not carry it over")
        }
        "proxies" | "http-proxy" | "https-proxy" | "no-proxy" => {
            (Manual, Some("a drop-in of containerd.service"), "this release does not carry it over")
        }
        "data-root" | "graph" | "exec-root" => (
            Manual,
            Some("`root` in containerd's configuration"),
            "containerd keeps its data where it says; check disks",
        ),
        _ => (Manual, None, "castoff does not judge this setting yet; decide whether pods need it"),
    };
    SettingVerdict {
        setting: setting.key.clone(),
        value: setting.value.clone(),
        origin: setting.origin.clone(),
        verdict,
        target: target.map(str::to_owned),
        note: note.to_owned(),
    }
}

fn exec_opts(setting: &DockerSetting, facts: &Facts) -> (Verdict, Option<&'static str>, &'static str) {
    let text = setting.value.to_string();
    if !text.contains("native.cgroupdriver=") {
        return (Manual, None, "castoff knows no such option of Docker's executor");
    }
    let target = Some("SystemdCgroup in containerd's configuration, cgroupDriver in kubelet's");
    match facts.docker.cgroup_driver.as_ref().map(|driver| driver.value) {
        Some(CgroupDriver::Systemd) => (Carried, target, "containerd uses systemd's driver too"),
        _ => (Carried, target, "changed on the way: everything uses systemd's driver afterwards"),
    }
}

fn storage_driver(setting: &DockerSetting) -> (Verdict, Option<&'static str>, &'static str) {
    match setting.value.as_str() {
        Some("overlay2" | "overlay") => (Equal, Some("snapshotter overlayfs"), "containerd's default"),
        _ => (Manual, Some("`snapshotter` in containerd's configuration"), "choose a snapshotter for this file system"),
    }
}
