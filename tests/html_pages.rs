//! Reports of plans, runs and fleets as pages and as Markdown: what stands in them, and that nothing a node says gets
//! out of its place. With `CASTOFF_PAGES=DIR` the pages are left there, for the browser (`tests/browser`).
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::assigning_clones, reason = "evil documents read better as what they are")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

mod common;

use castoff::{
    apply::Store,
    host::{FaultMode, Faults},
    model::{Action, Downtime, Entry, Finding, Origin, Plan, Record, RunReport, SettingVerdict, Severity, Verdict},
    report::{self, Again, RunView, fleet::Fleet},
};
use common::{
    program::Node,
    sim::Sim,
    tree,
    world::{World, apply, none, plan_of, rollback},
};
use jiff::Timestamp;
use serde_json::json;
use std::{env, fs, path::Path, time::Duration};

/// What somebody would put into a setting, a comment or a pod's name who wants a reviewer's browser.
const EVIL: &str = "</script><img src=x onerror=alert(1)>\"'|`x`|```\n</details>\u{202e}gnp.exe\u{2066}";

fn keep(name: &str, text: &str) {
    if let Some(dir) = env::var_os("CASTOFF_PAGES") {
        fs::create_dir_all(&dir).unwrap();
        fs::write(Path::new(&dir).join(name), text).unwrap();
    }
}

/// Nothing is fetched, nothing but our own script is there, and all tags that the evil text would make are text.
#[track_caller]
fn is_closed(page: &str) {
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    assert_eq!(page.matches("<style").count(), 1);
    for from_elsewhere in
        ["<img", "src=", "@import", "url(", "<iframe", "<object", "<embed", "<base", " style=\"", " onclick"]
    {
        let text = page.replace("&lt;img src=x", "").replace("src=x", "");
        assert!(!text.contains(from_elsewhere), "{from_elsewhere}");
    }
    assert_eq!(page.matches("<link ").count(), page.matches("<link rel=\"icon\" href=\"data:,\">").count());
    assert!(page.contains("default-src 'none'; style-src 'sha256-") && page.contains("script-src 'sha256-"));
    assert!(!page.contains("unsafe-"));
    assert!(!page.contains(['\u{202e}', '\u{2066}']), "a mark that turns text around");
    // `href` leads into the page alone.
    for (at, _) in page.match_indices("href=\"") {
        let target = &page[at + 6..];
        assert!(target.starts_with('#') || target.starts_with("data:,"), "{}", &target[..40.min(target.len())]);
    }
}

/// The simulated node takes no time: here its steps take what they would on a real one, so that there is a course to draw.
fn unhurried(plan: &Plan, report: &mut RunReport, entries: &mut [Entry]) {
    let begun: Timestamp = entries[0].time.parse().unwrap();
    let mut passed = Duration::ZERO;
    for entry in entries {
        let took = match &mut entry.record {
            Record::StepDone { index, seconds, .. } => {
                let step = plan.steps.iter().find(|step| step.index == *index).unwrap();
                let took = Duration::from_millis(match step.action {
                    Action::ImportImages { .. } => 9_400,
                    Action::StopUnit { .. } => 1_150,
                    Action::StopDockerPods { .. } => 4_300,
                    Action::WriteFile { .. } => 38,
                    Action::StartUnit { .. } | Action::RestartUnit { .. } => 3_420,
                    Action::AwaitPods { .. } => 12_700,
                    Action::Verify { .. } => 6_900,
                    _ => 14,
                });
                *seconds = took.as_secs_f64().into();
                report.steps.iter_mut().find(|result| result.index == *index).unwrap().seconds =
                    Some(took.as_secs_f64());
                let phase = report.phases.iter_mut().find(|phase| phase.name == step.phase).unwrap();
                phase.seconds += took.as_secs_f64();
                took
            }
            Record::StepUndone { .. } => Duration::from_millis(730),
            _ => Duration::from_millis(3),
        };
        passed += took;
        entry.time = (begun + passed).to_string();
    }
    if report.cut_off {
        return;
    }
    report.downtime = Downtime { kubelet_seconds: Some(16.4), workload_seconds: Some(28.1) };
}

fn run_of(world: &Sim) -> (RunReport, Plan, String, String) {
    let host = world.host(&none());
    let store = Store::new(&host);
    let run = store.find(None).unwrap();
    let mut report = store.report_or_so_far(&run).unwrap();
    let (plan, mut entries) = (store.plan(&run).unwrap().for_reading(), store.look(&run).unwrap());
    unhurried(&plan, &mut report, &mut entries);
    let view = RunView { report: &report, plan: Some(&plan), entries: &entries, options: "" };
    let (page, text) = (report::run_page(view), report::run_markdown(view));
    (report, plan, page, text)
}

