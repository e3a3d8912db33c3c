//! Facts → a bundle: what a plan needs, with its secrets masked, and proof that the same plan comes out of it.

use super::node::DPKG;
use crate::{
    host::Host,
    model::{
        Action, Bundle, BundleFile, BundlePlan, BundleText, Digest, Facts, Goal, MaskedWrite, Plan, mask_text,
        mask_value,
    },
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// What nobody plans with: large, or what it says is in the facts.
const LEFT_OUT: [&str; 1] = [DPKG];

/// Makes a bundle. `plans` makes the plans of some facts, each with its goal, as they would be shown on the node; what
/// comes out of the masked facts is compared with what comes out of the real ones.
///
/// # Errors
/// Never for facts of castoff's own.
pub fn capture(
    host: &Host,
    facts: &Facts,
    profile: Option<&str>,
    plans: &dyn Fn(&Facts) -> Vec<(Goal, Plan)>,
) -> Result<(Bundle, BTreeMap<String, String>), serde_json::Error> {
    let mut bundle = Bundle::new(masked_facts(facts)?, host.clock.now());
    bundle.profile = profile.map(mask_text);
    let mut texts = BTreeMap::new();
    for path in facts.files.keys() {
        let (text, stored) = match facts.texts.get(path).filter(|text| is_taken(path, text)) {
            None => (BundleText::LeftOut, None),
            Some(text) => {
                let masked = mask_text(text);
                let how = if masked == *text { BundleText::Whole } else { BundleText::Masked };
                let stored = Digest::of(masked.as_bytes());
                texts.insert(path.clone(), masked);
                (how, Some(stored))
            }
        };
        bundle.files.push(BundleFile { path: path.clone(), text, stored, modified: modified(host, path) });
    }
    for (unit, service) in &facts.surroundings.services {
        let masked = |(name, value): (&String, &crate::model::Sourced<_>)| {
            let value = value.clone().map(|secret: crate::model::Secret<String>| {
                // The key says whether the whole value is a secret.
                mask_value(name, secret.reveal())
            });
            (name.clone(), value)
        };
        bundle.environments.insert(unit.clone(), service.environment.iter().map(masked).collect());
    }
    let there = bundle.facts(texts.clone()).unwrap_or_else(|_| Facts::empty(facts.live));
    let mut from_bundle = plans(&there);
    let real = plans(facts);
    for ((_, real), (_, masked)) in real.iter().zip(&from_bundle) {
        bundle.masked_writes.extend(masked_writes(real, masked));
    }
    bundle.masked_writes.dedup();
    for ((goal, real), (_, masked)) in real.into_iter().zip(&mut from_bundle) {
        bundle.settle(masked);
        let same = masked.digest == real.digest;
        bundle.plans.push(BundlePlan { goal, digest: real.digest, same });
    }
    Ok((bundle, texts))
}

/// Files that both plans write, with other contents.
fn masked_writes(real: &Plan, masked: &Plan) -> Vec<MaskedWrite> {
    let written = |plan: &Plan| -> Vec<(String, Digest)> {
        let writes = plan.steps.iter().filter_map(|step| match &step.action {
            Action::WriteFile { path, after, .. } => Some((path.clone(), after.digest.clone())),
            _ => None,
        });
        writes.collect()
    };
    let real = written(real);
    let other = |(path, masked): (String, Digest)| {
        let (_, real) = real.iter().find(|(known, digest)| *known == path && *digest != masked)?;
        Some(MaskedWrite { path, masked, real: real.clone() })
    };
    written(masked).into_iter().filter_map(other).collect()
}

/// A kubeconfig is there to hold credentials, and no plan edits one.
fn is_taken(path: &str, text: &str) -> bool {
    let is_kubeconfig = text.lines().any(|line| line.trim_end() == "kind: Config") && text.contains("users:");
    !LEFT_OUT.contains(&path) && !is_kubeconfig
}

/// The facts' own values are masked where they are made; findings quote lines of files, and nobody knows what is in
/// those.
fn masked_facts(facts: &Facts) -> Result<Facts, serde_json::Error> {
    let mut value = serde_json::to_value(facts)?;
    mask_strings(&mut value);
    serde_json::from_value(value)
}

fn mask_strings(value: &mut Value) {
    match value {
        Value::String(text) => *text = mask_text(text),
        Value::Array(items) => items.iter_mut().for_each(mask_strings),
        Value::Object(fields) => fields.values_mut().for_each(mask_strings),
        _ => {}
    }
}

fn modified(host: &Host, path: &str) -> Option<String> {
    let meta = host.root.read(path).ok()??.meta;
    Timestamp::from_second(meta.mtime.0).ok().map(|time| time.to_string())
}
