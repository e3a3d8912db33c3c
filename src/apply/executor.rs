//! A run from lock to report, and going on after a crash.

use super::{
    Journal, Leaving, Observer, Pruned, Refusal, Run, Store, guard, mounts, pods, ready, records, recover,
    report::{self, Extra},
    rollback::{self, Back},
    steps::{InVain, Interrupted, NotProven, Work},
};
use crate::{
    host::{Host, Lock, Locked},
    model::{Action, Finding, Outcome, Plan, Record, Retention, RunReport, RunState, Seconds, Severity, Step},
};
use anyhow::{Context as _, Result, bail};
use std::{collections::BTreeSet, sync::atomic::AtomicBool, time::Duration};

/// How a run is to behave.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Set by the first SIGINT or SIGTERM.
    pub interrupt: &'a AtomicBool,
    /// A failed verification leaves the new state (exit code 6) instead of rolling back.
    pub keep_on_verify_failure: bool,
    /// A passed verification commits the run.
    pub commit: bool,
    /// Somebody must keep the run within so many seconds after its end, else it is taken back. Not with `commit`.
    pub keep_within: Option<u64>,
    /// A rollback overwrites what somebody else changed meanwhile (their content is kept in the run's backups).
    pub force: bool,
    /// Which old runs stay when a new one begins.
    pub retention: Retention,
    /// Pods leave the node before a rollback.
    pub leaving: Option<Leaving>,
}

impl<'a> Options<'a> {
    /// Nothing forced, nothing kept.
    pub const fn new(interrupt: &'a AtomicBool) -> Self {
        Self {
            interrupt,
            keep_on_verify_failure: false,
            commit: false,
            keep_within: None,
            force: false,
            retention: Retention::DEFAULT,
            leaving: None,
        }
    }
}

/// Takes the lock of a node.
///
/// # Errors
/// [`Refusal::Locked`] when another castoff holds it.
pub fn lock(host: &Host, what: &str) -> Result<Lock> {
    match Lock::take(&host.root, &format!("pid {} ({what})", host.pid()))? {
        Locked::Ours(lock) => Ok(lock),
        Locked::Held(by) => Err(Refusal::Locked(by).into()),
    }
}

/// Applies a plan: all of it, or nothing.
///
/// # Errors
/// A [`Refusal`], or a system error, before anything was changed. Once the first step has begun there is always a
/// report, whatever happens.
pub fn apply(host: &Host, plan: &Plan, options: &Options<'_>, observer: &mut dyn Observer) -> Result<RunReport> {
    check_fit(host, plan)?;
    let mut lock = lock(host, "apply")?;
    refuse_unfinished(host)?;
    refuse_stale(host, plan)?;
    // First of all: it makes room.
    if let Err(error) = Store::new(host).prune(options.retention) {
        observer.warn(&format!("old runs could not be removed: {error:#}"));
    }
    check_ready(host, plan)?;
    ready::check_program(host, plan, options, observer)?;
    let run = Store::new(host).create(plan)?;
    lock.say(&format!("pid {} (apply, run {})", host.pid(), run.id));
    let sandboxes = pods::sandboxes_before(host, plan);
    let (path, mounts) = (run.path("journal.jsonl"), mounts::of(host, plan));
    let mut journal = Journal::create(host, &path, &plan.digest, options.commit, sandboxes, mounts)?;
    let start = host.clock.monotonic();
    arm(host, &run, plan, &mut journal, options, observer)?;
    let arming = host.clock.monotonic().saturating_sub(start);
    observer.run_started(&run.id, plan, false);
    let mut work = work(host, plan, &run, &journal, options, observer);
    work.guarding = arming;
    carry_out(&mut work, &mut journal, options)
}

