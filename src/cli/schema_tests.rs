//! The committed schemas are those of the types; saved documents of every version are read by today's code and are valid; names
//! that are fixed are there.
//!
//! `UPDATE_SCHEMAS=1` writes `schemas/` anew. A change there is a change of what others rely on: look at it.
#![allow(clippy::disallowed_methods, reason = "it reads the checkout it was built from, not a node")]

use super::*;
use crate::model::{
    Bundle, Checks, Event, Facts, Findings, FleetReport, History, Images, Plan, Profile, RunAnswer, RunReport,
    Verification,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use std::{fs, path::PathBuf};

fn checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn schema<T: JsonSchema>(word: &str) -> Value {
    // For readers: what is not required may be missing in documents of older versions.
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    schema["$id"] = format!("urn:castoff:v1:{word}").into();
    schema
}

fn made(kind: Kind) -> Value {
    let word = kind.word();
    match kind {
        Kind::Facts => schema::<Facts>(&word),
        Kind::Plan => schema::<Plan>(&word),
        Kind::RunReport => schema::<RunReport>(&word),
        Kind::RunAnswer => schema::<RunAnswer>(&word),
        Kind::Verification => schema::<Verification>(&word),
        Kind::Findings => schema::<Findings>(&word),
        Kind::Checks => schema::<Checks>(&word),
        Kind::History => schema::<History>(&word),
        Kind::Images => schema::<Images>(&word),
        Kind::FleetReport => schema::<FleetReport>(&word),
        Kind::Events => schema::<Event>(&word),
        Kind::Profile => schema::<Profile>(&word),
        Kind::Bundle => schema::<Bundle>(&word),
    }
}

fn committed(kind: Kind) -> Value {
    let path = checkout(&format!("schemas/{}.json", kind.word()));
    serde_json::from_str(&fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is missing", path.display())))
        .unwrap()
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for kind in Kind::value_variants() {
        let made = made(*kind);
        if crate::host::env::is_set("UPDATE_SCHEMAS") {
            let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
            fs::create_dir_all(checkout("schemas")).unwrap();
            fs::write(checkout(&format!("schemas/{}.json", kind.word())), text).unwrap();
        }
        assert_eq!(committed(*kind), made, "schemas/{}.json: make it anew with UPDATE_SCHEMAS=1", kind.word());
    }
}

#[test]
fn the_program_holds_what_is_committed() {
    let all = all().unwrap();
    assert_eq!(all.len(), Kind::value_variants().len());
    for kind in Kind::value_variants() {
        assert!(all[&kind.word()] == committed(*kind), "{}: the program holds another one", kind.word());
    }
}

/// The part of JSON Schema that schemars uses; a keyword that is not known here is a failure, not a pass.
fn faults(value: &Value, schema: &Value, root: &Value, at: &str, found: &mut Vec<String>) {
    let Some(rules) = schema.as_object() else {
        if schema == &Value::Bool(false) {
            found.push(format!("{at}: nothing may be here"));
        }
        return;
    };
    let ok = |value: &Value, schema: &Value| {
        let mut faults_there = Vec::new();
        faults(value, schema, root, at, &mut faults_there);
        faults_there.is_empty()
    };
    for (rule, wanted) in rules {
        let list = || wanted.as_array().unwrap().iter();
        let holds = match rule.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "default" | "format" | "properties"
            | "examples" => true,
            "$ref" => {
                let target = root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap();
                faults(value, target, root, at, found);
                true
            }
            "type" => {
                let is = |word: &Value| match word.as_str().unwrap() {
                    "null" => value.is_null(),
                    "boolean" => value.is_boolean(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    other => panic!("type {other}"),
                };
                wanted.as_array().map_or_else(|| is(wanted), |words| words.iter().any(is))
            }
            "const" => value == wanted,
            "enum" => list().any(|one| one == value),
            "anyOf" => list().any(|one| ok(value, one)),
            "oneOf" => list().filter(|one| ok(value, one)).count() == 1,
            "allOf" => list().all(|one| ok(value, one)),
            "minimum" => value.as_f64().is_none_or(|value| value >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|value| value <= wanted.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    faults(item, wanted, root, &format!("{at}[{number}]"), found);
                }
                true
            }
            "prefixItems" => {
                value.as_array().is_none_or(|items| list().zip(items).all(|(schema, item)| ok(item, schema)))
            }
            "required" => {
                value.as_object().is_none_or(|fields| list().all(|name| fields.contains_key(name.as_str().unwrap())))
            }
            "additionalProperties" | "unevaluatedProperties" => {
                let known = |name: &String| rules.get("properties").is_some_and(|known| known.get(name).is_some());
                for (name, field) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
                    faults(field, wanted, root, &format!("{at}.{name}"), found);
                }
                true
            }
            other => panic!("{at}: the validator does not know `{other}`"),
        };
        if !holds {
            found.push(format!("{at}: {rule} {wanted} does not hold for {value}"));
        }
    }
    for (name, inner) in rules.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(field) = value.get(name) {
            faults(field, inner, root, &format!("{at}.{name}"), found);
        }
    }
}

