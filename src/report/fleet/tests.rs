#![allow(clippy::needless_pass_by_value, reason = "documents are written where they are used")]

use super::*;
use crate::report::Look;
use serde_json::{Value, json};

fn run(node: &str, outcome: &str, more: Value) -> String {
    let mut document = json!({
        "apiVersion": "castoff/v1", "kind": "RunReport", "node": node, "run": format!("run-{node}"), "tool": "0.1.0",
        "plan": "7f3a", "started": "2026-11-29T10:00:00Z", "finished": "2026-11-29T10:01:00Z", "outcome": outcome,
        "exitCode": 0, "downtime": { "kubeletSeconds": 8.0, "workloadSeconds": 24.0 }, "steps": [], "findings": [],
    });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document.to_string()
}

fn merged(files: &[(&str, String)]) -> FleetReport {
    let mut fleet = Fleet::default();
    for (name, text) in files {
        fleet.add(name, text);
    }
    fleet.report()
}

fn ansible(host: &str, wave: &str, action: &str, result: Value, more: Value) -> String {
    let mut document = json!({
        "apiVersion": "castoff/v1", "kind": "NodeResult", "host": host, "wave": wave, "action": action, "result": result,
    });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document.to_string()
}

#[test]
fn every_outcome_has_its_state() {
    let report = merged(&[
        ("a", run("a", "applied", json!({}))),
        ("b", run("b", "applied", json!({ "exitCode": 6 }))),
        ("c", run("c", "no-change", json!({}))),
        (
            "d",
            run(
                "d",
                "rolled-back",
                json!({ "exitCode": 4, "steps": [{ "id": "start", "status": "failed", "detail": "job failed" }] }),
            ),
        ),
        ("da", run("da", "rolled-back", json!({ "exitCode": 4, "returned": true }))),
        ("db", run("db", "rolled-back", json!({ "returned": true, "steps": [{ "id": "start", "status": "failed" }] }))),
        ("e", run("e", "stuck", json!({ "exitCode": 5 }))),
        ("f", run("f", "stuck", json!({ "cutOff": true, "running": "pid 7 (apply)" }))),
        (
            "g",
            run(
                "g",
                "blocked",
                json!({ "findings": [{ "id": "kubelet-missing", "severity": "block", "summary": "none" }] }),
            ),
        ),
    ]);
    let states: Vec<&str> = report.nodes.iter().map(|node| node.state.word()).collect();
    assert_eq!(
        states,
        ["migrated", "unproven", "no-change", "rolled-back", "returned", "rolled-back", "stuck", "cut-off", "blocked"]
    );
    assert_eq!(report.nodes[3].message.as_deref(), Some("start: job failed"));
    assert_eq!(report.nodes[7].message.as_deref(), Some("castoff was still at work there: pid 7 (apply)"));
    assert_eq!(report.nodes[8].message.as_deref(), Some("kubelet-missing"));
    let retry: Vec<&str> = report.to_retry().map(|node| node.host.as_str()).collect();
    assert_eq!(retry, ["b", "d", "db", "e", "f", "g"]);
}

#[test]
fn of_two_documents_the_later_and_the_fuller_counts() {
    let early = run("a", "rolled-back", json!({ "finished": "2026-11-28T10:00:00Z" }));
    let plan = json!({ "apiVersion": "castoff/v1", "kind": "Plan", "node": "a", "steps": [{ "id": "x" }] }).to_string();
    let report = merged(&[("late", run("a", "applied", json!({}))), ("early", early), ("plan", plan)]);
    assert_eq!((report.nodes.len(), report.superseded), (1, 2));
    assert_eq!(report.nodes[0].file, "late");
}

