//! The real program is killed with SIGKILL at random moments of `apply --root`; then `resume` ends in exactly the new
//! tree and `rollback` in exactly the old one.
//!
//! The tree is a fixture with many more Docker links to remove, so that there is a middle to hit: no hook in the program
//! slows it down. `CASTOFF_KILLS=N` kills N times, `CASTOFF_SEED=S` repeats a run.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it runs the real program on temporary folders")]
#![allow(clippy::print_stdout, reason = "cargo shows it when a test failed, or with --nocapture")]

mod common;

use castoff::{
    apply::Store,
    host::{FakeClock, Faults},
    model::RunState,
};
use common::{
    fixture, tree,
    world::{WRITTEN, tree_host},
};
use std::{
    env,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Links that enable docker.service: every one is a removal with an fsync of its own.
const LINKS: usize = 150;

/// Kills that must have hit a run in its middle.
const WANTED: usize = 20;

fn castoff(root: &Path, command: &[&str]) -> Command {
    let mut castoff = Command::new(env!("CARGO_BIN_EXE_castoff"));
    castoff.args(command).arg("--root").arg(root).args(["--assume", "cgroup.mode=unified"]);
    castoff.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    castoff
}

fn run(root: &Path, command: &[&str]) -> Output {
    castoff(root, command).output().unwrap()
}

fn lay_out(root: &Path) {
    fixture::named("bookworm-dockershim-1.20").lay_out("in", root);
    for number in 0..LINKS {
        let path = format!("/etc/systemd/system/site-{number:03}.target.wants/docker.service");
        tree::put_link(root, &path, "/lib/systemd/system/docker.service");
    }
    tree::dress(root, &WRITTEN);
}

/// On a real file system where there is one: there every fsync takes its time, and that is the middle to be hit.
fn disk() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("castoff-kill-").tempdir().unwrap()
}

fn state(root: &Path) -> Option<RunState> {
    let host = tree_host(root, &Faults::none(), FakeClock::new());
    Store::new(&host).history().unwrap().first().map(|run| run.state)
}

/// A small generator: the moments only have to be different, and the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A part of a span.
    fn moment(&mut self, whole: Duration) -> Duration {
        whole * u32::try_from(self.next() % 10_000).unwrap() / 10_000
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    number("CASTOFF_SEED").unwrap_or(u64::from(now)) | 1
}

fn kills() -> usize {
    number("CASTOFF_KILLS").map_or(WANTED, |kills| usize::try_from(kills).unwrap())
}

/// Kills a command that long after its start. True when it was in the middle of its run.
fn kill(root: &Path, command: &[&str], after: Duration) -> bool {
    let mut child = castoff(root, command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The moment is what is tested; nothing below depends on how it is met.
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    state(root) == Some(RunState::Dirty)
}

fn recovered(original: &Path, command: &str, wanted: &tree::Snapshot, what: &str) {
    let copy = tree::scratch();
    tree::copy(original, copy.path());
    let output = run(copy.path(), &[command]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{what}, {command}: {told}");
    let (mut wanted, mut there) = (wanted.clone(), tree::snapshot(copy.path()));
    if command == "resume" {
        (wanted, there) = (tree::timeless(&wanted), tree::timeless(&there));
    }
    let diff = tree::diff(&wanted, &there);
    assert!(diff.is_empty(), "{what}, {command}: {told}\n{diff}");
    let (_, outside): (Vec<String>, Vec<String>) =
        tree::leftovers(copy.path()).into_iter().partition(|path| path.starts_with("var/lib/castoff/"));
    assert_eq!(outside, [""; 0], "{what}, {command}");
}

#[test]
fn a_killed_apply_ends_in_the_old_or_the_new_tree() {
    let first = disk();
    lay_out(first.path());
    let (old, start) = (tree::snapshot(first.path()), Instant::now());
    let output = run(first.path(), &["apply", "--yes"]);
    let whole = start.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let new = tree::snapshot(first.path());
    let seed = seed();
    let wanted = kills();
    println!("CASTOFF_SEED={seed}, an undisturbed apply took {whole:?}");
    let (mut random, mut hits, mut tries) = (Random(seed), 0, 0);
    while hits < wanted {
        tries += 1;
        assert!(tries < 50 * wanted, "only {hits} of {tries} kills hit a run in its middle (seed {seed})");
        let tree = disk();
        lay_out(tree.path());
        let after = random.moment(whole);
        let what = format!("seed {seed}, kill {tries} after {after:?}");
        if kill(tree.path(), &["apply", "--yes"], after) {
            hits += 1;
            recovered(tree.path(), "resume", &new, &what);
            recovered(tree.path(), "rollback", &old, &what);
            continue;
        }
        // Too early or too late: then it is one of the two already.
        let there = tree::snapshot(tree.path());
        let wanted = if state(tree.path()).is_none() { &old } else { &new };
        let diff = tree::diff(&tree::timeless(wanted), &tree::timeless(&there));
        assert!(diff.is_empty(), "{what}: {:?}\n{diff}", state(tree.path()));
    }
    println!("{tries} kills, {hits} in the middle of a run: all ended in the old and in the new tree");
}

#[test]
fn a_killed_rollback_ends_in_the_old_tree() {
    let applied = disk();
    lay_out(applied.path());
    let old = tree::snapshot(applied.path());
    assert!(run(applied.path(), &["apply", "--yes"]).status.success());
    let scout = disk();
    tree::copy(applied.path(), scout.path());
    let start = Instant::now();
    assert!(run(scout.path(), &["rollback"]).status.success());
    let (whole, seed, wanted) = (start.elapsed(), seed(), kills().div_ceil(4));
    println!("CASTOFF_SEED={seed}, an undisturbed rollback took {whole:?}");
    let (mut random, mut hits, mut tries) = (Random(seed), 0, 0);
    while hits < wanted {
        tries += 1;
        assert!(tries < 50 * wanted, "only {hits} of {tries} kills hit a rollback in its middle (seed {seed})");
        let tree = disk();
        tree::copy(applied.path(), tree.path());
        let after = random.moment(whole);
        let what = format!("seed {seed}, kill {tries} of a rollback after {after:?}");
        if kill(tree.path(), &["rollback"], after) {
            hits += 1;
            let copy = tree::scratch();
            tree::copy(tree.path(), copy.path());
            let output = run(copy.path(), &["resume"]);
            // Resuming a rollback ends in the old tree: 4, as for every run that was taken back.
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(4), "{what}, resume: {told}");
            let diff = tree::diff(&old, &tree::snapshot(copy.path()));
            assert!(diff.is_empty(), "{what}, resume: {told}\n{diff}");
            recovered(tree.path(), "rollback", &old, &what);
        }
    }
    println!("{tries} kills, {hits} in the middle of a rollback: all ended in the old tree");
}
