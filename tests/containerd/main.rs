//! What castoff writes, read by real containerd: every planned and every expected configuration must bring CRI up on
//! systemd's cgroup driver, with nothing of the source lost, and a trial must leave no trace.
//!
//! `fetch.sh` beside this file gets the binaries; without them, and without root, nothing here can run, so every test
//! is `#[ignore]`d and `./test.sh` runs them by name.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::print_stdout, reason = "a test's output is where it says what was tried")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

#[path = "../common/mod.rs"]
mod common;
mod live;
mod node;
mod settings;
mod traces;

use castoff::{
    model::Goal,
    verify::trial::{self, Trial},
};
use common::fixture;
use node::{Node, RELEASES, Release, sources};
use std::fmt::Write as _;

/// A trial as a sentence for messages.
fn told(trial: &Trial) -> String {
    let mut text = trial.learned.join("; ");
    for finding in &trial.findings {
        let _ = write!(text, "\n    {} {}: {}", finding.severity.word(), finding.id, finding.cause);
    }
    text
}

/// That containerd showed its driver, and which.
fn shows_systemd(trial: &Trial, release: &Release) -> bool {
    let wanted = match release.suite {
        "forky" => "RuntimeConfig: cgroup driver systemd",
        "bullseye" => "the file has SystemdCgroup = true",
        _ => "SystemdCgroup = true",
    };
    trial.learned.iter().any(|line| line.contains(wanted))
}

