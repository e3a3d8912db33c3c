//! Files below a root: `/` on a node, any directory for a file tree, a temporary one in tests.
//!
//! Paths are absolute *inside* the root and are walked component by component with `openat`, so that a symlink in a
//! node's file tree (`/etc/foo -> /usr/foo`) stays inside it and cannot be swapped underneath a check. `openat2` would
//! do this in the kernel, but nodes that still run Docker often have kernels older than 5.6.

#![allow(clippy::disallowed_methods)] // This is the one room that may.

mod clone;
mod clone_tree;
mod compare;
mod layers;
mod obstacle;
mod remove;
mod write;

pub use clone::{Cloned, Cloning, NotPlain};
pub use layers::LayerPlace;
pub use obstacle::Obstacle;
pub use write::{Append, Attributes, Expect};

use super::Faults;
use crate::model::Digest;
use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, open, openat, readlinkat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat},
    unistd::geteuid,
};
use std::{
    cell::Cell,
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io::Read as _,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

/// Configuration files are small; anything larger is not one, and reading it would only cost memory.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What castoff itself writes is larger only where it is about thousands of nodes.
const MAX_OWN: u64 = 1024 * 1024 * 1024;

/// As the kernel's own limit.
const MAX_LINKS: u32 = 40;

/// Why a file could not be used; the caller decides whether that is an error or only something unseen.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct FileError {
    /// `read`, `write`, `list`, …
    pub action: &'static str,
    /// Path inside the root.
    pub path: String,
    /// The system's reason.
    #[source]
    pub source: std::io::Error,
}

impl FileError {
    /// True when more rights would help.
    pub fn is_permission(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::PermissionDenied
    }
}

/// Owner, mode, extended attributes and modification time of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes (SELinux label, ACLs, …).
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    /// Modification time: seconds, nanoseconds.
    pub mtime: (i64, i64),
}

/// A file's content and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// The content.
    pub bytes: Vec<u8>,
    /// The rest.
    pub meta: Meta,
    /// Path inside the root after following links.
    pub target: String,
}

impl FileRead {
    /// Digest of the content.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A socket, device or FIFO.
    Other,
}

/// A place in the tree: an open directory and a name in it.
struct Place {
    dir: OwnedFd,
    name: OsString,
    path: PathBuf,
}

/// A file tree and the handle for scripted failures.
#[derive(Debug)]
pub struct Root {
    dir: PathBuf,
    fd: OwnedFd,
    faults: Faults,
    syncs: SyncCount,
}

/// How often, and for how long, was waited until something is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syncs {
    /// How often.
    pub count: u32,
    /// Altogether.
    pub time: Duration,
}

/// Counts for a root and all files opened through it.
#[derive(Clone, Debug, Default)]
struct SyncCount(Rc<Cell<Syncs>>);

impl SyncCount {
    fn time<T>(&self, sync: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = sync();
        let Syncs { count, time } = self.0.get();
        self.0.set(Syncs { count: count.saturating_add(1), time: time.saturating_add(began.elapsed()) });
        done
    }
}

impl Root {
    /// Opens the tree at `dir`.
    ///
    /// # Errors
    /// When `dir` is not a directory that can be opened.
    pub fn open(dir: &Path, faults: Faults) -> Result<Self> {
        let fd = open(dir, OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .with_context(|| format!("cannot open the root directory {}", dir.display()))?;
        Ok(Self { dir: dir.to_owned(), fd, faults, syncs: SyncCount::default() })
    }

    /// True for `/`.
    pub fn is_live(&self) -> bool {
        self.dir == Path::new("/")
    }

    /// Where the tree is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What waiting for the disk has cost so far.
    pub fn syncs(&self) -> Syncs {
        self.syncs.0.get()
    }

    /// The path outside the root, for programs and sockets.
    pub fn outside(&self, path: &str) -> PathBuf {
        self.dir.join(path.trim_start_matches('/'))
    }

    /// Reads a regular file; `None` when nothing is there.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read, is no regular file, or is larger than any configuration file.
    pub fn read(&self, path: &str) -> Result<Option<FileRead>, FileError> {
        self.read_inner(path, MAX_FILE).map_err(|source| FileError { action: "read", path: path.to_owned(), source })
    }

    /// The same for what castoff itself may have written there: the report of a large fleet is larger than that.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub fn read_own(&self, path: &str) -> Result<Option<FileRead>, FileError> {
        self.read_inner(path, MAX_OWN).map_err(|source| FileError { action: "read", path: path.to_owned(), source })
    }

