//! The machine loses power at every effect of a migration; what the run's own units do at the next boot brings it to its
//! end. And the dead man's switch: a run that nobody keeps in time is taken back.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]
#![allow(clippy::print_stdout, reason = "cargo shows it when a test failed, or with --nocapture")]

mod common;

use castoff::{
    apply::{self as engine, EARLY, LATE, Options, Recovered, Refusal, Silent, Store, TIMER},
    host::{Clock, FakeClock, FaultMode, Faults, Lock, Locked, Root},
    model::{Outcome, Plan, RecoverPolicy, RunReport, RunState},
};
use common::{
    sim::{OTHER, Sim},
    tree,
    world::{State, World, apply, expect, newest, none, options, plan_of, refusal, rollback},
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fs,
    rc::Rc,
    time::Duration,
};

const DEATHS: [FaultMode; 3] = [FaultMode::DieBefore, FaultMode::DieAfter, FaultMode::Torn];

/// Whether everything is to be tried, however long it takes (`CASTOFF_CRASH=all`).
fn all() -> bool {
    std::env::var_os("CASTOFF_CRASH").is_some_and(|value| value == "all")
}

fn recover(world: &Sim, early: bool, faults: &Faults) -> anyhow::Result<Recovered> {
    engine::recover(&world.host(faults), early, &options(), &mut Silent)
}

fn unit_file(world: &Sim, unit: &str) -> std::path::PathBuf {
    tree::at(world.root(), &format!("/etc/systemd/system/{unit}"))
}

fn is_enabled(world: &Sim, unit: &str) -> bool {
    tree::at(world.root(), &format!("/etc/systemd/system/multi-user.target.wants/{unit}")).is_symlink()
}

/// Power comes back; the units of the run do what they are there for.
fn reboot(world: &Sim, early: &Faults, late: &Faults) {
    world.lose_power();
    let enabled = is_enabled(world, LATE);
    world.boot_unless(|| {
        if is_enabled(world, EARLY) {
            let _ = recover(world, true, early);
        }
        early.is_dead()
    });
    if enabled && !early.is_dead() {
        let _ = recover(world, false, late);
    }
}

/// Nothing of the run is left but its record. A file that nothing starts may be, for one moment; the next castoff
/// removes it.
fn expect_tidy(world: &Sim, what: &str) {
    if unit_file(world, LATE).exists() && [EARLY, LATE, TIMER].iter().all(|unit| !is_enabled(world, unit)) {
        assert!(!unit_file(world, EARLY).exists() && !unit_file(world, TIMER).exists(), "{what}");
        assert!(matches!(recover(world, false, &none()).unwrap(), Recovered::Nothing), "{what}");
    }
    for unit in [EARLY, LATE, TIMER] {
        assert!(!unit_file(world, unit).exists() && !is_enabled(world, unit), "{what}: {unit} is left behind");
    }
    assert_eq!(world.violations(), [""; 0], "{what}");
}

fn same(wanted: &State, world: &Sim) -> String {
    let (mut wanted, mut there) = (wanted.timeless(), world.state().timeless());
    for state in [&mut wanted, &mut there] {
        // Docker's other container ended with the power, and that is not castoff's doing.
        state.live.remove(&format!("docker {OTHER}"));
    }
    wanted.diff(&there)
}

struct Ends {
    plan: Plan,
    old: State,
    new: State,
    effects: u64,
    log: Vec<String>,
}

impl Ends {
    fn new(policy: RecoverPolicy) -> Self {
        let world = Sim::new();
        let (old, mut plan) = (world.state(), plan_of(&world));
        plan.desired.recover = policy;
        plan.digest = plan.compute_digest();
        let faults = Faults::at(u64::MAX, FaultMode::Fail);
        assert_eq!(apply(&world, &plan, &faults).unwrap().outcome, Outcome::Applied);
        expect_tidy(&world, "an applied run");
        Self { plan, old, new: world.state(), effects: faults.count(), log: faults.log() }
    }

    fn name(&self, n: u64) -> &str {
        &self.log[usize::try_from(n).unwrap() - 1]
    }

    fn hit(&self, n: u64, mode: FaultMode) -> Sim {
        let world = Sim::new();
        let faults = Faults::at(n, mode);
        let _ = apply(&world, &self.plan, &faults);
        assert!(faults.is_dead());
        world
    }

