//! What the files say.

#![allow(clippy::unnecessary_wraps)] // Every probe has one signature, and most ask something that can fail.

use super::{Look, Verdict};
use crate::{
    formats::crictl,
    model::{CRICTL_YAML, CgroupDriver, Sourced, same_endpoint},
};
use anyhow::Result;
use std::fmt::Display;

fn expect<T: PartialEq + Display>(there: Option<&Sourced<T>>, wanted: &T, what: &str) -> Verdict {
    match there {
        Some(there) if there.value == *wanted => Verdict::Pass(there.to_string()),
        Some(there) => Verdict::Fail(format!("{what} is {there}, expected {wanted}")),
        None => Verdict::Fail(format!("{what} is unknown, expected {wanted}")),
    }
}

pub fn cri_enabled(look: &Look<'_>) -> Result<Verdict> {
    Ok(match &look.facts.containerd.cri_enabled {
        Some(on) if on.value => Verdict::Pass(format!("CRI is not disabled ({})", on.origin)),
        Some(off) => Verdict::Fail(format!("CRI is disabled ({})", off.origin)),
        None => Verdict::Fail("containerd's configuration cannot be read".to_owned()),
    })
}

pub fn containerd_driver(look: &Look<'_>) -> Result<Verdict> {
    Ok(match &look.facts.containerd.systemd_cgroup {
        Some(on) if on.value => Verdict::Pass(format!("SystemdCgroup = true ({})", on.origin)),
        Some(off) => Verdict::Fail(format!("SystemdCgroup is not true ({})", off.origin)),
        None => Verdict::Fail("containerd's configuration cannot be read".to_owned()),
    })
}

pub fn kubelet_endpoint(look: &Look<'_>) -> Result<Verdict> {
    let wanted = &look.desired.endpoint;
    Ok(match &look.facts.kubelet.endpoint {
        Some(there) if same_endpoint(&there.value, wanted) => Verdict::Pass(there.to_string()),
        other => expect(other.as_ref(), wanted, "kubelet's endpoint"),
    })
}

pub fn kubelet_driver(look: &Look<'_>) -> Result<Verdict> {
    Ok(expect(look.facts.kubelet.cgroup_driver.as_ref(), &CgroupDriver::Systemd, "kubelet's cgroup driver"))
}

pub fn docker_driver(look: &Look<'_>) -> Result<Verdict> {
    Ok(expect(look.facts.docker.cgroup_driver.as_ref(), &CgroupDriver::Systemd, "Docker's cgroup driver"))
}

pub fn crictl(look: &Look<'_>) -> Result<Verdict> {
    let Some(text) = look.host.root.text(CRICTL_YAML)? else {
        return Ok(Verdict::Fail(format!("{CRICTL_YAML} is missing; crictl would guess")));
    };
    Ok(match crictl::with_endpoint(Some(&text), &look.desired.endpoint) {
        Ok(after) if after == text => Verdict::Pass(format!("{} ({CRICTL_YAML})", look.desired.endpoint)),
        Ok(_) => Verdict::Fail(format!("{CRICTL_YAML} does not name {}", look.desired.endpoint)),
        // The plan warned of it, and the node does without crictl.
        Err(error) => Verdict::Skip(format!("{CRICTL_YAML} cannot be judged: {error}")),
    })
}