#[test]
fn what_the_collection_says_later_counts() {
    let report: Value = serde_json::from_str(&run("a", "applied", json!({}))).unwrap();
    let good = json!({ "changed": true, "outcome": "applied", "report": report });
    let at = |recorded: &str, result: &Value, more: Value| {
        let mut document: Value =
            serde_json::from_str(&ansible("a", "workers", "migrated", result.clone(), more)).unwrap();
        if !recorded.is_empty() {
            document["recorded"] = json!(recorded);
        }
        document.to_string()
    };
    let gone = json!({ "unreachable": true });
    let (early, late) = ("2026-11-29T10:02:00Z", "2026-11-30T08:00:00Z");
    for (first, second, state) in [
        // One that did not answer has no report, and so no time but its own.
        (at(early, &good, json!({})), at(late, &Value::Null, gone.clone()), "unreachable"),
        (at(early, &Value::Null, gone.clone()), at(late, &good, json!({})), "migrated"),
        // The run's end is the time of a record of an older collection.
        (at("", &good, json!({})), at(late, &Value::Null, gone.clone()), "unreachable"),
        // Nobody knows which is later.
        (at("", &good, json!({})), at("", &Value::Null, gone.clone()), "unreachable"),
        (at(early, &good, json!({})), at("", &Value::Null, json!({ "error": "the drain timed out" })), "failed"),
    ] {
        for files in [[("1", first.clone()), ("2", second.clone())], [("2", second.clone()), ("1", first.clone())]] {
            let report = merged(&files);
            assert_eq!((report.nodes.len(), report.superseded), (1, 1));
            assert_eq!(report.nodes[0].state.word(), state, "{files:?}");
        }
    }
}

#[test]
fn a_node_has_one_name() {
    let result = json!({ "changed": true, "outcome": "applied", "node": "ip-10-0-0-7" });
    let report = merged(&[
        ("own", run("ip-10-0-0-7", "applied", json!({}))),
        ("ansible", ansible("worker-1", "workers", "migrated", result, json!({}))),
    ]);
    assert_eq!((report.nodes.len(), report.superseded), (1, 1));
    assert_eq!(report.nodes[0].host, "worker-1");
}

#[test]
fn what_ansible_says_around_a_run_decides() {
    let failed = json!({ "failed": true, "changed": false, "exit_code": 4, "outcome": "rolled-back", "run_id": "r", "msg": "n is as it was\n  cause: start: job failed" });
    let report = merged(&[
        ("1", ansible("w-10", "workers", "migrated", failed.clone(), json!({ "cordoned": true }))),
        (
            "2",
            ansible(
                "w-9",
                "workers",
                "migrated",
                json!({ "changed": true, "outcome": "applied", "report": serde_json::from_str::<Value>(&run("node9", "applied", json!({}))).unwrap() }),
                json!({}),
            ),
        ),
        (
            "3",
            ansible(
                "w-1",
                "canary",
                "migrated",
                json!({ "changed": true, "outcome": "applied" }),
                json!({ "error": "not Ready in time", "rollback": { "changed": true, "outcome": "rolled-back" } }),
            ),
        ),
        ("4", ansible("w-2", "workers", "migrated", Value::Null, json!({ "unreachable": true }))),
        ("5", ansible("w-3", "workers", "migrated", Value::Null, json!({ "error": "the drain timed out" }))),
        ("6", ansible("w-4", "workers", "migrated", json!({ "changed": true }), json!({}))),
        (
            "7",
            ansible("w-5", "workers", "rolled_back", json!({ "changed": true, "outcome": "rolled-back" }), json!({})),
        ),
        (
            "8",
            ansible(
                "w-6",
                "workers",
                "planned",
                json!({ "plan": { "apiVersion": "castoff/v1", "kind": "Plan", "steps": [{ "id": "x" }], "desired": { "skipChecks": ["a"] }, "findings": [{ "id": "a", "severity": "block" }] } }),
                json!({}),
            ),
        ),
    ]);
    let told: Vec<(&str, &str)> = report.nodes.iter().map(|node| (node.host.as_str(), node.state.word())).collect();
    assert_eq!(
        told,
        [
            ("w-2", "unreachable"),
            ("w-3", "failed"),
            ("w-4", "planned"),
            ("w-5", "returned"),
            ("w-6", "planned"),
            ("w-9", "migrated"),
            ("w-10", "rolled-back"),
            ("w-1", "rolled-back"),
        ]
    );
    let nine = report.nodes.iter().find(|node| node.host == "w-9").unwrap();
    assert_eq!((nine.node.as_deref(), nine.downtime.workload_seconds), (Some("node9"), Some(24.0)));
    // Its wave began, the canary's start is not known: a wave with times comes first.
    assert_eq!(report.totals.waves.iter().map(|wave| wave.wave.as_str()).collect::<Vec<_>>(), ["workers", "canary"]);
    assert_eq!(brief(report.nodes[6].message.as_deref().unwrap()), "n is as it was: start: job failed");
}

