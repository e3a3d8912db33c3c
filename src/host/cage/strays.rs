//! What a caged daemon has started and left: shims and containers outlive their daemon on purpose, and here they must not.

use super::MARK;
use anyhow::Context as _;
use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

/// Processes that die take a moment, under load more than one.
const LIMIT: Duration = Duration::from_secs(10);

/// While this lives, orphans of what castoff starts become its children. When it goes, those that are in other mount
/// namespaces than castoff are ended: what ran in the cage.
#[derive(Debug)]
pub(super) struct Strays(());

impl Strays {
    pub(super) fn gather() -> anyhow::Result<Self> {
        prctl::set_child_subreaper(true).context("failed to become the parent of orphans")?;
        Ok(Self(()))
    }
}

impl Drop for Strays {
    fn drop(&mut self) {
        let until = Instant::now() + LIMIT;
        let own = fs::read_link("/proc/self/ns/mnt").ok();
        loop {
            let strays: Vec<u32> = descendants(std::process::id())
                .into_iter()
                .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok() != own || is_dead(*pid))
                .collect();
            if strays.is_empty() || Instant::now() > until {
                break;
            }
            for pid in strays.iter().filter_map(|pid| i32::try_from(*pid).ok()).map(Pid::from_raw) {
                let _ = kill(pid, Signal::SIGKILL);
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
            thread::sleep(Duration::from_millis(2));
        }
        let _ = prctl::set_child_subreaper(false);
    }
}

/// Parent and state of every process.
fn processes() -> BTreeMap<u32, (u32, char)> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// `PID (NAME) STATE PARENT …`; a name may hold anything.
fn parent(stat: &str) -> Option<(u32, char)> {
    let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = words.next()?.chars().next()?;
    Some((words.next()?.parse().ok()?, state))
}

fn is_dead(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    parent(&stat).is_some_and(|(_, state)| state == 'Z')
}

fn descendants(of: u32) -> Vec<u32> {
    let all = processes();
    let mut found = vec![of];
    let mut index = 0;
    while let Some(above) = found.get(index).copied() {
        found.extend(all.iter().filter(|(_, (parent, _))| *parent == above).map(|(pid, _)| *pid));
        index += 1;
    }
    found.split_off(1)
}

/// Ends what is left of cages whose castoff was killed.
pub(in crate::host) fn end_abandoned() {
    let prefix = format!("{MARK}=");
    for pid in processes().into_keys() {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        let owner = environment
            .split(|byte| *byte == 0)
            .find_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix(&prefix)?.parse::<u32>().ok());
        let Some(owner) = owner else { continue };
        if !std::path::Path::new(&format!("/proc/{owner}")).exists()
            && let Ok(pid) = i32::try_from(pid)
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_behind_any_name() {
        assert_eq!(parent("7 (a) b) S 3 7 7"), Some((3, 'S')));
        assert_eq!(parent("7 (pause) Z 1 7"), Some((1, 'Z')));
        assert_eq!(parent("7 (pause"), None);
        let own = std::process::id();
        assert!(processes().contains_key(&own) && !descendants(1).is_empty());
    }
}
