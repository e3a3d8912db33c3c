//! How a run goes on: a line that moves on a terminal, a line per event elsewhere.

use super::Printer;
use crate::{
    apply::Observer,
    host::Clock,
    model::{Plan, Span, Step, Timeouts},
    report::{counted, visible},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Shows a run.
pub struct Progress<'a> {
    printer: Printer,
    clock: &'a dyn Clock,
    bar: Option<ProgressBar>,
    waiting: String,
    timeouts: Timeouts,
    /// When bytes began to move, and when that was last told.
    moving: Option<(Duration, Duration)>,
}

impl<'a> Progress<'a> {
    /// Nothing shown yet.
    pub fn new(printer: Printer, clock: &'a dyn Clock) -> Self {
        Self { printer, clock, bar: None, waiting: String::new(), timeouts: Timeouts::default(), moving: None }
    }

    fn begin(&mut self, text: &str, deadline: Option<Duration>) {
        if !self.printer.is_live() {
            return;
        }
        let bar = ProgressBar::new_spinner();
        let of = deadline.map_or_else(String::new, |limit| format!(" of {} s", limit.as_secs()));
        // As wide as the window is at that moment, and never wider: a line that wraps cannot be drawn over.
        let template = format!("  {{spinner}} {{wide_msg}} {{elapsed:>4}}{of}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.tick_chars(self.printer.look().glyphs.spinner()));
        }
        bar.set_message(visible(text).into_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = Some(bar);
    }

    fn end(&mut self, symbol: &str, text: &str, seconds: f64) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.waiting.clear();
        self.moving = None;
        if self.printer.is_live() {
            let width = self.printer.resized().look().width.min(90).saturating_sub(14);
            self.printer.say(&format!("  {symbol} {text:<width$} {seconds:>6.1}s"));
        } else {
            self.printer.say(&format!("{} {text} in {seconds:.1}s", self.clock.now()));
        }
    }
}

/// Bytes so far, of how many, and how long the rest will take at this pace.
fn moving(bytes: u64, total: u64, took: Duration) -> String {
    #[allow(clippy::cast_precision_loss)] // For people.
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let so_far = format!("{:.0} of about {:.0} MB", megabytes(bytes), megabytes(total.max(bytes)));
    if bytes == 0 || bytes >= total {
        return so_far;
    }
    let left = took.as_secs_f64() / megabytes(bytes) * megabytes(total - bytes);
    format!("{so_far}, {left:.0} s left")
}

fn named(step: &Step, total: usize) -> String {
    format!("{}/{total} {} {}", step.index, step.action.word(), step.action.object())
}

impl Observer for Progress<'_> {
    fn run_started(&mut self, run: &str, plan: &Plan, resumed: bool) {
        self.timeouts = plan.desired.timeouts;
        let word = if resumed { "going on with" } else { "run" };
        self.printer.say(&format!("{word} {run}: {} on {}", counted(plan.steps.len(), "step"), plan.node));
    }

    fn step_started(&mut self, step: &Step, total: usize) {
        let text = named(step, total);
        if self.printer.verbose() > 0 {
            self.printer.say(&format!("{} step {text} ({})", self.clock.now(), step.why.join("; ")));
        }
        let limit = step.action.limit(&self.timeouts).map(Span::duration);
        self.begin(&text, limit);
    }

    fn waiting(&mut self, what: &str) {
        if self.waiting == what {
            return;
        }
        what.clone_into(&mut self.waiting);
        match &self.bar {
            Some(bar) => {
                let dot = self.printer.look().glyphs.dot();
                let first = bar.message().split(&format!(" {dot} ")).next().unwrap_or_default().to_owned();
                bar.set_message(format!("{first} {dot} {}", visible(what)));
            }
            None if self.printer.verbose() > 0 => self.printer.say(&format!("{} {what}", self.clock.now())),
            None => {}
        }
    }

    fn moved(&mut self, bytes: u64, total: u64) {
        let now = self.clock.monotonic();
        let (began, told) = *self.moving.get_or_insert((now, now));
        let took = now.saturating_sub(began);
        // A bar that changes more often cannot be read.
        if now.saturating_sub(told) < Duration::from_millis(250) {
            return;
        }
        self.moving = Some((began, now));
        self.waiting(&moving(bytes, total, took));
    }

    fn part_done(&mut self, what: &str) {
        match &self.bar {
            Some(_) => self.waiting(what),
            None => self.printer.say(&format!("{} {what}", self.clock.now())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_told_from_the_pace() {
        let second = Duration::from_secs(1);
        assert_eq!(moving(20_000_000, 100_000_000, second), "20 of about 100 MB, 4 s left");
        assert_eq!(moving(0, 100, second), "0 of about 0 MB");
        assert_eq!(moving(3_000_000, 1_000_000, second), "3 of about 3 MB", "an archive is larger than its files");
    }
}
