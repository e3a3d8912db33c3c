//! The fields castoff uses of the CRI messages, with their tags in `runtime.v1`. `runtime.v1alpha2` gives the same
//! fields the same tags, so one set serves both. Fields left out here are skipped when decoding.

use std::collections::BTreeMap;

pub(crate) type Map = BTreeMap<String, String>;

macro_rules! messages {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[$field:meta])* $field_name:ident: $type:ty,)* })*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, PartialEq, prost::Message)]
            #[allow(clippy::struct_field_names)] // names of the interface
            pub(crate) struct $name { $($(#[$field])* pub $field_name: $type,)* }
        )*
    };
}

pub(super) use messages;

messages! {
    /// Of the request: an API version of the client, which runtimes ignore.
    VersionRequest {
        #[prost(string, tag = "1")]
        version: String,
    }
    VersionResponse {
        #[prost(string, tag = "2")]
        runtime_name: String,
        #[prost(string, tag = "3")]
        runtime_version: String,
        #[prost(string, tag = "4")]
        runtime_api_version: String,
    }
    StatusRequest {
        #[prost(bool, tag = "1")]
        verbose: bool,
    }
    StatusResponse {
        #[prost(message, optional, tag = "1")]
        status: Option<RuntimeStatus>,
        #[prost(btree_map = "string, string", tag = "2")]
        info: Map,
        #[prost(message, repeated, tag = "3")]
        runtime_handlers: Vec<RuntimeHandler>,
        #[prost(message, optional, tag = "4")]
        features: Option<RuntimeFeatures>,
    }
    /// Kubernetes 1.30; the default handler's name is empty.
    RuntimeHandler {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, optional, tag = "2")]
        features: Option<HandlerFeatures>,
    }
    HandlerFeatures {
        #[prost(bool, tag = "1")]
        recursive_read_only_mounts: bool,
        #[prost(bool, tag = "2")]
        user_namespaces: bool,
    }
    RuntimeFeatures {
        #[prost(bool, tag = "1")]
        supplemental_groups_policy: bool,
    }
    RuntimeStatus {
        #[prost(message, repeated, tag = "1")]
        conditions: Vec<RuntimeCondition>,
    }
    RuntimeCondition {
        #[prost(string, tag = "1")]
        kind: String,
        #[prost(bool, tag = "2")]
        status: bool,
        #[prost(string, tag = "3")]
        reason: String,
        #[prost(string, tag = "4")]
        message: String,
    }
    RuntimeConfigRequest {}
    RuntimeConfigResponse {
        #[prost(message, optional, tag = "1")]
        linux: Option<LinuxRuntimeConfiguration>,
    }
    /// 0 is SYSTEMD, 1 is CGROUPFS: the default of an absent field is a real answer.
    LinuxRuntimeConfiguration {
        #[prost(int32, tag = "1")]
        cgroup_driver: i32,
    }
    /// List requests carry one optional filter, which castoff never sets.
    ListRequest {}
    PodSandboxMetadata {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        uid: String,
        #[prost(string, tag = "3")]
        namespace: String,
        #[prost(uint32, tag = "4")]
        attempt: u32,
    }
    PodSandbox {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(message, optional, tag = "2")]
        metadata: Option<PodSandboxMetadata>,
        #[prost(int32, tag = "3")]
        state: i32,
        #[prost(int64, tag = "4")]
        created_at: i64,
        #[prost(btree_map = "string, string", tag = "5")]
        labels: Map,
        #[prost(string, tag = "7")]
        runtime_handler: String,
    }
    ListPodSandboxResponse {
        #[prost(message, repeated, tag = "1")]
        items: Vec<PodSandbox>,
    }
    /// StopPodSandbox, RemovePodSandbox and RemoveContainer all take one id with this tag.
    IdRequest {
        #[prost(string, tag = "1")]
        id: String,
    }
    /// PodSandboxStatus and ContainerStatus take the same two fields.
    IdStatusRequest {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(bool, tag = "2")]
        verbose: bool,
    }
    Empty {}
    PodIp {
        #[prost(string, tag = "1")]
        ip: String,
    }
    PodSandboxNetworkStatus {
        #[prost(string, tag = "1")]
        ip: String,
        #[prost(message, repeated, tag = "2")]
        additional_ips: Vec<PodIp>,
    }
    PodSandboxStatus {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(message, optional, tag = "2")]
        metadata: Option<PodSandboxMetadata>,
        #[prost(int32, tag = "3")]
        state: i32,
        #[prost(message, optional, tag = "5")]
        network: Option<PodSandboxNetworkStatus>,
        #[prost(btree_map = "string, string", tag = "7")]
        labels: Map,
        #[prost(btree_map = "string, string", tag = "8")]
        annotations: Map,
        #[prost(string, tag = "9")]
        runtime_handler: String,
    }
    PodSandboxStatusResponse {
        #[prost(message, optional, tag = "1")]
        status: Option<PodSandboxStatus>,
        #[prost(btree_map = "string, string", tag = "2")]
        info: Map,
    }
    ContainerMetadata {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(uint32, tag = "2")]
        attempt: u32,
    }
    ImageSpec {
        #[prost(string, tag = "1")]
        image: String,
    }
    Container {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(string, tag = "2")]
        pod_sandbox_id: String,
        #[prost(message, optional, tag = "3")]
        metadata: Option<ContainerMetadata>,
        #[prost(message, optional, tag = "4")]
        image: Option<ImageSpec>,
        #[prost(string, tag = "5")]
        image_ref: String,
        #[prost(int32, tag = "6")]
        state: i32,
        #[prost(int64, tag = "7")]
        created_at: i64,
        #[prost(btree_map = "string, string", tag = "8")]
        labels: Map,
        #[prost(btree_map = "string, string", tag = "9")]
        annotations: Map,
    }
    ListContainersResponse {
        #[prost(message, repeated, tag = "1")]
        containers: Vec<Container>,
    }
    StopContainerRequest {
        #[prost(string, tag = "1")]
        container_id: String,
        #[prost(int64, tag = "2")]
        timeout: i64,
    }
    ContainerStatus {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(message, optional, tag = "2")]
        metadata: Option<ContainerMetadata>,
        #[prost(int32, tag = "3")]
        state: i32,
        #[prost(int32, tag = "7")]
        exit_code: i32,
        #[prost(string, tag = "10")]
        reason: String,
        #[prost(string, tag = "11")]
        message: String,
        #[prost(btree_map = "string, string", tag = "12")]
        labels: Map,
        #[prost(btree_map = "string, string", tag = "13")]
        annotations: Map,
        #[prost(message, repeated, tag = "14")]
        mounts: Vec<Mount>,
        #[prost(string, tag = "15")]
        log_path: String,
    }
    Mount {
        #[prost(string, tag = "1")]
        container_path: String,
        #[prost(string, tag = "2")]
        host_path: String,
        #[prost(bool, tag = "3")]
        readonly: bool,
        #[prost(int32, tag = "5")]
        propagation: i32,
        #[prost(bool, tag = "8")]
        recursive_read_only: bool,
        #[prost(message, optional, tag = "9")]
        image: Option<ImageSpec>,
        #[prost(string, tag = "10")]
        image_sub_path: String,
    }
    ContainerStatusResponse {
        #[prost(message, optional, tag = "1")]
        status: Option<ContainerStatus>,
        #[prost(btree_map = "string, string", tag = "2")]
        info: Map,
    }
    Image {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(string, repeated, tag = "2")]
        repo_tags: Vec<String>,
        #[prost(string, repeated, tag = "3")]
        repo_digests: Vec<String>,
        #[prost(uint64, tag = "4")]
        size: u64,
        #[prost(message, optional, tag = "5")]
        uid: Option<Uid>,
        #[prost(string, tag = "6")]
        username: String,
        #[prost(bool, tag = "8")]
        pinned: bool,
    }
    Uid {
        #[prost(int64, tag = "1")]
        value: i64,
    }
    ListImagesResponse {
        #[prost(message, repeated, tag = "1")]
        images: Vec<Image>,
    }
    ImageStatusRequest {
        #[prost(message, optional, tag = "1")]
        image: Option<ImageSpec>,
    }
    PullImageRequest {
        #[prost(message, optional, tag = "1")]
        image: Option<ImageSpec>,
    }
    PullImageResponse {
        #[prost(string, tag = "1")]
        image_ref: String,
    }
    ImageStatusResponse {
        #[prost(message, optional, tag = "1")]
        image: Option<Image>,
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
