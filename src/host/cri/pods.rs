//! Pods and containers as castoff makes them through CRI: kubelet's part of the interface.

use super::Cri;
use std::{collections::BTreeMap, time::Duration};

/// Whose namespace something is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// One of the pod's.
    #[default]
    Pod,
    /// One of each container's own.
    Container,
    /// The node's.
    Node,
    /// Another container's.
    Target,
}

/// A seccomp profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// None asked for: the runtime's choice, which is unconfined.
    #[default]
    Unset,
    /// What the runtime comes with.
    RuntimeDefault,
    /// None at all.
    Unconfined,
    /// A file on the node.
    Localhost(String),
}

/// Which mounts made later are seen on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// None: `rprivate`.
    #[default]
    Private,
    /// The node's in the container: `rslave`.
    HostToContainer,
    /// Both ways: `rshared`; for privileged containers.
    Bidirectional,
}

/// Ids on the node that are others in a pod: the first on the node, the first in the pod, and how many.
pub type IdRange = (u32, u32, u32);

/// A pod to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSpec {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// UID; with name and namespace it must not be there yet.
    pub uid: String,
    /// Runtime handler; empty for the default one.
    pub handler: String,
    /// Host name; empty for the node's.
    pub hostname: String,
    /// Folder of its containers' logs.
    pub log_dir: String,
    /// The cgroup it is put in: `castoff.slice`, `/castoff`. A name that ends with `.slice` needs systemd's driver.
    pub cgroup_parent: String,
    /// Network.
    pub network: Share,
    /// Process ids.
    pub pid: Share,
    /// System V and POSIX communication.
    pub ipc: Share,
    /// Users: whose namespace, and its ranges. Nothing where none is asked for.
    pub users: Option<(Share, Vec<IdRange>)>,
    /// Name servers.
    pub nameservers: Vec<String>,
    /// Domains that names are looked up in.
    pub searches: Vec<String>,
    /// Ports of the pod, with the node's port that leads there; 0 for none.
    pub ports: Vec<(u16, u16)>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Whether containers of it may be privileged.
    pub privileged: bool,
}

/// A folder or file of the node in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountSpec {
    /// Path on the node.
    pub host: String,
    /// Path in the container.
    pub container: String,
    /// May not be written.
    pub read_only: bool,
    /// What mounts made later do.
    pub propagation: Propagation,
    /// Mounts below it may not be written either.
    pub recursive_read_only: bool,
    /// An image that is mounted instead of a path on the node; empty for none.
    pub image: String,
    /// The part of that image; empty for all of it.
    pub sub_path: String,
}

/// What a container may and may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Everything.
    pub privileged: bool,
    /// User id.
    pub user: Option<i64>,
    /// User by the name it has in the image.
    pub user_name: String,
    /// Group id.
    pub group: Option<i64>,
    /// More groups.
    pub groups: Vec<i64>,
    /// Capabilities added, without `CAP_`; `ALL` for all.
    pub add: Vec<String>,
    /// Capabilities taken.
    pub drop: Vec<String>,
    /// No program gives more rights than its caller has.
    pub no_new_privs: bool,
    /// The root file system may not be written.
    pub read_only_root: bool,
    /// Groups are the given ones only, not those that the image gives its user.
    pub strict_groups: bool,
    /// System calls.
    pub seccomp: Seccomp,
    /// AppArmor profile in the kernel, by the field for it; empty for none.
    pub apparmor: String,
    /// The same by the word that field replaced in Kubernetes 1.30.
    pub apparmor_word: String,
    /// Paths that are hidden.
    pub masked: Vec<String>,
    /// Paths that may not be written.
    pub read_only: Vec<String>,
}

/// A container to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Name in the pod.
    pub name: String,
    /// Image.
    pub image: String,
    /// Command; empty for the image's.
    pub command: Vec<String>,
    /// Working directory; empty for the image's.
    pub working_dir: String,
    /// Environment besides the image's.
    pub env: Vec<(String, String)>,
    /// Mounts.
    pub mounts: Vec<MountSpec>,
    /// Devices: path on the node, path in the container, permissions (`rwm`).
    pub devices: Vec<(String, String, String)>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Name of its log in the pod's log folder.
    pub log: String,
    /// Its standard input stays open for whoever attaches to it; else it is empty.
    pub stdin: bool,
    /// That input ends with the first who leaves.
    pub stdin_once: bool,
    /// Its output is a terminal.
    pub tty: bool,
    /// Memory limit in bytes; 0 for none.
    pub memory: i64,
    /// CPU shares; 0 for the default.
    pub cpu_shares: i64,
    /// CPU time in microseconds per 100 ms; 0 for no limit.
    pub cpu_quota: i64,
    /// What it may.
    pub security: Security,
}

