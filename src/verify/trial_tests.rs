use super::*;
use crate::{
    host::{ContainerdVersion, CriVersion, Doors},
    host::{FakeCaged, FakeClock, FakeContainerd, FakeCri, FakeEngine, FakeKernel, FakeProcs, Faults, Parts, Root},
    model::{Origin, Sourced},
};
use tempfile::TempDir;

const ENDPOINT: &str = "unix:///run/containerd/containerd.sock";
const PLANNED: &str = "version = 2\nroot = \"/data/ctrd\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n\
    runtime_type = \"io.containerd.runc.v2\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n\
    SystemdCgroup = true\n";

/// A daemon that is tried: what it answers, and how it runs.
#[derive(Debug)]
struct Bench {
    dir: TempDir,
    procs: FakeProcs,
    daemon: FakeContainerd,
    cri: FakeCri,
    root: bool,
}

#[derive(Debug)]
struct OneDoor(FakeContainerd, FakeCri);

impl Doors for OneDoor {
    fn cri(&self, endpoint: &str) -> anyhow::Result<Box<dyn Cri>> {
        assert_eq!(endpoint, "unix:///cage/sock");
        Ok(Box::new(self.1.clone()))
    }

    fn containerd(&self, _: &str) -> anyhow::Result<Box<dyn Containerd>> {
        Ok(Box::new(self.0.clone()))
    }
}

impl Bench {
    fn new(outcome: Result<FakeCaged, &str>) -> Self {
        let dir = TempDir::new().unwrap();
        let daemon = FakeContainerd::new("1.7.24");
        daemon.set_plugins(Ok(vec![cri_plugin(None)]));
        let procs = FakeProcs::new(Faults::none()).cage(outcome);
        Self { dir, procs, daemon, cri: FakeCri::new("/cage/sock", Faults::none()), root: true }
    }

    fn host(&self) -> Host {
        let root = Root::open(self.dir.path(), Faults::none()).unwrap();
        root.make_dirs("/usr/bin", 0o755).unwrap();
        let attributes = crate::host::Attributes::Keep { mode: 0o755 };
        let _ = root.write_atomic("/usr/bin/containerd", b"", crate::host::Expect::Absent, attributes);
        Host::from_parts(Parts {
            root,
            units: None,
            engine: Box::new(FakeEngine::new("unix:///run/docker.sock", Faults::none())),
            procs: Box::new(self.procs.clone()),
            kernel: Box::new(FakeKernel { root: self.root, ..FakeKernel::new("n1") }),
            clock: Box::new(FakeClock::new()),
            doors: Box::new(OneDoor(self.daemon.clone(), self.cri.clone())),
            live: true,
        })
    }

    fn try_it(&self) -> Trial {
        let mut facts = Facts::empty(true);
        let command = vec!["/usr/bin/containerd".to_owned(), "--state=/data/state".to_owned()];
        facts.containerd.command = Some(Sourced::new(command, Origin::unit("/lib/containerd.service", Some(3))));
        try_files(&self.host(), &facts, ENDPOINT, vec![(CONFIG.to_owned(), PLANNED.to_owned())])
    }

    /// What CRI shows of the loaded configuration.
    fn loads(&self, runtimes: &str) {
        let config = format!("{{\"containerd\":{{\"runtimes\":{runtimes}}}}}");
        self.cri.change(|runtime| drop(runtime.status.info.insert("config".into(), config)));
    }
}

#[allow(clippy::unnecessary_wraps, reason = "a bench takes either")]
fn caged() -> Result<FakeCaged, &'static str> {
    Ok(FakeCaged { socket: "/cage/sock".into(), ..FakeCaged::default() })
}

fn cri_plugin(error: Option<&str>) -> Plugin {
    let init_error = error.map(str::to_owned);
    Plugin { kind: "io.containerd.grpc.v1".into(), id: "cri".into(), init_error, ..Plugin::default() }
}

fn one(trial: &Trial) -> (&str, &str) {
    let [finding] = trial.findings.as_slice() else { panic!("{trial:#?}") };
    (&finding.id, &finding.cause)
}

