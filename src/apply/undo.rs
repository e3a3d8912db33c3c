//! How each kind of undo is carried out.

use super::{
    Store, carry, cluster, cni, mounts, pods,
    steps::{Work, unhex},
    tasks::{Act, Task, is_active},
};
use crate::{
    host::{Attributes, Expect, FileRead, JobResult, Meta, UnitError, UnitState, unit_links},
    model::{Action, Undo, UnitSnapshot},
};
use anyhow::{Context as _, Result, anyhow, bail};
use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

impl Work<'_> {
    /// Takes one thing back. Doing it twice is the same as doing it once.
    ///
    /// Returns what was left alone on purpose.
    pub fn take_back(&mut self, task: &Task, force: bool) -> Result<Option<String>> {
        match &task.act {
            Act::Reload => self.host.units.reload().map(|()| None),
            Act::RemoveStray if self.host.is_live() => pods::remove_stray(self).map(|()| None),
            Act::RemoveStray | Act::Mark => Ok(None),
            Act::Quiesce(was) => self.quiesce(was).map(|()| None),
            Act::Undo(undo) => self.undo(undo, force),
        }
    }

    /// The mount point on which nothing is mounted, where the file of an undo was below it when the run began.
    pub fn not_mounted(&self, undo: &Undo) -> Option<String> {
        mounts::missing(self.host, &self.begun.mounts, undo).map(str::to_owned)
    }

    fn undo(&mut self, undo: &Undo, force: bool) -> Result<Option<String>> {
        if let Some(point) = mounts::missing(self.host, &self.begun.mounts, undo).filter(|_| !force) {
            bail!(
                "nothing is mounted on {point}, and a file system was when the run began: mount it (`--force` does without)"
            );
        }
        let root = &self.host.root;
        match undo {
            Undo::RestoreFile { .. } => return self.restore_file(undo, force),
            Undo::RemoveFile { path, ours, dirs, .. } => {
                self.expect_planned(path)?;
                expect_above(dirs, path)?;
                root.remove_leftover(path)?;
                let skipped = match root.read(path)? {
                    Some(read) if read.digest() != *ours && !force => Some(left_alone(path)),
                    Some(read) => {
                        if read.digest() != *ours {
                            Store::new(self.host).back_up(self.run, &read)?;
                        }
                        root.remove_file(path).map(|()| None)?
                    }
                    None => None,
                };
                self.remove_dirs(dirs)?;
                return Ok(skipped);
            }
            Undo::RemoveDirs { dirs } => {
                for dir in dirs {
                    self.expect_planned_dir(dir)?;
                }
                self.remove_dirs(dirs)?;
            }
            Undo::RestoreLinks { unit, links, dirs } => {
                self.expect_unit(unit)?;
                unit_links::expect_dirs(unit, dirs)?;
                unit_links::restore(&self.host.root, unit, links)?;
                self.remove_dirs(dirs)?;
            }
            Undo::RestoreActivity { was, dependents } => {
                self.expect_run(&was.unit)?;
                self.start_as_it_was(&was.unit, &was.active)?;
                for unit in dependents {
                    self.start_dependent(unit, &was.unit)?;
                }
            }
            Undo::Restart { was } => {
                self.expect_run(&was.unit)?;
                self.restart_as_it_was(was)?;
            }
            Undo::Reload => self.host.units.reload()?,
            Undo::RemovePods { endpoint, keep } => {
                self.expect_endpoint(endpoint)?;
                return self.remove_pods(endpoint, keep);
            }
            Undo::ReturnImages { .. } => carry::give_back(self, undo)?,
            Undo::Uncordon { .. } | Undo::RestoreAnnotation { .. } | Undo::RestoreKubeletMap { .. } => {
                return cluster::undo(self, undo);
            }
            Undo::StartContainers { containers, .. } => {
                for id in containers {
                    self.host.engine.start(id)?;
                }
            }
            Undo::None { .. } => {}
        }
        Ok(None)
    }

    fn restore_file(&self, undo: &Undo, force: bool) -> Result<Option<String>> {
        let Undo::RestoreFile { path, digest, ours, mode, uid, gid, xattrs, mtime, .. } = undo else {
            return Ok(None);
        };
        self.expect_planned(path)?;
        let root = &self.host.root;
        root.remove_leftover(path)?;
        let current = root.read(path)?;
        let expect = match &current {
            Some(read) if read.digest() == *digest => {
                if (read.meta.mode, read.meta.uid, read.meta.gid) == (*mode, *uid, *gid) {
                    return self.restore_times(path, read, *mtime).map(|()| None);
                }
                Some(digest.clone())
            }
            Some(read) if read.digest() != *ours => {
                if !force {
                    return Ok(Some(left_alone(path)));
                }
                // Somebody's work: taken away, not lost.
                Some(Store::new(self.host).back_up(self.run, read)?)
            }
            Some(_) => Some(ours.clone()),
            None => None,
        };
        let content = Store::new(self.host).backup(self.run, digest)?;
        let xattrs = xattrs
            .iter()
            .map(|(name, value)| Some((OsString::from_vec(unhex(name)?), unhex(value)?)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| anyhow!("the journal holds damaged attributes for {path}"))?;
        let meta = Meta { mode: *mode, uid: *uid, gid: *gid, xattrs, mtime: *mtime };
        let expect = expect.as_ref().map_or(Expect::Absent, Expect::Content);
        root.write_atomic(path, &content, expect, Attributes::Exactly(&meta))?;
        root.set_mtime(path, *mtime)?;
        Ok(None)
    }

    fn restore_times(&self, path: &str, read: &FileRead, mtime: (i64, i64)) -> Result<()> {
        if read.meta.mtime == mtime { Ok(()) } else { self.host.root.set_mtime(path, mtime) }
    }

    /// A journal may only take back what its plan does; a tampered one is refused.
    fn expect(&self, what: &str, planned: impl Fn(&Action) -> bool) -> Result<()> {
        if self.plan.steps.iter().any(|step| planned(&step.action)) {
            return Ok(());
        }
        bail!("the journal names {what}, with which its plan has nothing to do")
    }

    fn expect_planned(&self, path: &str) -> Result<()> {
        self.expect(
            &format!("`{path}`"),
            |action| matches!(action, Action::WriteFile { path: planned, .. } if planned == path),
        )
    }

    fn expect_planned_dir(&self, dir: &str) -> Result<()> {
        let makes =
            |action: &Action| matches!(action, Action::MakeDir { path, .. } if is_above(dir, &format!("{path}/")));
        self.expect(&format!("the directory `{dir}`"), makes)
    }

    fn expect_unit(&self, unit: &str) -> Result<()> {
        let changes = |action: &Action| {
            matches!(action, Action::EnableUnit { unit: planned } | Action::DisableUnit { unit: planned }
                | Action::MaskUnit { unit: planned } if planned == unit)
        };
        self.expect(&format!("the links of `{unit}`"), changes)
    }

    fn expect_run(&self, unit: &str) -> Result<()> {
        let runs = |action: &Action| {
            matches!(action, Action::StopUnit { unit: planned } | Action::StartUnit { unit: planned }
                | Action::RestartUnit { unit: planned } if planned == unit)
        };
        self.expect(&format!("the unit `{unit}`"), runs)
    }

    fn expect_endpoint(&self, endpoint: &str) -> Result<()> {
        let awaits = |action: &Action| matches!(action, Action::AwaitCri { endpoint: planned } if planned == endpoint);
        self.expect(&format!("the endpoint `{endpoint}`"), awaits)
    }

    fn remove_dirs(&self, dirs: &[String]) -> Result<()> {
        dirs.iter().rev().try_for_each(|dir| self.host.root.remove_empty_dir(dir))
    }

    /// Stops a unit that is not the process it was.
    fn quiesce(&self, was: &UnitSnapshot) -> Result<()> {
        let now = self.host.units.state(&was.unit)?;
        let untouched = is_active(was) && now.invocation == was.invocation;
        if untouched || matches!(now.active.as_str(), "inactive" | "failed") {
            return Ok(());
        }
        self.expect_run(&was.unit)?;
        self.host.units.stop(&was.unit, self.timeouts.unit.duration()).map(|_| ())
    }

    /// Starts a unit that systemd had stopped along with another, as long as it still depends on that.
    fn start_dependent(&mut self, unit: &str, on: &str) -> Result<()> {
        let state = self.host.units.state(unit)?;
        if state.requires.iter().chain(&state.binds_to).any(|need| need == on) {
            return self.start_as_it_was(unit, "active");
        }
        self.observer.warn(&format!("{unit} does not depend on {on} any more; left as it is"));
        Ok(())
    }

    fn start_as_it_was(&mut self, unit: &str, was: &str) -> Result<()> {
        let units = &*self.host.units;
        let now = units.state(unit)?;
        if now.active == "active" {
            return Ok(());
        }
        // Start limits count the starts of a failed migration too.
        units.reset_failed(unit)?;
        let job = units.start(unit, self.timeouts.unit.duration());
        self.came_back(unit, was, job, &now)
    }

    /// Judges a start. A unit that was on its way before, as between two crashes, is on its way again: no more can be asked of it.
    fn came_back(&mut self, unit: &str, was: &str, job: Result<JobResult>, before: &UnitState) -> Result<()> {
        match job.map_err(anyhow::Error::downcast::<UnitError>) {
            Ok(_) if was == "activating" => Ok(()),
            Ok(_) => self.judge_start(unit, before).map(|_| ()),
            Err(Ok(error @ (UnitError::Job { .. } | UnitError::Timeout { .. }))) if was == "activating" => {
                self.observer.warn(&format!("{unit} was not up before this run either: {error}"));
                Ok(())
            }
            Err(Ok(error)) => Err(error.into()),
            Err(Err(error)) => Err(error),
        }
    }

    fn restart_as_it_was(&mut self, was: &UnitSnapshot) -> Result<()> {
        let units = &*self.host.units;
        let now = units.state(&was.unit)?;
        if !is_active(was) {
            return if now.active == "inactive" {
                Ok(())
            } else {
                units.stop(&was.unit, self.timeouts.unit.duration()).map(|_| ())
            };
        }
        if now.active == "active" && now.invocation == was.invocation {
            return Ok(());
        }
        units.reset_failed(&was.unit)?;
        let job = units.restart(&was.unit, self.timeouts.unit.duration());
        self.came_back(&was.unit, &was.active, job, &now)
    }

    fn remove_pods(&self, endpoint: &str, keep: &[String]) -> Result<Option<String>> {
        let remove = || pods::remove_from_cri(self.host, endpoint, keep);
        let removed = remove().or_else(|error| {
            if pods::is_no_runtime(&error) {
                return Err(error);
            }
            // What an older power cut has left of a network keeps its pod from being stopped.
            if cni::forget_broken(self.host)? { remove() } else { Err(error) }
        });
        match removed {
            Ok(_) => Ok(None),
            Err(error) if pods::is_no_runtime(&error) => Ok(None),
            Err(error) => Err(error).context("cannot remove the pods on containerd"),
        }
    }
}

/// Directories made for a path lie on the way to it.
fn expect_above(dirs: &[String], path: &str) -> Result<()> {
    match dirs.iter().find(|dir| !is_above(dir, path)) {
        Some(dir) => bail!("the journal names the directory `{dir}`, which is not on the way to {path}"),
        None => Ok(()),
    }
}

/// True for a directory on the way to a path.
pub fn is_above(dir: &str, path: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

fn left_alone(path: &str) -> String {
    format!("{path} was changed by somebody else since; left alone (`castoff rollback --force` restores it)")
}
