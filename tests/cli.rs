//! The real program with bad input: exit codes, messages, streams, documents and help as `interface.md` fixes them.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it runs the real program on temporary folders")]
#![allow(clippy::print_stdout, reason = "cargo shows it when a test failed, or with --nocapture")]

mod common;

use castoff::{
    apply as engine,
    host::{FaultMode, Faults, Host, Lock, Locked, Root},
};
use common::{
    program::{Node, Ran, castoff, finish},
    tree,
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
};

const DOCKERSHIM: &str = "bookworm-dockershim-1.20";

#[test]
fn wrong_words_are_usage_errors() {
    castoff(&["frobnicate"]).code(64).silent().says(&["frobnicate"]);
    castoff::<&str>(&[]).code(64).silent();
    castoff(&["plan", "--no-such-option"]).code(64).silent().says(&["--no-such-option"]);
    castoff(&["inspect", "-o", "yaml"]).code(64).silent().says(&["yaml", "json"]);
    castoff(&["plan", "--goal", "crio"]).code(64).silent().says(&["crio", "containerd"]);
    castoff(&["--quiet", "--verbose", "inspect"]).code(64).silent();
}

#[test]
fn a_wrong_assumption_is_told_with_what_could_be_assumed() {
    let node = Node::new(DOCKERSHIM);
    let keys = ["docker.version", "docker.cgroup-driver", "containerd.version", "kubelet.version", "cgroup.mode"];
    node.run(&["inspect", "--assume", "moon.phase=full"]).code(64).silent().error(&["moon.phase"]).says(&keys);
    node.run(&["inspect", "--assume", "kubelet.version"]).code(64).error(&["KEY=VALUE", "hint: "]);
    node.run(&["inspect", "--assume", "kubelet.version=newest"]).code(64).error(&["newest"]);
    node.run(&["inspect", "--assume", "cgroup.mode=v2"]).code(64).error(&["unified", "hybrid", "legacy"]);
    node.run(&["inspect", "--assume", "docker.cgroup-driver=none"]).code(64).error(&["systemd", "cgroupfs"]);
}

#[test]
fn an_unknown_check_is_told_with_a_guess() {
    let node = Node::new(DOCKERSHIM);
    for command in ["check", "plan", "apply", "migrate"] {
        node.run(&[command, "--skip-check", "no-cmi"]).code(64).silent().error(&["no-cmi", "did you mean no-cni"]);
    }
    castoff(&["explain", "no-kubelt"]).code(64).silent().error(&["did you mean no-kubelet"]);
    castoff(&["explain", "zzzzzzzz"]).code(64).silent().error(&["castoff check --list"]);
    assert!(castoff(&["explain", "no-cni"]).code(0).out.contains("no-cni"));
}

#[test]
fn a_root_that_is_none_is_an_error() {
    castoff(&["inspect", "--root", "/no/such/dir"]).code(1).silent().error(&["/no/such/dir"]);
    castoff(&["plan", "--root", "/etc/passwd"]).code(1).silent().error(&["/etc/passwd"]);
    let empty = tree::scratch();
    let ran = castoff(&["plan", "--detailed-exitcode", "--root", empty.path().to_str().unwrap()]).code(0);
    assert!(!ran.out.is_empty(), "an empty tree is a node without anything: {ran:#?}");
    assert_eq!(tree::snapshot(empty.path()).len(), 0);
}

