//! Runtimes: Docker's `runtimes` and `default-runtime` become handlers of containerd.
//!
//! A handler that containerd has already stays as it is (nvidia's tool writes its own), but Docker's default runtime
//! becomes containerd's: a GPU node whose pods name no RuntimeClass lives on it.

use super::{Draft, Judged, containerd_version, path_of, values};
use crate::{
    formats::containerd::{ContainerdConfig, Literal, Place},
    model::{Finding, Severity, Verdict},
};
use serde_json::{Map, Value};

const RUNC_V2: &str = "io.containerd.runc.v2";
/// Names under which Docker knows the runc it brings.
const BUILT_IN: [&str; 4] = ["runc", RUNC_V2, "io.containerd.runc.v1", "io.containerd.runtime.v1.linux"];

/// Options that belong to one handler, or that castoff decides.
const NOT_COPIED: [&str; 4] = ["BinaryName", "Root", "SystemdCgroup", "CriuPath"];

/// Carries the runtimes.
pub fn carry(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    let Some(config) = draft.containerd_config() else { return };
    let runtimes = values::object(facts, "runtimes").unwrap_or_default();
    let mut carried = Vec::new();
    let mut notes = Vec::new();
    let mut sure = true;
    for (name, runtime) in runtimes.iter().filter(|(name, _)| *name != "runc") {
        match handler(draft, &config, name, runtime.as_object().unwrap_or(&Map::new())) {
            Ok(note) => {
                carried.push(name.as_str());
                notes.push(note);
            }
            Err(why) => {
                sure = false;
                notes.push(why);
            }
        }
    }
    if facts.docker.setting("runtimes").is_some() {
        let verdict = if sure { Verdict::Carried } else { Verdict::Manual };
        let target = if carried.is_empty() { String::new() } else { format!("runtimes {}", carried.join(", ")) };
        if notes.is_empty() {
            notes.push("only runc, which containerd has".to_owned());
        }
        let verdict = if carried.is_empty() && sure { Verdict::Equal } else { verdict };
        draft.decide("runtimes", &Judged::new(verdict, target, notes.join("; ")));
    }
    default_runtime(draft, &config, &carried);
}

fn default_runtime(draft: &mut Draft<'_>, config: &ContainerdConfig, carried: &[&str]) {
    let facts = draft.facts;
    let Some(name) = values::text(facts, "default-runtime") else { return };
    let place = || Place::Runtime(path_of(&["containerd", "default_runtime_name"]));
    // What all files together say, imports included; an import beats the file that is edited.
    let effective = facts.containerd.default_runtime.as_ref();
    let main = facts.containerd.config_path.as_ref().map(|path| path.value.as_str());
    let imported = effective.filter(|said| said.origin.path.as_deref() != main);
    let now = effective.map(|said| said.value.clone()).or_else(|| config.default_runtime_name().map(|at| at.value));
    let now = now.filter(|name| !name.is_empty());
    let known = |name: &str| carried.contains(&name) || there(draft, config, name).is_some();
    let judged = if BUILT_IN.contains(&name.as_str()) {
        let note = match now.as_deref() {
            None | Some("runc") => "runc is containerd's default too".to_owned(),
            Some(other) => format!("containerd's configuration says {other}, which stays"),
        };
        let verdict = if now.as_deref().is_none_or(|now| now == "runc") { Verdict::Equal } else { Verdict::Manual };
        Judged::new(verdict, "default_runtime_name", note)
    } else if now.as_deref() == Some(&name) {
        Judged::new(Verdict::Equal, "default_runtime_name", "containerd's configuration says so already")
    } else if let Some(imported) = imported {
        let cause = format!("an imported file says {}: {}", imported.value, imported.origin);
        undefined(draft, &name, &cause);
        Judged::new(Verdict::Manual, "default_runtime_name", cause)
    } else if known(&name) {
        let note = format!("was {}", now.as_deref().unwrap_or("runc"));
        draft.set_containerd(place(), Literal::Text(name.clone()));
        Judged::new(Verdict::Carried, format!("default_runtime_name = {name:?}"), note)
    } else {
        undefined(draft, &name, "pods that name no RuntimeClass ran on it, and would run on runc");
        let note =
            "containerd has no such handler and castoff made none; a default without a table keeps CRI from loading";
        Judged::new(Verdict::Manual, "default_runtime_name", note)
    };
    draft.decide("default-runtime", &judged);
}

/// The program of a handler that containerd has already, in whichever of its files; empty where none is named.
fn there(draft: &Draft<'_>, config: &ContainerdConfig, name: &str) -> Option<String> {
    let known = draft.facts.containerd.handlers.iter().find(|handler| handler.name == name);
    let program = known.map(|handler| handler.binary_name.as_ref().map(|program| program.value.clone()));
    let main = || {
        let handler = config.runtimes().into_iter().find(|handler| handler.name == name)?;
        Some(handler.binary_name.map(|program| program.value))
    };
    program.or_else(main).map(Option::unwrap_or_default)
}

