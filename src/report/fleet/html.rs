//! One self-contained page: summary, plots, what to look at, every node with a filter.

use super::{brief, occurring, shown, spread};
use crate::{
    model::{Difference, FleetFinding, FleetNode, FleetReport, NodeState, Times, Wave},
    report::{
        html::{Choice, Page, Segment, Table, Tone, badge, bar, card, filter, finding_tone, histogram},
        markup::{escape, prose},
        stops::away,
        table::{counted, seconds},
    },
};

/// Names listed before the rest is only counted; the table of nodes can be searched for them.
const NAMES: usize = 40;

/// A fleet report as one page of HTML.
pub fn html(report: &FleetReport) -> String {
    let bad = report.to_retry().count();
    let (tone, sentence) = match bad {
        0 => (Tone::Good, "No node needs a look.".to_owned()),
        1 => (Tone::Bad, "1 node needs a look.".to_owned()),
        _ => (Tone::Bad, format!("{bad} nodes need a look.")),
    };
    let lead = format!(
        "{}<p class=\"faint\">Merged by castoff {} out of the reports of the nodes.</p>\n",
        Page::state(tone, &sentence),
        escape(&report.tool)
    );
    let mut page =
        Page::new("castoff fleet report", &format!("Fleet of {}", counted(report.totals.nodes, "node")), tone, &lead);
    page.section("summary", "Summary", None, &format!("<ul class=\"cards\">\n{}</ul>\n", cards(report)));
    page.section("waves", "States by wave", None, &waves(&report.totals.waves));
    page.section("downtime", "Downtime", None, &downtime(report));
    page.section("look", "To look at", Some(bad), &to_look_at(report));
    page.section("findings", "Findings", Some(report.findings.len()), &findings(report));
    page.section("differences", "Differences", Some(report.differences.len()), &differences(&report.differences));
    page.section("unused", "Not used", Some(report.unreadable.len()), &files(report));
    page.section("nodes", "Nodes", Some(report.nodes.len()), &nodes(report));
    page.html()
}

const fn tone(state: NodeState) -> Tone {
    match state {
        NodeState::Migrated | NodeState::NoChange | NodeState::Verified | NodeState::Returned => Tone::Good,
        NodeState::Planned => Tone::Wait,
        NodeState::RolledBack | NodeState::Blocked | NodeState::Interrupted | NodeState::Unproven => Tone::Care,
        NodeState::NotAsExpected
        | NodeState::Failed
        | NodeState::Unreachable
        | NodeState::CutOff
        | NodeState::Stuck => Tone::Bad,
    }
}

fn state(state: NodeState) -> String {
    badge(tone(state), tone(state).symbol(), &shown(state))
}

fn cards(report: &FleetReport) -> String {
    let mut text = String::new();
    for (state, count) in &report.totals.states {
        text.push_str(&card(Some(tone(*state)), &count.to_string(), &shown(*state), ""));
    }
    for (what, times) in [("kubelet away", &report.totals.kubelet), ("pods away", &report.totals.workload)] {
        if let Some(times) = times {
            text.push_str(&card(None, &seconds(times.median), what, "median"));
        }
    }
    text
}

/// One bar for each wave, with its counts in words.
#[allow(clippy::cast_precision_loss)] // A few thousand nodes.
fn waves(all: &[Wave]) -> String {
    let head = [("Wave", "short"), ("Nodes", "number"), ("States", "plot"), ("In figures", "")];
    let mut table = Table::new("waves", &head).class("stack bars");
    for wave in all {
        let whole = wave.nodes.max(1) as f64;
        let mut from = 0.0;
        let (mut pieces, mut words) = (Vec::new(), Vec::new());
        for (state, count) in &wave.states {
            let to = from + *count as f64 / whole;
            // A gap between neighbours, which may have one colour.
            let end = if to < 0.999 { (to - 0.003).max(from) } else { to };
            pieces.push(Segment { tone: tone(*state), from, to: end, title: format!("{count} {}", shown(*state)) });
            words.push(format!(
                "<span class=\"{}\">{}</span> {count} {}",
                tone(*state).class(),
                tone(*state).symbol(),
                shown(*state)
            ));
            from = to;
        }
        let name = if wave.wave.is_empty() { "all" } else { &wave.wave };
        table.row("", "", &[escape(name), wave.nodes.to_string(), bar(&pieces), words.join(", ")]);
    }
    table.html()
}

