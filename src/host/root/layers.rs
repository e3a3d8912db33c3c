#![allow(clippy::disallowed_methods)] // works on open directories, where `Root`'s paths would be resolved again for each file
//! Layers of images as directories that are lent by exchange. Both sides belong to daemons that run as root.

use super::{Cloning, EntryKind, Root};
use crate::formats::mounts::{View, views};
use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{self as sys, AtFlags, CWD, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps},
    io::Errno,
    mount::{OpenTreeFlags, open_tree},
};
use std::{
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

/// A layer that was lent is a link; these are what may be at its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerPlace {
    /// The layer itself.
    Here,
    /// A link to where it is.
    Lent(String),
    /// Neither.
    Missing,
}

impl Root {
    /// What is at a layer's path.
    pub fn layer_place(&self, dir: &str) -> LayerPlace {
        match self.kind(dir) {
            Some(EntryKind::Dir) => LayerPlace::Here,
            Some(EntryKind::Link) => self.link(dir).map_or(LayerPlace::Missing, LayerPlace::Lent),
            _ => LayerPlace::Missing,
        }
    }

    /// Lends the directory `from` to the empty directory `to`: afterwards it is at `to`, and `from` is a link to it. At no
    /// instant is either path without the layer. Doing it twice is the same as doing it once.
    ///
    /// # Errors
    /// When the two are on different file systems, or the system refuses; then both are as they were, but that `to`
    /// may be a link instead of an empty directory.
    pub fn lend_layer(&self, from: &str, to: &str) -> Result<()> {
        if self.layer_place(from) == LayerPlace::Lent(to.to_owned()) && self.kind(to) == Some(EntryKind::Dir) {
            return self.sync_parents(from, to);
        }
        if self.kind(from) != Some(EntryKind::Dir) {
            bail!("{from} is no directory");
        }
        match self.layer_place(to) {
            LayerPlace::Here => self.remove_dir_for(to)?,
            LayerPlace::Lent(target) if target == to => {}
            LayerPlace::Missing if self.kind(to).is_none() => {}
            _ => bail!("{to} is neither an empty directory nor a link of ours"),
        }
        if self.kind(to).is_none() {
            self.faults.effect(&format!("link {to}"), || {
                sys::symlink(to, self.outside(to)).with_context(|| format!("cannot make the link {to}"))
            })?;
        }
        self.exchange(from, to)?;
        self.sync_parents(from, to)
    }

    fn remove_dir_for(&self, dir: &str) -> Result<()> {
        self.faults.effect(&format!("rmdir {dir}"), || {
            sys::rmdir(self.outside(dir)).with_context(|| format!("cannot replace the directory {dir}"))
        })
    }

    /// Takes a lent layer back: the directory is at `dir` again, and where it was is a link to itself. False when it was
    /// here already.
    ///
    /// # Errors
    /// When the layer is not where the link says, or the system refuses.
    pub fn take_layer_back(&self, dir: &str) -> Result<bool> {
        match self.layer_place(dir) {
            LayerPlace::Here => Ok(false),
            LayerPlace::Missing => bail!("{dir} is gone"),
            LayerPlace::Lent(to) => {
                if self.kind(&to) != Some(EntryKind::Dir) {
                    bail!("{dir} says that its layer is at {to}, and there is no directory");
                }
                self.exchange(dir, &to)?;
                self.sync_parents(dir, &to)?;
                Ok(true)
            }
        }
    }

    /// Makes a copy of a lent layer in its place; the layer itself stays where it was lent to. False when it was here.
    ///
    /// # Errors
    /// As [`Root::clone_layer`] and [`Root::take_layer_back`].
    pub fn copy_layer_back(&self, dir: &str) -> Result<bool> {
        let above = dir.rsplit_once('/').map_or("", |(above, _)| above);
        let beside = format!("{above}/castoff-copy");
        let tidy = || match self.layer_place(&beside) {
            LayerPlace::Lent(_) => self.remove_link(&beside),
            LayerPlace::Here => self.remove_tree(&beside, &[]),
            LayerPlace::Missing => Ok(()),
        };
        // Of a process that was killed in the middle.
        tidy()?;
        let LayerPlace::Lent(to) = self.layer_place(dir) else { return Ok(false) };
        self.faults.effect(&format!("mkdir {beside}"), || {
            sys::mkdir(self.outside(&beside), Mode::RWXU).with_context(|| format!("cannot make {beside}"))
        })?;
        self.clone_layer(&to, &beside, Cloning::Copy)?;
        self.sync_layers(&beside)?;
        self.exchange(dir, &beside)?;
        self.sync_parents(dir, &beside)?;
        tidy()?;
        Ok(true)
    }

