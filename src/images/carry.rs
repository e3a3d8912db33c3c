//! Carrying images layer by layer, without their files going through any daemon.

use super::{
    SNAPSHOTS,
    docker_store::{DockerStore, Image, Layer},
    manifests::Documents,
    moby::Moby,
    source::Source,
    ways::{Terrain, no_layers},
};
use crate::{
    formats::docker_images::is_digest,
    host::{Cloning, Host, LayerPlace, LayerStore, NotPlain},
    model::{CarryMode, CarryOptions, Comparing, LentLayer, ManifestSource},
};
use anyhow::{Context as _, Result, bail};
use std::{collections::BTreeSet, time::Duration};

/// Every lease of a run that must outlive it starts so.
pub const LEASE_PREFIX: &str = "castoff-hold-";
/// A layer that was begun.
const KEY_PREFIX: &str = "castoff-extract ";
/// What is looked at.
const VIEW_PREFIX: &str = "castoff-view ";
/// What was copied needs its lease only until its names are there.
const COPY_LEASE: Duration = Duration::from_secs(24 * 3600);

/// What to carry, from where to where.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The node.
    pub host: &'a Host,
    /// Names and ids as Docker knows them.
    pub images: &'a [String],
    /// Docker's data root; empty where its layers cannot be used as they are.
    pub source: &'a str,
    /// True when Docker keeps its images in containerd's store.
    pub from_containerd: bool,
    /// CRI's snapshotter, where layers cannot be carried to it.
    pub snapshotter: Option<&'a str>,
    /// containerd's root.
    pub root: &'a str,
    /// How.
    pub options: &'a CarryOptions,
    /// The run, which what is made is labelled with.
    pub run: &'a str,
    /// The image of sandboxes, never to be collected.
    pub sandbox: Option<&'a str>,
}

/// What was carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes written to disk, or streamed.
    pub bytes: u64,
    /// Images by the way they came.
    pub ways: Vec<(CarryMode, usize)>,
    /// Layers that were carried; others were there.
    pub layers: usize,
    /// Images with a manifest that castoff made.
    pub made: usize,
    /// What is worth telling.
    pub notes: Vec<String>,
    /// Every name that is to be known now.
    pub names: Vec<String>,
    /// One name with a digest for each image whose registry's manifest is not here.
    pub without_manifest: Vec<String>,
}

impl Carried {
    /// Adds images that were streamed.
    pub fn streamed(&mut self, images: usize) {
        self.count(CarryMode::Stream, images);
    }

    fn count(&mut self, way: CarryMode, images: usize) {
        if images == 0 {
            return;
        }
        match self.ways.iter_mut().find(|(known, _)| *known == way) {
            Some((_, count)) => *count += images,
            None => self.ways.push((way, images)),
        }
    }

    /// In one line.
    pub fn sentence(&self) -> String {
        if self.ways.is_empty() {
            return "nothing to carry".to_owned();
        }
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let mut words: Vec<String> =
            self.ways.iter().map(|(way, count)| format!("{count} image{} by {way}", plural(*count))).collect();
        if self.layers > 0 {
            words.push(format!("{} layer{}", self.layers, plural(self.layers)));
        }
        words.push(format!("{} kB written", self.bytes / 1000));
        if self.made > 0 {
            words.push(format!("{} with a manifest made here", self.made));
        }
        words.join(", ")
    }
}

/// What is to be carried by layers, and what has to be streamed.
#[derive(Debug, Default)]
pub struct Sorted {
    /// By layers.
    pub layered: Vec<Image>,
    /// The way of those.
    pub way: CarryMode,
    /// By `docker save`, each with the reason.
    pub streamed: Vec<(String, String)>,
    /// Those that would go that way and have no name, which what comes of it could be found by.
    pub nameless: Vec<(String, String)>,
}