/// From here on a reboot ends what was begun, the dead man's switch counts, and nobody's session or pod ends the run.
fn arm(
    host: &Host,
    run: &Run,
    plan: &Plan,
    journal: &mut Journal,
    options: &Options<'_>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let until =
        options.keep_within.map(|within| guard::until(host, within).map(|until| (until, within))).transpose()?;
    if let Some((until, within)) = &until {
        journal.add(host, Record::KeepUntil { until: until.clone(), within: *within })?;
    }
    let mounts = pods::Begun::of(journal.entries()).mounts;
    let armed = guard::arm(host, run, &mounts, until.as_ref().map(|(until, _)| until.as_str()))
        .context("cannot prepare for a reboot in the middle; nothing was changed")
        .and_then(|()| guard::leave_session(host, run, plan, observer));
    if armed.is_err() {
        // Nothing was done: the run is over before it began.
        let _ = journal.add(host, Record::RunFinished { outcome: Outcome::RolledBack });
        let _ = guard::disarm(host);
    }
    armed
}

/// Goes on with a run that was cut off: forward, or backward when it was being taken back.
///
/// # Errors
/// When the run is not cut off, or cannot be read. The node is unchanged then.
pub fn resume(
    host: &Host,
    wanted: Option<&str>,
    options: &Options<'_>,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    resume_held(host, &mut lock(host, "resume")?, wanted, options, observer)
}

/// The same for somebody who has the lock.
pub(super) fn resume_held(
    host: &Host,
    lock: &mut Lock,
    wanted: Option<&str>,
    options: &Options<'_>,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    let store = Store::new(host);
    let run = match wanted {
        Some(_) => store.find(wanted)?,
        None => open_run(&store, host)?.context("no run was cut off: there is nothing to resume")?,
    };
    lock.say(&format!("pid {} (resume, run {})", host.pid(), run.id));
    let plan = store.plan(&run)?;
    let mut journal = store.journal(&run)?;
    let rolling_back = records::is_rolling_back(journal.entries());
    // By the time it was cut off the node may have had another name.
    let check = if rolling_back { rollback::check_place } else { check_fit };
    check(host, &plan)?;
    let state = records::state(journal.entries());
    if !is_open(state) {
        bail!("run {} was not cut off: it is {}; there is nothing to resume", run.id, state.word());
    }
    check_journal(&plan, &journal)?;
    if !rolling_back {
        let begun = records::open_steps(journal.entries()).iter().map(|(index, ..)| *index).max().unwrap_or_default();
        check_fresh(host, &plan, begun).map_err(|error| match error.downcast() {
            Ok(Refusal::Stale(why)) => Refusal::Drifted { run: run.id.clone(), why }.into(),
            Ok(other) => other.into(),
            Err(error) => error,
        })?;
    }
    observer.run_started(&run.id, &plan, true);
    let mut work = work(host, &plan, &run, &journal, options, observer);
    work.guard(|work| {
        guard::arm_again(host, &run, &work.begun.mounts, work.observer);
        guard::leave_session(host, &run, &plan, work.observer)
    })?;
    if rolling_back {
        let back = Back { why: "the rollback was cut off".to_owned(), force: options.force, interrupted: false };
        return Ok(rollback::take_all_back(&mut work, &mut journal, &back));
    }
    if let Err(error) = stop_again(&mut work, &journal).and_then(|()| prove_again(&mut work, &journal)) {
        return Ok(fail(&mut work, &mut journal, options, &error));
    }
    carry_out(&mut work, &mut journal, options)
}

pub(super) fn work<'a>(
    host: &'a Host,
    plan: &'a Plan,
    run: &'a Run,
    journal: &Journal,
    options: &Options<'a>,
    observer: &'a mut dyn Observer,
) -> Work<'a> {
    Work {
        host,
        plan,
        run,
        begun: pods::Begun::of(journal.entries()),
        timeouts: plan.desired.timeouts,
        observer,
        interrupt: options.interrupt,
        checks: Vec::new(),
        keep_unproven: options.keep_on_verify_failure,
        started: Vec::new(),
        put_off: None,
        in_vain: InVain::default(),
        guarding: Duration::ZERO,
        settling: Duration::ZERO,
    }
}

