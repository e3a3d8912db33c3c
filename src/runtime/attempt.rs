//! A few containers, run by some OCI runtime, and what came of them: what a runtime must be able to do so that a pod
//! can run.

use super::bundle::{self, Bundle};
use crate::{
    formats::package_db::version_pair,
    host::{
        EntryKind, Host, Ran,
        scratch::{self, Scratch},
    },
    model::{CgroupMode, Evidence},
};
use anyhow::Result;
use std::{path::Path, time::Duration};

/// For one container: less than a tenth of a second on a quiet machine, four seconds on an emulated one. A node that is
/// merely starved must not be taken for a broken one.
const LIMIT: Duration = Duration::from_secs(60);
const CGROUPS: &str = "/sys/fs/cgroup";

/// The oldest kernel castoff's own runtime makes containers on: libcontainer 0.7 uses `mount_setattr`.
pub const OLDEST_KERNEL: &str = "5.12";
const OLDEST: (u32, u32) = (5, 12);

/// Whether castoff's own runtime can make containers on a kernel of this release (`5.10.0-32-amd64`).
pub fn is_new_enough(release: &str) -> bool {
    // One that says something else is tried.
    version_pair(release).is_none_or(|have| have >= OLDEST)
}

/// An OCI runtime on the command line.
#[derive(Clone, Debug)]
pub struct Runner {
    /// What it is called in messages.
    pub name: String,
    /// The program.
    pub program: String,
    /// Its first arguments.
    pub args: Vec<String>,
    /// Folder of its state, in the scratch folder.
    pub state: &'static str,
}

impl Runner {
    /// castoff itself, as a process of its own.
    pub fn reference() -> Self {
        Self {
            name: "castoff's runtime".to_owned(),
            program: "/proc/self/exe".to_owned(),
            args: vec!["oci".to_owned()],
            state: "reference",
        }
    }

    /// Another program that takes runc's arguments.
    pub fn other(program: &str) -> Self {
        Self { name: program.to_owned(), program: program.to_owned(), args: Vec::new(), state: "other" }
    }
}

/// How containers are run.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The kernel's cgroups.
    pub mode: CgroupMode,
    /// Whether systemd makes them.
    pub systemd: bool,
}

impl Way {
    /// The cgroup driver's name.
    pub const fn driver(self) -> &'static str {
        if self.systemd { "systemd" } else { "cgroupfs" }
    }
}

/// What came of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    /// What was expected; the words say what.
    Right(String),
    /// Something else.
    Wrong {
        /// What.
        why: String,
        /// Where it was seen.
        evidence: Vec<Evidence>,
    },
}

impl Came {
    fn wrong(why: impl Into<String>) -> Self {
        Self::Wrong { why: why.into(), evidence: Vec::new() }
    }
}

/// A runtime at work in a folder.
#[derive(Debug)]
pub struct Bench<'a> {
    host: &'a Host,
    scratch: &'a Scratch,
    runner: Runner,
    way: Way,
    next: u32,
}

impl<'a> Bench<'a> {
    /// Containers for this runtime.
    pub fn new(host: &'a Host, scratch: &'a Scratch, runner: Runner, way: Way) -> Self {
        Self { host, scratch, runner, way, next: 0 }
    }

