//! What the user wants of a node: defaults, then the profile, then the command line.

use super::{CarryMode, CarryOptions, Span};
use serde::{Deserialize, Serialize};

/// What a plan is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Pods run on containerd; everything agrees on systemd's cgroup driver.
    #[default]
    Containerd,
    /// Stay on Docker, unify the cgroup driver only.
    CgroupDriver,
}

impl Goal {
    /// The word of `--goal`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::CgroupDriver => "cgroup-driver",
        }
    }
}

/// What becomes of docker.service and docker.socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DockerFate {
    /// Stopped, disabled and masked; nothing is removed.
    #[default]
    Mask,
    /// Stopped and disabled, not masked.
    Disable,
}

/// How containerd's configuration comes about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ConfigWay {
    /// What is there is edited: comments, order and unknown keys stay.
    #[default]
    Edit,
    /// One new file takes over what castoff knows of the old ones.
    Regenerate,
}

impl ConfigWay {
    /// True for the way nobody has to ask for.
    pub const fn is_edit(&self) -> bool {
        matches!(self, Self::Edit)
    }
}

/// Which of Docker's images come along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ImagePolicy {
    /// What the node's pods, its static pods and the sandbox need.
    #[default]
    Needed,
    /// These, and all that have a tag.
    All,
    /// None: everything is pulled again.
    None,
}

/// How long castoff waits for things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Timeouts {
    /// One start, stop or restart of a unit.
    pub unit: Span,
    /// Until the node's pods run again.
    pub pods: Span,
    /// How long a started unit must stay up before it counts as up.
    pub settle: Span,
    /// Carrying images, all of them together.
    pub images: Span,
    /// Until pods that are evicted are gone.
    #[serde(skip_serializing_if = "Timeouts::is_usual_drain")]
    pub drain: Span,
    /// Until the cluster sees the node Ready on its new runtime, or its API server is back.
    #[serde(skip_serializing_if = "Timeouts::is_usual_node")]
    pub node: Span,
}

impl Timeouts {
    // A budget may hold a pod back until another one has started elsewhere.
    const DRAIN: Span = Span::seconds(600);
    // kubelet reports every 10 s, and a node counts as lost after 40 s.
    const NODE: Span = Span::seconds(300);

    // Plans for nodes of no cluster are as they were before there was anything to say about it.
    fn is_usual_drain(span: &Span) -> bool {
        *span == Self::DRAIN
    }

    fn is_usual_node(span: &Span) -> bool {
        *span == Self::NODE
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // systemd's own DefaultTimeoutStopSec is 90 s; leave it the time to do its own killing.
            unit: Span::seconds(120),
            pods: Span::seconds(300),
            // Longer than RestartSec of containerd's (5 s) unit would be slow; a crash at start shows within 3 s.
            settle: Span::seconds(3),
            images: Span::seconds(3600),
            drain: Self::DRAIN,
            node: Self::NODE,
        }
    }
}

/// How many old runs stay below `/var/lib/castoff/runs`. A run that may still be needed stays whatever these say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Retention {
    /// How many runs.
    pub runs: usize,
    /// How many megabytes (10⁶ bytes) they take together.
    pub megabytes: u64,
}

impl Retention {
    /// A run of a common node takes some 100 kB.
    pub const DEFAULT: Self = Self { runs: 50, megabytes: 200 };
}

impl Default for Retention {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What becomes of a run that a reboot or the end of castoff itself cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RecoverPolicy {
    /// On, when every file of the plan was written already; else back.
    #[default]
    Auto,
    /// Always back to the old state.
    Rollback,
    /// Always on to the new one.
    Resume,
}

impl RecoverPolicy {
    const fn is_auto(&self) -> bool {
        matches!(self, Self::Auto)
    }
}

/// The profile file, `/etc/castoff/profile.toml`. Every key is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Profile {
    /// containerd's endpoint, `unix:///…`.
    pub endpoint: Option<String>,
    /// Sandbox (pause) image for containerd.
    pub sandbox_image: Option<String>,
    /// Whether containerd's configuration is edited or made anew.
    pub containerd_config: Option<ConfigWay>,
    /// Fate of Docker's units.
    pub docker: Option<DockerFate>,
    /// Which images come along.
    pub images: Option<ImagePolicy>,
    /// By which way.
    pub carry: Option<CarryMode>,
    /// What becomes of a run that was cut off.
    pub recover: Option<RecoverPolicy>,
    /// Findings that do not block.
    pub skip_checks: Vec<String>,
    /// Waits.
    pub timeouts: Timeouts,
    /// Which old runs stay.
    pub history: Retention,
}

/// What becomes of kubeadm's configuration of all kubelets, a ConfigMap of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ClusterConfig {
    /// It is said what to change, and how.
    #[default]
    Print,
    /// It is changed with the last node that leaves Docker.
    Apply,
    /// Nothing.
    Skip,
}

impl ClusterConfig {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_print(&self) -> bool {
        matches!(self, Self::Print)
    }
}

