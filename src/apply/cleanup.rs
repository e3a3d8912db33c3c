//! Removing what Docker left. Not a run: nothing of it can be taken back, so nothing of it is journaled; begun and cut
//! off, it is simply called again.

use super::{
    Observer, Refusal, Store,
    executor::{lock, refuse_unfinished},
};
use crate::{
    host::{Attributes, EntryKind, Expect, Host, LayerPlace, LayerStore},
    images::{LEASE_PREFIX, snapshots_dir},
    model::{API_VERSION, Facts, Plan, RuntimeKind},
};
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// Says that runs before it cannot be taken back.
const MARK: &str = "/var/lib/castoff/cleanup.json";

/// What Docker left, and what stands in the way of removing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Docker's data root; `None` when it is gone.
    pub root: Option<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Names of containers that kubelet did not make.
    pub containers: Vec<String>,
    /// Leases of containerd that hold what Docker lent.
    pub leases: Vec<String>,
    /// Names of images that Docker kept in containerd's store.
    pub images: Vec<String>,
    /// Why nothing may be removed.
    pub obstacles: Vec<String>,
}

impl Leftovers {
    /// True when there is nothing to remove.
    pub const fn is_empty(&self) -> bool {
        self.root.is_none() && self.leases.is_empty() && self.images.is_empty()
    }

