use super::*;
use crate::host::grpc::tests::{Reply, Scripted};
use prost::Message;

const UNKNOWN: Reply = Reply::Status(12, "unknown service runtime.v1.RuntimeService");

fn cri(server: &Scripted) -> GrpcCri {
    GrpcCri::new(Aio::new().unwrap(), &server.socket(), Faults::none()).unwrap().with_limit(Duration::from_secs(5))
}

fn message(message: &impl Message) -> Reply {
    Reply::Message(message.encode_to_vec())
}

fn version() -> Reply {
    message(&m::VersionResponse { runtime_name: "containerd".into(), ..Default::default() })
}

#[test]
fn the_older_interface_is_found_when_the_newer_is_not_served() {
    let server = Scripted::new(vec![UNKNOWN, version(), version()]);
    let cri = cri(&server);
    assert_eq!(cri.api().unwrap(), CriApi::V1Alpha2);
    assert_eq!(cri.version().unwrap().runtime_name, "containerd");
    let asked: Vec<_> =
        server.requests().into_iter().map(|r| m::VersionRequest::decode(&*r).unwrap().version).collect();
    assert_eq!(asked, ["v1", "v1alpha2", ""]);
}

#[test]
fn a_daemon_without_cri_says_so() {
    let server = Scripted::new(vec![UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]);
    let cri = cri(&server);
    let error = cri.version().unwrap_err();
    assert!(matches!(DaemonError::of(&error), Some(DaemonError::Unimplemented { .. })), "{error:#}");
    assert!(error.to_string().contains("its CRI plugin is disabled or failed to load"), "{error:#}");
    assert!(cri.cgroup_driver().is_err(), "no CRI is more than no answer");
}

#[test]
fn a_daemon_replaced_by_a_newer_one_is_asked_again() {
    // v1alpha2 at first, then containerd 2, which serves v1 only.
    let server = Scripted::new(vec![UNKNOWN, version(), UNKNOWN, version(), version()]);
    let cri = cri(&server);
    cri.api().unwrap();
    assert_eq!(cri.version().unwrap().runtime_name, "containerd");
    assert_eq!(cri.api.get(), Some(CriApi::V1));
}

#[test]
fn an_old_runtime_does_not_know_its_cgroup_driver() {
    let unknown_method = Reply::Status(12, "unknown method RuntimeConfig for service runtime.v1.RuntimeService");
    let linux = Some(m::LinuxRuntimeConfiguration { cgroup_driver: 1 });
    let server = Scripted::new(vec![
        version(),
        unknown_method,
        message(&m::RuntimeConfigResponse { linux }),
        Reply::Message(Vec::new()),
    ]);
    let cri = cri(&server);
    assert_eq!(cri.cgroup_driver().unwrap(), None);
    assert_eq!(cri.cgroup_driver().unwrap(), Some(CriCgroupDriver::Cgroupfs));
    assert_eq!(cri.cgroup_driver().unwrap(), None, "an empty answer is not systemd");
}

#[test]
fn what_is_gone_is_stopped() {
    let server = Scripted::new(vec![version(), Reply::Status(5, "not found"), Reply::Status(2, "device busy")]);
    let cri = cri(&server);
    cri.stop_sandbox("x").unwrap();
    let error = cri.remove_sandbox("x").unwrap_err();
    assert!(error.to_string().ends_with("RemovePodSandbox with Unknown: device busy"), "{error:#}");
}

#[test]
fn a_fault_comes_before_the_order() {
    let server = Scripted::new(vec![]);
    let cri = GrpcCri::new(Aio::new().unwrap(), &server.socket(), Faults::nth(1)).unwrap();
    assert!(cri.remove_container("x").unwrap_err().to_string().contains("scripted"));
    assert!(server.requests().is_empty());
}

#[test]
fn verbose_answers_give_pid_and_cgroup() {
    let json = r#"{"pid":4711,"runtimeSpec":{"linux":{"cgroupsPath":"kubepods.slice:cri-containerd:abc"}}}"#;
    let info = m::Map::from([("info".to_owned(), json.to_owned())]);
    let status = m::ContainerStatus { state: 1, ..Default::default() };
    let network = m::PodSandboxNetworkStatus { ip: "10.0.0.7".into(), additional_ips: Vec::new() };
    let sandbox = m::PodSandboxStatus { network: Some(network), ..Default::default() };
    let server = Scripted::new(vec![
        version(),
        message(&m::ContainerStatusResponse { status: Some(status), info: info.clone() }),
        message(&m::PodSandboxStatusResponse { status: Some(sandbox), info }),
        Reply::Message(Vec::new()),
    ]);
    let cri = cri(&server);
    let container = cri.container_status_verbose("c").unwrap();
    assert_eq!((container.state, container.pid), (ContainerState::Running, Some(4711)));
    assert_eq!(container.cgroups_path.as_deref(), Some("kubepods.slice:cri-containerd:abc"));
    let sandbox = cri.sandbox_status_verbose("s").unwrap();
    assert!(sandbox.ready && sandbox.ips == ["10.0.0.7"] && sandbox.pid == Some(4711));
    assert!(cri.container_status_verbose("c").unwrap_err().to_string().contains("says nothing about container c"));
}

#[test]
fn strange_info_is_no_error() {
    for text in
        ["", "no json", "[]", r#"{"pid":-1}"#, r#"{"pid":0}"#, r#"{"pid":99999999999}"#, r#"{"runtimeSpec":null}"#]
    {
        let info = verbose_info(&m::Map::from([("info".to_owned(), text.to_owned())]));
        assert_eq!((pid(&info), cgroups_path(&info)), (None, None), "{text}");
    }
    assert_eq!(state(99), ContainerState::Unknown);
    assert_eq!(status(m::StatusResponse::default()), CriStatus::default());
}

#[test]
fn lists_are_read() {
    let metadata = Some(m::PodSandboxMetadata { name: "web".into(), namespace: "shop".into(), ..Default::default() });
    let sandboxes =
        vec![m::PodSandbox { metadata, ..Default::default() }, m::PodSandbox { state: 1, ..Default::default() }];
    let containers = vec![m::Container { id: "c".into(), state: 2, ..Default::default() }];
    let images = vec![m::Image { id: "i".into(), repo_tags: vec!["a:1".into()], ..Default::default() }];
    let server = Scripted::new(vec![
        version(),
        message(&m::ListPodSandboxResponse { items: sandboxes }),
        message(&m::ListContainersResponse { containers }),
        message(&m::ListImagesResponse { images }),
        Reply::Message(Vec::new()),
        Reply::Status(5, "no such image"),
    ]);
    let cri = cri(&server);
    let sandboxes = cri.sandboxes().unwrap();
    assert_eq!((sandboxes[0].namespace.as_str(), sandboxes[0].ready, sandboxes[1].ready), ("shop", true, false));
    assert_eq!(cri.containers().unwrap()[0].state, ContainerState::Exited);
    assert_eq!(cri.images().unwrap()[0].tags, ["a:1"]);
    assert_eq!(cri.image_status("b:1").unwrap(), None);
    assert_eq!(cri.image_status("b:1").unwrap(), None, "an error of cri-dockerd");
}
