//! `-o jsonl`: what a run tells while it goes on, on the simulated node and by the real program.
//!
//! `UPDATE_DOCUMENTS=1` writes the documents of these runs to `tests/documents/v1`. Those there are older versions' and stay as
//! they are: add to them for a new version, do not replace them.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

mod common;

use castoff::{
    apply::{self, Events, Observer, Silent, summary_event},
    host::{FaultMode, Faults},
    inspect,
    model::{
        Assumptions, CheckStatus, EVENTS_VERSION, Event, EventLevel, Level, Outcome, Plan, RunReport, Step,
        TOOL_VERSION, What,
    },
    verify,
};
use common::{
    fixture,
    program::{Node, castoff},
    sim::Sim,
    tree,
    world::{World as _, options, plan_of},
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// Runs something on the simulated node and collects what is told, the report's event last.
fn watched(
    sim: &Sim,
    faults: &Faults,
    next: &mut dyn Observer,
    act: impl FnOnce(&castoff::host::Host, &mut dyn Observer) -> RunReport,
) -> (Vec<Event>, RunReport) {
    let host = sim.host(faults);
    let mut told = Vec::new();
    let mut sink = |event: &Event| told.push(event.clone());
    let report = act(&host, &mut Events::new(&*host.clock, next, &mut sink));
    let path = format!("/var/lib/castoff/runs/{}/report.json", report.run);
    told.push(Event { time: host.clock.now(), run: report.run.clone(), what: summary_event(&report, Some(path)) });
    (told, report)
}

/// Types of events in order, without repetitions.
fn types(events: &[Event]) -> Vec<String> {
    let mut types: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned())
        .filter(|kind| kind != "progress" && kind != "diagnostic")
        .collect();
    types.dedup();
    types
}

/// What holds for every stream.
fn check(events: &[Event], plan: &Plan) {
    let started: Vec<&str> = events
        .iter()
        .filter_map(|event| if let What::StepStart { step, .. } = &event.what { Some(step.as_str()) } else { None })
        .collect();
    let planned: Vec<&str> = events
        .iter()
        .filter_map(|event| if let What::PlannedStep { step, .. } = &event.what { Some(step.as_str()) } else { None })
        .collect();
    assert_eq!(planned, plan.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>());
    assert_eq!(started, planned[..started.len()], "steps begin in the order of the plan");
    for event in events {
        assert!(event.time.ends_with('Z') && event.time.contains('T'), "{}", event.time);
        assert!(!event.run.is_empty());
        let back: Event = serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap();
        assert_eq!(&back, event);
        assert!(!serde_json::to_string(event).unwrap().contains('\n'));
    }
    assert!(events.windows(2).all(|pair| pair[0].time <= pair[1].time));
}

#[test]
fn a_migration_tells_every_step_every_check_and_its_end() {
    let sim = Sim::new();
    let plan = plan_of(&sim);
    let (events, report) = watched(&sim, &Faults::none(), &mut Silent, |host, observer| {
        apply::apply(host, &plan, &options(), observer).unwrap()
    });
    check(&events, &plan);
    assert_eq!(report.outcome, Outcome::Applied);
    let done = events.iter().filter(|event| matches!(event.what, What::StepDone { .. })).count();
    assert_eq!(done, plan.steps.len());
    let checks = events
        .iter()
        .filter(|event| matches!(event.what, What::Verify { status: CheckStatus::Pass | CheckStatus::Skip, .. }))
        .count();
    assert_eq!(checks, report.verification.len());
    assert!(checks > 5);
    assert!(matches!(
        &events.last().unwrap().what,
        What::Summary { outcome: Outcome::Applied, exit_code: 0, report: Some(_), .. }
    ));
    assert!(types(&events).starts_with(&["planned-step".into(), "step-start".into(), "step-done".into()]));
    documents(&sim, &plan, &report, &events);
}

#[test]
fn a_step_that_fails_is_told_and_so_is_the_way_back() {
    let sim = Sim::new();
    let plan = plan_of(&sim);
    // Somewhere in the middle: the test looks for an effect whose failure is the run's.
    let (events, report) = (60..400)
        .find_map(|at| {
            let sim = Sim::new();
            let plan = plan_of(&sim);
            let host = sim.host(&Faults::at(at, FaultMode::Fail));
            drop(host);
            let (events, report) = watched(&sim, &Faults::at(at, FaultMode::Fail), &mut Silent, |host, observer| {
                apply::apply(host, &plan, &options(), observer).unwrap()
            });
            (report.outcome == Outcome::RolledBack).then_some((events, report))
        })
        .unwrap();
    check(&events, &plan);
    let failed = events.iter().find_map(|event| match &event.what {
        What::StepFailed { step, error, .. } => Some((step.clone(), error.clone())),
        _ => None,
    });
    let (step, error) = failed.unwrap();
    assert!(!error.is_empty() && plan.steps.iter().any(|known| known.id == step));
    let kinds = types(&events);
    let at = |kind: &str| {
        kinds.iter().position(|known| known == kind).unwrap_or_else(|| panic!("{kind} is not told: {kinds:?}"))
    };
    assert!(at("step-failed") < at("rollback") && at("rollback") < at("undone") && at("undone") < at("summary"));
    assert!(matches!(events.last().unwrap().what, What::Summary { outcome: Outcome::RolledBack, exit_code: 4, .. }));
    saved("run-report-rolled-back.json", &report);
}

/// Somebody who presses Ctrl-C when a step begins.
struct Impatient<'a> {
    at: &'a str,
    interrupt: &'a AtomicBool,
}

