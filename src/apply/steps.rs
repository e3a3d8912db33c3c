//! How each kind of action is prepared, done and checked. Steps do not know each other.

use super::{Observer, Run, Store, carry, cluster, pods};
use crate::{
    host::{ApiError, Attributes, Expect, Host, UnitState, settle, unit_links},
    model::{
        Action, Check, CheckStatus, FileAfter, FileBefore, Level, Overhead, Plan, Step, Timeouts, Undo, UnitSnapshot,
    },
    verify,
};
use anyhow::{Context as _, Result, anyhow, bail};
use std::{
    mem::Discriminant,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// What a step may use.
pub struct Work<'a> {
    /// The node.
    pub host: &'a Host,
    /// The plan.
    pub plan: &'a Plan,
    /// The run.
    pub run: &'a Run,
    /// What was there when it began.
    pub begun: pods::Begun,
    /// Waits.
    pub timeouts: Timeouts,
    /// Hears how it goes.
    pub observer: &'a mut dyn Observer,
    /// Set by the first SIGINT or SIGTERM.
    pub interrupt: &'a AtomicBool,
    /// What was checked so far.
    pub checks: Vec<Check>,
    /// Checks before the last step decide nothing by themselves: the node is to be kept as it is.
    pub keep_unproven: bool,
    /// Units that were started, as they were right after, and when that was.
    pub started: Vec<(UnitState, Duration)>,
    /// Why the step that acts now is put off.
    pub put_off: Option<String>,
    /// What an API server was waited for in vain.
    pub in_vain: InVain,
    /// Time for what outlives castoff.
    pub guarding: Duration,
    /// Time for getting onto disk what the daemons wrote.
    pub settling: Duration,
}

/// What an API server was waited for in vain: it is asked once, and not waited for again.
#[derive(Clone, Copy, Debug, Default)]
pub struct InVain {
    /// That it answers.
    pub away: bool,
    /// That it no longer refuses in this way.
    pub refused: Option<Discriminant<ApiError>>,
    /// Nothing is waited for: somebody sits in front of it. What passes at once gets a second look.
    pub at_once: bool,
}

/// The error of a step that a signal stopped.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// The error of a verification that did not pass.
#[derive(Debug, thiserror::Error)]
#[error("the node is not as expected: {0}")]
pub struct NotProven(pub String);

