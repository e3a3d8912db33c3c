//! After a reboot, or when the time to keep a run is over: what becomes of it.

use super::{
    Journal, Observer, Options, Refusal, Run, Store, cni,
    executor::{self, check_journal, lock, open_run, work},
    guard, records,
    rollback::{self, Back},
    steps::Interrupted,
};
use crate::{
    host::{Host, Lock, env},
    model::{Action, Entry, Plan, RecoverPolicy, RunReport, RunState},
};
use anyhow::Result;
use std::{path::Path, sync::atomic::Ordering, time::Duration};

/// What was found to do.
#[derive(Debug)]
pub enum Recovered {
    /// No run is open and none waits to be kept.
    Nothing,
    /// A run waits to be kept; its time is not over.
    Waiting {
        /// The run.
        run: String,
        /// RFC 3339, UTC.
        until: String,
    },
    /// Files were made what they should be; the rest follows when the units run.
    Prepared {
        /// The run.
        run: String,
        /// Back to the old state, or on to the new one.
        back: bool,
    },
    /// A run came to its end.
    Ended(Box<RunReport>),
}

const CUT_OFF: &str = "the run was cut off before every file was written";
const TOO_LATE: &str = "nobody kept it in time (`castoff commit`)";

/// Between two looks at what somebody else holds.
const TICK: Duration = Duration::from_secs(1);
/// A timer that elapses while the unit it starts still runs starts nothing: what is as close as that is waited for here.
const SOON: Duration = Duration::from_secs(10);
/// Between two attempts to set a timer.
const AGAIN: Duration = Duration::from_secs(60);

/// Brings a run that was cut off to its end, and takes one back that nobody kept in time.
///
/// `early` does no more than what must be done before containerd, Docker and kubelet start. Otherwise nobody comes after
/// this: it waits for whoever is at work, decides by what is there then, and leaves a timer or stays where time is left.
///
/// # Errors
/// When a run cannot be read, or a signal comes. Nothing was changed then.
pub fn recover(host: &Host, early: bool, options: &Options<'_>, observer: &mut dyn Observer) -> Result<Recovered> {
    let store = Store::new(host);
    if early {
        return prepare(host, &store, options, observer);
    }
    let mut told = false;
    loop {
        let mut lock = wait_for_lock(host, options, observer)?;
        if let Some(run) = open_run(&store, host)? {
            return end(host, &mut lock, &store, &run, options, observer);
        }
        let Some((run, until)) = waiting(&store)? else {
            guard::disarm(host)?;
            return Ok(Recovered::Nothing);
        };
        if guard::is_over(host, &until) {
            let report = rollback::rollback_because(host, &mut lock, Some(&run.id), TOO_LATE, options, observer)?;
            return Ok(Recovered::Ended(Box::new(report)));
        }
        let left = guard::left(host, &until)?;
        if left > SOON {
            match guard::set_timer(host, &run, &until) {
                Ok(()) => return Ok(Recovered::Waiting { run: run.id, until }),
                Err(error) if !told => {
                    observer.warn(&format!("the timer cannot be set, so this process waits instead: {error:#}"));
                    told = true;
                }
                Err(_) => {}
            }
        }
        // Whoever keeps the run meanwhile needs it.
        drop(lock);
        pause(host, options, left.min(AGAIN))?;
    }
}

/// Before anything reads them: the files of a run that goes back.
fn prepare(host: &Host, store: &Store<'_>, options: &Options<'_>, observer: &mut dyn Observer) -> Result<Recovered> {
    let Some(run) = open_run(store, host)? else { return Ok(Recovered::Nothing) };
    let plan = store.plan(&run)?;
    let entries = Journal::look(host, &run.path("journal.jsonl"))?;
    let back = goes_back(host, &plan, &entries);
    if let Err(error) = cni::forget_broken(host) {
        observer.warn(&format!("pods may not be stopped: {error:#}"));
    }
    if back.is_some() {
        restore_files(host, &run, &plan, options, observer)?;
    }
    Ok(Recovered::Prepared { run: run.id, back: back.is_some() })
}

/// A run that was cut off, or is stuck.
fn end(
    host: &Host,
    lock: &mut Lock,
    store: &Store<'_>,
    run: &Run,
    options: &Options<'_>,
    observer: &mut dyn Observer,
) -> Result<Recovered> {
    let entries = Journal::look(host, &run.path("journal.jsonl"))?;
    let wanted = Some(run.id.as_str());
    let report = match goes_back(host, &store.plan(run)?, &entries) {
        Some(why) if !records::is_rolling_back(&entries) => {
            rollback::rollback_because(host, lock, wanted, why, options, observer)?
        }
        Some(_) => executor::resume_held(host, lock, wanted, options, observer)?,
        None => match executor::resume_held(host, lock, wanted, options, observer) {
            Err(error) if matches!(error.downcast_ref(), Some(Refusal::Drifted { .. })) => {
                rollback::rollback_because(host, lock, wanted, &format!("{error:#}"), options, observer)?
            }
            other => other?,
        },
    };
    Ok(Recovered::Ended(Box::new(report)))
}

