//! Docker's own configuration: its cgroup driver, so that it agrees with the rest whenever it runs again.

use super::draft::Draft;
use crate::{
    formats::daemon_json::DaemonJson,
    model::{CgroupDriver, DAEMON_JSON, OriginKind},
};

/// Adds the step that sets Docker's cgroup driver to systemd.
pub fn daemon_json(draft: &mut Draft<'_>) {
    let Some(driver) = &draft.facts.docker.cgroup_driver else { return };
    // A flag and the file together keep dockerd from starting; the finding `docker-cgroup-flag` says so.
    if driver.value == CgroupDriver::Systemd || driver.origin.kind == OriginKind::Flag {
        return;
    }
    if draft.facts.files.contains_key(DAEMON_JSON) && !draft.facts.texts.contains_key(DAEMON_JSON) {
        return;
    }
    let text = draft.facts.texts.get(DAEMON_JSON).cloned().unwrap_or_default();
    let after = DaemonJson::parse(&text).and_then(|json| json.with_exec_opt("native.cgroupdriver", "systemd"));
    match after {
        Ok(after) => {
            draft.write("docker-config", DAEMON_JSON, &after, "Docker agrees with kubelet whenever it runs again");
        }
        Err(error) => draft.not_editable(DAEMON_JSON, &error, "set native.cgroupdriver=systemd by hand"),
    }
}
