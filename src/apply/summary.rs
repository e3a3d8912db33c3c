//! Runs as `history` and `show` tell them.

use super::{
    Journal, Run, Store, records,
    report::{self, Extra},
    timing,
};
use crate::{
    host::Lock,
    model::{Action, Goal, Outcome, Plan, RunReport, RunState, RunSummary, StepStatus},
};
use anyhow::Result;

/// A run that cannot be read must not hide the others.
fn damaged(run: String, error: &anyhow::Error) -> RunSummary {
    RunSummary {
        run,
        started: String::new(),
        state: RunState::Stuck,
        plan: String::new(),
        goal: Goal::default(),
        kubelet_seconds: None,
        workload_seconds: None,
        backup_bytes: 0,
        drift: vec![format!("{error:#}")],
    }
}

impl Store<'_> {
    /// All runs, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn history(&self) -> Result<Vec<RunSummary>> {
        let mut summaries = Vec::new();
        let mut newest_applied = true;
        for run in self.runs()?.into_iter().rev() {
            let read =
                self.plan(&run).and_then(|plan| Ok((plan, Journal::look(self.host(), &run.path("journal.jsonl"))?)));
            let (plan, entries) = match read {
                Ok(read) => read,
                Err(error) => {
                    summaries.push(damaged(run.id, &error));
                    continue;
                }
            };
            let state = match records::state(&entries) {
                RunState::Dirty if self.at_work_on(&run).is_some() => RunState::Running,
                state => state,
            };
            let downtime = timing::forward(&entries);
            let holds = matches!(state, RunState::Applied | RunState::Committed);
            // Only the newest state that holds can have drifted; older ones were meant to be replaced.
            let drift = if holds && newest_applied { self.drift(&plan) } else { Vec::new() };
            newest_applied &= !holds;
            summaries.push(RunSummary {
                backup_bytes: self.backup_bytes(&run),
                started: entries.first().map(|entry| entry.time.clone()).unwrap_or_default(),
                run: run.id,
                state,
                plan: plan.id,
                goal: plan.goal,
                kubelet_seconds: downtime.kubelet_seconds,
                workload_seconds: downtime.workload_seconds,
                drift,
            });
        }
        Ok(summaries)
    }

    /// Who is at work on a run: whoever has the lock and wrote the run's name into it.
    fn at_work_on(&self, run: &Run) -> Option<String> {
        Lock::holder(&self.host().root).filter(|by| by.contains(&run.id))
    }

    /// Files that no longer are as a plan left them. One that cannot be read is none that was left: a directory may be in
    /// its place, or too much in it.
    fn drift(&self, plan: &Plan) -> Vec<String> {
        let mut drift = Vec::new();
        for step in &plan.steps {
            let Action::WriteFile { path, after, .. } = &step.action else { continue };
            let read = self.host().root.read(path).ok().flatten();
            if read.is_none_or(|read| read.digest() != after.digest) {
                drift.push(path.clone());
            }
        }
        drift
    }

    /// A run's report, or for a run that was cut off, or that somebody is at work on, what its journal tells so far.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub fn report_or_so_far(&self, run: &Run) -> Result<RunReport> {
        let entries = Journal::look(self.host(), &run.path("journal.jsonl"))?;
        let dirty = records::state(&entries) == RunState::Dirty;
        // `None` while it is dirty, whatever an earlier end was.
        let ended = records::ended(&entries).filter(|_| !dirty);
        // Killed before its report was saved, a run has none, or the one of an earlier end.
        if let Some(report) = self.report(run)?.filter(|report| Some(report.outcome) == ended) {
            return Ok(report);
        }
        let plan = self.plan(run)?;
        let outcome = ended.unwrap_or(Outcome::Stuck);
        let mut report = report::build(&run.id, &plan, &entries, outcome, Extra::default());
        if dirty {
            report.cut_off = true;
            report.running = self.at_work_on(run);
            let mut how = "under way";
            if report.running.is_none() {
                how = "begun, not known to be done";
                report.by_hand = vec![
                    format!("castoff resume {}      # goes on with it", run.id),
                    format!("castoff rollback {}    # takes it back", run.id),
                ];
            }
            for step in report.steps.iter_mut().filter(|step| step.status == StepStatus::Pending) {
                let begun = records::open_steps(&entries).iter().any(|(index, ..)| *index == step.index);
                step.detail = begun.then(|| how.to_owned());
            }
        }
        Ok(report)
    }
}
