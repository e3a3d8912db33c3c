//! A simulated running node: systemd, Docker, containerd, CRI, kubelet and the processes they make, coupled as they are
//! on a real node. Starting kubelet makes its pods run on the runtime its flags name, stopping Docker stops its
//! containers, a restarted containerd serves CRI only if its configuration says so.
//!
//! The world outlives the process that changes it: [`Sim::process`] gives a new process over the same world.

use super::{
    docker_store,
    fixture::Live,
    sim_parts::{SimDoors, SimProcs},
    tree::{self, at},
};
use castoff::host::{
    CgroupLine, Clock as _, Container, ContainerState, ContainerStatus, CriApi, EngineContainer, EngineImage,
    FakeClock, FakeContainerd, FakeCri, FakeEngine, FakeKernel, FakeLayerStore, FakeProcs, FakeUnits, Faults, Health,
    Host, Parts, Plugin, Procs as _, Root, Sandbox, UnitState, Units as _, unit_links,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};
use tempfile::TempDir;

pub const NODE: &str = "worker-3";
pub const SOCKET: &str = "unix:///run/containerd/containerd.sock";
const KUBELET: &str = "kubelet.service";
const DOCKER: &str = "docker.service";
const DOCKER_SOCKET: &str = "docker.socket";
const CONTAINERD: &str = "containerd.service";
/// A monitor of somebody else that is bound to Docker: systemd stops it along with Docker.
const MONITOR: &str = "docker-monitor.service";
/// castoff's own; the others of a run are never started by an order.
const TIMER: &str = castoff::apply::TIMER;
const PAUSE: &str = "k8s.gcr.io/pause:3.2";
const IMAGE: &str = "registry.example/web:1.4";
/// Namespace and name of the node's pods: a static one and one from the API server.
pub const PODS: [(&str, &str); 2] = [("kube-system", "web-worker-3"), ("default", "app-5d7c")];
/// A container that is not Kubernetes' business and that nothing but castoff would start again.
pub const OTHER: &str = "registry-1";

const FILES: &[(&str, &str)] = &[
    ("/etc/hostname", "worker-3\n"),
    ("/etc/os-release", include_str!("../../templates/demo/os-release")),
    ("/etc/containerd/config.toml", include_str!("../../templates/demo/containerd-config.toml")),
    ("/etc/docker/daemon.json", include_str!("../../templates/demo/daemon.json")),
    ("/var/lib/kubelet/config.yaml", include_str!("../../templates/demo/kubelet-config.yaml")),
    ("/var/lib/kubelet/kubeadm-flags.env", include_str!("../../templates/demo/kubeadm-flags.env")),
    ("/etc/kubernetes/manifests/web.yaml", include_str!("../../templates/demo/web.yaml")),
    ("/etc/cni/net.d/10-bridge.conflist", include_str!("../../templates/demo/10-bridge.conflist")),
    ("/usr/lib/systemd/system/docker.service", include_str!("../../templates/demo/docker.service")),
    ("/usr/lib/systemd/system/docker.socket", include_str!("../../templates/demo/docker.socket")),
    ("/usr/lib/systemd/system/containerd.service", include_str!("../../templates/demo/containerd.service")),
    ("/usr/lib/systemd/system/kubelet.service", include_str!("../../templates/demo/kubelet.service")),
    ("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", include_str!("../../templates/demo/10-kubeadm.conf")),
    ("/usr/lib/systemd/system/docker-monitor.service", "[Service]\nExecStart=/bin/true\n"),
    ("/opt/cni/bin/bridge", ""),
    ("/run/containerd/containerd.sock", ""),
];

/// What libcni remembers of the static pod's network; the configuration in it is base64 of a `bridge` of CNI 0.4.0.
pub const LEASE: (&str, &str) = (
    "/var/lib/cni/cache/results/pods-podsandbox-web-worker-3-eth0",
    r#"{"kind":"cniCacheV1","containerId":"podsandbox-web-worker-3","ifName":"eth0","networkName":"pods",
        "config":"eyJjbmlWZXJzaW9uIjoiMC40LjAiLCJuYW1lIjoicG9kcyIsInR5cGUiOiJicmlkZ2UifQ=="}"#,
);

