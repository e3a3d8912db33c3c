//! Every flag of dockerd 20.10 to 29.
//!
//! Collected by hand from dockerd's sources, last tag of each release. A release in which an option came or went is
//! only given where a key of that name in `daemon.json` decides whether dockerd starts.

/// What a setting looks like in `daemon.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`; the flag needs no value.
    Switch,
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// A list of texts.
    List,
    /// An object of texts.
    Pairs,
    /// An object of switches.
    Features,
    /// `runtimes`.
    Runtimes,
    /// `default-ulimits`.
    Ulimits,
    /// `default-address-pools`.
    Pools,
    /// `default-network-opts`.
    NetworkOpts,
    /// One object with fields of several kinds.
    Fields,
}

/// Major and minor version.
type Release = (u32, u32);

/// One option of dockerd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// The flag without dashes.
    pub name: &'static str,
    /// Its short form.
    pub short: Option<char>,
    /// The key in `daemon.json`.
    pub key: &'static str,
    /// What the key holds.
    pub shape: Shape,
    /// The first release that knows it.
    pub since: Release,
    /// The first release that no longer knows it.
    pub until: Release,
}

const EVER: Release = (0, 0);
const STILL: Release = (u32::MAX, 0);

const fn option(
    name: &'static str,
    short: Option<char>,
    key: &'static str,
    shape: Shape,
    from: Release,
    to: Release,
) -> Opt {
    Opt { name, short, key, shape, since: from, until: to }
}

