#![allow(clippy::disallowed_methods)] // replaces this very process by a copy of itself
//! The program as nobody can write to it. A container's process is castoff until its own program starts, and
//! root in it can reach that program's file through `/proc/PID/exe`: it must not be the node's (CVE-2019-5736).

use crate::host;
use anyhow::{Context as _, Result};
use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
    unistd::fexecve,
};
use std::{
    ffi::CString,
    fs::File,
    os::fd::{AsFd, AsRawFd as _},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

const EXE: &str = "/proc/self/exe";

/// Goes on as the program on a read-only mount of its own, or, without the right to make one, as a sealed copy in memory;
/// returns when this process is one of the two already.
pub fn ensure() -> Result<()> {
    let mut program = File::open(EXE).with_context(|| format!("cannot read {EXE}"))?;
    let all = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    // Only files in memory have seals; others say EINVAL.
    let seals = fcntl(&program, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_truncate);
    if seals.contains(all) || host::sealed::is_view(&program) {
        return Ok(());
    }
    // A copy of the whole program would be a quarter of the time a container takes.
    if let Ok(view) = host::sealed::read_only_view(EXE)
        // What the next process will ask of itself.
        && File::open(format!("/proc/self/fd/{}", view.as_raw_fd())).is_ok_and(|file| host::sealed::is_view(&file))
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
