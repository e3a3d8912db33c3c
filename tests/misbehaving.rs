//! A running node whose parts do not do what they are told: jobs that fail, units that crash, a systemd that is gone, a
//! containerd without CRI, a CNI plugin that refuses.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

mod common;

use castoff::{
    apply::{self as engine, Observer, Options, Refusal, Silent},
    host::{CgroupLine, FaultMode, Faults, Health, OwnProcess, UnitState, Units as _},
    model::{Outcome, RunState},
};
use common::{
    sim::{LEASE, Sim},
    tree,
    world::{World, applied, apply, expect, newest, none, options, plan_of, refusal, resume},
};
use std::{fs, time::Duration};

#[test]
fn a_job_that_fails_is_taken_back() {
    let scout = Sim::new();
    applied(&scout);
    let jobs: Vec<String> = scout
        .units
        .calls()
        .into_iter()
        .skip(5)
        .filter(|call| ["start ", "stop ", "restart "].iter().any(|verb| call.starts_with(verb)))
        .collect();
    assert!(jobs.len() >= 5, "{jobs:?}");
    for job in &jobs {
        for result in ["failed", "timeout", "canceled"] {
            let world = Sim::new();
            let (old, plan) = (world.state(), plan_of(&world));
            world.units.fail_once(job, result);
            let report = apply(&world, &plan, &none()).unwrap();
            assert_eq!((report.outcome, report.exit_code), (Outcome::RolledBack, 4), "{job} {result}: {report:#?}");
            expect(&old, &world);
            assert_eq!(world.violations(), [""; 0]);
        }
    }
}

#[test]
fn a_unit_that_crashes_after_its_start_is_taken_back() {
    for unit in ["containerd.service", "kubelet.service"] {
        let world = Sim::new();
        let (old, plan) = (world.state(), plan_of(&world));
        let (sick, well) = (world.units.clone(), world.units.clone());
        let verb = if unit == "kubelet.service" { "start" } else { "restart" };
        // It dies of its new configuration, and is well with the old one.
        let mut starts = 0;
        world.units.when(&format!("{verb} {unit}"), move || {
            starts += 1;
            if starts == 1 { sick.crash_loop(unit) } else { well.heal(unit) }
        });
        let report = apply(&world, &plan, &none()).unwrap();
        assert_eq!((report.outcome, report.exit_code), (Outcome::RolledBack, 4), "{unit}: {report:#?}");
        expect(&old, &world);
    }
}

#[test]
fn a_kubelet_that_crashed_all_the_time_crashes_again() {
    for pods_come in [true, false] {
        let (world, kubelet) = (Sim::new(), "kubelet.service");
        let crash = |state: &mut UnitState| {
            (state.active, state.sub) = ("activating".to_owned(), "auto-restart".to_owned());
        };
        world.units.change(kubelet, crash);
        let flags = tree::at(world.root(), "/var/lib/kubelet/kubeadm-flags.env");
        let (units, engine) = (world.units.clone(), world.engine.clone());
        world.units.when("start kubelet.service", move || {
            if fs::read_to_string(&flags).unwrap().contains("containerd.sock") {
                return;
            }
            units.change(kubelet, crash);
            if !pods_come {
                engine.change(|daemon| {
                    let of_pods = daemon.containers.iter_mut().filter(|container| container.is_kubernetes());
                    of_pods.for_each(|container| "exited".clone_into(&mut container.state));
                });
            }
        });
        let (old, plan) = (world.state(), plan_of(&world));
        // It must not start anew while its files change.
        assert!(plan.steps.iter().any(|step| step.id == "stop-kubelet"), "{:#?}", plan.steps);
        world.units.fail_once("restart containerd.service", "failed");
        let report = apply(&world, &plan, &none()).unwrap();
        assert_eq!((report.outcome, report.exit_code), (Outcome::RolledBack, 4), "{pods_come}: {report:#?}");
        if pods_come {
            expect(&old, &world);
        }
        assert_eq!(world.violations(), [""; 0]);
    }
}

#[test]
fn a_castoff_that_cannot_leave_a_container_does_not_begin() {
    let pid = std::process::id();
    for (at, unit, leaves, begins) in [
        (pid, "docker-0123.scope", true, true),
        (pid, "docker-0123.scope", false, false),
        (pid, "kubepods-besteffort-pod1.slice", false, false),
        // As systemd calls what it does not divide itself: there the cgroup tells.
        (pid, "-.slice", false, false),
        // A pid namespace ends with its first process, wherever the others are moved.
        (pid + 1, "-.slice", true, false),
        // Neither of these is stopped by the run.
        (pid, "session-3.scope", false, true),
        (pid, "cron.service", false, true),
    ] {
        let world = Sim::new();
        let (old, plan, what) = (world.state(), plan_of(&world), format!("{unit}, leaves: {leaves}"));
        world.units.lives(OwnProcess { pid: at, unit: unit.to_owned() });
        if unit == "-.slice" {
            let path = "/kubepods/burstable/pod1/0123".to_owned();
            world.procs.add_process(pid, &["castoff"], vec![CgroupLine { hierarchy: 0, controllers: vec![], path }]);
        }
        if !leaves {
            world.units.fail_once("adopt", "failed");
        }
        let result = apply(&world, &plan, &none());
        if begins {
            assert_eq!(result.unwrap().outcome, Outcome::Applied, "{what}");
            continue;
        }
        let Refusal::Unready { id, .. } = refusal(result) else { panic!("{what}: another refusal") };
        assert_eq!(id, "castoff-in-container", "{what}");
        assert_eq!(newest(&world), Some(RunState::RolledBack), "{what}");
        expect(&old, &world);
    }
}