    fn read_inner(&self, path: &str, limit: u64) -> std::io::Result<Option<FileRead>> {
        let Some(place) = found(self.resolve(path, true))? else { return Ok(None) };
        // O_NONBLOCK: a FIFO at that path must not hang us.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let Some(fd) = found(openat(&place.dir, place.name.as_os_str(), flags, Mode::empty()))? else {
            return Ok(None);
        };
        let stat = fstat(&fd)?;
        if kind_of(&stat) != EntryKind::File {
            return Err(std::io::Error::other("it is not a regular file"));
        }
        let mut file = File::from(fd);
        let mut bytes = Vec::new();
        (&mut file).take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(std::io::Error::other(format!("it is larger than {} KiB", limit / 1024)));
        }
        let meta = meta_of(&stat, &file);
        Ok(Some(FileRead { bytes, meta, target: place.path.to_string_lossy().into_owned() }))
    }

    /// True for a regular file that starts with `bytes`; false when that cannot be seen.
    pub fn starts_with(&self, path: &str, bytes: &[u8]) -> bool {
        let read = || -> Option<Vec<u8>> {
            let place = self.resolve(path, true).ok()?;
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
            let fd = openat(&place.dir, place.name.as_os_str(), flags, Mode::empty()).ok()?;
            let mut head = Vec::new();
            File::from(fd).take(bytes.len() as u64).read_to_end(&mut head).ok()?;
            Some(head)
        };
        read().is_some_and(|head| head == bytes)
    }

    /// Reads a text file; `None` when nothing is there.
    ///
    /// # Errors
    /// As [`Root::read`], and when it is not UTF-8 (with the line).
    pub fn text(&self, path: &str) -> Result<Option<String>, FileError> {
        let Some(read) = self.read(path)? else { return Ok(None) };
        match String::from_utf8(read.bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes().iter().take(at).filter(|b| **b == b'\n').count();
                let source = std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    format!("it is not UTF-8 text (line {line}, byte {at})"),
                );
                Err(FileError { action: "read", path: path.to_owned(), source })
            }
        }
    }

    /// The text of a regular file of at most `limit` bytes; `None` for anything else, whatever the reason.
    pub fn text_within(&self, path: &str, limit: u64) -> Option<String> {
        let read = self.read_inner(path, limit).ok()??;
        String::from_utf8(read.bytes).ok()
    }

    /// Names and kinds in a directory, sorted; empty when it is not there.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be listed.
    pub fn list(&self, path: &str) -> Result<Vec<(String, EntryKind)>, FileError> {
        self.list_inner(path).map_err(|source| FileError { action: "list", path: path.to_owned(), source })
    }

    fn list_inner(&self, path: &str) -> std::io::Result<Vec<(String, EntryKind)>> {
        let Some(place) = found(self.resolve(path, true))? else { return Ok(Vec::new()) };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let Some(fd) = found(openat(&place.dir, place.name.as_os_str(), flags, Mode::empty()))? else {
            return Ok(Vec::new());
        };
        let mut dir = nix::dir::Dir::from_fd(fd)?;
        let mut entries = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                Some(nix::dir::Type::File) => EntryKind::File,
                Some(nix::dir::Type::Directory) => EntryKind::Dir,
                Some(nix::dir::Type::Symlink) => EntryKind::Link,
                _ => EntryKind::Other,
            };
            entries.push((name, kind));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    /// What is at `path` itself, links not followed; `None` when nothing is there or it cannot be reached.
    pub fn kind(&self, path: &str) -> Option<EntryKind> {
        let place = self.resolve(path, false).ok()?;
        fstatat(&place.dir, place.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok().map(|stat| kind_of(&stat))
    }

    /// True when something is at `path`, links followed.
    pub fn exists(&self, path: &str) -> bool {
        self.resolve(path, true)
            .is_ok_and(|place| fstatat(&place.dir, place.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok())
    }

    /// What a symbolic link says; `None` when there is no link.
    pub fn link(&self, path: &str) -> Option<String> {
        let place = self.resolve(path, false).ok()?;
        readlinkat(&place.dir, place.name.as_os_str()).ok().map(|target| target.to_string_lossy().into_owned())
    }

    /// Where `path` leads inside the root after following links, whether or not its last component is there.
    pub fn target(&self, path: &str) -> Option<String> {
        self.resolve(path, true).ok().map(|place| place.path.to_string_lossy().into_owned())
    }

    /// The directories that would have to be made for `path` to be a directory, outermost first.
    pub fn missing_dirs(&self, path: &str) -> Vec<String> {
        let mut missing: Vec<String> = Path::new(path)
            .ancestors()
            .filter(|dir| *dir != Path::new("/") && !dir.as_os_str().is_empty())
            .map(|dir| dir.to_string_lossy().into_owned())
            .take_while(|dir| !self.exists(dir))
            .collect();
        missing.reverse();
        missing
    }

    /// Opens (or makes) a file to lock it.
    pub(super) fn open_for_lock(&self, path: &str) -> Result<File> {
        let place = self.place(path, "open", Follow::Any)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&place.dir, place.name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .with_context(|| format!("cannot open the lock {path}"))?;
        Ok(File::from(fd))
    }

    /// Opens a file that is there, for asking the kernel about it.
    pub(super) fn open_to_look(&self, path: &str) -> Option<File> {
        let place = self.resolve(path, true).ok()?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        openat(&place.dir, place.name.as_os_str(), flags, Mode::empty()).ok().map(File::from)
    }

    fn place(&self, path: &str, action: &'static str, follow: Follow) -> Result<Place> {
        self.walk(path, follow)
            .map_err(|errno| FileError { action, path: path.to_owned(), source: errno.into() }.into())
    }

    fn resolve(&self, path: &str, follow_last: bool) -> nix::Result<Place> {
        self.walk(path, if follow_last { Follow::Any } else { Follow::None })
    }

    /// Walks `path` inside the root. The last component may be missing.
    fn walk(&self, path: &str, follow_last: Follow) -> nix::Result<Place> {
        let mut queue: VecDeque<OsString> = components(Path::new(path));
        let mut stack: Vec<(OwnedFd, OsString)> = Vec::new();
        let mut links = 0;
        while let Some(name) = queue.pop_front() {
            if name == ".." {
                stack.pop();
                continue;
            }
            let last = queue.is_empty();
            let dir = stack.last().map_or(self.fd.as_fd(), |(fd, _)| fd.as_fd());
            let stat = match fstatat(dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => Some(stat),
                Err(Errno::ENOENT) if last => None,
                Err(errno) => return Err(errno),
            };
            match stat.as_ref().map(kind_of) {
                Some(EntryKind::Link) if !last || follow_last != Follow::None => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    let target = target_of(dir, &name, last && follow_last == Follow::Own)?;
                    if target.is_absolute() {
                        stack.clear();
                    }
                    for component in components(&target).into_iter().rev() {
                        queue.push_front(component);
                    }
                }
                _ if last => {
                    let path = shown(&stack, &name);
                    let dir = match stack.pop() {
                        Some((fd, _)) => fd,
                        None => self.fd.try_clone().map_err(|_| Errno::EMFILE)?,
                    };
                    return Ok(Place { dir, name, path });
                }
                _ => {
                    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                    let fd = openat(dir, name.as_os_str(), flags, Mode::empty())?;
                    stack.push((fd, name));
                }
            }
        }
        // The path is the root itself, or ended in `..`.
        let path = stack.iter().fold(PathBuf::from("/"), |path, (_, name)| path.join(name));
        let dir = match stack.pop() {
            Some((fd, _)) => fd,
            None => self.fd.try_clone().map_err(|_| Errno::EMFILE)?,
        };
        Ok(Place { dir, name: OsString::from("."), path })
    }
}

