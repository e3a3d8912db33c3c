use super::*;
use crate::{
    host::{
        ContainerStatus, Containerd, Cri, Doors, FakeClock, FakeCri, FakeEngine, FakeKernel, FakeProcs, Faults, Host,
        Parts, Root,
    },
    model::{Desired, Facts, Goal, HandlerFacts, Origin, Profile, Sourced},
};
use std::sync::atomic::AtomicBool;

const POD: &str = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab.slice";

#[test]
fn only_a_scope_below_kubepods_is_right() {
    // As runc has it; crun; systemd in a pod; dockerd in a pod.
    for below in ["", "/container", "/init.scope", "/init"] {
        assert!(is_systemd_path(&format!("{POD}/cri-containerd-c1.scope{below}"), "c1"), "{below}");
    }
    for right in [
        // `cgroupRoot: /kube`.
        "/kube.slice/kube-kubepods.slice/kube-kubepods-besteffort.slice/cri-containerd-c1.scope",
        // A node in a container.
        "/system.slice/docker-ab.scope/kubepods.slice/kubepods-podab.slice/cri-containerd-c1.scope",
    ] {
        assert!(is_systemd_path(right, "c1"), "{right}");
    }
    for wrong in [
        "/kubepods/besteffort/podab/c1",
        "/system.slice/containerd.service/kubepods-besteffort-podab.slice:cri-containerd:c1",
        "/kubepods.slice/kubepods-besteffort.slice/docker-c1.scope",
        "/system.slice/cri-containerd-c1.scope",
        "/system.slice/cri-containerd-c1.scope/kubepods.slice",
        "/notkubepods.slice/cri-containerd-c1.scope",
        "/kubepods.slice/cri-containerd-c2.scope",
    ] {
        assert!(!is_systemd_path(wrong, "c1"), "{wrong}");
    }
}

fn line(hierarchy: u32, controllers: &[&str], path: &str) -> CgroupLine {
    CgroupLine { hierarchy, controllers: controllers.iter().map(|c| (*c).to_owned()).collect(), path: path.to_owned() }
}

#[test]
fn the_memory_controller_decides_on_v1() {
    let lines = [line(4, &["cpu"], "/a"), line(3, &["memory"], "/b"), line(0, &[], "/c")];
    assert_eq!(deciding(&lines, false), Some("/b"));
    assert_eq!(deciding(&lines, true), Some("/c"));
    assert_eq!(deciding(&[], true), None);
}

#[derive(Debug)]
struct OneDoor(FakeCri);

impl Doors for OneDoor {
    fn cri(&self, _: &str) -> Result<Box<dyn Cri>> {
        Ok(Box::new(self.0.clone()))
    }

    fn containerd(&self, endpoint: &str) -> Result<Box<dyn Containerd>> {
        anyhow::bail!("nobody is at {endpoint}")
    }
}

/// Containers that CRI says run, with the process it knows of each; of `None` it knows nothing any more.
fn judged(containers: &[(&str, Option<u32>)], processes: &[(u32, &str)]) -> Result<Verdict> {
    judged_with(containers, processes, &[], "")
}

