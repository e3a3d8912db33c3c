//! Everything castoff saw on a node: the `Facts` document of `castoff inspect -o json`.

mod assumptions;
mod containerd;
mod control_plane;
mod disk;
mod docker;
mod host_state;
mod kubelet;
mod member;
mod node;
mod registry;
mod surroundings;
mod traits;
mod users;

pub use assumptions::Assumptions;
pub use containerd::{ContainerdFacts, HandlerFacts};
pub use control_plane::{EtcdFacts, EtcdHealth};
pub use disk::{DiskFacts, DiskUse};
pub use docker::{
    CredentialFile, DockerContainer, DockerDrift, DockerFacts, DockerImage, DockerProblem, DockerSetting, ProblemKind,
};
pub use host_state::{CrioFacts, HostState, PackageFacts};
pub use kubelet::{KubeletFacts, KubeletFlag, KubeletSetting, StaticPod, UnitNeed, UnitUse};
pub use member::{KubeletMap, MemberFacts, MemberPod, Membership, OtherNodes, PodKind};
pub use node::{CgroupFacts, CniFacts, Dependent, FileFacts, NodeFacts, PodFacts, UnitFacts, Unseen};
pub use registry::{RegistryConfig, RegistryDir, RegistryFacts, RegistryMirror, RegistryTls};
pub use surroundings::{ClusterFacts, KernelSwitch, ServiceFacts, Surroundings};
pub use users::{DockerUser, Tie, UserKind};

use crate::model::{CNI_BIN_DIRS, CNI_CONF_DIR, DOCKER_UNITS, Finding, RuntimeKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything castoff saw on a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// [`crate::model::API_VERSION`].
    pub api_version: String,
    /// `Facts`.
    pub kind: String,
    /// castoff's version.
    pub tool: String,
    /// True when a running system was looked at, false for a file tree.
    pub live: bool,
    /// The machine.
    pub node: NodeFacts,
    /// Its cgroups.
    pub cgroup: CgroupFacts,
    /// Docker.
    pub docker: DockerFacts,
    /// containerd.
    pub containerd: ContainerdFacts,
    /// Registries.
    #[serde(default)]
    pub registry: RegistryFacts,
    /// CRI-O.
    #[serde(default)]
    pub crio: CrioFacts,
    /// kubelet.
    pub kubelet: KubeletFacts,
    /// CNI.
    pub cni: CniFacts,
    /// What containers got from around Docker.
    #[serde(default)]
    pub surroundings: Surroundings,
    /// Running pods.
    pub pods: Vec<PodFacts>,
    /// Its cluster.
    #[serde(default, skip_serializing_if = "Membership::is_unasked")]
    pub cluster: Membership,
    /// etcd, on a control plane node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdFacts>,
    /// Who else uses Docker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docker_users: Vec<DockerUser>,
    /// The units that matter here, by name.
    pub units: BTreeMap<String, UnitFacts>,
    /// Digests of every file read.
    pub files: BTreeMap<String, FileFacts>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
    /// What is notable.
    pub findings: Vec<Finding>,
    /// Text of the files a plan may edit. Never printed: it may hold secrets.
    #[serde(skip)]
    pub texts: BTreeMap<String, String>,
}

impl Facts {
    /// Facts of which nothing is known yet.
    pub fn empty(live: bool) -> Self {
        Self {
            api_version: crate::model::API_VERSION.to_owned(),
            kind: "Facts".to_owned(),
            tool: crate::model::TOOL_VERSION.to_owned(),
            live,
            node: NodeFacts::default(),
            cgroup: CgroupFacts::default(),
            docker: DockerFacts::default(),
            containerd: ContainerdFacts::default(),
            registry: RegistryFacts::default(),
            crio: CrioFacts::default(),
            kubelet: KubeletFacts::default(),
            cni: CniFacts::default(),
            surroundings: Surroundings::default(),
            pods: Vec::new(),
            cluster: Membership::default(),
            etcd: None,
            docker_users: Vec::new(),
            units: BTreeMap::new(),
            files: BTreeMap::new(),
            unseen: Vec::new(),
            findings: Vec::new(),
            texts: BTreeMap::new(),
        }
    }

    /// The node's name for people.
    pub fn name(&self) -> &str {
        self.node.hostname.as_ref().map_or("this node", |name| name.value.as_str())
    }

    /// The node's name in the cluster, and behind the names of its static pods: kubelet's flag, else the host's name, in
    /// lower case (Kubernetes `pkg/util/node`, GetHostname).
    pub fn node_name(&self) -> String {
        let named = self.kubelet.setting_text("hostnameOverride").map(str::trim);
        // `%H` and its like are systemd's to fill in, with the host's name.
        let named = named.filter(|name| !name.is_empty() && !name.contains('%'));
        named.unwrap_or(self.name()).to_lowercase()
    }

