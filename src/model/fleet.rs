//! Many nodes at once: the `FleetReport` document, and what is read of each node's own documents for it.

use super::{CheckStatus, Downtime, Outcome, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It runs on containerd, which was proven.
    Migrated,
    /// It already was as wanted.
    NoChange,
    /// Its checks passed; nothing else was asked for.
    Verified,
    /// It would be changed; nothing was done yet.
    Planned,
    /// It was taken back because somebody asked for it.
    Returned,
    /// It failed and was taken back.
    RolledBack,
    /// Findings forbid it; nothing was changed.
    Blocked,
    /// A signal stopped it; it was taken back.
    Interrupted,
    /// It was changed and kept although it could not be proven.
    Unproven,
    /// A check failed; nothing was changed.
    NotAsExpected,
    /// Something around it failed before castoff changed anything.
    Failed,
    /// It did not answer.
    Unreachable,
    /// A run was cut off there: neither done nor taken back.
    CutOff,
    /// Neither the new nor the old state holds.
    Stuck,
}

impl NodeState {
    /// Every state, the good ones first.
    pub const ALL: [Self; 14] = [
        Self::Migrated,
        Self::NoChange,
        Self::Verified,
        Self::Planned,
        Self::Returned,
        Self::RolledBack,
        Self::Blocked,
        Self::Interrupted,
        Self::Unproven,
        Self::NotAsExpected,
        Self::Failed,
        Self::Unreachable,
        Self::CutOff,
        Self::Stuck,
    ];

    /// The word used in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Migrated => "migrated",
            Self::NoChange => "no-change",
            Self::Verified => "verified",
            Self::Planned => "planned",
            Self::Returned => "returned",
            Self::RolledBack => "rolled-back",
            Self::Blocked => "blocked",
            Self::Interrupted => "interrupted",
            Self::Unproven => "unproven",
            Self::NotAsExpected => "not-as-expected",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::CutOff => "cut-off",
            Self::Stuck => "stuck",
        }
    }

    /// True when nobody has to look at the node again.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Migrated | Self::NoChange | Self::Verified | Self::Planned | Self::Returned)
    }
}

/// One node of a fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FleetNode {
    /// Its name in the inventory, else its own.
    pub host: String,
    /// Its own name, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The wave it was in; empty where there are none.
    #[serde(default)]
    pub wave: String,
    /// What became of it.
    pub state: NodeState,
    /// Its run; empty where none was made.
    #[serde(default)]
    pub run: String,
    /// When that began. RFC 3339, UTC.
    #[serde(default)]
    pub started: String,
    /// Its plan's digest or id.
    #[serde(default)]
    pub plan: String,
    /// Why it is as it is, where that is not good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long things were away.
    #[serde(default)]
    pub downtime: Downtime,
    /// True when it takes no new pods, and somebody has to change that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cordoned: bool,
    /// Ids of its findings.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Versions, drivers and modes by name.
    #[serde(default)]
    pub traits: BTreeMap<String, String>,
    /// The file that told it.
    pub file: String,
}

/// How many nodes are in which state.
pub type StateCounts = BTreeMap<NodeState, usize>;

/// The nodes of one wave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Wave {
    /// Its name.
    pub wave: String,
    /// How many nodes.
    pub nodes: usize,
    /// In which state.
    pub states: StateCounts,
}

/// A distribution of times, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Times {
    /// Of so many nodes.
    pub nodes: usize,
    /// Half of them took less.
    pub median: f64,
    /// All but one of twenty took less.
    pub p95: f64,
    /// The longest.
    pub longest: f64,
    /// Whose that is.
    pub longest_host: String,
}

/// Counts over all nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FleetTotals {
    /// Nodes.
    pub nodes: usize,
    /// In which state.
    pub states: StateCounts,
    /// The same, wave by wave.
    pub waves: Vec<Wave>,
    /// From asking kubelet to stop until it was active again.
    pub kubelet: Option<Times>,
    /// From stopping the first pod container until every pod ran again.
    pub workload: Option<Times>,
}

/// A finding and who has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetFinding {
    /// Its id.
    pub id: String,
    /// Its weight.
    pub severity: Severity,
    /// One line, in the words of the first node.
    pub summary: String,
    /// How many nodes.
    pub count: usize,
    /// Which.
    pub nodes: Vec<String>,
}

/// A trait that is not the same everywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Its values, the commonest first.
    pub values: Vec<DifferentValue>,
}

/// One value of a trait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DifferentValue {
    /// The value.
    pub value: String,
    /// How many nodes.
    pub count: usize,
    /// Which.
    pub nodes: Vec<String>,
}

/// A file that says nothing of use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unreadable {
    /// The file.
    pub file: String,
    /// Why not.
    pub why: String,
}

/// The `FleetReport` document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FleetReport {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `FleetReport`.
    pub kind: String,
    /// castoff's version.
    pub tool: String,
    /// Counts.
    pub totals: FleetTotals,
    /// Findings, the heaviest and commonest first.
    pub findings: Vec<FleetFinding>,
    /// What differs between nodes.
    pub differences: Vec<Difference>,
    /// Every node, by wave and name.
    pub nodes: Vec<FleetNode>,
    /// Files that could not be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// Documents of nodes that have another one, which counts.
    pub superseded: usize,
}

impl FleetReport {
    /// Nodes somebody has to look at.
    pub fn to_retry(&self) -> impl Iterator<Item = &FleetNode> {
        self.nodes.iter().filter(|node| !node.state.is_good())
    }
}

