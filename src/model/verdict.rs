//! What becomes of each of Docker's settings.

use super::Origin;
use serde::{Deserialize, Serialize};

/// What becomes of one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The plan writes it in the new place.
    Carried,
    /// The new side behaves like that already.
    Equal,
    /// containerd, CRI and kubelet have nothing like it.
    NoEquivalent,
    /// A person must decide.
    Manual,
}

impl Verdict {
    /// The word used in every output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Carried => "carried",
            Self::Equal => "equal",
            Self::NoEquivalent => "no-equivalent",
            Self::Manual => "manual",
        }
    }
}

/// The verdict on one effective Docker setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SettingVerdict {
    /// Key of `daemon.json` (or flag) in Docker's spelling.
    pub setting: String,
    /// Its value; secrets are already masked.
    pub value: serde_json::Value,
    /// Where it is set.
    pub origin: Origin,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Where it goes, for `carried` and `equal`.
    #[serde(default)]
    pub target: Option<String>,
    /// Why, in a sentence.
    pub note: String,
}
