//! What runs.

#![allow(clippy::unnecessary_wraps)] // Every probe has one signature, and most ask something that can fail.

use super::{Look, Verdict};
use crate::{formats::kubelet_flags, model::same_endpoint};
use anyhow::Result;

fn is_active(look: &Look<'_>, unit: &str) -> Result<Verdict> {
    let state = look.host.units.state(unit)?;
    let told = format!("{unit} is {} ({})", state.active, state.sub);
    Ok(if state.is_active() { Verdict::Pass(told) } else { Verdict::Fail(told) })
}

pub fn containerd(look: &Look<'_>) -> Result<Verdict> {
    is_active(look, "containerd.service")
}

pub fn kubelet(look: &Look<'_>) -> Result<Verdict> {
    is_active(look, "kubelet.service")
}

pub fn docker(look: &Look<'_>) -> Result<Verdict> {
    is_active(look, "docker.service")
}

/// Docker may be there for somebody else, but no pod may run on it.
pub fn docker_retired(look: &Look<'_>) -> Result<Verdict> {
    if !look.facts.docker.installed {
        return Ok(Verdict::Pass("Docker is not installed".to_owned()));
    }
    let on_docker: Vec<&str> =
        look.facts.pods.iter().filter(|pod| pod.runtime == "docker").map(|pod| pod.name.as_str()).collect();
    if !on_docker.is_empty() {
        return Ok(Verdict::Fail(format!("pods still run on Docker: {}", on_docker.join(", "))));
    }
    let service = look.host.units.state("docker.service")?;
    Ok(Verdict::Pass(format!("no pod runs on Docker; docker.service is {}, {}", service.active, service.file_state)))
}

/// The live command line, not what the files would make of it next time.
pub fn command_line(look: &Look<'_>) -> Result<Verdict> {
    let Some(live) = &look.facts.kubelet.command_line else {
        return Ok(Verdict::Fail("kubelet's live command line cannot be read".to_owned()));
    };
    let flags = kubelet_flags::parse(live.value.get(1..).unwrap_or_default());
    if let Some(flag) = flags.iter().find(|flag| kubelet_flags::docker_only(&flag.name)) {
        return Ok(Verdict::Fail(format!(
            "kubelet runs with --{}, which only Docker needs ({})",
            flag.name, live.origin
        )));
    }
    let value = |name: &str| flags.iter().rev().find(|flag| flag.name == name).and_then(|flag| flag.value.as_deref());
    Ok(match (value("container-runtime-endpoint"), &look.facts.kubelet.endpoint) {
        (Some(endpoint), _) if same_endpoint(endpoint, &look.desired.endpoint) => {
            Verdict::Pass(format!("--container-runtime-endpoint={endpoint} ({})", live.origin))
        }
        (Some(endpoint), _) => Verdict::Fail(format!("kubelet runs with endpoint {endpoint} ({})", live.origin)),
        (None, Some(file)) if same_endpoint(&file.value, &look.desired.endpoint) => {
            Verdict::Pass(format!("no flag beats {}", file.origin))
        }
        (None, _) => Verdict::Fail(format!("kubelet runs without a runtime endpoint ({})", live.origin)),
    })
}