    /// The old state or the new one, and which.
    fn expect_either(&self, world: &Sim, what: &str) -> bool {
        match newest(world) {
            Some(RunState::Dirty) => {
                // Dead before the first step and before its units were complete: nothing was done.
                assert!(same(&self.old, world).lines().all(|line| line.contains("castoff")), "{what}: dirty");
                assert!(matches!(recover(world, false, &none()).unwrap(), Recovered::Ended(_)), "{what}");
                return self.expect_either(world, what);
            }
            Some(RunState::Applied | RunState::Committed) => {
                expect_tidy(world, what);
                assert_eq!(same(&self.new, world), "", "{what}");
                return true;
            }
            None | Some(RunState::RolledBack) => {}
            Some(state @ (RunState::Stuck | RunState::Running)) => panic!("{what}: {state:?}"),
        }
        if newest(world).is_none() {
            let _ = recover(world, false, &none()).unwrap();
        }
        expect_tidy(world, what);
        world.cri.change(|runtime| assert_eq!(runtime.sandboxes.len(), 0, "{what}: containerd knows of pods"));
        assert_eq!(same(&self.old, world), "", "{what}");
        false
    }
}

/// libcni does not sync what it remembers, so a power cut may leave it empty, Docker's and containerd's.
#[test]
fn broken_results_of_networks_do_not_keep_pods_from_stopping() {
    let world = Sim::new();
    let plan = plan_of(&world);
    let faults = Faults::at(u64::MAX, FaultMode::Fail);
    apply(&Sim::new(), &plan, &faults).unwrap();
    let at = faults.log().iter().position(|what| what.starts_with("start kubelet")).unwrap() as u64 + 1;
    apply(&world, &plan, &Faults::at(at, FaultMode::DieAfter)).unwrap();
    let dirs = ["/var/lib/cni/cache/results", "/var/lib/cni/results"];
    for dir in dirs {
        tree::put(world.root(), &format!("{dir}/pods-x-eth0"), "");
        tree::put(world.root(), &format!("{dir}/pods-z-eth0"), "{\"kind\":\"cniCac");
        fs::write(tree::at(world.root(), &format!("{dir}/pods-y-eth0")), "{}").unwrap();
    }
    world.lose_power();
    recover(&world, true, &none()).unwrap();
    for dir in dirs {
        let there = |name: &str| tree::at(world.root(), &format!("{dir}/{name}")).exists();
        assert_eq!((there("pods-x-eth0"), there("pods-y-eth0"), there("pods-z-eth0")), (false, true, false), "{dir}");
    }
}

const KUBELET_DIR: &str = "/var/lib/kubelet";

/// A node whose `/var/lib/kubelet` is a disk of its own, as far as the kernel tells.
struct LateDisk {
    world: Sim,
    plan: Plan,
    told: bool,
}

impl LateDisk {
    /// `told`: the kernel's table is there.
    fn new(told: bool) -> Self {
        let world = Sim::new();
        let disk = Self { plan: plan_of(&world), world, told };
        disk.table(true);
        disk
    }

    fn table(&self, mounted: bool) {
        let root = "24 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
        let disk = if mounted { format!("40 24 8:17 / {KUBELET_DIR} rw - xfs /dev/sdb1 rw\n") } else { String::new() };
        if self.told {
            tree::put(self.world.root(), "/proc/1/mountinfo", format!("{root}{disk}"));
        }
    }

    fn dir(&self) -> std::path::PathBuf {
        tree::at(self.world.root(), KUBELET_DIR)
    }

    fn aside(&self) -> std::path::PathBuf {
        tree::at(self.world.root(), "/disk-of-kubelet")
    }

    /// Dead as soon as kubelet's flags are written; the power is back, and the disk is not.
    fn cut_off(&self) {
        let (scout, counting) = (Self::new(self.told), Faults::at(u64::MAX, FaultMode::Fail));
        apply(&scout.world, &scout.plan, &counting).unwrap();
        let flags = format!("rename {KUBELET_DIR}/kubeadm-flags.env");
        let at = counting.log().iter().position(|what| *what == flags).unwrap() as u64 + 1;
        let _ = apply(&self.world, &self.plan, &Faults::at(at, FaultMode::DieAfter));
        self.world.lose_power();
        fs::rename(self.dir(), self.aside()).unwrap();
        tree::make_dir(self.world.root(), KUBELET_DIR);
        self.table(false);
    }

