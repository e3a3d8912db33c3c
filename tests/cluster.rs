//! A node that belongs to a cluster: pods leave and come back, the cluster sees the node, and an API server that goes away in
//! the middle keeps no node from moving. The cluster is one in memory; the node is the simulated one of the other tests.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it lays out temporary folders")]

mod common;

use castoff::{
    apply::{self, Options, Silent},
    cluster,
    formats::kubeconfig::Kubeconfig,
    host::{Api, Containerd, Cri, Doors, FakeApi, FakeEviction, FakeUnits, Faults, Host, LayerStore, Units as _},
    model::{Action, CRI_SOCKET, ClusterOptions, Desired, Outcome, Plan, RunReport, RunState},
    plan,
};
use common::{
    fixture,
    sim::{self, Sim},
    tree,
    world::{World, newest},
};
use serde_json::{Value, json};
use std::{cell::Cell, rc::Rc, sync::atomic::AtomicBool};

const NODE: &str = "/api/v1/nodes/worker-3";
const CONF: &str = "/etc/kubernetes/kubelet.conf";
static NEVER: AtomicBool = AtomicBool::new(false);

/// The node and its cluster.
struct Member {
    sim: Sim,
    api: FakeApi,
    /// The API server is one of the pods: it is there only while kubelet is.
    moves: Rc<Cell<bool>>,
}

/// The node's doors, and the API server's beside them. Each time it is asked, kubelet has just reported.
#[derive(Debug)]
struct WithApi {
    inner: Box<dyn Doors>,
    api: FakeApi,
    units: FakeUnits,
    sim: Sim,
    moves: Rc<Cell<bool>>,
}

impl Doors for WithApi {
    fn cri(&self, endpoint: &str) -> anyhow::Result<Box<dyn Cri>> {
        self.inner.cri(endpoint)
    }

    fn containerd(&self, endpoint: &str) -> anyhow::Result<Box<dyn Containerd>> {
        self.inner.containerd(endpoint)
    }

    fn layers(&self, endpoint: &str) -> anyhow::Result<Box<dyn LayerStore>> {
        self.inner.layers(endpoint)
    }

    fn api(&self, _: &Kubeconfig, read: &dyn Fn(&str) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<Box<dyn Api>> {
        assert_eq!(read("/var/lib/kubelet/pki/kubelet-client-current.pem").unwrap(), b"PEM");
        let kubelet = self.units.state("kubelet.service").unwrap().is_active();
        if self.moves.get() {
            self.api.away.set(!kubelet);
        }
        if let Some(mut node) = self.api.object(NODE).filter(|_| kubelet) {
            let moved = self.sim.live().keys().any(|name| name.contains("containerd") && name.contains("pod"))
                || self.units.state("docker.service").is_ok_and(|state| !state.is_active());
            node["status"]["nodeInfo"]["containerRuntimeVersion"] =
                json!(if moved { "containerd://1.6.20" } else { "docker://20.10.24" });
            node["status"]["conditions"][0]["lastHeartbeatTime"] = json!(self.sim.process(&Faults::none()).clock.now());
            self.api.put(NODE, node);
        }
        Ok(Box::new(self.api.clone()))
    }
}

fn pod(name: &str, owner: Option<&str>) -> Value {
    let owners: Vec<Value> =
        owner.iter().map(|kind| json!({ "kind": kind, "name": "owner", "controller": true })).collect();
    json!({
        "metadata": { "namespace": "default", "name": name, "uid": format!("uid-{name}"), "ownerReferences": owners },
        "spec": { "nodeName": "worker-3" }, "status": { "phase": "Running" },
    })
}

impl Member {
    fn new() -> Self {
        let sim = Sim::new();
        let conf = "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {certificate-authority-data: Q0E=, server: 'https://10.0.0.1:6443'}\n  name: c\n\
            contexts:\n- context: {cluster: c, user: u}\n  name: x\ncurrent-context: x\nusers:\n- name: u\n  user: {client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem, client-key: /var/lib/kubelet/pki/kubelet-client-current.pem}\n";
        tree::put(sim.dir(), CONF, conf);
        tree::put(sim.dir(), "/var/lib/kubelet/pki/kubelet-client-current.pem", "PEM");
        let drop_in = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf";
        let text = std::fs::read_to_string(tree::at(sim.dir(), drop_in)).unwrap();
        tree::put(sim.dir(), drop_in, text.replace("--config=", "--kubeconfig=/etc/kubernetes/kubelet.conf --config="));
        let api = FakeApi::default();
        api.put(
            NODE,
            json!({
                "metadata": { "name": "worker-3", "annotations": { CRI_SOCKET: "/var/run/dockershim.sock" } }, "spec": {},
                "status": { "nodeInfo": { "containerRuntimeVersion": "docker://20.10.24" },
                    "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z" }] },
            }),
        );
        let member = Self { sim, api, moves: Rc::default() };
        member.pod("app-5d7c", pod("app-5d7c", Some("ReplicaSet")));
        member.pod("agent-1", pod("agent-1", Some("DaemonSet")));
        member
    }

    fn pod(&self, name: &str, object: Value) {
        self.api.put(&format!("/api/v1/namespaces/default/pods/{name}"), object);
    }

    fn host(&self) -> Host {
        let mut host = self.sim.process(&Faults::none());
        let (api, units, sim, moves) =
            (self.api.clone(), self.sim.units.clone(), self.sim.clone(), Rc::clone(&self.moves));
        let inner = std::mem::replace(&mut host.doors, Box::new(Nothing));
        host.doors = Box::new(WithApi { inner, api, units, sim, moves });
        host
    }

    fn desired(&self, drain: bool) -> Desired {
        Desired { cluster: ClusterOptions { drain, ..ClusterOptions::NONE }, ..self.sim.desired() }
    }

    fn plan(&self, desired: &Desired) -> Plan {
        let host = self.host();
        let mut facts = fixture::facts_for(&host, &self.sim.assumptions(), desired);
        facts.cluster = cluster::look(&host, &facts, None);
        plan::plan(&facts, desired, plan::Options::default())
    }

    fn apply(&self, plan: &Plan) -> RunReport {
        let options = Options { commit: true, ..Options::new(&NEVER) };
        apply::apply(&self.host(), plan, &options, &mut Silent).unwrap()
    }

    fn acts(&self) -> Vec<String> {
        let reviews = |act: &&String| !act.contains("selfsubjectaccessreviews");
        self.api.acts.borrow().iter().filter(reviews).cloned().collect()
    }

    fn cordoned(&self) -> bool {
        cluster::is_cordoned(&self.api.object(NODE).unwrap())
    }

    fn noted(&self) -> Option<String> {
        cluster::annotation(&self.api.object(NODE).unwrap(), CRI_SOCKET)
    }
}

