//! Users of a pod's own.

use super::{Bed, Seen, Unfit, network};
use crate::host::{IdRange, PodSpec, Share};
use anyhow::{Context as _, Result, bail, ensure};

/// Where a pod's users begin on the node, and how many they are.
const FIRST: u32 = 1 << 20;
const COUNT: u32 = 1 << 16;

/// Root in a pod is nobody on the node; what cannot be meant is refused.
pub(super) fn namespaces(bed: &Bed<'_>) -> Result<String> {
    if !bed.cri.status(false)?.user_namespaces {
        bail!(Unfit("this runtime offers pods no users of their own".to_owned()));
    }
    let pod = |what: &str, whose: Share, ranges: &[IdRange]| PodSpec {
        users: Some((whose, ranges.to_vec())),
        ..bed.spec(what)
    };
    let good = [(FIRST, 0, COUNT)];
    for (what, spec) in [
        ("a container's own", pod("users-container", Share::Container, &good)),
        ("another container's", pod("users-target", Share::Target, &good)),
        ("two ranges", pod("users-ranges", Share::Pod, &[(FIRST, 0, 1), (FIRST + 1, 1, 1)])),
        ("no root", pod("users-root", Share::Pod, &[(FIRST, 1, COUNT)])),
    ] {
        let spec = PodSpec { network: Share::Pod, ..spec };
        ensure!(bed.pod(spec).is_err(), "a pod with users of its own is accepted with {what}");
    }
    let node = bed.pod(pod("users-node", Share::Node, &[]))?;
    let link = node.start(&bed.container("node"))?.ask(&["link", "/proc/self/ns/user"])?;
    if let Some(wanted) = bed.host.procs.namespace(bed.place.node_pid, "user") {
        ensure!(link.trim() == wanted, "the users of a pod are not the node's, which was asked for");
    }
    network::needs_cni(bed)?;
    let spec = PodSpec { network: Share::Pod, ..pod("users-pod", Share::Pod, &good) };
    let own = bed.pod(spec).context("no pod with users of its own can be run")?;
    let map = own.start(&bed.container("own"))?.ask(&["cat", "/proc/self/uid_map"])?;
    let found: Vec<&str> = map.split_ascii_whitespace().collect();
    if found != ["0", &FIRST.to_string(), &COUNT.to_string()] {
        return Err(Seen::new("a pod's users are others than asked for", "/proc/self/uid_map", map).into());
    }
    Ok("a pod's own or the node's, as asked".to_owned())
}
