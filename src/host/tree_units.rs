//! Units of a file tree: what can be known of them without a systemd that runs.

use super::{JobResult, OwnProcess, Root, Scope, UnitState, Units, unit_links};
use crate::formats::unit_file::UnitFile;
use anyhow::{Result, bail};
use std::{rc::Rc, time::Duration};

/// Units of a file tree. They have enablement and files, but no activity; jobs are refused.
#[derive(Debug)]
pub struct TreeUnits {
    root: Rc<Root>,
}

impl TreeUnits {
    /// The units of a tree.
    pub const fn new(root: Rc<Root>) -> Self {
        Self { root }
    }

    /// The units a setting names in any of the unit's files or by a link in `UNIT.requires/`. A drop-in can only add
    /// to them: systemd does not let an empty assignment reset dependencies (systemd.unit(5)).
    fn dependencies(&self, unit: &str, files: &[&String], key: &str, folder: Option<&str>) -> Vec<String> {
        let mut named: Vec<String> = Vec::new();
        for text in files.iter().filter_map(|path| self.root.text(path).ok().flatten()) {
            let file = UnitFile::parse(&text);
            let entries = file.entries().iter().filter(|entry| entry.section == "Unit" && entry.key == key);
            named.extend(entries.flat_map(|entry| entry.value.split_whitespace().map(str::to_owned)));
        }
        if let Some(folder) = folder {
            let dirs = unit_links::UNIT_DIRS.iter().map(|dir| format!("{dir}/{unit}.{folder}"));
            named.extend(dirs.flat_map(|dir| self.root.list(&dir).unwrap_or_default()).map(|(name, _)| name));
        }
        named.sort();
        named.dedup();
        named
    }

    fn refuse(unit: &str) -> Result<JobResult> {
        bail!("{unit} cannot be started or stopped in a file tree; that happens at its next boot")
    }
}

impl Units for TreeUnits {
    fn available(&self) -> Result<(), String> {
        Err("this is a file tree, not a running system".to_owned())
    }

    fn systemd_version(&self) -> Result<String> {
        bail!("no systemd runs in a file tree")
    }

    fn state(&self, unit: &str) -> Result<UnitState> {
        let file_state = unit_links::unit_file_state(&self.root, unit)?;
        let fragment = unit_links::fragment(&self.root, unit);
        let load = match (file_state.as_str(), &fragment) {
            ("masked", _) => "masked",
            (_, Some(_)) => "loaded",
            (_, None) => "not-found",
        };
        let drop_ins = if fragment.is_some() { unit_links::drop_ins(&self.root, unit)? } else { Vec::new() };
        let files: Vec<&String> = fragment.iter().chain(&drop_ins).collect();
        Ok(UnitState {
            name: unit.to_owned(),
            load: load.to_owned(),
            active: "inactive".to_owned(),
            sub: "dead".to_owned(),
            requires: self.dependencies(unit, &files, "Requires", Some("requires")),
            binds_to: self.dependencies(unit, &files, "BindsTo", None),
            wants: self.dependencies(unit, &files, "Wants", Some("wants")),
            after: self.dependencies(unit, &files, "After", None),
            drop_ins,
            file_state,
            fragment,
            ..UnitState::default()
        })
    }

    fn start(&self, unit: &str, _: Duration) -> Result<JobResult> {
        Self::refuse(unit)
    }

    fn stop(&self, unit: &str, _: Duration) -> Result<JobResult> {
        Self::refuse(unit)
    }

    fn restart(&self, unit: &str, _: Duration) -> Result<JobResult> {
        Self::refuse(unit)
    }

    fn reset_failed(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn own(&self) -> Result<OwnProcess> {
        bail!("no systemd runs in a file tree")
    }

    fn try_program(&self, _: &str) -> Result<()> {
        bail!("no systemd runs in a file tree")
    }

    /// A file tree has no sessions.
    fn adopt(&self, _: &Scope<'_>, _: u32) -> Result<()> {
        Ok(())
    }

    /// There is nobody to tell: the next boot reads everything.
    fn reload(&self) -> Result<()> {
        Ok(())
    }
}
