//! The few things castoff reads from its environment beside what clap does.

#![allow(clippy::disallowed_methods)] // This is the room that may.

use std::{env, path::PathBuf};

/// True when a variable is set to something.
pub fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// The program that runs, as the kernel knows it.
///
/// # Errors
/// When the kernel does not tell.
pub fn program() -> std::io::Result<PathBuf> {
    env::current_exe()
}

/// The name the program was started by.
pub fn name() -> Option<String> {
    env::args_os().next().map(|name| name.to_string_lossy().into_owned())
}

/// How Ansible names a module that it copies to a node (ansible-core `plugins/action/__init__.py`).
pub const ANSIBLE_MODULE: &str = "AnsiballZ_";

/// What the program was started with, after its name.
pub fn arguments() -> impl Iterator<Item = std::ffi::OsString> {
    env::args_os().skip(1)
}

/// True when the locale's characters are UTF-8 (POSIX: `LC_ALL`, then `LC_CTYPE`, then `LANG`).
pub fn is_utf8() -> bool {
    let value = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()));
    value.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}
