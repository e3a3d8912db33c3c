//! The documents that make layers an image for containerd: configuration, manifest, index, names.

use super::{
    canonical,
    docker_store::{Archive, DockerStore, Image},
};
use crate::{
    formats::{
        docker_images::ImageConfig,
        image_manifest::{Descriptor, Document, made},
    },
    host::{ImageName, Labels, LayerStore},
    model::{Digest, ManifestSource},
};
use anyhow::{Context as _, Result, bail};

/// What CRI looks for in a name it is to know (containerd `pkg/cri/labels`).
const MANAGED: (&str, &str) = ("io.cri-containerd.image", "managed");
/// An image that kubelet's image garbage collection leaves (containerd 1.6.22, 1.7.3 and later).
const PINNED: (&str, &str) = ("io.cri-containerd.pinned", "pinned");
/// The run that brought a name.
pub const RUN_LABEL: &str = "castoff.run";

/// A document with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Blob {
    digest: String,
    media_type: String,
    bytes: Vec<u8>,
}

/// The documents of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    manifest: Blob,
    /// What the registry serves under the tag, where that is a list of platforms.
    index: Option<(Blob, usize)>,
    /// There is such a list, and by it containerd would find another manifest here, or none.
    pub passed_over: bool,
    /// Archives of the layers, as the manifest names them.
    layers: Vec<Descriptor>,
    /// Where they come from.
    pub source: ManifestSource,
}

impl Documents {
    /// Those that Docker kept, else a manifest made of the image.
    ///
    /// # Errors
    /// When containerd does not answer, or the layers' sizes cannot be learned.
    pub fn of(image: &Image, docker: &DockerStore<'_>, store: &dyn LayerStore) -> Result<Self> {
        match Self::kept(image, store)? {
            Some(kept) => Ok(kept),
            None => Self::made(image, docker),
        }
    }

    /// Whether Docker kept the registry's manifest of an image.
    ///
    /// # Errors
    /// When containerd does not answer.
    pub fn is_kept(image: &Image, store: &dyn LayerStore) -> Result<bool> {
        Self::kept(image, store).map(|kept| kept.is_some())
    }

    /// The registry's own manifest, when Docker kept it, it fits, and its bytes are what its digest says.
    fn kept(image: &Image, store: &dyn LayerStore) -> Result<Option<Self>> {
        let documents = store.kept(&image.id)?;
        let fits = |document: &Document| {
            matches!(document, Document::Manifest { config, layers, .. }
                if config.digest == image.id && layers.len() == image.layers.len())
        };
        let parse = |bytes: &Vec<u8>| std::str::from_utf8(bytes).ok().and_then(|text| Document::parse(text).ok());
        let Some(manifest) = documents.iter().find(|bytes| parse(bytes).is_some_and(|document| fits(&document))) else {
            return Ok(None);
        };
        let digest = Digest::of(manifest).to_string();
        let names_it = |document: Document| matches!(document, Document::Index { manifests, .. } if manifests.iter().any(|child| child.digest == digest));
        let index = documents.iter().find(|bytes| parse(bytes).is_some_and(names_it));
        Self::read(manifest, index.map(Vec::as_slice)).map(Some)
    }

    /// The registry's own manifest, and the index that it was found by, unless that leads elsewhere on this machine.
    ///
    /// # Errors
    /// When they are none, or do not belong together.
    pub fn read(manifest: &[u8], index: Option<&[u8]>) -> Result<Self> {
        let parse = |bytes: &[u8]| -> Result<Document> {
            Ok(Document::parse(std::str::from_utf8(bytes).context("a manifest that is no text")?)?)
        };
        let Document::Manifest { media_type, layers, .. } = parse(manifest)? else {
            bail!("an index in a manifest's place")
        };
        let blob = |media_type: String, bytes: &[u8]| Blob {
            digest: Digest::of(bytes).to_string(),
            media_type,
            bytes: bytes.to_owned(),
        };
        let manifest = blob(media_type, manifest);
        let (mut found, mut passed_over) = (None, false);
        if let Some(bytes) = index {
            let Document::Index { media_type, manifests } = parse(bytes)? else {
                bail!("a manifest in an index's place")
            };
            let at = manifests.iter().position(|child| child.digest == manifest.digest);
            let at = at.context("an index that does not name its manifest")?;
            passed_over = !is_taken(&manifests, at);
            found = (!passed_over).then(|| (blob(media_type, bytes), at));
        }
        Ok(Self { manifest, index: found, passed_over, layers, source: ManifestSource::Kept })
    }