#[track_caller]
fn valid(kind: Kind, document: &Value) {
    let (schema, mut found) = (committed(kind), Vec::new());
    faults(document, &schema, &schema, "", &mut found);
    assert!(found.is_empty(), "{}: {found:#?}", kind.word());
}

/// A saved document is read by today's code, is valid, and so is what today's code makes of it.
fn holds<T: Serialize + DeserializeOwned>(kind: Kind, document: &Value) {
    valid(kind, document);
    let read: T = serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{}: {error}", kind.word()));
    valid(kind, &serde_json::to_value(read).unwrap());
}

fn saved(name: &str) -> String {
    let path = checkout(&format!("tests/documents/v1/{name}"));
    fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is missing", path.display()))
}

#[test]
fn documents_of_every_version_are_read_and_are_valid() {
    let json = |name: &str| -> Value { serde_json::from_str(&saved(name)).unwrap() };
    holds::<Facts>(Kind::Facts, &json("facts.json"));
    holds::<Plan>(Kind::Plan, &json("plan.json"));
    let plan: Plan = serde_json::from_value(json("plan.json")).unwrap();
    assert_eq!(plan.validate(), Ok(()), "a plan of an older version can still be applied");
    holds::<RunReport>(Kind::RunReport, &json("run-report.json"));
    holds::<RunReport>(Kind::RunReport, &json("run-report-rolled-back.json"));
    holds::<RunReport>(Kind::RunReport, &json("run-report-returned.json"));
    holds::<RunAnswer>(Kind::RunAnswer, &json("run-answer.json"));
    holds::<RunAnswer>(Kind::RunAnswer, &json("run-answer-cluster.json"));
    holds::<Verification>(Kind::Verification, &json("verification.json"));
    holds::<Findings>(Kind::Findings, &json("findings.json"));
    holds::<Checks>(Kind::Checks, &json("checks.json"));
    holds::<History>(Kind::History, &json("history.json"));
    holds::<Images>(Kind::Images, &json("images.json"));
    holds::<FleetReport>(Kind::FleetReport, &json("fleet-report.json"));
    holds::<Bundle>(Kind::Bundle, &json("bundle.json"));
    let profile: Value = toml::from_str(&saved("profile.toml")).unwrap();
    holds::<Profile>(Kind::Profile, &profile);
    let events = saved("events.jsonl");
    assert!(events.lines().count() > 20);
    for line in events.lines() {
        holds::<Event>(Kind::Events, &serde_json::from_str(line).unwrap());
    }
}

