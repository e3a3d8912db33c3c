//! `castoff history` and `show`

use super::{
    args::{Format, HistoryArgs, ShowArgs},
    context::{Context, json, list},
    exit::Exit,
};
use crate::{apply::Store, report, ui::Printer};
use anyhow::Result;

/// Lists runs, newest first.
pub fn history(args: &HistoryArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &[])?;
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
        Format::Text => printer.data(&report::run_report(&document, printer.look())),
        Format::Json => printer.data(&json(&document)?),
    }
    Ok(Exit::OK)
}
