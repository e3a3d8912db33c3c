//! `castoff report merge`

use super::{
    context::json,
    exit::Exit,
    report_args::{MergeArgs, ReportFormat},
};
use crate::{
    host::user_files,
    report::{
        fleet::{self, Fleet},
        visible,
    },
    ui::Printer,
};
use anyhow::{Context as _, Result, bail};
use std::{path::PathBuf, thread};

/// One report out of many nodes' documents.
pub fn merge(args: &MergeArgs, printer: Printer) -> Result<Exit> {
    let mut files = Vec::new();
    for input in &args.inputs {
        files.extend(user_files::documents(input)?);
    }
    let report = take_in(&files).report();
    if report.nodes.is_empty() {
        let first = report.unreadable.first().map(|file| format!("; {}: {}", file.file, file.why)).unwrap_or_default();
        bail!("there is no document about a node in what was given{first}");
    }
    let text = match args.output {
        ReportFormat::Text => visible(&fleet::text(&report, printer.look())).into_owned(),
        ReportFormat::Json => json(&report)?,
        ReportFormat::Markdown => fleet::markdown(&report),
        ReportFormat::Html => fleet::html(&report),
    };
    match &args.out {
        // Not for everybody: names and versions of machines are of use to somebody who wants in.
        Some(path) => {
            let text = anstream::adapter::strip_str(&text).to_string();
            user_files::write_private(path, &text).context("cannot save the report")?;
        }
        None => printer.document(&text),
    }
    let retry = report.to_retry().fold(String::new(), |all, node| all + &node.host + "\n");
    if let Some(path) = &args.retry_file {
        user_files::write_private(path, &retry).context("cannot save the retry file")?;
    }
    if args.output != ReportFormat::Text || args.out.is_some() {
        for file in &report.unreadable {
            printer.insist(&format!("warning: {} was not used: {}", file.file, file.why));
        }
    }
    let pending = !retry.is_empty() || !report.unreadable.is_empty();
    Ok(if args.detailed_exitcode && pending { Exit::PENDING } else { Exit::OK })
}

/// Reads and understands the files, as many at a time as there are processors; the order is that of the files.
fn take_in(files: &[PathBuf]) -> Fleet {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = files.len().div_ceil(threads).max(1);
    let mut all = Fleet::default();
    thread::scope(|scope| {
        let start = |part| thread::Builder::new().spawn_scoped(scope, move || take_in_part(part));
        let parts: Vec<_> = files.chunks(share).map(|part| (part, start(part))).collect();
        for (part, thread) in parts {
            // A part whose thread is lost, or never was, is taken in here: nothing is left out in silence.
            let taken = thread.ok().and_then(|thread| thread.join().ok());
            all.absorb(taken.unwrap_or_else(|| take_in_part(part)));
        }
    });
    all
}

fn take_in_part(files: &[PathBuf]) -> Fleet {
    let mut fleet = Fleet::default();
    for file in files {
        let shown = file.display().to_string();
        match user_files::read(file) {
            Ok(text) => fleet.add(&shown, &text),
            Err(error) => fleet.reject(&shown, format!("{error:#}")),
        }
    }
    fleet
}
