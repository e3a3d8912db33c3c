//! Against a private bus with a systemd that answers by script. Where no dbus-daemon is installed these tests end
//! early; the reading of properties is tested without one.

use super::*;
use crate::host::procs::FakeProcs;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
};
use zbus::{MessageStream, message::Header};

const WAIT: Duration = Duration::from_secs(10);
const JOB: &str = "/org/freedesktop/systemd1/job/7";

/// What the scripted systemd does with an order.
#[derive(Clone, Copy)]
enum Order {
    /// Tells the end of the job before it answers the order, after jobs of others.
    Job(&'static str),
    /// Answers, and never tells the end.
    Endless,
    /// Refuses with this error.
    Refuse(&'static str),
    /// Does not answer.
    Silence,
    /// Refuses that often for being one too many, then obeys.
    Limit(&'static AtomicU32),
}

struct TestBus {
    dir: tempfile::TempDir,
    daemon: Child,
}

impl Drop for TestBus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl TestBus {
    #[allow(clippy::disallowed_methods)] // a bus of our own for the test
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "<busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/><allow user=\"*\"/>\
             </policy></busconfig>",
            dir.path().join("bus").display()
        );
        std::fs::write(dir.path().join("bus.conf"), config).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", dir.path().join("bus.conf").display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // It prints its address once it listens.
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Some(Self { dir, daemon })
    }

    fn socket(&self) -> String {
        self.dir.path().join("bus").display().to_string()
    }

    fn units(&self) -> DBusUnits {
        let journal = FakeProcs::new(Faults::none()).answer("journalctl -u", 0, "one\ntwo\n", "");
        DBusUnits::on_bus(&self.socket(), Aio::new().unwrap(), Rc::new(journal), Faults::none())
    }

    /// Puts a systemd on the bus; it serves until the bus ends.
    #[allow(clippy::disallowed_methods)] // in a thread of its own
    fn systemd(&self, order: Order) {
        let (socket, (ready, is_ready)) = (self.socket(), mpsc::channel());
        thread::spawn(move || {
            let aio = Aio::new().unwrap();
            let _ = aio.run(async {
                let address = format!("unix:path={socket}");
                let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
                let mut calls = MessageStream::from(&connection);
                connection.request_name(SYSTEMD).await?;
                ready.send(())?;
                while let Some(Ok(call)) = calls.next().await {
                    if call.message_type() == Type::MethodCall {
                        serve(&connection, &call, order).await?;
                    }
                }
                Ok(())
            });
        });
        is_ready.recv().unwrap();
    }
}

async fn serve(connection: &Connection, call: &Message, order: Order) -> zbus::Result<()> {
    let header = call.header();
    match header.member().map(zbus::names::MemberName::as_str).unwrap_or_default() {
        "Subscribe" => connection.reply(&header, &()).await,
        "Get" => {
            let body = call.body();
            let (_, name): (String, String) = body.deserialize()?;
            let value = if name == "Id" { "session-7.scope" } else { "252.22-1" };
            connection.reply(&header, &Variant::from(value)).await
        }
        "LoadUnit" if call.body().deserialize::<&str>()?.starts_with('-') => {
            let detail = "Unit name is not valid.";
            connection.reply_error(&header, "org.freedesktop.DBus.Error.InvalidArgs", &detail).await
        }
        "GetUnitByPID" | "LoadUnit" => connection.reply(&header, &path("/org/freedesktop/systemd1/unit/x")).await,
        "GetAll" => connection.reply(&header, &properties(call.body().deserialize()?)).await,
        _ => obey(connection, &header, order).await,
    }
}

async fn obey(connection: &Connection, header: &Header<'_>, order: Order) -> zbus::Result<()> {
    match order {
        Order::Job(result) => {
            for (job, result) in [("/other", "failed"), (JOB, result)] {
                let body = (7_u32, path(job), "x.service", result);
                connection.emit_signal(None::<&str>, MANAGER_PATH, MANAGER, "JobRemoved", &body).await?;
            }
            connection.reply(header, &path(JOB)).await
        }
        Order::Endless => connection.reply(header, &path(JOB)).await,
        Order::Refuse(name) => connection.reply_error(header, name, &"because").await,
        Order::Silence => Ok(()),
        Order::Limit(left) if left.load(Ordering::Relaxed) > 0 => {
            left.fetch_sub(1, Ordering::Relaxed);
            let detail = "Reload() request rejected due to rate limit.";
            connection.reply_error(header, "org.freedesktop.DBus.Error.LimitsExceeded", &detail).await
        }
        Order::Limit(_) => connection.reply(header, &()).await,
    }
}

fn path(path: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(path.to_owned()).unwrap()
}

fn properties(interface: &str) -> HashMap<&'static str, Variant<'static>> {
    let list = |items: &[&str]| Variant::from(items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>());
    if interface == UNIT {
        return HashMap::from([
            ("Id", Variant::from("kubelet.service")),
            ("LoadState", "loaded".into()),
            ("ActiveState", "active".into()),
            ("SubState", "running".into()),
            ("UnitFileState", "enabled".into()),
            ("FragmentPath", "/lib/systemd/system/kubelet.service".into()),
            ("DropInPaths", list(&["/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"])),
            ("InvocationID", Variant::from(vec![0xab_u8, 0x01])),
            ("ActiveEnterTimestampMonotonic", 5_000_000_u64.into()),
            ("NeedDaemonReload", true.into()),
            ("Requires", list(&["sysinit.target"])),
            ("BoundBy", list(&[])),
            // Of another type than any systemd sends.
            ("After", 7_u32.into()),
        ]);
    }
    let argv = vec!["/usr/bin/kubelet".to_owned(), "$KUBELET_ARGS".to_owned()];
    let command = ("/usr/bin/kubelet".to_owned(), argv, false, 0_u64, 0_u64, 0_u64, 0_u64, 9_u32, 0_i32, 0_i32);
    HashMap::from([
        ("MainPID", Variant::from(4711_u32)),
        ("NRestarts", 3_u32.into()),
        ("Result", "success".into()),
        ("ExecStart", Variant::new(vec![command])),
    ])
}

#[test]
fn a_unit_is_read() {
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Silence);
    let units = bus.units();
    units.available().unwrap();
    assert_eq!(units.systemd_version().unwrap(), "252.22-1");
    let state = units.state("kubelet.service").unwrap();
    assert_eq!(
        (state.name.as_str(), state.load.as_str(), state.sub.as_str()),
        ("kubelet.service", "loaded", "running")
    );
    assert_eq!((state.main_pid, state.restarts, state.entered), (Some(4711), 3, 5_000_000));
    assert_eq!((state.invocation.as_str(), state.need_reload), ("ab01", true));
    assert_eq!(state.exec_start, ["/usr/bin/kubelet", "$KUBELET_ARGS"]);
    assert_eq!((state.requires.len(), state.after.len(), state.drop_ins.len()), (1, 0, 1));
    assert!(state.is_active());
    let error = units.state("-bad").unwrap_err().to_string();
    assert!(error.contains("Unit name is not valid. (org.freedesktop.DBus.Error.InvalidArgs)"), "{error}");
}

