//! Pods leave the node, as gently as their owners asked for: by eviction, so that disruption budgets are kept.

use super::look::pods;
use crate::{
    host::{Api, ApiError, Clock, Verb},
    model::MemberPod,
};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Between two attempts to evict a pod that a budget holds back (kubectl drain).
const AGAIN: Duration = Duration::from_secs(5);
/// Between two looks whether an evicted pod is gone (kubectl drain).
const LOOK: Duration = Duration::from_secs(1);

/// How pods leave.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Those too that nothing makes again.
    pub force: bool,
    /// Those too whose emptyDir ends with them.
    pub delete_emptydir_data: bool,
    /// Grace period in seconds; absent: each pod's own.
    pub grace: Option<u32>,
    /// For all of them together.
    pub timeout: Duration,
}

/// How it goes.
enum Leaving {
    /// Not let yet: when it is asked next, and what the API server said the last time.
    Asked(Duration, String),
    /// Let go; kubelet ends it.
    Let,
}

/// Makes pods leave a node and waits until they are gone; gives how many did. `say` hears what is waited for, and may stop it.
///
/// # Errors
/// When a pod may not leave, or some are still there at the end of the time: names them with what the API server said.
pub fn drain(
    api: &dyn Api,
    node: &str,
    how: Drain,
    clock: &dyn Clock,
    say: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<usize> {
    let leaving: Vec<MemberPod> = pods(api, node)?.into_iter().filter(MemberPod::leaves).collect();
    expect_movable(&leaving, how)?;
    let version = eviction_version(api)?;
    let count = leaving.len();
    let start = clock.monotonic();
    let asked = |pod: MemberPod| (pod.full_name(), (pod, Leaving::Asked(start, String::new())));
    let mut left: BTreeMap<String, (MemberPod, Leaving)> = leaving.into_iter().map(asked).collect();
    loop {
        let unseen = round(api, node, &mut left, how.grace, version, clock)?;
        let Some((name, (_, leaving))) = left.first_key_value() else { return Ok(count) };
        let waits = match (unseen, leaving) {
            (Some(why), _) => why,
            (None, Leaving::Asked(_, why)) => format!("{name}: {why}"),
            (None, Leaving::Let) => format!("{name} is ending"),
        };
        if clock.monotonic().saturating_sub(start) >= how.timeout {
            let names: Vec<&str> = left.keys().map(String::as_str).collect();
            bail!("after {} s still there: {} ({waits})", how.timeout.as_secs(), names.join(", "));
        }
        say(&format!("{} of {count} pods still there; {waits}", left.len()))?;
        clock.sleep(LOOK);
    }
}

/// Looks at each pod that is left, and asks it to leave where it is time for that. Why it looked no further, where the API
/// server cannot just now: one that is away takes seconds for each pod.
fn round(
    api: &dyn Api,
    node: &str,
    left: &mut BTreeMap<String, (MemberPod, Leaving)>,
    grace: Option<u32>,
    version: &str,
    clock: &dyn Clock,
) -> Result<Option<String>> {
    let names: Vec<String> = left.keys().cloned().collect();
    let mut listed = None;
    for name in names {
        let Some((pod, leaving)) = left.get_mut(&name) else { continue };
        // An eviction whose precondition fails is refused and yet uses the disruption budget up for two minutes (measured, 1.20):
        // the precondition is the last guard, not the way to find out.
        let going = match is_going(api, node, pod, &mut listed) {
            Err(error) if passes(&error) => return Ok(Some(format!("{error:#}"))),
            going => going?,
        };
        let Some(going) = going else {
            left.remove(&name);
            continue;
        };
        match leaving {
            // Somebody else has asked it, and an eviction could only be refused (its namespace is on its way out).
            _ if going => *leaving = Leaving::Let,
            Leaving::Asked(at, _) if clock.monotonic() >= *at => match evict(api, pod, grace, version) {
                Err(error) if ApiError::is_away(&error) => return Ok(Some(format!("{error:#}"))),
                Ok(None) => *leaving = Leaving::Let,
                Ok(Some(why)) => *leaving = Leaving::Asked(clock.monotonic().saturating_add(AGAIN), why),
                Err(error) => return Err(error),
            },
            Leaving::Asked(..) | Leaving::Let => {}
        }
    }
    Ok(None)
}

/// Whether a pod is on its way; `None` when it is gone.
///
/// Each is asked for by its name, as `kubectl drain` does: for a list of one node's pods the API server reads those of all nodes.
/// From Kubernetes 1.32 on (`AuthorizeNodeWithSelectors`) a node's own credentials see a pod only as long as it is the node's: one
/// that is gone, or has become another one elsewhere, is forbidden (`authorizePod` in `node_authorizer.go`). Then the list tells,
/// which they may see, and tells it for the rest of the round.
fn is_going(api: &dyn Api, node: &str, pod: &MemberPod, listed: &mut Option<Vec<MemberPod>>) -> Result<Option<bool>> {
    match api.get(&path(pod)) {
        Err(error) if matches!(ApiError::in_chain(&error), Some(ApiError::Forbidden { .. })) => {
            if listed.is_none() {
                *listed = Some(pods(api, node)?);
            }
            let twin = listed.iter().flatten().find(|other| other.uid == pod.uid);
            Ok(twin.map(|twin| twin.going))
        }
        there => {
            let text = |at: &str, there: &Value| there.pointer(at).and_then(Value::as_str).map(str::to_owned);
            let same = there?.filter(|there| text("/metadata/uid", there).as_deref() == Some(pod.uid.as_str()));
            Ok(same.map(|there| text("/metadata/deletionTimestamp", &there).is_some()))
        }
    }
}

/// True for a look that may work the next time.
fn passes(error: &anyhow::Error) -> bool {
    match ApiError::in_chain(error) {
        Some(ApiError::Away { .. } | ApiError::Later { .. }) => true,
        Some(ApiError::Refused { status, .. }) => (500..=599).contains(status),
        _ => false,
    }
}

/// Pods that would be lost are said before the first one leaves.
fn expect_movable(pods: &[MemberPod], how: Drain) -> Result<()> {
    let names = |of: &dyn Fn(&MemberPod) -> bool| -> Vec<String> {
        pods.iter().filter(|pod| of(pod)).map(MemberPod::full_name).collect()
    };
    let bare = names(&MemberPod::is_bare);
    if !how.force && !bare.is_empty() {
        bail!("nothing makes these pods again: {}; `--drain-force` lets them go", bare.join(", "));
    }
    let data = names(&|pod| pod.local_data);
    if !how.delete_emptydir_data && !data.is_empty() {
        bail!("these pods keep data in an emptyDir: {}; `--delete-emptydir-data` lets it go", data.join(", "));
    }
    Ok(())
}

/// Evictions are `policy/v1` since 1.22, and nothing else since 1.25.
fn eviction_version(api: &dyn Api) -> Result<&'static str> {
    let known = api.get("/api/v1")?.unwrap_or_default();
    let resources = known.get("resources").and_then(Value::as_array).into_iter().flatten();
    let of = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some("pods/eviction");
    let version =
        resources.filter(|entry| of(entry)).find_map(|entry| entry.get("version")?.as_str().map(str::to_owned));
    match version.as_deref() {
        Some("v1") | None => Ok("policy/v1"),
        Some("v1beta1") => Ok("policy/v1beta1"),
        Some(other) => bail!("the API server evicts pods by policy/{other}, which castoff does not know"),
    }
}