#[derive(Debug)]
struct Nothing;

impl Doors for Nothing {
    fn cri(&self, endpoint: &str) -> anyhow::Result<Box<dyn Cri>> {
        anyhow::bail!("{endpoint}")
    }

    fn containerd(&self, endpoint: &str) -> anyhow::Result<Box<dyn Containerd>> {
        anyhow::bail!("{endpoint}")
    }
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

fn place(plan: &Plan, id: &str) -> usize {
    ids(plan).iter().position(|step| *step == id).unwrap_or_else(|| panic!("no {id} in {:?}", ids(plan)))
}

#[test]
fn pods_leave_first_and_come_back_last() {
    let member = Member::new();
    let plan = member.plan(&member.desired(true));
    let order = [
        "import-images",
        "cordon",
        "drain",
        "stop-kubelet",
        "start-kubelet",
        "await-node",
        "annotate",
        "verify",
        "uncordon",
    ];
    let places: Vec<usize> = order.iter().map(|id| place(&plan, id)).collect();
    assert!(places.is_sorted(), "{:?}", ids(&plan));
    let awaited = plan.steps.iter().find_map(|step| match &step.action {
        Action::AwaitPods { pods, .. } => Some(pods.clone()),
        _ => None,
    });
    assert_eq!(awaited.unwrap(), ["kube-system/web-worker-3"], "a pod that left is not awaited");
    assert!(!plan.findings.iter().any(|finding| finding.id == "kubeadm-cri-socket"), "the step does it");

    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    assert!(!member.cordoned());
    assert_eq!(member.noted().as_deref(), Some(sim::SOCKET));
    assert_eq!(
        member.acts(),
        [
            format!("PATCH {NODE}"),
            "POST /api/v1/namespaces/default/pods/app-5d7c/eviction".to_owned(),
            format!("PATCH {NODE}"),
            format!("PATCH {NODE}"),
        ]
    );
}

#[test]
fn a_drain_makes_no_other_plan_of_a_reviewed_one() {
    let member = Member::new();
    let before = member.plan(&member.desired(false));
    member.sim.engine.change(|daemon| daemon.containers.retain(|container| !container.id.contains("app-5d7c")));
    let after = member.plan(&member.desired(false));
    assert_ne!(before.steps, after.steps);
    assert_eq!(before.digest, after.digest);
}

#[test]
fn a_node_that_took_no_pods_before_takes_none_after() {
    let member = Member::new();
    let mut node = member.api.object(NODE).unwrap();
    node["spec"]["unschedulable"] = json!(true);
    member.api.put(NODE, node);
    let plan = member.plan(&member.desired(true));
    assert!(!ids(&plan).contains(&"cordon") && !ids(&plan).contains(&"uncordon"), "{:?}", ids(&plan));
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    assert!(member.cordoned());
}

#[test]
fn without_a_drain_the_cluster_still_has_to_see_the_node() {
    let member = Member::new();
    let plan = member.plan(&member.desired(false));
    assert!(!ids(&plan).contains(&"drain"));
    place(&plan, "await-node");
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    assert_eq!(member.acts(), [format!("PATCH {NODE}")]);
}

#[test]
fn a_budget_that_never_gives_way_takes_the_run_back() {
    let member = Member::new();
    member.api.evict("default/app-5d7c", FakeEviction::Later(100_000));
    let plan = member.plan(&member.desired(true));
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::RolledBack);
    let drain = report.steps.iter().find(|step| step.id == "drain").unwrap();
    assert!(drain.detail.as_deref().unwrap().contains("default/app-5d7c"), "{drain:?}");
    assert!(!member.cordoned(), "it took new pods before");
}

