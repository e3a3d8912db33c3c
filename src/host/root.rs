//! Files below a root: `/` on a node, any directory for a file tree, a temporary one in tests.
//!
//! Paths are absolute *inside* the root and are walked component by component with `openat`, so that a symlink in a
//! node's file tree (`/etc/foo -> /usr/foo`) stays inside it and cannot be swapped underneath a check. `openat2` would
//! do this in the kernel, but nodes that still run Docker often have kernels older than 5.6.

#![allow(clippy::disallowed_methods)] // This is the one room that may.

use super::Faults;
use crate::model::Digest;
use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, open, openat, readlinkat, renameat},
    sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, mkdirat, utimensat},
    sys::time::TimeSpec,
    unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, symlinkat, unlinkat},
};
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Component, Path, PathBuf},
};

/// Configuration files are small; anything larger is not one, and reading it would only cost memory.
const MAX_FILE: u64 = 16 * 1024 * 1024;

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

/// What must be at a path before it is written.
#[derive(Clone, Copy, Debug)]
pub enum Expect<'a> {
    /// Nothing.
    Absent,
    /// A file with this content.
    Content(&'a Digest),
}

/// What owner, mode and attributes a written file gets.
#[derive(Clone, Copy, Debug)]
pub enum Attributes<'a> {
    /// Those of the file that is replaced; this mode and the caller's identity for a new one.
    Keep {
        /// Permission bits of a new file.
        mode: u32,
    },
    /// Exactly these.
    Exactly(&'a Meta),
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
}

impl Root {
    /// Opens the tree at `dir`.
    ///
    /// # Errors
    /// When `dir` is not a directory that can be opened.
    pub fn open(dir: &Path, faults: Faults) -> Result<Self> {
        let fd = open(dir, OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .with_context(|| format!("cannot open the root directory {}", dir.display()))?;
        Ok(Self { dir: dir.to_owned(), fd, faults })
    }

    /// True for `/`.
    pub fn is_live(&self) -> bool {
        self.dir == Path::new("/")
    }

    /// Where the tree is.
    pub fn dir(&self) -> &Path {
        &self.dir
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
        self.read_inner(path).map_err(|source| FileError { action: "read", path: path.to_owned(), source })
    }

    fn read_inner(&self, path: &str) -> std::io::Result<Option<FileRead>> {
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
        (&mut file).take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(std::io::Error::other("it is larger than 16 MiB"));
        }
        let meta = meta_of(&stat, &file);
        Ok(Some(FileRead { bytes, meta, target: place.path.to_string_lossy().into_owned() }))
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

    /// Makes `path` and its missing parents.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn make_dirs(&self, path: &str, mode: u32) -> Result<()> {
        for dir in self.missing_dirs(path) {
            let place = self.place(&dir, "make", true)?;
            self.faults.effect(&format!("mkdir {dir}"), || {
                match mkdirat(&place.dir, place.name.as_os_str(), Mode::from_bits_truncate(mode)) {
                    Ok(()) | Err(Errno::EEXIST) => Ok(()),
                    Err(error) => Err(anyhow!("cannot make directory {dir}: {}", std::io::Error::from(error))),
                }
            })?;
            // The umask must not decide who may enter.
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
            let fd = openat(&place.dir, place.name.as_os_str(), flags, Mode::empty())
                .with_context(|| format!("cannot open directory {dir}"))?;
            fchmod(&fd, Mode::from_bits_truncate(mode)).with_context(|| format!("cannot set the mode of {dir}"))?;
            self.sync_dir(&place)?;
        }
        Ok(())
    }

    /// Writes a file in one step that is either done or not: a temporary file beside the link's target, fsync, rename,
    /// fsync of the directory, read back and compare.
    ///
    /// # Errors
    /// When what is there is not what `expect` says, and whatever the system refuses. Then the file is as it was.
    pub fn write_atomic(
        &self,
        path: &str,
        content: &[u8],
        expect: Expect<'_>,
        attributes: Attributes<'_>,
    ) -> Result<()> {
        let place = self.place(path, "write", true)?;
        let current = self.read(path)?;
        match (&current, expect) {
            (None, Expect::Absent) => {}
            (Some(read), Expect::Content(digest)) if read.digest() == *digest => {}
            (None, Expect::Content(_)) => bail!("{path} is gone"),
            (Some(_), Expect::Absent) => bail!("{path} is there already"),
            (Some(_), Expect::Content(_)) => bail!("{path} was changed by somebody else meanwhile"),
        }
        let kept = current.map(|read| read.meta);
        let meta = match attributes {
            Attributes::Exactly(meta) => Some(meta),
            Attributes::Keep { .. } => kept.as_ref(),
        };
        let mode = match attributes {
            Attributes::Keep { mode } => mode,
            Attributes::Exactly(meta) => meta.mode,
        };
        self.replace(&place, path, content, meta, mode)?;
        let back = self.read(path)?.ok_or_else(|| anyhow!("{path} is gone right after it was written"))?;
        if back.bytes != content {
            bail!("{path} reads back differently from what was written");
        }
        Ok(())
    }