/// A finding, as far as a fleet needs it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FindingLine {
    /// Its id.
    pub id: String,
    /// Its weight.
    pub severity: Severity,
    /// One line.
    #[serde(default)]
    pub summary: String,
}

/// A check, as far as a fleet needs it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckLine {
    /// Its id.
    pub id: String,
    /// Its result.
    pub status: CheckStatus,
    /// What was seen.
    #[serde(default)]
    pub detail: String,
}

/// A step, as far as a fleet needs it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepLine {
    /// Its id.
    pub id: String,
    /// Its result.
    #[serde(default)]
    pub status: Option<super::StepStatus>,
    /// What it says for itself.
    #[serde(default)]
    pub detail: Option<String>,
}

/// What was wanted, as far as a fleet needs it.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Findings that somebody lets pass.
    #[serde(default)]
    pub skip_checks: Vec<String>,
}

/// Any of castoff's documents about one node, as far as a fleet needs it: `RunReport`, `Plan`, `Verification`, and the
/// collection's `NodeResult` around a module's result. Fields of other kinds are absent.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeDocument {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// Which of them it is.
    pub kind: String,
    /// The node's own name.
    #[serde(default)]
    pub node: Option<String>,
    /// `NodeResult`: its name in the inventory.
    #[serde(default)]
    pub host: Option<String>,
    /// `NodeResult`: when it was written. RFC 3339, UTC.
    #[serde(default)]
    pub recorded: String,
    /// `NodeResult`: the wave it was in.
    #[serde(default)]
    pub wave: Option<String>,
    /// `NodeResult`: the state that was asked for.
    #[serde(default)]
    pub action: Option<String>,
    /// `NodeResult`: what the module said.
    #[serde(default)]
    pub result: Option<ModuleResult>,
    /// `NodeResult`: what it said when the node was taken back afterwards.
    #[serde(default)]
    pub rollback: Option<ModuleResult>,
    /// `NodeResult`: what some task failed with.
    #[serde(default)]
    pub error: Option<String>,
    /// `NodeResult`: it did not answer.
    #[serde(default)]
    pub unreachable: bool,
    /// `NodeResult`: it was left cordoned.
    #[serde(default)]
    pub cordoned: bool,
    /// `RunReport`: its id.
    #[serde(default)]
    pub run: String,
    /// `RunReport`: id of the plan.
    #[serde(default)]
    pub plan: Option<String>,
    /// `RunReport`: RFC 3339, UTC.
    #[serde(default)]
    pub started: String,
    /// `RunReport`: RFC 3339, UTC.
    #[serde(default)]
    pub finished: String,
    /// `RunReport`: how it ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// `RunReport`: the exit code that says so.
    #[serde(default)]
    pub exit_code: u8,
    /// `RunReport`: true for one that was taken back because somebody asked for it.
    #[serde(default)]
    pub returned: bool,
    /// `RunReport`: true for one that was killed.
    #[serde(default)]
    pub cut_off: bool,
    /// `RunReport`: who was at work on it when it was asked for.
    #[serde(default)]
    pub running: Option<String>,
    /// `RunReport`: how long things were away.
    #[serde(default)]
    pub downtime: Downtime,
    /// `Plan`: its digest.
    #[serde(default)]
    pub digest: Option<String>,
    /// `RunReport`, `Plan`: the steps.
    #[serde(default)]
    pub steps: Vec<StepLine>,
    /// `RunReport`, `Plan`: what is notable.
    #[serde(default)]
    pub findings: Vec<FindingLine>,
    /// `Plan`: what was wanted.
    #[serde(default)]
    pub desired: Accepted,
    /// `Verification`: its checks.
    #[serde(default)]
    pub checks: Vec<CheckLine>,
    /// castoff's version.
    #[serde(default)]
    pub tool: Option<String>,
}

/// What a module of the Ansible collection said, as far as a fleet needs it.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ModuleResult {
    /// Something was changed.
    #[serde(default)]
    pub changed: bool,
    /// It failed.
    #[serde(default)]
    pub failed: bool,
    /// Why.
    #[serde(default)]
    pub msg: Option<String>,
    /// castoff's exit code.
    #[serde(default)]
    pub exit_code: u8,
    /// How it ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// The run.
    #[serde(default)]
    pub run_id: String,
    /// The plan's digest.
    #[serde(default)]
    pub plan_digest: Option<String>,
    /// The node's own name.
    #[serde(default)]
    pub node: Option<String>,
    /// Versions, drivers and modes by name.
    #[serde(default)]
    pub node_facts: BTreeMap<String, String>,
    /// What is notable.
    #[serde(default)]
    pub findings: Vec<FindingLine>,
    /// The run's report.
    #[serde(default)]
    pub report: Option<Box<NodeDocument>>,
    /// The plan.
    #[serde(default)]
    pub plan: Option<Box<NodeDocument>>,
}

impl NodeDocument {
    /// True when a finding forbids it that nobody lets pass.
    pub fn is_blocked(&self) -> bool {
        let passes = |id: &String| self.desired.skip_checks.contains(id);
        self.findings.iter().any(|finding| finding.severity == Severity::Block && !passes(&finding.id))
    }
}

impl ModuleResult {
    /// How many steps its plan has.
    pub fn steps(&self) -> usize {
        self.plan.as_ref().map_or(0, |plan| plan.steps.len())
    }
}
