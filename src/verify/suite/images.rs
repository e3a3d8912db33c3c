//! Images: their names, ids and users, and that one that is removed is gone. No registry is asked: the images come from
//! castoff, by containerd's own API.

use super::{Bed, Unfit};
use crate::{
    host::{CriPods, ImageStore, Order},
    runtime::workload::{self, Image},
    verify::shadow,
};
use anyhow::{Context as _, Result, bail, ensure};

/// Where the images are said to come from that these checks bring in and remove.
const REGISTRIES: [&str; 2] = ["spare.castoff.invalid", "other.castoff.invalid"];
const ABSENT: &str = "castoff.invalid/not-there:1";

/// Whether an image of this name is one of these checks'.
pub(crate) fn is_spare(name: &str) -> bool {
    REGISTRIES.iter().any(|registry| name.split('/').next() == Some(registry))
}

/// Removes what a verification that was killed has left.
pub(crate) fn sweep(cri: &dyn CriPods, store: &dyn ImageStore) {
    for name in store.names().unwrap_or_default().iter().filter(|name| is_spare(name)) {
        // By CRI too, which has a name of its own for it, and may not have heard of it yet.
        let _ = cri.remove_image(name);
        let _ = store.forget(name);
    }
}

/// An image that was brought in under some names, removed when dropped.
struct Spare<'a> {
    cri: &'a dyn CriPods,
    store: Box<dyn ImageStore>,
    image: Image,
    names: Vec<String>,
}

impl<'a> Spare<'a> {
    /// `names` are behind the registry: `a:1`.
    fn bring(bed: &Bed<'a>, number: u32, user: &str, names: &[&str]) -> Result<Self> {
        if bed.cri.version()?.runtime_name != "containerd" {
            bail!(Unfit("only into containerd images can be brought without a registry".to_owned()));
        }
        let image = workload::spare(number, user)?;
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let spare = Self { cri: bed.cri, store: bed.host.doors.images(&bed.place.endpoint)?, image, names };
        let lease = format!("castoff-verify-{}-spare-{number}", bed.host.pid());
        for name in &spare.names {
            shadow::bring(&*spare.store, &spare.image, name, &lease, bed.host)?;
        }
        for name in &spare.names {
            shadow::wait_for(bed.cri, name, bed.host)?;
        }
        Ok(spare)
    }

    fn id(&self) -> &str {
        &self.image.config.digest
    }

    /// The names CRI has for it.
    fn tags(&self) -> Result<Option<Vec<String>>> {
        let found = self.cri.images()?.into_iter().find(|image| image.id == self.id());
        Ok(found.map(|image| {
            let mut tags = image.tags;
            tags.sort();
            tags
        }))
    }

    /// Nothing of it is there.
    fn is_gone(&self) -> Result<()> {
        ensure!(self.tags()?.is_none(), "an image that was removed is in the list");
        for name in self.names.iter().map(String::as_str).chain([self.id()]) {
            ensure!(self.cri.image_status(name)?.is_none(), "an image that was removed is known as {name}");
        }
        Ok(())
    }
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        let _ = self.cri.remove_image(self.id());
        for name in &self.names {
            let _ = self.store.forget(name);
        }
    }
}

/// An image is found by its name and its id, and is in the list; one that does not exist is not.
pub(super) fn known(bed: &Bed<'_>) -> Result<String> {
    let image = bed.cri.image_status(&bed.place.image)?.with_context(|| format!("{} is not known", bed.place.image))?;
    let by_id =
        bed.cri.image_status(&image.id)?.with_context(|| format!("{} is not known by its id", bed.place.image))?;
    ensure!(by_id.id == image.id, "an image has two ids");
    ensure!(image.size > 0, "an image has no size");
    ensure!(bed.cri.images()?.iter().any(|listed| listed.id == image.id), "an image is not in the list");
    if bed.cri.image_status(ABSENT)?.is_some() {
        bail!("an image that does not exist is known");
    }
    Ok(format!("{} is known by name and id", bed.place.image))
}

/// Images with names of their own, and one with several; a name with a digest.
pub(super) fn names(bed: &Bed<'_>) -> Result<String> {
    let [first, second] = REGISTRIES.map(|registry| format!("{registry}/names"));
    let alone = [10, 11].map(|number| (number, format!("{first}-{number}:1")));
    let mut single = Vec::new();
    for (number, name) in &alone {
        single.push(Spare::bring(bed, *number, "", &[name])?);
    }
    let (one, two, three) = (format!("{first}:1"), format!("{first}:2"), format!("{second}:1"));
    let several = Spare::bring(bed, 12, "", &[&one, &two, &three])?;
    for spare in single.iter().chain([&several]) {
        let mut wanted = spare.names.clone();
        wanted.sort();
        let found = spare.tags()?.context("an image that was brought in is not in the list")?;
        ensure!(found == wanted, "an image has the names {}, not {}", found.join(" "), wanted.join(" "));
    }
    let digest = format!("{first}@{}", several.image.manifest.digest);
    let referred = Spare::bring(bed, 12, "", &[&digest])?;
    let image = bed.cri.image_status(&digest)?.with_context(|| format!("{digest} is not known"))?;
    ensure!(image.id == referred.id(), "by its digest an image has another id");
    ensure!(image.digests.contains(&digest), "an image does not have its digest: {}", image.digests.join(" "));
    Ok("an image has its own names and no other's, with tags and digests".to_owned())
}

/// The user of an image, by number and by name.
pub(super) fn users(bed: &Bed<'_>) -> Result<String> {
    for (number, user, uid, name) in [
        (20, "1002", Some(1002), ""),
        (21, "1003:1003", Some(1003), ""),
        (22, "www", None, "www"),
        (23, "www:www", None, "www"),
    ] {
        let spare = Spare::bring(bed, number, user, &[&format!("{}/users:{number}", REGISTRIES[0])])?;
        let image = bed.cri.image_status(spare.id())?.context("an image that was brought in is not known")?;
        let told = (image.uid, image.username.as_str());
        ensure!(told == (uid, name), "the user {user} of an image is told as {told:?}");
    }
    Ok("by number and by name".to_owned())
}

/// Removed by one of its names, an image has none left; it may be removed many times, also at the same time.
pub(super) fn removal(bed: &Bed<'_>) -> Result<String> {
    let [first, second] = REGISTRIES.map(|registry| format!("{registry}/removal"));
    let (one, two, other) = (format!("{first}:1"), format!("{first}:2"), format!("{second}:1"));
    for (number, name) in [(30, &one), (31, &other)] {
        let spare = Spare::bring(bed, number, "", &[&one, &two, &other])?;
        bed.cri.remove_image(name)?;
        spare.is_gone().with_context(|| format!("{name} was removed"))?;
    }
    let spare = Spare::bring(bed, 32, "", &[&one])?;
    let orders = (0..10).map(|_| Order::RemoveImage(one.clone())).collect();
    for (_, done) in bed.cri.at_once(orders)? {
        done.context("an image cannot be removed many times at once")?;
    }
    spare.is_gone()?;
    Ok("with all names, and at the same time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_of_these_checks_are_spare() {
        assert!(is_spare("spare.castoff.invalid/names:1") && is_spare("other.castoff.invalid/a@sha256:00"));
        for other in ["castoff.invalid/probe:1", "spare.castoff.invalid.example/a:1", "nginx", ""] {
            assert!(!is_spare(other), "{other}");
        }
    }
}
