//! Taking a run back, and keeping one.

use super::{
    Journal, Observer, Options, Refusal, Run, Store, cleanup, cluster as steps,
    executor::{check_journal, lock, work},
    guard, hands, leave, pods, proof, records, recover,
    report::{self, Extra},
    steps::Work,
    tasks,
};
use crate::{
    host::{Host, Lock},
    model::{Entry, Outcome, Plan, Record, RunReport, RunState, Undo},
    verify,
};
use anyhow::{Context as _, Result, bail};
use std::{sync::atomic::AtomicBool, time::Duration};

/// Why and how a run is taken back.
#[derive(Debug)]
pub struct Back {
    /// For the journal and the user.
    pub why: String,
    /// Overwrite what somebody else changed meanwhile.
    pub force: bool,
    /// A signal asked for it: the outcome is `interrupted`.
    pub interrupted: bool,
}

/// Takes a run back: the one named, else the newest.
///
/// # Errors
/// When there is nothing to take back or the run cannot be read; the node is unchanged then.
pub fn rollback(
    host: &Host,
    wanted: Option<&str>,
    options: &Options<'_>,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    rollback_because(host, &mut lock(host, "rollback")?, wanted, records::ASKED, options, observer)
}

/// The same for another reason, by somebody who has the lock.
pub(super) fn rollback_because(
    host: &Host,
    lock: &mut Lock,
    wanted: Option<&str>,
    why: &str,
    options: &Options<'_>,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    let store = Store::new(host);
    let run = match wanted {
        Some(_) => store.find(wanted)?,
        None => newest_that_holds(&store)?,
    };
    lock.say(&format!("pid {} (rollback, run {})", host.pid(), run.id));
    let plan = store.plan(&run)?;
    check_place(host, &plan)?;
    check_newest(&store, &run)?;
    cleanup::refuse_cleaned(host, &run.id, &plan)?;
    let mut journal = store.journal(&run)?;
    check_journal(&plan, &journal)?;
    // What was left alone the first time can still be forced back.
    let again = options.force && !records::left_alone(journal.entries()).is_empty();
    if records::state(journal.entries()) == RunState::RolledBack && !again {
        let left = if records::left_alone(journal.entries()).is_empty() {
            "nothing to do"
        } else {
            "what was left alone needs `--force`"
        };
        bail!("run {} is taken back already; {left}", run.id);
    }
    let mut work = work(host, &plan, &run, &journal, options, observer);
    if why == records::ASKED && !options.force {
        refuse_bare(&work, journal.entries())?;
    }
    let back = Back { why: why.to_owned(), force: options.force, interrupted: false };
    work.guard(|work| guard::leave_session(host, &run, &plan, work.observer))?;
    if let Some(how) = options.leaving {
        leave::leave(&mut work, &mut journal, how)?;
    }
    let pods = pods::moved(&work, journal.entries());
    // Not before the pods have left: a drain that fails leaves the run as it was, and that may need no units.
    work.guard(|work| guard::arm_again(host, &run, &work.begun.mounts, work.observer));
    // A run that ended must not look ended while it is being taken back.
    if let Err(error) = journal.add(host, Record::RollbackStarted { why: back.why.clone(), pods }) {
        disarm(&mut work, None);
        return Err(error);
    }
    Ok(carry_back(&mut work, &mut journal, &back))
}

/// A run that ended well is not begun to be taken back where that would be stuck at a disk that is not there.
fn refuse_bare(work: &Work<'_>, entries: &[Entry]) -> Result<()> {
    let ended = matches!(records::state(entries), RunState::Applied | RunState::Committed);
    let bare = |(_, _, undo): &(usize, String, Undo)| work.not_mounted(undo);
    match records::open_steps(entries).iter().find_map(bare).filter(|_| ended) {
        Some(point) => bail!(
            "nothing is mounted on {point}, and a file system was when the run began; nothing was taken back: mount it (`--force` does without)"
        ),
        None => Ok(()),
    }
}

/// The newest run that is not taken back; with files left alone, the newest run of all.
fn newest_that_holds(store: &Store<'_>) -> Result<Run> {
    let mut last = None;
    for run in store.runs()?.into_iter().rev() {
        let entries = Journal::look(store.host(), &run.path("journal.jsonl"))?;
        if records::state(&entries) != RunState::RolledBack || !records::left_alone(&entries).is_empty() {
            return Ok(run);
        }
        last.get_or_insert(run);
    }
    last.context("there is no run on this node yet")
}

/// Runs are taken back in the reverse of the order they were made in: a later one stands on an earlier one.
fn check_newest(store: &Store<'_>, run: &Run) -> Result<()> {
    for later in store.runs()?.into_iter().filter(|later| later.id > run.id) {
        let state = records::state(&Journal::look(store.host(), &later.path("journal.jsonl"))?);
        if state != RunState::RolledBack {
            bail!("run {} stands on run {} ({}); take that one back first", later.id, run.id, state.word());
        }
    }
    Ok(())
}

