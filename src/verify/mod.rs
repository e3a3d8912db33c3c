//! Proving a node: not that commands returned 0, but that what is wanted is what is there.
//!
//! Levels build on each other: what the files say, what runs, what CRI answers, where pods landed.

mod cri;
mod files;
mod pods;
mod reference;
pub mod trial;
mod units;

use crate::{
    host::Host,
    inspect,
    model::{API_VERSION, Assumptions, Check, CheckStatus, Desired, Facts, Goal, Level, Rung, Verification},
};
use anyhow::Result;

/// What a check found: evidence when as expected, else what is wrong, or why it cannot be looked at here.
pub(crate) enum Verdict {
    Pass(String),
    Fail(String),
    Skip(String),
}

/// Everything the checks look at.
pub(crate) struct Look<'a> {
    pub host: &'a Host,
    pub facts: &'a Facts,
    pub desired: &'a Desired,
}

type Probe = (&'static str, Level, fn(&Look<'_>) -> Result<Verdict>);

/// The checks for a node that is meant to be on containerd, in order.
const ON_CONTAINERD: &[Probe] = &[
    ("containerd-cri-enabled", Level::Config, files::cri_enabled),
    ("containerd-cgroup-driver", Level::Config, files::containerd_driver),
    ("kubelet-endpoint", Level::Config, files::kubelet_endpoint),
    ("kubelet-cgroup-driver", Level::Config, files::kubelet_driver),
    ("crictl-endpoint", Level::Config, files::crictl),
    ("containerd-running", Level::Runtime, units::containerd),
    ("docker-retired", Level::Runtime, units::docker_retired),
    ("kubelet-running", Level::Runtime, units::kubelet),
    ("kubelet-command-line", Level::Runtime, units::command_line),
    ("cri-version", Level::Cri, cri::version),
    ("cri-plugin", Level::Cri, cri::plugin),
    ("cri-ready", Level::Cri, cri::ready),
    ("cri-cgroup-driver", Level::Cri, cri::loaded_driver),
    ("sandbox-image", Level::Cri, cri::sandbox_image),
    ("pods-running", Level::Node, pods::running),
    ("pod-cgroup", Level::Node, pods::cgroup),
];

/// The checks for a node that stays on Docker.
const ON_DOCKER: &[Probe] = &[
    ("docker-cgroup-driver", Level::Config, files::docker_driver),
    ("kubelet-cgroup-driver", Level::Config, files::kubelet_driver),
    ("kubelet-running", Level::Runtime, units::kubelet),
    ("docker-running", Level::Runtime, units::docker),
];

/// Looks at the node up to `level` and compares it with what is desired.
///
/// # Errors
/// Never for a node that is not as expected: that is a failed check.
pub fn run(host: &Host, level: Level, desired: &Desired) -> Result<Verification> {
    let facts = inspect::inspect(host, &Assumptions::default(), &desired.endpoint);
    let look = Look { host, facts: &facts, desired };
    let probes = match desired.goal {
        Goal::Containerd => ON_CONTAINERD,
        Goal::CgroupDriver => ON_DOCKER,
    };
    let mut checks: Vec<Check> = Vec::new();
    for at in [Level::Config, Level::Runtime, Level::Cri, Level::Node].into_iter().filter(|at| *at <= level) {
        let these = probes.iter().filter(|(_, needs, _)| *needs == at);
        checks.extend(these.map(|probe| ask(&look, probe)));
        if at == Level::Runtime && facts.kubelet.installed {
            checks.extend(reference::rungs(&look));
        }
    }
    Ok(Verification {
        api_version: API_VERSION.to_owned(),
        kind: "Verification".to_owned(),
        node: facts.name().to_owned(),
        level,
        checks,
        bench: Vec::new(),
    })
}

/// Asks one probe, where it can be asked.
fn ask(look: &Look<'_>, (id, needs, probe): &Probe) -> Check {
    let rung = match needs {
        Level::Config | Level::Runtime => Rung::Facts,
        Level::Cri => Rung::Live,
        Level::Node => Rung::Node,
    };
    let start = look.host.clock.monotonic();
    let (status, detail) = if !look.facts.kubelet.installed {
        (CheckStatus::Skip, "there is no kubelet here".to_owned())
    } else if *needs > Level::Config && !look.host.is_live() {
        (CheckStatus::Skip, "a file tree does not run".to_owned())
    } else {
        match probe(look) {
            Ok(Verdict::Pass(detail)) => (CheckStatus::Pass, detail),
            Ok(Verdict::Fail(detail)) => (CheckStatus::Fail, detail),
            Ok(Verdict::Skip(detail)) => (CheckStatus::Skip, detail),
            Err(error) => (CheckStatus::Fail, format!("{error:#}")),
        }
    };
    let took = look.host.clock.monotonic().saturating_sub(start);
    Check::new(id, rung, status, detail).took(took)
}
