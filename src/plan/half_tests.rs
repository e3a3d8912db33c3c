//! A node that somebody moved half-way by hand: what is left is done, what is right is left alone.

use super::*;
use crate::model::{CgroupDriver, DockerContainer, KubeletFlag, Origin, PodFacts, Sourced, StaticPod, UnitFacts};

#[allow(clippy::unnecessary_wraps, reason = "every fact it fills is optional")]
fn sourced<T>(value: T) -> Option<Sourced<T>> {
    Some(Sourced::new(value, Origin::path("/test")))
}

fn desired() -> Desired {
    Desired::resolve(Goal::Containerd, &crate::model::Profile::default(), &[]).unwrap()
}

/// kubelet's files name containerd; Docker still runs a pod of the cluster and one nobody wants any more.
fn half() -> Facts {
    let mut facts = Facts::empty(true);
    for unit in ["docker.service", "docker.socket", "containerd.service", "kubelet.service"] {
        let unit_facts = UnitFacts {
            load: "loaded".to_owned(),
            active: "active".to_owned(),
            file_state: "enabled".to_owned(),
            fragment: Some(format!("/usr/lib/systemd/system/{unit}")),
            ..UnitFacts::default()
        };
        facts.units.insert(unit.to_owned(), unit_facts);
    }
    facts.docker.installed = true;
    facts.docker.running = true;
    facts.kubelet.installed = true;
    facts.kubelet.running = true;
    facts.kubelet.version = sourced("1.27.4".to_owned());
    facts.kubelet.runtime = sourced(RuntimeKind::Containerd);
    facts.kubelet.endpoint = sourced("unix:///run/containerd/containerd.sock".to_owned());
    facts.kubelet.cgroup_driver = sourced(CgroupDriver::Systemd);
    facts.kubelet.flags = vec![KubeletFlag {
        name: "container-runtime-endpoint".to_owned(),
        value: "unix:///run/containerd/containerd.sock".to_owned(),
        origin: Origin::env_file("/var/lib/kubelet/kubeadm-flags.env", 1),
        variable: Some("KUBELET_KUBEADM_ARGS".to_owned()),
    }];
    facts.kubelet.static_pods = vec![StaticPod {
        path: "/etc/kubernetes/manifests/proxy.yaml".to_owned(),
        namespace: "kube-system".to_owned(),
        name: "proxy-node".to_owned(),
        images: Vec::new(),
    }];
    facts.containerd.installed = true;
    facts.containerd.running = true;
    facts.containerd.version = sourced("1.7.24".to_owned());
    facts.containerd.config_path = sourced("/etc/containerd/config.toml".to_owned());
    for (namespace, pod) in [("kube-system", "proxy-node"), ("gone", "old")] {
        let container: DockerContainer = serde_json::from_value(serde_json::json!({
            "id": pod, "name": format!("k8s_x_{pod}"), "image": "x", "imageId": "sha256:x", "state": "running",
            "kubernetes": true, "sandbox": false, "namespace": namespace, "pod": pod,
        }))
        .unwrap();
        facts.docker.containers.push(container);
        facts.pods.push(PodFacts {
            namespace: namespace.to_owned(),
            name: pod.to_owned(),
            runtime: "docker".to_owned(),
            containers: vec!["x".to_owned()],
        });
    }
    facts
}

#[test]
fn half_a_migration_is_completed() {
    let plan = plan(&half(), &desired(), Options::default());
    let ids: Vec<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    for wanted in
        ["stop-kubelet", "stop-docker-pods", "stop-docker", "mask-docker", "mask-docker-socket", "start-kubelet"]
    {
        assert!(ids.contains(&wanted), "{wanted} is not in {ids:?}");
    }
    assert!(!ids.iter().any(|id| id.contains("kubelet-endpoint")), "the endpoint is right: {ids:?}");
    let awaited = plan.steps.iter().find_map(|step| match &step.action {
        Action::AwaitPods { pods, .. } => Some(pods.clone()),
        _ => None,
    });
    assert_eq!(awaited, Some(vec!["kube-system/proxy-node".to_owned()]), "nobody waits for a pod that is gone");
}

#[test]
fn docker_beside_a_node_that_moved_is_left_alone() {
    let mut facts = half();
    facts.docker.containers.clear();
    facts.pods.clear();
    let plan = plan(&facts, &desired(), Options::default());
    assert!(!plan.steps.iter().any(|step| step.id.contains("docker")), "{:?}", plan.steps);
}

