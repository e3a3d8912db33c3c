//! [`CriPods`] over gRPC.

use super::{
    ContainerSpec, CriPods, Executed, GrpcCri, IdRange, Order, PodSpec, Propagation, Seccomp, Share, Stats, StatsOf,
    client::ACT_LIMIT,
    messages as m,
    pod_messages::{
        AttachRequest, Capability, ContainerConfig, ContainerStats, ContainerStatsFilter, ContainerStatsResponse,
        Count, CreateContainerRequest, Device, DnsConfig, ExecRequest, ExecSyncRequest, ExecSyncResponse, Id,
        IdMapping, KeyValue, LinuxContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext,
        LinuxPodSandboxConfig, LinuxSandboxSecurityContext, ListContainerStatsRequest, ListContainerStatsResponse,
        ListMetricDescriptorsResponse, ListPodSandboxMetricsResponse, NamespaceOption, Number, PodSandboxConfig,
        PodSandboxMetrics, PortForwardRequest, PortMapping, RemoveImageRequest, RunPodSandboxRequest, SecurityProfile,
        UpdateContainerResourcesRequest, UrlResponse, UserNamespace,
    },
};
use anyhow::{Context as _, bail};
use std::time::Duration;

/// CPU quotas are per 100 ms, kubelet's default.
const CPU_PERIOD: i64 = 100_000;

/// What a profile of the node's own is called, by its number.
const LOCALHOST: i32 = 2;

const fn share(share: Share) -> i32 {
    match share {
        Share::Pod => 0,
        Share::Container => 1,
        Share::Node => 2,
        Share::Target => 3,
    }
}

fn namespaces(pod: &PodSpec) -> NamespaceOption {
    let range = |(host_id, container_id, length): &IdRange| IdMapping {
        host_id: *host_id,
        container_id: *container_id,
        length: *length,
    };
    let users = pod.users.as_ref().map(|(whose, ranges)| {
        let ids: Vec<IdMapping> = ranges.iter().map(range).collect();
        UserNamespace { mode: share(*whose), uids: ids.clone(), gids: ids }
    });
    let [network, pid, ipc] = [pod.network, pod.pid, pod.ipc].map(share);
    NamespaceOption { network, pid, ipc, userns_options: users }
}

fn pod_config(pod: &PodSpec) -> PodSandboxConfig {
    let dns = !pod.nameservers.is_empty() || !pod.searches.is_empty();
    let port = |(container, host): &(u16, u16)| PortMapping {
        protocol: 0,
        container_port: i32::from(*container),
        host_port: i32::from(*host),
    };
    PodSandboxConfig {
        metadata: Some(m::PodSandboxMetadata {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            attempt: 0,
        }),
        hostname: pod.hostname.clone(),
        log_directory: pod.log_dir.clone(),
        dns_config: dns.then(|| DnsConfig { servers: pod.nameservers.clone(), searches: pod.searches.clone() }),
        port_mappings: pod.ports.iter().map(port).collect(),
        labels: pod.labels.clone(),
        annotations: pod.annotations.clone(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: pod.cgroup_parent.clone(),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces(pod)),
                privileged: pod.privileged,
            }),
            sysctls: pod.sysctls.clone(),
        }),
    }
}

/// A profile as the field that containerd since 1.5 reads, and as the one before it.
fn seccomp(profile: &Seccomp) -> (Option<SecurityProfile>, String) {
    let of = |profile_type, file: &str| Some(SecurityProfile { profile_type, localhost_ref: file.to_owned() });
    match profile {
        Seccomp::Unset => (None, String::new()),
        Seccomp::RuntimeDefault => (of(0, ""), "runtime/default".to_owned()),
        Seccomp::Unconfined => (of(1, ""), "unconfined".to_owned()),
        Seccomp::Localhost(file) => (of(LOCALHOST, file), format!("localhost/{file}")),
    }
}

