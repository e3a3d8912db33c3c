//! A finished run as one page.

use super::{
    Choice, Page, Segment, Table, Tone, badge, bar, card, filter,
    plan::{files, finding, object, written},
};
use crate::{
    model::{Action, Check, CheckStatus, Outcome, Plan, RunReport, Step, StepResult, StepStatus},
    report::{
        course::{self, Act, Course},
        markup::{escape, prose},
        run::{RunView, back, outcome},
        stops::away,
        style,
        table::{counted, seconds},
        words,
    },
};

/// A run as HTML.
pub fn run(view: RunView<'_>) -> String {
    let RunView { report, plan, entries, options } = view;
    let (style, sentence) = outcome(report);
    let tone = match style {
        style::BAD => Tone::Bad,
        style::CAUTION => Tone::Care,
        _ => Tone::Good,
    };
    let lead = format!(
        "{}<p class=\"faint\">{} to {}. Plan {}, castoff {}, exit code {}.</p>\n",
        Page::state(tone, &sentence),
        escape(&report.started),
        escape(&report.finished),
        escape(&report.plan),
        escape(&report.tool),
        report.exit_code
    );
    let (forward, backward) = (course::forward(entries), course::backward(entries));
    let mut page = Page::new("castoff run", &format!("Run {} on {}", report.run, report.node), tone, &lead);
    page.section("summary", "Summary", None, &summary(report));
    page.section("back", "How to go back", None, &go_back(report, options));
    page.section("phases", "Phases", None, &phases(report, plan, &forward));
    page.section("steps", "Steps", Some(report.steps.len()), &steps(report, plan, &forward));
    page.section("rollback", "Taking back", None, &taken_back(report, plan, &backward));
    page.section("proof", "Proof", Some(report.verification.len()), &proof(&report.verification));
    let number = |id: &str| report.steps.iter().find(|step| step.id == id).map(|step| step.index);
    let findings: String = report.findings.iter().map(|one| finding(one, false, &number)).collect();
    page.section("findings", "Findings", Some(report.findings.len()), &findings);
    if let Some(plan) = plan {
        page.section("files", "Files", Some(written(plan).count()), &files(plan, |step| remark(report, step)));
    }
    page.html()
}

fn summary(report: &RunReport) -> String {
    let count = |status| report.steps.iter().filter(|step| step.status == status).count();
    let passed = report.verification.iter().filter(|check| check.status == CheckStatus::Pass).count();
    let failed = report.verification.iter().filter(|check| check.status == CheckStatus::Fail).count();
    let total: f64 = report.phases.iter().map(|phase| phase.seconds).sum();
    let mut cards = String::new();
    let forward = report.downtime;
    cards.push_str(&card(None, &away(forward.workload_seconds), "pods away", ""));
    cards.push_str(&card(None, &away(forward.kubelet_seconds), "kubelet away", ""));
    if let Some(back) = report.rollback_downtime {
        cards.push_str(&card(None, &away(back.workload_seconds), "pods away", "while taking back"));
        cards.push_str(&card(None, &away(back.kubelet_seconds), "kubelet away", "while taking back"));
    }
    cards.push_str(&card(None, &seconds(total), "in all phases", ""));
    cards.push_str(&card(None, &format!("{} of {}", count(StepStatus::Done), report.steps.len()), "steps done", ""));
    if !report.verification.is_empty() {
        let tone = if failed > 0 { Tone::Bad } else { Tone::Good };
        let remark = if failed > 0 { format!("{failed} failed") } else { String::new() };
        cards.push_str(&card(
            Some(tone),
            &format!("{passed} of {}", report.verification.len()),
            "checks passed",
            &remark,
        ));
    }
    let kept = if report.committed { "yes" } else { "no" };
    if report.outcome == Outcome::Applied {
        cards.push_str(&card(None, kept, "committed", ""));
    }
    let cost = report.overhead.map_or_else(String::new, |cost| {
        format!(
            "<p class=\"faint\">Being able to take it back cost {} for {}, {} for the guard at boot, and {} at the end until all was on disk.</p>\n",
            seconds(cost.sync_seconds),
            counted(cost.syncs as usize, "sync"),
            seconds(cost.guard_seconds),
            seconds(cost.settle_seconds)
        )
    });
    format!("<ul class=\"cards\">\n{cards}</ul>\n{cost}")
}

