//! Scripts of the packages, `install.sh`, and what `packaging/build` counts as sources, with real journals and archives made
//! here. What a package holds is looked at by the gate `packages` of `test.sh`.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it runs shells on temporary folders")]

mod common;

use common::program::castoff;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

fn base() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A sample node, with runs of castoff's.
struct Sample {
    root: PathBuf,
}

impl Sample {
    /// As the demo lays it out, which leaves one run that was taken back.
    fn new() -> Self {
        let ran = castoff(&["demo", "--keep"]).code(0);
        let line = ran.out.lines().find_map(|line| line.strip_prefix("Left for you in ")).unwrap();
        Self { root: PathBuf::from(line.split(';').next().unwrap()) }
    }

    fn castoff(&self, words: &[&str]) {
        let root = self.root.to_str().unwrap();
        castoff(&[words, &["--root", root]].concat()).code(0);
    }

    fn migrated(&self) {
        self.castoff(&["migrate", "--yes", "--no-commit", "--assume", "cgroup.mode=unified"]);
    }

    /// `RUN` and its state, the newest first.
    fn states(&self) -> Vec<(String, String)> {
        let ran = castoff(&["history", "-o", "json", "--root", self.root.to_str().unwrap()]).code(0);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        ran.json()["runs"].as_array().unwrap().iter().map(|run| (text(&run["run"]), text(&run["state"]))).collect()
    }

    fn journal(&self) -> PathBuf {
        self.root.join("var/lib/castoff/runs").join(&self.states()[0].0).join("journal.jsonl")
    }

    /// Cuts the newest run off: its last records never came.
    fn cut_off(&self, records: usize) {
        let journal = self.journal();
        let text = fs::read_to_string(&journal).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        fs::write(journal, lines[..lines.len() - records].join("\n") + "\n").unwrap();
    }

