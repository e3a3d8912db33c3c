//! What would keep a file from being replaced, found out without touching it.

use super::{Root, found};
use nix::{
    fcntl::{OFlag, openat},
    sys::{
        stat::Mode,
        statvfs::{FsFlags, fstatvfs},
    },
};
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, statx};
use std::{
    fmt,
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
};

/// Why a file cannot be replaced, or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It lies on a file system that is mounted read-only.
    ReadOnly,
    /// It, or its directory, has the attribute `i` or `a` (chattr), which not even root passes over.
    Immutable(String),
    /// It is a mount of its own: no other file can take its name.
    Mount,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly => f.write_str("it lies on a file system that is mounted read-only"),
            Self::Immutable(path) => write!(f, "{path} is immutable or append-only (`lsattr -d {path}` shows it)"),
            Self::Mount => f.write_str("something is mounted on it, so it cannot be replaced as a whole"),
        }
    }
}

impl Root {
    /// What would keep `path` from being replaced or made, links followed. `None` also where that cannot be told: the
    /// act itself will.
    pub fn obstacle(&self, path: &str) -> Option<Obstacle> {
        // Below a directory that is still to be made, the one above it decides.
        let parent = Path::new(path).parent().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default();
        let first = self.missing_dirs(&parent).into_iter().next();
        let place = self.resolve(first.as_deref().unwrap_or(path), true).ok()?;
        // statvfs and statx want more than a path-only descriptor on old kernels.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = openat(&place.dir, ".", flags, Mode::empty()).ok()?;
        if fstatvfs(&dir).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY)) {
            return Some(Obstacle::ReadOnly);
        }
        let above = place.path.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        if fixed(attributes(dir.as_fd(), Path::new("."))) {
            return Some(Obstacle::Immutable(above));
        }
        found(nix::sys::stat::fstatat(&place.dir, place.name.as_os_str(), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW))
            .ok()
            .flatten()?;
        let own = attributes(dir.as_fd(), Path::new(&place.name));
        if fixed(own) {
            return Some(Obstacle::Immutable(place.path.to_string_lossy().into_owned()));
        }
        own.contains(StatxAttributes::MOUNT_ROOT).then_some(Obstacle::Mount)
    }
}

/// None before Linux 4.11; mount points are told since 5.8 (statx(2)).
fn attributes(dir: BorrowedFd<'_>, name: &Path) -> StatxAttributes {
    let stat = statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    stat.map_or(StatxAttributes::empty(), |stat| stat.stx_attributes & stat.stx_attributes_mask)
}

const fn fixed(attributes: StatxAttributes) -> bool {
    attributes.intersects(StatxAttributes::IMMUTABLE.union(StatxAttributes::APPEND))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Faults;

    #[test]
    fn an_ordinary_place_has_none() {
        let tmp = tempfile::tempdir().unwrap();
        let root = Root::open(tmp.path(), Faults::none()).unwrap();
        root.make_dirs("/etc", 0o755).unwrap();
        for path in ["/etc/new", "/etc/not/yet/there", "/top"] {
            assert_eq!(root.obstacle(path), None, "{path}");
        }
    }
}
