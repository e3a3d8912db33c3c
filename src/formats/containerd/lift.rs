//! Where a setting of one schema stands in the next one.
//!
//! One table for everybody: reading a node's effective configuration, converting a file, and proving that a converted
//! file says what it said before. Schema 4 is the neutral form in which configurations are compared.

use super::schema::{self, CRI, CRI_IMAGES, CRI_RUNTIME, LEGACY_LINUX, NEWEST};
use super::tree::{Data, Node};

/// What becomes of a setting in the next schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays where it is.
    Stays,
    /// It moves.
    To(Vec<String>),
    /// There is no place for it. Nothing is lost when it is empty or holds one of these values.
    Gone(&'static str, &'static [&'static str]),
    /// It moves, but empty it said nothing before and would mean something there.
    UnlessEmpty(Vec<String>),
}

/// Image settings that stood directly in the CRI table.
const IMAGE_KEYS: [&str; 6] = [
    "registry",
    "image_decryption",
    "max_concurrent_downloads",
    "image_pull_progress_timeout",
    "image_pull_with_sync_fs",
    "stats_collect_period",
];

/// Image settings that stood in the CRI table's `containerd`.
const IMAGE_KEYS_OF_CONTAINERD: [&str; 3] = ["snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers"];

/// Plugins that have another name since containerd 2.0.
const RENAMED: [(&str, &str); 2] = [
    ("io.containerd.monitor.v1.cgroups", "io.containerd.monitor.task.v1.cgroups"),
    ("io.containerd.internal.v1.restart", "io.containerd.monitor.container.v1.restart"),
];

pub(super) const SERVER_GRPC: &str = "io.containerd.server.v1.grpc";
const SERVER_TCP: &str = "io.containerd.server.v1.grpc-tcp";
pub(super) const SERVER_TTRPC: &str = "io.containerd.server.v1.ttrpc";
const SERVER_DEBUG: &str = "io.containerd.server.v1.debug";
const SERVER_METRICS: &str = "io.containerd.server.v1.metrics";
const PROMETHEUS: &str = "io.containerd.metrics.v1.grpc-prometheus";

/// The name of a plugin in the next schema, as it is written in tables and in `disabled_plugins`.
pub(super) fn plugin_name(from: u32, name: &str) -> String {
    match from {
        0 | 1 => schema::full_name(name),
        2 => RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| *new).to_owned(),
        _ => name.to_owned(),
    }
}

fn to(base: &[&str], rest: &[&str]) -> Vec<String> {
    base.iter().chain(rest).map(|part| (*part).to_owned()).collect()
}

/// What becomes of the setting at `path` of schema `from` in schema `from + 1`.
pub(super) fn fate(from: u32, path: &[&str]) -> Fate {
    match (from, path) {
        (1, ["plugins", plugin, rest @ ..]) if !plugin.contains('.') => {
            Fate::To(to(&["plugins", &schema::full_name(plugin)], rest))
        }
        (2, ["plugins", CRI, rest @ ..]) => cri(rest),
        (2, ["plugins", LEGACY_LINUX, ..]) => {
            Fate::Gone("containerd 2.0 has no runtime v1", &["containerd-shim", "runc", "containerd-shim-runc-v1"])
        }
        (2, ["plugins", "io.containerd.runtime.v2.task", "sched_core"]) => {
            Fate::Gone("it became `env = [\"SCHED_CORE=1\"]` of io.containerd.shim.v1.manager", &[])
        }
        (2, ["plugins", plugin, rest @ ..]) => match RENAMED.iter().find(|(old, _)| old == plugin) {
            Some((_, new)) => Fate::To(to(&["plugins", new], rest)),
            None => Fate::Stays,
        },
        (3, path) => server(path),
        _ => Fate::Stays,
    }
}