/// Whoever is at work may fail and leave everything as it is, so his work is no reason to do nothing, however long it takes.
fn wait_for_lock(host: &Host, options: &Options<'_>, observer: &mut dyn Observer) -> Result<Lock> {
    let mut told = false;
    loop {
        let error = match lock(host, "recover") {
            Err(error) => error,
            held => return held,
        };
        let Some(Refusal::Locked(by)) = error.downcast_ref() else { return Err(error) };
        if !told {
            observer.warn(&format!("{error:#}; waiting for its end"));
            told = true;
        }
        wake(host, by, observer);
        pause(host, options, TICK)?;
    }
}

/// Somebody who was stopped (`kill -STOP`) would hold the lock for ever. What he wrote into it is only his word: he has to be a castoff.
fn wake(host: &Host, by: &str, observer: &mut dyn Observer) {
    let number = by.strip_prefix("pid ").and_then(|rest| rest.split(' ').next());
    let pid = number.and_then(|number| number.parse::<u32>().ok());
    let Some(pid) = pid.filter(|pid| host.procs.is_stopped(*pid)) else { return };
    let program = env::program().ok();
    let own = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let mut names = own.into_iter().chain(["castoff".to_owned()]);
    if !names.any(|name| host.procs.pids_of(&name).contains(&pid)) {
        return;
    }
    let told = match host.procs.wake(pid) {
        Ok(()) => format!("process {pid} was stopped, and goes on now"),
        Err(error) => format!("{error:#}"),
    };
    observer.warn(&told);
}

/// Waits, unless a signal comes.
fn pause(host: &Host, options: &Options<'_>, span: Duration) -> Result<()> {
    let end = host.clock.monotonic().saturating_add(span);
    loop {
        if options.interrupt.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        let left = end.saturating_sub(host.clock.monotonic());
        if left.is_zero() {
            return Ok(());
        }
        host.clock.sleep(left.min(TICK));
    }
}

/// Why a run that was cut off goes back; `None` when it goes on.
fn goes_back(host: &Host, plan: &Plan, entries: &[Entry]) -> Option<&'static str> {
    if records::is_rolling_back(entries) {
        return Some("the rollback was cut off");
    }
    if records::keep_until(entries).is_some_and(|(until, _)| guard::is_over(host, until)) {
        return Some(TOO_LATE);
    }
    match plan.desired.recover {
        RecoverPolicy::Rollback => Some("the profile says `recover = \"rollback\"`"),
        RecoverPolicy::Resume => None,
        RecoverPolicy::Auto => (!is_all_written(plan, entries)).then_some(CUT_OFF),
    }
}

/// True when nothing is left of a plan but starting, waiting and proving: the next boot is the new state's.
fn is_all_written(plan: &Plan, entries: &[Entry]) -> bool {
    let done: Vec<usize> = records::done_steps(entries).into_iter().map(|(index, _)| index).collect();
    let writes = |action: &Action| {
        matches!(
            action,
            Action::WriteFile { .. }
                | Action::MakeDir { .. }
                | Action::EnableUnit { .. }
                | Action::DisableUnit { .. }
                | Action::MaskUnit { .. }
        )
    };
    plan.steps.iter().filter(|step| !done.contains(&step.index)).all(|step| !writes(&step.action))
}

/// The files of the old state, before anything reads them.
fn restore_files(
    host: &Host,
    run: &Run,
    plan: &Plan,
    options: &Options<'_>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let _lock = lock(host, "recover")?;
    // Not by its name: early in a boot the node may have none yet.
    rollback::check_place(host, plan)?;
    let mut journal = Store::new(host).journal(run)?;
    check_journal(plan, &journal)?;
    let why = goes_back(host, plan, journal.entries()).unwrap_or(CUT_OFF).to_owned();
    let mut work = work(host, plan, run, &journal, options, observer);
    rollback::take_files_back(&mut work, &mut journal, &Back { why, force: false, interrupted: false })
}

/// The newest run, when it waits to be kept, with the moment at which its time is over.
pub(super) fn waiting(store: &Store<'_>) -> Result<Option<(Run, String)>> {
    let Some(run) = store.runs()?.pop() else { return Ok(None) };
    let entries = Journal::look(store.host(), &run.path("journal.jsonl"))?;
    let until = records::keep_until(&entries).map(|(until, _)| until.to_owned());
    Ok(until.filter(|_| records::state(&entries) == RunState::Applied).map(|until| (run, until)))
}

/// Removes the units, unless a run needs them: one that is open, or that waits to be kept. `ended` is one that needs them no
/// more, although its journal may not say so: a full disk takes no record.
pub(super) fn disarm(host: &Host, ended: Option<&Run>) -> Result<()> {
    let store = Store::new(host);
    let is_open =
        || open_run(&store, host).map(|open| open.is_some_and(|run| ended.is_none_or(|ended| ended.id != run.id)));
    if host.is_live() && !is_open()? && waiting(&store)?.is_none() {
        guard::disarm(host)?;
    }
    Ok(())
}