fn downtime(report: &FleetReport) -> String {
    let mut text = String::new();
    let mut plot = |title: &str, times: Vec<f64>, of: &Option<Times>| {
        let Some(of) = of.as_ref().filter(|_| times.len() > 1) else { return };
        let marks = [("median", of.median), ("95 %", of.p95)];
        text.push_str(&histogram(title, &times, &marks, &format!("{}, {}", counted(of.nodes, "node"), spread(of))));
    };
    let workload = report.nodes.iter().filter_map(|node| node.downtime.workload_seconds).collect();
    plot("Pods away", workload, &report.totals.workload);
    let kubelet = report.nodes.iter().filter_map(|node| node.downtime.kubelet_seconds).collect();
    plot("kubelet away", kubelet, &report.totals.kubelet);
    if text.is_empty() { text } else { format!("<div class=\"plots\">\n{text}</div>\n") }
}

fn to_look_at(report: &FleetReport) -> String {
    let mut table = Table::new("look", &[("Node", "name"), ("State", "short"), ("Why", "wide")]);
    for node in report.to_retry() {
        let message = node.message.as_deref().map(|text| prose(text).replace('\n', "<br>")).unwrap_or_default();
        table.row("", "", &[escape(&node.host), state(node.state), message]);
    }
    table.html()
}

fn names(all: &[String]) -> String {
    let listed: Vec<String> = all.iter().take(NAMES).map(|name| escape(name)).collect();
    match all.len() - listed.len() {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

fn findings(report: &FleetReport) -> String {
    let head = [("Finding", "wide"), ("Severity", "short"), ("Nodes", "number"), ("Which", "wide")];
    let mut table = Table::new("findings", &head);
    let one = |finding: &FleetFinding| {
        let nodes = if finding.count == report.totals.nodes { "all nodes".to_owned() } else { names(&finding.nodes) };
        let tone = finding_tone(finding.severity);
        [
            format!("{}<br><code class=\"faint\">{}</code>", escape(&finding.summary), escape(&finding.id)),
            badge(tone, tone.symbol(), finding.severity.word()),
            finding.count.to_string(),
            nodes,
        ]
    };
    report.findings.iter().for_each(|finding| table.row("", "", &one(finding)));
    table.html()
}

fn differences(all: &[Difference]) -> String {
    let mut table = Table::new("differences", &[("Value", ""), ("Nodes", "number"), ("Which", "wide")]);
    for difference in all {
        table.group(&difference.name);
        for (place, value) in difference.values.iter().enumerate() {
            // The commonest value is the rule: who has it is of no interest.
            let nodes = if place == 0 { String::new() } else { names(&value.nodes) };
            table.row("", "", &[escape(&value.value), value.count.to_string(), nodes]);
        }
    }
    table.html()
}

fn files(report: &FleetReport) -> String {
    let mut table = Table::new("unused", &[("File", "mono"), ("Why", "")]);
    report.unreadable.iter().for_each(|file| table.row("", "", &[escape(&file.file), escape(&file.why)]));
    table.html()
}

fn nodes(report: &FleetReport) -> String {
    let choices: Vec<Choice> = occurring(report)
        .into_iter()
        .map(|state| Choice {
            key: state.word(),
            word: shown(state),
            count: report.totals.states.get(&state).copied().unwrap_or_default(),
        })
        .collect();
    let mut table = Table::new(
        "nodes",
        &[
            ("Node", "name"),
            ("Wave", "name"),
            ("State", "short"),
            ("kubelet away", "number"),
            ("pods away", "number"),
            ("Run", "run"),
            ("Findings and causes", "wide"),
        ],
    )
    .id("table-nodes");
    report.nodes.iter().for_each(|node| table.row("", node.state.word(), &row(node)));
    filter("table-nodes", "nodes", "name, state, run, finding", "States", &choices) + &table.html()
}

fn row(node: &FleetNode) -> [String; 7] {
    let mut last = node.message.as_deref().map(|message| prose(&brief(message))).unwrap_or_default();
    if !node.findings.is_empty() {
        let gap = if last.is_empty() { "" } else { "<br>" };
        last.push_str(&format!("{gap}<span class=\"mono faint\">{}</span>", escape(&node.findings.join(" "))));
    }
    let cordoned = if node.cordoned { badge(Tone::Care, "!", "cordoned") } else { String::new() };
    [
        escape(&node.host),
        escape(&node.wave),
        format!("{} {cordoned}", state(node.state)),
        away(node.downtime.kubelet_seconds),
        away(node.downtime.workload_seconds),
        escape(&node.run),
        last,
    ]
}
