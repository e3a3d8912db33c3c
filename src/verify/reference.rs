//! Rungs 1 and 2: the same containers through castoff's own runtime and through the node's. Where both fail it is the
//! kernel, its cgroups or a privilege; where only the node's does, it is that runtime.

use super::{Look, Options, leaks, suite::Unfit, trial};
use crate::{
    host::scratch::{self, Scratch},
    model::{CgroupMode, Check, CheckStatus, Facts, Rung, Sourced},
    runtime::attempt::{Bench, Came, OLDEST_KERNEL, Runner, Way, abandon, is_new_enough, tidy},
};
use anyhow::Result;
use std::time::Duration;

/// Name of the folders below `/run/castoff`.
const SCRATCH: &str = "verify";

/// What a runtime is asked to do, by the name that is in the ids of its checks.
type Task = (&'static str, &'static str, fn(&mut Bench<'_>) -> Result<Came>);
const TASKS: [Task; 2] = [
    ("reference-runs", "runc-runs", |bench| bench.runs()),
    ("reference-confines", "runc-confines", |bench| bench.confines()),
];

/// Both rungs, left out for a reason.
pub(crate) fn left_out(why: &str) -> Vec<Check> {
    let both = |(reference, runc, _): &Task| {
        let skip = |id: &str, rung| Check::new(id, rung, CheckStatus::Skip, why.to_owned());
        [skip(reference, Rung::Reference), skip(runc, Rung::Runc)]
    };
    TASKS.iter().flat_map(both).collect()
}

/// Both rungs. `files` (path and content) stand in the place of the node's.
///
/// # Errors
/// When it was waited for others in vain.
pub(crate) fn rungs(look: &Look<'_>, files: &[(String, String)], options: &Options) -> Result<Vec<Check>> {
    if !look.host.is_live() {
        return Ok(left_out("a file tree does not run"));
    }
    if !look.host.kernel.is_root() {
        return Ok(left_out("only root can run a container"));
    }
    let reference = Runner::reference();
    if look.host.procs.find(&reference.program).is_none() {
        return Ok(left_out("castoff cannot run itself here"));
    }
    let Some(mode) = look.facts.cgroup.mode.as_ref().map(|mode| mode.value) else {
        return Ok(left_out("the kernel's cgroups are not known"));
    };
    let way = Way { mode, systemd: options.systemd(look.host) };
    let named = node_runtime(look.facts, files);
    let runc = look.host.procs.find(&named).map(|_| Runner::other(&named));
    let _alone = match leaks::alone(look.host, way, options.turn, look.interrupt) {
        Ok(held) => held,
        Err(error) if error.is::<Unfit>() => return Ok(left_out(&format!("{error:#}"))),
        Err(error) => return Err(error),
    };
    sweep(look, &reference, runc.as_ref());
    if let Err(error) = leaks::nothing_left(look.host, way) {
        return Ok(left_out(&format!("{error:#}")));
    }
    Ok(match Scratch::new(SCRATCH) {
        Ok(scratch) => {
            let found = tasks(look, &scratch, (&reference, runc.as_ref(), named.as_str()), way);
            tidy(look.host, way);
            found
        }
        Err(error) => left_out(&format!("{error:#}")),
    })
}

/// What a verification that was killed has left.
fn sweep(look: &Look<'_>, reference: &Runner, runc: Option<&Runner>) {
    for (_, dir) in scratch::abandoned(SCRATCH, |pid| look.host.procs.exists(pid)) {
        for runner in [reference].into_iter().chain(runc) {
            abandon(look.host, &dir, runner);
        }
        scratch::remove(&dir);
    }
}

/// Every task by castoff's runtime and by the node's, which goes by this name.
fn tasks(
    look: &Look<'_>,
    scratch: &Scratch,
    (reference, runc, named): (&Runner, Option<&Runner>, &str),
    way: Way,
) -> Vec<Check> {
    let release = look.host.kernel.release().unwrap_or_default();
    let mut found = Vec::new();
    for (reference_id, runc_id, task) in TASKS {
        if look.is_interrupted() {
            break;
        }
        let timed = |runner: &Runner| {
            let began = look.host.clock.monotonic();
            let came = task(&mut Bench::new(look.host, scratch, runner.clone(), way));
            let came = came.unwrap_or_else(|error| Came::Wrong { why: format!("{error:#}"), evidence: Vec::new() });
            (came, look.host.clock.monotonic().saturating_sub(began))
        };
        let ours = is_new_enough(&release).then(|| timed(reference));
        let theirs = runc.map(timed);
        let came = |timed: &Option<(Came, Duration)>| timed.as_ref().map(|(came, _)| came.clone());
        let took = |timed: Option<(Came, Duration)>| timed.map(|(_, took)| took).unwrap_or_default();
        let needed = look.facts.containerd.installed;
        let judged = Judged { reference_id, runc_id, runc, named, needed, way, release: &release };
        let (first, second) = judged.verdict(came(&ours).as_ref(), came(&theirs).as_ref());
        found.push(first.took(took(ours)));
        found.push(second.took(took(theirs)));
    }
    found
}

/// The program containerd starts for a pod: the `BinaryName` of its default handler, else runc. What `files` have counts
/// before what the node has: the runtime that is to run the pods is the one to be tried.
fn node_runtime(facts: &Facts, files: &[(String, String)]) -> String {
    let containerd = &facts.containerd;
    planned(facts, files).unwrap_or_else(|| {
        let default = containerd.default_runtime.as_ref().map_or("runc", |name| name.value.as_str());
        let handler = containerd.handlers.iter().find(|handler| handler.name == default);
        program(handler.and_then(|handler| handler.binary_name.clone()))
    })
}

/// The same by these files, joined with those that stay; nothing where there are none, or containerd could not read them.
fn planned(facts: &Facts, files: &[(String, String)]) -> Option<String> {
    let config = trial::joined(facts, files).filter(|_| !files.is_empty())?;
    let default = config.default_runtime();
    let default = default.as_ref().map_or("runc", |name| name.value.as_str());
    let handler = config.handlers().into_iter().find(|handler| handler.name == default);
    Some(program(handler.and_then(|handler| handler.binary_name)))
}

fn program(named: Option<Sourced<String>>) -> String {
    named.map(|name| name.value).filter(|name| !name.is_empty()).unwrap_or_else(|| "runc".to_owned())
}

/// What a verdict is made with.
struct Judged<'a> {
    reference_id: &'static str,
    runc_id: &'static str,
    runc: Option<&'a Runner>,
    named: &'a str,
    needed: bool,
    way: Way,
    release: &'a str,
}

impl Judged<'_> {
    /// Whose fault it is. Nothing of ours: this kernel is too old for it; nothing of theirs: there is no runc.
    fn verdict(&self, ours: Option<&Came>, theirs: Option<&Came>) -> (Check, Check) {
        let reference = |status, detail| Check::new(self.reference_id, Rung::Reference, status, detail);
        let node = |status, detail| Check::new(self.runc_id, Rung::Runc, status, detail);
        let name = self.runc.map_or("runc", |runc| runc.name.as_str());
        let driver = self.way.driver();
        let without = || {
            if !self.needed {
                return node(CheckStatus::Skip, "there is no runc on this node, and no containerd".to_owned());
            }
            let detail = format!("{} is not there, and containerd would start it for every container", self.named);
            node(CheckStatus::Fail, detail).with(&[], "install the package of runc, or correct BinaryName")
        };
        let too_old = || {
            let why = format!("the kernel is {}; castoff's own runtime needs Linux {OLDEST_KERNEL}", self.release);
            reference(CheckStatus::Skip, why)
        };
        match (ours, theirs) {
            (None, None) => (too_old(), without()),
            (None, Some(Came::Right(what))) => {
                (too_old(), node(CheckStatus::Pass, format!("{what} ({driver}, {name})")))
            }
            (None, Some(Came::Wrong { why, evidence })) => {
                let detail = format!("{name} fails, and castoff's own runtime cannot be asked here: {why}");
                (too_old(), node(CheckStatus::Fail, detail).with(evidence, of_both(why, None, self.way).1))
            }
            (Some(Came::Right(what)), theirs) => (
                reference(CheckStatus::Pass, format!("{what} ({driver})")),
                match theirs {
                    None => without(),
                    Some(Came::Right(_)) => node(CheckStatus::Pass, format!("the same by {name}")),
                    Some(Came::Wrong { why, evidence }) => {
                        let detail = format!("{name} is at fault, for castoff's own runtime can do it: {why}");
                        let remedy = "reinstall the package of this program, or name another one in BinaryName";
                        node(CheckStatus::Fail, detail).with(evidence, remedy)
                    }
                },
            ),
            (Some(Came::Wrong { why, evidence }), Some(Came::Right(_))) => (
                reference(CheckStatus::Inconclusive, format!("{why}; but {name} can do it")).with(evidence, ""),
                node(CheckStatus::Pass, format!("{name} ran it ({driver})")),
            ),
            (Some(Came::Wrong { why, evidence }), theirs) => {
                let (culprit, remedy) = of_both(why, theirs, self.way);
                let other = match theirs {
                    Some(Came::Wrong { why, .. }) => node(CheckStatus::Fail, format!("{name} fails as well: {why}")),
                    _ => without(),
                };
                (reference(CheckStatus::Fail, format!("{culprit}: {why}")).with(evidence, remedy), other)
            }
        }
    }
}

