//! etcd as a control plane node has it: the manifest of its static pod, and what it tells at its metrics address.

use super::yaml::lenient;
use crate::model::{EtcdFacts, EtcdHealth};
use serde_json::Value;

/// Finds etcd in a manifest of a pod; `None` for a pod that does not run it, and for text that is no manifest.
pub fn in_manifest(path: &str, text: &str) -> Option<EtcdFacts> {
    let manifest: Value = lenient(text).ok()?;
    let spec = manifest.get("spec")?;
    let container = spec.get("containers")?.as_array()?.iter().find(|container| runs_etcd(container))?;
    let data_dir = setting(container, "data-dir").unwrap_or_default();
    let metrics = setting(container, "listen-metrics-urls").unwrap_or_default();
    // The first one without TLS: the others ask for a certificate.
    let mut urls = metrics.split(',').map(|url| url.trim().trim_end_matches('/'));
    let metrics = urls.find(|url| url.starts_with("http://")).map(str::to_owned);
    Some(EtcdFacts {
        manifest: path.to_owned(),
        host_dir: on_host(spec, container, &data_dir),
        data_dir,
        metrics,
        health: None,
        unseen: String::new(),
    })
}

/// Command and arguments, in order.
fn words(container: &Value) -> impl Iterator<Item = &str> {
    let of = |key: &str| container.get(key).and_then(Value::as_array).into_iter().flatten();
    of("command").chain(of("args")).filter_map(Value::as_str)
}

fn runs_etcd(container: &Value) -> bool {
    // A flag first: the image's own entry point is what takes it.
    let program = words(container).next().filter(|word| !word.starts_with('-'));
    let program = program.map(|word| word.rsplit('/').next().unwrap_or(word));
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    // `registry.k8s.io/etcd:3.5.9-0`.
    let of_image = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    program.map_or_else(|| of_image.split(':').next() == Some("etcd"), |program| program == "etcd")
}

/// A setting by its flag, else by its variable (etcd `--data-dir`, `ETCD_DATA_DIR`).
fn setting(container: &Value, name: &str) -> Option<String> {
    let mut words = words(container).peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        match flag.split_once('=') {
            Some((flag, value)) if flag == name => return Some(value.to_owned()),
            None if flag == name => return words.peek().map(|value| (*value).to_owned()),
            _ => {}
        }
    }
    let variable = format!("ETCD_{}", name.to_uppercase().replace('-', "_"));
    let env = container.get("env").and_then(Value::as_array)?;
    let entry = env.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(&variable))?;
    entry.get("value")?.as_str().map(str::to_owned)
}