/// A plan is for one node and one kind of tree.
pub(super) fn check_fit(host: &Host, plan: &Plan) -> Result<()> {
    plan.validate().map_err(Refusal::Unfit)?;
    if plan.live != host.is_live() {
        let (made, here) =
            if plan.live { ("a running node", "a file tree") } else { ("a file tree", "a running node") };
        return Err(Refusal::Unfit(format!("it was made for {made} and this is {here}")).into());
    }
    let name = host.node_name();
    if plan.node != name {
        return Err(Refusal::Unfit(format!("it was made for node {} and this is {name}", plan.node)).into());
    }
    let blocking: Vec<String> = plan.blocking().map(|finding| finding.id.clone()).collect();
    if !blocking.is_empty() {
        return Err(Refusal::Blocked(blocking).into());
    }
    Ok(())
}

/// Removes old runs, as a new one does when it begins.
///
/// # Errors
/// [`Refusal::Locked`], a store that cannot be read, or a run that cannot be removed.
pub fn prune(host: &Host, wanted: Retention) -> Result<Pruned> {
    let _lock = lock(host, "history")?;
    Store::new(host).prune(wanted)
}

/// Refuses while an earlier run is neither done nor taken back, or waits for its fate: what is on the node then is not
/// what it looks like.
///
/// # Errors
/// [`Refusal::Locked`] while somebody is at work on it, [`Refusal::Dirty`], [`Refusal::Unkept`], or a store that cannot be
/// read.
pub fn refuse_open_run(host: &Host) -> Result<()> {
    let Err(error) = refuse_unfinished(host) else { return Ok(()) };
    let dirty = matches!(error.downcast_ref(), Some(Refusal::Dirty(_)));
    let by = dirty.then(|| Lock::holder(&host.root)).flatten();
    Err(by.map_or(error, |by| Refusal::Locked(by).into()))
}

/// The same for somebody who has the lock.
pub(super) fn refuse_unfinished(host: &Host) -> Result<()> {
    let store = Store::new(host);
    if let Some(open) = open_run(&store, host)? {
        return Err(Refusal::Dirty(open.id).into());
    }
    match recover::waiting(&store)? {
        Some((run, until)) => Err(Refusal::Unkept { run: run.id, until }.into()),
        None => Ok(()),
    }
}

/// Minutes may have passed since the plan was shown.
fn check_ready(host: &Host, plan: &Plan) -> Result<()> {
    let forbids =
        |finding: &Finding| finding.severity == Severity::Block && !plan.desired.skip_checks.contains(&finding.id);
    match ready::obstacles(host, plan).into_iter().find(forbids) {
        Some(Finding { id, summary: what, cause: why, .. }) => Err(Refusal::Unready { id, what, why }.into()),
        None => Ok(()),
    }
}

/// Fails when a file that a plan writes is not as it was when the plan was made.
///
/// # Errors
/// [`Refusal::Stale`], or a file that cannot be read.
pub fn refuse_stale(host: &Host, plan: &Plan) -> Result<()> {
    check_fresh(host, plan, 0)
}

/// Every file still to be written must be as it was when the plan was made.
fn check_fresh(host: &Host, plan: &Plan, begun: usize) -> Result<()> {
    for step in plan.steps.iter().filter(|step| step.index > begun) {
        let Action::WriteFile { path, before, .. } = &step.action else { continue };
        let now = host.root.read(path)?.map(|read| read.digest());
        let why = match (before, now) {
            (None, None) => continue,
            (Some(before), Some(now)) if before.digest == now => continue,
            (None, Some(_)) => format!("{path} is there now and was not when the plan was made"),
            (Some(_), None) => format!("{path} is gone since the plan was made"),
            (Some(_), Some(_)) => format!("{path} was changed since the plan was made"),
        };
        return Err(Refusal::Stale(why).into());
    }
    Ok(())
}

/// The journal and the plan beside it must belong together.
pub(super) fn check_journal(plan: &Plan, journal: &Journal) -> Result<()> {
    match journal.entries().first().map(|entry| &entry.record) {
        Some(Record::RunStarted { plan: digest, .. }) if *digest == plan.digest => Ok(()),
        Some(Record::RunStarted { .. }) => {
            Err(Refusal::Unfit("the plan in the run's directory is not the one its journal began with".into()).into())
        }
        _ => Err(Refusal::Unfit("the journal holds no beginning: nothing was done in this run".into()).into()),
    }
}