fn container_config(pod: &PodSpec, container: &ContainerSpec) -> ContainerConfig {
    let security = &container.security;
    let (profile, profile_path) = seccomp(&security.seccomp);
    let number = |value: Option<i64>| value.map(|value| Number { value });
    let context = LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: security.add.clone(),
            drop_capabilities: security.drop.clone(),
        }),
        privileged: security.privileged,
        namespace_options: Some(namespaces(pod)),
        run_as_user: number(security.user),
        run_as_username: security.user_name.clone(),
        readonly_rootfs: security.read_only_root,
        supplemental_groups: security.groups.clone(),
        seccomp_profile_path: profile_path,
        no_new_privs: security.no_new_privs,
        run_as_group: number(security.group),
        masked_paths: security.masked.clone(),
        readonly_paths: security.read_only.clone(),
        seccomp: profile,
        apparmor: (!security.apparmor.is_empty())
            .then(|| SecurityProfile { profile_type: LOCALHOST, localhost_ref: security.apparmor.clone() }),
        apparmor_profile: match security.apparmor_word.as_str() {
            "" => String::new(),
            name => format!("localhost/{name}"),
        },
        supplemental_groups_policy: i32::from(security.strict_groups),
    };
    let resources = LinuxContainerResources {
        cpu_period: if container.cpu_quota == 0 { 0 } else { CPU_PERIOD },
        cpu_quota: container.cpu_quota,
        cpu_shares: container.cpu_shares,
        memory_limit_in_bytes: container.memory,
    };
    let mount = |mount: &super::MountSpec| m::Mount {
        container_path: mount.container.clone(),
        host_path: mount.host.clone(),
        readonly: mount.read_only,
        propagation: match mount.propagation {
            Propagation::Private => 0,
            Propagation::HostToContainer => 1,
            Propagation::Bidirectional => 2,
        },
        recursive_read_only: mount.recursive_read_only,
        image: (!mount.image.is_empty()).then(|| m::ImageSpec { image: mount.image.clone() }),
        image_sub_path: mount.sub_path.clone(),
    };
    let device = |(host, container, permissions): &(String, String, String)| Device {
        container_path: container.clone(),
        host_path: host.clone(),
        permissions: permissions.clone(),
    };
    let env = |(key, value): &(String, String)| KeyValue { key: key.clone(), value: value.clone() };
    ContainerConfig {
        metadata: Some(m::ContainerMetadata { name: container.name.clone(), attempt: 0 }),
        image: Some(m::ImageSpec { image: container.image.clone() }),
        command: container.command.clone(),
        working_dir: container.working_dir.clone(),
        envs: container.env.iter().map(env).collect(),
        mounts: container.mounts.iter().map(mount).collect(),
        devices: container.devices.iter().map(device).collect(),
        labels: container.labels.clone(),
        annotations: container.annotations.clone(),
        log_path: container.log.clone(),
        stdin: container.stdin,
        stdin_once: container.stdin_once,
        tty: container.tty,
        linux: Some(LinuxContainerConfig { resources: Some(resources), security_context: Some(context) }),
    }
}

fn run_request(pod: &PodSpec) -> RunPodSandboxRequest {
    RunPodSandboxRequest { config: Some(pod_config(pod)), runtime_handler: pod.handler.clone() }
}

fn create_request(sandbox: &str, pod: &PodSpec, container: &ContainerSpec) -> CreateContainerRequest {
    CreateContainerRequest {
        pod_sandbox_id: sandbox.to_owned(),
        config: Some(container_config(pod, container)),
        sandbox_config: Some(pod_config(pod)),
    }
}

fn stats(found: ContainerStats) -> Stats {
    let value = |count: Option<Count>| count.map(|count| count.value);
    let attributes = found.attributes.unwrap_or_default();
    let cpu = found.cpu.unwrap_or_default();
    Stats {
        id: attributes.id,
        name: attributes.metadata.unwrap_or_default().name,
        at: cpu.timestamp,
        cpu: value(cpu.usage_core_nano_seconds),
        memory: value(found.memory.unwrap_or_default().working_set_bytes),
    }
}

fn filter(of: StatsOf<'_>) -> Option<ContainerStatsFilter> {
    match of {
        StatsOf::All => None,
        StatsOf::Id(id) => Some(ContainerStatsFilter { id: id.to_owned(), ..Default::default() }),
        StatsOf::Label(key, value) => {
            let label_selector = m::Map::from([(key.to_owned(), value.to_owned())]);
            Some(ContainerStatsFilter { label_selector, ..Default::default() })
        }
    }
}

