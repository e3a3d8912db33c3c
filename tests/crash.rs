//! Every effect of a whole migration is made to fail, or the process dies before it, after it or in its middle; then
//! somebody starts castoff again. Whatever happens, the node ends in the new state or in the old one.
//!
//! `CASTOFF_CRASH=all` tries every pair of a first fault and a second one during the recovery, not a sample.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]
#![allow(clippy::print_stdout, reason = "cargo shows it when a test failed, or with --nocapture")]

mod common;

use castoff::{
    apply::{self, Leaving, Options, Silent},
    host::{FaultMode, Faults},
    model::{Outcome, Plan, RunReport, RunState},
};
use common::{
    fixture,
    member::Attacked,
    sim::{OTHER, Sim},
    tree,
    world::{State, TreeWorld, World, apply, newest, options, plan_of, resume, rollback, tidy},
};

const DEATHS: [FaultMode; 3] = [FaultMode::DieBefore, FaultMode::DieAfter, FaultMode::Torn];

/// What is attacked: how a fresh world is made, and its states before and after.
struct Attack<'a> {
    make: &'a dyn Fn() -> Box<dyn World>,
    reboots: bool,
    plan: Plan,
    old: State,
    new: State,
    effects: u64,
    log: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Resume,
    Rollback,
}

impl<'a> Attack<'a> {
    fn new(make: &'a dyn Fn() -> Box<dyn World>) -> Self {
        let world = make();
        let (old, plan) = (world.state(), plan_of(&*world));
        let blocking: Vec<_> = plan.blocking().collect();
        assert!(!plan.is_empty() && blocking.is_empty(), "{} steps, {blocking:#?}", plan.steps.len());
        let faults = Faults::at(u64::MAX, FaultMode::Fail);
        let report = apply(&*world, &plan, &faults).unwrap();
        assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
        assert_eq!(world.violations(), [""; 0]);
        let new = world.state();
        assert_ne!(old.timeless(), new.timeless());
        let again = plan_of(&*world);
        assert!(again.is_empty(), "a second plan finds something to do: {:#?}", again.steps);
        Self { make, reboots: false, plan, old, new, effects: faults.count(), log: faults.log() }
    }

    fn name(&self, n: u64) -> &str {
        &self.log[usize::try_from(n).unwrap() - 1]
    }

    /// A world in which apply met that fault.
    fn hit(&self, n: u64, mode: FaultMode) -> (Box<dyn World>, anyhow::Result<RunReport>) {
        let world = (self.make)();
        let faults = Faults::at(n, mode);
        let result = apply(&*world, &self.plan, &faults);
        assert_eq!(faults.is_dead(), mode != FaultMode::Fail, "{n} {mode:?}: the fault was not met");
        if self.reboots {
            world.reboot();
        }
        (world, result)
    }

    fn expect(&self, world: &dyn World, wanted: &State, what: &str) {
        tidy(world);
        let (mut wanted, mut there) = (wanted.clone(), world.state());
        if wanted == self.new {
            // Another moment, another time of the files that were written.
            (wanted, there) = (wanted.timeless(), there.timeless());
        }
        if self.reboots {
            for state in [&mut wanted, &mut there] {
                // Docker's other container ended with the power, and that is not castoff's doing.
                state.live.remove(&format!("docker {OTHER}"));
            }
        }
        let diff = wanted.diff(&there);
        assert!(diff.is_empty(), "{what}: the state is wrong\n{diff}");
        assert_eq!(world.violations(), [""; 0], "{what}");
    }

    /// The state that a report promises.
    fn expect_as_told(&self, world: &dyn World, report: &RunReport, what: &str) {
        match report.outcome {
            Outcome::Applied => self.expect(world, &self.new, what),
            Outcome::RolledBack => self.expect(world, &self.old, what),
            outcome => panic!("{what}: {outcome:?} {:#?}", report.by_hand),
        }
    }

