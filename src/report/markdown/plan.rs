//! A plan for a merge request.

use super::words::{cell, code, fence, folded, prose, table};
use crate::{
    model::{Action, Finding, Plan, Step},
    report::{
        diff::Diff,
        markup::escape,
        plan::Again,
        stops,
        table::{bytes, counted},
        words,
    },
};

/// A plan as Markdown. `again` says how the same plan is made again.
pub fn plan(plan: &Plan, again: Again<'_>) -> String {
    let mut text = format!("## Plan {} for {}\n\n", cell(&plan.id), cell(&plan.node));
    let blocking: Vec<String> = plan.blocking().map(|finding| code(&finding.id)).collect();
    if !blocking.is_empty() {
        text.push_str(&format!("**It cannot be applied:** {}\n\n", blocking.join(", ")));
    }
    if plan.is_empty() {
        text.push_str("Nothing to do: the node is as wanted.\n\n");
        text.push_str(&findings(&plan.findings, &plan.desired.skip_checks));
        return text;
    }
    let stops = stops::stops(plan);
    text.push_str(&format!(
        "{}. {}\n\nDigest to approve: `{}`\n\n",
        stops::amounts(plan),
        cell(&stops::headline(plan, &stops)),
        plan.digest
    ));
    let Again { plan: options, apply, .. } = again;
    text.push_str(&fence("", &format!("castoff plan{options} --out plan.json\ncastoff apply{apply} plan.json\n")));
    text.push_str(&format!("\n### Steps\n\n{}", steps(&plan.steps)));
    for line in &plan.deferred {
        text.push_str(&format!("\n- {}", cell(line)));
    }
    text.push('\n');
    if !stops.is_empty() {
        let rows = stops.iter().map(|stop| {
            let what = cell(&stop.what);
            vec![if stop.pods { format!("**{what}**") } else { what }, stop.between(), stop.deadline()]
        });
        text.push_str(&format!("\n### What stops\n\n{}", table(&["what", "when", "castoff waits"], rows)));
    }
    text.push_str(&findings(&plan.findings, &plan.desired.skip_checks));
    if !plan.verdicts.is_empty() {
        let rows = plan.verdicts.iter().map(|one| {
            vec![
                code(&one.setting),
                code(&one.value.to_string()),
                one.verdict.word().to_owned(),
                cell(one.target.as_deref().unwrap_or_default()),
                prose(&one.note),
                code(&one.origin.to_string()),
            ]
        });
        let settings = table(&["setting", "value", "verdict", "goes to", "why", "set in"], rows);
        text.push_str("\n### Docker's settings\n\n");
        text.push_str(&folded(&counted(plan.verdicts.len(), "setting"), &settings));
    }
    text.push_str(&diffs(plan, |_| String::new()));
    text
}

fn steps(steps: &[Step]) -> String {
    let rows = steps.iter().map(|step| {
        let object = match &step.action {
            Action::WriteFile { path, .. } | Action::MakeDir { path, .. } => code(path),
            Action::ImportImages { images, bytes: size, .. } => {
                let names: Vec<String> = images.iter().map(|image| code(image)).collect();
                format!("{} ({}): {}", cell(&step.action.object()), bytes(*size), names.join(", "))
            }
            action => cell(&action.object()),
        };
        let risk = words::risk(step.risk);
        vec![
            step.index.to_string(),
            format!("`{}`", step.change.symbol()),
            format!("{} {object}", step.action.word()),
            prose(&words::reasons(step)),
            if risk.is_empty() { String::new() } else { format!("**{risk}**") },
            words::undo(step.undo).to_owned(),
        ]
    });
    table(&["#", "", "what", "why", "risk", "taken back"], rows)
}

/// Findings of a plan or a run.
pub fn findings(findings: &[Finding], skipped: &[String]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let mut text = format!("\n### Findings\n\n{}\n\n", words::weights(count));
    for finding in findings {
        let off = if skipped.contains(&finding.id) { " (skipped on purpose)" } else { "" };
        text.push_str(&format!(
            "- **{}** {}{off}: {}\n",
            finding.severity.word(),
            code(&finding.id),
            prose(&finding.summary)
        ));
        if !finding.cause.is_empty() {
            text.push_str(&format!("  - cause: {}\n", prose(&finding.cause)));
        }
        let origins: Vec<String> = finding.origins.iter().map(|origin| code(&origin.to_string())).collect();
        if !origins.is_empty() {
            text.push_str(&format!("  - seen at: {}\n", origins.join(", ")));
        }
        if !finding.fix.is_empty() {
            text.push_str(&format!("  - what to do: {}\n", prose(&finding.fix)));
        }
    }
    text
}

/// The diffs of all files, each folded. `remark` is Markdown's plain text behind a file's name.
pub fn diffs(plan: &Plan, remark: impl Fn(&Step) -> String) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let Action::WriteFile { path, diff, .. } = &step.action else { continue };
        if diff.is_empty() {
            continue;
        }
        let (added, cut) = Diff::read(diff).counts();
        let summary = format!("{} <code>{}</code> +{added} −{cut}{}", step.change.symbol(), escape(path), remark(step));
        text.push_str(&folded(&summary.replace('\n', " "), &fence("diff", diff)));
    }
    if text.is_empty() { text } else { format!("\n### Files\n\n{text}") }
}
