//! Phases and downtime, out of the journal's times.

use crate::model::{Downtime, Entry, Phase, Plan, Record, Seconds};
use jiff::Timestamp;

/// Seconds between two entries; absent when a clock was set back between them.
fn between(from: &Entry, to: &Entry) -> Option<f64> {
    let (from, to): (Timestamp, Timestamp) = (from.time.parse().ok()?, to.time.parse().ok()?);
    let seconds = to.duration_since(from).as_secs_f64();
    (seconds >= 0.0).then_some((seconds * 1000.0).round() / 1000.0)
}

/// Seconds each phase took, in the order of the plan; `rollback` last when there was one.
pub fn phases(plan: &Plan, entries: &[Entry]) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for entry in entries {
        let Record::StepDone { index, seconds, .. } = entry.record else { continue };
        let Some(step) = plan.steps.iter().find(|step| step.index == index) else { continue };
        add(&mut phases, &step.phase, seconds.into());
    }
    let begun = entries.iter().rfind(|entry| matches!(entry.record, Record::RollbackStarted { .. }));
    let ended = entries.iter().rfind(|entry| matches!(entry.record, Record::RunFinished { .. }));
    if let (Some(begun), Some(ended)) = (begun, ended)
        && ended.seq > begun.seq
        && let Some(seconds) = between(begun, ended)
    {
        add(&mut phases, "rollback", seconds);
    }
    phases
}

fn add(phases: &mut Vec<Phase>, name: &str, seconds: f64) {
    let sum = |a: f64, b: f64| f64::from(Seconds::from(a + b));
    match phases.iter_mut().find(|phase| phase.name == name) {
        Some(phase) => phase.seconds = sum(phase.seconds, seconds),
        None => phases.push(Phase { name: name.to_owned(), seconds: sum(0.0, seconds) }),
    }
}

/// How long kubelet and the workload were away on the way forward.
pub fn forward(entries: &[Entry]) -> Downtime {
    let started = |wanted: &str| {
        entries.iter().find(|entry| matches!(&entry.record, Record::StepStarted { id, .. } if id == wanted))
    };
    let done = |wanted: &str| {
        let index = entries.iter().find_map(|entry| match &entry.record {
            Record::StepStarted { index, id, .. } if id == wanted => Some(*index),
            _ => None,
        })?;
        entries.iter().find(|entry| matches!(entry.record, Record::StepDone { index: i, .. } if i == index))
    };
    let span = |from: &str, to: &[&str]| {
        let to = to.iter().find_map(|id| done(id))?;
        between(started(from)?, to)
    };
    Downtime {
        kubelet_seconds: span("stop-kubelet", &["start-kubelet"]),
        workload_seconds: span("stop-docker-pods", &["await-pods"]),
    }
}

/// The same on the way back. Pods were away from the moment taking back began until the old node was proven.
pub fn backward(plan: &Plan, entries: &[Entry]) -> Option<Downtime> {
    let begun = entries.iter().rfind(|entry| matches!(entry.record, Record::RollbackStarted { .. }))?;
    let after = || entries.iter().filter(|entry| entry.seq > begun.seq);
    let undone = |id: &str| {
        let index = plan.steps.iter().find(|step| step.id == id)?.index;
        after().find(|entry| matches!(entry.record, Record::StepUndone { index: i, .. } if i == index))
    };
    let ended = after().find(|entry| matches!(entry.record, Record::RunFinished { .. }));
    let pods_stopped = undone("stop-docker-pods").is_some();
    Some(Downtime {
        kubelet_seconds: undone("stop-kubelet").and_then(|entry| between(begun, entry)),
        workload_seconds: ended.filter(|_| pods_stopped).and_then(|entry| between(begun, entry)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Outcome, Undo};

    #[test]
    fn downtime_is_what_lies_between() {
        let records = [
            ("2026-11-23T10:00:00Z", Record::StepStarted { index: 1, id: "stop-kubelet".into(), undo: Undo::Reload }),
            ("2026-11-23T10:00:01Z", Record::StepDone { index: 1, seconds: 1.0.into(), detail: None }),
            (
                "2026-11-23T10:00:01Z",
                Record::StepStarted { index: 2, id: "stop-docker-pods".into(), undo: Undo::Reload },
            ),
            (
                "2026-11-23T10:00:09.5Z",
                Record::StepStarted { index: 3, id: "start-kubelet".into(), undo: Undo::Reload },
            ),
            ("2026-11-23T10:00:10Z", Record::StepDone { index: 3, seconds: 0.5.into(), detail: None }),
            ("2026-11-23T10:00:10Z", Record::StepStarted { index: 4, id: "await-pods".into(), undo: Undo::Reload }),
            ("2026-11-23T10:00:13.250Z", Record::StepDone { index: 4, seconds: 3.25.into(), detail: None }),
            ("2026-11-23T10:00:14Z", Record::RunFinished { outcome: Outcome::Applied }),
        ];
        let entries: Vec<Entry> = records
            .into_iter()
            .enumerate()
            .map(|(seq, (time, record))| Entry { time: time.into(), seq: seq as u64, record })
            .collect();
        let downtime = forward(&entries);
        assert_eq!(downtime.kubelet_seconds, Some(10.0));
        assert_eq!(downtime.workload_seconds, Some(12.25));
        assert_eq!(forward(&entries[..2]), Downtime::default());
    }
}
