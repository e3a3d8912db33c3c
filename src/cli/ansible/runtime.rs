//! The two modules: `runtime` changes a node, `runtime_info` only looks.

use super::{answer::Answer, options::Options};
use crate::{
    apply::{self, Options as RunOptions, Refusal, Store},
    cli::{
        apply::{Ending, Keep, perform},
        args::{ChangeArgs, GoalArg, NodeArgs, RunFormat, time_to_keep},
        context::{Context, Trying, plan_from},
        exit::{Exit, Usage},
        verify::cut_short,
    },
    host::watch_signals,
    model::{Check, Level, Outcome, Plan, RunState, RunSummary},
    ui::{Printer, Progress},
    verify,
};
use anyhow::Result;
use std::{path::PathBuf, sync::atomic::Ordering};

/// How the module was called, beside its options.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Nothing may be changed.
    pub check: bool,
    /// Where progress goes.
    pub printer: Printer,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Planned,
    Migrated,
    Verified,
    RolledBack,
    Committed,
}

const STATES: [(&str, State); 5] = [
    ("planned", State::Planned),
    ("migrated", State::Migrated),
    ("verified", State::Verified),
    ("rolled_back", State::RolledBack),
    ("committed", State::Committed),
];

const GOALS: [(&str, GoalArg); 2] = [("containerd", GoalArg::Containerd), ("cgroup-driver", GoalArg::CgroupDriver)];

const LEVELS: [(&str, Level); 4] =
    [("config", Level::Config), ("runtime", Level::Runtime), ("cri", Level::Cri), ("node", Level::Node)];

fn node(options: &mut Options) -> Result<(NodeArgs, Vec<String>)> {
    let node = NodeArgs {
        root: options.text("root")?.map(PathBuf::from),
        assume: options.pairs("assume")?,
        profile: options.text("profile")?.map(PathBuf::from),
        goal: Some(options.word("goal", &GOALS, GoalArg::default())?),
        non_interactive: true,
    };
    Ok((node, options.list("skip_checks")?))
}

/// `runtime`
///
/// # Errors
/// What keeps it from being done; what is known by then is in the answer.
pub fn runtime(mut options: Options, call: Call, answer: &mut Answer) -> Result<()> {
    let state = options.word("state", &STATES, State::Planned)?;
    let (node, skip_check) = node(&mut options)?;
    let digest = options.text("plan_digest")?;
    let level = options.word("level", &LEVELS, Level::Node)?;
    let run = options.text("run")?;
    let force = options.switch("force", false)?;
    let try_for = options.text("try_for")?;
    let change = ChangeArgs {
        yes: true,
        skip_check,
        no_trial: !options.switch("trial", true)?,
        no_commit: !options.switch("commit", true)?,
        try_for: try_for
            .map(|text| {
                time_to_keep(&text)
                    .map_err(|why| Usage::error(format!("`try_for` is `{text}`: {why}"), "for example `10m`"))
            })
            .transpose()?,
        keep_on_verify_failure: options.switch("keep_on_verify_failure", false)?,
        output: RunFormat::Json,
    };
    options.end()?;
    let context = Context::open(&node, &change.skip_check)?;
    match state {
        State::Planned => {
            planned(&context, &change, call, answer);
            // Without root's rights nobody can tell; whoever migrates needs them and is told then.
            if let Err(error) = apply::refuse_open_run(&context.host)
                && let Some(refusal @ (Refusal::Dirty(_) | Refusal::Locked(_))) = error.downcast_ref::<Refusal>()
            {
                if let Refusal::Dirty(run) = refusal {
                    answer.set("unfinished_run", run);
                }
                answer.warn(&error.to_string());
            }
            Ok(())
        }
        State::Migrated => {
            let done = migrated(&context, &change, digest.as_deref(), call, answer);
            // A role may give the node back then; an unfinished run, or another castoff at work, is no such thing.
            let refused = done.as_ref().err().and_then(|error| error.downcast_ref());
            if matches!(refused, Some(Refusal::Blocked(_) | Refusal::Unready { .. } | Refusal::Stale(_))) {
                answer.set("outcome", &Outcome::Blocked);
            }
            done
        }
        State::Verified => verified(&context, level, answer),
        State::RolledBack => rolled_back(&context, run.as_deref(), force, call, answer),
        State::Committed => committed(&context, run.as_deref(), call, answer),
    }
}

