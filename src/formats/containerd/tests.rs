use super::*;
use proptest::prelude::*;

const R1: &str = "plugins.\"io.containerd.grpc.v1.cri\"";
const PAUSE: &str = "registry.k8s.io/pause:3.9";

/// What Docker's containerd.io package ships.
const DOCKER: &str = "#   Copyright 2018-2022 Docker Inc.\n\n# CRI is off\ndisabled_plugins = [\"cri\"]\n\n#root = \"/var/lib/containerd\"\n\n#[grpc]\n#  address = \"/run/containerd/containerd.sock\"\n";

/// What Debian ships.
const DEBIAN: &str = "version = 2\n\n[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    [plugins.\"io.containerd.grpc.v1.cri\".cni]\n      bin_dir = \"/usr/lib/cni\"\n      conf_dir = \"/etc/cni/net.d\"\n  [plugins.\"io.containerd.internal.v1.opt\"]\n    path = \"/var/lib/containerd/opt\"\n";

fn target(schema: u32) -> CriTarget<'static> {
    CriTarget {
        schema,
        systemd_cgroup: true,
        sandbox_image: None,
        cni_bin_dir: None,
        cni_conf_dir: None,
        settings: &[],
    }
}

fn parse(text: &str) -> ContainerdConfig {
    ContainerdConfig::parse(text).unwrap()
}

/// The edited text; a second edit must find nothing to do.
fn edit(text: &str, target: &CriTarget<'_>) -> String {
    let out = parse(text).with_cri(target).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(parse(&out).with_cri(target).unwrap(), out, "not settled");
    out
}

fn refusal(text: &str, target: &CriTarget<'_>) -> FormatError {
    parse(text).with_cri(target).unwrap_err()
}

fn values(list: Vec<At<String>>) -> Vec<(String, u32)> {
    list.into_iter().map(|at| (at.value, at.line)).collect()
}

#[test]
fn every_question_is_answered_for_the_schema_of_the_file() {
    let v1 = "root = \"/data\"\nstate = \"/s\"\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n[grpc]\naddress = \"/run/x.sock\"\n[plugins.cri]\nsandbox_image = \"p:1\"\n[plugins.cri.containerd]\nsnapshotter = \"zfs\"\ndefault_runtime_name = \"nvidia\"\n[plugins.cri.cni]\nbin_dir = \"/b\"\nconf_dir = \"/c\"\n[plugins.cri.registry]\nconfig_path = \"/certs\"\n";
    let v2 = format!("version = 2\n{}", v1.replace("plugins.cri", R1));
    for (text, shift) in [(v1, 0), (v2.as_str(), 1)] {
        let config = parse(text);
        assert_eq!(config.schema(), 1 + shift);
        assert_eq!(config.version_line(), (shift == 1).then_some(1));
        let at = |value: &str, line: u32| Some(At::new(value.to_owned(), line + shift));
        assert_eq!(config.root(), at("/data", 1));
        assert_eq!(config.state(), at("/s", 2));
        assert_eq!(values(config.imports()), [("/etc/containerd/conf.d/*.toml".to_owned(), 3 + shift)]);
        assert_eq!(config.grpc_address(), at("/run/x.sock", 5));
        assert_eq!(config.sandbox_image(), at("p:1", 7));
        assert_eq!(config.snapshotter(), at("zfs", 9));
        assert_eq!(config.default_runtime_name(), at("nvidia", 10));
        assert_eq!(values(config.cni_bin_dir()), [("/b".to_owned(), 12 + shift)]);
        assert_eq!(config.cni_conf_dir(), at("/c", 13));
        assert_eq!(config.registry_config_path(), at("/certs", 15));
        assert_eq!(config.foreign_schema_tables(), []);
        assert_eq!(config.text(), text);
    }
    let v4 = parse(
        "version = 4\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'overlayfs'\npinned_images.sandbox = 'p:4'\nregistry.config_path = '/certs'\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = ''\nbin_dirs = ['/a', '/b']\n[plugins.'io.containerd.server.v1.grpc']\naddress = '/run/4.sock'\n",
    );
    assert_eq!(v4.sandbox_image(), Some(At::new("p:4".into(), 4)));
    assert_eq!(v4.snapshotter(), Some(At::new("overlayfs".into(), 3)));
    assert_eq!(v4.registry_config_path(), Some(At::new("/certs".into(), 5)));
    assert_eq!(values(v4.cni_bin_dir()), [("/a".into(), 8), ("/b".into(), 8)]);
    assert_eq!(v4.grpc_address(), Some(At::new("/run/4.sock".into(), 10)));
}

