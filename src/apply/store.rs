//! Directories of runs below `/var/lib/castoff/runs`: `plan.json`, `journal.jsonl`, `backups/<sha256>`, `report.json`.

use super::journal::Journal;
use crate::{
    formats::spelling::distance,
    host::{Attributes, EntryKind, Expect, FileRead, Host},
    model::{Digest, Entry, Plan, RunReport},
};
use anyhow::{Context as _, Result, anyhow, bail};
use jiff::ToSpan as _;

/// Where runs are kept, below the root.
pub const RUNS: &str = "/var/lib/castoff/runs";

/// All runs of a node.
#[derive(Debug, Clone, Copy)]
pub struct Store<'h> {
    host: &'h Host,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id: UTC time and the plan's id. Later runs have greater ones.
    pub id: String,
    /// Its directory.
    pub dir: String,
}

/// A second and a number within it.
type Place = (String, u32);

/// The place of a run among all, out of its id: `20261123T083936Z-dbe9`, `20261123T083936Z001-a5f9`.
fn place(id: &str) -> Option<Place> {
    let (place, _) = id.split_once('-')?;
    let (stamp, number) = place.split_once('Z')?;
    let is_stamp = stamp.len() == 15 && stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'T');
    let number = if number.is_empty() { 0 } else { number.parse().ok()? };
    is_stamp.then(|| (stamp.to_owned(), number))
}

/// The newest run is the last one, however fast they follow and whatever becomes of the clock: ids only ever grow.
fn next_place(now: &str, newest: Option<Place>) -> String {
    match newest {
        Some((stamp, number)) if stamp.as_str() >= now => match number {
            // Four digits would come before three.
            999.. => format!("{}Z", later(&stamp)),
            number => format!("{stamp}Z{:03}", number + 1),
        },
        _ => format!("{now}Z"),
    }
}

/// The second after one.
fn later(stamp: &str) -> String {
    let next = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", stamp).and_then(|at| at.checked_add(1.second()));
    next.map_or_else(|_| stamp.to_owned(), |at| at.strftime("%Y%m%dT%H%M%S").to_string())
}

impl Run {
    /// Path of a file of this run.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }
}

impl<'h> Store<'h> {
    /// The store of a node.
    pub const fn new(host: &'h Host) -> Self {
        Self { host }
    }

