//! One self-contained page: summary, plots, what to look at, every node with a filter.

use super::{brief, headline, occurring, shown, spread};
use crate::{
    model::{Difference, FleetFinding, FleetNode, FleetReport, NodeState, Severity, Wave},
    report::{
        markup::{escape, fill},
        table::{counted, seconds},
    },
};

const PAGE: &str = include_str!("../../../templates/report/fleet.html");

/// Names listed before the rest is only counted; the table of nodes can be searched for them.
const NAMES: usize = 40;
/// Bars of a histogram.
const BARS: usize = 16;

/// A fleet report as one page of HTML.
pub fn html(report: &FleetReport) -> String {
    let title = format!("Fleet: {}", headline(report));
    let subtitle = format!("Merged by castoff {} out of the reports of the nodes.", report.tool);
    let rows: String = report.nodes.iter().map(row).collect();
    let sections = [to_look_at(report), findings(report), differences(&report.differences), files(report)].concat();
    fill(
        PAGE,
        &[
            ("title", &escape(&title)),
            ("subtitle", &escape(&subtitle)),
            ("cards", &cards(report)),
            ("plots", &plots(report)),
            ("sections", &sections),
            ("states", &boxes(report)),
            ("rows", &rows),
        ],
    )
}

const fn class(state: NodeState) -> &'static str {
    match state {
        NodeState::Migrated | NodeState::NoChange | NodeState::Verified | NodeState::Returned => "good",
        NodeState::Planned => "wait",
        NodeState::RolledBack | NodeState::Blocked | NodeState::Interrupted | NodeState::Unproven => "care",
        NodeState::NotAsExpected
        | NodeState::Failed
        | NodeState::Unreachable
        | NodeState::CutOff
        | NodeState::Stuck => "bad",
    }
}

fn cards(report: &FleetReport) -> String {
    let mut text = String::new();
    for (state, count) in &report.totals.states {
        text.push_str(&format!("<li><b class=\"{}\">{count}</b>{}</li>", class(*state), shown(*state)));
    }
    for (what, times) in [("kubelet away", &report.totals.kubelet), ("pods away", &report.totals.workload)] {
        if let Some(times) = times {
            let rest = format!("{what}: {}", spread(times));
            text.push_str(&format!("<li><b>{}</b>{}</li>", seconds(times.median), escape(&rest)));
        }
    }
    text
}

fn boxes(report: &FleetReport) -> String {
    let one = |state: NodeState| {
        let word = state.word();
        format!("<label><input type=\"checkbox\" value=\"{word}\" checked> {}</label>\n", shown(state))
    };
    occurring(report).into_iter().map(one).collect()
}

fn row(node: &FleetNode) -> String {
    let away = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), seconds);
    let mut last = node.message.as_deref().map(|message| escape(&brief(message))).unwrap_or_default();
    if !node.findings.is_empty() {
        let gap = if last.is_empty() { "" } else { "<br>" };
        last.push_str(&format!("{gap}<span class=\"mono faint\">{}</span>", escape(&node.findings.join(" "))));
    }
    let cordoned = if node.cordoned { " <span class=\"care\">cordoned</span>" } else { "" };
    format!(
        "<tr data-state=\"{}\"><td>{}</td><td>{}</td><td class=\"{}\">{}{cordoned}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td><td class=\"mono\">{}</td><td>{last}</td></tr>\n",
        node.state.word(),
        escape(&node.host),
        escape(&node.wave),
        class(node.state),
        shown(node.state),
        away(node.downtime.kubelet_seconds),
        away(node.downtime.workload_seconds),
        escape(&node.run)
    )
}

