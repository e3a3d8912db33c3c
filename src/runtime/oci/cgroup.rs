#![allow(clippy::disallowed_methods)] // the kernel's own tree, below a container's cgroup
//! What libcontainer 0.7 leaves to its caller about cgroups: on v1 a mount of them is never read-only, and a cgroup in
//! which others were made is not removed.

use anyhow::{Context as _, Result, bail};
use libcgroups::v1::util::list_subsystem_mount_points;
use libcontainer::oci_spec::runtime::{LinuxMemory, Mount, MountBuilder};
use std::{
    fs,
    path::{Component, Path, PathBuf},
};

const MOUNTS: &str = "/sys/fs/cgroup";

/// Puts bind mounts over what libcontainer mounts for a read-only `cgroup` mount on v1; `path` is the container's
/// cgroup, as libcontainer joins it to the mount of every controller; `scope` says that systemd has made it. In a process
/// namespace that it `joins`, libcontainer looks its parent up by a number from the wrong namespace and gives up: there
/// all of it is ours.
pub fn mounts(mounts: &[Mount], path: &str, scope: bool, joins: bool) -> Result<Vec<Mount>> {
    let mut all = Vec::new();
    for mount in mounts {
        let read_only = mount.options().iter().flatten().any(|option| option == "ro");
        let cgroup = mount.typ().as_deref() == Some("cgroup");
        all.push(if cgroup && joins { memory(mount)? } else { mount.clone() });
        if cgroup && (read_only || joins) {
            all.extend(covers(mount, path, scope, read_only)?);
        }
    }
    Ok(all)
}

/// Memory, for the mounts of the controllers.
fn memory(mount: &Mount) -> Result<Mount> {
    let options = ["nosuid", "nodev", "noexec", "mode=755"].map(str::to_owned).to_vec();
    let made = MountBuilder::default().destination(mount.destination().clone()).typ("tmpfs").source("tmpfs");
    made.options(options).build().context(CANNOT)
}

const CANNOT: &str = "cannot make a mount of a cgroup";

fn covers(mount: &Mount, path: &str, scope: bool, read_only: bool) -> Result<Vec<Mount>> {
    let points = list_subsystem_mount_points().context("cannot list the mounts of cgroups")?;
    let mut covers = Vec::new();
    for point in points.iter().filter(|point| point.starts_with(MOUNTS)) {
        let Some(name) = point.file_name().and_then(|name| name.to_str()) else { continue };
        // systemd's own hierarchy has no controller: processes of a container stay where their runtime is, unless a
        // scope was made for them.
        let own = name == "systemd" && !scope;
        let inside = if own { own_systemd_path() } else { Some(path.trim_start_matches('/').to_owned()) };
        let Some(inside) = inside else { continue };
        let write = if read_only { "ro" } else { "rw" };
        let options = ["bind", write, "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec();
        let cover = MountBuilder::default()
            .destination(mount.destination().join(name))
            .typ("bind")
            .source(point.join(inside))
            .options(options)
            .build()
            .context(CANNOT)?;
        covers.push(cover);
    }
    Ok(covers)
}

/// Where this process is in systemd's hierarchy of v1.
fn own_systemd_path() -> Option<String> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let line = text.lines().find_map(|line| line.split_once(":name=systemd:"))?;
    Some(line.1.trim_start_matches('/').to_owned())
}

/// Moves a container's first process into its scope where libcontainer, which knows controllers only, leaves it behind:
/// systemd's own hierarchy and, on hybrid, v2's.
///
/// # Errors
/// When it cannot be moved into systemd's: the scope would end with what holds it.
pub fn join_scope(pid: i32, path: &str) -> Result<()> {
    let file = |mount: &str| Path::new(MOUNTS).join(mount).join(path.trim_start_matches('/')).join("cgroup.procs");
    let unified = file("unified");
    if unified.exists() {
        // systemd itself tracks processes by its own hierarchy as long as that is there.
        if let Err(error) = fs::write(&unified, pid.to_string()) {
            tracing::debug!("cannot write {}: {error}", unified.display());
        }
    }
    let own = file("systemd");
    fs::write(&own, pid.to_string()).with_context(|| format!("cannot write {}", own.display()))
}

