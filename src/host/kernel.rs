//! The kernel: its release, its host name, its cgroups, and who we are.

use crate::model::CgroupMode;
use anyhow::{Context as _, Result};
use nix::sys::{
    statfs::{CGROUP2_SUPER_MAGIC, FsType, TMPFS_MAGIC, statfs},
    statvfs::statvfs,
};
use std::{fmt::Debug, path::Path};

/// Magic number of cgroup v1 (linux/magic.h).
const CGROUP_SUPER_MAGIC: FsType = FsType(0x0027_e0eb);

/// The room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size.
    pub total_bytes: u64,
    /// What may still be written without root's reserve.
    pub free_bytes: u64,
    /// Inodes; 0 where the file system makes them as needed.
    pub total_inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

/// What the kernel says.
pub trait Kernel: Debug {
    /// The host name.
    fn hostname(&self) -> String;
    /// Release, as `uname -r`.
    fn release(&self) -> Result<String>;
    /// Machine hardware name, as `uname -m`.
    fn arch(&self) -> Result<String>;
    /// The cgroup mode, told by the file systems below `/sys/fs/cgroup`.
    fn cgroup_mode(&self) -> Result<CgroupMode>;
    /// The room on the file system of `path`, or of the nearest directory above it that is there.
    fn space(&self, path: &Path) -> Result<Space>;
    /// Bytes that may still be written there.
    fn free_bytes(&self, path: &Path) -> Result<u64> {
        self.space(path).map(|space| space.free_bytes)
    }
    /// True for root.
    fn is_root(&self) -> bool;
}

/// The kernel below us.
#[derive(Debug, Clone, Copy)]
pub struct RealKernel;

impl Kernel for RealKernel {
    fn hostname(&self) -> String {
        nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    fn release(&self) -> Result<String> {
        let names = nix::sys::utsname::uname().context("cannot ask the kernel for its release")?;
        Ok(names.release().to_string_lossy().into_owned())
    }

    fn arch(&self) -> Result<String> {
        let names = nix::sys::utsname::uname().context("cannot ask the kernel for its architecture")?;
        Ok(names.machine().to_string_lossy().into_owned())
    }

    /// As runc, kubelet and Docker tell it (containerd/cgroups v3 `Mode()`).
    fn cgroup_mode(&self) -> Result<CgroupMode> {
        let top = statfs("/sys/fs/cgroup").context("cannot look at /sys/fs/cgroup")?.filesystem_type();
        if top == CGROUP2_SUPER_MAGIC {
            return Ok(CgroupMode::Unified);
        }
        let unified = statfs("/sys/fs/cgroup/unified").is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC);
        if unified {
            return Ok(CgroupMode::Hybrid);
        }
        anyhow::ensure!(
            top == TMPFS_MAGIC || top == CGROUP_SUPER_MAGIC,
            "/sys/fs/cgroup holds no cgroup file system (type {:#x})",
            top.0
        );
        Ok(CgroupMode::Legacy)
    }

    fn space(&self, path: &Path) -> Result<Space> {
        let found = path.ancestors().find_map(|dir| statvfs(dir).ok());
        let found = found.with_context(|| format!("cannot ask for the free space of {}", path.display()))?;
        Ok(Space {
            total_bytes: found.blocks().saturating_mul(found.fragment_size()),
            free_bytes: found.blocks_available().saturating_mul(found.fragment_size()),
            total_inodes: found.files(),
            free_inodes: found.files_available(),
        })
    }

    fn is_root(&self) -> bool {
        nix::unistd::geteuid().is_root()
    }
}

/// A kernel for tests.
#[derive(Debug, Clone)]
pub struct FakeKernel {
    /// The host name.
    pub hostname: String,
    /// The cgroup mode.
    pub cgroup_mode: CgroupMode,
    /// Whether we are root.
    pub root: bool,
    /// The room on every file system.
    pub free_bytes: u64,
}

impl FakeKernel {
    /// A node with cgroup v2 and endless room, seen by root.
    pub fn new(hostname: &str) -> Self {
        Self { hostname: hostname.to_owned(), cgroup_mode: CgroupMode::Unified, root: true, free_bytes: u64::MAX }
    }
}

impl Kernel for FakeKernel {
    fn hostname(&self) -> String {
        self.hostname.clone()
    }

    fn release(&self) -> Result<String> {
        Ok("6.1.0-fake".to_owned())
    }

    fn arch(&self) -> Result<String> {
        Ok("x86_64".to_owned())
    }

    fn cgroup_mode(&self) -> Result<CgroupMode> {
        Ok(self.cgroup_mode)
    }

    fn space(&self, _: &Path) -> Result<Space> {
        Ok(Space { total_bytes: u64::MAX, free_bytes: self.free_bytes, total_inodes: 1 << 32, free_inodes: 1 << 32 })
    }

    fn is_root(&self) -> bool {
        self.root
    }
}