#[test]
fn this_process_is_known_by_the_pid_that_the_bus_sees() {
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Silence);
    let own = OwnProcess { pid: std::process::id(), unit: "session-7.scope".to_owned() };
    assert_eq!(bus.units().own().unwrap(), own);
}

#[test]
fn a_program_that_systemd_cannot_start_is_told() {
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Job("done"));
    bus.units().try_program("/usr/bin/castoff").unwrap();
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Job("failed"));
    let error = bus.units().try_program("/root/castoff").unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(UnitError::Job { .. })), "{error:#}");
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Refuse("org.freedesktop.DBus.Error.PropertyReadOnly"));
    let error = bus.units().try_program("/usr/bin/castoff").unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(UnitError::Refused { .. })), "{error:#}");
}

#[test]
fn a_job_that_ends_before_its_reply_is_not_missed() {
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Job("done"));
    let done = bus.units().restart("kubelet.service", WAIT).unwrap();
    assert_eq!((done.unit.as_str(), done.result.as_str()), ("kubelet.service", "done"));
    // Every operation is a connection of its own, so a second one must work as well.
    bus.units().stop("kubelet.service", WAIT).unwrap();
}

#[test]
fn a_failed_job_comes_with_the_units_last_words() {
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Job("failed"));
    let error = bus.units().start("kubelet.service", WAIT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "start of kubelet.service ended with `failed`; last lines of its journal:\n  one\n  two"
    );
    assert!(matches!(error.downcast_ref(), Some(UnitError::Job { .. })));
}