/// containerd is not among them: Docker's unit starts it, as on many a node.
const LINKS: &[(&str, &str)] = &[
    ("/etc/systemd/system/multi-user.target.wants/docker.service", "/lib/systemd/system/docker.service"),
    // An administrator's own link, with a target that no tool would write.
    ("/etc/systemd/system/rescue.target.wants/docker.service", "../../../../lib/systemd/system/docker.service"),
    ("/etc/systemd/system/sockets.target.wants/docker.socket", "/lib/systemd/system/docker.socket"),
    ("/etc/systemd/system/multi-user.target.wants/kubelet.service", "/lib/systemd/system/kubelet.service"),
    (
        "/etc/systemd/system/multi-user.target.wants/docker-monitor.service",
        "/lib/systemd/system/docker-monitor.service",
    ),
];

/// The node. Clones are the same node.
#[derive(Clone, Debug)]
pub struct Sim {
    tmp: Rc<TempDir>,
    root: PathBuf,
    pub units: FakeUnits,
    pub engine: FakeEngine,
    pub cri: FakeCri,
    pub containerd: FakeContainerd,
    pub procs: FakeProcs,
    pub clock: FakeClock,
    pub carried: Rc<RefCell<Vec<String>>>,
    /// What containerd keeps of images.
    pub layers: FakeLayerStore,
    /// The room on its disks.
    pub free_bytes: Rc<Cell<u64>>,
    /// Pods that kubelet makes no more, by name.
    gone: Rc<RefCell<Vec<String>>>,
    complaints: Rc<RefCell<Vec<String>>>,
}