fn planned(context: &Context, change: &ChangeArgs, call: Call, answer: &mut Answer) -> Plan {
    let facts = context.facts();
    answer.node(&facts);
    let plan = plan_from(context, &facts, 3, Trying { wanted: !change.no_trial, printer: call.printer });
    answer.plan(&plan);
    plan
}

fn migrated(
    context: &Context,
    change: &ChangeArgs,
    digest: Option<&str>,
    call: Call,
    answer: &mut Answer,
) -> Result<()> {
    answer.set("run_id", &"");
    answer.set("reboot_required", &false);
    // In check mode too: it would fail for this reason.
    context.need_rights()?;
    let open = apply::refuse_open_run(&context.host);
    match open.as_ref().err().map(|error| error.downcast_ref()) {
        None => {}
        // Whoever finds nothing left to do can keep it.
        Some(Some(Refusal::Unkept { run, .. })) => answer.set("run_id", run),
        Some(_) => return open,
    }
    let plan = planned(context, change, call, answer);
    let blocking: Vec<String> = plan.blocking().map(|finding| finding.id.clone()).collect();
    if !blocking.is_empty() {
        return Err(Refusal::Blocked(blocking).into());
    }
    if plan.is_empty() {
        answer.set("outcome", &Outcome::NoChange);
        if let Err(error) = open {
            answer.warn(&error.to_string());
        }
        return Ok(());
    }
    open?;
    if let Some(wanted) = digest.filter(|wanted| *wanted != plan.digest.to_string()) {
        return Err(
            Refusal::Stale(format!("the plan that was reviewed is {wanted}, one made now is {}", plan.digest)).into()
        );
    }
    if call.check {
        answer.set("changed", &true);
        return Ok(());
    }
    match perform(context, &plan, change, Keep::unasked(change), call.printer)? {
        Ending::Ran(report) => answer.report(&report),
        Ending::Untouched => answer.fail("interrupted; nothing was changed", Exit::INTERRUPTED),
        Ending::Refused(failed) => {
            let ids = failed.iter().map(|finding| finding.id.clone()).collect();
            answer.findings(&[plan.findings, failed].concat());
            return Err(Refusal::Blocked(ids).into());
        }
    }
    Ok(())
}

fn verified(context: &Context, level: Level, answer: &mut Answer) -> Result<()> {
    answer.node(&context.facts());
    let (assumptions, turn) = (context.assumptions().clone(), verify::Turn::Onlooker);
    let options = verify::Options { turn, assumptions, ..verify::Options::gate(level) };
    let interrupt = watch_signals()?;
    let verification = verify::run(&context.host, &options, &context.desired, &interrupt)?;
    if interrupt.load(Ordering::Relaxed) {
        answer.fail(&cut_short(&verification), Exit::INTERRUPTED);
        return Ok(());
    }
    answer.set("verification", &verification);
    let failures: Vec<&Check> = verification.failures().collect();
    if !failures.is_empty() {
        let mut text =
            format!("{} of {} checks failed on {}", failures.len(), verification.checks.len(), verification.node);
        for check in failures {
            text.push_str(&format!("\n  cause: {}: {}", check.id, check.detail.replace('\n', "\n         ")));
            if let Some(remedy) = &check.remedy {
                text.push_str(&format!("\nhint: {remedy}"));
            }
        }
        answer.fail(&text, Exit::PENDING);
    }
    Ok(())
}

/// The run that is meant, as the history has it: the one named, else the newest that `fits`.
fn meant(store: &Store<'_>, run: Option<&str>, fits: impl Fn(RunState) -> bool) -> Result<Option<RunSummary>> {
    let named = run.map(|run| store.find(Some(run))).transpose()?;
    let mut history = store.history()?.into_iter();
    Ok(match named {
        Some(named) => history.find(|summary| summary.run == named.id),
        None => history.find(|summary| fits(summary.state)),
    })
}

