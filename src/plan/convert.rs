//! A plan that gives containerd's configuration another version and nothing else.

use super::{Draft, Options, containerd::packaged, finish};
use crate::{
    formats::containerd::{ContainerdConfig, Effective, Release},
    model::{Desired, Facts, Finding, Origin, Plan, Severity},
};

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
    let joined = main.and_then(|main| Effective::join(main, release.unwrap_or_default(), &facts.texts).ok());
    let schema = joined.as_ref().map_or(1, |joined| joined.schema);
    let parts = joined.map(|joined| joined.parts).unwrap_or_default();
    let files: Vec<String> = match file {
        Some(file) => vec![file.to_owned()],
        None => parts.iter().map(|part| part.path.clone()).filter(|path| facts.texts.contains_key(path)).collect(),
    };
    for path in files {
        let Some(text) = facts.texts.get(&path) else {
            let origin = Origin::path(&path);
            let finding = Finding::new("file-unreadable", Severity::Block, format!("{path} cannot be understood"));
            draft
                .findings
                .push(finding.cause("it is not there, or no text").fix("name a file of containerd").at(origin));
            continue;
        };
        // A file that others import has their version unless it names one.
        let imported = parts.iter().any(|part| part.path == path);
        let after = ContainerdConfig::parse(text)
            .map(|config| if imported { config.inheriting(schema) } else { config })
            .and_then(|config| config.converted(to));
        match after {
            Ok(after) if after == *text || packaged(&mut draft, &path) => {}
            Ok(after) => draft.write("convert", &path, &after, &format!("version {to}, saying the same")),
            Err(error) => draft.not_editable(&path, &error, "change the line by hand, then convert again"),
        }
    }
    let (own, steps) = (draft.findings.clone(), draft.steps.len());
    let mut plan = finish(draft);
    // What else is notable about the node does not matter here.
    plan.findings = own;
    plan.verdicts.clear();
    plan.deferred =
        if steps == 0 { Vec::new() } else { vec!["containerd reads its configuration when it starts".to_owned()] };
    plan.digest = plan.compute_digest();
    plan.digest.short().clone_into(&mut plan.id);
    plan
}
