//! Whether the old state holds after a rollback.

use super::{cluster as steps, pods, records, steps::Work};
use crate::{
    host::{Host, unit_links},
    images::Loan,
    model::{Entry, Record, Undo},
};
use anyhow::{Context as _, Result, bail};

/// The old state holds: files and links as recorded, units as active as they were, pods on Docker again. Records from `since` on
/// are those of this rollback.
///
/// What an earlier one took back may be somebody's work by now, perhaps the very repair that was asked for: it is no failure, and
/// given with its step. Nor has a node to be as it was that day once it had been: it may have moved on.
///
/// # Errors
/// What is not as it was.
pub fn prove_old(work: &mut Work<'_>, entries: &[Entry], since: usize) -> Result<Vec<(usize, String)>> {
    let (earlier, now) = entries.split_at(since.min(entries.len()));
    let (skipped, earlier, now) = (records::skipped(entries), undone(earlier), undone(now));
    let mut known_units: Vec<&str> = Vec::new();
    let mut pods_of_docker: Option<Vec<String>> = None;
    let mut changed = Vec::new();
    for (index, _, undo) in recorded(entries) {
        if skipped.contains(&index) {
            continue;
        }
        match undo {
            // The first record of a unit knows its links before anything was changed.
            Undo::RestoreLinks { unit, .. } if known_units.contains(&unit.as_str()) => continue,
            Undo::RestoreLinks { unit, .. } => known_units.push(unit),
            Undo::StartContainers { pods, .. } if !pods.is_empty() => pods_of_docker = Some(pods.clone()),
            _ => {}
        }
        match differs(work.host, undo)? {
            None => {}
            Some(why) if now.contains(&index) || !earlier.contains(&index) => bail!(why),
            Some(why) => {
                let is_file = matches!(undo, Undo::RestoreFile { .. } | Undo::RemoveFile { .. });
                let hint = if is_file { " (`castoff rollback --force` restores it)" } else { "" };
                changed.push((index, format!("{why}: somebody changed it since it was taken back; left alone{hint}")));
            }
        }
    }
    if records::was_taken_back(entries) {
        return Ok(changed);
    }
    prove_units(work, entries)?;
    // Of a run that had ended well, others may have come and gone since.
    let moved = records::moved_pods(entries).map(<[String]>::to_vec);
    if let Some(pods) = moved.filter(|pods| !pods.is_empty()).or(pods_of_docker) {
        match pods_are_back(work, &pods) {
            // Nobody else starts them.
            Err(error) if !was_up(entries, "kubelet.service") => {
                work.observer.warn(&format!("kubelet was not up before this run either: {error:#}"));
            }
            other => other?,
        }
    }
    work.steady()?;
    Ok(changed)
}

fn pods_are_back(work: &mut Work<'_>, pods: &[String]) -> Result<()> {
    pods::await_on_docker(work, pods).context("the node's pods do not run on Docker again")?;
    match steps::etcd_of(work.plan) {
        Some((metrics, revision)) => steps::await_etcd(work, &metrics, revision).context("etcd is not as it was"),
        None => Ok(()),
    }
}

/// What is not as an undo should have made it; `None` when all is.
fn differs(host: &Host, undo: &Undo) -> Result<Option<String>> {
    Ok(match undo {
        Undo::RestoreFile { path, digest, mode, uid, gid, .. } => match host.root.read(path)? {
            None => Some(format!("{path} is missing")),
            Some(read) => {
                let meta = (read.meta.mode, read.meta.uid, read.meta.gid);
                (read.digest() != *digest || meta != (*mode, *uid, *gid)).then(|| format!("{path} is not as it was"))
            }
        },
        Undo::RemoveFile { path, .. } => host.root.exists(path).then(|| format!("{path} is still there")),
        Undo::RestoreLinks { unit, links, .. } => (unit_links::links_of(&host.root, unit)? != *links)
            .then(|| format!("the enablement of {unit} is not as it was")),
        Undo::ReturnImages { layers, .. } => Loan::expect_back(host, layers).err().map(|error| format!("{error:#}")),
        _ => None,
    })
}

/// Files that were taken back, and have the run's content again while it is not ended: a file system that was mounted after that has
/// covered what was put back. A boot does that to the early recovery where it does not know of the mount.
pub fn come_again(host: &Host, entries: &[Entry]) -> Vec<(usize, String, Undo)> {
    if records::was_taken_back(entries) {
        return Vec::new();
    }
    let is_ours = |undo: &Undo| match undo {
        Undo::RestoreFile { path, ours, .. } | Undo::RemoveFile { path, ours, .. } => {
            host.root.read(path).ok().flatten().is_some_and(|read| read.digest() == *ours)
        }
        _ => false,
    };
    let undone = undone(entries);
    let again = recorded(entries).into_iter().filter(|recorded| undone.contains(&recorded.0) && is_ours(recorded.2));
    again.map(|(index, id, undo)| (index, id.to_owned(), undo.clone())).collect()
}

/// Steps that were taken back, and not left alone.
fn undone(entries: &[Entry]) -> Vec<usize> {
    let undone = entries.iter().filter_map(|entry| match entry.record {
        Record::StepUndone { index, skipped: None } => Some(index),
        _ => None,
    });
    undone.collect()
}

fn prove_units(work: &Work<'_>, entries: &[Entry]) -> Result<()> {
    let mut seen: Vec<&str> = Vec::new();
    for (_, _, undo) in recorded(entries) {
        let (Undo::RestoreActivity { was, .. } | Undo::Restart { was }) = undo else { continue };
        if seen.contains(&was.unit.as_str()) {
            continue;
        }
        seen.push(&was.unit);
        let now = work.host.units.state(&was.unit)?;
        if was.active == "active" && now.active != "active" {
            bail!("{} was active and is {} now", was.unit, now.active);
        }
    }
    Ok(())
}

/// False for a unit that was not active when it was touched first.
fn was_up(entries: &[Entry], unit: &str) -> bool {
    recorded(entries).into_iter().find_map(|(_, _, undo)| match undo {
        Undo::RestoreActivity { was, .. } | Undo::Restart { was } if was.unit == unit => Some(was.active == "active"),
        _ => None,
    }) != Some(false)
}

/// Every undo ever recorded in this run, first record of each step.
fn recorded(entries: &[Entry]) -> Vec<(usize, &str, &Undo)> {
    let mut recorded: Vec<(usize, &str, &Undo)> = Vec::new();
    for entry in entries {
        if let Record::StepStarted { index, id, undo } = &entry.record
            && recorded.iter().all(|(known, ..)| known != index)
        {
            recorded.push((*index, id, undo));
        }
    }
    recorded
}
