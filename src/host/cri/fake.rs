//! A runtime in memory for tests.

#[cfg(test)]
#[path = "fake_pods.rs"]
mod pods;

use super::{
    Container, ContainerState, ContainerStatus, Cri, CriApi, CriCgroupDriver, CriImage, CriStatus, CriVersion, Sandbox,
    SandboxStatus,
};
use crate::host::{DaemonError, Faults};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

/// A runtime in memory. Clones are the same runtime.
#[derive(Clone, Debug)]
pub struct FakeCri {
    socket: String,
    faults: Faults,
    runtime: Rc<RefCell<Runtime>>,
}

/// What the fake runtime has; tests change it through [`FakeCri::change`].
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Where it is, if it is anywhere: `Down` answers as a missing socket, `NoCri` as a daemon without the plugin.
    pub health: Health,
    /// The interface it serves.
    pub api: CriApi,
    /// Who it is.
    pub version: CriVersion,
    /// Its state.
    pub status: CriStatus,
    /// The cgroup driver it reports.
    pub cgroup_driver: Option<CriCgroupDriver>,
    /// Its sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// Details of sandboxes, by id.
    pub sandbox_details: BTreeMap<String, SandboxStatus>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Details of containers, by id.
    pub container_details: BTreeMap<String, ContainerStatus>,
    /// Its images.
    pub images: Vec<CriImage>,
    /// Orders so far: `stop-sandbox ID`, …
    pub calls: Vec<String>,
}

/// How a fake runtime answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It serves CRI.
    Up,
    /// There is no socket.
    Down,
    /// The daemon runs without its CRI plugin.
    NoCri,
}

impl FakeCri {
    /// A ready containerd without pods and images.
    pub fn new(socket: &str, faults: Faults) -> Self {
        let version = CriVersion {
            runtime_name: "containerd".into(),
            runtime_version: "1.7.24".into(),
            runtime_api_version: "v1".into(),
        };
        let status = CriStatus { runtime_ready: true, network_ready: true, ..CriStatus::default() };
        let runtime = Runtime {
            health: Health::Up,
            api: CriApi::V1,
            version,
            status,
            cgroup_driver: None,
            sandboxes: Vec::new(),
            sandbox_details: BTreeMap::new(),
            containers: Vec::new(),
            container_details: BTreeMap::new(),
            images: Vec::new(),
            calls: Vec::new(),
        };
        Self { socket: socket.to_owned(), faults, runtime: Rc::new(RefCell::new(runtime)) }
    }

    /// The same runtime, asked by another process: its failures are scripted anew.
    #[must_use]
    pub fn with_faults(&self, faults: Faults) -> Self {
        Self { faults, ..self.clone() }
    }

    /// Changes what the runtime has.
    pub fn change(&self, change: impl FnOnce(&mut Runtime)) {
        change(&mut self.runtime.borrow_mut());
    }

    /// Every order so far, in order. Questions are not recorded.
    pub fn calls(&self) -> Vec<String> {
        self.runtime.borrow().calls.clone()
    }

    fn ask<T>(&self, what: &str, answer: impl FnOnce(&Runtime) -> T) -> anyhow::Result<T> {
        let runtime = self.runtime.borrow();
        let (at, what) = (self.socket.clone(), what.to_owned());
        match runtime.health {
            Health::Up => Ok(answer(&runtime)),
            Health::Down => Err(DaemonError::Absent { at }.into()),
            Health::NoCri => {
                let detail = "unknown service runtime.v1.RuntimeService".to_owned();
                Err(DaemonError::Unimplemented { at, what, detail }.into())
            }
        }
    }

    fn order(&self, call: &str, act: impl FnOnce(&mut Runtime)) -> anyhow::Result<()> {
        self.faults.effect(call, || {
            self.ask(call, |_| ())?;
            let mut runtime = self.runtime.borrow_mut();
            runtime.calls.push(call.to_owned());
            act(&mut runtime);
            Ok(())
        })
    }

