//! `castoff apply`, and what `migrate` shares with it.

use super::{
    args::{ApplyArgs, ChangeArgs, NodeArgs, RunFormat},
    context::{Context, Trying, json, make_plan, try_out},
    events::{self, Watching},
    exit::{Exit, Usage},
    repeat::{options_of_node, options_of_wish},
};
use crate::{
    apply::{self, Options, Refusal},
    host::{Clock as _, Host, Lock, Locked, RealClock, env, user_files, watch_signals},
    model::{API_VERSION, Action, CheckStatus, Digest, Facts, Finding, Goal, Outcome, Plan, RunReport, Severity, Span},
    report,
    ui::{Answer, Printer, Progress, Prompter},
    verify,
};
use anyhow::{Context as _, Result, anyhow};
use std::{path::Path, sync::atomic::Ordering};

/// Applies a saved plan, or the one that `plan` would show.
pub fn run(args: &ApplyArgs, printer: Printer) -> Result<Exit> {
    if let Some(path) = &args.plan {
        refuse_wishes(args, path)?;
    }
    args.cluster.refuse_idle()?;
    let mut context = Context::open(&args.node, &args.change.skip_check)?.with_cluster(&args.cluster)?;
    context.need_rights()?;
    apply::refuse_open_run(&context.host)?;
    let trying = Trying { wanted: !args.change.no_trial, printer };
    let plan = match &args.plan {
        Some(path) => {
            let mut plan = load(path, &args.change.skip_check)?;
            context.go_by(&plan);
            let facts = context.facts();
            try_out(&context, &facts, &mut plan, trying);
            if plan.blocking().next().is_none() && is_done(&plan, &context.host, &facts) {
                return nothing_to_do(&plan, &args.change, printer);
            }
            refuse_blocked(&plan, &args.change, printer)?;
            refuse_outdated(&plan, &context.host, &facts)?;
            plan
        }
        None => make_plan(&context, 3, trying),
    };
    refuse_blocked(&plan, &args.change, printer)?;
    if plan.is_empty() {
        return nothing_to_do(&plan, &args.change, printer);
    }
    if !args.change.yes {
        if let Some(exit) = not_confirmed(&plan, &args.node, printer)? {
            return Ok(exit);
        }
        refuse_outdated(&plan, &context.host, &context.facts())?;
    }
    carry_out(&context, &plan, &args.node, &args.change, Keep::unasked(&args.change), printer)
}

/// Refuses what decides what is planned beside a plan that is there: it would have no effect.
fn refuse_wishes(args: &ApplyArgs, plan: &Path) -> Result<()> {
    let mut given: Vec<&str> = args.cluster.given().into_iter().map(|(name, _)| name).collect();
    given.extend(args.node.goal.map(|_| "goal"));
    given.extend(args.node.profile.as_ref().map(|_| "profile"));
    if given.is_empty() {
        return Ok(());
    }
    let given: Vec<String> = given.into_iter().map(|name| format!("--{name}")).collect();
    let (given, plan) = (given.join(" "), plan.display());
    let what = format!("{given} decides what is planned, and {plan} is planned already");
    Err(Usage::error(what, format!("give it to `castoff plan --out {plan}`, and apply that plan without it")))
}

/// Shows a plan and asks for it; the exit code when it is not wanted.
pub(super) fn not_confirmed(plan: &Plan, node: &NodeArgs, printer: Printer) -> Result<Option<Exit>> {
    let prompter = prompter(node)?;
    printer.insist(&report::plan(plan, printer.look(), true));
    Ok(match prompter.confirm(&question(plan))? {
        Answer::Given(true) => None,
        Answer::Given(false) => {
            printer.insist("Nothing was changed.");
            Some(Exit::FAILURE)
        }
        Answer::Cancelled => {
            printer.insist("Cancelled. Nothing was changed.");
            Some(Exit::INTERRUPTED)
        }
    })
}

