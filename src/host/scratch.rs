#![allow(clippy::disallowed_methods)] // in folders of castoff's own, which are no part of what a run may have to take back
//! A private folder for what a verification needs, gone with it. One whose process was killed is taken away
//! by the next.

use crate::formats::mounts::mountinfo;
use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MntFlags, umount2},
    sys::statvfs::{FsFlags, statvfs},
};
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Where it may be: in memory, or on disk where programs cannot be run from there, which hardened nodes and Debian ask
/// for.
const BASES: [&str; 2] = ["/run/castoff", "/var/lib/castoff"];

/// A folder of this process.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Makes the folder `/run/castoff/WHAT-PID`, or one in `/var/lib/castoff`, for root only.
    ///
    /// # Errors
    /// When it cannot be made, or no program can be run from either.
    pub fn new(what: &str) -> Result<Self> {
        for base in BASES {
            let scratch = Self::below(Path::new(base), what)?;
            if statvfs(&scratch.dir).is_ok_and(|fs| !fs.flags().contains(FsFlags::ST_NOEXEC)) {
                return Ok(scratch);
            }
        }
        bail!("no program can be run from {}: their file systems are mounted noexec", BASES.join(" or "))
    }

    pub(crate) fn below(base: &Path, what: &str) -> Result<Self> {
        let dir = base.join(format!("{what}-{}", std::process::id()));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Writes a file below `dir`, or makes a folder when there is no content, and the folders above it.
///
/// # Errors
/// When that cannot be done.
pub fn put(dir: &Path, path: &str, mode: u32, content: Option<&[u8]>) -> Result<()> {
    let path = dir.join(path);
    let what = || format!("cannot write {}", path.display());
    let folder = if content.is_some() { path.parent() } else { Some(path.as_path()) };
    fs::create_dir_all(folder.unwrap_or(dir)).with_context(what)?;
    if let Some(bytes) = content {
        fs::write(&path, bytes).with_context(what)?;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).with_context(what)
}

/// The text of a file.
///
/// # Errors
/// When it cannot be read.
pub fn text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Gives a file another name in its folder.
///
/// # Errors
/// When that cannot be done.
pub fn rename(path: &Path, name: &str) -> Result<()> {
    fs::rename(path, path.with_file_name(name)).with_context(|| format!("cannot rename {}", path.display()))
}

/// Makes a link at `path` below `dir`.
///
/// # Errors
/// When that cannot be done.
pub fn link(dir: &Path, path: &str, target: &str) -> Result<()> {
    let path = dir.join(path.trim_start_matches('/'));
    let _ = fs::remove_file(&path);
    std::os::unix::fs::symlink(target, &path).with_context(|| format!("cannot make {}", path.display()))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
        // Ours as long as nobody else's is in it.
        let _ = self.dir.parent().map(fs::remove_dir);
    }
}

/// The pids of folders for WHAT whose process is gone.
pub fn abandoned(what: &str, alive: impl Fn(u32) -> bool) -> Vec<(u32, PathBuf)> {
    BASES.iter().flat_map(|base| abandoned_below(Path::new(base), what, &alive)).collect()
}

fn abandoned_below(base: &Path, what: &str, alive: &impl Fn(u32) -> bool) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let pid = |name: &str| name.strip_prefix(what)?.strip_prefix('-')?.parse().ok();
    let folders = entries.flatten().filter_map(|entry| Some((pid(entry.file_name().to_str()?)?, entry.path())));
    folders.filter(|(pid, _)| !alive(*pid)).collect()
}

/// Removes such a folder, and what is still mounted in it.
pub fn remove(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // The last ones made are on top.
    for mount in mountinfo(&mounts).iter().rev().filter(|mount| Path::new(&mount.point).starts_with(dir)) {
        let _ = umount2(mount.point.as_str(), MntFlags::MNT_DETACH);
    }
    let _ = fs::remove_dir_all(dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_and_the_abandoned_are_found() {
        let base = tempfile::tempdir().unwrap();
        let run = base.path().join("castoff");
        let scratch = Scratch::below(&run, "verify").unwrap();
        put(scratch.dir(), "bundle/rootfs/probe", 0o755, Some(b"x")).unwrap();
        assert_eq!(fs::metadata(scratch.dir()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(run.join("verify-7")).unwrap();
        fs::create_dir(run.join("other-8")).unwrap();
        let own = std::process::id();
        assert_eq!(abandoned_below(&run, "verify", &|pid| pid == own), [(7, run.join("verify-7"))]);
        drop(scratch);
        assert!(!run.join(format!("verify-{own}")).exists() && run.join("other-8").exists());
        for rest in ["verify-7", "other-8"] {
            remove(&run.join(rest));
        }
        drop(Scratch::below(&run, "verify").unwrap());
        assert!(!run.exists());
    }
}