fn rolled_back(context: &Context, run: Option<&str>, force: bool, call: Call, answer: &mut Answer) -> Result<()> {
    answer.set("reboot_required", &false);
    context.need_rights()?;
    let store = Store::new(&context.host);
    let holds = |state| state != RunState::RolledBack;
    let Some(run) = meant(&store, run, holds)? else { return Ok(()) };
    answer.set("run_id", &run.run);
    if !holds(run.state) && !force {
        answer.set("outcome", &Outcome::RolledBack);
        return Ok(());
    }
    answer.undoing(&store.plan(&store.find(Some(&run.run))?)?);
    if call.check {
        answer.set("changed", &true);
        return Ok(());
    }
    let interrupt = watch_signals()?;
    let options = RunOptions { force, ..RunOptions::new(&interrupt) };
    let mut progress = Progress::new(call.printer, &*context.host.clock);
    let report = apply::rollback(&context.host, Some(&run.run), &options, &mut progress)?;
    let back = report.outcome == Outcome::RolledBack;
    if !back {
        answer.report(&report);
        return Ok(());
    }
    // Asked for and done is a success, whatever the run's own exit code says.
    answer.report(&crate::model::RunReport { exit_code: 0, ..report });
    answer.set("changed", &true);
    // What its pods run on now: not every run came from Docker.
    answer.node(&context.facts());
    Ok(())
}

fn committed(context: &Context, run: Option<&str>, call: Call, answer: &mut Answer) -> Result<()> {
    context.need_rights()?;
    let store = Store::new(&context.host);
    let holds = |state| matches!(state, RunState::Applied | RunState::Committed);
    let Some(run) = meant(&store, run, holds)? else {
        return Err(Usage::error("there is no run to keep", "`runtime_info` with `gather: history` lists runs"));
    };
    answer.set("run_id", &run.run);
    match run.state {
        RunState::Committed => return Ok(()),
        RunState::Applied => {}
        // It says what is the matter with such a run.
        RunState::Dirty | RunState::Running | RunState::RolledBack | RunState::Stuck => {
            return apply::commit(&context.host, Some(&run.run)).map(drop);
        }
    }
    if !call.check {
        apply::commit(&context.host, Some(&run.run))?;
    }
    answer.set("changed", &true);
    Ok(())
}

/// `runtime_info`
///
/// # Errors
/// What cannot be looked at.
pub fn info(mut options: Options, call: Call, answer: &mut Answer) -> Result<()> {
    const GATHER: [&str; 5] = ["facts", "findings", "plan", "history", "report"];
    let (node, skip_checks) = node(&mut options)?;
    let mut gather = options.list("gather")?;
    let run = options.text("run")?;
    let trial = options.switch("trial", false)?;
    options.end()?;
    if gather.is_empty() {
        gather = vec!["facts".to_owned(), "findings".to_owned(), "history".to_owned()];
    }
    if let Some(other) = gather.iter().find(|word| !GATHER.contains(&word.as_str())) {
        return Err(Usage::error(format!("`gather` has `{other}`"), format!("there are: {}", GATHER.join(", "))));
    }
    let wants = |what: &str| gather.iter().any(|word| word == what);
    let context = Context::open(&node, &skip_checks)?;
    if wants("facts") || wants("findings") || wants("plan") {
        let facts = context.facts();
        answer.node(&facts);
        if wants("facts") {
            answer.set("facts", &facts);
        }
        if wants("findings") || wants("plan") {
            let plan = plan_from(&context, &facts, 3, Trying { wanted: trial, printer: call.printer });
            if wants("plan") {
                answer.plan(&plan);
            } else {
                answer.findings(&plan.findings);
            }
        }
    }
    let store = Store::new(&context.host);
    if wants("history") {
        answer.set("history", &store.history()?);
    }
    if wants("report") && (run.is_some() || !store.runs()?.is_empty()) {
        let run = store.find(run.as_deref())?;
        answer.set("run_id", &run.id);
        answer.set("report", &store.report_or_so_far(&run)?);
    }
    Ok(())
}
