//! `-o jsonl`: what happens, an event a line on standard output, each written out at once.

use super::{
    args::RunFormat,
    exit::{self, Usage},
};
use crate::{
    apply::{self, Events, Observer, RUNS, Refusal},
    host::{Clock as _, Host, RealClock},
    model::{EVENTS_VERSION, Event, EventLevel, Finding, RunReport, TOOL_VERSION, What},
    ui::Printer,
};
use anyhow::Result;

/// Does something; with `-o jsonl` between the stream's first line and, when it fails, the error as an event.
///
/// # Errors
/// Those of what is done.
pub fn around<T>(format: RunFormat, printer: Printer, act: impl FnOnce() -> Result<T>) -> Result<T> {
    if format != RunFormat::Jsonl {
        return act();
    }
    outside_a_run(What::Version { api_version: EVENTS_VERSION.to_owned(), tool: TOOL_VERSION.to_owned() }, printer);
    act().inspect_err(|failure| {
        // Findings were told one by one, and the summary after them.
        if !matches!(failure.downcast_ref(), Some(Refusal::Blocked(_))) {
            error(&exit::told(failure).0, printer);
        }
    })
}

/// A finding that forbids something.
pub fn finding(finding: &Finding, printer: Printer) {
    let message = format!("{}: {}", finding.summary, finding.cause);
    let id = Some(finding.id.clone());
    outside_a_run(What::Diagnostic { level: EventLevel::Error, message, id }, printer);
}

/// What ended it.
pub fn error(message: &str, printer: Printer) {
    outside_a_run(What::Diagnostic { level: EventLevel::Error, message: message.to_owned(), id: None }, printer);
}

/// How it ended.
pub fn summary(report: &RunReport, printer: Printer) {
    let path = (!report.run.is_empty()).then(|| format!("{RUNS}/{}/report.json", report.run));
    line(
        &Event { time: RealClock::new().now(), run: report.run.clone(), what: apply::summary_event(report, path) },
        printer,
    );
}

/// The refusal of a command that tells no events.
pub fn none_here(command: &str) -> anyhow::Error {
    Usage::error(format!("`{command}` tells no events"), "`-o json` gives one document")
}

fn outside_a_run(what: What, printer: Printer) {
    line(&Event { time: RealClock::new().now(), run: String::new(), what }, printer);
}

fn line(event: &Event, printer: Printer) {
    // An event is plain data: it cannot fail to be JSON.
    if let Ok(text) = serde_json::to_string(event) {
        printer.document(&format!("{text}\n"));
    }
}

/// Who is told of a run: people, and with `-o jsonl` programs too.
#[derive(Debug)]
pub struct Watching<'a> {
    format: RunFormat,
    printer: Printer,
    host: &'a Host,
}

impl<'a> Watching<'a> {
    /// As `-o` says.
    pub const fn new(format: RunFormat, printer: Printer, host: &'a Host) -> Self {
        Self { format, printer, host }
    }

    /// Does something that tells how it goes on.
    pub fn watch<T>(&self, people: &mut dyn Observer, act: impl FnOnce(&mut dyn Observer) -> T) -> T {
        if self.format != RunFormat::Jsonl {
            return act(people);
        }
        let printer = self.printer;
        let mut sink = move |event: &Event| line(event, printer);
        act(&mut Events::new(&*self.host.clock, people, &mut sink))
    }
}
