//! Docker's list of insecure registries: hosts and networks.

use crate::model::Facts;
use std::{collections::BTreeSet, net::IpAddr};

/// A network such as `10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Network {
    /// As written.
    pub text: String,
    base: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/')?;
        let (base, bits): (IpAddr, u32) = (base.parse().ok()?, bits.parse().ok()?);
        (bits <= if base.is_ipv4() { 32 } else { 128 }).then(|| Self { text: text.to_owned(), base, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let same = |left: u128, right: u128, width: u32| {
            let shift = width - self.bits;
            // A shift by the whole width is no shift at all: such a network contains everything.
            left.checked_shr(shift).unwrap_or(0) == right.checked_shr(shift).unwrap_or(0)
        };
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => same(base.to_bits().into(), address.to_bits().into(), 32),
            (IpAddr::V6(base), IpAddr::V6(address)) => same(base.to_bits(), address.to_bits(), 128),
            _ => false,
        }
    }

    /// The registries by address that lie in it.
    pub fn members<'a>(&self, known: &'a BTreeSet<String>) -> Vec<&'a str> {
        let inside = |host: &&String| address(host).is_some_and(|address| self.contains(address));
        known.iter().filter(inside).map(String::as_str).collect()
    }

    /// Docker trusts the loopback network always, and containerd by itself.
    pub fn is_loopback(&self) -> bool {
        self.base.is_loopback()
    }
}

/// Docker's insecure registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Insecure {
    /// Hosts, each with its port if it has one.
    pub hosts: Vec<String>,
    /// Networks.
    pub networks: Vec<Network>,
    /// Entries that are neither.
    pub odd: Vec<String>,
}

impl Insecure {
    pub fn of(entries: &[String]) -> Self {
        let mut all = Self::default();
        for entry in entries {
            // Docker strips a scheme and warns.
            let lower = entry.to_ascii_lowercase();
            let plain = ["http://", "https://"]
                .iter()
                .find_map(|scheme| lower.starts_with(scheme).then(|| entry.get(scheme.len()..).unwrap_or_default()));
            let plain = plain.unwrap_or(entry).trim_end_matches('/');
            if let Some(network) = Network::parse(plain) {
                all.networks.push(network);
            } else if plain.is_empty()
                || plain.contains(['/', '@', '?', '#', '"', '\\'])
                || plain.contains(char::is_whitespace)
            {
                all.odd.push(entry.clone());
            } else if !all.hosts.iter().any(|host| host == plain) {
                all.hosts.push(plain.to_owned());
            }
        }
        all
    }

    /// Whether a registry is in the list. Docker also looks up the addresses of names, which cannot be done here.
    pub fn covers(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known == host)
            || address(host).is_some_and(|address| {
                address.is_loopback() || self.networks.iter().any(|network| network.contains(address))
            })
    }
}

/// The address in `host`, `host:port` or `[v6]:port`.
fn address(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let (host, _) = host.rsplit_once(':').unwrap_or((host, ""));
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The registry in the name of an image.
pub(super) fn registry_of(image: &str) -> Option<&str> {
    let (first, _) = image.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

/// Registries that this node is known to use.
pub(super) fn known(facts: &Facts) -> BTreeSet<String> {
    let tags = facts.docker.images.iter().flat_map(|image| &image.tags);
    let running = facts.docker.containers.iter().map(|container| &container.image);
    let pods = facts.kubelet.static_pods.iter().flat_map(|pod| &pod.images);
    let pause = facts.kubelet.flag("pod-infra-container-image").map(|flag| &flag.value);
    let images = tags
        .chain(running)
        .chain(pods)
        .chain(pause)
        .chain(facts.containerd.sandbox_image.as_ref().map(|image| &image.value));
    let mut all: BTreeSet<String> = images.filter_map(|image| registry_of(image)).map(str::to_owned).collect();
    all.extend(facts.registry.docker_certs.iter().map(|dir| dir.host.clone()));
    all.extend(facts.registry.mirrors.iter().map(|mirror| mirror.host.value.clone()));
    all.extend(facts.registry.configs.iter().map(|config| config.host.value.clone()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insecure(entries: &[&str]) -> Insecure {
        Insecure::of(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn entries_are_hosts_or_networks() {
        let all = insecure(&["r.example:5000", "HTTP://plain.example/", "10.0.0.0/8", "a/b", "", "r.example:5000"]);
        assert_eq!(all.hosts, ["r.example:5000", "plain.example"]);
        assert_eq!(all.networks.iter().map(|network| network.text.as_str()).collect::<Vec<_>>(), ["10.0.0.0/8"]);
        assert_eq!(all.odd, ["a/b", ""]);
    }

    #[test]
    fn networks_cover_addresses_of_their_kind() {
        let all = insecure(&["10.1.0.0/16", "fd00::/8", "r.example"]);
        for (host, covered) in [
            ("10.1.2.3:5000", true),
            ("10.2.2.3:5000", false),
            ("10.1.2.3", true),
            ("[fd00::1]:5000", true),
            ("[fe00::1]:5000", false),
            ("127.0.0.1:5000", true),
            ("r.example", true),
            ("r.example:5000", false),
        ] {
            assert_eq!(all.covers(host), covered, "{host}");
        }
        assert!(insecure(&["0.0.0.0/0"]).covers("192.0.2.1:5000"));
        assert!(insecure(&["192.0.2.1/32"]).covers("192.0.2.1") && !insecure(&["192.0.2.1/32"]).covers("192.0.2.2"));
        assert_eq!(insecure(&["10.0.0.0/33"]).odd.len(), 1);
    }

    #[test]
    fn images_name_their_registry() {
        for (image, registry) in [
            ("busybox:1", None),
            ("library/busybox", None),
            ("localhost/x", Some("localhost")),
            ("10.1.2.3:5000/x:1", Some("10.1.2.3:5000")),
            ("r.example/x@sha256:0", Some("r.example")),
        ] {
            assert_eq!(registry_of(image), registry);
        }
    }
}
