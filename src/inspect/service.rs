//! Units: their state, and what their files make of a service (command line, environment).

use super::{UNITS, files::Files};
use crate::{
    checks::UNITS_UNSEEN,
    formats::{
        env_file::EnvFile,
        unit_file::{self, UnitFile},
    },
    host::{Host, TreeUnits, UnitState, Units as _},
    model::{Dependent, Facts, Origin, UnitFacts, Unseen},
};
use std::{collections::BTreeMap, rc::Rc};

/// Looks at the units that matter. Where systemd does not answer, their files still tell what is installed and enabled;
/// only what runs is unknown then.
pub fn probe_units(host: &Host, facts: &mut Facts) {
    let silent = if host.is_live() { host.units.available().err() } else { None };
    let files = TreeUnits::new(Rc::clone(&host.root));
    if let Some(why) = &silent {
        facts.unseen.push(Unseen { what: UNITS_UNSEEN.to_owned(), why: why.clone() });
    }
    for name in UNITS {
        let state = if silent.is_some() { files.state(name) } else { host.units.state(name) };
        match state {
            Ok(state) => {
                let unit = unit_facts(state, host.is_live() && silent.is_none());
                if unit.is_there() {
                    facts.units.insert(name.to_owned(), unit);
                }
            }
            Err(error) => facts.unseen.push(Unseen { what: name.to_owned(), why: format!("{error:#}") }),
        }
    }
}

fn unit_facts(state: UnitState, live: bool) -> UnitFacts {
    let dependents = if live && state.name.starts_with("docker.") { dependents(&state) } else { Vec::new() };
    let mut requires = state.requires;
    requires.extend(state.binds_to);
    requires.sort();
    requires.dedup();
    UnitFacts {
        dependents,
        load: state.load,
        active: if live { state.active } else { String::new() },
        file_state: state.file_state,
        fragment: state.fragment,
        drop_ins: state.drop_ins,
        requires,
    }
}

/// Who depends on a unit, as systemd says. Targets that want it are how it is enabled, and Docker's units need each
/// other.
fn dependents(state: &UnitState) -> Vec<Dependent> {
    let kinds = [
        ("Requires", &state.required_by),
        ("BindsTo", &state.bound_by),
        ("Requisite", &state.requisite_of),
        ("PartOf", &state.consists_of),
        ("Wants", &state.wanted_by),
    ];
    let of = |(kind, units): (&str, &Vec<String>)| {
        let others = units.iter().filter(|unit| !unit.ends_with(".target") && !unit.starts_with("docker."));
        others.map(|unit| Dependent { unit: unit.clone(), kind: kind.to_owned() }).collect::<Vec<_>>()
    };
    let mut all: Vec<Dependent> = kinds.into_iter().flat_map(of).collect();
    all.sort();
    all
}

/// One word of a command line, with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word, variables expanded.
    pub text: String,
    /// The unit file or environment file.
    pub origin: Origin,
    /// The variable it came out of.
    pub variable: Option<String>,
}

/// A service as its files make it.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// The command line of the last `ExecStart=` that counts.
    pub words: Vec<Word>,
}

/// Reads a unit's files. Needs [`probe_units`] first.
pub fn read(unit: &UnitFacts, files: &mut Files<'_>) -> Service {
    // The "file" of a masked unit is a link to /dev/null.
    if unit.load == "masked" || unit.file_state == "masked" {
        return Service::default();
    }
    let paths: Vec<String> = unit.fragment.iter().chain(&unit.drop_ins).cloned().collect();
    let parsed: Vec<(String, UnitFile)> =
        paths.iter().filter_map(|path| Some((path.clone(), UnitFile::parse(&files.text(path)?)))).collect();
    let units: Vec<(&str, &UnitFile)> = parsed.iter().map(|(path, unit)| (path.as_str(), unit)).collect();
    let environment = environment(&units, files);
    let Some((value, path, line)) = unit_file::effective(&units, "Service", "ExecStart").pop() else {
        return Service::default();
    };
    let here = Origin::unit(path, Some(line));
    let mut words = Vec::new();
    for word in unit_file::split_exec(&value).words {
        let lookup = |name: &str| environment.get(name).map(|(value, _)| value.clone());
        // Only a whole-word `$VAR` brings words of its own, with an origin of their own.
        let whole = match &word.expand {
            unit_file::Expand::Words(name) => environment.get_key_value(name),
            _ => None,
        };
        let (origin, variable) = match whole {
            Some((name, (_, origin))) => (origin.clone(), Some(name.clone())),
            None => (here.clone(), None),
        };
        for text in unit_file::expand(std::slice::from_ref(&word), &lookup) {
            words.push(Word { text, origin: origin.clone(), variable: variable.clone() });
        }
    }
    Service { words }
}

/// `Environment=` first, `EnvironmentFile=` over it, later files over earlier ones (systemd.exec(5)).
pub(super) fn environment(units: &[(&str, &UnitFile)], files: &mut Files<'_>) -> BTreeMap<String, (String, Origin)> {
    let mut environment = BTreeMap::new();
    for (value, path, line) in unit_file::effective(units, "Service", "Environment") {
        for (name, value) in unit_file::environment_assignments(&value) {
            environment.insert(name, (value, Origin::unit(path, Some(line))));
        }
    }
    for (value, ..) in unit_file::effective(units, "Service", "EnvironmentFile") {
        let path = value.strip_prefix('-').unwrap_or(&value).to_owned();
        let Some(text) = files.text(&path) else { continue };
        for (name, at) in EnvFile::parse(&text).vars() {
            environment.insert(name, (at.value, Origin::env_file(&path, at.line)));
        }
    }
    environment
}
