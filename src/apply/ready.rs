//! Whether a plan can be carried out at all: asked while it is shown, and once more before its first step.

use super::{Observer, Options, Refusal};
use crate::{
    host::{Holder, Host, UnitError, env, unit_links},
    model::{Action, Finding, Plan, Severity},
};
use anyhow::{Context as _, Result};
use std::{collections::BTreeMap, path::Path};

/// The locks that package managers hold while they change the node: dpkg's and apt's, and rpm's at its two places.
const PACKAGE_LOCKS: &[&str] =
    &["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock"];
/// A journal, a report and a plan, and some air.
const AIR: u64 = 1 << 20;
/// Files and directories of one run, and the temporary ones beside what is written.
const INODES: u64 = 64;

/// What stands in the way of a plan on this machine, now.
pub fn obstacles(host: &Host, plan: &Plan) -> Vec<Finding> {
    if plan.is_empty() {
        return Vec::new();
    }
    let mut found = places(host, plan);
    found.extend(room(host, plan));
    if host.is_live() {
        found.extend(others_at_work(host));
        found.extend(fleeting_program(&env::program().unwrap_or_default()));
    }
    found
}

/// Directories that a boot may empty (file-hierarchy(7)).
const FLEETING: &[&str] = &["/tmp", "/run", "/dev", "/var/run"];

/// The units that end a run after a reboot start the very program that began it.
fn fleeting_program(program: &Path) -> Option<Finding> {
    // As a module Ansible removes it as soon as it has ended.
    let by_ansible = program.file_name().is_some_and(|name| name.to_string_lossy().starts_with(env::ANSIBLE_MODULE));
    (by_ansible || FLEETING.iter().any(|dir| program.starts_with(dir))).then(|| {
        let place = program.display();
        Finding::new("program-not-lasting", Severity::Warn, "after a reboot in the middle nobody would end the run")
            .cause(format!(
                "castoff runs from {place}, which may be gone after a reboot; its recovery starts it from there"
            ))
            .fix("install castoff, for example as /usr/local/bin/castoff, and start it from there")
    })
}

const NOT_STARTABLE: &str = "program-not-startable";

/// Whether systemd can start the program that the units of a run name: asked of systemd itself, since SELinux for one lets it start less
/// than a shell.
///
/// # Errors
/// [`Refusal::Unready`] when it cannot, and the dead man's switch is asked for.
pub fn check_program(host: &Host, plan: &Plan, options: &Options<'_>, observer: &mut dyn Observer) -> Result<()> {
    if !host.is_live() {
        return Ok(());
    }
    let program = env::program().context("cannot find the program that runs")?;
    let Err(error) = host.units.try_program(&program.to_string_lossy()) else { return Ok(()) };
    let program = program.display();
    if !matches!(error.downcast_ref(), Some(UnitError::Job { .. })) {
        observer.warn(&format!("whether systemd can start {program} after a reboot is not known: {error:#}"));
        return Ok(());
    }
    let what = format!("systemd cannot start {program}");
    if options.keep_within.is_some() && !plan.desired.skip_checks.iter().any(|id| id == NOT_STARTABLE) {
        return Err(Refusal::Unready { id: NOT_STARTABLE.to_owned(), what, why: format!("{error:#}") }.into());
    }
    observer.warn(&format!("{what}, so after a reboot in the middle nobody would end the run: {error:#}"));
    Ok(())
}

/// Something that would be made in a directory.
const INSIDE: &str = "/.castoff";