#[test]
fn what_a_drain_would_lose_blocks_before_anything_begins() {
    let member = Member::new();
    member.pod("lonely", pod("lonely", None));
    let blocking = |plan: &Plan| plan.blocking().map(|finding| finding.id.clone()).collect::<Vec<_>>();
    assert_eq!(blocking(&member.plan(&member.desired(true))), ["drain-bare-pods"]);
    assert_eq!(blocking(&member.plan(&member.desired(false))), [""; 0]);
    let mut desired = member.desired(true);
    desired.cluster.force = true;
    assert_eq!(blocking(&member.plan(&desired)), [""; 0]);
    member.api.put("/forbidden", json!({}));
    assert_eq!(blocking(&member.plan(&desired)), ["drain-not-allowed"]);
    member.api.away.set(true);
    assert_eq!(blocking(&member.plan(&desired)), ["cluster-away"]);
}

#[test]
fn a_node_that_is_not_ready_anyway_is_said_before() {
    let member = Member::new();
    let found = |member: &Member| member.plan(&member.desired(false)).findings.iter().any(|f| f.id == "node-not-ready");
    assert!(!found(&member));
    let mut node = member.api.object(NODE).unwrap();
    node["status"]["conditions"][0]["status"] = json!("False");
    member.api.put(NODE, node);
    assert!(found(&member));
}

#[test]
fn a_cluster_that_does_not_answer_is_left_alone() {
    let member = Member::new();
    member.api.away.set(true);
    let desired = member.desired(false);
    let plan = member.plan(&desired);
    assert!(plan.findings.iter().any(|finding| finding.id == "cluster-local-only"));
    assert!(!ids(&plan).contains(&"await-node"));
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
}

#[test]
fn an_api_server_that_moves_with_the_node_is_waited_for() {
    let member = Member::new();
    member.moves.set(true);
    let plan = member.plan(&member.desired(true));
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    assert!(!member.cordoned() && member.noted().as_deref() == Some(sim::SOCKET));
}

#[test]
fn what_an_api_server_that_is_gone_does_not_do_is_done_later() {
    let member = Member::new();
    let plan = member.plan(&member.desired(true));
    let api = member.api.clone();
    let first = Cell::new(true);
    member.sim.units.when("start kubelet.service", move || {
        if first.take() {
            api.away.set(true);
        }
    });
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    assert_eq!(newest(&member.sim), Some(RunState::Committed));
    assert!(member.cordoned(), "nobody could lift that");
    let make_up = || apply::make_up(&member.host(), None, &Options::new(&NEVER), &mut Silent);
    assert!(make_up().unwrap_err().to_string().contains("put off"));
    member.api.away.set(false);
    assert_eq!(make_up().unwrap().1, 3);
    assert!(!member.cordoned() && member.noted().as_deref() == Some(sim::SOCKET));
    assert!(make_up().unwrap_err().to_string().contains("nothing that was put off"));
    let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert_eq!(member.noted().as_deref(), Some("/var/run/dockershim.sock"), "what was made up for is taken back too");
}

#[test]
fn taking_back_needs_no_cluster() {
    let member = Member::new();
    let plan = member.plan(&member.desired(true));
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    member.api.away.set(true);
    let back = || apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    let report = back();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    let left: Vec<&str> = report
        .steps
        .iter()
        .filter(|step| step.detail.as_deref().is_some_and(|d| d.contains("kubectl")))
        .map(|step| step.id.as_str())
        .collect();
    assert_eq!(left, ["cordon", "annotate"]);
    // Nor one that knows the node.
    let member = Member::new();
    let plan = member.plan(&member.desired(true));
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    member.api.request(castoff::host::Verb::Delete, NODE, None).unwrap();
    let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    let member = Member::new();
    let plan = member.plan(&member.desired(true));
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert_eq!(member.noted().as_deref(), Some("/var/run/dockershim.sock"));
}