fn path(pod: &MemberPod) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name)
}

/// Asks a pod to leave; why it may not yet, where it may not.
fn evict(api: &dyn Api, pod: &MemberPod, grace: Option<u32>, version: &str) -> Result<Option<String>> {
    let mut options = json!({ "preconditions": { "uid": pod.uid } });
    if let Some(grace) = grace {
        options["gracePeriodSeconds"] = json!(grace);
    }
    let eviction = json!({
        "apiVersion": version, "kind": "Eviction",
        "metadata": { "namespace": pod.namespace, "name": pod.name }, "deleteOptions": options,
    });
    match api.request(Verb::Post, &format!("{}/eviction", path(pod)), Some(&eviction)) {
        // None: it is gone already.
        Ok(_) => Ok(None),
        Err(error) => match ApiError::in_chain(&error) {
            // A conflict is another pod of that name, which the next look tells, or somebody who changed this one.
            Some(ApiError::Later { message } | ApiError::Conflict { message }) => Ok(Some(message.clone())),
            // Nothing is made in a namespace that is being deleted, evictions neither; its pods are deleted soon (kubectl drain).
            Some(ApiError::Forbidden { message }) if message.contains("being terminated") => Ok(Some(message.clone())),
            _ => Err(error).with_context(|| format!("cannot evict {}", pod.full_name())),
        },
    }
}
