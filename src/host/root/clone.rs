#![allow(clippy::disallowed_methods)] // works on open directories, where `Root`'s paths would be resolved again for each file
//! Cloning a layer's directory, and telling whether it can be cloned.

use super::{
    Root,
    clone_tree::tree,
    layers::{Bridge, mount_id, open_dir, times},
};
use anyhow::{Context as _, Result, anyhow, bail};
use rustix::{
    fs::{self as sys, AtFlags, CWD, FileType, Mode, OFlags, Stat},
    io::Errno,
};
use std::{
    ffi::{CStr, CString, OsStr, OsString},
    fs::File,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Component, Path, PathBuf},
};

/// How a file's content comes to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloning {
    /// Shared blocks (`FICLONE`); fails where the file system cannot.
    Reflink,
    /// A second copy.
    Copy,
    /// A second name for the same file; a copy where the file system allows no further name.
    Hardlink,
}

/// What cloning a layer came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cloned {
    /// Entries made.
    pub entries: u64,
    /// Bytes of files that were really copied.
    pub bytes: u64,
}

/// Why a layer's directory cannot be carried as it is.
#[derive(Debug, thiserror::Error)]
#[error("{path} {what}")]
pub struct NotPlain {
    /// The file.
    pub path: String,
    /// `holds only metadata, which …`
    pub what: &'static str,
}

/// Attributes of overlayfs that say something about the very mount they were made by (kernel
/// `Documentation/filesystems/overlayfs.rst`); `opaque` is the only one that belongs to the layer.
const OF_A_MOUNT: [&str; 6] = [
    "trusted.overlay.origin",
    "trusted.overlay.impure",
    "trusted.overlay.nlink",
    "trusted.overlay.upper",
    "trusted.overlay.uuid",
    "trusted.overlay.protattr",
];

impl Root {
    /// Clones what is in `from` into the directory `to`, which is emptied before. Everything that a container could see is
    /// the same: owners, modes, times, attributes, links between files, devices and whiteouts.
    ///
    /// # Errors
    /// [`NotPlain`], or what the system refuses; `to` holds a part then.
    pub fn clone_layer(&self, from: &str, to: &str, how: Cloning) -> Result<Cloned> {
        self.faults.effect(&format!("empty {to}"), || empty(&self.outside(to)))?;
        self.faults.effect(&format!("clone {from} to {to}"), || {
            let (from, to) = (self.outside(from), self.outside(to));
            // Through one mount, for links do not cross mounts of the same file system.
            let bridge = (how == Cloning::Hardlink && mount_id(&from)? != mount_id(&to)?)
                .then(|| Bridge::over(&from, &to))
                .transpose()?;
            let (source, target) = match &bridge {
                Some(Bridge { tree, below: [from, to] }) => (open_dir(tree, from)?, open_dir(tree, to)?),
                None => (open_dir(CWD, &from)?, open_dir(CWD, &to)?),
            };
            tree(source, target, how)
        })
    }

    /// Opens a file of an image store to read all of it, however large.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_layer_file(&self, path: &str) -> Result<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = sys::openat(CWD, self.outside(path), flags, Mode::empty());
        fd.map(std::fs::File::from).with_context(|| format!("cannot open {path}"))
    }

    /// Hands out the content of a file of a layer, which must have `size` bytes. `name` is as in an archive: below `dir`,
    /// and not necessarily text.
    ///
    /// # Errors
    /// When it is not there, has another size, or `sink` fails.
    pub fn layer_content(
        &self,
        dir: &str,
        name: &[u8],
        size: u64,
        buffer: &mut [u8],
        sink: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let shown = || format!("{dir}/{}", String::from_utf8_lossy(name));
        let fd = open_below(open_dir(CWD, &self.outside(dir))?, OsStr::from_bytes(name))
            .with_context(|| format!("cannot open {}", shown()))?;
        let mut left = size;
        loop {
            let count = rustix::io::read(&fd, &mut *buffer).with_context(|| format!("cannot read {}", shown()))?;
            if count == 0 {
                break;
            }
            left =
                left.checked_sub(count as u64).with_context(|| format!("{} is longer than {size} bytes", shown()))?;
            sink(buffer.get(..count).unwrap_or_default())?;
        }
        if left == 0 { Ok(()) } else { bail!("{} is shorter than {size} bytes", shown()) }
    }

    /// Writes to disk all that belongs to the file system of `dir`.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn sync_layers(&self, dir: &str) -> Result<()> {
        self.faults.effect(&format!("sync {dir}"), || {
            let fd = open_dir(CWD, &self.outside(dir))?;
            self.syncs.time(|| sys::syncfs(&fd)).with_context(|| format!("cannot write the layers in {dir} to disk"))
        })
    }

    /// Fails with [`NotPlain`] when a file or directory below `dir` needs the mount that made it.
    ///
    /// # Errors
    /// [`NotPlain`], or a directory that cannot be read.
    pub fn expect_plain_layer(&self, dir: &str) -> Result<()> {
        let fd = open_dir(CWD, &self.outside(dir))?;
        plain(fd.as_fd(), Path::new(dir))
    }
}

