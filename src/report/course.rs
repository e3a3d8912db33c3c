//! What happened when in a run, out of its journal.

use crate::model::{Entry, Plan, Record};
use jiff::Timestamp;

/// A step at work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Act {
    /// Its place in the plan.
    pub index: usize,
    /// When it began, seconds after the course did.
    pub from: f64,
    /// When it ended.
    pub to: f64,
}

/// One way through the steps. A step that was done twice, after a kill, is there twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// In the order in which they began.
    pub acts: Vec<Act>,
    /// Seconds from its beginning to its end.
    pub length: f64,
}

impl Course {
    /// The share of the course that lies before a moment.
    pub fn share(&self, at: f64) -> f64 {
        if self.length > 0.0 { at / self.length } else { 0.0 }
    }

    /// From the beginning of one step to the end of another.
    pub fn span(&self, plan: &Plan, from: &str, to: &[&str]) -> Option<(f64, f64)> {
        let index = |id: &str| plan.steps.iter().find(|step| step.id == id).map(|step| step.index);
        let first = self.acts.iter().find(|act| Some(act.index) == index(from))?;
        let last = to.iter().find_map(|id| self.acts.iter().find(|act| Some(act.index) == index(id)))?;
        Some((first.from, last.to))
    }
}

/// Seconds between two entries; none when a clock was set back between them, or a time cannot be read.
fn between(from: &Entry, to: &Entry) -> f64 {
    let time = |entry: &Entry| entry.time.parse::<Timestamp>().ok();
    time(from).zip(time(to)).map_or(0.0, |(from, to)| to.duration_since(from).as_secs_f64().max(0.0))
}

/// The way forward: from the first record to the end of the last step before anything was taken back.
pub fn forward(entries: &[Entry]) -> Course {
    let mut course = Course::default();
    let Some(first) = entries.first() else { return course };
    for entry in entries {
        match entry.record {
            Record::RollbackStarted { .. } | Record::StepUndone { .. } | Record::RunFinished { .. } => break,
            Record::StepStarted { index, .. } => {
                let at = between(first, entry);
                course.acts.push(Act { index, from: at, to: at });
            }
            Record::StepDone { index, .. } | Record::StepFailed { index, .. } | Record::StepPutOff { index, .. } => {
                if let Some(act) = course.acts.iter_mut().rfind(|act| act.index == index) {
                    act.to = between(first, entry);
                }
            }
            _ => {}
        }
    }
    course.length = course.acts.iter().fold(0.0, |length, act| act.to.max(length));
    course
}

/// The way back, where there was one: the last time. A step begins when the one before it ended.
pub fn backward(entries: &[Entry]) -> Course {
    let mut course = Course::default();
    let Some(begun) = entries.iter().rposition(|entry| matches!(entry.record, Record::RollbackStarted { .. })) else {
        return course;
    };
    let (first, mut last) = (&entries[begun], 0.0);
    for entry in &entries[begun..] {
        let at = between(first, entry);
        match entry.record {
            Record::StepUndone { index, .. } | Record::UndoFailed { index, .. } => {
                course.acts.push(Act { index, from: last, to: at });
                last = at;
            }
            Record::RunFinished { .. } => {
                course.length = at;
                return course;
            }
            _ => {}
        }
    }
    course.length = last;
    course
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Outcome, Undo};

    fn entries(records: Vec<(&str, Record)>) -> Vec<Entry> {
        let number = |(seq, (time, record)): (usize, (&str, Record))| Entry {
            time: format!("2026-11-23T10:00:{time}Z"),
            seq: seq as u64,
            record,
        };
        records.into_iter().enumerate().map(number).collect()
    }

    fn began(index: usize) -> Record {
        Record::StepStarted { index, id: format!("s{index}"), undo: Undo::Reload }
    }

    #[test]
    fn steps_lie_where_the_journal_says() {
        let done = |index| Record::StepDone { index, seconds: 1.0.into(), detail: None };
        let undone = |index| Record::StepUndone { index, skipped: None };
        let all = entries(vec![
            ("00", began(1)),
            ("02", done(1)),
            ("03", began(2)),
            ("07", Record::StepFailed { index: 2, error: "no".into() }),
            ("08", Record::RollbackStarted { why: "no".into(), pods: None }),
            ("10", undone(2)),
            ("11", undone(1)),
            ("12", Record::RunFinished { outcome: Outcome::RolledBack }),
        ]);
        let way = forward(&all);
        assert_eq!(way.acts, [Act { index: 1, from: 0.0, to: 2.0 }, Act { index: 2, from: 3.0, to: 7.0 }]);
        assert_eq!((way.length, way.share(3.5)), (7.0, 0.5));
        let back = backward(&all);
        assert_eq!(back.acts, [Act { index: 2, from: 0.0, to: 2.0 }, Act { index: 1, from: 2.0, to: 3.0 }]);
        assert_eq!((back.length, back.share(1.0)), (4.0, 0.25));
        assert_eq!(backward(&all[..4]), Course::default());
        assert_eq!(forward(&[]), Course::default());
        // Times that cannot be read make a course without length, not a wrong one.
        let odd: Vec<Entry> = all.into_iter().map(|entry| Entry { time: "<b>".to_owned(), ..entry }).collect();
        assert_eq!((forward(&odd).length, forward(&odd).share(1.0)), (0.0, 0.0));
    }
}
