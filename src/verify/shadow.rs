//! Rung 3: pods by a containerd of castoff's own. The node's programs read the node's configuration, planned or there,
//! in a cage: with data in memory, a network and mounts of their own. First with the node's runc, then with castoff's
//! runtime in its place.

use super::{
    Found, Look, Options, Second, bench, leaks,
    reference::culprit,
    suite::{self, Bed, Place, Unfit},
    trial,
};
use crate::{
    formats::containerd::{ContainerdConfig, Effective},
    host::{Caged, CriPods, DaemonError, Host, ImageStore, Piece, RUNTIME},
    images::canonical,
    model::{Check, CheckStatus, Rung, mask_text},
    runtime::{
        attempt::{OLDEST_KERNEL, Way, is_new_enough},
        workload::{self, Blob, Image},
    },
};
use anyhow::{Context as _, Result, bail};
use std::time::Duration;

/// The handler that stands for castoff's runtime.
const HANDLER: &str = "castoff-reference";
/// A daemon that starts needs a tenth of a second on a quiet node.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);
/// How long a lease may stay whose castoff was killed.
const LEASE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// Where a cage has castoff's files.
const DIR: &str = "/run/castoff-verify";
/// Where CNI plugins keep addresses they have given away.
const CNI_STATE: &str = "/var/lib/cni";
/// Snapshotters whose data may be anywhere.
const PLAIN_SNAPSHOTTERS: [&str; 2] = ["overlayfs", "native"];

/// How much is tried with pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing.
    None,
    /// What must work before a migration.
    Gate,
    /// All of it.
    Full,
}

/// The rung. `files` (path and content) stand in the place of the node's.
/// `alone` is how the node's runtime does without containerd.
pub(crate) fn rung(look: &Look<'_>, files: Vec<(String, String)>, options: &Options, alone: CheckStatus) -> Found {
    let one = |status, detail: String| Check::new("shadow-starts", Rung::Shadow, status, detail);
    let skip = |why: String| Found::just(one(CheckStatus::Skip, why));
    let way = match options.way(look) {
        Ok(way) => way,
        Err(error) => return Found::just(suite::judged("shadow-starts", Rung::Shadow, Err(error))),
    };
    let program = options.handler.as_deref().unwrap_or(RUNTIME);
    let release = look.host.kernel.release().unwrap_or_default();
    let too_old = program == RUNTIME && !is_new_enough(&release);
    let candidate = Candidate::new(look, files, way, program);
    if look.host.procs.find(&candidate.program).is_none() {
        return skip(format!("there is no {} here", candidate.program));
    }
    if let Some(snapshotter) = candidate.special_snapshotter() {
        return skip(format!("the snapshotter {snapshotter} needs its own disk, which a trial has not"));
    }
    let turn = leaks::alone(look.host, way, options.turn, look.interrupt);
    let _alone = match turn.and_then(|held| leaks::nothing_left(look.host, way).map(|()| held)) {
        Ok(held) => held,
        Err(error) => return Found::just(suite::judged("shadow-starts", Rung::Shadow, Err(error))),
    };
    let began = look.host.clock.monotonic();
    let shadow = match Shadow::start(look, &candidate) {
        Ok(shadow) => shadow,
        Err(error) if error.is::<Unfit>() => {
            return Found::just(suite::judged("shadow-starts", Rung::Shadow, Err(error)));
        }
        Err(error) => {
            let detail = without_tree(&mask_text(&format!("{error:#}")));
            let remedy = "`castoff plan -v` tells what this node's containerd makes of its configuration";
            return Found::just(one(CheckStatus::Fail, detail).with(&[], remedy));
        }
    };
    let started = format!("{} serves CRI on the node's configuration, apart from the node", shadow.who);
    let took = look.host.clock.monotonic().saturating_sub(began);
    let mut found = Found::just(one(CheckStatus::Pass, started).took(took));
    let second = (candidate.has_handler && !too_old).then_some(program);
    shadow.pods(look, way, options, (second, alone), &mut found);
    if too_old {
        let why = format!("the kernel is {release}; castoff's own runtime needs Linux {OLDEST_KERNEL}");
        found.checks.push(Check::new("handler-pod", Rung::Handler, CheckStatus::Skip, why));
    }
    drop(shadow);
    found.checks.push(clean(look, way));
    found
}

