//! Facts → findings. A registry: one entry per id, each with its long explanation, so that `check`, `explain` and
//! `--skip-check` know the same names.

mod cluster;
mod compat;
mod containerd;
mod containerd_config;
mod control_plane;
mod docker;
mod docker_config;
mod host;
mod kubelet;
mod kubelet_state;
mod matrix;
mod node;
mod registries;
mod registry;
mod run;
mod settings;
mod users;

pub use containerd_config::effective;
pub use kubelet::KUBELET_VERSION_UNSEEN;
pub use node::UNITS_UNSEEN;
pub use registry::{CheckInfo, find, registry};
pub use run::CHECKS as OF_THE_MOMENT;

use crate::{
    formats::package_db::version_pair,
    model::{Facts, Finding, RuntimeKind, Sourced},
};

/// True when the node's pods run on Docker today.
fn on_docker(facts: &Facts) -> bool {
    let runtime = facts.kubelet.runtime.as_ref().map(|runtime| runtime.value);
    matches!(runtime, Some(RuntimeKind::Dockershim | RuntimeKind::CriDockerd)) || facts.is_half_migrated()
}

fn version(of: Option<&Sourced<String>>) -> Option<(u32, u32)> {
    version_pair(&of?.value)
}

/// Runs every check.
pub fn run(facts: &Facts) -> Vec<Finding> {
    registry().filter_map(|check| check.run).flat_map(|run| run(facts)).collect()
}

/// Ids close to a mistyped one, best first.
pub fn suggestions(wrong: &str) -> Vec<&'static str> {
    let mut close: Vec<(usize, &'static str)> = registry()
        .map(|check| (distance(wrong, check.id), check.id))
        .filter(|(distance, id)| *distance <= 3 || id.contains(wrong) && wrong.len() > 3)
        .collect();
    close.sort_unstable();
    close.into_iter().take(3).map(|(_, id)| id).collect()
}

/// How many letters have to change to make one word of the other (Levenshtein); for short words.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (j, to) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or_default();
            let cost = corner + usize::from(from != *to);
            left = cost.min(left + 1).min(above + 1);
            corner = above;
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = left;
            }
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_kebab_case_unique_and_explained() {
        let ids: BTreeSet<&str> = registry().map(|check| check.id).collect();
        assert_eq!(ids.len(), registry().count(), "an id stands twice");
        for check in registry() {
            assert!(check.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{}", check.id);
            assert!(check.explanation.len() > 80, "{} is hardly explained", check.id);
            assert!(check.summary.len() <= 80, "{}", check.id);
        }
    }

    #[test]
    fn mistyped_ids_are_guessed() {
        assert_eq!(suggestions("no-kubelt").first(), Some(&"no-kubelet"));
        assert!(suggestions("zzzzzzzzzz").is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