#[test]
fn a_plan_that_is_none_is_refused() {
    let node = Node::new(DOCKERSHIM);
    let (dir, saved) = node.plan();
    let text = fs::read_to_string(&saved).unwrap();
    let printed = node.run(&["plan", "-o", "json"]).code(0).out;
    let wrong = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let refused = |path: &str, words: &[&str]| {
        node.unchanged(&["apply", path, "--yes"]).code(1).silent().error(&[path]).says(words);
    };
    refused(dir.path().join("nowhere.json").to_str().unwrap(), &["not there"]);
    refused(&wrong("text", "not json at all"), &["no plan of castoff"]);
    refused(&wrong("empty", ""), &["no plan of castoff"]);
    refused(&wrong("other", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}"), &["no plan of castoff"]);
    refused(&wrong("printed", &printed), &["no file contents", "--out"]);
    refused(
        &wrong("altered", &text.replace("\"unit\": \"docker.service\"", "\"unit\": \"sshd.service\"")),
        &["changed after"],
    );
    refused(
        &wrong("swapped", &text.replace("SystemdCgroup = true", "SystemdCgroup = false")),
        &["does not fit its digest"],
    );
    refused(&wrong("kind", &text.replace("\"kind\": \"Plan\"", "\"kind\": \"Facts\"")), &["Facts"]);
    refused(&wrong("cut", &text[..text.len() / 2]), &["no plan of castoff"]);
    let directory = dir.path().to_str().unwrap();
    refused(directory, &["cannot read"]);
    node.run(&["apply", saved.to_str().unwrap(), "--yes"]).code(0);
}

#[test]
fn what_decides_is_refused_beside_a_plan() {
    let node = Node::new(DOCKERSHIM);
    let (_dir, saved) = node.plan();
    let saved = saved.to_str().unwrap();
    for option in [
        "--drain",
        "--no-drain",
        "--no-cluster",
        "--kubeconfig=k",
        "--cluster-config=skip",
        "--drain-force",
        "--delete-emptydir-data",
        "--grace-period=5",
        "--drain-timeout=5m",
        "--goal=containerd",
        "--profile=/dev/null",
    ] {
        let name = option.split('=').next().unwrap();
        let ran = node.unchanged(&["apply", saved, "--yes", option]).code(64).silent();
        ran.error(&[name, "plan.json", "hint: give it to `castoff plan --out"]);
    }
    node.run(&["apply", saved, "--yes", "--no-trial", "--no-commit", "--skip-check", "no-cni"]).code(0);
}

#[test]
fn a_drain_that_was_asked_for_is_not_left_out_in_silence() {
    let node = Node::new(DOCKERSHIM);
    for goal in [&["--goal", "containerd"][..], &["--goal", "cgroup-driver"]] {
        let ran = node.unchanged(&[&["plan", "--drain"][..], goal].concat()).code(3);
        assert!(ran.out.contains("cluster-away"), "{ran:#?}");
        node.unchanged(&[&["apply", "--yes", "--drain"][..], goal].concat()).code(3).error(&["cluster-away"]);
        let page = node.run(&[&["plan", "--drain", "-o", "html"][..], goal].concat()).code(3).out;
        assert!(page.contains("<dt>Drained before</dt><dd>no</dd>"), "it does not follow from the steps");
    }
    for command in [&["plan"][..], &["check"], &["apply", "--yes"], &["migrate", "--yes"]] {
        for option in ["--drain-force", "--delete-emptydir-data", "--grace-period=5", "--drain-timeout=5m"] {
            let name = option.split('=').next().unwrap();
            let ran = node.unchanged(&[command, &[option][..]].concat()).code(64).silent();
            ran.error(&[name, "hint: add `--drain`"]);
        }
    }
}

/// A run that died in the middle, as after a power cut.
fn cut_off(node: &Node, effect: u64) {
    let (_dir, saved) = node.plan();
    let plan = serde_json::from_str(&fs::read_to_string(saved).unwrap()).unwrap();
    let host = Host::open(node.path(), &Faults::at(effect, FaultMode::DieAfter)).unwrap();
    let interrupt = AtomicBool::new(false);
    let _ = engine::apply(&host, &plan, &engine::Options::new(&interrupt), &mut engine::Silent);
}

#[test]
fn a_profile_that_cannot_be_used_keeps_no_run_from_its_end() {
    for broken in ["sandbox-imag = \"x\"\n", "skip-checks = [\"no-such\"]\n", "endpoint = \"tcp://10.0.0.1:1\"\n"] {
        for (command, state) in [("recover", None), ("rollback", Some("rolled-back")), ("resume", Some("applied"))] {
            let node = Node::new(DOCKERSHIM);
            cut_off(&node, 45);
            let state_of = || node.run(&["history", "-o", "json"]).code(0).json()["runs"][0]["state"].clone();
            tree::put(node.path(), "/etc/castoff/profile.toml", broken);
            assert_eq!(state_of(), "dirty");
            let warned = |arguments: &[&str]| {
                node.run(arguments).code(0).says(&["warning: /etc/castoff/profile.toml is left out"]);
            };
            warned(&["show"]);
            warned(&[command]);
            let ended = state_of();
            assert!(state.map_or(ended != "dirty", |state| ended == state), "{command}: {ended}");
            // What begins something, or removes runs by the profile's limits, needs it still.
            assert_ne!(node.run(&["plan"]).code, 0);
            assert_ne!(node.run(&["history", "--prune"]).code, 0);
        }
    }
    let node = Node::new(DOCKERSHIM);
    node.run(&["apply", "--yes", "--no-commit"]).code(0);
    tree::put(node.path(), "/etc/castoff/profile.toml", "sandbox-imag = \"x\"\n");
    node.run(&["commit"]).code(0).says(&["warning: /etc/castoff/profile.toml is left out"]);
}

#[test]
fn a_stale_plan_names_what_moved() {
    let node = Node::new(DOCKERSHIM);
    let (_dir, saved) = node.plan();
    tree::put(node.path(), "/etc/docker/daemon.json", "{}\n");
    let ran = node.unchanged(&["apply", saved.to_str().unwrap(), "--yes"]).code(1).silent();
    ran.error(&["stale", "/etc/docker/daemon.json", "hint: "]);
}

#[test]
fn the_command_that_is_told_runs_exactly_the_saved_plan() {
    let node = Node::new(DOCKERSHIM);
    let dir = tree::scratch();
    let saved = dir.path().join("the node's plan.json");
    let assume = "--assume docker.cgroup-driver=systemd";
    let words = ["plan", "--out", saved.to_str().unwrap(), "-o", "html"].into_iter().chain(assume.split(' '));
    let ran = node.run(&words.collect::<Vec<_>>()).code(0);
    assert!(!node.assumed.is_empty() && ran.out.contains("--assume cgroup.mode=unified plan.json"), "{ran:#?}");
    let told = ran.err.lines().find_map(|line| line.split_once("exactly this plan: castoff ")).unwrap().1;
    let run = |line: &str| {
        let line = format!("'{}' {line} --yes", env!("CARGO_BIN_EXE_castoff"));
        finish(Command::new("/bin/sh").args(["-c", &line]).env_clear().env("PATH", "/usr/bin:/bin"))
    };
    run(&told.replace(assume, "")).code(1).error(&["stale", "--assume"]);
    run(told).code(0);
}

#[test]
fn a_plan_for_another_node_is_refused() {
    let node = Node::new(DOCKERSHIM);
    let (_dir, saved) = node.plan();
    tree::put(node.path(), "/etc/hostname", "worker-2\n");
    let ran = node.unchanged(&["apply", saved.to_str().unwrap(), "--yes"]).code(1).silent();
    ran.error(&["worker-1", "worker-2"]);
}

#[test]
fn a_held_lock_is_75_and_names_the_holder() {
    let node = Node::new(DOCKERSHIM);
    let root = Root::open(node.path(), Faults::none()).unwrap();
    let Locked::Ours(_held) = Lock::take(&root, "pid 4711 (apply, run x)").unwrap() else { panic!("not free") };
    node.unchanged(&["apply", "--yes"]).code(75).silent().error(&["4711", "hint: "]);
    node.unchanged(&["migrate", "--yes"]).code(75);
    node.unchanged(&["rollback"]).code(75);
    node.unchanged(&["resume"]).code(75);
    node.unchanged(&["commit"]).code(75);
    // Looking needs no lock.
    node.unchanged(&["plan"]).code(0);
    node.unchanged(&["history"]).code(0);
}

#[test]
fn a_run_that_somebody_is_at_work_on_was_not_cut_off() {
    let node = Node::new(DOCKERSHIM);
    cut_off(&node, 45);
    let newest = || node.run(&["history", "-o", "json"]).code(0).json()["runs"][0].clone();
    let run = newest()["run"].as_str().unwrap().to_owned();
    let root = Root::open(node.path(), Faults::none()).unwrap();
    let by = format!("pid 4711 (apply, run {run})");
    let Locked::Ours(held) = Lock::take(&root, &by).unwrap() else { panic!("not free") };
    for command in [&["apply", "--yes"][..], &["migrate", "--yes"], &["resume"], &["rollback"]] {
        let ran = node.unchanged(command).code(75).silent().error(&["4711", "castoff show"]);
        assert!(!ran.err.contains("castoff resume"), "{ran:#?}");
    }
    let ran = node.unchanged(&["plan"]).says(&["warning: another castoff is at work", "4711"]);
    assert!(!ran.err.contains("castoff resume"), "{ran:#?}");
    assert_eq!(newest()["state"], "running");
    assert!(node.run(&["history"]).code(0).out.contains("running"));
    let shown = node.run(&["show"]).code(0).out;
    assert!(shown.contains(&by), "{shown}");
    for words in ["cut off", "by hand", "not known to be done"] {
        assert!(!shown.contains(words), "{words}: {shown}");
    }
    let report = node.run(&["show", "-o", "json"]).code(0).json();
    assert_eq!((&report["running"], &report["byHand"]), (&Value::from(by), &Value::Null));
    let page = node.run(&["show", "-o", "markdown"]).code(0).out;
    assert!(page.contains("still at work") && !page.contains("castoff resume"), "{page}");
    // What the dead have left in the file proves nothing.
    drop(held);
    assert_eq!(newest()["state"], "dirty");
    node.unchanged(&["apply", "--yes"]).code(1).error(&["did not come to its end", "castoff resume"]);
    // Somebody at work on something else is not at work on this.
    let Locked::Ours(_held) = Lock::take(&root, "pid 4712 (history)").unwrap() else { panic!("not free") };
    assert_eq!(newest()["state"], "dirty");
    node.unchanged(&["apply", "--yes"]).code(75);
}

#[test]
fn findings_block_with_3_and_nothing_else_skips_them() {
    let node = Node::new("broken-files");
    node.unchanged(&["plan"]).code(3);
    node.unchanged(&["plan", "--detailed-exitcode"]).code(3);
    // Where only what blocks is shown, nothing else is counted.
    let ran = node.unchanged(&["apply", "--yes"]).code(3).says(&[" blocking\n"]);
    assert!(!ran.err.contains("0 warnings") && !ran.err.contains("0 notes"), "{ran:#?}");
    node.unchanged(&["check"]).code(3);
    let ran = node.unchanged(&["apply", "--yes"]).code(3).silent().error(&["file-unreadable"]);
    ran.says(&["/etc/containerd/config.toml", "castoff explain file-unreadable", "--skip-check file-unreadable"]);
    node.unchanged(&["migrate", "--yes"]).code(3);
    node.unchanged(&["migrate", "--yes", "--skip-check", "no-cni"]).code(3);
}

#[test]
fn detailed_exit_codes_tell_changes() {
    let node = Node::new(DOCKERSHIM);
    node.unchanged(&["plan"]).code(0);
    node.unchanged(&["plan", "--detailed-exitcode"]).code(2);
    node.unchanged(&["verify", "--level", "config"]).code(0);
    node.unchanged(&["verify", "--level", "config", "--detailed-exitcode"]).code(2);
    node.run(&["apply", "--yes"]).code(0);
    node.unchanged(&["plan", "--detailed-exitcode"]).code(0);
    node.unchanged(&["verify", "--level", "config", "--detailed-exitcode"]).code(0);
    for command in ["apply", "migrate"] {
        let ran = node.unchanged(&[command, "--yes"]).code(0);
        assert_eq!(ran.out.lines().count(), 1, "{ran:#?}");
        assert!(ran.out.contains("worker-1") && ran.out.contains("No changes"), "{ran:#?}");
    }
}

#[test]
fn a_configuration_is_converted_and_taken_back() {
    let node = Node::new("schema-1-on-2.1");
    let config = node.path().join("etc/containerd/config.toml");
    let (tree, text) = (tree::snapshot(node.path()), fs::read_to_string(&config).unwrap());
    // runtime_engine has no place in version 3: the line is named and nothing is written.
    let refused = node.unchanged(&["convert", "--to", "3", "--yes"]).code(3).error(&["config-not-editable"]);
    assert!(refused.err.contains("/etc/containerd/config.toml:22"), "{refused:#?}");
    node.unchanged(&["convert", "--to", "5"]).code(64).silent().error(&["2..=4"]);
    node.unchanged(&["convert", "--to", "2", "/etc/no.toml", "--yes"]).code(3).error(&["/etc/no.toml"]);
    node.unchanged(&["convert", "--to", "2"]).code(64).error(&["--yes"]);

    node.unchanged(&["convert", "--to", "2", "--check"]).code(0);
    let check = node.unchanged(&["convert", "--to", "2", "--check", "--detailed-exitcode"]).code(2);
    assert!(check.out.starts_with("Plan ") && check.out.contains("+version = 2\n"), "{check:#?}");
    node.run(&["convert", "--to", "2", "--yes"]).code(0);
    let now = fs::read_to_string(&config).unwrap();
    assert!(now.contains("\nversion = 2\n") && !now.contains("plugins.cri"), "{now}");
    assert_eq!(now.matches('#').count(), text.matches('#').count(), "comments stay: {now}");
    node.unchanged(&["convert", "--to", "2", "--check", "--detailed-exitcode"]).code(0);
    node.run(&["rollback"]).code(0);
    assert_eq!(fs::read_to_string(&config).unwrap(), text);
    let after = tree::snapshot(node.path());
    assert!(tree::diff(&tree, &after).lines().all(|line| line.contains("/var/lib/castoff")), "only the journal is new");
}

const MAIN: &str = "/etc/containerd/config.toml";
const NVIDIA: &str = "/etc/containerd/conf.d/99-nvidia.toml";
const MAIN_2: &str = "version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n";

#[test]
fn a_configuration_that_cannot_be_read_is_not_converted() {
    for (path, bytes) in
        [(MAIN, &b"version = 2\n[oops\n"[..]), (MAIN, &b"version = 2 # \xff\n"[..]), (NVIDIA, &b"version =\n"[..])]
    {
        let node = Node::new("nvidia-conf-d-2.1");
        tree::put(node.path(), MAIN, MAIN_2);
        tree::put(node.path(), path, bytes);
        node.unchanged(&["convert", "--to", "3", "--yes"]).code(3).error(&["file-unreadable", path]);
        node.unchanged(&["convert", "--to", "3", "--check"]).code(3);
    }
    let node = Node::new("nvidia-conf-d-2.1");
    tree::put(node.path(), MAIN, "version = 2\nimports = [\"/etc/containerd/gone.toml\"]\n");
    node.unchanged(&["convert", "--to", "3", "--yes"]).code(3).error(&["containerd-import-missing"]);

    // Nothing but the file: what it is read by is assumed.
    let bare = tree::scratch();
    tree::put(bare.path(), MAIN, "version = 2\n");
    let root = bare.path().to_str().unwrap();
    let words =
        ["convert", "--to", "3", "--check", "--detailed-exitcode", "--assume", "containerd.version=2.1.4", "--root"];
    castoff(&[&words[..], &[root]].concat()).code(2);
}

#[test]
fn a_file_that_is_imported_by_two_names_is_written_once() {
    let node = Node::new("nvidia-conf-d-2.1");
    tree::put(node.path(), MAIN, MAIN_2);
    tree::put(node.path(), NVIDIA, "version = 2\n");
    let link = "/etc/containerd/conf.d/50-same.toml";
    tree::put_link(node.path(), link, "99-nvidia.toml");
    node.run(&["convert", "--to", "3", "--yes"]).code(0);
    assert_eq!(fs::read_to_string(tree::at(node.path(), NVIDIA)).unwrap(), "version = 3\n");
    assert!(tree::at(node.path(), link).is_symlink());
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let node = Node::new(DOCKERSHIM);
    for command in ["apply", "migrate"] {
        node.unchanged(&[command]).code(64).silent().error(&["terminal", "hint: ", "--yes"]);
        node.unchanged(&[command, "--non-interactive"]).code(64).error(&["hint: ", "--yes"]);
        let ran = finish(node.command(&[command]).env("CI", "true")).code(64);
        ran.error(&["hint: ", "--yes"]);
    }
}

#[test]
fn a_profile_is_checked_before_anything_else() {
    let node = Node::new(DOCKERSHIM);
    let profile = |text: &str| tree::put(node.path(), "/etc/castoff/profile.toml", text);
    profile("# site\nimages = \"none\"\nsandbox-imag = \"x\"\n");
    node.unchanged(&["plan"]).code(1).silent().error(&[
        "/etc/castoff/profile.toml",
        "sandbox-imag",
        "line 3",
        "did you mean sandbox-image?",
    ]);
    profile("images = \n");
    node.unchanged(&["plan"]).code(1).error(&["/etc/castoff/profile.toml", "line 1"]);
    profile("[timeouts]\npods = 600\n");
    node.unchanged(&["plan"]).code(1).error(&["/etc/castoff/profile.toml", "line 2"]);
    profile("skip-checks = [\"no-such\"]\n");
    node.unchanged(&["plan"]).code(64).error(&["no-such"]);
    profile("endpoint = \"tcp://10.0.0.1:1\"\n");
    node.unchanged(&["plan"]).code(64).error(&["tcp://10.0.0.1:1", "unix:///"]);
    fs::write(tree::at(node.path(), "/etc/castoff/profile.toml"), b"# \xff\n").unwrap();
    node.unchanged(&["plan"]).code(1).error(&["/etc/castoff/profile.toml", "UTF-8"]);
    profile("docker = \"disable\"\n");
    assert!(!node.unchanged(&["plan"]).code(0).out.contains("~ mask"));
    node.unchanged(&["plan", "--profile", "/no/such/profile"]).code(1).error(&["/no/such/profile"]);
}

#[test]
fn looking_writes_nothing() {
    let node = Node::new(DOCKERSHIM);
    let everything = || {
        let mut names: Vec<_> = fs::read_dir(node.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = everything();
    for arguments in [
        &["inspect"][..],
        &["inspect", "-o", "json"],
        &["check"],
        &["plan"],
        &["plan", "-o", "json", "--no-diff"],
        &["verify"],
        &["history"],
        &["migrate", "--non-interactive"],
    ] {
        node.unchanged(arguments);
        // Not even what a snapshot leaves out: a lock or a directory for runs.
        assert_eq!(before, everything(), "{arguments:?}");
        assert!(!tree::at(node.path(), "/var/lib/castoff").exists(), "{arguments:?}");
    }
}

#[test]
fn runs_that_are_not_there_are_told() {
    let node = Node::new(DOCKERSHIM);
    node.unchanged(&["history"]).code(0);
    for command in ["show", "rollback", "resume", "commit"] {
        node.unchanged(&[command]).code(1).silent().error(&[]);
        node.unchanged(&[command, "beef"]).code(1).silent().error(&["beef", "castoff history"]);
    }
    node.run(&["apply", "--yes"]).code(0);
    node.unchanged(&["show", "beef"]).code(1).error(&["beef"]);
    // A run is no path.
    node.unchanged(&["show", "../../../etc"]).code(1).error(&["../../../etc"]);
    node.unchanged(&["resume"]).code(1).silent().error(&["resume"]);
    node.run(&["rollback"]).code(0);
    node.unchanged(&["rollback"]).code(1).silent().error(&["taken back already"]);
}

#[test]
fn data_goes_to_stdout_and_talk_to_stderr() {
    let node = Node::new(DOCKERSHIM);
    let ran = node.run(&["plan"]).code(0);
    assert!(ran.out.contains("/etc/containerd/config.toml") && ran.err.is_empty(), "{ran:#?}");
    let ran = node.run(&["inspect"]).code(0);
    assert!(ran.out.contains("worker-1") && ran.err.is_empty(), "{ran:#?}");
    let ran = node.run(&["apply", "--yes", "-o", "json"]).code(0);
    assert_eq!(ran.json()["kind"], "RunReport");
    assert!(!ran.err.is_empty(), "a log without a terminal has a line for each step: {ran:#?}");
    let ran = node.run(&["--quiet", "rollback"]).code(0);
    assert_eq!(ran.out.lines().count(), 1, "{ran:#?}");
    assert!(ran.err.lines().filter(|line| !line.is_empty()).count() <= 1, "quiet, and yet it talks: {ran:#?}");
}

#[test]
fn what_cannot_be_written_is_a_failure() {
    let node = Node::new(DOCKERSHIM);
    let into_nothing = |arguments: &[&str]| {
        let mut program = node.command(arguments);
        program.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let output = program.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for arguments in [&["plan"][..], &["plan", "-o", "json", "--detailed-exitcode"], &["inspect", "-o", "json"]] {
        let (code, told) = into_nothing(arguments);
        assert_eq!(code, 1, "{arguments:?}: {told}");
        assert_eq!(told.matches("error: cannot write to standard output").count(), 1, "{arguments:?}: {told}");
    }
    // 1 would say that the node is unchanged.
    let (code, told) = into_nothing(&["apply", "--yes", "-o", "jsonl"]);
    assert_eq!((code, told.matches("error: cannot write").count()), (0, 1), "{told}");
}

#[test]
fn a_file_of_the_node_does_not_act_on_the_terminal() {
    let node = Node::new(DOCKERSHIM);
    let path = "/etc/containerd/config.toml";
    let evil = "version = 2\n# a\u{202e}b\u{9b}1A\n";
    tree::put(node.path(), path, evil);
    tree::put(node.path(), "/etc/castoff/profile.toml", "# \u{1b}[2J\nsandbox-imag = \"\u{1b}[2J\"\n");
    let told = node.run(&["--color", "always", "plan"]).err;
    assert!(!told.contains("\u{1b}[2J"), "{told:?}");
    fs::remove_file(tree::at(node.path(), "/etc/castoff/profile.toml")).unwrap();
    let shown = node.run(&["--color", "always", "plan"]).code(0).out;
    assert!(shown.contains("# a[U+202E]b[U+009B]1A"), "{shown:?}");
    assert!(shown.contains("\u{1b}[1m"), "colours stay: {shown:?}");
    // A document is what it is.
    let diff =
        node.run(&["plan", "-o", "json"]).code(0).json()["steps"][0]["action"]["diff"].as_str().unwrap().to_owned();
    assert!(diff.contains("# a\u{202e}b\u{9b}1A"), "{diff:?}");
}

#[test]
fn a_plan_fits_the_terminal_with_however_much_context() {
    let node = Node::new(DOCKERSHIM);
    let ran = node.unchanged(&["plan", "--context", "18446744073709551615"]).code(0);
    assert!(ran.out.contains("@@"), "{ran:#?}");
    let plan = node.unchanged(&["plan", "--no-diff"]).code(0).out;
    assert!(plan.contains("     at next boot: "), "{plan}");
    let long: Vec<&str> = plan.lines().take_while(|line| !line.contains("Findings")).collect();
    let long: Vec<&&str> = long.iter().filter(|line| line.starts_with("     ") && line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn man_pages_are_put_where_they_are_wanted() {
    let dir = tree::scratch();
    let new = dir.path().join("share/man");
    castoff(&["man", new.to_str().unwrap()]).code(0);
    assert!(new.join("castoff.8").exists());
}

#[test]
fn colours_are_only_where_they_are_wanted() {
    let node = Node::new(DOCKERSHIM);
    let coloured = |ran: &Ran| ran.out.contains('\u{1b}') || ran.err.contains('\u{1b}');
    assert!(!coloured(&node.run(&["plan"])), "colours without a terminal");
    assert!(coloured(&node.run(&["--color", "always", "plan"])), "no colours although asked for");
    assert!(!coloured(&node.run(&["--color", "never", "plan"])));
    assert!(coloured(&finish(node.command(&["plan"]).env("CLICOLOR_FORCE", "1"))));
    assert!(!coloured(&finish(node.command(&["plan"]).env("NO_COLOR", "1"))));
    assert!(!coloured(&finish(node.command(&["--color", "never", "plan"]).env("CLICOLOR_FORCE", "1"))));
    node.run(&["--color", "sometimes", "plan"]).code(64);
}

/// The value at a path such as `docker.cgroupDriver`.
fn at<'v>(document: &'v Value, path: &str) -> &'v Value {
    let found = path.split('.').try_fold(document, |value, key| value.get(key));
    found.unwrap_or_else(|| panic!("`.{path}` is missing in {document:#}"))
}

fn is_document(document: &Value, kind: &str, fields: &[&str]) {
    assert_eq!((at(document, "apiVersion"), at(document, "kind")), (&Value::from("castoff/v1"), &Value::from(kind)));
    for field in fields {
        at(document, field);
    }
}

#[test]
fn documents_have_the_fields_that_are_fixed() {
    let node = Node::new(DOCKERSHIM);
    let facts = node.run(&["inspect", "-o", "json"]).code(0).json();
    let fields = "node.hostname node.os node.kernel node.arch node.systemd cgroup.mode docker.version docker.cgroupDriver \
        docker.dataRoot docker.managedContainerd containerd.version containerd.configVersion containerd.criEnabled \
        containerd.systemdCgroup containerd.root kubelet.version kubelet.endpoint kubelet.cgroupDriver kubelet.flags findings";
    is_document(&facts, "Facts", &fields.split_whitespace().collect::<Vec<_>>());
    assert_eq!(at(&facts, "containerd.criEnabled.value"), false);
    assert_eq!(at(&facts, "containerd.criEnabled.origin.path"), "/etc/containerd/config.toml");
    assert_eq!(at(&facts, "containerd.criEnabled.origin.line"), 5);
    assert_eq!(at(&facts, "kubelet.cgroupDriver.origin.kind"), "file");

    let plan = node.run(&["plan", "-o", "json"]).code(0).json();
    let fields = "id digest goal summary.create summary.update summary.delete summary.run summary.irreversible findings \
        verdicts steps";
    is_document(&plan, "Plan", &fields.split_whitespace().collect::<Vec<_>>());
    for step in at(&plan, "steps").as_array().unwrap() {
        for field in ["id", "index", "change", "risk", "undo", "why", "action.type"] {
            at(step, field);
        }
        assert_eq!(step.pointer("/action/content"), None, "contents are not for reading");
    }
    at(&plan["steps"][0], "action.path");
    at(&plan["steps"][0], "action.diff");
    for finding in at(&plan, "findings").as_array().unwrap() {
        for field in ["id", "severity", "summary", "cause", "fix", "origins"] {
            at(finding, field);
        }
    }
    let verdicts = at(&plan, "verdicts").as_array().unwrap();
    assert!(!verdicts.is_empty());
    for verdict in verdicts {
        for field in ["setting", "value", "origin", "verdict", "target", "note"] {
            at(verdict, field);
        }
    }

    let report = node.run(&["apply", "--yes", "-o", "json"]).code(0).json();
    let fields =
        "run outcome exitCode phases downtime.kubeletSeconds downtime.workloadSeconds steps verification findings";
    is_document(&report, "RunReport", &fields.split_whitespace().collect::<Vec<_>>());
    assert_eq!((at(&report, "outcome"), at(&report, "exitCode")), (&Value::from("applied"), &Value::from(0)));
    at(&report["phases"][0], "name");
    at(&report["phases"][0], "seconds");
    let run = at(&report, "run").as_str().unwrap();
    let saved = tree::at(node.path(), &format!("/var/lib/castoff/runs/{run}/report.json"));
    assert_eq!(serde_json::from_str::<Value>(&fs::read_to_string(saved).unwrap()).unwrap(), report);
    assert_eq!(node.run(&["show", "-o", "json"]).code(0).json(), report);
    let nothing = node.run(&["apply", "--yes", "-o", "json"]).code(0).json();
    is_document(&nothing, "RunReport", &[]);
    assert_eq!(at(&nothing, "outcome"), "no-change");

    let verification = node.run(&["verify", "-o", "json", "--level", "config"]).code(0).json();
    is_document(&verification, "Verification", &["level", "checks", "bench"]);
    for check in at(&verification, "checks").as_array().unwrap() {
        for field in ["id", "status", "seconds", "detail"] {
            at(check, field);
        }
    }
    let history = node.run(&["history", "-o", "json"]).code(0).json();
    is_document(&history, "History", &["runs"]);
    assert_eq!(at(&history["runs"][0], "run").as_str(), Some(run));
    assert_eq!(at(&history["runs"][0], "state"), "committed");
}

#[test]
fn secrets_stay_secret() {
    let node = Node::new(DOCKERSHIM);
    let proxy = "{\"registry-mirrors\": [\"https://robot:hunter2@mirror.example\"], \"exec-opts\": []}\n";
    tree::put(node.path(), "/etc/docker/daemon.json", proxy);
    tells_no_secret(&node);
}

/// Whatever it prints, in every form.
fn tells_no_secret(node: &Node) {
    for arguments in [
        &["inspect"][..],
        &["inspect", "-o", "json"],
        &["check", "-o", "json"],
        &["convert", "--to", "3", "--check"],
        &["convert", "--to", "3", "--check", "-o", "json"],
        &["plan"],
        &["plan", "-o", "json"],
        &["plan", "-o", "markdown"],
        &["plan", "-o", "html"],
        &["plan", "--goal", "cgroup-driver"],
        &["plan", "--goal", "cgroup-driver", "-o", "json"],
        &["apply", "--yes"],
        &["show"],
        &["show", "-o", "json"],
        &["show", "-o", "markdown"],
        &["show", "-o", "html"],
    ] {
        let ran = node.run(arguments);
        for secret in ["hunter2", "dXNlcjpodW50ZXIy", "s3cr3t"] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{arguments:?}: {ran:#?}");
        }
    }
}

#[test]
fn secrets_in_files_that_are_edited_are_masked_in_the_diff() {
    let node = Node::new(DOCKERSHIM);
    tree::put(
        node.path(),
        "/etc/docker/daemon.json",
        "{\n  \"log-opts\": {\n    \"splunk-token\": \"s3cr3t\"\n  },\n  \"exec-opts\": [\"native.cgroupdriver=cgroupfs\"]\n}\n",
    );
    let config = "/etc/containerd/config.toml";
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    let text = format!(
        "version = 2\n# old password = \"hunter2\"\n[{cri}.registry.configs]\n\"r.example\" = {{ auth = {{ password = 'hunter2' }} }}\n\
         [{cri}.registry.headers]\nAuthorization = [\"Basic dXNlcjpodW50ZXIy\"]\nX-Meta-Token = [\"s3cr3t\"]\nX-Any = [\"s3cr3t\"]\n"
    );
    tree::put(node.path(), config, &text);
    // Each of them is in a diff.
    let shown = node.run(&["plan", "--context", "50", "--goal", "cgroup-driver"]).out;
    assert!(shown.contains("\"splunk-token\": \"<redacted:"), "{shown}");
    let shown = node.run(&["plan", "--context", "50"]).out;
    for line in ["# old password = \"<redacted:", "auth = { password = '<redacted:", "X-Any = [\"<redacted:"] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    tells_no_secret(&node);
    // What is written is the real content.
    let written = fs::read_to_string(tree::at(node.path(), config)).unwrap();
    assert!(written.contains("password = 'hunter2'") && !written.contains("redacted"), "{written}");
}

#[test]
fn a_saved_plan_and_the_runs_are_for_their_owner_alone() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let node = Node::new(DOCKERSHIM);
    let (dir, saved) = node.plan();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&saved), 0o600);
    // Whoever could read what was there, and at the end of a link too.
    let (link, own) = (dir.path().join("link.json"), fs::metadata(dir.path()).unwrap().uid());
    std::os::unix::fs::symlink("plan.json", &link).unwrap();
    for path in [&saved, &link] {
        fs::set_permissions(&saved, fs::Permissions::from_mode(0o644)).unwrap();
        if own == 0 {
            std::os::unix::fs::chown(&saved, Some(65534), Some(65534)).unwrap();
        }
        node.run(&["plan", "--out", path.to_str().unwrap()]).code(0);
        assert_eq!((mode(&saved), fs::metadata(&saved).unwrap().uid()), (0o600, own), "{}", path.display());
    }
    assert!(link.is_symlink());
    node.run(&["plan", "--out", "/dev/null"]).code(1).error(&["not a regular file"]);
    node.run(&["apply", "--yes"]).code(0);
    let runs = tree::at(node.path(), "/var/lib/castoff/runs");
    let run = fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    assert_eq!((mode(&runs), mode(&run), mode(&run.join("backups"))), (0o700, 0o700, 0o700));
    for entry in fs::read_dir(run.join("backups")).unwrap().chain(fs::read_dir(&run).unwrap()) {
        let path = entry.unwrap().path();
        assert!(path.is_dir() || mode(&path) == 0o600, "{}", path.display());
    }
}

#[test]
fn help_fits_eighty_columns() {
    let top = castoff(&["--help"]).code(0);
    let names: Vec<String> = top
        .out
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .map_while(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert!(names.len() >= 15 && names.contains(&"rollback".to_owned()), "{names:?}");
    for name in &names {
        for option in ["--help", "-h"] {
            let ran = castoff(&[name, option]).code(0);
            assert!(ran.err.is_empty() && ran.out.contains("Usage:"), "{name}: {ran:#?}");
            let long: Vec<&str> = ran.out.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{name} {option}: {long:#?}");
        }
    }
    assert!(top.out.lines().all(|line| line.chars().count() <= 80), "{}", top.out);
    let version = castoff(&["--version"]).code(0).out;
    assert_eq!(version.trim(), format!("castoff {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn only_root_changes_a_running_node() {
    // As nobody: only possible for root, and only where `setpriv` is installed.
    let setpriv = Path::new("/usr/bin/setpriv");
    if !nix::unistd::geteuid().is_root() || !setpriv.exists() {
        println!("skipped: this is not root, or setpriv is missing");
        return;
    }
    // The program may lie where nobody must not go.
    let dir = tree::scratch();
    let copy = dir.path().join("castoff");
    fs::copy(env!("CARGO_BIN_EXE_castoff"), &copy).unwrap();
    tree::set_mode(dir.path(), "", 0o755);
    tree::set_mode(dir.path(), "castoff", 0o755);
    for command in [&["apply", "--yes"][..], &["migrate", "--yes"], &["rollback"], &["resume"], &["commit"]] {
        let mut nobody = Command::new(setpriv);
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).args(command);
        let ran = finish(nobody.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()));
        ran.code(77).silent().error(&["root", "hint: "]);
    }
}

#[test]
fn verify_looks_as_it_is_told_and_at_what_is_named() {
    let node = Node::new("already-containerd-1.29");
    let root = node.path().to_str().unwrap();
    let endpoint = |version: &str| {
        let assumed = format!("kubelet.version={version}");
        let ran = castoff(&["verify", "--root", root, "--level", "config", "-o", "json", "--assume", &assumed]);
        let checks = ran.code(0).json()["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["id"] == "kubelet-endpoint").unwrap()["status"].clone()
    };
    // Before 1.27 kubelet passes over the field of its file.
    assert_eq!((endpoint("1.29.0"), endpoint("1.20.0")), ("pass".into(), "fail".into()));
    for option in ["--live", "--bench", "--handler=x", "--endpoint=unix:///run/x.sock"] {
        let name = option.split('=').next().unwrap();
        node.unchanged(&["verify", option]).code(64).silent().error(&[name, "a file tree does not run"]);
    }
    let checks = node.run(&["verify", "-o", "json"]).json()["checks"].as_array().unwrap().clone();
    let live = checks.iter().find(|check| check["id"] == "live-pod").unwrap();
    assert_eq!(live["detail"], "a file tree does not run");
    let ran = castoff(&["verify", "--endpoint", "unix:///nowhere/x.sock", "--detailed-exitcode"]).code(2);
    assert!(ran.out.contains("nobody serves unix:///nowhere/x.sock"), "{ran:#?}");
}

#[test]
fn documents_are_documents_everywhere() {
    let node = Node::new(DOCKERSHIM);
    is_document(&node.run(&["check", "--list", "-o", "json"]).code(0).json(), "Checks", &["checks"]);
    let bundle = node.path().join("../x.tar");
    node.unchanged(&["inspect", "--bundle", bundle.to_str().unwrap(), "-o", "json"])
        .code(64)
        .silent()
        .error(&["--bundle"]);
    node.run(&["apply", "--yes", "--no-commit"]).code(0);
    // Refused before anything is done.
    node.unchanged(&["commit", "-o", "jsonl"]).code(64).error(&["tells no events", "-o json"]);
    node.unchanged(&["resume", "--cluster", "-o", "jsonl"]).code(64).error(&["tells no events"]);
    assert_eq!(node.run(&["history", "-o", "json"]).json()["runs"][0]["state"], "applied");
    is_document(&node.run(&["commit", "-o", "json"]).code(0).json(), "RunAnswer", &["run", "committed"]);
    node.run(&["rollback"]).code(0);
    let report = node.run(&["show", "-o", "json"]).code(0);
    assert_eq!(report.json()["returned"], true);
    let file = tree::scratch();
    fs::write(file.path().join("a.json"), &report.out).unwrap();
    let merged = castoff(&["report", "merge", file.path().to_str().unwrap(), "-o", "json"]).code(0).json();
    assert_eq!(merged["nodes"][0]["state"], "returned");
}

#[test]
fn a_later_success_counts_more_than_an_earlier_refusal() {
    let node = Node::new(DOCKERSHIM);
    let refused = node.run(&["apply", "--yes", "--drain", "-o", "json"]).code(3);
    let applied = node.run(&["apply", "--yes", "-o", "json"]).code(0);
    let nothing = node.run(&["apply", "--yes", "-o", "json"]).code(0);
    for ran in [&refused, &applied, &nothing] {
        for field in ["started", "finished"] {
            let time = ran.json()[field].as_str().unwrap().to_owned();
            assert!(time.parse::<jiff::Timestamp>().is_ok(), "{field} is `{time}`");
        }
    }
    let merged = |first: &Ran, second: &Ran| {
        let dir = tree::scratch();
        fs::write(dir.path().join("a.json"), &first.out).unwrap();
        fs::write(dir.path().join("b.json"), &second.out).unwrap();
        castoff(&["report", "merge", dir.path().to_str().unwrap(), "-o", "json"]).code(0).json()["nodes"][0]["state"]
            .clone()
    };
    assert_eq!((merged(&refused, &applied), merged(&applied, &refused)), ("migrated".into(), "migrated".into()));
    assert_eq!(merged(&refused, &nothing), "no-change");
}

#[test]
fn two_measurements_are_put_side_by_side() {
    let dir = tree::scratch();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // As critest writes it.
    let pods = |ms: u64| {
        format!(
            r#"{{"operationsNames":["CreatePod","StatusPod"],"numParallel":1,"datapoints":[{{"sampleIndex":0,"startTime":1,"endTime":2,"operationsDurationsNs":[{},1000000],"metaInfo":null}}]}}"#,
            ms * 1_000_000
        )
        .replace(",\"metaInfo\":null", "")
    };
    let (slow, fast) = (file("a.json", &pods(80)), file("b.json", &pods(20)));
    let ran = castoff(&["bench", "compare", &slow, &fast]).code(0);
    let line = ran.out.lines().find(|line| line.contains("CreatePod")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["CreatePod", "80.0", "20.0", "80.0", "20.0", "0.25"]);
    let none = file("c.json", &pods(1).replace("Pod\"", "Cat\""));
    castoff(&["bench", "compare", &slow, &none]).code(1).silent().error(&["no operation in common"]);
    let other = file("d.json", "[]");
    castoff(&["bench", "compare", &slow, &other]).code(1).silent().error(&["d.json", "neither"]);
    castoff(&["bench", "compare", &slow, "/not-there"]).code(1).silent().error(&["/not-there"]);
}

#[test]
fn metrics_are_replaced_as_a_whole_and_everybody_may_read_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::new(DOCKERSHIM);
    let dir = tree::scratch();
    let file = dir.path().join("castoff.prom");
    let shown = file.to_str().unwrap();
    let read = || fs::read_to_string(&file).unwrap();
    node.unchanged(&["verify", "--level", "config", "--metrics", shown]).code(0);
    assert!(read().contains("castoff_verify_ok{level=\"config\"} 0\n"), "{}", read());
    assert!(read().contains("castoff_runs 0\n") && !read().contains("castoff_last_run"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    node.run(&["apply", "--yes", "--no-trial", "--no-commit"]).code(0);
    let ran = node.run(&["verify", "--level", "config", "-o", "json", "--metrics", shown]).code(0);
    let failed = ran.json()["checks"].as_array().unwrap().iter().filter(|check| check["status"] == "fail").count();
    assert!(
        read().contains(&format!("castoff_verify_ok{{level=\"config\"}} {}\n", u8::from(failed == 0))),
        "{}",
        read()
    );
    assert!(read().contains("castoff_last_run_state{state=\"applied\"} 1\n"));
    assert!(read().contains("castoff_last_run_outcome{outcome=\"applied\"} 1\n"));
    assert!(read().contains("castoff_drift_files 0\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    let config = tree::at(node.path(), "/etc/crictl.yaml");
    fs::write(&config, "# gone\n").unwrap();
    node.run(&["verify", "--level", "config", "--metrics", shown]).code(0);
    assert!(read().contains("castoff_drift_files 1\n"));
    // What cannot be read is no file that was left, and hides no run.
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    node.run(&["verify", "--level", "config", "--metrics", shown]).code(0);
    assert!(read().contains("castoff_drift_files 1\n") && read().contains("castoff_runs 1\n"), "{}", read());
    node.run(&["history"]).code(0);
    node.run(&["verify", "--level", "config", "--metrics", "/no/such/dir/x.prom"]).code(1).silent().error(&["metrics"]);
}

#[test]
fn schemas_are_listed_and_printed() {
    let listed = castoff(&["schema"]).code(0).out;
    let kinds: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for kind in ["facts", "plan", "run-report", "verification", "fleet-report", "events", "profile"] {
        assert!(kinds.contains(&kind), "{kind}");
        let schema = castoff(&["schema", kind]).code(0).json();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("urn:castoff:v1:{kind}"));
    }
    castoff(&["schema", "plans"]).code(64).silent().says(&["plan"]);
}
