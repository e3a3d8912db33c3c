//! The two worlds that are attacked: a node's file tree, and a simulated running node. A world outlives the process
//! that changes it: every [`World::host`] is a new process with failures of its own.

use super::{
    fixture::{self, Fixture, Live},
    sim::Sim,
    tree::{self, Snapshot},
};
use castoff::{
    apply::{self, Options, Refusal, Silent, Store},
    host::{Containerd, Cri, Doors},
    host::{FakeClock, FakeEngine, FakeKernel, FakeProcs, Faults, Host, Parts, Root},
    model::{Assumptions, Desired, Outcome, Plan, RunReport, RunState},
};
use std::{fs, path::Path, sync::atomic::AtomicBool};
use tempfile::TempDir;

/// Everything that counts as a node's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub files: Snapshot,
    pub live: Live,
}

impl State {
    /// What is different there; empty when nothing is.
    pub fn diff(&self, there: &Self) -> String {
        let mut text = tree::diff(&self.files, &there.files);
        for (name, value) in &self.live {
            match there.live.get(name) {
                Some(now) if now == value => {}
                now => text.push_str(&format!("  {name}: wanted {value}, there {}\n", now.map_or("nothing", |v| v))),
            }
        }
        for (name, value) in there.live.iter().filter(|(name, _)| !self.live.contains_key(*name)) {
            text.push_str(&format!("  extra {name}: {value}\n"));
        }
        text
    }

    /// The same without times of files.
    #[must_use]
    pub fn timeless(&self) -> Self {
        Self { files: tree::timeless(&self.files), live: self.live.clone() }
    }
}

/// A node that is attacked.
pub trait World {
    /// A new process on this node.
    fn host(&self, faults: &Faults) -> Host;
    /// Its state.
    fn state(&self) -> State;
    /// Where its files are.
    fn root(&self) -> &Path;
    /// What a file tree cannot tell.
    fn assumptions(&self) -> Assumptions {
        Assumptions::default()
    }
    /// Findings that do not block here.
    fn skip_checks(&self) -> &[&'static str] {
        &[]
    }
    /// What is wanted of it.
    fn desired(&self) -> Desired {
        fixture::desired(self.skip_checks())
    }
    /// Its plan as it is now.
    fn plan(&self) -> Plan {
        fixture::plan_for(&self.host(&Faults::none()), &self.assumptions(), &self.desired())
    }
    /// What must never happen and did, such as a pod on two runtimes.
    fn violations(&self) -> Vec<String> {
        Vec::new()
    }
    /// The machine loses power and comes back. Nothing to lose for a file tree.
    fn reboot(&self) {}
}

/// A node's file tree.
#[derive(Debug)]
pub struct TreeWorld {
    dir: TempDir,
    clock: FakeClock,
    assumptions: Assumptions,
    desired: Desired,
}

/// Files of fixtures that migrations write.
pub const WRITTEN: [&str; 8] = [
    "/etc/containerd/config.toml",
    "/etc/docker/daemon.json",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
    "/etc/crictl.yaml",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/srv/config/containerd.toml",
];

impl TreeWorld {
    /// The tree of a fixture, its files dressed with owners, modes and attributes that must survive.
    pub fn new(fixture: &Fixture) -> Self {
        let dir = tree::scratch();
        fixture.lay_out("in", dir.path());
        tree::dress(dir.path(), &WRITTEN);
        Self { dir, clock: FakeClock::new(), assumptions: fixture.assumptions(), desired: fixture.desired() }
    }
}

impl World for TreeWorld {
    fn host(&self, faults: &Faults) -> Host {
        tree_host(self.dir.path(), faults, self.clock.clone())
    }

    fn state(&self) -> State {
        State { files: tree::snapshot(self.dir.path()), live: Live::new() }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn assumptions(&self) -> Assumptions {
        self.assumptions.clone()
    }

    fn desired(&self) -> Desired {
        self.desired.clone()
    }
}

impl World for Sim {
    fn host(&self, faults: &Faults) -> Host {
        self.process(faults)
    }

    fn state(&self) -> State {
        State { files: tree::snapshot(self.root()), live: self.live() }
    }

