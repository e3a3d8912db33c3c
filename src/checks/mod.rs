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
pub use node::{POD_UNSEEN, UNITS_UNSEEN};
pub use registry::{CheckInfo, find, registry};
pub use run::CHECKS as OF_THE_MOMENT;

use crate::{
    formats::package_db::version_pair,
    model::{Facts, Finding, Sourced},
};

/// True when the node's pods run on Docker today.
fn on_docker(facts: &Facts) -> bool {
    facts.is_on_docker() || facts.is_half_migrated()
}

fn version(of: Option<&Sourced<String>>) -> Option<(u32, u32)> {
    version_pair(&of?.value)
}

/// Runs every check.
pub fn run(facts: &Facts) -> Vec<Finding> {
    registry().filter_map(|check| check.run).flat_map(|run| run(facts)).collect()
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
}
