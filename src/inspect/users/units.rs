//! Units that need or use Docker: by their files, and on a live node by what systemd says of Docker's own units.

use super::{DockerUser, Origin, Tie, UserKind, called_script, small_text};
use crate::{
    formats::{
        mentions,
        unit_file::{Entry, UnitFile},
    },
    host::{EntryKind, Host, unit_links},
    model::{DOCKER_UNITS, Dependent, Facts},
};
use std::collections::BTreeSet;

/// Unit files that are looked into, drop-ins included. A distribution has some hundreds.
const MAX_UNITS: usize = 3000;

/// Units of Docker itself and of what takes its place.
pub const OWN: [&str; 6] = ["docker", "containerd", "cri-docker", "crio", "kubelet", "buildkit"];

/// Endings of the unit types that run or start something.
const TYPES: [&str; 7] = [".service", ".timer", ".path", ".socket", ".target", ".mount", ".slice"];

/// Looks at the files, then fills the dependents of Docker's units where systemd did not tell them.
pub fn probe(host: &Host, facts: &mut Facts, found: &mut Vec<DockerUser>) {
    let mut budget = MAX_UNITS;
    let mut seen = BTreeSet::new();
    let mut places = BTreeSet::new();
    for dir in unit_links::UNIT_DIRS {
        // Where /lib is a link to /usr/lib both are one directory.
        let Some(real) = host.root.target(dir).filter(|real| places.insert(real.clone())) else { continue };
        for (name, kind) in host.root.list(&real).unwrap_or_default() {
            let path = format!("{dir}/{name}");
            match kind {
                EntryKind::Dir => directory(host, &name, &path, &mut budget, found),
                EntryKind::File | EntryKind::Link if is_unit(&name) && seen.insert(name.clone()) && budget > 0 => {
                    budget -= 1;
                    // A mask, or the link that enables an alias.
                    let elsewhere = host.root.link(&path).is_none_or(|target| {
                        target != "/dev/null" && !unit_links::UNIT_DIRS.iter().any(|dir| target.starts_with(dir))
                    });
                    if elsewhere && !is_own(&name) {
                        file(host, &name, &path, found);
                    }
                }
                _ => {}
            }
        }
    }
    dependents(facts, found);
}

fn is_unit(name: &str) -> bool {
    TYPES.iter().any(|ending| name.ends_with(ending))
}

fn is_own(unit: &str) -> bool {
    let stem = unit.split(['.', '@']).next().unwrap_or(unit);
    OWN.contains(&stem) || OWN.iter().any(|own| stem == format!("{own}d"))
}

/// `NAME.d` holds drop-ins, `docker.service.wants` what Docker's start brings along.
fn directory(host: &Host, name: &str, path: &str, budget: &mut usize, found: &mut Vec<DockerUser>) {
    if let Some(unit) = name.strip_suffix(".d").filter(|unit| is_unit(unit) && !is_own(unit)) {
        for (inner, _) in host.root.list(path).unwrap_or_default() {
            if inner.ends_with(".conf") && *budget > 0 {
                *budget -= 1;
                file(host, unit, &format!("{path}/{inner}"), found);
            }
        }
    }
    let Some((owner, _)) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "wants" | "requires" | "upholds"))
    else {
        return;
    };
    if !is_dockers(owner) {
        return;
    }
    for (inner, _) in host.root.list(path).unwrap_or_default().into_iter().filter(|(inner, _)| !is_own(inner)) {
        let origin = Origin::unit(format!("{path}/{inner}"), None);
        found.push(user(&inner, Tie::StartedBy, format!("{name}/"), origin));
    }
}

fn is_dockers(unit: &str) -> bool {
    DOCKER_UNITS.contains(&unit)
}

fn user(unit: &str, tie: Tie, detail: String, origin: Origin) -> DockerUser {
    DockerUser { kind: UserKind::Unit, name: unit.to_owned(), tie, detail, origin }
}

fn file(host: &Host, unit: &str, path: &str, found: &mut Vec<DockerUser>) {
    let Some(text) = small_text(host, path) else { return };
    // Most units never say the word, neither in themselves nor in what they call; spare the rest.
    let mut scripts = 0;
    for entry in UnitFile::parse(&text).entries() {
        if let Some((tie, detail)) = tie_of(entry) {
            found.push(user(unit, tie, detail, Origin::unit(path, Some(entry.line))));
        }
        if entry.key.starts_with("Exec") && scripts < 8 {
            scripts += 1;
            if let Some((script, at)) = called_script(host, &entry.value) {
                let (tie, detail) = at.value;
                found.push(user(unit, tie, detail, Origin::file(script, at.line)));
            }
        }
    }
}

fn tie_of(entry: &Entry) -> Option<(Tie, String)> {
    match (entry.section.as_str(), entry.key.as_str()) {
        ("Unit", key @ ("Requires" | "Requisite" | "BindsTo" | "PartOf" | "Wants" | "Upholds")) => {
            let named = entry.value.split_whitespace().find(|name| is_dockers(name))?;
            let tie = if matches!(key, "Wants" | "Upholds") { Tie::Wants } else { Tie::Requires };
            Some((tie, format!("{key}={named}")))
        }
        ("Unit", key) if key.starts_with("Condition") || key.starts_with("Assert") => {
            let named = entry.value.contains("docker.sock") || entry.value.ends_with("/docker");
            named.then(|| (Tie::Wants, format!("{key}={}", entry.value.trim_start_matches(['|', '!']))))
        }
        ("Service", key) if key.starts_with("Exec") || key == "Environment" => mentions::in_line(&entry.value),
        _ => None,
    }
}

/// A live systemd knows better, also what generators made; a file tree has only its files.
fn dependents(facts: &mut Facts, found: &[DockerUser]) {
    for name in ["docker.service", "docker.socket"] {
        let Some(unit) = facts.units.get_mut(name).filter(|unit| unit.active.is_empty()) else { continue };
        for user in found {
            let kind = match user.tie {
                Tie::Requires | Tie::Wants => {
                    user.detail.split_once('=').filter(|(_, of)| *of == name).map(|(kind, _)| kind)
                }
                Tie::StartedBy => user.detail.strip_prefix(name).map(|_| "WantedBy"),
                _ => None,
            };
            if let Some(kind) = kind {
                unit.dependents.push(Dependent { unit: user.name.clone(), kind: kind.to_owned() });
            }
        }
        unit.dependents.sort();
        unit.dependents.dedup();
    }
}
