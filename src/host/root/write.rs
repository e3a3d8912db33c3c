//! Changing files below a root. Every change is one effect that a script of failures can attack, and is on disk when
//! its function returns.

use super::{EntryKind, Follow, Meta, Place, Root, SyncCount, kind_of};
use crate::{host::Faults, model::Digest};
use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, renameat},
    sys::{
        stat::{Mode, UtimensatFlags, fchmod, fstat, fstatat, mkdirat, utimensat},
        time::TimeSpec,
    },
    unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, symlinkat, unlinkat},
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Write as _,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

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
    /// This mode and the caller's identity, whatever was there.
    New {
        /// Permission bits.
        mode: u32,
    },
    /// Exactly these.
    Exactly(&'a Meta),
}

impl Root {
    /// Makes `path` and its missing parents.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn make_dirs(&self, path: &str, mode: u32) -> Result<()> {
        for dir in self.missing_dirs(path) {
            let place = self.place(&dir, "make", Follow::Any)?;
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
        // What is the caller's own goes where the caller or root says.
        let follow = if matches!(attributes, Attributes::New { .. }) { Follow::Own } else { Follow::Any };
        let place = self.place(path, "write", follow)?;
        let current = self.read_own(path)?;
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
            Attributes::New { .. } => None,
        };
        let mode = match attributes {
            Attributes::Keep { mode } | Attributes::New { mode } => mode,
            Attributes::Exactly(meta) => meta.mode,
        };
        self.replace(&place, path, content, meta, mode)?;
        let back = self.read_own(path)?.ok_or_else(|| anyhow!("{path} is gone right after it was written"))?;
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
            self.syncs.time(|| fsync(&file)).with_context(|| format!("cannot write {path} to disk"))
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
        let stat = fstatat(&place.dir, temporary.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        // castoff leaves no directory behind: whoever made one of that name knows why.
        if stat.map_or(true, |stat| kind_of(&stat) == EntryKind::Dir) {
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
        let place = self.place(path, "link", Follow::None)?;
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
        let place = self.place(path, "open", Follow::Any)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = self.faults.effect(&format!("open {path}"), || {
            openat(&place.dir, place.name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
                .with_context(|| format!("cannot open {path}"))
        })?;
        self.sync_dir(&place)?;
        let (faults, syncs) = (self.faults.clone(), self.syncs.clone());
        Ok(Append { file: File::from(fd), path: path.to_owned(), faults, syncs })
    }

    /// Sets a restored file's modification time.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_mtime(&self, path: &str, mtime: (i64, i64)) -> Result<()> {
        let place = self.place(path, "touch", Follow::Any)?;
        self.faults.effect(&format!("mtime of {path}"), || {
            let time = TimeSpec::new(mtime.0, mtime.1);
            let flags = UtimensatFlags::NoFollowSymlink;
            utimensat(&place.dir, place.name.as_os_str(), &TimeSpec::UTIME_OMIT, &time, flags)
                .with_context(|| format!("cannot set the time of {path}"))
        })
    }

    /// Waits until everything on the file systems of these directories is on disk, whoever wrote it; each once. A directory
    /// that is not there is fine.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn sync_file_systems(&self, dirs: &[&str]) -> Result<()> {
        let mut synced = Vec::new();
        for dir in dirs.iter().filter(|dir| self.exists(dir)) {
            // Something in it, there or not: its place is the open directory.
            let place = self.place(&format!("{dir}/.castoff"), "sync", Follow::Any)?;
            let fd = openat(&place.dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                .with_context(|| format!("cannot open directory {dir}"))?;
            let device = fstat(&fd).with_context(|| format!("cannot look at {dir}"))?.st_dev;
            if synced.contains(&device) {
                continue;
            }
            synced.push(device);
            self.faults.effect(&format!("syncfs {dir}"), || {
                nix::unistd::syncfs(&fd).with_context(|| format!("cannot write what is in {dir} to disk"))
            })?;
        }
        Ok(())
    }

    fn sync_dir(&self, place: &Place) -> Result<()> {
        let shown = place.path.parent().unwrap_or(Path::new("/")).display().to_string();
        self.faults.effect(&format!("fsync directory {shown}"), || {
            let fd = openat(&place.dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                .with_context(|| format!("cannot open directory {shown}"))?;
            self.syncs.time(|| fsync(&fd)).with_context(|| format!("cannot write directory {shown} to disk"))
        })
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

/// A file that only grows; every append is on disk when it returns.
#[derive(Debug)]
pub struct Append {
    file: File,
    path: String,
    faults: Faults,
    syncs: SyncCount,
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
            self.syncs.time(|| nix::unistd::fdatasync(&*file)).with_context(|| format!("cannot write {path} to disk"))
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