/// How it goes; who hears it may stop it there.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// What is being done.
    Doing(&'a str),
    /// An image is there.
    Done(&'a str),
}

impl<'a> Job<'a> {
    /// Docker's store, where its layers can be used. `daemon` is the containerd that Docker uses.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn docker(&self, daemon: &str) -> Result<Option<Box<dyn Source + 'a>>> {
        if self.from_containerd {
            let store = self.host.doors.layers(daemon)?;
            return Ok(Some(Box::new(Moby::open(&*store, &snapshots_dir(self.root))?)));
        }
        if self.source.is_empty() || !DockerStore::is_at(self.host, self.source) {
            return Ok(None);
        }
        Ok(Some(Box::new(DockerStore::open(self.host, self.source)?)))
    }

    /// Sorts the images by the way they come.
    ///
    /// # Errors
    /// When a way is asked for that is not possible, or Docker's store is damaged.
    pub fn sort(&self, docker: Option<&dyn Source>) -> Result<Sorted> {
        let mut sorted = self.sort_by(docker, true)?;
        (sorted.nameless, sorted.streamed) = sorted.streamed.into_iter().partition(|(name, _)| is_digest(name));
        Ok(sorted)
    }

    /// With `check` the files of every layer are looked at.
    fn sort_by(&self, docker: Option<&dyn Source>, check: bool) -> Result<Sorted> {
        let wanted = self.options.mode;
        let all = |why: &str| self.images.iter().map(|name| (name.clone(), why.to_owned())).collect();
        let Some(docker) = docker else {
            let why = no_layers(self.snapshotter);
            if !matches!(wanted, CarryMode::Auto | CarryMode::Stream) {
                bail!("images cannot be carried by `{wanted}`: {why}");
            }
            let streamed = all(&why);
            return Ok(Sorted { streamed, ..Sorted::default() });
        };
        if wanted == CarryMode::Stream {
            return Ok(Sorted { streamed: all("it was asked for"), ..Sorted::default() });
        }
        let (way, _) = Terrain::of(self.host, docker, self.root).choose(wanted)?;
        let mut sorted = Sorted { way, ..Sorted::default() };
        for name in self.images {
            let Some(id) = docker.find(name)? else {
                let why = "it is not in Docker's directories".to_owned();
                sorted.streamed.push((name.clone(), why));
                continue;
            };
            let image = docker.image(&id).with_context(|| format!("the image {name} cannot be carried"))?;
            if sorted.layered.iter().any(|known| known.docker_id == image.docker_id) {
                continue;
            }
            let odd = if check { self.not_by_layers(&image, way)? } else { None };
            match odd {
                Some(why) => sorted.streamed.push((name.clone(), why)),
                None => sorted.layered.push(image),
            }
        }
        Ok(sorted)
    }

    /// Why an image's layers cannot be used as they are.
    fn not_by_layers(&self, image: &Image, way: CarryMode) -> Result<Option<String>> {
        if image.layers.is_empty() {
            return Ok(Some("it has no layers".to_owned()));
        }
        for layer in image.layers.iter().filter(|layer| !layer.dir.is_empty()) {
            let checked = match self.host.root.layer_place(&layer.dir) {
                // Lent before, and looked at then.
                LayerPlace::Lent(_) => continue,
                _ => self.host.root.expect_plain_layer(&layer.dir),
            };
            match checked {
                Err(error) if error.downcast_ref::<NotPlain>().is_some() && self.options.mode == CarryMode::Auto => {
                    return Ok(Some(format!("{error:#}")));
                }
                checked => checked.with_context(|| format!("{} cannot be carried by `{way}`", image.shown()))?,
            }
        }
        Ok(None)
    }

    /// What this job may lend, all layers that are still Docker's own, and the ids of the images.
    ///
    /// # Errors
    /// As [`Job::sort`].
    pub fn loan(&self, daemon: &str) -> Result<(Vec<LentLayer>, Vec<String>)> {
        let docker = self.docker(daemon)?;
        let sorted = self.sort_by(docker.as_deref(), false)?;
        let mut ids: Vec<String> = sorted.layered.iter().map(|image| image.id.clone()).collect();
        for (name, _) in &sorted.streamed {
            let Some(docker) = docker.as_deref() else { continue };
            let found = docker.find(name)?;
            ids.extend(found.map(|found| docker.image(&found).map_or(found, |image| image.id)));
        }
        if sorted.way != CarryMode::Adopt {
            return Ok((Vec::new(), ids));
        }
        let layers = sorted.layered.iter().flat_map(|image| &image.layers);
        let own = |layer: &&Layer| self.host.root.layer_place(&layer.dir) == LayerPlace::Here;
        let lent = |layer: &Layer| LentLayer { dir: layer.dir.clone(), chain: layer.chain_id.clone() };
        let mut lent: Vec<LentLayer> = layers.filter(own).map(lent).collect();
        lent.sort();
        lent.dedup();
        Ok((lent, ids))
    }

    /// Fails when the file system of containerd's root has no room for what would be copied; layers that are there, from
    /// a run that was cut off, say, are not.
    ///
    /// # Errors
    /// With both figures.
    pub fn check_room(&self, sorted: &Sorted, docker: &dyn Source, store: &dyn LayerStore) -> Result<()> {
        let there: BTreeSet<String> = store.snapshots()?.into_iter().map(|snapshot| snapshot.name).collect();
        let mut layers: Vec<&Layer> = sorted.layered.iter().flat_map(|image| &image.layers).collect();
        layers.retain(|layer| !there.contains(&layer.chain_id));
        layers.sort_by(|a, b| a.chain_id.cmp(&b.chain_id));
        layers.dedup_by(|a, b| a.chain_id == b.chain_id);
        let bytes: u64 = layers.iter().map(|layer| layer.size).sum();
        let needed = match sorted.way {
            CarryMode::Copy => bytes + bytes / 20,
            // Directories and inodes: 2 % of a 2 GB image of 80,000 files, as measured.
            CarryMode::Reflink | CarryMode::Hardlink => bytes / 20,
            _ => 0,
        } + if self.options.with_blobs { bytes } else { 0 };
        let space = self.host.kernel.space(&self.host.root.outside(self.root))?;
        let copies = matches!(sorted.way, CarryMode::Copy | CarryMode::Reflink);
        if copies && space.total_inodes > 0 {
            let entries: u64 = layers.iter().map(|layer| docker.entries(layer)).sum();
            if space.free_inodes < entries {
                bail!("{} has {} inodes left, and the images need about {entries} there", self.root, space.free_inodes);
            }
        }
        let free = space.free_bytes;
        if free < needed {
            let (needed, free) = (needed / 1_000_000, free / 1_000_000);
            bail!("{} has room for {free} MB, and the images need about {needed} MB there", self.root);
        }
        Ok(())
    }

    /// The lease of this job.
    pub fn lease(&self) -> String {
        format!("{LEASE_PREFIX}{}", self.run)
    }

    /// Carries what can be carried by layers. Doing it twice is the same as doing it once.
    ///
    /// # Errors
    /// When a layer is damaged, or the system or containerd refuses. What was done until then is as
    /// [`super::Loan`] expects it.
    pub fn carry_layers(
        &self,
        docker: &dyn Source,
        sorted: &Sorted,
        store: &dyn LayerStore,
        say: &mut dyn FnMut(Said<'_>) -> Result<()>,
    ) -> Result<Carried> {
        let mut carried = Carried::default();
        if sorted.layered.is_empty() {
            return Ok(carried);
        }
        let lease = self.lease();
        let expires = match sorted.way {
            // Docker's own layers are in it: it ends when Docker is gone or has them back, and not before.
            CarryMode::Adopt => None,
            _ => Some(
                self.host.clock.timestamp()?.checked_add(COPY_LEASE).context("the clock is out of range")?.to_string(),
            ),
        };
        store.lease(&lease, expires.as_deref())?;
        // Of a process that was killed while it compared.
        for view in store.snapshots()?.iter().filter(|one| is_view(&one.name)) {
            store.drop_layer(&view.name)?;
        }
        for image in &sorted.layered {
            self.carry_image(docker, image, sorted.way, store, &mut carried, say)
                .with_context(|| format!("cannot carry {}", image.shown()))?;
        }
        if sorted.way != CarryMode::Adopt {
            store.end_lease(&lease)?;
        }
        carried.count(sorted.way, sorted.layered.len());
        Ok(carried)
    }

    fn carry_image(
        &self,
        docker: &dyn Source,
        image: &Image,
        way: CarryMode,
        store: &dyn LayerStore,
        carried: &mut Carried,
        say: &mut dyn FnMut(Said<'_>) -> Result<()>,
    ) -> Result<()> {
        let (mut below, mut ours) = ("", Vec::new());
        for (at, layer) in image.layers.iter().enumerate() {
            if !layer.dir.is_empty() && !store.has_layer(&layer.chain_id)? {
                say(Said::Doing(&format!("{}, layer {} of {}", image.shown(), at + 1, image.layers.len())))?;
                carried.bytes += self.carry_layer(docker, layer, below, way, store)?;
                carried.layers += 1;
                ours.push(layer.chain_id.as_str());
            }
            below = &layer.chain_id;
        }
        if self.options.compare != Comparing::None && !ours.is_empty() {
            self.compare(docker, image, &ours, store)?;
        }
        let documents = docker.documents(image, store)?;
        let lease = self.lease();
        let (bytes, with_archives) = docker.archives(image, &documents, store, &lease, self.options.with_blobs)?;
        if !with_archives && image.layers.iter().any(|layer| layer.dir.is_empty()) {
            bail!("Docker never unpacked it, and its archives are not shared with the namespace k8s.io");
        }
        carried.bytes += bytes;
        documents.write(image, store, &lease, with_archives)?;
        if documents.passed_over {
            carried.notes.push(format!(
                "the registry's list of platforms would lead this node's containerd elsewhere than to {}; its names lead to its \
                 manifest",
                image.shown()
            ));
        }
        self.give_names(image, &documents, store, carried)?;
        if documents.source == ManifestSource::Made {
            carried.made += 1;
            carried.without_manifest.extend(image.names.digests.first().map(|name| super::canonical(name)));
        }
        say(Said::Done(&format!("{} by {way}, {} layers", image.shown(), image.layers.len())))?;
        Ok(())
    }

    fn carry_layer(
        &self,
        docker: &dyn Source,
        layer: &Layer,
        below: &str,
        way: CarryMode,
        store: &dyn LayerStore,
    ) -> Result<u64> {
        if self.options.verify_layers {
            docker.verify(layer)?;
        }
        let (key, lease) = (format!("{KEY_PREFIX}{}", layer.chain_id), self.lease());
        let root = &self.host.root;
        let to = store.begin_layer(&key, below, &layer.chain_id, &lease)?;
        if way == CarryMode::Adopt && !is_layer_below(self.root, &to) {
            bail!("containerd would keep it in {to}, and not below {}: it is not lent", snapshots_dir(self.root));
        }
        let bytes = match (way, root.layer_place(&layer.dir)) {
            // What was lent to a containerd that is gone, or to this very layer before a power cut.
            (CarryMode::Adopt, LayerPlace::Lent(at)) if at != to => {
                root.clone_layer(&docker.layer_dir(layer)?, &to, Cloning::Copy)?.bytes
            }
            (CarryMode::Adopt, _) => {
                root.lend_layer(&layer.dir, &to)?;
                0
            }
            _ => {
                let how = match way {
                    CarryMode::Reflink => Cloning::Reflink,
                    CarryMode::Hardlink => Cloning::Hardlink,
                    _ => Cloning::Copy,
                };
                root.clone_layer(&docker.layer_dir(layer)?, &to, how)?.bytes
            }
        };
        if way != CarryMode::Adopt {
            // containerd writes the layer's name to disk at once, and its files must not come later.
            root.sync_layers(&to)?;
        }
        store.end_layer(&key, &layer.chain_id, &lease)?;
        Ok(bytes)
    }

    /// What a container sees is the stack of its layers: each must be what Docker stacks, in the same order.
    fn compare(&self, docker: &dyn Source, image: &Image, ours: &[&str], store: &dyn LayerStore) -> Result<()> {
        let Some(top) = image.layers.last() else { return Ok(()) };
        let shown = store.directories(&top.chain_id, &format!("{VIEW_PREFIX}{}", top.chain_id))?;
        if shown.len() != image.layers.len() {
            bail!("containerd stacks {} layers and Docker {}", shown.len(), image.layers.len());
        }
        for (layer, there) in image.layers.iter().rev().zip(&shown) {
            // What containerd had unpacked itself is right in its own way: it gives the top directory the time of day.
            if !ours.contains(&layer.chain_id.as_str()) {
                continue;
            }
            let here = docker.layer_dir(layer)?;
            let content = self.options.compare == Comparing::Full;
            self.host
                .root
                .compare_layers(&here, there, content)
                .with_context(|| format!("the layer {} in containerd is not what Docker has", layer.chain_id))?;
        }
        Ok(())
    }

    fn give_names(
        &self,
        image: &Image,
        documents: &Documents,
        store: &dyn LayerStore,
        carried: &mut Carried,
    ) -> Result<()> {
        let is_sandbox =
            |name: &String| self.sandbox.is_some_and(|sandbox| super::canonical(sandbox) == super::canonical(name));
        let pinned = image.names.tags.iter().chain(&image.names.digests).any(is_sandbox);
        let there = store.names()?;
        for name in documents.names(image, self.run, pinned) {
            match there.iter().find(|known| known.name == name.name) {
                None => {
                    store.put_name(&name)?;
                    carried.names.push(name.name);
                }
                // By its id an image is the same one, whichever of its manifests that leads to.
                Some(known) if known.target == name.target || name.name == image.id => carried.names.push(name.name),
                Some(_) => carried.notes.push(format!(
                    "containerd has another image named {} already, which stays; Docker's is {}",
                    name.name, image.id
                )),
            }
        }
        Ok(())
    }
}

/// True for a layer that was begun and never ended.
pub fn is_begun(key: &str) -> bool {
    key.starts_with(KEY_PREFIX)
}

/// True for a layer that castoff only looked at.
pub fn is_view(key: &str) -> bool {
    key.starts_with(VIEW_PREFIX)
}

/// Whether a directory may be one of containerd's layers: what is lent goes there, and nothing is taken back from elsewhere.
pub(super) fn is_layer_below(containerd_root: &str, dir: &str) -> bool {
    dir.starts_with(&format!("{}/", snapshots_dir(containerd_root))) && dir.ends_with("/fs")
}

/// The directory of containerd's layers below its root.
pub fn snapshots_dir(containerd_root: &str) -> String {
    format!("{}/{SNAPSHOTS}", containerd_root.trim_end_matches('/'))
}
