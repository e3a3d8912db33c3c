use super::*;
use proptest::prelude::*;

fn converted(text: &str, to: u32) -> String {
    let config = ContainerdConfig::parse(text).unwrap();
    let out = config.converted(to).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let done = ContainerdConfig::parse(&out).unwrap();
    assert_eq!(done.schema(), to);
    assert_eq!(done.converted(to).unwrap(), out);
    assert_eq!(done.foreign_schema_tables(), [], "{out}");
    out
}

/// What people have: settings under comments, in the file's own indentation.
const V2: &str = r#"# site config, see runbook
version = 2
disabled_plugins = ["io.containerd.internal.v1.restart"] # not needed
oom_score = -999

[grpc]
  address = "/run/containerd/containerd.sock"
  max_recv_message_size = 0
  # admins
  gid = 500

[debug]
  address = ""
  level = "info"

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    # mirrored
    sandbox_image = "mirror.example/pause:3.9" # keep
    enable_selinux = false
    stream_server_port = "0"
    systemd_cgroup = false
    max_concurrent_downloads = 5
    [plugins."io.containerd.grpc.v1.cri".containerd]
      # zfs pool
      snapshotter = "zfs"
      default_runtime_name = "runc"
      [plugins."io.containerd.grpc.v1.cri".containerd.default_runtime]
        runtime_type = ""
        [plugins."io.containerd.grpc.v1.cri".containerd.default_runtime.options]
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        sandbox_mode = "podsandbox"
        snapshotter = "native"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
          SystemdCgroup = true
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/opt/cni/bin"
    # all registries
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.monitor.v1.cgroups"]
    no_prometheus = false
"#;

const V3: &str = r#"# site config, see runbook
version = 3
disabled_plugins = ["io.containerd.monitor.container.v1.restart"] # not needed
oom_score = -999

[grpc]
  address = "/run/containerd/containerd.sock"
  max_recv_message_size = 0
  # admins
  gid = 500

[debug]
  address = ""
  level = "info"

