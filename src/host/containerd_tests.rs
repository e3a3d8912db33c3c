use super::*;
use crate::host::grpc::tests::{Reply, Scripted};

/// A length-delimited field, made by hand.
fn bytes(tag: u8, value: &[u8]) -> Vec<u8> {
    [&[tag << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

fn client(server: &Scripted) -> GrpcContainerd {
    GrpcContainerd::new(Aio::new().unwrap(), &server.socket()).unwrap()
}

#[test]
fn the_version_is_read() {
    let server = Scripted::new(vec![Reply::Message([bytes(1, b"v2.1.4"), bytes(2, b"abc")].concat())]);
    let version = client(&server).version().unwrap();
    assert_eq!((version.version.as_str(), version.revision.as_str()), ("v2.1.4", "abc"));
}

#[test]
fn plugins_tell_why_they_failed() {
    let status = [vec![1 << 3, 2], bytes(2, b"invalid plugin config")].concat();
    let exports = [bytes(1, b"root"), bytes(2, b"/var/lib/x")].concat();
    let failed = [
        bytes(1, b"io.containerd.grpc.v1"),
        bytes(2, b"cri"),
        bytes(3, b"io.containerd.service.v1"),
        bytes(4, b"\x0a\x05linux"),
        bytes(5, &exports),
        bytes(6, b"cap"),
        bytes(7, &status),
    ]
    .concat();
    let fine = [bytes(1, b"io.containerd.snapshotter.v1"), bytes(2, b"overlayfs")].concat();
    let mute = [bytes(2, b"x"), bytes(7, &[1 << 3, 9])].concat();
    let reply = [bytes(1, &failed), bytes(1, &fine), bytes(1, &mute)].concat();
    let server = Scripted::new(vec![Reply::Message(reply)]);
    let plugins = client(&server).plugins().unwrap();
    assert_eq!(plugins[0].uri(), "io.containerd.grpc.v1.cri");
    assert_eq!(plugins[0].init_error.as_deref(), Some("invalid plugin config"));
    assert_eq!(plugins[0].exports["root"], "/var/lib/x");
    assert_eq!((plugins[1].uri().as_str(), &plugins[1].init_error), ("io.containerd.snapshotter.v1.overlayfs", &None));
    assert_eq!(plugins[2].init_error.as_deref(), Some("gRPC code 9"));
    assert!(client(&Scripted::new(vec![Reply::Status(12, "unknown service")])).plugins().is_err());
}

#[test]
fn the_fake_answers_what_it_is_told() {
    let fake = FakeContainerd::new("1.7.24");
    assert_eq!(fake.version().unwrap().version, "1.7.24");
    fake.set_plugins(Err("gone".into()));
    fake.set_version(Err("gone".into()));
    assert!(fake.plugins().is_err() && fake.version().is_err());
}
