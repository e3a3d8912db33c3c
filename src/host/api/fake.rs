//! An API server in memory: objects by path, evictions as the real one judges them.

use super::{Api, ApiError, Verb};
use anyhow::Result;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// What becomes of an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeEviction {
    /// The pod is gone at once.
    Gone,
    /// So many times a budget forbids it first.
    Later(u32),
    /// It is let, and the pod stays: kubelet is not there to end it.
    Stays,
    /// It is not let.
    Forbidden,
    /// So many times its namespace is on its way out; then the pod is gone.
    Terminating(u32),
}

/// Verb, path, status, and how often.
type Refusal = (Verb, String, u16, u32);

/// An API server in memory. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct FakeApi {
    objects: Rc<RefCell<BTreeMap<String, Value>>>,
    evictions: Rc<RefCell<BTreeMap<String, FakeEviction>>>,
    /// Requests that act, in order.
    pub acts: Rc<RefCell<Vec<String>>>,
    /// True while it does not answer.
    pub away: Rc<Cell<bool>>,
    /// What it answers instead of doing it.
    refusals: Rc<RefCell<Vec<Refusal>>>,
    /// The node whose own credentials it is asked with.
    node: Rc<RefCell<Option<String>>>,
}

impl FakeApi {
    /// Puts an object at its path.
    pub fn put(&self, path: &str, object: Value) {
        self.objects.borrow_mut().insert(path.to_owned(), object);
    }

    /// The object at a path.
    pub fn object(&self, path: &str) -> Option<Value> {
        self.objects.borrow().get(path).cloned()
    }

    /// Says what becomes of evictions of that pod (`namespace/name`).
    pub fn evict(&self, pod: &str, becomes: FakeEviction) {
        self.evictions.borrow_mut().insert(pod.to_owned(), becomes);
    }

    /// Answers the next so many requests of that kind with a status, as a real one that cannot just now.
    pub fn refuse(&self, verb: Verb, path: &str, status: u16, times: u32) {
        let mut refusals = self.refusals.borrow_mut();
        refusals.retain(|(known, at, ..)| (*known, at.as_str()) != (verb, path));
        refusals.push((verb, path.to_owned(), status, times));
    }

    /// From now on it is asked with the credentials of that node, and has the node authorizer of Kubernetes 1.32 or later.
    pub fn asked_by(&self, node: &str) {
        *self.node.borrow_mut() = Some(node.to_owned());
    }

    /// What that authorizer says to a look at something that is not the node's (`authorizeNode`, `authorizePod`).
    fn unrelated(&self, verb: Verb, path: &str, at: &str) -> Option<ApiError> {
        let node = self.node.borrow().clone().filter(|_| verb == Verb::Get)?;
        let parts: Vec<&str> = at.split('/').collect();
        let is_its = match parts.as_slice() {
            ["", "api", "v1", "nodes"] => false,
            ["", "api", "v1", "nodes", name] => *name == node,
            ["", "api", "v1", "pods"] | ["", "api", "v1", "namespaces", _, "pods"] => {
                let selector = format!("fieldSelector=spec.nodeName%3D{node}");
                path.split(['?', '&']).any(|part| part == selector)
            }
            ["", "api", "v1", "namespaces", _, "pods", _] => {
                let pod = self.object(at).unwrap_or_default();
                pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node.as_str())
            }
            _ => true,
        };
        let message = format!("no relationship found between node '{node}' and this object");
        (!is_its).then_some(ApiError::Forbidden { message })
    }

    fn refused(&self, verb: Verb, at: &str, what: &str) -> Option<ApiError> {
        let mut refusals = self.refusals.borrow_mut();
        let is = |known: &&mut (Verb, String, u16, u32)| known.0 == verb && known.1 == at && known.3 > 0;
        let (.., status, times) = refusals.iter_mut().find(is)?;
        *times -= 1;
        ApiError::of(what, *status, &json!({ "message": format!("fake {status}") }))
    }

    fn listed(&self, path: &str) -> Vec<Value> {
        // `/api/v1/pods`: those of every namespace.
        let all = path == "/api/v1/pods";
        let is_in = |at: &str| {
            if all { at.contains("/pods/") } else { at.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')) }
        };
        self.objects.borrow().iter().filter(|(at, _)| is_in(at)).map(|(_, object)| object.clone()).collect()
    }

    fn evicted(&self, pod: &str, path: &str) -> Result<Option<Value>> {
        let becomes = self.evictions.borrow().get(pod).copied().unwrap_or(FakeEviction::Gone);
        let message = format!("Cannot evict pod {pod}");
        match becomes {
            FakeEviction::Gone | FakeEviction::Terminating(0) => drop(self.objects.borrow_mut().remove(path)),
            FakeEviction::Later(0) => {
                self.evict(pod, FakeEviction::Gone);
                return self.evicted(pod, path);
            }
            FakeEviction::Later(times) => {
                self.evict(pod, FakeEviction::Later(times - 1));
                return Err(ApiError::Later { message }.into());
            }
            FakeEviction::Terminating(times) => {
                self.evict(pod, FakeEviction::Terminating(times - 1));
                let message = "unable to create new content in namespace x because it is being terminated".to_owned();
                return Err(ApiError::Forbidden { message }.into());
            }
            FakeEviction::Stays => {}
            FakeEviction::Forbidden => return Err(ApiError::Forbidden { message }.into()),
        }
        Ok(Some(json!({ "kind": "Status", "status": "Success" })))
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(key);
            }
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}

