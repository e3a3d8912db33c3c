//! The `RunReport` of a run, out of its plan and journal.

use super::timing;
use crate::model::{
    API_VERSION, Check, Entry, Outcome, Overhead, Plan, Record, RunReport, RunState, StepResult, StepStatus,
    TOOL_VERSION,
};

/// What the journal does not hold.
#[derive(Debug, Default)]
pub struct Extra {
    /// Checks of the last verification.
    pub checks: Vec<Check>,
    /// What is left to do by hand.
    pub by_hand: Vec<String>,
    /// The exit code where it is not the outcome's own (6: kept although not proven).
    pub exit_code: Option<u8>,
    /// What being able to take it back has cost.
    pub overhead: Option<Overhead>,
}

/// Builds the report of a run.
pub fn build(run: &str, plan: &Plan, entries: &[Entry], outcome: Outcome, extra: Extra) -> RunReport {
    let time = |entry: Option<&Entry>| entry.map(|entry| entry.time.clone()).unwrap_or_default();
    RunReport {
        api_version: API_VERSION.to_owned(),
        kind: "RunReport".to_owned(),
        run: run.to_owned(),
        node: plan.node.clone(),
        tool: TOOL_VERSION.to_owned(),
        plan: plan.id.clone(),
        started: time(entries.first()),
        finished: time(entries.last()),
        outcome,
        exit_code: extra.exit_code.unwrap_or_else(|| outcome.exit_code()),
        committed: super::records::state(entries) == RunState::Committed,
        keep_until: super::records::keep_until(entries)
            .filter(|_| super::records::state(entries) == RunState::Applied)
            .map(|(until, _)| until.to_owned()),
        phases: timing::phases(plan, entries),
        downtime: timing::forward(entries),
        rollback_downtime: timing::backward(plan, entries),
        overhead: extra.overhead,
        steps: plan.steps.iter().map(|step| result(step.index, &step.id, entries)).collect(),
        verification: extra.checks,
        findings: plan.findings.clone(),
        returned: super::records::is_asked_back(entries),
        cut_off: false,
        running: None,
        by_hand: extra.by_hand,
    }
}

fn result(index: usize, id: &str, entries: &[Entry]) -> StepResult {
    let mut result = StepResult { index, id: id.to_owned(), status: StepStatus::Pending, seconds: None, detail: None };
    for entry in entries {
        match &entry.record {
            Record::StepDone { index: i, seconds, detail } if *i == index => {
                result.status = StepStatus::Done;
                result.seconds = Some((*seconds).into());
                result.detail.clone_from(detail);
            }
            Record::StepFailed { index: i, error } if *i == index => {
                result.status = StepStatus::Failed;
                result.detail = Some(error.clone());
            }
            // A failed step stays failed in the report, with its error.
            Record::StepUndone { index: i, skipped } if *i == index && result.status != StepStatus::Failed => {
                result.status = StepStatus::Undone;
                result.detail.clone_from(skipped);
            }
            Record::UndoFailed { index: i, error } if *i == index => {
                result.status = StepStatus::UndoFailed;
                result.detail = Some(error.clone());
            }
            _ => {}
        }
    }
    result
}