/// Where a folder of the container is on the host: in the volume whose mount point is nearest above it.
fn on_host(spec: &Value, container: &Value, dir: &str) -> Option<String> {
    let mounts = container.get("volumeMounts").and_then(Value::as_array)?;
    let below = |mount: &&Value| {
        let at = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
        dir.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let length = |mount: &&Value| mount.get("mountPath").and_then(Value::as_str).map_or(0, str::len);
    let mount = mounts.iter().filter(below).max_by_key(length)?;
    let name = mount.get("name")?;
    let volumes = spec.get("volumes").and_then(Value::as_array)?;
    let volume = volumes.iter().find(|volume| volume.get("name") == Some(name))?;
    let host = volume.pointer("/hostPath/path")?.as_str()?;
    let inside = mount.get("mountPath")?.as_str()?.trim_end_matches('/');
    Some(format!("{}{}", host.trim_end_matches('/'), dir.strip_prefix(inside)?))
}

/// What etcd's `/health` and `/metrics` say.
pub fn health((status, health): (u16, &str), metrics: &str) -> EtcdHealth {
    let said = serde_json::from_str::<Value>(health).unwrap_or_default();
    // A text up to 3.5; a switch is what JSON has for it.
    let healthy = match said.get("health") {
        Some(Value::String(word)) => word == "true",
        Some(Value::Bool(healthy)) => *healthy,
        _ => false,
    };
    let figure = |name: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and exact up to 2^53")]
    let revision = figure("etcd_debugging_mvcc_current_revision").map(|revision| revision as u64);
    EtcdHealth {
        healthy: healthy && status == 200,
        has_leader: figure("etcd_server_has_leader") == Some(1.0),
        revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBEADM: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd, namespace: kube-system}\nspec:\n  containers:\n  - name: etcd\n    \
        image: k8s.gcr.io/etcd:3.4.13-0\n    command:\n    - etcd\n    - --data-dir=/var/lib/etcd\n    - --listen-metrics-urls=http://127.0.0.1:2381\n    \
        volumeMounts:\n    - {mountPath: /var/lib/etcd, name: etcd-data}\n    - {mountPath: /etc/kubernetes/pki/etcd, name: certs}\n  volumes:\n  \
        - {name: certs, hostPath: {path: /etc/kubernetes/pki/etcd}}\n  - {name: etcd-data, hostPath: {path: /srv/etcd, type: DirectoryOrCreate}}\n";

    #[test]
    fn kubeadms_manifest() {
        let etcd = in_manifest("/m/etcd.yaml", KUBEADM).unwrap();
        assert_eq!(etcd.data_dir, "/var/lib/etcd");
        assert_eq!(etcd.host_dir.as_deref(), Some("/srv/etcd"));
        assert_eq!(etcd.metrics.as_deref(), Some("http://127.0.0.1:2381"));
    }

    #[test]
    fn it_is_read_as_kubelet_reads_it() {
        let text = KUBEADM.replace("spec:\n", "spec:\n  initContainers:\n  hostNetwork: false\n  hostNetwork: true\n");
        let etcd = in_manifest("/m/etcd.yaml", &format!("---\n{text}---\n"));
        assert_eq!(etcd, in_manifest("/m/etcd.yaml", KUBEADM));
        assert!(etcd.is_some());
    }

    #[test]
    fn others_write_it_in_other_ways() {
        let text = KUBEADM.replace("--data-dir=/var/lib/etcd", "--data-dir\n    - /var/lib/etcd/member1");
        assert_eq!(in_manifest("", &text).unwrap().host_dir.as_deref(), Some("/srv/etcd/member1"));
        let text = KUBEADM
            .replace("    - --data-dir=/var/lib/etcd\n", "")
            .replace("    volumeMounts:", "    env: [{name: ETCD_DATA_DIR, value: /data}]\n    volumeMounts:");
        let etcd = in_manifest("", &text).unwrap();
        assert_eq!((etcd.data_dir.as_str(), etcd.host_dir), ("/data", None), "nothing of the host is there");
        let text = KUBEADM
            .replace("    command:\n    - etcd\n", "    args:\n")
            .replace("hostPath: {path: /srv/etcd", "emptyDir: {x: y");
        assert_eq!(in_manifest("", &text).unwrap().host_dir, None, "an emptyDir ends with its pod");
        let text = KUBEADM.replace("http://127.0.0.1:2381", "https://10.0.0.1:2381, http://0.0.0.0:2381/");
        assert_eq!(in_manifest("", &text).unwrap().metrics.as_deref(), Some("http://0.0.0.0:2381"));
        for text in
            ["", "a: [", "kind: Pod", "spec: {containers: 3}", "spec: {containers: [{command: [sh, -c, etcd]}]}"]
        {
            assert_eq!(in_manifest("", text), None, "{text}");
        }
    }

    #[test]
    fn health_is_what_it_says() {
        let metrics = "# HELP etcd_server_has_leader x\netcd_server_has_leader 1\netcd_debugging_mvcc_current_revision 1.2345e+04\n";
        let well = EtcdHealth { healthy: true, has_leader: true, revision: Some(12_345) };
        assert_eq!(health((200, "{\"health\":\"true\"}"), metrics), well);
        assert_eq!(health((200, "{\"health\":true,\"reason\":\"\"}"), metrics), well);
        assert!(!health((503, "{\"health\":\"true\"}"), metrics).healthy);
        assert!(!health((200, "<html>"), metrics).healthy);
        assert_eq!(health((200, "{\"health\":\"false\"}"), "etcd_server_has_leader 0\n"), EtcdHealth::default());
        assert_eq!(health((200, ""), "etcd_debugging_mvcc_current_revision NaN\n").revision, None);
    }
}
