//! `castoff plan`

use super::{
    bundle::FromBundle,
    context::{Context, Trying, json, make_plan},
    exit::Exit,
    repeat::{options_of_node, options_of_plan, options_of_sight, word},
    report_args::{PlanArgs, ReportFormat},
};
use crate::{
    apply::{self, Refusal},
    host::user_files,
    model::{Action, Plan},
    report::{self, Again},
    ui::Printer,
};
use anyhow::{Context as _, Result};

/// Shows what would be done; saves it with `--out`. Writes nothing else.
pub fn run(args: &PlanArgs, printer: Printer) -> Result<Exit> {
    args.cluster.refuse_idle()?;
    let context = Context::look(&args.node, &args.skip_check)?.with_cluster(&args.cluster)?;
    let plan = make_plan(&context, args.context, Trying { wanted: !args.no_trial, printer });
    let shown = if args.no_diff { without_diffs(&plan) } else { plan.for_reading() };
    let of_plan = options_of_plan(args);
    // A bundle is no place to apply a plan at: that is done on the node.
    let place = Some(&args.node).filter(|_| context.bundle.is_none());
    let of_apply = place.map(options_of_sight).unwrap_or_default();
    let of_node = place.map(options_of_node).unwrap_or_default();
    let again = Again { plan: &of_plan, apply: &of_apply, node: &of_node };
    match args.output {
        ReportFormat::Text => printer.data(&report::plan(&plan, printer.look(), !args.no_diff)),
        ReportFormat::Json => printer.document(&json(&plan.for_reading())?),
        ReportFormat::Markdown => printer.document(&report::plan_markdown(&shown, again)),
        ReportFormat::Html => printer.document(&report::plan_page(&shown, again)),
    }
    if let Err(error) = apply::refuse_open_run(&context.host) {
        let first = match error.downcast_ref::<Refusal>() {
            Some(Refusal::Dirty(run)) => Some(format!("`castoff resume {run}` or `castoff rollback {run}` first")),
            Some(Refusal::Locked(_)) => Some("plan again when it is done".to_owned()),
            _ => None,
        };
        if let Some(first) = first {
            printer.insist(&format!("warning: {error}; {first}"));
        }
    }
    if let Some(bundle) = &context.bundle {
        bundle.tell(&plan, printer);
        if args.out.is_some() {
            FromBundle::check_savable(&plan)?;
        }
    }
    if let Some(path) = &args.out {
        user_files::write_private(path, &json(&plan)?).context("cannot save the plan")?;
        let saved = word(&path.to_string_lossy());
        printer.say(&format!("Saved. To run exactly this plan: castoff apply{of_apply} {saved}"));
    }
    Ok(if plan.blocking().next().is_some() {
        Exit::BLOCKED
    } else if args.detailed_exitcode && !plan.is_empty() {
        Exit::PENDING
    } else {
        Exit::OK
    })
}

fn without_diffs(plan: &Plan) -> Plan {
    let mut plan = plan.for_reading();
    for step in &mut plan.steps {
        if let Action::WriteFile { diff, .. } = &mut step.action {
            diff.clear();
        }
    }
    plan
}
