//! `castoff plan` for people: steps in order, diffs, verdicts.

use super::{
    findings,
    style::{self, BAD, CAUTION, DIM, GOOD, HINT, Look, STRONG, paint},
    table::{bytes, pad, wrap},
};
use crate::model::{Action, Plan, Risk, SettingVerdict, Step, Verdict};

/// Options with which the same plan is made again, each with a blank before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Again<'a> {
    /// Those that decide what is planned.
    pub plan: &'a str,
    /// Those that a saved plan needs beside it.
    pub apply: &'a str,
    /// Those that only say which node is meant.
    pub node: &'a str,
}

/// A plan as text.
pub fn plan(plan: &Plan, look: Look, diffs: bool) -> String {
    if plan.is_empty() {
        let mut text = format!("{}: nothing to do.\n", plan.node);
        text.push_str(&findings(&plan.findings, &plan.desired.skip_checks, look));
        return text;
    }
    let s = plan.summary;
    let mut text = format!(
        "{} for {}: {} to change, {} to create, {} actions, {} irreversible\n\n",
        paint(STRONG, format!("Plan {}", plan.id)),
        plan.node,
        s.update,
        s.create,
        s.run,
        s.irreversible
    );
    let blocking: Vec<&str> = plan.blocking().map(|finding| finding.id.as_str()).collect();
    if !blocking.is_empty() {
        text.push_str(&format!("{}\n\n", paint(BAD, format!("It cannot be applied: {}", blocking.join(", ")))));
    }
    for step in &plan.steps {
        text.push_str(&line(step, look));
    }
    for deferred in &plan.deferred {
        text.push_str(&format!("     {}\n", paint(DIM, wrap(deferred, look.width, 5))));
    }
    if diffs {
        for step in &plan.steps {
            if let Action::WriteFile { diff, .. } = &step.action {
                text.push('\n');
                text.push_str(&colour_diff(diff));
            }
        }
    }
    text.push_str(&verdicts(&plan.verdicts, look));
    text.push_str(&findings(&plan.findings, &plan.desired.skip_checks, look));
    let undo = if s.irreversible == 0 { "every step can be taken back" } else { "some steps cannot be taken back" };
    text.push_str(&format!("\nUndo: {undo}. Digest: {}\n", plan.digest));
    text
}

fn line(step: &Step, look: Look) -> String {
    let symbol = paint(style::of_change(step.change), step.change.symbol());
    let mut object = step.action.object();
    if let Action::ImportImages { images, bytes: size, .. } = &step.action {
        object = format!("{object} ({}): {}", bytes(*size), images.join(", "));
    }
    let risk = if step.risk == Risk::RestartsPods { paint(CAUTION, " [pods stop or restart]") } else { String::new() };
    let head = format!("{:>3} {symbol} {} {object}", step.index, pad(step.action.word(), 8));
    let why = wrap(&step.why.join("; "), look.width, 15);
    format!("{head}{risk}\n               {}\n", paint(DIM, why))
}

fn colour_diff(diff: &str) -> String {
    let mut text = String::with_capacity(diff.len());
    for line in diff.lines() {
        match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++") => text.push_str(&paint(GOOD, line)),
            Some(b'-') if !line.starts_with("---") => text.push_str(&paint(BAD, line)),
            Some(b'@') => text.push_str(&paint(HINT, line)),
            Some(b'+' | b'-') => text.push_str(&paint(STRONG, line)),
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Verdicts as text.
pub fn verdicts(verdicts: &[SettingVerdict], look: Look) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", paint(STRONG, "Docker's settings"));
    for verdict in verdicts {
        let style = match verdict.verdict {
            Verdict::Carried | Verdict::Equal => GOOD,
            Verdict::NoEquivalent => DIM,
            Verdict::Manual => CAUTION,
        };
        let word = paint(style, pad(verdict.verdict.word(), 14));
        let value = verdict.value.to_string();
        text.push_str(&format!("  {word}{} = {}\n", verdict.setting, wrap(&value, look.width, 16)));
        text.push_str(&format!("                {}\n", paint(DIM, &verdict.origin)));
        let target = verdict.target.as_ref().map(|target| format!("{target}: ")).unwrap_or_default();
        text.push_str(&format!("                {}\n", wrap(&format!("{target}{}", verdict.note), look.width, 16)));
    }
    text
}