    fn missing(&self, what: &str, id: &str) -> anyhow::Error {
        let (at, what) = (self.socket.clone(), what.to_owned());
        DaemonError::NotFound { at, what, detail: format!("`{id}` is not in the fake") }.into()
    }
}

impl Cri for FakeCri {
    fn socket(&self) -> &str {
        &self.socket
    }

    fn api(&self) -> anyhow::Result<CriApi> {
        self.ask("Version", |runtime| runtime.api)
    }

    fn version(&self) -> anyhow::Result<CriVersion> {
        self.ask("Version", |runtime| runtime.version.clone())
    }

    fn status(&self, verbose: bool) -> anyhow::Result<CriStatus> {
        let mut status = self.ask("Status", |runtime| runtime.status.clone())?;
        if !verbose {
            status.info.clear();
        }
        Ok(status)
    }

    fn cgroup_driver(&self) -> anyhow::Result<Option<CriCgroupDriver>> {
        self.ask("RuntimeConfig", |runtime| runtime.cgroup_driver)
    }

    fn sandboxes(&self) -> anyhow::Result<Vec<Sandbox>> {
        self.ask("ListPodSandbox", |runtime| runtime.sandboxes.clone())
    }

    fn stop_sandbox(&self, id: &str) -> anyhow::Result<()> {
        self.order(&format!("stop-sandbox {id}"), |runtime| {
            for sandbox in runtime.sandboxes.iter_mut().filter(|sandbox| sandbox.id == id) {
                sandbox.ready = false;
            }
            for container in runtime.containers.iter_mut().filter(|container| container.sandbox_id == id) {
                container.state = ContainerState::Exited;
            }
        })
    }

    fn remove_sandbox(&self, id: &str) -> anyhow::Result<()> {
        self.order(&format!("remove-sandbox {id}"), |runtime| {
            runtime.sandboxes.retain(|sandbox| sandbox.id != id);
            runtime.containers.retain(|container| container.sandbox_id != id);
        })
    }

    fn sandbox_status_verbose(&self, id: &str) -> anyhow::Result<SandboxStatus> {
        let found = self.ask("PodSandboxStatus", |runtime| runtime.sandbox_details.get(id).cloned())?;
        found.ok_or_else(|| self.missing("PodSandboxStatus", id))
    }

    fn containers(&self) -> anyhow::Result<Vec<Container>> {
        self.ask("ListContainers", |runtime| runtime.containers.clone())
    }

    fn container_status_verbose(&self, id: &str) -> anyhow::Result<ContainerStatus> {
        let found = self.ask("ContainerStatus", |runtime| runtime.container_details.get(id).cloned())?;
        found.ok_or_else(|| self.missing("ContainerStatus", id))
    }

    fn stop_container(&self, id: &str, _grace: Duration) -> anyhow::Result<()> {
        self.order(&format!("stop-container {id}"), |runtime| {
            for container in runtime.containers.iter_mut().filter(|container| container.id == id) {
                container.state = ContainerState::Exited;
            }
        })
    }

    fn stop_containers(&self, ids: &[(String, Duration)]) -> anyhow::Result<()> {
        ids.iter().try_for_each(|(id, grace)| self.stop_container(id, *grace))
    }

    fn remove_container(&self, id: &str) -> anyhow::Result<()> {
        self.order(&format!("remove-container {id}"), |runtime| runtime.containers.retain(|c| c.id != id))
    }

    fn images(&self) -> anyhow::Result<Vec<CriImage>> {
        self.ask("ListImages", |runtime| runtime.images.clone())
    }

    fn pull(&self, name: &str, _: Duration) -> anyhow::Result<String> {
        anyhow::bail!("no registry has {name}")
    }

    fn image_status(&self, name: &str) -> anyhow::Result<Option<CriImage>> {
        let is =
            |image: &CriImage| image.id == name || image.tags.iter().chain(&image.digests).any(|known| known == name);
        self.ask("ImageStatus", |runtime| runtime.images.iter().find(|image| is(image)).cloned())
    }
}