/// What both runtimes stumble over.
fn of_both(why: &str, theirs: Option<&Came>, way: Way) -> (&'static str, &'static str) {
    let other = match theirs {
        Some(Came::Wrong { why, .. }) => why.as_str(),
        _ => "",
    };
    culprit(why, other, way).unwrap_or((
        "the kernel",
        "namespaces, seccomp and overlay must be enabled; `castoff check` has what is known to be missing",
    ))
}

/// What stands in the way, by the words of two runtimes.
pub(super) fn culprit(why: &str, other: &str, way: Way) -> Option<(&'static str, &'static str)> {
    let says = |words: &[&str]| {
        words.iter().any(|word| why.to_lowercase().contains(word) || other.to_lowercase().contains(word))
    };
    if says(&["setup network", "cni plugin"]) {
        return Some((
            "the pod network",
            "look at the configuration in /etc/cni/net.d, and at the programs of its plugins (`castoff check`)",
        ));
    }
    if says(&["oom_score_adj", "rlimit", "operation not permitted", "permission denied", "eperm", "eacces"]) {
        return Some((
            "a privilege is missing",
            "run castoff as root outside a container, with CAP_SYS_ADMIN and CAP_SYS_RESOURCE",
        ));
    }
    if says(&["no space left", "enospc"]) {
        return Some(("no room", "free memory or disk space: /run and /sys/fs/cgroup need some"));
    }
    let read_only = says(&["read-only file system", "erofs"]) && says(&["/sys/fs/cgroup"]);
    if way.systemd && !read_only && says(&["d-bus", "dbus", "systemd", ".scope"]) {
        return Some((
            "systemd does not make the cgroup",
            "look at `systemctl status` and the journal of systemd itself",
        ));
    }
    if says(&["cgroup", "controller"]) {
        return Some(match way.mode {
            CgroupMode::Unified => {
                ("the kernel's cgroups", "see that cpu, memory and pids are in /sys/fs/cgroup/cgroup.controllers")
            }
            _ => (
                "the kernel's cgroups",
                "see that the memory and pids controllers are mounted below /sys/fs/cgroup and enabled in /proc/cgroups",
            ),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Evidence, HandlerFacts, Origin};

    const WAY: Way = Way { mode: CgroupMode::Unified, systemd: true };

    fn right() -> Came {
        Came::Right("it ran".to_owned())
    }

    fn wrong(why: &str) -> Came {
        Came::Wrong {
            why: why.to_owned(),
            evidence: vec![Evidence { path: "/x".into(), value: "y".into(), errno: None }],
        }
    }

    fn judged(ours: Option<&Came>, theirs: Option<&Came>) -> (Check, Check) {
        let runc = Runner::other("/usr/sbin/runc");
        let (reference_id, runc_id, release) = ("reference-runs", "runc-runs", "5.10.0");
        Judged { reference_id, runc_id, runc: Some(&runc), named: "runc", needed: true, way: WAY, release }
            .verdict(ours, theirs)
    }

    #[test]
    fn the_runtime_that_is_planned_is_the_one_to_be_tried() {
        let file = |default: &str, more: &str| {
            let plugin = "[plugins.'io.containerd.grpc.v1.cri'.containerd";
            let table = |name: &str| format!("{plugin}.runtimes.{name}]\nruntime_type = 'io.containerd.runc.v2'\n");
            format!(
                "version = 2\n{plugin}]\ndefault_runtime_name = '{default}'\n{}{}{more}",
                table("runc"),
                table(default)
            )
        };
        let main = |text: String| vec![(trial::CONFIG.to_owned(), text)];
        let option = |name: &str, value: &str| {
            format!(
                "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.{name}.options]\nBinaryName = '{value}'\n"
            )
        };
        let mut facts = Facts::empty(true);
        assert_eq!(node_runtime(&facts, &[]), "runc");
        facts.containerd.handlers = vec![HandlerFacts {
            name: "runc".to_owned(),
            origin: Origin::path(trial::CONFIG),
            runtime_type: None,
            binary_name: Some(Sourced::new("/gone/runc".to_owned(), Origin::path(trial::CONFIG))),
            systemd_cgroup: None,
            snapshotter: None,
        }];
        assert_eq!(node_runtime(&facts, &[]), "/gone/runc");
        // Docker's `default-runtime`, carried over; and a plan without the program that is gone.
        assert_eq!(node_runtime(&facts, &main(file("crun", &option("crun", "/usr/bin/crun")))), "/usr/bin/crun");
        assert_eq!(node_runtime(&facts, &main(file("crun", ""))), "runc");
        // An imported file that the plan leaves alone counts; a plan that nobody can read does not.
        let import = "/etc/containerd/conf.d/x.toml".to_owned();
        let importing = format!("version = 2\nimports = ['{import}']\n");
        facts.texts.insert(import, file("crun", &option("crun", "/opt/crun")));
        assert_eq!(node_runtime(&facts, &main(importing)), "/opt/crun");
        assert_eq!(node_runtime(&facts, &main("[".to_owned())), "/gone/runc");
    }

    #[test]
    fn whose_fault_it_is() {
        let (ours, theirs) = judged(Some(&right()), Some(&right()));
        assert_eq!((ours.status, theirs.status), (CheckStatus::Pass, CheckStatus::Pass));
        let (ours, theirs) = judged(Some(&right()), Some(&wrong("exit code 1, without a word")));
        assert_eq!((ours.status, theirs.status), (CheckStatus::Pass, CheckStatus::Fail));
        assert!(theirs.detail.contains("/usr/sbin/runc is at fault") && theirs.remedy.is_some(), "{}", theirs.detail);
        let (ours, theirs) = judged(Some(&wrong("io error")), Some(&right()));
        assert_eq!((ours.status, theirs.status), (CheckStatus::Inconclusive, CheckStatus::Pass));
        let (ours, theirs) = judged(Some(&wrong("x")), None);
        assert_eq!((ours.status, theirs.status), (CheckStatus::Fail, CheckStatus::Fail));
        assert!(theirs.detail.contains("runc is not there"), "{}", theirs.detail);
        let (ours, theirs) = judged(None, Some(&right()));
        assert_eq!((ours.status, theirs.status), (CheckStatus::Skip, CheckStatus::Pass));
        assert!(ours.detail.contains("5.10.0"), "{}", ours.detail);
        let (ours, theirs) = judged(None, Some(&wrong("x")));
        assert_eq!((ours.status, theirs.status), (CheckStatus::Skip, CheckStatus::Fail));
    }

    #[test]
    fn what_both_stumble_over() {
        for (ours, theirs, culprit) in [
            (
                "mkdir /sys/fs/cgroup/memory/castoff.slice/castoff-c1.scope: Read-only file system",
                "mkdir: EROFS, cgroup",
                "the kernel's cgroups",
            ),
            ("cgroup pids is required to fulfill the request, but is not supported", "vague", "the kernel's cgroups"),
            ("io error", "write oom_score_adj: permission denied", "a privilege is missing"),
            ("failed to make castoff-c1.scope with systemd", "connection refused", "systemd does not make the cgroup"),
            ("io error", "no space left on device", "no room"),
            ("clone: invalid argument", "clone: invalid argument", "the kernel"),
        ] {
            let (found, other) = judged(Some(&wrong(ours)), Some(&wrong(theirs)));
            assert_eq!(found.status, CheckStatus::Fail);
            assert!(found.detail.starts_with(&format!("{culprit}: ")), "{}", found.detail);
            assert!(other.detail.contains("fails as well"), "{}", other.detail);
        }
    }
}
