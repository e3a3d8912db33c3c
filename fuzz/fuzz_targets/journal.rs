//! The journal of a run, and what is concluded from it: a crash, a disk or somebody may have left anything there.
#![no_main]

use castoff_fuzz::{
    model::{Plan, Record, RunState},
    records, tasks,
};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

/// What no mutation finds by itself: sequence numbers that go up. Every line of the input is a record.
fn numbered(data: &[u8]) -> Vec<u8> {
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let number = |(seq, line): (usize, &[u8])| {
        let head = format!("{{\"time\":\"2026-11-28T20:00:{:02}Z\",\"seq\":{seq},", seq % 60);
        [head.as_bytes(), line, b"}\n"].concat()
    };
    lines.enumerate().flat_map(number).collect()
}

fn look(bytes: &[u8]) {
    let Ok((entries, sound)) = records::read(bytes) else { return };
    // What was sound stays sound without what came behind it, and only a last record may have been left out.
    assert_eq!(records::read(&bytes[..sound]).unwrap(), (entries.clone(), sound));
    assert!(!bytes[sound..].strip_suffix(b"\n").unwrap_or(&bytes[sound..]).contains(&b'\n'));
    let (state, ended) = (records::state(&entries), records::ended(&entries));
    assert!(ended.is_some() || state != RunState::RolledBack && state != RunState::Stuck);
    let _ = (records::commits(&entries), records::keep_until(&entries), records::is_rolling_back(&entries));
    let begun: BTreeSet<usize> = entries
        .iter()
        .filter_map(|entry| match entry.record {
            Record::StepStarted { index, .. } => Some(index),
            _ => None,
        })
        .collect();
    let open = records::open_steps(&entries);
    let (left, skipped) = (records::left_alone(&entries), records::skipped(&entries));
    assert!(open.iter().chain(&left).all(|(index, ..)| begun.contains(index)));
    assert!(left.iter().all(|(index, ..)| skipped.contains(index)));
    let _ = (records::done_steps(&entries), records::was_taken_back(&entries), records::is_done(&entries, 1));
    // Every open step is taken back exactly once.
    let tasks = tasks::tasks(&open);
    let mut marked: Vec<usize> = tasks.iter().flat_map(|task| task.steps.clone()).collect();
    marked.sort_unstable();
    let wanted: Vec<usize> = open.iter().map(|(index, ..)| *index).collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(marked, wanted);
    for task in &tasks {
        let _ = (task.describe(), task.acts(true), task.acts(false), task.is_file());
        assert_eq!(tasks::marks(task, Some("why")).len(), task.steps.len());
    }
}

fuzz_target!(|data: &[u8]| {
    look(data);
    look(&numbered(data));
    if let Ok(plan) = serde_json::from_slice::<Plan>(data) {
        // Never good: its digest would have to be that of what it holds.
        let _ = plan.validate();
    }
});
