//! A node that belongs to a cluster: the simulated node, a cluster in memory, and its API server, which may be one of the pods that move.

use super::{
    fixture::{self, Live},
    sim::Sim,
    tree,
    world::{NoDoors, State, World},
};
use castoff::{
    apply::{self, Options, Silent},
    cluster,
    formats::kubeconfig::Kubeconfig,
    host::{
        Api, ApiError, Clock as _, Containerd, Cri, Doors, FakeApi, FakeUnits, Faults, Host, Injected, LayerStore,
        Units as _, Verb,
    },
    model::{CRI_SOCKET, ClusterConfig, ClusterOptions, Desired, Plan, RunReport},
    plan,
};
use serde_json::{Value, json};
use std::{cell::Cell, path::Path, rc::Rc, sync::atomic::AtomicBool};

static NEVER: AtomicBool = AtomicBool::new(false);

pub const NODE: &str = "/api/v1/nodes/worker-3";
pub const MAP: &str = "/api/v1/namespaces/kube-system/configmaps/kubelet-config-1.20";
const CONF: &str = "/etc/kubernetes/kubelet.conf";

/// The node and its cluster.
pub struct Member {
    pub sim: Sim,
    pub api: FakeApi,
    /// The API server is one of the pods: it is there only while kubelet is.
    pub moves: Rc<Cell<bool>>,
    /// The revision of etcd on this node; absent where nothing answers.
    pub etcd: Rc<Cell<Option<u64>>>,
}

/// The node's doors, and the API server's beside them. Each time it is asked, kubelet has just reported.
#[derive(Debug)]
struct WithApi {
    inner: Box<dyn Doors>,
    api: FakeApi,
    units: FakeUnits,
    sim: Sim,
    moves: Rc<Cell<bool>>,
    etcd: Rc<Cell<Option<u64>>>,
    faults: Faults,
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

    fn told(&self, url: &str) -> anyhow::Result<(u16, String)> {
        let Some(revision) = self.etcd.get() else { anyhow::bail!("nothing answers at {url}") };
        Ok(match url {
            "http://127.0.0.1:2381/health" => (200, "{\"health\":\"true\"}".to_owned()),
            _ => (200, format!("etcd_server_has_leader 1\netcd_debugging_mvcc_current_revision {revision}\n")),
        })
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
            node["status"]["conditions"][0]["lastHeartbeatTime"] = json!(self.sim.clock.now());
            self.api.put(NODE, node);
        }
        Ok(Box::new(Faulty { api: self.api.clone(), faults: self.faults.clone() }))
    }
}

pub fn pod(name: &str, owner: Option<&str>) -> Value {
    let owners: Vec<Value> =
        owner.iter().map(|kind| json!({ "kind": kind, "name": "owner", "controller": true })).collect();
    json!({
        "metadata": { "namespace": "default", "name": name, "uid": format!("uid-{name}"), "ownerReferences": owners },
        "spec": { "nodeName": "worker-3" }, "status": { "phase": "Running" },
    })
}

impl Member {
    pub fn new() -> Self {
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
        let member = Self { sim, api, moves: Rc::default(), etcd: Rc::default() };
        member.other("worker-4", "docker://20.10.24");
        member.pod("app-5d7c", pod("app-5d7c", Some("ReplicaSet")));
        member.pod("agent-1", pod("agent-1", Some("DaemonSet")));
        member
    }

    /// Another node of the cluster, Ready.
    pub fn other(&self, name: &str, runtime: &str) {
        self.api.put(
            &format!("/api/v1/nodes/{name}"),
            json!({
                "metadata": { "name": name }, "spec": {}, "status": {
                    "nodeInfo": { "containerRuntimeVersion": runtime }, "conditions": [{ "type": "Ready", "status": "True" }],
                },
            }),
        );
    }