#[test]
fn versions_without_a_number_mean_one() {
    for (text, schema) in
        [("", 1), ("version = 0\n", 1), ("version = 1\n", 1), ("version = 3\n", 3), ("version = 9", 9)]
    {
        assert_eq!(parse(text).schema(), schema);
    }
    for text in ["version = \"2\"\n", "version = -1\n", "version = 2.0\n"] {
        assert_eq!(ContainerdConfig::parse(text).unwrap_err().line, Some(1));
    }
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_place() {
    for (text, line) in [("a = \n", 1), ("a = 1\na = 2\n", 2), ("[x]\n[x]\n", 2), ("ok = 1\r\n[oh\r\n", 2)] {
        let error = ContainerdConfig::parse(text).unwrap_err();
        assert_eq!(error.line, Some(line), "{error}");
        assert!(error.snippet.is_some() && !error.message.contains('\n'));
    }
}

#[test]
fn the_spellings_that_switch_cri_off_are_found() {
    let list = "disabled_plugins = [\n  \"cri\",\n  \"zfs\",\n  \"io.containerd.grpc.v1.cri\",\n  'io.containerd.cri.v1.images',\n  \"io.containerd.cri.v1.runtime\",\n  \"io.containerd.podsandbox.controller.v1.podsandbox\",\n]\n";
    let config = parse(list);
    let lines = |list: Vec<At<String>>| list.into_iter().map(|at| at.line).collect::<Vec<_>>();
    assert_eq!(lines(config.cri_disabled_by()), [2, 4, 5, 6, 7]);
    assert_eq!(lines(config.cri_disabled_on(1)), [2]);
    assert_eq!(lines(config.cri_disabled_on(2)), [2, 4, 5, 6, 7]);
    assert_eq!(lines(parse(&format!("version = 2\n{list}")).cri_disabled_on(1)), [3, 5]);
    assert_eq!(parse("#disabled_plugins = [\"cri\"]\n").cri_disabled_by(), []);
}

#[test]
fn runtime_handlers_are_read_in_every_notation() {
    let config = parse(&format!(
        "version = 2\n[{R1}.containerd.runtimes]\nkata = {{ runtime_type = \"io.containerd.kata.v2\" }}\n[{R1}.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v1\"\noptions.BinaryName = \"/usr/bin/nv\"\noptions.SystemdCgroup = \"true\"\n[{R1}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"
    ));
    let [kata, nvidia, runc] = &config.runtimes()[..] else { panic!("{:?}", config.runtimes()) };
    assert_eq!((kata.name.as_str(), kata.line, kata.is_runc()), ("kata", 3, false));
    assert_eq!((nvidia.line, nvidia.is_runc()), (4, true));
    assert_eq!(nvidia.binary_name, Some(At::new("/usr/bin/nv".into(), 6)));
    assert_eq!(
        (nvidia.systemd_cgroup.clone(), nvidia.systemd_cgroup_raw.clone()),
        (None, Some(At::new("\"true\"".into(), 7)))
    );
    assert_eq!((runc.runtime_type.clone(), runc.systemd_cgroup.clone(), runc.line), (None, Some(At::new(true, 9)), 8));
}

#[test]
fn tables_of_another_schema_are_named() {
    for (text, expected) in [
        (format!("[{R1}]\n"), &[("plugins.\"io.containerd.grpc.v1.cri\"", 1)][..]),
        ("version = 2\n[plugins.cri]\n".into(), &[("plugins.\"cri\"", 2)]),
        (
            "version = 2\n[plugins.'io.containerd.cri.v1.runtime'.cni]\n".into(),
            &[("plugins.\"io.containerd.cri.v1.runtime\"", 2)],
        ),
        (
            format!("version = 3\n[{R1}]\ndisable_tcp_service = true\nsandbox_image = \"p\"\n[{R1}.containerd]\n"),
            &[
                ("plugins.\"io.containerd.grpc.v1.cri\".sandbox_image", 4),
                ("plugins.\"io.containerd.grpc.v1.cri\".containerd", 5),
            ],
        ),
        ("version = 4\n[grpc]\naddress = \"/x\"\n".into(), &[("grpc", 2)]),
        (DEBIAN.to_owned(), &[]),
    ] {
        let found = values(parse(&text).foreign_schema_tables());
        let found: Vec<_> = found.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn dockers_file_becomes_a_cri_configuration() {
    let out = edit(DOCKER, &CriTarget { sandbox_image: Some(PAUSE), ..target(2) });
    let expected = DOCKER
        .replace("# CRI is off\ndisabled_plugins = [\"cri\"]", "version = 2\n# CRI is off\ndisabled_plugins = []")
        + &format!(
            "\n[{R1}]\n  sandbox_image = \"{PAUSE}\"\n\n[{R1}.containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n\n[{R1}.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n"
        );
    assert_eq!(out, expected);
}

#[test]
fn an_empty_file_gets_what_is_missing_in_each_schema() {
    let v3 = edit("", &CriTarget { sandbox_image: Some(PAUSE), cni_bin_dir: Some("/b"), ..target(3) });
    let config = parse(&v3);
    assert_eq!(config.schema(), 3);
    assert_eq!(config.sandbox_image().unwrap().value, PAUSE);
    assert_eq!(values(config.cni_bin_dir())[0].0, "/b");
    assert!(config.runtimes()[0].systemd_cgroup.as_ref().unwrap().value);
    assert!(v3.starts_with("version = 3\n\n[plugins.\"io.containerd.cri.v1.images\".pinned_images]\n"), "{v3}");
    assert_eq!(config.foreign_schema_tables(), []);
}

#[test]
fn debians_file_keeps_its_indentation() {
    let expected = DEBIAN.replace("/usr/lib/cni", "/opt/cni/bin").replace(
        "  [plugins.\"io.containerd.internal",
        &format!("    [{R1}.containerd.runtimes.runc]\n      runtime_type = \"io.containerd.runc.v2\"\n      [{R1}.containerd.runtimes.runc.options]\n        SystemdCgroup = true\n  [plugins.\"io.containerd.internal"),
    );
    assert_eq!(edit(DEBIAN, &CriTarget { cni_bin_dir: Some("/opt/cni/bin"), ..target(2) }), expected);
    // Line ends follow the file; a byte order mark goes, because some releases refuse it.
    let windows = |text: &str| text.replace('\n', "\r\n");
    assert_eq!(
        edit(&format!("\u{feff}{}", windows(DEBIAN)), &CriTarget { cni_bin_dir: Some("/opt/cni/bin"), ..target(2) }),
        windows(&expected)
    );
}

#[test]
fn schema_one_is_converted_in_place() {
    let before = "disabled_plugins = [\"cri\", \"zfs\"] # why\nrequired_plugins = [\"scheduler\"]\n[plugins]\n  # the CRI\n  [plugins.cri]\n    systemd_cgroup = true\n    [plugins.cri.containerd]\n      no_pivot = true\n      [plugins.\"cri\".containerd.default_runtime]\n        runtime_type = \"io.containerd.runtime.v1.linux\"\n        runtime_engine = \"/usr/bin/nv\"\n  [plugins.linux]\n    shim = \"containerd-shim\"\n  [plugins.diff-service]\n    default = [\"walking\"]\n";
    let after = format!(
        "version = 2\ndisabled_plugins = [\"io.containerd.snapshotter.v1.zfs\"] # why\nrequired_plugins = [\"io.containerd.gc.v1.scheduler\"]\n[plugins]\n  # the CRI\n  [{R1}]\n    [{R1}.containerd]\n      [{R1}.containerd.default_runtime]\n        runtime_type = \"io.containerd.runc.v2\"\n        [{R1}.containerd.default_runtime.options]\n          BinaryName = \"/usr/bin/nv\"\n          SystemdCgroup = true\n      [{R1}.containerd.runtimes.runc]\n        runtime_type = \"io.containerd.runc.v2\"\n        [{R1}.containerd.runtimes.runc.options]\n          SystemdCgroup = true\n          NoPivotRoot = true\n  [plugins.\"io.containerd.runtime.v1.linux\"]\n    shim = \"containerd-shim\"\n  [plugins.\"io.containerd.service.v1.diff-service\"]\n    default = [\"walking\"]\n"
    );
    assert_eq!(edit(before, &target(2)), after);
    for (text, part) in [
        ("version = 1\nplugins = { cri = { a = 1 } }\n", "\"io.containerd.grpc.v1.cri\" = { a = 1, containerd ="),
        ("plugins.cri.a = 1\nplugins.cri.b.c = 2\n", "plugins.\"io.containerd.grpc.v1.cri\".b.c = 2"),
        ("[plugins]\ncri.a = 1\n", "\"io.containerd.grpc.v1.cri\".a = 1\n"),
    ] {
        let out = edit(text, &target(2));
        assert!(out.contains(part) && parse(&out).schema() == 2, "{out}");
    }
}

#[test]
fn every_runc_handler_follows_and_others_stay() {
    let text = format!(
        "version = 2\n[{R1}.containerd.runtimes.nvidia]\n  runtime_type = \"io.containerd.runc.v1\"\n  [{R1}.containerd.runtimes.nvidia.options]\n    BinaryName = \"/usr/bin/nv\"\n    SystemdCgroup = false # no\n    # tail\n\n[{R1}.containerd.runtimes.kata]\n  runtime_type = \"io.containerd.kata.v2\"\n\n[{R1}.containerd.runtimes.old]\n  runtime_type = \"io.containerd.runtime.v1.linux\"\n  runtime_root = \"/run/old\"\n\n[{R1}.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n"
    );
    let config = parse(&edit(&text, &target(2)));
    for handler in config.runtimes() {
        let shim = handler.runtime_type.map(|at| at.value).unwrap_or_default();
        match handler.name.as_str() {
            "kata" => assert_eq!((shim.as_str(), handler.systemd_cgroup), ("io.containerd.kata.v2", None)),
            _ => {
                assert_eq!(shim, "io.containerd.runc.v2", "{}", handler.name);
                assert_eq!(handler.systemd_cgroup.map(|at| at.value), Some(true), "{}", handler.name);
            }
        }
    }
    let out = config.text();
    assert!(out.contains("SystemdCgroup = true # no\n    # tail\n"), "{out}");
    assert!(out.contains("Root = \"/run/old\"") && !out.contains("runtime_root"), "{out}");
    let back = parse(&edit(&out, &CriTarget { systemd_cgroup: false, ..target(2) }));
    assert!(back.runtimes().iter().all(|handler| handler.systemd_cgroup.as_ref().is_none_or(|at| !at.value)));
}

#[test]
fn inline_tables_and_dotted_keys_are_extended_in_their_own_style() {
    for (before, after) in [
        (
            "version = 2\nplugins = { \"io.containerd.grpc.v1.cri\" = { containerd = { runtimes = { runc = {} } } } }\n",
            "version = 2\nplugins = { \"io.containerd.grpc.v1.cri\" = { containerd = { runtimes = { runc = { runtime_type = \"io.containerd.runc.v2\", options = { SystemdCgroup = true } } } } } }\n",
        ),
        (
            "version = 2\nplugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.runtime_type = \"io.containerd.runc.v2\"",
            "version = 2\nplugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.runtime_type = \"io.containerd.runc.v2\"\nplugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options.SystemdCgroup = true\n",
        ),
        (
            "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\nruntimes.runc = { runtime_type = 'io.containerd.runc.v2', options = {} }\n",
            "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\nruntimes.runc = { runtime_type = 'io.containerd.runc.v2', options = { SystemdCgroup = true } }\n",
        ),
    ] {
        assert_eq!(edit(before, &target(parse(before).schema())), after);
    }
}

#[test]
fn entries_leave_lists_without_a_trace() {
    let rest = format!(
        "[{R1}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\noptions.SystemdCgroup = true\n"
    );
    for (before, after) in [
        ("[\"io.containerd.grpc.v1.cri\"]", "[]"),
        ("[ \"cri\" , \"a.b.c.d\" ]", "[ \"a.b.c.d\" ]"),
        ("[\"a.b.c.d\", \"cri\"]", "[\"a.b.c.d\"]"),
        ("[\"a.b.c.d\", \"cri\", 'io.containerd.cri.v1.images', \"e.f.g.h\"]", "[\"a.b.c.d\", \"e.f.g.h\"]"),
        ("[\n  \"a.b.c.d\", # one\n  # about it\n  \"cri\", # two\n]", "[\n  \"a.b.c.d\", # one\n  # about it\n]"),
        ("[\n  \"cri\",\n  # next\n  \"a.b.c.d\"\n]", "[\n  # next\n  \"a.b.c.d\"\n]"),
        ("[\"cri\", # gone\n \"a.b.c.d\"]", "[ # gone\n \"a.b.c.d\"]"),
        ("[\n  \"cri\"\n]", "[]"),
        ("[\"cri\", \"cri\"]", "[]"),
    ] {
        let text = |list: &str| format!("version = 2\ndisabled_plugins = {list}\n{rest}");
        assert_eq!(edit(&text(before), &target(2)), text(after), "{before}");
    }
}

#[test]
fn lists_of_cni_directories_are_not_mixed_with_the_single_one() {
    let rt = "plugins.'io.containerd.cri.v1.runtime'";
    let with_dir = CriTarget { cni_bin_dir: Some("/x"), ..target(3) };
    for (before, dirs) in [
        ("bin_dirs = ['/a']\nbin_dir = '/b'\n", &["/x", "/a"][..]),
        ("bin_dirs = ['/x', '/a']\nbin_dir = ''\n", &["/x", "/a"]),
        ("bin_dirs = []\n", &["/x"]),
        ("bin_dir = '/a'\n", &["/x"]),
        ("", &["/x"]),
    ] {
        let out = edit(&format!("version = 3\n[{rt}.cni]\n{before}"), &with_dir);
        let found: Vec<_> = parse(&out).cni_bin_dir().into_iter().map(|at| at.value).collect();
        assert_eq!(found, dirs, "{out}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_its_line() {
    for (text, schema, line) in [
        ("root = \"/x\"\nversion = 5\n", 3, Some(2)),
        ("version = 3\n", 2, Some(1)),
        ("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\ndisable_cgroup = true\n", 3, Some(3)),
        ("plugins = 5\n", 2, Some(1)),
        ("version = 2\nplugins = 5\n", 2, Some(2)),
        ("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\ncontainerd = \"x\"\n", 2, Some(3)),
        ("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes]\nrunc = true\n", 2, Some(3)),
        (
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = 1\n",
            2,
            Some(3),
        ),
        ("version = 2\ndisabled_plugins = \"cri\"\n", 2, Some(2)),
        ("[plugins.cri]\n[plugins.\"io.containerd.grpc.v1.cri\"]\n", 2, Some(1)),
        ("", 1, None),
    ] {
        let error = refusal(text, &target(schema));
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(!error.message.starts_with("internal"), "{error}");
    }
}

#[test]
fn texts_take_over_the_quotes_of_the_file() {
    let before = "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'p:1' # pinned\n";
    let out = edit(before, &CriTarget { sandbox_image: Some(PAUSE), ..target(3) });
    assert!(out.contains(&format!("sandbox = '{PAUSE}' # pinned\n")), "{out}");
    assert!(out.contains("\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n"), "{out}");
    let odd = edit(before, &CriTarget { sandbox_image: Some("it's \"x\"\\\n"), ..target(3) });
    assert_eq!(parse(&odd).sandbox_image().unwrap().value, "it's \"x\"\\\n");
}

fn piece() -> impl Strategy<Value = String> {
    let table = format!("[{R1}.containerd.runtimes.");
    prop_oneof![
        Just("# a comment [x]\n".to_owned()),
        Just("\n".to_owned()),
        Just("[timeouts]\n  \"io.containerd.timeout.shim.load\" = \"5s\" # t\n".to_owned()),
        Just("[plugins]\n".to_owned()),
        Just(format!("  [{R1}]\n    sandbox_image = 'p' # s\n    systemd_cgroup = true\n")),
        Just(format!("[{R1}.cni]\nbin_dir = \"\"\"\n[x]\"\"\"\n# stub = 1\n\n")),
        Just(format!("[{R1}.registry]\n  headers = {{ a = [ '#', # c\n 'b' ] }}\n")),
        Just(format!("[{R1}.containerd]\nno_pivot = true\nruntimes.runc.options = {{ Root = '' }}\n")),
        Just(format!("[{R1}.containerd.default_runtime]\n\truntime_type = 'io.containerd.runc.v1'\n")),
        Just("[[list]]\na = nan\n[[list]]\n".to_owned()),
        ("[ab]", prop_oneof![Just("runc.v1"), Just("runc.v2"), Just("kata.v2"), Just("runtime.v1.linux")], any::<bool>())
            .prop_map(move |(name, shim, engine)| {
                let engine = if engine { "runtime_engine = \"/e\"\n" } else { "" };
                format!("{table}{name}]\n  runtime_type = \"io.containerd.{shim}\"\n{engine}{table}{name}.options]\n    # none\n")
            }),
    ]
}

proptest! {
    /// `with_cri` compares every edit with an independent parser; what is left to see is that it succeeds on every
    /// document, settles after one round and keeps all comments.
    #[test]
    fn documents_survive_the_edit(
        disabled in proptest::collection::vec(prop_oneof![Just("cri"), Just("io.containerd.grpc.v1.cri"), Just("a.b.c.d")], 0..4),
        lines in any::<bool>(),
        pieces in proptest::collection::vec(piece(), 0..7),
        windows in any::<bool>(),
        schema in 1..3_u32,
    ) {
        let separator = if lines { ", # i\n  " } else { ", " };
        let list = disabled.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(separator);
        let mut text = format!("disabled_plugins = [{list}]\n{}", pieces.concat());
        if schema == 2 { text = format!("version = 2\n{text}"); } else { text = text.replace(R1, "plugins.cri"); }
        if windows { text = text.replace('\n', "\r\n"); }
        let Ok(config) = ContainerdConfig::parse(&text) else { return Ok(()) };
        let target = CriTarget {
            sandbox_image: Some(PAUSE), cni_bin_dir: Some("/b"), cni_conf_dir: Some("/c"), ..target(2)
        };
        let out = config.with_cri(&target);
        prop_assert!(out.is_ok(), "{:?}\n{}", out, text);
        let out = out.unwrap_or_default();
        let after = parse(&out);
        prop_assert_eq!(after.with_cri(&target).unwrap(), out.clone());
        prop_assert_eq!(after.cri_disabled_by(), vec![]);
        prop_assert!(after.runtimes().iter().any(|h| h.name == "runc" && h.runtime_type.is_some()));
        for handler in after.runtimes().iter().filter(|handler| handler.is_runc()) {
            prop_assert_eq!(handler.systemd_cgroup.as_ref().map(|at| at.value), Some(true));
        }
        let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('#')).count();
        prop_assert!(comments(&out) >= comments(&text));
        if windows { prop_assert!(!out.replace("\r\n", "").contains('\n')); }
    }

    /// Text that is almost a configuration: an edit may refuse it, but an `internal` refusal would be our fault.
    #[test]
    fn damaged_documents_are_refused_or_edited(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[\\[\\]{}\"'=.,# \na1]{0,3}"), 1..4),
        debian in any::<bool>(),
    ) {
        let mut text: Vec<char> = if debian { DEBIAN } else { DOCKER }.chars().collect();
        for (at, length, with) in cuts {
            let at = at.index(text.len());
            text.splice(at..(at + length).min(text.len()), with.chars());
        }
        let text: String = text.into_iter().collect();
        if let Ok(config) = ContainerdConfig::parse(&text)
            && let Err(error) = config.with_cri(&CriTarget { cni_bin_dir: Some("/b"), ..target(2) })
        {
            prop_assert!(!error.message.starts_with("internal"), "{}\n{}", error, text);
        }
    }

    #[test]
    fn any_text_is_survived(text in "[\\[\\]{}\"'=.,# \\\\\na-c1\r]{0,60}") {
        if let Ok(config) = ContainerdConfig::parse(&text) {
            let _ = config.with_cri(&target(2));
            config.runtimes();
            config.foreign_schema_tables();
        }
    }
}

#[test]
fn a_fault_is_told_where_the_file_has_it() {
    let text = "# a\ndisabled_plugins = -50";
    let error = ContainerdConfig::parse(text).unwrap().with_cri(&target(2)).unwrap_err();
    assert_eq!((error.line, error.column), (Some(2), Some(20)), "{error}");
}