    /// Exchanges two entries, one a layer and one a link, in one step. The layer keeps its times, which some file systems
    /// (XFS) change when a directory gets another parent.
    fn exchange(&self, a: &str, b: &str) -> Result<()> {
        let layer = if self.kind(a) == Some(EntryKind::Dir) { a } else { b };
        let before = sys::lstat(self.outside(layer)).with_context(|| format!("cannot look at {layer}"))?;
        let after = if layer == a { b } else { a };
        let what = || format!("cannot exchange {a} and {b}");
        self.faults.effect(&format!("exchange {a} and {b}"), || {
            let (x, y) = (self.outside(a), self.outside(b));
            match sys::renameat_with(CWD, &x, CWD, &y, RenameFlags::EXCHANGE) {
                Err(Errno::XDEV) => {
                    let Bridge { tree, below: [x, y] } = Bridge::over(&x, &y).with_context(what)?;
                    sys::renameat_with(&tree, &x, &tree, &y, RenameFlags::EXCHANGE).with_context(what)
                }
                done => done.with_context(what),
            }
        })?;
        self.faults.effect(&format!("times of {after}"), || {
            sys::utimensat(CWD, self.outside(after), &times(&before), AtFlags::SYMLINK_NOFOLLOW)
                .with_context(|| format!("cannot set the times of {after}"))
        })
    }

    fn sync_parents(&self, a: &str, b: &str) -> Result<()> {
        for path in [a, b] {
            let dir = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
            self.faults.effect(&format!("fsync directory {dir}"), || {
                let fd = open_dir(CWD, &self.outside(dir))?;
                self.syncs.time(|| sys::fsync(&fd)).with_context(|| format!("cannot write directory {dir} to disk"))
            })?;
        }
        Ok(())
    }

    /// Whether both are on one file system, whatever the mounts they are seen through.
    pub fn on_one_file_system(&self, a: &str, b: &str) -> bool {
        let device = |path: &str| sys::stat(self.outside(path)).map(|stat| stat.st_dev);
        matches!((device(a), device(b)), (Ok(a), Ok(b)) if a == b)
    }

    /// Whether an exchange between what is in the two would be one step on one file system. Nothing is written.
    pub fn can_exchange(&self, a: &str, b: &str) -> bool {
        let (a, b) = (self.outside(a), self.outside(b));
        let same = mount_id(&a).and_then(|x| Ok(x == mount_id(&b)?));
        match same {
            Ok(true) => true,
            Ok(false) => Bridge::over(&a.join("entry"), &b.join("entry")).is_ok(),
            Err(_) => false,
        }
    }

    /// Whether a file in `a` can share its blocks with one in `b`; tried with files that have no name.
    pub fn can_reflink(&self, a: &str, b: &str) -> bool {
        let unnamed = |dir: &str, bytes: &[u8]| -> Result<OwnedFd> {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            let fd = sys::openat(CWD, self.outside(dir), flags, Mode::RUSR | Mode::WUSR)?;
            let mut written = 0;
            while written < bytes.len() {
                written += rustix::io::write(&fd, bytes.get(written..).unwrap_or_default())?;
            }
            Ok(fd)
        };
        let tried = unnamed(a, &[1; 8192]).and_then(|from| Ok(sys::ioctl_ficlone(unnamed(b, &[])?, from)?));
        tried.is_ok()
    }
}

/// One file system as it is below the mounts on it: what is mounted on itself is only one place there.
pub(super) struct Bridge {
    pub(super) tree: OwnedFd,
    /// The two entries, below that.
    pub(super) below: [PathBuf; 2],
}

impl Bridge {
    /// Between two entries whose directories are there: over the directory that both are below, else over any mount of
    /// their file system that shows both.
    pub(super) fn over(a: &Path, b: &Path) -> Result<Self> {
        // Links on the way are resolved: one of them could lead out of the bridge.
        let (a, b) = (resolved(a)?, resolved(b)?);
        let common: PathBuf = a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
        let below = [a.strip_prefix(&common)?.to_owned(), b.strip_prefix(&common)?.to_owned()];
        let nearest = Self::on(&common, below, [&a, &b]);
        if nearest.is_ok() {
            return nearest;
        }
        let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        let views = a.to_str().zip(b.to_str()).map(|(a, b)| views(&table, a, b)).unwrap_or_default();
        let on = |view: View| Self::on(Path::new(&view.point), view.below.map(PathBuf::from), [&a, &b]).ok();
        views.into_iter().find_map(on).map_or(nearest, Ok)
    }

