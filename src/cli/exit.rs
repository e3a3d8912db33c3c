//! Exit codes (`interface.md`, "Exit codes") and the way errors are told.

use crate::{
    apply::Refusal,
    host::{DaemonError, FileError, UnitError},
    ui::Printer,
};
use std::process::ExitCode;

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Success.
    pub const OK: Self = Self(0);
    /// Failure, node unchanged.
    pub const FAILURE: Self = Self(1);
    /// With `--detailed-exitcode`: changes pending, or not as expected.
    pub const PENDING: Self = Self(2);
    /// Blocked by findings.
    pub const BLOCKED: Self = Self(3);
    /// Usage error.
    pub const USAGE: Self = Self(64);
    /// Another run holds the lock.
    pub const LOCKED: Self = Self(75);
    /// Not root.
    pub const NOT_ROOT: Self = Self(77);
    /// Interrupted.
    pub const INTERRUPTED: Self = Self(130);
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// What the user did wrong on the command line.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Usage {
    /// What.
    pub message: String,
    /// What to do instead.
    pub hint: String,
}

impl Usage {
    /// A usage error with advice.
    pub fn error(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self { message: message.into(), hint: hint.into() }.into()
    }
}

/// Tells an error: one line, its causes, and what to do; gives its exit code.
pub fn report(error: &anyhow::Error, printer: Printer) -> Exit {
    let (text, exit) = told(error);
    printer.insist(&format!("error: {text}"));
    exit
}

/// An error's one line, its causes, and what to do; and its exit code.
pub fn told(error: &anyhow::Error) -> (String, Exit) {
    let mut chain = error.chain();
    let mut text = chain.next().map(ToString::to_string).unwrap_or_default();
    for cause in chain {
        let cause = cause.to_string();
        // A wrapper often ends with the words of what it wraps.
        if !text.contains(&cause) {
            text.push_str(&format!("\n  cause: {}", cause.replace('\n', "\n         ")));
        }
    }
    let (exit, hints) = judge(error);
    if !hints.is_empty() {
        text.push('\n');
        for hint in hints {
            text.push_str(&format!("\nhint: {hint}"));
        }
    }
    (text, exit)
}

fn judge(error: &anyhow::Error) -> (Exit, Vec<String>) {
    if let Some(usage) = error.downcast_ref::<Usage>() {
        return (Exit::USAGE, vec![usage.hint.clone()]);
    }
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return judge_refusal(refusal);
    }
    if let Some(UnitError::Unreachable { .. }) = error.downcast_ref::<UnitError>() {
        let hint = "castoff starts and stops units over D-Bus; for a file tree that does not run, use `--root DIR`";
        return (Exit::FAILURE, vec![hint.to_owned()]);
    }
    let forbidden = error.downcast_ref::<FileError>().is_some_and(FileError::is_permission);
    if forbidden || matches!(DaemonError::of(error), Some(DaemonError::Permission { .. })) {
        return (Exit::FAILURE, vec!["run castoff as root".to_owned()]);
    }
    (Exit::FAILURE, Vec::new())
}

fn judge_refusal(refusal: &Refusal) -> (Exit, Vec<String>) {
    match refusal {
        Refusal::Locked(_) => (Exit::LOCKED, vec!["wait until it is done; `castoff history` shows runs".to_owned()]),
        Refusal::Blocked(ids) => {
            let mut hints: Vec<String> =
                ids.iter().map(|id| format!("read more with `castoff explain {id}`")).collect();
            let skips: Vec<String> = ids.iter().map(|id| format!("--skip-check {id}")).collect();
            hints.push(format!("when you know better: {}", skips.join(" ")));
            (Exit::BLOCKED, hints)
        }
        Refusal::Unready { id, .. } => (
            Exit::BLOCKED,
            vec![format!("read more with `castoff explain {id}`"), format!("when you know better: --skip-check {id}")],
        ),
        Refusal::Stale(_) => (Exit::FAILURE, vec!["look at it, then make a new plan with `castoff plan`".to_owned()]),
        Refusal::Drifted { run, .. } => {
            (Exit::FAILURE, vec![format!("look at it; `castoff rollback {run}` takes the run back")])
        }
        Refusal::Dirty(run) => (
            Exit::FAILURE,
            vec![format!("`castoff resume {run}` goes on with it"), format!("`castoff rollback {run}` takes it back")],
        ),
        Refusal::Unkept { run, .. } => (
            Exit::FAILURE,
            vec![format!("`castoff commit {run}` keeps it"), format!("`castoff rollback {run}` takes it back now")],
        ),
        Refusal::Cleaned { .. } => {
            (Exit::FAILURE, vec!["Docker's images and containers are gone; set the node up anew instead".to_owned()])
        }
        Refusal::Unfit(_) => (Exit::FAILURE, vec!["make a plan on this node with `castoff plan`".to_owned()]),
        Refusal::NotRoot => (Exit::NOT_ROOT, vec!["use sudo; `castoff inspect` and `plan` work without".to_owned()]),
    }
}
