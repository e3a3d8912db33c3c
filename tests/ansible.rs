//! castoff as an Ansible module: the real program, called as Ansible and the collection's module call it, on a fixture's
//! tree; and what becomes of many nodes' results.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it runs the real program on temporary folders")]
#![allow(clippy::needless_pass_by_value, reason = "options are written where they are used")]

mod common;

use common::{
    program::{Node, Ran, castoff, program},
    tree,
};
use serde_json::{Map, Value, json};
use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

const DOCKERSHIM: &str = "bookworm-dockershim-1.20";

/// Options of a call on that node, with `more` of them.
fn options(node: &Node, check: bool, more: Value) -> Value {
    let assume: Map<String, Value> = node
        .assumed
        .iter()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect();
    let mut all = json!({
        "_ansible_module_name": "castoff.node.runtime", "_ansible_check_mode": check, "_ansible_diff": true,
        "_ansible_verbosity": 0, "root": node.path(), "assume": assume, "profile": null,
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

fn finish_with(mut program: Command, input: &str) -> Ran {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Through the door of the Python module: options on standard input.
fn call(node: &Node, check: bool, more: Value) -> Value {
    let mut program = program();
    program.args(["ansible", "-"]);
    let ran = finish_with(program, &options(node, check, more).to_string());
    let answer = ran.json();
    assert_eq!(answer["failed"] == json!(true), ran.code != 0, "{ran:#?}");
    answer
}

/// Through the other one: the program is called as Ansible names it, with a file.
fn call_binary(node: &Node, check: bool, more: Value) -> Value {
    let dir = tree::scratch();
    let (program, file) = (dir.path().join("AnsiballZ_runtime"), dir.path().join("args"));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_castoff"), &program).unwrap();
    std::fs::write(&file, options(node, check, more).to_string()).unwrap();
    let output = Command::new(&program).arg(&file).env_clear().output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn is(answer: &Value, changed: bool, failed: bool) {
    assert_eq!((&answer["changed"], &answer["failed"]), (&json!(changed), &json!(failed)), "{:#}", answer["msg"]);
}

#[test]
fn check_mode_changes_nothing_and_predicts_what_happens() {
    let node = Node::new(DOCKERSHIM);
    let before = tree::snapshot(node.path());
    let predicted = call(&node, true, json!({ "state": "migrated" }));
    is(&predicted, true, false);
    assert_eq!(tree::diff(&before, &tree::snapshot(node.path())), "");
    let planned = call(&node, false, json!({ "state": "planned" }));
    is(&planned, false, false);
    assert_eq!(tree::diff(&before, &tree::snapshot(node.path())), "");
    assert_eq!(planned["plan_digest"], predicted["plan_digest"]);

    let done = call(&node, false, json!({ "state": "migrated", "plan_digest": predicted["plan_digest"] }));
    is(&done, true, false);
    assert_eq!((&done["outcome"], &done["diff"]), (&json!("applied"), &predicted["diff"]));
    assert_eq!(done["report"]["run"], done["run_id"]);

    for check in [true, false] {
        let again = call(&node, check, json!({ "state": "migrated" }));
        is(&again, false, false);
        assert_eq!(again["outcome"], "no-change");
        assert_eq!(again["diff"], json!([]));
    }
}

#[test]
fn the_diff_is_the_one_of_plan() {
    let node = Node::new(DOCKERSHIM);
    let shown = node.run(&["plan"]).code(0).out;
    let diffs = call(&node, true, json!({ "state": "migrated" }))["diff"].clone();
    let files: Vec<&str> = diffs.as_array().unwrap().iter().map(|part| part["prepared"].as_str().unwrap()).collect();
    let (acts, files) = files.split_last().unwrap();
    assert!(files.len() > 1 && acts.contains("docker.service"), "{diffs:#}");
    for file in files {
        assert!(
            file.starts_with("--- ") && shown.contains(file.trim_end()),
            "not as `plan` shows it:\n{file}\n{shown}"
        );
    }
}

#[test]
fn both_doors_say_the_same() {
    let node = Node::new(DOCKERSHIM);
    let without_run = |mut answer: Value| {
        for key in ["run_id", "report"] {
            answer.as_object_mut().unwrap().remove(key);
        }
        answer
    };
    for more in [json!({}), json!({ "state": "migrated" })] {
        assert_eq!(call(&node, true, more.clone()), call_binary(&node, true, more));
    }
    let back = json!({ "state": "rolled_back" });
    let one = call(&node, false, json!({ "state": "migrated" }));
    is(&call(&node, false, back.clone()), true, false);
    let other = call_binary(&node, false, json!({ "state": "migrated" }));
    assert_eq!(without_run(one), without_run(other));
    is(&call_binary(&node, false, back.clone()), true, false);
    is(&call_binary(&node, false, back), false, false);
}

#[test]
fn a_run_can_wait_to_be_kept() {
    let node = Node::new(DOCKERSHIM);
    let before = tree::snapshot(node.path());
    is(&call(&node, false, json!({ "state": "committed" })), false, true);
    is(&call(&node, false, json!({ "state": "migrated", "commit": "no" })), true, false);
    is(&call(&node, false, json!({ "state": "migrated", "commit": false })), false, false);
    is(&call(&node, true, json!({ "state": "committed" })), true, false);
    is(&call(&node, false, json!({ "state": "committed" })), true, false);
    is(&call(&node, false, json!({ "state": "committed" })), false, false);
    is(&call(&node, true, json!({ "state": "rolled_back" })), true, false);
    let back = call(&node, false, json!({ "state": "rolled_back" }));
    is(&back, true, false);
    assert_eq!(back["outcome"], "rolled-back");
    is(&call(&node, false, json!({ "state": "rolled_back" })), false, false);
    let mut after = tree::snapshot(node.path());
    // castoff's own records stay.
    after.retain(|path, _| !path.starts_with("var/lib/castoff") && !path.starts_with("/var/lib/castoff"));
    let left = tree::diff(&tree::timeless(&before), &tree::timeless(&after));
    assert!(left.lines().all(|line| line.contains("castoff")), "{left}");
}

#[test]
fn what_a_role_has_to_know_of_earlier_runs_is_told() {
    let node = Node::new(DOCKERSHIM);
    let done = call(&node, false, json!({ "state": "migrated", "commit": false }));
    assert_eq!(done["reboot_required"], json!(false));
    // Journal without its end: the run was cut off.
    let journal = node.path().join(format!("var/lib/castoff/runs/{}/journal.jsonl", done["run_id"].as_str().unwrap()));
    let whole = std::fs::read_to_string(&journal).unwrap();
    let cut: Vec<&str> = whole.split_inclusive('\n').take(4).collect();
    std::fs::write(&journal, cut.concat()).unwrap();
    let planned = call(&node, false, json!({ "state": "planned" }));
    is(&planned, false, false);
    assert_eq!(planned["unfinished_run"], done["run_id"]);
    let refused = call(&node, false, json!({ "state": "migrated" }));
    is(&refused, false, true);
    assert_eq!(refused.get("outcome"), None);
    std::fs::write(&journal, whole).unwrap();
    let back = call(&node, false, json!({ "state": "rolled_back" }));
    assert_eq!(back["node_facts"]["kubelet.runtime"], json!("Docker (dockershim)"));
}

#[test]
fn an_accepted_finding_is_told_as_what_it_is() {
    let node = Node::new("docker-users-1.23");
    let accepted = call(&node, false, json!({ "state": "planned", "skip_checks": ["pods-mount-docker-socket"] }));
    let blocks = |finding: &Value| finding["id"] == "pods-mount-docker-socket" && finding["severity"] == "block";
    assert!(accepted["findings"].as_array().unwrap().iter().any(blocks), "{:#}", accepted["findings"]);
    assert_eq!(accepted["plan"]["desired"]["skipChecks"], json!(["pods-mount-docker-socket"]));
}

#[test]
fn what_was_reviewed_is_what_is_done_or_nothing() {
    let node = Node::new(DOCKERSHIM);
    let before = tree::snapshot(node.path());
    let digest = call(&node, false, json!({ "state": "planned" }))["plan_digest"].clone();
    let other = format!("sha256:{}", "0".repeat(64));
    for check in [true, false] {
        let refused = call(&node, check, json!({ "state": "migrated", "plan_digest": other }));
        is(&refused, false, true);
        assert!(refused["msg"].as_str().unwrap().contains(digest.as_str().unwrap()), "{}", refused["msg"]);
        assert_eq!(refused["outcome"], "blocked");
        assert!(refused["plan"]["steps"].as_array().is_some_and(|steps| !steps.is_empty()));
    }
    assert_eq!(tree::diff(&before, &tree::snapshot(node.path())), "");
}

#[test]
fn a_blocked_node_fails_in_check_mode_too_and_says_why() {
    let node = Node::new(DOCKERSHIM);
    tree::put(node.path(), "/etc/containerd/config.toml", "version = [\n");
    for check in [true, false] {
        let answer = call(&node, check, json!({ "state": "migrated" }));
        is(&answer, false, true);
        assert_eq!((&answer["outcome"], &answer["exit_code"]), (&json!("blocked"), &json!(3)));
        let blocking = answer["findings"].as_array().unwrap().iter().filter(|f| f["severity"] == "block").count();
        assert!(blocking > 0 && answer["msg"].as_str().unwrap().contains("castoff explain"), "{answer:#}");
    }
}

#[test]
fn a_module_that_does_not_know_check_mode_does_nothing() {
    let node = Node::new(DOCKERSHIM);
    let mut given = options(&node, false, json!({ "state": "migrated" }));
    given.as_object_mut().unwrap().remove("_ansible_check_mode");
    let before = tree::snapshot(node.path());
    let mut program = program();
    program.args(["ansible", "-"]);
    let ran = finish_with(program, &given.to_string()).code(64);
    is(&ran.json(), false, true);
    assert_eq!(tree::diff(&before, &tree::snapshot(node.path())), "");
}

#[test]
fn whatever_comes_in_one_object_goes_out() {
    for input in ["", "{", "[]", "null", "{}", "{\"_ansible_check_mode\":true}", "\u{0}", "{\"password\": \"hunter2"] {
        let mut program = program();
        program.args(["ansible", "-"]);
        let ran = finish_with(program, input);
        assert_ne!(ran.code, 0);
        is(&ran.json(), false, true);
        assert!(!ran.out.contains("hunter2"), "{ran:#?}");
    }
    let ran = castoff(&["ansible", "/no/such/file"]);
    assert!(ran.json()["msg"].as_str().unwrap().contains("/no/such/file"));
}

#[test]
fn info_gathers_what_is_asked_for() {
    let node = Node::new(DOCKERSHIM);
    let name = json!({ "_ansible_module_name": "castoff.node.runtime_info" });
    let ask = |gather: Value| {
        let mut more = name.clone();
        more["gather"] = gather;
        call(&node, false, more)
    };
    let all = ask(json!(["facts", "findings", "plan", "history", "report"]));
    is(&all, false, false);
    assert_eq!(
        (&all["facts"]["kind"], &all["plan"]["kind"], &all["history"]),
        (&json!("Facts"), &json!("Plan"), &json!([]))
    );
    assert_eq!(all.get("report"), None);
    let few = ask(json!("history"));
    assert_eq!((few.get("facts"), few.get("plan"), few.get("findings")), (None, None, None));
    is(&ask(json!(["fact"])), false, true);
}

fn keep(dir: &Path, host: &str, action: &str, mut result: Value) {
    result.as_object_mut().unwrap().remove("diff");
    let document = json!({
        "apiVersion": "castoff/v1", "kind": "NodeResult", "host": host, "wave": "canary", "action": action, "result": result,
    });
    std::fs::write(dir.join(format!("{host}.json")), document.to_string()).unwrap();
}

#[test]
fn results_of_nodes_become_one_report() {
    let dir = tree::scratch();
    let good = Node::new(DOCKERSHIM);
    keep(dir.path(), "one", "migrated", call(&good, false, json!({ "state": "migrated" })));
    let bad = Node::new(DOCKERSHIM);
    tree::put(bad.path(), "/etc/containerd/config.toml", "version = [\n");
    keep(dir.path(), "two", "migrated", call(&bad, false, json!({ "state": "migrated" })));
    keep(dir.path(), "three", "planned", call(&Node::new(DOCKERSHIM), false, json!({ "state": "planned" })));
    let (folder, out) = (dir.path().to_str().unwrap(), tree::scratch());
    let retry = out.path().join("retry.txt");
    let report = castoff(&[
        "report",
        "merge",
        folder,
        "-o",
        "json",
        "--retry-file",
        retry.to_str().unwrap(),
        "--detailed-exitcode",
    ]);
    let report = report.code(2).json();
    let states: Vec<(&str, &str)> = report["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["host"].as_str().unwrap(), node["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("one", "migrated"), ("three", "planned"), ("two", "blocked")]);
    assert_eq!(std::fs::read_to_string(&retry).unwrap(), "two\n");
    for (format, words) in [("text", "To look at"), ("markdown", "## Findings"), ("html", "</html>")] {
        let file = out.path().join(format);
        castoff(&["report", "merge", folder, "-o", format, "--out", file.to_str().unwrap()]).code(0).silent();
        assert!(std::fs::read_to_string(&file).unwrap().contains(words), "{format}");
    }
    // One torn file hides nothing and is told.
    std::fs::write(dir.path().join("four.json"), "{\"apiVersion\"").unwrap();
    castoff(&["report", "merge", folder, "-o", "json"]).code(0).says(&["four.json"]);
    castoff(&["report", "merge", dir.path().join("four.json").to_str().unwrap()])
        .code(1)
        .silent()
        .error(&["four.json"]);
    castoff(&["report", "merge", "/no/such/folder"]).code(1).silent().error(&["/no/such/folder"]);
    castoff(&["report", "merge"]).code(64).silent();
}
