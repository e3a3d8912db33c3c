//! Proving a node: not that commands returned 0, but that what is wanted is what is there.
//!
//! Levels build on each other: what the files say, what runs, what CRI answers, where pods landed.

mod bench;
mod cri;
mod files;
mod leaks;
mod live;
mod pods;
mod reference;
mod shadow;
mod suite;
pub mod trial;
mod units;
mod view;

use crate::{
    host::Host,
    inspect,
    model::{
        API_VERSION, Assumptions, Benchmark, Check, CheckStatus, Desired, Facts, Goal, Level, Plan, Rung, Verification,
    },
    runtime::attempt::Way,
};
use anyhow::Result;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Set by the first SIGINT or SIGTERM: then nothing more is begun, and what was begun is taken away.
    pub interrupt: &'a AtomicBool,
}

impl Look<'_> {
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }
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

pub use bench::Amount;
pub use shadow::Extent;
pub use view::view;

/// The finding about what fails before anything is touched; who accepts it has no pods tried.
pub const POD_TRIAL: &str = "pod-trial-failed";

/// How much is tried with another program in runc's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// The most important checks, and only to tell whose fault it is when something failed with the node's.
    OnFailure,
    /// The most important checks.
    Gate,
    /// What is tried with the node's.
    Full,
}

/// Whose turn it is where several castoffs want to run containers and pods on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It only looks on: it leaves them out while a run is at work, or a verification that came before.
    Onlooker,
    /// It is part of a run, which decides by them: a verification that came before is waited for.
    Run,
    /// It is part of a run that goes on without them.
    AtOnce,
}

/// How a node is looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much of it.
    pub level: Level,
    /// How much is tried with pods.
    pub extent: Extent,
    /// Run pods through the running daemon even while kubelet runs, which may end them.
    pub live: bool,
    /// How much is tried with another program in runc's place.
    pub second: Second,
    /// Whose turn it is.
    pub turn: Turn,
    /// Whether systemd makes cgroups; by default it does where it runs.
    pub systemd_driver: Option<bool>,
    /// Benchmarks besides, so many.
    pub bench: Option<Amount>,
    /// The program in the place of castoff's runtime, behind the shim.
    pub handler: Option<String>,
    /// Another runtime than the one that is wanted: only that is tried.
    pub endpoint: Option<String>,
    /// What is stated about the node because its files cannot tell.
    pub assumptions: Assumptions,
}

impl Options {
    /// What decides about a migration, as part of a run.
    pub fn gate(level: Level) -> Self {
        Self {
            level,
            extent: Extent::Gate,
            live: false,
            second: Second::OnFailure,
            turn: Turn::Run,
            systemd_driver: None,
            bench: None,
            handler: None,
            endpoint: None,
            assumptions: Assumptions::default(),
        }
    }

    fn systemd(&self, host: &Host) -> bool {
        self.systemd_driver.unwrap_or_else(|| host.units.available().is_ok())
    }

    /// How pods can be tried on this node.
    ///
    /// # Errors
    /// [`suite::Unfit`] when they cannot.
    fn way(&self, look: &Look<'_>) -> Result<Way> {
        let unfit = |why: &str| Err(suite::Unfit(why.to_owned()).into());
        if !look.host.is_live() {
            return unfit("a file tree does not run");
        }
        if !look.host.kernel.is_root() {
            return unfit("only root can run a pod");
        }
        match &look.facts.cgroup.mode {
            Some(mode) => Ok(Way { mode: mode.value, systemd: self.systemd(look.host) }),
            None => unfit("the kernel's cgroups are not known"),
        }
    }

    const fn cases(&self) -> &'static [suite::Case] {
        match self.extent {
            Extent::Full => suite::FULL,
            Extent::Gate | Extent::None => suite::GATE,
        }
    }
}