    /// A script of the package, as dpkg runs it for this tree.
    fn script(&self, name: &str, argument: &str) -> Output {
        let read = |name: &str| fs::read_to_string(base().join("packaging/scripts").join(name)).unwrap();
        let text = read(&format!("{name}.in")).replace("@OPEN_RUNS@\n", &read("open-runs.sh"));
        assert!(text.contains("open_runs() {"), "{text}");
        let mut sh = Command::new("sh");
        sh.args(["-c", &text, name, argument]).env("DPKG_ROOT", &self.root);
        sh.output().unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_node_without_an_open_run_can_be_left_and_purged() {
    let node = Sample::new();
    fs::create_dir_all(node.root.join("etc/castoff")).unwrap();
    fs::write(node.root.join("etc/castoff/profile.toml"), "").unwrap();
    node.migrated();
    node.castoff(&["commit"]);
    for (script, argument) in [("prerm", "remove"), ("preun", "0"), ("postrm", "remove")] {
        let output = node.script(script, argument);
        assert!(output.status.success() && output.stderr.is_empty(), "{script}: {output:?}");
        assert!(node.has("var/lib/castoff/runs") && node.has("etc/castoff/profile.toml"), "{script} {argument}");
    }
    assert!(node.script("postrm", "purge").status.success());
    assert!(!node.has("var/lib/castoff") && !node.has("etc/castoff"));
    // A second time, and where castoff has never done anything.
    assert!(node.script("postrm", "purge").status.success());
    assert!(node.script("prerm", "remove").status.success());
}

#[test]
fn what_kubelet_reads_survives_a_purge() {
    let node = Sample::new();
    fs::create_dir_all(node.root.join("etc/castoff")).unwrap();
    fs::write(node.root.join("etc/castoff/kubelet.env"), "KUBELET_EXTRA_ARGS=\n").unwrap();
    assert!(said(&node.script("postrm", "purge")).contains("/etc/castoff"));
    assert!(node.has("etc/castoff/kubelet.env") && !node.has("var/lib/castoff"));
}

#[test]
fn an_open_run_keeps_what_ends_it() {
    let node = Sample::new();
    node.migrated();
    assert_eq!(node.states()[0].1, "applied");
    // Applied, and waiting for nobody: castoff may go, its files stay.
    let run = node.states()[0].0.clone();
    let left = node.script("prerm", "remove");
    assert!(left.status.success() && said(&left).contains(&run), "{left:?}");
    assert!(node.script("postrm", "purge").status.success() && node.has("var/lib/castoff/runs"));

    // Waiting for `castoff commit`, or cut off on a node: its units start this castoff.
    let unit = node.root.join("etc/systemd/system/castoff-recover-late.service");
    let condition = format!("ConditionPathExists=/var/lib/castoff/runs/{run}");
    fs::write(&unit, format!("[Unit]\n{condition}\n[X-Castoff]\nRun=x\n")).unwrap();
    for (script, argument) in [("prerm", "remove"), ("preun", "0")] {
        let output = node.script(script, argument);
        assert_eq!(output.status.code(), Some(1), "{script}");
        assert!(said(&output).contains(&format!("run {run}: applied")) && said(&output).contains("castoff rollback"));
        assert!(node.has("var/lib/castoff/runs"));
    }
    for (script, argument) in [("prerm", "upgrade"), ("preun", "1")] {
        assert!(node.script(script, argument).status.success(), "an upgrade may be what mends it");
    }
    // A run whose folder was moved away has been given up, and its units start nothing.
    let (runs, aside) = (node.root.join("var/lib/castoff/runs").join(&run), node.root.join("given-up"));
    fs::rename(&runs, &aside).unwrap();
    for (script, argument) in [("prerm", "remove"), ("preun", "0")] {
        assert!(node.script(script, argument).status.success(), "{script}");
    }
    fs::rename(&aside, &runs).unwrap();
    // Somebody else's unit of that name says nothing about a run.
    fs::write(&unit, "[Unit]\n").unwrap();
    assert!(node.script("prerm", "remove").status.success());
}

#[test]
fn states_are_read_as_castoff_reads_them() {
    let node = Sample::new();
    node.migrated();
    let told = |node: &Sample| {
        let state = node.states()[0].1.clone();
        let refused = !node.script("prerm", "remove").status.success();
        node.script("postrm", "purge");
        (state, refused, node.has("var/lib/castoff/runs"))
    };
    let expected = |state: &str, refused: bool| (state.to_owned(), refused, true);
    assert_eq!(told(&node), expected("applied", false));
    node.cut_off(1);
    assert_eq!(told(&node), expected("dirty", true));
    // A rollback that was cut off.
    node.castoff(&["rollback"]);
    node.cut_off(1);
    assert_eq!(told(&node), expected("dirty", true));
    let journal = fs::read_to_string(node.journal()).unwrap();
    let seq = journal.lines().count();
    let stuck = format!(r#"{{"time":"2026-01-01T00:00:00Z","seq":{seq},"record":"run-finished","outcome":"stuck"}}"#);
    fs::write(node.journal(), format!("{journal}{stuck}\n")).unwrap();
    assert_eq!(told(&node), expected("stuck", true));
    node.castoff(&["rollback"]);
    assert_eq!(node.states()[0].1, "rolled-back");
    assert!(node.script("prerm", "remove").status.success());
}

// -- install.sh -------------------------------------------------------------------------------------------------------

fn run(program: &str, words: &[&str]) -> Output {
    Command::new(program).args(words).current_dir(base()).stdin(Stdio::null()).output().unwrap()
}

/// An archive as `packaging/build` lays it out, with this castoff.
fn archive(folder: &TempDir) -> PathBuf {
    let name = "castoff-9.9.9-x86_64";
    let bin = folder.path().join(name).join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_castoff"), bin.join("castoff")).unwrap();
    let archive = folder.path().join(format!("{name}.tar.gz"));
    let place = folder.path().to_str().unwrap();
    // Hardly compressed: it is large.
    let tar = run("tar", &["-C", place, "-I", "gzip -1", "-cf", archive.to_str().unwrap(), name]);
    assert!(tar.status.success(), "{tar:?}");
    archive
}

#[test]
fn install_takes_a_built_archive_whose_checksum_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(&folder);
    let prefix = folder.path().join("prefix");
    let install = |archive: &Path| {
        run("./install.sh", &["--from", archive.to_str().unwrap(), "--prefix", prefix.to_str().unwrap(), "--no-demo"])
    };
    let output = install(&archive);
    assert!(output.status.success() && said(&output).contains("no SHA256SUMS"), "{output:?}");
    for file in ["bin/castoff", "share/man/man8/castoff.8", "share/man/man5/castoff-profile.5"] {
        assert!(prefix.join(file).is_file(), "{file}");
    }
    let output = run("./install.sh", &["--uninstall", "--prefix", prefix.to_str().unwrap()]);
    assert!(output.status.success() && !prefix.exists(), "{output:?}");

    let sums = folder.path().join("SHA256SUMS");
    let right = String::from_utf8(run("sha256sum", &[archive.to_str().unwrap()]).stdout).unwrap();
    let (digest, name) = (right.split(' ').next().unwrap(), archive.file_name().unwrap().to_str().unwrap());
    fs::write(&sums, format!("{digest}  {name}\n")).unwrap();
    let output = install(&archive);
    assert!(output.status.success() && said(&output).contains("checksum:"), "{output:?}");
    fs::remove_dir_all(&prefix).unwrap();

    for (text, why) in [
        (format!("{}  {name}\n", "0".repeat(64)), "is damaged or another one"),
        (format!("{digest}  castoff-1.tar.gz\n"), "does not name"),
    ] {
        fs::write(&sums, text).unwrap();
        let output = install(&archive);
        assert!(!output.status.success() && said(&output).contains(why), "{output:?}");
        assert!(!prefix.exists(), "{why}");
    }
    fs::remove_file(&sums).unwrap();
    fs::write(&archive, "no archive").unwrap();
    assert!(said(&install(&archive)).contains("no archive with a castoff in it"));
    assert!(said(&install(&folder.path().join("none"))).contains("there is no archive"));
}

#[test]
fn install_takes_no_castoff_that_does_not_run() {
    let (folder, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (new, log, prefix) = (place("new"), place("log"), place("prefix"));
    let install = |text: &str| {
        fs::write(&new, text).unwrap();
        let mut install = Command::new("./install.sh");
        install.args(["--binary", &new, "--prefix", &prefix, "--no-demo"]).current_dir(base());
        install.env("TMPDIR", temporary.path()).stdin(Stdio::null()).output().unwrap()
    };
    let good = format!("#!/bin/sh\necho \"$0\" >>'{log}'\n[ \"$1\" = --version ] && echo castoff 9.9.9\n");
    let output = install(&good);
    assert!(output.status.success() && said(&output).contains("installed castoff 9.9.9 to"), "{output:?}");
    // Programs may not run where temporary files are.
    let started = fs::read_to_string(&log).unwrap();
    assert!(started.lines().all(|line| !line.starts_with(temporary.path().to_str().unwrap())), "{started}");

    // Cut off or of another kind of machine; another program.
    for (text, why) in
        [("\u{7f}ELF", "does not run"), ("#!/bin/sh\nexit 1\n", "does not run"), ("echo ls", "is no castoff")]
    {
        let output = install(text);
        assert!(!output.status.success() && said(&output).contains(why), "{output:?}");
        assert_eq!(fs::read_to_string(folder.path().join("prefix/bin/castoff")).unwrap(), good);
    }
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["log", "new", "prefix"]);
    assert_eq!(fs::read_dir(&prefix).unwrap().count(), 2, "bin and share");
}

#[test]
fn a_dry_run_installs_nothing_with_apt() {
    let text = fs::read_to_string(base().join("install.sh")).unwrap();
    let functions = text.strip_suffix("main \"$@\"\n").unwrap();
    let fakes = "root=. dry_run=yes
        . packaging/build.sh
        need_rust() { rustc_version=1; }
        linker_works() { true; }
        choose_build() { build_target=here build_kind=static; }
        certificates_here() { false; }
        need_linker() { echo compiler; }
        need_certificates() { echo certificates; }
        prepare_build";
    let output = run("sh", &["-c", &format!("{functions}{fakes}")]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(said(&output).contains("ca-certificates would be installed"), "{output:?}");
}

// -- packaging/build --------------------------------------------------------------------------------------------------

#[test]
fn the_sources_are_what_git_knows_whatever_path_leads_there() {
    let folder = tempfile::tempdir().unwrap();
    let (checkout, link) = (folder.path().join("checkout"), folder.path().join("link"));
    for file in ["src/main.rs", "notes", "target/built", "fuzz/target/built"] {
        fs::create_dir_all(checkout.join(file).parent().unwrap()).unwrap();
        fs::write(checkout.join(file), "").unwrap();
    }
    fs::create_dir(checkout.join("packaging")).unwrap();
    for file in ["packaging/build", "packaging/build.sh"] {
        fs::copy(base().join(file), checkout.join(file)).unwrap();
    }
    std::os::unix::fs::symlink(&checkout, &link).unwrap();
    let sources = |place: &Path| run("bash", &[place.join("packaging/build").to_str().unwrap(), "--sources"]);
    let listed = |place: &Path| String::from_utf8(sources(place).stdout).unwrap();

    // An unpacked archive has no list but what lies there.
    let all = "notes\npackaging/build\npackaging/build.sh\nsrc/main.rs\n";
    assert_eq!((listed(&checkout).as_str(), listed(&link).as_str()), (all, all));
    // A checkout that git does not know, which is also what a missing git makes of it.
    fs::write(checkout.join(".git"), "gitdir: /nowhere\n").unwrap();
    let output = sources(&link);
    assert!(
        !output.status.success() && output.stdout.is_empty() && said(&output).contains("git does not answer"),
        "{output:?}"
    );
    fs::remove_file(checkout.join(".git")).unwrap();

    if Command::new("git").arg("--version").output().is_err() {
        return;
    }
    let place = checkout.to_str().unwrap();
    assert!(run("git", &["-C", place, "init", "--quiet"]).status.success());
    assert!(run("git", &["-C", place, "add", "src", "packaging"]).status.success());
    let known = "packaging/build\npackaging/build.sh\nsrc/main.rs\n";
    assert_eq!((listed(&checkout).as_str(), listed(&link).as_str()), (known, known));
}

/// Another directory than Debian's: the page takes back every line of the unit that names that one, and the unit may write
/// to one that belongs to the exporter's user.
#[test]
fn the_page_of_metrics_changes_every_line_that_names_the_collectors_directory() {
    let unit = fs::read_to_string(base().join("packaging/castoff-verify.service")).unwrap();
    let page = fs::read_to_string(base().join("docs/metrics.md")).unwrap();
    let lines = unit.lines().filter(|line| line.contains("/var/lib/prometheus/node-exporter"));
    let keys: Vec<&str> = lines.map(|line| line.split_once('=').unwrap().0).collect();
    assert_eq!(keys, ["ConditionPathIsDirectory", "ExecStart", "ReadWritePaths"]);
    for key in keys {
        assert!(page.contains(&format!("\n{key}=\n{key}=")), "{key}");
    }
    let rights = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    assert!(rights.split(' ').any(|right| right == "CAP_DAC_OVERRIDE"), "{rights}");
}