fn go_back(report: &RunReport, options: &str) -> String {
    let (sentences, commands) = back(report, options);
    let mut text = sentences.iter().fold(String::new(), |all, sentence| all + "<p>" + &escape(sentence) + "</p>\n");
    if !commands.is_empty() {
        let lines = commands.iter().fold(String::new(), |all, line| all + "<code>" + &escape(line) + "</code>");
        text.push_str(&format!("<pre>{lines}</pre>\n"));
    }
    format!("<div class=\"box\">\n{text}</div>\n")
}

fn step_of(plan: Option<&Plan>, index: usize) -> Option<&Step> {
    plan?.steps.iter().find(|step| step.index == index)
}

fn segment(course: &Course, tone: Tone, act: Act, title: &str) -> Segment {
    let title = format!("{title}: {} after {}", seconds(act.to - act.from), seconds(act.from));
    Segment { tone, from: course.share(act.from), to: course.share(act.to), title }
}

/// Every phase, and what was away, on one scale.
fn phases(report: &RunReport, plan: Option<&Plan>, course: &Course) -> String {
    let mut table =
        Table::new("phases", &[("Phase", "short"), ("When", "plot"), ("Time", "number")]).class("stack bars");
    for phase in &report.phases {
        let mine = |act: &&Act| step_of(plan, act.index).is_some_and(|step| step.phase == phase.name);
        let pieces: Vec<Segment> = course
            .acts
            .iter()
            .filter(mine)
            .map(|act| segment(course, Tone::Wait, *act, step_of(plan, act.index).map_or("", |step| step.id.as_str())))
            .collect();
        let plot = if pieces.is_empty() { String::new() } else { bar(&pieces) };
        table.row("", "", &[escape(words::phase(&phase.name)), plot, seconds(phase.seconds)]);
    }
    let away = [
        ("kubelet away", "stop-kubelet", &["start-kubelet"][..], report.downtime.kubelet_seconds),
        ("pods away", "stop-docker-pods", &["await-pods"][..], report.downtime.workload_seconds),
    ];
    for (what, from, to, time) in away {
        let Some(time) = time else { continue };
        let span = plan.and_then(|plan| course.span(plan, from, to));
        let plot = span.map_or_else(String::new, |(from, to)| {
            bar(&[segment(course, Tone::Care, Act { index: 0, from, to }, what)])
        });
        table.row("", "", &[badge(Tone::Care, "!", what), plot, seconds(time)]);
    }
    let scale = if course.length > 0.0 {
        format!(
            "<p class=\"faint\">The bars span {}, from the first record of the journal to the last step’s end.</p>\n",
            seconds(course.length)
        )
    } else {
        String::new()
    };
    let table = table.html();
    if table.is_empty() { table } else { table + &scale }
}

const fn status(status: StepStatus) -> (Tone, &'static str) {
    match status {
        StepStatus::Done => (Tone::Good, "✔"),
        StepStatus::Failed | StepStatus::UndoFailed => (Tone::Bad, "✘"),
        StepStatus::Undone => (Tone::Care, "↩"),
        StepStatus::Pending => (Tone::Faint, "–"),
    }
}

/// The step as the plan has it, with what it said of itself.
fn what(result: &StepResult, plan: Option<&Plan>) -> String {
    let detail =
        result.detail.as_deref().map(|text| format!("<span class=\"why\">{}</span>", prose(text))).unwrap_or_default();
    match step_of(plan, result.index) {
        Some(step) => format!("{} {}{detail}", step.action.word(), object(step)),
        None => format!("<code>{}</code>{detail}", escape(&result.id)),
    }
}

