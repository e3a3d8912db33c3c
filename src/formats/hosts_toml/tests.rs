use super::*;
use proptest::prelude::*;

const ADMINS: &str = "# Ulm's cache, ask the platform team\nserver = \"https://registry-1.docker.io\"\n\n[host.\"https://cache.example\"] # first\n  capabilities = [\"pull\", \"Resolve\"]\n  ca = \"ca.crt\"\n  client = [[\"a.cert\", \"a.key\"], [\"/b.cert\", \"/b.key\"]]\n  [host.\"https://cache.example\".header]\n    X-Token = \"hunter2\"\n\n[host.\"http://old.example:5000/v2\"]\n  skip_verify = true\n  unknown = 1\n";

fn parse(text: &str) -> HostsToml {
    HostsToml::parse(text).unwrap()
}

fn pull() -> HostOptions {
    HostOptions { capabilities: vec!["pull".into(), "resolve".into()], ..HostOptions::default() }
}

fn target(hosts: &[(&str, HostOptions)]) -> HostsTarget {
    HostsTarget {
        hosts: hosts.iter().map(|(url, options)| ((*url).to_owned(), options.clone())).collect(),
        ..HostsTarget::default()
    }
}

#[test]
fn a_file_is_read_as_containerd_reads_it() {
    let file = parse(ADMINS);
    assert_eq!(file.text(), ADMINS);
    assert_eq!(file.server, Some(At::new("https://registry-1.docker.io".into(), 2)));
    let urls: Vec<_> = file.hosts.iter().map(|host| (host.url.value.as_str(), host.url.line)).collect();
    assert_eq!(urls, [("https://cache.example", 4), ("http://old.example:5000/v2", 11)]);
    let first = &file.hosts[0].options;
    assert_eq!(
        (first.ca.as_slice(), first.header.as_slice()),
        (&["ca.crt".to_owned()][..], &["X-Token".to_owned()][..])
    );
    assert_eq!(first.client[0], ("a.cert".into(), Some("a.key".into())));
    assert_eq!(first.absolute("/d").ca, ["/d/ca.crt"]);
    assert_eq!(file.hosts[1].options.skip_verify, Some(true));
    assert!(file.uncounted.is_empty());
}