/// An id, which no answer may lack.
fn id(answer: Id, what: &str) -> anyhow::Result<String> {
    if answer.id.is_empty() {
        bail!("{what} answered without an id");
    }
    Ok(answer.id)
}

/// A URL, which no answer may lack.
fn url(answer: UrlResponse, what: &str) -> anyhow::Result<String> {
    if answer.url.is_empty() {
        bail!("{what} answered without a URL");
    }
    Ok(answer.url)
}

fn exec_request(id: &str, command: &[&str], tty: bool, stdin: bool) -> ExecRequest {
    let cmd = command.iter().map(|word| (*word).to_owned()).collect();
    ExecRequest { container_id: id.to_owned(), cmd, tty, stdin, stdout: true, stderr: !tty }
}

fn attach_request(id: &str) -> AttachRequest {
    AttachRequest { container_id: id.to_owned(), stdin: true, tty: false, stdout: true, stderr: true }
}

fn forward_request(sandbox: &str, port: u16) -> PortForwardRequest {
    PortForwardRequest { pod_sandbox_id: sandbox.to_owned(), port: vec![i32::from(port)] }
}

impl CriPods for GrpcCri {
    fn run_sandbox(&self, pod: &PodSpec) -> anyhow::Result<String> {
        let answer = self.act("RunPodSandbox", &pod.name, run_request(pod), ACT_LIMIT)?;
        id(answer, "RunPodSandbox")
    }

    fn create_container(&self, sandbox: &str, pod: &PodSpec, container: &ContainerSpec) -> anyhow::Result<String> {
        let request = create_request(sandbox, pod, container);
        id(self.act("CreateContainer", &container.name, request, ACT_LIMIT)?, "CreateContainer")
    }

    fn start_container(&self, id: &str) -> anyhow::Result<()> {
        self.act("StartContainer", id, Id { id: id.to_owned() }, ACT_LIMIT).map(|_: m::Empty| ())
    }

    fn exec(&self, id: &str, command: &[&str], timeout: Duration) -> anyhow::Result<Executed> {
        let cmd = command.iter().map(|word| (*word).to_owned()).collect();
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let request = ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: seconds };
        let done: ExecSyncResponse = self.act("ExecSync", id, request, timeout.saturating_add(ACT_LIMIT))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Executed { code: done.exit_code, stdout: text(&done.stdout), stderr: text(&done.stderr) })
    }

    fn exec_url(&self, id: &str, command: &[&str], terminal: bool, stdin: bool) -> anyhow::Result<String> {
        url(self.act("Exec", id, exec_request(id, command, terminal, stdin), ACT_LIMIT)?, "Exec")
    }

    fn attach_url(&self, id: &str) -> anyhow::Result<String> {
        url(self.act("Attach", id, attach_request(id), ACT_LIMIT)?, "Attach")
    }

    fn port_forward_url(&self, sandbox: &str, port: u16) -> anyhow::Result<String> {
        url(self.act("PortForward", sandbox, forward_request(sandbox, port), ACT_LIMIT)?, "PortForward")
    }

    fn stats(&self, id: &str) -> anyhow::Result<Stats> {
        let reply: ContainerStatsResponse = self.ask("ContainerStats", Id { id: id.to_owned() })?;
        reply.stats.map(stats).with_context(|| format!("the runtime has no figures of container {id}"))
    }

    fn stats_list(&self, of: StatsOf<'_>) -> anyhow::Result<Vec<Stats>> {
        let request = ListContainerStatsRequest { filter: filter(of) };
        let reply: ListContainerStatsResponse = self.ask("ListContainerStats", request)?;
        Ok(reply.stats.into_iter().map(stats).collect())
    }

    fn metric_names(&self) -> anyhow::Result<Vec<String>> {
        let reply: ListMetricDescriptorsResponse = self.ask("ListMetricDescriptors", m::Empty {})?;
        Ok(reply.descriptors.into_iter().map(|found| found.name).collect())
    }

    fn pod_metrics(&self) -> anyhow::Result<Vec<(String, usize)>> {
        let reply: ListPodSandboxMetricsResponse = self.ask("ListPodSandboxMetrics", m::Empty {})?;
        let count = |pod: PodSandboxMetrics| {
            let inside: usize = pod.container_metrics.iter().map(|container| container.metrics.len()).sum();
            (pod.pod_sandbox_id, pod.metrics.len() + inside)
        };
        Ok(reply.pod_metrics.into_iter().map(count).collect())
    }

    fn reopen_log(&self, id: &str) -> anyhow::Result<()> {
        self.act("ReopenContainerLog", id, Id { id: id.to_owned() }, ACT_LIMIT).map(|_: m::Empty| ())
    }

    fn update_container(&self, id: &str, memory: i64, cpu_shares: i64) -> anyhow::Result<()> {
        let linux = LinuxContainerResources { cpu_shares, memory_limit_in_bytes: memory, ..Default::default() };
        let request = UpdateContainerResourcesRequest { container_id: id.to_owned(), linux: Some(linux) };
        self.act("UpdateContainerResources", id, request, ACT_LIMIT).map(|_: m::Empty| ())
    }

    fn remove_image(&self, name: &str) -> anyhow::Result<()> {
        let request = RemoveImageRequest { image: Some(m::ImageSpec { image: name.to_owned() }) };
        self.order_of("ImageService", "RemoveImage", name, request, ACT_LIMIT)
    }

    fn at_once(&self, orders: Vec<Order>) -> anyhow::Result<Vec<(Duration, anyhow::Result<String>)>> {
        let what = format!("{} orders at once", orders.len());
        self.faults.effect(&what, || {
            let path = self.service_paths()?;
            let calls = orders.into_iter().map(|order| self.timed(&path, order));
            self.server.run(async { Ok(futures_util::future::join_all(calls).await) })
        })
    }
}