    /// Archives of the layers, as the manifest names them.
    pub fn layers(&self) -> &[Descriptor] {
        &self.layers
    }

    fn made(image: &Image, docker: &DockerStore<'_>) -> Result<Self> {
        let sizes = image.layers.iter().map(|layer| {
            // Without what Docker remembers of the archive its size is not known; nothing reads it.
            let archive = docker.archive(layer).unwrap_or(Archive { bytes: layer.size, entries: 0 });
            (layer.diff_id.clone(), archive.bytes)
        });
        let sizes: Vec<(String, u64)> = sizes.collect();
        let text = made((&image.id, image.config.len() as u64), &sizes);
        let read = Self::read(text.as_bytes(), None).context("a manifest castoff made")?;
        Ok(Self { source: ManifestSource::Made, ..read })
    }

    /// What tags point to.
    fn target(&self) -> &Blob {
        self.index.as_ref().map_or(&self.manifest, |(index, _)| index)
    }

    /// Writes configuration, manifest and index under a lease. `with_layers` when the layers' archives are there too.
    ///
    /// # Errors
    /// When containerd refuses.
    pub fn write(&self, image: &Image, store: &dyn LayerStore, lease: &str, with_layers: bool) -> Result<()> {
        let from = sources(image);
        let labels = |more: Vec<(String, String)>| -> Labels { from.iter().cloned().chain(more).collect() };
        let top = image.layers.last().map(|layer| layer.chain_id.clone()).unwrap_or_default();
        let config = labels(vec![("containerd.io/gc.ref.snapshot.overlayfs".to_owned(), top)]);
        store.put_blob(&image.id, &image.config, config, lease)?;
        let holds = |what: &str, digest: &str| (format!("containerd.io/gc.ref.content.{what}"), digest.to_owned());
        let mut children = vec![holds("config", &image.id)];
        if with_layers {
            let layers = self.layers.iter().enumerate();
            children.extend(layers.map(|(at, layer)| holds(&format!("l.{at}"), &layer.digest)));
        }
        store.put_blob(&self.manifest.digest, &self.manifest.bytes, labels(children), lease)?;
        if let Some((index, at)) = &self.index {
            let child = vec![holds(&format!("m.{at}"), &self.manifest.digest)];
            store.put_blob(&index.digest, &index.bytes, labels(child), lease)?;
        }
        Ok(())
    }

    /// Every name under which the image is to be found: tags, digests, its id.
    pub fn names(&self, image: &Image, run: &str, pinned: bool) -> Vec<ImageName> {
        let mut labels = our_labels(run);
        if pinned {
            labels.insert(PINNED.0.to_owned(), PINNED.1.to_owned());
        }
        let name = |name: String, blob: &Blob| ImageName {
            name,
            target: blob.digest.clone(),
            media_type: blob.media_type.clone(),
            size: blob.bytes.len() as u64,
            labels: labels.clone(),
        };
        let mut names: Vec<ImageName> =
            image.names.tags.iter().map(|tag| name(canonical(tag), self.target())).collect();
        for known in &image.names.digests {
            let digest = known.rsplit_once('@').map_or("", |(_, digest)| digest);
            // Exactly what was asked for where it is there; the image's manifest otherwise.
            let blob = if digest == self.target().digest { self.target() } else { &self.manifest };
            names.push(name(canonical(known), blob));
        }
        // Last: whoever finds an image by its id finds its names too.
        names.push(name(image.id.clone(), self.target()));
        names
    }
}

/// The machine's architecture in Go's words.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Whether containerd takes this child of an index, which it does with the best of those that fit its platform and with no other,
/// here or not (containerd `images/image.go`, Manifest). The only one for this very machine is that.
fn is_taken(manifests: &[Descriptor], at: usize) -> bool {
    manifests.iter().enumerate().all(|(number, child)| child.is_for(architecture()) == (number == at))
}