/// `/proc/PID/root/x` is `/x` for the daemon.
fn without_tree(text: &str) -> String {
    let Some((before, rest)) = text.split_once("/proc/") else { return text.to_owned() };
    match rest.split_once("/root/") {
        Some((pid, after)) if pid.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{before}/{}", without_tree(after))
        }
        _ => format!("{before}/proc/{}", without_tree(rest)),
    }
}

/// What is tried.
struct Candidate {
    program: String,
    cage: crate::host::Cage,
    sandbox_image: Option<String>,
    snapshotter: Option<String>,
    has_handler: bool,
}

impl Candidate {
    fn new(look: &Look<'_>, mut files: Vec<(String, String)>, way: Way, handler: &str) -> Self {
        let containerd = &look.facts.containerd;
        let joined = trial::joined(look.facts, &files);
        let sandbox_image =
            joined.as_ref().and_then(Effective::sandbox_image).or_else(|| containerd.sandbox_image.clone());
        let snapshotter = joined.as_ref().and_then(Effective::snapshotter).or_else(|| containerd.snapshotter.clone());
        // One more handler changes nothing for the others; without it the rest can still be tried.
        let more = joined.as_ref().and_then(|joined| with_handler(look, &files, joined, handler, way));
        let has_handler = more.is_some();
        if let Some((path, text)) = more {
            files.retain(|(file, _)| *file != path);
            files.push((path, text));
        }
        let mut cage = trial::cage(look.host, look.facts, &look.desired.endpoint, files, joined.as_ref());
        cage.pods = true;
        cage.empty.push(CNI_STATE.to_owned());
        Self {
            program: cage.program.clone(),
            cage,
            sandbox_image: sandbox_image.map(|image| image.value),
            snapshotter: snapshotter.map(|name| name.value),
            has_handler,
        }
    }

    fn special_snapshotter(&self) -> Option<&str> {
        let name = self.snapshotter.as_deref().filter(|name| !name.is_empty())?;
        (!PLAIN_SNAPSHOTTERS.contains(&name)).then_some(name)
    }
}

/// The file that gets castoff's handler, and its text then: the main one, but on containerd 1.x the last with a table of
/// CRI's, which is the only one that counts there.
fn with_handler(
    look: &Look<'_>,
    files: &[(String, String)],
    joined: &Effective,
    program: &str,
    way: Way,
) -> Option<(String, String)> {
    let release = joined.release();
    let main = joined.parts.first().map(|part| part.path.as_str());
    let path = if release.merges_plugins() { main } else { joined.cri_winner().or(main) };
    let path = path?;
    let planned = files.iter().find(|(file, _)| file == path).map(|(_, text)| text);
    let text = match planned.or_else(|| look.facts.texts.get(path)) {
        Some(text) => text.as_str(),
        // What cannot be read is for containerd to refuse; with a new file in its place that would not be seen.
        None if look.host.root.exists(path) => return None,
        None => "",
    };
    let config = ContainerdConfig::parse(text).ok()?.beside(joined.schema, release);
    Some((path.to_owned(), config.with_handler(HANDLER, program, way.systemd).ok()?))
}

/// A containerd of castoff's own, ended when dropped with all it has started.
struct Shadow {
    caged: Box<dyn Caged>,
    cri: Box<dyn CriPods>,
    images: Box<dyn ImageStore>,
    who: String,
}

impl Shadow {
    fn start(look: &Look<'_>, candidate: &Candidate) -> Result<Self> {
        let host = look.host;
        let caged = host.procs.caged(&candidate.cage).map_err(|error| Unfit(format!("{error:#}")))?;
        let endpoint = format!("unix://{}", caged.socket());
        let (cri, images) = (host.doors.pods(&endpoint)?, host.doors.images(&endpoint)?);
        let mut shadow = Self { caged, cri, images, who: String::new() };
        shadow.who = shadow.answers(look)?;
        let pause = candidate.sandbox_image.clone().or_else(|| default_sandbox_image(look, &candidate.program));
        let pause = pause.context("it is not known which sandbox image this containerd wants")?;
        let lease = format!("castoff-verify-{}", host.pid());
        bring(&*shadow.images, &workload::sandbox()?, &canonical(&pause), &lease, host)?;
        let probe = workload::probe()?;
        bring(&*shadow.images, &probe, probe.name, &lease, host)?;
        wait_for(&*shadow.cri, probe.name, host)?;
        wait_for(&*shadow.cri, &canonical(&pause), host)?;
        Ok(shadow)
    }

