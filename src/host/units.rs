//! systemd units: their state, and jobs on them. The real implementation talks to systemd over D-Bus; an order is
//! accepted only when systemd says that its job ended with `done`, and [`settle`] judges what came after.

mod dbus;
mod fake;

pub use dbus::DBusUnits;
pub use fake::FakeUnits;

use super::Clock;
use serde::{Deserialize, Serialize};
use std::{fmt::Debug, time::Duration};

/// How often [`settle`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Everything castoff wants to know about a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// Full name: `kubelet.service`.
    pub name: String,
    /// LoadState: `loaded`, `not-found`, `masked`, `error`, `bad-setting`.
    pub load: String,
    /// ActiveState: `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub active: String,
    /// SubState: `running`, `dead`, `auto-restart`, …
    pub sub: String,
    /// UnitFileState: `enabled`, `disabled`, `masked`, `static`, …; empty when there is no unit file.
    pub file_state: String,
    /// Path of the unit file.
    pub fragment: Option<String>,
    /// Paths of its drop-ins, in the order they apply.
    pub drop_ins: Vec<String>,
    /// Main process of a service that runs.
    pub main_pid: Option<u32>,
    /// InvocationID in hexadecimal: new for every start. Empty when never started, or before systemd 232.
    pub invocation: String,
    /// NRestarts: automatic restarts since the last start by order. 0 before systemd 235.
    pub restarts: u32,
    /// ActiveEnterTimestampMonotonic, microseconds: tells starts apart where there is no InvocationID.
    pub entered: u64,
    /// Files changed since systemd read them.
    pub need_reload: bool,
    /// Requires=
    pub requires: Vec<String>,
    /// BindsTo=
    pub binds_to: Vec<String>,
    /// Wants=
    pub wants: Vec<String>,
    /// After=
    pub after: Vec<String>,
    /// Units that require this one.
    pub required_by: Vec<String>,
    /// Units that are bound to this one.
    pub bound_by: Vec<String>,
    /// Units that this one must run for already.
    #[serde(default)]
    pub requisite_of: Vec<String>,
    /// Units that are stopped and restarted with this one.
    #[serde(default)]
    pub consists_of: Vec<String>,
    /// Units that want this one.
    #[serde(default)]
    pub wanted_by: Vec<String>,
    /// Result of the last run: `success`, `exit-code`, `signal`, `timeout`, …; empty where the unit has none.
    pub result: String,
    /// Command of ExecStart= with its arguments as configured: variables are not expanded.
    pub exec_start: Vec<String>,
}

impl UnitState {
    /// A unit that systemd does not know.
    pub fn not_found(name: &str) -> Self {
        let (load, active, sub) = ("not-found".to_owned(), "inactive".to_owned(), "dead".to_owned());
        Self { name: name.to_owned(), load, active, sub, ..Self::default() }
    }

    /// True while the unit does its work.
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// True when there is a unit of this name that could be started.
    pub fn is_loaded(&self) -> bool {
        self.load == "loaded"
    }

    /// True when this state belongs to another start than `before`.
    pub fn started_anew(&self, before: &Self) -> bool {
        if !before.invocation.is_empty() || !self.invocation.is_empty() {
            return self.invocation != before.invocation;
        }
        (self.entered, self.main_pid) != (before.entered, before.main_pid)
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// The unit.
    pub unit: String,
    /// `done`. Every other result is an error.
    pub result: String,
    /// How long it took.
    pub seconds: f64,
}

/// Why systemd did not do what was asked. Reach it through `error.downcast_ref::<UnitError>()`.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// There is no bus, or no systemd on it.
    #[error("systemd is not reachable over D-Bus at {at}: {detail}")]
    Unreachable {
        /// The bus.
        at: String,
        /// What was wrong.
        detail: String,
    },
    /// No unit of this name.
    #[error("there is no unit {unit}: {detail}")]
    NotFound {
        /// The unit.
        unit: String,
        /// systemd's words.
        detail: String,
    },
    /// The unit is masked.
    #[error("{unit} is masked, so systemd refuses to start it (undo: systemctl unmask {unit})")]
    Masked {
        /// The unit.
        unit: String,
    },
    /// Another job is in the way.
    #[error("systemd refuses to {what}, it would undo another job that is under way: {detail}")]
    Destructive {
        /// The order.
        what: String,
        /// systemd's words.
        detail: String,
    },
    /// Not allowed.
    #[error("systemd refuses to {what}, access denied: {detail}; run as root")]
    Denied {
        /// The order.
        what: String,
        /// The words of systemd or the bus.
        detail: String,
    },
    /// No answer, or no end of the job, in time.
    #[error("systemd did not {what} within {} s; {detail}", limit.as_secs_f32())]
    Timeout {
        /// The order.
        what: String,
        /// The limit.
        limit: Duration,
        /// What may still go on.
        detail: String,
    },
    /// The job ended, but not with `done`.
    #[error("{verb} of {unit} ended with `{result}`{}", tail(log))]
    Job {
        /// start, stop or restart.
        verb: String,
        /// The unit.
        unit: String,
        /// systemd's word: `failed`, `timeout`, `dependency`, `canceled`, …
        result: String,
        /// Last lines of the unit's journal.
        log: Vec<String>,
    },
    /// The unit did not stay up after its start. See [`settle`].
    #[error("{unit} {detail}")]
    Unsettled {
        /// The unit.
        unit: String,
        /// What was seen.
        detail: String,
    },
    /// Any other refusal.
    #[error("systemd refuses to {what}: {detail} ({name})")]
    Refused {
        /// The order.
        what: String,
        /// D-Bus name of the error.
        name: String,
        /// systemd's words.
        detail: String,
    },
}

