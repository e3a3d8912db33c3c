//! `castoff history` and `show`

use super::{
    args::{Format, HistoryArgs, RunFormat, ShowArgs},
    context::{Context, json, list},
    events,
    exit::Exit,
};
use crate::{
    apply::{self, Store},
    model::Retention,
    report,
    ui::Printer,
};
use anyhow::Result;

/// Lists runs, newest first.
pub fn history(args: &HistoryArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &[])?;
    if args.prune {
        context.need_rights()?;
        let profiled = context.profile.history;
        let wanted = Retention { runs: args.keep.unwrap_or(profiled.runs), ..profiled };
        let pruned = apply::prune(&context.host, wanted)?;
        let runs = pruned.runs.len();
        printer.say(&match runs {
            0 => "No run was removed.".to_owned(),
            1 => format!("Removed 1 run, {} kB.", pruned.bytes / 1000),
            _ => format!("Removed {runs} runs, {} kB.", pruned.bytes / 1000),
        });
    }
    let runs = Store::new(&context.host).history()?;
    match args.output {
        Format::Text => printer.data(&report::history(&runs, printer.look())),
        Format::Json => printer.data(&list("History", "runs", &runs)?),
    }
    Ok(Exit::OK)
}

/// Shows one run in full.
pub fn show(args: &ShowArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.run.node, &[])?;
    let store = Store::new(&context.host);
    let run = store.find(args.run.run.as_deref())?;
    let document = store.report_or_so_far(&run)?;
    match args.run.output {
        RunFormat::Text => printer.data(&report::run_report(&document, printer.look())),
        RunFormat::Json => printer.data(&json(&document)?),
        RunFormat::Jsonl => return Err(events::none_here("show")),
    }
    Ok(Exit::OK)
}
