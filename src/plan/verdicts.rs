//! A verdict for every Docker setting; nothing falls through.

use crate::model::{CgroupDriver, DockerSetting, Facts, SettingVerdict, Verdict};

use Verdict::{Carried, Equal, Manual, NoEquivalent};

/// What is said of settings that need no look at their value.
struct Rule {
    keys: &'static [&'static str],
    verdict: Verdict,
    target: Option<&'static str>,
    note: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        keys: &["live-restore"],
        verdict: Equal,
        target: Some("containerd's shims"),
        note: "containers always outlive a restart of containerd",
    },
    Rule {
        keys: &["containerd", "containerd-namespace", "containerd-plugins-namespace", "cri-containerd"],
        verdict: Equal,
        target: None,
        note: "it only says where Docker's own containers live",
    },
    Rule {
        keys: &[
            "hosts",
            "tls",
            "tlsverify",
            "tlscacert",
            "tlscert",
            "tlskey",
            "group",
            "authorization-plugins",
            "api-cors-header",
        ],
        verdict: NoEquivalent,
        target: None,
        note: "there is no Docker API any more; its clients must be changed",
    },
    Rule {
        keys: &[
            "bip",
            "fixed-cidr",
            "fixed-cidr-v6",
            "default-address-pools",
            "bridge",
            "mtu",
            "icc",
            "ip",
            "ipv6",
            "userland-proxy",
            "userland-proxy-path",
            "default-gateway",
            "default-gateway-v6",
            "iptables",
            "ip6tables",
            "ip-masq",
            "network-control-plane-mtu",
        ],
        verdict: NoEquivalent,
        target: None,
        note: "pod networks belong to CNI; this only shaped Docker's own bridge",
    },
    Rule {
        keys: &[
            "allow-nondistributable-artifacts",
            "max-concurrent-uploads",
            "max-download-attempts",
            "default-shm-size",
            "default-ipc-mode",
            "default-cgroupns-mode",
            "init",
            "init-path",
            "no-new-privileges",
            "cgroup-parent",
            "cpu-rt-period",
            "cpu-rt-runtime",
            "labels",
            "label",
            "node-generic-resources",
            "swarm-default-advertise-addr",
            "experimental",
            "shutdown-timeout",
            "metrics-addr",
            "userns-remap",
            "raw-logs",
            "pidfile",
        ],
        verdict: NoEquivalent,
        target: None,
        note: "containerd and kubelet have nothing like it",
    },
    Rule {
        keys: &["log-opts"],
        verdict: Manual,
        target: Some("containerLogMaxSize and containerLogMaxFiles in kubelet's configuration"),
        note: "rotation is kubelet's now (10Mi × 5 unless set); this release does not carry the values over",
    },
    Rule {
        keys: &["registry-mirrors", "insecure-registries"],
        verdict: Manual,
        target: Some("/etc/containerd/certs.d"),
        note: "write a hosts.toml; this release does not carry it over",
    },
    Rule {
        keys: &["proxies", "http-proxy", "https-proxy", "no-proxy"],
        verdict: Manual,
        target: Some("a drop-in of containerd.service"),
        note: "this release does not carry it over",
    },
    Rule {
        keys: &["data-root", "graph", "exec-root"],
        verdict: Manual,
        target: Some("`root` in containerd's configuration"),
        note: "containerd keeps its data where that says; check the disks",
    },
];

/// Judges every setting, in the order found.
pub fn judge(facts: &Facts) -> Vec<SettingVerdict> {
    facts.docker.settings.iter().map(|setting| verdict(setting, facts)).collect()
}

fn verdict(setting: &DockerSetting, facts: &Facts) -> SettingVerdict {
    let by_value = match setting.key.as_str() {
        "exec-opts" => Some(exec_opts(setting, facts)),
        "storage-driver" => Some(storage_driver(setting)),
        "log-driver" => Some(log_driver(setting)),
        _ => None,
    };
    let by_rule = || {
        let rule = RULES.iter().find(|rule| rule.keys.contains(&setting.key.as_str()))?;
        Some((rule.verdict, rule.target, rule.note))
    };
    let unknown = (Manual, None, "castoff does not judge this setting yet; decide whether pods need it");
    let (verdict, target, note) = by_value.or_else(by_rule).unwrap_or(unknown);
    SettingVerdict {
        setting: setting.key.clone(),
        value: setting.value.clone(),
        origin: setting.origin.clone(),
        verdict,
        target: target.map(str::to_owned),
        note: note.to_owned(),
    }
}

type Judged = (Verdict, Option<&'static str>, &'static str);

fn exec_opts(setting: &DockerSetting, facts: &Facts) -> Judged {
    if !setting.value.to_string().contains("native.cgroupdriver=") {
        return (Manual, None, "castoff knows no such option of Docker's executor");
    }
    let target = Some("SystemdCgroup in containerd's configuration, cgroupDriver in kubelet's");
    match facts.docker.cgroup_driver.as_ref().map(|driver| driver.value) {
        Some(CgroupDriver::Systemd) => (Carried, target, "containerd uses systemd's driver too"),
        _ => (Carried, target, "changed on the way: everything uses systemd's driver afterwards"),
    }
}

fn storage_driver(setting: &DockerSetting) -> Judged {
    match setting.value.as_str() {
        Some("overlay2" | "overlay") => (Equal, Some("snapshotter overlayfs"), "containerd's default"),
        _ => (Manual, Some("`snapshotter` in containerd's configuration"), "choose a snapshotter for this file system"),
    }
}

fn log_driver(setting: &DockerSetting) -> Judged {
    match setting.value.as_str() {
        Some("json-file" | "local") => {
            (Equal, Some("/var/log/pods"), "kubelet and containerd keep log files; their format is CRI's")
        }
        _ => (NoEquivalent, None, "containerd writes CRI log files only; use a log agent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Secret};
    use std::collections::BTreeSet;

    #[test]
    fn nothing_falls_through_and_no_key_is_judged_twice() {
        let keys: Vec<&str> = RULES.iter().flat_map(|rule| rule.keys.iter().copied()).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        let setting = |key: &str, value: serde_json::Value| DockerSetting {
            key: key.into(),
            raw: Secret::new(value.clone()),
            value,
            origin: Origin::file("/etc/docker/daemon.json", 2),
        };
        let facts = Facts::empty(false);
        for (key, value, expected) in [
            ("brand-new-key", serde_json::json!(1), Manual),
            ("bip", serde_json::json!("10.0.0.1/24"), NoEquivalent),
            ("log-driver", serde_json::json!("json-file"), Equal),
            ("log-driver", serde_json::json!("journald"), NoEquivalent),
            ("storage-driver", serde_json::json!("devicemapper"), Manual),
            ("exec-opts", serde_json::json!(["native.cgroupdriver=cgroupfs"]), Carried),
        ] {
            assert_eq!(verdict(&setting(key, value), &facts).verdict, expected, "{key}");
        }
    }
}