    /// Bytes on disk, and files and directories: minutes, where there are many.
    ///
    /// # Errors
    /// When Docker's directory cannot be read.
    pub fn size(&self, host: &Host) -> Result<(u64, u64)> {
        self.root.as_ref().map_or(Ok((0, 0)), |root| host.root.tree_size(root))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    api_version: String,
    kind: String,
    time: String,
    removed: String,
    /// The newest run then; the clock may have been set since.
    newest: Option<String>,
}

/// Looks, without measuring. Changes nothing.
///
/// # Errors
/// When Docker's directory cannot be read.
pub fn leftovers(host: &Host, facts: &Facts, socket: &str, containerd_root: &str) -> Result<Leftovers> {
    let data = facts.docker.data_root.as_ref().map_or("/var/lib/docker", |root| root.value.as_str());
    // With userns-remap all of it is in a directory below.
    let remapped = facts.docker.remapped_root.as_ref().map(|root| root.value.as_str());
    let named = remapped.filter(|root| host.root.kind(root) == Some(EntryKind::Dir)).unwrap_or(data);
    // A link to another disk stays; what it leads to is Docker's.
    let root = &host.root.target(named).unwrap_or_else(|| named.to_owned());
    let mut left = Leftovers::default();
    match host.doors.layers(socket).and_then(|store| Ok((store.leases()?, store.of_docker().names()?))) {
        Ok((leases, images)) => {
            left.leases = leases.into_iter().filter(|lease| lease.starts_with(LEASE_PREFIX)).collect();
            left.images = images.into_iter().map(|image| image.name).collect();
        }
        Err(error) => left.obstacles.push(format!("containerd does not answer: {error:#}")),
    }
    if facts.kubelet.runtime.as_ref().is_none_or(|runtime| runtime.value != RuntimeKind::Containerd) {
        left.obstacles.push("kubelet does not run on containerd".to_owned());
    }
    for unit in ["docker.service", "docker.socket"] {
        if host.units.state(unit).is_ok_and(|state| state.is_active()) {
            left.obstacles.push(format!("{unit} is active"));
        }
    }
    // An empty mount point is nothing either.
    if host.root.kind(root) != Some(EntryKind::Dir) || host.root.list(root)?.is_empty() {
        return Ok(left);
    }
    left.root = Some(root.to_owned());
    if !is_dockers(host, root) {
        left.obstacles.push(format!(
            "{root} does not look like Docker's: it has no `containers`, and beside it neither `image` nor `engine-id`, nor \
             `buildkit` and `volumes`"
        ));
    }
    let directories = |path: String| -> Result<Vec<String>> {
        let all = host.root.list(&path)?;
        Ok(all.into_iter().filter(|(_, kind)| *kind == EntryKind::Dir).map(|(name, _)| name).collect())
    };
    left.volumes = directories(format!("{root}/volumes"))?;
    for id in directories(format!("{root}/containers"))? {
        left.containers.extend(stranger(host, &format!("{root}/containers/{id}/config.v2.json")));
    }
    let others = [("containerd's root", containerd_root), ("kubelet's directory", "/var/lib/kubelet")];
    for (what, path) in others {
        let target = host.root.target(path).unwrap_or_else(|| path.to_owned());
        if format!("{target}/").starts_with(&format!("{}/", root.trim_end_matches('/'))) {
            left.obstacles.push(format!("{what} {path} is inside {root}"));
        }
    }
    left.obstacles.extend(leaning(host, containerd_root, root)?);
    Ok(left)
}

/// A wrong `data-root` must not make us remove something else. What a cleanup that was cut off left is Docker's still.
fn is_dockers(host: &Host, root: &str) -> bool {
    let has = |name: &str| host.root.kind(&format!("{root}/{name}")) == Some(EntryKind::Dir);
    let begun = || {
        let mark: Option<Mark> = serde_json::from_str(&host.root.text(MARK).ok().flatten()?).ok();
        mark.map(|mark| mark.removed == root)
    };
    // Only graph drivers keep their images in `image` (moby `daemon/images`); with containerd's store there is none. `engine-id` is
    // since 23.0.
    let is_new = || host.root.exists(&format!("{root}/engine-id")) || (has("buildkit") && has("volumes"));
    (has("containers") && (has("image") || is_new())) || begun().unwrap_or_default()
}

/// The name of a container that kubelet did not make.
fn stranger(host: &Host, path: &str) -> Option<String> {
    let text = host.root.text(path).ok().flatten()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    let name =
        config.get("Name").and_then(serde_json::Value::as_str).unwrap_or_default().trim_start_matches('/').to_owned();
    let labels = config.pointer("/Config/Labels");
    let ours = labels.is_some_and(|labels| labels.get("io.kubernetes.pod.uid").is_some()) || name.starts_with("k8s_");
    (!ours).then_some(name)
}

/// A layer of containerd's that is really in Docker's directory. castoff lends the other way round.
fn leaning(host: &Host, containerd_root: &str, docker_root: &str) -> Result<Vec<String>> {
    let snapshots = snapshots_dir(containerd_root);
    let mut leaning = Vec::new();
    for (name, _) in host.root.list(&snapshots)? {
        let fs = format!("{snapshots}/{name}/fs");
        if let LayerPlace::Lent(to) = host.root.layer_place(&fs)
            && to.starts_with(&format!("{docker_root}/"))
        {
            leaning.push(format!("containerd's layer {fs} is a link into {docker_root}"));
        }
    }
    Ok(leaning)
}

/// Removes what was shown, as long as that is what is there. Nobody knows how long the question stood: a run may have been
/// taken back meanwhile, and Docker run again.
///
/// # Errors
/// [`Refusal`]s, obstacles, or what the system refuses; calling it again goes on.
pub fn clean(
    host: &Host,
    shown: &Leftovers,
    look: &dyn Fn() -> Result<Leftovers>,
    socket: &str,
    volumes: bool,
    observer: &mut dyn Observer,
) -> Result<()> {
    let _lock = lock(host, "cleanup")?;
    refuse_unfinished(host)?;
    let left = look()?;
    if let Some(why) = left.obstacles.first() {
        bail!("nothing was removed: {why}");
    }
    let seen =
        |left: &Leftovers| (left.root.clone(), left.volumes.clone(), left.containers.clone(), left.images.clone());
    if seen(&left) != seen(shown) {
        bail!("nothing was removed: what Docker left is not what was shown any more; look again");
    }
    if let Some(root) = &left.root {
        mark(host, root)?;
        let keep: &[&str] = if volumes || left.volumes.is_empty() { &[] } else { &["volumes"] };
        let began = host.clock.monotonic();
        host.root.remove_tree(root, keep)?;
        let took = host.clock.monotonic().saturating_sub(began).as_secs_f64();
        observer.undone(&format!("remove {root}"), took);
    }
    let store = host.doors.layers(socket)?;
    forget_images(&*store.of_docker(), &left.images, observer)?;
    // Last: until here the layers that were lent must not be collected, whatever becomes of their images.
    for lease in &left.leases {
        store.end_lease(lease).with_context(|| format!("cannot end the lease {lease}"))?;
        observer.undone(&format!("end the lease {lease}"), 0.0);
    }
    Ok(())
}

/// Images that Docker kept in containerd are collected once they have no name and no container's lease holds their layers (moby
/// `daemon/containerd/image_snapshot.go`). What CRI has of them is in another namespace, and stays.
fn forget_images(docker: &dyn LayerStore, images: &[String], observer: &mut dyn Observer) -> Result<()> {
    if images.is_empty() {
        return Ok(());
    }
    // Before the names: cut off in between, those still show that something is left.
    for lease in docker.leases()? {
        docker.end_lease(&lease).with_context(|| format!("cannot end Docker's lease {lease}"))?;
    }
    for name in images {
        docker.take_name(name).with_context(|| format!("cannot take the name {name} from containerd"))?;
    }
    observer.undone(&format!("{} of Docker's images in containerd", images.len()), 0.0);
    Ok(())
}

fn mark(host: &Host, removed: &str) -> Result<()> {
    let mark = Mark {
        api_version: API_VERSION.to_owned(),
        kind: "Cleanup".to_owned(),
        time: host.clock.now(),
        removed: removed.to_owned(),
        newest: Store::new(host).runs()?.pop().map(|run| run.id),
    };
    let text = serde_json::to_string_pretty(&mark).context("cannot print the mark of a cleanup")?;
    host.root.make_dirs("/var/lib/castoff", 0o700)?;
    let before = host.root.read(MARK)?.map(|read| read.digest());
    let expect = before.as_ref().map_or(Expect::Absent, Expect::Content);
    host.root.write_atomic(MARK, text.as_bytes(), expect, Attributes::Keep { mode: 0o600 })
}

/// Refuses to take back a run that needs what a cleanup has removed since.
///
/// # Errors
/// [`Refusal::Cleaned`].
pub fn refuse_cleaned(host: &Host, run: &str, plan: &Plan) -> Result<()> {
    use crate::model::Action;
    let needs_docker = plan.steps.iter().any(|step| {
        matches!(&step.action, Action::StopDockerPods { .. } | Action::ImportImages { .. })
            || matches!(&step.action, Action::StopUnit { unit } if unit.starts_with("docker."))
    });
    let Some(text) = host.root.text(MARK)?.filter(|_| needs_docker) else { return Ok(()) };
    let mark: Mark = serde_json::from_str(&text).with_context(|| format!("{MARK} cannot be used"))?;
    if mark.newest.is_some_and(|newest| run <= newest.as_str()) {
        return Err(Refusal::Cleaned { run: run.to_owned(), removed: mark.removed, time: mark.time }.into());
    }
    Ok(())
}