/// Paths that the plan writes, makes or removes.
fn written(host: &Host, plan: &Plan) -> Vec<String> {
    // Whether something is mounted on a directory does not matter: what counts is what can be made in it.
    let inside = |dir: &str| format!("{dir}{INSIDE}");
    let mut paths = vec![inside(super::RUNS)];
    for step in &plan.steps {
        match &step.action {
            Action::WriteFile { path, .. } => paths.push(path.clone()),
            Action::MakeDir { path, .. } => paths.push(inside(path)),
            Action::EnableUnit { unit } | Action::DisableUnit { unit } | Action::MaskUnit { unit } => {
                // A link itself is replaced, so what counts is the directory it is in.
                let links = unit_links::links_of(&host.root, unit).unwrap_or_default();
                let there = links.iter().filter_map(|link| link.path.rsplit_once('/')).map(|(dir, _)| dir);
                paths.extend(there.chain([unit_links::ADMIN_DIR]).map(inside));
            }
            _ => {}
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

fn places(host: &Host, plan: &Plan) -> Vec<Finding> {
    let mut by_cause: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in written(host, plan) {
        if let Some(obstacle) = host.root.obstacle(&path) {
            let shown = path.strip_suffix(INSIDE).unwrap_or(&path).to_owned();
            by_cause.entry(obstacle.to_string()).or_default().push(shown);
        }
    }
    let finding = |(cause, paths): (String, Vec<String>)| {
        let (first, more) = (paths.first().cloned().unwrap_or_default(), paths.len().saturating_sub(1));
        let more = if more == 0 { String::new() } else { format!(", and {more} more like it") };
        Finding::new("place-not-writable", Severity::Block, format!("{first} cannot be written{more}"))
            .cause(cause)
            .fix("mount it writable, `chattr -i -a` it, or take the mount away, for the time of the run and its rollback")
    };
    by_cause.into_iter().map(finding).collect()
}

/// Everything that is written fits beside what is there: plan, backups and journal into the run's directory, each new
/// file beside the old one.
fn room(host: &Host, plan: &Plan) -> Option<Finding> {
    let mut needed: BTreeMap<String, u64> = BTreeMap::new();
    for step in &plan.steps {
        let Action::WriteFile { path, content, .. } = &step.action else { continue };
        let new = content.as_ref().map_or(0, |content| content.len() as u64);
        let old = host.root.read(path).ok().flatten().map_or(0, |read| read.bytes.len() as u64);
        let target = host.root.target(path).unwrap_or_else(|| path.clone());
        let dir = target.rsplit_once('/').map_or("/", |(dir, _)| dir).to_owned();
        *needed.entry(dir).or_default() += new;
        // The plan holds the new content, as JSON and beside its diff.
        *needed.entry(super::RUNS.to_owned()).or_default() += old + 3 * new;
    }
    *needed.entry(super::RUNS.to_owned()).or_default() += AIR;
    needed.into_iter().find_map(|(dir, needed)| {
        let space = host.kernel.space(&host.root.outside(&dir)).ok()?;
        let inodes = if space.total_inodes == 0 { u64::MAX } else { space.free_inodes };
        let cause = if space.free_bytes < needed {
            format!("{} kB are free there and {} kB are needed", space.free_bytes / 1000, needed.div_ceil(1000))
        } else if inodes < INODES {
            format!("{inodes} inodes are free there and {INODES} are needed")
        } else {
            return None;
        };
        let summary = format!("{dir} has no room for the run's files and backups");
        Some(
            Finding::new("no-room-for-run", Severity::Block, summary)
                .cause(cause)
                .fix("make room; `castoff history --prune` removes old runs"),
        )
    })
}

fn others_at_work(host: &Host) -> Option<Finding> {
    let name = |pid: u32| {
        let words = host.procs.cmdline(pid).unwrap_or_default();
        let program = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or("a program").to_owned();
        format!("{program} (pid {pid})")
    };
    let packages = PACKAGE_LOCKS.iter().find_map(|path| {
        Holder::of(&host.root, path).map(|holder| match holder {
            Holder::Process(pid) => (name(pid), format!("it holds {path}")),
            Holder::Unknown => ("a package manager".to_owned(), format!("it holds {path}")),
        })
    });
    let kubeadm = || {
        let pid = host.procs.pids_of("kubeadm").into_iter().next()?;
        let verb = host.procs.cmdline(pid).unwrap_or_default().get(1).cloned().unwrap_or_default();
        Some((name(pid), format!("`kubeadm {verb}` writes kubelet's files")))
    };
    let (who, cause) = packages.or_else(kubeadm)?;
    Some(
        Finding::new("node-being-changed", Severity::Block, format!("{who} is changing this node right now"))
            .cause(cause)
            .fix("wait until it is done, then look at the plan again"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_a_boot_may_remove_is_warned_of() {
        for (place, fleeting) in [
            ("/tmp/castoff", true),
            ("/run/user/0/castoff", true),
            ("/usr/local/bin/castoff", false),
            ("/var/tmp/castoff", false),
            ("/tmpfoo/castoff", false),
        ] {
            assert_eq!(fleeting_program(Path::new(place)).is_some(), fleeting, "{place}");
        }
    }
}
