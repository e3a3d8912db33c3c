//! Commands that only look: `inspect`, `check`, `explain`, and `man`.

use super::{
    args::{CheckArgs, ExplainArgs, Format, InspectArgs},
    context::{Context, Trying, json, known_check, list, make_plan},
    exit::Exit,
};
use crate::{
    checks,
    host::user_files,
    model::{Finding, Severity},
    report,
    ui::Printer,
};
use anyhow::{Context as _, Result};
use std::path::Path;

/// `castoff inspect`
pub fn inspect(args: &InspectArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &[])?;
    let facts = context.facts();
    match args.output {
        Format::Text => printer.data(&report::facts(&facts, printer.look())),
        Format::Json => printer.data(&json(&facts)?),
    }
    Ok(Exit::OK)
}

/// `castoff check`
pub fn check(args: &CheckArgs, printer: Printer) -> Result<Exit> {
    if args.list {
        for check in checks::registry() {
            printer.data(&format!("{:<28} {:<6} {}\n", check.id, check.severity.word(), check.summary));
        }
        return Ok(Exit::OK);
    }
    let context = Context::open(&args.node, &args.skip_check)?.with_cluster(&args.cluster)?;
    let plan = make_plan(&context, 0, Trying { wanted: !args.no_trial, printer });
    match args.output {
        Format::Text if plan.findings.is_empty() => printer.data("nothing to note\n"),
        Format::Text => {
            printer.data(report::findings(&plan.findings, &context.desired.skip_checks, printer.look()).trim_start());
        }
        Format::Json => printer.data(&list("Findings", "findings", &plan.findings)?),
    }
    let fatal = |finding: &&Finding| {
        let worst = if args.fatal_warnings { Severity::Warn } else { Severity::Block };
        finding.severity <= worst && !context.desired.skip_checks.contains(&finding.id)
    };
    Ok(if plan.findings.iter().any(|finding| fatal(&finding)) { Exit::BLOCKED } else { Exit::OK })
}

/// `castoff explain`
pub fn explain(args: &ExplainArgs, printer: Printer) -> Result<Exit> {
    printer.data(&report::explanation(&known_check(&args.id)?.explain(), printer.look()));
    Ok(Exit::OK)
}

/// `castoff man`
pub fn man(dir: &Path, command: &clap::Command, printer: Printer) -> Result<Exit> {
    let mut commands = vec![("castoff".to_owned(), command.clone())];
    for sub in command.get_subcommands() {
        let name = format!("castoff-{}", sub.get_name());
        // clap wants a 'static name; the page is made once per process.
        commands.push((name.clone(), sub.clone().name(name.clone().leak() as &'static str).version("")));
    }
    for (name, command) in commands {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).section("8").render(&mut page).context("cannot make a man page")?;
        let path = dir.join(format!("{name}.8"));
        user_files::write_public(&path, &String::from_utf8_lossy(&page))?;
        printer.say(&format!("{}", path.display()));
    }
    Ok(Exit::OK)
}
