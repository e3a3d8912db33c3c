//! Manifests and indexes of images, Docker's (schema 2) and OCI's.

use super::{
    FormatError,
    docker_images::{is_digest, json_error},
};
use serde::{Deserialize, Serialize};

/// Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's list of manifests for several platforms.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI's manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A layer as a plain tar archive.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// What a manifest is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Go's word for it: `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
}

/// A blob as others name it. The order of the fields is containerd's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type; OCI allows to leave it out in places.
    #[serde(default)]
    pub media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// What it is for, where an index says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Whether it is for Linux on this very architecture.
    pub fn is_for(&self, architecture: &str) -> bool {
        self.platform.as_ref().is_some_and(|platform| platform.os == "linux" && platform.architecture == architecture)
    }
}

/// What a document about an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// For one platform.
    Manifest {
        /// Its media type.
        media_type: String,
        /// The image's configuration.
        config: Descriptor,
        /// Its layers, lowest first.
        layers: Vec<Descriptor>,
    },
    /// For several platforms.
    Index {
        /// Its media type.
        media_type: String,
        /// One manifest each.
        manifests: Vec<Descriptor>,
    },
}

impl Document {
    /// Reads a manifest or an index. The media type is what the document says of itself, OCI's where it says nothing.
    ///
    /// # Errors
    /// With the line, when it is neither.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default)]
            media_type: Option<String>,
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
            manifests: Option<Vec<Descriptor>>,
        }
        let raw: Raw = serde_json::from_str(text).map_err(|error| json_error(&error))?;
        let named = |default: &str| raw.media_type.clone().unwrap_or_else(|| default.to_owned());
        let document = match (raw.config, raw.layers, raw.manifests) {
            (Some(config), Some(layers), None) => Self::Manifest { media_type: named(OCI_MANIFEST), config, layers },
            (None, None, Some(manifests)) => Self::Index { media_type: named(OCI_INDEX), manifests },
            _ => return Err(FormatError::new("it is neither a manifest nor an index of manifests")),
        };
        if let Some(wrong) = document.children().find(|child| !is_digest(&child.digest)) {
            return Err(FormatError::new(format!("`{}` is no digest", wrong.digest)));
        }
        Ok(document)
    }

    /// Everything it names.
    pub fn children(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, rest) = match self {
            Self::Manifest { config, layers, .. } => (Some(config), layers),
            Self::Index { manifests, .. } => (None, manifests),
        };
        config.into_iter().chain(rest)
    }
}

/// A manifest for an image whose registry's is not known: what `docker save | ctr images import` would make, byte for
/// byte, so that both ways meet (containerd `images/archive/importer.go`).
pub fn made(config: (&str, u64), layers: &[(String, u64)]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest {
        schema_version: u32,
        media_type: &'static str,
        config: Descriptor,
        layers: Vec<Descriptor>,
    }
    let descriptor = |media_type: &str, (digest, size): (&str, u64)| Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_owned(),
        size,
        platform: None,
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: DOCKER_MANIFEST,
        config: descriptor(DOCKER_CONFIG, config),
        layers: layers.iter().map(|(digest, size)| descriptor(DOCKER_LAYER, (digest, *size))).collect(),
    };
    // A struct of strings and numbers.
    serde_json::to_string(&manifest).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    #[test]
    fn a_made_manifest_has_containerds_bytes() {
        let text = made((&digest('a'), 5), &[(digest('b'), 1536)]);
        let expected = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{DOCKER_MANIFEST}\",\"config\":{{\"mediaType\":\"{DOCKER_CONFIG}\",\
             \"digest\":\"{}\",\"size\":5}},\"layers\":[{{\"mediaType\":\"{DOCKER_LAYER}\",\"digest\":\"{}\",\"size\":1536}}]}}",
            digest('a'),
            digest('b')
        );
        assert_eq!(text, expected);
        let Document::Manifest { config, layers, .. } = Document::parse(&text).unwrap() else { panic!() };
        assert_eq!((config.digest, layers.len()), (digest('a'), 1));
    }

    #[test]
    fn an_index_and_what_is_none() {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{}","size":3}}]}}"#, digest('c'));
        let document = Document::parse(&text).unwrap();
        assert!(matches!(&document, Document::Index { media_type, .. } if media_type == OCI_INDEX));
        assert_eq!(document.children().count(), 1);
        for wrong in ["{}", "[]", r#"{"manifests":[{"digest":"sha256:.."}]}"#] {
            assert!(Document::parse(wrong).is_err(), "{wrong}");
        }
    }
}