    /// A container starts, is where its cgroup says, sees its own host name, has its limits, and its exit code comes
    /// back.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub fn runs(&mut self) -> Result<Came> {
        let id = self.id();
        let limit = |controller| self.plain(&id).limit_file(self.way.mode, controller);
        let (memory, pids) = (limit("memory"), limit("pids"));
        let seen = |path: &str| format!("{}{path}", bundle::HOST_CGROUPS);
        let files =
            ["/proc/sys/kernel/hostname", "/proc/self/cgroup", &seen(&memory), &seen(&pids), "/proc/self/status"];
        let mut args = vec!["cat"];
        args.extend(files);
        let ran = self.run(&id, &args)?;
        if ran.status != 0 {
            return Ok(Came::Wrong { why: failure(&ran), evidence: errno(&ran).into_iter().collect() });
        }
        let text = ran.text();
        let place = self.plain(&id).cgroup();
        let expected = [
            (files[0], bundle::HOSTNAME.to_owned(), "its host name is not its own"),
            (&memory, (bundle::MEMORY_MIB << 20).to_string(), "its memory is not limited"),
            (&pids, bundle::PIDS.to_string(), "its processes are not limited"),
            ("/proc/self/status", "NoNewPrivs:\t1".to_owned(), "it may gain privileges"),
            ("/proc/self/status", "Seccomp:\t2".to_owned(), "it is not bound by its seccomp profile"),
        ];
        for (path, line, why) in expected {
            if !text.lines().any(|seen| seen == line) {
                let value = text.lines().map(str::trim).take(12).collect::<Vec<_>>().join(" | ");
                let evidence = vec![Evidence { path: path.to_owned(), value, errno: None }];
                return Ok(Came::Wrong { why: why.to_owned(), evidence });
            }
        }
        if !text.lines().any(|line| line.ends_with(&place)) {
            let value = text.lines().filter(|line| line.contains(":/")).take(3).collect::<Vec<_>>().join(" | ");
            let evidence = vec![Evidence { path: "/proc/self/cgroup".to_owned(), value, errno: None }];
            return Ok(Came::Wrong { why: format!("it is not in {place}"), evidence });
        }
        let id = self.id();
        let ran = self.run(&id, &["exit", "7"])?;
        Ok(match ran.status {
            7 => Came::Right(format!("a container ran in {place} with its limits")),
            _ => Came::wrong(format!("an exit code of 7 came back as {}{}", ran.status, said(&ran))),
        })
    }

    /// Memory over the limit ends a container, a forbidden call fails, and nothing is left.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub fn confines(&mut self) -> Result<Came> {
        const KILLED: i32 = 128 + 9;
        const EPERM: i32 = 1;
        let id = self.id();
        let ran = self.run(&id, &["alloc", &(bundle::MEMORY_MIB * 2).to_string()])?;
        if ran.status != KILLED {
            let why = format!("twice its memory did not end it: exit code {}, not {KILLED}{}", ran.status, said(&ran));
            return Ok(Came::wrong(why));
        }
        if let Some(left) = self.left(&id) {
            let evidence = vec![Evidence { path: left.clone(), value: "there".to_owned(), errno: None }];
            return Ok(Came::Wrong { why: format!("its cgroup {left} was left behind"), evidence });
        }
        let id = self.id();
        let ran = self.run(&id, &["mkdir", "/tmp/x"])?;
        Ok(match ran.status {
            EPERM if ran.stderr.contains("mkdir") => Came::Right(
                "over its memory it was killed, a forbidden system call failed, no cgroup was left".to_owned(),
            ),
            _ => Came::wrong(format!("a forbidden system call did not fail: exit code {}{}", ran.status, said(&ran))),
        })
    }

    fn id(&mut self) -> String {
        self.next += 1;
        format!("verify-{}-{}", self.host.pid(), self.next)
    }

    fn plain<'b>(&self, id: &'b str) -> Bundle<'b> {
        Bundle { id, args: &[], systemd: self.way.systemd }
    }

    /// Runs one container; one that takes too long is killed and taken away.
    fn run(&self, id: &str, args: &[&str]) -> Result<Ran> {
        let made = Bundle { id, args, systemd: self.way.systemd };
        let folder = self.scratch.dir().join("bundle");
        for (path, mode, content) in made.files() {
            scratch::put(&folder, &path, mode, content.as_deref())?;
        }
        let state = self.scratch.dir().join(self.runner.state);
        let (state, folder) = (state.to_string_lossy(), folder.to_string_lossy());
        let mut words: Vec<&str> = self.runner.args.iter().map(String::as_str).collect();
        words.extend(["--root", &state]);
        if self.way.systemd {
            words.push("--systemd-cgroup");
        }
        let before = words.len();
        words.extend(["run", "--bundle", &folder, id]);
        let ran = self.host.procs.run(&self.runner.program, &words, LIMIT);
        if ran.is_err() {
            words.truncate(before);
            words.extend(["delete", "--force", id]);
            let _ = self.host.procs.run(&self.runner.program, &words, LIMIT);
        }
        ran
    }

    /// The cgroup of a container, if it is still there.
    fn left(&self, id: &str) -> Option<String> {
        let cgroup = self.plain(id).cgroup();
        let path = match self.way.mode {
            CgroupMode::Unified => format!("{CGROUPS}{cgroup}"),
            _ => format!("{CGROUPS}/memory{cgroup}"),
        };
        self.host.root.exists(&path).then_some(path)
    }
}

