use super::*;
use crate::{
    host::{ApiError, Clock as _, FakeApi, FakeClock, FakeEviction},
    model::{CRI_SOCKET, PodKind},
};
use std::time::Duration;

fn pod(api: &FakeApi, name: &str, more: &Value) {
    let mut object = json!({
        "metadata": { "namespace": "default", "name": name, "uid": format!("uid-{name}") },
        "spec": { "nodeName": "n" }, "status": { "phase": "Running" },
    });
    merge(&mut object, more);
    api.put(&format!("/api/v1/namespaces/default/pods/{name}"), object);
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn owned(kind: &str) -> Value {
    json!({ "metadata": { "ownerReferences": [{ "kind": kind, "name": "owner", "controller": true }] } })
}

fn cluster() -> FakeApi {
    let api = FakeApi::default();
    api.put(
        "/api/v1/nodes/n",
        json!({ "metadata": { "annotations": {} }, "spec": {}, "status": {
            "nodeInfo": { "containerRuntimeVersion": "docker://20.10.24" },
            "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-29T10:00:00Z" }],
        } }),
    );
    pod(&api, "web-1", &owned("ReplicaSet"));
    pod(&api, "web-2", &owned("ReplicaSet"));
    pod(&api, "agent", &owned("DaemonSet"));
    pod(&api, "etcd-n", &json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "x" } } }));
    pod(&api, "job", &json!({ "status": { "phase": "Succeeded" } }));
    pod(&api, "elsewhere", &json!({ "spec": { "nodeName": "other" } }));
    api
}

const HOW: Drain = Drain { force: false, delete_emptydir_data: false, grace: None, timeout: Duration::from_secs(60) };

fn drained(api: &FakeApi, how: Drain) -> Result<usize> {
    drain(api, "n", how, &FakeClock::new(), &mut |_| Ok(()))
}

#[test]
fn pods_are_sorted_as_kubectl_does() {
    let kinds: Vec<(String, PodKind)> =
        pods(&cluster(), "n").unwrap().into_iter().map(|pod| (pod.name, pod.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("agent".into(), PodKind::DaemonSet),
            ("etcd-n".into(), PodKind::Static),
            ("job".into(), PodKind::Finished),
            ("web-1".into(), PodKind::Controlled),
            ("web-2".into(), PodKind::Controlled),
        ]
    );
}

#[test]
fn only_what_comes_back_elsewhere_leaves() {
    let api = cluster();
    assert_eq!(drained(&api, HOW).unwrap(), 2);
    let left: Vec<String> = pods(&api, "n").unwrap().into_iter().map(|pod| pod.name).collect();
    assert_eq!(left, ["agent", "etcd-n", "job"]);
}

#[test]
fn a_budget_is_waited_for() {
    let api = cluster();
    api.evict("default/web-2", FakeEviction::Later(3));
    let clock = FakeClock::new();
    let mut said = Vec::new();
    let count = drain(&api, "n", HOW, &clock, &mut |what| {
        said.push(what.to_owned());
        Ok(())
    });
    assert_eq!(count.unwrap(), 2);
    assert!(clock.monotonic() >= Duration::from_secs(15), "{:?}", clock.monotonic());
    assert!(said.iter().any(|what| what.contains("Cannot evict pod default/web-2")), "{said:?}");
    let evictions = api.acts.borrow().iter().filter(|act| act.contains("web-2/eviction")).count();
    assert_eq!(evictions, 4);
}

#[test]
fn what_does_not_go_is_named_with_the_reason() {
    let api = cluster();
    api.evict("default/web-1", FakeEviction::Later(1000));
    let error = drained(&api, HOW).unwrap_err().to_string();
    assert!(error.contains("after 60 s still there: default/web-1") && error.contains("Cannot evict"), "{error}");
    let api = cluster();
    api.evict("default/web-1", FakeEviction::Stays);
    let error = drained(&api, HOW).unwrap_err().to_string();
    assert!(error.contains("default/web-1 is ending"), "{error}");
    let api = cluster();
    api.evict("default/web-1", FakeEviction::Forbidden);
    assert!(matches!(ApiError::in_chain(&drained(&api, HOW).unwrap_err()), Some(ApiError::Forbidden { .. })));
}

const WEB: &str = "/api/v1/namespaces/default/pods/web-1";

#[test]
fn an_answer_that_does_not_last_ends_no_drain() {
    for status in [429, 500, 503] {
        let api = cluster();
        api.refuse(Verb::Get, WEB, status, 3);
        assert_eq!(drained(&api, HOW).unwrap(), 2, "{status}");
        let api = cluster();
        api.refuse(Verb::Get, WEB, status, u32::MAX);
        let error = drained(&api, HOW).unwrap_err().to_string();
        assert!(error.contains("after 60 s still there: default/web-1, default/web-2"), "{error}");
    }
    for status in [409, 429, 503] {
        let api = cluster();
        api.refuse(Verb::Post, &format!("{WEB}/eviction"), status, 2);
        assert_eq!(drained(&api, HOW).unwrap(), 2, "{status}");
        assert!(api.object(WEB).is_none(), "{status}");
    }
    // Two budgets for one pod are so for ever.
    let api = cluster();
    api.refuse(Verb::Post, &format!("{WEB}/eviction"), 500, 1);
    assert!(drained(&api, HOW).unwrap_err().to_string().contains("cannot evict default/web-1"));
    // Only those that leave are asked about.
    let api = cluster();
    api.evict("default/web-1", FakeEviction::Later(2));
    let mut asked = 0;
    let gone = drain(&api, "n", HOW, &FakeClock::new(), &mut |_| {
        api.refuse(Verb::Get, "/api/v1/pods", 403, u32::MAX);
        asked += 1;
        Ok(())
    });
    assert_eq!((gone.unwrap(), asked), (2, 11), "a look a second, and three evictions, five seconds apart");
}

