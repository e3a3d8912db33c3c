//! Taking back what was carried: Docker gets its layers before containerd loses a word about them.

use super::{
    canonical,
    carry::{LEASE_PREFIX, is_begun, is_layer_below, is_view, snapshots_dir},
    manifests::{RUN_LABEL, parts_of},
};
use crate::{
    formats::docker_images::is_cache_id,
    host::{Host, ImageName, LayerPlace, LayerStore, Snapshot},
    model::LentLayer,
};
use anyhow::{Context as _, Result, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long containerd may need to give up what kubelet had begun.
const UNFINISHED: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(500);

/// What a run may have lent and made.
#[derive(Clone, Copy, Debug)]
pub struct Loan<'a> {
    /// The run.
    pub run: &'a str,
    /// Docker's data root.
    pub source: &'a str,
    /// containerd's root.
    pub root: &'a str,
    /// Docker's layer directories that were its own before.
    pub layers: &'a [LentLayer],
    /// Ids of the images.
    pub ids: &'a [String],
    /// Names and ids that were to be carried, as Docker knows them.
    pub images: &'a [String],
    /// Names that containerd had before, where that is known.
    pub had: Option<&'a [String]>,
}

impl Loan<'_> {
    /// Gives Docker its layers back. containerd need not run. Of the layers in `needed` it keeps the directories, because
    /// something else there is made of them, and Docker gets copies.
    ///
    /// # Errors
    /// When a layer is nowhere, or a directory is named that no layer of Docker's is in.
    pub fn return_layers(&self, host: &Host, needed: &BTreeSet<String>) -> Result<usize> {
        let mut returned = 0;
        for LentLayer { dir, chain } in self.layers {
            self.expect_layer(dir)?;
            if let LayerPlace::Lent(to) = host.root.layer_place(dir)
                && !is_layer_below(self.root, &to)
            {
                let snapshots = snapshots_dir(self.root);
                bail!("{dir} is a link to {to}, which is none of containerd's layers in {snapshots}");
            }
            if is_removed(host, dir) {
                continue;
            }
            let back = if needed.contains(chain) {
                host.root.copy_layer_back(dir)?
            } else {
                host.root.take_layer_back(dir)?
            };
            returned += usize::from(back);
        }
        Ok(returned)
    }

    /// Layers that images of others in containerd are made of, which came there later.
    ///
    /// # Errors
    /// When containerd does not answer.
    pub fn needed(&self, store: &dyn LayerStore) -> Result<BTreeSet<String>> {
        let all = store.names()?;
        let made = self.made(&all, store)?;
        let mut needed = BTreeSet::new();
        for name in all.iter().filter(|name| !made.contains(&name.name)) {
            needed.extend(parts_of(&name.target, store)?.map(|(_, chain)| chain).unwrap_or_default());
        }
        Ok(needed)
    }

    /// Fails when a layer that was Docker's is not.
    ///
    /// # Errors
    /// Names it.
    pub fn expect_back(host: &Host, layers: &[LentLayer]) -> Result<()> {
        let is_here = |dir: &str| host.root.layer_place(dir) == LayerPlace::Here || is_removed(host, dir);
        match layers.iter().find(|layer| !is_here(&layer.dir)) {
            Some(LentLayer { dir, .. }) => bail!("{dir} is not Docker's own again"),
            None => Ok(()),
        }
    }

    /// A tampered journal must not make us move anything else.
    fn expect_layer(&self, dir: &str) -> Result<()> {
        let below = dir.strip_prefix(&format!("{}/overlay2/", self.source.trim_end_matches('/')));
        let id = below.and_then(|below| below.strip_suffix("/diff"));
        if self.source.is_empty() || !id.is_some_and(is_cache_id) {
            bail!("the journal names `{dir}`, which is no layer of Docker's in {}", self.source);
        }
        Ok(())
    }

    /// Fails when something that is not of this run stands on layers that are Docker's. What kubelet had begun when it was
    /// stopped is in no list of CRI's, and containerd takes it away once its request is over; that is waited for.
    ///
    /// # Errors
    /// Names it, or says that containerd does not answer.
    pub fn expect_unused(&self, host: &Host, store: &dyn LayerStore) -> Result<()> {
        let start = host.clock.monotonic();
        while let Some(user) = self.user(host, store)? {
            if host.clock.monotonic().saturating_sub(start) >= UNFINISHED {
                bail!("the container {user} of containerd still uses layers that Docker lent");
            }
            host.clock.sleep(LOOK);
        }
        Ok(())
    }

    /// A container on layers that are Docker's.
    fn user(&self, host: &Host, store: &dyn LayerStore) -> Result<Option<String>> {
        let is_lent = |layer: &&LentLayer| matches!(host.root.layer_place(&layer.dir), LayerPlace::Lent(_));
        let lent: BTreeSet<&str> = self.layers.iter().filter(is_lent).map(|layer| layer.chain.as_str()).collect();
        if lent.is_empty() {
            return Ok(None);
        }
        let all = store.snapshots()?;
        let parents: BTreeMap<&str, &str> = all.iter().map(|one| (one.name.as_str(), one.parent.as_str())).collect();
        // Containers on images of containerd's own are nobody's concern here: sandboxes of a node that was half moved, say.
        let stands_on_lent = |one: &Snapshot| {
            let below = std::iter::successors(Some(one.parent.as_str()), |name| parents.get(name).copied());
            below.take_while(|name| !name.is_empty()).take(all.len()).any(|name| lent.contains(name))
        };
        let ours = |key: &str| is_begun(key) || is_view(key);
        let user = all.iter().find(|one| !one.is_layer && !ours(&one.name) && stands_on_lent(one));
        Ok(user.map(|user| user.name.clone()))
    }

    /// Names that this run made: labelled so, or not there before and planned, or names of an image that came along. The
    /// rest is somebody else's.
    fn made(&self, all: &[ImageName], store: &dyn LayerStore) -> Result<Vec<String>> {
        let had = |name: &str| self.had.is_none_or(|had| had.iter().any(|known| known == name));
        let mut made = Vec::new();
        for name in all {
            let labelled = name.labels.get(RUN_LABEL).is_some_and(|run| run == self.run);
            // Killed between an import and its labels, only the plan knows; and CRI gives names of its own.
            let planned = || self.images.iter().any(|image| canonical(image) == name.name);
            let ours = labelled
                || !had(&name.name)
                    && (planned()
                        || self.ids.contains(&name.name)
                        || parts_of(&name.target, store)?.is_some_and(|(id, _)| self.ids.contains(&id)));
            if ours {
                made.push(name.name.clone());
            }
        }
        Ok(made)
    }

    /// Takes away what the run made in containerd, but for the layers in `needed`.
    ///
    /// # Errors
    /// When containerd does not answer or refuses.
    pub fn forget(&self, store: &dyn LayerStore, needed: &BTreeSet<String>) -> Result<usize> {
        let all = store.names()?;
        let names = self.made(&all, store)?;
        for name in &names {
            store.take_name(name).with_context(|| format!("cannot take the name {name} from containerd"))?;
        }
        for begun in store.snapshots()?.iter().filter(|one| is_begun(&one.name) || is_view(&one.name)) {
            store.drop_layer(&begun.name).with_context(|| format!("cannot drop {}", begun.name))?;
        }
        let lease = format!("{LEASE_PREFIX}{}", self.run);
        store.end_lease(&lease).with_context(|| format!("cannot end the lease {lease}"))?;
        self.drop_stranded(store, needed)?;
        Ok(names.len())
    }

    /// Whatever else holds a layer of ours, a label or a lease of somebody's, does not make it whole: its files are Docker's
    /// again. containerd forgets it, the highest first, and unpacks it when it is wanted.
    fn drop_stranded(&self, store: &dyn LayerStore, needed: &BTreeSet<String>) -> Result<()> {
        let lent: BTreeSet<&String> = self.layers.iter().map(|layer| &layer.chain).collect();
        loop {
            let all = store.snapshots()?;
            let stranded = |one: &&Snapshot| {
                one.is_layer
                    && lent.contains(&one.name)
                    && !needed.contains(&one.name)
                    && !all.iter().any(|other| other.parent == one.name)
            };
            let Some(highest) = all.iter().find(stranded) else { return Ok(()) };
            store.drop_layer(&highest.name).with_context(|| format!("cannot drop the layer {}", highest.name))?;
        }
    }
}

/// Docker itself removed the layer since (`docker rmi`): all of it, not only what was lent.
fn is_removed(host: &Host, dir: &str) -> bool {
    let above = dir.strip_suffix("/diff").unwrap_or(dir);
    host.root.kind(above).is_none()
}
