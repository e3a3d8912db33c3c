//! A seccomp filter for this process and all it will start.

use nix::{errno::Errno, libc};
use seccompiler::sock_filter;

/// Installs a filter. Needs `no_new_privs` or CAP_SYS_ADMIN. `flags` are `SECCOMP_FILTER_FLAG_…`.
///
/// # Errors
/// The kernel's.
#[allow(unsafe_code, reason = "a filter is handed to the kernel as a pointer")]
pub fn install_filter(program: &[sock_filter], flags: libc::c_ulong) -> nix::Result<()> {
    let len = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    // The same layout: seccompiler has its own type only to give it more traits.
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut() };
    // SAFETY: `fprog` points to `len` instructions that live until the call is over; the kernel copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog) };
    Errno::result(result).map(drop)
}