impl Work<'_> {
    /// Fails when a signal came.
    pub fn check_interrupt(&self) -> Result<()> {
        if self.interrupt.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }

    /// Does something for what outlives castoff, and counts the time.
    pub fn guard<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let start = self.host.clock.monotonic();
        let done = act(self);
        self.guarding += self.host.clock.monotonic().saturating_sub(start);
        done
    }

    /// What daemons wrote meanwhile, images and networks of pods above all, is not synced by themselves. A run must not be
    /// called ended while a power cut could still take that away.
    pub fn settle_on_disk(&mut self) {
        if !self.host.is_live() {
            return;
        }
        let roots = self.plan.steps.iter().flat_map(|step| match &step.action {
            Action::ImportImages { root, source, .. } => vec![root.as_str(), source.as_str()],
            _ => Vec::new(),
        });
        let usual = ["/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet", "/var/lib/cni"];
        let dirs: Vec<&str> = roots.filter(|root| !root.is_empty()).chain(usual).collect();
        let start = self.host.clock.monotonic();
        if let Err(error) = self.host.root.sync_file_systems(&dirs) {
            self.observer.warn(&format!("a power cut within the next seconds may harm the pods: {error:#}"));
        }
        self.settling += self.host.clock.monotonic().saturating_sub(start);
    }

    /// What being able to take the run back has cost so far.
    pub fn overhead(&self) -> Overhead {
        let syncs = self.host.root.syncs();
        let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
        Overhead {
            syncs: syncs.count,
            sync_seconds: seconds(syncs.time),
            guard_seconds: seconds(self.guarding),
            settle_seconds: seconds(self.settling),
        }
    }

    /// Asks again and again until `probe` is content, a signal comes, or `deadline` has passed.
    pub fn wait_until(
        &mut self,
        deadline: Duration,
        mut probe: impl FnMut(&Host) -> Result<Result<(), String>>,
    ) -> Result<()> {
        let clock = &self.host.clock;
        let start = clock.monotonic();
        loop {
            let missing = match probe(self.host)? {
                Ok(()) => return Ok(()),
                Err(missing) => missing,
            };
            self.check_interrupt()?;
            if clock.monotonic().saturating_sub(start) >= deadline {
                bail!("still waiting after {} s: {missing}", deadline.as_secs());
            }
            self.observer.waiting(&missing);
            clock.sleep(Duration::from_millis(250));
        }
    }

    fn snapshot(&self, unit: &str) -> Result<UnitSnapshot> {
        let state = self.host.units.state(unit)?;
        Ok(UnitSnapshot {
            unit: unit.to_owned(),
            active: state.active,
            file_state: state.file_state,
            invocation: state.invocation,
        })
    }

    /// Active units that systemd stops together with `unit`.
    fn dependents(&self, unit: &str) -> Result<Vec<String>> {
        let state = self.host.units.state(unit)?;
        let mut names: Vec<String> = state.required_by.into_iter().chain(state.bound_by).collect();
        names.sort();
        names.dedup();
        // The plan has steps of its own for some of them; the rest is somebody else's and must come back too.
        names.retain(|name| !self.plan.steps.iter().any(|step| step.action.object() == *name));
        let mut active = Vec::new();
        for name in names {
            if self.host.units.state(&name)?.is_active() {
                active.push(name);
            }
        }
        Ok(active)
    }

    /// Looks at what is there and works out how to take the step back. Changes nothing but the run's directory.
    pub fn prepare(&mut self, step: &Step) -> Result<Undo> {
        Ok(match &step.action {
            Action::WriteFile { path, before, after, .. } => self.prepare_write(path, before.as_ref(), after)?,
            Action::MakeDir { path, .. } => Undo::RemoveDirs { dirs: self.host.root.missing_dirs(path) },
            Action::StopUnit { unit } => {
                Undo::RestoreActivity { was: self.snapshot(unit)?, dependents: self.dependents(unit)? }
            }
            Action::StartUnit { unit } => Undo::RestoreActivity { was: self.snapshot(unit)?, dependents: Vec::new() },
            Action::RestartUnit { unit } => Undo::Restart { was: self.snapshot(unit)? },
            Action::EnableUnit { unit } => self.restore_links(unit, unit_links::enable_dirs(&self.host.root, unit)?)?,
            Action::DisableUnit { unit } | Action::MaskUnit { unit } => {
                self.restore_links(unit, self.host.root.missing_dirs(unit_links::ADMIN_DIR))?
            }
            Action::DaemonReload => Undo::Reload,
            Action::StopDockerPods { .. } => pods::prepare_stop(self.host)?,
            Action::AwaitCri { endpoint } => {
                // The sandboxes that were there before this run are not ours to remove later.
                self.serves_cri(endpoint)?;
                let keep = self.begun.kept(self.host, endpoint)?;
                Undo::RemovePods { endpoint: endpoint.clone(), keep }
            }
            action @ Action::ImportImages { .. } => carry::prepare(self, action)?,
            action @ (Action::CordonNode { .. }
            | Action::DrainNode { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitEtcd { .. }
            | Action::SetKubeletMap { .. }
            | Action::AnnotateNode { .. }
            | Action::UncordonNode { .. }) => cluster::prepare(self.host, action)?,
            Action::AwaitPods { .. } | Action::AwaitDockerPods { .. } | Action::Verify { .. } => {
                Undo::None { reason: "it only looks".to_owned() }
            }
        })
    }

    fn restore_links(&self, unit: &str, dirs: Vec<String>) -> Result<Undo> {
        let links = unit_links::links_of(&self.host.root, unit)?;
        Ok(Undo::RestoreLinks { unit: unit.to_owned(), links, dirs })
    }

    fn prepare_write(&self, path: &str, before: Option<&FileBefore>, after: &FileAfter) -> Result<Undo> {
        let root = &self.host.root;
        let target = root.target(path).unwrap_or_else(|| path.to_owned());
        let current = root.read(path)?;
        match (before, current) {
            (None, None) => {
                let dirs = root.missing_dirs(parent(path));
                Ok(Undo::RemoveFile { path: path.to_owned(), target, ours: after.digest.clone(), dirs })
            }
            (Some(before), Some(read)) if read.digest() == before.digest => {
                let digest = Store::new(self.host).back_up(self.run, &read)?;
                let xattrs = read.meta.xattrs.iter().map(|(name, value)| (hex(name.as_encoded_bytes()), hex(value)));
                Ok(Undo::RestoreFile {
                    path: path.to_owned(),
                    target,
                    digest,
                    ours: after.digest.clone(),
                    mode: read.meta.mode,
                    uid: read.meta.uid,
                    gid: read.meta.gid,
                    xattrs: xattrs.collect(),
                    mtime: read.meta.mtime,
                })
            }
            (Some(_), None) => bail!("{path} is gone since the plan was made"),
            (None, Some(_)) => bail!("{path} appeared since the plan was made"),
            (Some(_), Some(_)) => bail!("{path} was changed since the plan was made"),
        }
    }

    /// Does a step and checks that what is expected of it holds. Doing it twice is the same as doing it once.
    pub fn act(&mut self, step: &Step) -> Result<Option<String>> {
        match &step.action {
            Action::WriteFile { path, before, after, content, .. } => {
                self.write(path, before.as_ref(), after, content.as_deref())?;
            }
            Action::MakeDir { path, mode } => self.host.root.make_dirs(path, *mode)?,
            Action::StopUnit { unit } => self.stop(unit)?,
            Action::StartUnit { unit } => return self.start(unit, false).map(Some),
            Action::RestartUnit { unit } => return self.start(unit, true).map(Some),
            Action::EnableUnit { unit } => unit_links::enable(&self.host.root, unit)?,
            Action::DisableUnit { unit } => unit_links::disable(&self.host.root, unit)?,
            Action::MaskUnit { unit } => unit_links::mask(&self.host.root, unit)?,
            Action::DaemonReload => self.host.units.reload()?,
            Action::StopDockerPods { cni_bin_dirs } => return pods::stop(self, cni_bin_dirs),
            action @ Action::ImportImages { .. } => return carry::act(self, action),
            action @ (Action::CordonNode { .. }
            | Action::DrainNode { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitEtcd { .. }
            | Action::SetKubeletMap { .. }
            | Action::AnnotateNode { .. }
            | Action::UncordonNode { .. }) => return cluster::act(self, action),
            Action::AwaitCri { endpoint } => return self.await_cri(endpoint),
            Action::AwaitPods { pods, endpoint } => return pods::await_on_cri(self, endpoint, pods),
            Action::AwaitDockerPods { pods } => return pods::await_on_docker(self, pods),
            Action::Verify { .. } => return self.verify(),
        }
        Ok(None)
    }

    fn write(&self, path: &str, before: Option<&FileBefore>, after: &FileAfter, content: Option<&str>) -> Result<()> {
        let root = &self.host.root;
        let content = content.ok_or_else(|| anyhow!("the plan holds no content for {path}"))?;
        if root.read(path)?.is_some_and(|read| read.digest() == after.digest) {
            // A run that was cut off between writing and saying so.
            return root.remove_leftover(path);
        }
        root.make_dirs(parent(path), 0o755)?;
        let expect = before.map_or(Expect::Absent, |before| Expect::Content(&before.digest));
        root.write_atomic(path, content.as_bytes(), expect, Attributes::Keep { mode: after.mode })
    }

    /// A service that its socket wakes again at once may run on until the socket is stopped too: agents ask Docker's
    /// socket all the time.
    fn stop(&self, unit: &str) -> Result<()> {
        let socket = unit.strip_suffix(".service").map(|stem| format!("{stem}.socket"));
        if socket.is_some_and(|socket| self.is_stopped_by_plan(&socket)) {
            return self.host.units.stop(unit, self.timeouts.unit.duration()).map(drop);
        }
        self.stop_for_good(unit)?;
        let service = unit.strip_suffix(".socket").map(|stem| format!("{stem}.service"));
        match service.filter(|service| self.is_stopped_by_plan(service)) {
            Some(service) if self.host.units.state(&service)?.is_active() => self.stop_for_good(&service),
            _ => Ok(()),
        }
    }

    fn stop_for_good(&self, unit: &str) -> Result<()> {
        self.host.units.stop(unit, self.timeouts.unit.duration())?;
        let state = self.host.units.state(unit)?;
        match state.active.as_str() {
            "inactive" | "failed" => Ok(()),
            other => bail!("{unit} was asked to stop but is {other} ({})", state.sub),
        }
    }

    fn is_stopped_by_plan(&self, unit: &str) -> bool {
        self.plan.steps.iter().any(|step| matches!(&step.action, Action::StopUnit { unit: stopped } if stopped == unit))
    }

    /// A started unit must be up, and another one than before. That it stays up is judged by [`Work::steady`], so that
    /// nothing waits for it while pods are away.
    pub fn judge_start(&mut self, unit: &str, before: &UnitState) -> Result<UnitState> {
        let clock = &*self.host.clock;
        let state = settle(&*self.host.units, clock, unit, before, Duration::ZERO)?;
        self.started.retain(|(known, _)| known.name != state.name);
        self.started.push((state.clone(), clock.monotonic()));
        Ok(state)
    }

    /// Fails when a unit that was started is not the same run any more: it crashed, and systemd started it again.
    pub fn steady(&self) -> Result<()> {
        let clock = &*self.host.clock;
        for (state, since) in &self.started {
            let up = clock.monotonic().saturating_sub(*since);
            let left = self.timeouts.settle.duration().saturating_sub(up);
            let now = settle(&*self.host.units, clock, &state.name, &UnitState::default(), left)?;
            if now.restarts != state.restarts || now.started_anew(state) {
                bail!("{} crashed after it was started: systemd started it again", state.name);
            }
        }
        Ok(())
    }

    fn start(&mut self, unit: &str, restart: bool) -> Result<String> {
        let units = &*self.host.units;
        let before = units.state(unit)?;
        // A unit that hit its start limit would refuse; failing once more is for us to find out.
        if before.active == "failed" {
            units.reset_failed(unit)?;
        }
        let timeout = self.timeouts.unit.duration();
        // Somebody started meanwhile what we had stopped: with old files, perhaps.
        let restart = restart || (before.active == "active" && self.is_stopped_by_plan(unit));
        let job = if restart { units.restart(unit, timeout)? } else { units.start(unit, timeout)? };
        // A start job on an active unit does nothing, so its invocation is the old one.
        let before = if !restart && before.active == "active" { UnitState::default() } else { before };
        let state = self.judge_start(unit, &before)?;
        let pid = state.main_pid.map_or_else(String::new, |pid| format!(", PID {pid}"));
        Ok(format!("{} after {:.1} s{pid}", state.active, job.seconds))
    }

    /// Waits for CRI, then lets it run pods: kubelet is stopped and nobody minds.
    /// Waits until CRI answers and its runtime is ready.
    fn serves_cri(&mut self, endpoint: &str) -> Result<()> {
        let deadline = self.timeouts.unit.duration();
        self.wait_until(deadline, |host| {
            Ok(match host.cri(endpoint)?.status(false) {
                Ok(status) if status.runtime_ready => Ok(()),
                Ok(_) => Err(format!("the runtime behind {endpoint} says it is not ready")),
                Err(error) => Err(format!("{error:#}")),
            })
        })
        .with_context(|| format!("CRI on {endpoint} does not work"))
    }

    /// The same, and pods run through it. Once: the node's own are away meanwhile.
    fn await_cri(&mut self, endpoint: &str) -> Result<Option<String>> {
        self.serves_cri(endpoint)?;
        if self.plan.desired.skip_checks.iter().any(|id| id == verify::POD_TRIAL) {
            return Ok(None);
        }
        let checks = verify::between(self.host, &self.plan.desired, self.interrupt);
        // It stops where it is then, and what is left out proves nothing.
        self.check_interrupt()?;
        for check in &checks {
            self.observer.checked(check);
        }
        let told = told(&checks);
        self.checks.extend(checks);
        match told {
            Err(why) if !self.keep_unproven => bail!("pods do not run on the new runtime: {why}"),
            Err(why) => Ok(Some(why)),
            Ok(passed) => Ok(Some(passed)),
        }
    }

    fn verify(&mut self) -> Result<Option<String>> {
        self.steady()?;
        // Pods were tried before kubelet was started.
        let options = verify::Options { extent: verify::Extent::None, ..verify::Options::gate(Level::Node) };
        // The last word on the node: a signal that comes now cuts nothing short.
        let verification = verify::run(self.host, &options, &self.plan.desired, &AtomicBool::new(false))?;
        for check in &verification.checks {
            self.observer.checked(check);
        }
        // After a boot this is asked again, and only its last answers count.
        self.checks.retain(|check| check.id.starts_with("live-"));
        self.checks.extend(verification.checks);
        match told(&self.checks) {
            Ok(passed) => Ok(Some(passed)),
            Err(why) => Err(NotProven(why).into()),
        }
    }
}

/// How checks went, in a sentence; an error when one failed.
fn told(checks: &[Check]) -> Result<String, String> {
    let of = |status| checks.iter().filter(move |check| check.status == status);
    let failures: Vec<String> = of(CheckStatus::Fail).map(|check| format!("{}: {}", check.id, check.detail)).collect();
    if failures.is_empty() {
        Ok(format!("{} checks passed", of(CheckStatus::Pass).count()))
    } else {
        Err(failures.join("; "))
    }
}

/// The directory a file is in.
fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => path.get(..at).unwrap_or("/"),
    }
}

/// Bytes as hexadecimal digits, for names and values that need not be text.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The inverse of [`hex`].
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_its_own_inverse() {
        for bytes in [&b""[..], b"\0\xff", b"security.selinux"] {
            assert_eq!(unhex(&hex(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
        assert_eq!(unhex("é"), None);
    }

    #[test]
    fn parents() {
        assert_eq!(parent("/etc/crictl.yaml"), "/etc");
        assert_eq!(parent("/x"), "/");
    }
}
