//! Everything castoff saw on a node: the `Facts` document of `castoff inspect -o json`.

use super::{CgroupDriver, CgroupMode, Digest, Finding, Origin, RuntimeKind, Sourced};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeFacts {
    /// Host name: the node's name unless kubelet overrides it.
    pub hostname: Option<Sourced<String>>,
    /// `PRETTY_NAME` of os-release.
    pub os: Option<Sourced<String>>,
    /// `ID` of os-release, such as `debian`.
    pub os_id: Option<Sourced<String>>,
    /// Kernel release.
    pub kernel: Option<Sourced<String>>,
    /// Machine hardware name, such as `x86_64`.
    pub arch: Option<Sourced<String>>,
    /// systemd's version.
    pub systemd: Option<Sourced<String>>,
}

/// The cgroup hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupFacts {
    /// Its mode; absent when it cannot be seen (a file tree) and was not assumed.
    pub mode: Option<Sourced<CgroupMode>>,
}

/// One effective setting of dockerd.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DockerSetting {
    /// Key as `daemon.json` spells it.
    pub key: String,
    /// Its value, secrets masked.
    pub value: serde_json::Value,
    /// Where it is set.
    pub origin: Origin,
}

/// A container of Docker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerContainer {
    /// Docker's id.
    pub id: String,
    /// First name without the slash.
    pub name: String,
    /// Image reference as given.
    pub image: String,
    /// Image id, `sha256:…`.
    pub image_id: String,
    /// `running`, `exited`, …
    pub state: String,
    /// True when the kubelet made it.
    pub kubernetes: bool,
    /// True for a pod's sandbox (pause) container.
    pub sandbox: bool,
    /// Pod name, from the kubelet's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Pod namespace, from the kubelet's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Container name inside the pod, from the kubelet's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// An image of Docker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerImage {
    /// Image id, `sha256:…`.
    pub id: String,
    /// Tags; empty for dangling images.
    pub tags: Vec<String>,
    /// Bytes on disk, shared layers counted.
    pub size: u64,
}

/// Docker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerFacts {
    /// True when dockerd or its unit is there.
    pub installed: bool,
    /// True when docker.service is active.
    pub running: bool,
    /// dockerd's version.
    pub version: Option<Sourced<String>>,
    /// The effective cgroup driver.
    pub cgroup_driver: Option<Sourced<CgroupDriver>>,
    /// Where images and containers are kept.
    pub data_root: Option<Sourced<String>>,
    /// `overlay2`, …
    pub storage_driver: Option<Sourced<String>>,
    /// True when containers survive dockerd's stop.
    pub live_restore: Option<Sourced<bool>>,
    /// True when dockerd starts a containerd of its own instead of using the system's.
    pub managed_containerd: Option<Sourced<bool>>,
    /// Effective settings, in the order found.
    pub settings: Vec<DockerSetting>,
    /// All containers, running or not.
    pub containers: Vec<DockerContainer>,
    /// All images.
    pub images: Vec<DockerImage>,
}

/// containerd.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerdFacts {
    /// True when containerd or its unit is there.
    pub installed: bool,
    /// True when containerd.service is active.
    pub running: bool,
    /// containerd's version.
    pub version: Option<Sourced<String>>,
    /// The configuration file it reads.
    pub config_path: Option<Sourced<String>>,
    /// Schema of that file: 1 when no version is written.
    pub config_version: Option<Sourced<u32>>,
    /// False when a `disabled_plugins` entry switches CRI off.
    pub cri_enabled: Option<Sourced<bool>>,
    /// True when the default runtime handler uses systemd's cgroup driver.
    pub systemd_cgroup: Option<Sourced<bool>>,
    /// Persistent data.
    pub root: Option<Sourced<String>>,
    /// gRPC endpoint, `unix://…`.
    pub endpoint: Option<Sourced<String>>,
    /// Sandbox (pause) image.
    pub sandbox_image: Option<Sourced<String>>,
    /// Where CNI plugin binaries are looked up.
    pub cni_bin_dir: Option<Sourced<String>>,
    /// Where CNI configuration is looked up.
    pub cni_conf_dir: Option<Sourced<String>>,
    /// Files named in `imports`, as written.
    pub imports: Vec<Sourced<String>>,
    /// True when the CRI service answered on the endpoint.
    pub cri_answers: Option<Sourced<bool>>,
}

/// One kubelet flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletFlag {
    /// Name without dashes.
    pub name: String,
    /// Value; `true` for a bare boolean flag.
    pub value: String,
    /// The file and line that holds it.
    pub origin: Origin,
    /// The variable of an environment file it stands in, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

/// A static pod's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticPod {
    /// The manifest file.
    pub path: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod name as the runtime knows it: the manifest's name and the node's.
    pub name: String,
    /// Images its containers name.
    pub images: Vec<String>,
}

