//! A plan as one page: what a reviewer has to see before it is approved.

use super::{
    Choice, Page, Segment, Table, Tone, badge, bar, card, diff,
    diff::{UNFOLDED, VIEWS},
    filter, finding_tone, yes_no,
};
use crate::{
    model::{Action, Change, Finding, Plan, Risk, SettingVerdict, Severity, Step, Verdict},
    report::{
        diff::Diff,
        markup::{escape, path, prose},
        plan::Again,
        stops::{self, Stop},
        table::bytes,
        words,
    },
};

/// A plan as HTML. `again` says how the same plan is made again.
pub fn plan(plan: &Plan, again: Again<'_>) -> String {
    let title = format!("Plan {} for {}", plan.id, plan.node);
    let stops = stops::stops(plan);
    let (tone, sentence) = verdict(plan);
    let lead = format!(
        "{}<p>{}</p>\n<p class=\"faint\">Goal: {}. Made by castoff {} for {}.</p>\n",
        Page::state(tone, &sentence),
        if plan.is_empty() { String::new() } else { escape(&stops::headline(plan, &stops)) },
        words::goal(plan.goal),
        escape(&plan.tool),
        if plan.live { "a running node" } else { "a node's file tree" }
    );
    let mut page = Page::new("castoff plan", &title, tone, &lead);
    page.section("summary", "Summary", None, &summary(plan, again));
    page.section("findings", "Findings", Some(plan.findings.len()), &findings(plan));
    page.section("steps", "Steps", Some(plan.steps.len()), &steps(plan));
    page.section("stops", "What stops", None, &stopped(plan, &stops));
    page.section("settings", "Docker’s settings", Some(plan.verdicts.len()), &settings(&plan.verdicts));
    let files = files(plan, |_| String::new());
    page.section("files", "Files", Some(written(plan).count()), &files);
    page.section("choices", "Choices", None, &choices(plan));
    page.html()
}

fn verdict(plan: &Plan) -> (Tone, String) {
    let blocking: Vec<&str> = plan.blocking().map(|finding| finding.id.as_str()).collect();
    if !blocking.is_empty() {
        return (Tone::Bad, format!("It cannot be applied: {}", blocking.join(", ")));
    }
    if plan.is_empty() {
        return (Tone::Good, "Nothing to do: the node is as wanted.".to_owned());
    }
    let undo =
        if plan.summary.irreversible == 0 { "every step can be taken back" } else { "some steps cannot be taken back" };
    let tone = if plan.summary.irreversible == 0 { Tone::Good } else { Tone::Care };
    (tone, format!("It can be applied; {undo}."))
}

fn summary(plan: &Plan, again: Again<'_>) -> String {
    let s = plan.summary;
    let count = |severity| plan.findings.iter().filter(|finding| finding.severity == severity).count();
    let (block, warn) = (plan.blocking().count(), count(Severity::Warn));
    let manual = plan.verdicts.iter().filter(|one| one.verdict == Verdict::Manual).count();
    let some = |tone: Tone, count: usize| (count > 0).then_some(tone);
    let pods = if plan.restarts_pods() { ("yes", Some(Tone::Care)) } else { ("no", None) };
    let mut cards = [
        card(None, &s.update.to_string(), "to change", ""),
        card(None, &s.create.to_string(), "to create", ""),
        card(None, &s.run.to_string(), if s.run == 1 { "action" } else { "actions" }, ""),
        card(some(Tone::Bad, s.irreversible), &s.irreversible.to_string(), "irreversible", ""),
        card(pods.1, pods.0, "pods restart", ""),
        card(some(Tone::Bad, block), &block.to_string(), "blocking", ""),
        card(some(Tone::Care, warn), &warn.to_string(), if warn == 1 { "warning" } else { "warnings" }, ""),
        card(some(Tone::Care, manual), &manual.to_string(), "settings by hand", ""),
    ]
    .concat();
    if s.delete > 0 {
        cards.push_str(&card(Some(Tone::Bad), &s.delete.to_string(), "to remove", ""));
    }
    let (options, apply, node) = (escape(again.plan), escape(again.apply), escape(again.node));
    format!(
        "<ul class=\"cards\">\n{cards}</ul>\n<div class=\"box\">\n<p><strong>To approve</strong>: the digest. It covers the node, the \
         goal, the choices and every change down to the content of the files; two plans with the same digest do the same.</p>\n\
         <code class=\"digest\">{}</code>\n<p>Save the plan and compare its digest with this one; then apply exactly it. A \
         file that changes in between makes castoff refuse.</p>\n<pre><code>castoff plan{options} --out plan.json</code>\
         <code>castoff apply{apply} plan.json</code></pre>\n\
         <p>Back again: <code>castoff rollback{node}</code>.</p>\n</div>\n",
        escape(&plan.digest.to_string())
    )
}