#[test]
fn what_is_wrong_is_found() {
    let plan: Value = serde_json::from_str(&saved("plan.json")).unwrap();
    let wrong = |change: &dyn Fn(&mut Value)| {
        let (mut plan, mut found) = (plan.clone(), Vec::new());
        change(&mut plan);
        let schema = committed(Kind::Plan);
        faults(&plan, &schema, &schema, "", &mut found);
        assert!(!found.is_empty());
    };
    wrong(&|plan| plan["digest"] = 1.into());
    wrong(&|plan| plan["steps"][0]["change"] = "maybe".into());
    wrong(&|plan| plan["steps"][0]["action"]["type"] = "explode".into());
    wrong(&|plan| drop(plan.as_object_mut().unwrap().remove("steps")));
}

/// `interface.md`, "Documents": names that others rely on, as paths into a saved document; `[]` is any item of a list.
const FIXED: [(&str, &str); 5] = [
    (
        "facts.json",
        "apiVersion kind node.hostname node.os node.kernel node.arch node.systemd cgroup.mode docker.version \
         docker.cgroupDriver docker.dataRoot docker.managedContainerd containerd.version containerd.configVersion \
         containerd.criEnabled containerd.systemdCgroup containerd.root kubelet.version kubelet.endpoint \
         kubelet.cgroupDriver kubelet.flags findings docker.cgroupDriver.value docker.cgroupDriver.origin.kind \
         docker.cgroupDriver.origin.path docker.cgroupDriver.origin.line",
    ),
    (
        "plan.json",
        "apiVersion kind id digest goal summary.create summary.update summary.delete summary.run summary.irreversible \
         findings.[].id findings.[].severity findings.[].summary findings.[].cause findings.[].fix findings.[].origins \
         verdicts.[].setting verdicts.[].value verdicts.[].origin verdicts.[].verdict verdicts.[].target verdicts.[].note \
         steps.[].id steps.[].index steps.[].change steps.[].risk steps.[].undo steps.[].why steps.[].action.type \
         steps.[].action.path steps.[].action.diff",
    ),
    (
        "run-report.json",
        "apiVersion kind run outcome exitCode phases.[].name phases.[].seconds downtime.kubeletSeconds \
         downtime.workloadSeconds steps.[].id verification.[].id verification.[].status verification.[].seconds \
         verification.[].detail findings",
    ),
    (
        "verification.json",
        "apiVersion kind level checks.[].id checks.[].status checks.[].seconds checks.[].detail bench",
    ),
    ("fleet-report.json", "apiVersion kind nodes totals findings.[].id findings.[].nodes findings.[].count"),
];

#[test]
fn names_that_are_fixed_are_there() {
    for (name, paths) in FIXED {
        let document: Value = serde_json::from_str(&saved(name)).unwrap();
        for path in paths.split_whitespace() {
            let there = path.split('.').fold(vec![document.clone()], |values, part| {
                let next = |value: &Value| match part {
                    "[]" => value.as_array().cloned().unwrap_or_default(),
                    part => value.get(part).cloned().into_iter().collect(),
                };
                values.iter().flat_map(next).collect()
            });
            assert!(!there.is_empty(), "{name} has no {path}");
        }
    }
    let words = |pointer: &str, kind: Kind| -> Vec<String> {
        let schema = committed(kind);
        let all = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not in {}", kind.word()));
        let rows = all.get("oneOf").and_then(Value::as_array).unwrap();
        rows.iter().map(|row| row["const"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(words("/$defs/Severity", Kind::Plan), ["block", "warn", "note"]);
    assert_eq!(words("/$defs/Verdict", Kind::Plan), ["carried", "equal", "no-equivalent", "manual"]);
    assert_eq!(words("/$defs/Change", Kind::Plan), ["create", "update", "delete", "run", "no-op"]);
    let outcomes = ["no-change", "applied", "blocked", "rolled-back", "stuck", "interrupted"];
    assert_eq!(words("/$defs/Outcome", Kind::RunReport), outcomes);
}
