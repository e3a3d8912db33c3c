//! containerd's own API, apart from CRI: which version answers, and which of its plugins work. A CRI plugin that
//! failed to load does not stop containerd, so systemd calls such a daemon healthy; this is where it shows.

use super::{Aio, grpc::Server};
use std::{cell::RefCell, collections::BTreeMap, fmt::Debug, rc::Rc, time::Duration};

const LIMIT: Duration = Duration::from_secs(10);
const VERSION: &str = "/containerd.services.version.v1.Version/Version";
const PLUGINS: &str = "/containerd.services.introspection.v1.Introspection/Plugins";

/// Version of the containerd that answers, which may not be the one installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerdVersion {
    /// `1.7.24`, `v2.1.4`, or what the distribution made of it (`1.6.20~ds1`).
    pub version: String,
    /// Commit it was built from.
    pub revision: String,
}

/// A plugin of containerd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugin {
    /// Type: `io.containerd.grpc.v1`.
    pub kind: String,
    /// Name within the type: `cri`.
    pub id: String,
    /// Why it does not work; absent when it does. A plugin may also say here that it was skipped on purpose.
    pub init_error: Option<String>,
    /// What it tells about itself, such as the root of a snapshotter.
    pub exports: BTreeMap<String, String>,
}

impl Plugin {
    /// Full name as `disabled_plugins` and `required_plugins` want it: `io.containerd.grpc.v1.cri`.
    pub fn uri(&self) -> String {
        format!("{}.{}", self.kind, self.id)
    }
}

/// Questions to containerd. All of them only look.
pub trait Containerd: Debug {
    /// The version that answers.
    fn version(&self) -> anyhow::Result<ContainerdVersion>;

    /// Every plugin it knows; disabled ones are not listed.
    fn plugins(&self) -> anyhow::Result<Vec<Plugin>>;
}

/// The containerd behind a socket.
#[derive(Clone, Debug)]
pub struct GrpcContainerd(Server);

impl GrpcContainerd {
    /// A client; nothing is connected yet. `endpoint` is a path or `unix:///…`.
    pub fn new(aio: Aio, endpoint: &str) -> anyhow::Result<Self> {
        // Version and Introspection belong to no namespace, but a daemon may insist on the header.
        Ok(Self(Server::new(aio, endpoint)?.in_namespace("k8s.io")))
    }

    /// Path of the socket.
    pub fn socket(&self) -> &str {
        self.0.socket()
    }
}

impl Containerd for GrpcContainerd {
    fn version(&self) -> anyhow::Result<ContainerdVersion> {
        let reply: messages::VersionResponse = self.0.call(VERSION, messages::Empty {}, LIMIT)?;
        Ok(ContainerdVersion { version: reply.version, revision: reply.revision })
    }

    fn plugins(&self) -> anyhow::Result<Vec<Plugin>> {
        let reply: messages::PluginsResponse = self.0.call(PLUGINS, messages::PluginsRequest::default(), LIMIT)?;
        Ok(reply.plugins.into_iter().map(plugin).collect())
    }
}

fn plugin(found: messages::Plugin) -> Plugin {
    let init_error = found
        .init_err
        .map(|status| if status.message.is_empty() { format!("gRPC code {}", status.code) } else { status.message });
    Plugin { kind: found.kind, id: found.id, init_error, exports: found.exports }
}

/// A containerd that answers what the test says. Clones are the same daemon.
#[derive(Clone, Debug)]
pub struct FakeContainerd(Rc<RefCell<Answers>>);

#[derive(Debug)]
struct Answers {
    version: Result<ContainerdVersion, String>,
    plugins: Result<Vec<Plugin>, String>,
}

impl FakeContainerd {
    /// A daemon of this version that lists no plugins.
    pub fn new(version: &str) -> Self {
        let version = ContainerdVersion { version: version.to_owned(), revision: String::new() };
        Self(Rc::new(RefCell::new(Answers { version: Ok(version), plugins: Ok(Vec::new()) })))
    }

    /// From now on answers `version` so; `Err` is the text of the error.
    pub fn set_version(&self, version: Result<ContainerdVersion, String>) {
        self.0.borrow_mut().version = version;
    }

    /// From now on answers `plugins` so; `Err` is the text of the error.
    pub fn set_plugins(&self, plugins: Result<Vec<Plugin>, String>) {
        self.0.borrow_mut().plugins = plugins;
    }
}

impl Containerd for FakeContainerd {
    fn version(&self) -> anyhow::Result<ContainerdVersion> {
        self.0.borrow().version.clone().map_err(anyhow::Error::msg)
    }

    fn plugins(&self) -> anyhow::Result<Vec<Plugin>> {
        self.0.borrow().plugins.clone().map_err(anyhow::Error::msg)
    }
}

/// The fields we use of containerd's messages, with the tags of its API.
mod messages {
    use std::collections::BTreeMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Empty {}

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct VersionResponse {
        #[prost(string, tag = "1")]
        pub version: String,
        #[prost(string, tag = "2")]
        pub revision: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PluginsRequest {
        #[prost(string, repeated, tag = "1")]
        pub filters: Vec<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PluginsResponse {
        #[prost(message, repeated, tag = "1")]
        pub plugins: Vec<Plugin>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Plugin {
        #[prost(string, tag = "1")]
        pub kind: String,
        #[prost(string, tag = "2")]
        pub id: String,
        #[prost(btree_map = "string, string", tag = "5")]
        pub exports: BTreeMap<String, String>,
        #[prost(message, optional, tag = "7")]
        pub init_err: Option<RpcStatus>,
    }

    /// `google.rpc.Status`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RpcStatus {
        #[prost(int32, tag = "1")]
        pub code: i32,
        #[prost(string, tag = "2")]
        pub message: String,
    }
}

#[cfg(test)]
#[path = "containerd_tests.rs"]
mod tests;
