//! Rung 4: pods by the node's own runtime. Only while kubelet is stopped, which ends pods it does not know; so it is part
//! of a migration, between the start of containerd and that of kubelet.

use super::{
    Found, Look, Options, Turn, bench, leaks, shadow,
    suite::{self, Bed, Place},
    view,
};
use crate::{
    host::{CriPods, DaemonError, Host, ImageStore, scratch::Scratch},
    images::canonical,
    model::{Benchmark, Check, CheckStatus, Rung, same_endpoint},
    runtime::{
        attempt::Way,
        workload::{self, Image},
    },
};
use anyhow::{Context as _, Result, anyhow, bail};
use std::{path::PathBuf, sync::atomic::AtomicBool};

/// containerd's own choice (`DefaultSnapshotter`, containerd 1.x and 2.x on Linux).
const SNAPSHOTTER: &str = "overlayfs";

/// Pods by the runtime behind `endpoint`.
pub(crate) fn rung(look: &Look<'_>, endpoint: &str, options: &Options) -> Found {
    let tried = options.way(look).and_then(|way| pods(look, endpoint, options, way));
    match tried {
        Ok(found) => found,
        Err(error) => Found::just(suite::judged("live-pod", Rung::Live, Err(error))),
    }
}

/// Whether pods may be made beside kubelet.
pub(crate) fn kubelet_is_away(look: &Look<'_>) -> bool {
    look.host.units.state("kubelet.service").is_ok_and(|state| !state.is_active() && state.sub != "auto-restart")
}

/// The check in the place of the rung while kubelet runs.
pub(crate) fn not_beside_kubelet() -> Check {
    let why = "kubelet runs, and ends pods it does not know; tried during a migration, while it is stopped (`--live` tries it now)";
    Check::new("live-pod", Rung::Live, CheckStatus::Skip, why.to_owned())
}

fn pods(look: &Look<'_>, endpoint: &str, options: &Options, way: Way) -> Result<Found> {
    let host = look.host;
    let cri = host.doors.pods(endpoint).map_err(|error| suite::Unfit(format!("{error:#}")))?;
    let _alone = leaks::alone(host, way, options.turn, look.interrupt)?;
    sweep(&*cri);
    leaks::nothing_left(host, way)?;
    let version = cri.version()?;
    let name = version.runtime_name;
    let store = (name == "containerd").then(|| host.doors.images(endpoint)).transpose()?;
    let image = workload::probe()?;
    if let Some(store) = &store {
        suite::sweep_images(&*cri, &**store);
        sandbox_image(look, endpoint, &*cri)?;
        shadow::bring(&**store, &image, image.name, &format!("castoff-verify-{}", host.pid()), host)?;
        shadow::wait_for(&*cri, image.name, host)?;
    } else if cri.image_status(image.name)?.is_none() {
        bail!(suite::Unfit(format!(
            "{name} has no image {}; bring it in: castoff oci image --out probe.tar probe, then load that archive with the tool of {name}",
            image.name
        )));
    }
    let scratch = Scratch::new(leaks::LIVE)?;
    let place = Place {
        endpoint: endpoint.to_owned(),
        image: image.name.to_owned(),
        handler: String::new(),
        way,
        tree: PathBuf::from("/"),
        dir: scratch.dir().to_string_lossy().into_owned(),
        node_pid: 1,
        private: false,
    };
    let bed = Bed::new(host, &*cri, place, 0, look.interrupt);
    let mut checks = suite::run(&bed, options.cases(), "live-", Rung::Live);
    let runtime = format!("{name} {}", version.runtime_version);
    let (figures, failed) = measured(&bed, options, &runtime);
    checks.extend(failed);
    drop(bed);
    if store.is_some() {
        cri.remove_image(image.name)?;
        store.as_ref().map(|store| store.forget(image.name)).transpose()?;
    }
    checks.push(suite::judged("live-clean", Rung::Live, clean(look, endpoint, way, &*cri, store.as_deref(), &image)));
    Ok(Found { checks, bench: figures })
}

/// The benchmarks. Where one fails, nobody knows the ids of what the others of its batch have made.
fn measured(bed: &Bed<'_>, options: &Options, runtime: &str) -> (Vec<Benchmark>, Option<Check>) {
    let (figures, failed) = bench::figures(bed, options, runtime, "live-bench", Rung::Live);
    if failed.is_some() {
        sweep(bed.cri);
    }
    (figures, failed)
}