/// Which link is followed where it is the last component.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follow {
    Any,
    /// One of root's or of the caller's. The kernel's own rule for that (`fs.protected_symlinks`) does not hold for links that
    /// are followed here.
    Own,
    None,
}

/// Where a link leads. It is opened first where its owner counts, so that nobody changes it in between.
fn target_of(dir: BorrowedFd<'_>, name: &OsStr, own: bool) -> nix::Result<PathBuf> {
    if !own {
        return readlinkat(dir, name).map(PathBuf::from);
    }
    let link = openat(dir, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    let owner = fstat(&link)?.st_uid;
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(Errno::EACCES);
    }
    readlinkat(&link, "").map(PathBuf::from)
}

fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect()
}

fn shown(stack: &[(OwnedFd, OsString)], name: &OsStr) -> PathBuf {
    stack.iter().fold(PathBuf::from("/"), |path, (_, part)| path.join(part)).join(name)
}

/// Turns "not there" into `None`.
fn found<T>(result: nix::Result<T>) -> nix::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn kind_of(stat: &FileStat) -> EntryKind {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => EntryKind::File,
        SFlag::S_IFDIR => EntryKind::Dir,
        SFlag::S_IFLNK => EntryKind::Link,
        _ => EntryKind::Other,
    }
}

fn meta_of(stat: &FileStat, file: &File) -> Meta {
    use xattr::FileExt as _;
    // A file system without extended attributes has none.
    let mut xattrs: Vec<(OsString, Vec<u8>)> = file
        .list_xattr()
        .map(|names| names.filter_map(|name| file.get_xattr(&name).ok().flatten().map(|value| (name, value))).collect())
        .unwrap_or_default();
    xattrs.sort();
    Meta {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        xattrs,
        mtime: (stat.st_mtime, stat.st_mtime_nsec),
    }
}
