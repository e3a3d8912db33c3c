//! The real program is killed with SIGKILL at random moments of `apply --root`; then `resume` ends in exactly the new
//! tree and `rollback` in exactly the old one.
//!
//! The tree is a fixture with many more Docker links to remove, so that there is a middle to hit: no hook in the program
//! slows it down. `CASTOFF_KILLS=N` kills N times, `CASTOFF_SEED=S` repeats a run.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it runs the real program on temporary folders")]

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
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Kills an apply that much of a whole one's time after its start. True when it was in the middle of its run.
fn kill(root: &Path, after: Duration) -> bool {
    let mut child = castoff(root, &["apply", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
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
    let first = tree::scratch();
    lay_out(first.path());
    let (old, start) = (tree::snapshot(first.path()), Instant::now());
    let output = run(first.path(), &["apply", "--yes"]);
    let whole = start.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let new = tree::snapshot(first.path());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let seed = number("CASTOFF_SEED").unwrap_or(u64::try_from(now % u128::from(u64::MAX)).unwrap()) | 1;
    let wanted = number("CASTOFF_KILLS").map_or(WANTED, |kills| usize::try_from(kills).unwrap());
    println!("CASTOFF_SEED={seed}, an undisturbed apply took {whole:?}");
    let (mut random, mut hits, mut tries) = (Random(seed), 0, 0);
    while hits < wanted {
        tries += 1;
        assert!(tries < 50 * wanted, "only {hits} of {tries} kills hit a run in its middle (seed {seed})");
        let tree = tree::scratch();
        lay_out(tree.path());
        let after = whole.mul_f64((random.next() % 10_000) as f64 / 10_000.0);
        let what = format!("seed {seed}, kill {tries} after {after:?}");
        if kill(tree.path(), after) {
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
