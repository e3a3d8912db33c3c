//! One report for many nodes.

mod html;
mod markdown;
mod merge;
mod text;

pub use html::html;
pub use markdown::markdown;
pub use merge::Fleet;
pub use text::text;

use crate::{
    model::{FleetReport, NodeState, Times},
    report::table::{counted, seconds},
};

/// States that occur, the good ones first.
fn occurring(report: &FleetReport) -> Vec<NodeState> {
    NodeState::ALL.into_iter().filter(|state| report.totals.states.contains_key(state)).collect()
}

/// A state for people.
fn shown(state: NodeState) -> String {
    state.word().replace('-', " ")
}

/// The nodes' number, and how many need a look.
fn headline(report: &FleetReport) -> String {
    let bad = report.to_retry().count();
    let look = match bad {
        0 => "none needs a look".to_owned(),
        1 => "1 needs a look".to_owned(),
        _ => format!("{bad} need a look"),
    };
    format!("{}, {look}", counted(report.totals.nodes, "node"))
}

fn spread(times: &Times) -> String {
    format!(
        "median {}, 95 % under {}, longest {} ({})",
        seconds(times.median),
        seconds(times.p95),
        seconds(times.longest),
        times.longest_host
    )
}

/// The first line of a message: the rest is in the node's own report.
fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// A message's summary and its first cause, in one line.
fn brief(message: &str) -> String {
    let cause = message.lines().find_map(|line| line.trim_start().strip_prefix("cause: "));
    match cause {
        Some(cause) if !first_line(message).contains(cause) => format!("{}: {cause}", first_line(message)),
        _ => first_line(message).to_owned(),
    }
}

#[cfg(test)]
mod tests;