/// Findings of a plan or a run. `steps` gives the number of a step.
pub fn finding(finding: &Finding, skipped: bool, steps: &dyn Fn(&str) -> Option<usize>) -> String {
    let mut facts = String::new();
    let mut fact = |name: &str, html: String| {
        if !html.is_empty() {
            facts.push_str(&format!("<dt>{name}</dt><dd>{html}</dd>\n"));
        }
    };
    fact("Cause", prose(&finding.cause));
    let origins: Vec<String> =
        finding.origins.iter().map(|at| format!("<code>{}</code>", path(&at.to_string()))).collect();
    fact("Seen at", origins.join("<br>"));
    fact("What to do", prose(&finding.fix));
    let answered: Vec<String> = finding
        .steps
        .iter()
        .map(|id| match steps(id) {
            Some(index) => format!("<a href=\"#step-{index}\">step {index}</a>"),
            None => escape(id),
        })
        .collect();
    fact("Answered by", answered.join(", "));
    let tone = finding_tone(finding.severity);
    let skipped = if skipped { " <span class=\"faint\">skipped on purpose</span>" } else { "" };
    format!(
        "<article class=\"finding\">\n<h3>{} <span>{}</span> <code>{}</code>{skipped}</h3>\n<dl class=\"facts\">{facts}</dl>\n</article>\n",
        badge(tone, tone.symbol(), finding.severity.word()),
        prose(&finding.summary),
        escape(&finding.id),
    )
    .replace("<dl class=\"facts\"></dl>\n", "")
}

fn findings(plan: &Plan) -> String {
    let number = |id: &str| plan.steps.iter().find(|step| step.id == id).map(|step| step.index);
    plan.findings.iter().map(|one| finding(one, plan.desired.skip_checks.contains(&one.id), &number)).collect()
}

/// The tone of a change.
pub const fn change_tone(change: Change) -> Tone {
    match change {
        Change::Create => Tone::Good,
        Change::Update => Tone::Care,
        Change::Delete => Tone::Bad,
        Change::Run => Tone::Wait,
        Change::NoOp => Tone::Faint,
    }
}

/// What a step acts on; a file's diff is linked.
pub fn object(step: &Step) -> String {
    let object = escape(&step.action.object());
    match &step.action {
        Action::WriteFile { diff, .. } if !diff.is_empty() => {
            format!("<a href=\"#file-{}\"><code>{object}</code></a>", step.index)
        }
        Action::ImportImages { images, bytes: size, .. } => {
            let names: Vec<String> = images.iter().map(|image| format!("<code>{}</code>", escape(image))).collect();
            format!("{object} ({}): {}", bytes(*size), names.join(", "))
        }
        Action::WriteFile { .. } | Action::MakeDir { .. } | Action::AwaitCri { .. } => format!("<code>{object}</code>"),
        _ => object,
    }
}

fn steps(plan: &Plan) -> String {
    let mut table = Table::new(
        "steps",
        &[("#", "number"), ("Change", "short"), ("What, and why", "wide"), ("Risk", "short"), ("Taken back", "name")],
    )
    .class("stack numbered");
    let mut phase = "";
    for step in &plan.steps {
        if step.phase != phase {
            phase = &step.phase;
            table.group(words::phase(phase));
        }
        let risk = match step.risk {
            Risk::None => String::new(),
            Risk::RestartsPods => badge(Tone::Care, "!", words::risk(step.risk)),
            Risk::Irreversible => badge(Tone::Bad, "✘", words::risk(step.risk)),
        };
        let tone = change_tone(step.change);
        table.row(
            &format!("step-{}", step.index),
            "",
            &[
                step.index.to_string(),
                format!("<span class=\"sym {}\">{}</span> {}", tone.class(), step.change.symbol(), step.action.word()),
                format!("{}<span class=\"why\">{}</span>", object(step), prose(&words::reasons(step))),
                risk,
                words::undo(step.undo).to_owned(),
            ],
        );
    }
    let later = plan.deferred.iter().fold(String::new(), |all, line| all + "<li>" + &escape(line) + "</li>\n");
    let later =
        if later.is_empty() { later } else { format!("<p><strong>Afterwards</strong></p>\n<ul>\n{later}</ul>\n") };
    table.html() + &later
}

#[allow(clippy::cast_precision_loss)] // Steps of a plan are few.
fn stopped(plan: &Plan, stops: &[Stop]) -> String {
    if plan.is_empty() {
        return String::new();
    }
    if stops.is_empty() {
        return format!("<p>{}</p>\n", escape(&stops::headline(plan, stops)));
    }
    let all = plan.steps.len().max(1) as f64;
    let mut table = Table::new(
        "stops",
        &[("What", ""), ("When", "short"), ("In the order of steps", "plot"), ("castoff waits", "")],
    )
    .class("stack bars");
    for stop in stops {
        let end = stop.to.unwrap_or(plan.steps.len());
        let segment = Segment {
            tone: if stop.pods { Tone::Care } else { Tone::Wait },
            from: stop.from.saturating_sub(1) as f64 / all,
            to: end as f64 / all,
            title: format!("{}: {}", stop.what, stop.between()),
        };
        let what = if stop.pods { badge(Tone::Care, "!", &stop.what) } else { escape(&stop.what) };
        table.row("", "", &[what, stop.between(), bar(&[segment]), stop.deadline()]);
    }
    format!(
        "{}<p class=\"faint\">How long it takes depends on how fast pods end and start, and on what has to be pulled; a plan does not know \
         that and names no seconds. <em>castoff waits</em> adds up the deadlines of the steps: when one passes, everything is taken \
         back. The report of a run (<code>castoff show</code>) has the times that were measured.</p>\n",
        table.html()
    )
}

