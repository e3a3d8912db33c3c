//! A finished run for a merge request or a ticket.

use super::{
    plan::{diffs, findings},
    words::{cell, code, fence, folded, prose, table},
};
use crate::{
    model::{CheckStatus, Plan, RunReport},
    report::{
        run::{RunView, back, outcome},
        stops::away,
        table::seconds,
        words,
    },
};

/// A run as Markdown.
pub fn run(view: RunView<'_>) -> String {
    let RunView { report, plan, options, .. } = view;
    let mut text = format!(
        "## Run {} on {}\n\n**{}**\n\n{} to {}. Plan {}, castoff {}, exit code {}.\n\n",
        cell(&report.run),
        cell(&report.node),
        cell(&outcome(report).1),
        cell(&report.started),
        cell(&report.finished),
        cell(&report.plan),
        cell(&report.tool),
        report.exit_code
    );
    text.push_str(&times(report));
    let (sentences, commands) = back(report, options);
    text.push_str(&format!("\n### How to go back\n\n{}\n", cell(&sentences.join(" "))));
    if !commands.is_empty() {
        text.push_str(&format!("\n{}", fence("", &commands.join("\n"))));
    }
    text.push_str(&format!("\n### Steps\n\n{}", steps(report, plan)));
    text.push_str(&proof(report));
    text.push_str(&findings(&report.findings, &[]));
    if let Some(plan) = plan {
        let status = |index| report.steps.iter().find(|result| result.index == index).map(|result| result.status);
        let remark = |index| status(index).map(|status| format!(" ({})", words::step(status))).unwrap_or_default();
        text.push_str(&diffs(plan, |step| remark(step.index)));
    }
    text
}

fn times(report: &RunReport) -> String {
    let mut rows = Vec::new();
    let mut row = |what: &str, time: String| rows.push(vec![what.to_owned(), time]);
    row("pods away", away(report.downtime.workload_seconds));
    row("kubelet away", away(report.downtime.kubelet_seconds));
    if let Some(back) = report.rollback_downtime {
        row("pods away while taking back", away(back.workload_seconds));
        row("kubelet away while taking back", away(back.kubelet_seconds));
    }
    for phase in &report.phases {
        row(&cell(words::phase(&phase.name)), seconds(phase.seconds));
    }
    table(&["what", "time"], rows.into_iter())
}

fn steps(report: &RunReport, plan: Option<&Plan>) -> String {
    let rows = report.steps.iter().map(|result| {
        let step = plan.and_then(|plan| plan.steps.iter().find(|step| step.index == result.index));
        let what = step
            .map_or_else(|| code(&result.id), |step| format!("{} {}", step.action.word(), cell(&step.action.object())));
        vec![
            result.index.to_string(),
            what,
            words::step(result.status).to_owned(),
            result.seconds.map(seconds).unwrap_or_default(),
            prose(result.detail.as_deref().unwrap_or_default()),
        ]
    });
    table(&["#", "what", "result", "time", "remark"], rows)
}

/// Checks that did not pass stand for themselves, the others are folded.
fn proof(report: &RunReport) -> String {
    let checks = &report.verification;
    if checks.is_empty() {
        return String::new();
    }
    let list = |wanted: &dyn Fn(CheckStatus) -> bool| {
        let rows: Vec<Vec<String>> = checks
            .iter()
            .filter(|check| wanted(check.status))
            .map(|check| {
                let remedy = check.remedy.as_deref().filter(|_| check.status == CheckStatus::Fail);
                let hint = remedy.map(|text| format!(" To do: {text}")).unwrap_or_default();
                let seen = prose(&format!("{}{hint}", check.detail));
                vec![code(&check.id), words::check(check.status).to_owned(), seen, seconds(check.seconds)]
            })
            .collect();
        (rows.len(), table(&["check", "result", "what was seen", "time"], rows.into_iter()))
    };
    let open = |status| matches!(status, CheckStatus::Fail | CheckStatus::Inconclusive);
    let ((bad, look), (rest, fine)) = (list(&open), list(&|status| !open(status)));
    let mut text = "\n### Proof\n\n".to_owned();
    if bad > 0 {
        text.push_str(&format!("{look}\n"));
    }
    if rest > 0 {
        text.push_str(&folded(&format!("{rest} passed or skipped"), &fine));
    }
    text
}
