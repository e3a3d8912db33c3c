//! What a joined configuration says, each value with the file and line that decides.

use super::super::lift::SERVER_GRPC;
use super::super::schema::{CRI, CRI_SPELLINGS};
use super::{Effective, Handler, Node};
use crate::formats::containerd::{Literal, Place, Setting};
use crate::model::{Origin, Sourced};

impl Effective {
    /// `disabled_plugins` of all files.
    pub fn disabled_plugins(&self) -> Vec<Sourced<String>> {
        self.sourced(&self.disabled)
    }

    /// `required_plugins` of all files.
    pub fn required_plugins(&self) -> Vec<Sourced<String>> {
        self.sourced(&self.required)
    }

    /// The entries that keep this containerd from serving CRI. A bare `cri` beside a version of 2 or later keeps
    /// containerd itself from starting.
    pub fn cri_disabled_by(&self) -> Vec<Sourced<String>> {
        let bites = |name: &str| match (self.release.merges_plugins(), self.schema) {
            (false, 1) => name == "cri",
            (false, _) => name == "cri" || name == CRI,
            (true, _) => CRI_SPELLINGS.contains(&name),
        };
        self.disabled_plugins().into_iter().filter(|entry| bites(&entry.value)).collect()
    }

    /// Persistent data.
    pub fn root(&self) -> Option<Sourced<String>> {
        self.text(&["root"])
    }

    /// Sockets and task state.
    pub fn state(&self) -> Option<Sourced<String>> {
        self.text(&["state"])
    }

    /// The address containerd serves on.
    pub fn grpc_address(&self) -> Option<Sourced<String>> {
        self.text(&["plugins", SERVER_GRPC, "address"])
    }

    /// The runtime handlers by name. Without any, containerd has one, `runc`, with the cgroupfs driver.
    pub fn handlers(&self) -> Vec<Handler> {
        let base = Self::places().runtimes();
        let map = self.neutral.get(&base).and_then(Node::table);
        map.into_iter().flatten().map(|(name, node)| self.handler(&base, name, node)).collect()
    }

    /// A table made of several files stands where its first line is.
    fn first_origin(&self, node: &Node) -> Origin {
        let first = node.leaves().into_iter().map(|(_, leaf)| leaf).min_by_key(|leaf| (leaf.file, leaf.line));
        self.origin(first.unwrap_or(node))
    }

    fn handler(&self, base: &[&str], name: &str, node: &Node) -> Handler {
        let at = |rest: &[&'static str]| -> Vec<&str> {
            base.iter().copied().chain([name]).chain(rest.iter().copied()).collect()
        };
        let bool = |path: Vec<&str>| {
            let node = self.neutral.get(&path)?;
            Some(Sourced::new(node.bool()?, self.origin(node)))
        };
        Handler {
            name: name.to_owned(),
            origin: self.first_origin(node),
            runtime_type: self.text(&at(&["runtime_type"])),
            binary_name: self.text(&at(&["options", "BinaryName"])),
            systemd_cgroup: bool(at(&["options", "SystemdCgroup"])),
            snapshotter: self.text(&at(&["snapshotter"])),
        }
    }

    /// The handler that pods without a RuntimeClass get, where a file names it.
    pub fn default_runtime(&self) -> Option<Sourced<String>> {
        self.text(&Self::places().runtime(&["containerd", "default_runtime_name"]))
            .filter(|name| !name.value.is_empty())
    }

    /// The sandbox (pause) image.
    pub fn sandbox_image(&self) -> Option<Sourced<String>> {
        self.text(&Self::places().sandbox_image())
    }

    /// The default snapshotter.
    pub fn snapshotter(&self) -> Option<Sourced<String>> {
        self.text(&Self::places().snapshotter())
    }

    /// The default snapshotter of a table that this release does not read as the file is, and would once the file has another
    /// schema, or runtimes: what a plan does.
    pub fn unread_snapshotter(&self) -> Option<Sourced<String>> {
        let found = self.foreign.iter().find_map(|(path, node)| {
            node.leaves().into_iter().find_map(|(below, leaf)| {
                let path: Vec<&str> = path.iter().map(String::as_str).chain(below).collect();
                let is_default = path.last() == Some(&"snapshotter") && !path.contains(&"runtimes");
                leaf.text().filter(|name| is_default && !name.is_empty()).map(|name| (name, leaf))
            })
        });
        found.map(|(name, leaf)| Sourced::new(name.to_owned(), self.origin(leaf)))
    }

    /// Where the snapshotter `overlayfs` keeps layers, when that is not below containerd's root.
    pub fn overlayfs_root(&self) -> Option<Sourced<String>> {
        let root = self.text(&["plugins", "io.containerd.snapshotter.v1.overlayfs", "root_path"]);
        root.filter(|root| !root.value.is_empty())
    }

