//! Steps that are the cluster's: pods leave and come, the node is seen Ready, kubeadm's note is kept true.
//!
//! The API server may be one of the pods that move. Before anything stops it has to answer; after that the node is fine without
//! it, so what it does not answer in time is put off, said, and done by `castoff resume --cluster`. So is what it refuses of
//! what is only written down there.

use super::{
    records,
    steps::{InVain, Interrupted, Work},
};
use crate::{
    cluster::{self, Drain, kubelet_map},
    host::{Api, ApiError, Host},
    inspect,
    model::{Action, Entry, Plan, Record, Step, Undo},
};
use anyhow::{Context as _, Result, bail};
use std::{mem::discriminant, time::Duration};

/// Between two attempts to reach an API server.
const AGAIN: Duration = Duration::from_secs(2);

/// Works out how a step is taken back.
pub fn prepare(host: &Host, action: &Action) -> Result<Undo> {
    let only = |reason: &str| Ok(Undo::None { reason: reason.to_owned() });
    match action {
        Action::CordonNode { node, kubeconfig } => {
            let api = cluster::open(host, kubeconfig)?;
            if cluster::is_cordoned(&cluster::node(&*api, node)?) {
                return only("it took no new pods before");
            }
            Ok(Undo::Uncordon { node: node.clone(), kubeconfig: kubeconfig.clone() })
        }
        Action::AnnotateNode { node, kubeconfig, key, before, .. } => {
            let found = cluster::open(host, kubeconfig).and_then(|api| cluster::node(&*api, node));
            let value = match found {
                Ok(found) => cluster::annotation(&found, key),
                // It may be made up for later, and taken back after that: then what the plan saw is what was there.
                Err(error) if ApiError::is_away(&error) || ApiError::may_pass(&error) => before.clone(),
                Err(error) => return Err(error),
            };
            let (node, kubeconfig, key) = (node.clone(), kubeconfig.clone(), key.clone());
            Ok(Undo::RestoreAnnotation { node, kubeconfig, key, value })
        }
        Action::SetKubeletMap { kubeconfig, map, key, before, .. } => {
            let (kubeconfig, map, key, value) = (kubeconfig.clone(), map.clone(), key.clone(), before.clone());
            Ok(Undo::RestoreKubeletMap { kubeconfig, map, key, value })
        }
        Action::DrainNode { .. } => only("controllers made other pods elsewhere"),
        _ => only("it only looks, or is the end of a drain"),
    }
}

/// Does a step of the cluster's.
pub fn act(work: &mut Work<'_>, action: &Action) -> Result<Option<String>> {
    match action {
        Action::CordonNode { node, kubeconfig } => {
            cluster::cordon(&*cluster::open(work.host, kubeconfig)?, node, true)?;
            Ok(None)
        }
        Action::DrainNode { node, kubeconfig, force, delete_emptydir_data, grace } => {
            let timeout = work.timeouts.drain.duration();
            let how = Drain { force: *force, delete_emptydir_data: *delete_emptydir_data, grace: *grace, timeout };
            let api = cluster::open(work.host, kubeconfig)?;
            let clock = &*work.host.clock;
            let gone = cluster::drain(&*api, node, how, clock, &mut |what| {
                work.observer.waiting(what);
                work.check_interrupt()
            })?;
            Ok(Some(format!("{gone} pods left")))
        }
        Action::AwaitNode { node, kubeconfig, pods } => {
            let since = work.host.clock.timestamp()?;
            or_later(work, kubeconfig, &mut |api| match cluster::not_ready(api, node, since)? {
                None => cluster::pods_not_ready(api, node, pods),
                waits => Ok(waits),
            })
        }
        Action::AnnotateNode { node, kubeconfig, key, value, .. } => {
            put_down(work, kubeconfig, &mut |api| cluster::annotate(api, node, key, Some(value)))
        }
        Action::UncordonNode { node, kubeconfig } => {
            put_down(work, kubeconfig, &mut |api| cluster::cordon(api, node, false))
        }
        Action::AwaitEtcd { metrics, revision } => {
            await_etcd(work, metrics, *revision)?;
            Ok(None)
        }
        Action::SetKubeletMap { kubeconfig, map, key, value, .. } => {
            put_down(work, kubeconfig, &mut |api| kubelet_map::set(api, map, key, Some(value)))
        }
        other => bail!("{} is nothing of the cluster's", other.word()),
    }
}

