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
    /// Failed, and taken back.
    pub const ROLLED_BACK: Self = Self(4);
    /// Failed, and could not be taken back.
    pub const STUCK: Self = Self(5);
    /// Changed, not proven, kept.
    pub const UNPROVEN: Self = Self(6);
    /// Usage error.
    pub const USAGE: Self = Self(64);
    /// Another run holds the lock.
    pub const LOCKED: Self = Self(75);
    /// Not root.
    pub const NOT_ROOT: Self = Self(77);
    /// Interrupted.
    pub const INTERRUPTED: Self = Self(130);
}

/// Every exit code with its meaning, as whole sentences; the reference page and the man pages are made from it.
pub const MEANINGS: &[(Exit, &str)] = &[
    (
        Exit::OK,
        "Success. Without `--detailed-exitcode` this is also \"there is something to do\" (`plan`) and \"not as \
         expected\" (`verify`). A `rollback` that was asked for and done is 0.",
    ),
    (
        Exit::FAILURE,
        "Failure; the node is unchanged, but by `cleanup`, which may have removed a part: called again, it goes on. A question \
         answered with no is also 1, and so is requested output that could not be written where nothing was to be changed.",
    ),
    (
        Exit::PENDING,
        "Only with `--detailed-exitcode`: there is something to do (`plan`, `convert --check`), the node is not as \
         expected (`verify`), or a node of a fleet is not (`report merge`).",
    ),
    (
        Exit::BLOCKED,
        "Findings block; the node is unchanged. Also from `plan` and `check`; with `check --fatal-warnings` for warnings \
         too.",
    ),
    (Exit::ROLLED_BACK, "`apply`, `migrate` or `resume` failed and was taken back; the old state is checked."),
    (
        Exit::STUCK,
        "Neither the new nor the old state holds: the node needs hands, and `castoff show` has the commands.",
    ),
    (Exit::UNPROVEN, "Changed, but the proof failed and `--keep-on-verify-failure` was given."),
    (
        Exit::USAGE,
        "Wrong use: unknown option, value or check id, or a question would have to be asked where nobody can answer.",
    ),
    (Exit::LOCKED, "Another castoff holds the lock; the node is unchanged."),
    (Exit::NOT_ROOT, "Not root; the node is unchanged."),
    (
        Exit::INTERRUPTED,
        "Interrupted by SIGINT or SIGTERM and taken back, or cancelled at a question; what `verify` ran is ended and taken \
         away. After a second signal the run is left dirty.",
    ),
];

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
        Refusal::Locked(_) => {
            (Exit::LOCKED, vec!["wait until it is done; `castoff show` tells how far it is".to_owned()])
        }
        Refusal::Blocked(ids) => {
            let mut hints: Vec<String> =
                ids.iter().map(|id| format!("read more with `castoff explain {id}`")).collect();
            let skips: Vec<String> = ids.iter().map(|id| format!("--skip-check {id}")).collect();
            hints.push(format!("when you know better: {}", skips.join(" ")));
            (Exit::BLOCKED, hints)
        }
        Refusal::Unready { id, .. } => {
            let more = format!("read more with `castoff explain {id}`");
            // `resume` and `rollback` skip nothing, and whoever calls them from a pod may have no other way.
            let then = if id == "castoff-in-container" {
                "start it as a unit of the node's systemd: `systemd-run --wait --pipe castoff …`".to_owned()
            } else {
                format!("when you know better: --skip-check {id}")
            };
            (Exit::BLOCKED, vec![more, then])
        }
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
