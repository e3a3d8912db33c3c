//! Lists that are documents of their own.

use super::{API_VERSION, Finding, RunSummary, Severity};
use serde::{Deserialize, Serialize};

/// What `castoff history -o json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `History`.
    pub kind: String,
    /// The runs that are kept, newest first.
    pub runs: Vec<RunSummary>,
}

impl History {
    /// Of these runs.
    pub fn of(runs: Vec<RunSummary>) -> Self {
        Self { api_version: API_VERSION.to_owned(), kind: "History".to_owned(), runs }
    }
}

/// What `castoff check -o json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `Findings`.
    pub kind: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// Of these.
    pub fn of(findings: Vec<Finding>) -> Self {
        Self { api_version: API_VERSION.to_owned(), kind: "Findings".to_owned(), findings }
    }
}

/// What `castoff check --list -o json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Checks {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `Checks`.
    pub kind: String,
    /// All findings that castoff knows.
    pub checks: Vec<CheckLine>,
}

/// A kind of finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckLine {
    /// Public name: what `--skip-check` and `explain` take.
    pub id: String,
    /// The weight it has when it is found.
    pub severity: Severity,
    /// One line.
    pub summary: String,
}

impl Checks {
    /// Of these.
    pub fn of(checks: Vec<CheckLine>) -> Self {
        Self { api_version: API_VERSION.to_owned(), kind: "Checks".to_owned(), checks }
    }
}
