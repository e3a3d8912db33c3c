//! containerd's images beneath CRI: blobs, names and leases, by its own API. No registry is asked.

use super::{
    Aio, Faults,
    grpc::Server,
    layer_store::{absent, already, content, messages as m},
};
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

/// For one call; the largest blob castoff writes this way has a few kilobytes.
const LIMIT: Duration = Duration::from_secs(60);
/// What CRI looks for in a name it is to know (containerd `pkg/cri/labels`).
const MANAGED: (&str, &str) = ("io.cri-containerd.image", "managed");
/// A lease is gone by itself at this time (containerd `docs/garbage-collection.md`).
const EXPIRE: &str = "containerd.io/gc.expire";

/// A piece of an image.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Media type.
    pub media_type: &'a str,
    /// `sha256:…`.
    pub digest: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// containerd's images in the namespace `k8s.io`.
pub trait ImageStore: Debug {
    /// Brings an image in: its pieces under a lease of this name, which would be gone by itself at `expires` (RFC
    /// 3339), then its name, then the lease is given up. One that is there is left as it is.
    fn import(
        &self,
        name: &str,
        manifest: &Piece<'_>,
        config: &Piece<'_>,
        layer: &Piece<'_>,
        lease: (&str, &str),
    ) -> anyhow::Result<()>;

    /// Takes a name away, and what nothing else needs. One that is gone is taken away.
    fn forget(&self, name: &str) -> anyhow::Result<()>;

    /// All names.
    fn names(&self) -> anyhow::Result<Vec<String>>;

    /// All leases.
    fn leases(&self) -> anyhow::Result<Vec<String>>;

    /// What a snapshotter has, each with what it is based on: the layers of images, and the containers on them.
    fn snapshots(&self, snapshotter: &str) -> anyhow::Result<Vec<(String, String)>>;
}

/// The store behind containerd's socket.
#[derive(Clone, Debug)]
pub struct GrpcImageStore {
    server: Server,
    faults: Faults,
}

impl GrpcImageStore {
    /// A client; nothing is connected yet. `endpoint` is a path or `unix:///…`.
    pub fn new(aio: Aio, endpoint: &str, faults: Faults) -> anyhow::Result<Self> {
        Ok(Self { server: Server::new(aio, endpoint)?.in_namespace("k8s.io"), faults })
    }

    fn write(&self, lease: &str, piece: &Piece<'_>, labels: BTreeMap<String, String>) -> anyhow::Result<()> {
        let server = self.server.clone().under_lease(lease);
        content::write(&server, piece.digest, piece.bytes, labels).map(drop)
    }

    fn drop_lease(&self, lease: &str) -> anyhow::Result<()> {
        let request = m::DeleteLeaseRequest { id: lease.to_owned(), sync: true };
        absent::<m::Empty>(self.server.call("/containerd.services.leases.v1.Leases/Delete", request, LIMIT)).map(drop)
    }
}

impl ImageStore for GrpcImageStore {
    fn import(
        &self,
        name: &str,
        manifest: &Piece<'_>,
        config: &Piece<'_>,
        layer: &Piece<'_>,
        (lease, expires): (&str, &str),
    ) -> anyhow::Result<()> {
        self.faults.effect(&format!("import {name}"), || {
            let label = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
            let leased = m::CreateLeaseRequest { id: lease.to_owned(), labels: label(EXPIRE, expires) };
            let made = self.server.call("/containerd.services.leases.v1.Leases/Create", leased, LIMIT);
            already::<m::Empty>(made)?;
            self.write(lease, layer, BTreeMap::new())?;
            self.write(lease, config, BTreeMap::new())?;
            let holds = [("config", config.digest), ("l.0", layer.digest)]
                .map(|(what, digest)| (format!("containerd.io/gc.ref.content.{what}"), digest.to_owned()));
            self.write(lease, manifest, BTreeMap::from(holds))?;
            let target = m::Descriptor {
                media_type: manifest.media_type.to_owned(),
                digest: manifest.digest.to_owned(),
                size: i64::try_from(manifest.bytes.len()).unwrap_or(i64::MAX),
            };
            let image = m::Image { name: name.to_owned(), labels: label(MANAGED.0, MANAGED.1), target: Some(target) };
            let named = m::ImageRequest { image: Some(image) };
            let named = self.server.call("/containerd.services.images.v1.Images/Create", named, LIMIT);
            already::<m::Empty>(named)?;
            self.drop_lease(lease)
        })
    }

    fn forget(&self, name: &str) -> anyhow::Result<()> {
        let request = m::DeleteImageRequest { name: name.to_owned(), sync: true };
        self.faults.effect(&format!("forget {name}"), || {
            absent::<m::Empty>(self.server.call("/containerd.services.images.v1.Images/Delete", request, LIMIT))
                .map(drop)
        })
    }

    fn names(&self) -> anyhow::Result<Vec<String>> {
        let path = "/containerd.services.images.v1.Images/List";
        let reply: m::ListImagesResponse = self.server.call(path, m::Empty {}, LIMIT)?;
        Ok(reply.images.into_iter().map(|image| image.name).collect())
    }

    fn leases(&self) -> anyhow::Result<Vec<String>> {
        let path = "/containerd.services.leases.v1.Leases/List";
        let reply: m::ListLeasesResponse = self.server.call(path, m::Empty {}, LIMIT)?;
        Ok(reply.leases.into_iter().map(|lease| lease.id).collect())
    }

    fn snapshots(&self, snapshotter: &str) -> anyhow::Result<Vec<(String, String)>> {
        let path = "/containerd.services.snapshots.v1.Snapshots/List";
        let request = m::ListSnapshotsRequest { snapshotter: snapshotter.to_owned() };
        let replies: Vec<m::ListSnapshotsResponse> = self.server.stream(path, vec![request], LIMIT)?;
        Ok(replies.into_iter().flat_map(|reply| reply.info).map(|found| (found.name, found.parent)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn a_blob_as_bytes() {
        let request = m::WriteContentRequest {
            action: m::COMMIT,
            reference: "r".into(),
            total: 3,
            expected: "d".into(),
            offset: 0,
            data: b"abc".to_vec(),
            labels: BTreeMap::from([("k".into(), "v".into())]),
        };
        let expected = b"\x08\x02\x12\x01r\x18\x03\x22\x01d\x32\x03abc\x3a\x06\x0a\x01k\x12\x01v";
        assert_eq!(request.encode_to_vec(), expected);
    }
}