    /// Whether a pod is the one that kubelet makes of a manifest. A cloud provider inside kubelet (`--cloud-provider`, gone
    /// in 1.31) names the node by itself, and nothing here tells how: there any name will do behind the manifest's.
    pub fn is_static_pod(&self, fixed: &StaticPod, namespace: &str, name: &str) -> bool {
        let provider = self.kubelet.flag("cloud-provider").map_or("", |flag| flag.value.as_str());
        let other_name = || {
            let manifest = fixed.name.strip_suffix(&self.node_name()).filter(|manifest| manifest.ends_with('-'));
            manifest.and_then(|manifest| name.strip_prefix(manifest)).is_some_and(|node| !node.is_empty())
        };
        fixed.namespace == namespace && (fixed.name == name || (!matches!(provider, "" | "external") && other_name()))
    }

    /// True when kubelet's files give its pods to Docker.
    pub fn is_on_docker(&self) -> bool {
        let runtime = self.kubelet.runtime.as_ref().map(|runtime| runtime.value);
        matches!(runtime, Some(RuntimeKind::Dockershim | RuntimeKind::CriDockerd))
    }

    /// Docker's data root, where CRI can use its layers as they are.
    pub fn docker_layers(&self) -> Option<&str> {
        self.docker.layer_root().filter(|_| self.containerd.other_snapshotter().is_none())
    }

    /// True when Docker keeps its images in the store of the containerd that CRI will be served by, and CRI can use their layers.
    pub fn shares_containerd(&self) -> bool {
        let docker = &self.docker;
        let own = docker.managed_containerd.as_ref().is_some_and(|own| own.value);
        let stored = docker.image_store.as_ref().is_some_and(|store| store.value);
        stored && !own && docker.userns_remap.is_none() && self.containerd.other_snapshotter().is_none()
    }

    /// True when kubelet's configuration points to containerd, and Docker still runs pods or containerd cannot: a
    /// migration stopped half-way.
    pub fn is_half_migrated(&self) -> bool {
        let moved = self.kubelet.runtime.as_ref().is_some_and(|runtime| runtime.value == RuntimeKind::Containerd);
        let runs = |container: &DockerContainer| container.kubernetes && container.state == "running";
        let answers = self.containerd.cri_answers.as_ref().is_some_and(|answers| answers.value);
        // No pod ever ran on a containerd without CRI, so they ran on Docker until then.
        let never =
            self.docker.installed && !answers && self.containerd.cri_enabled.as_ref().is_some_and(|on| !on.value);
        moved && (never || self.docker.containers.iter().any(runs))
    }

    /// Where the network's configuration is looked for: in Docker's directory as long as that runs the pods, then in
    /// containerd's, which somebody may have prepared.
    pub fn cni_conf_dirs(&self) -> Vec<&str> {
        let next = self.containerd.cni_conf_dir.as_ref().map(|dir| dir.value.trim_end_matches('/'));
        let next = next.filter(|dir| !dir.is_empty()).unwrap_or(CNI_CONF_DIR);
        let now = self.kubelet.shim_cni_conf_dir();
        let dockers = self.is_on_docker() && self.kubelet.network_plugin() == "cni" && now != next;
        if dockers { vec![now, next] } else { vec![next] }
    }

    /// The directory of CNI plugins that containerd must be told of, where its files name `configured` so far: the first of
    /// Docker's that has all that pods call. Nothing where containerd's own will do. Up to 2.0 containerd looks into one
    /// directory; where its files name none, that is upstream's, or in a distribution's package perhaps another one
    /// (Debian's 1.7.24: `/usr/lib/cni`). Later ones have a list, and upstream's directory is in everybody's.
    pub fn cni_bin_dir(&self, configured: &[&str], has_list: bool) -> Option<String> {
        let lacks = |dirs: &[&str]| self.cni.lacking(dirs).len();
        // Pods that run on containerd prove what it looks into, unless there is nothing at all.
        let nothing = !configured.is_empty() && !configured.iter().any(|dir| self.cni.plugins.contains_key(*dir));
        if !(self.is_on_docker() || self.is_half_migrated() || nothing) {
            return None;
        }
        let now = match configured {
            [] if !has_list && self.node.packages.contains_key("containerd") => {
                CNI_BIN_DIRS.iter().map(|dir| lacks(&[dir])).max().unwrap_or_default()
            }
            [] => lacks(&CNI_BIN_DIRS[..1]),
            dirs => lacks(dirs),
        };
        let dockers = self.kubelet.shim_cni_bin_dirs();
        let best = dockers.iter().chain(self.cni.plugins.keys()).min_by_key(|dir| lacks(&[dir.as_str()]))?;
        (lacks(&[best.as_str()]) < now).then(|| best.clone())
    }

