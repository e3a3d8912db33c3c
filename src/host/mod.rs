//! The only room that touches the machine: files below a root, systemd over D-Bus, Docker's API, CRI and containerd
//! over gRPC, processes, kernel and clock. Everything else asks here, so that everything else can be tested with fakes
//! and attacked with [`Faults`].

mod aio;
mod api;
pub mod bundle_file;
mod cage;
mod clock;
mod containerd;
mod cri;
mod daemon_error;
mod engine;
pub mod env;
mod faults;
mod grpc;
mod image_store;
mod kernel;
mod layer_store;
mod lock;
mod procs;
mod root;
pub mod scratch;
mod seccomp;
mod signals;
mod steady;
mod streams;
mod tree_units;
pub mod unit_links;
mod units;
pub mod user_files;

pub use aio::Aio;
pub use api::{Api, ApiError, FakeApi, FakeEviction, HttpsApi, Verb};
pub use cage::{Cage, Caged, RUNTIME};
pub use clock::{Clock, FakeClock, RealClock};
pub use containerd::{Containerd, ContainerdVersion, FakeContainerd, GrpcContainerd, Plugin};
pub use cri::*;
pub use daemon_error::DaemonError;
pub use engine::*;
pub use faults::{FaultMode, Faults, Injected};
pub use image_store::{GrpcImageStore, ImageStore, Piece};
pub use kernel::{FakeKernel, Kernel, RealKernel, Space};
pub use layer_store::{FakeLayerStore, GrpcLayerStore, ImageName, Labels, LayerStore, Snapshot};
pub use lock::{Holder, LOCK_PATH, Lock, Locked};
pub use procs::*;
pub use root::{
    Append, Attributes, Cloned, Cloning, EntryKind, Expect, FileError, FileRead, LayerPlace, Meta, NotPlain, Obstacle,
    Root, Syncs,
};
pub use seccomp::install_filter;
pub use signals::{pass_signals_on, watch_signals};
pub use streams::{Channels, Elsewhere, STATUS, STDERR, STDIN, STDOUT, exit_code};
pub use tree_units::TreeUnits;
pub use units::{DBusUnits, FakeUnits, JobResult, OwnProcess, Scope, UnitError, UnitState, Units, settle};

use crate::formats::kubeconfig::Kubeconfig;
use anyhow::{Result, bail};
use std::{fmt::Debug, path::Path, rc::Rc};

/// Docker's socket.
pub const DOCKER_SOCKET: &str = "unix:///run/docker.sock";

/// Gives clients for an endpoint.
pub trait Doors: Debug {
    /// A CRI client; it connects when it is first asked something.
    ///
    /// # Errors
    /// When the endpoint is no unix socket.
    fn cri(&self, endpoint: &str) -> Result<Box<dyn Cri>>;
    /// A client of containerd's own services.
    ///
    /// # Errors
    /// When the endpoint is no unix socket.
    fn containerd(&self, endpoint: &str) -> Result<Box<dyn Containerd>>;

    /// A client that makes pods.
    ///
    /// # Errors
    /// When the endpoint is no unix socket, or no pods can be made here.
    fn pods(&self, endpoint: &str) -> Result<Box<dyn CriPods>> {
        bail!("no pods can be made through {endpoint}")
    }

    /// A client of the store of containerd's images.
    ///
    /// # Errors
    /// When the endpoint is no unix socket, or has no such store.
    fn images(&self, endpoint: &str) -> Result<Box<dyn ImageStore>> {
        bail!("no images can be brought to {endpoint}")
    }

