//! kubelet as facts.

use crate::model::{CNI_BIN_DIRS, CNI_CONF_DIR, CgroupDriver, Origin, RuntimeKind, Sourced};
use serde::{Deserialize, Serialize};

/// One kubelet flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// One effective setting of kubelet's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KubeletSetting {
    /// The field of KubeletConfiguration.
    pub key: String,
    /// Its value, in that document's shape.
    pub value: serde_json::Value,
    /// The file, drop-in or flag that decides.
    pub origin: Origin,
}

/// A unit that kubelet.service names in a dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnitNeed {
    /// `Requires`, `BindsTo`, `Wants`, `After`, …
    pub key: String,
    /// The unit that is named.
    pub unit: String,
    /// The unit file, drop-in or link that says so.
    pub origin: Origin,
}

/// A setting of kubelet.service, other than its command line and dependencies, that uses Docker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnitUse {
    /// `ExecStartPre`, `AssertPathExists`, …
    pub key: String,
    /// What it does with Docker.
    pub what: String,
    /// True when kubelet does not start where Docker does not run.
    pub needed: bool,
    /// The unit file or drop-in, or the script that the setting runs.
    pub origin: Origin,
}

/// kubelet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Its configuration files in the order they apply: the one of `--config`, then those of `--config-dir`.
    #[serde(default)]
    pub config_files: Vec<String>,
    /// The directory of configuration drop-ins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_dir: Option<Sourced<String>>,
    /// kubeadm's own copy of the endpoint, which it applies again at every upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_config: Option<String>,
    /// Settings that matter to a change of the runtime, each once, flags applied.
    #[serde(default)]
    pub settings: Vec<KubeletSetting>,
    /// Settings in its files that this release does not know and ignores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<KubeletSetting>,
    /// Settings in its files that a flag of another value beats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<KubeletSetting>,
    /// The program its unit starts, where that is not kubelet itself but something around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapper: Option<Sourced<String>>,
    /// Flags by which the running kubelet differs from its files, as it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_since_start: Vec<String>,
    /// Flags of cri-dockerd, where that stands between kubelet and Docker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shim_flags: Vec<KubeletFlag>,
    /// Docker's units in dependencies of kubelet.service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docker_needs: Vec<UnitNeed>,
    /// Other settings of kubelet.service that use Docker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docker_uses: Vec<UnitUse>,
    /// The policy noted in the CPU manager's state file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_manager_state: Option<Sourced<String>>,
    /// The policy noted in the memory manager's state file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_manager_state: Option<Sourced<String>>,
}

impl KubeletFacts {
    /// The flag of that name that wins.
    pub fn flag(&self, name: &str) -> Option<&KubeletFlag> {
        self.flags.iter().rev().find(|flag| flag.name == name)
    }

    /// An effective setting, by its field in KubeletConfiguration.
    pub fn setting(&self, key: &str) -> Option<&KubeletSetting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// The same as text.
    pub fn setting_text(&self, key: &str) -> Option<&str> {
        self.setting(key)?.value.as_str()
    }

    /// A flag of what stands between kubelet and Docker: cri-dockerd's own, else kubelet's dockershim.
    pub fn shim_flag(&self, name: &str) -> Option<&KubeletFlag> {
        let shim = matches!(&self.runtime, Some(runtime) if runtime.value == RuntimeKind::CriDockerd);
        let own = self.shim_flags.iter().rev().find(|flag| flag.name == name).filter(|_| shim);
        own.or_else(|| self.flag(name))
    }

    fn shim_text(&self, name: &str) -> Option<&str> {
        self.shim_flag(name).map(|flag| flag.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Who gives Docker's pods their network: `cni`, `kubenet`, or nobody, which leaves it to Docker's bridge. cri-dockerd
    /// takes CNI unless it is told otherwise (0.2.5 and later).
    pub fn network_plugin(&self) -> &str {
        let shim = matches!(&self.runtime, Some(runtime) if runtime.value == RuntimeKind::CriDockerd);
        self.shim_text("network-plugin").unwrap_or(if shim { "cni" } else { "" })
    }

    /// Where Docker's pods get their CNI plugins from: the first directory that has one. The flag is a list with commas
    /// (Kubernetes 1.20 `dockershim/network/cni`, SplitDirs).
    pub fn shim_cni_bin_dirs(&self) -> Vec<String> {
        let named = self.shim_text("cni-bin-dir").unwrap_or(CNI_BIN_DIRS[0]);
        named.split(',').filter(|dir| !dir.is_empty()).map(str::to_owned).collect()
    }

    /// Where Docker's pods have their network's configuration.
    pub fn shim_cni_conf_dir(&self) -> &str {
        self.shim_text("cni-conf-dir").map_or(CNI_CONF_DIR, |dir| dir.trim_end_matches('/'))
    }
}
