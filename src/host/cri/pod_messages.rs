//! The messages that make pods and containers: the fields castoff uses, with their tags in `runtime.v1` and `v1alpha2`.

use super::messages::{self as m, Map, messages};

messages! {
    DnsConfig {
        #[prost(string, repeated, tag = "1")]
        servers: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        searches: Vec<String>,
    }
    /// Protocol 0 is TCP.
    PortMapping {
        #[prost(int32, tag = "1")]
        protocol: i32,
        #[prost(int32, tag = "2")]
        container_port: i32,
        #[prost(int32, tag = "3")]
        host_port: i32,
    }
    NamespaceOption {
        #[prost(int32, tag = "1")]
        network: i32,
        #[prost(int32, tag = "2")]
        pid: i32,
        #[prost(int32, tag = "3")]
        ipc: i32,
        #[prost(message, optional, tag = "5")]
        userns_options: Option<UserNamespace>,
    }
    UserNamespace {
        #[prost(int32, tag = "1")]
        mode: i32,
        #[prost(message, repeated, tag = "2")]
        uids: Vec<IdMapping>,
        #[prost(message, repeated, tag = "3")]
        gids: Vec<IdMapping>,
    }
    IdMapping {
        #[prost(uint32, tag = "1")]
        host_id: u32,
        #[prost(uint32, tag = "2")]
        container_id: u32,
        #[prost(uint32, tag = "3")]
        length: u32,
    }
    Number {
        #[prost(int64, tag = "1")]
        value: i64,
    }
    Count {
        #[prost(uint64, tag = "1")]
        value: u64,
    }
    /// 0 is the runtime's default, 1 unconfined, 2 a file.
    SecurityProfile {
        #[prost(int32, tag = "1")]
        profile_type: i32,
        #[prost(string, tag = "2")]
        localhost_ref: String,
    }
    LinuxSandboxSecurityContext {
        #[prost(message, optional, tag = "1")]
        namespace_options: Option<NamespaceOption>,
        #[prost(bool, tag = "6")]
        privileged: bool,
    }
    LinuxPodSandboxConfig {
        #[prost(string, tag = "1")]
        cgroup_parent: String,
        #[prost(message, optional, tag = "2")]
        security_context: Option<LinuxSandboxSecurityContext>,
        #[prost(btree_map = "string, string", tag = "3")]
        sysctls: Map,
    }
    PodSandboxConfig {
        #[prost(message, optional, tag = "1")]
        metadata: Option<m::PodSandboxMetadata>,
        #[prost(string, tag = "2")]
        hostname: String,
        #[prost(string, tag = "3")]
        log_directory: String,
        #[prost(message, optional, tag = "4")]
        dns_config: Option<DnsConfig>,
        #[prost(message, repeated, tag = "5")]
        port_mappings: Vec<PortMapping>,
        #[prost(btree_map = "string, string", tag = "6")]
        labels: Map,
        #[prost(btree_map = "string, string", tag = "7")]
        annotations: Map,
        #[prost(message, optional, tag = "8")]
        linux: Option<LinuxPodSandboxConfig>,
    }
    RunPodSandboxRequest {
        #[prost(message, optional, tag = "1")]
        config: Option<PodSandboxConfig>,
        #[prost(string, tag = "2")]
        runtime_handler: String,
    }
    Id {
        #[prost(string, tag = "1")]
        id: String,
    }
    Capability {
        #[prost(string, repeated, tag = "1")]
        add_capabilities: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        drop_capabilities: Vec<String>,
    }
    /// `seccomp_profile_path` is what `seccomp` replaced in Kubernetes 1.19; containerd before 1.5 knows only that.
    LinuxContainerSecurityContext {
        #[prost(message, optional, tag = "1")]
        capabilities: Option<Capability>,
        #[prost(bool, tag = "2")]
        privileged: bool,
        #[prost(message, optional, tag = "3")]
        namespace_options: Option<NamespaceOption>,
        #[prost(message, optional, tag = "5")]
        run_as_user: Option<Number>,
        #[prost(string, tag = "6")]
        run_as_username: String,
        #[prost(bool, tag = "7")]
        readonly_rootfs: bool,
        #[prost(int64, repeated, tag = "8")]
        supplemental_groups: Vec<i64>,
        #[prost(string, tag = "9")]
        apparmor_profile: String,
        #[prost(string, tag = "10")]
        seccomp_profile_path: String,
        #[prost(bool, tag = "11")]
        no_new_privs: bool,
        #[prost(message, optional, tag = "12")]
        run_as_group: Option<Number>,
        #[prost(string, repeated, tag = "13")]
        masked_paths: Vec<String>,
        #[prost(string, repeated, tag = "14")]
        readonly_paths: Vec<String>,
        #[prost(message, optional, tag = "15")]
        seccomp: Option<SecurityProfile>,
        #[prost(message, optional, tag = "16")]
        apparmor: Option<SecurityProfile>,
        #[prost(int32, tag = "17")]
        supplemental_groups_policy: i32,
    }
    LinuxContainerResources {
        #[prost(int64, tag = "1")]
        cpu_period: i64,
        #[prost(int64, tag = "2")]
        cpu_quota: i64,
        #[prost(int64, tag = "3")]
        cpu_shares: i64,
        #[prost(int64, tag = "4")]
        memory_limit_in_bytes: i64,
    }
    LinuxContainerConfig {
        #[prost(message, optional, tag = "1")]
        resources: Option<LinuxContainerResources>,
        #[prost(message, optional, tag = "2")]
        security_context: Option<LinuxContainerSecurityContext>,
    }
    KeyValue {
        #[prost(string, tag = "1")]
        key: String,
        #[prost(string, tag = "2")]
        value: String,
    }
    Device {
        #[prost(string, tag = "1")]
        container_path: String,
        #[prost(string, tag = "2")]
        host_path: String,
        #[prost(string, tag = "3")]
        permissions: String,
    }
    ContainerConfig {
        #[prost(message, optional, tag = "1")]
        metadata: Option<m::ContainerMetadata>,
        #[prost(message, optional, tag = "2")]
        image: Option<m::ImageSpec>,
        #[prost(string, repeated, tag = "3")]
        command: Vec<String>,
        #[prost(string, tag = "5")]
        working_dir: String,
        #[prost(message, repeated, tag = "6")]
        envs: Vec<KeyValue>,
        #[prost(message, repeated, tag = "7")]
        mounts: Vec<m::Mount>,
        #[prost(message, repeated, tag = "8")]
        devices: Vec<Device>,
        #[prost(btree_map = "string, string", tag = "9")]
        labels: Map,
        #[prost(btree_map = "string, string", tag = "10")]
        annotations: Map,
        #[prost(string, tag = "11")]
        log_path: String,
        #[prost(bool, tag = "12")]
        stdin: bool,
        #[prost(bool, tag = "13")]
        stdin_once: bool,
        #[prost(bool, tag = "14")]
        tty: bool,
        #[prost(message, optional, tag = "15")]
        linux: Option<LinuxContainerConfig>,
    }
    CreateContainerRequest {
        #[prost(string, tag = "1")]
        pod_sandbox_id: String,
        #[prost(message, optional, tag = "2")]
        config: Option<ContainerConfig>,
        #[prost(message, optional, tag = "3")]
        sandbox_config: Option<PodSandboxConfig>,
    }
    ExecSyncRequest {
        #[prost(string, tag = "1")]
        container_id: String,
        #[prost(string, repeated, tag = "2")]
        cmd: Vec<String>,
        #[prost(int64, tag = "3")]
        timeout: i64,
    }
    ExecSyncResponse {
        #[prost(bytes = "vec", tag = "1")]
        stdout: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        stderr: Vec<u8>,
        #[prost(int32, tag = "3")]
        exit_code: i32,
    }
    ExecRequest {
        #[prost(string, tag = "1")]
        container_id: String,
        #[prost(string, repeated, tag = "2")]
        cmd: Vec<String>,
        #[prost(bool, tag = "3")]
        tty: bool,
        #[prost(bool, tag = "4")]
        stdin: bool,
        #[prost(bool, tag = "5")]
        stdout: bool,
        #[prost(bool, tag = "6")]
        stderr: bool,
    }
    /// Other tags than in `ExecRequest`.
    AttachRequest {
        #[prost(string, tag = "1")]
        container_id: String,
        #[prost(bool, tag = "2")]
        stdin: bool,
        #[prost(bool, tag = "3")]
        tty: bool,
        #[prost(bool, tag = "4")]
        stdout: bool,
        #[prost(bool, tag = "5")]
        stderr: bool,
    }
    PortForwardRequest {
        #[prost(string, tag = "1")]
        pod_sandbox_id: String,
        #[prost(int32, repeated, tag = "2")]
        port: Vec<i32>,
    }
    /// Where a stream is to be had.
    UrlResponse {
        #[prost(string, tag = "1")]
        url: String,
    }
    ContainerAttributes {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(message, optional, tag = "2")]
        metadata: Option<m::ContainerMetadata>,
    }
    CpuUsage {
        #[prost(int64, tag = "1")]
        timestamp: i64,
        #[prost(message, optional, tag = "2")]
        usage_core_nano_seconds: Option<Count>,
    }
    MemoryUsage {
        #[prost(message, optional, tag = "2")]
        working_set_bytes: Option<Count>,
    }
    ContainerStats {
        #[prost(message, optional, tag = "1")]
        attributes: Option<ContainerAttributes>,
        #[prost(message, optional, tag = "2")]
        cpu: Option<CpuUsage>,
        #[prost(message, optional, tag = "3")]
        memory: Option<MemoryUsage>,
    }
    ContainerStatsResponse {
        #[prost(message, optional, tag = "1")]
        stats: Option<ContainerStats>,
    }
    ContainerStatsFilter {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(btree_map = "string, string", tag = "3")]
        label_selector: Map,
    }
    ListContainerStatsRequest {
        #[prost(message, optional, tag = "1")]
        filter: Option<ContainerStatsFilter>,
    }
    ListContainerStatsResponse {
        #[prost(message, repeated, tag = "1")]
        stats: Vec<ContainerStats>,
    }
    MetricDescriptor {
        #[prost(string, tag = "1")]
        name: String,
    }
    ListMetricDescriptorsResponse {
        #[prost(message, repeated, tag = "1")]
        descriptors: Vec<MetricDescriptor>,
    }
    ContainerMetrics {
        #[prost(string, tag = "1")]
        container_id: String,
        #[prost(message, repeated, tag = "2")]
        metrics: Vec<MetricDescriptor>,
    }
    /// A figure's name has the tag of a descriptor's.
    PodSandboxMetrics {
        #[prost(string, tag = "1")]
        pod_sandbox_id: String,
        #[prost(message, repeated, tag = "2")]
        metrics: Vec<MetricDescriptor>,
        #[prost(message, repeated, tag = "3")]
        container_metrics: Vec<ContainerMetrics>,
    }
    ListPodSandboxMetricsResponse {
        #[prost(message, repeated, tag = "1")]
        pod_metrics: Vec<PodSandboxMetrics>,
    }
    UpdateContainerResourcesRequest {
        #[prost(string, tag = "1")]
        container_id: String,
        #[prost(message, optional, tag = "2")]
        linux: Option<LinuxContainerResources>,
    }
    RemoveImageRequest {
        #[prost(message, optional, tag = "1")]
        image: Option<m::ImageSpec>,
    }
}