/// A rollback does not mind findings or drift, but it must be on the node that the run was on.
pub(super) fn check_place(host: &Host, plan: &Plan) -> Result<()> {
    if plan.live == host.is_live() {
        Ok(())
    } else {
        Err(Refusal::Unfit("the run was made on another kind of tree (running node or file tree)".into()).into())
    }
}

/// Says that the new state stays. What failed half way is done by a second time.
///
/// # Errors
/// When the run was not applied.
pub fn commit(host: &Host, wanted: Option<&str>) -> Result<Run> {
    let _lock = lock(host, "commit")?;
    let store = Store::new(host);
    let run = store.find(wanted)?;
    let mut journal = store.journal(&run)?;
    match records::state(journal.entries()) {
        RunState::Committed => {}
        RunState::Applied => journal.add(host, Record::Committed)?,
        state => bail!("run {} cannot be kept: it is {}", run.id, state.word()),
    }
    // They may be a newer run's, which waits or was cut off.
    recover::disarm(host, None).context("the run is kept, but its timer could not be removed")?;
    if let Some(mut report) = store.report(&run)?.filter(|report| !report.committed) {
        report.committed = true;
        store.save_report(&run, &report)?;
    }
    Ok(run)
}

/// Takes back every open step, proves the old state, and reports. Never fails without a report: what could not be done
/// is in it, with the commands that are left to do.
pub(super) fn take_all_back(work: &mut Work<'_>, journal: &mut Journal, back: &Back) -> RunReport {
    note(work, journal, Record::RollbackStarted { why: back.why.clone(), pods: None });
    carry_back(work, journal, back)
}

/// Takes back files and links only, for a boot at which nothing has read them yet.
pub(super) fn take_files_back(work: &mut Work<'_>, journal: &mut Journal, back: &Back) -> Result<()> {
    if !records::is_rolling_back(journal.entries()) {
        note(work, journal, Record::RollbackStarted { why: back.why.clone(), pods: None });
    }
    let open = records::open_steps(journal.entries());
    work.observer.rollback_started(&work.run.id, open.len(), &back.why);
    for task in tasks::tasks(&open).iter().filter(|task| task.is_file() && !waits_for_pods(task, &open)) {
        // Not marked: whoever comes behind the units finds it mounted, or says that it is not.
        if let tasks::Act::Undo(undo) = &task.act
            && let Some(point) = work.not_mounted(undo)
        {
            work.observer.warn(&format!("{} waits: nothing is mounted on {point} yet", task.describe()));
            continue;
        }
        let skipped = work.take_back(task, back.force)?;
        for record in tasks::marks(task, skipped.as_deref()) {
            note(work, journal, record);
        }
    }
    work.host.units.reload()
}

/// True for a file of containerd while its pods are not removed. With the old ones it may serve no CRI, or another root, and then nobody
/// can remove what it knows of these pods, which keeps Docker's layers from going back (seen in the lab).
fn waits_for_pods(task: &tasks::Task, open: &[(usize, String, Undo)]) -> bool {
    let of_containerd = |step: &usize| open.iter().any(|(index, id, _)| index == step && id.contains("containerd"));
    open.iter().any(|(_, _, undo)| matches!(undo, Undo::RemovePods { .. })) && task.steps.iter().any(of_containerd)
}

fn carry_back(work: &mut Work<'_>, journal: &mut Journal, back: &Back) -> RunReport {
    // Of a run that was killed while it tried the new runtime.
    verify::end_trial(work.host, &work.plan.desired);
    let since = journal.entries().len();
    let mut open = records::open_steps(journal.entries());
    open.extend(proof::come_again(work.host, journal.entries()));
    if back.force {
        open.extend(records::left_alone(journal.entries()));
    }
    open.sort_by_key(|(index, ..)| *index);
    if steps::has_uncordoned(work.plan, journal.entries()) {
        // A cordon that is there now is somebody else's.
        open.iter_mut().filter(|(_, _, undo)| matches!(undo, Undo::Uncordon { .. })).for_each(|(_, _, undo)| {
            *undo = Undo::None { reason: "the run has lifted it itself".to_owned() };
        });
    }
    let mut tasks = tasks::tasks(&open);
    if records::was_taken_back(journal.entries()) {
        // Pods on containerd are not this run's any more.
        tasks.retain(|task| task.act != tasks::Act::RemoveStray);
    }
    work.observer.rollback_started(&work.run.id, open.len(), &back.why);
    // Once it does not answer, the node must not wait for it again.
    let mut answers = true;
    tasks.retain(|task| {
        let done = answers.then(|| ahead(work, journal, task)).flatten();
        answers &= done != Some(false);
        done != Some(true)
    });
    // A rollback that a signal asked for must not be stopped by that same signal.
    work.interrupt = &NEVER;
    for (done, task) in tasks.iter().enumerate() {
        let start = work.host.clock.monotonic();
        match work.take_back(task, back.force) {
            Ok(skipped) => taken(work, journal, task, skipped.as_deref(), start),
            Err(error) => {
                let error = format!("{}: {error:#}", task.describe());
                let index = task.steps.first().copied().unwrap_or_default();
                note(work, journal, Record::UndoFailed { index, error: error.clone() });
                let left = tasks.get(done..).unwrap_or_default();
                return stuck(work, journal, &error, left);
            }
        }
    }
    match proof::prove_old(work, journal.entries(), since) {
        Ok(changed) => {
            for (index, why) in changed {
                leave_alone(work, journal, index, &why);
            }
            let outcome = if back.interrupted { Outcome::Interrupted } else { Outcome::RolledBack };
            let left = leave::come_back(work, journal);
            end(work, journal, outcome, left.into_iter().collect())
        }
        Err(error) => stuck(work, journal, &format!("{error:#}"), &[]),
    }
}

