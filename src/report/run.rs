//! What happened, for people.

use super::{
    style::{BAD, CAUTION, DIM, GOOD, HINT, Look, STRONG, paint},
    table::{bytes, counted, pad, seconds},
    verification::checks,
};
use crate::model::{Downtime, Entry, Outcome, Plan, RunReport, RunState, RunSummary, StepStatus};
use anstyle::Style;

/// All there is about a run, for a page.
#[derive(Clone, Copy, Debug)]
pub struct RunView<'a> {
    /// Its report.
    pub report: &'a RunReport,
    /// Its plan, without file contents; absent where it cannot be read.
    pub plan: Option<&'a Plan>,
    /// Its journal; empty where it cannot be read.
    pub entries: &'a [Entry],
    /// What a command needs to speak of the same node: nothing, or ` --root DIR`.
    pub options: &'a str,
}

/// How a run ended, as a sentence with its style.
pub fn outcome(report: &RunReport) -> (Style, String) {
    let node = &report.node;
    if let Some(by) = &report.running {
        return (CAUTION, format!("run {} on {node} is not at its end yet: {by} is at work", report.run));
    }
    if report.cut_off {
        return (BAD, format!("run {} on {node} was cut off: neither done nor taken back", report.run));
    }
    match report.outcome {
        Outcome::NoChange => (Style::new(), format!("{node} already is as wanted. No changes.")),
        Outcome::Applied if report.exit_code == 6 => {
            (CAUTION, format!("{node} was changed but is not proven; it was kept as you asked"))
        }
        Outcome::Applied => {
            let kept = if report.committed { "kept" } else { "not committed yet" };
            let proven = if report.verification.is_empty() { "" } else { " and proven" };
            (GOOD, format!("{node} is as planned{proven} ({kept})"))
        }
        Outcome::Blocked => (BAD, format!("{node}: findings forbid it; nothing was changed")),
        Outcome::RolledBack => {
            (CAUTION, format!("{node} is as it was before run {}{}; verified", report.run, except(report)))
        }
        Outcome::Interrupted => {
            (CAUTION, format!("interrupted: {node} is as it was before{}; verified", except(report)))
        }
        Outcome::Stuck => (BAD, format!("{node} needs hands: neither the new nor the old state holds")),
    }
}

/// One line that says how a run ended.
pub fn outcome_line(report: &RunReport) -> String {
    let (style, sentence) = outcome(report);
    if style == Style::new() { sentence } else { paint(style, sentence) }
}

/// How to go back, or on: sentences, then commands.
pub fn back(report: &RunReport, options: &str) -> (Vec<String>, Vec<String>) {
    let command = |verb: &str| format!("castoff {verb}{options} {}", report.run);
    if report.running.is_some() {
        return (vec!["It is still at work: look again when it is at its end.".to_owned()], Vec::new());
    }
    if !report.by_hand.is_empty() {
        let why = if report.cut_off {
            "It has to go on, or be taken back."
        } else {
            "What castoff could not do is left to do by hand."
        };
        return (vec![why.to_owned()], report.by_hand.clone());
    }
    match report.outcome {
        _ if report.run.is_empty() => (vec!["Nothing was changed.".to_owned()], Vec::new()),
        Outcome::NoChange | Outcome::Blocked => (vec!["Nothing was changed.".to_owned()], Vec::new()),
        Outcome::Applied => {
            let mut sentences = Vec::new();
            let mut commands = Vec::new();
            if !report.committed {
                sentences.push(match &report.keep_until {
                    Some(until) => format!("It is taken back at {until} unless somebody keeps it."),
                    None => "It is not committed yet.".to_owned(),
                });
                commands.push(command("commit"));
            }
            sentences.push("A rollback brings the old files, units and pods back.".to_owned());
            commands.push(command("rollback"));
            (sentences, commands)
        }
        Outcome::RolledBack | Outcome::Interrupted => {
            (vec![format!("It was taken back{}; the node is as it was before.", except(report))], Vec::new())
        }
        Outcome::Stuck => {
            (vec!["Neither state holds. A rollback tries once more.".to_owned()], vec![command("rollback")])
        }
    }
}

