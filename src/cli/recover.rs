//! `castoff recover`: what the units of a run call after a reboot, and when the time to keep it is over.

use super::{
    apply::tell,
    args::{RecoverArgs, RunFormat},
    context::Context,
    exit::Exit,
};
use crate::{
    apply::{self, Options, Recovered, Refusal},
    host::watch_signals,
    model::Outcome,
    ui::{Printer, Progress},
};
use anyhow::Result;

/// Brings a run that was cut off to its end, and takes one back that nobody kept in time.
pub fn run(args: &RecoverArgs, printer: Printer) -> Result<Exit> {
    let context = Context::of_run(&args.node, printer)?;
    context.need_rights()?;
    let interrupt = watch_signals()?;
    let options = Options::new(&interrupt);
    let mut progress = Progress::new(printer, &*context.host.clock);
    let recovered = match apply::recover(&context.host, args.early, &options, &mut progress) {
        // The other unit of the run comes behind this one, and waits.
        Err(error) if args.early && matches!(error.downcast_ref(), Some(Refusal::Locked(_))) => {
            printer.data(&format!("{error:#}. Nothing to do.\n"));
            return Ok(Exit::OK);
        }
        other => other?,
    };
    match recovered {
        Recovered::Nothing => printer.data("No run was cut off and none waits to be kept.\n"),
        Recovered::Waiting { run, until } => {
            printer.data(&format!("Run {run} waits for `castoff commit` until {until}.\n"));
        }
        Recovered::Prepared { run, back } => {
            let what =
                if back { "is taken back: its files are as they were" } else { "goes on: its files are written" };
            printer.data(&format!("Run {run} was cut off and {what}. Units and pods follow.\n"));
        }
        Recovered::Ended(report) => {
            let exit = tell(&report, RunFormat::Text, &args.node, printer)?;
            return Ok(if report.outcome == Outcome::RolledBack { Exit::OK } else { exit });
        }
    }
    Ok(Exit::OK)
}
