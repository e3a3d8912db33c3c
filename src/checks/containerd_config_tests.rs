use super::*;
use crate::model::Sourced;

const MAIN: &str = "/etc/containerd/config.toml";

fn node(version: &str, text: &str) -> Facts {
    let mut facts = Facts::empty(true);
    let containerd = &mut facts.containerd;
    containerd.installed = true;
    containerd.version = Some(Sourced::new(version.to_owned(), Origin::default_of("x")));
    containerd.config_path = Some(Sourced::new(MAIN.to_owned(), Origin::default_of("containerd")));
    facts.texts.insert(MAIN.to_owned(), text.to_owned());
    facts
}

fn ids(facts: &Facts) -> Vec<String> {
    let found = CHECKS.iter().filter_map(|check| check.run).flat_map(|run| run(facts));
    found.map(|finding| finding.id).collect()
}

fn said(value: &str) -> Sourced<String> {
    Sourced::new(value.to_owned(), Origin::file(MAIN, 2))
}

#[test]
fn a_version_that_the_release_does_not_read() {
    for (version, text, found) in [
        ("1.7.24", "version = 3\n", true),
        ("1.6.20", "version = 3\n", true),
        ("2.1.4", "version = 4\n", true),
        ("2.1.4", "version = 3\n", false),
        ("1.4.13", "version = 2\n", false),
        ("1.4.13", "", false),
    ] {
        let told = ids(&node(version, text)).contains(&"containerd-schema-too-new".to_owned());
        assert_eq!(told, found, "{version} {text:?}");
    }
}

#[test]
fn imports_that_are_missing_or_of_another_version() {
    let mut facts = node("1.7.24", "version = 2\nimports = [\"/etc/containerd/a.toml\"]\n");
    assert_eq!(ids(&facts), ["containerd-import-missing"]);
    facts.texts.insert("/etc/containerd/a.toml".to_owned(), "version = 1\n".to_owned());
    assert!(ids(&facts).contains(&"containerd-import-version".to_owned()), "{:?}", ids(&facts));
}

#[test]
fn a_version_that_is_too_new_is_told_what_helps() {
    let mut facts = node("2.3.4", "version = 3\nimports = [\"/etc/containerd/a.toml\"]\n");
    facts.texts.insert("/etc/containerd/a.toml".to_owned(), "version = 4\n".to_owned());
    let newer = node("2.1.4", "version = 4\n");
    for (facts, fix) in [(&facts, "`castoff convert --to 4`"), (&newer, "regenerate")] {
        let [finding] = &schema_too_new(facts)[..] else { panic!("{:?}", schema_too_new(facts)) };
        assert!(finding.fix.contains(fix), "{finding:?}");
    }
}

#[test]
fn names_that_keep_containerd_or_cri_from_loading() {
    let short = node("1.7.24", "version = 2\ndisabled_plugins = [\"zfs\"]\n");
    assert_eq!(ids(&short), ["containerd-plugin-name"]);
    let mark = node("1.4.13", "\u{feff}version = 2\n");
    assert_eq!(ids(&mark), ["containerd-byte-order-mark"]);
    let proxy = node("1.7.24", "version = 2\n[proxy_plugins.stargz]\naddress = \"/run/s.sock\"\n");
    assert_eq!(ids(&proxy), ["proxy-plugin-incomplete"]);
}

#[test]
fn a_default_runtime_needs_its_table() {
    let mut facts = node("1.7.24", "version = 2\n");
    facts.containerd.default_runtime = Some(said("nvidia"));
    assert_eq!(ids(&facts), ["runtime-undefined"]);
    facts.containerd.handlers = vec![
        serde_json::from_value(serde_json::json!({
            "name": "nvidia", "origin": Origin::file(MAIN, 3),
        }))
        .unwrap(),
    ];
    assert!(ids(&facts).is_empty());
    facts.containerd.handlers.clear();
    facts.containerd.default_runtime = Some(said("runc"));
    assert!(ids(&facts).is_empty());
}

#[test]
fn a_snapshotter_must_be_one_of_this_release() {
    for (version, name, found) in [
        ("1.7.24", "overlay2", true),
        ("1.7.24", "overlayfs", false),
        ("1.7.24", "aufs", false),
        ("2.1.4", "aufs", true),
        ("1.7.24", "stargz", false),
        ("1.7.24", "", false),
    ] {
        let text = "version = 2\n[proxy_plugins.stargz]\ntype = \"snapshot\"\naddress = \"/run/s.sock\"\n";
        let mut facts = node(version, text);
        facts.containerd.snapshotter = Some(said(name));
        let told: &[&str] = if found { &["snapshotter-unknown"] } else { &[] };
        assert_eq!(ids(&facts), told, "{version} {name}");
    }
}

#[test]
fn a_list_in_config_path_is_one_directory_from_2_1_on() {
    for (version, path, found) in [
        ("2.1.4", "/etc/containerd/certs.d:/etc/docker/certs.d", true),
        ("2.0.5", "/etc/containerd/certs.d:/etc/docker/certs.d", false),
        ("2.1.4", "/etc/containerd/certs.d", false),
    ] {
        let mut facts = node(version, "version = 3\n");
        facts.containerd.registry_config_path = Some(said(path));
        let told: &[&str] = if found { &["registry-config-path-list"] } else { &[] };
        assert_eq!(ids(&facts), told, "{version} {path}");
    }
}
