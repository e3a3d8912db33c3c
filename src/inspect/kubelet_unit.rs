//! What kubelet.service does with Docker besides depending on its units: commands around kubelet's own, and conditions.
//! kubelet's command line is the plan's business.

use super::users::called_script;
use crate::{
    formats::{
        mentions,
        unit_file::{self, UnitFile},
    },
    host::Host,
    model::{Origin, UnitUse},
};

/// Commands of a unit, and whether the unit fails with them (systemd.service(5)).
const COMMANDS: [(&str, bool); 6] = [
    ("ExecCondition", true),
    ("ExecStartPre", true),
    ("ExecStartPost", true),
    ("ExecReload", false),
    ("ExecStop", false),
    ("ExecStopPost", false),
];

/// Files that are there only while Docker or cri-dockerd runs.
const OF_DAEMONS: [&str; 3] = ["docker.sock", "docker.pid", "cri-dockerd.sock"];

/// Looks through kubelet's unit file and drop-ins, in systemd's order.
pub fn docker_uses(host: &Host, declared: &[(String, UnitFile)]) -> Vec<UnitUse> {
    let mut found = conditions(declared);
    let units: Vec<(&str, &UnitFile)> = declared.iter().map(|(path, unit)| (path.as_str(), unit)).collect();
    for (key, fails) in COMMANDS {
        for (value, path, line) in unit_file::effective(&units, "Service", key) {
            let said = mentions::in_line(&value).map(|(_, what)| what).or_else(|| mentions::asks_after(&value));
            let said = said.map(|what| (what, Origin::unit(path, Some(line))));
            let script = || called_script(host, &value).map(|(path, at)| (at.value.1, Origin::file(path, at.line)));
            let Some((what, origin)) = said.or_else(script) else { continue };
            let mut prefixes = value.chars().take_while(|c| "@-:+!|".contains(*c));
            let forgiven = prefixes.any(|c| c == '-') || value.contains("|| true") || value.contains("|| :");
            found.push(UnitUse { key: key.to_owned(), what, needed: fails && !forgiven, origin });
        }
    }
    found
}

/// Conditions and assertions on paths of Docker's. An empty assignment takes all of their kind back (systemd.unit(5)).
fn conditions(declared: &[(String, UnitFile)]) -> Vec<UnitUse> {
    let mut found: Vec<UnitUse> = Vec::new();
    for (path, file) in declared {
        for entry in file.entries().iter().filter(|entry| entry.section == "Unit") {
            let Some(kind) = ["Condition", "Assert"].into_iter().find(|kind| entry.key.starts_with(kind)) else {
                continue;
            };
            if entry.value.is_empty() {
                found.retain(|earlier| !earlier.key.starts_with(kind));
                continue;
            }
            // `|`: one of several will do; `!`: it is fine that the path is gone.
            let test = entry.value.trim_start_matches(['|', '!']);
            let name = test.rsplit('/').next().unwrap_or_default();
            let with_daemon = OF_DAEMONS.contains(&name);
            let with_package = matches!(name, "docker" | "dockerd") || test.starts_with("/var/lib/docker/");
            if test.starts_with('/') && (with_daemon || with_package) {
                found.push(UnitUse {
                    key: entry.key.clone(),
                    what: entry.value.clone(),
                    needed: with_daemon && test == entry.value,
                    origin: Origin::unit(path, Some(entry.line)),
                });
            }
        }
    }
    found
}
