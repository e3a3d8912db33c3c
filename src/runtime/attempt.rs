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
/// What a container looks at.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";
const CGROUP: &str = "/proc/self/cgroup";
const STATUS: &str = "/proc/self/status";

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

    /// A container starts, is where its cgroup says or below, sees its own host name, has its limits, and its exit code
    /// comes back.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub fn runs(&mut self) -> Result<Came> {
        let mut seen = match self.look("")? {
            Ok(seen) => seen,
            Err(failed) => return Ok(failed),
        };
        let Some(below) = seen.below() else {
            return Ok(seen.unlike().unwrap_or_else(|| seen.elsewhere()));
        };
        // With systemd's driver crun makes a cgroup `container` in the scope of a container, and before 1.8.5 has its
        // limits there only.
        if !below.is_empty() && seen.unlike().is_some() {
            seen = match self.look(&below)? {
                Ok(seen) => seen,
                Err(failed) => return Ok(failed),
            };
        }
        if let Some(wrong) = seen.unlike() {
            return Ok(wrong);
        }
        let id = self.id();
        let ran = self.run(&id, &["exit", "7"])?;
        Ok(match ran.status {
            7 => Came::Right(format!("a container ran in {} with its limits", seen.place)),
            _ => Came::wrong(format!("an exit code of 7 came back as {}{}", ran.status, said(&ran))),
        })
    }

    /// What a container sees, with the limits at its cgroup or at one `below`; else how it failed.
    fn look(&mut self, below: &str) -> Result<Result<Seen, Came>> {
        let id = self.id();
        let limit = |controller| {
            let file = self.plain(&id).limit_file(self.way.mode, below, controller);
            format!("{}{file}", bundle::HOST_CGROUPS)
        };
        let (memory, pids) = (limit("memory"), limit("pids"));
        let ran = self.run(&id, &["cat", HOSTNAME, CGROUP, &memory, &pids, STATUS])?;
        if ran.status != 0 {
            return Ok(Err(Came::Wrong { why: failure(&ran), evidence: errno(&ran).into_iter().collect() }));
        }
        Ok(Ok(Seen { place: self.plain(&id).cgroup(), memory, pids, text: ran.text() }))
    }

    /// Memory over the limit ends a container, a forbidden call fails, and nothing is left.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub fn confines(&mut self) -> Result<Came> {
        const EPERM: i32 = 1;
        // What goes to swap without limit ends nobody, whoever made the container.
        let memory = if has_swap(self.host) && !self.limits_swap() {
            "its memory was not tried: this node has swap, which its kernel does not limit (swapaccount=1)"
        } else if let Some(wrong) = self.over_memory()? {
            return Ok(wrong);
        } else {
            "over its memory it was killed"
        };
        let id = self.id();
        let ran = self.run(&id, &["mkdir", "/tmp/x"])?;
        if ran.status != EPERM || !ran.stderr.contains("mkdir") {
            let why = format!("a forbidden system call did not fail: exit code {}{}", ran.status, said(&ran));
            return Ok(Came::wrong(why));
        }
        let right = || Came::Right(format!("{memory}, a forbidden system call failed, no cgroup was left"));
        Ok(self.left(&id).unwrap_or_else(right))
    }

    /// What is wrong when a container takes more memory than it may.
    fn over_memory(&mut self) -> Result<Option<Came>> {
        const KILLED: i32 = 128 + 9;
        let id = self.id();
        let ran = self.run(&id, &["alloc", &(bundle::MEMORY_MIB * 2).to_string()])?;
        if ran.status != KILLED {
            let why = format!("twice its memory did not end it: exit code {}, not {KILLED}{}", ran.status, said(&ran));
            return Ok(Some(Came::wrong(why)));
        }
        Ok(self.left(&id))
    }

    /// Whether the kernel limits swap: v1 shows that at the top, v2 in every other cgroup with the memory controller
    /// (`CFTYPE_NOT_ON_ROOT`; Linux, mm/memcontrol.c).
    fn limits_swap(&self) -> bool {
        let there = |dir: &str, file: &str| self.host.root.exists(&format!("{dir}/{file}"));
        match self.way.mode {
            CgroupMode::Unified => dirs(self.host, CGROUPS).iter().any(|dir| there(dir, "memory.swap.max")),
            _ => there(&format!("{CGROUPS}/memory"), "memory.memsw.limit_in_bytes"),
        }
    }

    fn id(&mut self) -> String {
        self.next += 1;
        format!("verify-{}-{}", self.host.pid(), self.next)
    }

    fn plain<'b>(&self, id: &'b str) -> Bundle<'b> {
        Bundle { id, args: &[], systemd: self.way.systemd, swap_limit: self.limits_swap() }
    }

    /// Runs one container; one that takes too long is killed and taken away.
    fn run(&self, id: &str, args: &[&str]) -> Result<Ran> {
        let made = Bundle { args, ..self.plain(id) };
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

    /// That the cgroup of a container is still there.
    fn left(&self, id: &str) -> Option<Came> {
        let cgroup = self.plain(id).cgroup();
        let path = match self.way.mode {
            CgroupMode::Unified => format!("{CGROUPS}{cgroup}"),
            _ => format!("{CGROUPS}/memory{cgroup}"),
        };
        self.host.root.exists(&path).then(|| {
            let why = format!("its cgroup {path} was left behind");
            Came::Wrong { why, evidence: vec![Evidence { path, value: "there".to_owned(), errno: None }] }
        })
    }
}

