//! CNI: which configuration wins, which plugins are there.

use super::{containerd, files::Files};
use crate::{
    formats::{cni_conf::NetworkConf, containerd::Effective},
    host::{EntryKind, Host},
    model::{CNI_BIN_DIRS, Facts, Origin, Sourced},
};

/// Looks at CNI. Runs after Docker, containerd and kubelet, whose settings name directories.
pub fn probe(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    let mut paths = Vec::new();
    for dir in facts.cni_conf_dirs() {
        paths = configurations(host, dir);
        if !paths.is_empty() {
            break;
        }
    }
    let mut paths = paths.into_iter();
    facts.cni.config = paths.next().map(|path| Sourced::new(path.clone(), Origin::path(path)));
    facts.cni.others = paths.collect();
    if let Some(config) = facts.cni.config.clone() {
        network(host, files, &config.value, facts);
    }
    let mut dirs: Vec<String> = CNI_BIN_DIRS.iter().map(|dir| (*dir).to_owned()).collect();
    dirs.extend(facts.kubelet.shim_cni_bin_dirs());
    let joined = containerd::effective(files, &facts.containerd);
    dirs.extend(joined.iter().flat_map(Effective::cni_bin_dirs).map(|dir| dir.value));
    for dir in dirs {
        let plugins: Vec<String> = host.root.list(&dir).unwrap_or_default().into_iter().map(|(name, _)| name).collect();
        if !plugins.is_empty() {
            facts.cni.plugins.insert(dir, plugins);
        }
    }
}

/// The files that libcni would read in a directory; it takes the lexically first one.
fn configurations(host: &Host, dir: &str) -> Vec<String> {
    let names = host.root.list(dir).unwrap_or_default().into_iter();
    let names = names.filter(|(name, kind)| *kind != EntryKind::Dir && is_conf(name));
    names.map(|(name, _)| format!("{dir}/{name}")).collect()
}

fn network(host: &Host, files: &mut Files<'_>, path: &str, facts: &mut Facts) {
    // Network plugins rewrite it as they like, so it is no file a plan relies on: no digest.
    let Some(text) = host.root.text_within(path, 1024 * 1024) else { return };
    match NetworkConf::parse(&text) {
        Ok(conf) => {
            facts.cni.version = conf.version.map(|version| Sourced::new(version, Origin::path(path)));
            facts.cni.calls = conf.plugins;
        }
        Err(error) => files.unseen(path, format!("it is no CNI configuration: {}", error.message)),
    }
}

fn is_conf(name: &str) -> bool {
    [".conf", ".conflist", ".json"].iter().any(|ending| name.ends_with(ending))
}