impl Sim {
    /// A node on Docker through dockershim, everything running.
    pub fn new() -> Self {
        let tmp = tree::scratch();
        let root = tmp.path().to_owned();
        tree::put_link(&root, "/lib", "usr/lib");
        for (path, content) in FILES {
            tree::put(&root, path, content);
        }
        tree::put(&root, LEASE.0, LEASE.1);
        for (path, target) in LINKS {
            tree::put_link(&root, path, target);
        }
        tree::dress(&root, &super::world::WRITTEN);
        let images: [docker_store::Files<'_>; 2] = [&[("pause", "sleeps")], &[("web", "serves")]];
        let ids = docker_store::lay(&root, &images, &[(PAUSE, &[0]), (IMAGE, &[1])]);
        tree::make_dir(&root, "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots");
        let layers = FakeLayerStore::new(Rc::new(Root::open(&root, Faults::none()).unwrap()), Faults::none());
        let none = Faults::none;
        let sim = Self {
            tmp: Rc::new(tmp),
            root,
            units: FakeUnits::new(none()),
            engine: FakeEngine::new("unix:///run/docker.sock", none()),
            cri: FakeCri::new(SOCKET, none()),
            containerd: FakeContainerd::new("1.6.20"),
            procs: FakeProcs::new(none())
                .answer("ctr ", 0, "", "")
                .answer("/opt/cni/bin/bridge", 0, "", "")
                .answer("/usr/bin/kubelet --version", 0, "Kubernetes v1.20.2\n", "")
                .answer("/usr/bin/containerd --version", 0, "containerd x.example/containerd v1.6.20 abc\n", ""),
            clock: FakeClock::new(),
            carried: Rc::default(),
            layers,
            free_bytes: Rc::new(Cell::new(u64::MAX)),
            gone: Rc::default(),
            complaints: Rc::default(),
        };
        sim.cri.change(|runtime| runtime.api = CriApi::V1Alpha2);
        sim.fill_docker(&ids);
        sim.define_units();
        for unit in [CONTAINERD, DOCKER_SOCKET, DOCKER, MONITOR, KUBELET] {
            sim.units.start(unit, Duration::ZERO).unwrap();
        }
        sim.engine.change(|daemon| {
            let other = daemon.containers.iter_mut().find(|container| container.id == OTHER);
            "running".clone_into(&mut other.unwrap().state);
        });
        assert_eq!(sim.complaints(), [""; 0]);
        sim
    }

    fn fill_docker(&self, ids: &[String]) {
        let id_of = |image: &str| ids[usize::from(image != PAUSE)].clone();
        let container = |id: &str, name: &str, image: &str, labels: &[(&str, &str)]| EngineContainer {
            id: id.to_owned(),
            names: vec![name.to_owned()],
            image: image.to_owned(),
            image_id: id_of(image),
            state: "exited".to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..EngineContainer::default()
        };
        let mut containers = vec![container(OTHER, "registry", IMAGE, &[])];
        for (namespace, pod) in PODS {
            for (kind, image) in [("podsandbox", PAUSE), ("container", IMAGE)] {
                let labels = [
                    ("io.kubernetes.docker.type", kind),
                    ("io.kubernetes.pod.name", pod),
                    ("io.kubernetes.pod.namespace", namespace),
                    ("io.kubernetes.pod.uid", pod),
                    ("io.kubernetes.container.name", "web"),
                    ("annotation.io.kubernetes.pod.terminationGracePeriod", "5"),
                ];
                containers.push(container(&format!("{kind}-{pod}"), &format!("k8s_{kind}_{pod}"), image, &labels));
            }
        }
        let image = |name: &str| EngineImage {
            id: id_of(name),
            repo_tags: vec![name.to_owned()],
            size: 1000,
            ..EngineImage::default()
        };
        self.engine.change(|daemon| {
            daemon.down = true;
            daemon.containers = containers;
            daemon.images = vec![image(PAUSE), image(IMAGE)];
            daemon.info = serde_json::json!({"Driver": "overlay2", "DriverStatus": []});
            daemon.inspections.insert("podsandbox-web-worker-3".into(), serde_json::json!({"State": {"Pid": 77}}));
        });
    }

    fn define_units(&self) {
        let own = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
        self.units.put(UnitState { load: "loaded".to_owned(), ..UnitState::not_found(TIMER) });
        for unit in [KUBELET, DOCKER, DOCKER_SOCKET, CONTAINERD, MONITOR] {
            let mut state = UnitState::not_found(unit);
            "loaded".clone_into(&mut state.load);
            state.fragment = Some(format!("/usr/lib/systemd/system/{unit}"));
            match unit {
                KUBELET => state.drop_ins = own(&["/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"]),
                DOCKER => {
                    state.requires = own(&[DOCKER_SOCKET]);
                    state.wants = own(&[CONTAINERD]);
                    state.bound_by = own(&[MONITOR]);
                }
                DOCKER_SOCKET => state.required_by = own(&[DOCKER]),
                MONITOR => state.binds_to = own(&[DOCKER]),
                _ => {}
            }
            self.units.put(state);
            for verb in ["start", "stop", "restart"] {
                let world = self.weak();
                self.units.when(&format!("{verb} {unit}"), move || world().settle(verb, unit));
            }
        }
        let world = self.weak();
        self.units.when("reload", move || world().read_units());
        self.read_units();
    }

    /// The same world without keeping it alive: a reaction lives inside the world.
    fn weak(&self) -> impl Fn() -> Self + 'static {
        let tmp = Rc::downgrade(&self.tmp);
        let (root, units) = (self.root.clone(), self.units.clone());
        let (engine, cri, containerd, procs) =
            (self.engine.clone(), self.cri.clone(), self.containerd.clone(), self.procs.clone());
        let (clock, carried, complaints) = (self.clock.clone(), Rc::clone(&self.carried), Rc::clone(&self.complaints));
        let (free_bytes, layers, gone) = (Rc::clone(&self.free_bytes), self.layers.clone(), Rc::clone(&self.gone));
        move || Self {
            tmp: tmp.upgrade().unwrap(),
            root: root.clone(),
            units: units.clone(),
            engine: engine.clone(),
            cri: cri.clone(),
            containerd: containerd.clone(),
            procs: procs.clone(),
            clock: clock.clone(),
            carried: Rc::clone(&carried),
            layers: layers.clone(),
            free_bytes: Rc::clone(&free_bytes),
            gone: Rc::clone(&gone),
            complaints: Rc::clone(&complaints),
        }
    }

