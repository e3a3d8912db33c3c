//! Every finding castoff can make, with what `castoff explain` says about it.

use super::{
    cluster, compat, containerd, containerd_config, control_plane, docker, docker_config, host, kubelet, kubelet_state,
    node, registries, run, settings, users,
};
use crate::model::{Explanation, Facts, Finding, Severity};

/// One kind of finding.
#[derive(Debug, Clone, Copy)]
pub struct CheckInfo {
    /// Public name.
    pub id: &'static str,
    /// The weight it has when it is found.
    pub severity: Severity,
    /// One line.
    pub summary: &'static str,
    /// What `castoff explain` prints.
    pub explanation: &'static str,
    /// How it is found in facts; absent for findings of the planner.
    pub run: Option<fn(&Facts) -> Vec<Finding>>,
}

impl CheckInfo {
    /// What there is to know about it.
    pub const fn explain(&self) -> Explanation {
        Explanation { id: self.id, severity: self.severity, summary: self.summary, text: self.explanation }
    }
}

/// The entry of an id.
pub fn find(id: &str) -> Option<&'static CheckInfo> {
    registry().find(|check| check.id == id)
}

/// All kinds of findings, by subject.
pub fn registry() -> impl Iterator<Item = &'static CheckInfo> {
    let all = [
        node::CHECKS,
        docker::CHECKS,
        docker_config::CHECKS,
        containerd::CHECKS,
        kubelet::CHECKS,
        kubelet_state::CHECKS,
        containerd_config::CHECKS,
        registries::CHECKS,
        settings::CHECKS,
        users::CHECKS,
        compat::CHECKS,
        host::CHECKS,
        cluster::CHECKS,
        control_plane::CHECKS,
        run::CHECKS,
    ];
    all.into_iter().flatten()
}
