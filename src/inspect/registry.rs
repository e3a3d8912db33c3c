//! Registries: containerd's tables and `hosts.toml` files, and the certificates Docker uses.

use super::{containerd, files::Files};
use crate::{
    formats::{
        At,
        containerd::{ContainerdConfig, Effective, Release},
        hosts_toml::HostsToml,
    },
    host::{EntryKind, Host},
    model::{
        CERTS_D, DOCKER_CERTS_D, Facts, Origin, RegistryConfig, RegistryDir, RegistryFacts, RegistryMirror,
        RegistryTls, Sourced,
    },
};

/// Looks at what says how registries are reached. Runs after Docker and containerd.
pub fn probe(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    let mut registry = RegistryFacts::default();
    if let Some(joined) = containerd::effective(files, &facts.containerd) {
        from_files(files, &joined, &mut registry);
    }
    let mut roots: Vec<String> = registry.roots().into_iter().map(str::to_owned).collect();
    if !roots.iter().any(|root| root == CERTS_D) {
        roots.push(CERTS_D.to_owned());
    }
    let release = facts.containerd.version.as_ref().and_then(|version| Release::parse(&version.value));
    if registry.is_silent() && release.is_some_and(|release| release.pair() >= (2, 2)) {
        roots.push(DOCKER_CERTS_D.to_owned());
    }
    for root in roots.iter().filter(|root| root.starts_with('/')) {
        registry.hosts.extend(dirs(host, files, root, true));
    }
    if let Some(release) = release {
        for dir in registry.hosts.iter_mut().filter(|dir| dir.hosts_toml && dir.fault.is_none()) {
            let text = files.text(&format!("{}/hosts.toml", dir.path)).unwrap_or_default();
            dir.fault = HostsToml::parse(&text).ok().and_then(|file| fault_of(&file, release)).map(str::to_owned);
        }
    }
    registry.docker_certs = dirs(host, files, DOCKER_CERTS_D, false);
    facts.registry = registry;
}

/// Why one release ignores a file that another reads.
fn fault_of(file: &HostsToml, release: Release) -> Option<&'static str> {
    if file.has_byte_order_mark() && release.refuses_byte_order_mark() {
        return Some("it begins with a byte order mark, which containerd 2.x takes for text");
    }
    // Measured on 1.6.20 and 1.7.24: "invalid `host` tree".
    let is_bare = file.hosts.is_empty() && file.server.is_some() && release.pair() < (2, 0);
    is_bare.then_some("it has no [host] table, so containerd 1.x ignores it")
}

/// The tables of every file that takes part, a later file's entry in the place of an earlier one's; on 1.x those of the
/// one file whose CRI table counts. What 2.x does not read only because the files have different versions is taken too:
/// a plan that gives them one version wakes it up.
fn from_files(files: &Files<'_>, joined: &Effective, registry: &mut RegistryFacts) {
    let counts = |path: &str| joined.release().merges_plugins() || joined.cri_winner() == Some(path);
    for part in joined.parts.iter().filter(|part| counts(&part.path)) {
        let Some(Ok(config)) = files.texts().get(&part.path).map(|text| ContainerdConfig::parse(text)) else {
            continue;
        };
        from_config(&part.path, &config.inheriting(joined.schema), registry);
    }
    registry.config_path = registry.config_path.take().filter(|path| !path.value.is_empty());
    registry.local_pull = joined.local_image_pull();
}

fn from_config(path: &str, config: &ContainerdConfig, registry: &mut RegistryFacts) {
    let at = |at: At<String>| Sourced::new(at.value, Origin::file(path, at.line));
    registry.config_path = config.registry_config_path().map(at).or(registry.config_path.take());
    let old = config.old_registry();
    for mirror in old.mirrors {
        let endpoints = mirror.endpoints.iter().map(|url| without_user(url)).collect();
        let mirror = RegistryMirror { host: at(mirror.host), endpoints };
        registry.mirrors.retain(|known| known.host.value != mirror.host.value);
        registry.mirrors.push(mirror);
    }
    for config in old.configs {
        let known = registry.configs.iter().position(|known| known.host.value == config.host.value);
        let known = known.map(|known| registry.configs.remove(known));
        let tls = config.tls.map(|tls| RegistryTls {
            ca: tls.ca,
            cert: tls.cert,
            key: tls.key,
            skip_verify: tls.skip_verify,
        });
        registry.configs.push(RegistryConfig {
            host: at(config.host),
            auth: config.auth || known.as_ref().is_some_and(|known| known.auth),
            tls: tls.or_else(|| known.and_then(|known| known.tls)),
        });
    }
    let auths = old.auths.into_iter().map(|url| at(url.map(|url| without_user(&url))));
    for (list, new) in [
        (&mut registry.auths, auths.collect::<Vec<_>>()),
        (&mut registry.headers, old.headers.into_iter().map(at).collect()),
    ] {
        list.retain(|known| new.iter().all(|new| new.value != known.value));
        list.extend(new);
    }
}

