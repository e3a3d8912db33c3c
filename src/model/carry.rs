//! How images come from Docker's store to containerd's.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A way to carry an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CarryMode {
    /// The best that the image and the file systems allow: reflink, else adopt, else copy, else stream.
    #[default]
    Auto,
    /// Files share their blocks with Docker's (XFS with reflink, btrfs).
    Reflink,
    /// containerd gets Docker's layer directories, and Docker a link to each.
    Adopt,
    /// A second copy of each layer.
    Copy,
    /// `docker save` into containerd's import.
    Stream,
    /// A second name for each file. Programs that look at the number of a file's names behave differently meanwhile.
    Hardlink,
}

impl CarryMode {
    /// All, with `auto` first.
    pub const ALL: [Self; 6] = [Self::Auto, Self::Reflink, Self::Adopt, Self::Copy, Self::Stream, Self::Hardlink];

    /// The word of `--mode`, and in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Reflink => "reflink",
            Self::Adopt => "adopt",
            Self::Copy => "copy",
            Self::Stream => "stream",
            Self::Hardlink => "hardlink",
        }
    }
}

impl fmt::Display for CarryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for CarryMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::word).join(", ");
        Self::ALL.into_iter().find(|mode| mode.word() == text).ok_or_else(|| format!("it is one of {}", known()))
    }
}

/// How far what was carried is compared with what Docker has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Comparing {
    /// Not at all.
    None,
    /// Everything but the content of files, and of these some.
    #[default]
    Sample,
    /// Everything.
    Full,
}

/// How images are to be carried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CarryOptions {
    /// The way.
    pub mode: CarryMode,
    /// Layers as archives too, for images that no registry has.
    pub with_blobs: bool,
    /// Docker's layers are checked against their digests first.
    pub verify_layers: bool,
    /// What is compared afterwards.
    pub compare: Comparing,
    /// Registries are asked for manifests that Docker did not keep.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub online: bool,
}

impl CarryOptions {
    /// True when nothing special was asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the manifest of a carried image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ManifestSource {
    /// Docker kept the registry's: digests are the registry's.
    Kept,
    /// castoff makes one: a pull with `Always` fetches the registry's, and no layer.
    Made,
}

/// What carrying one image would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CarryCost {
    /// Seconds, roughly: from measurements on a machine with two processors.
    pub seconds: f64,
    /// Bytes of disk.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

/// An image in Docker's store, and how it would be carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CarryImage {
    /// `sha256:…`, as Docker shows it.
    pub id: String,
    /// Names with tags.
    pub names: Vec<String>,
    /// Names with digests: a registry knows the image under them.
    pub digests: Vec<String>,
    /// How many layers.
    pub layers: usize,
    /// Bytes of its files, shared layers counted in each image.
    pub bytes: u64,
    /// Who needs it: `pod default/web`, `static pod kube-apiserver`, `sandbox`.
    pub needed_by: Vec<String>,
    /// containerd has it already.
    pub carried: bool,
    /// The way.
    pub way: CarryMode,
    /// Why this way.
    pub why: String,
    /// What it would take.
    pub cost: CarryCost,
    /// Where its manifest comes from.
    pub manifest: ManifestSource,
}

/// The `Images` document of `castoff images list -o json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `Images`.
    pub kind: String,
    /// The node's name.
    pub node: String,
    /// Docker's.
    pub images: Vec<CarryImage>,
    /// containerd's names.
    pub containerd: Vec<ContainerdImage>,
    /// What could not be seen.
    pub unseen: Vec<String>,
}

/// A name in containerd's namespace `k8s.io`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ContainerdImage {
    /// The name.
    pub name: String,
    /// Digest of its manifest or index.
    pub target: String,
}
