//! How a run goes on: a line that moves on a terminal, a line per event elsewhere.

use super::Printer;
use crate::{
    apply::Observer,
    host::Clock,
    model::{Plan, Step},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Shows a run.
pub struct Progress<'a> {
    printer: Printer,
    clock: &'a dyn Clock,
    bar: Option<ProgressBar>,
    waiting: String,
}

impl<'a> Progress<'a> {
    /// Nothing shown yet.
    pub fn new(printer: Printer, clock: &'a dyn Clock) -> Self {
        Self { printer, clock, bar: None, waiting: String::new() }
    }

    fn begin(&mut self, text: &str) {
        if !self.printer.is_live() {
            return;
        }
        let bar = ProgressBar::new_spinner();
        let template = "  {spinner} {msg} {elapsed:>4}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = Some(bar);
    }

    fn end(&mut self, symbol: &str, text: &str, seconds: f64) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.waiting.clear();
        if self.printer.is_live() {
            let width = self.printer.look().width.min(90).saturating_sub(14);
            self.printer.say(&format!("  {symbol} {text:<width$} {seconds:>6.1}s"));
        } else {
            self.printer.say(&format!("{} {text} in {seconds:.1}s", self.clock.now()));
        }
    }
}

fn named(step: &Step, total: usize) -> String {
    format!("{}/{total} {} {}", step.index, step.action.word(), step.action.object())
}

impl Observer for Progress<'_> {
    fn run_started(&mut self, run: &str, plan: &Plan, resumed: bool) {
        let word = if resumed { "going on with" } else { "run" };
        self.printer.say(&format!("{word} {run}: {} steps on {}", plan.steps.len(), plan.node));
    }

    fn step_started(&mut self, step: &Step, total: usize) {
        let text = named(step, total);
        if self.printer.verbose() > 0 {
            self.printer.say(&format!("{} step {text} ({})", self.clock.now(), step.why.join("; ")));
        }
        self.begin(&text);
    }

    fn waiting(&mut self, what: &str) {
        if self.waiting == what {
            return;
        }
        what.clone_into(&mut self.waiting);
        match &self.bar {
            Some(bar) => {
                let first = bar.message().split(" · ").next().unwrap_or_default().to_owned();
                bar.set_message(format!("{first} · {what}"));
            }
            None if self.printer.verbose() > 0 => self.printer.say(&format!("{} {what}", self.clock.now())),
            None => {}
        }
    }

    fn step_done(&mut self, step: &Step, total: usize, seconds: f64, detail: Option<&str>) {
        let mut text = named(step, total);
        if let Some(detail) = detail
            && self.printer.verbose() > 0
        {
            text.push_str(&format!(": {detail}"));
        }
        let ok = self.printer.look().glyphs.ok();
        self.end(ok, &text, seconds);
    }

    fn step_failed(&mut self, step: &Step, total: usize, error: &str) {
        let bad = self.printer.look().glyphs.bad();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.printer.insist(&format!("  {bad} {}\nerror: {error}", named(step, total)));
    }

    fn rollback_started(&mut self, run: &str, steps: usize, why: &str) {
        self.printer.say(&format!("\nTaking back {steps} steps of run {run}: {why}"));
    }

    fn undone(&mut self, what: &str, seconds: f64) {
        let ok = self.printer.look().glyphs.ok();
        self.end(ok, what, seconds);
    }

    fn warn(&mut self, message: &str) {
        self.printer.insist(&format!("warning: {message}"));
    }
}