impl Api for FakeApi {
    #[allow(clippy::unnecessary_literal_bound, reason = "the trait's servers have names of their own")]
    fn server(&self) -> &str {
        "https://fake:6443"
    }

    fn request(&self, verb: Verb, path: &str, body: Option<&Value>) -> Result<Option<Value>> {
        let what = format!("{} {path}", verb.word());
        if self.away.get() {
            let why = "connection refused".to_owned();
            return Err(ApiError::Away { server: self.server().to_owned(), what, why }.into());
        }
        let at = path.split('?').next().unwrap_or(path);
        if let Some(error) = self.refused(verb, at, &what).or_else(|| self.unrelated(verb, path, at)) {
            return Err(error.into());
        }
        if verb.acts() {
            self.acts.borrow_mut().push(what.clone());
        }
        match verb {
            Verb::Get => match self.object(at) {
                Some(object) => Ok(Some(object)),
                None if at.ends_with('s') => Ok(Some(json!({ "items": self.listed(at) }))),
                None => Ok(None),
            },
            Verb::Patch => {
                let mut objects = self.objects.borrow_mut();
                let Some(object) = objects.get_mut(at) else { return Ok(None) };
                merge(object, body.unwrap_or(&Value::Null));
                Ok(Some(object.clone()))
            }
            Verb::Post if at.ends_with("/eviction") => {
                let pod = at.trim_end_matches("/eviction");
                let parts: Vec<&str> = pod.split('/').collect();
                if self.object(pod).is_none() {
                    return Ok(None);
                }
                match parts.as_slice() {
                    ["", "api", "v1", "namespaces", namespace, "pods", name] => {
                        self.evicted(&format!("{namespace}/{name}"), pod)
                    }
                    _ => Ok(None),
                }
            }
            Verb::Post if at.ends_with("selfsubjectaccessreviews") => {
                Ok(Some(json!({ "status": { "allowed": self.object("/forbidden").is_none() } })))
            }
            Verb::Post => Ok(body.cloned()),
            Verb::Delete => Ok(self.objects.borrow_mut().remove(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_patches_as_the_real_one() {
        let api = FakeApi::default();
        api.put("/api/v1/nodes/n", json!({ "spec": { "unschedulable": true, "podCIDR": "10.0.0.0/24" } }));
        let patch = json!({ "spec": { "unschedulable": null }, "metadata": { "annotations": { "a": "b" } } });
        let node = api.request(Verb::Patch, "/api/v1/nodes/n", Some(&patch)).unwrap().unwrap();
        assert_eq!(node, json!({ "spec": { "podCIDR": "10.0.0.0/24" }, "metadata": { "annotations": { "a": "b" } } }));
        assert!(api.request(Verb::Patch, "/api/v1/nodes/m", Some(&patch)).unwrap().is_none());
    }
}
