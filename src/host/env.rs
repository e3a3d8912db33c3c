//! The few things castoff reads from its environment beside what clap does.

#![allow(clippy::disallowed_methods)] // This is the room that may.

use std::{
    env,
    path::{Path, PathBuf},
};

/// True when a variable is set to something.
pub fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// The program that runs, as the kernel knows it; the one that has taken its place, where it was replaced meanwhile.
///
/// # Errors
/// When the kernel does not tell.
pub fn program() -> std::io::Result<PathBuf> {
    env::current_exe().map(|program| in_place(program, &|path| path.exists()))
}

/// Of a file that is gone the kernel adds that to its name (proc(5), `/proc/PID/exe`).
fn in_place(program: PathBuf, is_there: &dyn Fn(&Path) -> bool) -> PathBuf {
    let replaced = program.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map(PathBuf::from);
    replaced.filter(|path| !is_there(&program) && is_there(path)).unwrap_or(program)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_the_one_in_its_place() {
        for (told, there, program) in [
            ("/usr/bin/castoff", "/usr/bin/castoff", "/usr/bin/castoff"),
            ("/usr/bin/castoff (deleted)", "/usr/bin/castoff", "/usr/bin/castoff"),
            ("/usr/bin/castoff (deleted)", "", "/usr/bin/castoff (deleted)"),
            ("/opt/x (deleted)", "/opt/x (deleted)", "/opt/x (deleted)"),
        ] {
            assert_eq!(in_place(told.into(), &|path| path == Path::new(there)), Path::new(program), "{told}");
        }
    }
}