    fn replace(&self, place: &Place, path: &str, content: &[u8], meta: Option<&Meta>, mode: u32) -> Result<()> {
        let temporary = temporary_name(&place.name);
        // A leftover of a killed run; the lock makes us the only one who uses this name.
        let _ = unlinkat(&place.dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        let result = self.fill_and_rename(place, path, &temporary, content, meta, mode);
        if result.is_err() && !self.faults.is_dead() {
            let _ = unlinkat(&place.dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
        result
    }

    fn fill_and_rename(
        &self,
        place: &Place,
        path: &str,
        temporary: &OsStr,
        content: &[u8],
        meta: Option<&Meta>,
        mode: u32,
    ) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        // Nobody but the owner sees the content until the final mode is set.
        let fd = self.faults.effect(&format!("create beside {path}"), || {
            openat(&place.dir, temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR)
                .with_context(|| format!("cannot create a file beside {path}"))
        })?;
        let mut file = File::from(fd);
        self.faults.write(&format!("write {path}"), content, |bytes| {
            file.write_all(bytes).with_context(|| format!("cannot write {path}"))
        })?;
        self.faults.effect(&format!("attributes of {path}"), || set_meta(&file, path, meta, mode))?;
        self.faults.effect(&format!("fsync {path}"), || {
            fsync(&file).with_context(|| format!("cannot write {path} to disk"))
        })?;
        self.faults.effect(&format!("rename {path}"), || {
            renameat(&place.dir, temporary, &place.dir, place.name.as_os_str())
                .with_context(|| format!("cannot put {path} in place"))
        })?;
        self.sync_dir(place)
    }

    /// Removes what a killed run may have left beside `path`.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove_leftover(&self, path: &str) -> Result<()> {
        self.remove_temporary(path, true)
    }

    /// The same beside a link itself.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove_link_leftover(&self, path: &str) -> Result<()> {
        self.remove_temporary(path, false)
    }

    fn remove_temporary(&self, path: &str, follow: bool) -> Result<()> {
        let Ok(place) = self.resolve(path, follow) else { return Ok(()) };
        let temporary = temporary_name(&place.name);
        if fstatat(&place.dir, temporary.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).is_err() {
            return Ok(());
        }
        self.faults.effect(&format!("remove leftover beside {path}"), || {
            unlinkat(&place.dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir)
                .with_context(|| format!("cannot remove the leftover beside {path}"))
        })
    }

