//! Docker's own configuration: its cgroup driver, so that it agrees with the rest whenever it runs again.

use super::{
    draft::Draft,
    service::{self, CommandChange},
};
use crate::{
    formats::{daemon_json::DaemonJson, unit_edit::Op},
    model::{CgroupDriver, Goal, OriginKind, Severity, Verdict},
};

const UNIT: &str = "docker.service";
const WHY: &str = "Docker agrees with kubelet whenever it runs again";

/// Adds the step that sets Docker's cgroup driver to systemd. A Docker that retires needs it only if it ever runs again: what
/// cannot be edited stands in nobody's way then. False where Docker keeps another driver.
pub fn daemon_json(draft: &mut Draft<'_>) -> bool {
    let (steps, findings) = (draft.steps.len(), draft.findings.len());
    set_driver(draft);
    if draft.desired.goal == Goal::Containerd {
        draft.findings.iter_mut().skip(findings).for_each(|finding| finding.severity = Severity::Warn);
    }
    let now = draft.facts.docker.cgroup_driver.as_ref().map(|driver| driver.value);
    now == Some(CgroupDriver::Systemd) || draft.steps.len() > steps
}

fn set_driver(draft: &mut Draft<'_>) {
    let Some(driver) = &draft.facts.docker.cgroup_driver else { return };
    if driver.value == CgroupDriver::Systemd {
        return;
    }
    // A flag and the file together keep dockerd from starting, so the flag changes where it stands.
    if driver.origin.kind == OriginKind::Flag {
        return flag(draft);
    }
    // Another option may stand there as a flag; the same key in the file would keep dockerd from starting as well.
    let options = draft.facts.docker.setting("exec-opts");
    if options.is_some_and(|setting| setting.origin.kind == OriginKind::Flag) {
        return;
    }
    let path = draft.facts.docker.config_path().to_owned();
    if draft.facts.files.contains_key(&path) && !draft.facts.texts.contains_key(&path) {
        return;
    }
    let text = draft.facts.texts.get(&path).cloned().unwrap_or_default();
    let after = DaemonJson::parse(&text).and_then(|json| json.with_exec_opt("native.cgroupdriver", "systemd"));
    match after {
        Ok(after) => {
            draft.write("docker-config", &path, &after, WHY);
        }
        Err(error) => draft.not_editable(&path, &error, "set native.cgroupdriver=systemd by hand"),
    }
}

/// Says what becomes of the cgroup driver in `exec-opts`: everything is on systemd's afterwards, Docker too if it `follows`.
pub fn judge_driver(draft: &mut Draft<'_>, follows: bool) {
    let Some(setting) = draft.facts.docker.setting("exec-opts") else { return };
    // Any other option is a person's to look at.
    let drivers = |text: &str| text.trim().to_ascii_lowercase().starts_with("native.cgroupdriver=");
    let only = match &setting.value {
        serde_json::Value::Array(items) => items.iter().all(|item| item.as_str().is_some_and(drivers)),
        other => other.as_str().is_some_and(drivers),
    };
    if !only {
        return;
    }
    let note = match draft.facts.docker.cgroup_driver.as_ref().map(|driver| driver.value) {
        Some(CgroupDriver::Systemd) => "containerd uses systemd's driver too",
        _ if !follows => "containerd and kubelet use systemd's driver; Docker, which retires, keeps its own",
        _ => "changed on the way: everything uses systemd's driver afterwards",
    };
    let target = "SystemdCgroup in containerd's configuration, cgroupDriver in kubelet's";
    draft.judge("exec-opts", Verdict::Carried, Some(target), note);
}

/// Changes `--exec-opt native.cgroupdriver=…` in dockerd's command line.
fn flag(draft: &mut Draft<'_>) {
    const OPTION: &str = "native.cgroupdriver=";
    let service = service::read(draft, UNIT);
    let ops: Vec<Op> = service
        .words
        .iter()
        .map(|word| match word.text.split_once(OPTION) {
            Some((before, _)) => Op::Set(format!("{before}{OPTION}systemd")),
            None => Op::Keep,
        })
        .collect();
    if ops.iter().all(|op| *op == Op::Keep) {
        return draft.find(
            "docker-cgroup-flag",
            Severity::Warn,
            "Docker's cgroup driver is set by a flag that castoff cannot find in its unit's files",
            "dockerd is started by something else than docker.service's own command line",
            "set `--exec-opt native.cgroupdriver=systemd` where the flag stands",
            UNIT,
        );
    }
    let change = CommandChange { service: &service, ops, append: None };
    service::change(draft, UNIT, &change, "docker-flags", WHY);
}
