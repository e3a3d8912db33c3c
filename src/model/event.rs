//! What happens while a run goes on: one `Event` a line, with `-o jsonl`.

use super::{Change, CheckStatus, Downtime, Outcome, Risk};
use serde::{Deserialize, Serialize};

/// Version of the stream of events.
pub const EVENTS_VERSION: &str = "castoff.events/v1";

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Event {
    /// When: RFC 3339, UTC.
    pub time: String,
    /// The run; empty as long as none has begun.
    pub run: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EventLevel {
    /// Something that may matter.
    Warning,
    /// What ended it.
    Error,
}

/// What happened. There may be more types in later versions of castoff: readers pass over those they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum What {
    /// The first line.
    Version {
        /// [`EVENTS_VERSION`].
        api_version: String,
        /// castoff's version.
        tool: String,
    },
    /// A step of the plan; all of them before the first one begins.
    PlannedStep {
        /// Its id.
        step: String,
        /// Its place, counted from 1.
        index: usize,
        /// How many there are.
        total: usize,
        /// What kind of change it is.
        change: Change,
        /// What it may cost.
        risk: Risk,
        /// The phase it is timed in.
        phase: String,
        /// What is done: `write`, `stop`, …
        action: String,
        /// To what.
        object: String,
    },
    /// A step begins.
    StepStart {
        /// Its id.
        step: String,
        /// Its place.
        index: usize,
        /// How many there are.
        total: usize,
    },
    /// What a step that takes long waits for, or how far it is.
    Progress {
        /// For people.
        detail: String,
        /// Bytes moved so far.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        /// Bytes there are to move, about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<u64>,
    },
    /// A step is done and checked.
    StepDone {
        /// Its id.
        step: String,
        /// Its place.
        index: usize,
        /// How many there are.
        total: usize,
        /// How long it took.
        seconds: f64,
        /// What it says for itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A step failed; unless the run is kept as it is, a rollback follows.
    StepFailed {
        /// Its id.
        step: String,
        /// Its place.
        index: usize,
        /// How many there are.
        total: usize,
        /// Why.
        error: String,
    },
    /// One check of the node.
    Verify {
        /// Its id.
        id: String,
        /// Its result.
        status: CheckStatus,
        /// How long it took.
        seconds: f64,
        /// What was seen.
        detail: String,
    },
    /// Taking back begins.
    Rollback {
        /// How many steps are taken back.
        steps: usize,
        /// Why.
        why: String,
    },
    /// One thing was taken back.
    Undone {
        /// What, for people.
        what: String,
        /// How long it took.
        seconds: f64,
    },
    /// Something to tell that is no step.
    Diagnostic {
        /// How bad it is.
        level: EventLevel,
        /// What, for people.
        message: String,
        /// The finding's id, where it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// The last line of whatever came to an end; without it nothing was done, or castoff was killed.
    Summary {
        /// How it ended.
        outcome: Outcome,
        /// castoff's exit code.
        exit_code: u8,
        /// The node's name.
        node: String,
        /// True when the new state was said to stay.
        committed: bool,
        /// When the run is taken back unless somebody keeps it: RFC 3339, UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keep_until: Option<String>,
        /// How long things were away.
        downtime: Downtime,
        /// The run's report; absent where there was no run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<String>,
    },
}
