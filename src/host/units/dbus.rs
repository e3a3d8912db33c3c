//! systemd over D-Bus. Every operation opens its own connection to the system bus: it costs a few milliseconds, and
//! none can be stale after a restart of the bus or a re-execution of systemd.

use super::{JobResult, OwnProcess, Scope, UnitError, UnitState, Units};
use crate::host::{Aio, Faults, procs::Procs};
use anyhow::Context;
use futures_util::StreamExt;
use std::{collections::HashMap, num::NonZeroUsize, rc::Rc, time::Duration};
use zbus::{
    Connection, DBusError, DynamicType, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant, Variant, fdo,
    message::Type,
};

/// Where the system bus listens on every distribution; castoff does not let the environment choose another.
pub const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const BUS: &str = "org.freedesktop.DBus";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The unit in which a program is tried.
const TRIAL: &str = "castoff-program.service";

/// For calls that systemd answers at once.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// systemd answers Reload only after every generator has run.
const RELOAD_LIMIT: Duration = Duration::from_secs(120);
/// Between two tries of a reload that systemd refuses for being one too many.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);
const JOURNAL_LIMIT: Duration = Duration::from_secs(5);
/// JobRemoved signals kept while we wait for the reply that names our job. A busy boot sends hundreds.
const SIGNALS_KEPT: usize = 4096;

type Properties = HashMap<String, OwnedVariant>;

/// The running systemd.
#[derive(Clone, Debug)]
pub struct DBusUnits {
    aio: Aio,
    socket: String,
    procs: Rc<dyn Procs>,
    faults: Faults,
}

impl DBusUnits {
    /// systemd on the system bus. Nothing is connected yet. `procs` fetches the journal of a unit that failed.
    pub fn new(aio: Aio, procs: Rc<dyn Procs>, faults: Faults) -> Self {
        Self::on_bus(SYSTEM_BUS, aio, procs, faults)
    }

    /// systemd on a bus that listens elsewhere.
    pub fn on_bus(socket: &str, aio: Aio, procs: Rc<dyn Procs>, faults: Faults) -> Self {
        Self { aio, socket: socket.to_owned(), procs, faults }
    }

    fn with_bus<T>(
        &self,
        limit: Duration,
        what: &str,
        late: &str,
        work: impl AsyncFnOnce(&Bus) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.aio.run(async {
            let all = async {
                let bus = Bus::connect(&self.socket).await?;
                let result = work(&bus).await;
                bus.close().await;
                result
            };
            let timeout = || UnitError::Timeout { what: what.to_owned(), limit, detail: late.to_owned() };
            tokio::time::timeout(limit, all).await.unwrap_or_else(|_| Err(timeout().into()))
        })
    }

    fn job(&self, verb: &str, method: &str, unit: &str, timeout: Duration) -> anyhow::Result<JobResult> {
        let what = format!("{verb} {unit}");
        let ended = self.faults.effect(&what, || {
            self.with_bus(timeout, &what, "the job may still be under way", async |bus| {
                let began = tokio::time::Instant::now();
                let result = bus.run_job(method, &(unit, "replace"), unit, &what).await?;
                Ok(JobResult { unit: unit.to_owned(), result, seconds: began.elapsed().as_secs_f64() })
            })
        })?;
        if ended.result == "done" {
            return Ok(ended);
        }
        let (verb, unit, log) = (verb.to_owned(), unit.to_owned(), self.last_words(unit));
        Err(UnitError::Job { verb, unit, result: ended.result, log }.into())
    }