#[test]
fn a_daemon_that_has_not_read_its_file_is_restarted() {
    let mut facts = half();
    facts.docker.containers.clear();
    facts.pods.clear();
    let text = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n";
    facts.texts.insert("/etc/containerd/config.toml".to_owned(), text.to_owned());
    let crictl = crictl::with_endpoint(None, &desired().endpoint).unwrap();
    facts.texts.insert(CRICTL_YAML.to_owned(), crictl);
    let steps = |facts: &Facts| {
        let plan = plan(facts, &desired(), Options::default());
        plan.steps.into_iter().map(|step| step.id).collect::<Vec<_>>()
    };
    facts.containerd.cri_answers = sourced(true);
    assert!(steps(&facts).is_empty(), "{:?}", steps(&facts));
    facts.containerd.cri_answers = sourced(false);
    assert!(steps(&facts).iter().any(|id| id == "restart-containerd"), "{:?}", steps(&facts));
}

/// cri-dockerd asks Docker for its driver once, in `NewDockerService` (`core/docker_service.go`).
#[test]
fn what_stands_before_docker_learns_its_new_driver() {
    let mut facts = half();
    facts.kubelet.runtime = sourced(RuntimeKind::CriDockerd);
    facts.docker.cgroup_driver = sourced(CgroupDriver::Cgroupfs);
    let steps = |facts: &Facts| {
        let desired = Desired { goal: Goal::CgroupDriver, ..desired() };
        let plan = plan(facts, &desired, Options::default());
        plan.steps.into_iter().map(|step| format!("{} {}", step.id, step.action.object())).collect::<Vec<_>>()
    };
    assert!(!steps(&facts).iter().any(|step| step.contains("cri-docker")), "it is not there");
    facts.units.insert("cri-dockerd.service".to_owned(), facts.unit("docker.service"));
    assert_eq!(
        steps(&facts),
        [
            "stop-kubelet kubelet.service",
            "stop-docker-pods Docker's pod containers",
            "stop-cri-docker cri-dockerd.service",
            "docker-config /etc/docker/daemon.json",
            "restart-docker docker.service",
            "start-cri-docker cri-dockerd.service",
            "start-kubelet kubelet.service",
            "await-pods 2 pods on Docker",
            "verify the node",
        ]
    );
}

#[test]
fn an_idle_containerd_starts_to_take_images() {
    let mut facts = half();
    facts.docker.images =
        vec![crate::model::DockerImage { id: "sha256:x".to_owned(), tags: vec!["x:1".to_owned()], size: 1 }];
    let first =
        |facts: &Facts| plan(facts, &desired(), Options::default()).steps.into_iter().map(|step| step.id).next();
    assert_eq!(first(&facts).as_deref(), Some("import-images"), "it runs");
    facts.containerd.running = false;
    facts.units.get_mut("containerd.service").unwrap().active = "inactive".to_owned();
    assert_eq!(first(&facts).as_deref(), Some("import-images"), "Docker runs on another one, which answers");
    facts.docker.managed_containerd = sourced(true);
    assert_eq!(first(&facts).as_deref(), Some("start-containerd"));
}

#[test]
fn containerd_serves_where_the_plan_goes() {
    let mut facts = half();
    let told = |facts: &Facts, endpoint: &str| {
        let desired = Desired { endpoint: endpoint.to_owned(), ..desired() };
        let found = plan(facts, &desired, Options::default()).findings;
        found.into_iter().find(|finding| finding.id == "containerd-endpoint").map(|finding| finding.fix)
    };
    let (usual, own) = ("unix:///run/containerd/containerd.sock", "unix:///run/ctr/containerd.sock");
    facts.containerd.endpoint = sourced(own.to_owned());
    let fix = "set `endpoint = \"unix:///run/ctr/containerd.sock\"` in the profile, then plan again";
    assert_eq!(told(&facts, usual).as_deref(), Some(fix));
    assert_eq!(told(&facts, own), None);
    // Nothing says it: then what is wanted stands in the facts.
    facts.containerd.endpoint = Some(Sourced::new(own.to_owned(), Origin::default_of("containerd")));
    assert!(told(&facts, own).is_some());
    facts.containerd.endpoint = Some(Sourced::new(usual.to_owned(), Origin::default_of("containerd")));
    assert_eq!(told(&facts, "unix:///var/run/containerd/containerd.sock"), None);
}
