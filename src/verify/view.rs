//! What a runtime shows of itself.

use crate::{
    host::{CriStatus, Host},
    model::{ContainerView, HandlerView, ImageView, PodView, RuntimeView},
};
use anyhow::Result;
use serde_json::Value;

/// Asks the runtime behind an endpoint. Only looks.
///
/// # Errors
/// When nobody answers there.
pub fn view(host: &Host, endpoint: &str) -> Result<RuntimeView> {
    let cri = host.cri(endpoint)?;
    let version = cri.version()?;
    let status = cri.status(true)?;
    let config = config(&status);
    let condition = |c: &crate::host::CriCondition| {
        let why = if c.status { String::new() } else { format!(" ({} {})", c.reason, c.message) };
        format!("{}: {}{why}", c.kind, c.status)
    };
    let pod = |pod: crate::host::Sandbox| PodView {
        name: format!("{}/{}", pod.namespace, pod.name),
        id: pod.id,
        ready: pod.ready,
    };
    let container = |container: crate::host::Container| ContainerView {
        state: format!("{:?}", container.state).to_lowercase(),
        id: container.id,
        name: container.name,
        pod: container.sandbox_id,
        image: container.image,
    };
    let image = |image: crate::host::CriImage| ImageView {
        names: image.tags.into_iter().chain(image.digests).collect(),
        id: image.id,
        size: image.size,
        pinned: image.pinned,
    };
    Ok(RuntimeView {
        endpoint: endpoint.to_owned(),
        runtime: format!("{} {}", version.runtime_name, version.runtime_version),
        api: cri.api()?.word().to_owned(),
        conditions: status.conditions.iter().map(condition).collect(),
        handlers: handlers(&config),
        sandbox_image: sandbox_image(&config),
        pods: cri.sandboxes()?.into_iter().map(pod).collect(),
        containers: cri.containers()?.into_iter().map(container).collect(),
        images: cri.images()?.into_iter().map(image).collect(),
    })
}

/// The configuration a containerd has loaded, as its status has it; nothing from other runtimes.
pub(super) fn config(status: &CriStatus) -> Value {
    status.info.get("config").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The sandbox image of a loaded configuration (1.x; 2.x keeps it with the images).
pub(super) fn sandbox_image(config: &Value) -> Option<String> {
    config.get("sandboxImage").and_then(Value::as_str).map(str::to_owned)
}

/// The snapshotter of a loaded configuration (1.x; 2.x keeps it with the images).
pub(super) fn snapshotter(config: &Value) -> Option<String> {
    config.pointer("/containerd/snapshotter").and_then(Value::as_str).map(str::to_owned)
}

fn handlers(config: &Value) -> Vec<HandlerView> {
    let Some(runtimes) = config.pointer("/containerd/runtimes").and_then(Value::as_object) else { return Vec::new() };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let view = |(name, runtime): (&String, &Value)| {
        let options = runtime.get("options");
        let driver = |on: bool| if on { "systemd" } else { "cgroupfs" }.to_owned();
        HandlerView {
            name: name.clone(),
            runtime_type: text(runtime, "runtimeType"),
            program: options.map(|options| text(options, "BinaryName")).unwrap_or_default(),
            cgroup_driver: options.and_then(|options| options.get("SystemdCgroup")?.as_bool()).map(driver),
        }
    };
    runtimes.iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_as_containerd_tells_them() {
        let config = serde_json::json!({ "containerd": { "runtimes": {
            "runc": { "runtimeType": "io.containerd.runc.v2", "options": { "SystemdCgroup": true, "BinaryName": "" } },
            "kata": { "runtimeType": "io.containerd.kata.v2", "options": null },
        } } });
        let found = handlers(&config);
        let runc = found.iter().find(|handler| handler.name == "runc").unwrap();
        assert_eq!((runc.cgroup_driver.as_deref(), runc.program.as_str()), (Some("systemd"), ""));
        assert!(found.iter().any(|handler| handler.name == "kata" && handler.cgroup_driver.is_none()));
        assert!(handlers(&Value::Null).is_empty());
    }
}