/// A URL without `user:password@`; containerd takes no notice of it either.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host_end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(host_end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

/// The registries that have a directory below `root`.
fn dirs(host: &Host, files: &mut Files<'_>, root: &str, with_hosts_toml: bool) -> Vec<RegistryDir> {
    let listed = match host.root.list(root) {
        Ok(listed) => listed,
        Err(error) => {
            files.unseen(root, error.to_string());
            return Vec::new();
        }
    };
    listed
        .into_iter()
        .filter(|(_, kind)| matches!(kind, EntryKind::Dir | EntryKind::Link))
        .filter_map(|(name, _)| {
            let path = format!("{root}/{name}");
            let names: Vec<String> = host
                .root
                .list(&path)
                .ok()?
                .into_iter()
                .filter(|(_, kind)| matches!(kind, EntryKind::File | EntryKind::Link))
                .map(|(name, _)| name)
                .collect();
            let mut dir = RegistryDir { root: root.to_owned(), host: host_of(&name), path, ..RegistryDir::default() };
            certificates(&names, &mut dir);
            if with_hosts_toml && names.iter().any(|name| name == "hosts.toml") {
                dir.hosts_toml = true;
                let text = files.text(&format!("{}/hosts.toml", dir.path));
                dir.fault = text.and_then(|text| HostsToml::parse(&text).err()).map(|error| error.to_string());
            }
            Some(dir)
        })
        .collect()
}

/// `host:5000` and `host_5000_` are the same registry; the second spelling is for file systems without colons.
fn host_of(name: &str) -> String {
    let port = name.strip_suffix('_').and_then(|rest| rest.rsplit_once('_'));
    match port.filter(|(host, port)| !host.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty()) {
        Some((host, port)) => format!("{host}:{port}"),
        None => name.to_owned(),
    }
}

fn certificates(names: &[String], dir: &mut RegistryDir) {
    let path = |name: &str| format!("{}/{name}", dir.path);
    let (mut ca, mut client, mut unpaired) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let there = |ending: &str, stem: &str| names.iter().any(|other| *other == format!("{stem}{ending}"));
        if name.ends_with(".crt") {
            ca.push(path(name));
        } else if let Some(stem) = name.strip_suffix(".cert") {
            if there(".key", stem) {
                client.push((path(name), path(&format!("{stem}.key"))));
            } else {
                unpaired.push(path(name));
            }
        } else if name.strip_suffix(".key").is_some_and(|stem| !there(".cert", stem)) {
            unpaired.push(path(name));
        }
    }
    (dir.ca, dir.client, dir.unpaired) = (ca, client, unpaired);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_names_are_hosts() {
        for (name, host) in [
            ("docker.io", "docker.io"),
            ("r.example:5000", "r.example:5000"),
            ("r.example_5000_", "r.example:5000"),
            ("_default", "_default"),
            ("a_b_", "a_b_"),
            ("_5000_", "_5000_"),
        ] {
            assert_eq!(host_of(name), host);
        }
    }

    #[test]
    fn certificates_come_with_their_keys() {
        let names = ["a.cert", "a.key", "b.cert", "c.key", "x.crt", "y.crt", "README"].map(str::to_owned);
        let mut dir = RegistryDir { path: "/d".into(), ..RegistryDir::default() };
        certificates(&names, &mut dir);
        assert_eq!(dir.ca, ["/d/x.crt", "/d/y.crt"]);
        assert_eq!(dir.client, [("/d/a.cert".to_owned(), "/d/a.key".to_owned())]);
        assert_eq!(dir.unpaired, ["/d/b.cert", "/d/c.key"]);
    }

    #[test]
    fn credentials_in_urls_are_not_kept() {
        for (url, kept) in [
            ("https://u:p@m.example/v2", "https://m.example/v2"),
            ("m.example:5000", "m.example:5000"),
            ("u@m/a@b", "m/a@b"),
        ] {
            assert_eq!(without_user(url), kept);
        }
    }
}
