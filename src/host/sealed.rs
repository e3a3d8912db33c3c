//! A file as nobody can write to it, without a copy: through a mount of its own that is in no namespace.

#![allow(clippy::disallowed_methods, reason = "the kernel's own tables, and a file that is open already")]

use nix::{errno::Errno, libc};
use rustix::{
    fs::CWD,
    mount::{OpenTreeFlags, open_tree},
};
use std::{
    fs::{self, File},
    os::fd::{AsRawFd as _, OwnedFd},
};

/// The file at `path`, through a read-only mount that only this descriptor has: neither it nor `/proc/PID/exe` of what
/// is started by it can be opened to write. Needs CAP_SYS_ADMIN and Linux 5.12.
///
/// # Errors
/// The kernel's: EPERM without the privilege, EINVAL for a file of another mount namespace.
#[allow(unsafe_code, reason = "neither nix nor rustix has mount_setattr")]
pub fn read_only_view(path: &str) -> nix::Result<OwnedFd> {
    let tree = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
    let attributes = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: `attributes` has the size that is said and lives until the call is over; the path is an empty C string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(|_| tree)
}

/// Whether an open file is one of [`read_only_view`]: on a read-only mount that is in no namespace of this process.
pub fn is_view(file: &File) -> bool {
    let read_only = nix::sys::statvfs::fstatvfs(file)
        .is_ok_and(|mount| mount.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
    let own = |mounts: String, id: &str| mounts.lines().any(|line| line.split(' ').next() == Some(id));
    read_only
        && fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).is_ok_and(|info| {
            let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
            id.is_some_and(|id| fs::read_to_string("/proc/self/mountinfo").is_ok_and(|mounts| !own(mounts, id.trim())))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_can_be_read_and_never_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, "text").unwrap();
        let file = File::open(&path).unwrap();
        assert!(!is_view(&file), "an ordinary file is none");
        // Only root can make one.
        let Ok(view) = read_only_view(path.to_str().unwrap()) else { return };
        let through = format!("/proc/self/fd/{}", view.as_raw_fd());
        assert_eq!(fs::read_to_string(&through).unwrap(), "text");
        let refused = fs::OpenOptions::new().write(true).open(&through).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
        assert!(is_view(&File::open(&through).unwrap()));
        fs::write(&path, "others may").unwrap();
    }
}