/// What becomes of the node in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClusterOptions {
    /// The kubeconfig to speak with; absent: kubelet's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// Pods leave before anything stops, and new ones come when all is proven.
    pub drain: bool,
    /// Pods leave that nothing makes again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Pods leave whose emptyDir ends with them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_emptydir_data: bool,
    /// Grace period in seconds; absent: each pod's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<u32>,
    /// What becomes of kubeadm's ConfigMap.
    #[serde(default, skip_serializing_if = "ClusterConfig::is_print")]
    pub config: ClusterConfig,
}

impl ClusterOptions {
    /// As nobody has said anything about the cluster.
    pub const NONE: Self = Self {
        kubeconfig: None,
        drain: false,
        force: false,
        delete_emptydir_data: false,
        grace: None,
        config: ClusterConfig::Print,
    };

    fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self::NONE
    }
}

/// What the user wants, complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// The goal.
    pub goal: Goal,
    /// containerd's endpoint, `unix:///…`.
    pub endpoint: String,
    /// Sandbox image; absent: the one kubelet uses, else containerd's own default.
    pub sandbox_image: Option<String>,
    /// Whether containerd's configuration is edited or made anew.
    #[serde(default, skip_serializing_if = "ConfigWay::is_edit")]
    pub containerd_config: ConfigWay,
    /// Fate of Docker's units.
    pub docker: DockerFate,
    /// Which images come along.
    pub images: ImagePolicy,
    /// How they come along.
    #[serde(default, skip_serializing_if = "CarryOptions::is_default")]
    pub carry: CarryOptions,
    /// What becomes of a run that was cut off.
    #[serde(default, skip_serializing_if = "RecoverPolicy::is_auto")]
    pub recover: RecoverPolicy,
    /// What becomes of it in its cluster.
    #[serde(default, skip_serializing_if = "ClusterOptions::is_none")]
    pub cluster: ClusterOptions,
    /// Findings that do not block.
    pub skip_checks: Vec<String>,
    /// Waits.
    pub timeouts: Timeouts,
}

/// containerd's endpoint unless a profile says otherwise (every release's default).
pub const DEFAULT_ENDPOINT: &str = "unix:///run/containerd/containerd.sock";

/// True when two endpoints are the same socket: with or without scheme, and `/var/run` is `/run` everywhere today.
pub fn same_endpoint(a: &str, b: &str) -> bool {
    let path = |text: &str| text.strip_prefix("unix://").unwrap_or(text).replacen("/var/run/", "/run/", 1);
    path(a) == path(b)
}

impl Desired {
    /// Joins the goal, a profile and the checks skipped on the command line.
    pub fn resolve(goal: Goal, profile: &Profile, skip_checks: &[String]) -> Result<Self, String> {
        let endpoint = profile.endpoint.clone().unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        if !endpoint.starts_with("unix:///") {
            return Err(format!("endpoint `{endpoint}` is not a unix socket; write it like `{DEFAULT_ENDPOINT}`"));
        }
        let mut skip: Vec<String> = profile.skip_checks.iter().chain(skip_checks).cloned().collect();
        skip.sort();
        skip.dedup();
        Ok(Self {
            goal,
            endpoint,
            sandbox_image: profile.sandbox_image.clone(),
            containerd_config: profile.containerd_config.unwrap_or_default(),
            docker: profile.docker.unwrap_or_default(),
            images: profile.images.unwrap_or_default(),
            carry: CarryOptions { mode: profile.carry.unwrap_or_default(), ..CarryOptions::default() },
            recover: profile.recover.unwrap_or_default(),
            cluster: ClusterOptions::NONE,
            skip_checks: skip,
            timeouts: profile.timeouts,
        })
    }

    /// Path of the endpoint's socket.
    pub fn socket(&self) -> &str {
        self.endpoint.strip_prefix("unix://").unwrap_or(&self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_compared_by_their_socket() {
        assert!(same_endpoint("/var/run/containerd/containerd.sock", DEFAULT_ENDPOINT));
        assert!(!same_endpoint("unix:///run/crio/crio.sock", DEFAULT_ENDPOINT));
    }

    #[test]
    fn a_profile_is_checked_key_by_key() {
        let profile: Profile = toml::from_str("images = \"all\"\n[timeouts]\npods = \"10m\"\n").unwrap();
        let desired = Desired::resolve(Goal::Containerd, &profile, &["no-cni".into()]).unwrap();
        assert_eq!(desired.images, ImagePolicy::All);
        assert_eq!(desired.timeouts.pods, Span::seconds(600));
        assert_eq!(desired.socket(), "/run/containerd/containerd.sock");
        assert_eq!(desired.skip_checks, ["no-cni"]);
        for wrong in ["imags = \"all\"", "images = \"some\"", "[timeouts]\npods = 600", "[timeouts]\npod = \"1m\""] {
            assert!(toml::from_str::<Profile>(wrong).is_err(), "{wrong}");
        }
        let tcp = Profile { endpoint: Some("tcp://1.2.3.4:5".into()), ..Profile::default() };
        assert!(Desired::resolve(Goal::Containerd, &tcp, &[]).is_err());
    }
}