    /// Waits until CRI answers; who does.
    fn answers(&mut self, look: &Look<'_>) -> Result<String> {
        let clock = &look.host.clock;
        let began = clock.monotonic();
        loop {
            // A client remembers a connection, so a new one asks until there is one to remember.
            let answer = look.host.cri(&format!("unix://{}", self.caged.socket())).and_then(|cri| cri.version());
            let error = match answer {
                Ok(version) => return Ok(format!("{} {}", version.runtime_name, version.runtime_version)),
                Err(error) => error,
            };
            if let Some(how) = self.caged.ended() {
                let words = trial::last_words(&self.caged.words());
                bail!("containerd gave up: {}", if words.is_empty() { how } else { words });
            }
            if look.is_interrupted() {
                bail!(Unfit("interrupted".to_owned()));
            }
            if matches!(DaemonError::of(&error), Some(DaemonError::Unimplemented { .. })) {
                let daemon = look.host.doors.containerd(&format!("unix://{}", self.caged.socket()))?;
                bail!(
                    "containerd runs without CRI: {}",
                    trial::failed_plugin(&daemon.plugins()?).unwrap_or_else(|| "it is disabled".to_owned())
                );
            }
            if clock.monotonic().saturating_sub(began) > LIMIT {
                let words = trial::last_words(&self.caged.words());
                return Err(error.context(format!("containerd does not serve CRI: {words}")));
            }
            clock.sleep(PAUSE);
        }
    }

    fn place(&self, handler: &str, way: Way) -> Result<Place> {
        let tree = self.caged.tree();
        let pid = tree.components().nth(2).and_then(|part| part.as_os_str().to_str()?.parse().ok());
        Ok(Place {
            endpoint: format!("unix://{}", self.caged.socket()),
            image: workload::probe()?.name.to_owned(),
            handler: handler.to_owned(),
            way,
            tree,
            dir: format!("{DIR}{handler}"),
            node_pid: pid.unwrap_or(1),
            private: true,
        })
    }

    /// Pods by the node's runtime, then by the program in its place.
    fn pods(
        &self,
        look: &Look<'_>,
        way: Way,
        options: &Options,
        (program, alone): (Option<&str>, CheckStatus),
        found: &mut Found,
    ) {
        let mut node = self.by(look, way, options, ("", "shadow-", Rung::Shadow, "runc"), found);
        let mut reference = Vec::new();
        let all_well = node.iter().all(|check| check.status != CheckStatus::Fail);
        let needless = all_well && options.second == Second::OnFailure && options.bench.is_none();
        if let Some(program) = program.filter(|_| !needless) {
            let name = if program == RUNTIME { "castoff" } else { program };
            reference = self.by(look, way, options, (HANDLER, "handler-", Rung::Handler, name), found);
            for ours in &mut reference {
                let name = ours.id.trim_start_matches("handler-").to_owned();
                let Some(theirs) = node.iter_mut().find(|theirs| theirs.id == format!("shadow-{name}")) else {
                    continue;
                };
                compare(theirs, ours, alone, way);
            }
        }
        for alone in node.iter_mut().filter(|check| check.status == CheckStatus::Fail && check.remedy.is_none()) {
            blame(alone, way, "");
        }
        found.checks.extend(node.into_iter().chain(reference));
    }

    fn by(
        &self,
        look: &Look<'_>,
        way: Way,
        options: &Options,
        (handler, prefix, rung, name): (&str, &str, Rung, &str),
        found: &mut Found,
    ) -> Vec<Check> {
        let bed = match self.place(handler, way) {
            Ok(place) => Bed::new(look.host, &*self.cri, place, 0, look.interrupt),
            Err(error) => return vec![suite::judged(&format!("{prefix}pod"), rung, Err(error))],
        };
        let cases = if rung == Rung::Handler && options.second != Second::Full { suite::GATE } else { options.cases() };
        let mut checks = suite::run(&bed, cases, prefix, rung);
        let runtime = format!("{} with {name}", self.who);
        let (figures, failed) = bench::figures(&bed, options, &runtime, &format!("{prefix}bench"), rung);
        found.bench.extend(figures);
        checks.extend(failed);
        // Where it is for the daemon, not for who looks in from outside.
        for check in &mut checks {
            check.detail = without_tree(&check.detail);
        }
        checks
    }
}

