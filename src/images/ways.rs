//! Which way an image is carried.

use super::{docker_store::Image, source::Source};
use crate::{host::Host, model::CarryMode};
use anyhow::{Result, bail};

/// Where containerd's snapshotter `overlayfs` keeps layers, below its root (containerd, every release since 1.0).
pub const SNAPSHOTS: &str = "io.containerd.snapshotter.v1.overlayfs/snapshots";

/// Why nothing can be carried by layers; `snapshotter` is CRI's, where that is the reason.
pub fn no_layers(snapshotter: Option<&str>) -> String {
    match snapshotter {
        Some(name) => {
            format!("CRI's snapshotter is {name}, and Docker's layers fit `overlayfs` below containerd's root")
        }
        None => "Docker does not keep its images as directories of overlay2".to_owned(),
    }
}

/// What the file systems allow between Docker's layers and containerd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terrain {
    one_file_system: bool,
    reflink: bool,
    joined: bool,
    lends: bool,
}

impl Terrain {
    /// Looks at the file systems. Nothing is left on them.
    pub fn of(host: &Host, source: &dyn Source, containerd_root: &str) -> Self {
        let layers = nearest(host, &source.place());
        let snapshots = nearest(host, &format!("{}/{SNAPSHOTS}", containerd_root.trim_end_matches('/')));
        let one_file_system = host.root.on_one_file_system(&layers, &snapshots);
        Self {
            one_file_system,
            reflink: one_file_system && host.root.can_reflink(&layers, &snapshots),
            lends: source.lends(),
            joined: one_file_system && host.root.can_exchange(&layers, &snapshots),
        }
    }

    /// The best way, and why.
    pub const fn best(self) -> (CarryMode, &'static str) {
        match self {
            Self { reflink: true, .. } => (CarryMode::Reflink, "the file system shares blocks between files"),
            Self { joined: true, lends: true, .. } => {
                (CarryMode::Adopt, "Docker and containerd are on one file system")
            }
            Self { one_file_system: true, lends: true, .. } => (
                CarryMode::Copy,
                "one file system, but no mount shows both Docker's layers and containerd's, or Linux is older than 5.2",
            ),
            Self { lends: false, .. } => {
                (CarryMode::Copy, "Docker's layers are in containerd's store, and the file system shares no blocks")
            }
            Self { .. } => (CarryMode::Copy, "Docker and containerd are on different file systems"),
        }
    }

    /// The way for an image, and why.
    ///
    /// # Errors
    /// When a way is asked for that the file systems do not allow.
    pub fn choose(self, wanted: CarryMode) -> Result<(CarryMode, &'static str)> {
        let possible = match wanted {
            CarryMode::Auto => return Ok(self.best()),
            CarryMode::Reflink => self.reflink,
            CarryMode::Adopt => self.joined && self.lends,
            CarryMode::Hardlink => self.joined,
            CarryMode::Copy | CarryMode::Stream => true,
        };
        if possible {
            return Ok((wanted, "it was asked for"));
        }
        let (best, why) = self.best();
        bail!(
            "images cannot be carried by `{wanted}` here: {}; `{best}` works ({why})",
            match wanted {
                CarryMode::Reflink => "the file systems share no blocks between Docker's files and containerd's",
                CarryMode::Adopt if !self.lends => "two namespaces of containerd's cannot share a directory",
                _ if self.one_file_system => "no mount shows both Docker's layers and containerd's",
                _ => "Docker's layers and containerd's are not on one file system",
            }
        )
    }
}

/// The directory itself, or the nearest above it that is there.
fn nearest(host: &Host, path: &str) -> String {
    let mut path = path;
    while !path.is_empty() && !host.root.exists(path) {
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
    if path.is_empty() { "/".to_owned() } else { path.to_owned() }
}

/// What carrying takes, in seconds; measured on 2 processors (80,000 files of 2 GB; see `benches/README.md`).
pub fn seconds(way: CarryMode, image: &Image, entries: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // An estimate.
    let (thousands, megabytes) = (entries as f64 / 1000.0, image.size() as f64 / 1e6);
    let seconds = match way {
        CarryMode::Adopt | CarryMode::Auto => thousands * 0.010,
        CarryMode::Hardlink => thousands * 0.028,
        CarryMode::Reflink => thousands * 0.06,
        CarryMode::Copy => thousands * 0.06 + megabytes / 400.0,
        CarryMode::Stream => thousands * 0.1 + megabytes / 70.0,
    };
    (seconds * 100.0).round() / 100.0 + 0.05
}
