//! Taking back what was carried: Docker gets its layers before containerd loses a word about them.

use super::{
    canonical,
    carry::{LEASE_PREFIX, is_begun, is_view, snapshots_dir},
    manifests::RUN_LABEL,
};
use crate::{
    formats::docker_images::is_cache_id,
    host::{Host, ImageName, LayerPlace, LayerStore},
};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;

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
    pub layers: &'a [String],
    /// Names and ids that were to be carried, as Docker knows them.
    pub images: &'a [String],
    /// Names that containerd had before, where that is known.
    pub had: Option<&'a [String]>,
}

impl Loan<'_> {
    /// Gives Docker its layers back. containerd need not run.
    ///
    /// # Errors
    /// When a layer is nowhere, or a directory is named that no layer of Docker's is in.
    pub fn return_layers(&self, host: &Host) -> Result<usize> {
        let snapshots = snapshots_dir(self.root);
        let mut returned = 0;
        for dir in self.layers {
            self.expect_layer(dir)?;
            if let LayerPlace::Lent(to) = host.root.layer_place(dir)
                && !(to.starts_with(&format!("{snapshots}/")) && to.ends_with("/fs"))
            {
                bail!("{dir} is a link to {to}, which is none of containerd's layers in {snapshots}");
            }
            returned += usize::from(host.root.take_layer_back(dir)?);
        }
        Ok(returned)
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

    /// Fails while something that is not of this run stands on layers that are Docker's.
    ///
    /// # Errors
    /// Names it, or says that containerd does not answer.
    pub fn expect_unused(&self, host: &Host, store: &dyn LayerStore) -> Result<()> {
        let lent = self.layers.iter().filter(|dir| matches!(host.root.layer_place(dir), LayerPlace::Lent(_)));
        if lent.count() == 0 {
            return Ok(());
        }
        let all = store.snapshots()?;
        let layers: BTreeSet<&str> = all.iter().filter(|one| one.is_layer).map(|one| one.name.as_str()).collect();
        let ours = |key: &str| is_begun(key) || is_view(key);
        let user = all.iter().find(|one| !one.is_layer && !ours(&one.name) && layers.contains(one.parent.as_str()));
        match user {
            Some(user) => bail!("the container {} of containerd still uses layers that Docker lent", user.name),
            None => Ok(()),
        }
    }

    /// Names that this run made: labelled so, or planned and not there before; and the ids that go with them.
    fn made(&self, all: &[ImageName]) -> Vec<String> {
        let had = |name: &str| self.had.is_none_or(|had| had.iter().any(|known| known == name));
        let labelled = |name: &ImageName| name.labels.get(RUN_LABEL).is_some_and(|run| run == self.run);
        // Killed between an import and its labels, only the plan knows.
        let planned =
            |name: &ImageName| !had(&name.name) && self.images.iter().any(|image| canonical(image) == name.name);
        let mut made: Vec<&ImageName> = all.iter().filter(|name| labelled(name) || planned(name)).collect();
        let is_id = |name: &ImageName| name.name.starts_with("sha256:");
        for id in all.iter().filter(|name| is_id(name) && !had(&name.name)) {
            let same = |name: &&ImageName| name.target == id.target && !is_id(name);
            let of_ours = made.iter().any(&same);
            let of_others = all.iter().filter(same).any(|name| !made.contains(&name));
            if of_ours && !of_others && !made.contains(&id) {
                made.push(id);
            }
        }
        made.into_iter().map(|name| name.name.clone()).collect()
    }

    /// Takes away what the run made in containerd.
    ///
    /// # Errors
    /// When containerd does not answer or refuses.
    pub fn forget(&self, store: &dyn LayerStore) -> Result<usize> {
        let all = store.names()?;
        let names = self.made(&all);
        for name in &names {
            store.take_name(name).with_context(|| format!("cannot take the name {name} from containerd"))?;
        }
        for begun in store.snapshots()?.iter().filter(|one| is_begun(&one.name) || is_view(&one.name)) {
            store.drop_layer(&begun.name).with_context(|| format!("cannot drop {}", begun.name))?;
        }
        let lease = format!("{LEASE_PREFIX}{}", self.run);
        store.end_lease(&lease).with_context(|| format!("cannot end the lease {lease}"))?;
        Ok(names.len())
    }
}
