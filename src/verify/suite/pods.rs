//! Pods as such: that they run, where they land, what they share, and that all of it can be taken away.

use super::{Bed, Pod, Seen, Unfit, bed::Ctr};
use crate::{
    host::{ContainerSpec, ContainerState, PodSpec, Share},
    model::CgroupMode,
    verify::pods::deciding,
};
use anyhow::{Context as _, Result, ensure};

/// A sandbox is ready, is in the list, and a container in it runs.
pub(super) fn runs(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common().context("no pod can be run")?;
    let status = bed.cri.sandbox_status_verbose(&pod.id)?;
    ensure!(status.ready, "a pod that was run is not ready");
    ensure!(bed.cri.sandboxes()?.iter().any(|sandbox| sandbox.id == pod.id), "a pod that runs is not in the list");
    let container = pod.start(&bed.container("runs")).context("no container can be run")?;
    ensure!(container.status()?.state == ContainerState::Running, "a container that was started does not run");
    let listed = bed.cri.containers()?.into_iter().find(|found| found.id == container.id);
    ensure!(
        listed.is_some_and(|found| found.sandbox_id == pod.id && found.state == ContainerState::Running),
        "a container that runs is not in the list, or not with its pod"
    );
    Ok("a pod and a container run".to_owned())
}

/// A misspelt `SystemdCgroup` passes everything but this.
pub(super) fn cgroup(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let container = pod.start(&bed.container("cgroup"))?;
    let pid = container.pid()?;
    let lines = bed.host.procs.cgroup(pid)?;
    let at = format!("/proc/{pid}/cgroup");
    let path =
        deciding(&lines, bed.place.way.mode == CgroupMode::Unified).context("a container is in no known cgroup")?;
    let driver = bed.place.way.driver();
    let wrong = |why: &str| Seen::new(format!("not the {driver} cgroup driver: {why}"), &at, path);
    if !bed.place.way.systemd {
        let right = path.ends_with(&format!("/castoff/{}", container.id));
        let elsewhere = || wrong(&format!("a container is in {path}")).into();
        return if right { Ok(format!("{driver}: in {path}")) } else { Err(elsewhere()) };
    }
    let Some((above, scope)) = scope(path, &container.id) else {
        return Err(wrong(&format!("a container is in {path}, which is no scope of its own")).into());
    };
    if !above.ends_with("/castoff.slice") {
        return Err(wrong(&format!("a container is in {path}, not in the slice of its pod")).into());
    }
    let unit = bed.host.units.state(scope)?;
    if !unit.is_active() {
        return Err(wrong(&format!("systemd does not know {scope}")).into());
    }
    Ok(format!("{driver}: in {path}, which systemd knows"))
}

/// The scope of a container on a path, and what is above that. crun before 1.22 has the container below it.
fn scope<'p>(path: &'p str, id: &str) -> Option<(&'p str, &'p str)> {
    let end = format!("-{id}.scope");
    let start = path.find(&end)?;
    let (scope, below) = path.split_at(start + end.len());
    if !below.is_empty() && !below.starts_with('/') {
        return None;
    }
    scope.rsplit_once('/')
}