#[test]
fn waits_have_an_end() {
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Endless);
    let error = bus.units().start("kubelet.service", Duration::from_millis(300)).unwrap_err().to_string();
    assert_eq!(error, "systemd did not start kubelet.service within 0.3 s; the job may still be under way");
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Silence);
    assert!(bus.units().stop("kubelet.service", Duration::from_millis(300)).is_err());
}

#[test]
fn refusals_are_sorted() {
    let kind = |name: &'static str| {
        let bus = TestBus::start()?;
        bus.systemd(Order::Refuse(name));
        let error = bus.units().start("x.service", WAIT).unwrap_err();
        let text = format!("{:?}", error.downcast_ref::<UnitError>().unwrap());
        Some(text.split(' ').next().unwrap_or_default().to_owned())
    };
    for (name, expected) in [
        ("org.freedesktop.systemd1.UnitMasked", "Masked"),
        ("org.freedesktop.systemd1.NoSuchUnit", "NotFound"),
        ("org.freedesktop.systemd1.TransactionIsDestructive", "Destructive"),
        ("org.freedesktop.systemd1.BadUnitSetting", "Refused"),
        ("org.freedesktop.DBus.Error.AccessDenied", "Denied"),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "Denied"),
        ("org.freedesktop.DBus.Error.LimitsExceeded", "Refused"),
    ] {
        let Some(kind) = kind(name) else { return };
        assert_eq!(kind, expected, "{name}");
    }
}

#[test]
fn a_reload_that_is_one_too_many_is_tried_again() {
    static LEFT: AtomicU32 = AtomicU32::new(2);
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Limit(&LEFT));
    bus.units().reload().unwrap();
    assert_eq!(LEFT.load(Ordering::Relaxed), 0);
}

#[test]
fn what_is_not_loaded_is_stopped_and_not_failed() {
    let Some(bus) = TestBus::start() else { return };
    bus.systemd(Order::Refuse("org.freedesktop.systemd1.NoSuchUnit"));
    assert_eq!(bus.units().stop("x.service", WAIT).unwrap().result, "done");
    bus.units().reset_failed("x.service").unwrap();
    assert!(bus.units().reload().is_err());
}

#[test]
fn without_bus_or_systemd_the_reason_is_told() {
    let no_bus =
        DBusUnits::on_bus("/nonexistent/bus", Aio::new().unwrap(), Rc::new(FakeProcs::default()), Faults::none());
    let why = no_bus.available().unwrap_err();
    assert!(why.starts_with("systemd is not reachable over D-Bus at /nonexistent/bus: No such file"), "{why}");
    let Some(bus) = TestBus::start() else { return };
    let error = bus.units().start("x.service", WAIT).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(UnitError::Unreachable { .. })), "{error:#}");
}

#[test]
fn faults_come_before_the_order() {
    let units = DBusUnits::on_bus("/nonexistent", Aio::new().unwrap(), Rc::new(FakeProcs::default()), Faults::nth(1));
    assert!(units.stop("x.service", WAIT).unwrap_err().to_string().contains("scripted"));
}

#[test]
fn a_unit_that_was_never_started_has_no_invocation() {
    assert_eq!(hex(&[0; 16]), "");
    assert_eq!(hex(&[]), "");
    assert_eq!(unit_state("x.service", HashMap::new()).name, "x.service");
}
