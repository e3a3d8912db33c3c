//! etcd, where it is one of the node's static pods.

use crate::{
    formats::etcd,
    host::Host,
    model::{EtcdHealth, Facts},
};
use anyhow::{Result, bail};

/// Looks for etcd among the static pods, and asks it how it is.
pub fn probe(host: &Host, facts: &mut Facts) {
    let mut manifests = facts.kubelet.static_pods.iter().map(|pod| pod.path.clone());
    let found = manifests.find_map(|path| etcd::in_manifest(&path, &host.root.text(&path).ok().flatten()?));
    facts.etcd = found.map(|mut found| {
        match &found.metrics {
            _ if !host.is_live() => {}
            None => "its manifest has no `--listen-metrics-urls` with plain HTTP".clone_into(&mut found.unseen),
            Some(metrics) => match health(host, metrics) {
                Ok(health) => found.health = Some(health),
                Err(error) => found.unseen = format!("{error:#}"),
            },
        }
        found
    });
}

/// Asks etcd how it is.
///
/// # Errors
/// When nothing answers at its metrics address, or the address is not on the loopback.
pub fn health(host: &Host, metrics: &str) -> Result<EtcdHealth> {
    let (status, said) = host.doors.told(&format!("{metrics}/health"))?;
    let (told, figures) = host.doors.told(&format!("{metrics}/metrics"))?;
    if told != 200 {
        bail!("{metrics}/metrics answers with status {told}");
    }
    Ok(etcd::health((status, &said), &figures))
}
