//! containerd's old registry tables: read into `hosts.toml`, and written for releases that know nothing else.

use super::{
    super::draft::Draft,
    hosts::{Wanted, add, authority, default_server},
};
use crate::{
    formats::{
        containerd::{Literal, Place, Setting},
        hosts_toml::{HostOptions, HostsTarget, plain},
    },
    model::{Facts, RegistryTls},
};

/// What the old tables of this node mean.
pub(super) fn read(facts: &Facts, wanted: &mut Wanted) {
    let registry = &facts.registry;
    for mirror in &registry.mirrors {
        let name = if mirror.host.value == "*" { "_default" } else { mirror.host.value.as_str() };
        let server = default_server(name);
        let own = server.as_deref().map(authority).unwrap_or_default().to_owned();
        let target = wanted.registry(name);
        let urls: Vec<String> = mirror.endpoints.iter().map(|endpoint| with_scheme(endpoint)).collect();
        for url in &urls {
            add_endpoint(facts, target, url);
        }
        // An endpoint on the registry itself took the place of the one that is appended otherwise.
        let itself = urls.iter().rfind(|url| authority(url) == own || authority(url) == name);
        let last = itself.map(|url| url.trim_end_matches('/').to_owned()).or(server);
        if target.server.is_none() {
            target.server = last;
            let server = target.server.clone().unwrap_or_default();
            target.options = tls_options(facts, &server);
        }
        if target.hosts.is_empty()
            && let Some(server) = target.server.clone()
        {
            add(target, &server, capable(tls_options(facts, &server)));
        }
    }
    for config in registry.configs.iter().filter(|config| config.tls.is_some()) {
        let host = config.host.value.as_str();
        let name = if host == "registry-1.docker.io" { "docker.io" } else { host };
        let Some(server) = default_server(name) else { continue };
        let options = tls_options(facts, &server);
        let target = wanted.registry(name);
        if target.server.is_none() {
            // `*` was for every registry without an entry of its own; `_default` is for those without a file.
            let all = registry.mirrors.iter().filter(|mirror| mirror.host.value == "*");
            for endpoint in all.flat_map(|mirror| &mirror.endpoints) {
                add_endpoint(facts, target, &with_scheme(endpoint));
            }
            target.server = Some(server.clone());
            target.options = options.clone();
            add(target, &server, capable(options));
        }
    }
}

/// Adds an endpoint as a host. The old tables took a path as it stands; hosts.toml has `/v2` appended unless told not to.
fn add_endpoint(facts: &Facts, target: &mut HostsTarget, url: &str) {
    let mut options = capable(tls_options(facts, url));
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let path = path.trim_end_matches('/');
    options.override_path = !path.is_empty() && path != "v2" && !path.ends_with("/v2");
    add(target, url.trim_end_matches('/'), options);
}

fn capable(options: HostOptions) -> HostOptions {
    HostOptions { capabilities: vec!["pull".to_owned(), "resolve".to_owned()], ..options }
}

/// An endpoint without a scheme is HTTPS, on the node itself HTTP.
fn with_scheme(endpoint: &str) -> String {
    if endpoint.contains("://") {
        return endpoint.to_owned();
    }
    let host = authority(endpoint);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    format!("{}://{endpoint}", if local { "http" } else { "https" })
}

/// The TLS settings that `configs` has for the host of a URL; plain HTTP has no use for them.
fn tls_options(facts: &Facts, url: &str) -> HostOptions {
    let host = authority(url);
    let config = facts.registry.configs.iter().find(|config| config.host.value == host);
    match config.and_then(|config| config.tls.as_ref()).filter(|_| url.starts_with("https://")) {
        Some(tls) => options_of(tls),
        None => HostOptions::default(),
    }
}

fn options_of(tls: &RegistryTls) -> HostOptions {
    HostOptions {
        ca: tls.ca.iter().cloned().collect(),
        client: tls.cert.iter().map(|cert| (cert.clone(), tls.key.clone())).collect(),
        skip_verify: tls.skip_verify.then_some(true),
        ..HostOptions::default()
    }
}

/// Adds what must hold to the old tables, which containerd before 1.5 knows alone.
pub(super) fn write(draft: &mut Draft<'_>, wanted: &Wanted) {
    let place = |path: &[&str]| {
        Place::Images(std::iter::once(&"registry").chain(path).map(|part| (*part).to_owned()).collect())
    };
    let config = draft.facts.containerd.config_path.as_ref().map(|path| path.value.clone()).unwrap_or_default();
    for (name, target) in wanted.iter() {
        let endpoints = endpoints(draft.facts, name, target);
        if endpoints.iter().any(|url| Some(plain(url)) != default_server(name)) {
            let value = Some(Literal::List(endpoints));
            draft.containerd.push(Setting { place: place(&["mirrors", name, "endpoint"]), value });
        }
        for (url, options) in &target.hosts {
            let tls = |key: &str, value: Literal| Setting {
                place: place(&["configs", authority(url), "tls", key]),
                value: Some(value),
            };
            if let Some(skip) = options.skip_verify {
                draft.containerd.push(tls("insecure_skip_verify", Literal::Bool(skip)));
            }
            if let Some(ca) = options.ca.first() {
                draft.containerd.push(tls("ca_file", Literal::Text(ca.clone())));
            }
            if let Some((cert, key)) = options.client.first() {
                draft.containerd.push(tls("cert_file", Literal::Text(cert.clone())));
                draft.containerd.push(tls("key_file", Literal::Text(key.clone().unwrap_or_else(|| cert.clone()))));
            }
            if options.ca.len() > 1 || options.client.len() > 1 {
                let summary = format!("only the first certificate for {} is carried over", authority(url));
                let cause = "this containerd takes one authority and one client certificate for a registry";
                let fix = "join them in one file, or upgrade containerd";
                draft.find("registry-entry-odd", crate::model::Severity::Warn, &summary, cause, fix, &config);
            }
        }
    }
    // Here nothing goes below certs.d.
    let below = format!("{}/", super::directory(draft.facts));
    let said = draft.said.iter_mut().map(|said| &mut said.target);
    for target in said.chain(draft.verdicts.iter_mut().map(|verdict| &mut verdict.target)) {
        if target.as_deref().is_some_and(|target| target.starts_with(&below)) {
            *target = Some(format!("registry tables in {config}"));
        }
    }
}

/// Endpoints as the old tables want them: with their whole path, those that are there behind the new ones.
fn endpoints(facts: &Facts, name: &str, target: &HostsTarget) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let there = facts.registry.mirrors.iter().filter(|mirror| mirror.host.value == name);
    let whole = |(url, options): &(String, HostOptions)| {
        let has_path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        if has_path && !options.override_path && !url.ends_with("/v2") { format!("{url}/v2") } else { url.clone() }
    };
    let new = target.hosts.iter().map(whole);
    let old = there.flat_map(|mirror| mirror.endpoints.iter().map(|url| with_scheme(url)));
    for url in new.chain(old.filter(|url| Some(url) != target.server.as_ref())).chain(target.server.clone()) {
        if !all.contains(&url) {
            all.push(url);
        }
    }
    all
}