#[test]
fn a_running_nodes_plan_says_what_stops_and_how_to_approve_it() {
    let world = Sim::new();
    let plan = plan_of(&world);
    let again = Again { plan: " --profile p.toml", ..Again::default() };
    let (page, text) = (report::plan_page(&plan, again), report::plan_markdown(&plan, again));
    keep("plan.html", &page);
    is_closed(&page);
    let stop = plan.steps.iter().find(|step| step.id == "stop-docker-pods").unwrap().index;
    let back = plan.steps.iter().find(|step| step.id == "await-pods").unwrap().index;
    for part in [
        &plan.digest.to_string(),
        "castoff plan --profile p.toml --out plan.json",
        "castoff apply plan.json",
        &format!("from step {stop} to step {back}"),
        "kubelet.service is down",
        "pods stop or restart",
    ] {
        assert!(page.contains(part), "{part}");
        let loud = text.replace("**", "");
        assert!(loud.contains(part), "{part} is not in\n{text}");
    }
    for step in &plan.steps {
        assert!(page.contains(&format!("id=\"step-{}\"", step.index)));
        if let Action::WriteFile { path, .. } = &step.action {
            assert!(page.contains(&format!("id=\"file-{}\"", step.index)) && page.contains(path.as_str()));
        }
    }
    for finding in &plan.findings {
        assert!(page.contains(&finding.id) && text.contains(&finding.id));
    }
}

#[test]
fn a_run_tells_its_course_and_the_way_back() {
    let world = Sim::new();
    let plan = plan_of(&world);
    apply(&world, &plan, &none()).unwrap();
    let (report, _, page, text) = run_of(&world);
    keep("run.html", &page);
    is_closed(&page);
    let command = format!("castoff rollback {}", report.run);
    assert!(page.contains(&command) && text.contains(&command));
    assert!(
        page.contains("pods away") && page.contains("<svg class=\"bar\"") && page.contains("as planned and proven")
    );
    for check in &report.verification {
        assert!(page.contains(&check.id) && text.contains(&check.id));
    }

    rollback(&world, &none()).unwrap();
    let (_, _, page, text) = run_of(&world);
    keep("run-rolled-back.html", &page);
    is_closed(&page);
    assert!(page.contains("id=\"rollback\"") && page.contains("taken back"));
    assert!(!page.contains("castoff rollback ") && !text.contains("castoff rollback "));
}

#[test]
fn a_run_that_was_cut_off_says_how_it_goes_on() {
    let world = Sim::new();
    let plan = plan_of(&world);
    let log = {
        let scout = Sim::new();
        let faults = Faults::at(u64::MAX, FaultMode::Fail);
        apply(&scout, &plan_of(&scout), &faults).unwrap();
        faults.log()
    };
    let at = log.iter().position(|what| what == "rename /var/lib/kubelet/config.yaml").unwrap() as u64 + 1;
    let _ = apply(&world, &plan, &Faults::at(at, FaultMode::DieAfter));
    let (report, _, page, text) = run_of(&world);
    assert!(report.cut_off);
    keep("run-cut-off.html", &page);
    is_closed(&page);
    let resume = format!("castoff resume {}", report.run);
    assert!(page.contains(&resume) && text.contains(&resume));
    assert!(page.contains("was cut off") && page.contains("not reached"));
}

