//! Units of a file tree: what can be known of them without a systemd that runs.

use super::{JobResult, Root, UnitState, Units, unit_links};
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
        Ok(UnitState {
            name: unit.to_owned(),
            load: load.to_owned(),
            active: "inactive".to_owned(),
            sub: "dead".to_owned(),
            drop_ins: if fragment.is_some() { unit_links::drop_ins(&self.root, unit)? } else { Vec::new() },
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

    /// There is nobody to tell: the next boot reads everything.
    fn reload(&self) -> Result<()> {
        Ok(())
    }
}
