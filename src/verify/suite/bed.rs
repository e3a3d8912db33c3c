//! Where pods are tried, and pods that end with the check that made them.

use crate::{
    host::{ContainerSpec, ContainerState, ContainerStatus, CriPods, Executed, Faults, Host, PodSpec, Share, scratch},
    model::Evidence,
    runtime::{attempt::Way, workload},
};
use anyhow::{Context as _, Result, bail};
use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// For a container that does next to nothing. A starved machine needs seconds.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(4);
/// The namespace of castoff's pods.
pub(crate) const NAMESPACE: &str = "castoff-verify";
/// Label of everything castoff makes through CRI.
pub(crate) const LABEL: (&str, &str) = ("castoff.invalid/verify", "true");
/// The workload in castoff's image.
pub(crate) const PROBE: &str = "/probe";

/// That something cannot be tried here, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unfit(pub String);

/// A failure with what was seen.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Seen {
    why: String,
    pub(crate) evidence: Evidence,
}

impl Seen {
    pub(crate) fn new(why: impl Into<String>, path: &str, value: impl Into<String>) -> Self {
        let evidence = Evidence { path: path.to_owned(), value: value.into(), errno: None };
        Self { why: why.into(), evidence }
    }
}

/// Where pods are tried.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The daemon's socket.
    pub(crate) endpoint: String,
    /// The image of every container.
    pub(crate) image: String,
    /// Runtime handler; empty for the default one.
    pub(crate) handler: String,
    /// How the runtime makes cgroups when all is well.
    pub(crate) way: Way,
    /// The daemon's file tree, as castoff sees it.
    pub(crate) tree: PathBuf,
    /// A folder in that tree for logs and volumes.
    pub(crate) dir: String,
    /// A process in the namespaces that are the node's for the daemon.
    pub(crate) node_pid: u32,
    /// Whether the daemon is castoff's own, so that nobody else's port can be hit.
    pub(crate) private: bool,
}

impl Place {
    /// Does something here through a client of its own, if there can be one.
    pub(crate) fn with_own_client(self, number: usize, interrupt: &AtomicBool, work: impl Fn(&Bed<'_>)) {
        let Ok(host) = Host::open(Path::new("/"), &Faults::none()) else { return };
        let Ok(cri) = host.doors.pods(&self.endpoint) else { return };
        work(&Bed::new(&host, &*cri, self, number, interrupt));
    }
}

#[cfg(test)]
impl Place {
    /// A folder, for a runtime in memory.
    pub(crate) fn in_folder(tree: &Path) -> Self {
        Self {
            endpoint: "unix:///run/fake.sock".to_owned(),
            image: "castoff.invalid/probe:test".to_owned(),
            handler: String::new(),
            way: Way { mode: crate::model::CgroupMode::Unified, systemd: false },
            tree: tree.to_owned(),
            dir: "/castoff-verify".to_owned(),
            node_pid: 1,
            private: true,
        }
    }
}

/// A place with somebody who works there.
pub(crate) struct Bed<'a> {
    pub(crate) host: &'a Host,
    pub(crate) cri: &'a dyn CriPods,
    pub(crate) place: Place,
    /// Set by the first SIGINT or SIGTERM.
    pub(crate) interrupt: &'a AtomicBool,
    number: usize,
    count: Cell<u32>,
    /// A pod in the node's network that checks share.
    common: RefCell<Option<Rc<Pod<'a>>>>,
}

