//! What the node does: pods run, and where they landed.

#![allow(clippy::unnecessary_wraps)] // Every probe has one signature, and most ask something that can fail.

use super::{Look, Verdict};
use crate::{
    host::{CgroupLine, Container, ContainerState, DaemonError},
    model::CgroupMode,
};
use anyhow::{Context as _, Result, ensure};

pub fn running(look: &Look<'_>) -> Result<Verdict> {
    let there: Vec<String> = look
        .facts
        .pods
        .iter()
        .filter(|pod| pod.runtime == "containerd")
        .map(|pod| format!("{}/{}", pod.namespace, pod.name))
        .collect();
    let missing: Vec<String> = look
        .facts
        .kubelet
        .static_pods
        .iter()
        .map(|pod| format!("{}/{}", pod.namespace, pod.name))
        .filter(|pod| !there.contains(pod))
        .collect();
    if !missing.is_empty() {
        return Ok(Verdict::Fail(format!("static pods do not run on containerd: {}", missing.join(", "))));
    }
    Ok(if there.is_empty() {
        Verdict::Skip("no pod runs on this node".to_owned())
    } else {
        Verdict::Pass(format!("{} on containerd: {}", there.len(), there.join(", ")))
    })
}

/// A misspelt `SystemdCgroup` passes every other test there is, including a running pod: the place of its processes in
/// the cgroup tree is what tells.
pub fn cgroup(look: &Look<'_>) -> Result<Verdict> {
    let cri = look.host.cri(&look.desired.endpoint)?;
    let unified = look.facts.cgroup.mode.as_ref().is_some_and(|mode| mode.value == CgroupMode::Unified);
    let (mut right, mut example) = (0, String::new());
    for container in cri.containers()?.iter().filter(|c| c.state == ContainerState::Running) {
        let status = match cri.container_status_verbose(&container.id) {
            // It was removed since the list was made.
            Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::NotFound { .. })) => continue,
            status => status?,
        };
        let Some(pid) = status.pid else { continue };
        match placed(look, container, pid, unified) {
            Ok(path) => {
                right += 1;
                example = path;
            }
            // It has ended since then: there is nothing to read, or the place of a process that is none any more.
            Err(_) if !look.host.procs.exists(pid) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(if right == 0 {
        Verdict::Skip("no container runs on containerd".to_owned())
    } else {
        Verdict::Pass(format!("{right} containers in scopes of systemd, such as {example}"))
    })
}

/// Where a container's process is; fails when that is no place of systemd's.
fn placed(look: &Look<'_>, container: &Container, pid: u32, unified: bool) -> Result<String> {
    let name = &container.name;
    let lines = look.host.procs.cgroup(pid).with_context(|| format!("container {name} of pod"))?;
    let path = deciding(&lines, unified).with_context(|| format!("process {pid} of {name} is in no known cgroup"))?;
    ensure!(is_systemd_path(path, &container.id), "{name} runs in {path}, not in a scope below kubepods.slice");
    Ok(path.to_owned())
}

/// The line that says where a process is: v2's only one; on v1 the memory controller's, which is the one that limits.
pub(crate) fn deciding(lines: &[CgroupLine], unified: bool) -> Option<&str> {
    let line = if unified {
        lines.iter().find(|line| line.hierarchy == 0)
    } else {
        lines.iter().find(|line| line.controllers.iter().any(|name| name == "memory"))
    };
    line.map(|line| line.path.as_str())
}

/// `…/kubepods[-…].slice/…/cri-containerd-ID.scope`. Below its scope is where crun before 1.22 has a container, and where
/// systemd or dockerd in one move themselves on v2. Kubelet's `cgroupRoot` comes before `kubepods` in the slices' names
/// (`kube-kubepods.slice`).
fn is_systemd_path(path: &str, id: &str) -> bool {
    let scope = format!("cri-containerd-{id}.scope");
    let parts: Vec<&str> = path.split('/').collect();
    let Some(at) = parts.iter().position(|part| *part == scope) else { return false };
    let slices = parts.iter().take(at).filter_map(|part| part.strip_suffix(".slice"));
    slices.flat_map(|slice| slice.split('-')).any(|word| word == "kubepods")
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
