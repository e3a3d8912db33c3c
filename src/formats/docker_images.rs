//! Docker's image store on disk, driver `overlay2`: which names mean which image, what an image is made of
//! (moby `reference/store.go`, `layer/filestore.go`, `image/image.go`; unchanged from 17.x to 29).

use super::FormatError;
use crate::model::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Names of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `nginx:1.25`, as Docker shows them.
    pub tags: Vec<String>,
    /// `nginx@sha256:…`: it was pulled or pushed under this digest.
    pub digests: Vec<String>,
}

/// Reads `repositories.json`: image id (`sha256:…`) → its names.
///
/// # Errors
/// With the line, when it is not what Docker writes.
pub fn names(text: &str) -> Result<BTreeMap<String, Names>, FormatError> {
    #[derive(Deserialize)]
    struct Repositories {
        #[serde(rename = "Repositories", default)]
        all: BTreeMap<String, BTreeMap<String, String>>,
    }
    let read: Repositories = serde_json::from_str(text).map_err(|error| json_error(&error))?;
    let mut names: BTreeMap<String, Names> = BTreeMap::new();
    for (name, id) in read.all.into_values().flatten() {
        let of = names.entry(id).or_default();
        if name.contains('@') { of.digests.push(name) } else { of.tags.push(name) }
    }
    for of in names.values_mut() {
        of.tags.sort();
        of.digests.sort();
    }
    Ok(names)
}

/// What an image's configuration says that matters for carrying it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<String>,
}

impl ImageConfig {
    /// Reads a configuration (OCI image-spec `config.md`; Docker's has the same fields).
    ///
    /// # Errors
    /// With the line, when it is no such document or names a layer by something that is no digest.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        struct Config {
            rootfs: Rootfs,
        }
        #[derive(Deserialize)]
        struct Rootfs {
            #[serde(default)]
            diff_ids: Vec<String>,
        }
        let read: Config = serde_json::from_str(text).map_err(|error| json_error(&error))?;
        if let Some(wrong) = read.rootfs.diff_ids.iter().find(|id| !is_digest(id)) {
            return Err(FormatError::new(format!("`{wrong}` is no digest of a layer")));
        }
        Ok(Self { diff_ids: read.rootfs.diff_ids })
    }

    /// Names of the layers with all that is below them, lowest first (OCI image-spec `config.md`, "Layer ChainID").
    pub fn chain_ids(&self) -> Vec<String> {
        let mut chain: Vec<String> = Vec::with_capacity(self.diff_ids.len());
        for diff in &self.diff_ids {
            let id = match chain.last() {
                None => diff.clone(),
                Some(below) => format!("sha256:{}", Digest::of(format!("{below} {diff}").as_bytes()).hex()),
            };
            chain.push(id);
        }
        chain
    }
}

/// True for `sha256:` and 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_hex64)
}

/// True for 64 lower-case hexadecimal digits.
pub fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// True for a name that Docker gives a layer's directory: random hexadecimal digits, with `-init` for a container's.
pub fn is_cache_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !text.is_empty() && text.len() <= 80 && text.chars().all(plain)
}

pub(super) fn json_error(error: &serde_json::Error) -> FormatError {
    FormatError::new(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        let id = format!("sha256:{}", "a".repeat(64));
        let text = format!(
            r#"{{"Repositories":{{"nginx":{{"nginx:1":"{id}","nginx@sha256:{0}":"{id}"}},"b":{{"b:x":"{id}"}}}}}}"#,
            "b".repeat(64)
        );
        let read = names(&text).unwrap();
        assert_eq!(read[&id].tags, ["b:x", "nginx:1"]);
        assert_eq!(read[&id].digests.len(), 1);
        assert!(names("{}").unwrap().is_empty());
        assert!(names("{\"Repositories\": [").is_err());
    }

    #[test]
    fn chain_ids_as_docker_and_containerd_make_them() {
        // `printf 'sha256:A sha256:B' | sha256sum` with the two digests written out.
        let (a, b) = (format!("sha256:{}", "1".repeat(64)), format!("sha256:{}", "2".repeat(64)));
        let config =
            ImageConfig::parse(&format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["{a}","{b}"]}}}}"#)).unwrap();
        let chain = config.chain_ids();
        assert_eq!(chain[0], a);
        assert_eq!(chain[1], format!("sha256:{}", Digest::of(format!("{a} {b}").as_bytes()).hex()));
        assert!(ImageConfig::parse(r#"{"rootfs":{"diff_ids":["../../x"]}}"#).is_err());
        assert!(ImageConfig::parse("{}").is_err());
    }

    #[test]
    fn names_that_cannot_leave_their_directory() {
        assert!(is_cache_id(&"f".repeat(64)) && is_cache_id("abc-init"));
        assert!(!is_cache_id("") && !is_cache_id("..") && !is_cache_id("a/b"));
    }
}