#[test]
fn a_good_configuration_is_no_finding_and_sees_only_its_own_data() {
    let bench = Bench::new(caged());
    bench.loads(r#"{"runc":{"runtimeType":"io.containerd.runc.v2","options":{"SystemdCgroup":true}},"kata":{"runtimeType":"io.containerd.kata.v2","options":{"x":1}}}"#);
    let trial = bench.try_it();
    assert_eq!(trial.findings, Vec::new());
    assert!(trial.learned.iter().any(|line| line == "runtime handler runc: SystemdCgroup = true"), "{trial:#?}");
    let cage = bench.procs.cages().pop().unwrap();
    assert_eq!(cage.program, "/usr/bin/containerd");
    assert_eq!(cage.args, ["--state=/data/state"]);
    assert_eq!(cage.empty, ["/var/lib/containerd", "/data/ctrd", "/data/state"]);
    assert_eq!(cage.socket, "/run/containerd/containerd.sock");
    assert_eq!(cage.dirs, ["/etc/cni/net.d"]);
}

#[test]
fn every_runc_handler_counts() {
    let bench = Bench::new(caged());
    bench.loads(r#"{"a":{"runtimeType":"io.containerd.runc.v2","options":{"BinaryName":"a"}},"runc":{"runtimeType":"io.containerd.runc.v2","options":{"SystemdCgroup":true}}}"#);
    let trial = bench.try_it();
    assert_eq!(one(&trial).0, "containerd-trial-driver");
    assert!(one(&trial).1.ends_with("handler a"), "{trial:#?}");
}

#[test]
fn the_answer_to_kubelet_counts_most() {
    let bench = Bench::new(caged());
    bench.cri.change(|runtime| runtime.cgroup_driver = Some(CriCgroupDriver::Cgroupfs));
    assert_eq!(one(&bench.try_it()).0, "containerd-trial-driver");
    bench.cri.change(|runtime| runtime.cgroup_driver = Some(CriCgroupDriver::Systemd));
    assert_eq!(bench.try_it().findings, Vec::new());
}

#[test]
fn a_release_that_shows_no_options_is_taken_at_the_files_word() {
    let bench = Bench::new(caged());
    bench.loads(r#"{"runc":{"runtimeType":"io.containerd.runc.v2","options":{}}}"#);
    let trial = bench.try_it();
    assert_eq!(trial.findings, Vec::new());
    assert!(trial.learned.iter().any(|line| line.contains("the file has SystemdCgroup = true")), "{trial:#?}");
}

#[test]
fn a_plugin_that_fails_is_quoted_and_the_first_cause_named() {
    let bench = Bench::new(caged());
    let images = Plugin { kind: "io.containerd.cri.v1".into(), id: "images".into(), ..cri_plugin(Some("bad path")) };
    bench.daemon.set_plugins(Ok(vec![cri_plugin(Some("no images service")), images]));
    let trial = bench.try_it();
    assert_eq!(one(&trial), ("containerd-trial-failed", "io.containerd.cri.v1.images failed to load: bad path"));
    bench.daemon.set_plugins(Ok(Vec::new()));
    assert!(one(&bench.try_it()).1.contains("disabled"));
    bench.daemon.set_plugins(Ok(vec![cri_plugin(Some("mkdir /x: read-only file system"))]));
    assert_eq!(one(&bench.try_it()).0, "containerd-trial-undecided");
}

#[test]
fn a_daemon_that_ends_is_quoted_without_secrets() {
    let words = "time=\"2026-11-28T10:00:00Z\" level=fatal msg=\"Failed to run CRI service\" error=\"proxy http://u:secret@p failed\"\ntime=\"x\" level=info msg=bye\n";
    let dead = FakeCaged { socket: "/cage/sock".into(), ended: Some("exit status: 1".into()), words: words.into() };
    let bench = Bench::new(Ok(dead));
    bench.daemon.set_plugins(Err("no socket".into()));
    let trial = bench.try_it();
    let (id, cause) = one(&trial);
    assert_eq!(id, "containerd-trial-failed");
    assert!(cause.starts_with("containerd gave up: msg=\"Failed to run CRI service\""), "{cause}");
    assert!(!cause.contains("secret"), "{cause}");
}

#[test]
fn silence_is_no_verdict_unless_it_says_that_it_runs() {
    let bench = Bench::new(caged());
    bench.daemon.set_plugins(Err("there is no socket".into()));
    assert_eq!(one(&bench.try_it()).0, "containerd-trial-undecided");
    let words = "level=info msg=\"containerd successfully booted in 0.1s\"".to_owned();
    let bench = Bench::new(caged().map(|caged| FakeCaged { words, ..caged }));
    bench.daemon.set_plugins(Err("there is no socket".into()));
    let trial = bench.try_it();
    assert_eq!(one(&trial).0, "containerd-trial-failed");
    assert!(one(&trial).1.contains("does not serve on /run/containerd/containerd.sock"), "{trial:#?}");
}

#[test]
fn what_cannot_be_tried_is_said() {
    let bench = Bench::new(Err("no namespaces can be made here"));
    assert_eq!(one(&bench.try_it()), ("containerd-trial-undecided", "no namespaces can be made here"));
    let bench = Bench { root: false, ..Bench::new(caged()) };
    assert_eq!(one(&bench.try_it()).0, "containerd-trial-skipped");
    assert!(bench.procs.cages().is_empty());
}

#[test]
fn versions_are_told() {
    let bench = Bench::new(caged());
    bench.daemon.set_version(Ok(ContainerdVersion { version: "2.1.9".into(), revision: String::new() }));
    bench.cri.change(|runtime| {
        runtime.cgroup_driver = Some(CriCgroupDriver::Systemd);
        runtime.version = CriVersion::default();
    });
    let learned = bench.try_it().learned;
    assert!(learned.iter().any(|line| line == "containerd 2.1.9 serves CRI v1"), "{learned:#?}");
}
