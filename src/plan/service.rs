//! A service's command line changed where it stands: in an environment file, in a unit or drop-in of the
//! administrator's, or, over what packages ship, in a drop-in that is read last.

use super::draft::Draft;
use crate::{
    formats::{
        FormatError,
        env_file::EnvFile,
        service::{self, Service},
        unit_edit::{self, Op},
        unit_file::{self, UnitFile},
    },
    model::{Facts, OriginKind},
};
use std::collections::BTreeMap;

/// Where an administrator's units and drop-ins live.
const ADMIN: &str = "/etc/systemd/system";

/// Where words are added to a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// The value of a variable, in this environment file.
    Variable(String, String),
    /// The `ExecStart=` itself.
    Exec,
}

/// A change of a command line: one [`Op`] for each of the service's words, texts as the program sees them.
#[derive(Clone, Debug)]
pub struct CommandChange<'s> {
    /// The service as it is.
    pub service: &'s Service,
    /// For each of its words.
    pub ops: Vec<Op>,
    /// Words to add, and where.
    pub append: Option<(Home, Vec<String>)>,
}

/// True for what packages or the running system bring, which castoff never edits.
pub fn is_packaged(facts: &Facts, path: &str) -> bool {
    let real = facts.files.get(path).and_then(|file| file.target.as_deref()).unwrap_or(path);
    let theirs = ["/usr/", "/lib/", "/lib64/", "/run/", "/nix/"].iter().any(|dir| real.starts_with(dir));
    theirs && !real.starts_with("/usr/local/")
}

struct Texts<'d, 'f>(&'d Draft<'f>);

impl service::Reader for Texts<'_, '_> {
    fn text(&mut self, path: &str) -> Option<String> {
        self.0.text(path).map(str::to_owned)
    }

    fn glob(&mut self, pattern: &str) -> Vec<String> {
        let Some((dir, pattern)) = pattern.rsplit_once('/') else { return Vec::new() };
        let inside =
            |path: &String| path.rsplit_once('/').is_some_and(|(own, name)| own == dir && service::fits(pattern, name));
        self.0.paths().into_iter().filter(inside).collect()
    }
}

/// A unit's file and drop-ins as the plan leaves them so far.
pub fn files(draft: &Draft<'_>, unit: &str) -> Vec<(String, UnitFile)> {
    let facts = draft.facts.unit(unit);
    if facts.load == "masked" || facts.file_state == "masked" {
        return Vec::new();
    }
    let own = format!("{ADMIN}/{unit}");
    let fragment = if draft.text(&own).is_some() { Some(own) } else { facts.fragment };
    let dir = format!("{ADMIN}/{unit}.d/");
    let planned = draft.paths().into_iter().filter(|path| path.starts_with(&dir) && path.ends_with(".conf"));
    let mut drop_ins: Vec<String> = facts.drop_ins.into_iter().chain(planned).collect();
    drop_ins.sort();
    drop_ins.dedup();
    let candidates: Vec<(&str, bool)> = drop_ins.iter().map(|path| (path.as_str(), false)).collect();
    let order = unit_file::order_drop_ins(&candidates);
    let paths = fragment.into_iter().chain(order.into_iter().map(str::to_owned));
    paths.filter_map(|path| Some((path.clone(), UnitFile::parse(draft.text(&path)?)))).collect()
}

/// A service as the plan leaves it so far.
pub fn read(draft: &Draft<'_>, unit: &str) -> Service {
    service::read(&files(draft, unit), &mut Texts(draft))
}

/// The drop-in that is read after all others.
pub fn drop_in(draft: &Draft<'_>, unit: &str) -> String {
    let mut name = "zz-castoff.conf".to_owned();
    let is_later = |path: &String, name: &str| {
        let other = path.rsplit('/').next().unwrap_or_default();
        !other.trim_start_matches('z').starts_with("-castoff") && other > name
    };
    while draft.facts.unit(unit).drop_ins.iter().any(|path| is_later(path, &name)) && name.len() < 64 {
        name.insert(0, 'z');
    }
    format!("{ADMIN}/{unit}.d/{name}")
}

/// Adds settings to castoff's own drop-in of a unit.
pub fn override_with(draft: &mut Draft<'_>, unit: &str, section: &str, settings: &[(&str, &str)], id: &str, why: &str) {
    let path = drop_in(draft, unit);
    let head = format!("# castoff: overrides what a package ships for {unit}.\n");
    let before = draft.text(&path).map_or(head, str::to_owned);
    let after = unit_edit::with_settings(&before, section, settings);
    draft.write(id, &path, &after, why);
}

/// An edit of a line of a unit file.
struct LineEdit {
    line: u32,
    ops: Vec<Op>,
    append: Vec<String>,
}

