//! `castoff rollback`, `resume`, `commit`

use super::{
    apply::{tell, wanting},
    args::{ResumeArgs, RollbackArgs, RunArgs, RunFormat},
    context::{Context, json},
    events::{self, Watching},
    exit::Exit,
    repeat::options_of_node,
};
use crate::{
    apply::{self, Options, Store},
    host::watch_signals,
    model::{Outcome, RunAnswer},
    ui::{Printer, Progress},
};
use anyhow::Result;

/// Takes a run back.
pub fn rollback(args: &RollbackArgs, printer: Printer) -> Result<Exit> {
    let context = Context::of_run(&args.run.node, printer)?;
    context.need_rights()?;
    let interrupt = watch_signals()?;
    let options = Options { force: args.force, leaving: args.cluster.leaving(), ..Options::new(&interrupt) };
    let mut progress = Progress::new(printer, &*context.host.clock);
    let report = Watching::new(args.run.output, printer, &context.host)
        .watch(&mut progress, |observer| apply::rollback(&context.host, args.run.run.as_deref(), &options, observer))?;
    let exit = tell(&report, args.run.output, &args.run.node, printer)?;
    // Asked for and done is a success here; 4 is for an apply that had to be taken back.
    Ok(if report.outcome == Outcome::RolledBack { Exit::OK } else { exit })
}

/// Goes on with a run that was cut off.
pub fn resume(args: &ResumeArgs, printer: Printer) -> Result<Exit> {
    let ResumeArgs { run: args, cluster } = args;
    if *cluster && args.output == RunFormat::Jsonl {
        return Err(events::none_here("resume --cluster"));
    }
    let context = Context::of_run(&args.node, printer)?;
    context.need_rights()?;
    let interrupt = watch_signals()?;
    if *cluster {
        let options = Options::new(&interrupt);
        let mut progress = Progress::new(printer, &*context.host.clock);
        let (run, done) = apply::make_up(&context.host, args.run.as_deref(), &options, &mut progress)?;
        match args.output {
            RunFormat::Text => printer.data(&format!("Run {run}: {done} done that had been put off.\n")),
            RunFormat::Json | RunFormat::Jsonl => {
                printer.document(&json(&RunAnswer { done: Some(done), ..RunAnswer::about(&run) })?);
            }
        }
        return Ok(Exit::OK);
    }
    let options = Options { commit: true, ..Options::new(&interrupt) };
    let mut progress = Progress::new(printer, &*context.host.clock);
    let report = Watching::new(args.output, printer, &context.host)
        .watch(&mut progress, |observer| apply::resume(&context.host, args.run.as_deref(), &options, observer))?;
    let store = Store::new(&context.host);
    let goal =
        store.find(Some(&report.run)).and_then(|run| store.plan(&run)).map_or(args.node.goal(), |plan| plan.goal);
    tell(&report, args.output, &wanting(&args.node, goal), printer)
}

/// Says that the new state stays.
pub fn commit(args: &RunArgs, printer: Printer) -> Result<Exit> {
    if args.output == RunFormat::Jsonl {
        return Err(events::none_here("commit"));
    }
    let context = Context::of_run(&args.node, printer)?;
    context.need_rights()?;
    let run = apply::commit(&context.host, args.run.as_deref())?;
    match args.output {
        RunFormat::Text => {
            let on = options_of_node(&args.node);
            printer.data(&format!("Run {} is kept. `castoff rollback{on}` still takes it back.\n", run.id));
        }
        RunFormat::Json | RunFormat::Jsonl => {
            printer.document(&json(&RunAnswer { committed: Some(true), ..RunAnswer::about(&run.id) })?);
        }
    }
    Ok(Exit::OK)
}