impl<'a> Bed<'a> {
    /// One of several who work at a place; each has a number.
    pub(crate) fn new(
        host: &'a Host,
        cri: &'a dyn CriPods,
        place: Place,
        number: usize,
        interrupt: &'a AtomicBool,
    ) -> Self {
        Self { host, cri, place, interrupt, number, count: Cell::new(0), common: RefCell::new(None) }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// A pod as castoff wants it, in the node's network.
    pub(crate) fn spec(&self, what: &str) -> PodSpec {
        self.count.set(self.count.get() + 1);
        let id = format!("{}-{}-{}", self.host.pid(), self.number, self.count.get());
        PodSpec {
            name: format!("castoff-{what}-{id}"),
            namespace: NAMESPACE.to_owned(),
            uid: format!("castoff-{id}"),
            handler: self.place.handler.clone(),
            log_dir: format!("{}/{what}-{id}", self.place.dir),
            cgroup_parent: if self.place.way.systemd { "castoff.slice" } else { "/castoff" }.to_owned(),
            network: Share::Node,
            pid: Share::Container,
            labels: [(LABEL.0.to_owned(), LABEL.1.to_owned())].into(),
            ..PodSpec::default()
        }
    }

    /// A container that waits to be told to end.
    pub(crate) fn container(&self, name: &str) -> ContainerSpec {
        self.running(name, &["pause", workload::LIFETIME])
    }

    /// A container that does this.
    pub(crate) fn running(&self, name: &str, args: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: name.to_owned(),
            image: self.place.image.clone(),
            command: [PROBE].iter().chain(args).map(|word| (*word).to_owned()).collect(),
            labels: [(LABEL.0.to_owned(), LABEL.1.to_owned())].into(),
            log: format!("{name}.log"),
            ..ContainerSpec::default()
        }
    }

    /// Runs a pod.
    pub(crate) fn pod(&self, spec: PodSpec) -> Result<Pod<'a>> {
        scratch::put(&self.place.tree, spec.log_dir.trim_start_matches('/'), 0o755, None)?;
        let id = self.cri.run_sandbox(&spec)?;
        Ok(Pod { host: self.host, cri: self.cri, tree: self.place.tree.clone(), spec, id })
    }

    /// The pod that checks share; made by the first.
    pub(crate) fn common(&self) -> Result<Rc<Pod<'a>>> {
        if let Some(pod) = self.common.borrow().as_ref() {
            return Ok(Rc::clone(pod));
        }
        let pod = Rc::new(self.pod(PodSpec { privileged: true, ..self.spec("common") })?);
        *self.common.borrow_mut() = Some(Rc::clone(&pod));
        Ok(pod)
    }

    /// Runs a container to its end in the shared pod.
    pub(crate) fn ended(&self, spec: &ContainerSpec) -> Result<(ContainerStatus, String)> {
        let pod = self.common()?;
        let container = pod.start(spec)?;
        let status = container.end()?;
        Ok((status, container.output()?))
    }

    /// What a container with these settings sees of itself: `/proc/self/status`.
    pub(crate) fn status_of(&self, spec: ContainerSpec) -> Result<Status> {
        let command = [PROBE, "cat", "/proc/self/status"].map(str::to_owned).to_vec();
        let (_, text) = self.ended(&ContainerSpec { command, ..spec })?;
        Ok(Status(text))
    }

    /// Makes a folder or file below the bed's folder; its path in the daemon's tree.
    pub(crate) fn put(&self, path: &str, content: Option<&[u8]>) -> Result<String> {
        let path = format!("{}/{path}", self.place.dir);
        scratch::put(
            &self.place.tree,
            path.trim_start_matches('/'),
            if content.is_some() { 0o644 } else { 0o755 },
            content,
        )?;
        Ok(path)
    }
}

/// A process's `status` file.
pub(crate) struct Status(String);

impl Status {
    /// The text of such a file.
    pub(crate) fn of(text: String) -> Self {
        Self(text)
    }

    /// The value of a line.
    pub(crate) fn get(&self, key: &str) -> &str {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map(str::trim).unwrap_or_default()
    }

    /// Fails unless a line has this value.
    pub(crate) fn expect(&self, key: &str, value: &str, why: &str) -> Result<()> {
        let found = self.get(key).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        if found == value {
            return Ok(());
        }
        Err(Seen::new(format!("{why}: {key} is `{found}`, not `{value}`"), "/proc/self/status", found).into())
    }

    /// A set of capabilities.
    pub(crate) fn capabilities(&self, key: &str) -> Result<u64> {
        u64::from_str_radix(self.get(key), 16).with_context(|| format!("{key} is `{}`", self.get(key)))
    }
}

/// A pod, stopped and removed when dropped.
pub(crate) struct Pod<'a> {
    host: &'a Host,
    pub(crate) cri: &'a dyn CriPods,
    tree: PathBuf,
    pub(crate) spec: PodSpec,
    pub(crate) id: String,
}

