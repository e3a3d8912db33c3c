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
/// Between two looks whether an evicted pod is gone.
const LOOK: Duration = Duration::from_millis(500);

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
    /// Not asked to leave yet; with what the API server said the last time.
    Asked(String),
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
    let mut left: BTreeMap<String, (MemberPod, Leaving)> =
        leaving.into_iter().map(|pod| (pod.full_name(), (pod, Leaving::Asked(String::new())))).collect();
    let start = clock.monotonic();
    let mut asked_at = None;
    while !left.is_empty() {
        let now = clock.monotonic();
        if asked_at.is_none_or(|at| now.saturating_sub(at) >= AGAIN) {
            asked_at = Some(now);
            for (pod, leaving) in left.values_mut().filter(|(_, leaving)| matches!(leaving, Leaving::Asked(_))) {
                *leaving = evict(api, pod, how.grace, version)?;
            }
        }
        let there = pods(api, node)?;
        left.retain(|_, (pod, _)| there.iter().any(|other| other.uid == pod.uid));
        let Some((name, (_, leaving))) = left.first_key_value() else { break };
        let waits = match leaving {
            Leaving::Asked(why) => format!("{name}: {why}"),
            Leaving::Let => format!("{name} is ending"),
        };
        if clock.monotonic().saturating_sub(start) >= how.timeout {
            let names: Vec<&str> = left.keys().map(String::as_str).collect();
            bail!("after {} s still there: {} ({waits})", how.timeout.as_secs(), names.join(", "));
        }
        say(&format!("{} of {count} pods still there; {waits}", left.len()))?;
        clock.sleep(LOOK);
    }
    Ok(count)
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

fn evict(api: &dyn Api, pod: &MemberPod, grace: Option<u32>, version: &str) -> Result<Leaving> {
    let (namespace, name) = (&pod.namespace, &pod.name);
    // An eviction whose precondition fails is refused and yet uses the disruption budget up for two minutes (measured, 1.20):
    // the precondition is the last guard, not the way to find out.
    let there = api.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}"))?;
    if there.as_ref().and_then(|pod| pod.pointer("/metadata/uid")).and_then(Value::as_str) != Some(&pod.uid) {
        return Ok(Leaving::Let);
    }
    let mut options = json!({ "preconditions": { "uid": pod.uid } });
    if let Some(grace) = grace {
        options["gracePeriodSeconds"] = json!(grace);
    }
    let eviction = json!({
        "apiVersion": version, "kind": "Eviction",
        "metadata": { "namespace": namespace, "name": name }, "deleteOptions": options,
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
    match api.request(Verb::Post, &path, Some(&eviction)) {
        // None: it is gone already.
        Ok(_) => Ok(Leaving::Let),
        Err(error) => match ApiError::in_chain(&error) {
            Some(ApiError::Later { message }) => Ok(Leaving::Asked(message.clone())),
            // Another pod of that name is there by now; this one is gone.
            Some(ApiError::Conflict { .. }) => Ok(Leaving::Let),
            _ => Err(error).with_context(|| format!("cannot evict {}", pod.full_name())),
        },
    }
}
