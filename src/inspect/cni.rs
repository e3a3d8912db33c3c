//! CNI: which configuration wins, which plugins are there.

use crate::{
    host::{EntryKind, Host},
    model::{Facts, Origin, Sourced},
};

/// Where plugins live unless a setting says otherwise: upstream's place and Debian's.
const BIN_DIRS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];

/// Where configuration lives unless a setting says otherwise.
const CONF_DIR: &str = "/etc/cni/net.d";

/// Looks at CNI. Runs after Docker, containerd and kubelet, whose settings name directories.
pub fn probe(host: &Host, facts: &mut Facts) {
    let conf_dir = facts
        .kubelet
        .flag("cni-conf-dir")
        .map(|flag| flag.value.clone())
        .or_else(|| facts.containerd.cni_conf_dir.as_ref().map(|dir| dir.value.clone()))
        .unwrap_or_else(|| CONF_DIR.to_owned());
    // libcni takes the lexically first file with one of these endings.
    let names = host.root.list(&conf_dir).unwrap_or_default();
    facts.cni.config = names
        .iter()
        .find(|(name, kind)| *kind != EntryKind::Dir && is_conf(name))
        .map(|(name, _)| format!("{conf_dir}/{name}"))
        .map(|path| Sourced::new(path.clone(), Origin::path(path)));
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

/// Directories in which plugins may be, those that are there.
pub fn bin_dirs(host: &Host) -> Vec<String> {
    let known = BIN_DIRS.iter().map(|dir| (*dir).to_owned());
    known.filter(|dir| host.root.exists(dir)).collect()
}

fn is_conf(name: &str) -> bool {
    [".conf", ".conflist", ".json"].iter().any(|ending| name.ends_with(ending))
}
