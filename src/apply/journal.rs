//! The journal of a run: JSON lines, only ever appended, each on disk before the next thing happens.

use super::records;
use crate::{
    host::{Append, Host},
    model::{Digest, Entry, Record, TOOL_VERSION},
};
use anyhow::{Context as _, Result, bail};

/// The journal of one run.
#[derive(Debug)]
pub struct Journal {
    file: Append,
    entries: Vec<Entry>,
    /// Length of the records above on disk.
    sound: u64,
    /// A record that failed may have arrived in part, or whole.
    torn: bool,
}

impl Journal {
    /// Begins the journal of a new run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(
        host: &Host,
        path: &str,
        plan: &Digest,
        commit: bool,
        sandboxes: Option<Vec<String>>,
        mounts: Vec<String>,
    ) -> Result<Self> {
        let mut journal = Self { file: host.root.append(path)?, entries: Vec::new(), sound: 0, torn: false };
        let (plan, tool) = (plan.clone(), TOOL_VERSION.to_owned());
        journal.add(host, Record::RunStarted { plan, tool, commit, sandboxes, mounts })?;
        Ok(journal)
    }

    /// Opens a journal, cutting off a record that a crash left half written.
    ///
    /// # Errors
    /// When it cannot be read or is damaged in the middle.
    pub fn open(host: &Host, path: &str) -> Result<Self> {
        let (entries, sound, length) = load(host, path)?;
        let mut file = host.root.append(path)?;
        if sound < length {
            file.truncate(sound as u64)?;
        }
        Ok(Self { file, entries, sound: sound as u64, torn: false })
    }

    /// The entries of a journal, for looking only.
    ///
    /// # Errors
    /// When it cannot be read or is damaged in the middle.
    pub fn look(host: &Host, path: &str) -> Result<Vec<Entry>> {
        load(host, path).map(|(entries, ..)| entries)
    }

    /// Appends a record and waits until it is on disk.
    ///
    /// # Errors
    /// When it cannot be written. Then nothing may be done on its behalf.
    pub fn add(&mut self, host: &Host, record: Record) -> Result<()> {
        let entry = Entry { time: host.clock.now(), seq: self.entries.len() as u64, record };
        let mut line = serde_json::to_vec(&entry).context("cannot print a journal record")?;
        line.push(b'\n');
        if self.torn {
            self.file.truncate(self.sound).context("cannot write the journal")?;
            self.torn = false;
        }
        if let Err(error) = self.file.append(&line) {
            // What arrived of it must not stand before the next record: half a line, or its number twice, is damage.
            self.torn = self.file.truncate(self.sound).is_err();
            return Err(error.context("cannot write the journal"));
        }
        self.sound += line.len() as u64;
        self.entries.push(entry);
        Ok(())
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

fn load(host: &Host, path: &str) -> Result<(Vec<Entry>, usize, usize)> {
    let Some(file) = host.root.read(path)? else { bail!("the journal {path} is missing") };
    let (entries, sound) =
        records::read(&file.bytes).map_err(|why| anyhow::anyhow!("the journal {path} is damaged at {why}"))?;
    Ok((entries, sound, file.bytes.len()))
}
