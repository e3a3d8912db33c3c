//! A node in one file: the `Bundle` document, out of which a plan can be made elsewhere.
//!
//! Secrets are masked in it. A file that a plan writes and that holds a secret would then come out with another digest
//! than on the node; for these files the bundle keeps both digests, so that the plan is still the same one.

use super::{API_VERSION, Action, Digest, Facts, Goal, Plan, Secret, Sourced, TOOL_VERSION};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the text of a file is in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BundleText {
    /// As it is.
    Whole,
    /// With its secrets masked.
    Masked,
    /// Not at all: no plan needs it, or it is nothing but secrets.
    LeftOut,
}

/// One file that castoff read on the node. Owner, mode and real digest are in the facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BundleFile {
    /// Its path on the node.
    pub path: String,
    /// How its text is here.
    pub text: BundleText,
    /// Digest of the text as it is here; absent where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Digest>,
    /// When it was last changed: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// A plan as it was on the node when the bundle was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BundlePlan {
    /// What it reaches.
    pub goal: Goal,
    /// Its digest.
    pub digest: Digest,
    /// True when the same plan comes out of the bundle; this was tried.
    pub same: bool,
}

/// What a plan writes over a masked file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MaskedWrite {
    /// The file.
    pub path: String,
    /// Digest of the new content with its secrets masked.
    pub masked: Digest,
    /// Digest of what the node would really get.
    pub real: Digest,
}

/// A node in one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `Bundle`.
    pub kind: String,
    /// castoff's version.
    pub tool: String,
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// The node's name.
    pub node: String,
    /// The profile that was in force, as text; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Plans as they were on the node.
    #[serde(default)]
    pub plans: Vec<BundlePlan>,
    /// What these plans write over masked files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked_writes: Vec<MaskedWrite>,
    /// The environments of services, secrets masked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, BTreeMap<String, Sourced<String>>>,
    /// Every file that was read.
    pub files: Vec<BundleFile>,
    /// Everything castoff saw.
    pub facts: Facts,
}

impl Bundle {
    /// A bundle of nothing but facts.
    pub fn new(facts: Facts, created: String) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: "Bundle".to_owned(),
            tool: TOOL_VERSION.to_owned(),
            created,
            node: facts.name().to_owned(),
            profile: None,
            plans: Vec::new(),
            masked_writes: Vec::new(),
            environments: BTreeMap::new(),
            files: Vec::new(),
            facts,
        }
    }

    /// The facts as they were on the node, but for masked secrets. `texts` are the files that came with the document.
    ///
    /// # Errors
    /// A sentence that says what does not fit: an unknown version, a file that is missing, changed, or not listed.
    pub fn facts(&self, mut texts: BTreeMap<String, String>) -> Result<Facts, String> {
        if self.api_version != API_VERSION || self.kind != "Bundle" {
            return Err(format!(
                "it is `{}` of kind `{}`, not `{API_VERSION}` of kind `Bundle`",
                self.api_version, self.kind
            ));
        }
        if self.facts.api_version != API_VERSION || self.facts.kind != "Facts" {
            return Err("its facts are no facts".to_owned());
        }
        let mut facts = self.facts.clone();
        for file in &self.files {
            let Some(stored) = &file.stored else { continue };
            let text = texts.remove(&file.path).ok_or_else(|| format!("{} is missing in it", file.path))?;
            if Digest::of(text.as_bytes()) != *stored {
                return Err(format!("{} was changed in it", file.path));
            }
            facts.texts.insert(file.path.clone(), text);
        }
        if let Some(path) = texts.keys().next() {
            return Err(format!("{path} is in it and not in its list"));
        }
        for setting in &mut facts.docker.settings {
            setting.raw = Secret::new(setting.value.clone());
        }
        for (unit, variables) in &self.environments {
            let service = facts.surroundings.services.entry(unit.clone()).or_default();
            service.environment =
                variables.iter().map(|(name, value)| (name.clone(), value.clone().map(Secret::new))).collect();
        }
        Ok(facts)
    }

    /// Gives a plan made out of the bundle the digests it has on the node; true when it writes a masked file, whose
    /// content then is only known there. Such a plan can be read and compared, and not be applied.
    pub fn settle(&self, plan: &mut Plan) -> bool {
        let mut masked = false;
        for step in &mut plan.steps {
            let Action::WriteFile { path, after, content, .. } = &mut step.action else { continue };
            let known = self.masked_writes.iter().find(|write| write.path == *path && write.masked == after.digest);
            let text = content.as_deref().unwrap_or_default();
            if let Some(write) = known {
                after.digest.clone_from(&write.real);
            } else if !text.contains("<redacted:") {
                continue;
            }
            *content = None;
            masked = true;
        }
        plan.digest = plan.compute_digest();
        plan.digest.short().clone_into(&mut plan.id);
        masked
    }
}
