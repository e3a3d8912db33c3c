//! The last steps of a container's process, in its own place: filters, capabilities, and the program.
//!
//! libcontainer drops the capabilities before it calls this, and a seccomp filter can then be installed only under
//! `no_new_privs`. So the capabilities are taken out of the specification it sees, and dropped here, in runc's order:
//! filter first without `no_new_privs`, last with it.

use super::seccomp::Filters;
use libcontainer::{
    capabilities::drop_privileges,
    oci_spec::runtime::{LinuxCapabilities, Process, Spec},
    syscall::syscall::create_syscall,
    workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError},
};
use nix::{
    mount::{MsFlags, mount},
    sys::stat::{SFlag, stat},
    unistd::{AccessFlags, access, execve},
};
use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::{CString, NulError},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    rc::Rc,
};

/// Where programs are looked for when the process has no PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the process still needs before its program starts.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// Filters to install.
    pub filters: Option<Filters>,
    /// Capabilities to keep; `None` keeps all.
    pub capabilities: Option<LinuxCapabilities>,
    /// Mounts that are cut off from the node's; libcontainer makes all of them receive what is mounted there later.
    pub private: Vec<PathBuf>,
    env: Rc<RefCell<HashMap<String, String>>>,
}

impl Payload {
    /// A payload with filters and capabilities.
    pub fn new(filters: Option<Filters>, capabilities: Option<LinuxCapabilities>) -> Self {
        Self { filters, capabilities, private: Vec::new(), env: Rc::default() }
    }

    fn install(&self) -> Result<(), ExecutorError> {
        let Some(filters) = &self.filters else { return Ok(()) };
        filters.install().map_err(|errno| other(format!("failed to install the seccomp filter: {errno}")))
    }

    /// Best effort: one that runs as somebody else than root has no right to do it any more.
    fn cut_off(&self) {
        for path in &self.private {
            let none: Option<&str> = None;
            if let Err(errno) = mount(none, path, none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none) {
                tracing::debug!("{} cannot be made private: {errno}", path.display());
            }
        }
    }

    /// The environment in the specification's order, then what libcontainer has added. A user whom the container's
    /// passwd does not know lives in `/`, as under runc.
    fn env(&self, process: &Process) -> Result<Vec<CString>, NulError> {
        let mut left = self.env.borrow().clone();
        left.entry("HOME".to_owned()).or_insert_with(|| "/".to_owned());
        let names = process.env().iter().flatten().map(|entry| entry.split('=').next().unwrap_or_default());
        let mut entries: Vec<String> = Vec::new();
        for name in names {
            entries.extend(left.remove(name).map(|value| format!("{name}={value}")));
        }
        let mut added: Vec<String> = left.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        added.sort();
        entries.into_iter().chain(added).map(CString::new).collect()
    }

    fn drop_capabilities(&self) -> Result<(), ExecutorError> {
        let Some(keep) = &self.capabilities else { return Ok(()) };
        drop_privileges(keep, create_syscall().as_ref())
            .map_err(|error| other(format!("failed to drop capabilities: {error}")))
    }
}

impl Executor for Payload {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let found = process(spec).and_then(|process| program(process).map(drop));
        found.map_err(|error| ExecutorValidationError::ArgValidationError(error.to_string()))
    }

    /// The environment of this process, which still runs castoff's code, stays as it is.
    fn setup_envs(&self, envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        self.env.replace(envs);
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = process(spec)?;
        let program = program(process)?;
        let args = process.args().iter().flatten().map(|arg| CString::new(arg.as_str()));
        let args = args.collect::<Result<Vec<_>, _>>().map_err(|_| ExecutorError::InvalidArg)?;
        let file = CString::new(program.as_os_str().as_bytes()).map_err(|_| ExecutorError::InvalidArg)?;
        self.cut_off();
        let late = process.no_new_privileges() == Some(true);
        if !late {
            self.install()?;
        }
        self.drop_capabilities()?;
        if late {
            self.install()?;
        }
        let env = self.env(process).map_err(|_| ExecutorError::InvalidArg)?;
        let errno = execve(&file, &args, &env).unwrap_err();
        Err(other(format!("exec {}: {errno}", program.display())))
    }
}

fn other(message: String) -> ExecutorError {
    ExecutorError::Other(message)
}

fn process(spec: &Spec) -> Result<&Process, ExecutorError> {
    spec.process().as_ref().ok_or_else(|| other("the specification has no process".to_owned()))
}

/// The file of the program, looked for in the container's own file system and PATH.
fn program(process: &Process) -> Result<PathBuf, ExecutorError> {
    let name = process.args().iter().flatten().next().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| other("the process has no arguments".to_owned()))?;
    if name.contains('/') {
        // Relative to the working directory, which it is in by now.
        let file = PathBuf::from(name);
        return match usable(&file) {
            Ok(()) => Ok(file),
            Err(errno) => Err(other(format!("exec {name}: {}", words(errno)))),
        };
    }
    let path = process.env().iter().flatten().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(PATH);
    let file = path
        .split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| PathBuf::from(dir).join(name))
        .find(|file| usable(file).is_ok());
    file.ok_or_else(|| other(format!("exec {name}: executable file not found in $PATH")))
}

fn usable(file: &Path) -> nix::Result<()> {
    access(file, AccessFlags::X_OK)?;
    // Who may enter a directory cannot run it.
    let kind = SFlag::from_bits_truncate(stat(file)?.st_mode & SFlag::S_IFMT.bits());
    if kind == SFlag::S_IFREG { Ok(()) } else { Err(nix::errno::Errno::EACCES) }
}

/// The words runc has for them, which callers look for.
fn words(errno: nix::errno::Errno) -> &'static str {
    match errno {
        nix::errno::Errno::ENOENT => "no such file or directory",
        nix::errno::Errno::EACCES => "permission denied",
        other => other.desc(),
    }
}
