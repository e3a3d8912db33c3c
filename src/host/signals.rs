//! SIGINT and SIGTERM: the first is noted, so that the step under way can end and everything be taken back; the second
//! ends the process at once and leaves the journal to tell. SIGHUP is ignored: a lost ssh connection must not stop a
//! migration half way.

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2},
    flag, low_level,
};
use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicBool};

/// Exit code of a process ended by SIGINT (128 + 2).
const INTERRUPTED: i32 = 130;

/// Begins to watch; the flag is set by the first signal. It is the same one for whoever asks: a second one would not hear of what
/// came before, and the first would take the next signal for the second.
///
/// # Errors
/// When the system refuses handlers.
pub fn watch_signals() -> Result<Arc<AtomicBool>> {
    static FLAG: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
    let mut known = FLAG.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(flag) = &*known {
        return Ok(Arc::clone(flag));
    }
    let flag = register()?;
    *known = Some(Arc::clone(&flag));
    Ok(flag)
}

fn register() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Order matters: the shutdown looks at the flag before the second handler sets it.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&flag)).context("cannot watch signals")?;
        flag::register(signal, Arc::clone(&flag)).context("cannot watch signals")?;
    }
    let ignored = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, ignored).context("cannot watch signals")?;
    Ok(flag)
}

/// From now on, signals of the user's go to another process instead of ending this one.
///
/// # Errors
/// When the system refuses handlers.
pub fn pass_signals_on(to: Pid) -> Result<()> {
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2] {
        let Ok(passed) = Signal::try_from(signal) else { continue };
        let pass = move || {
            let _ = kill(to, passed);
        };
        #[allow(unsafe_code, reason = "a signal handler")]
        // SAFETY: kill(2) is async-signal-safe, and nothing else is done.
        unsafe { low_level::register(signal, pass) }.context("cannot pass signals on")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn whoever_watches_hears_of_the_signal_that_came_before() {
        let wizard = watch_signals().unwrap();
        low_level::raise(SIGINT).unwrap();
        let run = watch_signals().unwrap();
        assert!(wizard.load(Ordering::Relaxed) && run.load(Ordering::Relaxed));
        run.store(false, Ordering::Relaxed);
        // Not the second one: this process goes on.
        low_level::raise(SIGINT).unwrap();
        assert!(run.swap(false, Ordering::Relaxed));
    }
}
