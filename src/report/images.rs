//! What there is to carry, as lines.

use super::{
    Look,
    style::{CAUTION, DIM, GOOD, paint},
    table::{bytes, counted, pad, seconds, wrap},
};
use crate::model::{CarryImage, CarryMode, Images, ManifestSource};

/// How much of an id is shown; `docker images` shows as much.
const ID: usize = 12;

/// The report of `castoff images list`.
pub fn images(images: &Images, look: Look) -> String {
    let needed = images.images.iter().filter(|image| !image.needed_by.is_empty()).count();
    let total: u64 = images.images.iter().map(|image| image.bytes).sum();
    let mut text = format!(
        "Docker on {} has {} ({}, shared layers counted each time); {needed} needed here\n",
        images.node,
        counted(images.images.len(), "image"),
        bytes(total)
    );
    for image in &images.images {
        text.push_str(&one(image, look));
    }
    text.push_str(&format!("\ncontainerd has {} in namespace k8s.io\n", counted(images.containerd.len(), "name")));
    for what in &images.unseen {
        text.push_str(&format!("{}\n", paint(CAUTION, format!("not seen: {what}"))));
    }
    text
}

/// What Docker left on a node that has moved.
pub fn leftovers(
    root: Option<&str>,
    (size, entries): (u64, u64),
    volumes: &[String],
    leases: &[String],
    images: &[String],
    with_volumes: bool,
) -> String {
    let mut text = String::new();
    if let Some(root) = root {
        let count = counted(usize::try_from(entries).unwrap_or(usize::MAX), "file");
        text.push_str(&format!("- {root} ({}, {count})\n", bytes(size)));
    }
    if !volumes.is_empty() {
        let fate = if with_volumes { "removed too" } else { "kept; `--volumes` removes them too" };
        text.push_str(&format!("  {}: {} ({fate})\n", counted(volumes.len(), "volume"), volumes.join(", ")));
    }
    if !images.is_empty() {
        text.push_str(&format!(
            "- {} in containerd's namespace moby, where Docker kept its images\n",
            counted(images.len(), "name")
        ));
    }
    for lease in leases {
        text.push_str(&format!("- lease {lease} of containerd, which holds layers that Docker lent\n"));
    }
    text
}

fn one(image: &CarryImage, look: Look) -> String {
    let hex = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
    let name = match (image.names.is_empty(), image.digests.first()) {
        (false, _) => image.names.join(", "),
        (true, Some(digest)) => digest.clone(),
        (true, None) => "<no name>".to_owned(),
    };
    let id = hex.get(..ID).unwrap_or(hex);
    let size = pad(&bytes(image.bytes), 9);
    let mut text = format!("\n  {id}  {size} {}  {name}\n", pad(&counted(image.layers, "layer"), 10));
    let mut lines = Vec::new();
    lines.push(match image.needed_by.as_slice() {
        [] => "needed by nothing on this node".to_owned(),
        who => format!("needed by {}", who.join(", ")),
    });
    if image.carried {
        text.push_str(&format!("      {}\n", paint(GOOD, "containerd has it")));
    } else {
        let cost = &image.cost;
        lines.push(format!(
            "{}: about {}, {} of disk, {}; {}",
            image.way,
            seconds(cost.seconds),
            bytes(cost.bytes),
            counted(usize::try_from(cost.inodes).unwrap_or(usize::MAX), "inode"),
            image.why
        ));
        // By `docker save` archives come along, and Docker's daemon alone says nothing of digests.
        let nowhere = image.digests.is_empty() && image.way != CarryMode::Stream;
        lines.push(match image.manifest {
            ManifestSource::Kept => "the registry's manifest is there: its digests stay the same".to_owned(),
            ManifestSource::Made if nowhere => {
                "a manifest is made, and no registry is known to have the image; `--with-blobs` keeps it exportable"
                    .to_owned()
            }
            ManifestSource::Made => {
                "a manifest is made: a pull with `Always` fetches the registry's, and no layer".to_owned()
            }
        });
    }
    for line in lines {
        text.push_str(&format!("      {}\n", paint(DIM, wrap(&line, look.width, 6))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CarryCost;

    #[test]
    fn an_image_with_its_way_and_cost() {
        let image = CarryImage {
            id: format!("sha256:{}", "ab".repeat(32)),
            names: vec!["nginx:1".to_owned()],
            digests: Vec::new(),
            layers: 2,
            bytes: 2_000_000,
            needed_by: vec!["pod default/web".to_owned()],
            carried: false,
            way: CarryMode::Adopt,
            why: "one file system".to_owned(),
            cost: CarryCost { seconds: 0.3, bytes: 24_000, inodes: 6 },
            manifest: ManifestSource::Kept,
        };
        let all = Images {
            api_version: String::new(),
            kind: String::new(),
            node: "n1".to_owned(),
            images: vec![image],
            containerd: Vec::new(),
            unseen: vec!["containerd's images: refused".to_owned()],
        };
        let text = anstream::adapter::strip_str(&images(&all, Look::plain())).to_string();
        assert!(
            text.starts_with("Docker on n1 has 1 image (2.0 MB, shared layers counted each time); 1 needed here\n"),
            "{text}"
        );
        assert!(
            text.contains("  abababababab  2.0 MB    2 layers    nginx:1\n      needed by pod default/web\n"),
            "{text}"
        );
        assert!(text.contains("adopt: about 0.3 s, 24.0 kB of disk, 6 inodes; one file system"), "{text}");
        assert!(text.contains("not seen: containerd's images: refused"), "{text}");
        for (digests, way, told) in [
            (vec![], CarryMode::Adopt, "no registry is known to have the image; `--with-blobs`"),
            (vec!["nginx@sha256:00".to_owned()], CarryMode::Adopt, "a pull with `Always` fetches the registry's"),
            (vec![], CarryMode::Stream, "a pull with `Always` fetches the registry's"),
        ] {
            let images = vec![CarryImage { digests, way, manifest: ManifestSource::Made, ..all.images[0].clone() }];
            let text = super::images(&Images { images, ..all.clone() }, Look::plain());
            assert!(anstream::adapter::strip_str(&text).to_string().replace("\n      ", " ").contains(told), "{text}");
        }
    }
}