    /// An apply of which one effect failed comes to an end by itself, and a second one then works.
    fn fail(&self, n: u64) {
        let what = format!("effect {n} ({}) fails", self.name(n));
        let (world, result) = self.hit(n, FaultMode::Fail);
        match result {
            Ok(report) => self.expect_as_told(&*world, &report, &what),
            Err(error) => {
                assert_ne!(newest(&*world), Some(RunState::Dirty), "{what}: refused, and dirty: {error:#}");
                self.expect(&*world, &self.old, &format!("{what}: {error:#}"));
            }
        }
        assert_eq!(tree::leftovers(world.root()), [""; 0], "{what}");
        if newest(&*world) != Some(RunState::Committed) && newest(&*world) != Some(RunState::Applied) {
            let report = apply(&*world, &self.plan, &Faults::none()).unwrap_or_else(|e| panic!("{what}, again: {e:#}"));
            assert_eq!(report.outcome, Outcome::Applied, "{what}, again");
            self.expect(&*world, &self.new, &format!("{what}, again"));
        }
        let report = rollback(&*world, &Faults::none()).unwrap_or_else(|error| panic!("{what}, back: {error:#}"));
        assert_eq!(report.outcome, Outcome::RolledBack, "{what}, back: {:#?}", report.by_hand);
        self.expect(&*world, &self.old, &format!("{what}, back"));
    }

    /// A process that died is followed by one that recovers.
    fn die(&self, n: u64, mode: FaultMode, way: Way) {
        let what = format!("dead at effect {n} ({}) {mode:?}, then {way:?}", self.name(n));
        let (world, _) = self.hit(n, mode);
        self.recover(&*world, way, &what);
        let temporary: Vec<String> =
            tree::leftovers(world.root()).into_iter().filter(|path| !path.starts_with("var/lib/castoff/")).collect();
        assert_eq!(temporary, [""; 0], "{what}");
    }