fn cri(rest: &[&str]) -> Fate {
    let runtime = || Fate::To(to(&["plugins", CRI_RUNTIME], rest));
    match rest {
        [key, ..] if schema::is_server_key(key) => Fate::Stays,
        ["sandbox_image"] => Fate::To(to(&["plugins", CRI_IMAGES, "pinned_images", "sandbox"], &[])),
        ["registry", "configs", _, "tls", ..] => {
            Fate::Gone("containerd 2.0 reads a registry's TLS settings from hosts.toml alone", &[])
        }
        [key, ..] if IMAGE_KEYS.contains(key) => Fate::To(to(&["plugins", CRI_IMAGES], rest)),
        ["containerd", key, ..] if IMAGE_KEYS_OF_CONTAINERD.contains(key) => {
            Fate::To(to(&["plugins", CRI_IMAGES], rest.get(1..).unwrap_or_default()))
        }
        ["systemd_cgroup"] => Fate::Gone("runc v2 takes `SystemdCgroup` from each handler's options", &[]),
        ["disable_cgroup"] => Fate::Gone("containerd 2.0 has no such setting", &[]),
        ["containerd", "no_pivot"] => Fate::Gone("runc v2 takes `NoPivotRoot` from each handler's options", &[]),
        ["containerd", "default_runtime" | "untrusted_workload_runtime", ..] => {
            Fate::Gone("containerd 2.0 knows the map `runtimes` and `default_runtime_name` alone", &[])
        }
        ["containerd", "runtimes", _, "runtime_engine"] => {
            Fate::Gone("runc v2 takes `BinaryName` from the handler's options", &[])
        }
        ["containerd", "runtimes", _, "runtime_root"] => {
            Fate::Gone("runc v2 takes `Root` from the handler's options", &[])
        }
        ["containerd", "runtimes", name, "sandbox_mode"] => {
            Fate::To(to(&["plugins", CRI_RUNTIME, "containerd", "runtimes", name, "sandboxer"], &[]))
        }
        _ => runtime(),
    }
}

/// Sockets became plugins in schema 4.
fn server(path: &[&str]) -> Fate {
    let plugin = |name: &str, key: &str| Fate::UnlessEmpty(to(&["plugins", name, key], &[]));
    // Zero is a user id like any other.
    let owner = |name: &str, key: &str| Fate::To(to(&["plugins", name, key], &[]));
    match path {
        ["grpc", key @ ("uid" | "gid")] => owner(SERVER_GRPC, key),
        ["ttrpc", key @ ("uid" | "gid")] => owner(SERVER_TTRPC, key),
        ["debug", key @ ("uid" | "gid")] => owner(SERVER_DEBUG, key),
        ["grpc", key @ ("max_recv_message_size" | "max_send_message_size")] => plugin(SERVER_GRPC, key),
        ["grpc"] => Fate::To(to(&["plugins", SERVER_GRPC], &[])),
        ["ttrpc"] => Fate::To(to(&["plugins", SERVER_TTRPC], &[])),
        ["metrics"] => Fate::To(to(&["plugins", SERVER_METRICS], &[])),
        ["grpc", "address"] => plugin(SERVER_GRPC, "address"),
        ["grpc", "tcp_address"] => plugin(SERVER_TCP, "address"),
        ["grpc", "tcp_tls_ca"] => plugin(SERVER_TCP, "tls_ca"),
        ["grpc", "tcp_tls_cert"] => plugin(SERVER_TCP, "tls_cert"),
        ["grpc", "tcp_tls_key"] => plugin(SERVER_TCP, "tls_key"),
        ["grpc", "tcp_tls_common_name"] => plugin(SERVER_TCP, "tls_common_name"),
        ["ttrpc", "address"] => plugin(SERVER_TTRPC, "address"),
        ["debug", "address"] => plugin(SERVER_DEBUG, "address"),
        ["metrics", "address"] => plugin(SERVER_METRICS, "address"),
        ["metrics", "grpc_histogram"] => plugin(PROMETHEUS, "grpc_histogram"),
        _ => Fate::Stays,
    }
}