#[test]
fn what_makes_containerd_ignore_a_file_is_an_error() {
    for (text, line, message) in [
        ("server = \n", 1, ""),
        ("server = 1\n", 1, "server is not a text"),
        ("\n[host.\"https://a\"]\ncapabilities = [\"pull\", \"write\"]\n", 3, "unknown capability \"write\""),
        ("[host.\"https://a\"]\nskip_verify = \"yes\"\n", 2, "skip_verify is neither"),
        ("client = [[\"a\"]]\n", 1, "client is neither"),
        ("[host.a.header]\nx = 1\n", 2, "x is not a list of texts"),
        ("host = 3\n", 1, "host is not a table"),
        ("[host]\na = 3\n", 2, "host \"a\" is not a table"),
        ("capabilities = \"pull\"\n", 1, "capabilities is not a list"),
    ] {
        let error = HostsToml::parse(text).unwrap_err();
        assert_eq!(error.line, Some(line), "{text}");
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn hosts_without_a_header_are_seen_and_not_extended() {
    for text in [
        "host = { \"https://a\" = { skip_verify = true } }\n",
        "host.\"https://a\".skip_verify = true\n",
        "[host]\n\"https://a\" = { skip_verify = true }\n",
        "[host]\n\"https://a\".skip_verify = true\n",
    ] {
        let file = parse(text);
        assert_eq!(file.uncounted.len(), 1, "{text}");
        assert!(file.with(&target(&[("https://b", pull())])).unwrap_err().line.is_some(), "{text}");
        assert_eq!(file.with(&target(&[("https://a/v2/", pull())])).unwrap(), text);
    }
    assert!(parse("[host.\"https://a\".header]\nx = 'y'\n").uncounted.is_empty());
}

#[test]
fn a_new_file_reads_like_one_of_containerds_examples() {
    let insecure = HostOptions { skip_verify: Some(true), ..pull() };
    let certified = HostOptions {
        ca: vec!["/c/ca.crt".into()],
        client: vec![("/c/a.cert".into(), Some("/c/a.key".into()))],
        override_path: true,
        ..HostOptions::default()
    };
    let wanted = HostsTarget {
        server: Some("https://registry-1.docker.io".into()),
        ..target(&[("https://m1", insecure), ("https://m2/x", certified)])
    };
    let text = new_file(&wanted).unwrap();
    assert_eq!(
        text,
        "# Written by castoff: how containerd reaches this registry.\nserver = \"https://registry-1.docker.io\"\n\n[host.\"https://m1\"]\n  capabilities = [\"pull\", \"resolve\"]\n  skip_verify = true\n\n[host.\"https://m2/x\"]\n  ca = \"/c/ca.crt\"\n  client = [[\"/c/a.cert\", \"/c/a.key\"]]\n  override_path = true\n"
    );
    assert_eq!(parse(&text).with(&wanted).unwrap(), text);
}

#[test]
fn what_somebody_wrote_stays() {
    let wanted = HostsTarget {
        server: Some("https://other".into()),
        options: HostOptions { skip_verify: Some(true), ..HostOptions::default() },
        ..target(&[("https://cache.example/", pull()), ("http://old.example:5000", pull()), ("https://new", pull())])
    };
    let text = parse(ADMINS).with(&wanted).unwrap();
    let added = "\n[host.\"https://new\"]\n  capabilities = [\"pull\", \"resolve\"]\n";
    let expected = ADMINS.replace("docker.io\"\n\n", "docker.io\"\nskip_verify = true\n\n") + added;
    assert_eq!(text, expected);
    assert_eq!(parse(&text).with(&wanted).unwrap(), text);
    let windows = ADMINS.replace('\n', "\r\n");
    let text = parse(&windows).with(&wanted).unwrap();
    assert_eq!(text, expected.replace('\n', "\r\n"));
}

#[test]
fn a_byte_order_mark_goes() {
    let file = parse(&format!("\u{feff}{ADMINS}"));
    assert!(file.has_byte_order_mark() && !parse(ADMINS).has_byte_order_mark());
    assert_eq!(file.with(&HostsTarget::default()).unwrap(), ADMINS);
    assert_eq!(file.moved_from("/d").unwrap(), parse(ADMINS).moved_from("/d").unwrap());
}

#[test]
fn certificates_are_found_from_another_directory() {
    let text = parse(ADMINS).moved_from("/etc/old/docker.io").unwrap();
    assert_eq!(
        text,
        ADMINS
            .replace("\"ca.crt\"", "\"/etc/old/docker.io/ca.crt\"")
            .replace("\"a.cert\", \"a.key\"", "\"/etc/old/docker.io/a.cert\", \"/etc/old/docker.io/a.key\"")
    );
    assert_eq!(parse(&text).moved_from("/x").unwrap(), text);
    let both = parse("client = ['/a.pem', ['b', 'c']]\nca = ['/x', 'y']\n").moved_from("/d").unwrap();
    assert_eq!(both, "client = [[\"/a.pem\", \"/a.pem\"], [\"/d/b\", \"/d/c\"]]\nca = [\"/x\", \"/d/y\"]\n");
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("# a [comment]\n".to_owned()),
        Just("\n".to_owned()),
        ("[ab]", any::<bool>(), any::<bool>()).prop_map(|(name, header, indented)| {
            let lead = if indented { "  " } else { "" };
            let tail = if header {
                format!("{lead}[host.\"https://{name}\".header]\n{lead}X = ['y']\n")
            } else {
                String::new()
            };
            format!("[host.\"https://{name}\"]\n{lead}capabilities = ['pull', # c\n 'push']\n{tail}")
        }),
        Just("[host.'http://c:5000/x']\nca = ['a.crt']\nclient = 'b.pem'\noverride_path = true # o\n".to_owned()),
        Just("[other.table]\nx = \"\"\"\n[host.no]\"\"\"\n".to_owned()),
    ]
}

proptest! {
    #[test]
    fn files_survive_the_edit(
        server in any::<bool>(),
        pieces in proptest::collection::vec(piece(), 0..6),
        windows in any::<bool>(),
    ) {
        let top = if server { "server = 'https://s' # s\nskip_verify = false\n" } else { "" };
        let mut text = format!("{top}{}", pieces.concat());
        if windows { text = text.replace('\n', "\r\n"); }
        let Ok(file) = HostsToml::parse(&text) else { return Ok(()) };
        prop_assert_eq!(file.text(), text.clone());
        let wanted = HostsTarget {
            server: Some("http://s".into()),
            options: HostOptions { ca: vec!["/ca".into()], skip_verify: Some(true), ..HostOptions::default() },
            ..target(&[("https://a", pull()), ("https://n", pull()), ("http://c:5000/x/", pull())])
        };
        let out = file.with(&wanted);
        prop_assert!(out.is_ok(), "{:?}\n{}", out, text);
        let out = out.unwrap_or_default();
        let after = parse(&out);
        prop_assert_eq!(after.with(&wanted).unwrap(), out.clone());
        prop_assert_eq!(&after.hosts[..file.hosts.len()].iter().map(|host| &host.options).collect::<Vec<_>>(),
            &file.hosts.iter().map(|host| &host.options).collect::<Vec<_>>());
        prop_assert!(after.hosts.iter().any(|host| host.url.value == "https://n"));
        let kept: Vec<&str> = text.lines().filter(|line| line.contains('#')).collect();
        prop_assert!(kept.iter().all(|line| out.contains(line)), "{}", out);
        if text.contains('\r') { prop_assert!(!out.replace("\r\n", "").contains('\n')); }
        prop_assert!(file.moved_from("/d").is_ok());
    }

    #[test]
    fn damaged_files_are_refused_or_edited(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[\\[\\]{}\"'=.,# \na1]{0,3}"), 1..4),
    ) {
        let mut text: Vec<char> = ADMINS.chars().collect();
        for (at, length, with) in cuts {
            let at = at.index(text.len());
            text.splice(at..(at + length).min(text.len()), with.chars());
        }
        let text: String = text.into_iter().collect();
        if let Ok(file) = HostsToml::parse(&text) {
            prop_assert_eq!(file.text(), text.clone());
            for out in [file.with(&target(&[("https://b", pull())])), file.moved_from("/d")] {
                if let Err(error) = out {
                    prop_assert!(!error.message.starts_with("internal"), "{}\n{}", error, text);
                }
            }
        }
    }

    #[test]
    fn any_text_is_survived(text in "[\\[\\]{}\"'=.,# \\\\\nhost:/a1\r]{0,60}") {
        if let Ok(file) = HostsToml::parse(&text) {
            let _ = file.with(&target(&[("https://b", pull())]));
            let _ = file.moved_from("/d");
        }
    }
}