/// Takes back ahead of the node what only its cluster has to do with; tells whether that worked.
fn ahead(work: &mut Work<'_>, journal: &mut Journal, task: &tasks::Task) -> Option<bool> {
    let tasks::Act::Undo(undo) = &task.act else { return None };
    let start = work.host.clock.monotonic();
    let done = steps::undo_ahead(work, undo)?;
    if done {
        taken(work, journal, task, None, start);
    }
    Some(done)
}

/// Notes and tells that something was taken back, or what of it was left alone.
fn taken(work: &mut Work<'_>, journal: &mut Journal, task: &tasks::Task, skipped: Option<&str>, start: Duration) {
    if let Some(skipped) = skipped {
        work.observer.warn(skipped);
    }
    for record in tasks::marks(task, skipped) {
        note(work, journal, record);
    }
    let seconds = work.host.clock.monotonic().saturating_sub(start).as_secs_f64();
    if skipped.is_none() && task.acts(work.host.is_live()) {
        work.observer.undone(&task.describe(), seconds);
    }
}

/// Somebody has changed what was taken back before: said, and counted as left alone.
fn leave_alone(work: &mut Work<'_>, journal: &mut Journal, index: usize, why: &str) {
    work.observer.warn(why);
    note(work, journal, Record::StepUndone { index, skipped: Some(why.to_owned()) });
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// A journal that cannot be written must not stop a rollback; the run stays dirty on disk and can be taken back again.
fn note(work: &mut Work<'_>, journal: &mut Journal, record: Record) {
    if let Err(error) = journal.add(work.host, record) {
        work.observer.warn(&format!("{error:#}"));
    }
}

fn stuck(work: &mut Work<'_>, journal: &mut Journal, why: &str, left: &[tasks::Task]) -> RunReport {
    let backups = work.host.root.outside(&work.run.path("backups")).display().to_string();
    let root = if work.host.is_live() { String::new() } else { work.host.root.dir().display().to_string() };
    let option = if root.is_empty() { String::new() } else { format!(" --root '{root}'") };
    let place = hands::Place { backups, root };
    let mut hands = vec![format!("# {why}")];
    hands.extend(left.iter().flat_map(|task| hands::commands(task, &place)));
    hands.push(format!("castoff rollback{option} {}    # tries again", work.run.id));
    if records::is_cordoned(journal.entries())
        && let Some((node, _)) = leave::member(work.plan)
    {
        hands.push(format!("kubectl uncordon {node}    # once it is well"));
    }
    end(work, journal, Outcome::Stuck, hands)
}

fn end(work: &mut Work<'_>, journal: &mut Journal, outcome: Outcome, by_hand: Vec<String>) -> RunReport {
    if outcome != Outcome::Stuck {
        work.settle_on_disk();
    }
    note(work, journal, Record::RunFinished { outcome });
    // What is stuck is tried again at the next boot.
    if outcome != Outcome::Stuck {
        let run = work.run;
        disarm(work, Some(run));
    }
    let checks = std::mem::take(&mut work.checks);
    let extra = Extra { checks, by_hand, exit_code: None, overhead: Some(work.overhead()) };
    let report = report::build(&work.run.id, work.plan, journal.entries(), outcome, extra);
    if let Err(error) = Store::new(work.host).save_report(work.run, &report) {
        work.observer.warn(&format!("the report could not be saved: {error:#}"));
    }
    report
}

fn disarm(work: &mut Work<'_>, ended: Option<&Run>) {
    if let Err(error) = work.guard(|work| recover::disarm(work.host, ended)) {
        work.observer.warn(&format!("the units for a reboot in the middle are left behind: {error:#}"));
    }
}
