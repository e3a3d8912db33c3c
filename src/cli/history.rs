//! `castoff history` and `show`

use super::{
    args::{Format, HistoryArgs},
    context::{Context, json},
    exit::Exit,
    repeat::options_of_node,
    report_args::{ReportFormat, ShowArgs},
};
use crate::{
    apply::{self, Store},
    model::{History, Retention},
    report::{self, RunView},
    ui::Printer,
};
use anyhow::Result;

/// Lists runs, newest first.
pub fn history(args: &HistoryArgs, printer: Printer) -> Result<Exit> {
    // How many runs stay is for the profile to say, so removing some needs one that can be read.
    let context = if args.prune { Context::open(&args.node, &[])? } else { Context::of_run(&args.node, printer)? };
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
        Format::Json => printer.document(&json(&History::of(runs))?),
    }
    Ok(Exit::OK)
}

/// Shows one run in full.
pub fn show(args: &ShowArgs, printer: Printer) -> Result<Exit> {
    let context = Context::of_run(&args.node, printer)?;
    let store = Store::new(&context.host);
    let run = store.find(args.run.as_deref())?;
    let document = store.report_or_so_far(&run)?;
    match args.output {
        ReportFormat::Text => printer.data(&report::run_report(&document, printer.look())),
        ReportFormat::Json => printer.document(&json(&document)?),
        ReportFormat::Markdown | ReportFormat::Html => {}
    }
    if matches!(args.output, ReportFormat::Text | ReportFormat::Json) {
        return Ok(Exit::OK);
    }
    // A page can do without them, but it should be known that they are missing.
    let plan = told("its plan", store.plan(&run), printer).map(|plan| plan.for_reading());
    let entries = told("its journal", store.look(&run), printer).unwrap_or_default();
    let options = options_of_node(&args.node);
    let view = RunView { report: &document, plan: plan.as_ref(), entries: &entries, options: &options };
    printer.document(&match args.output {
        ReportFormat::Html => report::run_page(view),
        _ => report::run_markdown(view),
    });
    Ok(Exit::OK)
}

fn told<T>(what: &str, result: Result<T>, printer: Printer) -> Option<T> {
    result.map_err(|error| printer.insist(&format!("warning: {what} is left out: {error:#}"))).ok()
}