    /// Recovers without further faults, and looks at what came of it.
    fn recover(&self, world: &dyn World, way: Way, what: &str) {
        match (newest(world), way) {
            // Dead before the run had begun: nothing happened, and nothing stands in the way of another try.
            (None, _) => {
                self.expect(world, &self.old, what);
                assert!(resume(world, &Faults::none()).is_err() && rollback(world, &Faults::none()).is_err(), "{what}");
                let report =
                    apply(world, &self.plan, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                self.expect_as_told(world, &report, what);
            }
            (Some(RunState::Dirty), Way::Resume) => {
                assert!(apply(world, &self.plan, &Faults::none()).is_err(), "{what}: applied over a dirty run");
                let report = resume(world, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                assert_eq!(report.outcome, Outcome::Applied, "{what}");
                self.expect(world, &self.new, what);
            }
            (Some(RunState::Applied | RunState::Committed), Way::Resume) => {
                assert!(resume(world, &Faults::none()).is_err(), "{what}: nothing to resume");
                if !self.reboots {
                    self.expect(world, &self.new, what);
                }
            }
            (Some(_), Way::Rollback) => {
                let report = rollback(world, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                assert_eq!(report.outcome, Outcome::RolledBack, "{what}: {:#?}", report.by_hand);
                self.expect(world, &self.old, what);
                assert!(rollback(world, &Faults::none()).is_err(), "{what}: taken back twice");
            }
            (state, _) => panic!("{what}: {state:?}"),
        }
    }

    /// The recovery meets a fault too.
    fn second(&self, n: u64, first: FaultMode, way: Way, m: u64, mode: FaultMode) -> bool {
        let what = format!("dead at effect {n} ({}) {first:?}, then {way:?} with {mode:?} at {m}", self.name(n));
        let (world, _) = self.hit(n, first);
        if newest(&*world) != Some(RunState::Dirty) {
            return false;
        }
        let faults = Faults::at(m, mode);
        let result = if way == Way::Resume { resume(&*world, &faults) } else { rollback(&*world, &faults) };
        if faults.count() < m {
            return false;
        }
        if self.reboots {
            world.reboot();
        }
        match newest(&*world) {
            // A second failure may leave the rollback stuck; trying again then works.
            Some(RunState::Dirty | RunState::Stuck) if mode == FaultMode::Fail => {
                let told = result.as_ref().map_or_else(|error| format!("{error:#}"), |r| format!("{:#?}", r.by_hand));
                let what = format!("{what} ({told})");
                let report = rollback(&*world, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                assert_eq!(report.outcome, Outcome::RolledBack, "{what}: {:#?}", report.by_hand);
                self.expect(&*world, &self.old, &what);
            }
            Some(RunState::Dirty) => {
                // Forward again, or further back when it was on its way back.
                let report = resume(&*world, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                self.expect_as_told(&*world, &report, &what);
                if report.outcome == Outcome::Applied {
                    let report = rollback(&*world, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                    assert_eq!(report.outcome, Outcome::RolledBack, "{what}: {:#?}", report.by_hand);
                    self.expect(&*world, &self.old, &what);
                }
            }
            Some(RunState::Applied | RunState::Committed) if !self.reboots => self.expect(&*world, &self.new, &what),
            Some(RunState::RolledBack) if !self.reboots => self.expect(&*world, &self.old, &what),
            Some(RunState::Applied | RunState::Committed | RunState::RolledBack) => {}
            state => panic!("{what}: {state:?} {result:?}"),
        }
        true
    }

    /// One fault at every effect, in every mode, with both recoveries.
    fn every_effect(&self, name: &str) {
        self.effects_by(name, 1);
    }

    /// Every request of the cluster's API server.
    fn requests(&self, name: &str) {
        let asked: Vec<u64> = (1..=self.effects).filter(|n| self.name(*n).contains(" /api")).collect();
        for &n in &asked {
            self.every_mode(n);
        }
        println!("{name}: {} requests, {} faults tried, none lost", asked.len(), asked.len() * 7);
    }

    fn every_mode(&self, n: u64) {
        if !self.reboots {
            self.fail(n);
        }
        for mode in DEATHS {
            self.die(n, mode, Way::Resume);
            self.die(n, mode, Way::Rollback);
        }
    }

    /// Every `stride`th effect, each node with a phase of its own; with CASTOFF_CRASH=all every one.
    fn effects_by(&self, name: &str, stride: usize) {
        let stride = if all() { 1 } else { stride };
        let phase = name.bytes().map(usize::from).sum::<usize>() % stride;
        let mut chosen = 0;
        for n in (1..=self.effects).skip(phase).step_by(stride) {
            chosen += 1;
            self.every_mode(n);
        }
        let tried = chosen * if self.reboots { 6 } else { 7 };
        assert!(tried > 0, "{name}: no effect was tried");
        println!("{name}: {chosen} of {} effects, {tried} faults tried, none lost", self.effects);
    }

    /// Two faults: all pairs, or every `stride`th of each.
    fn pairs(&self, name: &str, stride: u64) -> usize {
        let stride = if all() { 1 } else { stride };
        let mut tried = 0;
        for n in (1..=self.effects).step_by(usize::try_from(stride).unwrap()) {
            let first = DEATHS[usize::try_from(n / stride).unwrap() % DEATHS.len()];
            for way in [Way::Resume, Way::Rollback] {
                // A phase of its own for every n, so that over all of them every m comes up.
                let mut m = 1 + n % stride;
                let modes = [FaultMode::Fail, FaultMode::DieBefore, FaultMode::DieAfter, FaultMode::Torn];
                while modes.iter().all(|mode| self.second(n, first, way, m, *mode)) {
                    tried += modes.len();
                    m += stride;
                }
            }
        }
        println!("{name}: {tried} pairs of faults tried, none lost");
        tried
    }
}

/// Whether everything is to be tried, however long it takes.
fn all() -> bool {
    std::env::var_os("CASTOFF_CRASH").is_some_and(|value| value == "all")
}

fn simulated() -> Box<dyn World> {
    Box::new(Sim::new())
}

#[test]
fn a_running_node_survives_a_fault_at_every_effect() {
    Attack::new(&simulated).every_effect("running node");
}

#[test]
fn a_running_node_survives_a_fault_during_the_recovery() {
    let tried = Attack::new(&simulated).pairs("running node", 17);
    assert!(tried > 20, "only {tried} pairs were tried");
}

#[test]
fn a_running_node_survives_a_power_cut_at_every_effect() {
    let attack = Attack { reboots: true, ..Attack::new(&simulated) };
    // With somebody who recovers by hand; tests/recover.rs lets the run's own units do it at every effect.
    attack.effects_by("running node with power cuts", 3);
}

#[test]
fn a_running_node_survives_a_second_power_cut_during_the_recovery() {
    let attack = Attack { reboots: true, ..Attack::new(&simulated) };
    let tried = attack.pairs("running node with power cuts", 17);
    assert!(tried > 20, "only {tried} pairs were tried");
}

fn member() -> Box<dyn World> {
    Box::new(Attacked::new())
}

#[test]
fn a_member_of_a_cluster_survives_a_fault_at_every_effect() {
    // What the cluster adds, and some of what every running node does.
    let attack = Attack::new(&member);
    let asked = attack.log.iter().filter(|what| what.contains(" /api")).count();
    assert!(asked > 10, "{:#?}", attack.log);
    attack.effects_by("member of a cluster", 11);
    attack.requests("member of a cluster");
}

#[test]
fn a_member_of_a_cluster_survives_a_fault_during_the_recovery() {
    let tried = Attack::new(&member).pairs("member of a cluster", 41);
    assert!(tried > 20, "only {tried} pairs were tried");
}

#[test]
fn a_rollback_that_drains_survives_death_at_every_effect() {
    let attack = Attack::new(&member);
    let how = Leaving { force: false, delete_emptydir_data: false, grace: None, timeout: None };
    let drained = Options { leaving: Some(how), ..options() };
    let moved = || {
        let world = member();
        assert_eq!(apply(&*world, &attack.plan, &Faults::none()).unwrap().outcome, Outcome::Applied);
        world
    };
    let back = |world: &dyn World, faults: &Faults| apply::rollback(&world.host(faults), None, &drained, &mut Silent);
    let counting = Faults::at(u64::MAX, FaultMode::Fail);
    let world = moved();
    assert_eq!(back(&*world, &counting).unwrap().outcome, Outcome::RolledBack);
    attack.expect(&*world, &attack.old, "drained");
    let log = counting.log();
    let is_asked = |n: u64| log[usize::try_from(n).unwrap() - 1].contains(" /api");
    let mut tried = 0;
    for n in (1..=counting.count()).filter(|n| all() || is_asked(*n) || n % 9 == 0) {
        for mode in DEATHS {
            let what =
                format!("dead at effect {n} of a drained rollback ({}) {mode:?}", log[usize::try_from(n).unwrap() - 1]);
            let world = moved();
            let _ = back(&*world, &Faults::at(n, mode));
            if newest(&*world) != Some(RunState::RolledBack) {
                // Whoever comes next need not know of the drain.
                let report = rollback(&*world, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                assert_eq!(report.outcome, Outcome::RolledBack, "{what}: {:#?}", report.by_hand);
            }
            attack.expect(&*world, &attack.old, &what);
            tried += 1;
        }
    }
    assert!(tried > 30, "only {tried} deaths were tried");
    println!("drained rollback: {tried} deaths tried, none lost");
}

/// Fixtures whose plan does something.
fn changing() -> Vec<fixture::Fixture> {
    let changes = |fixture: &fixture::Fixture| {
        let plan = plan_of(&TreeWorld::new(fixture));
        !plan.is_empty() && plan.blocking().next().is_none()
    };
    fixture::all().into_iter().filter(changes).collect()
}

#[test]
fn every_fixture_tree_survives_faults() {
    let fixtures = changing();
    assert!(fixtures.len() >= 4, "{fixtures:?}");
    for fixture in fixtures {
        let make = || Box::new(TreeWorld::new(&fixture)) as Box<dyn World>;
        Attack::new(&make).effects_by(&fixture.name, 9);
    }
}

#[test]
fn every_fixture_tree_survives_a_fault_during_the_recovery() {
    let mut tried = 0;
    for fixture in changing() {
        let make = || Box::new(TreeWorld::new(&fixture)) as Box<dyn World>;
        tried += Attack::new(&make).pairs(&fixture.name, 37);
    }
    assert!(tried > 1000, "only {tried} pairs were tried");
}