/// The tone of a verdict.
pub const fn verdict_tone(verdict: Verdict) -> (Tone, &'static str) {
    match verdict {
        Verdict::Carried => (Tone::Good, "→"),
        Verdict::Equal => (Tone::Good, "="),
        Verdict::NoEquivalent => (Tone::Faint, "∅"),
        Verdict::Manual => (Tone::Care, "!"),
    }
}

fn settings(verdicts: &[SettingVerdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let choices: Vec<Choice> = [Verdict::Carried, Verdict::Equal, Verdict::NoEquivalent, Verdict::Manual]
        .into_iter()
        .map(|verdict| Choice {
            key: verdict.word(),
            word: verdict.word().to_owned(),
            count: verdicts.iter().filter(|one| one.verdict == verdict).count(),
        })
        .filter(|choice| choice.count > 0)
        .collect();
    let mut table = Table::new(
        "settings",
        &[
            ("Setting", "name"),
            ("Value", "wide"),
            ("Verdict", "short"),
            ("Goes to", "name"),
            ("Why", "wide"),
            ("Set in", "name"),
        ],
    )
    .id("table-settings");
    for one in verdicts {
        let (tone, symbol) = verdict_tone(one.verdict);
        table.row(
            "",
            one.verdict.word(),
            &[
                format!("<code>{}</code>", escape(&one.setting)),
                format!("<code>{}</code>", escape(&one.value.to_string())),
                badge(tone, symbol, one.verdict.word()),
                one.target.as_deref().map(path).unwrap_or_default(),
                prose(&one.note),
                format!("<code class=\"faint\">{}</code>", path(&one.origin.to_string())),
            ],
        );
    }
    let filter = filter("table-settings", "Docker’s settings", "setting, value, file", "Verdicts", &choices);
    filter + &table.html()
}

/// The files a plan writes: step, path and diff; those without a diff are left out.
pub fn written(plan: &Plan) -> impl Iterator<Item = (&Step, &str, &str)> {
    plan.steps.iter().filter_map(|step| match &step.action {
        Action::WriteFile { path, diff, .. } if !diff.is_empty() => Some((step, path.as_str(), diff.as_str())),
        _ => None,
    })
}

/// The files a plan writes, with their diffs. `remark` is HTML that stands behind a file's name.
pub fn files(plan: &Plan, remark: impl Fn(&Step) -> String) -> String {
    let all: Vec<(&Step, &str, Diff<'_>)> =
        written(plan).map(|(step, path, text)| (step, path, Diff::read(text))).collect();
    if all.is_empty() {
        return String::new();
    }
    let mut room = UNFOLDED;
    let mut text = VIEWS.to_owned();
    for (step, path, diff) in &all {
        let lines: usize = diff.hunks.iter().map(|hunk| hunk.lines.len()).sum();
        let unfolded = lines <= room;
        room -= if unfolded { lines } else { 0 };
        let (id, symbol) = (format!("file-{}", step.index), step.change.symbol());
        text.push_str(&diff::file(&id, symbol, path, &remark(step), diff, unfolded));
    }
    text + "<p class=\"faint\">Secrets are masked the same way on both sides: equal marks are equal secrets.</p>\n"
}

fn choices(plan: &Plan) -> String {
    let wanted = &plan.desired;
    let t = &wanted.timeouts;
    let mut facts = String::new();
    let mut fact = |name: &str, value: &str| facts.push_str(&format!("<dt>{name}</dt><dd>{}</dd>\n", escape(value)));
    fact("Endpoint", &wanted.endpoint);
    fact("Sandbox image", wanted.sandbox_image.as_deref().unwrap_or("the one kubelet uses, else containerd's own"));
    let edit = wanted.containerd_config.is_edit();
    fact("containerd's configuration", if edit { "edited in place; comments stay" } else { "made anew" });
    fact("Docker's units", words::docker(wanted.docker));
    fact("Images that come along", words::images(wanted.images));
    fact("Drained before", yes_no(plan.drains()));
    let skipped = if wanted.skip_checks.is_empty() { "none".to_owned() } else { wanted.skip_checks.join(", ") };
    fact("Findings that do not block", &skipped);
    let mut waits = format!("a unit {}, pods {}, all images {}", t.unit, t.pods, t.images);
    if plan.drains() {
        waits.push_str(&format!(", evicted pods {}", t.drain));
    }
    fact("Deadlines", &waits);
    format!(
        "<div class=\"choices\"><dl class=\"facts\">\n{facts}</dl></div>\n<p class=\"faint\">The plan follows from these and from the node; they come from the profile and the command line.</p>\n"
    )
}
