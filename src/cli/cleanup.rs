//! `castoff cleanup`

use super::{
    apply::prompter,
    context::Context,
    exit::{Exit, Usage},
    image_args::CleanupArgs,
};
use crate::{
    apply,
    host::watch_signals,
    plan, report,
    ui::{Answer, Printer, Progress},
};
use anyhow::Result;
use std::sync::atomic::Ordering;

/// Removes Docker's data, and ends what holds the layers that it lent.
pub fn run(args: &CleanupArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &[])?;
    if !context.host.is_live() {
        return Err(Usage::error("a file tree has no running containerd to ask", "run it on the node itself"));
    }
    context.need_rights()?;
    apply::refuse_open_run(&context.host)?;
    let socket = context.desired.socket();
    let look = || {
        let facts = context.facts();
        let root = facts.containerd.root.as_ref().map_or(plan::CONTAINERD_ROOT, |root| root.value.as_str());
        apply::leftovers(&context.host, &facts, socket, root)
    };
    let left = look()?;
    if left.is_empty() {
        printer.data("Docker left nothing.\n");
        return Ok(Exit::OK);
    }
    printer.data(&report::leftovers(
        left.root.as_deref(),
        left.size(&context.host)?,
        &left.volumes,
        &left.leases,
        &left.images,
        args.volumes,
    ));
    let mut obstacles = left.obstacles.clone();
    if !left.containers.is_empty() {
        let names = left.containers.join(", ");
        obstacles.push(format!("containers that kubelet did not make would be lost: {names} (`docker rm` them first)"));
    }
    for why in &obstacles {
        printer.insist(&format!("error: {why}"));
    }
    if !obstacles.is_empty() {
        return Ok(Exit::BLOCKED);
    }
    if args.check {
        return Ok(Exit::OK);
    }
    if !args.yes {
        let question = "None of this can be taken back, and no migration before it either. The node's name";
        match prompter(&args.node)?.type_word(question, &context.host.node_name())? {
            // The question has heard no signal. The first one from here on ends it at once, as with `--yes`.
            Answer::Given(true) => watch_signals()?.store(true, Ordering::Relaxed),
            Answer::Given(false) => {
                printer.insist("Nothing was removed.");
                return Ok(Exit::FAILURE);
            }
            Answer::Cancelled => {
                printer.insist("Cancelled. Nothing was removed.");
                return Ok(Exit::INTERRUPTED);
            }
        }
    }
    let mut progress = Progress::new(printer, &*context.host.clock);
    apply::clean(&context.host, &left, &look, socket, args.volumes, &mut progress)?;
    printer.say("Docker's data is gone. The packages are left: remove them with your package manager.");
    Ok(Exit::OK)
}