/// Every option, by name. `graph` is the old name of `data-root`.
pub const OPTIONS: &[Opt] = &[
    option("add-runtime", None, "runtimes", Shape::Runtimes, EVER, STILL),
    option("allow-direct-routing", None, "allow-direct-routing", Shape::Switch, (28, 0), STILL),
    option("allow-nondistributable-artifacts", None, "allow-nondistributable-artifacts", Shape::List, EVER, (28, 2)),
    option("api-cors-header", None, "api-cors-header", Shape::Text, EVER, (29, 0)),
    option("authorization-plugin", None, "authorization-plugins", Shape::List, EVER, STILL),
    option("bip", None, "bip", Shape::Text, EVER, STILL),
    option("bip6", None, "bip6", Shape::Text, (27, 5), STILL),
    option("bridge", Some('b'), "bridge", Shape::Text, EVER, STILL),
    option("bridge-accept-fwmark", None, "bridge-accept-fwmark", Shape::Text, (29, 0), STILL),
    option("cdi-spec-dir", None, "cdi-spec-dirs", Shape::List, (25, 0), STILL),
    option("cgroup-parent", None, "cgroup-parent", Shape::Text, EVER, STILL),
    option("cluster-advertise", None, "cluster-advertise", Shape::Text, EVER, (24, 0)),
    option("cluster-store", None, "cluster-store", Shape::Text, EVER, (24, 0)),
    option("cluster-store-opt", None, "cluster-store-opts", Shape::Pairs, EVER, (24, 0)),
    option("config-file", None, "config-file", Shape::Text, EVER, STILL),
    option("containerd", None, "containerd", Shape::Text, EVER, STILL),
    option("containerd-namespace", None, "containerd-namespace", Shape::Text, EVER, STILL),
    option("containerd-plugins-namespace", None, "containerd-plugins-namespace", Shape::Text, EVER, STILL),
    option("cpu-rt-period", None, "cpu-rt-period", Shape::Number, EVER, STILL),
    option("cpu-rt-runtime", None, "cpu-rt-runtime", Shape::Number, EVER, STILL),
    option("cri-containerd", None, "cri-containerd", Shape::Switch, EVER, STILL),
    option("data-root", None, "data-root", Shape::Text, EVER, STILL),
    option("debug", Some('D'), "debug", Shape::Switch, EVER, STILL),
    option("default-address-pool", None, "default-address-pools", Shape::Pools, EVER, STILL),
    option("default-cgroupns-mode", None, "default-cgroupns-mode", Shape::Text, (20, 10), STILL),
    option("default-gateway", None, "default-gateway", Shape::Text, EVER, STILL),
    option("default-gateway-v6", None, "default-gateway-v6", Shape::Text, EVER, STILL),
    option("default-ipc-mode", None, "default-ipc-mode", Shape::Text, EVER, STILL),
    option("default-network-opt", None, "default-network-opts", Shape::NetworkOpts, (24, 0), STILL),
    option("default-runtime", None, "default-runtime", Shape::Text, EVER, STILL),
    option("default-shm-size", None, "default-shm-size", Shape::Text, EVER, STILL),
    option("default-stop-timeout", None, "default-stop-timeout", Shape::Number, (29, 0), STILL),
    option("default-ulimit", None, "default-ulimits", Shape::Ulimits, EVER, STILL),
    option("dns", None, "dns", Shape::List, EVER, STILL),
    option("dns-opt", None, "dns-opts", Shape::List, EVER, STILL),
    option("dns-search", None, "dns-search", Shape::List, EVER, STILL),
    option("exec-opt", None, "exec-opts", Shape::List, EVER, STILL),
    option("exec-root", None, "exec-root", Shape::Text, EVER, STILL),
    option("experimental", None, "experimental", Shape::Switch, EVER, STILL),
    option("feature", None, "features", Shape::Features, EVER, STILL),
    option("firewall-backend", None, "firewall-backend", Shape::Text, (29, 0), STILL),
    option("fixed-cidr", None, "fixed-cidr", Shape::Text, EVER, STILL),
    option("fixed-cidr-v6", None, "fixed-cidr-v6", Shape::Text, EVER, STILL),
    option("graph", Some('g'), "data-root", Shape::Text, EVER, (24, 0)),
    option("group", Some('G'), "group", Shape::Text, EVER, STILL),
    option("help", None, "help", Shape::Switch, EVER, STILL),
    option("host", Some('H'), "hosts", Shape::List, EVER, STILL),
    option("host-gateway-ip", None, "host-gateway-ips", Shape::List, EVER, STILL),
    option("http-proxy", None, "http-proxy", Shape::Text, (23, 0), STILL),
    option("https-proxy", None, "https-proxy", Shape::Text, (23, 0), STILL),
    option("icc", None, "icc", Shape::Switch, EVER, STILL),
    option("init", None, "init", Shape::Switch, EVER, STILL),
    option("init-path", None, "init-path", Shape::Text, EVER, STILL),
    option("insecure-registry", None, "insecure-registries", Shape::List, EVER, STILL),
    option("ip", None, "ip", Shape::Text, EVER, STILL),
    option("ip-forward", None, "ip-forward", Shape::Switch, EVER, STILL),
    option("ip-forward-no-drop", None, "ip-forward-no-drop", Shape::Switch, (28, 0), STILL),
    option("ip-masq", None, "ip-masq", Shape::Switch, EVER, STILL),
    option("ip6tables", None, "ip6tables", Shape::Switch, (20, 10), STILL),
    option("iptables", None, "iptables", Shape::Switch, EVER, STILL),
    option("ipv6", None, "ipv6", Shape::Switch, EVER, STILL),
    option("label", None, "labels", Shape::List, EVER, STILL),
    option("live-restore", None, "live-restore", Shape::Switch, EVER, STILL),
    option("log-driver", None, "log-driver", Shape::Text, EVER, STILL),
    option("log-format", None, "log-format", Shape::Text, (25, 0), STILL),
    option("log-level", Some('l'), "log-level", Shape::Text, EVER, STILL),
    option("log-opt", None, "log-opts", Shape::Pairs, EVER, STILL),
    option("max-concurrent-downloads", None, "max-concurrent-downloads", Shape::Number, EVER, STILL),
    option("max-concurrent-uploads", None, "max-concurrent-uploads", Shape::Number, EVER, STILL),
    option("max-download-attempts", None, "max-download-attempts", Shape::Number, (20, 10), STILL),
    option("metrics-addr", None, "metrics-addr", Shape::Text, EVER, STILL),
    option("min-api-version", None, "min-api-version", Shape::Text, (29, 0), STILL),
    option("mtu", None, "mtu", Shape::Number, EVER, STILL),
    option("network-control-plane-mtu", None, "network-control-plane-mtu", Shape::Number, EVER, STILL),
    option("network-diagnostic-port", None, "network-diagnostic-port", Shape::Number, EVER, STILL),
    option("no-new-privileges", None, "no-new-privileges", Shape::Switch, EVER, STILL),
    option("no-proxy", None, "no-proxy", Shape::Text, (23, 0), STILL),
    option("node-generic-resource", None, "node-generic-resources", Shape::List, EVER, STILL),
    option("nri-opts", None, "nri-opts", Shape::Fields, (29, 0), STILL),
    option("oom-score-adjust", None, "oom-score-adjust", Shape::Number, EVER, (26, 0)),
    option("pidfile", Some('p'), "pidfile", Shape::Text, EVER, STILL),
    option("raw-logs", None, "raw-logs", Shape::Switch, EVER, STILL),
    option("registry-mirror", None, "registry-mirrors", Shape::List, EVER, STILL),
    option("restart", Some('r'), "restart", Shape::Switch, EVER, STILL),
    option("rootless", None, "rootless", Shape::Switch, EVER, STILL),
    option("seccomp-profile", None, "seccomp-profile", Shape::Text, EVER, STILL),
    option("selinux-enabled", None, "selinux-enabled", Shape::Switch, EVER, STILL),
    option("shutdown-timeout", None, "shutdown-timeout", Shape::Number, EVER, STILL),
    option("storage-driver", Some('s'), "storage-driver", Shape::Text, EVER, STILL),
    option("storage-opt", None, "storage-opts", Shape::List, EVER, STILL),
    option("swarm-default-advertise-addr", None, "swarm-default-advertise-addr", Shape::Text, EVER, STILL),
    option("tls", None, "tls", Shape::Switch, EVER, STILL),
    option("tlscacert", None, "tlscacert", Shape::Text, EVER, STILL),
    option("tlscert", None, "tlscert", Shape::Text, EVER, STILL),
    option("tlskey", None, "tlskey", Shape::Text, EVER, STILL),
    option("tlsverify", None, "tlsverify", Shape::Switch, EVER, STILL),
    option("userland-proxy", None, "userland-proxy", Shape::Switch, EVER, STILL),
    option("userland-proxy-path", None, "userland-proxy-path", Shape::Text, EVER, STILL),
    option("userns-remap", None, "userns-remap", Shape::Text, EVER, STILL),
    option("validate", None, "validate", Shape::Switch, EVER, STILL),
    option("version", Some('v'), "version", Shape::Switch, EVER, STILL),
];

/// The option of a flag.
pub fn by_name(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// The option of a key of `daemon.json`. Its old names count as well.
pub fn by_key(key: &str) -> Option<&'static Opt> {
    // Not keys of the file: they say what dockerd is to do, or where the file is.
    if matches!(key, "config-file" | "help" | "restart" | "validate" | "version") {
        return None;
    }
    let old = || OPTIONS.iter().find(|option| matches!(key, "graph" | "host-gateway-ip") && option.name == key);
    old().or_else(|| OPTIONS.iter().find(|option| option.key == key))
}