/// True when the node already is what a saved plan makes of it.
fn is_done(plan: &Plan, host: &Host, facts: &Facts) -> bool {
    let written = plan.steps.iter().all(|step| match &step.action {
        Action::WriteFile { path, after, .. } => {
            host.root.read(path).is_ok_and(|read| read.is_some_and(|read| read.digest() == after.digest))
        }
        _ => true,
    });
    plan.is_empty() || (written && plan_now(plan, facts).is_empty())
}

fn plan_now(plan: &Plan, facts: &Facts) -> Plan {
    crate::plan::plan(facts, &plan.desired, crate::plan::Options::default())
}

/// Refuses a plan that would come out differently now: somebody changed a file that it only reads, a package was
/// upgraded, a unit was masked. Pods come and go, so which of them are waited for and which images come along is left
/// as it was reviewed.
///
/// # Errors
/// [`Refusal::Stale`] with the first difference.
pub(super) fn refuse_outdated(plan: &Plan, host: &Host, facts: &Facts) -> Result<()> {
    // A file that it writes is named as such.
    apply::refuse_stale(host, plan)?;
    let now = plan_now(plan, facts);
    let (was, is) = (lasting(plan), lasting(&now));
    let names = |steps: &[(String, Option<&Digest>)], wanted: &str| steps.iter().any(|(what, _)| what == wanted);
    let otherwise = |what: &String| {
        if names(&is, what) { format!("{what} with another content") } else { format!("no longer {what}") }
    };
    let differs = was.iter().find(|step| !is.contains(step)).map(|(what, _)| otherwise(what));
    let also = || is.iter().find(|step| !was.contains(step)).map(|(what, _)| format!("also {what}"));
    let Some(what) = differs.or_else(also) else { return Ok(()) };
    // Whoever left `--assume` out sees another node.
    let or = if plan.live { "" } else { ", or other things are assumed of it (`--assume`)" };
    Err(Refusal::Stale(format!("the node has changed since it was made{or}; a plan made now would {what}")).into())
}

/// What a plan changes for good, with the content it writes.
fn lasting(plan: &Plan) -> Vec<(String, Option<&Digest>)> {
    let of = |action: &'_ Action| format!("{} {}", action.word(), action.object());
    plan.steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::WriteFile { after, .. } => Some((of(&step.action), Some(&after.digest))),
            Action::MakeDir { .. }
            | Action::EnableUnit { .. }
            | Action::DisableUnit { .. }
            | Action::MaskUnit { .. } => Some((of(&step.action), None)),
            _ => None,
        })
        .collect()
}

/// What is asked before anything happens.
pub fn question(plan: &Plan) -> String {
    let pods = if plan.restarts_pods() { " Pods on this node will restart." } else { "" };
    format!("Apply {} on {}?{pods}", report::counted(plan.steps.len(), "step"), plan.node)
}

/// Somebody who can answer, or the advice to say so on the command line.
pub fn prompter(node: &NodeArgs) -> Result<Prompter> {
    const HINT: &str = "`--yes` accepts the plan, `castoff plan` shows it";
    if node.non_interactive || env::is_set("CI") {
        return Err(Usage::error("a question would have to be asked, and questions are forbidden", HINT));
    }
    let nobody = || Usage::error("a question would have to be asked, and there is no terminal", HINT);
    Prompter::new(watch_signals()?).ok_or_else(nobody)
}

/// The report where no run was needed, or none was let begin. It has a time, by which a fleet knows what came later.
fn no_run(plan: &Plan, outcome: Outcome) -> RunReport {
    let now = RealClock::new().now();
    let report = apply::build_report("", plan, &[], outcome, apply::Extra::default());
    RunReport { started: now.clone(), finished: now, ..report }
}