impl<'a> Pod<'a> {
    /// Makes and starts a container.
    pub(crate) fn start(&self, spec: &ContainerSpec) -> Result<Ctr<'a>> {
        let container = self.create(spec)?;
        self.cri.start_container(&container.id)?;
        Ok(container)
    }

    /// Makes a container.
    pub(crate) fn create(&self, spec: &ContainerSpec) -> Result<Ctr<'a>> {
        let log = self.tree.join(self.spec.log_dir.trim_start_matches('/')).join(&spec.log);
        let id = self.cri.create_container(&self.id, &self.spec, spec)?;
        Ok(Ctr { host: self.host, cri: self.cri, id, log })
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        let _ = self.cri.stop_sandbox(&self.id);
        let _ = self.cri.remove_sandbox(&self.id);
    }
}

/// A container, removed when dropped.
pub(crate) struct Ctr<'a> {
    host: &'a Host,
    pub(crate) cri: &'a dyn CriPods,
    pub(crate) id: String,
    pub(crate) log: PathBuf,
}

impl Ctr<'_> {
    /// Runs the workload beside the container's own.
    pub(crate) fn exec(&self, args: &[&str]) -> Result<Executed> {
        let command: Vec<&str> = [PROBE].iter().chain(args).copied().collect();
        self.cri.exec(&self.id, &command, LIMIT)
    }

    /// What the workload prints, when it ends well.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<String> {
        let done = self.exec(args)?;
        if done.code != 0 {
            bail!("`probe {}` ended with {}: {}{}", args.join(" "), done.code, done.stdout.trim(), done.stderr.trim());
        }
        Ok(done.stdout)
    }

    /// Fails unless the workload ends with this code.
    pub(crate) fn expect(&self, args: &[&str], code: i32, why: &str) -> Result<()> {
        let done = self.exec(args)?;
        if done.code == code {
            return Ok(());
        }
        let what = format!("probe {}", args.join(" "));
        let said = format!("exit code {} {}", done.code, done.stderr.trim());
        Err(Seen::new(format!("{why}: `{what}` ended with {}, not {code}", done.code), &what, said).into())
    }

    pub(crate) fn status(&self) -> Result<ContainerStatus> {
        self.cri.container_status_verbose(&self.id)
    }

    /// Its first process.
    pub(crate) fn pid(&self) -> Result<u32> {
        let pid = self.status()?.pid;
        pid.ok_or_else(|| Unfit("this runtime does not tell the process of a container".to_owned()).into())
    }

    /// Waits until it has ended.
    pub(crate) fn end(&self) -> Result<ContainerStatus> {
        self.wait("a container that should have ended has not", || {
            let status = self.status()?;
            Ok((status.state == ContainerState::Exited).then_some(status))
        })
    }

    /// Asks until there is an answer.
    pub(crate) fn wait<T>(&self, why: &str, answer: impl Fn() -> Result<Option<T>>) -> Result<T> {
        let began = self.host.clock.monotonic();
        loop {
            if let Some(answer) = answer()? {
                return Ok(answer);
            }
            if self.host.clock.monotonic().saturating_sub(began) > LIMIT {
                bail!("{why}");
            }
            self.host.clock.sleep(PAUSE);
        }
    }

    /// Its log as the runtime wrote it.
    pub(crate) fn log(&self) -> Result<String> {
        scratch::text(&self.log)
    }

    /// Waits until its log says so.
    pub(crate) fn says(&self, wanted: &str) -> Result<()> {
        let why = format!("`{wanted}` does not come into {}", self.log.display());
        self.wait(&why, || Ok(self.log().is_ok_and(|log| log.contains(wanted)).then_some(())))
    }

    /// What it wrote, without what the log adds.
    pub(crate) fn output(&self) -> Result<String> {
        let text = self.log()?;
        let lines = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
        let lines: Vec<&str> = lines.collect();
        Ok(if lines.is_empty() { String::new() } else { format!("{}\n", lines.join("\n")) })
    }
}

impl Drop for Ctr<'_> {
    fn drop(&mut self) {
        let _ = self.cri.stop_container(&self.id, Duration::ZERO);
        let _ = self.cri.remove_container(&self.id);
    }
}
