//! Pods on either side: stopping Docker's, waiting for them on the new runtime, removing ours again.

use super::{cni, leave, records, steps::Work};
use crate::{
    cluster,
    host::{ApiError, ContainerState, Cri, DaemonError, EngineContainer, Host, Sandbox},
    model::{Action, Entry, MemberPod, Plan, PodKind, Record, RunState, Undo},
};
use anyhow::{Result, bail};
use std::{collections::BTreeSet, time::Duration};

/// Labels by which dockershim and cri-dockerd mark what they made.
const TYPE_LABEL: &str = "io.kubernetes.docker.type";
const POD_LABEL: &str = "io.kubernetes.pod.name";
const NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";
/// dockershim keeps annotations as labels with a prefix.
const GRACE_LABEL: &str = "annotation.io.kubernetes.pod.terminationGracePeriod";
/// The same as a CRI annotation (kubelet `kuberuntime/labels.go`).
const CRI_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

/// Between two questions to the cluster whether pods that are missing are still wanted.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Kubernetes' own default for a pod that says nothing.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

fn is_sandbox(container: &EngineContainer) -> bool {
    container.labels.get(TYPE_LABEL).is_some_and(|kind| kind == "podsandbox")
}

fn pod_of(container: &EngineContainer) -> Option<String> {
    let (namespace, name) = (container.labels.get(NAMESPACE_LABEL)?, container.labels.get(POD_LABEL)?);
    Some(format!("{namespace}/{name}"))
}

/// What kubelet noted of a pod's grace period, in seconds.
fn grace(noted: Option<&String>) -> Duration {
    noted.and_then(|text| text.parse().ok()).map_or(DEFAULT_GRACE, Duration::from_secs)
}

fn running(host: &Host) -> Result<Vec<EngineContainer>> {
    Ok(host.engine.containers(true)?.into_iter().filter(EngineContainer::is_alive).collect())
}

/// Pods of which an application container runs on Docker.
fn docker_pods(containers: &[EngineContainer]) -> BTreeSet<String> {
    containers.iter().filter(|c| c.is_kubernetes() && !is_sandbox(c)).filter_map(pod_of).collect()
}

/// What brings Docker's containers back: kubelet remakes pods; others that ran must be started by name.
pub fn prepare_stop(host: &Host) -> Result<Undo> {
    let running = running(host)?;
    let containers = running.iter().filter(|c| !c.is_kubernetes()).map(|c| c.id.clone()).collect();
    Ok(Undo::StartContainers { containers, pods: docker_pods(&running).into_iter().collect() })
}

/// Stops the containers of pods, each with its own grace period, all at once; then their networks are given back, and
/// the sandboxes stop last, because they hold the network that a container may still need to shut down cleanly.
pub fn stop(work: &mut Work<'_>, cni_bin_dirs: &[String]) -> Result<Option<String>> {
    let running: Vec<EngineContainer> =
        running(work.host)?.into_iter().filter(EngineContainer::is_kubernetes).collect();
    let (sandboxes, containers): (Vec<_>, Vec<_>) = running.into_iter().partition(is_sandbox);
    let count = containers.len();
    let asked: Vec<_> = containers.iter().map(|c| (c.id.clone(), grace(c.labels.get(GRACE_LABEL)))).collect();
    stop_all(work.host, &asked)?;
    for sandbox in &sandboxes {
        for error in cni::release(work.host, &sandbox.id, cni_bin_dirs) {
            let pod = pod_of(sandbox).unwrap_or_default();
            work.observer.warn(&format!("the network of {pod} could not be given back: {error}"));
        }
    }
    let asked: Vec<_> = sandboxes.iter().map(|c| (c.id.clone(), Duration::ZERO)).collect();
    stop_all(work.host, &asked)?;
    // dockerd answers that a container has stopped before its list says so (seen with 26.1).
    let deadline = work.timeouts.unit.duration();
    work.wait_until(deadline, |host| {
        let there = self::running(host)?;
        let left: Vec<&str> = there.iter().filter(|c| c.is_kubernetes()).map(|c| short(&c.id)).collect();
        if left.is_empty() {
            return Ok(Ok(()));
        }
        Ok(Err(format!("containers of pods still run on Docker: {}", left.join(", "))))
    })?;
    Ok(Some(format!("{count} containers, {} sandboxes", sandboxes.len())))
}