    /// A client of the API server of a kubeconfig; `read` reads the files it names.
    ///
    /// # Errors
    /// When certificates, key or address cannot be used, or there is no API server here.
    fn api(&self, config: &Kubeconfig, read: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<Box<dyn Api>> {
        let _ = read;
        bail!("there is no API server at {}", config.server)
    }

    /// What a daemon on the loopback tells over plain HTTP: status and text.
    ///
    /// # Errors
    /// When nothing answers there, or it is not on the loopback.
    fn told(&self, url: &str) -> Result<(u16, String)> {
        bail!("nothing answers at {url}")
    }

    /// A client of the store of containerd's layers.
    ///
    /// # Errors
    /// When the endpoint is no unix socket, or has no such store.
    fn layers(&self, endpoint: &str) -> Result<Box<dyn LayerStore>> {
        bail!("no layers can be brought to {endpoint}")
    }
}

/// A node, or a node's file tree.
#[derive(Debug)]
pub struct Host {
    /// Its files.
    pub root: Rc<Root>,
    /// Its systemd.
    pub units: Box<dyn Units>,
    /// Its Docker.
    pub engine: Box<dyn Engine>,
    /// Its programs and processes.
    pub procs: Box<dyn Procs>,
    /// Its kernel.
    pub kernel: Box<dyn Kernel>,
    /// Time.
    pub clock: Box<dyn Clock>,
    /// Its CRI and containerd endpoints.
    pub doors: Box<dyn Doors>,
    live: bool,
}

/// What a host is made of, for tests.
#[derive(Debug)]
pub struct Parts {
    /// Files.
    pub root: Root,
    /// systemd; `None` for links in the file tree only.
    pub units: Option<Box<dyn Units>>,
    /// Docker.
    pub engine: Box<dyn Engine>,
    /// Programs and processes.
    pub procs: Box<dyn Procs>,
    /// Kernel.
    pub kernel: Box<dyn Kernel>,
    /// Time.
    pub clock: Box<dyn Clock>,
    /// CRI and containerd endpoints.
    pub doors: Box<dyn Doors>,
    /// Whether it counts as a running node.
    pub live: bool,
}

impl Host {
    /// The machine castoff runs on (`dir` is `/`), or the file tree at `dir`.
    ///
    /// # Errors
    /// When `dir` cannot be opened.
    pub fn open(dir: &Path, faults: &Faults) -> Result<Self> {
        let root = Root::open(dir, faults.clone())?;
        let live = root.is_live();
        let aio = Aio::new()?;
        Ok(Self::from_parts(Parts {
            units: live.then(|| {
                let procs = Rc::new(RealProcs::new(faults.clone()));
                Box::new(DBusUnits::new(aio.clone(), procs, faults.clone())) as Box<dyn Units>
            }),
            engine: Box::new(DockerEngine::new(aio.clone(), DOCKER_SOCKET, faults.clone())?),
            procs: Box::new(RealProcs::new(faults.clone())),
            kernel: Box::new(RealKernel),
            clock: Box::new(RealClock::new()),
            doors: Box::new(Sockets { aio, faults: faults.clone() }),
            root,
            live,
        }))
    }

    /// A host made of given parts.
    pub fn from_parts(parts: Parts) -> Self {
        let root = Rc::new(parts.root);
        let units = parts.units.unwrap_or_else(|| Box::new(TreeUnits::new(Rc::clone(&root))));
        Self {
            root,
            units,
            engine: parts.engine,
            procs: parts.procs,
            kernel: parts.kernel,
            clock: parts.clock,
            doors: parts.doors,
            live: parts.live,
        }
    }

    /// True for a running node, false for a file tree: then nothing live is asked or touched.
    pub const fn is_live(&self) -> bool {
        self.live
    }

    /// The node's name: the kernel's host name, or what `/etc/hostname` of a file tree says.
    pub fn node_name(&self) -> String {
        if self.live {
            return self.kernel.hostname();
        }
        let text = self.root.text("/etc/hostname").ok().flatten().unwrap_or_default();
        let name = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        name.unwrap_or("localhost").to_owned()
    }

    /// A CRI client for an endpoint.
    ///
    /// # Errors
    /// When the endpoint is no unix socket.
    pub fn cri(&self, endpoint: &str) -> Result<Box<dyn Cri>> {
        self.doors.cri(endpoint)
    }

    /// True when docker.service is active. Asking its socket without looking first would start it.
    pub fn engine_is_up(&self) -> bool {
        self.live && self.units.state("docker.service").is_ok_and(|state| state.is_active())
    }

    /// This process.
    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

#[derive(Debug)]
struct Sockets {
    aio: Aio,
    faults: Faults,
}

impl Doors for Sockets {
    fn cri(&self, endpoint: &str) -> Result<Box<dyn Cri>> {
        Ok(Box::new(GrpcCri::new(self.aio.clone(), endpoint, self.faults.clone())?))
    }

    fn containerd(&self, endpoint: &str) -> Result<Box<dyn Containerd>> {
        Ok(Box::new(GrpcContainerd::new(self.aio.clone(), endpoint)?))
    }

    fn pods(&self, endpoint: &str) -> Result<Box<dyn CriPods>> {
        let client = GrpcCri::new(self.aio.clone(), endpoint, self.faults.clone())?;
        Ok(Box::new(client.keeping_connection()))
    }

    fn images(&self, endpoint: &str) -> Result<Box<dyn ImageStore>> {
        Ok(Box::new(GrpcImageStore::new(self.aio.clone(), endpoint, self.faults.clone())?))
    }

    fn api(&self, config: &Kubeconfig, read: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<Box<dyn Api>> {
        Ok(Box::new(HttpsApi::new(self.aio.clone(), config, read, self.faults.clone())?))
    }

    fn told(&self, url: &str) -> Result<(u16, String)> {
        api::plain_get(&self.aio, url)
    }

    fn layers(&self, endpoint: &str) -> Result<Box<dyn LayerStore>> {
        Ok(Box::new(GrpcLayerStore::new(self.aio.clone(), endpoint, self.faults.clone())?))
    }
}