    /// It hides whatever is in the directory.
    fn mount(&self) {
        fs::remove_dir_all(self.dir()).unwrap();
        fs::rename(self.aside(), self.dir()).unwrap();
        self.table(true);
    }

    fn is_bare(&self) -> bool {
        fs::read_dir(self.dir()).unwrap().next().is_none()
    }
}

#[test]
fn a_disk_that_is_mounted_late_gets_its_files_back() {
    for told in [true, false] {
        let disk = LateDisk::new(told);
        let old = disk.world.state();
        disk.cut_off();
        for unit in [EARLY, LATE] {
            let text = fs::read_to_string(unit_file(&disk.world, unit)).unwrap();
            assert_eq!(text.contains("\nAfter=var-lib-kubelet.mount\n"), told, "{text}");
        }
        disk.world.boot(|| {
            let early = recover(&disk.world, true, &none()).unwrap();
            assert!(matches!(early, Recovered::Prepared { back: true, .. }), "{early:?}");
            // Where nobody tells, what is written there is hidden soon.
            assert_eq!(disk.is_bare(), told);
            disk.mount();
        });
        let Recovered::Ended(report) = recover(&disk.world, false, &none()).unwrap() else { panic!("it did not end") };
        assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
        assert_eq!(same(&old, &disk.world), "", "told: {told}");
        expect_tidy(&disk.world, "taken back");
    }
}

#[test]
fn a_disk_that_does_not_come_is_told_and_nothing_is_written_in_its_place() {
    let disk = LateDisk::new(true);
    let old = disk.world.state();
    disk.cut_off();
    disk.world.boot(|| drop(recover(&disk.world, true, &none()).unwrap()));
    let Recovered::Ended(report) = recover(&disk.world, false, &none()).unwrap() else { panic!("it did not end") };
    assert_eq!(report.outcome, Outcome::Stuck, "{report:#?}");
    assert!(report.by_hand[0].contains("nothing is mounted on /var/lib/kubelet"), "{:#?}", report.by_hand);
    assert!(disk.is_bare() && is_enabled(&disk.world, LATE));
    // It is there at the next boot.
    disk.world.lose_power();
    disk.mount();
    disk.world.boot(|| drop(recover(&disk.world, true, &none()).unwrap()));
    let Recovered::Ended(report) = recover(&disk.world, false, &none()).unwrap() else { panic!("it did not end") };
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert_eq!(same(&old, &disk.world), "");
    expect_tidy(&disk.world, "taken back");
}

#[test]
fn what_runs_well_is_not_taken_down_for_a_disk_that_is_not_there() {
    let disk = LateDisk::new(true);
    apply(&disk.world, &disk.plan, &none()).unwrap();
    let new = disk.world.state();
    disk.table(false);
    let error = rollback(&disk.world, &none()).unwrap_err().to_string();
    assert!(error.contains(KUBELET_DIR) && error.contains("nothing was taken back"), "{error}");
    disk.table(true);
    assert_eq!((same(&new, &disk.world), newest(&disk.world)), (String::new(), Some(RunState::Committed)));
    assert_eq!(rollback(&disk.world, &none()).unwrap().outcome, Outcome::RolledBack);
}

#[test]
fn a_run_that_goes_on_after_a_boot_is_proven_of_that_boot() {
    let (world, scout, faults) = (Sim::new(), Sim::new(), Faults::at(u64::MAX, FaultMode::Fail));
    let plan = plan_of(&world);
    apply(&scout, &plan, &faults).unwrap();
    // Proven, but its end not recorded.
    let at = faults.log().iter().position(|what| what.starts_with("syncfs")).unwrap() as u64 + 1;
    apply(&world, &plan, &Faults::at(at, FaultMode::DieBefore)).unwrap();
    world.lose_power();
    world.boot(|| drop(recover(&world, true, &none())));
    let Recovered::Ended(report) = recover(&world, false, &none()).unwrap() else { panic!("it did not end") };
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    assert!(!report.verification.is_empty(), "what was proven was another boot");
}

