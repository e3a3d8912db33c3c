//! What the records of a journal say: reading them, and where a run stands by them. Pure, so that it can be fuzzed.

use crate::model::{Entry, Outcome, Record, RunState, Seconds, Undo};

/// Splits a journal's bytes into entries and the length of its sound part. A crash may leave the last record half
/// written; that record never counted. Damage anywhere else is an error.
pub fn read(bytes: &[u8]) -> Result<(Vec<Entry>, usize), String> {
    let (mut entries, mut sound) = (Vec::new(), 0);
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let whole = line.ends_with(b"\n");
        match serde_json::from_slice::<Entry>(line) {
            Ok(entry) if whole && entry.seq == entries.len() as u64 => entries.push(entry),
            Ok(entry) if whole => {
                return Err(format!("line {}: record {} where {} should be", number + 1, entry.seq, entries.len()));
            }
            _ if sound + line.len() == bytes.len() => break,
            Err(error) => return Err(format!("line {}: {error}", number + 1)),
            Ok(_) => break,
        }
        sound += line.len();
    }
    Ok((entries, sound))
}

/// Where a run stands, as its records tell it.
pub fn state(entries: &[Entry]) -> RunState {
    let mut state = RunState::Dirty;
    for entry in entries {
        match &entry.record {
            Record::RunFinished { outcome } => state = RunState::after(*outcome),
            Record::Committed => state = RunState::Committed,
            // A rollback of a finished run opens it again.
            Record::RollbackStarted { .. } | Record::StepUndone { .. } | Record::UndoFailed { .. } => {
                state = RunState::Dirty;
            }
            _ => {}
        }
    }
    state
}

/// True when a passed verification commits the run, as it was said when it began.
pub fn commits(entries: &[Entry]) -> bool {
    matches!(entries.first().map(|entry| &entry.record), Some(Record::RunStarted { commit: true, .. }))
}

/// Until when, and within how many seconds, somebody has to keep the run.
pub fn keep_until(entries: &[Entry]) -> Option<(&str, u64)> {
    entries.iter().rev().find_map(|entry| match &entry.record {
        Record::KeepUntil { until, within } => Some((until.as_str(), *within)),
        _ => None,
    })
}

/// How a run ended, the last time it did.
pub fn ended(entries: &[Entry]) -> Option<Outcome> {
    entries.iter().rev().find_map(|entry| match entry.record {
        Record::RunFinished { outcome } => Some(outcome),
        _ => None,
    })
}

/// Steps that were put off and are not done yet, in the order of the plan.
pub fn put_off(entries: &[Entry]) -> Vec<usize> {
    let mut off = Vec::new();
    for entry in entries {
        match &entry.record {
            Record::StepPutOff { index, .. } => off.push(*index),
            Record::PutOffDone { index } | Record::StepUndone { index, .. } => off.retain(|known| known != index),
            _ => {}
        }
    }
    off.sort_unstable();
    off.dedup();
    off
}

/// True when a step was done, and not only put off.
pub fn is_done(entries: &[Entry], step: usize) -> bool {
    let (done, off) = entries.iter().fold((false, false), |(done, off), entry| match entry.record {
        Record::StepDone { index, .. } if index == step => (true, off),
        Record::StepPutOff { index, .. } if index == step => (done, true),
        Record::PutOffDone { index } if index == step => (done, false),
        _ => (done, off),
    });
    done && !off
}

/// True when taking back had begun and not ended.
pub fn is_rolling_back(entries: &[Entry]) -> bool {
    entries.iter().fold(false, |rolling, entry| match entry.record {
        // A rollback goes on even where its first record could not be written.
        Record::RollbackStarted { .. } | Record::StepUndone { .. } | Record::UndoFailed { .. } => true,
        Record::RunFinished { outcome: Outcome::Stuck } => rolling,
        Record::RunFinished { .. } => false,
        _ => rolling,
    })
}

/// True when the old state held once: what is taken back after that was left alone then.
pub fn was_taken_back(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| match entry.record {
        Record::RunFinished { outcome } => RunState::after(outcome) == RunState::RolledBack,
        _ => false,
    })
}

/// Why a run is taken back that somebody wants to be.
pub const ASKED: &str = "asked for by the user";

/// True when somebody asked for the run to be taken back.
pub fn is_asked_back(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| matches!(&entry.record, Record::RollbackStarted { why, .. } if why == ASKED))
}

/// True when the node was cordoned to be taken back, and nobody has lifted that.
pub fn is_cordoned(entries: &[Entry]) -> bool {
    entries.iter().fold(false, |cordoned, entry| match entry.record {
        Record::Cordoned => true,
        Record::Uncordoned => false,
        _ => cordoned,
    })
}

