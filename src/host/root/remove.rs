#![allow(clippy::disallowed_methods)] // asks the kernel for mounts, and works on open directories
//! Removing a whole tree that belonged to a daemon, with what is mounted in it.

use super::{
    Root,
    clone::{entries, expect_shallow},
    layers::open_dir,
};
use crate::formats::mounts::mountinfo;
use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, umount2};
use rustix::fs::{self as sys, AtFlags, CWD, FileType};
use std::{
    ffi::OsStr,
    os::fd::{AsFd, BorrowedFd},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

impl Root {
    /// Removes `dir` with all that is in it, but the entries of these names at its top; then `dir` itself stays too. What
    /// is mounted in it, or `dir` on itself, is unmounted first; another file system mounted on `dir` stays mounted.
    /// Nothing on other file systems is touched.
    ///
    /// # Errors
    /// When something cannot be unmounted or removed; the rest is still there then.
    pub fn remove_tree(&self, dir: &str, keep: &[&str]) -> Result<()> {
        let top = self.outside(dir);
        let device = sys::lstat(&top).with_context(|| format!("cannot look at {dir}"))?.st_dev;
        self.faults.effect(&format!("unmount below {dir}"), || unmount_below(&top))?;
        self.faults.effect(&format!("remove tree {dir}"), || {
            let fd = open_dir(CWD, &top)?;
            for name in entries(fd.as_fd())? {
                if !keep.iter().any(|kept| kept.as_bytes() == name.to_bytes()) {
                    let name = OsStr::from_bytes(name.to_bytes());
                    remove(fd.as_fd(), name, device, &Path::new(dir).join(name))?;
                }
            }
            if !keep.is_empty() {
                return Ok(());
            }
            match sys::rmdir(&top) {
                // Somebody's mount point.
                Err(rustix::io::Errno::BUSY) => Ok(()),
                done => done.with_context(|| format!("cannot remove {dir}")),
            }
        })
    }

    /// Bytes and entries on the disk below `dir`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tree_size(&self, dir: &str) -> Result<(u64, u64)> {
        let fd = open_dir(CWD, &self.outside(dir))?;
        let device = sys::fstat(&fd)?.st_dev;
        let mut size = (0, 0);
        add_sizes(fd.as_fd(), device, Path::new(dir), &mut size)?;
        Ok(size)
    }
}

fn add_sizes(dir: BorrowedFd<'_>, device: u64, path: &Path, size: &mut (u64, u64)) -> Result<()> {
    expect_shallow(path)?;
    for name in entries(dir)? {
        let stat = sys::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if stat.st_dev != device {
            continue;
        }
        size.0 += u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
        size.1 += 1;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let name = OsStr::from_bytes(name.to_bytes());
            add_sizes(open_dir(dir, Path::new(name))?.as_fd(), device, &path.join(name), size)?;
        }
    }
    Ok(())
}

/// Unmounts what is mounted below `top`, and `top` where it is only mounted on itself.
fn unmount_below(top: &Path) -> Result<()> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context("cannot read what is mounted")?;
    let mounts = mountinfo(&text);
    let below: Vec<PathBuf> =
        mounts.iter().map(|mount| PathBuf::from(&mount.point)).filter(|at| at.starts_with(top)).collect();
    for at in below.iter().rev().filter(|at| *at != top || is_on_itself(top)) {
        umount2(at, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {}", at.display()))?;
    }
    Ok(())
}

/// A directory that is mounted on itself is on the same file system as the directory it is in.
fn is_on_itself(dir: &Path) -> bool {
    let device = |path: &Path| sys::stat(path).map(|stat| stat.st_dev);
    matches!((device(dir), dir.parent().map(device)), (Ok(a), Some(Ok(b))) if a == b)
}

fn remove(dir: BorrowedFd<'_>, name: &OsStr, device: u64, at: &Path) -> Result<()> {
    let stat = sys::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .with_context(|| format!("cannot look at {}", at.display()))?;
    if stat.st_dev != device {
        bail!("{} is on another file system; unmount it first", at.display());
    }
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if is_dir {
        expect_shallow(at)?;
        let fd = open_dir(dir, Path::new(name))?;
        for below in entries(fd.as_fd())? {
            let below = OsStr::from_bytes(below.to_bytes());
            remove(fd.as_fd(), below, device, &at.join(below))?;
        }
    }
    let flags = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    sys::unlinkat(dir, name, flags).with_context(|| format!("cannot remove {}", at.display()))
}