#[test]
#[ignore = "needs real containerd binaries (tests/containerd/fetch.sh) and root"]
fn every_planned_configuration_comes_up_and_loses_nothing() {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for release in RELEASES {
        for source in sources(release) {
            let node = Node::new(release, &source);
            let plan = node.plan();
            let facts = node.facts();
            let name = format!("{} on {}", source.name, release.version);
            let Some(trial) = trial::run(&node.host(), &facts, &plan) else {
                wrong.push(format!("{name}: the plan writes nothing for containerd"));
                continue;
            };
            tried += 1;
            if !trial.findings.is_empty() || !shows_systemd(&trial, release) {
                wrong.push(format!("{name}: {}", told(&trial)));
            }
            let planned = node.planned_config(&plan);
            for lost in settings::lost(&source, &planned, &node::hosts(&plan)) {
                wrong.push(format!("{name}: {lost}"));
            }
            // What containerd itself makes of the file, defaults and migrated schemas included. 1.4 shows no options.
            if release.suite != "bullseye" {
                // The dump names what it took in, and the node's imports are not there outside its tree.
                let lost = settings::lost(&source, &node::dump(release, &planned), &node::hosts(&plan));
                for lost in lost.into_iter().filter(|lost| !lost.starts_with("imports / ")) {
                    wrong.push(format!("{name}, in effect: {lost}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried >= 48, "only {tried} configurations were tried");
    println!("{tried} planned configurations came up");
}

#[test]
#[ignore = "needs real containerd binaries (tests/containerd/fetch.sh) and root"]
fn every_expected_tree_of_a_fixture_comes_up() {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for fixture in fixture::all().into_iter().filter(|fixture| fixture.dir.join("out").is_dir()) {
        let probe = Node::of_fixture(&fixture, "out", None);
        let facts = probe.facts();
        let Some(version) = facts.containerd.version.as_ref().map(|version| version.value.clone()) else { continue };
        // Whoever stays on Docker needs no CRI of containerd.
        if !facts.kubelet.installed || fixture.desired().goal != Goal::Containerd {
            continue;
        }
        let Some(release) = node::release_like(&version) else {
            println!("{}: no release here is like containerd {version}", fixture.name);
            continue;
        };
        let node = Node::of_fixture(&fixture, "out", Some(release));
        let trial = trial::try_files(&node.host(), &node.facts(), "unix:///run/containerd/containerd.sock", Vec::new());
        tried += 1;
        if !trial.findings.is_empty() || !shows_systemd(&trial, release) {
            wrong.push(format!("{} ({version}) on {}: {}", fixture.name, release.version, told(&trial)));
        }
    }
    assert!(wrong.is_empty(), "{} of {tried} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried >= 3, "only {tried} trees were tried");
    println!("{tried} expected trees came up");
}

/// Configurations that must be caught before anything is touched: name, releases, files, finding, containerd's words.
type Bad = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)], &'static str, &'static str);

const ON: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \
    \"io.containerd.runc.v2\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup \
    = true\n";
const MAIN: &str = "/etc/containerd/config.toml";
const ALL: &[&str] = &["bullseye", "bookworm", "trixie", "forky"];
const LATER: &[&str] = &["bookworm", "trixie", "forky"];

const BAD: &[Bad] = &[
    (
        // With a handler: containerd 2.x forgets the snapshotter of a schema 2 file without one.
        "an unknown snapshotter",
        ALL,
        &[(
            MAIN,
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"overlay2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n",
        )],
        "containerd-trial-failed",
        "snapshotter",
    ),
    (
        "config_path beside mirrors",
        LATER,
        &[(
            MAIN,
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m.example\"]\n",
        )],
        "containerd-trial-failed",
        "`mirrors` cannot be set when `config_path` is provided",
    ),
    (
        "a default runtime that is nowhere",
        ALL,
        &[(MAIN, "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"gone\"\n")],
        "containerd-trial-failed",
        "default_runtime_name",
    ),
    (
        "CRI disabled",
        ALL,
        &[(MAIN, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n")],
        "containerd-trial-failed",
        "disabled",
    ),
    (
        "a short name in schema 2",
        ALL,
        &[(MAIN, "version = 2\ndisabled_plugins = [\"cri\"]\n")],
        "containerd-trial-failed",
        "cri",
    ),
    (
        "CRI disabled by an import",
        ALL,
        &[
            (MAIN, "version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n"),
            ("/etc/containerd/conf.d/docker.toml", "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"),
        ],
        "containerd-trial-failed",
        "disabled",
    ),
    (
        // containerd 1.4 goes on without it.
        "an import that is not there",
        LATER,
        &[(MAIN, "version = 2\nimports = [\"/etc/containerd/gone.toml\"]\n")],
        "containerd-trial-failed",
        "gone.toml",
    ),
    ("a wrong type", ALL, &[(MAIN, "version = 2\noom_score = \"much\"\n")], "containerd-trial-failed", ""),
    ("broken TOML", ALL, &[(MAIN, "version = 2\n[plugins\n")], "containerd-trial-failed", ""),
    (
        "the default driver",
        LATER,
        &[(
            MAIN,
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = false\n",
        )],
        "containerd-trial-driver",
        "",
    ),
    (
        "an import that wins",
        LATER,
        &[(
            "/etc/containerd/conf.d/a.toml",
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \
             \"io.containerd.runc.v2\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = false\n",
        )],
        "containerd-trial-driver",
        "",
    ),
    (
        "schema 3 on 1.6",
        &["bookworm"],
        &[(
            MAIN,
            "version = 3\n[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
        )],
        "containerd-trial-driver",
        "",
    ),
    ("schema 3 on 1.7.24", &["trixie"], &[(MAIN, "version = 3\n")], "containerd-trial-failed", "version"),
];

#[test]
#[ignore = "needs real containerd binaries (tests/containerd/fetch.sh) and root"]
fn what_would_not_come_up_is_caught_in_containerds_own_words() {
    let mut wrong = Vec::new();
    for (name, suites, files, id, words) in BAD {
        for release in RELEASES.iter().filter(|release| suites.contains(&release.suite)) {
            let node = Node::empty(release);
            let main = if files.iter().any(|(path, _)| *path == MAIN) {
                None
            } else {
                Some((MAIN.to_owned(), format!("imports = [\"/etc/containerd/conf.d/*.toml\"]\n{ON}")))
            };
            let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).chain(main);
            let endpoint = "unix:///run/containerd/containerd.sock";
            let trial = trial::try_files(&node.host(), &node.facts(), endpoint, files.collect());
            let caught = trial.findings.iter().any(|finding| finding.id == *id && finding.cause.contains(words));
            println!("{name} on {} ({} ms): {}", release.version, trial.took.as_millis(), told(&trial));
            if !caught {
                wrong.push(format!("{name} on {}: {}", release.version, told(&trial)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
#[ignore = "needs real containerd binaries (tests/containerd/fetch.sh) and root"]
fn a_trial_leaves_no_trace() {
    for release in RELEASES {
        let node = Node::empty(release);
        let before = traces::of_this_machine(node.dir());
        for text in [ON, "version = 2\n[plugins\n", ""] {
            let files = vec![(MAIN.to_owned(), text.to_owned())];
            trial::try_files(&node.host(), &node.facts(), "unix:///run/containerd/containerd.sock", files);
            let after = traces::of_this_machine(node.dir());
            assert_eq!(before, after, "{}: {text}", release.version);
        }
    }
}
