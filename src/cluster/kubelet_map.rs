//! kubeadm's configuration of all kubelets: a ConfigMap in kube-system that `kubeadm join` and `kubeadm upgrade node` write over
//! a kubelet's own file.

use super::others::allowed;
use crate::{
    formats::kubelet_config::KubeletConfig,
    host::{Api, ApiError, Verb},
    model::KubeletMap,
};
use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};

/// How often somebody else may be faster.
const ATTEMPTS: u32 = 5;

fn path(map: &str) -> String {
    format!("/api/v1/namespaces/kube-system/configmaps/{map}")
}

/// Looks at it; `None` where there is none, or these credentials may not see it (kubeadm lets nodes read it).
///
/// # Errors
/// When the API server does not answer.
pub fn look(api: &dyn Api, version: (u32, u32), ask_rights: bool) -> Result<Option<KubeletMap>> {
    let name = KubeletMap::name_for(version);
    let found = match api.get(&path(&name)) {
        Err(error) if matches!(ApiError::in_chain(&error), Some(ApiError::Forbidden { .. })) => None,
        found => found?,
    };
    let Some(text) = found.as_ref().and_then(text) else { return Ok(None) };
    // One that cannot be read is none that castoff could say anything about; kubeadm will.
    let Ok(config) = KubeletConfig::parse(text) else { return Ok(None) };
    let mut may_change = None;
    if ask_rights {
        let of = json!({ "verb": "patch", "resource": "configmaps", "namespace": "kube-system", "name": name });
        may_change = allowed(api, &of)?;
    }
    Ok(Some(KubeletMap { name, cgroup_driver: config.string("cgroupDriver").map(|at| at.value), may_change }))
}

fn text(map: &Value) -> Option<&str> {
    map.pointer("/data/kubelet")?.as_str()
}

/// Sets a field, or takes it away; comments and all else stay. Nothing is written where it is so already.
///
/// # Errors
/// When the API server does not answer or refuses, there is no such ConfigMap, or its text is no configuration of kubelet's.
pub fn set(api: &dyn Api, map: &str, key: &str, value: Option<&str>) -> Result<()> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let found = api.get(&path(map))?.with_context(|| format!("the cluster has no ConfigMap kube-system/{map}"))?;
        let before = text(&found).with_context(|| format!("ConfigMap kube-system/{map} has no entry `kubelet`"))?;
        let config = KubeletConfig::parse(before).map_err(|error| anyhow!("ConfigMap kube-system/{map}: {error}"))?;
        let after = config.with(&[(key, value)]).map_err(|error| anyhow!("ConfigMap kube-system/{map}: {error}"))?;
        if after == before {
            return Ok(());
        }
        // With the version that was read: what somebody else writes meanwhile is not lost.
        let version = found.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        let patch = json!({ "metadata": { "resourceVersion": version }, "data": { "kubelet": after } });
        match api.request(Verb::Patch, &path(map), Some(&patch)) {
            Err(error)
                if attempt < ATTEMPTS && matches!(ApiError::in_chain(&error), Some(ApiError::Conflict { .. })) => {}
            changed => {
                return changed?.map(drop).with_context(|| format!("the cluster has no ConfigMap kube-system/{map}"));
            }
        }
    }
}