/// Opens a file below a directory; links are not followed.
fn open_below(mut dir: OwnedFd, path: &OsStr) -> Result<OwnedFd> {
    let parts = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(name) => Some(Ok(name)),
        Component::CurDir | Component::RootDir => None,
        _ => Some(Err(anyhow!("a name that leaves the layer"))),
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let (name, dirs) = parts.split_last().context("a file without a name")?;
    for part in dirs {
        dir = open_dir(&dir, Path::new(part))?;
    }
    Ok(sys::openat(&dir, *name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Entries of a directory, in the order the file system gives them.
pub(super) fn entries(dir: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in sys::Dir::read_from(dir).context("cannot read a directory")? {
        let entry = entry.context("cannot read a directory")?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn empty(dir: &Path) -> Result<()> {
    let fd = open_dir(CWD, dir)?;
    empty_fd(fd.as_fd())
}

fn empty_fd(dir: BorrowedFd<'_>) -> Result<()> {
    for name in entries(dir)? {
        let stat = sys::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_dir {
            empty_fd(open_dir(dir, Path::new(OsStr::from_bytes(name.to_bytes())))?.as_fd())?;
        }
        let flags = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        sys::unlinkat(dir, &name, flags).with_context(|| format!("cannot remove {}", shown(&name)))?;
    }
    Ok(())
}

fn shown(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}

/// The place of a file for calls that take no directory.
fn path_of(dir: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name)
}

/// Extended attributes of an entry itself, those of its mount left out.
pub(super) fn xattrs(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Vec<(OsString, Vec<u8>)>> {
    let path = path_of(dir, name);
    let names = match xattr::list(&path) {
        Ok(names) => names,
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read the attributes of {}", name.display())),
    };
    let mut all = Vec::new();
    for key in names {
        if belongs_to_layer(&key)
            && let Some(value) = xattr::get(&path, &key)?
        {
            all.push((key, value));
        }
    }
    Ok(all)
}

/// Not what overlayfs says of a mount, nor the label of SELinux, which its policy gives to the new place.
fn belongs_to_layer(key: &OsStr) -> bool {
    key.to_str().is_none_or(|key| !OF_A_MOUNT.contains(&key) && key != "security.selinux")
}

/// Gives a file or directory that is open owner, mode, attributes and times of another.
pub(super) fn dress(from: &File, to: &File, stat: &Stat) -> Result<()> {
    use xattr::FileExt as _;
    let now = sys::fstat(to)?;
    // Each of these is a transaction of the file system, and there may be a hundred thousand files.
    let owner_differs = (now.st_uid, now.st_gid) != (stat.st_uid, stat.st_gid);
    if owner_differs {
        sys::fchown(to, Some(sys::Uid::from_raw(stat.st_uid)), Some(sys::Gid::from_raw(stat.st_gid)))?;
    }
    // After the owner, which takes set-user-id bits away.
    if owner_differs || now.st_mode != stat.st_mode {
        sys::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    }
    match from.list_xattr() {
        Ok(names) => {
            for key in names.filter(|key| belongs_to_layer(key)) {
                if let Some(value) = from.get_xattr(&key)? {
                    to.set_xattr(&key, &value).with_context(|| format!("cannot set {}", key.display()))?;
                }
            }
        }
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {}
        Err(error) => return Err(error).context("cannot read its attributes"),
    }
    Ok(sys::futimens(to, &times(stat))?)
}

/// The same for what cannot be opened: links, devices, pipes.
pub(super) fn dress_special(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Result<()> {
    let (uid, gid) = (sys::Uid::from_raw(stat.st_uid), sys::Gid::from_raw(stat.st_gid));
    sys::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        sys::chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    for (key, value) in xattrs(from, name)? {
        let set = xattr::set(path_of(to, name), &key, &value);
        set.with_context(|| format!("cannot set {}", key.display()))?;
    }
    Ok(sys::utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Says where it happened, once: directories around it need not say so again.
pub(super) fn placed(error: anyhow::Error, at: &Path) -> anyhow::Error {
    const WHAT: &str = "cannot clone ";
    if error.is::<NotPlain>() || error.to_string().starts_with(WHAT) {
        return error;
    }
    error.context(format!("{WHAT}{}", at.display()))
}

/// Copies what is not a hole.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<u64> {
    let (mut at, mut copied) = (0, 0);
    while at < size {
        let begin = match sys::seek(from, sys::SeekFrom::Data(at)) {
            Ok(begin) => begin,
            // Only a hole is left.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => at,
            Err(error) => return Err(error.into()),
        };
        let end = sys::seek(from, sys::SeekFrom::Hole(begin)).unwrap_or(size);
        let (mut source, mut target) = (begin, begin);
        while source < end {
            let most = usize::try_from((end - source).min(1 << 30)).unwrap_or(1 << 30);
            match sys::copy_file_range(from, Some(&mut source), to, Some(&mut target), most) {
                Ok(0) => bail!("a file became shorter while it was copied"),
                Ok(count) => copied += count as u64,
                Err(Errno::XDEV | Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => {
                    copied += copy_by_hand(from, to, &mut source, &mut target, end)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        at = end;
    }
    sys::ftruncate(to, size)?;
    Ok(copied)
}

/// For kernels and pairs of file systems that cannot copy by themselves (before 5.3 between two of them).
fn copy_by_hand(from: &OwnedFd, to: &OwnedFd, source: &mut u64, target: &mut u64, end: u64) -> Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let most = usize::try_from(end - *source).unwrap_or(buffer.len()).min(buffer.len());
    let count = rustix::io::pread(from, buffer.get_mut(..most).unwrap_or_default(), *source)?;
    if count == 0 {
        bail!("a file became shorter while it was copied");
    }
    let mut written = 0;
    while written < count {
        let bytes = buffer.get(written..count).unwrap_or_default();
        written += rustix::io::pwrite(to, bytes, *target + written as u64)?;
    }
    *source += count as u64;
    *target += count as u64;
    Ok(count as u64)
}

fn plain(dir: BorrowedFd<'_>, path: &Path) -> Result<()> {
    expect_shallow(path)?;
    for name in entries(dir)? {
        let name = OsString::from_vec(name.into_bytes());
        let at = path.join(&name);
        let stat = sys::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let below = File::from(open_dir(dir, Path::new(&name))?);
                expect_plain_dir(&below, &at)?;
                plain(below.as_fd(), &at)?;
            }
            FileType::RegularFile => expect_plain_file(dir, &name, &at)?,
            _ => {}
        }
    }
    Ok(())
}

/// Deeper than any real tree; each level takes a descriptor and a part of the stack.
const DEEPEST: usize = 400;

/// Refuses a tree that somebody made to be too deep to walk.
pub(super) fn expect_shallow(path: &Path) -> Result<()> {
    if path.components().count() > DEEPEST {
        let path = path.components().take(8).collect::<PathBuf>().display().to_string();
        return Err(NotPlain { path, what: "holds directories in directories without end" }.into());
    }
    Ok(())
}

/// A renamed directory whose content is below its old name.
fn expect_plain_dir(dir: &File, at: &Path) -> Result<()> {
    use xattr::FileExt as _;
    let found = dir.get_xattr("trusted.overlay.redirect");
    refuse(found, at, "was renamed, which only the mount that did it understands (overlay.redirect)")
}

/// A file of which only the metadata is here. Neither its size tells, which is that of the whole, nor its blocks: a file
/// system may count those of the attributes (ext4 does, which has no room for overlayfs' beside an inode of 256 bytes).
fn expect_plain_file(dir: BorrowedFd<'_>, name: &OsStr, at: &Path) -> Result<()> {
    let found = xattr::get(path_of(dir, name), "trusted.overlay.metacopy");
    refuse(found, at, "holds only metadata, which only the mount that wrote it understands (overlay.metacopy)")
}

fn refuse(found: std::io::Result<Option<Vec<u8>>>, at: &Path, what: &'static str) -> Result<()> {
    match found {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(NotPlain { path: at.display().to_string(), what }.into()),
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => Ok(()),
        Err(error) => Err(anyhow!(error)).with_context(|| format!("cannot look at {}", at.display())),
    }
}

#[cfg(test)]
#[path = "clone_tests.rs"]
mod tests;
