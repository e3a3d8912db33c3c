//! What kubelet.service depends on: containerd instead of Docker.

use super::{
    CONTAINERD,
    draft::Draft,
    service::{self, is_packaged},
};
use crate::{
    formats::{
        unit_edit::{self, Op},
        unit_file::{self, Need, UnitFile},
    },
    model::{DOCKER_UNITS, Origin, Severity},
};
use std::collections::BTreeMap;

const UNIT: &str = "kubelet.service";
const WHY: &str = "kubelet must not depend on Docker's units, but start behind containerd";

/// Dependencies that keep kubelet from starting, or stop it, once Docker is gone.
const STRONG: [&str; 4] = ["Requires", "BindsTo", "Requisite", "PartOf"];

/// Changes what kubelet.service depends on.
pub fn dependencies(draft: &mut Draft<'_>) {
    let files = service::files(draft, UNIT);
    let needs = unit_file::needs(&files, &DOCKER_UNITS);
    let mut by_file: BTreeMap<String, Vec<Need>> = BTreeMap::new();
    for need in needs {
        by_file.entry(need.path.clone()).or_default().push(need);
    }
    let mut weak = false;
    for (path, needs) in by_file {
        let strong = needs.iter().any(|need| STRONG.contains(&need.key.as_str()));
        if !is_packaged(draft.facts, &path) {
            rename(draft, &path, &path, &needs);
        } else if strong {
            // systemd cannot take a dependency back in a drop-in; a file of the same name in /etc takes the place of
            // the package's.
            let name = path.rsplit('/').next().unwrap_or(UNIT);
            let dir = if name == UNIT { String::new() } else { format!("{UNIT}.d/") };
            let own = format!("/etc/systemd/system/{dir}{name}");
            if own == path {
                linked(draft, &path);
                continue;
            }
            if name == UNIT {
                copied(draft, &path);
            }
            rename(draft, &path, &own, &needs);
        } else {
            weak = true;
        }
    }
    let leaves = draft.facts.is_on_docker() || draft.facts.is_half_migrated();
    if weak || leaves && cannot_be_enabled(draft) {
        behind_containerd(draft);
    }
    links(draft);
}

/// Puts containerd in the place of Docker's units in the settings of one file.
fn rename(draft: &mut Draft<'_>, from: &str, to: &str, needs: &[Need]) {
    let mut text = draft.text(from).unwrap_or_default().to_owned();
    let mut lines: Vec<u32> = needs.iter().map(|need| need.line).collect();
    lines.sort_unstable();
    lines.dedup();
    for line in lines.into_iter().rev() {
        let unit = UnitFile::parse(&text);
        let value = unit.entries().iter().find(|entry| entry.line == line).map(|entry| entry.value.clone());
        let value = value.unwrap_or_default();
        let mut has = value.split_whitespace().any(|name| name == CONTAINERD);
        let ops = value.split_whitespace().map(|name| match (DOCKER_UNITS.contains(&name), has) {
            (false, _) => Op::Keep,
            (true, true) => Op::Drop,
            (true, false) => {
                has = true;
                Op::Set(CONTAINERD.to_owned())
            }
        });
        let ops: Vec<Op> = ops.collect();
        match unit_edit::with_words(&text, line, &ops, &[]) {
            Ok(after) => text = after,
            Err(error) => {
                return draft.not_editable(from, &error, "put containerd.service where Docker's units are named");
            }
        }
    }
    draft.write("kubelet-unit", to, &text, WHY);
}

/// A dependency on a unit that is masked does no harm; what is missing is containerd.
fn behind_containerd(draft: &mut Draft<'_>) {
    let files = service::files(draft, UNIT);
    let known = unit_file::needs(&files, &[CONTAINERD]);
    let settings = ["Wants", "After"].into_iter().filter(|key| !known.iter().any(|need| need.key == *key));
    let settings: Vec<(&str, &str)> = settings.map(|key| (key, CONTAINERD)).collect();
    if !settings.is_empty() {
        service::override_with(draft, UNIT, "Unit", &settings, "kubelet-unit", WHY);
    }
}

/// True where nothing starts containerd at boot but a unit that wants it: its own names no target that would.
pub fn cannot_be_enabled(draft: &Draft<'_>) -> bool {
    let state = draft.facts.unit(CONTAINERD).file_state;
    let files = service::files(draft, CONTAINERD);
    let mut entries = files.first().into_iter().flat_map(|(_, file)| file.entries());
    let wanted = entries.any(|entry| {
        entry.section == "Install" && matches!(entry.key.as_str(), "WantedBy" | "RequiredBy") && !entry.value.is_empty()
    });
    !wanted && matches!(state.as_str(), "disabled" | "linked" | "indirect" | "static")
}

/// A link in /etc to a package's file cannot be edited without editing the package's.
fn linked(draft: &mut Draft<'_>, path: &str) {
    draft.find(
        "kubelet-requires-docker",
        Severity::Block,
        "kubelet.service cannot start without Docker's unit",
        &format!("{path} says so, and it is a link to a file of a package"),
        "put a copy of that file in the place of the link, then plan again",
        path,
    );
}

fn copied(draft: &mut Draft<'_>, path: &str) {
    draft.find(
        "kubelet-unit-copied",
        Severity::Note,
        "kubelet.service is copied to /etc, because the package's unit requires Docker",
        "systemd cannot take back a dependency in a drop-in",
        "compare the copy when the package changes its unit",
        path,
    );
}

/// A package's own link below `kubelet.service.requires` cannot be taken back; links of an administrator go when
/// Docker's units are disabled.
fn links(draft: &mut Draft<'_>) {
    let by_link = |need: &&crate::model::UnitNeed| {
        let path = need.origin.path.as_deref().unwrap_or_default();
        need.key == "Requires" && path.contains(".requires/") && is_packaged(draft.facts, path)
    };
    let found: Vec<Origin> =
        draft.facts.kubelet.docker_needs.iter().filter(by_link).map(|n| n.origin.clone()).collect();
    for origin in found {
        let path = origin.path.clone().unwrap_or_default();
        draft.find(
            "kubelet-requires-docker",
            Severity::Block,
            "kubelet.service cannot start without Docker's unit",
            &format!("{path} is a link that a package brings"),
            &format!("remove it: rm {path}"),
            &path,
        );
    }
}