fn stop_all(host: &Host, containers: &[(String, Duration)]) -> Result<()> {
    for (id, result) in host.engine.stop_all(containers) {
        if let Err(error) = result {
            bail!("cannot stop container {}: {error:#}", short(&id));
        }
    }
    Ok(())
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Pods of which the sandbox is ready and a container runs, on a CRI endpoint.
pub fn cri_pods(cri: &dyn Cri) -> Result<BTreeSet<String>> {
    let containers = cri.containers()?;
    Ok(cri
        .sandboxes()?
        .into_iter()
        .filter(|sandbox| sandbox.ready)
        .filter(|sandbox| containers.iter().any(|c| c.sandbox_id == sandbox.id && c.state == ContainerState::Running))
        .map(|sandbox| format!("{}/{}", sandbox.namespace, sandbox.name))
        .collect())
}

/// Pods on the new runtime, where a run is about to be taken back that had ended well; `None` where it cannot be asked.
pub fn moved(work: &Work<'_>, entries: &[Entry]) -> Option<Vec<String>> {
    if !matches!(records::state(entries), RunState::Applied | RunState::Committed) {
        return None;
    }
    let endpoint = endpoint_of(work.plan)?;
    let cri = work.host.cri(endpoint).ok()?;
    // Those that were there before the run stay there.
    let keep = work.begun.kept(work.host, endpoint).ok()?;
    let stays = |sandbox: &Sandbox| keep.contains(&sandbox.id);
    let stay: BTreeSet<String> =
        cri.sandboxes().ok()?.iter().filter(|s| stays(s)).map(|s| format!("{}/{}", s.namespace, s.name)).collect();
    Some(cri_pods(&*cri).ok()?.difference(&stay).cloned().collect())
}

/// Waits until all of `pods` run on the endpoint.
pub fn await_on_cri(work: &mut Work<'_>, endpoint: &str, pods: &[String]) -> Result<Option<String>> {
    await_all(work, pods, "containerd", &|host| cri_pods(&*host.cri(endpoint)?))
}

/// Waits until all of `pods` run on Docker.
pub fn await_on_docker(work: &mut Work<'_>, pods: &[String]) -> Result<Option<String>> {
    await_all(work, pods, "Docker", &|host| running(host).map(|containers| docker_pods(&containers)))
}

/// Waits until pods run. Those that the cluster does not want here any more, or that have run to their end, are let go: a
/// controller may have made another one elsewhere while this node was away.
///
/// A kubelet that starts while the API server is away knows static pods only. They decide then: the others come when it is back.
fn await_all(
    work: &mut Work<'_>,
    pods: &[String],
    on: &str,
    there: &dyn Fn(&Host) -> Result<BTreeSet<String>>,
) -> Result<Option<String>> {
    let deadline = work.timeouts.pods.duration();
    let member = leave::member(work.plan);
    let is_static = |pod: &str| member.is_some_and(|(node, _)| pod.ends_with(&format!("-{node}")));
    let start = work.host.clock.monotonic();
    // An API server that was waited for in vain is not waited for again.
    let patience = if work.in_vain.away { Duration::ZERO } else { deadline.saturating_sub(ASK_AGAIN) };
    let (mut wanted, mut later, mut asked) = (pods.to_vec(), Vec::new(), None);
    work.wait_until(deadline, |host| {
        let missing = missing(&wanted, there(host), on);
        let now = host.clock.monotonic();
        let is_time = asked.is_none_or(|at: Duration| now.saturating_sub(at) >= ASK_AGAIN);
        let (true, true, Some((node, conf))) = (missing.is_err(), is_time, member) else { return Ok(missing) };
        asked = Some(now);
        let answer = cluster::open(host, conf).and_then(|api| cluster::pods(&*api, node));
        // One that stands still takes half a minute not to answer, which counts.
        let so_far = host.clock.monotonic().saturating_sub(start);
        match answer {
            Ok(known) => wanted.retain(|pod| is_static(pod) || is_wanted(&known, pod)),
            Err(error) if ApiError::is_away(&error) && so_far >= patience => {
                let (stay, wait): (Vec<_>, Vec<_>) = wanted.drain(..).partition(|pod| is_static(pod));
                (wanted, later) = (stay, wait);
            }
            Err(_) => return Ok(missing),
        }
        Ok(self::missing(&wanted, there(host), on))
    })?;
    let mut detail = format!("{} pods run", wanted.len());
    let left = pods.len() - wanted.len() - later.len();
    if left > 0 {
        detail.push_str(&format!(", {left} left meanwhile"));
    }
    if !later.is_empty() {
        work.in_vain.away = true;
        detail.push_str(&format!(", {} come when the API server is back", later.len()));
        work.observer
            .warn(&format!("kubelet cannot know of these pods while the API server is away: {}", later.join(", ")));
    }
    Ok(Some(detail))
}

/// True for a pod that the cluster has on this node, not ended and not on its way out.
fn is_wanted(known: &[MemberPod], name: &str) -> bool {
    let pod = known.iter().find(|pod| pod.full_name() == name);
    pod.is_some_and(|pod| !pod.going && !pod.ends && pod.kind != PodKind::Finished)
}

/// A daemon that does not answer yet is something to wait for, not an error.
fn missing(pods: &[String], there: Result<BTreeSet<String>>, on: &str) -> Result<(), String> {
    let there = there.map_err(|error| format!("{error:#}"))?;
    let missing: Vec<&str> = pods.iter().filter(|pod| !there.contains(*pod)).map(String::as_str).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("not yet on {on}: {}", missing.join(", "))) }
}

