//! Every key of `daemon.json`, by release: collected by hand, apart from the table of flags, so that each checks the
//! other.

use super::*;
use crate::{
    formats::dockerd::{FileKey, file_key},
    model::{Origin, Secret},
};

/// What 20.10 has and every later release up to 29 as well.
const ALWAYS: &str = "authorization-plugins bip bridge builder cgroup-parent containerd containerd-namespace \
    containerd-plugins-namespace cpu-rt-period cpu-rt-runtime cri-containerd data-root debug default-address-pools \
    default-cgroupns-mode default-gateway default-gateway-v6 default-ipc-mode default-runtime default-shm-size \
    default-ulimits dns dns-opts dns-search exec-opts exec-root experimental features fixed-cidr fixed-cidr-v6 group \
    host-gateway-ip hosts icc init init-path insecure-registries ip ip-forward ip-masq ip6tables iptables ipv6 labels \
    live-restore log-driver log-level log-opts max-concurrent-downloads max-concurrent-uploads max-download-attempts \
    metrics-addr mtu network-control-plane-mtu network-diagnostic-port no-new-privileges node-generic-resources pidfile \
    raw-logs registry-mirrors rootless runtimes seccomp-profile selinux-enabled shutdown-timeout storage-driver \
    storage-opts swarm-default-advertise-addr tls tlscacert tlscert tlskey tlsverify userland-proxy \
    userland-proxy-path userns-remap";

/// What else each release has.
const MORE: [((u32, u32), &str); 8] = [
    (
        (20, 10),
        "allow-nondistributable-artifacts api-cors-header cluster-advertise cluster-store cluster-store-opts graph \
         oom-score-adjust",
    ),
    (
        (23, 0),
        "allow-nondistributable-artifacts api-cors-header cluster-advertise cluster-store cluster-store-opts graph \
         http-proxy https-proxy no-proxy oom-score-adjust",
    ),
    (
        (24, 0),
        "allow-nondistributable-artifacts api-cors-header default-network-opts http-proxy https-proxy no-proxy \
         oom-score-adjust",
    ),
    (
        (25, 0),
        "allow-nondistributable-artifacts api-cors-header cdi-spec-dirs default-network-opts http-proxy https-proxy \
         log-format no-proxy oom-score-adjust",
    ),
    (
        (26, 1),
        "allow-nondistributable-artifacts api-cors-header cdi-spec-dirs default-network-opts http-proxy https-proxy \
         log-format no-proxy",
    ),
    (
        (27, 5),
        "allow-nondistributable-artifacts api-cors-header bip6 cdi-spec-dirs default-network-opts http-proxy \
         https-proxy log-format no-proxy",
    ),
    (
        (28, 5),
        "allow-direct-routing bip6 cdi-spec-dirs default-network-opts host-gateway-ips http-proxy https-proxy \
         ip-forward-no-drop log-format no-proxy",
    ),
    (
        (29, 7),
        "allow-direct-routing bip6 bridge-accept-fwmark cdi-spec-dirs default-network-opts default-stop-timeout \
         firewall-backend host-gateway-ips http-proxy https-proxy ip-forward-no-drop log-format min-api-version \
         no-proxy nri-opts",
    ),
];

/// The old name of a key becomes the new one when facts are made.
fn fact_key(key: &str) -> &str {
    match key {
        "graph" => "data-root",
        "host-gateway-ip" => "host-gateway-ips",
        other => other,
    }
}

#[test]
fn every_key_of_every_release_has_a_verdict_of_its_own() {
    let mut all = 0;
    for (release, more) in MORE {
        for key in ALWAYS.split_whitespace().chain(more.split_whitespace()) {
            assert_eq!(file_key(key, Some(release)), FileKey::Effective, "{key} of {release:?}");
            let setting = DockerSetting {
                key: fact_key(key).into(),
                raw: Secret::new(serde_json::json!("x")),
                value: serde_json::json!("x"),
                origin: Origin::file("/etc/docker/daemon.json", 2),
            };
            assert_ne!(unsaid(&setting).2, UNKNOWN.2, "{key} of {release:?} falls through");
            all += 1;
        }
    }
    assert!(all > 600, "{all}");
}

#[test]
fn keys_that_dockerd_passes_without_effect_have_a_verdict_too() {
    for key in ["deprecated-key-path", "default-init", "swarm-raft-election-tick", "swarm-raft-heartbeat-tick"] {
        assert!(table::RULES.iter().any(|rule| rule.keys.contains(&key)), "{key}");
    }
}