/// Where etcd of this node tells its health, and the revision it had when the plan was made.
pub fn etcd_of(plan: &Plan) -> Option<(String, Option<u64>)> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::AwaitEtcd { metrics, revision } => Some((metrics.clone(), *revision)),
        _ => None,
    })
}

/// Waits until etcd is well and has what it had.
pub fn await_etcd(work: &mut Work<'_>, metrics: &str, revision: Option<u64>) -> Result<()> {
    let deadline = work.timeouts.node.duration();
    work.wait_until(deadline, |host| {
        let health = match inspect::etcd_health(host, metrics) {
            Ok(health) => health,
            Err(error) => return Ok(Err(format!("etcd does not answer: {error:#}"))),
        };
        let less = |had| health.revision.is_some_and(|has| has < had);
        Ok(match revision {
            _ if !health.has_leader => Err("etcd has no leader".to_owned()),
            _ if !health.healthy => Err("etcd is not healthy".to_owned()),
            // Never less than before: a member that lost its data begins at 1, and gets it from others if there are any.
            Some(had) if less(had) => {
                Err(format!("etcd is at revision {}, and was at {had}", health.revision.unwrap_or_default()))
            }
            _ => Ok(()),
        })
    })
}

/// Does something with an API server that may be on its way back; where it does not come in time, later will do. What it
/// answers counts: a node that is not Ready in time is a failure.
fn or_later(
    work: &mut Work<'_>,
    kubeconfig: &str,
    act: &mut dyn FnMut(&dyn Api) -> Result<Option<String>>,
) -> Result<Option<String>> {
    match until(work, kubeconfig, act) {
        Ok(()) => Ok(None),
        Err(error) if ApiError::is_away(&error) => {
            let why = format!("{error:#}");
            work.observer.warn(&format!("put off until `castoff resume --cluster`: {why}"));
            work.put_off = Some(why);
            Ok(Some("put off: the API server does not answer".to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Does what is only written down in the cluster. The node is moved by now: what the cluster refuses is no reason to take that
/// back.
fn put_down(
    work: &mut Work<'_>,
    kubeconfig: &str,
    act: &mut dyn FnMut(&dyn Api) -> Result<()>,
) -> Result<Option<String>> {
    or_later(work, kubeconfig, &mut |api| act(api).map(|()| None)).or_else(|error| {
        if error.downcast_ref::<Interrupted>().is_some() {
            return Err(error);
        }
        let why = format!("{error:#}");
        work.observer.warn(&format!("put off until `castoff resume --cluster`: {why}"));
        work.put_off = Some(why);
        Ok(Some("put off: the API server refuses".to_owned()))
    })
}

/// Tries until it is done: as long for what the API server answers as for one that does not answer. Each counts from where the
/// other ended, because a server that was away for minutes has just begun to look at the node; a server that comes and goes has
/// as long as both. One that was away or refused to the end of its time is asked once from then on.
fn until(work: &mut Work<'_>, kubeconfig: &str, act: &mut dyn FnMut(&dyn Api) -> Result<Option<String>>) -> Result<()> {
    let limit = work.timeouts.node.duration();
    let start = work.host.clock.monotonic();
    let (mut since, mut was_away) = (start, false);
    loop {
        let asked = cluster::open(work.host, kubeconfig).and_then(|api| act(&*api));
        let waits = match &asked {
            Ok(None) => return Ok(()),
            Ok(Some(missing)) => missing.clone(),
            Err(error) if ApiError::is_away(error) || ApiError::may_pass(error) => format!("{error:#}"),
            Err(_) => return asked.map(drop),
        };
        work.check_interrupt()?;
        let now = work.host.clock.monotonic();
        let is_away = asked.as_ref().is_err_and(ApiError::is_away);
        if is_away != was_away {
            (since, was_away) = (now, is_away);
        }
        let in_vain = &mut work.in_vain;
        let in_all = now.saturating_sub(start);
        let refused = asked.as_ref().err().and_then(ApiError::in_chain).filter(|_| !is_away);
        if is_away {
            // One that comes back is another one, which may not know its rules yet.
            in_vain.refused = None;
        }
        // That somebody was faster says nothing about the next time.
        let lasts = refused.is_some_and(|error| !matches!(error, ApiError::Conflict { .. }));
        let kind = refused.filter(|_| lasts).map(discriminant);
        let known = match refused {
            None => is_away && in_vain.away,
            Some(ApiError::Forbidden { .. }) if in_vain.at_once => true,
            Some(_) if in_vain.at_once => in_all >= AGAIN * 2,
            Some(_) => kind.is_some() && in_vain.refused == kind,
        };
        if known || now.saturating_sub(since) >= limit || in_all >= limit.saturating_mul(2) {
            let Err(error) = asked else { bail!("still waiting after {} s: {waits}", in_all.as_secs()) };
            if is_away {
                in_vain.away = true;
            } else {
                in_vain.refused = kind;
            }
            return Err(error);
        }
        work.observer.waiting(&waits);
        work.host.clock.sleep(AGAIN);
    }
}

/// Takes a step of the cluster's back. An API server that is away or refuses keeps no node from being as it was: what is left
/// is said.
pub fn undo(work: &mut Work<'_>, undo: &Undo) -> Result<Option<String>> {
    let Some((kubeconfig, by_hand)) = addressed(work, undo)? else { return Ok(None) };
    // An API server that went back with the node is as long on its way as it was there.
    let done = until(work, kubeconfig, &mut |api| put_back(api, undo).map(|()| None));
    let Err(error) = done else { return Ok(None) };
    // The node itself is as it was, whatever its cluster says: nobody is helped by a run that is stuck for that.
    let left = if ApiError::is_away(&error) {
        format!("the API server does not answer; when it does: {by_hand}")
    } else {
        format!("the cluster was left as it is: {error:#}; by hand: {by_hand}")
    };
    // Whoever takes back says what was left.
    Ok(Some(left))
}

/// Takes back what the cluster notes of the node, before anything of the node stops: its API server may be one of the pods that
/// do. `None` for what has its time later; `Some(false)` when it did not work and has to be tried again at the end.
pub fn undo_ahead(work: &Work<'_>, undo: &Undo) -> Option<bool> {
    // A cordon stays until the node is well.
    if matches!(undo, Undo::Uncordon { .. }) {
        return None;
    }
    let (kubeconfig, _) = addressed(work, undo).ok().flatten()?;
    Some(cluster::open(work.host, kubeconfig).and_then(|api| put_back(&*api, undo)).is_ok())
}

fn put_back(api: &dyn Api, undo: &Undo) -> Result<()> {
    match undo {
        Undo::Uncordon { node, .. } => cluster::cordon(api, node, false),
        Undo::RestoreAnnotation { node, key, value, .. } => cluster::annotate(api, node, key, value.as_deref()),
        Undo::RestoreKubeletMap { map, key, value, .. } => kubelet_map::set(api, map, key, value.as_deref()),
        _ => Ok(()),
    }
}

/// The kubeconfig for an undo of the cluster's, and how somebody does the same by hand. `None` for what is the node's.
fn addressed<'a>(work: &Work<'_>, undo: &'a Undo) -> Result<Option<(&'a str, String)>> {
    let (kubeconfig, by_hand) = match undo {
        Undo::Uncordon { node, kubeconfig } => {
            expect(work, kubeconfig, &|action| matches!(action, Action::CordonNode { node: n, .. } if n == node))?;
            (kubeconfig, format!("kubectl uncordon {node}"))
        }
        Undo::RestoreAnnotation { node, kubeconfig, key, value } => {
            let planned = |action: &Action| matches!(action, Action::AnnotateNode { node: n, key: k, .. } if (n, k) == (node, key));
            expect(work, kubeconfig, &planned)?;
            let value = value.as_ref().map_or_else(|| format!("{key}-"), |value| format!("{key}={value}"));
            (kubeconfig, format!("kubectl annotate node {node} --overwrite {value}"))
        }
        Undo::RestoreKubeletMap { kubeconfig, map, key, value } => {
            let planned = |action: &Action| matches!(action, Action::SetKubeletMap { map: m, key: k, .. } if (m, k) == (map, key));
            expect(work, kubeconfig, &planned)?;
            let value = value.as_ref().map_or_else(|| "gone".to_owned(), Clone::clone);
            (kubeconfig, format!("kubectl -n kube-system edit configmap {map}, so that {key} is {value}"))
        }
        _ => return Ok(None),
    };
    Ok(Some((kubeconfig.as_str(), by_hand)))
}

/// True when a run has let pods come to the node again itself.
pub fn has_uncordoned(plan: &Plan, entries: &[Entry]) -> bool {
    let lifts = |step: &&Step| matches!(step.action, Action::UncordonNode { .. });
    plan.steps.iter().find(lifts).is_some_and(|step| records::is_done(entries, step.index))
}

/// Lets pods come to the node again after a rollback.
pub fn uncordon(work: &mut Work<'_>, node: &str, kubeconfig: &str) -> Result<()> {
    until(work, kubeconfig, &mut |api| cluster::cordon(api, node, false).map(|()| None))
}

/// A tampered journal must not make us speak to somebody else, or change another node.
fn expect(work: &Work<'_>, kubeconfig: &str, planned: &dyn Fn(&Action) -> bool) -> Result<()> {
    let with = |action: &Action| match action {
        Action::CordonNode { kubeconfig: k, .. }
        | Action::AnnotateNode { kubeconfig: k, .. }
        | Action::SetKubeletMap { kubeconfig: k, .. } => k == kubeconfig,
        _ => false,
    };
    if work.plan.steps.iter().any(|step| planned(&step.action) && with(&step.action)) {
        return Ok(());
    }
    bail!("the journal names a node or {kubeconfig}, with which its plan has nothing to do")
}

/// Does what was put off, in order; gives how much that was. An API server that is away or refuses is not waited for: somebody
/// sits in front of it.
///
/// # Errors
/// When something is left, after all else is done.
pub fn make_up(work: &mut Work<'_>, journal: &mut super::Journal) -> Result<usize> {
    let (mut done, mut left) = (0, Vec::new());
    for index in records::put_off(journal.entries()) {
        let step = work.plan.steps.iter().find(|step| step.index == index);
        let step = step.with_context(|| format!("the journal puts step {index} off, and the plan has none"))?;
        (work.put_off, work.in_vain) = (None, InVain { away: true, refused: None, at_once: true });
        match (make_up_step(work, &step.action), work.put_off.take()) {
            (Ok(()), None) => {
                journal.add(work.host, Record::PutOffDone { index })?;
                done += 1;
                continue;
            }
            (Ok(()), Some(why)) => left.push(format!("{} is still put off: {why}", step.id)),
            (Err(error), _) if error.downcast_ref::<Interrupted>().is_some() => return Err(error),
            (Err(error), _) => left.push(format!("{} failed: {error:#}", step.id)),
        }
        // The others say that the node is well.
        if matches!(step.action, Action::AwaitNode { .. }) {
            break;
        }
    }
    match (left.is_empty(), done) {
        (true, _) => Ok(done),
        (false, 0) => bail!("{}", left.join("; ")),
        (false, _) => bail!("{done} done that had been put off; {}", left.join("; ")),
    }
}

fn make_up_step(work: &mut Work<'_>, action: &Action) -> Result<()> {
    let Action::AwaitNode { node, kubeconfig, pods } = action else { return act(work, action).map(drop) };
    act(work, &Action::AwaitNode { node: node.clone(), kubeconfig: kubeconfig.clone(), pods: Vec::new() })?;
    // The run is kept by now, and a pod that never is Ready must not keep the node cordoned.
    if work.put_off.is_none()
        && let Some(waits) = cluster::pods_not_ready(&*cluster::open(work.host, kubeconfig)?, node, pods)?
    {
        work.observer.warn(&waits);
    }
    Ok(())
}