/// True for a run that is neither done nor taken back: cut off, or stuck on its way back.
const fn is_open(state: RunState) -> bool {
    matches!(state, RunState::Dirty | RunState::Stuck)
}

/// The newest run that is neither done nor taken back.
pub(super) fn open_run(store: &Store<'_>, host: &Host) -> Result<Option<Run>> {
    for run in store.runs()?.into_iter().rev() {
        if is_open(records::state(&Journal::look(host, &run.path("journal.jsonl"))?)) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// After a reboot, what a done step had stopped may run again: enabled units start at boot.
fn stop_again(work: &mut Work<'_>, journal: &Journal) -> Result<()> {
    let done = done(journal);
    let begun: BTreeSet<usize> = records::open_steps(journal.entries()).iter().map(|(index, ..)| *index).collect();
    let started_later = |unit: &str| {
        work.plan.steps.iter().any(|step| {
            begun.contains(&step.index) && matches!(&step.action, Action::StartUnit { unit: u } if u == unit)
        })
    };
    let again: Vec<&Step> = work
        .plan
        .steps
        .iter()
        .filter(|step| done.contains(&step.index))
        .filter(|step| match &step.action {
            Action::StopUnit { unit } => !started_later(unit),
            Action::StopDockerPods { .. } => work.host.engine_is_up() && !started_later("kubelet.service"),
            _ => false,
        })
        .collect();
    for step in again {
        work.act(step).with_context(|| format!("cannot {} {} again", step.action.word(), step.action.object()))?;
    }
    Ok(())
}

/// After a reboot, pods that were awaited once are on their way again, and what was proven was proven of another boot.
fn prove_again(work: &mut Work<'_>, journal: &Journal) -> Result<()> {
    let done = done(journal);
    let plan = work.plan;
    for step in plan.steps.iter().filter(|step| done.contains(&step.index)) {
        if matches!(step.action, Action::AwaitPods { .. } | Action::AwaitDockerPods { .. } | Action::Verify { .. }) {
            work.act(step).with_context(|| format!("cannot {} {} again", step.action.word(), step.action.object()))?;
        }
    }
    Ok(())
}

fn done(journal: &Journal) -> BTreeSet<usize> {
    records::done_steps(journal.entries()).into_iter().map(|(index, _)| index).collect()
}

fn carry_out(work: &mut Work<'_>, journal: &mut Journal, options: &Options<'_>) -> Result<RunReport> {
    let done = done(journal);
    let plan = work.plan;
    for step in plan.steps.iter().filter(|step| !done.contains(&step.index)) {
        if let Err(error) = do_step(work, journal, step) {
            return Ok(fail(work, journal, options, &error));
        }
    }
    // Without that record the next castoff would take the run for cut off: better the old state than an unclear one.
    finish(work, journal, None).or_else(|error| Ok(fail(work, journal, options, &error)))
}

fn do_step(work: &mut Work<'_>, journal: &mut Journal, step: &Step) -> Result<()> {
    let total = work.plan.steps.len();
    work.check_interrupt()?;
    work.observer.step_started(step, total);
    let start = work.host.clock.monotonic();
    let result = announce_and_act(work, journal, step);
    let seconds = work.host.clock.monotonic().saturating_sub(start).as_secs_f64();
    match result {
        Ok(detail) => {
            // Before it counts as done: lost, it would be forgotten.
            if let Some(why) = work.put_off.take() {
                journal.add(work.host, Record::StepPutOff { index: step.index, why })?;
            }
            let record =
                Record::StepDone { index: step.index, seconds: Seconds::from(seconds), detail: detail.clone() };
            journal.add(work.host, record)?;
            work.observer.step_done(step, total, seconds, detail.as_deref());
            Ok(())
        }
        Err(error) => {
            let error = error.context(format!("{} {} failed", step.action.word(), step.action.object()));
            work.observer.step_failed(step, total, &format!("{error:#}"));
            // Whether or not this reaches the disk, the run is dirty until its end is recorded.
            let _ = journal.add(work.host, Record::StepFailed { index: step.index, error: format!("{error:#}") });
            Err(error)
        }
    }
}

fn announce_and_act(work: &mut Work<'_>, journal: &mut Journal, step: &Step) -> Result<Option<String>> {
    announce(work, journal, step)?;
    work.act(step)
}

fn announce(work: &mut Work<'_>, journal: &mut Journal, step: &Step) -> Result<()> {
    let announced = records::open_steps(journal.entries()).iter().any(|(index, ..)| *index == step.index);
    if !announced {
        let undo = work.prepare(step)?;
        journal.add(work.host, Record::StepStarted { index: step.index, id: step.id.clone(), undo })?;
    }
    Ok(())
}

/// A step failed: take everything back, unless the only failure is the proof and the user wants to keep it.
fn fail(work: &mut Work<'_>, journal: &mut Journal, options: &Options<'_>, error: &anyhow::Error) -> RunReport {
    if options.keep_on_verify_failure
        && error.downcast_ref::<NotProven>().is_some()
        && let Ok(report) = put_rest_off(work, journal).and_then(|()| finish(work, journal, Some(6)))
    {
        return report;
    }
    let interrupted = error.downcast_ref::<Interrupted>().is_some();
    let back = Back { why: format!("{error:#}"), force: options.force, interrupted };
    rollback::take_all_back(work, journal, &back)
}

/// What a node that is kept unproven still has to do in its cluster, lifting its cordon above all, waits until somebody asks for it.
fn put_rest_off(work: &mut Work<'_>, journal: &mut Journal) -> Result<()> {
    let (done, plan) = (done(journal), work.plan);
    for step in plan.steps.iter().filter(|step| !done.contains(&step.index)) {
        if !matches!(step.action, Action::UncordonNode { .. } | Action::SetKubeletMap { .. }) {
            continue;
        }
        announce(work, journal, step)?;
        let why = "the node is not proven".to_owned();
        let what = format!("{} {}", step.action.word(), step.action.object());
        work.observer.warn(&format!("{what}: put off until `castoff resume --cluster`: {why}"));
        let detail = Some(format!("put off: {why}"));
        journal.add(work.host, Record::StepPutOff { index: step.index, why })?;
        journal.add(work.host, Record::StepDone { index: step.index, seconds: Seconds::from(0.0), detail })?;
    }
    Ok(())
}

fn finish(work: &mut Work<'_>, journal: &mut Journal, exit: Option<u8>) -> Result<RunReport> {
    work.settle_on_disk();
    journal.add(work.host, Record::RunFinished { outcome: Outcome::Applied })?;
    if records::commits(journal.entries())
        && exit.is_none()
        && let Err(error) = journal.add(work.host, Record::Committed)
    {
        work.observer.warn(&format!("the run is applied but not committed: {error:#}"));
    }
    if let Err(error) = work.guard(|work| wait_for_commit(work, journal)) {
        work.observer.warn(&format!("{error:#}"));
    }
    let checks = std::mem::take(&mut work.checks);
    let extra = Extra { checks, exit_code: exit, by_hand: Vec::new(), overhead: Some(work.overhead()) };
    let report = report::build(&work.run.id, work.plan, journal.entries(), Outcome::Applied, extra);
    if let Err(error) = Store::new(work.host).save_report(work.run, &report) {
        work.observer.warn(&format!("the report could not be saved: {error:#}"));
    }
    Ok(report)
}

/// A run that somebody has to keep waits for that from now on; any other needs no guard any more.
fn wait_for_commit(work: &mut Work<'_>, journal: &mut Journal) -> Result<()> {
    let within = records::keep_until(journal.entries()).map(|(_, within)| within);
    let Some(within) = within.filter(|_| records::state(journal.entries()) == RunState::Applied) else {
        return guard::disarm(work.host).context("the units for a reboot in the middle are left behind");
    };
    let until = guard::until(work.host, within)?;
    journal.add(work.host, Record::KeepUntil { until: until.clone(), within })?;
    guard::set_timer(work.host, work.run, &until)
        .context("the time to keep the run still counts from its beginning; when that is over, it is set anew")
}
