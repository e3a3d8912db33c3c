//! Where a value came from. Every message castoff prints about a node can name file and line because of this.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of place a value was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OriginKind {
    /// A configuration file.
    File,
    /// A command-line flag; `path` says which file or process holds it.
    Flag,
    /// A systemd unit or drop-in.
    Unit,
    /// A file named by `EnvironmentFile=`.
    EnvFile,
    /// The answer of a running daemon.
    Daemon,
    /// A live process (`/proc/PID`).
    Process,
    /// The kernel.
    Kernel,
    /// The package database.
    Package,
    /// The program's built-in default: nothing sets it.
    Default,
    /// Stated by the user with `--assume`.
    Assumed,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Origin {
    /// The kind of place.
    pub kind: OriginKind,
    /// File path, socket or unit name; absent for built-in defaults.
    #[serde(default)]
    pub path: Option<String>,
    /// Line in `path`, counted from 1, where the place has lines.
    #[serde(default)]
    pub line: Option<u32>,
    /// Flag name, key or API field, where that says more than the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Origin {
    fn new(kind: OriginKind, path: Option<String>, line: Option<u32>) -> Self {
        Self { kind, path, line, detail: None }
    }

    /// A line of a configuration file.
    pub fn file(path: impl Into<String>, line: u32) -> Self {
        Self::new(OriginKind::File, Some(path.into()), Some(line))
    }

    /// A whole file or a path, where no line is to blame.
    pub fn path(path: impl Into<String>) -> Self {
        Self::new(OriginKind::File, Some(path.into()), None)
    }

    /// A flag that stands on a line of a file.
    pub fn flag(name: impl Into<String>, path: impl Into<String>, line: Option<u32>) -> Self {
        Self::new(OriginKind::Flag, Some(path.into()), line).with_detail(name)
    }

    /// A line of a unit file or drop-in.
    pub fn unit(path: impl Into<String>, line: Option<u32>) -> Self {
        Self::new(OriginKind::Unit, Some(path.into()), line)
    }

    /// A line of an environment file.
    pub fn env_file(path: impl Into<String>, line: u32) -> Self {
        Self::new(OriginKind::EnvFile, Some(path.into()), Some(line))
    }

    /// A running daemon's answer: `path` is the socket, `detail` the request and field.
    pub fn daemon(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(OriginKind::Daemon, Some(path.into()), None).with_detail(detail)
    }

    /// A live process.
    pub fn process(path: impl Into<String>) -> Self {
        Self::new(OriginKind::Process, Some(path.into()), None)
    }

    /// The kernel's own answer.
    pub fn kernel(path: impl Into<String>) -> Self {
        Self::new(OriginKind::Kernel, Some(path.into()), None)
    }

    /// The package database at `path`.
    pub fn package(path: impl Into<String>) -> Self {
        Self::new(OriginKind::Package, Some(path.into()), None)
    }

    /// A built-in default of `program`.
    pub fn default_of(program: impl Into<String>) -> Self {
        Self::new(OriginKind::Default, None, None).with_detail(program)
    }

    /// Stated with `--assume KEY=…`.
    pub fn assumed(key: impl Into<String>) -> Self {
        Self::new(OriginKind::Assumed, None, None).with_detail(key)
    }

    /// Adds what inside the place is meant.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.detail.as_deref().unwrap_or_default();
        match (self.kind, &self.path) {
            (OriginKind::Default, _) => return write!(f, "default of {detail}"),
            (OriginKind::Assumed, _) => return write!(f, "--assume {detail}"),
            (OriginKind::Flag, Some(path)) => write!(f, "{detail} in {path}")?,
            (OriginKind::Daemon, Some(path)) => return write!(f, "{path} ({detail})"),
            (_, Some(path)) => write!(f, "{path}")?,
            (kind, None) => write!(f, "{kind:?}")?,
        }
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// A value together with where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sourced<T> {
    /// The value itself.
    pub value: T,
    /// Where it was read.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// Joins a value and its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// Keeps the origin, changes the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { value: f(self.value), origin: self.origin }
    }
}

impl<T: fmt::Display> fmt::Display for Sourced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.value, self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_read_as_people_write_them() {
        assert_eq!(Origin::file("/etc/containerd/config.toml", 18).to_string(), "/etc/containerd/config.toml:18");
        assert_eq!(
            Origin::flag("--network-plugin", "/var/lib/kubelet/kubeadm-flags.env", Some(1)).to_string(),
            "--network-plugin in /var/lib/kubelet/kubeadm-flags.env:1"
        );
        assert_eq!(Origin::default_of("kubelet").to_string(), "default of kubelet");
        assert_eq!(
            Origin::daemon("/run/docker.sock", "/info CgroupDriver").to_string(),
            "/run/docker.sock (/info CgroupDriver)"
        );
    }

    #[test]
    fn json_has_the_three_fixed_fields() {
        let json = serde_json::to_value(Sourced::new(true, Origin::file("/a", 3))).unwrap();
        assert_eq!(json, serde_json::json!({"value": true, "origin": {"kind": "file", "path": "/a", "line": 3}}));
    }
}