    fn root(&self) -> &Path {
        self.dir()
    }

    fn skip_checks(&self) -> &[&'static str] {
        &["docker-only-containers"]
    }

    fn violations(&self) -> Vec<String> {
        self.complaints()
    }

    fn reboot(&self) {
        self.power_cut();
    }
}

/// Nothing to ask behind any door.
#[derive(Debug)]
pub struct NoDoors;

impl Doors for NoDoors {
    fn cri(&self, endpoint: &str) -> anyhow::Result<Box<dyn Cri>> {
        anyhow::bail!("nothing is behind {endpoint}")
    }

    fn containerd(&self, endpoint: &str) -> anyhow::Result<Box<dyn Containerd>> {
        anyhow::bail!("nothing is behind {endpoint}")
    }
}

/// A host over a file tree with a clock that stands still; nothing in it may be asked anything live.
pub fn tree_host(dir: &Path, faults: &Faults, clock: FakeClock) -> Host {
    let engine = FakeEngine::new("unix:///run/docker.sock", faults.clone());
    engine.change(|daemon| daemon.down = true);
    Host::from_parts(Parts {
        root: Root::open(dir, faults.clone()).unwrap(),
        units: None,
        engine: Box::new(engine),
        procs: Box::new(FakeProcs::new(faults.clone())),
        kernel: Box::new(FakeKernel::new("build-machine")),
        clock: Box::new(clock),
        doors: Box::new(NoDoors),
        live: false,
    })
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// How the attacks run: committed when proven, nothing forced.
pub const fn options() -> Options<'static> {
    Options { commit: true, ..Options::new(&NEVER) }
}

/// The plan of a world as it is now.
pub fn plan_of(world: &dyn World) -> Plan {
    world.plan()
}

/// Applies in a new process.
pub fn apply(world: &dyn World, plan: &Plan, faults: &Faults) -> anyhow::Result<RunReport> {
    apply::apply(&world.host(faults), plan, &options(), &mut Silent)
}

/// Resumes in a new process.
pub fn resume(world: &dyn World, faults: &Faults) -> anyhow::Result<RunReport> {
    apply::resume(&world.host(faults), None, &options(), &mut Silent)
}

/// Rolls back in a new process.
pub fn rollback(world: &dyn World, faults: &Faults) -> anyhow::Result<RunReport> {
    apply::rollback(&world.host(faults), None, &options(), &mut Silent)
}

/// What a run's own unit does at the next boot when the run has ended: it goes. A process that died at its very end, or
/// could not remove them, leaves units behind.
pub fn tidy(world: &dyn World) {
    if !matches!(newest(world), Some(RunState::Dirty | RunState::Stuck)) {
        apply::recover(&world.host(&none()), false, &options(), &mut Silent).unwrap();
    }
}

/// Where the newest run stands; `None` when no run has begun.
pub fn newest(world: &dyn World) -> Option<RunState> {
    let host = world.host(&Faults::none());
    Store::new(&host).history().unwrap().first().map(|run| run.state)
}

/// The newest run's directory as a real path.
pub fn newest_dir(world: &dyn World) -> std::path::PathBuf {
    let runs = tree::at(world.root(), castoff::apply::RUNS);
    let mut names: Vec<_> = fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.pop().unwrap()
}

/// No fault.
pub fn none() -> Faults {
    Faults::none()
}

/// A world with its plan applied, and its states before and after.
pub fn applied(world: &dyn World) -> (Plan, State, State) {
    let (old, plan) = (world.state(), plan_of(world));
    assert_eq!(apply(world, &plan, &none()).unwrap().outcome, Outcome::Applied);
    (plan, old, world.state())
}

/// Fails unless a world is in that state.
pub fn expect(wanted: &State, world: &dyn World) {
    let diff = wanted.diff(&world.state());
    assert!(diff.is_empty(), "the state is wrong\n{diff}");
}

/// The refusal that a result must be.
pub fn refusal(result: anyhow::Result<RunReport>) -> Refusal {
    let error = result.expect_err("it should have been refused");
    error.downcast::<Refusal>().unwrap_or_else(|error| panic!("not a refusal: {error:#}"))
}
