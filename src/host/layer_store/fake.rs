//! A containerd for tests: its metadata is in memory, its snapshots are real directories below a root.

use super::{ImageName, Labels, LayerStore, Parts, Snapshot};
use crate::host::{Faults, LayerPlace, Root};
use anyhow::{Context as _, Result, bail};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Where its snapshots are.
const SNAPSHOTS: &str = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";

#[derive(Debug, Default)]
struct Metadata {
    /// Key or chain id → parent, number of its directory, and whether it is a layer.
    snapshots: BTreeMap<String, (String, u32, bool)>,
    leases: BTreeSet<String>,
    blobs: BTreeMap<String, (Vec<u8>, Labels)>,
    names: BTreeMap<String, ImageName>,
    kept: BTreeMap<String, Vec<Vec<u8>>>,
    /// A snapshot, and the looks after which it is gone.
    given_up: Option<(String, u32)>,
}

/// Clones are the same containerd; what it knows survives the death of who asks it.
#[derive(Clone, Debug)]
pub struct FakeLayerStore {
    root: Rc<Root>,
    faults: Faults,
    all: Rc<RefCell<Metadata>>,
    /// What Docker keeps in it.
    docker: Rc<RefCell<Metadata>>,
    /// Number of the first directory: no two namespaces have the same.
    first: u32,
}

impl FakeLayerStore {
    /// One without images.
    pub fn new(root: Rc<Root>, faults: Faults) -> Self {
        Self { root, faults, all: Rc::default(), docker: Rc::default(), first: 1 }
    }

    /// The same containerd, asked by another process.
    #[must_use]
    pub fn asked_by(&self, root: Rc<Root>, faults: Faults) -> Self {
        Self { root, faults, ..self.clone() }
    }

    /// A snapshot that is gone after so many looks at all of them: containerd gives it up.
    pub fn gives_up(&self, key: &str, looks: u32) {
        self.all.borrow_mut().given_up = Some((key.to_owned(), looks));
    }

    /// What Docker kept of an image.
    pub fn keep(&self, image: &str, document: &[u8]) {
        self.all.borrow_mut().kept.entry(image.to_owned()).or_default().push(document.to_owned());
    }

    fn dir(number: u32) -> String {
        format!("{SNAPSHOTS}/{number}/fs")
    }

    fn find(&self, key: &str) -> Option<(String, u32, bool)> {
        self.all.borrow().snapshots.get(key).cloned()
    }

    /// An empty directory, whatever an earlier snapshot of that number left.
    fn make_dir(&self, dir: &str) -> Result<()> {
        let root = Root::open(self.root.dir(), Faults::none())?;
        match root.layer_place(dir) {
            LayerPlace::Lent(_) => root.remove_link(dir)?,
            LayerPlace::Here => root.remove_tree(dir, &[])?,
            LayerPlace::Missing => {}
        }
        root.make_dirs(dir, 0o755)
    }

    /// What nothing holds is collected when the last lease ends.
    fn collect(&self) {
        let mut all = self.all.borrow_mut();
        if all.leases.is_empty() && all.names.is_empty() {
            all.snapshots.clear();
            all.blobs.clear();
        }
    }
}

impl LayerStore for FakeLayerStore {
    fn lease(&self, id: &str, _: Option<&str>) -> Result<()> {
        self.faults.effect(&format!("lease {id}"), || {
            self.all.borrow_mut().leases.insert(id.to_owned());
            Ok(())
        })
    }

    fn end_lease(&self, id: &str) -> Result<()> {
        self.faults.effect(&format!("end lease {id}"), || {
            self.all.borrow_mut().leases.remove(id);
            self.collect();
            Ok(())
        })
    }

    fn leases(&self) -> Result<Vec<String>> {
        Ok(self.all.borrow().leases.iter().cloned().collect())
    }

    fn has_layer(&self, chain: &str) -> Result<bool> {
        Ok(self.find(chain).is_some_and(|(_, _, is_layer)| is_layer))
    }

