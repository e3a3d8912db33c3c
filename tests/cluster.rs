//! A node that belongs to a cluster: pods leave and come back, the cluster sees the node, and an API server that goes away in
//! the middle keeps no node from moving. The cluster is one in memory; the node is the simulated one of the other tests.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it lays out temporary folders")]

mod common;

use castoff::{
    apply::{self, Leaving, Observer, Options, Silent},
    host::{Api as _, Clock as _, FakeApi, FakeClock, FakeEviction, Verb},
    model::{Action, ClusterConfig, ClusterOptions, Desired, Goal, Outcome, Plan, RunState, Severity},
};
use common::{
    member::{MAP, Member, NODE, pod},
    sim, tree,
    world::newest,
};
use serde_json::json;
use std::{cell::Cell, rc::Rc, sync::atomic::AtomicBool, time::Duration};

static NEVER: AtomicBool = AtomicBool::new(false);

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
    let mut proven: Vec<&str> = report.verification.iter().map(|check| check.id.as_str()).collect();
    let all = proven.len();
    proven.sort_unstable();
    proven.dedup();
    assert_eq!(proven.len(), all, "nothing is tried twice while pods are away: {:#?}", report.verification);
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
fn another_goal_drains_too() {
    let member = Member::new();
    let plan = |drain| member.plan(&Desired { goal: Goal::CgroupDriver, ..member.desired(drain) });
    let drained = plan(true);
    let order = ["cordon", "drain", "stop-kubelet", "start-kubelet", "await-pods", "verify", "uncordon"];
    let places: Vec<usize> = order.iter().map(|id| place(&drained, id)).collect();
    assert!(places.is_sorted() && drained.drains(), "{:?}", ids(&drained));
    let awaits = |plan: &Plan, name: &str| {
        plan.steps.iter().any(|step| match &step.action {
            Action::AwaitDockerPods { pods } => pods.iter().any(|pod| pod == name),
            _ => false,
        })
    };
    assert!(!awaits(&drained, "default/app-5d7c"), "a pod that left is not awaited");
    let left = plan(false);
    assert!(!left.drains() && !ids(&left).contains(&"cordon"), "{:?}", ids(&left));
}

#[test]
fn a_kubelet_of_no_cluster_has_nothing_to_drain_and_that_is_said() {
    let member = Member::new();
    let drop_in = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf";
    let text = std::fs::read_to_string(tree::at(member.sim.dir(), drop_in)).unwrap();
    tree::put(member.sim.dir(), drop_in, text.replace("--kubeconfig=/etc/kubernetes/kubelet.conf ", ""));
    let plan = member.plan(&member.desired(true));
    let said = plan.findings.iter().find(|finding| finding.id == "cluster-local-only").unwrap();
    assert_eq!((said.severity, plan.blocking().count(), plan.drains()), (Severity::Warn, 0, false), "{said:?}");
    let unasked = member.plan(&member.desired(false));
    assert!(!unasked.findings.iter().any(|finding| finding.id == "cluster-local-only"));
}

