//! Whoever holds the lock is not stopped by a terminal: the node would stand in the middle of a step, and nobody else could go on.

use nix::sys::{
    signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    termios::{InputFlags, SetArg, tcgetattr, tcsetattr},
};
use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd},
};

/// Ctrl-Z, and what a terminal sends to whoever reads from it or writes to it in the background.
const STOPS: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// As long as it is there, neither job control nor Ctrl-S on the terminal stops this process. `kill -STOP` does.
#[derive(Debug)]
pub struct Steady {
    before: Vec<(Signal, SigAction)>,
    /// Whether the terminals of standard output and of standard error were changed.
    changed: [bool; 2],
}

impl Steady {
    /// From now on.
    pub fn begin() -> Self {
        // Ignored, not caught: a write in the background would be tried again and again.
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        let before = STOPS.into_iter().filter_map(|signal| Some((signal, act(signal, &ignore)?))).collect();
        let (out, err) = (io::stdout(), io::stderr());
        Self { before, changed: [out.as_fd(), err.as_fd()].map(|terminal| flow_control(terminal, false)) }
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        let (out, err) = (io::stdout(), io::stderr());
        for (terminal, _) in [out.as_fd(), err.as_fd()].into_iter().zip(self.changed).filter(|(_, changed)| *changed) {
            flow_control(terminal, true);
        }
        for (signal, before) in &self.before {
            act(*signal, before);
        }
    }
}

/// Gives what was done upon that signal before.
#[allow(unsafe_code, reason = "a disposition of signals")]
fn act(signal: Signal, action: &SigAction) -> Option<SigAction> {
    // SAFETY: no handler of ours comes in; what is put back is what was there.
    unsafe { sigaction(signal, action) }.ok()
}

/// Whether Ctrl-S stops what is written to a terminal. True when that was changed.
fn flow_control(terminal: BorrowedFd<'_>, on: bool) -> bool {
    let Ok(mut settings) = tcgetattr(terminal) else { return false };
    if settings.input_flags.contains(InputFlags::IXON) == on {
        return false;
    }
    settings.input_flags.set(InputFlags::IXON, on);
    tcsetattr(terminal, SetArg::TCSANOW, &settings).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;

    /// Bit n - 1 stands for signal n (proc(5), `SigIgn`).
    #[allow(clippy::disallowed_methods)] // a look at this process
    fn ignored(signal: Signal) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        (u64::from_str_radix(mask, 16).unwrap() >> (signal as i32 - 1)) & 1 == 1
    }

    #[test]
    fn job_control_stops_nobody_who_is_steady() {
        let before = STOPS.map(ignored);
        let steady = Steady::begin();
        assert!(STOPS.into_iter().all(ignored));
        drop(steady);
        assert_eq!(STOPS.map(ignored), before);
    }

    #[test]
    fn a_terminal_loses_its_flow_control_and_gets_it_back() {
        let pair = openpty(None, None).unwrap();
        let terminal = &pair.slave;
        let has = || tcgetattr(terminal).unwrap().input_flags.contains(InputFlags::IXON);
        assert!(has());
        assert!(flow_control(terminal.as_fd(), false) && !has());
        assert!(!flow_control(terminal.as_fd(), false), "nothing to change");
        assert!(flow_control(terminal.as_fd(), true) && has());
        let file = tempfile::tempfile().unwrap();
        assert!(!flow_control(file.as_fd(), false), "no terminal");
    }
}
