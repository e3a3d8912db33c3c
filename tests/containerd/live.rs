//! Trials on the machine the tests run on, whose root is `/`: what a live node would see of them.

use super::{
    common::program::program,
    node::{self, Node, RELEASES, Release},
    told, traces,
};
use castoff::{
    host::{Faults, Host},
    model::{Facts, Origin, Sourced},
    verify::trial,
};
use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const MAIN: &str = "/etc/containerd/config.toml";
const ON: &str = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \
    \"io.containerd.runc.v2\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup \
    = true\n";

/// Facts of this machine, as if its unit started that release's program.
fn facts(release: &Release, config: &str) -> Facts {
    let program = fs::canonicalize(node::binaries(release).join("containerd")).unwrap();
    let command = vec![program.to_string_lossy().into_owned(), "--config".to_owned(), config.to_owned()];
    let mut facts = Facts::empty(true);
    facts.containerd.command = Some(Sourced::new(command, Origin::unit("containerd.service", None)));
    facts.containerd.config_path = Some(Sourced::new(config.to_owned(), Origin::default_of("containerd")));
    facts
}

#[test]
#[ignore = "needs real containerd binaries (tests/containerd/fetch.sh) and root"]
fn the_running_machine_is_tried_on_without_a_trace() {
    for release in RELEASES {
        let host = Host::open(Path::new("/"), &Faults::none()).unwrap();
        let before = traces::of_this_machine(Path::new("/etc"));
        let files = vec![(MAIN.to_owned(), format!("version = 2\n{ON}"))];
        let trial = trial::try_files(&host, &facts(release, MAIN), "unix:///run/containerd/containerd.sock", files);
        assert!(trial.findings.is_empty(), "{}: {}", release.version, told(&trial));
        assert_eq!(before, traces::of_this_machine(Path::new("/etc")), "{}", release.version);
    }
}

/// A containerd that runs on this machine, away from where a real one would be.
struct Live {
    dir: TempDir,
    child: Child,
    had_run: bool,
}

impl Live {
    fn start(release: &Release) -> Self {
        let (dir, had_run) = (TempDir::new().unwrap(), Path::new("/run/containerd").exists());
        let at = dir.path().display();
        let config = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n[grpc]\naddress = \"{at}/sock\"\n[metrics]\naddress = \
             \"127.0.0.1:18103\"\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{at}/opt\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nstream_server_port = \"18104\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nconf_dir = \"{at}/cni\"\n{ON}"
        );
        fs::write(dir.path().join("config.toml"), config).unwrap();
        let mut command = Command::new(node::binaries(release).join("containerd"));
        command.arg("--config").arg(dir.path().join("config.toml"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { dir, child, had_run }
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.had_run {
            // An ordinary start leaves it; empty, and of no use to anybody here.
            let _ = fs::remove_dir("/run/containerd");
        }
    }
}

#[test]
#[ignore = "needs real containerd binaries (tests/containerd/fetch.sh) and root"]
fn a_live_daemon_with_the_same_files_socket_and_ports_goes_on() {
    let release = &RELEASES[2];
    let live = Live::start(release);
    let host = Host::open(Path::new("/"), &Faults::none()).unwrap();
    let endpoint = format!("unix://{}", live.at("sock"));
    let daemon = host.doors.containerd(&endpoint).unwrap();
    let began = Instant::now();
    let plugins = loop {
        match daemon.plugins() {
            Ok(plugins) => break plugins,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "{error:#}"),
        }
        sleep(Duration::from_millis(20));
    };
    let data = |name: &str| fs::metadata(Path::new(&live.at(name))).unwrap().modified().unwrap();
    let before = (data("root"), data("state"));
    let mut facts = facts(release, &live.at("config.toml"));
    facts.containerd.root = Some(Sourced::new(live.at("root"), Origin::default_of("containerd")));
    let text = fs::read_to_string(live.at("config.toml")).unwrap();
    // The directory of the socket is the node's own, and read-only in a trial; so is everything else beside it.
    facts.containerd.command.as_mut().unwrap().value.extend(["--address".to_owned(), "/run/tried.sock".to_owned()]);
    let files = vec![(live.at("config.toml"), text)];
    let trial = trial::try_files(&host, &facts, "unix:///run/tried.sock", files);
    assert!(trial.findings.is_empty(), "{}", told(&trial));
    assert_eq!(daemon.plugins().unwrap(), plugins);
    assert_eq!((data("root"), data("state")), before);
}

#[test]
#[ignore = "needs real containerd binaries (tests/containerd/fetch.sh) and root"]
fn the_program_blocks_what_would_not_come_up() {
    let node = Node::empty(&RELEASES[1]);
    let config = node.dir().join("etc/containerd/config.toml");
    let plan = |more: &[&str]| {
        let assume = "containerd.version=1.6.20";
        let mut command = program();
        command.args(["plan", "--no-diff", "-v", "--assume", "cgroup.mode=hybrid", "--assume", assume, "--root"]);
        let ran = command.arg(node.dir()).args(more).output().unwrap();
        (ran.status.code(), format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)))
    };
    fs::write(&config, "version = 2\n").unwrap();
    let (code, text) = plan(&[]);
    assert!(code == Some(0) && text.contains("trial: containerd 1.6.20~ds1 serves CRI v1"), "{text}");
    // Nothing but a real daemon looks for these files.
    let tls = "enable_tls_streaming = true\n[plugins.\"io.containerd.grpc.v1.cri\".x509_key_pair_streaming]\n\
               tls_cert_file = \"/etc/gone.crt\"\ntls_key_file = \"/etc/gone.key\"\n";
    fs::write(&config, format!("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n{tls}")).unwrap();
    let (code, text) = plan(&[]);
    assert!(code == Some(3) && text.contains("gone.crt: no such file"), "{code:?} {text}");
    assert_eq!(plan(&["--no-trial"]).0, Some(0));
    assert_eq!(plan(&["--skip-check", "containerd-trial-failed"]).0, Some(0));
}

#[test]
#[ignore = "needs real containerd binaries (tests/containerd/fetch.sh) and root"]
fn the_time_a_trial_takes() {
    let runs: usize = env::var("CASTOFF_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3);
    for release in RELEASES {
        let node = Node::empty(release);
        let (host, facts) = (node.host(), node.facts());
        let mut times: Vec<u128> = (0..runs)
            .map(|_| {
                let files = vec![(MAIN.to_owned(), format!("version = 2\n{ON}"))];
                let trial = trial::try_files(&host, &facts, "unix:///run/containerd/containerd.sock", files);
                assert!(trial.findings.is_empty(), "{}", told(&trial));
                trial.took.as_millis()
            })
            .collect();
        times.sort_unstable();
        let (median, late) = (times[runs / 2], times[(runs * 95 / 100).min(runs - 1)]);
        println!("trial on containerd {}: median {median} ms, p95 {late} ms, {runs} runs", release.version);
    }
}
