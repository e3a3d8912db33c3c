//! [`Cri`] over gRPC.

use super::{
    Container, ContainerState, ContainerStatus, Cri, CriApi, CriCgroupDriver, CriCondition, CriImage, CriStatus,
    CriVersion, Sandbox, SandboxStatus, making::Paths, messages as m,
};
use crate::host::{Aio, DaemonError, Faults, grpc::Server};
use anyhow::Context;
use serde_json::Value;
use std::{cell::Cell, time::Duration};

/// For questions. kubelet itself allows two minutes for everything.
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// For stopping and removing: CNI plugins run, file systems are unmounted.
pub(super) const ACT_LIMIT: Duration = Duration::from_secs(120);

/// A runtime behind a socket.
#[derive(Clone, Debug)]
pub struct GrpcCri {
    pub(super) server: Server,
    pub(super) faults: Faults,
    api: Cell<Option<CriApi>>,
    ask_limit: Duration,
}

impl GrpcCri {
    /// A client; nothing is connected yet. `endpoint` is a path or `unix:///…`.
    pub fn new(aio: Aio, endpoint: &str, faults: Faults) -> anyhow::Result<Self> {
        Ok(Self { server: Server::new(aio, endpoint)?, faults, api: Cell::new(None), ask_limit: ASK_LIMIT })
    }

    /// Another deadline for questions.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.ask_limit = limit;
        self
    }

    fn call<Q, A>(&self, service: &str, method: &str, request: Q, limit: Duration) -> anyhow::Result<A>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let path = |api: CriApi| format!("/runtime.{}.{service}/{method}", api.word());
        let known = self.api.get();
        let api = known.map_or_else(|| self.detect(), Ok)?;
        let first = self.server.call(&path(api), request.clone(), limit);
        // The daemon may be another one since we asked: a step of the plan replaces it.
        if known.is_some() && first.as_ref().err().is_some_and(service_is_unknown) {
            let now = self.detect()?;
            if now != api {
                return self.server.call(&path(now), request, limit);
            }
        }
        first
    }

    /// Shares one connection between calls, for a daemon that is not restarted meanwhile.
    #[must_use]
    pub fn keeping_connection(mut self) -> Self {
        self.server = self.server.keeping_connection();
        self
    }

    pub(super) fn ask<Q, A>(&self, method: &str, request: Q) -> anyhow::Result<A>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        self.call("RuntimeService", method, request, self.ask_limit)
    }

    /// Gives an order.
    pub(super) fn act<Q, A>(&self, method: &str, about: &str, request: Q, limit: Duration) -> anyhow::Result<A>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        self.faults.effect(&format!("{method} {about}"), || self.call("RuntimeService", method, request, limit))
    }

    /// The two services in the version that is spoken, as paths.
    pub(super) fn service_paths(&self) -> anyhow::Result<Paths> {
        let api = self.api.get().map_or_else(|| self.detect(), Ok)?.word();
        Ok(Paths { runtime: format!("/runtime.{api}.RuntimeService"), images: format!("/runtime.{api}.ImageService") })
    }

    /// Gives an order about something that may be gone already.
    fn order<Q: prost::Message + Clone + 'static>(
        &self,
        method: &str,
        id: &str,
        request: Q,
        limit: Duration,
    ) -> anyhow::Result<()> {
        self.order_of("RuntimeService", method, id, request, limit)
    }

    /// The same to a service of this name.
    pub(super) fn order_of<Q: prost::Message + Clone + 'static>(
        &self,
        service: &str,
        method: &str,
        id: &str,
        request: Q,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let done = self
            .faults
            .effect(&format!("{method} {id}"), || self.call(service, method, request, limit).map(|_: m::Empty| ()));
        match done {
            Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::NotFound { .. })) => Ok(()),
            other => other,
        }
    }

    /// Asks for the version in both versions of the interface.
    fn detect(&self) -> anyhow::Result<CriApi> {
        self.api.set(None);
        let ask = |api: CriApi| -> anyhow::Result<m::VersionResponse> {
            let path = format!("/runtime.{}.RuntimeService/Version", api.word());
            self.server.call(&path, m::VersionRequest { version: api.word().to_owned() }, self.ask_limit)
        };
        let api = match ask(CriApi::V1) {
            Ok(_) => CriApi::V1,
            Err(error) if is_unimplemented(&error) => {
                ask(CriApi::V1Alpha2).map_err(without_cri)?;
                CriApi::V1Alpha2
            }
            Err(error) => return Err(error),
        };
        self.api.set(Some(api));
        Ok(api)
    }
}

/// Says what it means that neither version is served.
fn without_cri(error: anyhow::Error) -> anyhow::Error {
    match error.downcast() {
        Ok(DaemonError::Unimplemented { at, detail, .. }) => {
            let detail = format!("its CRI plugin is disabled or failed to load ({detail})");
            DaemonError::Unimplemented { at, what: "CRI".to_owned(), detail }.into()
        }
        Ok(other) => other.into(),
        Err(error) => error,
    }
}