fn section(title: &str, head: &[&str], rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let id = title.to_lowercase().replace(' ', "-");
    let head = head.iter().fold(String::new(), |all, name| all + "<th scope=\"col\">" + name + "</th>");
    format!(
        "<h2 id=\"{id}\">{title}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}\"><table>\
         <thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn to_look_at(report: &FleetReport) -> String {
    let one = |node: &FleetNode| {
        let message = node.message.as_deref().map(|text| escape(text).replace('\n', "<br>")).unwrap_or_default();
        let (host, class, state) = (escape(&node.host), class(node.state), shown(node.state));
        format!("<tr><td>{host}</td><td class=\"{class}\">{state}</td><td>{message}</td></tr>\n")
    };
    section("To look at", &["Node", "State", "Why"], &report.to_retry().map(one).collect::<String>())
}

fn names(all: &[String]) -> String {
    let listed: Vec<String> = all.iter().take(NAMES).map(|name| escape(name)).collect();
    match all.len() - listed.len() {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

fn findings(report: &FleetReport) -> String {
    let one = |finding: &FleetFinding| {
        let class = match finding.severity {
            Severity::Block => "bad",
            Severity::Warn => "care",
            Severity::Note => "faint",
        };
        let nodes = if finding.count == report.totals.nodes { "all nodes".to_owned() } else { names(&finding.nodes) };
        format!(
            "<tr><td class=\"{class}\">{}</td><td><code>{}</code><br>{}</td><td class=\"number\">{}</td><td>{nodes}</td></tr>\n",
            finding.severity.word(),
            escape(&finding.id),
            escape(&finding.summary),
            finding.count
        )
    };
    let rows: String = report.findings.iter().map(one).collect();
    section("Findings", &["Severity", "Finding", "Nodes", "Which"], &rows)
}

fn differences(all: &[Difference]) -> String {
    let mut rows = String::new();
    for difference in all {
        for (place, value) in difference.values.iter().enumerate() {
            let name = if place == 0 { escape(&difference.name) } else { String::new() };
            let nodes = if place == 0 { String::new() } else { names(&value.nodes) };
            rows.push_str(&format!(
                "<tr><td>{name}</td><td>{}</td><td class=\"number\">{}</td><td>{nodes}</td></tr>\n",
                escape(&value.value),
                value.count
            ));
        }
    }
    section("Differences", &["What", "Value", "Nodes", "Which"], &rows)
}

fn files(report: &FleetReport) -> String {
    let one = |file: &crate::model::Unreadable| {
        format!("<tr><td class=\"mono\">{}</td><td>{}</td></tr>\n", escape(&file.file), escape(&file.why))
    };
    section("Not used", &["File", "Why"], &report.unreadable.iter().map(one).collect::<String>())
}

fn plots(report: &FleetReport) -> String {
    let mut text = String::new();
    if !report.totals.waves.is_empty() {
        text.push_str(&format!("<h2>States by wave</h2>\n{}", waves(&report.totals.waves)));
    }
    let times: Vec<f64> = report.nodes.iter().filter_map(|node| node.downtime.workload_seconds).collect();
    if times.len() > 1 {
        text.push_str(&format!("<h2>How long pods were away</h2>\n{}", histogram(&times)));
    }
    text
}

#[allow(clippy::cast_precision_loss)] // Shares of a few thousand nodes, drawn a few hundred points wide.
fn waves(all: &[Wave]) -> String {
    const WIDTH: f64 = 560.0;
    const LEFT: f64 = 140.0;
    const HEIGHT: f64 = 26.0;
    let mut bars = String::new();
    for (place, wave) in all.iter().enumerate() {
        let top = place as f64 * HEIGHT;
        let name = if wave.wave.is_empty() { "all" } else { &wave.wave };
        bars.push_str(&format!("<text x=\"0\" y=\"{:.0}\">{} ({})</text>", top + 16.0, escape(name), wave.nodes));
        let mut left = LEFT;
        for (state, count) in &wave.states {
            let width = WIDTH * *count as f64 / wave.nodes.max(1) as f64;
            bars.push_str(&format!(
                "<rect class=\"{}\" x=\"{left:.1}\" y=\"{:.0}\" width=\"{:.1}\" height=\"18\"><title>{}: {count} {}</title></rect>",
                class(*state),
                top + 3.0,
                (width - 1.0).max(0.5),
                escape(name),
                shown(*state)
            ));
            left += width;
        }
    }
    let height = all.len() as f64 * HEIGHT;
    format!(
        "<svg viewBox=\"0 0 700 {height:.0}\" width=\"700\" role=\"img\" aria-label=\"States of the nodes of {}\">{bars}</svg>\n",
        counted(all.len(), "wave")
    )
}

/// Equal classes from nothing to the longest, so that two pages can be compared by eye.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // As above.
fn histogram(times: &[f64]) -> String {
    let longest = times.iter().copied().fold(1.0, f64::max);
    let mut counts = [0_usize; BARS];
    for time in times {
        let class = ((time.max(0.0) / longest) * BARS as f64) as usize;
        if let Some(count) = counts.get_mut(class.min(BARS - 1)) {
            *count += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let width = 640.0 / BARS as f64;
    let mut bars = String::new();
    for (place, count) in counts.iter().enumerate() {
        let (from, to) = (longest * place as f64 / BARS as f64, longest * (place + 1) as f64 / BARS as f64);
        let height = 120.0 * *count as f64 / most;
        bars.push_str(&format!(
            "<rect class=\"wait\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{} to {}: {}</title></rect>",
            30.0 + place as f64 * width,
            130.0 - height,
            width - 2.0,
            seconds(from),
            seconds(to),
            counted(*count, "node")
        ));
    }
    format!(
        "<svg viewBox=\"0 0 700 160\" width=\"700\" role=\"img\" aria-label=\"How many nodes were without pods for how long\">{bars}\
         <text x=\"30\" y=\"150\">0 s</text><text x=\"670\" y=\"150\" text-anchor=\"end\">{}</text>\
         <text x=\"0\" y=\"20\">{most:.0}</text></svg>\n",
        seconds(longest)
    )
}
