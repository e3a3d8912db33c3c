//! Which runs are kept: old ones go by count and by size, but never one that somebody may still need.

use super::{Journal, Run, Store, records};
use crate::model::{Retention, RunState};
use anyhow::Result;

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids, oldest first.
    pub runs: Vec<String>,
    /// Bytes of their files.
    pub bytes: u64,
}

/// A run with what decides on it.
struct Kept {
    run: Run,
    /// `None` for one that cannot be read.
    state: Option<RunState>,
    bytes: u64,
}

impl Store<'_> {
    /// Removes old runs until no more are left than wanted, in number and in bytes. What was cut off, is stuck, waits to
    /// be kept, or cannot be read stays, and so do the newest run and the newest that holds. The caller has the lock.
    ///
    /// # Errors
    /// When the store cannot be read, or a run not be removed. What was removed before stays removed.
    pub fn prune(&self, wanted: Retention) -> Result<Pruned> {
        self.sweep()?;
        let mut kept: Vec<Kept> = self.runs()?.into_iter().map(|run| self.weigh(run)).collect();
        let mut pruned = Pruned::default();
        while is_too_much(&kept, wanted) {
            let Some(at) = oldest_to_spare(&kept) else { break };
            let Kept { run, bytes, .. } = kept.remove(at);
            self.remove(&run)?;
            pruned.bytes += bytes;
            pruned.runs.push(run.id);
        }
        Ok(pruned)
    }

    fn weigh(&self, run: Run) -> Kept {
        let state = Journal::look(self.host(), &run.path("journal.jsonl")).ok().map(|entries| records::state(&entries));
        let files = ["journal.jsonl", "plan.json", "report.json"];
        let sizes = files.iter().map(|name| self.size(&run.path(name)));
        Kept { bytes: self.backup_bytes(&run) + sizes.sum::<u64>(), state, run }
    }

    fn size(&self, path: &str) -> u64 {
        self.host().root.read(path).ok().flatten().map_or(0, |read| read.bytes.len() as u64)
    }

    /// The journal goes first: without it a directory is no run, so a kill in the middle leaves nothing that could be
    /// taken for one.
    fn remove(&self, run: &Run) -> Result<()> {
        let root = &self.host().root;
        for name in ["journal.jsonl", "report.json", "plan.json"] {
            root.remove_link(&run.path(name))?;
        }
        let backups = run.path("backups");
        for (name, _) in root.list(&backups)? {
            root.remove_link(&format!("{backups}/{name}"))?;
        }
        for (name, _) in root.list(&run.dir)?.into_iter().filter(|(name, _)| name.ends_with(".castoff-tmp")) {
            root.remove_link(&run.path(&name))?;
        }
        root.remove_empty_dir(&backups)?;
        root.remove_empty_dir(&run.dir)
    }

    /// Directories that never became a run, or are what is left of one.
    fn sweep(&self) -> Result<()> {
        self.abandoned()?.iter().try_for_each(|run| self.remove(run))
    }
}

fn is_too_much(kept: &[Kept], wanted: Retention) -> bool {
    let bytes: u64 = kept.iter().map(|kept| kept.bytes).sum();
    kept.len() > wanted.runs || bytes > wanted.megabytes.saturating_mul(1_000_000)
}

/// A run that holds goes only when no older one is left that does: taking that one back would meet files of a run that
/// nobody knows any more.
fn oldest_to_spare(kept: &[Kept]) -> Option<usize> {
    let holds = |kept: &Kept| !matches!(kept.state, Some(RunState::RolledBack));
    let newest = kept.len().checked_sub(1)?;
    let newest_that_holds = kept.iter().rposition(holds);
    let mut older_holds = false;
    kept.iter().enumerate().find_map(|(at, run)| {
        let spare = match run.state {
            Some(RunState::RolledBack) => true,
            Some(RunState::Committed) => !older_holds && Some(at) != newest_that_holds,
            _ => false,
        };
        older_holds |= holds(run);
        (spare && at != newest).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(states: &[Option<RunState>]) -> Vec<Kept> {
        let of = |(at, state): (usize, &Option<RunState>)| Kept {
            run: Run { id: at.to_string(), dir: String::new() },
            state: *state,
            bytes: 1_000_000,
        };
        states.iter().enumerate().map(of).collect()
    }

    #[test]
    fn what_may_be_needed_is_never_spared() {
        use RunState::{Applied, Committed, Dirty, RolledBack, Stuck};
        let cases: [(&[Option<RunState>], Option<usize>); 9] = [
            (&[], None),
            (&[Some(RolledBack)], None),
            (&[Some(Committed), Some(RolledBack)], None),
            (&[Some(Committed), Some(Committed)], Some(0)),
            (&[Some(RolledBack), Some(Committed)], Some(0)),
            (&[Some(Dirty), Some(Stuck), Some(Applied), None], None),
            (&[Some(Applied), Some(RolledBack), Some(Committed)], Some(1)),
            // The first one holds and stays, so the second, which stands on it, stays too.
            (&[Some(Applied), Some(Committed), Some(Committed)], None),
            (&[None, Some(Committed), Some(Committed)], None),
        ];
        for (states, wanted) in cases {
            assert_eq!(oldest_to_spare(&kept(states)), wanted, "{states:?}");
        }
    }

    #[test]
    fn too_much_is_counted_in_runs_and_in_bytes() {
        let three = kept(&[Some(RunState::Committed); 3]);
        for (runs, megabytes, wanted) in [(3, 3, false), (2, 3, true), (3, 2, true), (0, u64::MAX, true)] {
            assert_eq!(is_too_much(&three, Retention { runs, megabytes }), wanted, "{runs} {megabytes}");
        }
    }
}