fn tail(log: &[String]) -> String {
    if log.is_empty() {
        return String::new();
    }
    format!("; last lines of its journal:\n  {}", log.join("\n  "))
}

/// Looks at units and gives orders to systemd.
pub trait Units: Debug {
    /// `Err` says why systemd cannot be reached (a container, an image being built, no D-Bus).
    fn available(&self) -> Result<(), String>;

    /// systemd's version as it names itself: `252.22-1~deb12u1`.
    fn systemd_version(&self) -> anyhow::Result<String>;

    /// State of a unit. A unit that does not exist is no error: its `load` is `not-found`.
    fn state(&self, unit: &str) -> anyhow::Result<UnitState>;

    /// Starts a unit and waits for the end of the job.
    fn start(&self, unit: &str, timeout: Duration) -> anyhow::Result<JobResult>;

    /// Stops a unit and waits. A unit that is not loaded is stopped already.
    fn stop(&self, unit: &str, timeout: Duration) -> anyhow::Result<JobResult>;

    /// Restarts a unit, or starts it, and waits.
    fn restart(&self, unit: &str, timeout: Duration) -> anyhow::Result<JobResult>;

    /// Clears a failed state and the count of starts that StartLimitBurst= limits.
    fn reset_failed(&self, unit: &str) -> anyhow::Result<()>;

    /// This process, as systemd sees it.
    fn own(&self) -> anyhow::Result<OwnProcess>;

    /// Has a program started once as systemd starts those of units, with `--version`, and waits for its end.
    fn try_program(&self, program: &str) -> anyhow::Result<()>;

    /// Moves a process of ours into a transient scope, newly made, and waits until it is there.
    fn adopt(&self, scope: &Scope<'_>, pid: u32) -> anyhow::Result<()>;

    /// Makes systemd read its files again (daemon-reload) and waits for it.
    fn reload(&self) -> anyhow::Result<()>;
}

/// This process, seen from outside of whatever namespaces it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnProcess {
    /// Its pid there.
    pub pid: u32,
    /// The unit it counts to: `session-3.scope`, `cron.service`, `docker-….scope`; empty where it counts to none.
    pub unit: String,
}

/// A transient scope: a unit around processes that systemd did not start.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Name, with `.scope`.
    pub name: &'a str,
    /// What people see it called.
    pub description: &'a str,
    /// Slice it is in; `None`: `system.slice`.
    pub slice: Option<&'a str>,
    /// Its cgroup is somebody else's to divide.
    pub delegate: bool,
}

/// Judges a unit whose start or restart job ended with `done`, which for `Type=simple` says no more than that the
/// program was executed: it must be active, it must be another run than `before`, and for the time `settle` it must
/// stay the same run. Returns the last state seen.
pub fn settle(
    units: &dyn Units,
    clock: &dyn Clock,
    unit: &str,
    before: &UnitState,
    settle: Duration,
) -> anyhow::Result<UnitState> {
    let first = units.state(unit)?;
    must_be_active(&first)?;
    if !first.started_anew(before) {
        return unsettled(unit, "is still the run from before, it was not started".to_owned());
    }
    if first.restarts > before.restarts && first.restarts > 0 {
        return unsettled(unit, format!("was restarted by systemd right after its start{}", why(&first)));
    }
    let until = clock.monotonic().saturating_add(settle);
    let mut last = first.clone();
    loop {
        let left = until.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return Ok(last);
        }
        clock.sleep(left.min(LOOK_EVERY));
        last = units.state(unit)?;
        must_be_active(&last)?;
        if last.restarts != first.restarts || last.started_anew(&first) {
            let times = last.restarts.saturating_sub(first.restarts).max(1);
            return unsettled(
                unit,
                format!("crashes: systemd restarted it {times} time(s) after its start{}", why(&last)),
            );
        }
        if last.main_pid != first.main_pid {
            return unsettled(unit, format!("changed its main process after its start{}", why(&last)));
        }
    }
}

fn must_be_active(state: &UnitState) -> anyhow::Result<()> {
    if state.is_active() {
        return Ok(());
    }
    let sub = if state.sub == "auto-restart" { "waits to be restarted after a crash" } else { "is not active" };
    unsettled(&state.name, format!("{sub} ({}, {}){}", state.active, state.sub, why(state)))
}

fn why(state: &UnitState) -> String {
    match state.result.as_str() {
        "" | "success" => String::new(),
        result => format!(", result `{result}`"),
    }
}

fn unsettled<T>(unit: &str, detail: String) -> anyhow::Result<T> {
    Err(UnitError::Unsettled { unit: unit.to_owned(), detail }.into())
}

#[cfg(test)]
#[path = "units/tests.rs"]
mod tests;