    pub fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.api.object(path).unwrap();
        change(&mut object);
        self.api.put(path, object);
    }

    pub fn map(&self) -> String {
        self.api.object(MAP).unwrap()["data"]["kubelet"].as_str().unwrap().to_owned()
    }

    pub fn pod(&self, name: &str, object: Value) {
        self.api.put(&format!("/api/v1/namespaces/default/pods/{name}"), object);
    }

    pub fn host(&self) -> Host {
        self.process(&Faults::none())
    }

    /// A new process on this node, with failures of its own, those of the API server's among them.
    pub fn process(&self, faults: &Faults) -> Host {
        let mut host = self.sim.process(faults);
        let (api, units, sim) = (self.api.clone(), self.sim.units.clone(), self.sim.clone());
        let (moves, etcd) = (Rc::clone(&self.moves), Rc::clone(&self.etcd));
        let inner = std::mem::replace(&mut host.doors, Box::new(NoDoors));
        host.doors = Box::new(WithApi { inner, api, units, sim, moves, etcd, faults: faults.clone() });
        host
    }

    pub fn desired(&self, drain: bool) -> Desired {
        Desired { cluster: ClusterOptions { drain, ..ClusterOptions::NONE }, ..self.sim.desired() }
    }

    pub fn plan(&self, desired: &Desired) -> Plan {
        let host = self.host();
        let mut facts = fixture::facts_for(&host, &self.sim.assumptions(), desired);
        facts.cluster = cluster::look(&host, &facts, &desired.cluster);
        plan::plan(&facts, desired, plan::Options::default())
    }

    pub fn apply(&self, plan: &Plan) -> RunReport {
        let options = Options { commit: true, ..Options::new(&NEVER) };
        apply::apply(&self.host(), plan, &options, &mut Silent).unwrap()
    }

    pub fn acts(&self) -> Vec<String> {
        let reviews = |act: &&String| !act.contains("selfsubjectaccessreviews");
        self.api.acts.borrow().iter().filter(reviews).cloned().collect()
    }

    pub fn cordoned(&self) -> bool {
        cluster::is_cordoned(&self.api.object(NODE).unwrap())
    }

    pub fn noted(&self) -> Option<String> {
        cluster::annotation(&self.api.object(NODE).unwrap(), CRI_SOCKET)
    }

    /// kubeadm's ConfigMap says cgroupfs, as kubelet's own file does.
    pub fn with_map(&self) {
        let text = "# ours\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: cgroupfs # as Docker\n";
        self.api.put(
            MAP,
            json!({ "metadata": { "name": "kubelet-config-1.20", "resourceVersion": "7" }, "data": { "kubelet": text } }),
        );
    }
}

/// An API server of which a script makes requests fail: once, as when nothing answers for a moment.
#[derive(Debug)]
struct Faulty {
    api: FakeApi,
    faults: Faults,
}

impl Api for Faulty {
    fn server(&self) -> &str {
        self.api.server()
    }

    fn request(&self, verb: Verb, path: &str, body: Option<&Value>) -> anyhow::Result<Option<Value>> {
        let what = format!("{} {path}", verb.word());
        let done = self.faults.effect(&what, || self.api.request(verb, path, body));
        done.map_err(|error| match error.downcast_ref() {
            Some(Injected::Failure { .. }) => {
                ApiError::Away { server: self.server().to_owned(), what, why: "connection reset".to_owned() }.into()
            }
            _ => error,
        })
    }
}

/// A member that is attacked while it is cordoned, moved, annotated and uncordoned, and changes kubeadm's ConfigMap.
pub struct Attacked(Member);

impl Attacked {
    pub fn new() -> Self {
        let member = Member::new();
        member.with_map();
        member.other("worker-4", "containerd://1.6.20");
        // One that stays: what leaves does not come back by itself, which would be no state to compare with.
        member.pod("app-5d7c", pod("app-5d7c", Some("DaemonSet")));
        Self(member)
    }
}

impl World for Attacked {
    fn host(&self, faults: &Faults) -> Host {
        self.0.process(faults)
    }

    fn state(&self) -> State {
        let mut state = self.0.sim.state();
        let cluster = [
            ("cordoned", self.0.cordoned().to_string()),
            ("annotation", self.0.noted().unwrap_or_default()),
            ("configmap", self.0.map()),
        ];
        state
            .live
            .extend(cluster.map(|(name, value)| (format!("cluster {name}"), value)).into_iter().collect::<Live>());
        state
    }

    fn root(&self) -> &Path {
        self.0.sim.root()
    }

    fn skip_checks(&self) -> &[&'static str] {
        self.0.sim.skip_checks()
    }

    fn desired(&self) -> Desired {
        let options = ClusterOptions { drain: true, config: ClusterConfig::Apply, ..ClusterOptions::NONE };
        Desired { cluster: options, ..self.0.sim.desired() }
    }

    fn plan(&self) -> Plan {
        self.0.plan(&self.desired())
    }

    fn violations(&self) -> Vec<String> {
        self.0.sim.violations()
    }

    fn reboot(&self) {
        self.0.sim.reboot();
    }
}
