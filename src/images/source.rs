//! Where images come from: Docker's own directories, or the store that Docker keeps in containerd.

use super::{
    docker_store::{DockerStore, Image, Layer},
    manifests::Documents,
};
use crate::{host::LayerStore, model::ManifestSource};
use anyhow::Result;
use std::fmt::Debug;

/// Something that has images as layers that are directories.
pub trait Source: Debug {
    /// The directory whose file system the layers are on.
    fn place(&self) -> String;

    /// Whether its directories may change hands.
    fn lends(&self) -> bool;

    /// The id behind a name as Docker shows it, or behind an id.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn find(&self, name: &str) -> Result<Option<String>>;

    /// Ids of all images.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn ids(&self) -> Result<Vec<String>>;

    /// An image.
    ///
    /// # Errors
    /// When a part of it is missing or damaged.
    fn image(&self, id: &str) -> Result<Image>;

    /// Where a layer's files are.
    ///
    /// # Errors
    /// When they are nowhere.
    fn layer_dir(&self, layer: &Layer) -> Result<String>;

    /// Fails when a layer's files are not those that its digest was made of.
    ///
    /// # Errors
    /// When they are not, cannot be read, or nobody can tell.
    fn verify(&self, layer: &Layer) -> Result<()>;

    /// How many files are in a layer; 0 when nobody knows.
    fn entries(&self, layer: &Layer) -> u64;

    /// The documents that make the layers an image.
    ///
    /// # Errors
    /// When they cannot be read or made.
    fn documents(&self, image: &Image, store: &dyn LayerStore) -> Result<Documents>;

    /// Where the manifest would come from.
    ///
    /// # Errors
    /// When containerd does not answer.
    fn manifest(&self, image: &Image, store: &dyn LayerStore) -> Result<ManifestSource>;

    /// Brings the archives of the layers too, where that is wanted or costs nothing; the bytes it took, and whether they
    /// are there.
    ///
    /// # Errors
    /// When an archive that is wanted cannot be made or written.
    fn archives(
        &self,
        image: &Image,
        documents: &Documents,
        store: &dyn LayerStore,
        lease: &str,
        wanted: bool,
    ) -> Result<(u64, bool)>;
}

impl Source for DockerStore<'_> {
    fn place(&self) -> String {
        self.layers_dir()
    }

    fn lends(&self) -> bool {
        true
    }

    fn find(&self, name: &str) -> Result<Option<String>> {
        Ok(self.id_of(name))
    }

    fn ids(&self) -> Result<Vec<String>> {
        self.all_ids()
    }

    fn image(&self, id: &str) -> Result<Image> {
        self.read_image(id)
    }

    fn layer_dir(&self, layer: &Layer) -> Result<String> {
        self.dir_of(layer)
    }

    fn verify(&self, layer: &Layer) -> Result<()> {
        self.check_layer(layer).map(drop)
    }

    fn entries(&self, layer: &Layer) -> u64 {
        self.archive(layer).map(|archive| archive.entries).unwrap_or_default()
    }

    fn documents(&self, image: &Image, store: &dyn LayerStore) -> Result<Documents> {
        Documents::of(image, self, store)
    }

    fn manifest(&self, image: &Image, store: &dyn LayerStore) -> Result<ManifestSource> {
        Ok(if Documents::is_kept(image, store)? { ManifestSource::Kept } else { ManifestSource::Made })
    }

    fn archives(
        &self,
        image: &Image,
        documents: &Documents,
        store: &dyn LayerStore,
        lease: &str,
        wanted: bool,
    ) -> Result<(u64, bool)> {
        // Archives made here are not compressed: they never have the digests of a registry's manifest.
        if !wanted || documents.source != ManifestSource::Made {
            return Ok((0, false));
        }
        let mut bytes = 0;
        for layer in &image.layers {
            bytes += write_archive(self, layer, store, lease)?;
        }
        Ok((bytes, true))
    }
}

/// Writes a layer's archive, made again from its files.
fn write_archive(docker: &DockerStore<'_>, layer: &Layer, store: &dyn LayerStore, lease: &str) -> Result<u64> {
    // A message of gRPC holds at most 16 MiB.
    const PART: usize = 1 << 20;
    let size = docker.archive(layer)?.bytes;
    let mut parts = |write: &mut dyn FnMut(Vec<u8>) -> Result<()>| {
        let mut part = Vec::new();
        docker.rebuild(layer, |bytes| {
            part.extend_from_slice(bytes);
            if part.len() >= PART { write(std::mem::take(&mut part)) } else { Ok(()) }
        })?;
        if part.is_empty() { Ok(()) } else { write(part) }
    };
    store.put_parts(&layer.diff_id, size, &mut parts, lease)?;
    Ok(size)
}
