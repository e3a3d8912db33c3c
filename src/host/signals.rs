//! SIGINT and SIGTERM: the first is noted, so that the step under way can end and everything be taken back; the second
//! ends the process at once and leaves the journal to tell. SIGHUP is ignored: a lost ssh connection must not stop a
//! migration half way.

use anyhow::{Context as _, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use std::sync::{Arc, atomic::AtomicBool};

/// Exit code of a process ended by SIGINT (128 + 2).
const INTERRUPTED: i32 = 130;

/// Begins to watch; the flag is set by the first signal.
///
/// # Errors
/// When the system refuses handlers.
pub fn watch_signals() -> Result<Arc<AtomicBool>> {
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
