//! What a verification may have left.

use super::suite::{self, NAMESPACE, Unfit};
use crate::{
    host::{CriPods, Host, ImageStore, Lock, Locked, scratch},
    runtime::{
        attempt::{Way, cgroups, tidy, with_those_below},
        workload::Image,
    },
};
use anyhow::{Result, bail};
use std::time::Duration;

/// Name of the folders of pods by the running daemon.
pub(super) const LIVE: &str = "live";
const LIMIT: Duration = Duration::from_secs(10);

/// Ends what a verification that was killed has left: the daemon of a cage, its shims, and everything in castoff's
/// cgroup. Another verification must not be at work, which holds the lock.
///
/// # Errors
/// [`Unfit`] when one is.
pub(super) fn alone(host: &Host, way: Way) -> Result<Lock> {
    let lock = match Lock::take_for_pods(&host.root, &format!("castoff verify, process {}", host.pid()))? {
        Locked::Ours(lock) => lock,
        Locked::Held(who) => bail!(Unfit(format!("another verification is at work: {who}"))),
    };
    host.procs.end_abandoned_cages();
    for dir in cgroups(host, way) {
        host.procs.end_cgroup(&dir);
    }
    for (_, dir) in scratch::abandoned(LIVE, |pid| host.procs.exists(pid)) {
        scratch::remove(&dir);
    }
    Ok(lock)
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
