//! On which file systems lies what a run needs. After a boot they may come late (`nofail`, `_netdev`) or not at all, and what is written
//! below a bare mount point is hidden as soon as they do.

use crate::{
    formats::mounts::{self, Mount},
    host::Host,
    model::{Action, Plan, Undo},
};

/// What is mounted; empty where that cannot be told, as in a file tree.
fn table(host: &Host) -> Vec<Mount> {
    if !host.is_live() {
        return Vec::new();
    }
    mountinfo(host).map(|text| mounts::mountinfo(&text)).unwrap_or_default()
}

/// As systemd sees it, whose units come behind a boot: this process may have a mount namespace of its own.
fn mountinfo(host: &Host) -> Option<String> {
    host.root.text("/proc/1/mountinfo").ok().flatten()
}

/// The mount points that paths lie below, but for the root.
pub fn below<'p>(host: &Host, paths: impl Iterator<Item = &'p str>) -> Vec<String> {
    let table = table(host);
    let holders = paths.filter_map(|path| mounts::holder(&table, path)).map(|mount| mount.point.clone());
    let text = mountinfo(host).unwrap_or_default();
    // What is bound on itself is there without that too.
    let counts = |point: &String| point != "/" && !mounts::is_bound_on_itself(&text, point);
    let mut points: Vec<String> = holders.filter(counts).collect();
    points.sort();
    points.dedup();
    points
}

/// Those of the files of a plan, also where links lead elsewhere.
pub fn of(host: &Host, plan: &Plan) -> Vec<String> {
    let written = plan.steps.iter().filter_map(|step| match &step.action {
        Action::WriteFile { path, .. } => Some(path.clone()),
        _ => None,
    });
    let paths: Vec<String> = written.flat_map(|path| [host.root.target(&path), Some(path)]).flatten().collect();
    below(host, paths.iter().map(String::as_str))
}

/// Of mount points that were there once, the one that the file of an undo lies below and on which nothing is mounted now.
pub fn missing<'k>(host: &Host, known: &'k [String], undo: &Undo) -> Option<&'k str> {
    let (Undo::RestoreFile { path, target, .. } | Undo::RemoveFile { path, target, .. }) = undo else { return None };
    let holds = |point: &String| mounts::is_below(path, point) || mounts::is_below(target, point);
    let mut points = known.iter().filter(|point| holds(point)).peekable();
    points.peek()?;
    let table = table(host);
    let is_bare = |point: &&str| !table.is_empty() && table.iter().all(|mount| mount.point != *point);
    points.map(String::as_str).find(is_bare)
}