/// Pods that ran on the new runtime when somebody began to take a run back that had ended well.
pub fn moved_pods(entries: &[Entry]) -> Option<&[String]> {
    entries.iter().find_map(|entry| match &entry.record {
        Record::RollbackStarted { pods, .. } => pods.as_deref(),
        _ => None,
    })
}

/// Steps that may have acted and were not taken back, with their undo, in the order they were started.
pub fn open_steps(entries: &[Entry]) -> Vec<(usize, String, Undo)> {
    let mut open: Vec<(usize, String, Undo)> = Vec::new();
    for entry in entries {
        match &entry.record {
            // The first undo of a step knows the state before it; a resumed step must not overwrite that.
            Record::StepStarted { index, id, undo } if open.iter().all(|(known, ..)| known != index) => {
                open.push((*index, id.clone(), undo.clone()));
            }
            Record::StepUndone { index, .. } => open.retain(|(known, ..)| known != index),
            _ => {}
        }
    }
    open
}

/// Steps of which the last attempt to take them back left something alone.
pub fn skipped(entries: &[Entry]) -> Vec<usize> {
    let mut skipped = Vec::new();
    for entry in entries {
        if let Record::StepUndone { index, skipped: left } = &entry.record {
            skipped.retain(|known| known != index);
            if left.is_some() {
                skipped.push(*index);
            }
        }
    }
    skipped
}

/// Files that were left alone because somebody else had changed them.
pub fn left_alone(entries: &[Entry]) -> Vec<(usize, String, Undo)> {
    let skipped = skipped(entries);
    let mut left: Vec<(usize, String, Undo)> = Vec::new();
    for entry in entries {
        if let Record::StepStarted { index, id, undo } = &entry.record
            && skipped.contains(index)
            && matches!(undo, Undo::RestoreFile { .. } | Undo::RemoveFile { .. })
            && left.iter().all(|(known, ..)| known != index)
        {
            left.push((*index, id.clone(), undo.clone()));
        }
    }
    left
}

/// Steps that are done, with how long they took.
pub fn done_steps(entries: &[Entry]) -> Vec<(usize, Seconds)> {
    entries
        .iter()
        .filter_map(|entry| match entry.record {
            Record::StepDone { index, seconds, .. } => Some((index, seconds)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64, record: Record) -> Vec<u8> {
        let mut line = serde_json::to_vec(&Entry { time: "2026-11-23T10:00:00Z".into(), seq, record }).unwrap();
        line.push(b'\n');
        line
    }

    fn started(index: usize) -> Record {
        Record::StepStarted { index, id: format!("step-{index}"), undo: Undo::Reload }
    }

    #[test]
    fn a_half_written_last_record_does_not_count() {
        let sound = [line(0, started(1)), line(1, Record::Committed)].concat();
        for cut in 0..line(2, started(2)).len() {
            let torn = [sound.clone(), line(2, started(2)).get(..cut).unwrap().to_vec()].concat();
            let (entries, length) = read(&torn).unwrap();
            assert_eq!((entries.len(), length), (2, sound.len()), "cut at {cut}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_said() {
        let damaged = [line(0, started(1)), b"{\"half\n".to_vec(), line(1, started(2))].concat();
        assert!(read(&damaged).unwrap_err().starts_with("line 2"));
        let missing = [line(0, started(1)), line(2, started(2))].concat();
        assert!(read(&missing).unwrap_err().contains("record 2 where 1 should be"));
    }

    #[test]
    fn state_follows_the_records() {
        let entry = |record| Entry { time: String::new(), seq: 0, record };
        let finished = |outcome| entry(Record::RunFinished { outcome });
        let mut entries = vec![entry(started(1))];
        assert_eq!(state(&entries), RunState::Dirty);
        entries.push(finished(Outcome::Applied));
        assert_eq!(state(&entries), RunState::Applied);
        entries.push(entry(Record::Committed));
        assert_eq!(state(&entries), RunState::Committed);
        entries.push(entry(Record::RollbackStarted { why: "asked".into(), pods: None }));
        assert_eq!(state(&entries), RunState::Dirty);
        assert!(is_rolling_back(&entries));
        entries.push(finished(Outcome::RolledBack));
        assert_eq!(state(&entries), RunState::RolledBack);
        assert!(!is_rolling_back(&entries));
    }

    #[test]
    fn the_first_undo_of_a_step_is_kept() {
        let entry = |record| Entry { time: String::new(), seq: 0, record };
        let again = Record::StepStarted { index: 1, id: "step-1".into(), undo: Undo::None { reason: "later".into() } };
        let entries = vec![entry(started(1)), entry(again), entry(started(2))];
        let open = open_steps(&entries);
        assert_eq!(open.len(), 2);
        assert_eq!(open[0].2, Undo::Reload);
        let entries = [entries, vec![entry(Record::StepUndone { index: 2, skipped: None })]].concat();
        assert_eq!(open_steps(&entries).len(), 1);
    }
}
