use super::*;
use crate::{
    host::{FakeClock, Faults},
    model::CgroupMode,
};
use tempfile::TempDir;

static NEVER: AtomicBool = AtomicBool::new(false);
const WAY: Way = Way { mode: CgroupMode::Unified, systemd: false };

/// A file tree whose clock goes on when somebody waits.
fn host() -> (TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::open(dir.path(), &Faults::none()).unwrap();
    host.clock = Box::new(FakeClock::new());
    (dir, host)
}

#[test]
fn what_crun_leaves_is_taken_away_the_deepest_first() {
    let (_dir, host) = host();
    let scope = "/sys/fs/cgroup/castoff/verify-1-1";
    host.root.make_dirs(&format!("{scope}/container"), 0o755).unwrap();
    // Whoever has a container there is asked first; it is no reason not to begin.
    drop(alone(&host, WAY, Turn::Run, &NEVER).unwrap());
    assert!(host.root.exists(scope));
    nothing_left(&host, WAY).unwrap();
    assert!(!host.root.exists(scope));
}

#[test]
fn a_run_waits_for_a_verification_that_came_before() {
    let (_dir, host) = host();
    let other = Lock::take_for_pods(&host.root, "castoff verify, process 7").unwrap();
    assert!(matches!(other, Locked::Ours(_)));
    let asked = |turn, interrupt: &AtomicBool| {
        let began = host.clock.monotonic();
        let error = alone(&host, WAY, turn, interrupt).unwrap_err();
        (error.is::<Unfit>(), host.clock.monotonic().saturating_sub(began), error.to_string())
    };
    for (turn, interrupt) in [(Turn::Onlooker, false), (Turn::AtOnce, false), (Turn::Run, true)] {
        let (left_out, waited, why) = asked(turn, &AtomicBool::new(interrupt));
        assert!(left_out && waited.is_zero(), "{turn:?} {waited:?}: {why}");
    }
    // Nothing that can be left out: what it finds decides about the node.
    let (left_out, waited, why) = asked(Turn::Run, &NEVER);
    assert!(!left_out && waited >= PATIENCE && why.ends_with("castoff verify, process 7"), "{waited:?}: {why}");
    drop(other);
    assert!(alone(&host, WAY, Turn::Run, &NEVER).is_ok());
}

#[test]
fn who_looks_on_is_not_in_the_way_of_a_run() {
    let (_dir, host) = host();
    let run = Lock::take(&host.root, "pid 7 (apply, run x)").unwrap();
    assert!(matches!(run, Locked::Ours(_)));
    let why = alone(&host, WAY, Turn::Onlooker, &NEVER).unwrap_err();
    assert!(why.is::<Unfit>() && why.to_string().ends_with("pid 7 (apply, run x)"), "{why}");
    // What it does itself, as part of that run.
    assert!([Turn::Run, Turn::AtOnce].into_iter().all(|turn| alone(&host, WAY, turn, &NEVER).is_ok()));
    drop(run);
    assert!(alone(&host, WAY, Turn::Onlooker, &NEVER).is_ok());
}
