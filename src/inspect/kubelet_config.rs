//! kubelet's configuration files, and what they and the flags that beat them amount to.

use super::files::Files;
use crate::{
    formats::{
        kubelet_config::KubeletConfig,
        kubelet_fields::{FIELDS, merge},
        package_db::version_pair,
    },
    host::{EntryKind, Host},
    model::{Finding, KubeletFacts, KubeletSetting, Origin, Severity, Sourced, mask_value},
};
use serde_json::Value;

/// kubeadm's own copy of the endpoint.
const INSTANCE_CONFIG: &str = "/var/lib/kubelet/instance-config.yaml";

/// A configuration file that kubelet reads.
pub struct Document {
    path: String,
    config: KubeletConfig,
}

/// Reads every configuration file in kubelet's order. A relative path starts at the service's directory.
pub fn read(host: &Host, files: &mut Files<'_>, directory: Option<&str>, kubelet: &mut KubeletFacts) -> Vec<Document> {
    let absolute = |path: &str| {
        let dir = directory.unwrap_or("/").trim_end_matches('/');
        if path.starts_with('/') { path.to_owned() } else { format!("{dir}/{path}") }
    };
    let path_of = |name: &str| {
        let flag = kubelet.flag(name).filter(|flag| !flag.value.is_empty())?;
        Some(Sourced::new(absolute(&flag.value), flag.origin.clone()))
    };
    let (main, dir) = (path_of("config"), path_of("config-dir"));
    let mut documents = Vec::new();
    if let Some(main) = &main {
        documents.extend(document(files, &main.value, "--config"));
        kubelet.config_files.push(main.value.clone());
    }
    if let Some(dir) = &dir {
        for path in drop_ins(host, files, dir.value.trim_end_matches('/'), 0) {
            let Some(document) = document(files, &path, "--config-dir") else { continue };
            if document.config.kind().is_none() {
                files.find(
                    Finding::new(
                        "kubelet-config-invalid",
                        Severity::Warn,
                        format!("{path} is no configuration drop-in, kubelet would not start with it"),
                    )
                    .cause("it lacks `apiVersion: kubelet.config.k8s.io/v1beta1` or `kind: KubeletConfiguration`")
                    .fix("add both lines, or give the file another ending than `.conf`")
                    .at(Origin::path(&path)),
                );
                continue;
            }
            kubelet.config_files.push(path);
            documents.push(document);
        }
    }
    // Only read here, so that a plan may edit it.
    if files.text(INSTANCE_CONFIG).is_some() {
        kubelet.instance_config = Some(INSTANCE_CONFIG.to_owned());
    }
    (kubelet.config_path, kubelet.config_dir) = (main, dir);
    documents
}

fn document(files: &mut Files<'_>, path: &str, flag: &str) -> Option<Document> {
    let Some(text) = files.text(path) else {
        if files.is_understood(path) {
            files.unseen(path, format!("kubelet's {flag} names it and it is not there"));
        }
        return None;
    };
    match KubeletConfig::parse(&text) {
        Ok(config) => Some(Document { path: path.to_owned(), config }),
        Err(error) => {
            files.broken(path, "YAML", &error);
            None
        }
    }
}

/// `*.conf` below a directory, in the order of their names, directories among them.
fn drop_ins(host: &Host, files: &mut Files<'_>, dir: &str, depth: u32) -> Vec<String> {
    let names = match host.root.list(dir) {
        Ok(names) => names,
        Err(error) => {
            files.unseen(dir, error.to_string());
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (name, kind) in names {
        let path = format!("{dir}/{name}");
        match kind {
            EntryKind::Dir if depth < 8 => found.extend(drop_ins(host, files, &path, depth + 1)),
            EntryKind::File | EntryKind::Link if name.ends_with(".conf") => found.push(path),
            _ => {}
        }
    }
    found
}

/// Joins files and flags into effective settings.
pub fn effective(documents: &[Document], kubelet: &mut KubeletFacts) {
    let release = kubelet.version.as_ref().and_then(|version| version_pair(&version.value));
    for field in FIELDS {
        let mut value = None;
        let mut origin = None;
        for document in documents {
            let Some(at) = document.config.value(field.key) else { continue };
            merge(&mut value, &at.value);
            origin = Some(Origin::file(&document.path, at.line).with_detail(field.key));
        }
        let from_files = value.zip(origin).map(|(value, origin)| setting(field.key, value, origin));
        let (known, ignored): (Option<_>, Option<_>) =
            if field.is_known_to(release) { (from_files, None) } else { (None, from_files) };
        kubelet.ignored.extend(ignored);
        let flag = field.flag.and_then(|name| kubelet.flag(name));
        let from_flag = flag.map(|flag| {
            let mut value = known.as_ref().map(|known| known.value.clone()).filter(|_| field.key == "featureGates");
            merge(&mut value, &field.value(&flag.value));
            setting(field.key, value.unwrap_or_default(), flag.origin.clone())
        });
        let beaten = |known: &&KubeletSetting| {
            let is_unset = known.value.as_str() == Some("");
            from_flag.as_ref().is_some_and(|flag| flag.value != known.value) && !is_unset
        };
        let shadowed = known.as_ref().filter(beaten).cloned();
        kubelet.shadowed.extend(shadowed);
        kubelet.settings.extend(from_flag.or(known));
    }
}

fn setting(key: &str, value: Value, origin: Origin) -> KubeletSetting {
    let value = match value {
        Value::String(text) => Value::from(mask_value(key, &text)),
        other => other,
    };
    KubeletSetting { key: key.to_owned(), value, origin }
}
