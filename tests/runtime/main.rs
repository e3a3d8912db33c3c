//! castoff's OCI runtime beside runc: the same bundles, the same ends. And what a caller such as containerd's shim
//! relies on: states, signals, words.
//!
//! `tests/containerd/fetch.sh` gets runc; without it, and without root, nothing here can run, so every test is
//! `#[ignore]`d and `./test.sh` runs them by name.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::print_stdout, reason = "a test's output is where it says what was tried")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders and containers of its own, not on a node")]

mod bundle;
mod cases;
mod rungs;
mod shim;

use bundle::{Bundle, Ended, Runtime};
use cases::Case;
use serde_json::{Value, json};
use std::{fs, time::Duration};

/// What is compared of an output.
fn compared(case: &Case, ended: &Ended) -> String {
    let wanted = |line: &&str| case.lines.is_empty() || case.lines.iter().any(|start| line.starts_with(start));
    ended.out.lines().filter(wanted).collect::<Vec<_>>().join("\n")
}

#[test]
#[ignore = "needs root and the runc of tests/containerd/fetch.sh"]
fn the_same_bundles_end_the_same_way_as_under_runc() {
    let (ours, runcs) = (Runtime::castoff(), Runtime::runcs());
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for case in cases::all() {
        let own = ours.run(&case.bundle);
        if own.code != case.code {
            wrong.push(format!("{}: castoff gives {}, not {}: {}{}", case.name, own.code, case.code, own.out, own.err));
        }
        for runc in &runcs {
            let theirs = runc.run(&case.bundle);
            if theirs.err.contains("is not a valid action for seccomp") {
                println!("{} does not know the action of: {}", runc.name, case.name);
                continue;
            }
            tried += 1;
            if (theirs.code, compared(&case, &theirs)) != (own.code, compared(&case, &own)) {
                wrong.push(format!("{}: {} has {theirs:?}\n  castoff has {own:?}", case.name, runc.name));
            }
        }
        if case.bundle.cgroup("memory").exists() {
            wrong.push(format!("{}: its cgroup is left", case.name));
        }
    }
    let names: Vec<&str> = runcs.iter().map(|runc| runc.name.as_str()).collect();
    println!("{tried} bundles run by {} and by castoff", names.join(", "));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A container that runs until it is told to end, deleted when dropped.
struct Running<'a> {
    runtime: &'a Runtime,
    bundle: Bundle,
}

impl<'a> Running<'a> {
    fn created(runtime: &'a Runtime, bundle: Bundle) -> Self {
        let created = runtime.call(&["create", "--bundle", bundle.path(), &bundle.id]);
        assert_eq!(created.code, 0, "{}: {}", runtime.name, created.err);
        Self { runtime, bundle }
    }

    fn started(runtime: &'a Runtime, bundle: Bundle) -> Self {
        let running = Self::created(runtime, bundle);
        running.ok(&["start"], &[]);
        running
    }

    /// A command on this container that must succeed.
    fn ok(&self, verb: &[&str], rest: &[&str]) -> Ended {
        let ended = self.call(verb, rest);
        assert_eq!(ended.code, 0, "{} {verb:?}: {}", self.runtime.name, ended.err);
        ended
    }

    fn call(&self, verb: &[&str], rest: &[&str]) -> Ended {
        self.runtime.call(&[verb, &[self.bundle.id.as_str()], rest].concat())
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.ok(&["state"], &[]).out).unwrap()
    }

    fn becomes(&self, status: &str) {
        for _ in 0..200 {
            if self.state()["status"] == status {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}: still {}, not {status}", self.runtime.name, self.state());
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.call(&["delete", "--force"], &[]);
    }
}

fn both() -> Vec<Runtime> {
    Runtime::runcs().into_iter().chain([Runtime::castoff()]).collect()
}

#[test]
#[ignore = "needs root and the runc of tests/containerd/fetch.sh"]
fn a_signal_that_ends_nobody_changes_no_state() {
    for runtime in both() {
        let running = Running::created(&runtime, Bundle::new(&["pause"]));
        running.ok(&["kill"], &["WINCH"]);
        running.becomes("created");
        running.ok(&["start"], &[]);
        running.becomes("running");
        running.ok(&["pause"], &[]);
        running.ok(&["kill"], &["WINCH"]);
        running.becomes("paused");
        running.ok(&["resume"], &[]);
        running.becomes("running");
    }
}

