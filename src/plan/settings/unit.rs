//! containerd's unit: shims must outlive its restart, and their cgroups are not systemd's to tidy.

use super::{Carried, Draft, PUBLIC, drop_in};
use crate::model::Severity;

const NAME: &str = "50-castoff-unit";
const WHY: &str = "pods must outlive a restart of containerd";

/// Adds the drop-in that the unit needs.
pub fn carry(draft: &mut Draft<'_>, carried: &mut Carried) {
    if draft.facts.unit("containerd.service").fragment.is_none() {
        return;
    }
    let says = |key: &str| draft.facts.surroundings.service_setting("containerd.service", key);
    let delegates = says("Delegate").is_some_and(|said| !matches!(said.value.as_str(), "no" | "false" | "0" | "off"));
    let mut lines = Vec::new();
    let mut causes = Vec::new();
    if !delegates {
        lines.push("Delegate=yes");
        causes.push("Delegate= is not set: systemd may move containers out of their cgroups");
    }
    if says("KillMode").is_none_or(|said| said.value != "process") {
        lines.push("KillMode=process");
        causes.push("KillMode= is not `process`: a restart of containerd would kill every pod");
    }
    if lines.is_empty() {
        return;
    }
    if says("TasksMax").is_none() {
        lines.push("TasksMax=infinity");
    }
    let text = format!("# Written by castoff: as containerd's own unit has it.\n[Service]\n{}\n", lines.join("\n"));
    carried.file("containerd-unit", &drop_in(NAME), text, PUBLIC, WHY);
    let fragment = draft.facts.unit("containerd.service").fragment.unwrap_or_default();
    draft.find(
        "containerd-unit-kills-pods",
        Severity::Warn,
        "containerd.service lacks what keeps pods alive",
        &causes.join("; "),
        "the plan adds a drop-in",
        &fragment,
    );
}
