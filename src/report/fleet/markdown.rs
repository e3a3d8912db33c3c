//! For a merge request.

use super::{brief, headline, occurring, shown, spread};
use crate::{
    model::FleetReport,
    report::markdown::{cell, table},
};

/// Names listed before the rest is only counted.
const NAMES: usize = 20;

fn names(all: &[String]) -> String {
    let listed: Vec<String> = all.iter().take(NAMES).map(|name| cell(name)).collect();
    match all.len() - listed.len() {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

/// A fleet report as Markdown.
pub fn markdown(report: &FleetReport) -> String {
    let states = occurring(report);
    let titles: Vec<String> = states.iter().map(|state| shown(*state)).collect();
    let head: Vec<&str> = ["wave", "nodes"].into_iter().chain(titles.iter().map(String::as_str)).collect();
    let waves = report.totals.waves.iter().map(|wave| {
        let counts = states.iter().map(|state| wave.states.get(state).copied().unwrap_or_default().to_string());
        let name = if wave.wave.is_empty() { "-".to_owned() } else { cell(&wave.wave) };
        [name, wave.nodes.to_string()].into_iter().chain(counts).collect()
    });
    let mut text = format!("# Fleet: {}\n\n{}", headline(report), table(&head, waves));
    for (what, times) in [("kubelet away", &report.totals.kubelet), ("pods away", &report.totals.workload)] {
        if let Some(times) = times {
            text.push_str(&format!("\n- {what}: {}", cell(&spread(times))));
        }
    }
    text.push('\n');
    if report.to_retry().next().is_some() {
        let rows = report.to_retry().map(|node| {
            let why = node.message.as_deref().map(brief).unwrap_or_default();
            let cordoned = if node.cordoned { "yes" } else { "" };
            vec![cell(&node.host), shown(node.state), cordoned.to_owned(), cell(&why), cell(&node.run)]
        });
        text.push_str(&format!("\n## To look at\n\n{}", table(&["node", "state", "cordoned", "why", "run"], rows)));
    }
    if !report.findings.is_empty() {
        let rows = report.findings.iter().map(|finding| {
            let all = finding.count == report.totals.nodes;
            let nodes = if all { "all".to_owned() } else { names(&finding.nodes) };
            vec![finding.severity.word().to_owned(), format!("`{}`", finding.id), finding.count.to_string(), nodes]
        });
        text.push_str(&format!("\n## Findings\n\n{}", table(&["severity", "finding", "nodes", "which"], rows)));
    }
    if !report.differences.is_empty() {
        let rows = report.differences.iter().flat_map(|difference| {
            difference.values.iter().enumerate().map(|(place, value)| {
                let nodes = if place == 0 { String::new() } else { names(&value.nodes) };
                vec![cell(&difference.name), cell(&value.value), value.count.to_string(), nodes]
            })
        });
        text.push_str(&format!("\n## Differences\n\n{}", table(&["what", "value", "nodes", "which"], rows)));
    }
    if !report.unreadable.is_empty() {
        let rows = report.unreadable.iter().map(|file| vec![cell(&file.file), cell(&file.why)]);
        text.push_str(&format!("\n## Not used\n\n{}", table(&["file", "why"], rows)));
    }
    text
}