impl Observer for Impatient<'_> {
    fn step_started(&mut self, step: &Step, _total: usize) {
        if step.id == self.at {
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_interrupted_run_ends_with_its_summary() {
    let sim = Sim::new();
    let plan = plan_of(&sim);
    let interrupt = AtomicBool::new(false);
    let mut impatient = Impatient { at: "containerd-config", interrupt: &interrupt };
    let run_options = apply::Options { interrupt: &interrupt, ..options() };
    let (events, report) = watched(&sim, &Faults::none(), &mut impatient, |host, observer| {
        apply::apply(host, &plan, &run_options, observer).unwrap()
    });
    check(&events, &plan);
    assert_eq!(report.outcome, Outcome::Interrupted);
    assert!(events.iter().any(|event| matches!(&event.what, What::Rollback { .. })));
    assert!(matches!(events.last().unwrap().what, What::Summary { outcome: Outcome::Interrupted, exit_code: 130, .. }));
}

#[test]
fn a_rollback_tells_what_it_takes_back() {
    let sim = Sim::new();
    let plan = plan_of(&sim);
    let run = apply::apply(&sim.host(&Faults::none()), &plan, &options(), &mut Silent).unwrap();
    let (events, _) = watched(&sim, &Faults::none(), &mut Silent, |host, observer| {
        apply::rollback(host, None, &options(), observer).unwrap()
    });
    assert_eq!(types(&events), ["rollback", "undone", "summary"]);
    assert!(events.iter().all(|event| event.run == run.run));
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn the_program_writes_events_and_nothing_else_to_standard_output() {
    let node = Node::new("bookworm-dockershim-1.20");
    let ran = node.run(&["apply", "--yes", "--no-trial", "-o", "jsonl"]).code(0);
    let events = lines(&ran.out);
    assert_eq!(events[0]["type"], "version");
    assert_eq!(events[0]["apiVersion"], EVENTS_VERSION);
    assert_eq!(events[0]["tool"], TOOL_VERSION);
    let last = events.last().unwrap();
    assert_eq!(
        (last["type"].as_str(), last["outcome"].as_str(), last["exitCode"].as_u64()),
        (Some("summary"), Some("applied"), Some(0))
    );
    let report = last["report"].as_str().unwrap();
    assert!(tree::at(node.path(), report).exists(), "{report}");
    assert!(events.iter().filter(|event| event["type"] == "step-done").count() > 3);
    // The second run.
    let again = lines(&node.run(&["migrate", "--yes", "--no-trial", "-o", "jsonl"]).code(0).out);
    assert_eq!(again.len(), 2);
    assert_eq!((&again[1]["outcome"], &again[1]["run"]), (&"no-change".into(), &"".into()));
    let back = lines(&node.run(&["rollback", "-o", "jsonl"]).code(0).out);
    assert_eq!((&back[0]["type"], &back.last().unwrap()["outcome"]), (&"version".into(), &"rolled-back".into()));
    // Refusals, and commands that have nothing to tell.
    let nothing = lines(&node.run(&["resume", "-o", "jsonl"]).code(1).error(&["nothing to resume"]).out);
    assert_eq!((&nothing[1]["type"], &nothing[1]["level"]), (&"diagnostic".into(), &"error".into()));
    node.run(&["show", "-o", "jsonl"]).code(64).silent().error(&["jsonl"]);
    let blocked = Node::new("broken-files");
    let told = lines(&blocked.run(&["apply", "--yes", "-o", "jsonl"]).code(3).out);
    assert!(told.iter().any(|event| event["type"] == "diagnostic" && event["id"] == "file-unreadable"));
    assert_eq!((&told.last().unwrap()["outcome"], &told.last().unwrap()["exitCode"]), (&"blocked".into(), &3.into()));
    castoff(&["plan", "-o", "jsonl"]).code(64).silent();
}

fn saved(name: &str, document: &impl serde::Serialize) {
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents/v1");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), serde_json::to_string_pretty(document).unwrap() + "\n").unwrap();
    }
}

/// The documents of this run, for `tests/documents`.
fn documents(sim: &Sim, plan: &Plan, report: &RunReport, events: &[Event]) {
    if std::env::var_os("UPDATE_DOCUMENTS").is_none() {
        return;
    }
    let desired = fixture::desired(&[]);
    let before = Sim::new();
    let host = before.host(&Faults::none());
    let facts = fixture::facts_for(&host, &Assumptions::default(), &desired);
    saved("facts.json", &facts);
    saved("plan.json", plan);
    saved("run-report.json", report);
    let plans = |facts: &castoff::model::Facts| {
        vec![(desired.goal, castoff::plan::plan(facts, &desired, castoff::plan::Options::default()))]
    };
    saved("bundle.json", &inspect::bundle::capture(&host, &facts, None, &plans).unwrap().0);
    let gate = verify::Options { extent: verify::Extent::None, ..verify::Options::gate(Level::Node) };
    saved(
        "verification.json",
        &verify::run(&sim.host(&Faults::none()), &gate, &desired, &AtomicBool::new(false)).unwrap(),
    );
    let version = What::Version { api_version: EVENTS_VERSION.to_owned(), tool: TOOL_VERSION.to_owned() };
    let first = Event { time: events[0].time.clone(), run: String::new(), what: version };
    let diagnostic = What::Diagnostic { level: EventLevel::Warning, message: "for example".to_owned(), id: None };
    let other = Event { time: events[0].time.clone(), run: String::new(), what: diagnostic };
    let lines: Vec<String> =
        [first, other].iter().chain(events).map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents/v1");
    fs::write(dir.join("events.jsonl"), lines.concat()).unwrap();
}