/// Limits arrive in the kernel, and can be changed while a container runs.
pub(super) fn limits(bed: &Bed<'_>) -> Result<String> {
    const MIB: i64 = 1 << 20;
    let pod = bed.common()?;
    let spec = ContainerSpec { memory: 48 * MIB, cpu_shares: 512, cpu_quota: 50_000, ..bed.container("limits") };
    let container = pod.start(&spec)?;
    let pid = container.pid()?;
    let lines = bed.host.procs.cgroup(pid)?;
    let unified = bed.place.way.mode == CgroupMode::Unified;
    let text = |path: String| -> Result<String> {
        let text = bed.host.root.text(&path)?.with_context(|| format!("there is no {path}"))?;
        Ok(text.trim().to_owned())
    };
    let file = |controller: &str, v1: &str, v2: &str| -> Result<String> {
        if !unified {
            let line = lines.iter().find(|line| line.controllers.iter().any(|name| name == controller));
            return text(format!("/sys/fs/cgroup/{controller}{}/{v1}", line.context("it is in no cgroup")?.path));
        }
        let own = &lines.iter().find(|line| line.hierarchy == 0).context("it is in no cgroup")?.path;
        if let Some((above, scope)) = scope(own, &container.id) {
            let limit = text(format!("/sys/fs/cgroup{above}/{scope}/{v2}"))?;
            // crun before 1.8.5 has limited nothing but what is below.
            if limit != "100" && !limit.starts_with("max") {
                return Ok(limit);
            }
        }
        text(format!("/sys/fs/cgroup{own}/{v2}"))
    };
    let memory = || file("memory", "memory.limit_in_bytes", "memory.max");
    let is = |found: String, wanted: &str, what: &str| {
        let why = format!("{what} is {found}, not {wanted}");
        if found == wanted { Ok(()) } else { Err(anyhow::Error::from(Seen::new(why, what, found))) }
    };
    is(memory()?, &(48 * MIB).to_string(), "the memory limit")?;
    let quota = if unified { "50000 100000" } else { "50000" };
    is(file("cpu", "cpu.cfs_quota_us", "cpu.max")?, quota, "the CPU quota")?;
    // v2 has weights, which runtimes derive from shares in more than one way.
    let shares = || file("cpu", "cpu.shares", "cpu.weight");
    let before = shares()?;
    ensure!(unified || before == "512", "the CPU shares are {before}, not 512");
    bed.cri.update_container(&container.id, 64 * MIB, 256)?;
    let after = shares()?;
    ensure!(after != before && (unified || after == "256"), "the CPU shares after an update to 256 are {after}");
    is(memory()?, &(64 * MIB).to_string(), "the memory limit after an update")?;
    Ok("memory and CPU limits are in the kernel, and follow an update".to_owned())
}

/// Names, labels and annotations come back as they were given.
pub(super) fn attributes(bed: &Bed<'_>) -> Result<String> {
    let note = || ("castoff.invalid/note".to_owned(), "ä b".to_owned());
    let mut spec = bed.spec("attributes");
    spec.annotations.extend([note()]);
    let pod = bed.pod(spec)?;
    let status = bed.cri.sandbox_status_verbose(&pod.id)?;
    let same = (&status.name, &status.namespace, &status.uid) == (&pod.spec.name, &pod.spec.namespace, &pod.spec.uid);
    ensure!(same, "a pod has another name than it was given: {}/{}", status.namespace, status.name);
    ensure!(status.labels == pod.spec.labels, "a pod has other labels: {:?}", status.labels);
    ensure!(status.annotations == pod.spec.annotations, "a pod has other annotations: {:?}", status.annotations);
    let mut wanted = bed.container("attributes");
    wanted.annotations.extend([note()]);
    let container = pod.create(&wanted)?;
    let status = container.status()?;
    ensure!(status.state == ContainerState::Created, "a container that was not started is {:?}", status.state);
    ensure!(status.labels == wanted.labels, "a container has other labels: {:?}", status.labels);
    ensure!(status.annotations == wanted.annotations, "a container has other annotations: {:?}", status.annotations);
    let listed = bed.cri.containers()?.into_iter().find(|found| found.id == container.id);
    ensure!(listed.is_some_and(|found| found.name == wanted.name), "a container has another name than it was given");
    ensure!(status.log_path.ends_with("attributes.log"), "its log is said to be {}", status.log_path);
    Ok("names, labels and annotations come back as given".to_owned())
}