/// Changes a unit's command line.
pub fn change(draft: &mut Draft<'_>, unit: &str, change: &CommandChange<'_>, id: &str, why: &str) {
    let Some(exec) = &change.service.exec else { return };
    let mut literal: Vec<Op> = vec![Op::Keep; exec.variables.len()];
    let mut inner: BTreeMap<&str, Vec<Op>> = BTreeMap::new();
    for (word, op) in change.service.words.iter().zip(&change.ops) {
        match &word.variable {
            Some(name) => {
                let ops = inner.entry(name).or_default();
                ops.resize(ops.len().max(word.inner + 1), Op::Keep);
                if let Some(place) = ops.get_mut(word.inner) {
                    place.clone_from(op);
                }
            }
            None => {
                if let Some(place) = literal.get_mut(word.at) {
                    *place = match op {
                        Op::Set(text) => Op::Set(in_exec(text)),
                        other => other.clone(),
                    };
                }
            }
        }
    }
    let (home, added) = match &change.append {
        Some((home, added)) => (Some(home), added.clone()),
        None => (None, Vec::new()),
    };
    if let Some(Home::Variable(name, _)) = home {
        inner.entry(name).or_default();
    }
    let mut edits: BTreeMap<String, Vec<LineEdit>> = BTreeMap::new();
    for (name, ops) in &inner {
        let path = match home {
            Some(Home::Variable(home, path)) if home == name => Some(path.as_str()),
            _ => None,
        };
        let words = if path.is_some() { added.as_slice() } else { &[] };
        variable(draft, unit, change.service, &Assignment { name, ops, path, words }, &mut edits, (id, why));
    }
    let words: Vec<String> =
        if home == Some(&Home::Exec) { added.iter().map(|w| in_exec(w)).collect() } else { vec![] };
    if literal.iter().any(|op| *op != Op::Keep) || !words.is_empty() {
        if is_packaged(draft.facts, &exec.path) {
            let command = rewritten(change.service, &literal, &words);
            override_with(draft, unit, "Service", &[("ExecStart", ""), ("ExecStart", &command)], id, why);
        } else {
            let edit = LineEdit { line: exec.line, ops: literal, append: words };
            edits.entry(exec.path.clone()).or_default().push(edit);
        }
    }
    for (path, mut edits) in edits {
        // From the end, so that the lines in front keep their numbers.
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.line));
        edit_unit(draft, &path, &edits, id, why);
    }
}

fn edit_unit(draft: &mut Draft<'_>, path: &str, edits: &[LineEdit], id: &str, why: &str) {
    let mut text = draft.text(path).unwrap_or_default().to_owned();
    for edit in edits {
        match unit_edit::with_words(&text, edit.line, &edit.ops, &edit.append) {
            Ok(after) => text = after,
            Err(error) => return not_editable(draft, path, &error),
        }
    }
    draft.write(id, path, &text, why);
}

fn not_editable(draft: &mut Draft<'_>, path: &str, error: &FormatError) {
    draft.not_editable(path, error, "write the flag that must change on one line, then plan again");
}

/// What becomes of a variable.
struct Assignment<'a> {
    name: &'a str,
    ops: &'a [Op],
    /// The file it is to stand in, where words are added to it.
    path: Option<&'a str>,
    words: &'a [String],
}

fn variable(
    draft: &mut Draft<'_>,
    unit: &str,
    service: &Service,
    assignment: &Assignment<'_>,
    edits: &mut BTreeMap<String, Vec<LineEdit>>,
    (id, why): (&str, &str),
) {
    let known = service.environment.get(assignment.name);
    let value = known.map(|known| known.value.clone()).unwrap_or_default();
    let after = unit_edit::edit_value(&value, assignment.ops, assignment.words);
    if after == value {
        return;
    }
    let place = known.and_then(|known| Some((known.origin.path.clone()?, known.origin.line, known.origin.kind)));
    match place {
        Some((path, _, OriginKind::EnvFile)) if !is_packaged(draft.facts, &path) => {
            let text = EnvFile::parse(draft.text(&path).unwrap_or_default()).with(assignment.name, &after);
            draft.write(id, &path, &text, why);
        }
        // Only a later file beats a file.
        Some((_, _, OriginKind::EnvFile)) => {
            let own = format!("/etc/castoff/{}.env", unit.trim_end_matches(".service"));
            let text = EnvFile::parse(draft.text(&own).unwrap_or_default()).with(assignment.name, &after);
            let is_new = draft.text(&own).is_none();
            draft.write(id, &own, &text, why);
            if is_new {
                override_with(draft, unit, "Service", &[("EnvironmentFile", &own)], id, why);
            }
        }
        Some((path, Some(line), _)) => {
            let written = unit_edit::written(&format!("{}={after}", assignment.name));
            if is_packaged(draft.facts, &path) {
                return override_with(draft, unit, "Service", &[("Environment", &written)], id, why);
            }
            let text = draft.text(&path).unwrap_or_default().to_owned();
            let ops = assignment_ops(&text, line, assignment.name, &written);
            edits.entry(path).or_default().push(LineEdit { line, ops, append: Vec::new() });
        }
        _ => {
            let Some(path) = assignment.path else { return };
            let text = EnvFile::parse(draft.text(path).unwrap_or_default()).with(assignment.name, &after);
            draft.write(id, path, &text, why);
        }
    }
}

/// Replaces one assignment of an `Environment=` line.
fn assignment_ops(text: &str, line: u32, name: &str, written: &str) -> Vec<Op> {
    let unit = UnitFile::parse(text);
    let value = unit.entries().iter().find(|entry| entry.line == line).map(|entry| entry.value.clone());
    let raw = unit_edit::raw_words(&value.unwrap_or_default());
    let is_it = |raw: &String| unit_file::environment_assignments(raw).iter().any(|(found, _)| found == name);
    let last = raw.iter().rposition(is_it);
    (0..raw.len()).map(|at| if Some(at) == last { Op::Set(written.to_owned()) } else { Op::Keep }).collect()
}

/// A word as `ExecStart=` holds it.
fn in_exec(text: &str) -> String {
    unit_edit::written(&text.replace('$', "$$"))
}

/// The command line in one line, words that stay as they are written.
fn rewritten(service: &Service, ops: &[Op], added: &[String]) -> String {
    let raw = service.raw();
    let kept = raw.iter().enumerate().filter_map(|(at, raw)| match ops.get(at) {
        None | Some(Op::Keep) => Some(raw.clone()),
        Some(Op::Drop) => None,
        Some(Op::Set(new)) => Some(new.clone()),
    });
    kept.chain(added.iter().cloned()).collect::<Vec<_>>().join(" ")
}
