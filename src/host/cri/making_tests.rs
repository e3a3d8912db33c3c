//! Requests as bytes made by hand from the published tags.

use super::*;
use crate::host::{MountSpec, Security};
use prost::Message as _;

/// A length-delimited field with a tag below 16.
fn b(tag: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [&[tag << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

/// A number below 128.
fn n(tag: u8, value: u8) -> Vec<u8> {
    vec![tag << 3, value]
}

fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn a_pod_as_bytes() {
    let pod = PodSpec {
        name: "p".into(),
        namespace: "n".into(),
        uid: "u".into(),
        handler: "h".into(),
        hostname: "host".into(),
        log_dir: "/log".into(),
        cgroup_parent: "castoff.slice".into(),
        network: Share::Node,
        pid: Share::Container,
        nameservers: vec!["1.2.3.4".into()],
        searches: vec!["x".into()],
        ports: vec![(80, 90)],
        sysctls: m::Map::from([("a".into(), "1".into())]),
        users: Some((Share::Target, vec![(7, 0, 9)])),
        privileged: true,
        ..PodSpec::default()
    };
    let range = || joined(&[n(1, 7), n(3, 9)]);
    let users = joined(&[n(1, 3), b(2, range()), b(3, range())]);
    let security = [b(1, joined(&[n(1, 2), n(2, 1), b(5, users)])), n(6, 1)].concat();
    let linux = joined(&[b(1, "castoff.slice"), b(2, security), b(3, joined(&[b(1, "a"), b(2, "1")]))]);
    let config = joined(&[
        b(1, joined(&[b(1, "p"), b(2, "u"), b(3, "n")])),
        b(2, "host"),
        b(3, "/log"),
        b(4, joined(&[b(1, "1.2.3.4"), b(2, "x")])),
        b(5, joined(&[n(2, 80), n(3, 90)])),
        b(8, linux),
    ]);
    assert_eq!(run_request(&pod).encode_to_vec(), joined(&[b(1, config), b(2, "h")]));
}

#[test]
fn a_container_as_bytes() {
    let security = Security {
        privileged: true,
        user: Some(0),
        group: Some(7),
        user_name: "me".into(),
        groups: vec![5, 6],
        add: vec!["A".into()],
        drop: vec!["B".into()],
        no_new_privs: true,
        read_only_root: true,
        strict_groups: true,
        seccomp: Seccomp::Localhost("/f".into()),
        apparmor: "a".into(),
        apparmor_word: "w".into(),
        masked: vec!["/m".into()],
        read_only: vec!["/r".into()],
    };
    let mount = MountSpec {
        host: "/h".into(),
        container: "/c".into(),
        read_only: true,
        propagation: Propagation::Bidirectional,
        recursive_read_only: true,
        image: "img".into(),
        sub_path: "sub".into(),
    };
    let container = ContainerSpec {
        name: "c".into(),
        image: "i".into(),
        command: vec!["/probe".into()],
        working_dir: "/w".into(),
        env: vec![("K".into(), "V".into())],
        mounts: vec![mount],
        devices: vec![("/dev/a".into(), "/dev/b".into(), "rwm".into())],
        log: "l".into(),
        stdin: true,
        stdin_once: true,
        tty: true,
        memory: 99,
        cpu_shares: 2,
        cpu_quota: 3,
        security,
        ..ContainerSpec::default()
    };
    let context = joined(&[
        b(1, joined(&[b(1, "A"), b(2, "B")])),
        n(2, 1),
        // A pod's own namespaces are all zeros.
        b(3, ""),
        // User 0 is said, not left out.
        b(5, ""),
        b(6, "me"),
        n(7, 1),
        b(8, [5, 6]),
        b(9, "localhost/w"),
        b(10, "localhost//f"),
        n(11, 1),
        b(12, n(1, 7)),
        b(13, "/m"),
        b(14, "/r"),
        b(15, joined(&[n(1, 2), b(2, "/f")])),
        [&[0x82, 0x01, 5][..], &joined(&[n(1, 2), b(2, "a")])].concat(),
        vec![0x88, 0x01, 1],
    ]);
    // 100000 as a number of several bytes.
    let period = [&[1 << 3][..], &[0xa0, 0x8d, 0x06]].concat();
    let resources = joined(&[period, n(2, 3), n(3, 2), n(4, 99)]);
    let expected = joined(&[
        b(1, b(1, "c")),
        b(2, b(1, "i")),
        b(3, "/probe"),
        b(5, "/w"),
        b(6, joined(&[b(1, "K"), b(2, "V")])),
        b(7, joined(&[b(1, "/c"), b(2, "/h"), n(3, 1), n(5, 2), n(8, 1), b(9, b(1, "img")), b(10, "sub")])),
        b(8, joined(&[b(1, "/dev/b"), b(2, "/dev/a"), b(3, "rwm")])),
        b(11, "l"),
        n(12, 1),
        n(13, 1),
        n(14, 1),
        b(15, joined(&[b(1, resources), b(2, context)])),
    ]);
    assert_eq!(container_config(&PodSpec::default(), &container).encode_to_vec(), expected);
}

#[test]
fn streams_as_bytes() {
    let plain = exec_request("c", &["/probe", "cat"], false, false).encode_to_vec();
    assert_eq!(plain, joined(&[b(1, "c"), b(2, "/probe"), b(2, "cat"), n(5, 1), n(6, 1)]));
    // No runtime takes an order for a terminal with a standard error of its own.
    let terminal = exec_request("c", &["/probe"], true, true).encode_to_vec();
    assert_eq!(terminal, joined(&[b(1, "c"), b(2, "/probe"), n(3, 1), n(4, 1), n(5, 1)]));
    assert_eq!(attach_request("c").encode_to_vec(), joined(&[b(1, "c"), n(2, 1), n(4, 1), n(5, 1)]));
    assert_eq!(forward_request("s", 80).encode_to_vec(), joined(&[b(1, "s"), b(2, [80])]));
    assert_eq!(url(UrlResponse { url: "http://x".into() }, "Exec").unwrap(), "http://x");
    assert_eq!(url(UrlResponse::default(), "Exec").unwrap_err().to_string(), "Exec answered without a URL");
}

#[test]
fn profiles_in_the_old_words_and_the_new() {
    let of = |profile: &Seccomp| {
        let (new, old) = seccomp(profile);
        (new.map(|new| (new.profile_type, new.localhost_ref)), old)
    };
    assert_eq!(of(&Seccomp::Unset), (None, String::new()));
    assert_eq!(of(&Seccomp::RuntimeDefault), (Some((0, String::new())), "runtime/default".to_owned()));
    assert_eq!(of(&Seccomp::Unconfined), (Some((1, String::new())), "unconfined".to_owned()));
    assert_eq!(of(&Seccomp::Localhost("/f".into())), (Some((2, "/f".to_owned())), "localhost//f".to_owned()));
}

#[test]
fn figures_that_are_not_there_are_told_from_zero() {
    let reply = joined(&[b(1, joined(&[b(1, b(1, "id")), b(2, b(2, n(1, 9))), b(3, b(2, ""))]))]);
    let absent = stats(ContainerStats::default());
    assert_eq!((absent.cpu, absent.memory), (None, None));
    let reply = ContainerStatsResponse::decode(reply.as_slice()).unwrap();
    let found = stats(reply.stats.unwrap());
    assert_eq!((found.id.as_str(), found.cpu, found.memory), ("id", Some(9), Some(0)));
}
