//! What there is to carry, and what that would take.

use super::{
    canonical,
    carry::snapshots_dir,
    docker_store::{DockerStore, Image},
    moby::Moby,
    source::Source,
    ways::{Terrain, no_layers, seconds},
};
use crate::{
    host::{Host, ImageName, LayerStore},
    model::{API_VERSION, CarryCost, CarryImage, CarryMode, ContainerdImage, Images, ManifestSource},
};
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Docker's data root; empty where its layers are not directories of overlay2.
    pub source: &'a str,
    /// True when Docker keeps its images in containerd's store.
    pub from_containerd: bool,
    /// CRI's snapshotter, where layers cannot be carried to it.
    pub snapshotter: Option<&'a str>,
    /// containerd's root.
    pub root: &'a str,
    /// containerd's socket.
    pub socket: &'a str,
    /// The way that is wanted.
    pub mode: CarryMode,
}

/// An image as Docker's daemon lists it, for stores that cannot be read: id, names, bytes.
pub type Listed = (String, Vec<String>, u64);

/// Looks at both stores. Nothing is changed.
///
/// # Errors
/// When Docker's store is there and cannot be read, or the wanted way is not possible.
pub fn list(
    host: &Host,
    places: Places<'_>,
    listed: &[Listed],
    needs: &BTreeMap<String, Vec<String>>,
) -> Result<Images> {
    let mut unseen = Vec::new();
    let mut lacking = |what: &str, error: &anyhow::Error| unseen.push(format!("{what}: {error:#}"));
    // A file tree has no daemon, and this machine's is not its own.
    let socket = host.is_live().then_some(places.socket).context("a file tree has no running containerd");
    let store =
        socket.and_then(|socket| host.doors.layers(socket)).and_then(|store| store.names().map(|names| (store, names)));
    let (store, names) = match store {
        Ok((store, names)) => (Some(store), names),
        Err(error) => {
            lacking("containerd's images", &error);
            (None, Vec::new())
        }
    };
    let mut images = Vec::new();
    let docker = match &store {
        Some(store) if places.from_containerd => {
            Some(Box::new(Moby::open(&**store, &snapshots_dir(places.root))?) as Box<dyn Source>)
        }
        _ if places.source.is_empty() || !DockerStore::is_at(host, places.source) => None,
        _ => Some(Box::new(DockerStore::open(host, places.source)?) as Box<dyn Source>),
    };
    match &docker {
        None => {
            let why = no_layers(places.snapshotter);
            images.extend(listed.iter().map(|image| by_stream(image, &why, &names, needs)));
        }
        Some(docker) => {
            let docker = &**docker;
            let terrain = Terrain::of(host, docker, places.root);
            let (way, why) = terrain.choose(places.mode)?;
            let look = Look { docker, store: store.as_deref(), names: &names, way, why, needs };
            for id in docker.ids()? {
                match docker.image(&id).and_then(|image| look.image(&image)) {
                    Ok(image) => images.push(image),
                    Err(error) => lacking(&format!("image {id}"), &error),
                }
            }
        }
    }
    images.sort_by(|a, b| (b.needed_by.len(), b.bytes, &a.id).cmp(&(a.needed_by.len(), a.bytes, &b.id)));
    let containerd = names.into_iter().map(|name| ContainerdImage { name: name.name, target: name.target }).collect();
    Ok(Images {
        api_version: API_VERSION.to_owned(),
        kind: "Images".to_owned(),
        node: host.node_name(),
        images,
        containerd,
        unseen,
    })
}

fn by_stream(
    (id, tags, bytes): &Listed,
    why: &str,
    names: &[ImageName],
    needs: &BTreeMap<String, Vec<String>>,
) -> CarryImage {
    let known = |name: &String| names.iter().any(|there| there.name == canonical(name));
    // An import takes the archive's bytes and as many again for the layers (measured on a 2 GB image).
    #[allow(clippy::cast_precision_loss)] // An estimate.
    let cost = CarryCost { seconds: *bytes as f64 / 55e6, bytes: bytes.saturating_mul(2), inodes: 0 };
    CarryImage {
        id: id.clone(),
        names: tags.clone(),
        digests: Vec::new(),
        layers: 0,
        bytes: *bytes,
        needed_by: needs.get(id).cloned().unwrap_or_default(),
        carried: !tags.is_empty() && tags.iter().all(known),
        way: CarryMode::Stream,
        why: reason(why, CarryMode::Stream, tags),
        cost,
        manifest: ManifestSource::Made,
    }
}

/// The reason for a way, and what comes of it for an image without a tag.
fn reason(why: &str, way: CarryMode, tags: &[String]) -> String {
    let left = if way == CarryMode::Stream && tags.is_empty() { "; it has no tag and is left out" } else { "" };
    format!("{why}{left}")
}

struct Look<'a> {
    docker: &'a dyn Source,
    store: Option<&'a dyn LayerStore>,
    names: &'a [ImageName],
    way: CarryMode,
    why: &'static str,
    needs: &'a BTreeMap<String, Vec<String>>,
}

impl Look<'_> {
    fn image(&self, image: &Image) -> Result<CarryImage> {
        let there: BTreeSet<&str> = self.names.iter().map(|name| name.name.as_str()).collect();
        let known = |name: &String| there.contains(canonical(name).as_str());
        let named = there.contains(image.id.as_str()) && image.names.tags.iter().all(known);
        let top = image.layers.last();
        let has_layers = match (self.store, top) {
            (Some(store), Some(top)) if named => store.has_layer(&top.chain_id)?,
            _ => false,
        };
        let mut entries = 0;
        for layer in &image.layers {
            if !layer.dir.is_empty() {
                self.docker.layer_dir(layer)?;
            }
            entries += self.docker.entries(layer);
        }
        let manifest = match self.store {
            Some(store) => self.docker.manifest(image, store)?,
            None => ManifestSource::Made,
        };
        let (way, why) =
            if image.layers.is_empty() { (CarryMode::Stream, "it has no layers") } else { (self.way, self.why) };
        Ok(CarryImage {
            id: image.docker_id.clone(),
            names: image.names.tags.clone(),
            digests: image.names.digests.clone(),
            layers: image.layers.len(),
            bytes: image.size(),
            needed_by: self.needs.get(&image.docker_id).cloned().unwrap_or_default(),
            carried: named && has_layers,
            way,
            why: reason(why, way, &image.names.tags),
            cost: cost(way, image, entries),
            manifest,
        })
    }
}

/// What carrying takes (images of the design's measurements: 2.1 GB, 9 layers, 80,000 files).
fn cost(way: CarryMode, image: &Image, entries: u64) -> CarryCost {
    let (size, layers) = (image.size(), image.layers.len() as u64);
    let (bytes, inodes) = match way {
        CarryMode::Adopt | CarryMode::Auto => (layers * 12_000, layers * 3),
        CarryMode::Hardlink => (entries * 260, entries / 15 + layers),
        CarryMode::Reflink => (entries * 600, entries),
        CarryMode::Copy => (size, entries),
        CarryMode::Stream => (size * 2, entries),
    };
    CarryCost { seconds: seconds(way, image, entries), bytes, inodes }
}
