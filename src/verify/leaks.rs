//! What a verification may have left.

use super::{
    Turn,
    suite::{self, NAMESPACE, Unfit},
};
use crate::{
    host::{CriPods, Host, ImageStore, Lock, Locked, scratch},
    runtime::{
        attempt::{Way, cgroups, tidy, with_those_below},
        workload::Image,
    },
};
use anyhow::{Result, bail};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Name of the folders of pods by the running daemon.
pub(super) const LIVE: &str = "live";
const LIMIT: Duration = Duration::from_secs(10);
/// How long a run waits for a verification that came before it. All checks through both runtimes take half a minute.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(250);

/// Takes the lock of those who run containers and pods, and ends what a verification that was killed has left: the daemon of
/// a cage, its shims, and everything in castoff's cgroup.
///
/// # Errors
/// [`Unfit`] when it is the turn of others, who are not waited for.
pub(super) fn alone(host: &Host, way: Way, turn: Turn, interrupt: &AtomicBool) -> Result<Lock> {
    let lock = in_turn(host, turn, interrupt)?;
    host.procs.end_abandoned_cages();
    for dir in cgroups(host, way) {
        host.procs.end_cgroup(&dir);
    }
    for (_, dir) in scratch::abandoned(LIVE, |pid| host.procs.exists(pid)) {
        scratch::remove(&dir);
    }
    Ok(lock)
}

fn in_turn(host: &Host, turn: Turn, interrupt: &AtomicBool) -> Result<Lock> {
    let began = host.clock.monotonic();
    loop {
        let who = match Lock::take_for_pods(&host.root, &format!("castoff verify, process {}", host.pid()))? {
            Locked::Ours(lock) => {
                // Looked at with the lock in hand: a run that begins now waits for it.
                let run = (turn == Turn::Onlooker).then(|| Lock::holder(&host.root)).flatten();
                let Some(run) = run else { return Ok(lock) };
                bail!(Unfit(format!("castoff is at work on this node, and this would be in its way: {run}")));
            }
            Locked::Held(who) => who,
        };
        if turn != Turn::Run {
            bail!(Unfit(format!("another verification is at work: {who}")));
        }
        if interrupt.load(Ordering::Relaxed) {
            bail!(Unfit("interrupted".to_owned()));
        }
        if host.clock.monotonic().saturating_sub(began) >= PATIENCE {
            bail!("another verification is at work, and has not ended within {} s: {who}", PATIENCE.as_secs());
        }
        host.clock.sleep(PAUSE);
    }
}

/// Fails when something of an earlier verification is still there. Asked once everybody who knows of it has taken away what
/// he can: a cgroup stays as long as somebody holds a container in it.
pub(super) fn nothing_left(host: &Host, way: Way) -> Result<()> {
    let left = cgroups_at_last(host, way);
    if !left.is_empty() {
        bail!("left behind by an earlier verification, and not to be removed: {}", left.join(", "));
    }
    Ok(())
}

/// Takes away the cgroup around castoff's pods, and says what was still in it: systemd hears of a scope that has become
/// empty a moment later, on v1 many.
pub(super) fn cgroups_at_last(host: &Host, way: Way) -> Vec<String> {
    let began = host.clock.monotonic();
    loop {
        tidy(host, way);
        let left = cgroups(host, way);
        // Of one that systemd has forgotten, or never knew.
        for dir in left.iter().flat_map(|dir| with_those_below(host, dir)) {
            let _ = host.root.remove_empty_dir(&dir);
        }
        let left = cgroups(host, way);
        if left.is_empty() || host.clock.monotonic().saturating_sub(began) > LIMIT {
            return left;
        }
        host.clock.sleep(Duration::from_millis(50));
    }
}

/// Everything of castoff's that a daemon still has; its store with the snapshotter of its pods.
pub(super) fn in_daemon(
    cri: &dyn CriPods,
    images: Option<(&dyn ImageStore, &str)>,
    image: &Image,
) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let pods = cri.sandboxes()?.into_iter().filter(|pod| pod.namespace == NAMESPACE);
    left.extend(pods.map(|pod| format!("pod {}", pod.name)));
    if let Some((store, snapshotter)) = images {
        let ours = |name: &String| name.starts_with("castoff-verify") || suite::is_spare(name) || name == image.name;
        left.extend(store.leases()?.into_iter().filter(ours).map(|lease| format!("lease {lease}")));
        left.extend(store.names()?.into_iter().filter(ours).map(|name| format!("image {name}")));
        // The one layer of castoff's images, which is not compressed, and what containers wrote above it.
        let layer = &image.layer.digest;
        let snapshots = store.snapshots(snapshotter)?.into_iter().filter(|(name, on)| name == layer || on == layer);
        left.extend(snapshots.map(|(name, _)| format!("snapshot {name}")));
    }
    Ok(left)
}

#[cfg(test)]
#[path = "leaks_tests.rs"]
mod tests;