    /// The service that runs cri-dockerd: of two the one that runs, or starts at boot.
    pub fn shim_unit(&self) -> Option<&'static str> {
        let shims = DOCKER_UNITS.into_iter().filter(|unit| unit.starts_with("cri-") && unit.ends_with(".service"));
        let there = shims.filter(|unit| self.unit(unit).is_there());
        there.max_by_key(|unit| (self.unit(unit).active == "active", self.unit(unit).file_state == "enabled"))
    }

    /// State of a unit; the default (nothing known) when it was not looked at.
    pub fn unit(&self, name: &str) -> UnitFacts {
        self.units.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_texts_never_reach_json() {
        let mut facts = Facts::empty(true);
        facts.texts.insert("/etc/containerd/config.toml".into(), "password = \"hunter2\"".into());
        assert!(!serde_json::to_string(&facts).unwrap().contains("hunter2"));
    }

    #[test]
    fn static_pods_have_the_name_that_kubelet_gives_the_node() {
        let mut facts = Facts::empty(true);
        let at = || crate::model::Origin::path("/x");
        facts.node.hostname = Some(crate::model::Sourced::new("Host-3".to_owned(), at()));
        assert_eq!(facts.node_name(), "host-3");
        for (named, wanted) in [("Node.Example ", "node.example"), ("", "host-3"), ("%H", "host-3")] {
            let value = serde_json::Value::from(named);
            facts.kubelet.settings = vec![KubeletSetting { key: "hostnameOverride".to_owned(), value, origin: at() }];
            assert_eq!(facts.node_name(), wanted, "{named:?}");
        }
        let (path, images) = ("/m/etcd.yaml".to_owned(), Vec::new());
        let etcd = StaticPod { path, namespace: "kube-system".to_owned(), name: "etcd-host-3".to_owned(), images };
        let is_its = |facts: &Facts, name: &str| facts.is_static_pod(&etcd, "kube-system", name);
        assert!(is_its(&facts, "etcd-host-3") && !facts.is_static_pod(&etcd, "default", "etcd-host-3"));
        let names = |facts: &Facts| ["etcd-ip-10-0-0-1.internal", "etcd-"].map(|name| is_its(facts, name));
        assert_eq!(names(&facts), [false, false]);
        for (provider, wanted) in [("external", [false, false]), ("aws", [true, false])] {
            let (name, value) = ("cloud-provider".to_owned(), provider.to_owned());
            facts.kubelet.flags = vec![KubeletFlag { name, value, origin: at(), variable: None }];
            assert_eq!(names(&facts), wanted, "{provider}");
        }
        assert!(!is_its(&facts, "etcdctl-host-3"));
    }

    #[test]
    fn one_directory_has_all_plugins() {
        let mut facts = Facts::empty(false);
        let at = || crate::model::Origin::path("/x");
        facts.kubelet.runtime = Some(crate::model::Sourced::new(RuntimeKind::CriDockerd, at()));
        facts.cni.calls = vec!["flannel".to_owned(), "portmap".to_owned()];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        facts.cni.plugins.insert("/opt/cni/bin".to_owned(), names(&["flannel", "portmap", "loopback"]));
        let told = |facts: &Facts, configured: &[&str]| facts.cni_bin_dir(configured, false);
        let opt = Some("/opt/cni/bin".to_owned());
        assert_eq!(told(&facts, &["/usr/lib/cni"]), opt, "it is empty");
        facts.cni.plugins.insert("/usr/lib/cni".to_owned(), names(&["portmap", "loopback"]));
        assert_eq!(told(&facts, &["/usr/lib/cni"]), opt, "it lacks flannel");
        assert_eq!(told(&facts, &[]), None, "upstream's default");
        let package = PackageFacts { version: "1.7.24~ds1-6".to_owned(), hold: false, automatic: None, origin: at() };
        facts.node.packages.insert("containerd".to_owned(), package);
        assert_eq!(told(&facts, &[]), opt, "a distribution's default may be either");
        assert_eq!(facts.cni_bin_dir(&[], true), None, "since 2.1 everybody's list has it");
        assert_eq!(told(&facts, &["/opt/cni/bin/../bin"]), opt, "it was not looked at");
        assert_eq!(told(&facts, &["/opt/cni/bin"]), None);
        assert_eq!(told(&facts, &["/usr/lib/cni", "/opt/cni/bin"]), None, "2.1 reads a list");
        let flag = |name: &str, value: &str| KubeletFlag {
            name: name.to_owned(),
            value: value.to_owned(),
            origin: at(),
            variable: None,
        };
        facts.kubelet.shim_flags = vec![flag("cni-bin-dir", "/a,/b"), flag("cni-conf-dir", "/etc/corp/net.d/")];
        facts.cni.plugins.insert("/a".to_owned(), names(&["flannel"]));
        facts.cni.plugins.insert("/b".to_owned(), names(&["flannel", "portmap", "loopback"]));
        assert_eq!(told(&facts, &["/usr/lib/cni"]).as_deref(), Some("/b"));
        facts.cni.plugins.insert("/usr/lib/cni".to_owned(), names(&["flannel", "portmap", "loopback"]));
        assert_eq!(told(&facts, &[]), None, "whichever it is");
        assert_eq!(facts.cni_conf_dirs(), ["/etc/corp/net.d", "/etc/cni/net.d"]);
        facts.kubelet.runtime = Some(crate::model::Sourced::new(RuntimeKind::Containerd, at()));
        assert_eq!(facts.cni_conf_dirs(), ["/etc/cni/net.d"]);
        facts.cni.plugins.insert("/usr/lib/cni".to_owned(), names(&["loopback"]));
        assert_eq!(told(&facts, &["/usr/lib/cni"]), None, "its pods run");
        assert_eq!(told(&facts, &["/gone"]), opt);
    }
}