    fn begin_layer(&self, key: &str, parent: &str, _: &str, _: &str) -> Result<String> {
        if let Some((_, number, _)) = self.find(key) {
            return Ok(Self::dir(number));
        }
        self.faults.effect(&format!("begin layer {key}"), || {
            if !parent.is_empty() && !self.has_layer(parent)? {
                bail!("there is no layer {parent}");
            }
            let mut all = self.all.borrow_mut();
            let taken: BTreeSet<u32> = all.snapshots.values().map(|(_, number, _)| *number).collect();
            let number = (self.first..=u32::MAX).find(|number| !taken.contains(number)).unwrap_or_default();
            self.make_dir(&Self::dir(number))?;
            all.snapshots.insert(key.to_owned(), (parent.to_owned(), number, false));
            Ok(Self::dir(number))
        })
    }

    fn end_layer(&self, key: &str, chain: &str, _: &str) -> Result<()> {
        self.faults.effect(&format!("end layer {chain}"), || {
            let mut all = self.all.borrow_mut();
            if all.snapshots.contains_key(chain) {
                return Ok(());
            }
            let (parent, number, _) = all.snapshots.remove(key).with_context(|| format!("{key} was not begun"))?;
            all.snapshots.insert(chain.to_owned(), (parent, number, true));
            Ok(())
        })
    }

    fn drop_layer(&self, key: &str) -> Result<()> {
        self.faults.effect(&format!("drop layer {key}"), || {
            self.all.borrow_mut().snapshots.remove(key);
            Ok(())
        })
    }

    fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let mut all = self.all.borrow_mut();
        if let Some((key, looks)) = all.given_up.take() {
            if looks == 0 {
                all.snapshots.remove(&key);
            } else {
                all.given_up = Some((key, looks - 1));
            }
        }
        let snapshot = |(name, (parent, _, is_layer)): (&String, &(String, u32, bool))| Snapshot {
            name: name.clone(),
            parent: parent.clone(),
            is_layer: *is_layer,
        };
        Ok(all.snapshots.iter().map(snapshot).collect())
    }

    fn directories(&self, chain: &str, _: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut next = chain.to_owned();
        while let Some((parent, number, _)) = self.find(&next) {
            found.push(Self::dir(number));
            next = parent;
        }
        Ok(found)
    }

    fn put_blob(&self, digest: &str, bytes: &[u8], labels: Labels, _: &str) -> Result<()> {
        self.faults.effect(&format!("write blob {digest}"), || {
            self.all.borrow_mut().blobs.insert(digest.to_owned(), (bytes.to_owned(), labels));
            Ok(())
        })
    }

    fn put_parts(&self, digest: &str, _: u64, parts: &mut Parts<'_>, lease: &str) -> Result<()> {
        let mut bytes = Vec::new();
        parts(&mut |part| {
            bytes.extend(part);
            Ok(())
        })?;
        self.put_blob(digest, &bytes, Labels::new(), lease)
    }

    fn share_blob(&self, digest: &str, _: u64, _: &str) -> Result<()> {
        bail!("{digest} is in no other namespace")
    }

    fn of_docker(&self) -> Box<dyn LayerStore> {
        Box::new(Self { all: Rc::clone(&self.docker), first: 1001, ..self.clone() })
    }

    fn kept(&self, image: &str) -> Result<Vec<Vec<u8>>> {
        Ok(self.all.borrow().kept.get(image).cloned().unwrap_or_default())
    }

    fn blob(&self, digest: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.all.borrow().blobs.get(digest).map(|(bytes, _)| bytes.clone()))
    }

    fn names(&self) -> Result<Vec<ImageName>> {
        Ok(self.all.borrow().names.values().cloned().collect())
    }

    fn put_name(&self, name: &ImageName) -> Result<()> {
        self.faults.effect(&format!("name {}", name.name), || {
            self.all.borrow_mut().names.entry(name.name.clone()).or_insert_with(|| name.clone());
            Ok(())
        })
    }

    fn label_name(&self, name: &ImageName, key: &str, value: &str) -> Result<()> {
        self.faults.effect(&format!("label {}", name.name), || {
            let mut all = self.all.borrow_mut();
            let found = all.names.get_mut(&name.name).with_context(|| format!("there is no image {}", name.name))?;
            found.labels.insert(key.to_owned(), value.to_owned());
            Ok(())
        })
    }

    fn take_name(&self, name: &str) -> Result<()> {
        self.faults.effect(&format!("take name {name}"), || {
            self.all.borrow_mut().names.remove(name);
            self.collect();
            Ok(())
        })
    }
}
