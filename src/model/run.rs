//! What happened: run reports and verifications.

use super::Finding;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// There was nothing to do.
    NoChange,
    /// The new state holds and was verified.
    Applied,
    /// Findings forbade it; nothing was changed.
    Blocked,
    /// The old state holds again.
    RolledBack,
    /// Neither state holds; the journal says where it stands.
    Stuck,
    /// Stopped by a signal; the old state holds again.
    Interrupted,
}

impl Outcome {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::NoChange, Self::Applied, Self::Blocked, Self::RolledBack, Self::Stuck, Self::Interrupted];

    /// The word used in every output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoChange => "no-change",
            Self::Applied => "applied",
            Self::Blocked => "blocked",
            Self::RolledBack => "rolled-back",
            Self::Stuck => "stuck",
            Self::Interrupted => "interrupted",
        }
    }

    /// The exit code of `apply` and `migrate` (`interface.md`, "Exit codes").
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::NoChange | Self::Applied => 0,
            Self::Blocked => 3,
            Self::RolledBack => 4,
            Self::Stuck => 5,
            Self::Interrupted => 130,
        }
    }
}

/// How much of the node `castoff verify` looks at; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Files: what is configured.
    Config,
    /// Units and processes: what runs.
    Runtime,
    /// CRI: what answers.
    Cri,
    /// kubelet and pods: what the node does.
    Node,
}

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail,
    /// Could not be looked at here; `detail` says why.
    Skip,
    /// Not as expected, but it may be castoff's own runtime that cannot do it: no verdict about the node.
    Inconclusive,
}

/// What a check stands on. Each rung answers what the ones before it cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Files, units, processes.
    #[default]
    Facts,
    /// A container by castoff's own runtime: kernel, cgroups, privileges.
    Reference,
    /// The same container by the node's runtime.
    Runc,
    /// Pods by a containerd of castoff's own, on the node's configuration and with the node's programs.
    Shadow,
    /// The same with castoff's runtime in the place of runc: whether it is the shim or runc that fails.
    Handler,
    /// What the running daemon says over CRI, and pods by it.
    Live,
    /// Pods.
    Node,
}

/// What was seen somewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// File, or command.
    pub path: String,
    /// What it said.
    pub value: String,
    /// The kernel's error, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

/// One check of a verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// Kebab-case.
    pub id: String,
    /// What it stands on.
    #[serde(default)]
    pub rung: Rung,
    /// Its result.
    pub status: CheckStatus,
    /// How long it took.
    pub seconds: f64,
    /// Evidence: what was seen, where, and what was expected.
    pub detail: String,
    /// The same, piece by piece, where the check has pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// A check of which no more is known yet.
    pub fn new(id: &str, rung: Rung, status: CheckStatus, detail: String) -> Self {
        Self { id: id.to_owned(), rung, status, seconds: 0.0, detail, evidence: Vec::new(), remedy: None }
    }

    /// With what was seen, and what to do; no words: nothing.
    #[must_use]
    pub fn with(mut self, evidence: &[Evidence], remedy: &str) -> Self {
        self.evidence = evidence.to_vec();
        self.remedy = (!remedy.is_empty()).then(|| remedy.to_owned());
        self
    }

    /// With the time it took, to the millisecond.
    #[must_use]
    pub fn took(mut self, time: Duration) -> Self {
        self.seconds = (time.as_secs_f64() * 1000.0).round() / 1000.0;
        self
    }
}

/// The `Verification` document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `Verification`.
    pub kind: String,
    /// The node's name.
    pub node: String,
    /// How much was looked at.
    pub level: Level,
    /// In order.
    pub checks: Vec<Check>,
    /// What the runtime shows of itself; only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<super::RuntimeView>,
    /// Benchmark figures; empty unless asked for.
    pub bench: Vec<super::Benchmark>,
}

impl Verification {
    /// True when no check failed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.status != CheckStatus::Fail)
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.status == CheckStatus::Fail)
    }
}

/// How long a phase took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Phase {
    /// `images`, `drain`, `stop`, `configure`, `start`, `verify`, `rollback`.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

/// How long things were away. Absent where nothing was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Downtime {
    /// From asking kubelet to stop until it was active again.
    pub kubelet_seconds: Option<f64>,
    /// From stopping the first pod container until every pod ran again.
    pub workload_seconds: Option<f64>,
}

/// Result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// Done and checked.
    Done,
    /// Failed.
    Failed,
    /// Done, then taken back.
    Undone,
    /// Taking it back failed.
    UndoFailed,
    /// Not reached.
    Pending,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepResult {
    /// Place in the plan.
    pub index: usize,
    /// Its id.
    pub id: String,
    /// Its result.
    pub status: StepStatus,
    /// How long it took.
    pub seconds: Option<f64>,
    /// What it says for itself: an error, or what was left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What being able to take a run back has cost, as the process that ended it saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Overhead {
    /// How often was waited until something of castoff's own is on disk.
    pub syncs: u32,
    /// Seconds of waiting for that.
    pub sync_seconds: f64,
    /// Seconds for the units that bring order back after a reboot, made before the first step and removed after the last;
    /// their own syncs are counted above as well.
    pub guard_seconds: f64,
    /// Seconds until what the daemons wrote was on disk too, when the pods ran again.
    #[serde(default)]
    pub settle_seconds: f64,
}

/// The `RunReport` document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `RunReport`.
    pub kind: String,
    /// Run id; empty when no run was needed.
    pub run: String,
    /// The node's name.
    pub node: String,
    /// castoff's version.
    pub tool: String,
    /// Id of the plan.
    pub plan: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC.
    pub finished: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The exit code that says so.
    pub exit_code: u8,
    /// True when the new state was said to stay.
    pub committed: bool,
    /// When the run is taken back unless somebody keeps it. RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<String>,
    /// In order.
    pub phases: Vec<Phase>,
    /// How long things were away, forward and (after a rollback) backward.
    pub downtime: Downtime,
    /// The same for the rollback, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_downtime: Option<Downtime>,
    /// What being able to take it back has cost; absent in a report made from the journal alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Overhead>,
    /// Every step.
    pub steps: Vec<StepResult>,
    /// What proved the node.
    pub verification: Vec<Check>,
    /// What is notable.
    pub findings: Vec<Finding>,
    /// True for a run that was taken back because somebody asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returned: bool,
    /// True for a run that was killed, or goes on (`running`): `outcome` is only what it is so far.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
    /// Who is at work on it; absent where nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// What is left to do by hand; only when stuck.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<String>,
}
/// What `commit` and `resume --cluster` did with a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunAnswer {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `RunAnswer`.
    pub kind: String,
    /// Run id.
    pub run: String,
    /// `commit`: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<bool>,
    /// `resume --cluster`: how much was done that had been put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<usize>,
}

impl RunAnswer {
    /// About a run.
    pub fn about(run: &str) -> Self {
        let (api_version, kind) = (super::API_VERSION.to_owned(), "RunAnswer".to_owned());
        Self { api_version, kind, run: run.to_owned(), committed: None, done: None }
    }
}