/// What a command in a container did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Whose figures are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsOf<'a> {
    /// All containers'.
    All,
    /// The container's with this id.
    Id(&'a str),
    /// Those with this label.
    Label(&'a str, &'a str),
}

/// What a container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Container.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When the CPU time was read, nanoseconds since 1970.
    pub at: i64,
    /// CPU time since its start, nanoseconds.
    pub cpu: Option<u64>,
    /// Memory it needs, bytes.
    pub memory: Option<u64>,
}

/// One order of many that are given at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// RunPodSandbox; answers the id.
    RunSandbox(Box<PodSpec>),
    /// PodSandboxStatus.
    SandboxStatus(String),
    /// StopPodSandbox.
    StopSandbox(String),
    /// RemovePodSandbox.
    RemoveSandbox(String),
    /// CreateContainer in the sandbox of this id; answers the id.
    Create(String, Box<PodSpec>, Box<ContainerSpec>),
    /// StartContainer.
    Start(String),
    /// ContainerStatus.
    ContainerStatus(String),
    /// StopContainer, killed at once.
    Stop(String),
    /// RemoveContainer.
    Remove(String),
    /// ListImages.
    Images,
    /// RemoveImage.
    RemoveImage(String),
}

/// The part of CRI that makes things. Calls share one connection, so it is for one daemon that is not restarted.
pub trait CriPods: Cri {
    /// Runs a sandbox; its id.
    fn run_sandbox(&self, pod: &PodSpec) -> anyhow::Result<String>;

    /// Makes a container in a sandbox; its id.
    fn create_container(&self, sandbox: &str, pod: &PodSpec, container: &ContainerSpec) -> anyhow::Result<String>;

    /// Starts a container.
    fn start_container(&self, id: &str) -> anyhow::Result<()>;

    /// Runs a command in a container and waits for its end; the runtime ends it after `timeout`, in whole seconds.
    fn exec(&self, id: &str, command: &[&str], timeout: Duration) -> anyhow::Result<Executed>;

    /// Where the streams of a command are to be had; it runs when they are opened. With a terminal there is no standard
    /// error of its own.
    ///
    /// # Errors
    /// When the runtime refuses, or answers without a URL.
    fn exec_url(&self, id: &str, command: &[&str], terminal: bool, stdin: bool) -> anyhow::Result<String>;

    /// Where the streams of a container that has no terminal are to be had, its standard input among them.
    ///
    /// # Errors
    /// As [`CriPods::exec_url`].
    fn attach_url(&self, id: &str) -> anyhow::Result<String>;

    /// Where a connection to a port of a pod is to be had.
    ///
    /// # Errors
    /// As [`CriPods::exec_url`].
    fn port_forward_url(&self, sandbox: &str, port: u16) -> anyhow::Result<String>;

    /// What a container uses.
    fn stats(&self, id: &str) -> anyhow::Result<Stats>;

    /// What containers use.
    fn stats_list(&self, of: StatsOf<'_>) -> anyhow::Result<Vec<Stats>>;

    /// The names of what the runtime measures of pods.
    fn metric_names(&self) -> anyhow::Result<Vec<String>>;

    /// Pods and how many figures the runtime has of each, its containers' included.
    fn pod_metrics(&self) -> anyhow::Result<Vec<(String, usize)>>;

    /// Tells the runtime that a container's log was moved away.
    fn reopen_log(&self, id: &str) -> anyhow::Result<()>;

    /// Sets another memory limit, in bytes, and other CPU shares for a container that runs.
    fn update_container(&self, id: &str, memory: i64, cpu_shares: i64) -> anyhow::Result<()>;

    /// Removes an image with all its names. One that is gone is removed.
    fn remove_image(&self, name: &str) -> anyhow::Result<()>;

    /// Gives orders at the same time: how long each took, and its answer, in their order.
    fn at_once(&self, orders: Vec<Order>) -> anyhow::Result<Vec<(Duration, anyhow::Result<String>)>>;
}
