//! The program castoff runs in its own containers, and the two images it is in. All of it is made when castoff is
//! built (`build.rs`, `probe/`): nothing is fetched.

use crate::model::Digest;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The program: `probe VERB ARGUMENT…`, see `probe/main.rs`.
pub const PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/probe"));

/// An image with one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name. `.invalid` is nobody's domain (RFC 2606): no registry is ever asked for it.
    pub name: &'static str,
    /// The layer, a tar archive.
    pub layer: Blob,
    /// The configuration; its digest is the image's id.
    pub config: Blob,
    /// The manifest, which names the two.
    pub manifest: Blob,
}

/// A piece of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Media type (image-spec, "Media Types").
    pub media_type: &'static str,
    /// Digest, `sha256:…`.
    pub digest: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, digest: format!("sha256:{}", Digest::of(&bytes).hex()), bytes }
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

impl Image {
    /// The image as one file: an OCI layout (image-spec, "Image Layout"), with the list that Docker before 25 wants
    /// instead. containerd, Docker and podman read it.
    ///
    /// # Errors
    /// When the archive cannot be put together.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let file = |blob: &Blob| format!("blobs/{}", blob.digest.replace(':', "/"));
        let mut entry = self.manifest.descriptor();
        entry["annotations"] = json!({
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": self.name.rsplit(':').next(),
        });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        let docker = json!([{ "Config": file(&self.config), "RepoTags": [self.name], "Layers": [file(&self.layer)] }]);
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |path: &str, bytes: &[u8]| append(&mut archive, path, 0o644, Some(bytes));
        add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        add("index.json", index.to_string().as_bytes())?;
        add("manifest.json", docker.to_string().as_bytes())?;
        for blob in [&self.layer, &self.config, &self.manifest] {
            add(&file(blob), &blob.bytes)?;
        }
        archive.into_inner().context(ARCHIVE)
    }
}

const ARCHIVE: &str = "cannot put an archive together";

/// The same bytes on every machine of a kind: no time, no owner's name.
fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: Option<&[u8]>) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(if content.is_some() { tar::EntryType::Regular } else { tar::EntryType::Directory });
    let content = content.unwrap_or_default();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, path, content).context(ARCHIVE)
}

/// A file or directory of a layer.
struct Entry {
    path: &'static str,
    mode: u32,
    content: Option<&'static [u8]>,
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Users of the probe image: by name and by group membership, for what CRI's security context asks for.
const PASSWD: &[u8] = b"root:x:0:0:root:/:/probe\nprobe:x:1000:1000:probe:/home:/probe\n";
const GROUP: &[u8] = b"root:x:0:\nprobe:x:1000:\nextra:x:1234:probe\n";

/// Seconds after which what castoff tries pods with ends by itself: nothing stays for ever, whatever kills who would end
/// it.
pub const LIFETIME: &str = "3600";

/// A sandbox image.
///
/// # Errors
/// When the archive cannot be put together.
pub fn pause() -> Result<Image> {
    sandbox_that(&["/pause", "pause"])
}

/// The one of castoff's own, private containerd, whose pods end by themselves.
///
/// # Errors
/// When the archive cannot be put together.
pub fn sandbox() -> Result<Image> {
    sandbox_that(&["/pause", "pause", LIFETIME])
}

fn sandbox_that(command: &[&str]) -> Result<Image> {
    let entry = Entry { path: "pause", mode: 0o755, content: Some(PROBE) };
    image("castoff.invalid/pause:1", &[entry], &json!({ "Entrypoint": command, "WorkingDir": "/" }))
}

/// The image of every container castoff starts through CRI. Its id differs from the other's: removing an image by one
/// of its names removes all names of its id.
///
/// # Errors
/// When the archive cannot be put together.
pub fn probe() -> Result<Image> {
    probe_that("castoff.invalid/probe:1", &json!({ "Cmd": ["/probe", "pause"], "Env": ["PATH=/", "PROBE=image"] }))
}

/// The same under another id, with a user of its own: an image that may be removed.
///
/// # Errors
/// When the archive cannot be put together.
pub fn spare(number: u32, user: &str) -> Result<Image> {
    let label = json!({ "castoff.invalid/spare": number.to_string() });
    probe_that("castoff.invalid/spare:1", &json!({ "Cmd": ["/probe", "pause"], "User": user, "Labels": label }))
}

fn probe_that(name: &'static str, run: &Value) -> Result<Image> {
    let entries = [
        Entry { path: "probe", mode: 0o755, content: Some(PROBE) },
        Entry { path: "etc/", mode: 0o755, content: None },
        Entry { path: "etc/group", mode: 0o644, content: Some(GROUP) },
        Entry { path: "etc/passwd", mode: 0o644, content: Some(PASSWD) },
        Entry { path: "home/", mode: 0o755, content: None },
        Entry { path: "tmp/", mode: 0o1777, content: None },
    ];
    image(name, &entries, run)
}

fn image(name: &'static str, entries: &[Entry], run: &Value) -> Result<Image> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        append(&mut archive, entry.path, entry.mode, entry.content)?;
    }
    let layer = archive.into_inner().context(ARCHIVE)?;
    let layer = Blob::new(LAYER, layer);
    let config = json!({
        "architecture": architecture(), "os": "linux", "config": run,
        // The layer is not compressed, so its digest is its diff id too.
        "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
    });
    let config = Blob::new(CONFIG, config.to_string().into_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": [layer.descriptor()],
    });
    Ok(Image { name, layer, config, manifest: Blob::new(MANIFEST, manifest.to_string().into_bytes()) })
}

/// As image-spec names it: Go's word.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn the_two_images_have_ids_of_their_own_and_name_what_they_hold() {
        let (pause, probe) = (pause().unwrap(), probe().unwrap());
        assert_ne!(pause.config.digest, probe.config.digest);
        for image in [pause, probe] {
            let manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
            assert_eq!(manifest["config"]["digest"], image.config.digest);
            assert_eq!(manifest["layers"][0]["size"], image.layer.bytes.len());
            let config: Value = serde_json::from_slice(&image.config.bytes).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], image.layer.digest);
            assert_eq!(image, if image.name.contains("pause") { super::pause() } else { super::probe() }.unwrap());
        }
    }

    #[test]
    fn an_archive_holds_what_its_index_names() {
        let image = probe().unwrap();
        let bytes = image.archive().unwrap();
        let mut files = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), content);
        }
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let manifest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        assert_eq!(files[&format!("blobs/{manifest}")], image.manifest.bytes);
        let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(docker[0]["RepoTags"][0], image.name);
        assert_eq!(files[docker[0]["Layers"][0].as_str().unwrap()], image.layer.bytes);
        assert_eq!(files[docker[0]["Config"].as_str().unwrap()], image.config.bytes);
    }

    #[test]
    fn the_program_is_small_needs_no_library_and_is_in_the_layer() {
        assert!(PROBE.starts_with(b"\x7fELF") && PROBE.len() < 16 << 10, "{} bytes", PROBE.len());
        let image = probe().unwrap();
        let mut archive = tar::Archive::new(image.layer.bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if path == "probe" {
                assert_eq!((content.as_slice(), entry.header().mode().unwrap()), (PROBE, 0o755));
            }
            seen.push(path);
        }
        assert_eq!(seen, ["probe", "etc/", "etc/group", "etc/passwd", "home/", "tmp/"]);
    }
}