fn steps(report: &RunReport, plan: Option<&Plan>, course: &Course) -> String {
    let head = [("#", "number"), ("Result", "short"), ("What", "wide"), ("When", "plot"), ("Time", "number")];
    let mut table = Table::new("steps", &head).class("stack bars numbered");
    for result in &report.steps {
        let (tone, symbol) = status(result.status);
        let tone_of_bar = if result.status == StepStatus::Failed { Tone::Bad } else { Tone::Wait };
        let pieces: Vec<Segment> = course
            .acts
            .iter()
            .filter(|act| act.index == result.index)
            .map(|act| segment(course, tone_of_bar, *act, &result.id))
            .collect();
        table.row(
            &format!("step-{}", result.index),
            "",
            &[
                result.index.to_string(),
                badge(tone, symbol, words::step(result.status)),
                what(result, plan),
                if pieces.is_empty() { String::new() } else { bar(&pieces) },
                result.seconds.map(seconds).unwrap_or_default(),
            ],
        );
    }
    table.html()
}

fn taken_back(report: &RunReport, plan: Option<&Plan>, course: &Course) -> String {
    let head = [("#", "number"), ("What", "wide"), ("When", "plot"), ("Time", "number")];
    let mut table = Table::new("rollback", &head).class("stack bars");
    for act in &course.acts {
        let Some(result) = report.steps.iter().find(|step| step.index == act.index) else { continue };
        let what = match step_of(plan, act.index) {
            Some(step) => {
                format!("{} {}<span class=\"why\">{}</span>", step.action.word(), object(step), words::undo(step.undo))
            }
            None => format!("<code>{}</code>", escape(&result.id)),
        };
        table.row(
            "",
            "",
            &[
                act.index.to_string(),
                what,
                bar(&[segment(course, Tone::Wait, *act, &result.id)]),
                seconds(act.to - act.from),
            ],
        );
    }
    let table = table.html();
    if table.is_empty() {
        return table;
    }
    format!("{table}<p class=\"faint\">The bars span {}.</p>\n", seconds(course.length))
}

const fn result(status: CheckStatus) -> (Tone, &'static str) {
    match status {
        CheckStatus::Pass => (Tone::Good, "✔"),
        CheckStatus::Fail => (Tone::Bad, "✘"),
        CheckStatus::Skip => (Tone::Faint, "–"),
        CheckStatus::Inconclusive => (Tone::Care, "?"),
    }
}

fn proof(checks: &[Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let choices: Vec<Choice> = [CheckStatus::Pass, CheckStatus::Fail, CheckStatus::Inconclusive, CheckStatus::Skip]
        .into_iter()
        .map(|status| Choice {
            key: words::check(status),
            word: words::check(status).to_owned(),
            count: checks.iter().filter(|check| check.status == status).count(),
        })
        .filter(|choice| choice.count > 0)
        .collect();
    let head = [("Check", ""), ("Result", "short"), ("What was seen", "wide"), ("Time", "number")];
    let mut table = Table::new("proof", &head).id("table-proof");
    for check in checks {
        let (tone, symbol) = result(check.status);
        let mut seen = prose(&check.detail);
        let evidence = check.evidence.iter().fold(String::new(), |all, piece| {
            let error = piece.errno.map(|number| format!(" (errno {number})")).unwrap_or_default();
            all + &format!("<li><code>{}</code>: {}{error}</li>", escape(&piece.path), escape(&piece.value))
        });
        if !evidence.is_empty() && check.status != CheckStatus::Pass {
            seen.push_str(&format!("<ul>{evidence}</ul>"));
        }
        if let Some(remedy) = check.remedy.as_deref().filter(|_| check.status == CheckStatus::Fail) {
            seen.push_str(&format!("<p><strong>What to do:</strong> {}</p>", prose(remedy)));
        }
        table.row(
            "",
            words::check(check.status),
            &[
                format!("<code>{}</code>", escape(&check.id)),
                badge(tone, symbol, words::check(check.status)),
                seen,
                seconds(check.seconds),
            ],
        );
    }
    filter("table-proof", "the checks", "check, what was seen", "Results", &choices) + &table.html()
}

/// What became of a file, behind its name.
fn remark(report: &RunReport, step: &Step) -> String {
    debug_assert!(matches!(step.action, Action::WriteFile { .. }), "only files have diffs");
    let Some(result) = report.steps.iter().find(|result| result.index == step.index) else { return String::new() };
    let (tone, symbol) = status(result.status);
    format!(" {}", badge(tone, symbol, words::step(result.status)))
}