/// A plan in which everything that a node can say is evil, and much of it.
fn evil_plan(settings: usize) -> Plan {
    let mut plan = plan_of(&Sim::new());
    plan.node = EVIL.to_owned();
    plan.verdicts = (0..settings)
        .map(|number| SettingVerdict {
            setting: format!("{EVIL}{number}"),
            value: json!({ "key": EVIL, "long": "x".repeat(if number == 0 { 20_000 } else { 20 }) }),
            origin: Origin::file(EVIL, 7),
            verdict: [Verdict::Carried, Verdict::Equal, Verdict::NoEquivalent, Verdict::Manual][number % 4],
            target: Some(EVIL.to_owned()),
            note: EVIL.to_owned(),
        })
        .collect();
    let finding = Finding::new(EVIL, Severity::Block, EVIL).cause(EVIL).fix(EVIL).at(Origin::flag(EVIL, EVIL, Some(3)));
    plan.findings.insert(0, Finding { steps: vec![EVIL.to_owned(), "stop-kubelet".to_owned()], ..finding });
    plan.deferred.push(EVIL.to_owned());
    plan.desired.sandbox_image = Some(EVIL.to_owned());
    for step in &mut plan.steps {
        step.why.push(EVIL.to_owned());
        match &mut step.action {
            Action::WriteFile { path, diff, .. } => {
                *path = format!("/etc/{EVIL}");
                let long = "y".repeat(30_000);
                *diff = format!(
                    "--- /etc/x\n+++ /etc/x (planned)\n@@ -1,3 +1,4 @@\n-{}\n+{} new\n </script>\n---- `````\n+{long}\n+\u{202e}z\r\n",
                    EVIL.replace('\n', " "),
                    EVIL.replace('\n', " ")
                );
            }
            Action::StopUnit { unit } => *unit = EVIL.to_owned(),
            Action::ImportImages { images, .. } => images.push(EVIL.to_owned()),
            _ => {}
        }
    }
    plan
}

/// The lines of Markdown outside of fences; fails when a fence is not closed.
fn outside_fences(text: &str) -> Vec<&str> {
    let (mut outside, mut fence): (Vec<&str>, Option<usize>) = (Vec::new(), None);
    for line in text.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            Some(length) if ticks >= length && line.len() == ticks => fence = None,
            Some(_) => {}
            None if ticks >= 3 => fence = Some(ticks),
            None => outside.push(line),
        }
    }
    assert_eq!(fence, None, "a fence is open at the end");
    outside
}

#[test]
fn nothing_that_a_node_says_gets_out_of_its_place() {
    let plan = evil_plan(2000);
    let again = Again { plan: EVIL, apply: EVIL, node: EVIL };
    let page = report::plan_page(&plan, again);
    keep("plan-evil.html", &page);
    is_closed(&page);
    assert_eq!(page.matches("data-key=\"manual\"").count(), 500);
    assert!(page.contains(&"x".repeat(20_000)) && page.contains(&"y".repeat(30_000)), "a line was cut");

    let text = report::plan_markdown(&plan, again);
    assert!(!text.contains(['\u{202e}', '\u{2066}']));
    let lines = outside_fences(&text);
    let tags: Vec<&&str> = lines.iter().filter(|line| line.starts_with('<')).collect();
    assert!(
        tags.iter().all(|tag| ["<details>", "</details>"].contains(tag) || tag.starts_with("<summary>")),
        "{tags:?}"
    );
    let count = |tag: &str| tags.iter().filter(|line| **line == &tag).count();
    assert_eq!(count("<details>"), count("</details>"));
    // A row has as many cells as its head, whatever the cells say.
    let bars = |line: &str| line.replace("\\\\", "").replace("\\|", "").matches('|').count();
    let mut wanted = 0;
    for (place, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with('|')) {
        if !lines[place - 1].starts_with('|') {
            wanted = bars(line);
        }
        assert_eq!(bars(line), wanted, "{line}");
    }
    assert!(wanted > 2);

    let world = Sim::new();
    apply(&world, &plan_of(&world), &none()).unwrap();
    let host = world.host(&none());
    let store = Store::new(&host);
    let run = store.find(None).unwrap();
    let (mut report, mut entries) = (store.report_or_so_far(&run).unwrap(), store.look(&run).unwrap());
    report.run = EVIL.to_owned();
    report.started = EVIL.to_owned();
    report.steps.iter_mut().for_each(|step| {
        step.detail = Some(EVIL.to_owned());
        step.id = EVIL.to_owned();
    });
    report.phases.iter_mut().for_each(|phase| phase.name = EVIL.to_owned());
    report.verification.iter_mut().for_each(|check| {
        check.detail = EVIL.to_owned();
        check.remedy = Some(EVIL.to_owned());
    });
    report.by_hand = vec![EVIL.to_owned()];
    report.findings.clone_from(&plan.findings);
    for entry in &mut entries {
        entry.time = EVIL.to_owned();
    }
    let view = RunView { report: &report, plan: Some(&plan), entries: &entries, options: EVIL };
    is_closed(&report::run_page(view));
    is_closed(&report::run_page(RunView { plan: None, entries: &[], ..view }));
    outside_fences(&report::run_markdown(view));
}

