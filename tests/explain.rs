//! `castoff explain` knows every word that castoff uses, and guesses the mistyped ones.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it reads the checkout it was built from, and runs the real program")]

mod common;

use castoff::{
    checks,
    host::Faults,
    model::{Goal, Outcome, Verdict},
    plan,
};
use common::{
    fixture,
    program::{Node, castoff},
    sim::Sim,
    tree,
    world::{World as _, tree_host},
};
use std::{collections::BTreeSet, fs, path::Path};

/// Ids that `castoff explain` lists.
fn listed() -> BTreeSet<String> {
    let ran = castoff(&["explain"]).code(0);
    let lines = ran.out.lines().filter_map(|line| line.strip_prefix("  "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Without the number that tells steps of one kind apart.
fn kind(id: &str) -> String {
    let number = |tail: &str| !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit());
    id.rsplit_once('-').filter(|(_, tail)| number(tail)).map_or(id, |(kind, _)| kind).to_owned()
}

/// Ids of steps that the planner's sources name: the first word in quotes behind a call that adds a step.
fn in_sources(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_sources(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for call in ["draft.step(", "draft.write(", "draft.write_as(", "carried.file("] {
            for rest in text.split(call).skip(1) {
                let rest = rest.trim_start();
                if let Some(id) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    found.insert(id.to_owned());
                }
            }
        }
    }
}

#[test]
fn every_step_that_can_be_planned_is_explained() {
    let mut ids = BTreeSet::new();
    in_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan"), &mut ids);
    assert!(ids.len() > 25, "the sources are not read any more: {ids:?}");
    let goals = [Goal::Containerd, Goal::CgroupDriver];
    let mut take = |facts: &castoff::model::Facts, desired: &castoff::model::Desired| {
        for goal in goals {
            let desired = castoff::model::Desired { goal, ..desired.clone() };
            let plan = plan::plan(facts, &desired, plan::Options::default());
            ids.extend(plan.steps.iter().map(|step| kind(&step.id)));
        }
    };
    for fixture in fixture::all() {
        let dir = tree::scratch();
        fixture.lay_out("in", dir.path());
        let host = tree_host(dir.path(), &Faults::none(), castoff::host::FakeClock::new());
        let desired = fixture.desired();
        let facts = fixture::facts_for(&host, &fixture.assumptions(), &desired);
        take(&facts, &desired);
        // The same node running: then units are stopped and started.
        take(&castoff::model::Facts { live: true, ..facts }, &desired);
    }
    let sim = Sim::new();
    let desired = fixture::desired(&[]);
    take(&fixture::facts_for(&sim.host(&Faults::none()), &castoff::model::Assumptions::default(), &desired), &desired);
    for unit in ["docker", "docker-socket", "cri-docker", "cri-docker-socket"] {
        ids.extend(["stop", "disable", "mask"].map(|what| format!("{what}-{unit}")));
    }
    let listed = listed();
    let missing: Vec<&String> = ids.iter().filter(|id| !listed.contains(*id)).collect();
    assert!(missing.is_empty(), "not explained: {missing:?}");
}

#[test]
fn every_other_word_is_explained() {
    let listed = listed();
    for check in checks::registry() {
        assert!(listed.contains(check.id), "{}", check.id);
    }
    for verdict in [Verdict::Carried, Verdict::Equal, Verdict::NoEquivalent, Verdict::Manual] {
        let word = serde_json::to_value(verdict).unwrap();
        assert!(listed.contains(word.as_str().unwrap()), "{word}");
    }
    let outcomes = [
        Outcome::NoChange,
        Outcome::Applied,
        Outcome::Blocked,
        Outcome::RolledBack,
        Outcome::Stuck,
        Outcome::Interrupted,
    ];
    for outcome in outcomes {
        assert!(listed.contains(outcome.word()), "{}", outcome.word());
        assert!(listed.contains(&outcome.exit_code().to_string()));
    }
    // What docs/exit-codes.md has.
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/exit-codes.md")).unwrap();
    let codes = docs.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<u8>().ok());
    let codes: Vec<u8> = codes.collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 64, 75, 77, 130]);
    for code in codes {
        let ran = castoff(&["explain", &code.to_string()]).code(0);
        assert!(ran.out.starts_with(&format!("{code} (exit code)\n")), "{}", ran.out);
    }
}

#[test]
fn words_are_explained_and_guessed() {
    for (id, group) in [
        ("4", "exit code"),
        ("carried", "verdict"),
        ("stop-docker", "step"),
        ("kubelet-flags-3", "step"),
        ("stuck", "outcome"),
    ] {
        let ran = castoff(&["explain", id]).code(0);
        assert!(ran.out.contains(&format!("({group})")) && ran.out.lines().count() > 3, "{}", ran.out);
        assert!(ran.out.lines().all(|line| line.chars().count() <= 120), "{}", ran.out);
    }
    castoff(&["explain", "caried"]).code(64).silent().error(&["did you mean carried"]);
    castoff(&["explain", "stop-dokcer"]).code(64).silent().error(&["did you mean stop-docker"]);
    castoff(&["explain", "no-kubelt"]).code(64).silent().error(&["did you mean no-kubelet"]);
    castoff(&["explain", "carried-2"]).code(64).silent();
    castoff(&["explain", "99"]).code(64).silent().error(&["castoff explain"]);
    for title in ["Findings", "Steps", "Verdicts", "Outcomes", "Exit codes"] {
        assert!(castoff(&["explain"]).out.lines().any(|line| line.starts_with(title)), "{title}");
    }
}

#[test]
fn mistyped_keys_and_runs_are_guessed() {
    let node = Node::new("bookworm-dockershim-1.20");
    node.run(&["inspect", "--assume", "kublet.version=1.2"]).code(64).error(&["did you mean kubelet.version"]);
    node.run(&["apply", "--yes", "--no-trial"]).code(0);
    let run = node.run(&["show", "-o", "json"]).json()["run"].as_str().unwrap().to_owned();
    let wrong = format!("{}x", &run[..run.len() - 1]);
    node.run(&["show", &wrong]).code(1).silent().error(&[&format!("did you mean {run}")]);
    node.run(&["show", "zzzzzzzz"]).code(1).silent().error(&["castoff history"]);
}
