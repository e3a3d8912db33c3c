//! How containerd reaches registries: Docker's mirrors, insecure registries and certificates, and containerd's own old
//! tables, all of them in `hosts.toml` files below one directory; before containerd 1.5 in the old tables.
//!
//! What an administrator wrote in a `hosts.toml` wins: hosts and settings are added to it, none is changed.

mod docker;
mod hosts;
mod networks;
mod tables;
#[cfg(test)]
mod tests;

use super::draft::Draft;
use crate::{
    formats::containerd::{Literal, Place, Setting},
    model::{CERTS_D, DOCKER_CERTS_D, Facts},
};
use hosts::Wanted;

/// A release of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release(u32, u32, u32);

impl Release {
    fn of(facts: &Facts) -> Option<Self> {
        let version = &facts.containerd.version.as_ref()?.value;
        let mut numbers = version.trim_start_matches('v').split('.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part.get(..digits).and_then(|part| part.parse().ok())
        });
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(Self(major, minor, numbers.next().flatten().unwrap_or_default()))
    }

    /// 1.5 brought `config_path`, but neither `_default` nor `override_path`: there the old tables say more.
    fn has_only_tables(self, facts: &Facts) -> bool {
        self < Self(1, 5, 0) || (self < Self(1, 6, 0) && facts.registry.config_path.is_none())
    }

    /// Whether a host with the scheme `http`, a port and TLS settings is tried with TLS first.
    fn falls_back_to_http(self) -> bool {
        match self {
            Self(1, 6, patch) => patch >= 39,
            Self(1, 7, patch) => patch >= 24,
            release => release >= Self(2, 0, 0),
        }
    }

    /// Since 2.1 images are pulled by the transfer service, which takes a list of directories for the name of one.
    fn misreads_lists(self, facts: &Facts) -> bool {
        self >= Self(2, 1, 0) && !facts.registry.local_pull
    }

    /// 2.2 has such a list by itself where nothing is set (containerd 2.2.0 `plugins/cri/images`).
    fn has_list_by_default(self, facts: &Facts) -> bool {
        self >= Self(2, 2, 0) && facts.registry.is_silent()
    }

    fn misreads_default(self, facts: &Facts) -> bool {
        self.has_list_by_default(facts) && facts.registry.is_left_to_default()
    }

    /// 2.0 dropped `configs.*.tls`: it is ignored, and no longer in conflict with `config_path`.
    fn ignores_tls(self) -> bool {
        self >= Self(2, 0, 0)
    }
}

/// True when old tables beside `config_path` keep the CRI plugin from loading, or are ignored.
fn tables_must_go(facts: &Facts, release: Release) -> bool {
    let registry = &facts.registry;
    let tls = registry.configs.iter().any(|config| config.tls.is_some());
    let conflict = registry.config_path.is_some() && (!registry.mirrors.is_empty() || tls);
    conflict || (tls && release.ignores_tls())
}

/// Adds what a node needs that leaves Docker.
pub fn from_docker(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    let Some(release) = Release::of(facts) else { return };
    let mut wanted = docker::wanted(draft, release);
    if release.has_only_tables(facts) {
        tables::write(draft, &wanted);
        return;
    }
    let list = facts.registry.roots().len() > 1 || release.misreads_default(facts);
    if wanted.is_empty() && !list && !tables_must_go(facts, release) {
        return;
    }
    tables::read(facts, &mut wanted);
    settle(draft, &wanted);
}

/// Adds what a node on containerd needs: only what keeps CRI from loading or settings from being heeded.
pub fn mend(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    let Some(release) = Release::of(facts) else { return };
    let list = (facts.registry.roots().len() > 1 && release.misreads_lists(facts)) || release.misreads_default(facts);
    let tables = tables_must_go(facts, release);
    if release.has_only_tables(facts) || !(list || tables) {
        return;
    }
    let mut wanted = Wanted::default();
    if tables {
        tables::read(facts, &mut wanted);
    }
    settle(draft, &wanted);
}

/// The directories that containerd has now for what says how registries are reached.
fn roots(facts: &Facts) -> Vec<&str> {
    match Release::of(facts) {
        Some(release) if release.has_list_by_default(facts) => vec![CERTS_D, DOCKER_CERTS_D],
        _ => facts.registry.roots(),
    }
}

/// The one directory in which `hosts.toml` files are from now on.
fn directory(facts: &Facts) -> String {
    let roots = roots(facts);
    let used = |root: &&&str| facts.registry.hosts.iter().any(|dir| dir.root == **root);
    let own = || roots.iter().filter(|root| **root != DOCKER_CERTS_D);
    let known = roots.iter().find(|root| **root == CERTS_D);
    known.or_else(|| own().find(used)).or_else(|| own().next()).map_or(CERTS_D, |root| root).to_owned()
}

/// Writes the files, names their directory and takes the old tables out.
fn settle(draft: &mut Draft<'_>, wanted: &Wanted) {
    let facts = draft.facts;
    let root = directory(facts);
    hosts::write(draft, &root, wanted);
    let place = |path: &[&str]| {
        Place::Images(std::iter::once(&"registry").chain(path).map(|part| (*part).to_owned()).collect())
    };
    let gone = |path: &[&str]| Setting { place: place(path), value: None };
    let set = Setting { place: place(&["config_path"]), value: Some(Literal::Text(root)) };
    draft.containerd.push(set);
    if !facts.registry.mirrors.is_empty() {
        draft.containerd.push(gone(&["mirrors"]));
    }
    let configs = &facts.registry.configs;
    if configs.iter().any(|config| config.tls.is_some()) {
        if configs.iter().all(|config| !config.auth) {
            draft.containerd.push(gone(&["configs"]));
        }
        for config in configs.iter().filter(|config| config.tls.is_some()) {
            let host = config.host.value.as_str();
            // Credentials have no place in hosts.toml; they stay where they are.
            match (config.auth, configs.iter().any(|config| config.auth)) {
                (true, _) => draft.containerd.push(gone(&["configs", host, "tls"])),
                (false, true) => draft.containerd.push(gone(&["configs", host])),
                (false, false) => {}
            }
        }
    }
}