    /// A new process on this node.
    pub fn process(&self, faults: &Faults) -> Host {
        self.note_enablement();
        Host::from_parts(Parts {
            root: Root::open(&self.root, faults.clone()).unwrap(),
            units: Some(Box::new(self.units.with_faults(faults.clone()))),
            engine: Box::new(self.engine.with_faults(faults.clone())),
            procs: Box::new(SimProcs { sim: self.clone(), inner: self.procs.with_faults(faults.clone()) }),
            kernel: Box::new(FakeKernel { free_bytes: self.free_bytes.get(), ..FakeKernel::new(NODE) }),
            clock: Box::new(self.clock.clone()),
            doors: Box::new(SimDoors {
                cri: self.cri.with_faults(faults.clone()),
                containerd: self.containerd.clone(),
                layers: self.layers.asked_by(Rc::new(Root::open(&self.root, faults.clone()).unwrap()), faults.clone()),
            }),
            live: true,
        })
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.root
    }

    /// A pod has left the node: kubelet has ended it, and does not make it again.
    pub fn forget_pod(&self, pod: &str) {
        self.gone.borrow_mut().push(pod.to_owned());
        let of = format!("sandbox-{pod}-");
        self.cri.change(|runtime| {
            runtime.sandboxes.retain(|sandbox| !sandbox.id.starts_with(&of));
            runtime.containers.retain(|container| !container.sandbox_id.starts_with(&of));
        });
    }

