//! CNI: which configuration wins, which plugins are there.

use super::files::Files;
use crate::{
    formats::cni_conf::NetworkConf,
    host::{EntryKind, Host},
    model::{Facts, Origin, Sourced},
};

/// Where plugins live unless a setting says otherwise: upstream's place and Debian's.
const BIN_DIRS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];

/// Where configuration lives unless a setting says otherwise.
const CONF_DIR: &str = "/etc/cni/net.d";

/// Looks at CNI. Runs after Docker, containerd and kubelet, whose settings name directories.
pub fn probe(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    let conf_dir = facts
        .kubelet
        .flag("cni-conf-dir")
        .map(|flag| flag.value.clone())
        .or_else(|| facts.containerd.cni_conf_dir.as_ref().map(|dir| dir.value.clone()))
        .unwrap_or_else(|| CONF_DIR.to_owned());
    // libcni takes the lexically first file with one of these endings.
    let names = host.root.list(&conf_dir).unwrap_or_default();
    let mut paths = names
        .iter()
        .filter(|(name, kind)| *kind != EntryKind::Dir && is_conf(name))
        .map(|(name, _)| format!("{conf_dir}/{name}"));
    facts.cni.config = paths.next().map(|path| Sourced::new(path.clone(), Origin::path(path)));
    facts.cni.others = paths.collect();
    if let Some(config) = facts.cni.config.clone() {
        network(host, files, &config.value, facts);
    }
    let mut dirs: Vec<String> = BIN_DIRS.iter().map(|dir| (*dir).to_owned()).collect();
    dirs.extend(facts.kubelet.flag("cni-bin-dir").map(|flag| flag.value.clone()));
    dirs.extend(facts.containerd.cni_bin_dir.as_ref().map(|dir| dir.value.clone()));
    for dir in dirs {
        let plugins: Vec<String> = host.root.list(&dir).unwrap_or_default().into_iter().map(|(name, _)| name).collect();
        if !plugins.is_empty() {
            facts.cni.plugins.insert(dir, plugins);
        }
    }
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

/// Directories in which plugins may be, those that are there.
pub fn bin_dirs(host: &Host) -> Vec<String> {
    let known = BIN_DIRS.iter().map(|dir| (*dir).to_owned());
    known.filter(|dir| host.root.exists(dir)).collect()
}

fn is_conf(name: &str) -> bool {
    [".conf", ".conflist", ".json"].iter().any(|ending| name.ends_with(ending))
}
