//! For terminals.

use super::{brief, headline, occurring, shown, spread};
use crate::{
    model::{FleetReport, NodeState},
    report::{
        style::{BAD, CAUTION, DIM, GOOD, Look, STRONG, of_severity, paint, symbol_of},
        table::{counted, pad, wrap},
    },
};
use anstyle::Style;

/// Names listed before the rest is only counted.
const NAMES: usize = 8;

const fn of_state(state: NodeState) -> Style {
    match state {
        NodeState::Migrated | NodeState::NoChange | NodeState::Verified | NodeState::Returned => GOOD,
        NodeState::Planned => DIM,
        NodeState::RolledBack | NodeState::Blocked | NodeState::Interrupted | NodeState::Unproven => CAUTION,
        _ => BAD,
    }
}

/// A fleet report as text.
pub fn text(report: &FleetReport, look: Look) -> String {
    let mut text = format!("{}\n\n{}", paint(STRONG, headline(report)), waves(report, look.width));
    for (what, times) in [("kubelet away", &report.totals.kubelet), ("pods away", &report.totals.workload)] {
        if let Some(times) = times {
            text.push_str(&format!("\n{}{}", pad(what, 14), spread(times)));
        }
    }
    if report.totals.kubelet.is_some() || report.totals.workload.is_some() {
        text.push('\n');
    }
    text.push_str(&to_look_at(report, look));
    text.push_str(&findings(report, look));
    text.push_str(&differences(report, look));
    text.push_str(&files(report, look));
    text
}

/// States by wave; the other way round where there are too many states for a line.
fn waves(report: &FleetReport, width: usize) -> String {
    let states = occurring(report);
    let first = report.totals.waves.iter().map(|wave| wave.wave.chars().count()).max().unwrap_or_default().max(4) + 2;
    let columns: usize = states.iter().map(|state| state.word().len() + 2).sum();
    let named = |wave: &str| if wave.is_empty() { "-".to_owned() } else { wave.to_owned() };
    let mut text = String::new();
    if first + 5 + columns > width {
        for (state, count) in &report.totals.states {
            text.push_str(&format!("{} {count:>6}\n", paint(of_state(*state), pad(&shown(*state), 16))));
        }
        return text;
    }
    let head = states.iter().fold(String::new(), |all, state| all + "  " + &shown(*state).to_uppercase());
    text.push_str(&format!("{}\n", paint(DIM, format!("{}NODES{head}", pad("WAVE", first)))));
    for wave in &report.totals.waves {
        text.push_str(&format!("{}{:>5}", pad(&named(&wave.wave), first), wave.nodes));
        for state in &states {
            let count = wave.states.get(state).copied().unwrap_or_default();
            let cell = format!("{count:>width$}", width = state.word().len() + 2);
            text.push_str(&if count == 0 { paint(DIM, cell) } else { paint(of_state(*state), cell) });
        }
        text.push('\n');
    }
    text
}

fn to_look_at(report: &FleetReport, look: Look) -> String {
    let mut text = String::new();
    for node in report.to_retry() {
        let why = node.message.as_deref().map(brief).unwrap_or_default();
        let cordoned = if node.cordoned { " (cordoned)" } else { "" };
        let line = format!("{} {}{cordoned}  {why}", node.host, shown(node.state));
        text.push_str(&format!(
            "  {} {}\n",
            paint(of_state(node.state), look.glyphs.bad()),
            wrap(&line, look.width, 4)
        ));
    }
    if text.is_empty() { text } else { format!("\n{}\n{text}", paint(STRONG, "To look at")) }
}

fn names(all: &[String]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMES).map(String::as_str).collect();
    match all.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn findings(report: &FleetReport, look: Look) -> String {
    if report.findings.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", paint(STRONG, "Findings"));
    for finding in &report.findings {
        let symbol = paint(of_severity(finding.severity), symbol_of(finding.severity, look.glyphs));
        let nodes = if finding.count == report.totals.nodes { "all nodes".to_owned() } else { names(&finding.nodes) };
        let line = format!("{} x {}  {}", finding.count, finding.id, nodes);
        text.push_str(&format!("  {symbol} {}\n", wrap(&line, look.width, 4)));
    }
    text
}

fn differences(report: &FleetReport, look: Look) -> String {
    if report.differences.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", paint(STRONG, "Differences"));
    for difference in &report.differences {
        text.push_str(&format!("  {}\n", difference.name));
        for (place, value) in difference.values.iter().enumerate() {
            // Who has the commonest value is of no interest; who has another one is.
            let nodes = if place == 0 { String::new() } else { format!("  {}", names(&value.nodes)) };
            let line = format!("{:>6} x {}{nodes}", value.count, value.value);
            text.push_str(&format!("  {}\n", wrap(&line, look.width, 11)));
        }
    }
    text
}

fn files(report: &FleetReport, look: Look) -> String {
    let mut text = String::new();
    for file in &report.unreadable {
        let line = format!("{}: {}", file.file, file.why);
        text.push_str(&format!("  {} {}\n", paint(BAD, look.glyphs.bad()), wrap(&line, look.width, 4)));
    }
    if !text.is_empty() {
        text = format!("\n{}\n{text}", paint(STRONG, "Not used"));
    }
    if report.superseded > 0 {
        text.push_str(&format!(
            "\n{} of nodes that have another one left out\n",
            counted(report.superseded, "document")
        ));
    }
    text
}