#[test]
fn a_fleet_has_its_plots_and_their_figures() {
    let mut fleet = Fleet::default();
    for number in 0..60_u32 {
        let wave = if number < 3 { "canary" } else { "workers" };
        let host = if number == 7 { EVIL.to_owned() } else { format!("worker-{number}") };
        let (outcome, code) = match number {
            17 | 29 => ("rolled-back", 4),
            30 => ("blocked", 3),
            41 => ("stuck", 5),
            _ => ("applied", 0),
        };
        let time = f64::from(number % 11) * 3.5 + 12.0 + if number == 41 { 180.0 } else { 0.0 };
        let driver = if number % 9 == 0 { "cgroupfs" } else { "systemd" };
        let run = json!({
            "apiVersion": "castoff/v1", "kind": "RunReport", "node": host, "run": format!("20261129T1000{:02}Z-7f3a", number % 60),
            "plan": "7f3a", "started": "2026-11-29T10:00:00Z", "finished": "2026-11-29T10:01:00Z", "outcome": outcome, "exitCode": code,
            "downtime": { "kubeletSeconds": time / 3.0, "workloadSeconds": time },
            "steps": [{ "id": "start-containerd", "status": if code == 4 { "failed" } else { "done" }, "detail": "job result `failed`" }],
            "findings": [{ "id": "log-format-changes", "severity": "warn", "summary": "log files change their place and format" }],
        });
        let result = json!({
            "apiVersion": "castoff/v1", "kind": "NodeResult", "host": host, "wave": wave, "action": "migrated",
            "result": {
                "changed": code == 0, "failed": code != 0, "exit_code": code, "outcome": outcome, "report": run,
                "msg": if number == 30 { EVIL } else { "containerd.service did not become active\n  cause: job result `failed`" },
                "node_facts": { "docker.cgroupDriver": driver, "containerd.version": "1.7.24" },
            },
        });
        fleet.add(&format!("{number}.json"), &result.to_string());
    }
    fleet.add("torn.json", "{");
    let page = report::fleet::html(&fleet.report());
    keep("fleet.html", &page);
    is_closed(&page);
    assert!(page.contains("<td role=\"cell\" data-label=\"Nodes\" class=\"number\">57</td>"), "nodes of a wave");
    assert_eq!(page.matches("<figure>").count(), 2, "distributions of pods and kubelet");
    assert!(page.contains("The same in figures") && page.contains("aria-label=\"Pods away: 60 nodes, median "));
    for state in ["migrated", "rolled back", "blocked", "stuck"] {
        assert!(page.contains(&format!("</span> {state}</span>")), "{state}");
    }
}

#[test]
fn the_program_writes_them_and_secrets_stay_out() {
    let node = Node::new("ubuntu-proxied-control-plane");
    tree::put(
        node.path(),
        "/etc/docker/daemon.json",
        "{\"registry-mirrors\": [\"https://robot:hunter2@mirror.example\"], \"log-opts\": {\"labels\": \"</script><u>\"}}\n",
    );
    for format in ["html", "markdown"] {
        let plan = node.run(&["plan", "-o", format]).code(0).out;
        keep(&format!("plan-of-files.{format}"), &plan);
        assert!(plan.contains("mirror.example") && plan.contains("redacted:"), "{plan:.2000}");
        assert!(!plan.contains("hunter2"), "{format}: {plan:.2000}");
        assert!(format != "html" || !plan.contains("<u>"), "{plan:.2000}");
        let root = node.path().display().to_string();
        assert!(
            plan.contains(&format!("castoff apply --root {root} --assume cgroup.mode=unified plan.json")),
            "{plan:.2000}"
        );
        let short = node.run(&["plan", "--no-diff", "-o", format]).code(0).out;
        assert!(!short.contains("@@ -") && short.contains("kubeadm-flags.env"), "{short:.2000}");
        // Colours of a terminal have no place in a file.
        assert!(!node.run(&["--color", "always", "plan", "-o", format]).out.contains('\u{1b}'));
    }
    node.run(&["apply", "--yes"]).code(0);
    for format in ["html", "markdown"] {
        let run = node.run(&["show", "-o", format]).code(0);
        assert!(run.out.contains("castoff rollback") && !run.out.contains("hunter2"), "{run:#?}");
        assert!(run.err.is_empty(), "{run:#?}");
    }
    is_closed(&node.run(&["show", "-o", "html"]).out);
    // Without the plan there is a page still, and it is said that something is missing.
    let plans = node.path().join("var/lib/castoff/runs");
    let run = fs::read_dir(plans).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(run.join("plan.json")).unwrap();
    let ran = node.run(&["show", "-o", "html"]).code(0).says(&["warning: its plan is left out"]);
    is_closed(&ran.out);
}
