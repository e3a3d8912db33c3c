#![allow(clippy::disallowed_methods)] // works on open directories, where `Root`'s paths would be resolved again for each file
//! Comparing two layers, entry by entry.

use super::{
    Root,
    clone::{entries, expect_shallow, xattrs},
    layers::open_dir,
};
use anyhow::{Context as _, Result, bail};
use rustix::fs::{self as sys, AtFlags, CWD, FileType, Mode, OFlags, Stat};
use std::{
    ffi::{OsStr, OsString},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::ffi::OsStringExt as _,
    path::Path,
};

/// Without being asked for all, one entry in so many is compared; directories all, and that no entry is missing.
const ENTRIES: u64 = 10;
/// And the content of one file in so many.
const CONTENT: u64 = 50;

impl Root {
    /// Fails when two layers differ in what a container could see: entries, kinds, owners, modes, sizes, times, devices,
    /// targets of links, extended attributes, and the content of files. Without `content` it looks at some of them only.
    ///
    /// # Errors
    /// Names the first difference, or what cannot be read.
    pub fn compare_layers(&self, one: &str, other: &str, content: bool) -> Result<()> {
        let (one, other) = (open_dir(CWD, &self.outside(one))?, open_dir(CWD, &self.outside(other))?);
        let place = |dir: &OwnedFd| sys::fstat(dir).map(|stat| (stat.st_dev, stat.st_ino));
        // The very same directory.
        if place(&one)? == place(&other)? {
            return Ok(());
        }
        let mut comparison = Comparison { content, entries: 0, files: 0 };
        comparison.same(one.as_fd(), other.as_fd(), OsStr::new("."), Path::new("."))?;
        comparison.dirs(one.as_fd(), other.as_fd(), Path::new(""))
    }
}

struct Comparison {
    content: bool,
    entries: u64,
    files: u64,
}

impl Comparison {
    fn dirs(&mut self, x: BorrowedFd<'_>, y: BorrowedFd<'_>, path: &Path) -> Result<()> {
        expect_shallow(path)?;
        let (mut here, mut there) = (entries(x)?, entries(y)?);
        here.sort();
        there.sort();
        if let Some(name) = here.iter().find(|name| there.binary_search(name).is_err()) {
            bail!("{} is missing", path.join(OsString::from_vec(name.to_bytes().to_vec())).display());
        }
        if let Some(name) = there.iter().find(|name| here.binary_search(name).is_err()) {
            bail!("{} is one too many", path.join(OsString::from_vec(name.to_bytes().to_vec())).display());
        }
        for name in here {
            let name = OsString::from_vec(name.into_bytes());
            let at = path.join(&name);
            if self.same(x, y, &name, &at)? {
                let (x, y) = (open_dir(x, Path::new(&name))?, open_dir(y, Path::new(&name))?);
                self.dirs(x.as_fd(), y.as_fd(), &at)?;
            }
        }
        Ok(())
    }

    /// True for directories.
    fn same(&mut self, x: BorrowedFd<'_>, y: BorrowedFd<'_>, name: &OsStr, at: &Path) -> Result<bool> {
        let what = || format!("cannot look at {}", at.display());
        let p = sys::statat(x, name, AtFlags::SYMLINK_NOFOLLOW).with_context(what)?;
        let is_dir = FileType::from_raw_mode(p.st_mode) == FileType::Directory;
        self.entries += 1;
        if !self.content && !is_dir && !self.entries.is_multiple_of(ENTRIES) {
            return Ok(false);
        }
        let q = sys::statat(y, name, AtFlags::SYMLINK_NOFOLLOW).with_context(what)?;
        if (p.st_dev, p.st_ino) == (q.st_dev, q.st_ino) {
            return Ok(false);
        }
        if let Some(field) = different(&p, &q) {
            bail!("{} has another {field}", at.display());
        }
        let (mut here, mut there) = (xattrs(x, name)?, xattrs(y, name)?);
        here.sort();
        there.sort();
        if here != there {
            bail!("{} has other extended attributes", at.display());
        }
        match FileType::from_raw_mode(p.st_mode) {
            FileType::Directory => return Ok(true),
            FileType::Symlink if sys::readlinkat(x, name, Vec::new())? != sys::readlinkat(y, name, Vec::new())? => {
                bail!("{} is a link to something else", at.display());
            }
            FileType::RegularFile => {
                self.files += 1;
                if self.content || self.files % (CONTENT / ENTRIES) == 1 {
                    same_content(x, y, name, at)?;
                }
            }
            _ => {}
        }
        Ok(false)
    }
}

fn different(p: &Stat, q: &Stat) -> Option<&'static str> {
    let is_dir = FileType::from_raw_mode(p.st_mode) == FileType::Directory;
    if p.st_mode != q.st_mode {
        Some("kind or mode")
    } else if (p.st_uid, p.st_gid) != (q.st_uid, q.st_gid) {
        Some("owner")
    } else if !is_dir && p.st_size != q.st_size {
        Some("size")
    } else if (p.st_mtime, p.st_mtime_nsec) != (q.st_mtime, q.st_mtime_nsec) {
        Some("time")
    } else if p.st_rdev != q.st_rdev {
        Some("device")
    } else {
        None
    }
}

fn same_content(x: BorrowedFd<'_>, y: BorrowedFd<'_>, name: &OsStr, at: &Path) -> Result<()> {
    let open = |dir| -> Result<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOATIME;
        Ok(std::fs::File::from(sys::openat(dir, name, flags, Mode::empty())?))
    };
    let (mut here, mut there) = (open(x)?, open(y)?);
    let (mut read, mut also) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let (count, counted) = (fill(&mut here, &mut read)?, fill(&mut there, &mut also)?);
        if read.get(..count) != also.get(..counted) {
            bail!("{} has another content", at.display());
        }
        if count == 0 {
            return Ok(());
        }
    }
}

fn fill(file: &mut std::fs::File, buffer: &mut [u8]) -> Result<usize> {
    use std::io::Read as _;
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(buffer.get_mut(filled..).unwrap_or_default())? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
