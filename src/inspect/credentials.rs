//! Credentials for registries: where they lie and for whom, never what they are.

use super::{files::Files, service};
use crate::{
    host::Host,
    model::{CredentialFile, Facts, Origin, Unseen},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where people keep them for the command line.
const ROOTS_OWN: [&str; 2] = ["/root/.docker/config.json", "/root/.dockercfg"];

/// Looks for credentials. Runs after kubelet, whose directories they are looked up in.
pub fn probe(host: &Host, files: &mut Files<'_>, facts: &mut Facts) {
    if !facts.docker.installed && !facts.kubelet.installed {
        return;
    }
    let read = kubelet_reads(files, facts);
    let mut paths: Vec<String> = read.clone();
    paths.extend(ROOTS_OWN.iter().map(|&path| path.to_owned()));
    paths.dedup();
    for path in paths {
        if facts.docker.credentials.iter().any(|known| known.path == path) {
            continue;
        }
        // Not through `Files`: what is read there may be shown.
        let text = match host.root.text(&path) {
            Ok(text) => text,
            Err(error) => {
                facts.unseen.push(Unseen { what: path, why: error.source.to_string() });
                continue;
            }
        };
        let Some(text) = text else { continue };
        let Ok(Value::Object(all)) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
            facts.unseen.push(Unseen { what: path, why: "it is not JSON; kubelet passes over it".to_owned() });
            continue;
        };
        let is_read = read.contains(&path);
        if let Some(found) = credentials(&path, &all, is_read) {
            facts.docker.credentials.push(found);
        }
    }
}

/// The files kubelet looks credentials up in: its root directory, its working directory, `$HOME` and `/`. systemd
/// gives a service no `HOME` unless its unit does, and starts it in `/`.
fn kubelet_reads(files: &mut Files<'_>, facts: &Facts) -> Vec<String> {
    let unit = facts.unit("kubelet.service");
    let root = facts.kubelet.flag("root-dir").map_or("/var/lib/kubelet", |flag| flag.value.trim_end_matches('/'));
    let home = service::variables(&unit, files).get("HOME").map(|(value, _)| value.trim_end_matches('/').to_owned());
    let mut paths = vec![format!("{root}/config.json"), "/config.json".to_owned()];
    let homes = home.iter().map(String::as_str).chain([""]);
    paths.extend(homes.clone().map(|home| format!("{home}/.docker/config.json")));
    paths.push(format!("{root}/.dockercfg"));
    paths.extend(homes.map(|home| format!("{home}/.dockercfg")));
    paths
}

fn credentials(path: &str, all: &serde_json::Map<String, Value>, is_read: bool) -> Option<CredentialFile> {
    let old = path.ends_with(".dockercfg");
    let entries = if old { Some(all) } else { all.get("auths").and_then(Value::as_object) };
    // With a helper Docker leaves an empty entry: the credential is elsewhere.
    let has_secret = |entry: &Value| {
        let filled = |key: &str| entry.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        ["auth", "password", "identitytoken", "registrytoken"].into_iter().any(filled)
    };
    let registries: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter(|(_, entry)| has_secret(entry))
        .map(|(registry, _)| crate::model::mask_text(registry))
        .collect();
    let store = all.get("credsStore").and_then(Value::as_str).filter(|store| !old && !store.is_empty());
    let helpers: BTreeMap<String, String> = all
        .get("credHelpers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(registry, helper)| Some((registry.clone(), helper.as_str()?.to_owned())))
        .collect();
    if registries.is_empty() && store.is_none() && helpers.is_empty() {
        return None;
    }
    Some(CredentialFile {
        path: path.to_owned(),
        registries,
        store: store.map(str::to_owned),
        helpers,
        kubelet_reads: is_read,
        origin: Origin::path(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_seen_and_secrets_are_not() {
        let text = r#"{"auths": {"r.example": {"auth": "aHVudGVyMg=="}, "empty.example": {}}, "credsStore": "pass",
            "credHelpers": {"gcr.io": "gcloud"}}"#;
        let Ok(Value::Object(all)) = serde_json::from_str::<Value>(text) else { panic!() };
        let found = credentials("/root/.docker/config.json", &all, false).unwrap();
        assert_eq!(found.registries, ["r.example"]);
        assert_eq!(found.store.as_deref(), Some("pass"));
        assert_eq!(found.helpers.get("gcr.io").map(String::as_str), Some("gcloud"));
        assert!(!serde_json::to_string(&found).unwrap().contains("aHVudGVy"));
        let Ok(Value::Object(old)) = serde_json::from_str::<Value>(r#"{"r": {"auth": "eA=="}}"#) else { panic!() };
        assert_eq!(credentials("/.dockercfg", &old, true).unwrap().registries, ["r"]);
        assert!(credentials("/config.json", &old, true).is_none());
    }
}
