//! `castoff verify`

use super::{
    args::{Format, VerifyArgs},
    context::{Context, json},
    exit::{Exit, Usage},
};
use crate::{
    apply::Store,
    host::{user_files, watch_signals},
    model::{CgroupDriver, Level, Verification},
    report,
    ui::Printer,
    verify,
};
use anyhow::{Context as _, Result};
use std::{path::Path, sync::atomic::Ordering};

/// Looks at the node and compares it with what is wanted.
pub fn run(args: &VerifyArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &[])?;
    need_a_node(args, &context)?;
    let level: Level = args.level.into();
    let all = args.full || args.endpoint.is_some() || level == Level::Cri;
    let amount = verify::Amount { samples: args.samples, parallel: args.parallel };
    let options = verify::Options {
        level,
        extent: if all && !args.quick { verify::Extent::Full } else { verify::Extent::Gate },
        second: match (args.full, args.handler.is_some() || level == Level::Cri) {
            (true, _) => verify::Second::Full,
            (false, true) => verify::Second::Gate,
            (false, false) => verify::Second::OnFailure,
        },
        turn: verify::Turn::Onlooker,
        systemd_driver: args.cgroup_driver.map(|driver| driver == CgroupDriver::Systemd),
        live: args.live,
        bench: args.bench.then_some(amount),
        handler: args.handler.clone(),
        endpoint: args.endpoint.clone(),
        assumptions: context.assumptions().clone(),
    };
    let interrupt = watch_signals()?;
    let mut verification = verify::run(&context.host, &options, &context.desired, &interrupt)?;
    if interrupt.load(Ordering::Relaxed) {
        printer.insist(&cut_short(&verification));
        return Ok(Exit::INTERRUPTED);
    }
    if printer.verbose() > 0 && context.host.is_live() {
        let endpoint = args.endpoint.as_deref().unwrap_or(&context.desired.endpoint);
        match verify::view(&context.host, endpoint) {
            Ok(view) => verification.runtime = Some(view),
            Err(error) => printer.say(&format!("note: {error:#}")),
        }
    }
    if let Some(path) = &args.metrics {
        write_metrics(&context, &verification, path)?;
    }
    match args.output {
        Format::Text => printer.data(&report::verification(&verification, printer.look())),
        Format::Json => printer.document(&json(&verification)?),
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

/// What is told of a verification that a signal has ended: what became of what it ran.
pub(super) fn cut_short(verification: &Verification) -> String {
    let left: Vec<&str> = verification
        .failures()
        .filter(|check| check.id.ends_with("-clean"))
        .map(|check| check.detail.as_str())
        .collect();
    match left.as_slice() {
        [] => "Interrupted. The containers and pods it ran are ended and taken away.".to_owned(),
        left => format!("Interrupted. The next verification ends what it ran: {}", left.join("; ")),
    }
}

/// Refuses what only a node that runs can do.
fn need_a_node(args: &VerifyArgs, context: &Context) -> Result<()> {
    let given = [
        ("--live", args.live),
        ("--bench", args.bench),
        ("--handler", args.handler.is_some()),
        ("--endpoint", args.endpoint.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given).filter(|_| !context.host.is_live()) {
        Some((name, _)) => {
            Err(Usage::error(format!("{name} runs pods, and a file tree does not run"), "do it on the node itself"))
        }
        None => Ok(()),
    }
}

/// Writes what a monitoring system wants to know: the verification, and where the newest run stands.
fn write_metrics(context: &Context, verification: &Verification, path: &Path) -> Result<()> {
    let store = Store::new(&context.host);
    // A history that cannot be read is no reason to be silent about the node, and none to say that there was no run.
    let history = store.history().ok();
    let newest = history.as_ref().and_then(|runs| store.find(Some(&runs.first()?.run)).ok());
    let last = newest.and_then(|run| store.report_or_so_far(&run).ok());
    let time = context.host.clock.now();
    let of = report::MetricsOf { verification, time: &time, history: history.as_deref(), last: last.as_ref() };
    user_files::replace(path, report::metrics(of).as_bytes(), 0o644).context("cannot write the metrics")
}