fn is_unimplemented(error: &anyhow::Error) -> bool {
    matches!(DaemonError::of(error), Some(DaemonError::Unimplemented { .. }))
}

/// As opposed to a method that this version of the service does not have yet.
fn service_is_unknown(error: &anyhow::Error) -> bool {
    matches!(DaemonError::of(error), Some(DaemonError::Unimplemented { detail, .. }) if detail.contains("unknown service"))
}

impl Cri for GrpcCri {
    fn socket(&self) -> &str {
        self.server.socket()
    }

    fn api(&self) -> anyhow::Result<CriApi> {
        self.detect()
    }

    fn version(&self) -> anyhow::Result<CriVersion> {
        let reply: m::VersionResponse = self.ask("Version", m::VersionRequest::default())?;
        Ok(CriVersion {
            runtime_name: reply.runtime_name,
            runtime_version: reply.runtime_version,
            runtime_api_version: reply.runtime_api_version,
        })
    }

    fn status(&self, verbose: bool) -> anyhow::Result<CriStatus> {
        self.ask("Status", m::StatusRequest { verbose }).map(status)
    }

    fn cgroup_driver(&self) -> anyhow::Result<Option<CriCgroupDriver>> {
        match self.ask::<_, m::RuntimeConfigResponse>("RuntimeConfig", m::RuntimeConfigRequest {}) {
            Ok(reply) => Ok(cgroup_driver(&reply)),
            // Runtimes older than the method; but a daemon without CRI is an error, as everywhere.
            Err(error) if is_unimplemented(&error) && !service_is_unknown(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn sandboxes(&self) -> anyhow::Result<Vec<Sandbox>> {
        let reply: m::ListPodSandboxResponse = self.ask("ListPodSandbox", m::ListRequest {})?;
        Ok(reply.items.into_iter().map(sandbox).collect())
    }

    fn stop_sandbox(&self, id: &str) -> anyhow::Result<()> {
        self.order("StopPodSandbox", id, m::IdRequest { id: id.to_owned() }, ACT_LIMIT)
    }

    fn remove_sandbox(&self, id: &str) -> anyhow::Result<()> {
        self.order("RemovePodSandbox", id, m::IdRequest { id: id.to_owned() }, ACT_LIMIT)
    }

    fn sandbox_status_verbose(&self, id: &str) -> anyhow::Result<SandboxStatus> {
        let request = m::IdStatusRequest { id: id.to_owned(), verbose: true };
        let reply: m::PodSandboxStatusResponse = self.ask("PodSandboxStatus", request)?;
        sandbox_status(reply).with_context(|| format!("the runtime says nothing about sandbox {id}"))
    }

    fn containers(&self) -> anyhow::Result<Vec<Container>> {
        let reply: m::ListContainersResponse = self.ask("ListContainers", m::ListRequest {})?;
        Ok(reply.containers.into_iter().map(container).collect())
    }

    fn container_status_verbose(&self, id: &str) -> anyhow::Result<ContainerStatus> {
        let request = m::IdStatusRequest { id: id.to_owned(), verbose: true };
        let reply: m::ContainerStatusResponse = self.ask("ContainerStatus", request)?;
        container_status(reply).with_context(|| format!("the runtime says nothing about container {id}"))
    }

    fn stop_container(&self, id: &str, grace: Duration) -> anyhow::Result<()> {
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = m::StopContainerRequest { container_id: id.to_owned(), timeout };
        self.order("StopContainer", id, request, ACT_LIMIT.saturating_add(grace))
    }

    fn stop_containers(&self, ids: &[(String, Duration)]) -> anyhow::Result<()> {
        let requests = ids.iter().map(|(id, grace)| {
            let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
            (m::StopContainerRequest { container_id: id.clone(), timeout }, ACT_LIMIT.saturating_add(*grace))
        });
        let api = self.detect()?;
        let path = format!("/runtime.{}.RuntimeService/StopContainer", api.word());
        // One effect: they are stopped together or, when a script says so, not at all.
        let replies = self.faults.effect(&format!("StopContainer of {} containers", ids.len()), || {
            self.server.call_all::<_, m::Empty>(&path, requests.collect())
        })?;
        for reply in replies {
            match reply {
                Err(error) if !matches!(DaemonError::of(&error), Some(DaemonError::NotFound { .. })) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn remove_container(&self, id: &str) -> anyhow::Result<()> {
        self.order("RemoveContainer", id, m::IdRequest { id: id.to_owned() }, ACT_LIMIT)
    }

    fn images(&self) -> anyhow::Result<Vec<CriImage>> {
        let reply: m::ListImagesResponse =
            self.call("ImageService", "ListImages", m::ListRequest {}, self.ask_limit)?;
        Ok(reply.images.into_iter().map(image).collect())
    }

    fn image_status(&self, name: &str) -> anyhow::Result<Option<CriImage>> {
        let request = m::ImageStatusRequest { image: Some(m::ImageSpec { image: name.to_owned() }) };
        let reply: anyhow::Result<m::ImageStatusResponse> =
            self.call("ImageService", "ImageStatus", request, self.ask_limit);
        match reply {
            Ok(reply) => Ok(reply.image.map(image)),
            // cri-dockerd says so with an error, others with an empty answer.
            Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn pull(&self, name: &str, limit: Duration) -> anyhow::Result<String> {
        let request = m::PullImageRequest { image: Some(m::ImageSpec { image: name.to_owned() }) };
        self.faults.effect(&format!("pull {name}"), || {
            let reply: m::PullImageResponse = self.call("ImageService", "PullImage", request, limit)?;
            Ok(reply.image_ref)
        })
    }
}

fn status(reply: m::StatusResponse) -> CriStatus {
    let condition =
        |c: m::RuntimeCondition| CriCondition { kind: c.kind, status: c.status, reason: c.reason, message: c.message };
    let conditions: Vec<_> = reply.status.unwrap_or_default().conditions.into_iter().map(condition).collect();
    let find = |kind: &str| conditions.iter().find(|c| c.kind == kind).cloned().unwrap_or_default();
    let (runtime, network) = (find("RuntimeReady"), find("NetworkReady"));
    let default = reply.runtime_handlers.into_iter().find(|handler| handler.name.is_empty());
    let handler = default.and_then(|handler| handler.features).unwrap_or_default();
    CriStatus {
        runtime_ready: runtime.status,
        network_ready: network.status,
        network_reason: network.reason,
        network_message: network.message,
        conditions,
        info: reply.info,
        recursive_read_only: handler.recursive_read_only_mounts,
        user_namespaces: handler.user_namespaces,
        strict_groups: reply.features.is_some_and(|features| features.supplemental_groups_policy),
    }
}

fn cgroup_driver(reply: &m::RuntimeConfigResponse) -> Option<CriCgroupDriver> {
    // An absent message must not be read as its default, which would be systemd.
    match reply.linux.as_ref()?.cgroup_driver {
        0 => Some(CriCgroupDriver::Systemd),
        1 => Some(CriCgroupDriver::Cgroupfs),
        _ => None,
    }
}

fn sandbox(found: m::PodSandbox) -> Sandbox {
    let metadata = found.metadata.unwrap_or_default();
    Sandbox {
        id: found.id,
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        attempt: metadata.attempt,
        ready: found.state == 0,
        labels: found.labels,
        created_at: found.created_at,
        runtime_handler: found.runtime_handler,
    }
}

fn sandbox_status(reply: m::PodSandboxStatusResponse) -> Option<SandboxStatus> {
    let status = reply.status?;
    let network = status.network.unwrap_or_default();
    let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|more| more.ip));
    let info = verbose_info(&reply.info);
    let metadata = status.metadata.unwrap_or_default();
    Some(SandboxStatus {
        ready: status.state == 0,
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        labels: status.labels,
        annotations: status.annotations,
        pid: pid(&info),
        cgroups_path: cgroups_path(&info),
        ips: ips.filter(|ip| !ip.is_empty()).collect(),
        runtime_handler: status.runtime_handler,
    })
}

fn state(number: i32) -> ContainerState {
    match number {
        0 => ContainerState::Created,
        1 => ContainerState::Running,
        2 => ContainerState::Exited,
        _ => ContainerState::Unknown,
    }
}

fn container(found: m::Container) -> Container {
    Container {
        id: found.id,
        sandbox_id: found.pod_sandbox_id,
        name: found.metadata.unwrap_or_default().name,
        image: found.image.unwrap_or_default().image,
        image_ref: found.image_ref,
        state: state(found.state),
        labels: found.labels,
        annotations: found.annotations,
    }
}

fn container_status(reply: m::ContainerStatusResponse) -> Option<ContainerStatus> {
    let status = reply.status?;
    let info = verbose_info(&reply.info);
    Some(ContainerStatus {
        state: state(status.state),
        exit_code: status.exit_code,
        reason: status.reason,
        message: status.message,
        labels: status.labels,
        annotations: status.annotations,
        log_path: status.log_path,
        pid: pid(&info),
        cgroups_path: cgroups_path(&info),
        image_mounts: status.mounts.into_iter().filter_map(|it| Some((it.container_path, it.image?.image))).collect(),
    })
}

/// containerd and CRI-O put one JSON document under `info`; cri-dockerd puts nothing.
fn verbose_info(info: &m::Map) -> Value {
    info.get("info").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// 0 stands for: does not run.
fn pid(info: &Value) -> Option<u32> {
    info.get("pid")?.as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0)
}

fn cgroups_path(info: &Value) -> Option<String> {
    let path = info.pointer("/runtimeSpec/linux/cgroupsPath")?.as_str()?;
    (!path.is_empty()).then(|| path.to_owned())
}

fn image(found: m::Image) -> CriImage {
    CriImage {
        id: found.id,
        tags: found.repo_tags,
        digests: found.repo_digests,
        size: found.size,
        uid: found.uid.map(|uid| uid.value),
        username: found.username,
        pinned: found.pinned,
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
