//! What of Docker a mounted folder lets its reader touch.

use super::{mounts::is_below, yaml::lenient};
use crate::model::Tie;
use serde::Deserialize;

/// Sockets through which a container rules Docker.
const SOCKETS: [&str; 3] = ["/run/docker.sock", "/run/dockershim.sock", "/run/cri-dockerd.sock"];

/// What a mount of `path` from the host reaches; `None` for folders that have nothing to do with Docker.
pub fn reach(path: &str, data_root: &str) -> Option<Tie> {
    let path = plain(path);
    let data_root = plain(data_root);
    if SOCKETS.contains(&path.as_str()) || is_below(&path, "/run/docker") {
        return Some(Tie::Socket);
    }
    if is_below(&path, &format!("{data_root}/containers")) {
        return Some(Tie::Logs);
    }
    if is_below(&path, &data_root) {
        return Some(Tie::Data);
    }
    matches!(path.as_str(), "/" | "/run").then_some(Tie::Folder)
}

/// One spelling of a path: no `//`, `/.` or slash at its end, and `/run` instead of the link `/var/run`.
fn plain(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let path = format!("/{}", parts.join("/"));
    match path.strip_prefix("/var/run") {
        Some("") => "/run".to_owned(),
        Some(rest) if rest.starts_with('/') => format!("/run{rest}"),
        _ => path,
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Manifest {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    volumes: Vec<Volume>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Volume {
    host_path: Option<HostPath>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct HostPath {
    path: String,
}

/// The folders and files of the host that a pod's manifest mounts.
pub fn of_manifest(text: &str) -> Vec<String> {
    // What cannot be read is told where the manifest is looked for.
    let manifest: Manifest = lenient(text).unwrap_or_default();
    let paths = manifest.spec.volumes.into_iter().filter_map(|volume| Some(volume.host_path?.path));
    paths.filter(|path| !path.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mount_reaches() {
        for (path, tie) in [
            ("/var/run/docker.sock", Some(Tie::Socket)),
            ("/run/docker.sock", Some(Tie::Socket)),
            ("//run/./docker.sock/", Some(Tie::Socket)),
            ("/var/run/dockershim.sock", Some(Tie::Socket)),
            ("/run/docker/containerd", Some(Tie::Socket)),
            ("/var/run", Some(Tie::Folder)),
            ("/run/", Some(Tie::Folder)),
            ("/", Some(Tie::Folder)),
            ("/var/lib/docker/containers", Some(Tie::Logs)),
            ("/var/lib/docker", Some(Tie::Data)),
            ("/var/lib/docker/overlay2", Some(Tie::Data)),
            ("/var/lib/docker-backup", None),
            ("/var/running", None),
            ("/run/xtables.lock", None),
            ("/var/log", None),
            ("/etc/kubernetes/pki", None),
        ] {
            assert_eq!(reach(path, "/var/lib/docker"), tie, "{path}");
        }
        assert_eq!(reach("/data/docker/containers/", "/data/docker/"), Some(Tie::Logs));
    }

    #[test]
    fn volumes_of_a_manifest() {
        let text = "kind: Pod\nspec:\n  containers: []\n  volumes:\n  - name: a\n    hostPath: {path: /run/docker.sock, type: Socket}\n  - name: b\n    emptyDir: {}\n  - name: c\n    hostPath:\n      path: /var/run\n";
        assert_eq!(of_manifest(text), ["/run/docker.sock", "/var/run"]);
        assert!(of_manifest("kind: Pod\nspec: {volumes: null}\n").is_empty());
        // As kubelet reads it: the first document, the last of equal keys, and nothing where nothing stands.
        let odd = text.replace("kind: Pod\n", "kind: Job\nkind: Pod\n").replace("emptyDir: {}", "hostPath: {path: }");
        assert_eq!(of_manifest(&format!("{odd}---\nspec: {{volumes: []}}\n")), ["/run/docker.sock", "/var/run"]);
        assert!(of_manifest("[").is_empty());
    }
}