/// A second place where the next schema wants to read the same.
pub(super) fn also(tree: &Node, from: u32, path: &[&str]) -> Option<Vec<String>> {
    let second = match (from, path) {
        (2, ["plugins", CRI, "containerd", "runtimes", name, "snapshotter"]) => {
            to(&["plugins", CRI_IMAGES, "runtime_platforms", name, "snapshotter"], &[])
        }
        // One pair of limits was for both sockets.
        (3, ["grpc", key @ ("max_recv_message_size" | "max_send_message_size")])
            if tree.get(&["grpc", "tcp_address"]).is_some_and(|address| !address.is_zero()) =>
        {
            to(&["plugins", SERVER_TCP, key], &[])
        }
        _ => return None,
    };
    (!tree.get(path)?.is_zero()).then_some(second)
}

/// A setting that the next schema has no place for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gone {
    pub path: Vec<String>,
    pub why: &'static str,
    pub node: Node,
    /// Whether something is lost with it.
    pub matters: bool,
}

/// Whether nothing is lost with a setting that has no place any more.
pub(super) fn says_nothing(node: &Node, harmless: &[&str]) -> bool {
    node.is_zero() || node.text().is_some_and(|text| harmless.contains(&text))
}

/// The tree in schema `from + 1`.
pub(super) fn step(tree: &Node, from: u32, gone: &mut Vec<Gone>) -> Node {
    let mut out = Node { file: tree.file, line: tree.line, ..Node::empty() };
    let mut moved: Vec<(Vec<String>, Node)> = Vec::new();
    for (path, node) in tree.leaves() {
        moved.extend(also(tree, from, &path).map(|other| (other, node.clone())));
        match fate(from, &path) {
            Fate::Stays => {
                out.put(&path, renamed_list(from, &path, node));
            }
            Fate::To(new) => moved.push((new, node.clone())),
            Fate::UnlessEmpty(new) if !node.is_zero() => moved.push((new, node.clone())),
            Fate::UnlessEmpty(_) => {}
            Fate::Gone(why, harmless) => {
                let matters = !says_nothing(node, harmless);
                let path = path.iter().map(|part| (*part).to_owned()).collect();
                gone.push(Gone { path, why, node: node.clone(), matters });
            }
        }
    }
    // What stood in the new place already wins, as it does in containerd's own migration.
    for (path, node) in moved {
        out.put(&path, node);
    }
    if from == 3 {
        derive_ttrpc(tree, &mut out);
    }
    out
}

/// Up to schema 3 the address for shims followed from that of the main socket.
fn derive_ttrpc(tree: &Node, out: &mut Node) {
    let Some(address) = tree.get(&["grpc", "address"]).filter(|node| !node.is_zero()) else { return };
    if tree.get(&["ttrpc", "address"]).is_some_and(|node| !node.is_zero()) {
        return;
    }
    let Some(text) = address.text() else { return };
    let derived = Node { data: Data::Text(format!("{text}.ttrpc")), ..address.clone() };
    out.put(&["plugins", SERVER_TTRPC, "address"], derived);
    for key in ["uid", "gid"] {
        if let Some(node) = tree.get(&["grpc", key])
            && tree.get(&["ttrpc", key]).is_none_or(Node::is_zero)
        {
            out.take(&["plugins", SERVER_TTRPC, key]);
            out.put(&["plugins", SERVER_TTRPC, key], node.clone());
        }
    }
}

/// Lists of plugins follow the plugins' names.
fn renamed_list(from: u32, path: &[&str], node: &Node) -> Node {
    if !matches!(path, ["disabled_plugins" | "required_plugins"]) {
        return node.clone();
    }
    let Some(items) = node.list() else { return node.clone() };
    let rename = |item: &Node| match item.text() {
        Some(name) => Node { data: Data::Text(plugin_name(from, name)), ..item.clone() },
        None => item.clone(),
    };
    Node { data: Data::List(items.iter().map(rename).collect()), ..node.clone() }
}