#[test]
fn every_power_cut_is_recovered_at_the_next_boot() {
    for (policy, stride) in [(RecoverPolicy::Auto, 1), (RecoverPolicy::Rollback, 9), (RecoverPolicy::Resume, 9)] {
        let ends = Ends::new(policy);
        let (mut forward, mut back) = (0, 0);
        for n in (1..=ends.effects).step_by(if all() { 1 } else { stride }) {
            let turn = usize::try_from(n).unwrap() % DEATHS.len();
            for mode in if all() { &DEATHS[..] } else { &DEATHS[turn..=turn] }.iter().copied() {
                let what = format!("{policy:?}: dead at effect {n} ({}) {mode:?}", ends.name(n));
                let world = ends.hit(n, mode);
                let finished = matches!(newest(&world), Some(RunState::Applied | RunState::Committed));
                reboot(&world, &none(), &none());
                let is_new = ends.expect_either(&world, &what);
                assert!(!finished || is_new, "{what}: a finished run was taken back");
                *(if is_new { &mut forward } else { &mut back }) += 1;
            }
        }
        println!("{policy:?}: {} effects, {back} went back, {forward} went on, none lost", ends.effects);
        assert!(back > 0 && forward > 0, "{policy:?}: {back} back, {forward} forward");
    }
}

#[test]
fn every_power_cut_in_a_rollback_is_recovered_at_the_next_boot() {
    let ends = Ends::new(RecoverPolicy::Auto);
    let moved = || {
        let world = Sim::new();
        apply(&world, &ends.plan, &none()).unwrap();
        world
    };
    let counting = Faults::at(u64::MAX, FaultMode::Fail);
    rollback(&moved(), &counting).unwrap();
    let (effects, log) = (counting.count(), counting.log());
    for n in 1..=effects {
        let mode = DEATHS[usize::try_from(n).unwrap() % DEATHS.len()];
        let world = moved();
        let _ = rollback(&world, &Faults::at(n, mode));
        let begun = newest(&world) != Some(RunState::Committed);
        reboot(&world, &none(), &none());
        let what = format!("dead at effect {n} of a rollback ({}) {mode:?}", log[usize::try_from(n).unwrap() - 1]);
        assert!(!(begun && ends.expect_either(&world, &what)), "{what}: it went on");
    }
    println!("{effects} effects of a rollback, none lost");
}

#[test]
fn a_second_power_cut_during_the_recovery_is_recovered_too() {
    let ends = Ends::new(RecoverPolicy::Auto);
    let mut tried = 0;
    for n in (1..=ends.effects).step_by(if all() { 1 } else { 23 }) {
        for (early, stride) in if all() { [(true, 1), (false, 3)] } else { [(true, 5), (false, 17)] } {
            let mut m = 1 + n % stride;
            loop {
                let mode = DEATHS[usize::try_from(n + m).unwrap() % DEATHS.len()];
                let world = ends.hit(n, FaultMode::DieAfter);
                let faults = Faults::at(m, mode);
                let what = format!("dead at effect {n} ({}), then at {m} of early {early}", ends.name(n));
                if early {
                    reboot(&world, &faults, &none());
                } else {
                    reboot(&world, &none(), &faults);
                }
                if faults.count() < m {
                    break;
                }
                reboot(&world, &none(), &none());
                ends.expect_either(&world, &what);
                tried += 1;
                m += stride;
            }
        }
    }
    println!("{tried} pairs of power cuts, none lost");
    assert!(tried > 30, "only {tried} pairs were tried");
}

fn tried_for(world: &Sim, seconds: u64) -> RunReport {
    let options = Options { commit: false, keep_within: Some(seconds), ..options() };
    engine::apply(&world.host(&none()), &plan_of(world), &options, &mut Silent).unwrap()
}

#[test]
fn a_run_that_nobody_keeps_is_taken_back() {
    let world = Sim::new();
    let (old, plan) = (world.state(), plan_of(&world));
    let report = tried_for(&world, 600);
    assert_eq!((report.outcome, report.committed), (Outcome::Applied, false));
    let until = report.keep_until.unwrap();
    let timer = fs::read_to_string(unit_file(&world, TIMER)).unwrap();
    assert!(timer.contains("OnCalendar=20") && timer.contains(" UTC\n"), "{timer}");
    assert!(world.units.snapshot()[TIMER].is_active());
    // Nothing new is begun while it waits.
    assert!(matches!(refusal(apply(&world, &plan, &none())), Refusal::Unkept { .. }));
    assert!(
        matches!(recover(&world, false, &none()).unwrap(), Recovered::Waiting { until: told, .. } if told == until)
    );
    reboot(&world, &none(), &none());
    assert!(world.units.snapshot()[TIMER].is_active(), "the timer is there after a reboot too");
    world.clock.advance(Duration::from_secs(601));
    let Recovered::Ended(report) = recover(&world, false, &none()).unwrap() else { panic!("nothing was done") };
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert_eq!(same(&old, &world), "");
    expect_tidy(&world, "taken back");
}

