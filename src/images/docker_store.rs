//! Docker's images as they are on disk, driver `overlay2`. The daemon need not run.

use crate::{
    formats::{
        docker_images::{self, ImageConfig, Names, is_cache_id, is_digest, is_hex64},
        tar_split,
    },
    host::{Host, LayerPlace},
    model::Digest,
};
use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
};

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed archive.
    pub diff_id: String,
    /// Digest of this layer and all below.
    pub chain_id: String,
    /// Where its files are, or a link to where they were lent.
    pub dir: String,
    /// Bytes of its files, as Docker counted them.
    pub size: u64,
    /// How its archive was: gzipped lines of tar-split.
    pub tar_split: String,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…` of its configuration: what CRI calls it.
    pub id: String,
    /// What Docker calls it: the same, or the digest that its names lead to where containerd keeps Docker's images.
    pub docker_id: String,
    /// Its names.
    pub names: Names,
    /// Its configuration, byte for byte.
    pub config: Vec<u8>,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
}

impl Image {
    /// What people call it.
    pub fn shown(&self) -> &str {
        self.names.tags.first().or_else(|| self.names.digests.first()).unwrap_or(&self.id)
    }

    /// Bytes of its files.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }
}

/// What a layer's archive came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// Bytes of the archive, uncompressed.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
}

/// Where the names of all images are.
fn names_file(root: &str) -> String {
    format!("{root}/image/overlay2/repositories.json")
}

/// Docker's store.
#[derive(Debug)]
pub struct DockerStore<'a> {
    host: &'a Host,
    root: String,
    names: BTreeMap<String, Names>,
}

impl<'a> DockerStore<'a> {
    /// True when there is one below Docker's data root.
    pub fn is_at(host: &Host, data_root: &str) -> bool {
        host.root.exists(&names_file(data_root.trim_end_matches('/')))
    }

    /// Opens the store below Docker's data root.
    ///
    /// # Errors
    /// When there is none of the driver `overlay2`, or it cannot be read.
    pub fn open(host: &'a Host, data_root: &str) -> Result<Self> {
        let root = data_root.trim_end_matches('/').to_owned();
        let path = names_file(&root);
        let text =
            host.root.text(&path)?.with_context(|| format!("{path} is not there: Docker keeps no images there"))?;
        let names = docker_images::names(&text).with_context(|| format!("{path} cannot be used"))?;
        Ok(Self { host, root, names })
    }

    /// The directory whose subdirectories are the layers.
    pub fn layers_dir(&self) -> String {
        format!("{}/overlay2", self.root)
    }

    /// Ids of all images, those without a name included.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn all_ids(&self) -> Result<Vec<String>> {
        let files = self.host.root.list(&format!("{}/image/overlay2/imagedb/content/sha256", self.root))?;
        Ok(files.into_iter().filter(|(name, _)| is_hex64(name)).map(|(name, _)| format!("sha256:{name}")).collect())
    }

    /// The id behind a name as Docker shows it, or behind an id.
    pub fn id_of(&self, name: &str) -> Option<String> {
        if is_digest(name) {
            return Some(name.to_owned());
        }
        let is = |known: &String| known == name || super::canonical(known) == super::canonical(name);
        let of = |names: &Names| names.tags.iter().chain(&names.digests).any(is);
        self.names.iter().find(|(_, names)| of(names)).map(|(id, _)| id.clone())
    }

    /// Reads an image.
    ///
    /// # Errors
    /// When a part of it is missing, or is not what its digest says.
    pub fn read_image(&self, id: &str) -> Result<Image> {
        let hex = id.strip_prefix("sha256:").filter(|hex| is_hex64(hex)).with_context(|| format!("`{id}` is no id"))?;
        let path = format!("{}/image/overlay2/imagedb/content/sha256/{hex}", self.root);
        let read = self.host.root.read(&path)?.with_context(|| format!("{path} is not there"))?;
        if Digest::of(&read.bytes).hex() != hex {
            bail!("{path} is damaged: its digest is another one");
        }
        let text = std::str::from_utf8(&read.bytes).with_context(|| format!("{path} is no text"))?;
        let config = ImageConfig::parse(text).with_context(|| format!("{path} cannot be used"))?;
        let layers = config.diff_ids.iter().zip(config.chain_ids());
        let layers = layers.map(|(diff, chain)| self.layer(diff, &chain)).collect::<Result<Vec<_>>>()?;
        let names = self.names.get(id).cloned().unwrap_or_default();
        Ok(Image { id: id.to_owned(), docker_id: id.to_owned(), names, config: read.bytes, layers })
    }

    fn layer(&self, diff_id: &str, chain_id: &str) -> Result<Layer> {
        let hex = chain_id.strip_prefix("sha256:").unwrap_or_default();
        let dir = format!("{}/image/overlay2/layerdb/sha256/{hex}", self.root);
        let part = |name: &str| -> Result<String> {
            let path = format!("{dir}/{name}");
            let text = self.host.root.text(&path)?.with_context(|| format!("{path} is not there"))?;
            Ok(text.trim().to_owned())
        };
        let said = part("diff")?;
        if said != diff_id {
            bail!("{dir}/diff says {said}, and the image says {diff_id}");
        }
        let cache = part("cache-id")?;
        if !is_cache_id(&cache) {
            bail!("{dir}/cache-id names no directory: `{cache}`");
        }
        let size = part("size").ok().and_then(|size| size.parse().ok()).unwrap_or_default();
        let files = format!("{}/overlay2/{cache}/diff", self.root);
        Ok(Layer {
            diff_id: diff_id.to_owned(),
            chain_id: chain_id.to_owned(),
            dir: files,
            size,
            tar_split: format!("{dir}/tar-split.json.gz"),
        })
    }

    /// Sizes of a layer's archive, from what Docker remembers of it; no file of the layer is read.
    ///
    /// # Errors
    /// When that is missing or damaged.
    pub fn archive(&self, layer: &Layer) -> Result<Archive> {
        let mut archive = Archive::default();
        self.lines(layer, |line| {
            archive.bytes += tar_split::length(line)?;
            archive.entries += u64::from(line.contains("\"type\":1"));
            Ok(())
        })?;
        Ok(archive)
    }

    /// Walks the lines of a layer's tar-split.
    fn lines(&self, layer: &Layer, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let path = &layer.tar_split;
        let damaged = || format!("{path} cannot be used");
        let file = self.host.root.open_layer_file(path).with_context(damaged)?;
        for (number, line) in
            BufReader::with_capacity(1 << 16, GzDecoder::new(BufReader::new(file))).lines().enumerate()
        {
            let line = line.with_context(damaged)?;
            each(&line).with_context(|| format!("{path}, line {}", number + 1))?;
        }
        Ok(())
    }

    /// Makes a layer's archive again, piece by piece, as it was when Docker got it.
    ///
    /// # Errors
    /// When a file of the layer is missing, or `sink` fails.
    pub fn rebuild(&self, layer: &Layer, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let dir = self.dir_of(layer)?;
        let mut buffer = vec![0; 1 << 18];
        self.lines(layer, |line| match tar_split::piece(line)? {
            tar_split::Piece::Bytes(bytes) => sink(&bytes),
            tar_split::Piece::Content { size: 0, .. } => Ok(()),
            tar_split::Piece::Content { name, size } => {
                self.host.root.layer_content(&dir, &name, size, &mut buffer, &mut sink)
            }
        })
    }

    /// Fails when a layer's files are not those that its digest was made of.
    ///
    /// # Errors
    /// When they are not, or cannot be read.
    pub fn check_layer(&self, layer: &Layer) -> Result<u64> {
        let (mut digest, mut bytes) = (crate::model::Hasher::default(), 0);
        self.rebuild(layer, |part| {
            digest.add(part);
            bytes += part.len() as u64;
            Ok(())
        })?;
        let found = format!("sha256:{}", digest.end().hex());
        if found != layer.diff_id {
            bail!("the files in {} are not those of {}: they make {found}", layer.dir, layer.diff_id);
        }
        Ok(bytes)
    }

    /// Where a layer's files really are.
    ///
    /// # Errors
    /// When they are nowhere.
    pub fn dir_of(&self, layer: &Layer) -> Result<String> {
        match self.host.root.layer_place(&layer.dir) {
            LayerPlace::Here => Ok(layer.dir.clone()),
            LayerPlace::Lent(to) if self.host.root.layer_place(&to) == LayerPlace::Here => Ok(to),
            LayerPlace::Lent(to) => bail!("{} is a link to {to}, and there is no layer", layer.dir),
            LayerPlace::Missing => bail!("{} is not there: Docker's store is damaged", layer.dir),
        }
    }
}
