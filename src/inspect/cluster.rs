//! The cluster's addresses, as far as files on the node name them. What is not named is not guessed.

use crate::{
    formats::yaml::lenient,
    host::Host,
    model::{Facts, Origin, Sourced},
};
use serde_json::Value;

/// kubelet's kubeconfig, where kubeadm puts it.
const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";

/// Flags of control plane components that name ranges.
const RANGE_FLAGS: [&str; 2] = ["--service-cluster-ip-range=", "--cluster-cidr="];

/// Gathers addresses from kubeconfigs, control plane manifests, CNI and kubelet.
pub fn probe(host: &Host, facts: &mut Facts) {
    // Everything is read without keeping it: kubeconfigs hold keys, and a file that another probe gave up on stays so.
    let read = |path: &str| host.root.text(path).ok().flatten();
    let mut addresses = Vec::new();
    for path in kubeconfigs(host, facts) {
        let Some(text) = read(&path) else { continue };
        addresses.extend(servers(&text).into_iter().map(|server| Sourced::new(server, Origin::path(&path))));
    }
    for pod in &facts.kubelet.static_pods {
        let text = read(&pod.path).unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let Some(value) = RANGE_FLAGS.iter().find_map(|flag| line.split_once(flag)) else { continue };
            let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let ranges = value.1.trim_matches(['"', '\'', ' ']).split(',').filter(|range| range.contains('/'));
            addresses.extend(ranges.map(|range| Sourced::new(range.to_owned(), Origin::file(&pod.path, line))));
        }
    }
    if let Some(path) = facts.cni.config.as_ref().map(|config| config.value.clone()) {
        let conf = read(&path).and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let mut subnets = Vec::new();
        subnets_of(&conf.unwrap_or_default(), &mut subnets);
        addresses.extend(subnets.into_iter().map(|subnet| Sourced::new(subnet, Origin::path(&path))));
    }
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(address.value.clone()));
    facts.surroundings.cluster.addresses = addresses;
    dns(&read, facts);
}

fn kubeconfigs(host: &Host, facts: &Facts) -> Vec<String> {
    let own = facts.kubelet.flag("kubeconfig").map_or(KUBELET_CONF, |flag| flag.value.as_str()).to_owned();
    let conf_dir = facts.kubelet.flag("cni-conf-dir").map_or("/etc/cni/net.d", |flag| flag.value.as_str());
    let names = host.root.list(conf_dir).unwrap_or_default().into_iter();
    // `calico-kubeconfig`, `multus.kubeconfig`, …: what CNI plugins talk to the API server with.
    let of_plugins =
        names.filter(|(name, _)| name.contains("kubeconfig")).map(|(name, _)| format!("{conf_dir}/{name}"));
    std::iter::once(own).chain(of_plugins).collect()
}

/// Hosts of the `server:` entries.
fn servers(text: &str) -> Vec<String> {
    let Ok(config) = lenient::<Value>(text) else { return Vec::new() };
    let clusters = config.get("clusters").and_then(Value::as_array).into_iter().flatten();
    clusters.filter_map(|entry| host_of(entry.get("cluster")?.get("server")?.as_str()?)).collect()
}

/// The host of a URL, without port and brackets.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next()?,
        None if host.matches(':').count() == 1 => host.split(':').next()?,
        None => host,
    };
    (!host.is_empty()).then(|| host.to_owned())
}

/// Ranges of host-local, wherever in a configuration they stand.
fn subnets_of(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().filter(|text| key == "subnet" && text.contains('/')) {
                    Some(text) => out.push(text.to_owned()),
                    None => subnets_of(value, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| subnets_of(item, out)),
        _ => {}
    }
}

fn dns(read: &dyn Fn(&str) -> Option<String>, facts: &mut Facts) {
    let path = facts.kubelet.config_path.as_ref().map(|path| path.value.clone());
    let text = path.as_deref().and_then(read);
    let path = path.unwrap_or_default();
    let config = text.and_then(|text| lenient::<Value>(&text).ok()).unwrap_or_default();
    let from_file = config.get("clusterDNS").and_then(Value::as_array).into_iter().flatten();
    let mut dns: Vec<Sourced<String>> = from_file
        .filter_map(Value::as_str)
        .map(|text| Sourced::new(text.to_owned(), Origin::path(&path).with_detail("clusterDNS")))
        .collect();
    if let Some(flag) = facts.kubelet.flag("cluster-dns") {
        dns = flag.value.split(',').map(|text| Sourced::new(text.to_owned(), flag.origin.clone())).collect();
    }
    let domain = config
        .get("clusterDomain")
        .and_then(Value::as_str)
        .filter(|domain| !domain.is_empty())
        .map(|domain| Sourced::new(domain.to_owned(), Origin::path(&path).with_detail("clusterDomain")));
    let flag = facts.kubelet.flag("cluster-domain").map(|flag| Sourced::new(flag.value.clone(), flag.origin.clone()));
    facts.surroundings.cluster.dns = dns;
    facts.surroundings.cluster.domain = flag.or(domain);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, host) in [
            ("https://10.0.0.1:6443", Some("10.0.0.1")),
            ("https://[10.96.0.1]:443", Some("10.96.0.1")),
            ("https://[fd00::1]:6443/x", Some("fd00::1")),
            ("https://api.example.com", Some("api.example.com")),
            ("", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn servers_and_subnets() {
        let text = "apiVersion: v1\nclusters:\n- cluster:\n    server: https://10.0.3.9:6443\n  name: kubernetes\n";
        assert_eq!(servers(text), ["10.0.3.9"]);
        assert_eq!(servers(&format!("{text}---\n")), ["10.0.3.9"]);
        let conf: Value = serde_json::from_str(
            r#"{"plugins":[{"ipam":{"type":"host-local","subnet":"usePodCidr"}},{"ipam":{"ranges":[[{"subnet":"10.244.1.0/24"}]]}}]}"#,
        )
        .unwrap();
        let mut subnets = Vec::new();
        subnets_of(&conf, &mut subnets);
        assert_eq!(subnets, ["10.244.1.0/24"]);
    }
}