#[test]
#[ignore = "needs root"]
fn a_poststop_hook_that_fails_keeps_no_container() {
    let runtime = Runtime::castoff();
    let hooks = json!({ "poststop": [{ "path": "/bin/false" }] });
    let running = Running::created(&runtime, Bundle::new(&["pause"]).with("/hooks", hooks));
    running.ok(&["delete"], &["--force"]);
    let gone = running.call(&["state"], &[]);
    assert!(gone.code != 0 && gone.err.contains("does not exist"), "{}", gone.err);
}

#[test]
#[ignore = "needs root and the runc of tests/containerd/fetch.sh"]
fn a_container_lives_and_ends_as_its_caller_says() {
    for runtime in both() {
        let running = Running::created(&runtime, Bundle::new(&["pause"]));
        let state = running.state();
        assert_eq!(state["status"], "created", "{}", runtime.name);
        assert_eq!(state["bundle"], running.bundle.path());
        let pid = state["pid"].as_i64().unwrap();
        assert!(pid > 0);
        let again = runtime.call(&["create", "--bundle", running.bundle.path(), &running.bundle.id]);
        assert!(again.code != 0 && again.err.contains("exist"), "{}: {}", runtime.name, again.err);
        running.ok(&["start"], &[]);
        running.becomes("running");
        assert_eq!(running.state()["pid"], pid, "the process stays the same");
        assert!(running.call(&["start"], &[]).code != 0, "{}: started twice", runtime.name);
        assert!(running.call(&["delete"], &[]).code != 0, "{}: deleted while it runs", runtime.name);
        let pids: Vec<i64> = serde_json::from_str(&running.ok(&["ps", "--format", "json"], &[]).out).unwrap();
        assert_eq!(pids, [pid], "{}", runtime.name);
        running.ok(&["pause"], &[]);
        running.becomes("paused");
        running.ok(&["resume"], &[]);
        running.becomes("running");
        running.ok(&["kill"], &["TERM"]);
        running.becomes("stopped");
        let late = running.call(&["kill"], &["TERM"]);
        assert!(late.code != 0 && late.err.contains("container not running"), "{}: {}", runtime.name, late.err);
        running.ok(&["delete"], &[]);
        let gone = running.call(&["state"], &[]);
        assert!(gone.code != 0 && gone.err.contains("does not exist"), "{}: {}", runtime.name, gone.err);
        assert!(!running.bundle.cgroup("memory").exists(), "{}", runtime.name);
    }
}

#[test]
#[ignore = "needs root and the runc of tests/containerd/fetch.sh"]
fn another_process_in_a_container_is_bound_as_the_first() {
    let filter = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77 }] });
    let mut seen: Vec<(String, Vec<Ended>)> = Vec::new();
    for runtime in both() {
        let running = Running::started(&runtime, Bundle::new(&["pause"]).with("/linux/seccomp", filter.clone()));
        let process = |args: Value, user: Value| {
            json!({ "user": user, "cwd": "/tmp", "args": args, "env": ["PATH=/"],
            "capabilities": { "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"] } })
        };
        let file = runtime.state_dir().join("process.json");
        let exec = |args: Value, user: Value| {
            fs::write(&file, process(args, user).to_string()).unwrap();
            let mut ended = running.call(&["exec", "--process", file.to_str().unwrap()], &[]);
            let kept = |line: &&str| {
                !line.contains(':')
                    || ["Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp:"]
                        .iter()
                        .any(|start| line.starts_with(start))
            };
            ended.out = ended.out.lines().filter(kept).collect::<Vec<_>>().join("\n");
            if ended.code == 0 || !ended.err.starts_with("probe ") {
                ended.err = String::new();
            }
            ended
        };
        let root = json!({ "uid": 0, "gid": 0 });
        seen.push((
            runtime.name.clone(),
            vec![
                exec(json!(["probe", "exit", "9"]), root.clone()),
                exec(json!(["probe", "cwd"]), root.clone()),
                exec(json!(["probe", "uname"]), root.clone()),
                exec(json!(["probe", "cat", "/proc/self/status"]), root.clone()),
                exec(
                    json!(["probe", "cat", "/proc/self/status"]),
                    json!({ "uid": 5, "gid": 6, "additionalGids": [7] }),
                ),
                exec(json!(["probe", "mkdir", "/tmp/x"]), root.clone()),
                exec(json!(["probe", "hostname", "x"]), root),
            ],
        ));
        let short = running.ok(&["exec"], &["probe", "uname"]);
        assert_eq!(short.out, "reference\n", "{}", runtime.name);
        let missing = running.call(&["exec"], &["nothing"]);
        assert!(
            missing.code != 0 && missing.err.contains("executable file not found"),
            "{}: {}",
            runtime.name,
            missing.err
        );
        running.becomes("running");
    }
    let (_, first) = &seen[0];
    assert_eq!([first[0].code, first[5].code, first[6].code], [9, 77, 1], "{first:?}");
    for (name, other) in &seen {
        assert_eq!(other, first, "{name} against {}", seen[0].0);
    }
}