#[test]
fn a_kept_run_stays() {
    let world = Sim::new();
    tried_for(&world, 600);
    let new = world.state();
    engine::commit(&world.host(&none()), None).unwrap();
    expect_tidy(&world, "kept");
    assert!(!world.units.snapshot()[TIMER].is_active());
    world.clock.advance(Duration::from_secs(6000));
    assert!(matches!(recover(&world, false, &none()).unwrap(), Recovered::Nothing));
    let there = same(&new, &world);
    assert!(
        there.lines().all(|line| line.contains("castoff-") || line.contains("journal") || line.contains("report")),
        "{there}"
    );
    assert_eq!(newest(&world), Some(RunState::Committed));
}

/// A node with an older run that nobody has kept and that has no time to be kept in, and something to do for a newer one.
fn with_older_run() -> (Sim, String) {
    let world = Sim::new();
    let unkept = Options { commit: false, ..options() };
    let older = engine::apply(&world.host(&none()), &plan_of(&world), &unkept, &mut Silent).unwrap().run;
    expect_tidy(&world, "applied");
    tree::put(world.root(), "/etc/crictl.yaml", "timeout: 1\n");
    (world, older)
}

#[test]
fn keeping_an_older_run_does_not_stop_the_clock_of_a_newer_one() {
    let (world, older) = with_older_run();
    let between = world.state();
    tried_for(&world, 600);
    assert_eq!(engine::commit(&world.host(&none()), Some(&older)).unwrap().id, older);
    assert!(is_enabled(&world, EARLY) && is_enabled(&world, LATE) && is_enabled(&world, TIMER));
    assert!(world.units.snapshot()[TIMER].is_active(), "nobody would take the newer one back");
    world.clock.advance(Duration::from_secs(601));
    let Recovered::Ended(report) = recover(&world, false, &none()).unwrap() else { panic!("nothing was done") };
    assert!(report.outcome == Outcome::RolledBack && report.run > older, "{report:#?}");
    assert_eq!(same(&between, &world), "");
    expect_tidy(&world, "taken back");
}

#[test]
fn keeping_an_older_run_leaves_the_units_of_one_that_was_cut_off() {
    let counting = Faults::at(u64::MAX, FaultMode::Fail);
    let scout = with_older_run().0;
    apply(&scout, &plan_of(&scout), &counting).unwrap();
    let at = counting.log().iter().position(|what| what == "rename /etc/crictl.yaml").unwrap() as u64 + 1;
    let (world, older) = with_older_run();
    let between = world.state();
    let _ = apply(&world, &plan_of(&world), &Faults::at(at, FaultMode::DieAfter));
    assert_eq!(newest(&world), Some(RunState::Dirty));
    engine::commit(&world.host(&none()), Some(&older)).unwrap();
    assert!(is_enabled(&world, EARLY) && is_enabled(&world, LATE), "nobody would end it after a reboot");
    let Recovered::Ended(report) = recover(&world, false, &none()).unwrap() else { panic!("nothing was done") };
    assert!(report.outcome == Outcome::RolledBack && report.run > older, "{report:#?}");
    assert_eq!(same(&between, &world), "");
    expect_tidy(&world, "taken back");
}

#[test]
fn a_keeping_that_failed_half_way_is_done_by_a_second_one() {
    let world = Sim::new();
    let run = tried_for(&world, 600).run;
    world.units.fail_once(&format!("stop {TIMER}"), "timeout");
    let error = engine::commit(&world.host(&none()), None).unwrap_err();
    assert!(format!("{error:#}").contains("is kept, but"), "{error:#}");
    assert!(newest(&world) == Some(RunState::Committed) && unit_file(&world, TIMER).exists());
    engine::commit(&world.host(&none()), None).unwrap();
    expect_tidy(&world, "kept");
    let host = world.host(&none());
    let store = Store::new(&host);
    assert!(store.report(&store.find(Some(&run)).unwrap()).unwrap().unwrap().committed);
}

