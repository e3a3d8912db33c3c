//! Bytes made by hand from the published tags, decoded with our definitions, and the reverse for requests.

use super::*;
use prost::Message;

/// A length-delimited field.
fn b(tag: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let mut out = key(tag, 2);
    out.push(u8::try_from(value.len()).unwrap());
    out.extend_from_slice(value);
    out
}

/// A number below 128.
fn n(tag: u8, value: u8) -> Vec<u8> {
    let mut out = key(tag, 0);
    out.push(value);
    out
}

/// Tags from 16 on need two bytes.
fn key(tag: u8, kind: u8) -> Vec<u8> {
    let key = u16::from(tag) << 3 | u16::from(kind);
    let low = u8::try_from(key & 0x7f).unwrap();
    if key < 128 { vec![low] } else { vec![low | 0x80, u8::try_from(key >> 7).unwrap()] }
}

fn entry(tag: u8, k: &str, v: &str) -> Vec<u8> {
    b(tag, [b(1, k), b(2, v)].concat())
}

fn read<M: Message + Default>(parts: &[Vec<u8>]) -> M {
    M::decode(parts.concat().as_slice()).unwrap()
}

fn map(k: &str, v: &str) -> Map {
    Map::from([(k.to_owned(), v.to_owned())])
}

#[test]
fn version() {
    let m: VersionResponse = read(&[b(1, "0.1.0"), b(2, "containerd"), b(3, "1.7.24"), b(4, "v1")]);
    assert_eq!((&*m.runtime_name, &*m.runtime_version, &*m.runtime_api_version), ("containerd", "1.7.24", "v1"));
    assert_eq!(VersionRequest { version: "v1".into() }.encode_to_vec(), b(1, "v1"));
}

#[test]
fn status() {
    let condition = [b(1, "NetworkReady"), n(2, 1), b(3, "Why"), b(4, "words")].concat();
    let m: StatusResponse = read(&[b(1, b(1, condition)), entry(2, "config", "{}"), b(3, b(1, "runc"))]);
    let c = &m.status.unwrap().conditions[0];
    assert_eq!((&*c.kind, c.status, &*c.reason, &*c.message), ("NetworkReady", true, "Why", "words"));
    assert_eq!(m.info, map("config", "{}"));
    assert_eq!(StatusRequest { verbose: true }.encode_to_vec(), n(1, 1));
}

#[test]
fn runtime_config() {
    assert_eq!(read::<RuntimeConfigResponse>(&[b(1, n(1, 1))]).linux.unwrap().cgroup_driver, 1);
    assert_eq!(read::<RuntimeConfigResponse>(&[b(1, "")]).linux.unwrap().cgroup_driver, 0);
    assert!(read::<RuntimeConfigResponse>(&[]).linux.is_none());
    assert!(RuntimeConfigRequest {}.encode_to_vec().is_empty());
}

#[test]
fn sandboxes() {
    let metadata = [b(1, "web"), b(2, "uid"), b(3, "default"), n(4, 2)].concat();
    let item = [
        b(1, "id"),
        b(2, metadata),
        n(3, 1),
        n(4, 99),
        entry(5, "app", "web"),
        entry(6, "annotation", "x"),
        b(7, "nvidia"),
    ];
    let m: ListPodSandboxResponse = read(&[b(1, item.concat())]);
    let s = &m.items[0];
    let metadata = s.metadata.as_ref().unwrap();
    assert_eq!((&*metadata.name, &*metadata.uid, &*metadata.namespace, metadata.attempt), ("web", "uid", "default", 2));
    assert_eq!((&*s.id, s.state, s.created_at, &*s.runtime_handler), ("id", 1, 99, "nvidia"));
    assert_eq!(s.labels, map("app", "web"));
    assert!(ListRequest {}.encode_to_vec().is_empty());
    assert_eq!(IdRequest { id: "x".into() }.encode_to_vec(), b(1, "x"));
}

