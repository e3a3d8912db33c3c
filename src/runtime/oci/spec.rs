//! A specification as libcontainer is to see it: what castoff's runtime does itself, or does better, is taken out.

use super::{cgroup, payload::Payload, seccomp, systemd::Place};
use crate::model::CgroupMode;
use anyhow::{Context as _, Result};
use libcontainer::oci_spec::runtime::{LinuxNamespaceType, Mount, Process, Spec};
use std::path::{Path, PathBuf};

/// A specification, split between libcontainer and us.
#[derive(Debug)]
pub struct Adapted {
    /// What libcontainer gets.
    pub spec: Spec,
    /// What the process does at its end.
    pub payload: Payload,
    /// The scope to be made first, where libcontainer makes none.
    pub place: Option<Place>,
    /// Whether libcontainer is to ask systemd.
    pub systemd: bool,
    /// Where its cgroup will be, below the mount of every controller.
    pub cgroup: String,
}

/// Adapts the specification of a bundle for a container.
///
/// # Errors
/// When something it asks for cannot be done: no container is better than one that is not what was asked for.
pub fn adapt(original: &Spec, bundle: &Path, id: &str, systemd: bool, mode: CgroupMode) -> Result<Adapted> {
    let mut spec = original.clone();
    spec.canonicalize_rootfs(bundle).context("the specification's root file system cannot be found")?;
    let mut payload = payload(original, original.process().as_ref().context("the specification has no process")?)?;
    payload.private = original.mounts().iter().flatten().filter(is_private).map(|m| m.destination().clone()).collect();
    if let Some(process) = spec.process_mut() {
        bare(process);
    }
    let linux = spec.linux_mut().as_mut().context("the specification has no section linux")?;
    linux.set_seccomp(None);
    if let Some(word) = linux.rootfs_propagation().as_deref().and_then(propagation) {
        linux.set_rootfs_propagation(Some(word.to_owned()));
    }
    let wanted = linux.cgroups_path().clone().unwrap_or_default();
    let wanted = wanted.to_str().context("cgroupsPath is no text")?.to_owned();
    let unified = mode == CgroupMode::Unified;
    let (path, cgroup, place) = match (systemd, wanted.as_str()) {
        (false, "") => (format!("/{id}"), format!("/{id}"), None),
        (false, path) => (path.to_owned(), path.to_owned(), None),
        (true, path) => {
            let path = if path.is_empty() { format!("system.slice:castoff:{id}") } else { path.to_owned() };
            let place = Place::parse(&path)?;
            let directory = place.directory();
            if unified { (path, directory, None) } else { (directory.clone(), directory, Some(place)) }
        }
    };
    linux.set_cgroups_path(Some(PathBuf::from(path)));
    if !unified {
        cover_cgroups(&mut spec, place.is_some())?;
    }
    Ok(Adapted { spec, payload, place, systemd: systemd && unified, cgroup })
}

fn is_private(mount: &&Mount) -> bool {
    mount.options().iter().flatten().any(|option| option == "rprivate" || option == "private")
}

/// libcontainer makes every propagation recursive and knows the words for that by their other names only.
fn propagation(word: &str) -> Option<&'static str> {
    Some(match word {
        "rshared" => "shared",
        "rslave" => "slave",
        "rprivate" => "private",
        "runbindable" => "unbindable",
        _ => return None,
    })
}

/// Makes mounts of v1's cgroups read-only where that is asked for.
fn cover_cgroups(spec: &mut Spec, scope: bool) -> Result<()> {
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone()).unwrap_or_default();
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().clone()).unwrap_or_default();
    let joins = namespaces.iter().any(|space| space.typ() == LinuxNamespaceType::Pid && space.path().is_some());
    if let Some(mounts) = spec.mounts_mut() {
        *mounts = cgroup::mounts(mounts, path.to_str().context("cgroupsPath is no text")?, scope, joins)?;
    }
    Ok(())
}

/// What a process of a container does before its program starts.
pub fn payload(original: &Spec, process: &Process) -> Result<Payload> {
    let profile = original.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let filters = profile.map(seccomp::compile).transpose().context("the seccomp profile cannot be applied")?;
    for name in filters.iter().flat_map(|filters| &filters.unknown) {
        tracing::debug!("the seccomp profile names {name}, which this kind of machine does not have");
    }
    Ok(Payload::new(filters, process.capabilities().clone()))
}

/// Takes out what [`Payload`] does.
pub fn bare(process: &mut Process) {
    process.set_capabilities(None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(linux: &Value) -> Spec {
        serde_json::from_value(json!({
            "ociVersion": "1.0.2",
            "root": { "path": "rootfs" },
            "process": {
                "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["/probe"],
                "capabilities": { "bounding": ["CAP_KILL"] },
            },
            "linux": linux,
        }))
        .unwrap()
    }

    fn adapted(linux: &Value, systemd: bool, mode: CgroupMode) -> Result<Adapted> {
        let dir = tempfile::tempdir().unwrap();
        #[allow(clippy::disallowed_methods, reason = "a bundle")]
        std::fs::create_dir(dir.path().join("rootfs")).unwrap();
        adapt(&spec(linux), dir.path(), "c1", systemd, mode)
    }

    fn path(adapted: &Adapted) -> &str {
        adapted.spec.linux().as_ref().unwrap().cgroups_path().as_ref().unwrap().to_str().unwrap()
    }

    #[test]
    fn the_payload_takes_over_filters_and_capabilities() {
        let linux = json!({ "seccomp": { "defaultAction": "SCMP_ACT_ERRNO" } });
        let adapted = adapted(&linux, false, CgroupMode::Unified).unwrap();
        assert!(adapted.spec.linux().as_ref().unwrap().seccomp().is_none());
        assert!(adapted.spec.process().as_ref().unwrap().capabilities().is_none());
        assert!(adapted.payload.filters.is_some() && adapted.payload.capabilities.is_some());
        assert!(adapted.spec.root().as_ref().unwrap().path().is_absolute());
    }

    #[test]
    fn every_driver_on_every_kind_of_cgroups() {
        let three = json!({ "cgroupsPath": "a-b.slice:cri:c1" });
        let own = |systemd, mode| adapted(&three, systemd, mode).unwrap();
        let v2 = own(true, CgroupMode::Unified);
        assert_eq!((path(&v2), v2.systemd, v2.place.is_some()), ("a-b.slice:cri:c1", true, false));
        for mode in [CgroupMode::Legacy, CgroupMode::Hybrid] {
            let v1 = own(true, mode);
            assert_eq!(path(&v1), "/a.slice/a-b.slice/cri-c1.scope");
            assert_eq!((v1.systemd, v1.place.unwrap().scope.as_str()), (false, "cri-c1.scope"));
        }
        // What a runtime with the wrong driver makes of it: a directory of that name.
        assert_eq!(path(&own(false, CgroupMode::Unified)), "a-b.slice:cri:c1");
        assert_eq!(path(&adapted(&json!({}), false, CgroupMode::Legacy).unwrap()), "/c1");
        assert_eq!(path(&adapted(&json!({}), true, CgroupMode::Unified).unwrap()), "system.slice:castoff:c1");
        let wrong = adapted(&json!({ "cgroupsPath": "/kubepods/c1" }), true, CgroupMode::Unified).unwrap_err();
        assert!(wrong.to_string().contains("slice:prefix:name"), "{wrong:#}");
    }
}
