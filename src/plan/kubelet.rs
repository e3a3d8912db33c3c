//! kubelet's flags and configuration file.

use super::draft::Draft;
use crate::{
    formats::{
        env_file::EnvFile,
        kubelet_config::KubeletConfig,
        kubelet_flags::{self, rewrite},
        package_db::version_pair,
    },
    model::{Facts, Finding, KubeletFlag, OriginKind, Severity, same_endpoint},
};
use std::collections::BTreeSet;

/// kubeadm's file, and the variable it insists on.
const KUBEADM_FLAGS: (&str, &str) = ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS");

/// Where distributions let an administrator add flags.
const EXTRA_ARGS: [&str; 2] = ["/etc/default/kubelet", "/etc/sysconfig/kubelet"];

const WHY_DRIVER: &str = "one cgroup driver for everything: systemd's";
const WHY_ENDPOINT: &str = "kubelet must ask containerd, with the flags its release knows";

/// Sets kubelet's cgroup driver to systemd where it is decided: a flag beats the file.
pub fn cgroup_driver(draft: &mut Draft<'_>) {
    if draft.facts.kubelet.cgroup_driver.as_ref().is_some_and(|driver| driver.value.word() == "systemd") {
        return;
    }
    if draft.facts.kubelet.flag("cgroup-driver").is_some() {
        return rewrite_flags(draft, &[], &[("cgroup-driver", "systemd".to_owned())], WHY_DRIVER);
    }
    let Some(path) = draft.facts.kubelet.config_path.as_ref().map(|path| path.value.clone()) else {
        return rewrite_flags(draft, &[], &[("cgroup-driver", "systemd".to_owned())], WHY_DRIVER);
    };
    edit_config(draft, &path, &[("cgroupDriver", Some("systemd"))], WHY_DRIVER);
}

/// Points kubelet to the wanted endpoint, and takes away what its release would die of.
pub fn endpoint(draft: &mut Draft<'_>) {
    let kubelet = &draft.facts.kubelet;
    let Some(version) = kubelet.version.as_ref().and_then(|version| version_pair(&version.value)) else { return };
    if kubelet.runtime.is_none() {
        return;
    }
    let wanted = draft.desired.endpoint.clone();
    let (remove, set) = kubelet_flags::for_endpoint(version, &wanted);
    let field = kubelet.endpoint.as_ref().filter(|endpoint| {
        endpoint.origin.kind == OriginKind::File
            && endpoint.origin.detail.as_deref() == Some("containerRuntimeEndpoint")
    });
    if let (Some(field), Some(path)) = (field, &kubelet.config_path) {
        // Decided by the configuration file (1.27 and later): keep it there, and drop flags that would beat it.
        let (path, same) = (path.value.clone(), field.value == wanted);
        if !same {
            edit_config(draft, &path, &[("containerRuntimeEndpoint", Some(&wanted))], WHY_ENDPOINT);
        }
        return rewrite_flags(draft, &remove, &[], WHY_ENDPOINT);
    }
    let same = kubelet.flag("container-runtime-endpoint").is_some_and(|flag| same_endpoint(&flag.value, &wanted));
    // An endpoint that is right is left as it is written (`/run/…` and `unix:///run/…` are the same).
    let set: Vec<(&str, String)> =
        set.into_iter().filter(|(name, _)| !(same && *name == "container-runtime-endpoint")).collect();
    rewrite_flags(draft, &remove, &set, WHY_ENDPOINT);
}

fn edit_config(draft: &mut Draft<'_>, path: &str, changes: &[(&str, Option<&str>)], why: &str) {
    let Some(text) = draft.text(path) else { return };
    match KubeletConfig::parse(text).and_then(|config| config.with(changes)) {
        Ok(after) => draft.write("kubelet-config", path, &after, why),
        Err(error) => {
            let by_hand: Vec<&str> = changes.iter().map(|(key, _)| *key).collect();
            draft.not_editable(path, &error, &format!("set {} by hand", by_hand.join(" and ")));
        }
    }
}

/// A variable of an environment file that holds kubelet flags.
type Place = (String, String);