/// The tree in the neutral form, and what found no place on the way.
pub(super) fn lift(tree: &Node, schema: u32) -> (Node, Vec<Gone>) {
    let mut gone = Vec::new();
    let mut tree = tree.clone();
    tree.take(&["version"]);
    for from in schema.max(1)..NEWEST {
        tree = step(&tree, from, &mut gone);
    }
    (tree, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifted(text: &str, schema: u32) -> (Node, Vec<Gone>) {
        lift(&Node::of_toml(&toml::Value::Table(toml::from_str(text).unwrap())), schema)
    }

    #[test]
    fn the_same_settings_in_every_schema_are_the_same() {
        let v1 = "disabled_plugins = ['zfs', 'restart']\n[grpc]\naddress = '/r.sock'\ngid = 5\n[plugins.cri]\nsandbox_image = 'p'\nenable_selinux = true\nstream_server_port = '1'\nmax_concurrent_downloads = 9\n[plugins.cri.cni]\nbin_dir = '/b'\n[plugins.cri.containerd]\nsnapshotter = 's'\n[plugins.cri.containerd.runtimes.k]\nruntime_type = 't'\nsandbox_mode = 'shim'\nsnapshotter = 'n'\n[plugins.cri.registry.mirrors.x]\nendpoint = ['e']\n[plugins.cgroups]\nno_prometheus = true\n";
        let v2 = v1
            .replace("plugins.cri", "plugins.'io.containerd.grpc.v1.cri'")
            .replace("'zfs', 'restart'", "'io.containerd.snapshotter.v1.zfs', 'io.containerd.internal.v1.restart'")
            .replace("plugins.cgroups", "plugins.'io.containerd.monitor.v1.cgroups'");
        let v3 = "disabled_plugins = ['io.containerd.snapshotter.v1.zfs', 'io.containerd.monitor.container.v1.restart']\n[grpc]\naddress = '/r.sock'\ngid = 5\n[plugins.'io.containerd.grpc.v1.cri']\nstream_server_port = '1'\n[plugins.'io.containerd.cri.v1.runtime']\nenable_selinux = true\ncni.bin_dir = '/b'\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.k]\nruntime_type = 't'\nsandboxer = 'shim'\nsnapshotter = 'n'\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 's'\nmax_concurrent_downloads = 9\npinned_images.sandbox = 'p'\nregistry.mirrors.x.endpoint = ['e']\nruntime_platforms.k.snapshotter = 'n'\n[plugins.'io.containerd.monitor.task.v1.cgroups']\nno_prometheus = true\n";
        let v4 = v3.replace("[grpc]\naddress = '/r.sock'\ngid = 5\n", "[plugins.'io.containerd.server.v1.grpc']\naddress = '/r.sock'\ngid = 5\n[plugins.'io.containerd.server.v1.ttrpc']\naddress = '/r.sock.ttrpc'\ngid = 5\n");
        let (neutral, gone) = lifted(&v4, 4);
        assert_eq!(gone, []);
        for (text, schema) in [(v1, 1), (v2.as_str(), 2), (v3, 3)] {
            let (tree, gone) = lifted(text, schema);
            assert_eq!(gone, []);
            assert_eq!(tree.difference(&neutral), None, "{schema}: {tree:#?}");
            assert!(tree.says_the_same(&neutral));
        }
    }

    #[test]
    fn what_has_no_place_any_more_is_named() {
        let text = "[plugins.'io.containerd.grpc.v1.cri']\nsystemd_cgroup = false\ndisable_cgroup = true\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.h.tls]\nca_file = '/c'\n[plugins.'io.containerd.runtime.v1.linux']\nshim = 'containerd-shim'\nno_shim = false\n";
        let (_, gone) = lifted(text, 2);
        let names: Vec<_> = gone.iter().map(|gone| (gone.path.last().unwrap().as_str(), gone.matters)).collect();
        assert_eq!(
            names,
            [
                ("disable_cgroup", true),
                ("ca_file", true),
                ("systemd_cgroup", false),
                ("no_shim", false),
                ("shim", false)
            ]
        );
    }

    #[test]
    fn empty_addresses_say_nothing() {
        let (tree, _) = lifted(
            "[debug]\naddress = ''\nlevel = 'debug'\n[metrics]\naddress = ''\ngrpc_histogram = false\n[ttrpc]\naddress = ''\n",
            3,
        );
        let (wanted, _) = lifted("[debug]\nlevel = 'debug'\n", 4);
        assert!(tree.says_the_same(&wanted), "{tree:?}");
    }
}
