//! A Docker daemon in memory for tests.

use super::{Engine, EngineContainer, EngineImage, EngineVersion};
use crate::host::{DaemonError, Faults};
use anyhow::bail;
use serde_json::{Value, json};
use std::{cell::RefCell, collections::BTreeMap, io::Write, rc::Rc, time::Duration};

/// A Docker daemon in memory. Clones are the same daemon.
#[derive(Clone, Debug)]
pub struct FakeEngine {
    socket: String,
    faults: Faults,
    daemon: Rc<RefCell<Daemon>>,
}

/// What the fake daemon has; tests change it through [`FakeEngine::change`].
#[derive(Clone, Debug, Default)]
pub struct Daemon {
    /// There is no socket.
    pub down: bool,
    /// Its version.
    pub version: EngineVersion,
    /// What it says to `/info`.
    pub info: Value,
    /// Its containers.
    pub containers: Vec<EngineContainer>,
    /// What it says to inspect, by id.
    pub inspections: BTreeMap<String, Value>,
    /// Its images.
    pub images: Vec<EngineImage>,
    /// Ids of containers that it fails to stop.
    pub unstoppable: Vec<String>,
    /// How many lists after a stop still show what ran before it, as dockerd's do for a moment.
    pub late: u32,
    /// What lists show as long as they are late.
    before: Option<(u32, Vec<EngineContainer>)>,
    /// Orders so far: `stop ID`, `start ID`, `save NAME NAME`.
    pub calls: Vec<String>,
}

impl FakeEngine {
    /// A daemon 20.10 without containers and images.
    pub fn new(socket: &str, faults: Faults) -> Self {
        let version = EngineVersion {
            version: "20.10.24".into(),
            api_version: "1.41".into(),
            min_api_version: "1.12".into(),
            os: "linux".into(),
            arch: "amd64".into(),
            ..EngineVersion::default()
        };
        let info = json!({"CgroupDriver": "cgroupfs", "Driver": "overlay2", "DockerRootDir": "/var/lib/docker"});
        let daemon = Daemon { version, info, ..Daemon::default() };
        Self { socket: socket.to_owned(), faults, daemon: Rc::new(RefCell::new(daemon)) }
    }

    /// The same daemon, asked by another process: its failures are scripted anew.
    #[must_use]
    pub fn with_faults(&self, faults: Faults) -> Self {
        Self { faults, ..self.clone() }
    }

    /// Changes what the daemon has.
    pub fn change(&self, change: impl FnOnce(&mut Daemon)) {
        change(&mut self.daemon.borrow_mut());
    }

    /// Every order so far, in order. Questions are not recorded.
    pub fn calls(&self) -> Vec<String> {
        self.daemon.borrow().calls.clone()
    }

    fn ask<T>(&self, answer: impl FnOnce(&Daemon) -> T) -> anyhow::Result<T> {
        let daemon = self.daemon.borrow();
        if daemon.down {
            return Err(DaemonError::Absent { at: self.socket.clone() }.into());
        }
        Ok(answer(&daemon))
    }

    fn set_state(&self, id: &str, state: &str) {
        for container in self.daemon.borrow_mut().containers.iter_mut().filter(|container| container.id == id) {
            state.clone_into(&mut container.state);
        }
    }

    fn stop_one(&self, id: &str) -> anyhow::Result<()> {
        self.daemon.borrow_mut().calls.push(format!("stop {id}"));
        if self.daemon.borrow().unstoppable.iter().any(|stuck| stuck == id) {
            bail!("container {id} could not be stopped (scripted)");
        }
        let mut daemon = self.daemon.borrow_mut();
        daemon.before = (daemon.late > 0).then(|| (daemon.late, daemon.containers.clone()));
        drop(daemon);
        self.set_state(id, "exited");
        Ok(())
    }
}

impl Engine for FakeEngine {
    fn socket(&self) -> &str {
        &self.socket
    }

    fn ping(&self) -> anyhow::Result<()> {
        self.ask(|_| ())
    }

    fn version(&self) -> anyhow::Result<EngineVersion> {
        self.ask(|daemon| daemon.version.clone())
    }

    fn info(&self) -> anyhow::Result<Value> {
        self.ask(|daemon| daemon.info.clone())
    }

    fn containers(&self, all: bool) -> anyhow::Result<Vec<EngineContainer>> {
        let mut found = self.ask(|daemon| daemon.containers.clone())?;
        if let Some((late, before)) = &mut self.daemon.borrow_mut().before
            && *late > 0
        {
            *late -= 1;
            found.clone_from(before);
        }
        Ok(found.into_iter().filter(|container| all || container.is_alive()).collect())
    }

    fn inspect(&self, id: &str) -> anyhow::Result<Value> {
        let found = self.ask(|daemon| daemon.inspections.get(id).cloned())?;
        let (at, what) = (self.socket.clone(), format!("GET /containers/{id}/json"));
        found.ok_or_else(|| DaemonError::NotFound { at, what, detail: format!("No such container: {id}") }.into())
    }

    fn images(&self) -> anyhow::Result<Vec<EngineImage>> {
        self.ask(|daemon| daemon.images.clone())
    }

    fn stop(&self, id: &str, _grace: Duration) -> anyhow::Result<()> {
        self.faults.effect(&format!("stop container {id}"), || {
            self.ping()?;
            self.stop_one(id)
        })
    }

    fn stop_all(&self, ids: &[(String, Duration)]) -> Vec<(String, anyhow::Result<()>)> {
        let all = self.faults.effect(&format!("stop {} containers", ids.len()), || {
            self.ping()?;
            Ok(ids.iter().map(|(id, _)| (id.clone(), self.stop_one(id))).collect())
        });
        all.unwrap_or_else(|error| {
            let why = format!("{error:#}");
            ids.iter().map(|(id, _)| (id.clone(), Err(anyhow::anyhow!("{why}")))).collect()
        })
    }

    fn start(&self, id: &str) -> anyhow::Result<()> {
        self.faults.effect(&format!("start container {id}"), || {
            self.ping()?;
            self.daemon.borrow_mut().calls.push(format!("start {id}"));
            self.set_state(id, "running");
            Ok(())
        })
    }

    fn save(&self, names: &[String], sink: &mut dyn Write) -> anyhow::Result<u64> {
        let missing = self.ask(|daemon| {
            let known = |name: &&String| daemon.images.iter().any(|i| i.repo_tags.contains(name) || i.id == **name);
            names.iter().find(|name| !known(name)).cloned()
        })?;
        if let Some(name) = missing {
            let (at, what) = (self.socket.clone(), "GET /images/get".to_owned());
            return Err(DaemonError::NotFound { at, what, detail: format!("No such image: {name}") }.into());
        }
        self.daemon.borrow_mut().calls.push(format!("save {}", names.join(" ")));
        // Not a real archive: names in the order asked for, so that tests can see what went where.
        let archive = names.join("\n");
        sink.write_all(archive.as_bytes())?;
        Ok(archive.len() as u64)
    }
}