/// Removes and sets flags wherever they stand in environment files.
fn rewrite_flags(draft: &mut Draft<'_>, remove: &[&str], set: &[(&str, String)], why: &str) {
    let facts = draft.facts;
    let concerned: Vec<&KubeletFlag> = facts
        .kubelet
        .flags
        .iter()
        .filter(|flag| remove.contains(&flag.name.as_str()) || set.iter().any(|(name, _)| flag.name == *name))
        .collect();
    let missing = set.iter().any(|(name, value)| facts.kubelet.flag(name).is_none_or(|flag| flag.value != *value));
    let to_remove = concerned.iter().any(|flag| remove.contains(&flag.name.as_str()));
    if !missing && !to_remove {
        return;
    }
    if in_unit(draft, &concerned, remove) {
        return;
    }
    let home = if set.is_empty() { None } else { home(facts, set) };
    if home.is_none() && missing {
        return nowhere(draft, set);
    }
    let places: BTreeSet<Place> = concerned.iter().filter_map(|flag| place_of(flag)).chain(home.clone()).collect();
    for (path, variable) in places {
        let is_home = home.as_ref().is_some_and(|home| *home == (path.clone(), variable.clone()));
        let mut gone: Vec<&str> = remove.to_vec();
        let mut put: Vec<(&str, &str)> = Vec::new();
        if is_home {
            put.extend(set.iter().map(|(name, value)| (*name, value.as_str())));
        } else {
            // A second copy in a later variable would beat the one that is set.
            gone.extend(set.iter().map(|(name, _)| *name));
        }
        let text = draft.text(&path).unwrap_or_default().to_owned();
        let file = EnvFile::parse(&text);
        let value = file.get(&variable).map(|at| at.value).unwrap_or_default();
        let after = rewrite(&value, &gone, &put);
        if after != value {
            let after = file.with(&variable, &after);
            draft.write("kubelet-flags", &path, &after, why);
        }
    }
}

fn place_of(flag: &KubeletFlag) -> Option<Place> {
    Some((flag.origin.path.clone()?, flag.variable.clone()?)).filter(|_| flag.origin.kind == OriginKind::EnvFile)
}

/// Flags that stand in a unit's own command line are not ours to move yet.
fn in_unit(draft: &mut Draft<'_>, concerned: &[&KubeletFlag], remove: &[&str]) -> bool {
    let stuck: Vec<&&KubeletFlag> = concerned.iter().filter(|flag| place_of(flag).is_none()).collect();
    if stuck.is_empty() {
        return false;
    }
    let names: Vec<String> = stuck.iter().map(|flag| format!("--{}", flag.name)).collect();
    let act = if stuck.iter().any(|flag| remove.contains(&flag.name.as_str())) { "go" } else { "change" };
    let summary = format!("kubelet flags that must {act} stand in its unit file: {}", names.join(", "));
    let mut finding = Finding::new("kubelet-flags-in-unit", Severity::Block, summary)
        .cause("they are written in an ExecStart= or Environment= line")
        .fix("move them into an environment file that the unit reads, then plan again");
    finding.origins = stuck.iter().map(|flag| flag.origin.clone()).collect();
    draft.findings.push(finding);
    true
}

/// Where flags are set: where they are, else kubeadm's file, else where another runtime flag is, else the
/// administrator's.
fn home(facts: &Facts, set: &[(&str, String)]) -> Option<Place> {
    let flags = || facts.kubelet.flags.iter().rev();
    let known = flags().filter(|flag| set.iter().any(|(name, _)| flag.name == *name)).find_map(place_of);
    let kubeadm = || {
        let text = facts.texts.get(KUBEADM_FLAGS.0)?;
        EnvFile::parse(text).get(KUBEADM_FLAGS.1).map(|_| (KUBEADM_FLAGS.0.to_owned(), KUBEADM_FLAGS.1.to_owned()))
    };
    let shim = || flags().filter(|flag| kubelet_flags::docker_only(&flag.name)).find_map(place_of);
    let extra = || {
        let path = EXTRA_ARGS.iter().find(|path| {
            facts.texts.get(**path).is_some_and(|text| EnvFile::parse(text).get("KUBELET_EXTRA_ARGS").is_some())
        })?;
        Some(((*path).to_owned(), "KUBELET_EXTRA_ARGS".to_owned()))
    };
    known.or_else(kubeadm).or_else(shim).or_else(extra)
}

fn nowhere(draft: &mut Draft<'_>, set: &[(&str, String)]) {
    let names: Vec<String> = set.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let summary = "there is no environment file in which kubelet's runtime flags could be set";
    let unit = draft.facts.unit("kubelet.service").fragment.unwrap_or_else(|| "kubelet.service".to_owned());
    draft.find(
        "kubelet-flags-nowhere",
        Severity::Block,
        summary,
        &format!("needed: {}", names.join(" ")),
        "let the unit read /etc/default/kubelet with KUBELET_EXTRA_ARGS, then plan again",
        &unit,
    );
}
