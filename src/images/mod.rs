//! Carrying images from Docker's store to containerd's: `docker save`, streamed straight into containerd's import.
//!
//! No temporary file is written, so the only room needed is containerd's own copy.

use crate::host::Host;
use anyhow::{Context as _, Result, bail};
use std::time::Duration;

/// containerd's namespace for everything kubelet makes (containerd `pkg/cri/constants`).
const NAMESPACE: &str = "k8s.io";

/// What was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Bytes of the stream.
    pub bytes: u64,
}

/// Carries `images` (names as Docker knows them) into the containerd behind `socket`, and checks that each is there.
///
/// # Errors
/// When Docker or containerd refuses, or an image cannot be found afterwards.
pub fn carry(host: &Host, socket: &str, images: &[String], timeout: Duration) -> Result<Carried> {
    if images.is_empty() {
        return Ok(Carried { bytes: 0 });
    }
    let mut bytes = 0;
    let mut feed = |sink: &mut dyn std::io::Write| {
        bytes = host.engine.save(images, sink)?;
        Ok(bytes)
    };
    let import = ["--address", socket, "--namespace", NAMESPACE, "images", "import", "-"];
    host.procs
        .pipe_into("ctr", &import, &mut feed, timeout)
        .and_then(|ran| ran.ok("ctr images import"))
        .context("cannot carry images from Docker to containerd")?;
    let there = names(host, socket)?;
    let missing: Vec<&str> =
        images.iter().filter(|image| !there.contains(&canonical(image))).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("containerd took the archive but does not know {}", missing.join(", "));
    }
    Ok(Carried { bytes })
}

fn names(host: &Host, socket: &str) -> Result<Vec<String>> {
    let list = ["--address", socket, "--namespace", NAMESPACE, "images", "list", "--quiet"];
    let ran = host.procs.query("ctr", &list, Duration::from_secs(30))?.ok("ctr images list")?;
    Ok(ran.text().lines().map(|line| line.trim().to_owned()).collect())
}

/// A name as containerd stores it: with registry and tag (`nginx` → `docker.io/library/nginx:latest`).
pub fn canonical(name: &str) -> String {
    let (first, rest) = name.split_once('/').unwrap_or(("", name));
    let is_host = first.contains(['.', ':']) || first == "localhost";
    let full = match (is_host, first) {
        (true, _) => name.to_owned(),
        (false, "") => format!("docker.io/library/{rest}"),
        (false, _) => format!("docker.io/{name}"),
    };
    let tagged = full.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if tagged { full } else { format!("{full}:latest") }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn names_as_containerd_stores_them() {
        for (docker, containerd) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.25", "docker.io/library/nginx:1.25"),
            ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
            ("registry.k8s.io/pause:3.6", "registry.k8s.io/pause:3.6"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            ("castoff.test/web:1", "castoff.test/web:1"),
        ] {
            assert_eq!(canonical(docker), containerd);
        }
    }
}
