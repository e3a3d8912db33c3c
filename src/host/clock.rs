#![allow(clippy::disallowed_methods)] // the one place that reads the real clock and really sleeps
//! Time: the wall clock for stamps, a monotonic clock for limits, and waiting. Tests advance a fake one.

use anyhow::Context as _;
use jiff::Timestamp;
use std::{
    cell::RefCell,
    fmt::Debug,
    rc::Rc,
    time::{Duration, Instant},
};

/// Reads time and waits.
pub trait Clock: Debug {
    /// The wall clock, UTC, RFC 3339 with milliseconds: `2026-11-05T10:20:30.123Z`.
    fn now(&self) -> String;

    /// The same as a time to reckon with.
    fn timestamp(&self) -> anyhow::Result<Timestamp> {
        self.now().parse().context("the clock tells no time")
    }

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Waits.
    fn sleep(&self, span: Duration);
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct RealClock(Instant);

impl RealClock {
    /// A clock whose monotonic time counts from now.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> String {
        stamp(Timestamp::now())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, span: Duration) {
        std::thread::sleep(span);
    }
}

/// A clock that stands still except when somebody sleeps. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct FakeClock(Rc<RefCell<FakeTime>>);

#[derive(Debug, Default)]
struct FakeTime {
    start: Timestamp,
    passed: Duration,
}

impl FakeClock {
    /// A clock that stands at 2026-01-01T00:00:00.000Z.
    pub fn new() -> Self {
        // 1767225600 is that moment; the fallback (1970) cannot be reached.
        let start = Timestamp::from_second(1_767_225_600).unwrap_or_default();
        Self(Rc::new(RefCell::new(FakeTime { start, passed: Duration::ZERO })))
    }

    /// Lets time pass without anybody sleeping.
    pub fn advance(&self, span: Duration) {
        let mut time = self.0.borrow_mut();
        time.passed = time.passed.saturating_add(span);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> String {
        let time = self.0.borrow();
        stamp(time.start.checked_add(time.passed).unwrap_or(time.start))
    }

    fn monotonic(&self) -> Duration {
        self.0.borrow().passed
    }

    fn sleep(&self, span: Duration) {
        self.advance(span);
    }
}

fn stamp(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_moves_the_fake_clock_only() {
        let clock = FakeClock::new();
        assert_eq!(clock.now(), "2026-01-01T00:00:00.000Z");
        clock.sleep(Duration::from_millis(90_250));
        assert_eq!(clock.now(), "2026-01-01T00:01:30.250Z");
        assert_eq!(clock.clone().monotonic(), Duration::from_millis(90_250));
    }

    #[test]
    fn the_real_clock_prints_utc_with_milliseconds() {
        let (clock, now) = (RealClock::new(), RealClock::new().now());
        assert_eq!(now.len(), "2026-11-05T10:20:30.123Z".len(), "{now}");
        assert!(now.ends_with('Z'));
        let before = clock.monotonic();
        clock.sleep(Duration::from_millis(2));
        assert!(clock.monotonic() >= before + Duration::from_millis(2));
    }
}
