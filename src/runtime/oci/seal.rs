#![allow(clippy::disallowed_methods)] // replaces this very process by a copy of itself
//! The program as nobody can write to it. A container's process is castoff until its own program starts, and
//! root in it can reach that program's file through `/proc/PID/exe`: it must not be the node's (CVE-2019-5736).

use anyhow::{Context as _, Result};
use libcontainer::syscall::{
    linux::{AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, MountAttr},
    syscall::create_syscall,
};
use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    libc,
    sys::{
        memfd::{MFdFlags, memfd_create},
        statvfs::{FsFlags, fstatvfs},
    },
    unistd::fexecve,
};
use std::{
    ffi::CString,
    fs::{self, File},
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

const EXE: &str = "/proc/self/exe";

/// Goes on as the program on a read-only mount of its own, or, without the right to make one, as a sealed copy in memory;
/// returns when this process is one of the two already.
pub fn ensure() -> Result<()> {
    let mut program = File::open(EXE).with_context(|| format!("cannot read {EXE}"))?;
    let all = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    // Only files in memory have seals; others say EINVAL.
    let seals = fcntl(&program, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_truncate);
    if seals.contains(all) || is_view(&program) {
        return Ok(());
    }
    // A copy of the whole program would be a quarter of the time a container takes.
    if let Ok(view) = read_only_view(EXE)
        // What the next process will ask of itself.
        && File::open(format!("/proc/self/fd/{}", view.as_raw_fd())).is_ok_and(|file| is_view(&file))
    {
        go_on_as(&view)?;
    }
    let what = "cannot make a sealed copy of castoff in memory";
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut copy = File::from(memfd_create(c"castoff-oci", flags).context(what)?);
    std::io::copy(&mut program, &mut copy).context(what)?;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(all)).context(what)?;
    go_on_as(&copy)
}

/// The file at `path` through a read-only mount that only this descriptor has: neither it nor `/proc/PID/exe` of what is
/// started by it can be opened to write. Needs CAP_SYS_ADMIN and Linux 5.12.
fn read_only_view(path: &str) -> Result<OwnedFd> {
    let system = create_syscall();
    let clone = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    let tree = system.open_tree(libc::AT_FDCWD, Some(path), clone)?;
    let attributes = MountAttr { attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    system.mount_setattr(tree.as_fd(), Path::new(""), AT_EMPTY_PATH, &attributes, size_of::<MountAttr>())?;
    Ok(tree)
}

/// Whether an open file is one of [`read_only_view`]: on a read-only mount that is in no namespace of this process.
fn is_view(file: &File) -> bool {
    let read_only = fstatvfs(file).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY));
    read_only && is_elsewhere(file).unwrap_or(false)
}

/// Whether a file's mount is not in the list of this process's.
fn is_elsewhere(file: &File) -> Result<bool> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).context("a file without a mount")?.trim();
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(!mounts.lines().any(|line| line.split(' ').next() == Some(id)))
}

/// Returns only when it fails.
fn go_on_as(program: impl AsFd) -> Result<()> {
    let what = "cannot go on as a copy of castoff";
    let args: Result<Vec<CString>, _> = std::env::args_os().map(|arg| CString::new(arg.into_vec())).collect();
    let env: Result<Vec<CString>, _> = std::env::vars_os()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect();
    let errno = fexecve(program, &args.context(what)?, &env.context(what)?).unwrap_err();
    Err(errno).context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_can_be_read_and_never_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, "text").unwrap();
        assert!(!is_view(&File::open(&path).unwrap()), "an ordinary file is none");
        let view = match read_only_view(path.to_str().unwrap()) {
            Ok(view) => view,
            // Who is not root gets none, and goes on as a copy.
            Err(error) => {
                assert!(format!("{error:#}").contains("EPERM"), "{error:#}");
                return;
            }
        };
        let through = format!("/proc/self/fd/{}", view.as_raw_fd());
        assert_eq!(fs::read_to_string(&through).unwrap(), "text");
        let refused = fs::OpenOptions::new().write(true).open(&through).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
        assert!(is_view(&File::open(&through).unwrap()));
        fs::write(&path, "others may").unwrap();
    }
}