[plugins]
  [plugins."io.containerd.cri.v1.runtime"]
    enable_selinux = false
    [plugins."io.containerd.cri.v1.runtime".containerd]
      default_runtime_name = "runc"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        sandboxer = "podsandbox"
        snapshotter = "native"
        [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
          SystemdCgroup = true
    [plugins."io.containerd.cri.v1.runtime".cni]
      bin_dir = "/opt/cni/bin"
"#;

#[test]
fn version_2_becomes_3_with_its_comments() {
    let out = converted(V2, 3);
    assert!(out.starts_with(V3), "{out}");
    for line in [
        "    # mirrored\n",
        "sandbox = \"mirror.example/pause:3.9\" # keep\n",
        "# zfs pool\n",
        "snapshotter = \"zfs\"\n",
        "stream_server_port = \"0\"\n",
        "    # all registries\n    [plugins.\"io.containerd.cri.v1.images\".registry]\n      config_path = \"/etc/containerd/certs.d\"\n",
        "[plugins.\"io.containerd.cri.v1.images\".runtime_platforms.runc]\n",
        "  [plugins.\"io.containerd.monitor.task.v1.cgroups\"]\n",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(!out.contains("default_runtime]") && !out.contains("systemd_cgroup"), "{out}");
}

#[test]
fn sockets_become_plugins_in_version_4() {
    let out = converted(V2, 4);
    for line in [
        "[plugins.\"io.containerd.server.v1.grpc\"]\n  address = \"/run/containerd/containerd.sock\"\n  # admins\n  gid = 500\n",
        "[plugins.\"io.containerd.server.v1.ttrpc\"]\n",
        "address = \"/run/containerd/containerd.sock.ttrpc\"\n",
        "[debug]\n  level = \"info\"\n",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(!out.contains("max_recv"), "{out}");
    let tcp = converted("version = 3\n[grpc]\ntcp_address = \":1\"\nmax_send_message_size = 7\n", 4);
    assert_eq!(tcp.matches("max_send_message_size = 7").count(), 2, "{tcp}");
}

#[test]
fn version_1_goes_all_the_way() {
    let v1 = "disabled_plugins = [\"cri\", \"restart\"]\n\n[plugins.cri]\n  sandbox_image = \"p:1\"\n  [plugins.cri.containerd.runtimes.runc]\n    runtime_type = \"io.containerd.runc.v2\"\n[plugins.opt]\n  path = \"/opt/x\"\n";
    let out = converted(v1, 3);
    assert_eq!(
        out,
        "version = 3\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.monitor.container.v1.restart\"]\n\n[plugins.\"io.containerd.cri.v1.images\".pinned_images]\n  sandbox = \"p:1\"\n  [plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.runc]\n    runtime_type = \"io.containerd.runc.v2\"\n[plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"/opt/x\"\n"
    );
    assert!(converted(v1, 2).contains("[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"p:1\"\n"));
}

#[test]
fn inline_tables_and_dotted_keys_move_too() {
    let r1 = "\"io.containerd.grpc.v1.cri\"";
    for (before, part) in [
        (
            format!(
                "version = 2\n[plugins.{r1}.containerd]\nruntimes = {{ runc = {{ runtime_type = \"io.containerd.runc.v2\", options = {{ SystemdCgroup = true }} }} }}\n"
            ),
            "[plugins.\"io.containerd.cri.v1.runtime\".containerd]\nruntimes = { runc = {",
        ),
        (
            format!("version = 2\nplugins.{r1}.sandbox_image = 'p'\nplugins.{r1}.enable_selinux = true\n"),
            "plugins.\"io.containerd.cri.v1.images\".pinned_images.sandbox = 'p'\nplugins.\"io.containerd.cri.v1.runtime\".enable_selinux = true\n",
        ),
        (
            format!("version = 2\n[plugins]\n{r1}.cni.bin_dir = '/b'\n"),
            "[plugins]\n\"io.containerd.cri.v1.runtime\".cni.bin_dir = '/b'\n",
        ),
    ] {
        let out = converted(&before, 3);
        assert!(out.contains(part), "{out}");
    }
}

#[test]
fn what_would_be_lost_is_refused_with_its_line() {
    let r1 = "plugins.\"io.containerd.grpc.v1.cri\"";
    for (text, to, line, part) in [
        (format!("version = 2\n[{r1}.registry.configs.h.tls]\nca_file = \"/c\"\n"), 3, 3, "hosts.toml"),
        (format!("version = 2\n[{r1}]\n\nsystemd_cgroup = true\n"), 3, 4, "SystemdCgroup"),
        (format!("version = 2\n[{r1}.containerd.runtimes.x]\nruntime_engine = \"/e\"\n"), 4, 3, "BinaryName"),
        (
            format!("version = 2\n[plugins]\n{} = {{ sandbox_image = \"p\", enable_selinux = true }}\n", &r1[8..]),
            3,
            3,
            "inline",
        ),
        ("version = 2\n[plugins.'io.containerd.cri.v1.images']\n".to_owned(), 3, 2, "version 3"),
        // Two steps away, by the name and line of this file.
        ("[plugins.cri]\n\n\n  systemd_cgroup = true\n".to_owned(), 4, 4, "plugins.cri.systemd_cgroup would"),
        ("[plugins.cri]\ncontainerd = { no_pivot = true }\n".to_owned(), 3, 2, "plugins.cri.containerd.no_pivot"),
        ("[plugins.cri]\ncontainerd = { snapshotter = 's', default_runtime_name = 'r' }\n".to_owned(), 3, 2, "inline"),
        ("version = 3\n".to_owned(), 2, 1, "cannot become"),
        ("\n\nversion = 7\n".to_owned(), 4, 3, "not known"),
    ] {
        let error = ContainerdConfig::parse(&text).unwrap().converted(to).unwrap_err();
        assert_eq!(error.line, Some(line), "{text}: {error}");
        assert!(error.message.contains(part) && !error.message.starts_with("internal"), "{error}");
    }
}

fn section() -> impl Strategy<Value = String> {
    let r1 = "plugins.\"io.containerd.grpc.v1.cri\"";
    prop_oneof![
        Just(format!("# about CRI\n[{r1}]\n  # the pause\n  sandbox_image = 'p' # s\n  enable_selinux = true\n  stream_server_port = \"0\"\n")),
        Just(format!("[{r1}]\nmax_concurrent_downloads = 4\n")),
        Just(format!("  [{r1}.containerd]\n    snapshotter = \"overlayfs\"\n    # name\n    default_runtime_name = 'runc'\n    no_pivot = false\n")),
        ("[a-c]", any::<bool>()).prop_map(move |(name, own)| {
            let own = if own { "snapshotter = 'native'\n" } else { "" };
            format!("[{r1}.containerd.runtimes.{name}]\n  runtime_type = 'io.containerd.runc.v2'\n  {own}  runtime_root = ''\n  options = {{ SystemdCgroup = true }}\n\n")
        }),
        Just(format!("[{r1}.registry]\n  headers.X = [ '#', # c\n 'b' ]\n  [{r1}.registry.mirrors.\"docker.io\"]\n  endpoint = [\"\"\"\n[x]\"\"\"]\n")),
        Just("[grpc]\n  # socket\n  address = '/x'\n  uid = 0\n  tcp_address = ''\n".to_owned()),
        Just("[debug]\n  level = 'debug'\n  # who\n  address = '/d'\n".to_owned()),
        Just("[metrics]\n  address = \"127.0.0.1:1\"\n  grpc_histogram = false\n".to_owned()),
        Just("[plugins.'io.containerd.monitor.v1.cgroups']\n  no_prometheus = true\n".to_owned()),
        Just("[timeouts]\n  \"io.containerd.timeout.shim.load\" = \"5s\" # t\n".to_owned()),
        Just("[plugins.'io.containerd.runtime.v1.linux']\n  shim = \"containerd-shim\"\n  # old\n  no_shim = false\n".to_owned()),
    ]
}

proptest! {
    /// Each step proves by itself that the meaning stays; what is left to see is that none is refused, that comments
    /// and line ends stay, and that containerd's way in one go is castoff's way in steps.
    #[test]
    fn every_file_reaches_every_later_version(
        sections in proptest::collection::vec(section(), 0..8),
        windows in any::<bool>(),
        version in any::<bool>(),
    ) {
        let mut text = format!("disabled_plugins = []\n{}", sections.concat());
        if version { text = format!("version = 2\n{text}"); } else { text = text.replace("\"io.containerd.grpc.v1.cri\"", "cri").replace("'io.containerd.monitor.v1.cgroups'", "cgroups").replace("'io.containerd.runtime.v1.linux'", "linux"); }
        if windows { text = text.replace('\n', "\r\n"); }
        let Ok(config) = ContainerdConfig::parse(&text) else { return Ok(()) };
        let four = config.converted(4);
        prop_assert!(four.is_ok(), "{:?}\n{}", four, text);
        let mut stepped = text.clone();
        for to in 2..=4 {
            stepped = ContainerdConfig::parse(&stepped).unwrap().converted(to).unwrap();
            let comments = |text: &str| text.matches("# ").count();
            prop_assert!(comments(&stepped) >= comments(&text), "{}\n{}", text, stepped);
            if windows { prop_assert!(!stepped.replace("\r\n", "").contains('\n'), "{}", stepped); }
        }
        prop_assert_eq!(four.unwrap_or_default(), stepped);
    }
}