/// What a rollback left alone on purpose must not be passed over in the one line that people read.
fn except(report: &RunReport) -> String {
    let left = report.steps.iter().filter(|step| step.status == StepStatus::Undone && step.detail.is_some()).count();
    if left == 0 { String::new() } else { format!(" except for {} left alone", counted(left, "thing")) }
}

/// A run report as text.
pub fn run_report(report: &RunReport, look: Look) -> String {
    let mut text = format!("{} on {}, plan {}\n", paint(STRONG, &report.run), report.node, report.plan);
    text.push_str(&format!("{} to {}\n{}\n", report.started, report.finished, outcome_line(report)));
    text.push_str(&format!("\n{}\n", paint(STRONG, "Steps")));
    for step in &report.steps {
        let (style, symbol) = match step.status {
            StepStatus::Done => (GOOD, look.glyphs.ok()),
            StepStatus::Failed | StepStatus::UndoFailed => (BAD, look.glyphs.bad()),
            StepStatus::Undone => (CAUTION, "~"),
            StepStatus::Pending => (DIM, "-"),
        };
        let time = step.seconds.map(seconds).unwrap_or_default();
        text.push_str(&format!("  {} {} {:>9}", paint(style, pad(symbol, 2)), pad(&step.id, 28), time));
        match &step.detail {
            Some(detail) => text.push_str(&format!("  {}\n", paint(DIM, detail))),
            None => text.push('\n'),
        }
    }
    if !report.phases.is_empty() {
        text.push_str(&format!("\n{}\n", paint(STRONG, "Phases")));
        for phase in &report.phases {
            text.push_str(&format!("  {}{:>9}\n", pad(&phase.name, 20), seconds(phase.seconds)));
        }
    }
    text.push_str(&downtime("Downtime", &report.downtime));
    if let Some(back) = &report.rollback_downtime {
        text.push_str(&downtime("Downtime of the rollback", back));
    }
    if !report.verification.is_empty() {
        text.push_str(&format!("\n{}\n{}", paint(STRONG, "Proof"), checks(&report.verification, look)));
    }
    if !report.by_hand.is_empty() {
        text.push_str(&format!("\n{}\n", paint(BAD, "Left to do by hand")));
        for line in &report.by_hand {
            text.push_str(&format!("  {}\n", paint(HINT, line)));
        }
    }
    text
}

fn downtime(title: &str, downtime: &Downtime) -> String {
    if *downtime == Downtime::default() {
        return String::new();
    }
    let show = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), seconds);
    format!(
        "\n{}\n  {}{:>9}\n  {}{:>9}\n",
        paint(STRONG, title),
        pad("kubelet", 20),
        show(downtime.kubelet_seconds),
        pad("workload", 20),
        show(downtime.workload_seconds)
    )
}

/// `castoff history` as text.
pub fn history(runs: &[RunSummary], look: Look) -> String {
    if runs.is_empty() {
        return "no runs yet\n".to_owned();
    }
    let mut text = format!(
        "{}\n",
        paint(
            STRONG,
            format!(
                "{}{}{:>10}{:>10}{:>10}  DRIFT",
                pad("RUN", 27),
                pad("STATE", 13),
                "KUBELET",
                "WORKLOAD",
                "BACKUPS"
            )
        )
    );
    for run in runs {
        let style = match run.state {
            RunState::Committed | RunState::Applied => GOOD,
            RunState::RolledBack => DIM,
            RunState::Running => CAUTION,
            RunState::Dirty | RunState::Stuck => BAD,
        };
        let show = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), seconds);
        let drift = if run.drift.is_empty() { look.glyphs.dot().to_owned() } else { run.drift.join(", ") };
        text.push_str(&format!(
            "{}{}{:>10}{:>10}{:>10}  {drift}\n",
            pad(&run.run, 27),
            paint(style, pad(run.state.word(), 13)),
            show(run.kubelet_seconds),
            show(run.workload_seconds),
            bytes(run.backup_bytes)
        ));
    }
    text
}