#[test]
fn a_rollback_that_cannot_begin_leaves_no_units_behind() {
    let moved = || {
        let world = Sim::new();
        apply(&world, &plan_of(&world), &none()).unwrap();
        world
    };
    let (world, counting) = (moved(), Faults::at(u64::MAX, FaultMode::Fail));
    let new = world.state();
    rollback(&moved(), &counting).unwrap();
    // The first record says that it begins.
    let at = counting.log().iter().position(|what| what.starts_with("append to")).unwrap() as u64 + 1;
    let error = rollback(&world, &Faults::nth(at)).unwrap_err();
    assert!(format!("{error:#}").contains("cannot write the journal"), "{error:#}");
    assert_eq!(newest(&world), Some(RunState::Committed));
    expect_tidy(&world, "not begun");
    assert_eq!(same(&new, &world), "");
}

#[test]
fn the_end_of_castoff_itself_does_not_stop_the_clock() {
    let world = Sim::new();
    let (old, plan) = (world.state(), plan_of(&world));
    let scout = Sim::new();
    let faults = Faults::at(u64::MAX, FaultMode::Fail);
    apply(&scout, &plan, &faults).unwrap();
    let options = Options { commit: false, keep_within: Some(600), ..options() };
    let dead = Faults::at(faults.count() / 2, FaultMode::DieAfter);
    let _ = engine::apply(&world.host(&dead), &plan, &options, &mut Silent);
    assert!(dead.is_dead());
    world.clock.advance(Duration::from_secs(700));
    let Recovered::Ended(report) = recover(&world, false, &none()).unwrap() else { panic!("nothing was done") };
    assert_eq!(report.outcome, Outcome::RolledBack);
    expect(&old, &world);
    expect_tidy(&world, "taken back");
}

#[test]
fn somebody_elses_unit_of_that_name_is_left_alone() {
    let world = Sim::new();
    fs::write(unit_file(&world, EARLY), "[Service]\nExecStart=/bin/true\n").unwrap();
    let old = world.state();
    let error = apply(&world, &plan_of(&world), &none()).unwrap_err();
    assert!(format!("{error:#}").contains("not castoff's"), "{error:#}");
    assert_eq!(same(&old, &world), "");
    assert_eq!(newest(&world), Some(RunState::RolledBack));
}

type Act = Box<dyn FnOnce()>;