#[test]
fn a_run_that_stops_no_pods_begins_in_a_container_too() {
    let world = Sim::new();
    apply(&world, &plan_of(&world), &none()).unwrap();
    tree::put(world.root(), "/etc/crictl.yaml", "timeout: 1\n");
    let plan = plan_of(&world);
    assert!(!plan.restarts_pods() && !plan.steps.is_empty());
    world.units.lives(OwnProcess { pid: std::process::id(), unit: "kubepods-pod1.slice".to_owned() });
    world.units.fail_once("adopt", "failed");
    assert_eq!(apply(&world, &plan, &none()).unwrap().outcome, Outcome::Applied);
}

#[test]
fn the_units_of_a_run_and_its_own_scope_are_not_left() {
    for unit in [engine::LATE, "castoff-20260101T000000Z-dbe9.scope"] {
        let world = Sim::new();
        world.units.lives(OwnProcess { pid: std::process::id(), unit: unit.to_owned() });
        assert_eq!(apply(&world, &plan_of(&world), &none()).unwrap().outcome, Outcome::Applied);
        assert!(!world.units.calls().iter().any(|call| call.starts_with("adopt")), "{unit}");
    }
}

/// Hears warnings.
#[derive(Default)]
struct Warned(Vec<String>);

impl Observer for Warned {
    fn warn(&mut self, message: &str) {
        self.0.push(message.to_owned());
    }
}

#[test]
fn a_program_that_systemd_cannot_start_is_no_dead_mans_switch() {
    let world = Sim::new();
    let (old, mut plan) = (world.state(), plan_of(&world));
    let tried = Options { commit: false, keep_within: Some(600), ..options() };
    world.units.fail_always("run", "failed");
    let result = engine::apply(&world.host(&none()), &plan, &tried, &mut Silent);
    let Refusal::Unready { id, what, .. } = refusal(result) else { panic!("another refusal") };
    assert!(id == "program-not-startable" && what.starts_with("systemd cannot start /"), "{id}: {what}");
    expect(&old, &world);
    assert_eq!(newest(&world), None, "a run was begun");
    // Whoever knows better says so, and without the switch it is a warning.
    plan.desired.skip_checks.push(id);
    plan.digest = plan.compute_digest();
    for (plan, options) in [(&plan, tried), (&plan_of(&Sim::new()), options())] {
        let (world, mut warned) = (Sim::new(), Warned::default());
        world.units.fail_always("run", "failed");
        let report = engine::apply(&world.host(&none()), plan, &options, &mut warned).unwrap();
        assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
        assert!(warned.0.iter().any(|text| text.contains("nobody would end the run")), "{:?}", warned.0);
    }
    // A systemd that cannot be asked so is no reason to refuse.
    let world = Sim::new();
    let mut warned = Warned::default();
    let faults = Faults::at(u64::MAX, FaultMode::Fail);
    engine::apply(&Sim::new().host(&faults), &plan_of(&world), &options(), &mut Silent).unwrap();
    let at = faults.log().iter().position(|what| what.starts_with("run castoff-program")).unwrap() as u64 + 1;
    let plan = plan_of(&world);
    let report = engine::apply(&world.host(&Faults::nth(at)), &plan, &tried, &mut warned).unwrap();
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    assert!(warned.0.iter().any(|text| text.contains("is not known")), "{:?}", warned.0);
}

#[test]
fn a_docker_whose_list_lags_behind_is_waited_for() {
    let world = Sim::new();
    world.engine.change(|daemon| daemon.late = 3);
    let report = apply(&world, &plan_of(&world), &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::Applied, 0), "{report:#?}");
    // One that does not say so within the deadline has not stopped them.
    let world = Sim::new();
    let (old, plan) = (world.state(), plan_of(&world));
    world.engine.change(|daemon| daemon.late = 700);
    let report = apply(&world, &plan, &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::RolledBack, 4), "{report:#?}");
    let told = format!("{:?}", report.steps);
    assert!(told.contains("still run on Docker"), "{told}");
    expect(&old, &world);
}

