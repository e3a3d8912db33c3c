//! What the node does: pods run, and where they landed.

#![allow(clippy::unnecessary_wraps)] // Every probe has one signature, and most ask something that can fail.

use super::{Look, Verdict};
use crate::{
    host::{CgroupLine, ContainerState},
    model::CgroupMode,
};
use anyhow::{Context as _, Result};

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
        let Some(pid) = cri.container_status_verbose(&container.id)?.pid else { continue };
        let lines = look.host.procs.cgroup(pid).with_context(|| format!("container {} of pod", container.name))?;
        let Some(path) = deciding(&lines, unified) else {
            return Ok(Verdict::Fail(format!("process {pid} of {} is in no known cgroup", container.name)));
        };
        if !is_systemd_path(path, &container.id) {
            return Ok(Verdict::Fail(format!(
                "{} runs in {path}, not in a scope below kubepods.slice",
                container.name
            )));
        }
        right += 1;
        path.clone_into(&mut example);
    }
    Ok(if right == 0 {
        Verdict::Skip("no container runs on containerd".to_owned())
    } else {
        Verdict::Pass(format!("{right} containers in scopes of systemd, such as {example}"))
    })
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

/// `…/kubepods[-…].slice/…/cri-containerd-ID.scope`
fn is_systemd_path(path: &str, id: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let in_kubepods = parts.iter().any(|part| part.starts_with("kubepods") && part.ends_with(".slice"));
    in_kubepods && parts.last().is_some_and(|last| *last == format!("cri-containerd-{id}.scope"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scope_below_kubepods_is_right() {
        let right = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab.slice/cri-containerd-c1.scope";
        assert!(is_systemd_path(right, "c1"));
        for wrong in [
            "/kubepods/besteffort/podab/c1",
            "/system.slice/containerd.service/kubepods-besteffort-podab.slice:cri-containerd:c1",
            "/kubepods.slice/kubepods-besteffort.slice/docker-c1.scope",
            "/system.slice/cri-containerd-c1.scope",
            "/kubepods.slice/cri-containerd-c2.scope",
        ] {
            assert!(!is_systemd_path(wrong, "c1"), "{wrong}");
        }
    }

    #[test]
    fn the_memory_controller_decides_on_v1() {
        let line = |hierarchy, controllers: &[&str], path: &str| CgroupLine {
            hierarchy,
            controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
            path: path.to_owned(),
        };
        let lines = [line(4, &["cpu"], "/a"), line(3, &["memory"], "/b"), line(0, &[], "/c")];
        assert_eq!(deciding(&lines, false), Some("/b"));
        assert_eq!(deciding(&lines, true), Some("/c"));
        assert_eq!(deciding(&[], true), None);
    }
}