#[test]
fn a_node_that_sees_only_what_is_its_own_is_drained_on_both_ways() {
    let member = Member::new();
    member.api.asked_by("worker-3");
    let report = member.apply(&member.plan(&member.desired(true)));
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    assert!(!member.cordoned());
    member.pod("app-2", pod("app-2", Some("ReplicaSet")));
    let options = Options { leaving: Some(LEAVING), ..Options::new(&NEVER) };
    let report = apply::rollback(&member.host(), None, &options, &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert!(member.api.object("/api/v1/namespaces/default/pods/app-2").is_none());
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

/// What kubelet tells of a pod.
fn tells(member: &Member, name: &str, container: &str, ready: bool) {
    member.change(&format!("/api/v1/namespaces/default/pods/{name}"), |pod| {
        pod["status"]["conditions"] = json!([{ "type": "Ready", "status": if ready { "True" } else { "False" } }]);
        pod["status"]["containerStatuses"] = json!([{ "name": "c", "containerID": container }]);
    });
}

#[test]
fn pods_that_were_ready_have_to_be_so_again() {
    let member = Member::new();
    let before = member.plan(&member.desired(true)).digest;
    for name in ["agent-1", "app-5d7c"] {
        tells(&member, name, "docker://1", true);
    }
    let plan = member.plan(&member.desired(true));
    assert_eq!(plan.digest, before, "a pod that is Ready now and then makes no other plan");
    let awaited = plan.steps.iter().find_map(|step| match &step.action {
        Action::AwaitNode { pods, .. } => Some(pods.clone()),
        _ => None,
    });
    assert_eq!(awaited.unwrap(), ["default/agent-1"], "the other one leaves");
    // What was told before the move does not count, and this one never is told of again.
    member.sim.forget_pod("app-5d7c");
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    let step = report.steps.iter().find(|step| step.id == "await-node").unwrap();
    assert!(step.detail.as_deref().unwrap().contains("not Ready, as they were before: default/agent-1"), "{step:?}");
    assert!(!member.cordoned());
}

#[test]
fn pods_that_are_ready_again_are_enough() {
    for (container, ready, outcome) in
        [("containerd://2", true, Outcome::Applied), ("containerd://2", false, Outcome::RolledBack)]
    {
        let member = Member::new();
        tells(&member, "agent-1", "docker://1", true);
        let plan = member.plan(&member.desired(false));
        let api = member.api.clone();
        let told = member.api.object("/api/v1/namespaces/default/pods/agent-1").unwrap();
        member.sim.units.when("start kubelet.service", move || {
            let mut now = told.clone();
            now["status"]["containerStatuses"][0]["containerID"] = json!(container);
            now["status"]["conditions"][0]["status"] = json!(if ready { "True" } else { "False" });
            api.put("/api/v1/namespaces/default/pods/agent-1", now);
        });
        let report = member.apply(&plan);
        assert_eq!(report.outcome, outcome, "{report:#?}");
    }
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
    // It never is so again, which holds nothing up once the run is kept.
    tells(&member, "agent-1", "docker://1", true);
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

/// Once kubelet starts for the first time.
fn at_start(member: &Member, mut act: impl FnMut() + 'static) {
    let first = Cell::new(true);
    member.sim.units.when("start kubelet.service", move || {
        if first.take() {
            act();
        }
    });
}

#[test]
fn an_api_server_that_cannot_just_now_is_asked_again() {
    // etcd changes its leader; much to do after a start; its own rules are not there yet.
    for status in [500, 429, 403, 401] {
        let member = Member::new();
        let plan = member.plan(&member.desired(true));
        let api = member.api.clone();
        at_start(&member, move || {
            api.refuse(Verb::Get, NODE, status, 3);
            api.refuse(Verb::Patch, NODE, status, 3);
        });
        let report = member.apply(&plan);
        assert_eq!(report.outcome, Outcome::Applied, "{status}: {report:#?}");
        assert!(!member.cordoned(), "{status}");
        assert_eq!(member.noted().as_deref(), Some(sim::SOCKET), "{status}");
    }
}

#[test]
fn what_is_refused_to_the_end_takes_no_node_back() {
    for status in [500, 403, 422] {
        let member = Member::new();
        let plan = member.plan(&member.desired(true));
        let api = member.api.clone();
        at_start(&member, move || api.refuse(Verb::Patch, NODE, status, u32::MAX));
        let start = member.sim.clock.monotonic();
        let report = member.apply(&plan);
        assert_eq!(report.outcome, Outcome::Applied, "{status}: {report:#?}");
        let took = member.sim.clock.monotonic().saturating_sub(start);
        assert!(took < 2 * plan.desired.timeouts.node.duration(), "{status}: it is waited for once, not {took:?}");
        for id in ["annotate", "uncordon"] {
            let step = report.steps.iter().find(|step| step.id == id).unwrap();
            assert_eq!(step.detail.as_deref(), Some("put off: the API server refuses"), "{status}: {step:?}");
        }
        assert!(member.cordoned());
        // Whoever asks for the rest is told at once, and of all of it.
        let start = member.sim.clock.monotonic();
        let error = apply::make_up(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap_err().to_string();
        assert!(error.contains("annotate is still") && error.contains("uncordon is still"), "{status}: {error}");
        assert!(member.sim.clock.monotonic().saturating_sub(start) < Duration::from_secs(10), "{status}");
        member.api.refuse(Verb::Patch, NODE, status, 0);
        assert_eq!(apply::make_up(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap().1, 2);
        assert!(!member.cordoned() && member.noted().as_deref() == Some(sim::SOCKET));
    }
}

/// Refuses as soon as the pods have left.
struct Refusing(FakeApi);

impl Observer for Refusing {
    fn part_done(&mut self, _: &str) {
        self.0.refuse(Verb::Patch, NODE, 401, u32::MAX);
    }
}

#[test]
fn a_rollback_waits_once_for_what_is_refused() {
    let member = Member::new();
    let plan = member.plan(&member.desired(false));
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    member.sim.forget_pod("app-5d7c");
    let options = Options { leaving: Some(LEAVING), ..Options::new(&NEVER) };
    let start = member.sim.clock.monotonic();
    let report = apply::rollback(&member.host(), None, &options, &mut Refusing(member.api.clone())).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert!(report.by_hand.iter().any(|line| line.contains("kubectl uncordon")), "{:?}", report.by_hand);
    assert!(member.cordoned() && member.noted().as_deref() == Some(sim::SOCKET));
    let took = member.sim.clock.monotonic().saturating_sub(start);
    assert!(took < 2 * plan.desired.timeouts.node.duration(), "the annotation and the cordon's end: {took:?}");
}

#[test]
fn what_is_not_refused_is_made_up_for() {
    let member = Member::new();
    member.with_map();
    member.other("worker-4", "containerd://1.6.20");
    let plan = member.plan(&applying(&member, ClusterConfig::Apply));
    let api = member.api.clone();
    at_start(&member, move || {
        api.refuse(Verb::Patch, NODE, 403, u32::MAX);
        api.refuse(Verb::Patch, MAP, 403, u32::MAX);
    });
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    member.api.refuse(Verb::Patch, MAP, 403, 0);
    let make_up = || apply::make_up(&member.host(), None, &Options::new(&NEVER), &mut Silent);
    let error = make_up().unwrap_err().to_string();
    assert!(error.starts_with("1 done") && error.contains("annotate is still put off"), "{error}");
    assert!(member.map().contains("cgroupDriver: systemd"));
    member.api.refuse(Verb::Patch, NODE, 403, 0);
    assert_eq!(make_up().unwrap().1, 1);
}

/// A cluster whose API server comes back late, and has the node Ready a little later.
struct Late {
    api: FakeApi,
    clock: FakeClock,
    gone_at: Option<Duration>,
}

impl Observer for Late {
    fn waiting(&mut self, _: &str) {
        let now = self.clock.monotonic();
        if self.gone_at.is_none() && self.api.away.get() {
            self.gone_at = Some(now);
        }
        let Some(gone_at) = self.gone_at else { return };
        let ready = |is: &str| {
            let mut node = self.api.object(NODE).unwrap();
            node["status"]["conditions"][0]["status"] = json!(is);
            self.api.put(NODE, node);
        };
        match now.saturating_sub(gone_at).as_secs() {
            ..290 => ready("False"),
            290..305 => self.api.away.set(false),
            _ => ready("True"),
        }
    }
}

#[test]
fn an_api_server_that_comes_late_is_given_time_to_see_the_node() {
    let member = Member::new();
    let plan = member.plan(&member.desired(false));
    let api = member.api.clone();
    at_start(&member, move || api.away.set(true));
    let mut late = Late { api: member.api.clone(), clock: member.sim.clock.clone(), gone_at: None };
    let options = Options { commit: true, ..Options::new(&NEVER) };
    let report = apply::apply(&member.host(), &plan, &options, &mut late).unwrap();
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    let step = report.steps.iter().find(|step| step.id == "await-node").unwrap();
    assert_eq!(step.detail, None, "it was not put off");
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
    assert_eq!(left, ["annotate"], "the cordon was lifted by the run itself");
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

fn found<'a>(plan: &'a Plan, id: &str) -> Option<&'a castoff::model::Finding> {
    plan.findings.iter().find(|finding| finding.id == id)
}

fn applying(member: &Member, config: ClusterConfig) -> Desired {
    let desired = member.desired(false);
    Desired { cluster: ClusterOptions { config, ..desired.cluster.clone() }, ..desired }
}

#[test]
fn kubeadms_configuration_is_changed_with_the_last_node_only() {
    let member = Member::new();
    member.with_map();
    let said = member.plan(&member.desired(false));
    assert!(found(&said, "kubeadm-cgroup-driver").unwrap().summary.contains("says cgroupfs"));
    let skipped = member.plan(&applying(&member, ClusterConfig::Skip));
    assert!(!skipped.findings.iter().any(|finding| finding.id.contains("cgroup-driver")), "{:?}", skipped.findings);
    let wish = applying(&member, ClusterConfig::Apply);
    let waits = member.plan(&wish);
    assert!(found(&waits, "cluster-config-waits").unwrap().cause.contains("still on Docker: worker-4"));
    assert!(!ids(&waits).contains(&"kubelet-config-map"));
    member.other("worker-4", "containerd://1.6.20");
    member.api.put("/forbidden", json!({}));
    assert!(found(&member.plan(&wish), "cluster-config-not-allowed").is_some());
    member.api.request(castoff::host::Verb::Delete, "/forbidden", None).unwrap();

    let plan = member.plan(&wish);
    assert_eq!(ids(&plan).last(), Some(&"kubelet-config-map"), "last of all");
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    let text = member.map();
    assert!(text.starts_with("# ours\n") && text.ends_with("cgroupDriver: systemd # as Docker\n"), "{text}");
    // A second time there is nothing to do, and a node that is moved already can do it alone.
    assert!(member.plan(&wish).is_empty());
    member.with_map();
    let alone = member.plan(&wish);
    assert_eq!(ids(&alone), ["kubelet-config-map"]);
    // Whoever applies it when it is saved has to ask the cluster, or it looks as if nothing were left to do.
    assert!(alone.is_about_cluster());

    let text = member.map().replace("cgroupfs", "systemd").replace("# ours", "# ours\nmaxPods: 50");
    member.change(MAP, |map| map["data"]["kubelet"] = json!(text));
    let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert!(member.map().contains("cgroupDriver: cgroupfs # as Docker"), "{}", member.map());
    assert!(member.map().contains("maxPods: 50"), "what others changed meanwhile stays");
}

#[test]
fn what_the_cluster_notes_comes_back_while_its_api_server_still_answers() {
    let member = Member::new();
    member.with_map();
    member.other("worker-4", "containerd://1.6.20");
    let plan = member.plan(&applying(&member, ClusterConfig::Apply));
    assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
    // It is one of the pods that stop with the node, and does not come back.
    let api = member.api.clone();
    member.sim.units.when("stop kubelet.service", move || api.away.set(true));
    let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert!(member.map().contains("cgroupDriver: cgroupfs"), "{}", member.map());
    assert_eq!(member.noted().as_deref(), Some("/var/run/dockershim.sock"));
    assert!(report.by_hand.is_empty(), "{:?}", report.by_hand);
}

#[test]
fn a_config_map_that_cannot_be_changed_takes_no_node_back() {
    let member = Member::new();
    member.with_map();
    member.other("worker-4", "containerd://1.6.20");
    let plan = member.plan(&applying(&member, ClusterConfig::Apply));
    member.change(MAP, |map| map["data"] = json!({}));
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    let make_up = || apply::make_up(&member.host(), None, &Options::new(&NEVER), &mut Silent);
    assert!(format!("{:#}", make_up().unwrap_err()).contains("has no entry `kubelet`"));
    member.with_map();
    assert_eq!(make_up().unwrap().1, 1);
    assert!(member.map().contains("cgroupDriver: systemd"));
}

#[test]
fn the_other_nodes_count() {
    let member = Member::new();
    assert!(found(&member.plan(&member.desired(true)), "drain-nowhere").is_none());
    member.change("/api/v1/nodes/worker-4", |node| node["spec"]["unschedulable"] = json!(true));
    assert!(found(&member.plan(&member.desired(true)), "drain-nowhere").is_some());
    let role = json!({ "node-role.kubernetes.io/control-plane": "" });
    member.change("/api/v1/nodes/worker-4", |node| {
        node["metadata"]["labels"] = role.clone();
        node["status"]["conditions"][0]["status"] = json!("Unknown");
    });
    let plan = member.plan(&member.desired(false));
    assert!(found(&plan, "control-plane-down").is_none(), "a worker minds no control plane");
    member.change(NODE, |node| node["metadata"]["labels"] = role);
    let plan = member.plan(&member.desired(false));
    assert_eq!(found(&plan, "control-plane-down").unwrap().cause, "worker-4");
    assert!(plan.blocking().any(|finding| finding.id == "control-plane-down"));
}

#[test]
fn pods_that_have_left_meanwhile_are_not_waited_for() {
    let member = Member::new();
    let plan = member.plan(&member.desired(false));
    let awaited = plan.steps.iter().find_map(|step| match &step.action {
        Action::AwaitPods { pods, .. } => Some(pods.clone()),
        _ => None,
    });
    assert!(awaited.unwrap().contains(&"default/app-5d7c".to_owned()));
    // A controller has made another one elsewhere, and containerd's kubelet never makes this one again.
    member.sim.forget_pod("app-5d7c");
    member.api.request(castoff::host::Verb::Delete, "/api/v1/namespaces/default/pods/app-5d7c", None).unwrap();
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    let awaited = report.steps.iter().find(|step| step.id == "await-pods").unwrap();
    assert!(awaited.detail.as_deref().unwrap().contains("1 left meanwhile"), "{awaited:?}");
    let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
}

#[test]
fn pods_that_run_to_their_end_are_not_waited_for() {
    let member = Member::new();
    member.change("/api/v1/namespaces/default/pods/app-5d7c", |pod| pod["spec"]["restartPolicy"] = json!("Never"));
    let plan = member.plan(&member.desired(false));
    let awaited = plan.steps.iter().find_map(|step| match &step.action {
        Action::AwaitPods { pods, .. } => Some(pods.clone()),
        _ => None,
    });
    assert_eq!(awaited.unwrap(), ["kube-system/web-worker-3"]);
}

const LEAVING: Leaving = Leaving { force: false, delete_emptydir_data: false, grace: None, timeout: None };

#[test]
fn a_rollback_drains_when_asked_to() {
    let member = Member::new();
    assert_eq!(member.apply(&member.plan(&member.desired(false))).outcome, Outcome::Applied);
    member.api.acts.borrow_mut().clear();
    let options = Options { leaving: Some(LEAVING), ..Options::new(&NEVER) };
    // One that cannot be drained is not taken back, and takes pods again.
    member.api.evict("default/app-5d7c", FakeEviction::Later(100_000));
    let error = apply::rollback(&member.host(), None, &options, &mut Silent).unwrap_err();
    assert!(format!("{error:#}").contains("nothing was taken back"), "{error:#}");
    assert_eq!(newest(&member.sim), Some(RunState::Committed));
    assert!(!member.cordoned());
    for unit in [apply::EARLY, apply::LATE, apply::TIMER] {
        let file = tree::at(member.sim.dir(), &format!("/etc/systemd/system/{unit}"));
        assert!(!file.exists(), "{unit} is left behind, and no package of castoff's can be removed");
    }

    member.api.evict("default/app-5d7c", FakeEviction::Gone);
    member.sim.forget_pod("app-5d7c");
    let report = apply::rollback(&member.host(), None, &options, &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert!(!member.cordoned());
    assert!(member.api.object("/api/v1/namespaces/default/pods/app-5d7c").is_none());
}

#[test]
fn a_cordon_that_cannot_be_lifted_is_left_to_hands() {
    let member = Member::new();
    assert_eq!(member.apply(&member.plan(&member.desired(false))).outcome, Outcome::Applied);
    let options = Options { leaving: Some(LEAVING), ..Options::new(&NEVER) };
    let api = member.api.clone();
    member.sim.units.when("stop kubelet.service", move || api.away.set(true));
    member.sim.forget_pod("app-5d7c");
    let report = apply::rollback(&member.host(), None, &options, &mut Silent).unwrap();
    // The cluster is away when the node is back: what is left is said.
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert!(member.cordoned());
    assert_eq!(report.by_hand, ["kubectl uncordon worker-3"]);
}

#[test]
fn a_cordon_of_somebody_elses_survives_a_rollback() {
    let cordon = |member: &Member| member.change(NODE, |node| node["spec"]["unschedulable"] = json!(true));
    for leaving in [None, Some(LEAVING)] {
        let member = Member::new();
        assert_eq!(member.apply(&member.plan(&member.desired(true))).outcome, Outcome::Applied);
        assert!(!member.cordoned());
        // The node misbehaves, and nobody wants pods there.
        cordon(&member);
        let report =
            apply::rollback(&member.host(), None, &Options { leaving, ..Options::new(&NEVER) }, &mut Silent).unwrap();
        assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
        assert!(member.cordoned(), "{leaving:?}");
    }
    // One that the run could not lift is the run's still, until somebody makes up for that.
    for made_up in [false, true] {
        let member = Member::new();
        let plan = member.plan(&member.desired(true));
        let (api, first) = (member.api.clone(), Cell::new(true));
        member.sim.units.when("start kubelet.service", move || {
            if first.take() {
                api.away.set(true);
            }
        });
        assert_eq!(member.apply(&plan).outcome, Outcome::Applied);
        member.api.away.set(false);
        if made_up {
            apply::make_up(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
            assert!(!member.cordoned());
            cordon(&member);
        }
        let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
        assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
        assert_eq!(member.cordoned(), made_up);
    }
}

#[test]
fn a_node_that_is_kept_unproven_gets_its_pods_when_somebody_asks() {
    let member = Member::new();
    member.with_map();
    member.other("worker-4", "containerd://1.6.20");
    let wish = applying(&member, ClusterConfig::Apply);
    let wish = Desired { cluster: ClusterOptions { drain: true, ..wish.cluster.clone() }, ..wish };
    let plan = member.plan(&wish);
    // Whatever the proof looks at: kubelet's own file says something else by then.
    let dir = member.sim.dir().to_owned();
    let first = Cell::new(true);
    member.sim.units.when("start kubelet.service", move || {
        if first.take() {
            let text = std::fs::read_to_string(tree::at(&dir, "/var/lib/kubelet/config.yaml")).unwrap();
            tree::put(&dir, "/var/lib/kubelet/config.yaml", text.replace("systemd", "cgroupfs"));
        }
    });
    let options = Options { commit: true, keep_on_verify_failure: true, ..Options::new(&NEVER) };
    let report = apply::apply(&member.host(), &plan, &options, &mut Silent).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::Applied, 6), "{report:#?}");
    assert!(member.cordoned());
    for id in ["uncordon", "kubelet-config-map"] {
        let step = report.steps.iter().find(|step| step.id == id).unwrap();
        assert!(step.detail.as_deref().unwrap_or_default().contains("put off: the node is not proven"), "{step:?}");
    }
    assert_eq!(apply::make_up(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap().1, 2);
    assert!(!member.cordoned() && member.map().contains("cgroupDriver: systemd"));
    let forced = Options { force: true, ..Options::new(&NEVER) };
    let report = apply::rollback(&member.host(), None, &forced, &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    assert!(member.map().contains("cgroupDriver: cgroupfs"), "what was made up for is taken back too");
}

/// etcd as kubeadm runs it, in the node's one static pod.
fn with_etcd(member: &Member) {
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: kube-system}\nspec:\n  containers:\n  - name: web\n    image: registry.example/web:1.4\n    \
        command: [etcd, --data-dir=/var/lib/etcd, '--listen-metrics-urls=http://127.0.0.1:2381']\n    \
        volumeMounts: [{mountPath: /var/lib/etcd, name: data}]\n  volumes: [{name: data, hostPath: {path: /var/lib/etcd}}]\n";
    tree::put(member.sim.dir(), "/etc/kubernetes/manifests/web.yaml", manifest);
    member.etcd.set(Some(100));
}

#[test]
fn etcd_has_to_be_well_before_and_complete_after() {
    let member = Member::new();
    with_etcd(&member);
    let plan = member.plan(&member.desired(false));
    assert!(
        place(&plan, "await-pods") < place(&plan, "await-etcd")
            && place(&plan, "await-etcd") < place(&plan, "await-node")
    );
    // A cluster that is written to meanwhile makes no other plan.
    member.etcd.set(Some(250));
    assert_eq!(member.plan(&member.desired(false)).digest, plan.digest);
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");

    let member = Member::new();
    with_etcd(&member);
    let plan = member.plan(&member.desired(false));
    let etcd = Rc::clone(&member.etcd);
    let first = Cell::new(true);
    // It comes back empty on the new side, and with its data on the old one.
    member.sim.units.when("start kubelet.service", move || etcd.set(Some(if first.take() { 1 } else { 100 })));
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
    let step = report.steps.iter().find(|step| step.id == "await-etcd").unwrap();
    assert!(step.detail.as_deref().unwrap().contains("etcd is at revision 1, and was at 100"), "{step:?}");

    let member = Member::new();
    with_etcd(&member);
    member.etcd.set(None);
    let plan = member.plan(&member.desired(false));
    assert!(found(&plan, "etcd-unseen").is_some() && !ids(&plan).contains(&"await-etcd"));
}

#[test]
fn a_kubelet_without_an_api_server_is_asked_for_static_pods_only() {
    let member = Member::new();
    let plan = member.plan(&member.desired(false));
    // It goes away for good when kubelet starts, and kubelet knows of nothing but its manifests then.
    let (api, sim) = (member.api.clone(), member.sim.clone());
    member.sim.units.when("stop kubelet.service", move || {
        api.away.set(true);
        sim.forget_pod("app-5d7c");
    });
    let report = member.apply(&plan);
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    let awaited = report.steps.iter().find(|step| step.id == "await-pods").unwrap();
    assert!(awaited.detail.as_deref().unwrap().contains("1 come when the API server is back"), "{awaited:?}");
    let report = apply::rollback(&member.host(), None, &Options::new(&NEVER), &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:#?}");
}
