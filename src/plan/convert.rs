//! A plan that gives containerd's configuration another version and nothing else.

use super::{Draft, Options, containerd::packaged, finish};
use crate::{
    formats::containerd::{ContainerdConfig, Effective, Ineffective, Release},
    model::{Desired, Facts, Finding, Origin, Plan, Severity},
};
use std::collections::BTreeMap;

/// Makes the plan that brings `file`, or the main file with all its imports, to version `to`.
pub fn convert(facts: &Facts, desired: &Desired, options: Options, to: u32, file: Option<&str>) -> Plan {
    let mut draft = Draft::new(facts, desired, options);
    let version = facts.containerd.version.as_ref();
    let release = version.and_then(|version| Release::parse(&version.value));
    if let (Some(release), Some(version)) = (release, version)
        && to > release.newest_schema()
    {
        let summary = "a configuration file has a version that this containerd does not read";
        let cause = format!("containerd {} reads versions up to {}", version.value, release.newest_schema());
        let fix = "choose an older version with `--to`, or update containerd first";
        draft.findings.push(
            Finding::new("containerd-schema-too-new", Severity::Block, summary)
                .cause(cause)
                .fix(fix)
                .at(version.origin.clone()),
        );
    }
    let main = facts.containerd.config_path.as_ref().map(|path| path.value.as_str());
    let join = |texts: &BTreeMap<String, String>| Effective::join(main?, release.unwrap_or_default(), texts).ok();
    let before = join(&facts.texts);
    unread(&mut draft, main, before.as_ref(), file);
    let parts = before.iter().flat_map(|joined| &joined.parts).map(|part| part.path.clone());
    let files: Vec<String> = match file {
        Some(file) => vec![file.to_owned()],
        None => parts.filter(|path| facts.texts.contains_key(path)).collect(),
    };
    for path in files {
        one(&mut draft, before.as_ref(), release.unwrap_or_default(), to, &path);
    }
    // Without a release nobody knows what it would make of the files.
    if let (Some(before), Some(_)) = (&before, release)
        && draft.findings.is_empty()
        && let Some(after) = join(&draft.texts())
    {
        prove(&mut draft, before, &after, file);
    }
    only_own(draft)
}

/// What could not be read is not converted, and nothing can be proven without it; nor does containerd start.
fn unread(draft: &mut Draft<'_>, main: Option<&str>, joined: Option<&Effective>, file: Option<&str>) {
    let facts = draft.facts;
    let is_part = |path: &str| {
        let mut imports = joined.into_iter().flat_map(|joined| &joined.imports);
        Some(path) == main || Some(path) == file || imports.any(|imported| imported.import.meets(path))
    };
    let is_here = |finding: &&Finding| {
        let mut paths = finding.origins.iter().filter_map(|origin| origin.path.as_deref());
        let broken = finding.id == "file-unreadable" && paths.any(is_part);
        broken || finding.id == "containerd-import-missing"
    };
    draft.findings.extend(facts.findings.iter().filter(is_here).cloned());
    for unseen in facts.unseen.iter().filter(|unseen| is_part(&unseen.what)) {
        unreadable(draft, &unseen.what, &unseen.why, "run castoff as root");
    }
}

fn unreadable(draft: &mut Draft<'_>, path: &str, cause: &str, fix: &str) {
    draft.find("file-unreadable", Severity::Block, &format!("{path} cannot be understood"), cause, fix, path);
}

/// Converts one file.
fn one(draft: &mut Draft<'_>, joined: Option<&Effective>, release: Release, to: u32, path: &str) {
    let is_told = |finding: &Finding| {
        finding.id == "file-unreadable" && finding.origins.iter().any(|origin| origin.path.as_deref() == Some(path))
    };
    if draft.findings.iter().any(is_told) {
        return;
    }
    let facts = draft.facts;
    let Some(text) = facts.texts.get(path) else {
        return unreadable(draft, path, "it is not there, or no text", "name a file of containerd");
    };
    let beside = joined.filter(|joined| joined.parts.iter().any(|part| part.path == path));
    let config = ContainerdConfig::parse(text).map(|config| match beside {
        Some(joined) => config.beside(joined.schema, release),
        None => config,
    });
    let own = config.as_ref().map_or(0, ContainerdConfig::schema);
    match config.and_then(|config| config.converted(to)) {
        Ok(after) if after == *text || packaged(draft, path) => {}
        Ok(after) => draft.write("convert", path, &after, &format!("version {to}, saying the same")),
        Err(error) if own <= to => draft.not_editable(path, &error, "change the line by hand, then convert again"),
        Err(error) if own <= release.newest_schema() => {
            let fix =
                format!("leave the file as it is, or bring the others to its version: `castoff convert --to {own}`");
            draft.not_editable(path, &error, &fix);
        }
        Err(error) => draft.not_editable(path, &error, NEWER),
    }
}

/// What helps against a file that is newer than containerd; the way back would lose settings.
const NEWER: &str =
    "restore the older file, set `containerd-config = \"regenerate\"` in the profile, or upgrade containerd";

/// Joins the converted files as containerd will: what works now must still work, and as it does now.
fn prove(draft: &mut Draft<'_>, before: &Effective, after: &Effective, file: Option<&str>) {
    let known = before.faults();
    let is_known =
        |new: &Ineffective| known.iter().any(|old| old.name == new.name && old.origin.path == new.origin.path);
    let mut new = after.faults();
    new.retain(|fault| !is_known(fault));
    new.extend(before.lost(after));
    let fix = match file {
        _ if new.is_empty() => "take out of that file what has no effect today, then convert again",
        Some(_) => "convert the main file too: leave FILE out",
        None => "correct the file that is named, then convert again",
    };
    if new.is_empty() {
        new = before.changed(after);
    }
    if new.is_empty() {
        return wake(draft, before, after);
    }
    let causes: Vec<String> = new.iter().map(|one| format!("{}: {} ({})", one.name, one.why, one.origin)).collect();
    let summary = "together, the converted files would not do what they do now";
    let mut finding = Finding::new("conversion-incomplete", Severity::Block, summary).cause(causes.join("; ")).fix(fix);
    finding.origins = new.into_iter().map(|one| one.origin).collect();
    draft.findings.push(finding);
}

/// Settings that containerd ignores today are often why somebody converts a file; they are named, since nobody has seen what
/// they do.
fn wake(draft: &mut Draft<'_>, before: &Effective, after: &Effective) {
    let woken = before.woken(after);
    if woken.is_empty() {
        return;
    }
    let (names, mut files): (Vec<String>, Vec<Origin>) = woken.into_iter().unzip();
    files.sort();
    files.dedup();
    let summary = "settings that containerd ignores today would take effect";
    let fix = "take out what is not wanted before containerd starts again";
    let finding = Finding::new("conversion-takes-effect", Severity::Warn, summary).cause(names.join(", ")).fix(fix);
    draft.findings.push(Finding { origins: files, ..finding });
}

/// The plan with what was found on the way; what else is notable about the node does not matter here.
fn only_own(draft: Draft<'_>) -> Plan {
    let (own, steps) = (draft.findings.clone(), draft.steps.len());
    let mut plan = finish(draft);
    plan.findings = own;
    plan.verdicts.clear();
    plan.deferred =
        if steps == 0 { Vec::new() } else { vec!["containerd reads its configuration when it starts".to_owned()] };
    plan.digest = plan.compute_digest();
    plan.digest.short().clone_into(&mut plan.id);
    plan
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