/// Looks at the node and compares it with what is desired. After a signal it ends early, with what it has by then.
///
/// # Errors
/// Never for a node that is not as expected: that is a failed check.
pub fn run(host: &Host, options: &Options, desired: &Desired, interrupt: &AtomicBool) -> Result<Verification> {
    let level = options.level;
    let facts = inspect::inspect(host, &options.assumptions, &desired.endpoint);
    let look = Look { host, facts: &facts, desired, interrupt };
    let probes = match desired.goal {
        Goal::Containerd => ON_CONTAINERD,
        Goal::CgroupDriver => ON_DOCKER,
    };
    let mut checks: Vec<Check> = Vec::new();
    let mut bench = Vec::new();
    if let Some(endpoint) = &options.endpoint {
        let found = live::tried(&look, endpoint, options);
        return Ok(document(&facts, level, found.checks, found.bench));
    }
    for at in [Level::Config, Level::Runtime, Level::Cri, Level::Node].into_iter().filter(|at| *at <= level) {
        if look.is_interrupted() {
            break;
        }
        let these = probes.iter().filter(|(_, needs, _)| *needs == at);
        checks.extend(these.map(|probe| ask(&look, probe)));
        if at == Level::Runtime && facts.kubelet.installed {
            let tried = reference::rungs(&look, &[], options);
            checks.extend(tried.unwrap_or_else(|error| reference::left_out(&format!("{error:#}"))));
        }
        if at == Level::Cri
            && desired.goal == Goal::Containerd
            && facts.kubelet.installed
            && options.extent != Extent::None
        {
            for found in [shadow::rung(&look, Vec::new(), options, alone(&checks)), live_pods(&look, options)] {
                checks.extend(found.checks);
                bench.extend(found.bench);
            }
        }
    }
    Ok(document(&facts, level, checks, bench))
}

/// What a rung with pods found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) checks: Vec<Check>,
    pub(crate) bench: Vec<Benchmark>,
}

impl Found {
    pub(crate) fn just(check: Check) -> Self {
        Self { checks: vec![check], bench: Vec::new() }
    }
}

fn document(facts: &Facts, level: Level, checks: Vec<Check>, bench: Vec<Benchmark>) -> Verification {
    Verification {
        api_version: API_VERSION.to_owned(),
        kind: "Verification".to_owned(),
        node: facts.name().to_owned(),
        level,
        checks,
        runtime: None,
        bench,
    }
}

/// How the node's runtime does by itself.
fn alone(checks: &[Check]) -> CheckStatus {
    checks.iter().find(|check| check.id == "runc-runs").map_or(CheckStatus::Skip, |check| check.status)
}

/// What must hold before a plan's first step: castoff's runtime, the node's, and pods by the planned configuration.
/// Nothing on the node is changed.
pub fn before(host: &Host, facts: &Facts, plan: &Plan, interrupt: &AtomicBool) -> Vec<Check> {
    let look = Look { host, facts, desired: &plan.desired, interrupt };
    let options = Options::gate(Level::Cri);
    let files = if plan.goal == Goal::Containerd { trial::files_of(facts, plan) } else { Vec::new() };
    let mut checks = match reference::rungs(&look, &files, &options) {
        Ok(checks) => checks,
        // The other rung would only wait as long again.
        Err(error) => {
            let check = suite::judged("reference-runs", Rung::Reference, Err(error));
            return vec![check.with(&[], "try again when it has ended")];
        }
    };
    if plan.goal == Goal::Containerd {
        let found = shadow::rung(&look, files, &options, alone(&checks));
        checks.extend(found.checks);
    }
    checks
}

/// Ends pods of castoff's own that a run was trying when it was killed. Best effort: kubelet ends pods it does
/// not know, should one be left.
pub fn end_trial(host: &Host, desired: &Desired) {
    if let (true, Ok(mode)) = (host.is_live(), host.kernel.cgroup_mode()) {
        let way = Way { mode, systemd: Options::gate(Level::Cri).systemd(host) };
        let _ = live::end(host, &desired.endpoint, way);
    }
}

/// Pods by the node's new runtime, while kubelet is stopped. After a signal not all of them are tried.
pub fn between(host: &Host, desired: &Desired, interrupt: &AtomicBool) -> Vec<Check> {
    let facts = inspect::inspect(host, &Assumptions::default(), &desired.endpoint);
    let look = Look { host, facts: &facts, desired, interrupt };
    if !live::kubelet_is_away(&look) {
        return vec![live::not_beside_kubelet()];
    }
    live::rung(&look, &desired.endpoint, &Options::gate(Level::Cri)).checks
}

/// Pods by the node's own runtime, where that may be.
fn live_pods(look: &Look<'_>, options: &Options) -> Found {
    if look.is_interrupted() {
        return Found::default();
    }
    // A file tree is told from a node that kubelet is busy on by the rung itself.
    if look.host.is_live() && !options.live && !live::kubelet_is_away(look) {
        return Found::just(live::not_beside_kubelet());
    }
    live::tried(look, &look.desired.endpoint, options)
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