#[test]
fn a_lost_systemd_is_told_with_what_is_left_to_do() {
    let world = Sim::new();
    let (old, plan) = (world.state(), plan_of(&world));
    let units = world.units.clone();
    world.units.when("stop docker.service", move || units.go_down("the bus went away"));
    let report = apply(&world, &plan, &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::Stuck, 5));
    let hands = report.by_hand.join("\n");
    assert!(hands.contains("the bus went away") && hands.contains("systemctl start docker.service"), "{hands}");
    assert!(hands.contains("systemctl start kubelet.service"), "{hands}");
    assert_eq!(newest(&world), Some(RunState::Stuck));
    // The bus is back: trying again is all there is to do.
    world.units.come_back();
    assert!(matches!(refusal(apply(&world, &plan, &none())), Refusal::Dirty(_)));
    assert_eq!(resume(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    expect(&old, &world);
}

#[test]
fn a_node_that_is_not_proven_goes_back_unless_it_is_to_be_kept() {
    for keep in [false, true] {
        let world = Sim::new();
        let (old, plan) = (world.state(), plan_of(&world));
        let containerd = world.containerd.clone();
        world.units.when("start kubelet.service", move || containerd.set_plugins(Ok(Vec::new())));
        let options = Options { keep_on_verify_failure: keep, ..options() };
        let report = engine::apply(&world.host(&none()), &plan, &options, &mut Silent).unwrap();
        if keep {
            assert_eq!((report.outcome, report.exit_code, report.committed), (Outcome::Applied, 6, false));
            assert_eq!(newest(&world), Some(RunState::Applied));
        } else {
            assert_eq!((report.outcome, report.exit_code), (Outcome::RolledBack, 4));
            expect(&old, &world);
        }
    }
}

#[test]
fn networks_of_pods_are_given_back_and_a_plugin_that_fails_stops_nothing() {
    for status in [0, 1] {
        let world = Sim::new();
        let procs = world.procs.clone().answer("/opt/cni/bin/bridge", status, "{\"code\":11}", "");
        applied(&world);
        let calls = procs.calls();
        let asked = |call: &&String| call.contains("CNI_COMMAND=DEL") && call.contains("CNI_NETNS=/proc/77/ns/net");
        assert_eq!(calls.iter().filter(asked).count(), 1, "{calls:#?}");
        assert_eq!(tree::at(world.root(), LEASE.0).exists(), status != 0, "what was not given back is remembered");
    }
}

#[test]
fn a_socket_that_wakes_docker_at_once_does_not_matter() {
    let world = Sim::new();
    let plan = plan_of(&world);
    let units = world.units.clone();
    world.units.when("stop docker.service", move || {
        units.start("docker.service", Duration::ZERO).unwrap();
    });
    let report = apply(&world, &plan, &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::Applied, 0), "{report:#?}");
    assert!(!world.units.snapshot()["docker.service"].is_active());
    assert_eq!(world.violations(), [""; 0]);
}

#[test]
fn a_kubelet_that_somebody_started_meanwhile_is_started_with_its_new_files() {
    let world = Sim::new();
    let (_, _, new) = applied(&Sim::new());
    let (old, plan) = (world.state(), plan_of(&world));
    let units = world.units.clone();
    // A watchdog, or configuration management, that sees a stopped kubelet.
    world.units.when("stop docker.socket", move || {
        units.start("kubelet.service", Duration::ZERO).unwrap();
    });
    let report = apply(&world, &plan, &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::Applied, 0), "{report:#?}");
    assert!(world.units.calls().contains(&"restart kubelet.service".to_owned()), "{:#?}", world.units.calls());
    assert_eq!(new.timeless().diff(&world.state().timeless()), "");
    assert_eq!(
        engine::rollback(&world.host(&none()), None, &options(), &mut Silent).unwrap().outcome,
        Outcome::RolledBack
    );
    expect(&old, &world);
}

#[test]
fn a_kubelet_that_does_not_reach_the_endpoint_is_taken_back() {
    let world = Sim::new();
    let (old, plan) = (world.state(), plan_of(&world));
    let cri = world.cri.clone();
    world.units.when("start kubelet.service", move || cri.change(|runtime| runtime.health = Health::Down));
    let report = apply(&world, &plan, &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::RolledBack, 4), "{report:#?}");
    expect(&old, &world);
}

#[test]
fn a_file_that_somebody_writes_in_the_middle_of_a_run_is_taken_for_theirs() {
    let world = Sim::new();
    let (old, plan) = (world.state(), plan_of(&world));
    let dir = world.dir().to_owned();
    world.units.when("stop kubelet.service", move || {
        tree::put(&dir, "/etc/docker/daemon.json", "{\"debug\": true}\n");
    });
    let report = apply(&world, &plan, &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::RolledBack, 4), "{report:#?}");
    let told = format!("{:?}", report.steps);
    assert!(told.contains("/etc/docker/daemon.json was changed since the plan was made"), "{told}");
    let mut wanted = old;
    let theirs = world.state().files["/etc/docker/daemon.json"].clone();
    assert!(matches!(&theirs, tree::Entry::File { bytes, .. } if bytes == b"{\"debug\": true}\n"));
    wanted.files.insert("/etc/docker/daemon.json".into(), theirs);
    expect(&wanted, &world);
}