    /// Directories of CNI plugins.
    pub fn cni_bin_dirs(&self) -> Vec<Sourced<String>> {
        let mut dirs = self.texts(&Self::places().runtime(&["cni", "bin_dirs"]));
        let single = self.text(&Self::places().runtime(&["cni", "bin_dir"]));
        dirs.extend(single.filter(|dir| !dir.value.is_empty()));
        dirs
    }

    /// Directory of CNI configurations.
    pub fn cni_conf_dir(&self) -> Option<Sourced<String>> {
        self.text(&Self::places().runtime(&["cni", "conf_dir"]))
    }

    /// `registry.config_path`, where it is not empty.
    pub fn registry_config_path(&self) -> Option<Sourced<String>> {
        self.text(&Self::places().images(&["registry", "config_path"])).filter(|path| !path.value.is_empty())
    }

    /// Whether images are pulled as before containerd 2.1, by CRI itself and not by the transfer service.
    pub fn local_image_pull(&self) -> bool {
        self.neutral.get(&Self::places().images(&["use_local_image_pull"])).and_then(Node::bool).unwrap_or_default()
    }

    /// The hosts under `registry.mirrors`, `registry.configs` and `registry.auths`, with the name of the table.
    pub fn registry_tables(&self) -> Vec<(String, Sourced<String>)> {
        let mut out: Vec<(String, Sourced<String>)> = Vec::new();
        for table in ["mirrors", "configs", "auths"] {
            let hosts = self.neutral.get(&Self::places().images(&["registry", table])).and_then(Node::table);
            for (host, node) in hosts.into_iter().flatten() {
                out.push((table.to_owned(), Sourced::new(host.clone(), self.origin(node))));
            }
        }
        for gone in &self.gone {
            if let [_, _, registry, configs, host, ..] = &gone.path[..]
                && registry == "registry"
                && !out.iter().any(|(table, known)| table == configs && known.value == *host)
            {
                out.push((configs.clone(), Sourced::new(host.clone(), self.origin(&gone.node))));
            }
        }
        out
    }

    /// `proxy_plugins` by name: the type of each, where it has one.
    pub fn proxy_plugins(&self) -> Vec<(String, Option<String>, Origin)> {
        let plugins = self.neutral.get(&["proxy_plugins"]).and_then(Node::table);
        let one = |(name, node): (&String, &Node)| {
            let kind = node.get(&["type"]).and_then(Node::text).map(str::to_owned);
            (name.clone(), kind, self.origin(node))
        };
        plugins.into_iter().flatten().map(one).collect()
    }

    /// What a file made anew must take over: directories, the socket, the snapshotter, the runtimes with all their
    /// settings, and where registries are configured.
    pub fn essentials(&self) -> Vec<Setting> {
        let mut out = Vec::new();
        let mut add = |place: Place, value: Option<Sourced<String>>| {
            out.extend(value.map(|value| Setting { place, value: Some(Literal::Text(value.value)) }));
        };
        let names = |path: &[&str]| path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        add(Place::Top(names(&["root"])), self.root());
        add(Place::Top(names(&["state"])), self.state());
        add(Place::Top(names(&["grpc", "address"])), self.grpc_address());
        add(Place::Snapshotter, self.snapshotter());
        add(Place::Runtime(names(&["containerd", "default_runtime_name"])), self.default_runtime());
        add(Place::Images(names(&["registry", "config_path"])), self.registry_config_path());
        for (name, handler) in self.neutral.get(&Self::places().runtimes()).and_then(Node::table).into_iter().flatten()
        {
            for (path, node) in handler.leaves() {
                // Two names for one thing: the shim that every release has needs neither.
                if let (Some(value), false) = (literal(node), path == ["sandboxer"]) {
                    let place = Place::Handler(name.clone(), names(&path));
                    out.push(Setting { place, value: Some(value) });
                }
            }
        }
        out.retain(|setting| !matches!(&setting.place, Place::Handler(_, path) if path.last().is_some_and(|key| key == "SystemdCgroup")));
        out
    }
}

fn literal(node: &Node) -> Option<Literal> {
    let texts = |items: &[Node]| items.iter().map(|item| item.text().map(str::to_owned)).collect::<Option<Vec<_>>>();
    let number = || node.integer().and_then(|number| u32::try_from(number).ok()).map(Literal::Integer);
    node.bool()
        .map(Literal::Bool)
        .or_else(number)
        .or_else(|| node.text().map(|text| Literal::Text(text.to_owned())))
        .or_else(|| node.list().and_then(texts).map(Literal::List))
}