    /// Removes a file, links followed; nothing there is fine.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove_file(&self, path: &str) -> Result<()> {
        self.unlink(path, true)
    }

    /// Removes what is at `path` itself, a link or a file; nothing there is fine.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove_link(&self, path: &str) -> Result<()> {
        self.unlink(path, false)
    }

    fn unlink(&self, path: &str, follow: bool) -> Result<()> {
        let place = match self.resolve(path, follow) {
            Ok(place) => place,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            Err(error) => bail!("cannot remove {path}: {}", std::io::Error::from(error)),
        };
        self.faults.effect(&format!("remove {path}"), || {
            match unlinkat(&place.dir, place.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => Ok(()),
                Err(error) => Err(anyhow!("cannot remove {path}: {}", std::io::Error::from(error))),
            }
        })?;
        self.sync_dir(&place)
    }

    /// Removes a directory if it is empty. Nothing there is fine, and so is a directory that others use.
    ///
    /// # Errors
    /// When it is empty and cannot be removed.
    pub fn remove_empty_dir(&self, path: &str) -> Result<()> {
        let Ok(place) = self.resolve(path, false) else { return Ok(()) };
        self.faults.effect(&format!("rmdir {path}"), || {
            match unlinkat(&place.dir, place.name.as_os_str(), UnlinkatFlags::RemoveDir) {
                Ok(()) | Err(Errno::ENOENT | Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => Ok(()),
                Err(error) => Err(anyhow!("cannot remove directory {path}: {}", std::io::Error::from(error))),
            }
        })?;
        self.sync_dir(&place)
    }

    /// Makes a symbolic link, replacing a link that says something else. Anything but a link is left and is an error.
    ///
    /// # Errors
    /// When a real file is in the way, and whatever the system refuses.
    pub fn make_link(&self, path: &str, target: &str) -> Result<()> {
        if self.link(path).as_deref() == Some(target) {
            return Ok(());
        }
        let place = self.place(path, "link", false)?;
        match self.kind(path) {
            None | Some(EntryKind::Link) => {}
            Some(_) => bail!("cannot link {path}: a real file is there"),
        }
        let temporary = temporary_name(&place.name);
        let _ = unlinkat(&place.dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        let result = self.link_and_rename(&place, path, &temporary, target);
        if result.is_err() && !self.faults.is_dead() {
            let _ = unlinkat(&place.dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
        result
    }

    fn link_and_rename(&self, place: &Place, path: &str, temporary: &OsStr, target: &str) -> Result<()> {
        self.faults.effect(&format!("symlink beside {path}"), || {
            symlinkat(target, &place.dir, temporary).with_context(|| format!("cannot link {path}"))
        })?;
        self.faults.effect(&format!("rename {path}"), || {
            renameat(&place.dir, temporary, &place.dir, place.name.as_os_str())
                .with_context(|| format!("cannot put link {path} in place"))
        })?;
        self.sync_dir(place)
    }

    /// Opens a file for appending, made with mode 0600 when missing.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn append(&self, path: &str) -> Result<Append> {
        let place = self.place(path, "open", true)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = self.faults.effect(&format!("open {path}"), || {
            openat(&place.dir, place.name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
                .with_context(|| format!("cannot open {path}"))
        })?;
        self.sync_dir(&place)?;
        Ok(Append { file: File::from(fd), path: path.to_owned(), faults: self.faults.clone() })
    }

    /// Opens (or makes) a file to lock it.
    pub(super) fn open_for_lock(&self, path: &str) -> Result<File> {
        let place = self.place(path, "open", true)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&place.dir, place.name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .with_context(|| format!("cannot open the lock {path}"))?;
        Ok(File::from(fd))
    }

    fn sync_dir(&self, place: &Place) -> Result<()> {
        let shown = place.path.parent().unwrap_or(Path::new("/")).display().to_string();
        self.faults.effect(&format!("fsync directory {shown}"), || {
            let fd = openat(&place.dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                .with_context(|| format!("cannot open directory {shown}"))?;
            fsync(&fd).with_context(|| format!("cannot write directory {shown} to disk"))
        })
    }

    fn place(&self, path: &str, action: &'static str, follow: bool) -> Result<Place> {
        self.resolve(path, follow)
            .map_err(|errno| FileError { action, path: path.to_owned(), source: errno.into() }.into())
    }

    /// Walks `path` inside the root. The last component may be missing.
    fn resolve(&self, path: &str, follow_last: bool) -> nix::Result<Place> {
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
                Some(EntryKind::Link) if !last || follow_last => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    let target = PathBuf::from(readlinkat(dir, name.as_os_str())?);
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

fn set_meta(file: &File, path: &str, meta: Option<&Meta>, mode: u32) -> Result<()> {
    use xattr::FileExt as _;
    let Some(meta) = meta else {
        return fchmod(file, Mode::from_bits_truncate(mode)).with_context(|| format!("cannot set the mode of {path}"));
    };
    let own = fstat(file).with_context(|| format!("cannot look at {path}"))?;
    if (own.st_uid, own.st_gid) != (meta.uid, meta.gid) {
        fchown(file, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
            .with_context(|| format!("cannot keep the owner {}:{} of {path}", meta.uid, meta.gid))?;
    }
    // After chown, which clears setuid bits.
    fchmod(file, Mode::from_bits_truncate(meta.mode)).with_context(|| format!("cannot set the mode of {path}"))?;
    for (name, value) in &meta.xattrs {
        if file.get_xattr(name).ok().flatten().as_ref() != Some(value) {
            file.set_xattr(name, value)
                .with_context(|| format!("cannot keep the attribute {} of {path}", name.to_string_lossy()))?;
        }
    }
    Ok(())
}

fn temporary_name(name: &OsStr) -> OsString {
    let mut bytes = vec![b'.'];
    // NAME_MAX is 255.
    bytes.extend(name.as_bytes().iter().take(235));
    bytes.extend(b".castoff-tmp");
    OsString::from_vec(bytes)
}

impl Root {
    /// Sets a restored file's modification time.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_mtime(&self, path: &str, mtime: (i64, i64)) -> Result<()> {
        let place = self.place(path, "touch", true)?;
        self.faults.effect(&format!("mtime of {path}"), || {
            let time = TimeSpec::new(mtime.0, mtime.1);
            let flags = UtimensatFlags::NoFollowSymlink;
            utimensat(&place.dir, place.name.as_os_str(), &TimeSpec::UTIME_OMIT, &time, flags)
                .with_context(|| format!("cannot set the time of {path}"))
        })
    }
}

/// A file that only grows; every append is on disk when it returns.
#[derive(Debug)]
pub struct Append {
    file: File,
    path: String,
    faults: Faults,
}

impl Append {
    /// Appends and waits until it is on disk.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let (file, path) = (&mut self.file, &self.path);
        self.faults.write(&format!("append to {path}"), bytes, |bytes| {
            file.write_all(bytes).with_context(|| format!("cannot write {path}"))
        })?;
        self.faults.effect(&format!("fsync {path}"), || {
            nix::unistd::fdatasync(&*file).with_context(|| format!("cannot write {path} to disk"))
        })
    }

    /// Cuts the file to `length` bytes: takes away a record that a crash left half written.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn truncate(&mut self, length: u64) -> Result<()> {
        let (file, path) = (&self.file, &self.path);
        self.faults
            .effect(&format!("truncate {path}"), || file.set_len(length).with_context(|| format!("cannot cut {path}")))
    }
}