/// What is stopped or gone may be stopped and removed again.
pub(super) fn idempotence(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.pod(bed.spec("idempotence"))?;
    let container = pod.start(&bed.container("idempotence"))?;
    for _ in 0..2 {
        bed.cri.stop_container(&container.id, std::time::Duration::ZERO)?;
    }
    for _ in 0..2 {
        bed.cri.remove_container(&container.id)?;
    }
    bed.cri.stop_container(&container.id, std::time::Duration::ZERO)?;
    ensure!(!bed.cri.containers()?.iter().any(|found| found.id == container.id), "a removed container is in the list");
    for _ in 0..2 {
        bed.cri.stop_sandbox(&pod.id)?;
        ensure!(!bed.cri.sandbox_status_verbose(&pod.id)?.ready, "a pod that was stopped is ready");
    }
    for _ in 0..2 {
        bed.cri.remove_sandbox(&pod.id)?;
    }
    bed.cri.stop_sandbox(&pod.id)?;
    ensure!(!bed.cri.sandboxes()?.iter().any(|found| found.id == pod.id), "a pod that was removed is in the list");
    bed.cri.remove_image("castoff.invalid/not-there:1")?;
    Ok("what is gone may be stopped and removed again".to_owned())
}

/// Kernel parameters of a pod's namespaces.
pub(super) fn sysctls(bed: &Bed<'_>) -> Result<String> {
    let mut spec = bed.spec("sysctls");
    spec.sysctls.insert("kernel.shm_rmid_forced".to_owned(), "1".to_owned());
    spec.sysctls.insert("fs.mqueue.msg_max".to_owned(), "100".to_owned());
    let pod = bed.pod(spec)?;
    let container = pod.start(&bed.container("sysctls"))?;
    for (file, wanted) in [("/proc/sys/kernel/shm_rmid_forced", "1"), ("/proc/sys/fs/mqueue/msg_max", "100")] {
        let found = container.ask(&["cat", file])?;
        if found.trim() != wanted {
            return Err(Seen::new(format!("{file} is {}, not {wanted}", found.trim()), file, found).into());
        }
    }
    Ok("a pod has its own kernel parameters".to_owned())
}

/// Process ids and communication: each container's own, the pod's, the node's.
pub(super) fn namespaces(bed: &Bed<'_>) -> Result<String> {
    let node = |kind: &str| {
        let link = bed.host.procs.namespace(bed.place.node_pid, kind);
        link.ok_or_else(|| Unfit(format!("the namespaces of process {} cannot be seen", bed.place.node_pid)))
    };
    // Both live while they are compared: the kernel gives the number of one that is gone to the next.
    let two = |pod: &Pod<'_>, kind: &str| -> Result<(String, String)> {
        let (first, second) = (pod.start(&bed.container("first"))?, pod.start(&bed.container("second"))?);
        let link = |container: &Ctr<'_>| container.ask(&["link", &format!("/proc/self/ns/{kind}")]);
        Ok((link(&first)?.trim().to_owned(), link(&second)?.trim().to_owned()))
    };
    let shared = bed.pod(PodSpec { pid: Share::Pod, ..bed.spec("namespaces") })?;
    for (kind, what) in [("pid", "process ids"), ("ipc", "IPC")] {
        let (first, second) = two(&shared, kind)?;
        ensure!(first == second, "containers of a pod do not share {what}");
        ensure!(first != node(kind)?, "a pod's {what} are the node's");
    }
    let (first, second) = two(&*bed.common()?, "pid")?;
    ensure!(first != second, "containers share process ids and should not");
    let open = bed.pod(PodSpec { pid: Share::Node, ipc: Share::Node, ..bed.spec("node-namespaces") })?;
    for kind in ["pid", "ipc"] {
        let (found, _) = two(&open, kind)?;
        ensure!(found == node(kind)?, "{kind} is {found} and not the node's, which was asked for");
    }
    Ok("process ids and IPC are a container's own, the pod's, or the node's, as asked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_in_its_scope_or_below() {
        let right = Some(("/castoff.slice", "cri-containerd-c1.scope"));
        for path in ["/castoff.slice/cri-containerd-c1.scope", "/castoff.slice/cri-containerd-c1.scope/container"] {
            assert_eq!(scope(path, "c1"), right, "{path}");
        }
        for wrong in ["/castoff.slice/cri-containerd-c2.scope", "/castoff.slice:cri-containerd:c1", "/a-c1.scopes", ""]
        {
            assert_eq!(scope(wrong, "c1"), None, "{wrong}");
        }
    }
}
