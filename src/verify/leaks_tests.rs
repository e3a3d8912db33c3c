use super::*;
use crate::{
    host::{FakeClock, Faults},
    model::CgroupMode,
};
use tempfile::TempDir;

const WAY: Way = Way { mode: CgroupMode::Unified, systemd: false };

/// A file tree whose clock goes on when somebody waits.
fn host() -> (TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::open(dir.path(), &Faults::none()).unwrap();
    host.clock = Box::new(FakeClock::new());
    (dir, host)
}

#[test]
fn what_crun_leaves_is_taken_away_the_deepest_first() {
    let (_dir, host) = host();
    let scope = "/sys/fs/cgroup/castoff/verify-1-1";
    host.root.make_dirs(&format!("{scope}/container"), 0o755).unwrap();
    // Whoever has a container there is asked first; it is no reason not to begin.
    drop(alone(&host, WAY).unwrap());
    assert!(host.root.exists(scope));
    nothing_left(&host, WAY).unwrap();
    assert!(!host.root.exists(scope));
}
