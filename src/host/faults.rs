//! Scripted failures: the handle by which tests attack a migration.
//!
//! Every side effect of `host/` is counted here before it acts. A script can make effect *n* fail, or let the process
//! "die" right before, right after or in the middle of it: from then on no effect acts any more, which is what a killed
//! process looks like from the file system. Outside tests there is no script and the cost is one branch.

use anyhow::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// What happens at effect *n*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultMode {
    /// It fails; what comes after works again.
    Fail,
    /// The process dies just before it.
    DieBefore,
    /// The process dies just after it.
    DieAfter,
    /// The process dies in the middle of it: of a write, the first half arrives.
    Torn,
}

#[derive(Debug)]
struct Script {
    count: u64,
    at: u64,
    mode: FaultMode,
    dead: bool,
    log: Vec<String>,
}

/// A script of failures, shared by all parts of a [`super::Host`].
#[derive(Clone, Default, Debug)]
pub struct Faults(Option<Arc<Mutex<Script>>>);

/// The error of an effect that a script made fail.
#[derive(Debug, thiserror::Error)]
pub enum Injected {
    /// This effect only.
    #[error("scripted failure at operation {at} ({what})")]
    Failure {
        /// Number of the operation.
        at: u64,
        /// What it was.
        what: String,
    },
    /// The process counts as dead.
    #[error("the process is dead ({what})")]
    Dead {
        /// What it was.
        what: String,
    },
}

enum Order {
    Act,
    ActThenDie,
    TearThenDie,
    Refuse(Injected),
}

impl Faults {
    /// No script: everything works as the machine lets it.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Effect number `at` (from 1) meets `mode`. `u64::MAX` only counts.
    pub fn at(at: u64, mode: FaultMode) -> Self {
        Self(Some(Arc::new(Mutex::new(Script { count: 0, at, mode, dead: false, log: Vec::new() }))))
    }

    /// Effect number `at` fails, once.
    pub fn nth(at: u64) -> Self {
        Self::at(at, FaultMode::Fail)
    }

    /// How many effects were asked for.
    pub fn count(&self) -> u64 {
        self.script(|script| script.count).unwrap_or_default()
    }

    /// What was asked for, in order.
    pub fn log(&self) -> Vec<String> {
        self.script(|script| script.log.clone()).unwrap_or_default()
    }

    /// True when the scripted process has died.
    pub fn is_dead(&self) -> bool {
        self.script(|script| script.dead).unwrap_or_default()
    }

    /// Runs one side effect, unless the script says otherwise.
    ///
    /// # Errors
    /// The effect's own, or an [`Injected`].
    pub fn effect<T>(&self, what: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.order(what) {
            Order::Act => act(),
            Order::ActThenDie => {
                act()?;
                Err(Injected::Dead { what: what.to_owned() }.into())
            }
            Order::TearThenDie => Err(Injected::Dead { what: what.to_owned() }.into()),
            Order::Refuse(injected) => Err(injected.into()),
        }
    }

    /// Runs a write of `bytes`; a torn one gets only the first half.
    ///
    /// # Errors
    /// The write's own, or an [`Injected`].
    pub fn write(&self, what: &str, bytes: &[u8], act: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        match self.order(what) {
            Order::Act => act(bytes),
            Order::ActThenDie => {
                act(bytes)?;
                Err(Injected::Dead { what: what.to_owned() }.into())
            }
            Order::TearThenDie => {
                act(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
                Err(Injected::Dead { what: what.to_owned() }.into())
            }
            Order::Refuse(injected) => Err(injected.into()),
        }
    }

    fn order(&self, what: &str) -> Order {
        self.script(|script| {
            if script.dead {
                return Order::Refuse(Injected::Dead { what: what.to_owned() });
            }
            script.count += 1;
            script.log.push(what.to_owned());
            if script.count != script.at {
                return Order::Act;
            }
            script.dead = script.mode != FaultMode::Fail;
            match script.mode {
                FaultMode::Fail => Order::Refuse(Injected::Failure { at: script.at, what: what.to_owned() }),
                FaultMode::DieBefore => Order::Refuse(Injected::Dead { what: what.to_owned() }),
                FaultMode::DieAfter => Order::ActThenDie,
                FaultMode::Torn => Order::TearThenDie,
            }
        })
        .unwrap_or(Order::Act)
    }

    fn script<T>(&self, f: impl FnOnce(&mut Script) -> T) -> Option<T> {
        self.0.as_ref().map(|script| f(&mut script.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_process_does_nothing_more() {
        for (mode, acted) in [(FaultMode::DieBefore, 1), (FaultMode::DieAfter, 2), (FaultMode::Torn, 1)] {
            let faults = Faults::at(2, mode);
            let mut count = 0;
            for _ in 0..5 {
                let _ = faults.effect("op", || {
                    count += 1;
                    Ok(())
                });
            }
            assert_eq!((count, faults.is_dead(), faults.count()), (acted, true, 2), "{mode:?}");
        }
    }

    #[test]
    fn a_failure_is_one_failure() {
        let faults = Faults::at(2, FaultMode::Fail);
        let results: Vec<bool> = (0..4).map(|_| faults.effect("op", || Ok(())).is_ok()).collect();
        assert_eq!(results, [true, false, true, true]);
    }

    #[test]
    fn a_torn_write_gets_half() {
        let faults = Faults::at(1, FaultMode::Torn);
        let mut seen = Vec::new();
        let result = faults.write("w", b"abcd", |bytes| {
            seen = bytes.to_vec();
            Ok(())
        });
        assert!(result.is_err());
        assert_eq!(seen, b"ab");
    }
}
