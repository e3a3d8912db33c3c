//! `hosts.toml` files: what must stand in them, and the steps that write them.

use super::super::draft::Draft;
use crate::{
    formats::{
        FormatError,
        hosts_toml::{HostOptions, HostsTarget, HostsToml, new_file, plain},
    },
    model::{Facts, RegistryDir},
};

/// What must hold for registries, in the order found.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    registries: Vec<(String, HostsTarget)>,
}

impl Wanted {
    /// What must hold for a registry, by the name that images have it by.
    pub fn registry(&mut self, name: &str) -> &mut HostsTarget {
        let at = self.registries.iter().position(|(known, _)| known == name).unwrap_or(self.registries.len());
        if at == self.registries.len() {
            self.registries.push((name.to_owned(), HostsTarget::default()));
        }
        // There is one at `at` by now; the fallback only keeps this free of panics.
        let last = self.registries.len() - 1;
        &mut self.registries[at.min(last)].1
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &HostsTarget)> {
        self.registries.iter().map(|(name, target)| (name.as_str(), target))
    }

    pub fn is_empty(&self) -> bool {
        self.registries.is_empty()
    }
}

/// Adds a host that is tried behind those that are there.
pub(super) fn add(target: &mut HostsTarget, url: &str, options: HostOptions) {
    if !target.hosts.iter().any(|(known, _)| plain(known) == plain(url)) {
        target.hosts.push((url.to_owned(), options));
    }
}

/// Host and port of a URL.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// Where a registry is reached when nothing says otherwise.
pub(super) fn default_server(name: &str) -> Option<String> {
    match name {
        "_default" => None,
        "docker.io" => Some("https://registry-1.docker.io".to_owned()),
        name => Some(format!("https://{name}")),
    }
}

/// Certificates that Docker keeps for a registry, named where they are.
pub(super) fn certificates(dir: &RegistryDir) -> HostOptions {
    HostOptions {
        ca: dir.ca.clone(),
        client: dir.client.iter().map(|(cert, key)| (cert.clone(), Some(key.clone()))).collect(),
        ..HostOptions::default()
    }
}

/// The file of a registry; its directory may be there in either spelling.
pub(super) fn path_of(facts: &Facts, root: &str, name: &str) -> String {
    let dir = facts.registry.hosts.iter().find(|dir| dir.root == root && dir.host == name);
    format!("{}/hosts.toml", dir.map_or_else(|| format!("{root}/{name}"), |dir| dir.path.clone()))
}

/// Adds a step for each file that is not as it must be.
pub(super) fn write(draft: &mut Draft<'_>, root: &str, wanted: &Wanted) {
    let facts = draft.facts;
    let mut wanted = wanted.clone();
    let from_elsewhere = elsewhere(facts, root);
    for dir in &from_elsewhere {
        let target = wanted.registry(&dir.host);
        if !dir.hosts_toml {
            let server = default_server(&dir.host);
            add(target, &server.clone().unwrap_or_default(), certificates(dir));
            if target.server.is_none() {
                (target.server, target.options) = (server, certificates(dir));
            }
        }
    }
    for (name, target) in wanted.iter() {
        let dir = facts.registry.hosts.iter().find(|dir| dir.root == root && dir.host == name);
        let path = path_of(facts, root, name);
        // A file that was seen and could not be read has its finding already.
        if facts.files.contains_key(&path) && !facts.texts.contains_key(&path) {
            continue;
        }
        let copied = from_elsewhere.iter().find(|dir| dir.host == name && dir.hosts_toml);
        match text(facts, &path, name, target, dir, copied.copied()) {
            Ok(after) => draft.write("registry-hosts", &path, &after, &why(name)),
            Err(error) => draft.not_editable(&path, &error, "correct the file by hand, then plan again"),
        }
    }
}

fn why(name: &str) -> String {
    match name {
        "_default" => "containerd reaches all other registries as this file says".to_owned(),
        name => format!("containerd reaches {name} as this file says"),
    }
}

/// Directories of a list, in `config_path` or by default, that is no longer looked at, and have no like in the one that stays.
fn elsewhere<'f>(facts: &'f Facts, root: &str) -> Vec<&'f RegistryDir> {
    let registry = &facts.registry;
    let roots = super::roots(facts);
    let mut found: Vec<&RegistryDir> = Vec::new();
    for dir in registry.hosts.iter().filter(|dir| dir.root != root && roots.contains(&dir.root.as_str())) {
        let kept = registry.hosts.iter().any(|other| other.root == root && other.host == dir.host);
        if !kept && dir.says_something() && !found.iter().any(|other| other.host == dir.host) {
            found.push(dir);
        }
    }
    found
}

fn text(
    facts: &Facts,
    path: &str,
    name: &str,
    target: &HostsTarget,
    dir: Option<&RegistryDir>,
    copied: Option<&RegistryDir>,
) -> Result<String, FormatError> {
    let copy = |dir: &RegistryDir| {
        let text = facts.texts.get(&format!("{}/hosts.toml", dir.path)).map_or("", String::as_str);
        HostsToml::parse(text)?.moved_from(&dir.path)
    };
    let base = match (facts.texts.get(path), copied) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(dir)) => Some(copy(dir)?),
        (None, None) => None,
    };
    let mut target = target.clone();
    match base {
        Some(text) => {
            // Not to name the server is to mean the registry itself.
            if target.server == default_server(name) {
                target.server = None;
            }
            HostsToml::parse(&text)?.with(&target)
        }
        None => {
            // Certificates beside a `hosts.toml` count only when it names them.
            if let Some(dir) = dir.filter(|dir| !dir.hosts_toml) {
                let own = certificates(dir);
                let same = target.hosts.iter_mut().filter(|(url, _)| authority(url) == name).map(|(_, o)| o);
                for options in std::iter::once(&mut target.options).chain(same) {
                    options.ca.extend(own.ca.iter().filter(|ca| !options.ca.contains(ca)).cloned().collect::<Vec<_>>());
                    if options.client.is_empty() {
                        options.client.clone_from(&own.client);
                    }
                }
            }
            new_file(&target)
        }
    }
}
