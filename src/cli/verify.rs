//! `castoff verify`

use super::{
    args::{Format, VerifyArgs},
    context::{Context, json},
    exit::Exit,
};
use crate::{
    model::{CgroupDriver, Level},
    report,
    ui::Printer,
    verify,
};
use anyhow::Result;

/// Looks at the node and compares it with what is wanted.
pub fn run(args: &VerifyArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &[])?;
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
        systemd_driver: args.cgroup_driver.map(|driver| driver == CgroupDriver::Systemd),
        live: args.live,
        bench: args.bench.then_some(amount),
        handler: args.handler.clone(),
        endpoint: args.endpoint.clone(),
    };
    let mut verification = verify::run(&context.host, &options, &context.desired)?;
    if printer.verbose() > 0 && context.host.is_live() {
        let endpoint = args.endpoint.as_deref().unwrap_or(&context.desired.endpoint);
        match verify::view(&context.host, endpoint) {
            Ok(view) => verification.runtime = Some(view),
            Err(error) => printer.say(&format!("note: {error:#}")),
        }
    }
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
