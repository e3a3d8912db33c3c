//! Images that Docker keeps in containerd's own store (feature `containerd-snapshotter`; the default of a fresh Docker
//! 29): blobs, snapshots and names are in containerd's namespace `moby`. Blobs are shared between namespaces, and
//! snapshots are not, so their directories are cloned.

use super::{
    canonical,
    docker_store::{Image, Layer},
    manifests::{Documents, architecture},
    source::Source,
};
use crate::{
    formats::{
        docker_images::{ImageConfig, Names, is_digest},
        image_manifest::{Descriptor, Document},
    },
    host::{ImageName, LayerStore},
    model::ManifestSource,
};
use anyhow::{Context as _, Result, bail};

/// Docker's share of a containerd.
#[derive(Debug)]
pub struct Moby {
    store: Box<dyn LayerStore>,
    place: String,
    names: Vec<ImageName>,
}

/// The pieces of one image.
struct Found {
    index: Option<(Vec<u8>, String)>,
    manifest: Vec<u8>,
    layers: Vec<Descriptor>,
    config: (String, Vec<u8>),
}

impl Moby {
    /// Asks the containerd that Docker uses; `snapshots` is where its layers are.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn open(store: &dyn LayerStore, snapshots: &str) -> Result<Self> {
        let store = store.of_docker();
        let names = store.names().context("cannot ask containerd for Docker's images")?;
        Ok(Self { store, place: snapshots.to_owned(), names })
    }

    fn document(&self, digest: &str) -> Result<Option<(Vec<u8>, Document)>> {
        let Some(bytes) = self.store.blob(digest)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).with_context(|| format!("the blob {digest} is no text"))?;
        let document = Document::parse(text).with_context(|| format!("the blob {digest} cannot be used"))?;
        Ok(Some((bytes, document)))
    }

    /// The manifest whose configuration is here: of several platforms Docker pulls one, and where it has more, the node's counts.
    fn find_parts(&self, target: &str) -> Result<Found> {
        let (bytes, document) = self.document(target)?.with_context(|| format!("the blob {target} is not there"))?;
        match document {
            Document::Manifest { config, layers, .. } => {
                let read =
                    self.store.blob(&config.digest)?.with_context(|| format!("{} is not there", config.digest))?;
                Ok(Found { index: None, manifest: bytes, layers, config: (config.digest, read) })
            }
            Document::Index { mut manifests, .. } => {
                manifests.sort_by_key(|child| !child.is_for(architecture()));
                for child in &manifests {
                    let Some((manifest, Document::Manifest { config, layers, .. })) = self.document(&child.digest)?
                    else {
                        continue;
                    };
                    // An attestation is a manifest too, and its configuration has no layers of files.
                    let Some(read) = self.store.blob(&config.digest)? else { continue };
                    let has_layers = parse_config(&read).is_ok_and(|config| !config.diff_ids.is_empty());
                    if has_layers {
                        let index = Some((bytes, child.digest.clone()));
                        return Ok(Found { index, manifest, layers, config: (config.digest, read) });
                    }
                }
                bail!("no platform of the image {target} is here")
            }
        }
    }
}

fn parse_config(bytes: &[u8]) -> Result<ImageConfig> {
    Ok(ImageConfig::parse(std::str::from_utf8(bytes).context("a configuration that is no text")?)?)
}

/// `docker.io/library/nginx:1` → the same with a digest in the tag's place.
fn by_digest(name: &str, digest: &str) -> String {
    let (repository, last) = name.rsplit_once('/').map_or(("", name), |(repository, last)| (repository, last));
    let last = last.split([':', '@']).next().unwrap_or(last);
    if repository.is_empty() { format!("{last}@{digest}") } else { format!("{repository}/{last}@{digest}") }
}

impl Source for Moby {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn lends(&self) -> bool {
        false
    }

