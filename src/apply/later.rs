//! What a run has put off for its cluster, done when somebody asks for it.

use super::{
    Journal, Observer, Options, Run, Store, cluster,
    executor::{check_fit, check_journal, lock, work},
    records,
};
use crate::{host::Host, model::RunState};
use anyhow::{Context as _, Result, bail};

/// Does what a run has put off because the cluster's API server was away or refused; gives the run and how much it was.
///
/// # Errors
/// When nothing is put off, or the API server still does not answer or refuses; what was done until then is noted.
pub fn make_up(
    host: &Host,
    wanted: Option<&str>,
    options: &Options<'_>,
    observer: &mut dyn Observer,
) -> Result<(String, usize)> {
    let _lock = lock(host, "resume --cluster")?;
    let store = Store::new(host);
    let waits = |run: &Run| -> Result<bool> {
        let entries = Journal::look(host, &run.path("journal.jsonl"))?;
        let holds = matches!(records::state(&entries), RunState::Applied | RunState::Committed);
        Ok(holds && !records::put_off(&entries).is_empty())
    };
    let run = match wanted {
        Some(_) => store.find(wanted)?,
        None => store.runs()?.pop().context("there is no run on this node yet")?,
    };
    if !waits(&run)? {
        bail!("run {} holds nothing that was put off", run.id);
    }
    let plan = store.plan(&run)?;
    check_fit(host, &plan)?;
    let mut journal = store.journal(&run)?;
    check_journal(&plan, &journal)?;
    let mut work = work(host, &plan, &run, &journal, options, observer);
    let done = cluster::make_up(&mut work, &mut journal)?;
    Ok((run.id.clone(), done))
}
