//! The fields we use of containerd's messages, with the tags of its API (containerd `api/services/*/v1/*.proto`; the same
//! from 1.4 to 2.3).

use super::{ImageName, Labels};

/// `WriteAction.WRITE`: writes what is in the message.
pub(in crate::host) const WRITE: i32 = 1;
/// `WriteAction.COMMIT`: writes what is in the message, then closes the blob.
pub(in crate::host) const COMMIT: i32 = 2;
/// `Kind.COMMITTED`.
pub(in crate::host) const COMMITTED: i32 = 3;

macro_rules! messages {
    ($($name:ident { $($(#[$field:meta])* $field_name:ident: $type:ty,)* })*) => {
        $(
            #[derive(Clone, PartialEq, prost::Message)]
            pub(in crate::host) struct $name { $($(#[$field])* pub $field_name: $type,)* }
        )*
    };
}

messages! {
    Empty {}
    FieldMask {
        #[prost(string, repeated, tag = "1")]
        paths: Vec<String>,
    }
    Mount {
        #[prost(string, tag = "1")]
        kind: String,
        #[prost(string, tag = "2")]
        source: String,
        #[prost(string, repeated, tag = "4")]
        options: Vec<String>,
    }
    MountsResponse {
        #[prost(message, repeated, tag = "1")]
        mounts: Vec<Mount>,
    }
    MountsRequest {
        #[prost(string, tag = "1")]
        snapshotter: String,
        #[prost(string, tag = "2")]
        key: String,
    }
    PrepareSnapshotRequest {
        #[prost(string, tag = "1")]
        snapshotter: String,
        #[prost(string, tag = "2")]
        key: String,
        #[prost(string, tag = "3")]
        parent: String,
        #[prost(btree_map = "string, string", tag = "4")]
        labels: Labels,
    }
    CommitSnapshotRequest {
        #[prost(string, tag = "1")]
        snapshotter: String,
        #[prost(string, tag = "2")]
        name: String,
        #[prost(string, tag = "3")]
        key: String,
        #[prost(btree_map = "string, string", tag = "4")]
        labels: Labels,
    }
    RemoveSnapshotRequest {
        #[prost(string, tag = "1")]
        snapshotter: String,
        #[prost(string, tag = "2")]
        key: String,
    }
    StatSnapshotRequest {
        #[prost(string, tag = "1")]
        snapshotter: String,
        #[prost(string, tag = "2")]
        key: String,
    }
    SnapshotInfo {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        parent: String,
        #[prost(int32, tag = "3")]
        kind: i32,
    }
    StatSnapshotResponse {
        #[prost(message, optional, tag = "1")]
        info: Option<SnapshotInfo>,
    }
    ListSnapshotsRequest {
        #[prost(string, tag = "1")]
        snapshotter: String,
    }
    ListSnapshotsResponse {
        #[prost(message, repeated, tag = "1")]
        info: Vec<SnapshotInfo>,
    }
    ReadContentRequest {
        #[prost(string, tag = "1")]
        digest: String,
        #[prost(int64, tag = "2")]
        offset: i64,
        #[prost(int64, tag = "3")]
        size: i64,
    }
    ReadContentResponse {
        #[prost(bytes = "vec", tag = "2")]
        data: Vec<u8>,
    }
    DeleteContentRequest {
        #[prost(string, tag = "1")]
        digest: String,
    }
    WriteContentRequest {
        #[prost(int32, tag = "1")]
        action: i32,
        #[prost(string, tag = "2")]
        reference: String,
        #[prost(int64, tag = "3")]
        total: i64,
        #[prost(string, tag = "4")]
        expected: String,
        #[prost(int64, tag = "5")]
        offset: i64,
        #[prost(bytes = "vec", tag = "6")]
        data: Vec<u8>,
        #[prost(btree_map = "string, string", tag = "7")]
        labels: Labels,
    }
    WriteContentResponse {
        #[prost(string, tag = "6")]
        digest: String,
    }
    ContentInfo {
        #[prost(string, tag = "1")]
        digest: String,
        #[prost(int64, tag = "2")]
        size: i64,
        #[prost(btree_map = "string, string", tag = "5")]
        labels: Labels,
    }
    UpdateContentRequest {
        #[prost(message, optional, tag = "1")]
        info: Option<ContentInfo>,
        #[prost(message, optional, tag = "2")]
        update_mask: Option<FieldMask>,
    }
    UpdateContentResponse {
        #[prost(message, optional, tag = "1")]
        info: Option<ContentInfo>,
    }
    CreateLeaseRequest {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(btree_map = "string, string", tag = "3")]
        labels: Labels,
    }
    DeleteLeaseRequest {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(bool, tag = "2")]
        sync: bool,
    }
    Lease {
        #[prost(string, tag = "1")]
        id: String,
    }
    ListLeasesResponse {
        #[prost(message, repeated, tag = "1")]
        leases: Vec<Lease>,
    }
    ListResourcesRequest {
        #[prost(string, tag = "1")]
        id: String,
    }
    Resource {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(string, tag = "2")]
        kind: String,
    }
    ListResourcesResponse {
        #[prost(message, repeated, tag = "1")]
        resources: Vec<Resource>,
    }
    Descriptor {
        #[prost(string, tag = "1")]
        media_type: String,
        #[prost(string, tag = "2")]
        digest: String,
        #[prost(int64, tag = "3")]
        size: i64,
    }
    Image {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(btree_map = "string, string", tag = "2")]
        labels: Labels,
        #[prost(message, optional, tag = "3")]
        target: Option<Descriptor>,
    }
    ImageRequest {
        #[prost(message, optional, tag = "1")]
        image: Option<Image>,
    }
    UpdateImageRequest {
        #[prost(message, optional, tag = "1")]
        image: Option<Image>,
        #[prost(message, optional, tag = "2")]
        update_mask: Option<FieldMask>,
    }
    DeleteImageRequest {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(bool, tag = "2")]
        sync: bool,
    }
    ListImagesResponse {
        #[prost(message, repeated, tag = "1")]
        images: Vec<Image>,
    }
}

impl From<&ImageName> for Image {
    fn from(name: &ImageName) -> Self {
        let target = Descriptor {
            media_type: name.media_type.clone(),
            digest: name.target.clone(),
            size: i64::try_from(name.size).unwrap_or(i64::MAX),
        };
        Self { name: name.name.clone(), labels: name.labels.clone(), target: Some(target) }
    }
}

impl From<Image> for ImageName {
    fn from(image: Image) -> Self {
        let target = image.target.unwrap_or_default();
        Self {
            name: image.name,
            target: target.digest,
            media_type: target.media_type,
            size: u64::try_from(target.size).unwrap_or_default(),
            labels: image.labels,
        }
    }
}
