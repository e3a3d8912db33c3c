#![allow(clippy::disallowed_methods)] // replaces this very process by a copy of itself
//! A copy of the program that nobody can write to. A container's process is castoff until its own program starts, and
//! root in it can reach that program's file through `/proc/PID/exe`: it must not be the node's (CVE-2019-5736).

use anyhow::{Context as _, Result};
use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
    unistd::fexecve,
};
use std::{
    ffi::CString,
    fs::File,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

const EXE: &str = "/proc/self/exe";

/// Goes on as a sealed copy in memory; returns when this process is one already.
pub fn ensure() -> Result<()> {
    let mut program = File::open(EXE).with_context(|| format!("cannot read {EXE}"))?;
    let all = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    // Only files in memory have seals; others say EINVAL.
    let seals = fcntl(&program, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_truncate);
    if seals.contains(all) {
        return Ok(());
    }
    let what = "cannot make a sealed copy of castoff in memory";
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut copy = File::from(memfd_create(c"castoff-oci", flags).context(what)?);
    std::io::copy(&mut program, &mut copy).context(what)?;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(all)).context(what)?;
    let args: Result<Vec<CString>, _> = std::env::args_os().map(|arg| CString::new(arg.into_vec())).collect();
    let env: Result<Vec<CString>, _> = std::env::vars_os()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect();
    let errno = fexecve(&copy, &args.context(what)?, &env.context(what)?).unwrap_err();
    Err(errno).context("cannot go on as a sealed copy of castoff")
}