    pub(super) const fn host(&self) -> &'h Host {
        self.host
    }

    /// All runs, oldest first. A directory without a record never became a run and is left out.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn runs(&self) -> Result<Vec<Run>> {
        Ok(self.dirs()?.into_iter().filter(|run| self.has_begun(run)).collect())
    }

    /// Directories that are no run: of one that was killed before its first record, or in the middle of being removed.
    pub(super) fn abandoned(&self) -> Result<Vec<Run>> {
        Ok(self.dirs()?.into_iter().filter(|run| !self.has_begun(run)).collect())
    }

    fn dirs(&self) -> Result<Vec<Run>> {
        let entries = self.host.root.list(RUNS)?.into_iter().filter(|(_, kind)| *kind == EntryKind::Dir);
        Ok(entries.map(|(id, _)| Run { dir: format!("{RUNS}/{id}"), id }).collect())
    }

    /// Killed before its first record was on disk, nothing was done on behalf of a run. A damaged journal is one.
    fn has_begun(&self, run: &Run) -> bool {
        let path = run.path("journal.jsonl");
        self.host.root.kind(&path) == Some(EntryKind::File)
            && Journal::look(self.host, &path).map_or(true, |entries| !entries.is_empty())
    }

    /// The run a user means: a full id, the end of one (the plan's id), or `None` for the newest.
    ///
    /// # Errors
    /// When there is none, or more than one fits.
    pub fn find(&self, wanted: Option<&str>) -> Result<Run> {
        let mut runs = self.runs()?;
        let Some(wanted) = wanted else {
            return runs.pop().ok_or_else(|| anyhow!("there is no run on this node yet"));
        };
        let mut fitting: Vec<Run> = runs
            .into_iter()
            .filter(|run| run.id == wanted || run.id.starts_with(wanted) || run.id.ends_with(&format!("-{wanted}")))
            .collect();
        match (fitting.len(), fitting.pop()) {
            (1, Some(run)) => Ok(run),
            (0, _) | (_, None) => {
                // Ids are a time and the plan's id: a slip of the finger leaves most of it.
                let all = self.runs()?;
                let tail = |run: &Run| run.id.rsplit('-').next().unwrap_or_default().to_owned();
                let far = |run: &Run| distance(&run.id, wanted).min(distance(&tail(run), wanted));
                let close = all.iter().rev().find(|run| far(run) <= (wanted.len() / 4).max(1));
                let hint = close.map(|run| format!("; did you mean {}?", run.id)).unwrap_or_default();
                bail!("there is no run `{wanted}`{hint}; `castoff history` lists them")
            }
            (count, _) => bail!("`{wanted}` fits {count} runs; give the full id from `castoff history`"),
        }
    }

    /// Makes the directory of a new run and saves its plan there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(&self, plan: &Plan) -> Result<Run> {
        let root = &self.host.root;
        let now: String = self.host.clock.now().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
        let names = root.list(RUNS)?;
        let id = format!("{}-{}", next_place(&now, names.iter().filter_map(|(name, _)| place(name)).max()), plan.id);
        let run = Run { dir: format!("{RUNS}/{id}"), id };
        root.make_dirs("/var/lib", 0o755)?;
        root.make_dirs(&run.path("backups"), 0o700).context("cannot make the directory of the run")?;
        let text = serde_json::to_string_pretty(plan).context("cannot print the plan")?;
        self.put(&run.path("plan.json"), text.as_bytes())?;
        Ok(run)
    }

    /// Reads a run's plan back and checks it against the digest in its journal.
    ///
    /// # Errors
    /// When it is missing, unreadable, or not the one the run was started with.
    pub fn plan(&self, run: &Run) -> Result<Plan> {
        let path = run.path("plan.json");
        let text = self.host.root.text(&path)?.ok_or_else(|| anyhow!("{path} is missing"))?;
        let plan: Plan = serde_json::from_str(&text).with_context(|| format!("{path} is damaged"))?;
        plan.validate().map_err(|why| anyhow!("{path} cannot be used: {why}"))?;
        Ok(plan)
    }

    /// Reads a run's journal and leaves it as it is.
    ///
    /// # Errors
    /// When it is damaged in the middle.
    pub fn look(&self, run: &Run) -> Result<Vec<Entry>> {
        Journal::look(self.host, &run.path("journal.jsonl"))
    }

    /// Opens a run's journal for reading and appending.
    ///
    /// # Errors
    /// When it is damaged in the middle.
    pub fn journal(&self, run: &Run) -> Result<Journal> {
        Journal::open(self.host, &run.path("journal.jsonl"))
    }

    /// Keeps the content of a file under its digest, on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn back_up(&self, run: &Run, read: &FileRead) -> Result<Digest> {
        let digest = read.digest();
        let path = run.path(&format!("backups/{}", digest.hex()));
        if self.host.root.read(&path)?.is_some_and(|kept| kept.digest() == digest) {
            return Ok(digest);
        }
        // A torn backup of a killed run is not one.
        self.host.root.remove_file(&path)?;
        self.put(&path, &read.bytes).with_context(|| format!("cannot keep a backup of {}", read.target))?;
        Ok(digest)
    }

    /// A backup's content, checked against its name.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn backup(&self, run: &Run, digest: &Digest) -> Result<Vec<u8>> {
        if !digest.is_well_formed() {
            bail!("the journal of run {} names a backup `{digest}`, which is no digest", run.id);
        }
        let path = run.path(&format!("backups/{}", digest.hex()));
        let read = self.host.root.read(&path)?.ok_or_else(|| anyhow!("the backup {path} is missing"))?;
        if read.digest() != *digest {
            bail!("the backup {path} is damaged");
        }
        Ok(read.bytes)
    }

    /// Saves the report of a run, in place of an earlier one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_report(&self, run: &Run, report: &RunReport) -> Result<()> {
        let text = serde_json::to_string_pretty(report).context("cannot print the report")?;
        self.put(&run.path("report.json"), text.as_bytes())
    }

    /// A run's report, when it was written.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn report(&self, run: &Run) -> Result<Option<RunReport>> {
        let path = run.path("report.json");
        let Some(text) = self.host.root.text(&path)? else { return Ok(None) };
        serde_json::from_str(&text).with_context(|| format!("{path} is damaged")).map(Some)
    }

    /// Bytes that a run's backups take.
    pub fn backup_bytes(&self, run: &Run) -> u64 {
        let dir = run.path("backups");
        let names = self.host.root.list(&dir).unwrap_or_default();
        names
            .iter()
            .filter_map(|(name, _)| self.host.root.read(&format!("{dir}/{name}")).ok().flatten())
            .map(|read| read.bytes.len() as u64)
            .sum()
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let root = &self.host.root;
        let before = root.read(path)?.map(|read| read.digest());
        let expect = before.as_ref().map_or(Expect::Absent, Expect::Content);
        root.write_atomic(path, bytes, expect, Attributes::Keep { mode: 0o600 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_only_ever_grow() {
        let next = |now: &str, newest: &str| next_place(now, place(newest));
        let (now, then) = ("20260101T000000", "20360101T000000");
        assert_eq!(next(now, ""), "20260101T000000Z");
        assert_eq!(next(now, "lost+found"), "20260101T000000Z");
        assert_eq!(next(then, "20260101T000000Z007-dbe9"), "20360101T000000Z");
        assert_eq!(next(now, "20260101T000000Z-dbe9"), "20260101T000000Z001");
        assert_eq!(next(now, "20260101T000000Z009-dbe9"), "20260101T000000Z010");
        // The clock was ten years ahead when that one was made.
        assert_eq!(next(now, "20360101T000000Z-dbe9"), "20360101T000000Z001");
        assert_eq!(next(now, "20351231T235959Z999-dbe9"), "20360101T000000Z");
    }
}