    /// Last lines of the unit's journal. None is no reason to hide the failure itself.
    fn last_words(&self, unit: &str) -> Vec<String> {
        let args = ["-u", unit, "-n", "5", "--no-pager", "-o", "cat"];
        let ran = self.procs.query("journalctl", &args, JOURNAL_LIMIT).and_then(|ran| ran.ok("journalctl"));
        ran.map(|ran| ran.text().lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    fn manager_call(&self, limit: Duration, what: &str, method: &str, unit: Option<&str>) -> anyhow::Result<()> {
        self.with_bus(limit, what, "it may still be busy with that", async |bus| {
            let done = match unit {
                Some(unit) => bus.manager(method, &(unit,)).await,
                None => bus.manager(method, &()).await,
            };
            done.map(drop).map_err(|error| bus.refused(what, unit, error))
        })
    }
}

impl Units for DBusUnits {
    fn available(&self) -> Result<(), String> {
        self.systemd_version().map(drop).map_err(|error| format!("{error:#}"))
    }

    fn systemd_version(&self) -> anyhow::Result<String> {
        let what = "tell its version";
        self.with_bus(CALL_LIMIT, what, "is it hung?", async |bus| {
            let reply = bus.call(SYSTEMD, MANAGER_PATH, PROPERTIES, "Get", &(MANAGER, "Version")).await;
            let reply = reply.map_err(|error| bus.refused(what, None, error))?;
            let value: OwnedVariant = reply.body().deserialize().context("failed to read systemd's version")?;
            String::try_from(value).context("failed to read systemd's version")
        })
    }

    fn state(&self, unit: &str) -> anyhow::Result<UnitState> {
        let what = format!("tell the state of {unit}");
        self.with_bus(CALL_LIMIT, &what, "is it hung?", async |bus| bus.state(unit, &what).await)
    }

    fn start(&self, unit: &str, timeout: Duration) -> anyhow::Result<JobResult> {
        self.job("start", "StartUnit", unit, timeout)
    }

    fn stop(&self, unit: &str, timeout: Duration) -> anyhow::Result<JobResult> {
        let done = self.job("stop", "StopUnit", unit, timeout);
        match done {
            // systemd forgets units that are not running and not needed.
            Err(error) if matches!(error.downcast_ref(), Some(UnitError::NotFound { .. })) => {
                Ok(JobResult { unit: unit.to_owned(), result: "done".to_owned(), seconds: 0.0 })
            }
            other => other,
        }
    }

    fn restart(&self, unit: &str, timeout: Duration) -> anyhow::Result<JobResult> {
        self.job("restart", "RestartUnit", unit, timeout)
    }

    fn reset_failed(&self, unit: &str) -> anyhow::Result<()> {
        let what = format!("reset-failed {unit}");
        let done = self.faults.effect(&what, || self.manager_call(CALL_LIMIT, &what, "ResetFailedUnit", Some(unit)));
        match done {
            // What systemd has forgotten has no failed state.
            Err(error) if matches!(error.downcast_ref(), Some(UnitError::NotFound { .. })) => Ok(()),
            other => other,
        }
    }

    fn own(&self) -> anyhow::Result<OwnProcess> {
        let what = "tell the unit of this process";
        self.with_bus(CALL_LIMIT, what, "is it hung?", async |bus| bus.own(what).await)
    }

    fn try_program(&self, program: &str) -> anyhow::Result<()> {
        // One that failed is there until it is forgotten, and its name is taken.
        let forget = || drop(self.manager_call(CALL_LIMIT, "forget it", "ResetFailedUnit", Some(TRIAL)));
        let what = format!("start {program}");
        let result = self.faults.effect(&format!("run {TRIAL}"), || {
            forget();
            let ran = self.with_bus(CALL_LIMIT, &what, "it is stopped", async |bus| {
                let command = vec![(program.to_owned(), vec![program.to_owned(), "--version".to_owned()], false)];
                // Only of this type is the end of a job the end of the program.
                let properties = vec![
                    ("Description", Variant::from("castoff: whether systemd can start it")),
                    ("Type", Variant::from("oneshot")),
                    ("StandardOutput", Variant::from("null")),
                    ("ExecStart", Variant::new(command)),
                ];
                let none: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
                bus.run_job("StartTransientUnit", &(TRIAL, "fail", properties, none), TRIAL, &what).await
            });
            if ran.is_err() {
                // Nothing waits for it any more, and it may hang.
                let _ = self.with_bus(CALL_LIMIT, "stop it", "it may hang", async |bus| {
                    Ok(bus.manager("StopUnit", &(TRIAL, "replace")).await?)
                });
            }
            ran
        })?;
        if result == "done" {
            return Ok(());
        }
        let (verb, unit, log) = ("start".to_owned(), TRIAL.to_owned(), self.last_words(TRIAL));
        forget();
        Err(UnitError::Job { verb, unit, result, log }.into())
    }

    fn adopt(&self, scope: &Scope<'_>, pid: u32) -> anyhow::Result<()> {
        let what = format!("start {}", scope.name);
        let result = self.faults.effect(&what, || {
            self.with_bus(CALL_LIMIT, &what, "is it hung?", async |bus| {
                let mut properties =
                    vec![("Description", Variant::from(scope.description)), ("PIDs", Variant::from(vec![pid]))];
                properties.extend(scope.slice.map(|slice| ("Slice", Variant::from(slice))));
                if scope.delegate {
                    properties.push(("Delegate", Variant::from(true)));
                }
                let none: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
                let body = (scope.name, "fail", properties, none);
                bus.run_job("StartTransientUnit", &body, scope.name, &what).await
            })
        })?;
        if result == "done" {
            return Ok(());
        }
        let (verb, unit) = ("start".to_owned(), scope.name.to_owned());
        Err(UnitError::Job { verb, unit, result, log: Vec::new() }.into())
    }

    fn reload(&self) -> anyhow::Result<()> {
        let (what, late) = ("reload its files", "it may still be busy with that, or its ReloadLimitBurst= forbids it");
        self.faults.effect("daemon-reload", || {
            self.with_bus(RELOAD_LIMIT, what, late, async |bus| {
                loop {
                    match bus.manager("Reload", &()).await.map_err(|error| bus.refused(what, None, error)) {
                        // Too many reloads in a short time (ReloadLimitIntervalSec=, systemd 253): a matter of waiting.
                        Err(error) if is_limit(&error) => tokio::time::sleep(RELOAD_PAUSE).await,
                        other => return other.map(drop),
                    }
                }
            })
        })
    }
}

/// One connection.
struct Bus {
    connection: Connection,
    socket: String,
}

impl Bus {
    async fn connect(socket: &str) -> anyhow::Result<Self> {
        let address = format!("unix:path={socket}");
        let built = zbus::connection::Builder::address(address.as_str()).method_timeout(RELOAD_LIMIT).build().await;
        match built {
            Ok(connection) => Ok(Self { connection, socket: socket.to_owned() }),
            Err(error) => Err(UnitError::Unreachable { at: socket.to_owned(), detail: plain(&error) }.into()),
        }
    }

    async fn close(self) {
        // The answer is already here; how the goodbye goes changes nothing.
        let _ = self.connection.close().await;
    }

    async fn call<B>(&self, to: &str, path: &str, interface: &str, method: &str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        self.connection.call_method(Some(to), path, Some(interface), method, body).await
    }

    async fn manager<B: serde::Serialize + DynamicType>(&self, method: &str, body: &B) -> zbus::Result<Message> {
        self.call(SYSTEMD, MANAGER_PATH, MANAGER, method, body).await
    }

    /// Gives an order and waits until systemd says how the job ended.
    async fn run_job<B>(&self, method: &str, body: &B, unit: &str, what: &str) -> anyhow::Result<String>
    where
        B: serde::Serialize + DynamicType,
    {
        let refused = |error| self.refused(what, Some(unit), error);
        // Both before the order: a short job is over before its reply is read.
        let mut removed = self.job_removed().await.map_err(refused)?;
        self.manager("Subscribe", &()).await.map_err(refused)?;
        let reply = self.manager(method, body).await.map_err(refused)?;
        let job: OwnedObjectPath = reply.body().deserialize().with_context(|| format!("failed to {what}"))?;
        while let Some(signal) = removed.next().await {
            let signal = signal.map_err(refused)?;
            let body = signal.body();
            let Ok((_, path, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>() else {
                continue;
            };
            if path == job {
                return Ok(result);
            }
        }
        let detail = "the connection ended while a job was under way".to_owned();
        Err(UnitError::Unreachable { at: self.socket.clone(), detail }.into())
    }

    /// The pid is the one that the bus sees: this process may be in a pid namespace of its own.
    async fn own(&self, what: &str) -> anyhow::Result<OwnProcess> {
        let failed = || format!("failed to {what}");
        let refused = |error| self.refused(what, None, error);
        let name = self.connection.unique_name().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let bus = "/org/freedesktop/DBus";
        let reply = self.call(BUS, bus, BUS, "GetConnectionUnixProcessID", &(name,)).await.map_err(refused)?;
        let pid: u32 = reply.body().deserialize().with_context(failed)?;
        // It counts to none where it is outside of what systemd divides.
        let Ok(reply) = self.manager("GetUnitByPID", &(pid,)).await else {
            return Ok(OwnProcess { pid, unit: String::new() });
        };
        let path: OwnedObjectPath = reply.body().deserialize().with_context(failed)?;
        let reply = self.call(SYSTEMD, path.as_str(), PROPERTIES, "Get", &(UNIT, "Id")).await.map_err(refused)?;
        let value: OwnedVariant = reply.body().deserialize().with_context(failed)?;
        Ok(OwnProcess { pid, unit: String::try_from(value).with_context(failed)? })
    }

    async fn job_removed(&self) -> zbus::Result<MessageStream> {
        // By its unique name: everybody may send signals on the bus, only systemd's count.
        let owner = self.call(BUS, "/org/freedesktop/DBus", BUS, "GetNameOwner", &(SYSTEMD,)).await?;
        let body = owner.body();
        let owner: &str = body.deserialize()?;
        let rule = MatchRule::builder().msg_type(Type::Signal).sender(owner).path(MANAGER_PATH);
        let rule = rule.interface(MANAGER).member("JobRemoved").build()?;
        MessageStream::for_match_rule(rule, &self.connection, NonZeroUsize::new(SIGNALS_KEPT)).await
    }

    async fn state(&self, unit: &str, what: &str) -> anyhow::Result<UnitState> {
        let refused = |error| self.refused(what, Some(unit), error);
        // LoadUnit, not GetUnit: that one knows only what is loaded already, and fails for the rest.
        let reply = match self.manager("LoadUnit", &(unit,)).await.map_err(refused) {
            Ok(reply) => reply,
            Err(error) if matches!(error.downcast_ref(), Some(UnitError::NotFound { .. })) => {
                return Ok(UnitState::not_found(unit));
            }
            Err(error) => return Err(error),
        };
        let path: OwnedObjectPath = reply.body().deserialize().with_context(|| format!("failed to find {unit}"))?;
        let mut all = self.properties(&path, UNIT).await.map_err(refused)?;
        if let Some(interface) = own_interface(unit) {
            // A type of unit that this systemd does not serve is no reason to know nothing of it.
            all.extend(self.properties(&path, interface).await.unwrap_or_default());
        }
        Ok(unit_state(unit, all))
    }

    async fn properties(&self, path: &OwnedObjectPath, interface: &str) -> zbus::Result<Properties> {
        self.call(SYSTEMD, path.as_str(), PROPERTIES, "GetAll", &(interface,)).await?.body().deserialize()
    }

    /// Sorts a refusal into what the caller can do about it.
    fn refused(&self, what: &str, unit: Option<&str>, error: zbus::Error) -> anyhow::Error {
        let (name, detail) = match error {
            zbus::Error::MethodError(name, detail, _) => (name.to_string(), detail.unwrap_or_default()),
            zbus::Error::FDO(error) => match *error {
                fdo::Error::ZBus(error) => return self.broken(&error),
                error => (error.name().to_string(), error.description().unwrap_or_default().to_owned()),
            },
            error => return self.broken(&error),
        };
        sorted(&self.socket, what, unit, &name, detail).into()
    }

    fn broken(&self, error: &zbus::Error) -> anyhow::Error {
        UnitError::Unreachable { at: self.socket.clone(), detail: plain(error) }.into()
    }
}

fn sorted(socket: &str, what: &str, unit: Option<&str>, name: &str, detail: String) -> UnitError {
    let (what, owned_unit) = (what.to_owned(), unit.unwrap_or_default().to_owned());
    let known =
        name.strip_prefix("org.freedesktop.systemd1.").or_else(|| name.strip_prefix("org.freedesktop.DBus.Error."));
    match known.unwrap_or(name) {
        "NoSuchUnit" if unit.is_some() => UnitError::NotFound { unit: owned_unit, detail },
        "UnitMasked" => UnitError::Masked { unit: owned_unit },
        "TransactionIsDestructive" | "TransactionJobsConflicting" => UnitError::Destructive { what, detail },
        "AccessDenied" | "AuthFailed" | "InteractiveAuthorizationRequired" => UnitError::Denied { what, detail },
        "NoReply" | "Timeout" | "TimedOut" => UnitError::Timeout { what, limit: RELOAD_LIMIT, detail },
        "ServiceUnknown" | "NameHasNoOwner" | "NoServer" | "Disconnected" => {
            UnitError::Unreachable { at: socket.to_owned(), detail }
        }
        word if word.starts_with("Spawn.") => UnitError::Unreachable { at: socket.to_owned(), detail },
        _ => UnitError::Refused { what, name: name.to_owned(), detail },
    }
}

fn is_limit(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(UnitError::Refused { name, .. }) if name.ends_with(".LimitsExceeded"))
}

/// zbus names the address again in its own words; the caller has already said where.
fn plain(error: &zbus::Error) -> String {
    match error {
        zbus::Error::Connection(error, _) | zbus::Error::InputOutput(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn own_interface(unit: &str) -> Option<&'static str> {
    match unit.rsplit('.').next() {
        Some("service") => Some("org.freedesktop.systemd1.Service"),
        Some("socket") => Some("org.freedesktop.systemd1.Socket"),
        Some("mount") => Some("org.freedesktop.systemd1.Mount"),
        _ => None,
    }
}

/// Takes what is known out of the properties. One that is missing (old systemd) or of another type is left empty.
fn unit_state(unit: &str, mut all: Properties) -> UnitState {
    fn take<T: TryFrom<OwnedVariant> + Default>(all: &mut Properties, name: &str) -> T {
        all.remove(name).and_then(|value| T::try_from(value).ok()).unwrap_or_default()
    }
    let invocation: Vec<u8> = take(&mut all, "InvocationID");
    let nonempty = |text: String| (!text.is_empty()).then_some(text);
    UnitState {
        name: nonempty(take(&mut all, "Id")).unwrap_or_else(|| unit.to_owned()),
        load: take(&mut all, "LoadState"),
        active: take(&mut all, "ActiveState"),
        sub: take(&mut all, "SubState"),
        file_state: take(&mut all, "UnitFileState"),
        fragment: nonempty(take(&mut all, "FragmentPath")),
        drop_ins: take(&mut all, "DropInPaths"),
        main_pid: Some(take::<u32>(&mut all, "MainPID")).filter(|pid| *pid != 0),
        invocation: hex(&invocation),
        restarts: take(&mut all, "NRestarts"),
        entered: take(&mut all, "ActiveEnterTimestampMonotonic"),
        need_reload: take(&mut all, "NeedDaemonReload"),
        requires: take(&mut all, "Requires"),
        binds_to: take(&mut all, "BindsTo"),
        wants: take(&mut all, "Wants"),
        after: take(&mut all, "After"),
        required_by: take(&mut all, "RequiredBy"),
        bound_by: take(&mut all, "BoundBy"),
        requisite_of: take(&mut all, "RequisiteOf"),
        consists_of: take(&mut all, "ConsistsOf"),
        wanted_by: take(&mut all, "WantedBy"),
        result: take(&mut all, "Result"),
        exec_start: all.get("ExecStart").map(|value| last_command(value)).unwrap_or_default(),
    }
}

/// All zeros mean: never started.
fn hex(id: &[u8]) -> String {
    if id.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    id.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The arguments of the last entry of `ExecStart`, which is `a(sasbttttuii)`.
fn last_command(commands: &Variant<'_>) -> Vec<String> {
    let Variant::Array(commands) = commands else { return Vec::new() };
    let Some(Variant::Structure(command)) = commands.last() else { return Vec::new() };
    let Some(Variant::Array(args)) = command.fields().get(1) else { return Vec::new() };
    let text = |arg: &Variant<'_>| match arg {
        Variant::Str(text) => Some(text.as_str().to_owned()),
        _ => None,
    };
    args.iter().filter_map(text).collect()
}

#[cfg(test)]
#[path = "dbus_tests.rs"]
mod tests;
