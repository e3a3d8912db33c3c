//! How each kind of undo is carried out, and in which order.
//!
//! Not simply backwards: what we started stops first, then files and links come back, systemd reads them, and only
//! then do the old units start, so that they start with their old files.

use super::{
    Store, pods,
    steps::{Work, unhex},
};
use crate::{
    host::{Attributes, Expect, FileRead, Meta, unit_links},
    model::{Action, Record, Undo, UnitSnapshot},
};
use anyhow::{Context as _, Result, anyhow, bail};
use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

/// One thing to take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The steps it takes back; empty when it only prepares.
    pub steps: Vec<usize>,
    /// What is done.
    pub act: Act,
}

/// What taking back consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Stops a unit if it runs and is not the very process that ran before.
    Quiesce(UnitSnapshot),
    /// One recorded undo.
    Undo(Undo),
    /// Pods that kubelet made on the new runtime unasked are removed.
    RemoveStray,
    /// systemd reads its files.
    Reload,
    /// Nothing to do; the step is only marked.
    Mark,
}

/// Works out the order in which open steps are taken back.
pub fn tasks(open: &[(usize, String, Undo)]) -> Vec<Task> {
    let mut tasks = Vec::new();
    let backwards = || open.iter().rev();
    // What runs now and did not run before, in the order of the plan: kubelet before what it needs.
    for (index, _, undo) in open {
        if let Undo::RestoreActivity { was, .. } = undo {
            // For a unit that was not active, being stopped is all there is to restore.
            let steps = if is_active(was) { Vec::new() } else { vec![*index] };
            tasks.push(Task { steps, act: Act::Quiesce(was.clone()) });
        }
    }
    if open.iter().any(|(_, _, undo)| matches!(undo, Undo::RemovePods { .. })) {
        push(&mut tasks, backwards(), |undo| matches!(undo, Undo::RemovePods { .. }));
    } else if open.iter().any(|(_, _, undo)| is_file(undo)) {
        tasks.push(Task { steps: Vec::new(), act: Act::RemoveStray });
    }
    push(&mut tasks, backwards(), is_file);
    let reloads: Vec<usize> =
        backwards().filter(|(_, _, undo)| matches!(undo, Undo::Reload)).map(|(index, ..)| *index).collect();
    if !reloads.is_empty() || open.iter().any(|(_, _, undo)| touches_units(undo)) {
        tasks.push(Task { steps: reloads, act: Act::Reload });
    }
    push(&mut tasks, backwards(), |undo| match undo {
        Undo::RestoreActivity { was, .. } => is_active(was),
        Undo::Restart { .. } | Undo::StartContainers { .. } => true,
        _ => false,
    });
    for (index, _, undo) in backwards() {
        if matches!(undo, Undo::None { .. }) {
            tasks.push(Task { steps: vec![*index], act: Act::Mark });
        }
    }
    tasks
}

fn push<'a>(
    tasks: &mut Vec<Task>,
    open: impl Iterator<Item = &'a (usize, String, Undo)>,
    wanted: impl Fn(&Undo) -> bool,
) {
    tasks.extend(
        open.filter(|(_, _, undo)| wanted(undo))
            .map(|(index, _, undo)| Task { steps: vec![*index], act: Act::Undo(undo.clone()) }),
    );
}

const fn is_file(undo: &Undo) -> bool {
    matches!(
        undo,
        Undo::RestoreFile { .. } | Undo::RemoveFile { .. } | Undo::RemoveDirs { .. } | Undo::RestoreLinks { .. }
    )
}

fn touches_units(undo: &Undo) -> bool {
    match undo {
        Undo::RestoreLinks { .. } => true,
        Undo::RestoreFile { path, .. } | Undo::RemoveFile { path, .. } => path.contains("/systemd/system/"),
        _ => false,
    }
}

fn is_active(was: &UnitSnapshot) -> bool {
    matches!(was.active.as_str(), "active" | "activating" | "reloading")
}

impl Task {
    /// True for files and links, which need no systemd to be put back.
    pub const fn is_file(&self) -> bool {
        matches!(&self.act, Act::Undo(undo) if is_file(undo))
    }

    /// False when there is nothing to do but to mark steps.
    pub fn acts(&self, live: bool) -> bool {
        match &self.act {
            Act::Mark => false,
            // A file tree has no systemd to tell and no pods to look for.
            Act::Reload | Act::RemoveStray => live,
            Act::Undo(Undo::StartContainers { containers, .. }) => !containers.is_empty(),
            _ => true,
        }
    }

