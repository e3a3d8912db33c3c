use super::*;
use serde_json::json;

#[test]
fn containers_are_read_with_everything_null() {
    let body = json!([
        {"Id": "a1", "Names": ["/k8s_app_web_shop_uid_0"], "Image": "nginx:1", "ImageID": "sha256:1", "State": "running",
         "Labels": {"io.kubernetes.pod.uid": "uid"}, "Mounts": [], "Status": "Up 2 hours"},
        {"Id": "b2", "Names": null, "Image": null, "Labels": null, "State": "exited"},
    ]);
    let list = parse_containers(body.to_string().as_bytes()).unwrap();
    assert_eq!(list[0].names, ["k8s_app_web_shop_uid_0"]);
    assert!(list[0].is_kubernetes() && list[0].is_alive());
    assert_eq!(list[1], EngineContainer { id: "b2".into(), state: "exited".into(), ..EngineContainer::default() });
    assert!(!list[1].is_kubernetes() && !list[1].is_alive());
    assert!(parse_containers(b"null").unwrap().is_empty());
    assert!(parse_containers(b"<html>").is_err());
    assert!(parse_containers(br#"{"message":"x"}"#).is_err());
}

#[test]
fn dangling_images_have_no_names() {
    let body = json!([
        {"Id": "sha256:1", "RepoTags": ["a:1", "b:2"], "RepoDigests": ["a@sha256:9"], "Size": 5},
        {"Id": "sha256:2", "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"], "Size": -1},
        {"Id": "sha256:3", "RepoTags": null, "RepoDigests": null},
    ]);
    let list = parse_images(body.to_string().as_bytes()).unwrap();
    assert_eq!((list[0].repo_tags.len(), list[0].size), (2, 5));
    assert!(list[1].repo_tags.is_empty() && list[1].repo_digests.is_empty() && list[1].size == 0);
    assert!(list[2].repo_tags.is_empty());
}

#[test]
fn the_version_names_its_parts_and_survives_our_own_output() {
    let body = json!({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64",
        "Components": [{"Name": "Engine", "Version": "20.10.24", "Details": {}}, {"Name": "containerd", "Version": "1.6.20"}]});
    let version = parse_version(body.to_string().as_bytes()).unwrap();
    assert_eq!((version.version.as_str(), version.components["containerd"].as_str()), ("20.10.24", "1.6.20"));
    let again = parse_version(&serde_json::to_vec(&version).unwrap()).unwrap();
    assert_eq!(again, version);
    assert_eq!(parse_version(br#"{"Version":"17.03"}"#).unwrap().version, "17.03");
}

#[test]
fn pid_of_a_container() {
    assert_eq!(container_pid(&json!({"State": {"Pid": 42}})), Some(42));
    for other in [json!({"State": {"Pid": 0}}), json!({"State": null}), json!(null), json!({"State": {"Pid": -1}})] {
        assert_eq!(container_pid(&other), None);
    }
}

#[test]
fn the_fake_keeps_state() {
    let fake = FakeEngine::new("/run/docker.sock", crate::host::Faults::none());
    let container = |id: &str| EngineContainer { id: id.into(), state: "running".into(), ..EngineContainer::default() };
    fake.change(|daemon| {
        daemon.containers = vec![container("a"), container("b")];
        daemon.unstoppable = vec!["b".into()];
        daemon.images = vec![EngineImage { repo_tags: vec!["x:1".into()], ..EngineImage::default() }];
    });
    let ids = [("a".to_owned(), Duration::ZERO), ("b".to_owned(), Duration::ZERO)];
    let results = fake.stop_all(&ids);
    assert!(results[0].1.is_ok() && results[1].1.is_err());
    assert_eq!(fake.containers(false).unwrap().len(), 1);
    let mut sink = Vec::new();
    assert_eq!(fake.save(&["x:1".into()], &mut sink).unwrap(), 3);
    assert!(fake.save(&["y:1".into()], &mut sink).is_err());
    assert_eq!(fake.calls(), ["stop a", "stop b", "save x:1"]);
    fake.change(|daemon| daemon.down = true);
    assert!(fake.info().is_err() && fake.stop("a", Duration::ZERO).is_err());
}
