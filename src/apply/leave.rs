//! The cluster's side of a rollback that somebody asks for: pods leave before the node goes back, and come again after it.
//!
//! In the journal: whoever ends a rollback that was cut off lifts the cordon too. Cut off before that, while pods leave, the run is
//! still as it was and nobody goes on by himself: the next rollback lifts it at its end, or `kubectl uncordon` does.

use super::{Journal, cluster as steps, records, steps::Work};
use crate::{
    cluster::{self, Drain},
    model::{Action, Plan, Record},
};
use anyhow::{Context as _, Result};
use std::time::Duration;

/// How pods leave before a rollback.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// Pods leave that nothing makes again.
    pub force: bool,
    /// Pods leave whose emptyDir ends with them.
    pub delete_emptydir_data: bool,
    /// Grace period in seconds; absent: each pod's own.
    pub grace: Option<u32>,
    /// For all of them together; absent: the plan's.
    pub timeout: Option<Duration>,
}

/// The node's name in its cluster and the kubeconfig to speak with, where the plan knows them.
pub fn member(plan: &Plan) -> Option<(&str, &str)> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::AwaitNode { node, kubeconfig, .. } | Action::CordonNode { node, kubeconfig } => {
            Some((node.as_str(), kubeconfig.as_str()))
        }
        _ => None,
    })
}

/// Cordons and drains the node. When that fails, the node is as it was but for pods that left already, and is uncordoned.
pub fn leave(work: &mut Work<'_>, journal: &mut Journal, how: Leaving) -> Result<()> {
    let (node, kubeconfig) = member(work.plan)
        .context("the run was made without its cluster; drain the node by other means, and leave `--drain` out")?;
    let api = cluster::open(work.host, kubeconfig)?;
    let cordoned = cluster::is_cordoned(&cluster::node(&*api, node)?);
    if !cordoned {
        journal.add(work.host, Record::Cordoned)?;
        cluster::cordon(&*api, node, true)?;
    }
    let drain = Drain {
        force: how.force,
        delete_emptydir_data: how.delete_emptydir_data,
        grace: how.grace,
        timeout: how.timeout.unwrap_or_else(|| work.timeouts.drain.duration()),
    };
    let clock = &*work.host.clock;
    let drained = cluster::drain(&*api, node, drain, clock, &mut |what| {
        work.observer.waiting(what);
        work.check_interrupt()
    });
    match drained {
        Ok(count) => {
            work.observer.part_done(&format!("{count} pods left node {node}"));
            Ok(())
        }
        Err(error) => {
            if !cordoned {
                come_back(work, journal);
            }
            Err(error.context(format!("node {node} could not be drained; nothing was taken back")))
        }
    }
}

/// Lifts what [`leave`] did, in this process or in one that was cut off. Gives what is left to do by hand.
pub fn come_back(work: &mut Work<'_>, journal: &mut Journal) -> Option<String> {
    if !records::is_cordoned(journal.entries()) {
        return None;
    }
    let (node, kubeconfig) = member(work.plan)?;
    match steps::uncordon(work, node, kubeconfig) {
        Ok(()) => {
            // Uncordoned twice is uncordoned.
            let _ = journal.add(work.host, Record::Uncordoned);
            None
        }
        Err(error) => {
            let by_hand = format!("kubectl uncordon {node}");
            work.observer.warn(&format!("node {node} is still cordoned: {error:#}; by hand: {by_hand}"));
            Some(by_hand)
        }
    }
}