/// Paths of the two services in the version that is spoken.
pub(super) struct Paths {
    pub(super) runtime: String,
    pub(super) images: String,
}

impl GrpcCri {
    async fn timed(&self, paths: &Paths, order: Order) -> (Duration, anyhow::Result<String>) {
        let began = tokio::time::Instant::now();
        let answer = self.one(paths, order).await;
        (began.elapsed(), answer)
    }

    async fn one(&self, paths: &Paths, order: Order) -> anyhow::Result<String> {
        let runtime = |method: &str| format!("{}/{method}", paths.runtime);
        let images = |method: &str| format!("{}/{method}", paths.images);
        let just = |id: String| m::IdRequest { id };
        match order {
            Order::RunSandbox(pod) => {
                let answer: Id = self.server.unary(&runtime("RunPodSandbox"), run_request(&pod), ACT_LIMIT).await?;
                id(answer, "RunPodSandbox")
            }
            Order::Create(sandbox, pod, container) => {
                let request = create_request(&sandbox, &pod, &container);
                id(self.server.unary(&runtime("CreateContainer"), request, ACT_LIMIT).await?, "CreateContainer")
            }
            Order::SandboxStatus(id) => self.silent(&runtime("PodSandboxStatus"), just(id)).await,
            Order::StopSandbox(id) => self.silent(&runtime("StopPodSandbox"), just(id)).await,
            Order::RemoveSandbox(id) => self.silent(&runtime("RemovePodSandbox"), just(id)).await,
            Order::Start(id) => self.silent(&runtime("StartContainer"), just(id)).await,
            Order::ContainerStatus(id) => self.silent(&runtime("ContainerStatus"), just(id)).await,
            Order::Stop(id) => {
                let request = m::StopContainerRequest { container_id: id, timeout: 0 };
                self.silent(&runtime("StopContainer"), request).await
            }
            Order::Remove(id) => self.silent(&runtime("RemoveContainer"), just(id)).await,
            Order::RemoveImage(image) => {
                let request = RemoveImageRequest { image: Some(m::ImageSpec { image }) };
                self.silent(&images("RemoveImage"), request).await
            }
            Order::Images => self.silent(&images("ListImages"), m::ListRequest {}).await,
        }
    }

    /// A call whose answer matters only in that there is one.
    async fn silent<Q: prost::Message + 'static>(&self, path: &str, request: Q) -> anyhow::Result<String> {
        self.server.unary::<Q, m::Empty>(path, request, ACT_LIMIT).await.map(|_| String::new())
    }
}

#[cfg(test)]
#[path = "making_tests.rs"]
mod tests;
