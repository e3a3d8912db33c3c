//! Files the user names on the command line: they live outside any root.

#![allow(clippy::disallowed_methods)] // This is the room that may.

use super::{Attributes, Expect, Faults, Root};
use anyhow::{Context as _, Result, anyhow, bail};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

/// An absolute form of what the user typed.
///
/// # Errors
/// When the current directory is gone.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))
}

fn open(path: &Path) -> Result<(Root, String)> {
    let path = absolute(path)?;
    let name = path.to_str().ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))?.to_owned();
    Ok((Root::open(Path::new("/"), Faults::none())?, name))
}

/// Reads a text file.
///
/// # Errors
/// When it is missing or cannot be read.
pub fn read(path: &Path) -> Result<String> {
    let (root, name) = open(path)?;
    root.text(&name)?.ok_or_else(|| anyhow!("{} is not there", path.display()))
}

/// A file the user named; of a directory, the documents in it by name.
///
/// # Errors
/// When it is not there or cannot be listed.
pub fn documents(path: &Path) -> Result<Vec<PathBuf>> {
    let about = || format!("cannot look at {}", path.display());
    if !std::fs::metadata(path).with_context(about)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(about)? {
        let file = entry.with_context(about)?.path();
        if file.extension().is_some_and(|kind| kind == "json" || kind == "jsonl") {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Most that is read from standard input.
const INPUT: u64 = 16 * 1024 * 1024;

/// Reads standard input to its end.
///
/// # Errors
/// When it cannot be read, is no UTF-8, or is larger than anything meant for castoff.
pub fn standard_input() -> Result<String> {
    let mut text = String::new();
    let read =
        std::io::stdin().lock().take(INPUT + 1).read_to_string(&mut text).context("cannot read standard input")?;
    if read as u64 > INPUT {
        bail!("standard input is larger than {INPUT} bytes");
    }
    Ok(text)
}

/// Writes a file that only the caller may read, whoever could read what was there.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    replace(path, text.as_bytes(), 0o600)
}

/// Writes a file that everybody may read where it is new, and that keeps its mode and owner where not; makes its directory.
///
/// # Errors
/// When it cannot be written.
pub fn write_public(path: &Path, text: &str) -> Result<()> {
    let (root, name) = open(path)?;
    if let Some((dir, _)) = name.rsplit_once('/') {
        root.make_dirs(dir, 0o755)?;
    }
    write(&root, &name, text.as_bytes(), Attributes::Keep { mode: 0o644 })
}

/// Writes a file of the caller's with this mode in place of whatever file was there, at the end of a link too: whoever reads
/// it sees the old one or the new one. A device or pipe is none.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let (root, name) = open(path)?;
    write(&root, &name, bytes, Attributes::New { mode })
}

fn write(root: &Root, name: &str, bytes: &[u8], attributes: Attributes<'_>) -> Result<()> {
    let before = root.read_own(name)?.map(|read| read.digest());
    let expect = before.as_ref().map_or(Expect::Absent, Expect::Content);
    root.write_atomic(name, bytes, expect, attributes)
}

/// A temporary directory of our own, removed with everything in it when dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(name: &str) -> Result<Self> {
        let template = std::env::temp_dir().join(format!("{name}-XXXXXX"));
        let path = nix::unistd::mkdtemp(&template).context("cannot make a temporary directory")?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves it there.
    pub fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if self.0.as_os_str().is_empty() {
            return;
        }
        // Nothing is lost when this fails; the system empties its temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{Gid, Uid, geteuid};
    use std::{fs, os::unix::fs::lchown};

    #[test]
    fn what_is_ours_does_not_go_where_somebody_elses_link_leads() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        fs::write(&file, "theirs").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"ours", 0o600).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"ours", "a link of our own");
        if !geteuid().is_root() {
            return;
        }
        lchown(&link, Some(Uid::from_raw(65534).as_raw()), Some(Gid::from_raw(65534).as_raw())).unwrap();
        let error = format!("{:#}", replace(&link, b"again", 0o600).unwrap_err());
        assert!(error.contains("ermission denied"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"ours");
    }
}