    /// What must never happen and did.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.borrow().clone()
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(at(&self.root, path)).unwrap_or_default()
    }

    fn is_up(&self, unit: &str) -> bool {
        self.units.snapshot().get(unit).is_some_and(UnitState::is_active)
    }

    /// What the daemons do after an order on a unit, each according to the files as they are now.
    fn settle(&self, verb: &str, unit: &str) {
        let mut down = false;
        self.cri.change(|runtime| {
            if !self.is_up(CONTAINERD) {
                runtime.health = Health::Down;
            }
            down = runtime.health == Health::Down;
        });
        // Started by an order, or along with Docker.
        if self.is_up(CONTAINERD) && (down || unit == CONTAINERD) {
            self.load_containerd();
        }
        self.settle_docker();
        self.settle_kubelet(unit == KUBELET && verb != "stop");
    }

    fn load_containerd(&self) {
        let config = self.text("/etc/containerd/config.toml");
        let enabled = !config.contains("disabled_plugins = [\"cri\"]");
        let systemd = config.contains("SystemdCgroup = true");
        let cri = Plugin { kind: "io.containerd.grpc.v1".into(), id: "cri".into(), ..Plugin::default() };
        self.containerd.set_plugins(Ok(if enabled { vec![cri] } else { Vec::new() }));
        self.cri.change(|runtime| {
            runtime.health = if enabled { Health::Up } else { Health::NoCri };
            let loaded = format!(
                "{{\"containerd\":{{\"defaultRuntimeName\":\"runc\",\"runtimes\":{{\"runc\":{{\"options\":{{\"SystemdCgroup\":{systemd}}}}}}}}}}}"
            );
            runtime.status.info.insert("config".to_owned(), loaded);
        });
    }

    fn settle_docker(&self) {
        let up = self.is_up(DOCKER);
        self.engine.change(|daemon| {
            // Without live-restore the containers end with the daemon.
            if !up && !daemon.down {
                daemon.containers.iter_mut().for_each(|container| "exited".clone_into(&mut container.state));
            }
            daemon.down = !up;
        });
    }

    /// kubelet reads its flags when it starts, and keeps its pods running wherever they point.
    fn settle_kubelet(&self, started: bool) {
        let Some(pid) = self.units.snapshot().get(KUBELET).filter(|state| state.is_active()).and_then(|s| s.main_pid)
        else {
            return;
        };
        if started || self.procs.clone().cmdline(pid).is_none() {
            let flags = self.text("/var/lib/kubelet/kubeadm-flags.env");
            let flags = flags.trim().trim_start_matches("KUBELET_KUBEADM_ARGS=").trim_matches('"');
            let words: Vec<&str> = ["/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml"]
                .into_iter()
                .chain(flags.split(' '))
                .collect();
            self.procs.add_process(pid, &words, Vec::new());
        }
        let words = self.procs.clone().cmdline(pid).unwrap();
        if words.iter().any(|word| word.contains("containerd.sock")) {
            self.pods_on_containerd();
        } else {
            self.pods_on_docker();
        }
    }

    fn pods_on_docker(&self) {
        // dockershim connects to the socket, and that starts Docker.
        if !self.is_up(DOCKER) && self.is_up(DOCKER_SOCKET) {
            let loaded = self.units.snapshot().get(DOCKER).is_some_and(UnitState::is_loaded);
            self.units.change(DOCKER, |state| {
                if loaded {
                    (state.active, state.sub) = ("active".to_owned(), "running".to_owned());
                    "woken by its socket".clone_into(&mut state.invocation);
                }
            });
            self.settle_docker();
        }
        if !self.is_up(DOCKER) {
            return;
        }
        let kubernetes = |container: &EngineContainer| container.is_kubernetes();
        self.engine.change(|daemon| {
            let gone = self.gone.borrow();
            let wanted =
                |c: &&mut EngineContainer| kubernetes(c) && !gone.iter().any(|pod| c.id.ends_with(pod.as_str()));
            for container in daemon.containers.iter_mut().filter(wanted) {
                "running".clone_into(&mut container.state);
            }
        });
        self.look_for_twins("kubelet started them on Docker");
    }

    fn pods_on_containerd(&self) {
        let systemd = self.text("/etc/containerd/config.toml").contains("SystemdCgroup = true");
        let now: jiff::Timestamp = self.clock.now().parse().unwrap();
        let now = i64::try_from(now.as_nanosecond()).unwrap();
        let mut up = false;
        self.cri.change(|runtime| {
            up = runtime.health == Health::Up;
            if !up {
                return;
            }
            for (number, (namespace, pod)) in PODS.iter().enumerate() {
                if self.gone.borrow().iter().any(|gone| gone == pod) {
                    continue;
                }
                let running = runtime.containers.iter().any(|c| {
                    c.state == ContainerState::Running && c.sandbox_id.starts_with(&format!("sandbox-{pod}-"))
                });
                if running {
                    continue;
                }
                let attempt = runtime.sandboxes.len();
                let (sandbox, id) = (format!("sandbox-{pod}-{attempt}"), format!("container-{pod}-{attempt}"));
                runtime.sandboxes.push(Sandbox {
                    id: sandbox.clone(),
                    name: (*pod).to_owned(),
                    namespace: (*namespace).to_owned(),
                    ready: true,
                    created_at: now,
                    ..Sandbox::default()
                });
                runtime.containers.push(Container {
                    id: id.clone(),
                    sandbox_id: sandbox,
                    name: "web".to_owned(),
                    state: ContainerState::Running,
                    ..Container::default()
                });
                let pid = 50_000 + u32::try_from(attempt * 10 + number).unwrap();
                let path = if systemd {
                    format!("/kubepods.slice/kubepods-pod{number}.slice/cri-containerd-{id}.scope")
                } else {
                    format!("/kubepods/pod{number}/{id}")
                };
                let line = CgroupLine { hierarchy: 0, controllers: Vec::new(), path };
                self.procs.add_process(pid, &["/web"], vec![line]);
                let status = ContainerStatus { pid: Some(pid), ..ContainerStatus::default() };
                runtime.container_details.insert(id, status);
            }
        });
        if up {
            self.look_for_twins("kubelet started them on containerd");
        }
    }

    /// A pod that runs on both runtimes is the worst that can happen: two etcds, two of everything.
    fn look_for_twins(&self, when: &str) {
        let live = self.live();
        for (_, pod) in PODS {
            let docker = live.get(&format!("docker container-{pod}")).is_some_and(|state| state == "running");
            if docker && live.contains_key(&format!("containerd {pod}")) {
                self.complaints.borrow_mut().push(format!("{pod} runs on Docker and on containerd: {when}"));
            }
        }
    }

    /// Enablement is what the links say at once; the loaded state only after a reload.
    fn note_enablement(&self) {
        let root = Root::open(&self.root, Faults::none()).unwrap();
        for unit in [KUBELET, DOCKER, DOCKER_SOCKET, CONTAINERD, MONITOR] {
            let state = unit_links::unit_file_state(&root, unit).unwrap();
            self.units.change(unit, |unit| unit.file_state = state);
        }
    }

    fn read_units(&self) {
        self.note_enablement();
        for unit in [KUBELET, DOCKER, DOCKER_SOCKET, CONTAINERD, MONITOR] {
            self.units.change(unit, |state| {
                state.load = if state.file_state == "masked" { "masked".into() } else { "loaded".into() };
                state.fragment = Some(if state.file_state == "masked" {
                    format!("/etc/systemd/system/{unit}")
                } else {
                    format!("/usr/lib/systemd/system/{unit}")
                });
            });
        }
    }

    /// All processes end and the machine comes back.
    pub fn power_cut(&self) {
        self.lose_power();
        self.boot(|| ());
    }

    /// All processes end.
    pub fn lose_power(&self) {
        let _ = self.units.with_faults(Faults::none());
        for unit in [TIMER, KUBELET, MONITOR, DOCKER, DOCKER_SOCKET, CONTAINERD] {
            self.units.change(unit, |state| {
                (state.active, state.sub, state.main_pid) = ("inactive".into(), "dead".into(), None);
            });
        }
        self.settle_docker();
        self.cri.change(|runtime| {
            runtime.health = Health::Down;
            runtime.sandboxes.iter_mut().for_each(|sandbox| sandbox.ready = false);
            runtime.containers.iter_mut().for_each(|container| container.state = ContainerState::Exited);
        });
    }

    /// systemd reads its files and starts what they say is enabled, kubelet last; `early` runs before that.
    pub fn boot(&self, early: impl FnOnce()) {
        self.boot_unless(|| {
            early();
            false
        });
    }

    /// The same, unless `early` says that the power is gone again.
    pub fn boot_unless(&self, early: impl FnOnce() -> bool) {
        self.read_units();
        let enabled = |unit: &&str| self.units.snapshot()[*unit].file_state == "enabled";
        let wanted: Vec<&str> =
            [CONTAINERD, DOCKER_SOCKET, DOCKER, MONITOR, KUBELET].into_iter().filter(enabled).collect();
        if early() {
            return;
        }
        let _ = self.units.with_faults(Faults::none());
        for unit in wanted {
            // A unit that is bound to a masked one fails.
            if unit != MONITOR || self.units.snapshot()[DOCKER].is_loaded() {
                self.units.start(unit, Duration::ZERO).unwrap();
            }
        }
        if at(&self.root, &format!("/etc/systemd/system/multi-user.target.wants/{TIMER}")).is_symlink() {
            self.units.start(TIMER, Duration::ZERO).unwrap();
        }
    }

    /// Units, containers and pods.
    pub fn live(&self) -> Live {
        self.note_enablement();
        let mut live: Live = BTreeMap::new();
        for (name, state) in self.units.snapshot() {
            live.insert(format!("unit {name}"), format!("{} {} {}", state.active, state.load, state.file_state));
        }
        self.engine.change(|daemon| {
            for container in &daemon.containers {
                live.insert(format!("docker {}", container.id), container.state.clone());
            }
        });
        self.cri.change(|runtime| {
            for sandbox in &runtime.sandboxes {
                let running = runtime
                    .containers
                    .iter()
                    .any(|c| c.sandbox_id == sandbox.id && c.state == ContainerState::Running && sandbox.ready);
                if running {
                    live.insert(format!("containerd {}", sandbox.name), "running".to_owned());
                }
            }
        });
        live
    }
}