/// The names by id of images that have others.
///
/// # Errors
/// When containerd does not answer.
pub fn ids_of(names: &[ImageName], store: &dyn LayerStore, run: &str) -> Result<Vec<ImageName>> {
    let mut ids: Vec<ImageName> = Vec::new();
    for name in names {
        let Some(manifest) = store.blob(&name.target)? else { continue };
        let read = std::str::from_utf8(&manifest).ok().and_then(|text| Document::parse(text).ok());
        let Some(Document::Manifest { config, .. }) = read else { continue };
        if !ids.iter().any(|known| known.name == config.digest) {
            ids.push(ImageName { name: config.digest, labels: our_labels(run), ..name.clone() });
        }
    }
    Ok(ids)
}

/// What a name leads to: the image's id, and its layers with all that is below each. `None` when it leads nowhere.
///
/// # Errors
/// When containerd does not answer.
pub fn parts_of(target: &str, store: &dyn LayerStore) -> Result<Option<(String, Vec<String>)>> {
    let text = |digest: &str| -> Result<Option<String>> {
        Ok(store.blob(digest)?.and_then(|bytes| String::from_utf8(bytes).ok()))
    };
    let mut next = vec![target.to_owned()];
    while let Some(digest) = next.pop() {
        match text(&digest)?.and_then(|text| Document::parse(&text).ok()) {
            Some(Document::Manifest { config, .. }) => {
                let read = text(&config.digest)?.and_then(|text| ImageConfig::parse(&text).ok());
                if let Some(read) = read.filter(|read| !read.diff_ids.is_empty()) {
                    return Ok(Some((config.digest, read.chain_ids())));
                }
            }
            // An index of indexes is not a thing that registries serve.
            Some(Document::Index { manifests, .. }) if digest == target => {
                next.extend(manifests.into_iter().map(|child| child.digest));
            }
            _ => {}
        }
    }
    Ok(None)
}

fn our_labels(run: &str) -> Labels {
    [MANAGED, (RUN_LABEL, run)].into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Labels that say which registry has a blob (containerd `docs/content-flow.md`).
fn sources(image: &Image) -> Vec<(String, String)> {
    let source = |name: &String| {
        let full = canonical(name);
        let (host, rest) = full.split_once('/')?;
        let repository = rest.split_once('@').map_or(rest, |(repository, _)| repository);
        Some((format!("containerd.io/distribution.source.{host}"), repository.to_owned()))
    };
    image.names.digests.iter().filter_map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::docker_images::Names;
    use serde_json::json;

    #[test]
    fn names_lead_where_containerd_finds_the_manifest() {
        let (here, config) = (architecture(), format!("sha256:{}", "a".repeat(64)));
        let manifest = made((&config, 5), &[(format!("sha256:{}", "b".repeat(64)), 9)]);
        let (digest, other) = (Digest::of(manifest.as_bytes()).to_string(), format!("sha256:{}", "c".repeat(64)));
        let (digest, other) = (digest.as_str(), other.as_str());
        let names = Names { tags: vec!["a:1".to_owned()], digests: vec![format!("a@{other}")] };
        let image = Image { id: config.clone(), docker_id: config, names, config: Vec::new(), layers: Vec::new() };
        for (children, through_index) in [
            (vec![(digest, here), (other, "unknown")], true),
            (vec![(other, "mips"), (digest, here)], true),
            // Pulled for another platform.
            (vec![(digest, "mips"), (other, here)], false),
            (vec![(digest, "mips")], false),
            // Which variant fits better is containerd's own business.
            (vec![(digest, here), (other, here)], false),
            (vec![(digest, "")], false),
        ] {
            let child = |(digest, architecture): &(&str, &str)| json!({"digest": digest, "size": 1, "platform": {"os": "linux", "architecture": architecture}});
            let list: Vec<_> = children.iter().map(child).collect();
            let index = json!({"schemaVersion": 2, "manifests": list}).to_string();
            let documents = Documents::read(manifest.as_bytes(), Some(index.as_bytes())).unwrap();
            assert_eq!(documents.passed_over, !through_index, "{children:?}");
            let index = Digest::of(index.as_bytes()).to_string();
            let target = |wanted: &str| {
                let names = documents.names(&image, "r", false);
                names.into_iter().find(|name| name.name == wanted).unwrap().target
            };
            let expected = if through_index { index.as_str() } else { digest };
            assert_eq!(target("docker.io/library/a:1"), expected, "{children:?}");
            assert_eq!(target(&image.id), expected, "{children:?}");
            assert_eq!(target(&format!("docker.io/library/a@{other}")), digest, "{children:?}");
        }
    }
}