/// Shows the findings that forbid a plan.
pub fn refuse_blocked(plan: &Plan, change: &ChangeArgs, printer: Printer) -> Result<()> {
    let blocking: Vec<_> = plan.blocking().cloned().collect();
    if blocking.is_empty() {
        return Ok(());
    }
    if change.output != RunFormat::Text {
        let report = no_run(plan, Outcome::Blocked);
        if change.output == RunFormat::Json {
            printer.document(&json(&report)?);
        } else {
            for finding in &blocking {
                events::finding(finding, printer);
            }
            events::summary(&report, printer);
        }
    }
    printer.insist(&report::findings(&blocking, &[], printer.look()));
    let mut ids: Vec<String> = blocking.into_iter().map(|finding| finding.id).collect();
    ids.dedup();
    Err(Refusal::Blocked(ids).into())
}

fn load(path: &Path, skip_checks: &[String]) -> Result<Plan> {
    let text = user_files::read(path).context("cannot read the plan")?;
    let shown = path.display();
    let mut plan: Plan = serde_json::from_str(&text)
        .map_err(|error| anyhow!("{shown} is no plan of castoff ({API_VERSION}): {error}"))?;
    plan.validate().map_err(|why| anyhow!("{shown} cannot be used: {why}"))?;
    plan.desired.skip_checks.extend_from_slice(skip_checks);
    Ok(plan)
}

/// Nothing to do is a success, said in one line.
pub fn nothing_to_do(plan: &Plan, change: &ChangeArgs, printer: Printer) -> Result<Exit> {
    let report = no_run(plan, Outcome::NoChange);
    match change.output {
        RunFormat::Text => printer.data(&format!("{}\n", report::outcome_line(&report))),
        RunFormat::Json => printer.document(&json(&report)?),
        RunFormat::Jsonl => events::summary(&report, printer),
    }
    Ok(Exit::OK)
}

/// What becomes of a run that is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is kept.
    AtOnce,
    /// It stays, open until somebody keeps it or takes it back.
    WhenAsked,
    /// It is taken back unless somebody keeps it in time.
    Within(Span),
}

impl Keep {
    /// As the command line says, where nobody is asked.
    pub fn unasked(change: &ChangeArgs) -> Self {
        match change.try_for {
            Some(span) => Self::Within(span),
            None if change.no_commit => Self::WhenAsked,
            None => Self::AtOnce,
        }
    }
}

/// How carrying out a plan ended.
#[derive(Debug)]
pub enum Ending {
    /// As the report says.
    Ran(Box<RunReport>),
    /// Stopped by a signal before the first step.
    Untouched,
    /// Refused before the first step by what a trial found, which these findings say.
    Refused(Vec<Finding>),
}

/// Does it, and tells how it went.
pub fn carry_out(
    context: &Context,
    plan: &Plan,
    node: &NodeArgs,
    change: &ChangeArgs,
    keep: Keep,
    printer: Printer,
) -> Result<Exit> {
    match perform(context, plan, change, keep, printer)? {
        Ending::Ran(report) => tell(&report, change.output, &wanting(node, plan.goal), printer),
        Ending::Untouched => {
            printer.insist("Interrupted. Nothing was changed.");
            if change.output == RunFormat::Jsonl {
                events::error("interrupted before the first step; nothing was changed", printer);
            }
            Ok(Exit::INTERRUPTED)
        }
        Ending::Refused(findings) => {
            let mut refused = plan.clone();
            refused.findings.extend(findings);
            refuse_blocked(&refused, change, printer)?;
            Ok(Exit::BLOCKED)
        }
    }
}