/// Whose fault it is: a pod's container by the node's runtime, and by another through the same containerd. `alone` says
/// whether the node's runtime works without containerd.
fn compare(theirs: &mut Check, ours: &mut Check, alone: CheckStatus, way: Way) {
    let said = |check: &Check| (check.status, check.detail.clone());
    match (said(theirs), said(ours)) {
        ((CheckStatus::Fail, why), (CheckStatus::Pass, _)) => {
            let (culprit, remedy) = if alone == CheckStatus::Pass {
                (
                    "the handler's table in containerd's configuration",
                    "compare its runtime_type and options with `castoff plan`: with the same containerd and shim, another handler works",
                )
            } else {
                ("the node's runc", "reinstall the package of runc, or correct BinaryName")
            };
            theirs.detail = format!("{culprit}: {why}");
            theirs.remedy = Some(remedy.to_owned());
        }
        ((CheckStatus::Fail, _), (CheckStatus::Fail, also)) => {
            blame(theirs, way, &also);
            ours.status = CheckStatus::Inconclusive;
            ours.detail = format!("as with the node's runc: {also}");
        }
        (_, (CheckStatus::Fail, also)) => {
            ours.status = CheckStatus::Inconclusive;
            ours.detail = format!("{also}; the node's runc can do it");
        }
        _ => {}
    }
}

/// What fails with every runtime.
fn blame(check: &mut Check, way: Way, also: &str) {
    let (culprit, remedy) = culprit(&check.detail, also, way).unwrap_or((
        "containerd, its configuration or its shim",
        "the two runtimes alone run containers if the checks before pass: look at containerd",
    ));
    check.detail = format!("{culprit}: {}", check.detail);
    check.remedy = Some(remedy.to_owned());
}

/// Brings one of castoff's images in under a name.
pub(crate) fn bring(store: &dyn ImageStore, image: &Image, name: &str, lease: &str, host: &Host) -> Result<()> {
    fn piece(blob: &Blob) -> Piece<'_> {
        Piece { media_type: blob.media_type, digest: &blob.digest, bytes: &blob.bytes }
    }
    let expires = host.clock.timestamp()?.checked_add(LEASE).context("the clock is at the end of its range")?;
    store
        .import(
            name,
            &piece(&image.manifest),
            &piece(&image.config),
            &piece(&image.layer),
            (lease, &expires.to_string()),
        )
        .with_context(|| format!("castoff's image {name} cannot be brought into containerd"))
}

/// CRI learns of an image by an event.
pub(crate) fn wait_for(cri: &dyn CriPods, name: &str, host: &Host) -> Result<()> {
    let began = host.clock.monotonic();
    while cri.image_status(name)?.is_none() {
        if host.clock.monotonic().saturating_sub(began) > LIMIT {
            bail!("containerd has {name}, and CRI does not see it");
        }
        host.clock.sleep(PAUSE);
    }
    Ok(())
}

/// What the daemon uses where no file says: only it knows.
pub(crate) fn default_sandbox_image(look: &Look<'_>, program: &str) -> Option<String> {
    let dump = look.host.procs.query(program, &["config", "dump"], LIMIT).ok()?.ok("containerd").ok()?;
    Some(ContainerdConfig::parse(&dump.text()).ok()?.sandbox_image()?.value).filter(|image| !image.is_empty())
}

/// Nothing is left of it.
fn clean(look: &Look<'_>, way: Way) -> Check {
    let left = leaks::cgroups_at_last(look.host, way);
    let (status, detail) = match left.as_slice() {
        [] => (CheckStatus::Pass, "no cgroup is left".to_owned()),
        left => (CheckStatus::Fail, format!("left behind: {}", left.join(", "))),
    };
    Check::new("shadow-clean", Rung::Shadow, status, detail)
}

#[cfg(test)]
#[path = "shadow_tests.rs"]
mod tests;
