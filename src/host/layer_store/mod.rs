//! containerd's layers, blobs, names and leases, as far as carrying images needs them; by its own API, with no registry.

pub(super) mod content;
mod fake;
pub(super) mod messages;

pub use fake::FakeLayerStore;

use super::{Aio, DaemonError, Faults, grpc::Server};
use anyhow::{Context as _, Result, bail};
use messages as m;
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

/// For one call. `Commit` walks the layer to learn its size, which takes seconds for a cold one with many files.
const LIMIT: Duration = Duration::from_secs(300);
/// containerd's default, and the only one whose layers look like Docker's.
const SNAPSHOTTER: &str = "overlayfs";
/// The layer that a snapshot in the making will be (containerd `snapshots/snapshotter.go`).
const SNAPSHOT_REF: &str = "containerd.io/snapshot.ref";
/// A lease is gone by itself at this time (containerd `docs/garbage-collection.md`).
const EXPIRE: &str = "containerd.io/gc.expire";
/// Where Docker keeps the manifests of what it pulled, and what the lease of an image is called (moby
/// `daemon/images/store.go`, since 20.10).
const MOBY: &str = "moby";

/// Labels of containerd's objects.
pub type Labels = BTreeMap<String, String>;

/// Hands the parts of a blob to whoever writes them, in order.
pub type Parts<'a> = dyn FnMut(&mut dyn FnMut(Vec<u8>) -> Result<()>) -> Result<()> + 'a;

/// A name of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageName {
    /// `docker.io/library/nginx:1.25`.
    pub name: String,
    /// Digest of the manifest or index.
    pub target: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Labels.
    pub labels: Labels,
}

/// A snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Chain id of a layer; anything for one that something writes to.
    pub name: String,
    /// What it is based on; empty for a lowest layer.
    pub parent: String,
    /// False while something may write to it.
    pub is_layer: bool,
}

/// The store of one containerd, namespace `k8s.io`. Whatever is there or gone already is as good as done.
pub trait LayerStore: Debug {
    /// Makes a lease: what is made under it stays. With a time (RFC 3339) it is gone by itself then.
    fn lease(&self, id: &str, expires: Option<&str>) -> Result<()>;
    /// Ends a lease, and what only it held is gone.
    fn end_lease(&self, id: &str) -> Result<()>;
    /// All leases.
    fn leases(&self) -> Result<Vec<String>>;
    /// Whether there is a layer of this chain id.
    fn has_layer(&self, chain: &str) -> Result<bool>;
    /// Begins a layer, or goes on with one that was begun; the directory its files go to.
    fn begin_layer(&self, key: &str, parent: &str, chain: &str, lease: &str) -> Result<String>;
    /// Makes what was begun a layer.
    fn end_layer(&self, key: &str, chain: &str, lease: &str) -> Result<()>;
    /// Takes back what was begun.
    fn drop_layer(&self, key: &str) -> Result<()>;
    /// All snapshots.
    fn snapshots(&self) -> Result<Vec<Snapshot>>;
    /// The directories that a container on a layer would see, topmost first. Something must be made for that, which is
    /// taken away again.
    fn directories(&self, chain: &str, key: &str) -> Result<Vec<String>>;
    /// Writes a blob under a lease; one that is there gets the labels.
    fn put_blob(&self, digest: &str, bytes: &[u8], labels: Labels, lease: &str) -> Result<()>;
    /// Writes a blob too large for memory, of parts of at most a few MiB.
    fn put_parts(&self, digest: &str, size: u64, parts: &mut Parts<'_>, lease: &str) -> Result<()>;
    /// Makes a blob of another namespace known here, without its bytes; labels hold what it is part of.
    fn share_blob(&self, digest: &str, size: u64, lease: &str) -> Result<()>;
    /// The same containerd, and what Docker keeps in it.
    fn of_docker(&self) -> Box<dyn LayerStore>;
    /// The documents that Docker kept of an image it pulled: manifest and index.
    fn kept(&self, image: &str) -> Result<Vec<Vec<u8>>>;
    /// A blob of the namespace `k8s.io`.
    fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>>;
    /// All names.
    fn names(&self) -> Result<Vec<ImageName>>;
    /// Gives a name; one that is there is left as it is.
    fn put_name(&self, name: &ImageName) -> Result<()>;
    /// Adds a label to a name.
    fn label_name(&self, name: &ImageName, key: &str, value: &str) -> Result<()>;
    /// Takes a name away.
    fn take_name(&self, name: &str) -> Result<()>;
}

/// The store behind containerd's socket.
#[derive(Clone, Debug)]
pub struct GrpcLayerStore {
    server: Server,
    moby: Server,
    faults: Faults,
}

impl GrpcLayerStore {
    /// A client; nothing is connected yet. `endpoint` is a path or `unix:///…`.
    pub fn new(aio: Aio, endpoint: &str, faults: Faults) -> Result<Self> {
        // A connection of its own for each call: between two of them a layer may be copied, and nobody would answer the
        // server's pings on a kept one.
        let server = Server::new(aio, endpoint)?;
        Ok(Self { moby: server.clone().in_namespace(MOBY), server: server.in_namespace("k8s.io"), faults })
    }

