//! What is notable about a node. Never an error: a node in an unexpected shape is data.

use super::{Origin, mask_text};
use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing is changed while this stands, unless it is skipped by name with `--skip-check`.
    Block,
    /// Worth a look before the change.
    Warn,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word used in every output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Warn => "warn",
            Self::Note => "note",
        }
    }
}

/// What there is to know about a kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Public name.
    pub id: &'static str,
    /// The weight it has when it is found.
    pub severity: Severity,
    /// One line.
    pub summary: &'static str,
    /// All of it.
    pub text: &'static str,
}

/// One notable thing about a node, with its cause and what to do. Credentials in its texts are masked, whoever wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// Public name in kebab-case: what `--skip-check` and `explain` take.
    pub id: String,
    /// How much it weighs.
    pub severity: Severity,
    /// One line.
    pub summary: String,
    /// Why it is so, in terms of this node.
    pub cause: String,
    /// What to do about it; empty where nothing needs doing.
    pub fix: String,
    /// The places that show it.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// Ids of plan steps that answer it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

impl Finding {
    /// A finding without origins; add them with [`Finding::at`].
    pub fn new(id: &str, severity: Severity, summary: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            severity,
            summary: mask_text(&summary.into()),
            cause: String::new(),
            fix: String::new(),
            origins: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Says why.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = mask_text(&cause.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = mask_text(&fix.into());
        self
    }

    /// Adds a place that shows it.
    #[must_use]
    pub fn at(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }
}