/// A clock by which something happens each time somebody waits, as long as there is something.
struct Meanwhile(FakeClock, RefCell<VecDeque<Act>>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Clock for Meanwhile {
    fn now(&self) -> String {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, span: Duration) {
        self.0.sleep(span);
        let act = self.1.borrow_mut().pop_front();
        if let Some(act) = act {
            act();
        }
    }
}

/// What the timer starts, on a node where something happens while it waits.
fn recover_while(world: &Sim, act: impl FnOnce() + 'static) -> Recovered {
    recover_during(world, [Box::new(act) as Act])
}

fn recover_during<const N: usize>(world: &Sim, acts: [Act; N]) -> Recovered {
    let mut host = world.host(&none());
    host.clock = Box::new(Meanwhile(world.clock.clone(), RefCell::new(acts.into())));
    engine::recover(&host, false, &options(), &mut Silent).unwrap()
}

fn held(world: &Sim) -> Lock {
    let root = Root::open(world.root(), none()).unwrap();
    let Locked::Ours(lock) = Lock::take(&root, "pid 4711 (rollback --drain)").unwrap() else { panic!("not free") };
    lock
}

#[test]
fn somebody_at_work_when_the_time_is_over_does_not_keep_the_run() {
    let world = Sim::new();
    let old = world.state();
    tried_for(&world, 600);
    world.clock.advance(Duration::from_secs(601));
    // A drain that fails in the end: nothing was taken back, and nobody else comes.
    let lock = held(&world);
    let Recovered::Ended(report) = recover_while(&world, move || drop(lock)) else { panic!("nothing was done") };
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert_eq!(same(&old, &world), "");
    expect_tidy(&world, "taken back");
}

#[test]
fn somebody_who_hangs_with_the_lock_is_outlived() {
    let world = Sim::new();
    tried_for(&world, 600);
    world.clock.advance(Duration::from_secs(601));
    let (lock, clock) = (held(&world), world.clock.clone());
    let days: Act = Box::new(move || clock.advance(Duration::from_secs(3 * 24 * 60 * 60)));
    let ends: Act = Box::new(move || drop(lock));
    let Recovered::Ended(report) = recover_during(&world, [days, ends]) else { panic!("nothing was done") };
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
}

#[test]
fn a_castoff_that_was_stopped_with_the_lock_is_let_go_on() {
    for (program, woken) in [("/usr/bin/castoff", true), ("/usr/bin/vi", false)] {
        let world = Sim::new();
        tried_for(&world, 600);
        world.clock.advance(Duration::from_secs(601));
        // Who took the lock says `pid 4711`; what has that pid may be something else by now.
        let (lock, procs) = (held(&world), world.procs.clone());
        world.procs.add_process(4711, &[program, "rollback"], Vec::new());
        world.procs.stop_process(4711);
        let ends = move || {
            assert_eq!(procs.calls().contains(&"continue 4711".to_owned()), woken, "{program}");
            drop(lock);
        };
        let Recovered::Ended(report) = recover_while(&world, ends) else { panic!("nothing was done") };
        assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    }
}

#[test]
fn a_run_that_is_kept_at_the_last_moment_is_kept() {
    let world = Sim::new();
    tried_for(&world, 600);
    world.clock.advance(Duration::from_secs(601));
    let (lock, node) = (held(&world), world.clone());
    let keep = move || {
        drop(lock);
        engine::commit(&node.host(&none()), None).unwrap();
    };
    assert!(matches!(recover_while(&world, keep), Recovered::Nothing));
    assert_eq!(newest(&world), Some(RunState::Committed));
    expect_tidy(&world, "kept");
}

#[test]
fn a_timer_that_could_not_be_set_for_the_end_is_set_later() {
    let world = Sim::new();
    let (units, first) = (world.units.clone(), Cell::new(true));
    world.units.when("start kubelet.service", move || {
        if first.take() {
            units.fail_once(&format!("restart {TIMER}"), "timeout");
        }
    });
    world.clock.advance(Duration::from_secs(1));
    let report = tried_for(&world, 600);
    let until = report.keep_until.unwrap();
    assert!(!world.units.snapshot()[TIMER].is_active());
    // The earlier moment has come, and the later one has not.
    let Recovered::Waiting { until: told, .. } = recover(&world, false, &none()).unwrap() else {
        panic!("not waiting")
    };
    assert_eq!(told, until);
    assert!(world.units.snapshot()[TIMER].is_active(), "nobody would come any more");
    // As long as it cannot be set, whoever was started stays.
    world.units.fail_once(&format!("restart {TIMER}"), "timeout");
    let before = world.clock.monotonic();
    assert!(matches!(recover(&world, false, &none()).unwrap(), Recovered::Waiting { .. }));
    assert_eq!(world.clock.monotonic().checked_sub(before).unwrap().as_secs(), 60);
    assert!(world.units.snapshot()[TIMER].is_active());
    world.units.fail_always(&format!("restart {TIMER}"), "timeout");
    let Recovered::Ended(report) = recover(&world, false, &none()).unwrap() else { panic!("nothing was done") };
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    expect_tidy(&world, "taken back");
}

#[test]
fn a_moment_that_is_close_is_waited_for() {
    let world = Sim::new();
    tried_for(&world, 600);
    world.clock.advance(Duration::from_secs(595));
    let waited = Rc::new(Cell::new(false));
    let told = Rc::clone(&waited);
    let Recovered::Ended(report) = recover_while(&world, move || told.set(true)) else { panic!("nothing was done") };
    assert!(waited.get() && report.outcome == Outcome::RolledBack, "{report:#?}");
}

#[test]
fn a_clock_that_jumps_over_the_moment_does_not_stop_the_timer() {
    let world = Sim::new();
    tried_for(&world, 600);
    let seconds = || {
        let timer = fs::read_to_string(unit_file(&world, TIMER)).unwrap();
        let line = timer.lines().find_map(|line| line.strip_prefix("OnActiveSec=")).unwrap().to_owned();
        line.trim_end_matches('s').parse::<u64>().unwrap()
    };
    assert!((600..=603).contains(&seconds()), "{}", seconds());
    world.clock.advance(Duration::from_secs(500));
    recover(&world, false, &none()).unwrap();
    assert!((100..=103).contains(&seconds()), "{}", seconds());
    // A clock that is years behind is looked at again soon.
    let world = Sim::new();
    tried_for(&world, 100 * 24 * 3600);
    let timer = fs::read_to_string(unit_file(&world, TIMER)).unwrap();
    assert!(timer.contains("OnActiveSec=3602s"), "{timer}");
}