/// Ends and takes away the containers of a verification that was killed, by its folder.
pub fn abandon(host: &Host, dir: &Path, runner: &Runner) {
    let state = dir.join(runner.state);
    let state = state.to_string_lossy();
    for (id, _) in host.root.list(&state).unwrap_or_default().iter().filter(|(id, _)| !id.starts_with('.')) {
        let mut words: Vec<&str> = runner.args.iter().map(String::as_str).collect();
        words.extend(["--root", &state, "delete", "--force", id]);
        let _ = host.procs.run(&runner.program, &words, LIMIT);
    }
}

/// The folders in a folder, as paths.
fn dirs(host: &Host, dir: &str) -> Vec<String> {
    let inside = host.root.list(dir).unwrap_or_default().into_iter();
    inside.filter(|(_, kind)| *kind == EntryKind::Dir).map(|(name, _)| format!("{dir}/{name}")).collect()
}

/// Where the cgroup above those of castoff's containers may be: on v1 in every controller.
fn above(host: &Host, way: Way) -> Vec<String> {
    let name = if way.systemd { bundle::SLICE } else { "castoff" };
    let mounts = dirs(host, CGROUPS).into_iter().chain([CGROUPS.to_owned()]);
    mounts.map(|mount| format!("{mount}/{name}")).collect()
}

/// Cgroups of castoff's containers that are there.
pub fn cgroups(host: &Host, way: Way) -> Vec<String> {
    above(host, way).iter().flat_map(|dir| dirs(host, dir)).collect()
}

/// Takes away the cgroup above those of the containers, unless somebody else's container is in it.
pub fn tidy(host: &Host, way: Way) {
    if way.systemd && cgroups(host, way).is_empty() {
        let _ = host.units.stop(bundle::SLICE, LIMIT);
    }
    // On v1 the runtimes make it in controllers that systemd leaves alone.
    for dir in above(host, way) {
        if host.root.exists(&dir) {
            let _ = host.root.remove_empty_dir(&dir);
        }
    }
}

/// Why a container could not be run.
fn failure(ran: &Ran) -> String {
    format!("a container could not be run: exit code {}{}", ran.status, said(ran))
}

/// The error the workload had from the kernel, in its own words: `probe cat: errno 2`.
fn errno(ran: &Ran) -> Option<Evidence> {
    let line = ran.stderr.lines().rfind(|line| line.starts_with("probe "))?;
    let (path, errno) = line.split_once(": errno ")?;
    Some(Evidence { path: path.to_owned(), value: line.to_owned(), errno: errno.parse().ok() })
}

/// The last line a runtime wrote to its standard error, in which it says why; runc wraps it in `msg="…"`.
fn said(ran: &Ran) -> String {
    let line = ran.stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let line = line.split_once(" msg=").map_or(line, |(_, message)| message.trim_matches('"'));
    let line = line.strip_prefix("error: ").unwrap_or(line);
    if line.is_empty() { ", without a word".to_owned() } else { format!(": {line}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_are_too_old() {
        for (release, enough) in [
            ("5.10.0-32-cloud-amd64", false),
            ("4.18.0-553.el8", false),
            ("5.12", true),
            ("6.1.0-50-amd64", true),
            ("6.18.5", true),
            ("custom", true),
        ] {
            assert_eq!(is_new_enough(release), enough, "{release}");
        }
    }

    #[test]
    fn a_runtimes_last_words() {
        let ran = |stderr: &str| Ran { status: 1, stdout: Vec::new(), stderr: stderr.to_owned() };
        let runc = "time=\"2026-11-29T02:59:22Z\" level=error msg=\"runc run failed: read-only file system\"\n";
        assert_eq!(said(&ran(runc)), ": runc run failed: read-only file system");
        assert_eq!(said(&ran("error: failed to create the container: x\n\n")), ": failed to create the container: x");
        assert_eq!(errno(&ran("x\nprobe cat: errno 2\n")).unwrap().errno, Some(2));
        assert_eq!(errno(&ran("runc: no\n")), None);
        assert_eq!(failure(&ran("")), "a container could not be run: exit code 1, without a word");
    }
}
