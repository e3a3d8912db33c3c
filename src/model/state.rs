//! Where a run stands, as its journal tells it.

use super::Outcome;
use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// No terminal record: killed or cut off. Only `resume` and `rollback` make sense.
    Dirty,
    /// No terminal record either, and somebody is at work on it.
    Running,
    /// Applied, not yet committed.
    Applied,
    /// Applied and kept.
    Committed,
    /// Taken back.
    RolledBack,
    /// Neither here nor there.
    Stuck,
}

impl RunState {
    /// The word used in every output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dirty => "dirty",
            Self::Running => "running",
            Self::Applied => "applied",
            Self::Committed => "committed",
            Self::RolledBack => "rolled-back",
            Self::Stuck => "stuck",
        }
    }

    /// The state a finished run is in.
    pub const fn after(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied | Outcome::NoChange => Self::Applied,
            Outcome::RolledBack | Outcome::Interrupted | Outcome::Blocked => Self::RolledBack,
            Outcome::Stuck => Self::Stuck,
        }
    }
}

/// One line of `castoff history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Run id.
    pub run: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// Where it stands.
    pub state: RunState,
    /// Id of its plan.
    pub plan: String,
    /// What the plan was for.
    pub goal: super::Goal,
    /// Downtime of kubelet, seconds.
    pub kubelet_seconds: Option<f64>,
    /// Downtime of the workload, seconds.
    pub workload_seconds: Option<f64>,
    /// Bytes its backups take.
    pub backup_bytes: u64,
    /// Files that no longer are as the run left them.
    pub drift: Vec<String>,
}