    /// What it does, for people.
    pub fn describe(&self) -> String {
        match &self.act {
            Act::Quiesce(was) => format!("stop {}", was.unit),
            Act::Reload => "reload systemd".to_owned(),
            Act::RemoveStray => "look for pods on containerd".to_owned(),
            Act::Mark => "nothing to take back".to_owned(),
            Act::Undo(undo) => match undo {
                Undo::RestoreFile { path, .. } => format!("restore {path}"),
                Undo::RemoveFile { path, .. } => format!("remove {path}"),
                Undo::RemoveDirs { dirs } => format!("remove {}", dirs.join(", ")),
                Undo::RestoreLinks { unit, .. } => format!("restore enablement of {unit}"),
                Undo::RestoreActivity { was, .. } => format!("start {}", was.unit),
                Undo::Restart { was } => format!("restart {}", was.unit),
                Undo::Reload => "reload systemd".to_owned(),
                Undo::RemovePods { endpoint, .. } => format!("remove the pods on {endpoint}"),
                Undo::StartContainers { containers, .. } => {
                    format!("start {} other Docker containers", containers.len())
                }
                Undo::None { .. } => "nothing to take back".to_owned(),
            },
        }
    }
}

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

    fn undo(&mut self, undo: &Undo, force: bool) -> Result<Option<String>> {
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
                self.start_as_it_was(&was.unit)?;
                for unit in dependents {
                    self.start_as_it_was(unit)?;
                }
            }
            Undo::Restart { was } => self.restart_as_it_was(was)?,
            Undo::Reload => self.host.units.reload()?,
            Undo::RemovePods { endpoint, keep } => return self.remove_pods(endpoint, keep),
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
    fn expect_planned(&self, path: &str) -> Result<()> {
        let planned = self.plan.steps.iter().any(|step| match &step.action {
            Action::WriteFile { path: planned, .. } => planned == path,
            _ => false,
        });
        if planned { Ok(()) } else { bail!("the journal names `{path}`, which its plan does not write") }
    }

    fn expect_planned_dir(&self, dir: &str) -> Result<()> {
        let planned = self.plan.steps.iter().any(|step| match &step.action {
            Action::MakeDir { path, .. } => is_above(dir, &format!("{path}/")),
            _ => false,
        });
        if planned { Ok(()) } else { bail!("the journal names the directory `{dir}`, which its plan does not make") }
    }

    fn expect_unit(&self, unit: &str) -> Result<()> {
        let planned = self.plan.steps.iter().any(|step| match &step.action {
            Action::EnableUnit { unit: planned }
            | Action::DisableUnit { unit: planned }
            | Action::MaskUnit { unit: planned } => planned == unit,
            _ => false,
        });
        if planned { Ok(()) } else { bail!("the journal names the unit `{unit}`, which its plan does not change") }
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
        self.host.units.stop(&was.unit, self.timeouts.unit.duration()).map(|_| ())
    }

    fn start_as_it_was(&mut self, unit: &str) -> Result<()> {
        let units = &*self.host.units;
        let now = units.state(unit)?;
        if now.active == "active" {
            return Ok(());
        }
        // Start limits count the starts of a failed migration too.
        units.reset_failed(unit)?;
        units.start(unit, self.timeouts.unit.duration())?;
        self.judge_start(unit, &now).map(|_| ())
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
        units.restart(&was.unit, self.timeouts.unit.duration())?;
        self.judge_start(&was.unit, &now).map(|_| ())
    }

    fn remove_pods(&self, endpoint: &str, keep: &[String]) -> Result<Option<String>> {
        match pods::remove_from_cri(self.host, endpoint, keep) {
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

/// Appends what a task took back to the journal. A journal that cannot be written must not stop a rollback.
pub fn marks(task: &Task, skipped: Option<&str>) -> Vec<Record> {
    let skipped = skipped.map(str::to_owned);
    task.steps.iter().map(|index| Record::StepUndone { index: *index, skipped: skipped.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    fn unit(name: &str, active: &str) -> UnitSnapshot {
        UnitSnapshot { unit: name.into(), active: active.into(), file_state: "enabled".into(), invocation: "1".into() }
    }

    fn activity(name: &str, active: &str) -> Undo {
        Undo::RestoreActivity { was: unit(name, active), dependents: vec![] }
    }

    #[test]
    fn old_units_start_with_old_files() {
        let file = Undo::RemoveFile {
            path: "/etc/crictl.yaml".into(),
            target: "/etc/crictl.yaml".into(),
            ours: Digest::of(b"x"),
            dirs: vec![],
        };
        let open = vec![
            (1, "stop-kubelet".to_owned(), activity("kubelet.service", "active")),
            (2, "stop-pods".to_owned(), Undo::StartContainers { containers: vec!["c".into()], pods: vec![] }),
            (3, "stop-docker".to_owned(), activity("docker.service", "active")),
            (4, "crictl".to_owned(), file),
            (5, "mask".to_owned(), Undo::RestoreLinks { unit: "docker.service".into(), links: vec![], dirs: vec![] }),
            (6, "reload".to_owned(), Undo::Reload),
            (7, "restart".to_owned(), Undo::Restart { was: unit("containerd.service", "active") }),
            (8, "await".to_owned(), Undo::RemovePods { endpoint: "unix:///c".into(), keep: vec![] }),
            (9, "start-kubelet".to_owned(), activity("kubelet.service", "inactive")),
            (10, "verify".to_owned(), Undo::None { reason: "looks".into() }),
        ];
        let tasks = tasks(&open);
        let said: Vec<String> = tasks.iter().map(Task::describe).collect();
        assert_eq!(
            said,
            [
                "stop kubelet.service",
                "stop docker.service",
                "stop kubelet.service",
                "remove the pods on unix:///c",
                "restore enablement of docker.service",
                "remove /etc/crictl.yaml",
                "reload systemd",
                "restart containerd.service",
                "start docker.service",
                "start 1 other Docker containers",
                "start kubelet.service",
                "nothing to take back",
            ]
        );
        let mut marked: Vec<usize> = tasks.iter().flat_map(|task| task.steps.clone()).collect();
        marked.sort_unstable();
        assert_eq!(marked, (1..=10).collect::<Vec<_>>(), "every open step is taken back exactly once");
    }
}