fn undefined(draft: &mut Draft<'_>, name: &str, cause: &str) {
    let origin = draft.facts.docker.setting("default-runtime").map(|setting| setting.origin.clone());
    let summary = format!("Docker's default runtime {name} is not carried over");
    let mut finding = Finding::new("runtime-not-carried", Severity::Block, summary)
        .cause(cause)
        .fix(format!("add a handler `{name}` to containerd's configuration, then plan again"));
    finding.origins.extend(origin);
    draft.findings.push(finding);
}

/// Makes a handler; says what was done, or why nothing was.
fn handler(
    draft: &mut Draft<'_>,
    config: &ContainerdConfig,
    name: &str,
    runtime: &Map<String, Value>,
) -> Result<String, String> {
    let text = |key: &str| runtime.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let place = |path: &[&str]| Place::Handler(name.to_owned(), path_of(path));
    if let Some(program) = there(draft, config, name) {
        let program = if program.is_empty() { program } else { format!(" with {program}") };
        return Ok(format!("{name}: containerd has a handler of that name{program}, which stays"));
    }
    let arguments = runtime.get("runtimeArgs").and_then(Value::as_array).filter(|arguments| !arguments.is_empty());
    if arguments.is_some() {
        return Err(format!("{name}: runtimeArgs have no equivalent; wrap the program in a script"));
    }
    let shim = text("runtimeType").unwrap_or(RUNC_V2);
    if shim.starts_with('/') {
        return Err(format!("{name}: runtimeType is a path; containerd wants the shim's name"));
    }
    let is_runc = shim.starts_with("io.containerd.runc.") || shim == "io.containerd.runtime.v1.linux";
    let shim = if is_runc { RUNC_V2 } else { shim };
    let options = options(name, runtime, is_runc)?;
    if !is_runc && text("path").is_some() {
        return Err(format!("{name}: both path and a runtimeType that is not runc's"));
    }
    let has = |key: &str| options.iter().any(|(known, _)| known == key);
    let program = text("path").map(str::to_owned).filter(|_| !has("BinaryName"));
    if let Some(missing) = text("path").filter(|path| draft.facts.surroundings.paths.get(*path) == Some(&false)) {
        absent(draft, name, missing);
    }
    draft.set_containerd(place(&["runtime_type"]), Literal::from(shim));
    if let Some(program) = program.as_deref().filter(|_| is_runc) {
        draft.set_containerd(place(&["options", "BinaryName"]), Literal::from(program));
    }
    // What runc was told holds for its wrappers too.
    let from_runc =
        config.handler_options("runc").into_iter().filter(|(key, _)| is_runc && !NOT_COPIED.contains(&key.as_str()));
    let copied: Vec<(String, Literal)> = from_runc.filter(|(key, _)| !has(key)).collect();
    for (key, value) in copied.into_iter().chain(options) {
        draft.set_containerd(place(&["options", &key]), value);
    }
    let program = program.map_or_else(String::new, |program| format!(" with {program}"));
    Ok(format!("{name}: handler {shim}{program}{}", remark(draft, name)))
}

fn remark(draft: &Draft<'_>, name: &str) -> String {
    let label = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let old = containerd_version(draft.facts).is_some_and(|version| version < (1, 4));
    match (label, old) {
        (false, _) => " (no RuntimeClass can name it: its name is no DNS label)".to_owned(),
        (true, true) => " (containerd before 1.4 may lack this shim)".to_owned(),
        _ => String::new(),
    }
}

fn absent(draft: &mut Draft<'_>, name: &str, path: &str) {
    let summary = format!("the program of runtime {name} is not there: {path}");
    draft.find(
        "runtime-program-missing",
        Severity::Warn,
        &summary,
        "Docker names it in `runtimes`, and containerd would start it for pods of that handler",
        "install it, or take the runtime out of Docker's configuration",
        path,
    );
}

/// Options of Docker's runtime, as containerd spells them: both hand them to the same shim.
fn options(name: &str, runtime: &Map<String, Value>, is_runc: bool) -> Result<Vec<(String, Literal)>, String> {
    let mut out = Vec::new();
    let options = runtime.get("options").and_then(Value::as_object).into_iter().flatten();
    for (key, value) in options {
        // The driver is one for the node; castoff sets it on every handler.
        if is_runc && key == "SystemdCgroup" {
            continue;
        }
        let number = || value.as_u64().and_then(|number| u32::try_from(number).ok()).map(Literal::Integer);
        let text = || value.as_str().map(Literal::from);
        let literal = value.as_bool().map(Literal::Bool).or_else(text).or_else(number);
        out.push((key.clone(), literal.ok_or_else(|| format!("{name}: option {key} has no plain value"))?));
    }
    Ok(out)
}
