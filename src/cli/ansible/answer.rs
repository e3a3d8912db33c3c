//! A module's result: one JSON object. Ansible looks at nothing else: a module that fails and exits with 3 but does not
//! say `failed` has succeeded.

use crate::{
    cli::exit::{self, Exit},
    model::{Action, Facts, Finding, Outcome, Plan, RunReport, Severity, StepStatus},
    report,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What is told so far.
#[derive(Debug)]
pub struct Answer {
    map: Map<String, Value>,
    exit: Exit,
    diff: bool,
}

impl Answer {
    /// Nothing changed, nothing failed; with diffs when they are wanted.
    pub fn new(diff: bool) -> Self {
        let mut answer = Self { map: Map::new(), exit: Exit::OK, diff };
        answer.set("changed", &false);
        answer.set("failed", &false);
        answer.set("exit_code", &0);
        answer
    }

    /// Adds a value; castoff's own documents always are JSON.
    pub fn set(&mut self, key: &str, value: &impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or_else(|error| json!(error.to_string()));
        self.map.insert(key.to_owned(), value);
    }

    /// Fails; what was told before stays, so that a `rescue` can use it.
    pub fn fail(&mut self, message: &str, exit: Exit) {
        self.exit = exit;
        self.set("failed", &true);
        self.set("msg", &message);
        self.set("exit_code", &exit.0);
    }

    /// Fails with an error: its summary, causes and hints.
    pub fn fail_with(&mut self, error: &anyhow::Error) {
        let (text, exit) = exit::told(error);
        self.fail(&text, exit);
    }

    /// A line for people.
    pub fn warn(&mut self, text: &str) {
        match self.map.entry("warnings").or_insert_with(|| json!([])) {
            Value::Array(lines) => lines.push(json!(text)),
            other => *other = json!([text]),
        }
    }

    /// Who the node is.
    pub fn node(&mut self, facts: &Facts) {
        self.set("node", &facts.name());
        self.set("node_facts", &facts.traits());
    }

    /// What would be done, and what is notable; only what nobody chose to accept is a warning.
    pub fn plan(&mut self, plan: &Plan) {
        self.set("plan", &plan.for_reading());
        self.set("plan_digest", &plan.digest);
        self.findings(&plan.findings);
        for finding in plan.findings.iter().filter(|finding| finding.severity == Severity::Warn) {
            if !plan.desired.skip_checks.contains(&finding.id) {
                self.warn(&format!("{}: {}", finding.id, finding.summary));
            }
        }
        if self.diff {
            self.set("diff", &diffs(plan));
        }
    }

    /// What is notable.
    pub fn findings(&mut self, findings: &[Finding]) {
        self.set("findings", &findings);
    }

    /// Unit actions and the like, undone; content is not kept twice, so there is no diff to show.
    pub fn undoing(&mut self, plan: &Plan) {
        if self.diff {
            let acts: Vec<String> =
                plan.steps.iter().rev().map(|step| format!("undo {}\n", act(&step.action))).collect();
            self.set("diff", &[json!({ "prepared": acts.concat() })]);
        }
    }

    /// How a run ended.
    pub fn report(&mut self, report: &RunReport) {
        self.set("outcome", &report.outcome);
        self.set("run_id", &report.run);
        self.set("report", report);
        let applied = report.outcome == Outcome::Applied;
        self.set("changed", &(applied || report.outcome == Outcome::Stuck));
        if report.exit_code != 0 {
            self.fail(&told(report), Exit(report.exit_code));
        }
    }

    /// The JSON text, and the exit code that says the same to everybody but Ansible.
    pub fn end(self) -> (String, Exit) {
        let text = serde_json::to_string(&self.map).unwrap_or_else(|error| {
            format!(
                "{{\"failed\":true,\"msg\":\"the result cannot be printed: {}\"}}",
                error.to_string().replace('"', "'")
            )
        });
        (format!("{text}\n"), self.exit)
    }
}

/// A run that did not end well: how it ended, the step that began it, what is left to do.
fn told(report: &RunReport) -> String {
    let mut text = anstream::adapter::strip_str(&report::outcome_line(report)).to_string();
    let failed = |status| matches!(status, StepStatus::Failed | StepStatus::UndoFailed);
    for step in report.steps.iter().filter(|step| failed(step.status)) {
        let detail = step.detail.as_deref().unwrap_or("failed");
        text.push_str(&format!("\n  cause: {}: {}", step.id, detail.replace('\n', "\n         ")));
    }
    for line in &report.by_hand {
        text.push_str(&format!("\n  by hand: {line}"));
    }
    text.push_str(&format!("\nhint: the full record is in `report`, and on the node: castoff show {}", report.run));
    text
}

fn act(action: &Action) -> String {
    format!("{} {}", action.word(), action.object())
}

/// The diffs of `castoff plan` as they are, then everything that is no file, in order.
fn diffs(plan: &Plan) -> Vec<Value> {
    let mut diffs = Vec::new();
    let mut acts = String::new();
    for step in &plan.steps {
        match &step.action {
            Action::WriteFile { diff, .. } => diffs.push(json!({ "prepared": diff })),
            action => acts.push_str(&format!("{} {}\n", step.change.symbol(), act(action))),
        }
    }
    if !acts.is_empty() {
        diffs.push(json!({ "prepared": acts }));
    }
    diffs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(answer: Answer) -> Value {
        serde_json::from_str(&answer.end().0).unwrap()
    }

    #[test]
    fn what_was_told_before_a_failure_stays() {
        let mut answer = Answer::new(false);
        answer.set("plan_digest", &"sha256:1");
        answer.warn("one");
        answer.warn("two");
        answer.fail("no", Exit::BLOCKED);
        let value = parsed(answer);
        assert_eq!(value["failed"], true);
        assert_eq!(value["exit_code"], 3);
        assert_eq!(value["plan_digest"], "sha256:1");
        assert_eq!(value["warnings"], json!(["one", "two"]));
    }

    #[test]
    fn a_run_that_was_taken_back_failed_and_changed_nothing() {
        let report: RunReport = serde_json::from_value(json!({
            "apiVersion": "castoff/v1", "kind": "RunReport", "run": "r1", "node": "n", "tool": "0", "plan": "7f3a",
            "started": "", "finished": "", "outcome": "rolled-back", "exitCode": 4, "committed": false, "phases": [],
            "downtime": { "kubeletSeconds": null, "workloadSeconds": null }, "verification": [], "findings": [],
            "steps": [{ "index": 1, "id": "start", "status": "failed", "seconds": null, "detail": "job failed" }],
        }))
        .unwrap();
        let mut answer = Answer::new(true);
        answer.report(&report);
        let value = parsed(answer);
        assert_eq!((&value["failed"], &value["changed"]), (&json!(true), &json!(false)));
        assert_eq!(value["outcome"], "rolled-back");
        let message = value["msg"].as_str().unwrap();
        assert!(message.contains("cause: start: job failed") && message.contains("castoff show r1"), "{message}");
        assert!(!message.contains('\u{1b}'), "{message}");
    }
}
