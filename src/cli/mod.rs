//! Arguments → commands → exit codes.

mod ansible;
mod apply;
mod args;
mod bench;
mod bundle;
mod cleanup;
mod cluster_args;
mod completions;
mod context;
mod convert;
mod demo;
mod events;
mod exit;
mod explain;
mod fleet;
mod glossary;
mod history;
mod image_args;
mod images;
mod look;
mod look_args;
mod migrate;
pub mod pages;
mod plan;
mod recover;
mod repeat;
mod report_args;
mod rollback;
mod schema;
mod verify;

use crate::{
    host,
    runtime::oci::{self, OciArgs},
    ui::{ColourChoice, Printer, is_lost},
};
use args::{BenchCommand, Cli, Command};
use clap::{Parser as _, error::ErrorKind};
use exit::Exit;
use image_args::ImagesCommand;
use report_args::ReportCommand;
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    if host::env::name().is_some_and(|name| oci::is_name(&name)) {
        return match OciArgs::try_parse() {
            Ok(args) => Exit(oci::main(&args)).into(),
            Err(error) => usage(&error).into(),
        };
    }
    if let Some(file) = ansible::called() {
        return ansible::run(&file, Printer::new(ColourChoice::Never, false, 0)).into();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let printer = Printer::new(cli.color, cli.quiet, cli.verbose).without_progress(cli.no_progress);
    let result = run(&cli, printer);
    let exit = result.unwrap_or_else(|error| exit::report(&error, printer));
    let as_asked = exit == Exit::OK || exit == Exit::PENDING;
    // Who only asked has nothing now. What became of a node is told by its own code.
    if is_lost() && as_asked && !changes(&cli.command) { Exit::FAILURE } else { exit }.into()
}

/// `--help` and `--version` are no errors; clap's own 2 for the rest means something else here.
fn usage(error: &clap::Error) -> Exit {
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) { Exit::OK } else { Exit::USAGE }
}

/// Whether a command may have changed a node.
const fn changes(command: &Command) -> bool {
    match command {
        Command::Convert(args) => !args.check,
        Command::Cleanup(args) => !args.check,
        Command::Migrate(_)
        | Command::Apply(_)
        | Command::Rollback(_)
        | Command::Resume(_)
        | Command::Commit(_)
        | Command::Recover(_)
        | Command::Ansible { .. }
        | Command::Images { command: ImagesCommand::Carry(_) } => true,
        _ => false,
    }
}

fn run(cli: &Cli, printer: Printer) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Inspect(args) => look::inspect(args, printer),
        Command::Check(args) => look::check(args, printer),
        Command::Plan(args) => plan::run(args, printer),
        Command::Migrate(args) => events::around(args.change.output, printer, || migrate::run(args, printer)),
        Command::Apply(args) => events::around(args.change.output, printer, || apply::run(args, printer)),
        Command::Verify(args) => verify::run(args, printer),
        Command::Rollback(args) => events::around(args.run.output, printer, || rollback::rollback(args, printer)),
        Command::Resume(args) => events::around(args.run.output, printer, || rollback::resume(args, printer)),
        Command::Commit(args) => rollback::commit(args, printer),
        Command::Recover(args) => recover::run(args, printer),
        Command::History(args) => history::history(args, printer),
        Command::Show(args) => history::show(args, printer),
        Command::Images { command: ImagesCommand::List(args) } => images::list(args, printer),
        Command::Images { command: ImagesCommand::Carry(args) } => {
            events::around(args.change.output, printer, || images::carry(args, printer))
        }
        Command::Cleanup(args) => cleanup::run(args, printer),
        Command::Bench { command: BenchCommand::Compare(args) } => bench::compare(args, printer),
        Command::Report { command: ReportCommand::Merge(args) } => fleet::merge(args, printer),
        Command::Ansible { file } => Ok(ansible::run(file, printer)),
        Command::Convert(args) => events::around(args.change.output, printer, || convert::run(args, printer)),
        Command::Explain(args) => explain::run(args, printer),
        Command::Schema(args) => schema::run(args, printer),
        Command::Demo(args) => demo::run(args, printer),
        Command::Oci(args) => Ok(Exit(oci::main(args))),
        Command::Completions { shell } => {
            printer.document(&completions::script(*shell));
            Ok(Exit::OK)
        }
        Command::Man { dir } => look::man(dir, printer),
    }
}