    /// With this store Docker's ids are the digests that names point to. An image's id in other stores, and in plans of older
    /// castoffs, is the digest of its configuration.
    fn find(&self, name: &str) -> Result<Option<String>> {
        let full = canonical(name);
        let found = self.names.iter().find(|known| known.target == name || canonical(&known.name) == full);
        if found.is_some() || !is_digest(name) {
            return Ok(found.map(|known| known.target.clone()));
        }
        let is_of = |target: &String| self.find_parts(target).is_ok_and(|parts| parts.config.0 == name);
        Ok(self.ids()?.into_iter().find(is_of))
    }

    fn ids(&self) -> Result<Vec<String>> {
        let mut ids: Vec<String> = self.names.iter().map(|name| name.target.clone()).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    fn image(&self, id: &str) -> Result<Image> {
        let parts = self.find_parts(id)?;
        let config = parse_config(&parts.config.1)?;
        let mut names = Names::default();
        // An image without a name is kept as `moby-dangling@…`.
        for known in self.names.iter().filter(|known| known.target == id && !known.name.starts_with("moby-dangling@")) {
            names.digests.push(by_digest(&known.name, id));
            names.tags.push(known.name.clone());
        }
        names.digests.sort();
        names.digests.dedup();
        let chain = config.chain_ids();
        let top = chain.last().cloned().unwrap_or_default();
        let dirs = if self.store.has_layer(&top)? {
            self.store.directories(&top, &format!("castoff-view {top}"))?
        } else {
            // Never unpacked: containerd does that itself from the blobs when a container needs it.
            Vec::new()
        };
        if !dirs.is_empty() && dirs.len() != chain.len() {
            bail!("containerd stacks {} layers for Docker's image {id}, which has {}", dirs.len(), chain.len());
        }
        let layers = config.diff_ids.iter().zip(&chain).enumerate().map(|(at, (diff_id, chain_id))| Layer {
            diff_id: diff_id.clone(),
            chain_id: chain_id.clone(),
            dir: dirs.iter().rev().nth(at).cloned().unwrap_or_default(),
            // Compressed: files take two to three times that.
            size: parts.layers.get(at).map_or(0, |layer| layer.size.saturating_mul(3)),
            tar_split: String::new(),
        });
        let (docker_id, layers) = (id.to_owned(), layers.collect());
        Ok(Image { id: parts.config.0, docker_id, names, config: parts.config.1, layers })
    }

    fn layer_dir(&self, layer: &Layer) -> Result<String> {
        if layer.dir.is_empty() {
            bail!("{} was never unpacked", layer.chain_id);
        }
        Ok(layer.dir.clone())
    }

    fn verify(&self, layer: &Layer) -> Result<()> {
        bail!("{} cannot be checked: containerd keeps no word of how its archive was", layer.chain_id)
    }

    fn entries(&self, _: &Layer) -> u64 {
        0
    }

    fn documents(&self, image: &Image, _: &dyn LayerStore) -> Result<Documents> {
        // Several manifests may have one configuration: two registries, or two ways to compress.
        let parts = self.find_parts(&image.docker_id)?;
        Documents::read(&parts.manifest, parts.index.as_ref().map(|(index, _)| index.as_slice()))
    }

    fn manifest(&self, _: &Image, _: &dyn LayerStore) -> Result<ManifestSource> {
        Ok(ManifestSource::Kept)
    }

    fn archives(
        &self,
        _: &Image,
        documents: &Documents,
        store: &dyn LayerStore,
        lease: &str,
        _: bool,
    ) -> Result<(u64, bool)> {
        for layer in documents.layers() {
            // With the content policy `isolated` a namespace sees only what it wrote itself.
            if store.share_blob(&layer.digest, layer.size, lease).is_err() {
                return Ok((0, false));
            }
        }
        Ok((0, true))
    }
}

#[cfg(test)]
mod tests {
    use super::by_digest;

    #[test]
    fn names_by_digest() {
        assert_eq!(by_digest("docker.io/library/nginx:1", "sha256:a"), "docker.io/library/nginx@sha256:a");
        assert_eq!(by_digest("localhost:5000/a/b:1", "sha256:a"), "localhost:5000/a/b@sha256:a");
        assert_eq!(by_digest("x", "sha256:a"), "x@sha256:a");
    }
}
