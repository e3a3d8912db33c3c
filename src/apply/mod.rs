//! Plan → journal: doing steps, taking them back, going on after a crash.
//!
//! The rule of the room: *the inverse is on disk before the act*. A step is prepared (its undo computed, backups
//! written and fsynced), announced in the journal, done, checked, and closed in the journal. Whatever kills the process
//! at whatever instant, the journal says what may have happened and how to take it back.
//!
//! | File | Owns |
//! |---|---|
//! | `store`, `retention` | the directories of runs: plan, journal, backups, report; which are kept |
//! | `journal`, `records` | appending records; what they say |
//! | `events` | a run as a stream of events |
//! | `executor` | a run from lock to report; resume |
//! | `ready` | whether a plan can be carried out at all |
//! | `steps` | how each kind of action is prepared, done and checked |
//! | `tasks`, `undo`, `proof` | in which order things are taken back, and how each is; whether the old state holds then |
//! | `guard`, `recover` | what brings order back after a reboot, or when nobody keeps a run in time |
//! | `mounts` | on which file systems lies what a run needs |
//! | `cluster`, `later`, `leave` | steps that are the cluster's, and what of them is put off; pods leave before a rollback |
//! | `pods`, `cni` | pods on either side, and giving their networks back |
//! | `timing` | phases and downtime out of the journal |

mod carry;
mod cleanup;
mod cluster;
mod cni;
mod events;
mod executor;
mod guard;
mod hands;
mod journal;
mod later;
mod leave;
mod mounts;
mod pods;
mod proof;
mod ready;
mod records;
mod recover;
mod report;
mod retention;
mod rollback;
mod steps;
mod store;
mod summary;
mod tasks;
mod timing;
mod undo;

pub use cleanup::{Leftovers, clean, leftovers};
pub use events::{Events, summary as summary_event};
pub use executor::{Options, apply, prune, refuse_open_run, refuse_stale, resume};
pub use guard::{EARLY, LATE, TIMER};
pub use journal::Journal;
pub use later::make_up;
pub use leave::Leaving;
pub use ready::obstacles;
pub use recover::{Recovered, recover};
pub use report::{Extra, build as build_report};
pub use retention::Pruned;
pub use rollback::{commit, rollback};
pub use store::{RUNS, Run, Store};

use crate::model::{Check, Plan, Step};
use std::time::Duration;

/// For starting and stopping a timer.
const TIMER_LIMIT: Duration = Duration::from_secs(60);

/// Hears how a run goes on. `apply` never prints.
pub trait Observer {
    /// A run begins (or goes on, when `resumed`).
    fn run_started(&mut self, _run: &str, _plan: &Plan, _resumed: bool) {}
    /// A step begins.
    fn step_started(&mut self, _step: &Step, _total: usize) {}
    /// A step that waits says how it stands.
    fn waiting(&mut self, _what: &str) {}
    /// A step that moves bytes says how many of them it has.
    fn moved(&mut self, _bytes: u64, _total: u64) {}
    /// A step has done one of several things.
    fn part_done(&mut self, _what: &str) {}
    /// A step is done and checked.
    fn step_done(&mut self, _step: &Step, _total: usize, _seconds: f64, _detail: Option<&str>) {}
    /// A step failed.
    fn step_failed(&mut self, _step: &Step, _total: usize, _error: &str) {}
    /// A check of the node has its result.
    fn checked(&mut self, _check: &Check) {}
    /// Taking back begins.
    fn rollback_started(&mut self, _run: &str, _steps: usize, _why: &str) {}
    /// One thing was taken back.
    fn undone(&mut self, _what: &str, _seconds: f64) {}
    /// Something to tell that is no error.
    fn warn(&mut self, _message: &str) {}
}

/// Hears nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {}

/// Why a run did not begin or could not be looked at. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another castoff is at work.
    #[error("another castoff is at work on this node: {0}")]
    Locked(String),
    /// Findings forbid it.
    #[error("{} finding{} forbid{} this: {}", .0.len(), if .0.len() == 1 { "" } else { "s" }, if .0.len() == 1 { "s" } else { "" }, .0.join(", "))]
    Blocked(Vec<String>),
    /// The machine does not let it begin.
    #[error("it cannot begin: {what}: {why}")]
    Unready {
        /// The finding.
        id: String,
        /// Its summary.
        what: String,
        /// Its cause.
        why: String,
    },
    /// What is there is not what was planned for.
    #[error("the plan is stale: {0}")]
    Stale(String),
    /// What a cut-off run still has to write was changed meanwhile.
    #[error("run {run} cannot go on: {why}")]
    Drifted {
        /// The run.
        run: String,
        /// What was changed.
        why: String,
    },
    /// What a run needs to be taken back is gone.
    #[error("run {run} cannot be taken back: `castoff cleanup` removed {removed} at {time}")]
    Cleaned {
        /// The run.
        run: String,
        /// What was removed.
        removed: String,
        /// When.
        time: String,
    },
    /// An earlier run was cut off, or is stuck.
    #[error("run {0} did not come to its end: it is neither done nor taken back")]
    Dirty(String),
    /// An earlier run waits to be kept or taken back.
    #[error("run {run} waits for `castoff commit` until {until}, and is taken back without it")]
    Unkept {
        /// The run.
        run: String,
        /// RFC 3339, UTC.
        until: String,
    },
    /// The plan is for something else.
    #[error("the plan does not fit: {0}")]
    Unfit(String),
    /// Only root may.
    #[error("only root may change a running node")]
    NotRoot,
}
