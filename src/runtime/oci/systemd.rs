//! Cgroups made by systemd. On v2 libcontainer asks systemd itself; on v1 and hybrid it takes `SLICE:PREFIX:NAME` for
//! the name of a directory. There the scope is made here, around a process that does nothing else, before libcontainer is
//! called, which then finds its directories made. It cannot be made around castoff: what ends a container, or cleans up
//! after one that could not be made, kills everything in its cgroup.

use crate::host::{Scope, Units};
use anyhow::{Context as _, Result, bail};
use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

/// Where a container goes: the three parts of `linux.cgroupsPath` under systemd's driver (runc, docs/systemd.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Slice the scope is in; `system.slice` when it was empty.
    pub slice: String,
    /// Name of the scope.
    pub scope: String,
}

impl Place {
    /// Reads `SLICE:PREFIX:NAME`.
    pub fn parse(path: &str) -> Result<Self> {
        let parts: Vec<&str> = path.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            bail!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
            );
        };
        let slice = if slice.is_empty() { "system.slice" } else { slice };
        let sound = slice.strip_suffix(".slice").is_some_and(|stem| {
            stem == "-" || !(stem.is_empty() || stem.starts_with('-') || stem.ends_with('-') || stem.contains("--"))
        });
        if !sound || slice.contains('/') {
            bail!("invalid slice name {slice:?} in cgroupsPath");
        }
        if name.is_empty() {
            bail!("cgroupsPath {path:?} has no name");
        }
        // A name that is a slice itself is no scope, as in runc; nothing castoff starts asks for that.
        if name.ends_with(".slice") {
            bail!("cgroupsPath {path:?} names a slice; castoff's runtime makes scopes only");
        }
        let scope = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
        Ok(Self { slice: slice.to_owned(), scope })
    }

    /// Its directory below the mount of a controller: every dash in a slice's name is one level.
    pub fn directory(&self) -> String {
        let mut path = String::new();
        if let Some(stem) = self.slice.strip_suffix(".slice").filter(|stem| *stem != "-") {
            let mut name = String::new();
            for part in stem.split('-') {
                if !name.is_empty() {
                    name.push('-');
                }
                name.push_str(part);
                path.push_str(&format!("/{name}.slice"));
            }
        }
        format!("{path}/{}", self.scope)
    }

    /// Makes the scope, with a process of ours to hold it.
    pub fn make(&self, units: &dyn Units, id: &str) -> Result<Holder> {
        let holder = Holder::start()?;
        let description = format!("castoff container {id}");
        let scope = Scope { name: &self.scope, description: &description, slice: Some(&self.slice), delegate: true };
        let made = units.adopt(&scope, holder.0.id());
        made.with_context(|| format!("failed to make {} with systemd", self.scope))?;
        Ok(holder)
    }
}

/// A process that waits to be ended; a scope cannot be without one.
#[derive(Debug)]
pub struct Holder(Child);

impl Holder {
    #[allow(clippy::disallowed_methods, reason = "it must not run under a deadline, but until it is dropped")]
    fn start() -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(super::PROGRAM).arg("hold").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self).context("cannot start a process to hold a scope")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_parts() {
        let place = Place::parse("kubepods-besteffort-podab_cd.slice:cri-containerd:0123").unwrap();
        assert_eq!(place.slice, "kubepods-besteffort-podab_cd.slice");
        assert_eq!(place.scope, "cri-containerd-0123.scope");
        let directory =
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab_cd.slice/cri-containerd-0123.scope";
        assert_eq!(place.directory(), directory);
        assert_eq!(Place::parse("::x").unwrap().directory(), "/system.slice/x.scope");
        assert_eq!(Place::parse("-.slice:a:b").unwrap().directory(), "/a-b.scope");
    }

    #[test]
    fn what_is_none_of_that_is_refused_in_runcs_words() {
        let error = Place::parse("/kubepods/besteffort/pod1/c").unwrap_err().to_string();
        assert!(error.contains("expected cgroupsPath to be of format \"slice:prefix:name\""), "{error}");
        for wrong in
            ["a:b:c", "a--b.slice:b:c", "-a.slice:b:c", "a-.slice:b:c", ".slice:b:c", "x/../y.slice:b:c", "a.slice:b:"]
        {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Place::parse("a.slice:b:c.slice").unwrap_err().to_string().contains("scopes only"));
    }
}
