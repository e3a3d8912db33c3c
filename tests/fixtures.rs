//! Every fixture node: what is seen of `in/` is `facts.json`; its plan is `plan.json`, down to its digest; applied it
//! gives `out/`; a second plan is
//! empty; a rollback gives `in/` again.
//!
//! `UPDATE_FIXTURES=1` writes `facts.json`, `plan.json`, `out/` and `out.tree` anew. Look at what changed before it is
//! committed.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

mod common;

use castoff::{
    host::{FakeClock, Faults},
    model::{Action, Outcome, Plan, Severity},
};
use common::{
    fixture::{self, Fixture},
    tree,
    world::{options, tree_host},
};
use std::{env, fs, path::Path};

/// A plan without what depends on who runs the test and with which release, its digest made anew.
fn normal(plan: &Plan) -> Plan {
    assert_eq!(plan.compute_digest(), plan.digest);
    let mut plan = plan.clone();
    "0.0.0".clone_into(&mut plan.tool);
    for step in &mut plan.steps {
        if let Action::WriteFile { before: Some(before), .. } = &mut step.action {
            (before.uid, before.gid) = (0, 0);
        }
    }
    plan.digest = plan.compute_digest();
    plan.digest.short().clone_into(&mut plan.id);
    plan
}

fn plan_of(fixture: &Fixture, root: &Path) -> Plan {
    let host = tree_host(root, &Faults::none(), FakeClock::new());
    fixture::plan_for(&host, &fixture.assumptions(), &fixture.desired())
}

fn updating() -> bool {
    env::var_os("UPDATE_FIXTURES").is_some()
}

/// What a fixture should have in a file, against what was found now.
fn compare(fixture: &Fixture, file: &str, document: &impl serde::Serialize) {
    let mut text = serde_json::to_string_pretty(document).unwrap();
    text.push('\n');
    let path = fixture.dir.join(file);
    if updating() {
        fs::write(&path, &text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let first = wanted.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(wanted == text, "{}: {file} differs, first at line {first:?}; found now:\n{text}", fixture.name);
}

#[test]
fn a_fixture_has_facts_and_they_are_those_facts() {
    for fixture in fixture::all() {
        let dir = tree::scratch();
        fixture.lay_out("in", dir.path());
        let host = tree_host(dir.path(), &Faults::none(), FakeClock::new());
        let mut facts = fixture::facts_for(&host, &fixture.assumptions(), &fixture.desired());
        "0.0.0".clone_into(&mut facts.tool);
        // Findings stand in plan.json.
        facts.findings.clear();
        for file in facts.files.values_mut() {
            (file.uid, file.gid) = (0, 0);
        }
        compare(&fixture, "facts.json", &facts);
    }
}

#[test]
fn a_fixture_has_a_plan_and_it_is_that_plan() {
    for fixture in fixture::all() {
        let dir = tree::scratch();
        fixture.lay_out("in", dir.path());
        let before = tree::snapshot(dir.path());
        let plan = plan_of(&fixture, dir.path());
        assert_eq!(plan, plan_of(&fixture, dir.path()), "{}: two plans of one tree differ", fixture.name);
        assert_eq!(tree::diff(&before, &tree::snapshot(dir.path())), "", "{}: planning wrote", fixture.name);
        compare(&fixture, "plan.json", &normal(&plan));
    }
}

#[test]
fn a_fixture_ends_where_it_should_and_comes_back() {
    let (mut applied, mut empty, mut blocked) = (0, 0, 0);
    for fixture in fixture::all() {
        let name = &fixture.name;
        let dir = tree::scratch();
        fixture.lay_out("in", dir.path());
        let old = tree::snapshot(dir.path());
        let plan = plan_of(&fixture, dir.path());
        let host = tree_host(dir.path(), &Faults::none(), FakeClock::new());
        let result = castoff::apply::apply(&host, &plan, &options(), &mut castoff::apply::Silent);
        if plan.blocking().next().is_some() {
            assert!(result.is_err(), "{name}: applied in spite of findings");
            assert_eq!(tree::diff(&old, &tree::snapshot(dir.path())), "", "{name}");
            blocked += 1;
            continue;
        }
        if plan.is_empty() {
            empty += 1;
        } else {
            applied += 1;
        }
        let report = result.unwrap();
        assert_eq!(report.outcome, Outcome::Applied, "{name}: {report:#?}");
        if updating() {
            fixture.store_out(dir.path());
        }
        let wanted = tree::scratch();
        fixture.lay_out("out", wanted.path());
        let (wanted, there) = (tree::snapshot(wanted.path()), tree::snapshot(dir.path()));
        assert_eq!(tree::diff(&tree::timeless(&wanted), &tree::timeless(&there)), "", "{name}: out/ differs");
        let again = plan_of(&fixture, dir.path());
        assert!(again.is_empty(), "{name}: a second plan finds {:#?}", again.steps);
        let back = castoff::apply::rollback(&host, None, &options(), &mut castoff::apply::Silent).unwrap();
        assert_eq!(back.outcome, Outcome::RolledBack, "{name}: {:#?}", back.by_hand);
        assert_eq!(tree::diff(&old, &tree::snapshot(dir.path())), "", "{name}: in/ differs");
    }
    assert!(applied >= 5 && empty >= 2 && blocked >= 1, "{applied} applied, {empty} empty, {blocked} blocked");
}

#[test]
fn files_nobody_can_read_block_and_name_their_line() {
    let fixture = fixture::named("broken-files");
    let dir = tree::scratch();
    fixture.lay_out("in", dir.path());
    let plan = plan_of(&fixture, dir.path());
    for (path, line) in
        [("/etc/containerd/config.toml", 3), ("/etc/docker/daemon.json", 4), ("/var/lib/kubelet/config.yaml", 3)]
    {
        let finding = plan
            .findings
            .iter()
            .find(|f| {
                f.origins.iter().any(|origin| origin.path.as_deref() == Some(path)) && f.severity == Severity::Block
            })
            .unwrap_or_else(|| panic!("no blocking finding names {path}: {:#?}", plan.findings));
        assert_eq!(finding.origins[0].line, Some(line), "{finding:#?}");
        assert!(!finding.fix.is_empty(), "{finding:#?}");
        let writes = |action: &Action| matches!(action, Action::WriteFile { path: written, .. } if written == path);
        assert!(!plan.steps.iter().any(|step| writes(&step.action)), "{path} is to be written although nobody read it");
    }
}

#[test]
fn links_and_modes_of_configuration_kept_elsewhere_stay() {
    let fixture = fixture::named("symlinked-config");
    let out = tree::scratch();
    fixture.lay_out("out", out.path());
    let out = tree::snapshot(out.path());
    let link = |target: &str| Some(tree::Entry::Link { target: target.to_owned() });
    assert_eq!(out.get("/etc/containerd/config.toml").cloned(), link("/srv/config/containerd.toml"));
    assert_eq!(out.get("/var/lib/kubelet").cloned(), link("../../srv/kubelet"));
    for (path, wanted, text) in [
        ("/srv/config/containerd.toml", 0o640, "SystemdCgroup = true"),
        ("/srv/kubelet/kubeadm-flags.env", 0o600, "containerd.sock"),
    ] {
        let Some(tree::Entry::File { bytes, mode, .. }) = out.get(path) else { panic!("{path} is no file") };
        assert_eq!(*mode, wanted, "{path}");
        assert!(String::from_utf8_lossy(bytes).contains(text), "{path}");
    }
}