fn endpoint_of(plan: &Plan) -> Option<&str> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::AwaitCri { endpoint } => Some(endpoint.as_str()),
        _ => None,
    })
}

/// The sandboxes on the runtime that a plan moves to, before it does; `None` when that runtime does not answer.
pub fn sandboxes_before(host: &Host, plan: &Plan) -> Option<Vec<String>> {
    let sandboxes = host.cri(endpoint_of(plan)?).and_then(|cri| cri.sandboxes()).ok()?;
    Some(sandboxes.into_iter().map(|sandbox| sandbox.id).collect())
}

/// What was there when a run began.
#[derive(Debug, Default)]
pub struct Begun {
    sandboxes: Option<Vec<String>>,
    /// Nanoseconds since 1970.
    time: Option<i128>,
    /// Mount points below which files of the plan lay.
    pub mounts: Vec<String>,
}

impl Begun {
    /// As the journal's first record tells it.
    pub fn of(entries: &[Entry]) -> Self {
        let Some(first) = entries.first() else { return Self::default() };
        let Record::RunStarted { sandboxes, mounts, .. } = &first.record else { return Self::default() };
        let time = first.time.parse().ok().map(jiff::Timestamp::as_nanosecond);
        Self { sandboxes: sandboxes.clone(), time, mounts: mounts.clone() }
    }

    /// Ids of the sandboxes behind the endpoint that are not this run's doing. Where the runtime did not answer at the
    /// beginning, their age tells.
    pub fn kept(&self, host: &Host, endpoint: &str) -> Result<Vec<String>> {
        if let Some(sandboxes) = &self.sandboxes {
            return Ok(sandboxes.clone());
        }
        let older = |created: i64| self.time.is_some_and(|begun| i128::from(created) < begun);
        let there = host.cri(endpoint)?.sandboxes()?;
        Ok(there.into_iter().filter(|sandbox| older(sandbox.created_at)).map(|sandbox| sandbox.id).collect())
    }
}

/// After a reboot in the middle of a run, kubelet may have made pods on the new runtime before any step waited for
/// them: its files were written already. They must not go on beside those on Docker.
pub fn remove_stray(work: &Work<'_>) -> Result<()> {
    let Some(endpoint) = endpoint_of(work.plan) else { return Ok(()) };
    let removed = work.begun.kept(work.host, endpoint).and_then(|keep| remove_from_cri(work.host, endpoint, &keep));
    match removed {
        Err(error) if !is_no_runtime(&error) => Err(error.context("cannot remove the pods on containerd")),
        _ => Ok(()),
    }
}

/// No CRI there means no pods of ours there: after a reboot, or before containerd took the new file.
pub fn is_no_runtime(error: &anyhow::Error) -> bool {
    DaemonError::of(error).is_some_and(|kind| kind.is_down() || matches!(kind, DaemonError::Unimplemented { .. }))
}

/// Stops and removes every sandbox behind the endpoint that is not in `keep`, with its containers: all at once, each
/// with the grace period of its pod. Removing the sandbox also gives its address back to CNI.
pub fn remove_from_cri(host: &Host, endpoint: &str, keep: &[String]) -> Result<usize> {
    let cri = host.cri(endpoint)?;
    let ours: Vec<_> = cri.sandboxes()?.into_iter().filter(|sandbox| !keep.contains(&sandbox.id)).collect();
    let running: Vec<(String, Duration)> = cri
        .containers()?
        .into_iter()
        .filter(|c| c.state == ContainerState::Running && ours.iter().any(|sandbox| sandbox.id == c.sandbox_id))
        .map(|c| (c.id, grace(c.annotations.get(CRI_GRACE))))
        .collect();
    if !running.is_empty() {
        cri.stop_containers(&running)?;
    }
    for sandbox in &ours {
        cri.stop_sandbox(&sandbox.id)?;
        cri.remove_sandbox(&sandbox.id)?;
    }
    Ok(ours.len())
}