/// Fails for a cgroup that is not a container's alone. libcontainer kills what is in the cgroup of a container it deletes
/// or could not make: that must never be somebody else's process.
///
/// # Errors
/// For the root, for a path that leads upwards, and for a cgroup with processes (runc's words).
pub fn must_be_free(path: &str) -> Result<()> {
    let relative =
        relative(Path::new(path)).with_context(|| format!("cgroupsPath {path:?} names no cgroup below the root"))?;
    for base in bases() {
        let procs = fs::read_to_string(base.join(relative).join("cgroup.procs")).unwrap_or_default();
        let count = procs.lines().count();
        if count > 0 {
            bail!("container's cgroup is not empty: {count} process(es) found in {}", base.join(relative).display());
        }
    }
    Ok(())
}

/// Takes swap from the container at this cgroup where memory and swap together may be no more than memory alone. v2 has
/// a limit of 0 for that, and for libcgroups 0.7 a 0 says that nothing is to be set (v2/memory.rs, `Memory::set`).
///
/// # Errors
/// When the limit cannot be written.
pub fn take_swap(path: &Path, memory: Option<&LinuxMemory>) -> Result<()> {
    take_swap_below(Path::new(MOUNTS), path, memory)
}

fn take_swap_below(mount: &Path, path: &Path, memory: Option<&LinuxMemory>) -> Result<()> {
    let none =
        memory.is_some_and(|memory| memory.limit().is_some_and(|limit| limit > 0) && memory.swap() == memory.limit());
    let Some(relative) = relative(path).filter(|_| none) else { return Ok(()) };
    let file = mount.join(relative).join("memory.swap.max");
    if !file.exists() {
        return Ok(());
    }
    fs::write(&file, "0").with_context(|| format!("cannot write {}", file.display()))
}

/// The path below a mount; nothing for the root and for one that leads out.
fn relative(path: &Path) -> Option<&Path> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !relative.as_os_str().is_empty()).then_some(relative)
}

/// Every place where the cgroup of a container may be.
fn bases() -> Vec<PathBuf> {
    let mut bases = list_subsystem_mount_points().unwrap_or_default();
    bases.push(PathBuf::from(MOUNTS));
    bases
}

/// Whether nothing is at a container's cgroup any more, in no hierarchy.
pub fn is_gone(path: &Path) -> bool {
    relative(path).is_some_and(|relative| bases().iter().all(|base| !base.join(relative).exists()))
}

/// Removes the cgroups that were made inside a container's; its own is left to libcontainer.
pub fn clear_inside(path: &Path) {
    let Some(relative) = relative(path) else { return };
    for base in bases() {
        remove_children(&base.join(relative));
    }
}

/// Depth first: a cgroup is removed like an empty directory, its files do not count.
fn remove_children(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_children(&entry.path());
            // One that still has processes stays, and the caller tries again.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cgroup_of_its_own_will_do() {
        for wrong in ["/", "", ".", "/..", "a/../b", "//"] {
            assert!(must_be_free(wrong).is_err(), "{wrong:?}");
        }
        assert!(must_be_free("/castoff-no-such/c1").is_ok());
        assert!(must_be_free("a.slice:b:c").is_ok());
        assert!(is_gone(Path::new("/castoff-no-such/c1")));
        assert!(!is_gone(Path::new("/")), "the root is never gone");
        assert_eq!(relative(Path::new("/a/b")), Some(Path::new("a/b")));
    }

    #[test]
    fn swap_is_taken_from_who_may_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/c1/memory.swap.max");
        fs::create_dir_all(dir.path().join("a/c1")).unwrap();
        let left = |memory: serde_json::Value| {
            let memory: LinuxMemory = serde_json::from_value(memory).unwrap();
            fs::write(&file, "max").unwrap();
            take_swap_below(dir.path(), Path::new("/a/c1"), Some(&memory)).unwrap();
            fs::read_to_string(&file).unwrap()
        };
        assert_eq!(left(serde_json::json!({ "limit": 4096, "swap": 4096 })), "0");
        for more in [
            serde_json::json!({ "limit": 4096 }),
            serde_json::json!({ "limit": 4096, "swap": 8192 }),
            serde_json::json!({ "limit": -1, "swap": -1 }),
            serde_json::json!({}),
        ] {
            assert_eq!(left(more.clone()), "max", "{more}");
        }
        // A kernel that does not limit swap has no such file.
        let same: LinuxMemory = serde_json::from_value(serde_json::json!({ "limit": 1, "swap": 1 })).unwrap();
        take_swap_below(dir.path(), Path::new("/a"), Some(&same)).unwrap();
        assert!(!dir.path().join("a/memory.swap.max").exists());
    }

    #[test]
    fn children_go_and_the_cgroup_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        fs::create_dir_all(dir.path().join("d")).unwrap();
        remove_children(dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
