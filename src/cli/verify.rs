//! `castoff verify`

use super::{
    args::{Format, VerifyArgs},
    context::{Context, json},
    exit::Exit,
};
use crate::{report, ui::Printer, verify};
use anyhow::Result;

/// Looks at the node and compares it with what is wanted.
pub fn run(args: &VerifyArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &[])?;
    let verification = verify::run(&context.host, args.level.into(), &context.desired)?;
    match args.output {
        Format::Text => printer.data(&report::verification(&verification, printer.look())),
        Format::Json => printer.data(&json(&verification)?),
    }
    Ok(if verification.passed() {
        Exit::OK
    } else if args.detailed_exitcode {
        Exit::PENDING
    } else {
        printer.say("hint: scripts want `--detailed-exitcode`: 2 when the node is not as expected");
        Exit::OK
    })
}
