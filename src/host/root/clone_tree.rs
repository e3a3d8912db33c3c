#![allow(clippy::disallowed_methods)] // works on open directories, where `Root`'s paths would be resolved again for each file
//! Cloning a tree. Most of a file's cost are transactions of its file system, which takes them from several threads at once.

use super::{
    clone::{Cloned, Cloning, copy, dress, dress_special, entries, expect_shallow, placed},
    layers::open_dir,
};
use anyhow::{Result, anyhow};
use rustix::{
    fs::{self as sys, AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

/// Threads at most, the walking one among them. Measured with two (`benches/README.md`); a node has other work to do.
const MOST_THREADS: usize = 4;
/// Files that wait for a thread. Each may hold two directories open, of the 1024 files that a process usually may.
const WAITING: usize = 128;

/// Clones what is in one directory into an empty one, and gives that the looks of the first.
///
/// # Errors
/// [`super::clone::NotPlain`], or what the system refuses; a part is there then.
pub(super) fn tree(source: OwnedFd, target: OwnedFd, how: Cloning) -> Result<Cloned> {
    let stat = sys::fstat(&source)?;
    let root = sys::openat(&target, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let top = Arc::new(Pair { source: source.into(), target: target.into(), stat });
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let (sender, receiver) = sync_channel(WAITING);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads)
            // Where there can be no further thread, those that are there do it all.
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, || help(&receiver, how)).ok())
            .collect();
        let sender = (!helpers.is_empty()).then_some(sender);
        let mut clone = Clone { root: root.as_fd(), how, sender, seen: HashMap::new(), cloned: Cloned::default() };
        let walked = clone.dir(top, Path::new(""));
        let Clone { sender, mut cloned, .. } = clone;
        // So that they end.
        drop(sender);
        let mut failed = walked.err();
        for helper in helpers {
            match helper.join().unwrap_or_else(|_| Err(anyhow!("a thread that cloned files ended unexpectedly"))) {
                Ok(bytes) => cloned.bytes += bytes,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(cloned), Err)
    })
}

/// Clones files as they come, up to the first that fails; gives how many bytes were copied.
fn help(files: &Mutex<Receiver<Waiting>>, how: Cloning) -> Result<u64> {
    let mut bytes = 0;
    loop {
        let next = files.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(file) = next else { return Ok(bytes) };
        bytes += file.clone(how)?;
    }
}

/// A directory and its clone.
struct Pair {
    source: File,
    target: File,
    stat: Stat,
}

impl Pair {
    /// Lets go of a directory. Whoever does that last gives it its looks: its times change with every entry.
    fn let_go(self: Arc<Self>) -> Result<()> {
        match Arc::into_inner(self) {
            Some(pair) => dress(&pair.source, &pair.target, &pair.stat),
            None => Ok(()),
        }
    }
}

/// A file that waits to be cloned.
struct Waiting {
    dir: Arc<Pair>,
    name: OsString,
    at: PathBuf,
    stat: Stat,
}

impl Waiting {
    fn clone(self, how: Cloning) -> Result<u64> {
        let done = file(self.dir.source.as_fd(), self.dir.target.as_fd(), &self.name, &self.stat, how);
        done.and_then(|bytes| self.dir.let_go().map(|()| bytes)).map_err(|error| placed(error, &self.at))
    }
}

struct Clone<'a> {
    root: BorrowedFd<'a>,
    how: Cloning,
    /// To the threads that help; absent where there are none.
    sender: Option<SyncSender<Waiting>>,
    /// Files with several names: where the first of them was made.
    seen: HashMap<(u64, u64), PathBuf>,
    cloned: Cloned,
}

impl Clone<'_> {
    fn dir(&mut self, dir: Arc<Pair>, path: &Path) -> Result<()> {
        expect_shallow(path)?;
        for name in entries(dir.source.as_fd())? {
            let name = OsString::from_vec(name.into_bytes());
            let at = path.join(&name);
            self.entry(&dir, name, &at).map_err(|error| placed(error, &at))?;
            self.cloned.entries += 1;
        }
        dir.let_go()
    }

    fn entry(&mut self, dir: &Arc<Pair>, name: OsString, at: &Path) -> Result<()> {
        let (from, to) = (dir.source.as_fd(), dir.target.as_fd());
        let stat = sys::statat(from, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let has_names = kind != FileType::Directory && stat.st_nlink > 1;
        if has_names {
            if let Some(first) = self.seen.get(&(stat.st_dev, stat.st_ino)) {
                return Ok(sys::linkat(self.root, first, to, &name, AtFlags::empty())?);
            }
            self.seen.insert((stat.st_dev, stat.st_ino), at.to_owned());
        }
        match kind {
            FileType::Directory => {
                sys::mkdirat(to, &name, Mode::RWXU)?;
                let source = File::from(open_dir(from, Path::new(&name))?);
                let target = File::from(open_dir(to, Path::new(&name))?);
                self.dir(Arc::new(Pair { source, target, stat }), at)
            }
            // It has to be there when its next name comes.
            FileType::RegularFile if has_names => {
                self.cloned.bytes += file(from, to, &name, &stat, self.how)?;
                Ok(())
            }
            FileType::RegularFile => self.hand_over(Waiting { dir: Arc::clone(dir), name, at: at.to_owned(), stat }),
            FileType::Symlink => {
                let target = sys::readlinkat(from, &name, Vec::new())?;
                sys::symlinkat(&target, to, &name)?;
                dress_special(from, to, &name, &stat)
            }
            kind => {
                sys::mknodat(to, &name, kind, Mode::RUSR | Mode::WUSR, stat.st_rdev)?;
                dress_special(from, to, &name, &stat)
            }
        }
    }

    /// To a thread that has time, else done here.
    fn hand_over(&mut self, file: Waiting) -> Result<()> {
        let left = match &self.sender {
            None => file,
            Some(sender) => match sender.try_send(file) {
                Ok(()) => return Ok(()),
                // All are busy, or have failed, and say so at the end.
                Err(TrySendError::Full(file) | TrySendError::Disconnected(file)) => file,
            },
        };
        self.cloned.bytes += left.clone(self.how)?;
        Ok(())
    }
}

/// Clones one file; gives how many bytes were copied for that.
fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr, stat: &Stat, how: Cloning) -> Result<u64> {
    if how == Cloning::Hardlink {
        match sys::linkat(from, name, to, name, AtFlags::empty()) {
            Ok(()) => return Ok(0),
            // The most links a file may have, or a file that must not change.
            Err(Errno::MLINK | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOATIME;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = sys::openat(from, name, read, Mode::empty())?;
    let target = sys::openat(to, name, write, Mode::from_raw_mode(stat.st_mode & 0o777))?;
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let mut bytes = 0;
    if how != Cloning::Reflink {
        bytes = copy(&source, &target, size)?;
    } else if size > 0 {
        sys::ioctl_ficlone(&target, &source)?;
    }
    dress(&File::from(source), &File::from(target), stat)?;
    Ok(bytes)
}