    /// Over what is mounted on `top`, when the entries are the same places there.
    fn on(top: &Path, below: [PathBuf; 2], seen: [&Path; 2]) -> Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        // Linux 5.2; older ones say ENOSYS.
        let tree =
            open_tree(CWD, top, flags).with_context(|| format!("cannot look below the mounts on {}", top.display()))?;
        if sys::fstatvfs(&tree)?.f_flag.contains(sys::StatVfsMountFlags::RDONLY) {
            bail!("{} is mounted read-only", top.display());
        }
        for (below, seen) in below.iter().zip(seen) {
            let dir = below.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let (through, visible) =
                (sys::statat(&tree, dir, AtFlags::empty())?, sys::stat(seen.parent().unwrap_or(Path::new("/")))?);
            if (through.st_dev, through.st_ino) != (visible.st_dev, visible.st_ino) {
                bail!("{} is on another file system than {}", seen.display(), top.display());
            }
        }
        Ok(Self { tree, below })
    }
}

/// The path of an entry that need not be there, in a directory that is.
fn resolved(path: &Path) -> Result<PathBuf> {
    let (dir, name) = path.parent().zip(path.file_name()).context("a path without a name")?;
    let dir = dir.canonicalize().with_context(|| format!("cannot look at {}", dir.display()))?;
    Ok(dir.join(name))
}

pub(super) fn mount_id(path: &Path) -> Result<u64> {
    let fd = sys::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("cannot open {}", path.display()))?;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim);
    id.and_then(|id| id.parse().ok()).context("the kernel names no mount for an open file")
}

pub(super) fn open_dir(at: impl AsFd, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    sys::openat(at, path, flags, Mode::empty()).with_context(|| format!("cannot open the directory {}", path.display()))
}

pub(super) fn times(stat: &Stat) -> Timestamps {
    #[allow(clippy::cast_possible_wrap)] // Nanoseconds of a second.
    let spec = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as i64 };
    Timestamps {
        last_access: spec(stat.st_atime, stat.st_atime_nsec),
        last_modification: spec(stat.st_mtime, stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Faults;
    use nix::{
        mount::{MntFlags, MsFlags, mount, umount2},
        sched::{CloneFlags, unshare},
    };
    use std::{fs, thread};

    const NONE: Option<&str> = None;

    /// One file system, of which two directories are mounted where Docker and containerd have their data; in mounts of this
    /// thread alone.
    fn bind(dir: &Path) -> nix::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        let disk = dir.join("disk");
        fs::create_dir(&disk).unwrap();
        mount(Some("tmpfs"), &disk, Some("tmpfs"), MsFlags::empty(), NONE)?;
        for (name, inside) in [("docker", "x/diff"), ("containerd", "y/fs")] {
            fs::create_dir_all(disk.join(name).join(inside)).unwrap();
            let point = dir.join("var/lib").join(name);
            fs::create_dir_all(&point).unwrap();
            mount(Some(&disk.join(name)), &point, NONE, MsFlags::MS_BIND, NONE)?;
        }
        fs::write(disk.join("docker/x/diff/file"), "text").unwrap();
        Ok(())
    }

    #[test]
    fn what_is_mounted_in_two_places_changes_hands_where_a_third_shows_both() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().canonicalize().unwrap();
        let tried = thread::spawn(move || {
            if bind(&dir).is_err() {
                // Not root, or no namespaces here.
                return;
            }
            let root = Root::open(&dir, Faults::none()).unwrap();
            let (docker, containerd) = ("/var/lib/docker", "/var/lib/containerd");
            let (from, to) = ("/var/lib/docker/x/diff", "/var/lib/containerd/y/fs");
            assert!(root.on_one_file_system(docker, containerd) && root.can_exchange(docker, containerd));
            root.lend_layer(from, to).unwrap();
            assert_eq!(root.layer_place(from), LayerPlace::Lent(to.to_owned()));
            assert_eq!(fs::read(dir.join("var/lib/containerd/y/fs/file")).unwrap(), b"text");
            assert!(root.take_layer_back(from).unwrap());
            umount2(&dir.join("disk"), MntFlags::MNT_DETACH).unwrap();
            assert!(root.on_one_file_system(docker, containerd) && !root.can_exchange(docker, containerd));
            let error = format!("{:#}", root.lend_layer(from, to).unwrap_err());
            assert!(error.contains("cannot exchange"), "{error}");
            assert_eq!(root.layer_place(from), LayerPlace::Here);
        });
        tried.join().unwrap();
    }
}