/// What a container saw of itself.
struct Seen {
    /// Where its cgroup should be.
    place: String,
    /// The files with its limits.
    memory: String,
    pids: String,
    /// All of it.
    text: String,
}

impl Seen {
    /// What is not as it should be.
    fn unlike(&self) -> Option<Came> {
        let limit = (bundle::MEMORY_MIB << 20).to_string();
        let expected = [
            (HOSTNAME, bundle::HOSTNAME.to_owned(), "its host name is not its own"),
            (self.memory.as_str(), limit, "its memory is not limited"),
            (self.pids.as_str(), bundle::PIDS.to_string(), "its processes are not limited"),
            (STATUS, "NoNewPrivs:\t1".to_owned(), "it may gain privileges"),
            (STATUS, "Seccomp:\t2".to_owned(), "it is not bound by its seccomp profile"),
        ];
        let (path, _, why) = expected.into_iter().find(|(_, line, _)| !self.text.lines().any(|seen| seen == line))?;
        let value = self.text.lines().map(str::trim).take(12).collect::<Vec<_>>().join(" | ");
        let evidence = vec![Evidence { path: path.to_owned(), value, errno: None }];
        Some(Came::Wrong { why: why.to_owned(), evidence })
    }

    /// Where it is below its cgroup, empty when right there; nothing when it is elsewhere.
    fn below(&self) -> Option<String> {
        let mut below = self.text.lines().filter_map(|line| Some(line.split_once(&self.place)?.1));
        below.find(|below| below.is_empty() || below.starts_with('/')).map(str::to_owned)
    }

    fn elsewhere(&self) -> Came {
        let value = self.text.lines().filter(|line| line.contains(":/")).take(3).collect::<Vec<_>>().join(" | ");
        let evidence = vec![Evidence { path: CGROUP.to_owned(), value, errno: None }];
        Came::Wrong { why: format!("it is not in {}", self.place), evidence }
    }
}

/// Whether memory can go to swap. The first line is a heading.
pub fn has_swap(host: &Host) -> bool {
    let text = host.root.text("/proc/swaps").ok().flatten();
    text.is_some_and(|text| text.lines().nth(1).is_some())
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

/// A cgroup and those below it, the deepest first, which is the order in which they can be taken away.
pub fn with_those_below(host: &Host, cgroup: &str) -> Vec<String> {
    let mut all: Vec<String> = dirs(host, cgroup).iter().flat_map(|dir| with_those_below(host, dir)).collect();
    all.push(cgroup.to_owned());
    all
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
#[path = "attempt_tests.rs"]
mod tests;
