//! What CRI answers.

use super::{Look, Verdict};
use crate::images::canonical;
use anyhow::{Context as _, Result};
use serde_json::Value;

pub fn version(look: &Look<'_>) -> Result<Verdict> {
    let cri = look.host.cri(&look.desired.endpoint)?;
    let version = cri.version()?;
    let api = cri.api()?.word();
    Ok(Verdict::Pass(format!("{} {} speaks CRI {api}", version.runtime_name, version.runtime_version)))
}

/// A failing CRI plugin does not fail containerd: only containerd itself can say whether it was loaded.
pub fn plugin(look: &Look<'_>) -> Result<Verdict> {
    let containerd = look.host.doors.containerd(&look.desired.endpoint)?;
    let plugins = containerd.plugins().context("cannot ask containerd for its plugins")?;
    let Some(cri) = plugins.iter().find(|plugin| plugin.kind == "io.containerd.grpc.v1" && plugin.id == "cri") else {
        return Ok(Verdict::Fail("containerd has not loaded io.containerd.grpc.v1.cri".to_owned()));
    };
    Ok(match &cri.init_error {
        None => Verdict::Pass("containerd loaded io.containerd.grpc.v1.cri".to_owned()),
        Some(error) => Verdict::Fail(format!("io.containerd.grpc.v1.cri failed to load: {error}")),
    })
}

pub fn ready(look: &Look<'_>) -> Result<Verdict> {
    let status = look.host.cri(&look.desired.endpoint)?.status(false)?;
    if !status.runtime_ready {
        return Ok(Verdict::Fail("RuntimeReady is false".to_owned()));
    }
    if status.network_ready {
        return Ok(Verdict::Pass("RuntimeReady and NetworkReady".to_owned()));
    }
    let why = format!("NetworkReady is false: {} {}", status.network_reason, status.network_message);
    // Without CNI configuration only hostNetwork pods can run, which the user accepted by skipping `no-cni`.
    let accepted = look.desired.skip_checks.iter().any(|id| id == "no-cni");
    Ok(if accepted { Verdict::Pass(format!("RuntimeReady; {why} (accepted)")) } else { Verdict::Fail(why) })
}

/// What containerd really loaded, which a misspelt key leaves at its default.
pub fn loaded_driver(look: &Look<'_>) -> Result<Verdict> {
    let cri = look.host.cri(&look.desired.endpoint)?;
    let info = cri.status(true)?.info;
    let Some(config) = info.get("config") else {
        return Ok(Verdict::Skip("this containerd does not show its loaded configuration".to_owned()));
    };
    let config: Value = serde_json::from_str(config).context("containerd's loaded configuration is no JSON")?;
    let name = config.pointer("/containerd/defaultRuntimeName").and_then(Value::as_str).unwrap_or("runc");
    let options = config.pointer(&format!("/containerd/runtimes/{name}/options"));
    Ok(match options.and_then(|options| options.get("SystemdCgroup")).and_then(Value::as_bool) {
        Some(true) => Verdict::Pass(format!("containerd loaded SystemdCgroup = true for {name}")),
        Some(false) => Verdict::Fail(format!("containerd loaded SystemdCgroup = false for {name}")),
        // 1.3 and 1.4 keep the options undecoded and show none.
        None => Verdict::Skip(format!("this containerd does not show the options of {name}")),
    })
}

pub fn sandbox_image(look: &Look<'_>) -> Result<Verdict> {
    let Some(image) = &look.facts.containerd.sandbox_image else {
        return Ok(Verdict::Skip("containerd's own default is used; it is pulled when needed".to_owned()));
    };
    let found = look.host.cri(&look.desired.endpoint)?.image_status(&canonical(&image.value))?;
    Ok(match found {
        Some(_) => Verdict::Pass(format!("{} is in containerd's store", image.value)),
        None => Verdict::Fail(format!("{image} is not in containerd's store; no pod can start without a registry")),
    })
}