/// The same where pods of some names, which are their containers', have a handler each, and where others have the default
/// one.
fn judged_with(
    containers: &[(&str, Option<u32>)],
    processes: &[(u32, &str)],
    classes: &[(&str, &str)],
    default: &str,
) -> Result<Verdict> {
    let (cri, procs) =
        (FakeCri::new("/run/containerd/containerd.sock", Faults::none()), FakeProcs::new(Faults::none()));
    cri.change(|runtime| {
        for (id, pid) in containers {
            let id = (*id).to_owned();
            let handler = classes.iter().find(|(pod, _)| *pod == id).map_or("", |(_, handler)| *handler);
            let (pod, runtime_handler) = (format!("pod-{id}"), handler.to_owned());
            runtime.sandboxes.push(Sandbox { id: pod.clone(), runtime_handler, ready: true, ..Sandbox::default() });
            let state = ContainerState::Running;
            let container =
                Container { id: id.clone(), name: id.clone(), sandbox_id: pod, state, ..Container::default() };
            runtime.containers.push(container);
            if pid.is_some() {
                runtime.container_details.insert(id, ContainerStatus { pid: *pid, ..ContainerStatus::default() });
            }
        }
    });
    for (pid, path) in processes {
        procs.add_process(*pid, &["/app"], vec![line(0, &[], path)]);
    }
    let dir = tempfile::tempdir().unwrap();
    let host = Host::from_parts(Parts {
        root: Root::open(dir.path(), Faults::none()).unwrap(),
        units: None,
        engine: Box::new(FakeEngine::new("unix:///run/docker.sock", Faults::none())),
        procs: Box::new(procs),
        kernel: Box::new(FakeKernel::new("n1")),
        clock: Box::new(FakeClock::new()),
        doors: Box::new(OneDoor(cri)),
        live: true,
    });
    let mut facts = Facts::empty(true);
    facts.cgroup.mode = Some(Sourced::new(CgroupMode::Unified, Origin::kernel("/sys/fs/cgroup")));
    let origin = || Origin::path("/etc/containerd/config.toml");
    let handler = |(name, shim): (&str, &str)| HandlerFacts {
        name: name.to_owned(),
        origin: origin(),
        runtime_type: Some(Sourced::new(shim.to_owned(), origin())),
        binary_name: None,
        systemd_cgroup: None,
        snapshotter: None,
    };
    let shims = [
        ("kata", "io.containerd.kata.v2"),
        ("nvidia", "io.containerd.runc.v2"),
        ("runc", "io.containerd.runc.v2"),
        ("runsc", "io.containerd.runsc.v1"),
    ];
    facts.containerd.handlers = shims.map(handler).into();
    facts.containerd.default_runtime = (!default.is_empty()).then(|| Sourced::new(default.to_owned(), origin()));
    let desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap();
    cgroup(&Look { host: &host, facts: &facts, desired: &desired, interrupt: &AtomicBool::new(false) })
}

#[test]
fn containers_that_end_meanwhile_are_left_out() {
    let right = format!("{POD}/cri-containerd-c1.scope");
    // c2 was removed, the process of c3 has ended.
    let found = judged(&[("c2", None), ("c3", Some(3)), ("c1", Some(1))], &[(1, &right)]);
    assert!(matches!(&found, Ok(Verdict::Pass(what)) if what.starts_with("1 containers")));
    assert!(matches!(judged(&[("c3", Some(3))], &[]), Ok(Verdict::Skip(_))));
    let wrong = judged(&[("c1", Some(1)), ("c2", Some(2))], &[(1, &right), (2, "/kubepods/podab/c2")]);
    assert!(wrong.is_err_and(|error| error.to_string().contains("c2 runs in /kubepods/podab/c2")));
}

#[test]
fn containers_behind_other_shims_are_left_out() {
    let (right, vm) = (format!("{POD}/cri-containerd-c1.scope"), "/kata_overhead/ab");
    let containers = [("c1", Some(1)), ("c2", Some(2)), ("c3", Some(3))];
    let processes = [(1, right.as_str()), (2, vm), (3, "/kubepods.slice/kubepods-podab.slice/cri-containerd-s3.scope")];
    let handled = [("c1", "nvidia"), ("c2", "kata"), ("c3", "runsc")];
    let found = judged_with(&containers, &processes, &handled, "");
    assert!(
        matches!(&found, Ok(Verdict::Pass(what)) if what.starts_with("1 containers") && what.contains("; 2 behind"))
    );
    assert!(matches!(judged_with(&[("c2", Some(2))], &processes, &[], "kata"), Ok(Verdict::Skip(_))));
    assert!(judged_with(&containers, &processes, &[("c1", "kata"), ("c2", "runsc"), ("c3", "nvidia")], "").is_err());
    assert!(judged_with(&[("c2", Some(2))], &processes, &[], "").is_err(), "the default is runc's");
}