    fn act<Q, A>(&self, what: &str, service: &str, request: Q) -> Result<A>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.faults.effect(what, || self.server.call(&path(service), request, LIMIT))
    }
}

/// `Snapshots/Stat` → `/containerd.services.snapshots.v1.Snapshots/Stat`.
fn path(method: &str) -> String {
    let service = method.split('/').next().unwrap_or_default();
    format!("/containerd.services.{}.v1.{method}", service.to_lowercase())
}

fn is_code(error: &anyhow::Error, wanted: &str) -> bool {
    matches!(DaemonError::of(error), Some(DaemonError::Rejected { code, .. }) if code == wanted)
}

/// That something is there already is what was wanted; says whether it was.
pub(super) fn already<T>(done: Result<T>) -> Result<bool> {
    match done {
        Err(error) if is_code(&error, "AlreadyExists") => Ok(true),
        done => done.map(|_| false),
    }
}

/// That something is not there is an answer.
pub(super) fn absent<T>(asked: Result<T>) -> Result<Option<T>> {
    match asked {
        Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::NotFound { .. })) => Ok(None),
        asked => asked.map(Some),
    }
}

/// The directory of a snapshot that is written to: the mount's source for a lowest layer, else its upper directory
/// (containerd `snapshots/overlay/overlay.go`).
fn upper(mounts: &[m::Mount]) -> Result<String> {
    let [mount] = mounts else { bail!("containerd answers {} mounts for a layer", mounts.len()) };
    match mount.kind.as_str() {
        "bind" => Ok(mount.source.clone()),
        "overlay" => {
            let upper = mount.options.iter().find_map(|option| option.strip_prefix("upperdir="));
            upper.map(str::to_owned).context("containerd names no directory for a layer")
        }
        other => bail!("containerd mounts a layer as {other}; only its snapshotter `{SNAPSHOTTER}` is known here"),
    }
}

/// What a read-only mount shows, topmost first.
fn lower(mounts: &[m::Mount]) -> Result<Vec<String>> {
    let [mount] = mounts else { bail!("containerd answers {} mounts for a layer", mounts.len()) };
    if mount.kind == "bind" {
        return Ok(vec![mount.source.clone()]);
    }
    let lower = mount.options.iter().find_map(|option| option.strip_prefix("lowerdir="));
    Ok(lower.context("containerd names no directories for a layer")?.split(':').map(str::to_owned).collect())
}

impl LayerStore for GrpcLayerStore {
    fn lease(&self, id: &str, expires: Option<&str>) -> Result<()> {
        let labels = expires.map(|time| (EXPIRE.to_owned(), time.to_owned())).into_iter().collect();
        let request = m::CreateLeaseRequest { id: id.to_owned(), labels };
        already(self.act::<_, m::Empty>(&format!("lease {id}"), "Leases/Create", request)).map(drop)
    }

    fn end_lease(&self, id: &str) -> Result<()> {
        let request = m::DeleteLeaseRequest { id: id.to_owned(), sync: true };
        absent(self.act::<_, m::Empty>(&format!("end lease {id}"), "Leases/Delete", request)).map(drop)
    }

    fn leases(&self) -> Result<Vec<String>> {
        let reply: m::ListLeasesResponse = self.server.call(&path("Leases/List"), m::Empty {}, LIMIT)?;
        Ok(reply.leases.into_iter().map(|lease| lease.id).collect())
    }