#[test]
fn sandbox_status() {
    let network = [b(1, "10.0.0.1"), b(2, b(1, "fd00::1"))].concat();
    let status = [b(1, "id"), b(2, b(1, "web")), n(3, 1), n(4, 9), b(5, network), entry(7, "a", "b"), b(9, "kata")];
    let m: PodSandboxStatusResponse = read(&[b(1, status.concat()), entry(2, "info", "{}"), n(4, 7)]);
    let s = m.status.unwrap();
    let network = s.network.unwrap();
    assert_eq!((&*s.id, s.state, &*s.runtime_handler), ("id", 1, "kata"));
    assert_eq!((&*network.ip, &*network.additional_ips[0].ip), ("10.0.0.1", "fd00::1"));
    assert_eq!(m.info, map("info", "{}"));
    assert_eq!(IdStatusRequest { id: "x".into(), verbose: true }.encode_to_vec(), [b(1, "x"), n(2, 1)].concat());
}

#[test]
fn containers() {
    let item = [
        b(1, "id"),
        b(2, "sandbox"),
        b(3, [b(1, "app"), n(2, 4)].concat()),
        b(4, [b(1, "busybox:1"), b(18, "asked")].concat()),
        b(5, "sha256:1"),
        n(6, 2),
        n(7, 5),
        entry(8, "l", "v"),
        entry(9, "annotation", "x"),
        b(10, "image id"),
    ];
    let m: ListContainersResponse = read(&[b(1, item.concat())]);
    let c = &m.containers[0];
    let metadata = c.metadata.as_ref().unwrap();
    assert_eq!((&*c.id, &*c.pod_sandbox_id, &*c.image_ref, c.state), ("id", "sandbox", "sha256:1", 2));
    assert_eq!((&*metadata.name, metadata.attempt, c.created_at), ("app", 4, 5));
    assert_eq!((&*c.image.as_ref().unwrap().image, &c.labels), ("busybox:1", &map("l", "v")));
    let stop = StopContainerRequest { container_id: "x".into(), timeout: 30 };
    assert_eq!(stop.encode_to_vec(), [b(1, "x"), n(2, 30)].concat());
}

#[test]
fn container_status() {
    let status = [
        b(1, "id"),
        n(3, 2),
        n(4, 1),
        n(5, 2),
        n(6, 3),
        n(7, 137 - 100),
        b(8, b(1, "image")),
        b(9, "ref"),
        b(10, "OOMKilled"),
        b(11, "out of memory"),
        entry(12, "l", "v"),
        entry(13, "a", "v"),
        b(15, "/var/log/pods/x"),
        b(17, "image id"),
    ];
    let m: ContainerStatusResponse = read(&[b(1, status.concat()), entry(2, "info", "{}")]);
    let s = m.status.unwrap();
    assert_eq!((&*s.id, s.state, s.exit_code), ("id", 2, 37));
    assert_eq!((&*s.reason, &*s.message, &*s.log_path), ("OOMKilled", "out of memory", "/var/log/pods/x"));
    assert_eq!(m.info, map("info", "{}"));
}

#[test]
fn images() {
    let image = [b(1, "id"), b(2, "a:1"), b(2, "a:2"), b(3, "a@sha256:1"), n(4, 77), b(5, n(1, 3)), b(6, "u"), n(8, 1)];
    let m: ListImagesResponse = read(&[b(1, image.concat())]);
    let i = &m.images[0];
    assert_eq!((&*i.id, i.size, i.pinned), ("id", 77, true));
    assert_eq!((i.repo_tags.join(" "), i.repo_digests.join(" ")), ("a:1 a:2".into(), "a@sha256:1".into()));
    assert_eq!(read::<ImageStatusResponse>(&[b(1, image.concat()), entry(2, "info", "x")]).image.unwrap(), *i);
    assert!(read::<ImageStatusResponse>(&[]).image.is_none());
    let request = ImageStatusRequest { image: Some(ImageSpec { image: "a:1".into() }) };
    assert_eq!(request.encode_to_vec(), b(1, b(1, "a:1")));
}

#[test]
fn garbage_is_an_error_not_a_panic() {
    for bytes in [&[0x0a_u8, 0xff][..], &[0xff; 12], &[0x0b], &[0x0a, 0x02, 0xff, 0xff]] {
        assert!(StatusResponse::decode(bytes).is_err(), "{bytes:?}");
    }
}
