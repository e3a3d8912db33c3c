//! A runtime's pods, containers and images as lines.

use super::table::{bytes, pad};
use crate::model::RuntimeView;

/// How much of an id is shown; `crictl` shows as much.
const ID: usize = 13;

fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..ID).unwrap_or(id)
}

/// What `crictl` would show.
pub fn runtime(view: &RuntimeView) -> String {
    let mut text = format!("\n{} at {}, CRI {}\n", view.runtime, view.endpoint, view.api);
    for condition in &view.conditions {
        text.push_str(&format!("  {condition}\n"));
    }
    for handler in &view.handlers {
        let program = if handler.program.is_empty() { "runc" } else { &handler.program };
        let driver = handler.cgroup_driver.as_deref().unwrap_or("not told");
        text.push_str(&format!(
            "  handler {}: {program} by {}, cgroup driver {driver}\n",
            handler.name, handler.runtime_type
        ));
    }
    if let Some(image) = &view.sandbox_image {
        text.push_str(&format!("  sandbox image {image}\n"));
    }
    let head = |text: &mut String, title: &str, count: usize| text.push_str(&format!("\n{title} ({count})\n"));
    head(&mut text, "Pods", view.pods.len());
    for pod in &view.pods {
        let state = if pod.ready { "ready" } else { "not ready" };
        text.push_str(&format!("  {} {} {}\n", pad(short(&pod.id), ID), pad(state, 9), pod.name));
    }
    head(&mut text, "Containers", view.containers.len());
    for container in &view.containers {
        let (id, pod) = (pad(short(&container.id), ID), pad(short(&container.pod), ID));
        text.push_str(&format!("  {id} {pod} {} {} {}\n", pad(&container.state, 9), container.name, container.image));
    }
    head(&mut text, "Images", view.images.len());
    for image in &view.images {
        let pinned = if image.pinned { " (pinned)" } else { "" };
        let names = if image.names.is_empty() { "<none>".to_owned() } else { image.names.join(", ") };
        text.push_str(&format!("  {} {} {names}{pinned}\n", pad(short(&image.id), ID), pad(&bytes(image.size), 9)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ImageView, PodView};

    #[test]
    fn ids_are_cut_and_nothing_else_is() {
        let view = RuntimeView {
            runtime: "containerd 1.7.24".to_owned(),
            pods: vec![PodView { id: "0123456789abcdef".to_owned(), name: "kube-system/dns".to_owned(), ready: true }],
            images: vec![ImageView { id: "sha256:fedcba9876543210".to_owned(), size: 1500, ..ImageView::default() }],
            ..RuntimeView::default()
        };
        let text = runtime(&view);
        assert!(text.contains("  0123456789abc ready     kube-system/dns\n"), "{text}");
        assert!(text.contains("  fedcba9876543 1.5 kB    <none>\n"), "{text}");
    }
}
