//! A run as a stream of events, for programs that watch it.

use super::Observer;
use crate::{
    host::Clock,
    model::{Check, Event, EventLevel, Plan, RunReport, Step, What},
};
use std::{fmt, time::Duration};

/// Bytes that move are told no more often than this.
const PACE: Duration = Duration::from_secs(1);

/// Turns what it hears into events, and passes it on to another observer.
pub struct Events<'a> {
    clock: &'a dyn Clock,
    next: &'a mut dyn Observer,
    sink: &'a mut dyn FnMut(&Event),
    run: String,
    moved: Option<Duration>,
    waiting: String,
}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("run", &self.run).finish_non_exhaustive()
    }
}

impl<'a> Events<'a> {
    /// Each event goes to `sink` the moment it happens.
    pub fn new(clock: &'a dyn Clock, next: &'a mut dyn Observer, sink: &'a mut dyn FnMut(&Event)) -> Self {
        Self { clock, next, sink, run: String::new(), moved: None, waiting: String::new() }
    }

    fn tell(&mut self, what: What) {
        (self.sink)(&Event { time: self.clock.now(), run: self.run.clone(), what });
    }

    fn progress(&mut self, detail: &str, bytes: Option<u64>, of: Option<u64>) {
        self.tell(What::Progress { detail: detail.to_owned(), bytes, of });
    }

    fn quiet(&mut self) {
        self.moved = None;
        self.waiting.clear();
    }
}

/// The last event of a run.
pub fn summary(report: &RunReport, path: Option<String>) -> What {
    What::Summary {
        outcome: report.outcome,
        exit_code: report.exit_code,
        node: report.node.clone(),
        committed: report.committed,
        keep_until: report.keep_until.clone(),
        downtime: report.downtime,
        report: path,
    }
}

impl Observer for Events<'_> {
    fn run_started(&mut self, run: &str, plan: &Plan, resumed: bool) {
        run.clone_into(&mut self.run);
        let total = plan.steps.len();
        for step in &plan.steps {
            self.tell(What::PlannedStep {
                step: step.id.clone(),
                index: step.index,
                total,
                change: step.change,
                risk: step.risk,
                phase: step.phase.clone(),
                action: step.action.word().to_owned(),
                object: step.action.object(),
            });
        }
        self.next.run_started(run, plan, resumed);
    }

    fn step_started(&mut self, step: &Step, total: usize) {
        self.quiet();
        self.tell(What::StepStart { step: step.id.clone(), index: step.index, total });
        self.next.step_started(step, total);
    }

    fn waiting(&mut self, what: &str) {
        if self.waiting != what {
            what.clone_into(&mut self.waiting);
            self.progress(what, None, None);
        }
        self.next.waiting(what);
    }

    fn moved(&mut self, bytes: u64, total: u64) {
        let now = self.clock.monotonic();
        if self.moved.is_none_or(|told| now.saturating_sub(told) >= PACE) {
            self.moved = Some(now);
            self.progress("moving bytes", Some(bytes), Some(total));
        }
        self.next.moved(bytes, total);
    }

    fn part_done(&mut self, what: &str) {
        self.progress(what, None, None);
        self.next.part_done(what);
    }

    fn step_done(&mut self, step: &Step, total: usize, seconds: f64, detail: Option<&str>) {
        let said = detail.map(str::to_owned);
        self.tell(What::StepDone { step: step.id.clone(), index: step.index, total, seconds, detail: said });
        self.next.step_done(step, total, seconds, detail);
    }

    fn step_failed(&mut self, step: &Step, total: usize, error: &str) {
        let (id, why) = (step.id.clone(), error.to_owned());
        self.tell(What::StepFailed { step: id, index: step.index, total, error: why });
        self.next.step_failed(step, total, error);
    }

    fn checked(&mut self, check: &Check) {
        let Check { id, status, seconds, detail, .. } = check.clone();
        self.tell(What::Verify { id, status, seconds, detail });
        self.next.checked(check);
    }

    fn rollback_started(&mut self, run: &str, steps: usize, why: &str) {
        run.clone_into(&mut self.run);
        self.quiet();
        self.tell(What::Rollback { steps, why: why.to_owned() });
        self.next.rollback_started(run, steps, why);
    }

    fn undone(&mut self, what: &str, seconds: f64) {
        self.tell(What::Undone { what: what.to_owned(), seconds });
        self.next.undone(what, seconds);
    }

    fn warn(&mut self, message: &str) {
        self.tell(What::Diagnostic { level: EventLevel::Warning, message: message.to_owned(), id: None });
        self.next.warn(message);
    }
}