#[test]
#[ignore = "needs root and the runc of tests/containerd/fetch.sh"]
fn limits_are_set_changed_and_gone() {
    for runtime in both() {
        let running = Running::started(&runtime, Bundle::new(&["pause"]));
        let v1 = running.bundle.cgroup("memory").join("memory.limit_in_bytes").exists();
        let (memory, pids) = if v1 { ("memory.limit_in_bytes", "pids.max") } else { ("memory.max", "pids.max") };
        let read =
            |controller: &str, file: &str| fs::read_to_string(running.bundle.cgroup(controller).join(file)).unwrap();
        assert_eq!(read("memory", memory).trim(), (32 << 20).to_string(), "{}", runtime.name);
        assert_eq!(read("pids", pids).trim(), "16", "{}", runtime.name);
        let wanted = json!({ "memory": { "limit": 48 << 20 }, "pids": { "limit": 20 } }).to_string();
        let changed = runtime.call_with(&[], &["update", "--resources", "-", &running.bundle.id], &wanted);
        assert_eq!(changed.code, 0, "{}: {}", runtime.name, changed.err);
        assert_eq!(read("memory", memory).trim(), (48 << 20).to_string(), "{}", runtime.name);
        assert_eq!(read("pids", pids).trim(), "20", "{}", runtime.name);
    }
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_done_is_said_and_leaves_nothing() {
    let runtime = Runtime::castoff();
    let log = runtime.state_dir().join("log.json");
    let global = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    let notify = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdirat"], "action": "SCMP_ACT_NOTIFY" }] });
    let refused = [
        (Bundle::new(&["exit", "0"]).with("/linux/seccomp", notify), "SCMP_ACT_NOTIFY"),
        (Bundle::new(&["exit", "0"]).with("/process/args", json!(["nothing"])), "executable file not found"),
        (Bundle::new(&["exit", "0"]).with("/root/path", json!("elsewhere")), "root file system"),
        (
            Bundle::new(&["exit", "0"]).with(
                "/mounts",
                json!([{ "destination": "/x", "type": "bind", "source": "/no/such/file", "options": ["bind"] }]),
            ),
            "o such file",
        ),
        (Bundle::new(&["exit", "0"]).with("/ociVersion", json!("2.0.0")), "version"),
        (Bundle::new(&["exit", "0"]).with("/linux/cgroupsPath", json!("/")), "names no cgroup below the root"),
        (Bundle::new(&["exit", "0"]).with("/linux/cgroupsPath", json!("/a/../..")), "names no cgroup below the root"),
    ];
    for (bundle, why) in refused {
        let _ = fs::remove_file(&log);
        let ended = runtime.call_with(&global, &["run", "--bundle", bundle.path(), &bundle.id], "");
        assert_eq!(ended.code, 1, "{why}: {ended:?}");
        let text = fs::read_to_string(&log).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["level"], "error");
        assert!(last["msg"].as_str().unwrap().contains(why), "{why}: {last}");
        let left: Vec<_> =
            fs::read_dir(runtime.state_dir()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        let left: Vec<_> =
            left.iter().filter(|name| !["log.json", ".bundles"].contains(&name.to_str().unwrap())).collect();
        assert!(left.is_empty(), "{why}: {left:?}");
        assert_eq!(fs::read_dir(runtime.state_dir().join(".bundles")).map_or(0, Iterator::count), 0, "{why}");
        assert!(!bundle.cgroup("memory").exists(), "{why}");
    }
    // What only the kernel sees, when the program starts: `run` says it, `start` has returned by then.
    let broken = || Bundle::new(&[]).with("/process/args", json!(["/broken"]));
    let ended = runtime.run(&broken());
    assert!(ended.code != 0 && ended.err.contains("ENOEXEC"), "{ended:?}");
    let (bundle, _) = (broken(), fs::remove_file(&log));
    for verb in [&["create", "--bundle", bundle.path(), &bundle.id][..], &["start", &bundle.id]] {
        assert_eq!(runtime.call_with(&global, verb, "").code, 0);
    }
    let told = || fs::read_to_string(&log).unwrap_or_default().contains("ENOEXEC");
    let late = (0..100).any(|_| {
        told() || {
            std::thread::sleep(Duration::from_millis(50));
            false
        }
    });
    runtime.call(&["delete", "--force", &bundle.id]);
    assert!(late, "the log says nothing of it");
    let running = Running::started(&runtime, Bundle::new(&["pause"]));
    let taken = running.bundle.config["linux"]["cgroupsPath"].clone();
    let second = Bundle::new(&["exit", "0"]).with("/linux/cgroupsPath", taken);
    let ended = runtime.run(&second);
    assert!(ended.code == 1 && ended.err.contains("container's cgroup is not empty"), "{ended:?}");
    running.becomes("running");
    for id in ["", "..", "a/b", ".hidden", "sp ace"] {
        let ended = runtime.call(&["state", id]);
        assert!(ended.code == 1 && ended.err.contains("invalid container id"), "{id:?}: {ended:?}");
    }
    let ended = runtime.call(&["run", "--bundle", "/no/such/bundle", "c1"]);
    assert!(ended.code == 1 && ended.err.contains("/no/such/bundle"), "{ended:?}");
}

#[test]
#[ignore = "needs root and the containerd of tests/containerd/fetch.sh"]
fn containerds_shim_uses_it_in_runcs_place() {
    let daemon = shim::Daemon::start(&bundle::programs("bookworm"));
    daemon.import();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let plain = daemon.run(&[], &["uname"]);
    assert!(plain.status.success(), "{plain:?}\n{}", daemon.log());
    let code = daemon.run(&[], &["exit", "7"]);
    assert_eq!(code.status.code(), Some(7), "{code:?}");
    let image = daemon.run(&[], &["env"]);
    assert!(text(&image.stdout).contains("PROBE=image"), "{image:?}");
    // containerd's own default profile: some three hundred calls, arguments, several actions.
    let filtered = daemon.run(&["--seccomp"], &["cat", "/proc/self/status"]);
    assert!(text(&filtered.stdout).contains("Seccomp:\t2"), "{filtered:?}");
    let limited = daemon.run(&["--memory-limit", "33554432"], &["alloc", "64"]);
    assert_eq!(limited.status.code(), Some(137), "{limited:?}");
    let missing = daemon.ctr(&[
        "run",
        "--rm",
        "--runc-binary",
        &daemon.runtime(),
        "--snapshotter",
        "native",
        "castoff.invalid/probe:1",
        "probe-2",
        "/nothing",
    ]);
    assert!(!missing.status.success() && text(&missing.stderr).contains("no such file or directory"), "{missing:?}");
    let left = text(&daemon.ctr(&["containers", "list", "--quiet"]).stdout);
    assert_eq!(left.lines().filter(|id| *id == "probe-1").count(), 0, "{left}");
    println!("{}", text(&filtered.stdout).lines().find(|line| line.starts_with("Seccomp_filters")).unwrap_or_default());
}
