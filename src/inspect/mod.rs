//! Host → facts. One probe per subject; each says what it saw and where, and what it could not see and why.
//!
//! Inspecting never fails: a node in a strange shape is data. A file that cannot be understood becomes a finding, a
//! daemon that does not answer is something unseen.

pub mod bundle;
mod cluster;
mod cni;
mod containerd;
mod credentials;
mod disks;
mod docker;
mod etcd;
mod files;
mod host_state;
mod kubelet;
mod kubelet_config;
mod kubelet_unit;
mod node;
mod registry;
mod service;
mod static_pods;
mod surroundings;
mod users;
mod workload;

use crate::{
    checks,
    host::Host,
    model::{Assumptions, CRICTL_YAML, Facts},
};
pub use etcd::health as etcd_health;
use files::Files;

/// Units that matter here.
pub const UNITS: [&str; 9] = [
    "docker.service",
    "docker.socket",
    "containerd.service",
    "kubelet.service",
    "cri-docker.service",
    "cri-docker.socket",
    "cri-dockerd.service",
    "cri-dockerd.socket",
    "crio.service",
];

/// Reads one more file, so that a plan may edit it.
pub fn read_also(host: &Host, path: &str, facts: &mut Facts) {
    let mut files = Files::new(host);
    if !facts.texts.contains_key(path) && files.text(path).is_some() {
        files.add_to(facts);
    }
}

/// Looks at a node or a file tree. `endpoint` is where containerd's CRI is expected.
pub fn inspect(host: &Host, assumptions: &Assumptions, endpoint: &str) -> Facts {
    let mut facts = Facts::empty(host.is_live());
    let mut files = Files::new(host);
    node::probe(host, assumptions, &mut files, &mut facts);
    service::probe_units(host, &mut facts);
    docker::probe(host, assumptions, &mut files, &mut facts);
    containerd::probe(host, assumptions, endpoint, &mut files, &mut facts);
    registry::probe(host, &mut files, &mut facts);
    kubelet::probe(host, assumptions, &mut files, &mut facts);
    etcd::probe(host, &mut facts);
    credentials::probe(host, &mut files, &mut facts);
    // Only read here, so that a plan may edit it.
    let _ = files.text(CRICTL_YAML);
    disks::probe(host, &mut files, &mut facts);
    host_state::probe(host, &mut files, &mut facts);
    cni::probe(host, &mut files, &mut facts);
    surroundings::probe(host, &mut files, &mut facts);
    users::probe(host, &mut facts);
    workload::probe(host, endpoint, &mut facts);
    files.finish(&mut facts);
    facts.findings.extend(checks::run(&facts));
    facts.findings.sort_by(|a, b| (a.severity, &a.id).cmp(&(b.severity, &b.id)));
    facts
}
