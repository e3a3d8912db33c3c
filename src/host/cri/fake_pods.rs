//! Pods in the runtime in memory, as far as tests of what makes them need any. No program runs in them.

use super::{Container, ContainerState, FakeCri, Sandbox};
use crate::host::cri::{ContainerSpec, Cri as _, CriPods, Executed, Order, PodSpec, Stats, StatsOf};
use anyhow::bail;
use std::time::Duration;

impl FakeCri {
    fn one(&self, order: Order) -> anyhow::Result<String> {
        match order {
            Order::RunSandbox(pod) => return self.run_sandbox(&pod),
            Order::Create(sandbox, pod, container) => return self.create_container(&sandbox, &pod, &container),
            Order::SandboxStatus(id) => drop(self.sandbox_status_verbose(&id)?),
            Order::ContainerStatus(id) => drop(self.container_status_verbose(&id)?),
            Order::StopSandbox(id) => self.stop_sandbox(&id)?,
            Order::RemoveSandbox(id) => self.remove_sandbox(&id)?,
            Order::Start(id) => self.start_container(&id)?,
            Order::Stop(id) => self.stop_container(&id, Duration::ZERO)?,
            Order::Remove(id) => self.remove_container(&id)?,
            Order::Images => drop(self.images()?),
            Order::RemoveImage(name) => self.remove_image(&name)?,
        }
        Ok(String::new())
    }
}

impl CriPods for FakeCri {
    fn run_sandbox(&self, pod: &PodSpec) -> anyhow::Result<String> {
        let (name, namespace) = (pod.name.clone(), pod.namespace.clone());
        let made = Sandbox { id: name.clone(), name: name.clone(), namespace, ready: true, ..Sandbox::default() };
        self.order(&format!("run-sandbox {name}"), |runtime| runtime.sandboxes.push(made))?;
        Ok(name)
    }

    fn create_container(&self, sandbox: &str, _: &PodSpec, container: &ContainerSpec) -> anyhow::Result<String> {
        let id = format!("{sandbox}-{}", container.name);
        let (name, sandbox_id) = (container.name.clone(), sandbox.to_owned());
        let made =
            Container { id: id.clone(), name, sandbox_id, state: ContainerState::Created, ..Container::default() };
        self.order(&format!("create-container {id}"), |runtime| runtime.containers.push(made))?;
        Ok(id)
    }

    fn start_container(&self, id: &str) -> anyhow::Result<()> {
        self.order(&format!("start-container {id}"), |runtime| {
            for container in runtime.containers.iter_mut().filter(|container| container.id == id) {
                container.state = ContainerState::Running;
            }
        })
    }

    fn exec(&self, id: &str, _: &[&str], _: Duration) -> anyhow::Result<Executed> {
        bail!("nothing runs in {id}")
    }

    fn exec_url(&self, id: &str, _: &[&str], _: bool, _: bool) -> anyhow::Result<String> {
        bail!("nothing runs in {id}")
    }

    fn attach_url(&self, id: &str) -> anyhow::Result<String> {
        bail!("nothing runs in {id}")
    }

    fn port_forward_url(&self, sandbox: &str, _: u16) -> anyhow::Result<String> {
        bail!("nothing runs in {sandbox}")
    }

    fn stats(&self, id: &str) -> anyhow::Result<Stats> {
        bail!("nothing runs in {id}")
    }

    fn stats_list(&self, _: StatsOf<'_>) -> anyhow::Result<Vec<Stats>> {
        Ok(Vec::new())
    }

    fn metric_names(&self) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn pod_metrics(&self) -> anyhow::Result<Vec<(String, usize)>> {
        Ok(Vec::new())
    }

    fn reopen_log(&self, id: &str) -> anyhow::Result<()> {
        bail!("nothing runs in {id}")
    }

    fn update_container(&self, id: &str, _: i64, _: i64) -> anyhow::Result<()> {
        bail!("nothing runs in {id}")
    }

    fn remove_image(&self, name: &str) -> anyhow::Result<()> {
        self.order(&format!("remove-image {name}"), |runtime| {
            runtime.images.retain(|image| image.id != name && !image.tags.iter().any(|tag| tag == name));
        })
    }

    fn at_once(&self, orders: Vec<Order>) -> anyhow::Result<Vec<(Duration, anyhow::Result<String>)>> {
        Ok(orders.into_iter().map(|order| (Duration::ZERO, self.one(order))).collect())
    }
}
