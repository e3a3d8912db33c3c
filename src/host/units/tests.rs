use super::*;
use crate::host::{FakeClock, Faults};

const SETTLE: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_secs(60);

fn units() -> FakeUnits {
    FakeUnits::new(Faults::none()).unit("kubelet.service", true)
}

#[test]
fn a_restarted_unit_that_stays_up_is_settled() {
    let (units, clock) = (units(), FakeClock::new());
    let before = units.state("kubelet.service").unwrap();
    units.restart("kubelet.service", WAIT).unwrap();
    let after = settle(&units, &clock, "kubelet.service", &before, SETTLE).unwrap();
    assert!(after.started_anew(&before) && after.is_active());
    assert_eq!(clock.monotonic(), SETTLE, "looked for the whole time");
    assert_eq!(units.calls(), ["restart kubelet.service"]);
}

#[test]
fn a_crash_loop_is_found_although_the_job_was_done() {
    let (units, clock) = (units(), FakeClock::new());
    let before = units.state("kubelet.service").unwrap();
    units.crash_loop("kubelet.service");
    units.restart("kubelet.service", WAIT).unwrap();
    let error = settle(&units, &clock, "kubelet.service", &before, SETTLE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "kubelet.service crashes: systemd restarted it 1 time(s) after its start, result `exit-code`"
    );
    assert!(clock.monotonic() < SETTLE, "says so at once");
}

#[test]
fn the_waiting_phase_of_a_crash_loop_counts_too() {
    let (units, clock) = (units(), FakeClock::new());
    let before = units.state("kubelet.service").unwrap();
    units.restart("kubelet.service", WAIT).unwrap();
    units.change("kubelet.service", |state| {
        (state.active, state.sub, state.result) = ("activating".into(), "auto-restart".into(), "exit-code".into());
    });
    let error = settle(&units, &clock, "kubelet.service", &before, SETTLE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "kubelet.service waits to be restarted after a crash (activating, auto-restart), result `exit-code`"
    );
}

#[test]
fn a_unit_that_was_never_restarted_is_not_settled() {
    let (units, clock) = (units(), FakeClock::new());
    let before = units.state("kubelet.service").unwrap();
    units.start("kubelet.service", WAIT).unwrap();
    let error = settle(&units, &clock, "kubelet.service", &before, SETTLE).unwrap_err();
    assert!(error.to_string().contains("still the run from before"), "{error}");
    assert!(matches!(error.downcast_ref(), Some(UnitError::Unsettled { .. })));
}

#[test]
fn old_systemd_without_invocations_is_judged_by_time_and_pid() {
    let state = |entered, main_pid| UnitState { main_pid, entered, ..UnitState::not_found("x.service") };
    assert!(!state(5, Some(1)).started_anew(&state(5, Some(1))));
    assert!(state(6, Some(2)).started_anew(&state(5, Some(1))));
    assert!(state(5, Some(1)).started_anew(&state(0, None)));
}

#[test]
fn orders_fail_as_systemd_would_fail_them() {
    let units = units();
    units.put(UnitState { load: "masked".into(), ..UnitState::not_found("docker.service") });
    let kind =
        |error: anyhow::Error| format!("{:?}", error.downcast_ref::<UnitError>()).chars().take(12).collect::<String>();
    assert_eq!(kind(units.start("docker.service", WAIT).unwrap_err()), "Some(Masked ");
    assert_eq!(kind(units.start("nope.service", WAIT).unwrap_err()), "Some(NotFoun");
    assert_eq!(units.stop("nope.service", WAIT).unwrap().result, "done");
    units.fail_once("restart kubelet.service", "timeout");
    let error = units.restart("kubelet.service", WAIT).unwrap_err().to_string();
    assert!(error.starts_with("restart of kubelet.service ended with `timeout`; last lines"), "{error}");
    assert_eq!(units.state("kubelet.service").unwrap().active, "failed");
    units.reset_failed("kubelet.service").unwrap();
    units.restart("kubelet.service", WAIT).unwrap();
    units.go_down("it is a test");
    assert!(units.available().is_err() && units.reload().is_err());
}

#[test]
fn dependents_stop_with_what_they_require() {
    let units = FakeUnits::new(Faults::none()).unit("containerd.service", true).unit("docker.service", true);
    units.change("containerd.service", |state| state.bound_by = vec!["docker.service".into()]);
    units.change("docker.service", |state| state.binds_to = vec!["containerd.service".into()]);
    units.stop("containerd.service", WAIT).unwrap();
    assert_eq!(units.state("docker.service").unwrap().active, "inactive");
    units.start("docker.service", WAIT).unwrap();
    assert!(units.state("containerd.service").unwrap().is_active(), "what it binds to is started with it");
}

#[test]
fn reactions_run_after_success_and_faults_before_the_act() {
    let units = FakeUnits::new(Faults::nth(2)).unit("docker.service", true);
    let inner = units.clone();
    units.when("stop docker.service", move || inner.change("docker.service", |state| state.sub = "seen".into()));
    units.stop("docker.service", WAIT).unwrap();
    assert_eq!(units.state("docker.service").unwrap().sub, "seen");
    assert!(units.start("docker.service", WAIT).is_err());
    assert!(!units.state("docker.service").unwrap().is_active());
    assert_eq!(units.calls(), ["stop docker.service"]);
}
