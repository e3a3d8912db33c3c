//! `castoff convert`

use super::{
    apply::{Keep, carry_out, not_confirmed, nothing_to_do, refuse_blocked},
    args::{ConvertArgs, RunFormat},
    context::{Context, json},
    events,
    exit::{Exit, Usage},
};
use crate::{apply, plan, report, ui::Printer};
use anyhow::Result;

/// Gives containerd's configuration another version; with `--check` only shows it.
pub fn run(args: &ConvertArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &args.change.skip_check)?;
    if args.file.as_ref().is_some_and(|file| !file.starts_with('/')) {
        return Err(Usage::error(
            "FILE is a path on the node and starts with `/`",
            "for example /etc/containerd/config.toml",
        ));
    }
    let facts = context.facts_with(args.file.as_deref());
    let mut plan = plan::convert(&facts, &context.desired, plan::Options::default(), args.to, args.file.as_deref());
    plan.findings.extend(apply::obstacles(&context.host, &plan));
    if args.check {
        match args.change.output {
            RunFormat::Text => printer.data(&report::plan(&plan, printer.look(), true)),
            RunFormat::Json => printer.document(&json(&plan.for_reading())?),
            RunFormat::Jsonl => return Err(events::none_here("convert --check")),
        }
        return Ok(if plan.blocking().next().is_some() {
            Exit::BLOCKED
        } else if args.detailed_exitcode && !plan.is_empty() {
            Exit::PENDING
        } else {
            Exit::OK
        });
    }
    refuse_blocked(&plan, &args.change, printer)?;
    if plan.is_empty() {
        return nothing_to_do(&plan, &args.change, printer);
    }
    context.need_rights()?;
    apply::refuse_open_run(&context.host)?;
    if !args.change.yes
        && let Some(exit) = not_confirmed(&plan, &args.node, printer)?
    {
        return Ok(exit);
    }
    let exit = carry_out(&context, &plan, &args.node, &args.change, Keep::unasked(&args.change), printer)?;
    if exit == Exit::OK {
        printer.say("containerd reads it at its next start: systemctl restart containerd");
    }
    Ok(exit)
}