/// kubelet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeletFacts {
    /// True when kubelet or its unit is there.
    pub installed: bool,
    /// True when kubelet.service is active.
    pub running: bool,
    /// kubelet's version without `v`.
    pub version: Option<Sourced<String>>,
    /// What it runs containers through.
    pub runtime: Option<Sourced<RuntimeKind>>,
    /// CRI endpoint; for dockershim the one it serves itself.
    pub endpoint: Option<Sourced<String>>,
    /// The effective cgroup driver.
    pub cgroup_driver: Option<Sourced<CgroupDriver>>,
    /// The KubeletConfiguration file.
    pub config_path: Option<Sourced<String>>,
    /// Static pod manifests directory.
    pub static_pod_path: Option<Sourced<String>>,
    /// Every flag in the order the kubelet sees them; the last of a name wins.
    pub flags: Vec<KubeletFlag>,
    /// The live command line, when it runs and may be read.
    pub command_line: Option<Sourced<Vec<String>>>,
    /// Static pods found in `static_pod_path`.
    pub static_pods: Vec<StaticPod>,
}

impl KubeletFacts {
    /// The flag of that name that wins.
    pub fn flag(&self, name: &str) -> Option<&KubeletFlag> {
        self.flags.iter().rev().find(|flag| flag.name == name)
    }
}

/// A pod that runs on the node, whatever runs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodFacts {
    /// Namespace.
    pub namespace: String,
    /// Name as the runtime knows it.
    pub name: String,
    /// `docker` or `containerd`.
    pub runtime: String,
    /// Names of its running containers.
    pub containers: Vec<String>,
}

/// CNI on the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CniFacts {
    /// The configuration that wins: the lexically first file.
    pub config: Option<Sourced<String>>,
    /// Plugin binaries by directory.
    pub plugins: BTreeMap<String, Vec<String>>,
}

/// One systemd unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitFacts {
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, …; empty for a file tree.
    pub active: String,
    /// `enabled`, `disabled`, `masked`, `static`, …
    pub file_state: String,
    /// The unit file.
    pub fragment: Option<String>,
    /// Its drop-ins in systemd's order.
    pub drop_ins: Vec<String>,
    /// Units it cannot run without (`Requires=`, `BindsTo=`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

impl UnitFacts {
    /// True when systemd knows a unit file of that name.
    pub fn is_there(&self) -> bool {
        self.fragment.is_some() || matches!(self.load.as_str(), "loaded" | "masked" | "bad-setting" | "error")
    }
}

/// One file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Digest of its content.
    pub digest: Digest,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Something castoff could not see, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// What the user states about a file tree, with `--assume KEY=VALUE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assumptions {
    /// `docker.version`.
    pub docker_version: Option<String>,
    /// `docker.cgroup-driver`.
    pub docker_cgroup_driver: Option<CgroupDriver>,
    /// `containerd.version`.
    pub containerd_version: Option<String>,
    /// `kubelet.version`.
    pub kubelet_version: Option<String>,
    /// `cgroup.mode`.
    pub cgroup_mode: Option<CgroupMode>,
}

impl Assumptions {
    /// The keys there are.
    pub const KEYS: [&str; 5] =
        ["docker.version", "docker.cgroup-driver", "containerd.version", "kubelet.version", "cgroup.mode"];

    /// Takes one `KEY=VALUE`.
    pub fn set(&mut self, pair: &str) -> Result<(), String> {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        let version = || {
            let plain = value.strip_prefix('v').unwrap_or(value);
            if plain.starts_with(|c: char| c.is_ascii_digit()) && plain.contains('.') {
                Ok(Some(plain.to_owned()))
            } else {
                Err(format!("`{value}` is no version; write it like `1.29.4`"))
            }
        };
        match key {
            "docker.version" => self.docker_version = version()?,
            "docker.cgroup-driver" => self.docker_cgroup_driver = Some(value.parse()?),
            "containerd.version" => self.containerd_version = version()?,
            "kubelet.version" => self.kubelet_version = version()?,
            "cgroup.mode" => self.cgroup_mode = Some(value.parse()?),
            _ => return Err(format!("`{key}` cannot be assumed; the keys are {}", Self::KEYS.join(", "))),
        }
        Ok(())
    }
}

/// Everything castoff saw on a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// [`super::API_VERSION`].
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
    /// kubelet.
    pub kubelet: KubeletFacts,
    /// CNI.
    pub cni: CniFacts,
    /// Running pods.
    pub pods: Vec<PodFacts>,
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
            api_version: super::API_VERSION.to_owned(),
            kind: "Facts".to_owned(),
            tool: super::TOOL_VERSION.to_owned(),
            live,
            node: NodeFacts::default(),
            cgroup: CgroupFacts::default(),
            docker: DockerFacts::default(),
            containerd: ContainerdFacts::default(),
            kubelet: KubeletFacts::default(),
            cni: CniFacts::default(),
            pods: Vec::new(),
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

    /// State of a unit; the default (nothing known) when it was not looked at.
    pub fn unit(&self, name: &str) -> UnitFacts {
        self.units.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assumptions_are_checked() {
        let mut assumptions = Assumptions::default();
        assumptions.set("kubelet.version=v1.20.2").unwrap();
        assumptions.set("cgroup.mode=unified").unwrap();
        assert_eq!(assumptions.kubelet_version.as_deref(), Some("1.20.2"));
        assert_eq!(assumptions.cgroup_mode, Some(CgroupMode::Unified));
        for wrong in ["kubelet.version", "kubelet.version=new", "cgroup.mode=v2", "moon.phase=full"] {
            assert!(assumptions.set(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn file_texts_never_reach_json() {
        let mut facts = Facts::empty(true);
        facts.texts.insert("/etc/containerd/config.toml".into(), "password = \"hunter2\"".into());
        assert!(!serde_json::to_string(&facts).unwrap().contains("hunter2"));
    }
}