fn clean(
    look: &Look<'_>,
    endpoint: &str,
    way: Way,
    cri: &dyn CriPods,
    store: Option<&dyn ImageStore>,
    image: &Image,
) -> Result<String> {
    let snapshotter = store.map(|_| snapshotter(look, endpoint, cri)).transpose()?;
    let mut left = leaks::in_daemon(cri, store.zip(snapshotter.as_deref()), image)?;
    left.extend(leaks::cgroups_at_last(look.host, way));
    if !left.is_empty() {
        bail!("left behind: {}", left.join(", "));
    }
    Ok("no pod, image, snapshot, lease or cgroup is left".to_owned())
}

/// The snapshotter of the daemon's pods: as it says, else as the node's files do when they are about this daemon.
fn snapshotter(look: &Look<'_>, endpoint: &str, cri: &dyn CriPods) -> Result<String> {
    let loaded = view::snapshotter(&view::config(&cri.status(true)?));
    let ours = same_endpoint(endpoint, &look.desired.endpoint);
    let named = look.facts.containerd.snapshotter.as_ref().filter(|_| ours).map(|name| name.value.clone());
    Ok(loaded.or(named).filter(|name| !name.is_empty()).unwrap_or_else(|| SNAPSHOTTER.to_owned()))
}

/// No pod can run without it, and containerd would ask a registry.
fn sandbox_image(look: &Look<'_>, endpoint: &str, cri: &dyn CriPods) -> Result<()> {
    // What the daemon has loaded; 2.x does not say.
    let loaded = view::sandbox_image(&view::config(&look.host.cri(endpoint)?.status(true)?));
    if loaded.is_none() && !same_endpoint(endpoint, &look.desired.endpoint) {
        // The node's files are not about this daemon; the first pod shows what it is short of.
        return Ok(());
    }
    let named = loaded.or_else(|| look.facts.containerd.sandbox_image.as_ref().map(|image| image.value.clone()));
    let program = look.facts.containerd.command.as_ref().and_then(|command| command.value.first().cloned());
    let program = program.unwrap_or_else(|| "containerd".to_owned());
    let Some(name) = named.or_else(|| shadow::default_sandbox_image(look, &program)) else { return Ok(()) };
    if cri.image_status(&canonical(&name))?.is_some() {
        return Ok(());
    }
    bail!("the sandbox image {name} is not in containerd's store: no pod can start without a registry")
}

/// Takes away what [`rung`] has left in a daemon, where it was killed.
pub(super) fn end(host: &Host, endpoint: &str, way: Way) -> Result<()> {
    let cri = host.doors.pods(endpoint)?;
    if cri.sandboxes().is_err() {
        // Nobody is there who could have any.
        return Ok(());
    }
    let _alone = leaks::alone(host, way, Turn::AtOnce, &AtomicBool::new(false))?;
    sweep(&*cri);
    leaks::cgroups_at_last(host, way);
    let image = workload::probe()?.name;
    let store = host.doors.images(endpoint)?;
    suite::sweep_images(&*cri, &*store);
    cri.remove_image(image)?;
    store.forget(image)
}

/// Takes away the pods of all verifications: of one that was killed, or of this one.
fn sweep(cri: &dyn CriPods) {
    for pod in cri.sandboxes().unwrap_or_default().iter().filter(|pod| pod.namespace == suite::NAMESPACE) {
        let _ = cri.stop_sandbox(&pod.id);
        let _ = cri.remove_sandbox(&pod.id);
    }
}

/// Pods by the runtime behind `endpoint`, if there is one.
pub(crate) fn tried(look: &Look<'_>, endpoint: &str, options: &Options) -> Found {
    let there = if look.host.is_live() {
        is_there(look, endpoint, options.endpoint.is_some())
    } else {
        Err(suite::Unfit("a file tree does not run".to_owned()).into())
    };
    match there {
        Ok(()) => rung(look, endpoint, options),
        Err(error) => Found::just(suite::judged("live-pod", Rung::Live, Err(error))),
    }
}

/// An endpoint that somebody has named must be there; the node's own may be away.
fn is_there(look: &Look<'_>, endpoint: &str, named: bool) -> Result<()> {
    match look.host.cri(endpoint)?.version() {
        Ok(_) => Ok(()),
        Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::Absent { .. })) => {
            let why = format!("nobody serves {endpoint}");
            Err(if named { anyhow!(why) } else { suite::Unfit(why).into() })
        }
        Err(error) => Err(error).context("the runtime does not answer"),
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
