//! The field's words as values. No I/O, no clock, no environment: everything here can be made in a test by hand,
//! printed as JSON, and read back.

mod action;
mod bench;
mod bundle;
mod carry;
mod desired;
mod digest;
mod duration;
mod event;
mod facts;
mod finding;
mod fleet;
mod journal;
mod lists;
mod mask;
mod origin;
mod plan;
mod profile_keys;
mod run;
mod runtime_view;
mod secret;
mod state;
mod verdict;
mod words;

pub use action::{Action, FileAfter, FileBefore};
pub use bench::{Benchmark, Datapoint, Spread};
pub use bundle::{Bundle, BundleFile, BundlePlan, BundleText, MaskedWrite};
pub use carry::{CarryCost, CarryImage, CarryMode, CarryOptions, Comparing, ContainerdImage, Images, ManifestSource};
pub use desired::{
    ClusterConfig, ClusterOptions, ConfigWay, DEFAULT_ENDPOINT, Desired, DockerFate, Goal, ImagePolicy, Profile,
    RecoverPolicy, Retention, Timeouts, same_endpoint,
};
pub use digest::{Digest, Hasher};
pub use duration::Span;
pub use event::{EVENTS_VERSION, Event, EventLevel, What};
pub use facts::{
    Assumptions, CgroupFacts, ClusterFacts, CniFacts, ContainerdFacts, CredentialFile, CrioFacts, Dependent, DiskFacts,
    DiskUse, DockerContainer, DockerDrift, DockerFacts, DockerImage, DockerProblem, DockerSetting, DockerUser,
    EtcdFacts, EtcdHealth, Facts, FileFacts, HandlerFacts, HostState, KernelSwitch, KubeletFacts, KubeletFlag,
    KubeletMap, KubeletSetting, MemberFacts, MemberPod, Membership, NodeFacts, OtherNodes, PackageFacts, PodFacts,
    PodKind, ProblemKind, RegistryConfig, RegistryDir, RegistryFacts, RegistryMirror, RegistryTls, ServiceFacts,
    StaticPod, Surroundings, Tie, UnitFacts, UnitNeed, UnitUse, Unseen, UserKind,
};
pub use finding::{Explanation, Finding, Severity};
pub use fleet::{
    Difference, DifferentValue, FindingLine, FleetFinding, FleetNode, FleetReport, FleetTotals, ModuleResult,
    NodeDocument, NodeState, StateCounts, Times, Unreadable, Wave,
};
pub use journal::{Entry, LentLayer, Record, Seconds, Undo, UnitLink, UnitSnapshot};
pub use lists::{CheckLine, Checks, Findings, History};
pub use mask::{holds_secret, mask_text, mask_value};
pub use origin::{Origin, OriginKind, Sourced};
pub use plan::{Change, Plan, Risk, Step, Summary, UndoKind};
pub use profile_keys::{PROFILE_KEYS, ProfileKey, example_profile};
pub use run::{
    Check, CheckStatus, Downtime, Evidence, Level, Outcome, Overhead, Phase, RunAnswer, RunReport, Rung, StepResult,
    StepStatus, Verification,
};
pub use runtime_view::{ContainerView, HandlerView, ImageView, PodView, RuntimeView};
pub use secret::Secret;
pub use state::{RunState, RunSummary};
pub use verdict::{SettingVerdict, Verdict};
pub use words::{CgroupDriver, CgroupMode, RuntimeKind};

/// Version of every document castoff writes; see `interface.md`, "Documents".
pub const API_VERSION: &str = "castoff/v1";

/// dockerd's configuration file unless `--config-file` says otherwise (dockerd reference).
pub const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// crictl's configuration file unless `CRI_CONFIG_FILE` says otherwise (cri-tools).
pub const CRICTL_YAML: &str = "/etc/crictl.yaml";

/// The annotation in which kubeadm before 1.34 keeps a node's endpoint (kubeadm `constants.go`, `AnnotationKubeadmCRISocket`).
pub const CRI_SOCKET: &str = "kubeadm.alpha.kubernetes.io/cri-socket";

/// Docker's units and those of cri-dockerd, which Mirantis' packages and minikube call cri-docker, and kubespray
/// cri-dockerd. Services stand before the socket that they require: stopping a socket pulls down its service, which would
/// then be noted as having been inactive, and a socket stopped last also stops what it woke meanwhile.
pub const DOCKER_UNITS: [&str; 6] = [
    "cri-docker.service",
    "cri-docker.socket",
    "cri-dockerd.service",
    "cri-dockerd.socket",
    "docker.service",
    "docker.socket",
];

/// Where containerd's `hosts.toml` files are unless a setting says otherwise.
pub const CERTS_D: &str = "/etc/containerd/certs.d";

/// Where Docker keeps certificates of registries.
pub const DOCKER_CERTS_D: &str = "/etc/docker/certs.d";

/// Where CNI plugins live unless a setting says otherwise: upstream's place, which is also dockershim's default, and
/// Debian's. Which of them a containerd looks into by itself depends on who packaged it.
pub const CNI_BIN_DIRS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];

/// Where CNI configuration lives unless a setting says otherwise; the default of both runtimes.
pub const CNI_CONF_DIR: &str = "/etc/cni/net.d";

/// Version of this program, as in `Cargo.toml`.
pub const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");
