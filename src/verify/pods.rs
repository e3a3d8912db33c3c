//! What the node does: pods run, and where they landed.

#![allow(clippy::unnecessary_wraps)] // Every probe has one signature, and most ask something that can fail.

use super::{Look, Verdict};
use crate::{
    formats::containerd::is_runc_shim,
    host::{CgroupLine, Container, ContainerState, Cri, DaemonError, Sandbox},
    model::CgroupMode,
};
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeSet;

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
        .filter(|fixed| {
            let mut moved = look.facts.pods.iter().filter(|pod| pod.runtime == "containerd");
            !moved.any(|pod| look.facts.is_static_pod(fixed, &pod.namespace, &pod.name))
        })
        .map(|fixed| format!("{}/{}", fixed.namespace, fixed.name))
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
    let elsewhere = behind_other_shims(look, &*cri)?;
    let (mut right, mut example, mut left_out) = (0, String::new(), 0);
    for container in cri.containers()?.iter().filter(|c| c.state == ContainerState::Running) {
        if elsewhere.contains(&container.sandbox_id) {
            left_out += 1;
            continue;
        }
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
    Ok(match (right, left_out) {
        (0, 0) => Verdict::Skip("no container runs on containerd".to_owned()),
        (0, _) => Verdict::Skip(format!("all {left_out} containers run behind other shims than runc's")),
        (_, 0) => Verdict::Pass(format!("{right} containers in scopes of systemd, such as {example}")),
        _ => Verdict::Pass(format!(
            "{right} containers in scopes of systemd, such as {example}; {left_out} behind other shims than runc's left out"
        )),
    })
}

/// Sandboxes whose handler is not runc's shim, by id. What such a shim calls a container's process is a sandbox's or a virtual
/// machine's (gVisor's writes the sandbox's pid for each container, Kata's reports its hypervisor), and it puts that where it
/// likes.
fn behind_other_shims(look: &Look<'_>, cri: &dyn Cri) -> Result<BTreeSet<String>> {
    let containerd = &look.facts.containerd;
    let default = containerd.default_runtime.as_ref().map_or("runc", |name| name.value.as_str());
    let is_other = |sandbox: &Sandbox| {
        let name = Some(sandbox.runtime_handler.as_str()).filter(|name| !name.is_empty()).unwrap_or(default);
        let handler = containerd.handlers.iter().find(|handler| handler.name == name);
        let shim = handler.and_then(|handler| handler.runtime_type.as_ref()).map_or("", |shim| shim.value.as_str());
        !is_runc_shim(shim)
    };
    Ok(cri.sandboxes()?.into_iter().filter(is_other).map(|sandbox| sandbox.id).collect())
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