#[test]
fn findings_and_differences_are_counted_by_node() {
    let with = |version: &str| {
        json!({ "changed": true, "outcome": "applied", "node_facts": { "containerd.version": version, "arch": "x86_64" },
            "findings": [{ "id": "log-format-changes", "severity": "warn", "summary": "logs" }, { "id": "log-format-changes", "severity": "warn", "summary": "logs" }] })
    };
    let report = merged(&[
        ("1", ansible("a", "", "migrated", with("1.7.24"), json!({}))),
        ("2", ansible("b", "", "migrated", with("1.7.24"), json!({}))),
        ("3", ansible("c", "", "migrated", with("1.6.20"), json!({}))),
    ]);
    assert_eq!((report.findings.len(), report.findings[0].count), (1, 3));
    let names: Vec<&str> = report.differences.iter().map(|difference| difference.name.as_str()).collect();
    assert_eq!(names, ["containerd.version"]);
    assert_eq!(report.differences[0].values[1].nodes, ["c"]);
}

#[test]
fn what_cannot_be_used_is_said_and_hides_nothing() {
    let report = merged(&[
        ("good", run("a", "applied", json!({}))),
        ("torn", "{\"apiVersion\": \"castoff/v1\", \"kind\"".to_owned()),
        ("empty", String::new()),
        ("other", json!({ "apiVersion": "castoff/v1", "kind": "Facts" }).to_string()),
        ("old", json!({ "apiVersion": "castoff/v0", "kind": "RunReport" }).to_string()),
        ("lines", format!("{}\n{}\n", run("b", "applied", json!({})), run("c", "applied", json!({})))),
    ]);
    assert_eq!(report.nodes.len(), 3);
    let files: Vec<&str> = report.unreadable.iter().map(|file| file.file.as_str()).collect();
    assert_eq!(files, ["empty", "old", "other", "torn"]);
}

#[test]
fn names_from_nodes_cannot_break_out_of_a_page() {
    let evil = "<script>alert(1)</script>|`x`";
    let report =
        merged(&[("f", run(evil, "stuck", json!({ "steps": [{ "id": evil, "status": "failed", "detail": evil }] })))]);
    let page = html(&report);
    assert!(!page.contains("<script>alert"), "{page}");
    assert_eq!(page.matches("<script>").count(), 1);
    let table = markdown(&report);
    assert!(!table.contains("<script>") && table.contains("\\|"), "{table}");
    assert!(text(&report, Look::plain()).contains("stuck"));
}

#[test]
fn times_have_their_longest_node() {
    let away = |node: &str, time: f64| {
        run(node, "applied", json!({ "downtime": { "kubeletSeconds": null, "workloadSeconds": time } }))
    };
    let files: Vec<(String, String)> =
        (1..=20).map(|i| (format!("f{i}"), away(&format!("n{i}"), f64::from(i)))).collect();
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let report = merged(&files);
    assert_eq!(report.totals.kubelet, None);
    let times = report.totals.workload.unwrap();
    assert_eq!((times.median, times.p95, times.longest, times.longest_host.as_str()), (10.0, 19.0, 20.0, "n20"));
}