/// Does it; only progress is told.
///
/// # Errors
/// As [`apply::apply`]; the node is unchanged then.
pub fn perform(context: &Context, plan: &Plan, change: &ChangeArgs, keep: Keep, printer: Printer) -> Result<Ending> {
    let host = &context.host;
    let interrupt = watch_signals()?;
    if !change.no_trial && plan.restarts_pods() {
        let failed = prove_first(context, plan, printer)?;
        if !failed.is_empty() {
            return Ok(Ending::Refused(failed));
        }
    }
    // Since the question was answered, or while it was tried.
    if interrupt.load(Ordering::Relaxed) {
        return Ok(Ending::Untouched);
    }
    let keep_within = match keep {
        Keep::Within(span) if host.is_live() => Some(span.duration().as_secs()),
        // Nothing runs in a file tree that could take it back later.
        Keep::Within(_) => {
            printer.say("note: nothing takes a run on a file tree back by itself");
            None
        }
        Keep::AtOnce | Keep::WhenAsked => None,
    };
    let options = Options {
        keep_on_verify_failure: change.keep_on_verify_failure,
        commit: keep == Keep::AtOnce,
        keep_within,
        retention: context.profile.history,
        ..Options::new(&interrupt)
    };
    let mut progress = Progress::new(printer, &*host.clock);
    let report = Watching::new(change.output, printer, host)
        .watch(&mut progress, |observer| apply::apply(host, plan, &options, observer))?;
    Ok(Ending::Ran(Box::new(report)))
}

/// Runs containers and pods as they would run afterwards, before anything is touched; gives what forbids going on.
fn prove_first(context: &Context, plan: &Plan, printer: Printer) -> Result<Vec<Finding>> {
    use verify::POD_TRIAL as ID;
    let host = &context.host;
    if !host.is_live() || plan.desired.skip_checks.iter().any(|id| id == ID) {
        return Ok(Vec::new());
    }
    // Somebody else is at work, which is told when the run asks for the lock.
    if let Locked::Held(_) = Lock::take(&host.root, "")? {
        return Ok(Vec::new());
    }
    printer.say("Trying pods with what this node will have …");
    let began = host.clock.monotonic();
    let checks = verify::before(host, &context.facts(), plan, &*watch_signals()?);
    let passed = checks.iter().filter(|check| check.status == CheckStatus::Pass).count();
    let took = host.clock.monotonic().saturating_sub(began).as_secs_f64();
    printer.say(&format!("{passed} of {} checks passed in {took:.1} s; nothing was changed yet", checks.len()));
    let failed = checks.into_iter().filter(|check| check.status == CheckStatus::Fail).map(|check| {
        let fix = check.remedy.unwrap_or_else(|| "see `castoff verify --level cri`".to_owned());
        let what = format!("a trial failed before anything was touched: {}", check.id);
        Finding::new(ID, Severity::Block, what).cause(check.detail).fix(fix)
    });
    Ok(failed.collect())
}

/// The same node with the goal that a plan has.
pub(super) fn wanting(node: &NodeArgs, goal: Goal) -> NodeArgs {
    NodeArgs { goal: Some(goal.into()), ..node.clone() }
}

/// Tells how a run ended: the report as data, what comes next as talk.
pub fn tell(report: &RunReport, format: RunFormat, node: &NodeArgs, printer: Printer) -> Result<Exit> {
    match format {
        RunFormat::Json => printer.document(&json(report)?),
        RunFormat::Jsonl => events::summary(report, printer),
        RunFormat::Text if printer.is_quiet() => printer.data(&format!("{}\n", report::outcome_line(report))),
        RunFormat::Text => printer.data(&format!("\n{}", report::run_report(report, printer.look()))),
    }
    let (on, wish) = (options_of_node(node), options_of_wish(node));
    match report.outcome {
        Outcome::Applied if report.keep_until.is_some() => printer.say(&format!(
            "\nTaken back at {} unless you keep it:   castoff commit{on}\nTake it back now:  castoff rollback{on}\n\
             Look again:        castoff verify{wish}",
            report.keep_until.as_deref().unwrap_or_default()
        )),
        Outcome::Applied if !report.committed => printer.say(&format!(
            "\nKeep it:       castoff commit{on}\nTake it back:  castoff rollback{on}\nLook again:    castoff verify{wish}"
        )),
        Outcome::Applied => {
            printer.say(&format!("\nLook again:    castoff verify{wish}\nTake it back:  castoff rollback{on}"));
        }
        Outcome::RolledBack | Outcome::Interrupted | Outcome::Stuck => {
            printer.say(&format!("\nFull record:   castoff show {}{on}", report.run));
        }
        _ => {}
    }
    Ok(Exit(report.exit_code))
}