    fn has_layer(&self, chain: &str) -> Result<bool> {
        let request = m::StatSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: chain.to_owned() };
        let asked = self.server.call::<_, m::StatSnapshotResponse>(&path("Snapshots/Stat"), request, LIMIT);
        Ok(absent(asked)?.and_then(|reply| reply.info).is_some_and(|info| info.kind == m::COMMITTED))
    }

    fn begin_layer(&self, key: &str, parent: &str, chain: &str, lease: &str) -> Result<String> {
        let request = m::PrepareSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: Labels::from([(SNAPSHOT_REF.to_owned(), chain.to_owned())]),
        };
        let server = self.server.clone().under_lease(lease);
        let made = self.faults.effect(&format!("begin layer {chain}"), || {
            server.call::<_, m::MountsResponse>(&path("Snapshots/Prepare"), request, LIMIT)
        });
        match made {
            Err(error) if is_code(&error, "AlreadyExists") => {
                let request = m::MountsRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() };
                let reply: m::MountsResponse = self.server.call(&path("Snapshots/Mounts"), request, LIMIT)?;
                upper(&reply.mounts)
            }
            made => upper(&made?.mounts),
        }
    }

    fn end_layer(&self, key: &str, chain: &str, lease: &str) -> Result<()> {
        let request = m::CommitSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            name: chain.to_owned(),
            key: key.to_owned(),
            labels: Labels::from([(SNAPSHOT_REF.to_owned(), chain.to_owned())]),
        };
        let server = self.server.clone().under_lease(lease);
        let done = self.faults.effect(&format!("end layer {chain}"), || {
            server.call::<_, m::Empty>(&path("Snapshots/Commit"), request, LIMIT)
        });
        already(done).map(drop)
    }

    fn drop_layer(&self, key: &str) -> Result<()> {
        let request = m::RemoveSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() };
        absent(self.act::<_, m::Empty>(&format!("drop layer {key}"), "Snapshots/Remove", request)).map(drop)
    }

    fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let request = m::ListSnapshotsRequest { snapshotter: SNAPSHOTTER.to_owned() };
        let replies: Vec<m::ListSnapshotsResponse> =
            self.server.stream(&path("Snapshots/List"), vec![request], LIMIT)?;
        let snapshot = |info: m::SnapshotInfo| Snapshot {
            name: info.name,
            parent: info.parent,
            is_layer: info.kind == m::COMMITTED,
        };
        Ok(replies.into_iter().flat_map(|reply| reply.info).map(snapshot).collect())
    }

    fn directories(&self, chain: &str, key: &str) -> Result<Vec<String>> {
        self.drop_layer(key)?;
        let request = m::PrepareSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: key.to_owned(),
            parent: chain.to_owned(),
            labels: Labels::new(),
        };
        let made = self.act::<_, m::MountsResponse>(&format!("view {chain}"), "Snapshots/View", request)?;
        let found = lower(&made.mounts);
        self.drop_layer(key)?;
        found
    }

    fn put_blob(&self, digest: &str, bytes: &[u8], labels: Labels, lease: &str) -> Result<()> {
        let server = self.server.clone().under_lease(lease);
        let there = self
            .faults
            .effect(&format!("write blob {digest}"), || content::write(&server, digest, bytes, labels.clone()))?;
        if there && !labels.is_empty() {
            let paths = labels.keys().map(|key| format!("labels.{key}")).collect();
            let info = m::ContentInfo { digest: digest.to_owned(), size: 0, labels };
            let request = m::UpdateContentRequest { info: Some(info), update_mask: Some(m::FieldMask { paths }) };
            self.act::<_, m::UpdateContentResponse>(&format!("label blob {digest}"), "Content/Update", request)?;
        }
        Ok(())
    }

    fn put_parts(&self, digest: &str, size: u64, parts: &mut Parts<'_>, lease: &str) -> Result<()> {
        let server = self.server.clone().under_lease(lease);
        let write = || content::write_parts(&server, digest, size, parts);
        self.faults.effect(&format!("stream blob {digest}"), write).map(drop)
    }

    fn share_blob(&self, digest: &str, size: u64, lease: &str) -> Result<()> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let request = m::WriteContentRequest {
            action: m::COMMIT,
            reference: format!("castoff-{digest}"),
            total: size,
            expected: digest.to_owned(),
            offset: size,
            data: Vec::new(),
            labels: Labels::new(),
        };
        let server = self.server.clone().under_lease(lease);
        self.faults.effect(&format!("share blob {digest}"), || content::send(&server, request)).map(drop)
    }

    fn of_docker(&self) -> Box<dyn LayerStore> {
        Box::new(Self { server: self.moby.clone(), moby: self.moby.clone(), faults: self.faults.clone() })
    }

    fn kept(&self, image: &str) -> Result<Vec<Vec<u8>>> {
        let request = m::ListResourcesRequest { id: format!("moby-image-{image}") };
        let asked = self.moby.call::<_, m::ListResourcesResponse>(&path("Leases/ListResources"), request, LIMIT);
        let resources = absent(asked)?.map(|reply| reply.resources).unwrap_or_default();
        let mut documents = Vec::new();
        for resource in resources.iter().filter(|resource| resource.kind == "content") {
            documents.extend(content::read(&self.moby, &resource.id)?);
        }
        Ok(documents)
    }

    fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>> {
        content::read(&self.server, digest)
    }

    fn names(&self) -> Result<Vec<ImageName>> {
        let reply: m::ListImagesResponse = self.server.call(&path("Images/List"), m::Empty {}, LIMIT)?;
        Ok(reply.images.into_iter().map(std::convert::Into::into).collect())
    }

    fn put_name(&self, name: &ImageName) -> Result<()> {
        let request = m::ImageRequest { image: Some(m::Image::from(name)) };
        already(self.act::<_, m::Empty>(&format!("name {}", name.name), "Images/Create", request)).map(drop)
    }

    fn label_name(&self, name: &ImageName, key: &str, value: &str) -> Result<()> {
        let labels = Labels::from([(key.to_owned(), value.to_owned())]);
        // With its target, although only a label changes: containerd 1.7 and later panic on a message without one.
        let image = m::Image::from(&ImageName { labels, ..name.clone() });
        let update_mask = Some(m::FieldMask { paths: vec![format!("labels.{key}")] });
        let request = m::UpdateImageRequest { image: Some(image), update_mask };
        self.act::<_, m::Empty>(&format!("label {}", name.name), "Images/Update", request).map(drop)
    }

    fn take_name(&self, name: &str) -> Result<()> {
        let request = m::DeleteImageRequest { name: name.to_owned(), sync: true };
        absent(self.act::<_, m::Empty>(&format!("take name {name}"), "Images/Delete", request)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_their_services_path() {
        assert_eq!(path("Leases/Create"), "/containerd.services.leases.v1.Leases/Create");
    }

    #[test]
    fn directories_of_mounts() {
        let mount = |kind: &str, source: &str, options: &[&str]| m::Mount {
            kind: kind.to_owned(),
            source: source.to_owned(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        assert_eq!(upper(&[mount("bind", "/s/1/fs", &["rw", "rbind"])]).unwrap(), "/s/1/fs");
        let overlay = mount("overlay", "overlay", &["workdir=/s/2/work", "upperdir=/s/2/fs", "lowerdir=/s/1/fs"]);
        assert_eq!(upper(&[overlay]).unwrap(), "/s/2/fs");
        assert!(upper(&[mount("btrfs", "/dev/x", &[])]).is_err() && upper(&[]).is_err());
        assert_eq!(lower(&[mount("overlay", "overlay", &["lowerdir=/b:/a"])]).unwrap(), ["/b", "/a"]);
    }

    #[test]
    fn what_is_there_or_gone_already_is_as_good_as_done() {
        let at = || "/sock".to_owned();
        let rejected = |code: &str| -> anyhow::Error {
            DaemonError::Rejected { at: at(), what: "x".into(), code: code.into(), detail: String::new() }.into()
        };
        assert!(already::<()>(Err(rejected("AlreadyExists"))).unwrap() && !already(Ok(())).unwrap());
        assert!(already::<()>(Err(rejected("Internal"))).is_err());
        let missing = DaemonError::NotFound { at: at(), what: "x".into(), detail: String::new() };
        assert!(
            absent::<()>(Err(missing.into())).unwrap().is_none() && absent::<()>(Err(rejected("Internal"))).is_err()
        );
    }
}