#[test]
fn a_pod_that_a_node_may_not_see_any_more_is_gone() {
    let api = cluster();
    api.asked_by("n");
    api.evict("default/web-2", FakeEviction::Later(2));
    // One of a StatefulSet is made again elsewhere, under its old name.
    let elsewhere = json!({ "metadata": { "uid": "another" }, "spec": { "nodeName": "other" } });
    let gone = drain(&api, "n", HOW, &FakeClock::new(), &mut |_| {
        pod(&api, "web-1", &elsewhere);
        Ok(())
    });
    assert_eq!(gone.unwrap(), 2);
    assert_eq!(api.acts.borrow().iter().filter(|act| act.contains("web-1/eviction")).count(), 1);
    // One that is there may be seen, and is waited for.
    let api = cluster();
    api.asked_by("n");
    api.evict("default/web-1", FakeEviction::Stays);
    let error = drained(&api, HOW).unwrap_err().to_string();
    assert!(error.contains("after 60 s still there: default/web-1 (default/web-1 is ending)"), "{error}");
    // Credentials that see neither the pod nor the list see no end.
    let api = cluster();
    api.evict("default/web-1", FakeEviction::Stays);
    let refused = drain(&api, "n", HOW, &FakeClock::new(), &mut |_| {
        api.refuse(Verb::Get, WEB, 403, u32::MAX);
        api.refuse(Verb::Get, "/api/v1/pods", 403, u32::MAX);
        Ok(())
    });
    let refused = refused.unwrap_err();
    assert!(matches!(ApiError::in_chain(&refused), Some(ApiError::Forbidden { .. })), "{refused:#}");
}

#[test]
fn pods_of_a_namespace_on_its_way_out_are_waited_for() {
    let api = cluster();
    api.evict("default/web-1", FakeEviction::Terminating(2));
    assert_eq!(drained(&api, HOW).unwrap(), 2);
    // Somebody deleted it: it is waited for, and not asked.
    let api = cluster();
    let mut going = owned("ReplicaSet");
    going["metadata"]["deletionTimestamp"] = json!("2026-11-29T10:00:00Z");
    pod(&api, "web-1", &going);
    let error = drained(&api, HOW).unwrap_err().to_string();
    assert!(error.contains("default/web-1 is ending"), "{error}");
    assert_eq!(*api.acts.borrow(), ["POST /api/v1/namespaces/default/pods/web-2/eviction"]);
}

#[test]
fn nothing_leaves_where_something_would_be_lost() {
    for (more, words, how) in [
        (json!({}), "--drain-force", Drain { force: true, ..HOW }),
        (
            json!({ "spec": { "volumes": [{ "emptyDir": {} }] } }),
            "--delete-emptydir-data",
            Drain { force: true, delete_emptydir_data: true, ..HOW },
        ),
    ] {
        let api = cluster();
        pod(&api, "lonely", &more);
        let strict = Drain { force: how.delete_emptydir_data, ..HOW };
        let error = drained(&api, strict).unwrap_err().to_string();
        assert!(error.contains("default/lonely") && error.contains(words), "{error}");
        assert!(api.acts.borrow().is_empty());
        assert_eq!(drained(&api, how).unwrap(), 3);
    }
}

#[test]
fn the_node_object_is_changed_where_it_has_to_be() {
    let api = cluster();
    cordon(&api, "n", true).unwrap();
    assert!(is_cordoned(&node(&api, "n").unwrap()));
    cordon(&api, "n", false).unwrap();
    assert_eq!(node(&api, "n").unwrap()["spec"], json!({}));
    annotate(&api, "n", CRI_SOCKET, Some("unix:///x")).unwrap();
    assert_eq!(annotation(&node(&api, "n").unwrap(), CRI_SOCKET).as_deref(), Some("unix:///x"));
    annotate(&api, "n", CRI_SOCKET, None).unwrap();
    assert_eq!(annotation(&node(&api, "n").unwrap(), CRI_SOCKET), None);
    assert!(cordon(&api, "m", true).unwrap_err().to_string().contains("no node m"));
}

#[test]
fn ready_means_news_from_the_new_kubelet() {
    let api = cluster();
    let since: jiff::Timestamp = "2026-11-29T10:05:00Z".parse().unwrap();
    let why = |api: &FakeApi| not_ready(api, "n", since).unwrap();
    assert!(why(&api).unwrap().contains("docker://20.10.24"));
    let mut object = node(&api, "n").unwrap();
    object["status"]["nodeInfo"]["containerRuntimeVersion"] = json!("containerd://1.6.20");
    api.put("/api/v1/nodes/n", object.clone());
    assert!(why(&api).unwrap().contains("no news"));
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n";
    api.put(lease, json!({ "spec": { "renewTime": "2026-11-29T10:05:02.123456Z" } }));
    assert_eq!(why(&api), None);
    object["status"]["conditions"][0]["status"] = json!("False");
    object["status"]["conditions"][0]["message"] = json!("network plugin");
    api.put("/api/v1/nodes/n", object);
    assert!(why(&api).unwrap().contains("network plugin"));
}
