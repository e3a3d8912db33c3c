//! Units: their state, and what their files make of a service (command line, environment).

use super::{UNITS, files::Files};
use crate::{
    checks::UNITS_UNSEEN,
    formats::{service, specifiers::has_unknown, unit_file::UnitFile},
    host::{Host, TreeUnits, UnitState, Units as _},
    model::{Dependent, Facts, Origin, UnitFacts, Unseen},
};
use std::{collections::BTreeMap, rc::Rc};

pub use crate::formats::service::Service;

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

/// Reads a unit's files. Needs [`probe_units`] first.
pub fn read(unit: &UnitFacts, files: &mut Files<'_>) -> Service {
    let service = service::read(&unit_files(unit, files), files);
    for named in service.env_files.iter().filter(|named| !named.there && has_unknown(&named.path)) {
        let why = "an environment file whose specifiers castoff does not know: what it sets is unknown";
        files.unseen_once(&named.path, why);
    }
    service
}

/// The environment of a unit as its files make it. Needs [`probe_units`] first.
pub fn variables(unit: &UnitFacts, files: &mut Files<'_>) -> BTreeMap<String, (String, Origin)> {
    let found = read(unit, files).environment.into_iter();
    found.map(|(name, variable)| (name, (variable.value, variable.origin))).collect()
}

/// A unit's file and drop-ins in systemd's order, parsed.
pub fn unit_files(unit: &UnitFacts, files: &mut Files<'_>) -> Vec<(String, UnitFile)> {
    // The "file" of a masked unit is a link to /dev/null.
    if unit.load == "masked" || unit.file_state == "masked" {
        return Vec::new();
    }
    let paths: Vec<String> = unit.fragment.iter().chain(&unit.drop_ins).cloned().collect();
    paths.into_iter().filter_map(|path| Some((path.clone(), UnitFile::parse(&files.text(&path)?)))).collect()
}
