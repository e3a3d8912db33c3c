//! Support bundles on disk: an archive, or the directory it was unpacked into.
//!
//! What is read may come from anybody: sizes and numbers are bounded, names lead nowhere else, nothing is written, and
//! everything that is no plain file is refused.

#![allow(clippy::disallowed_methods)] // This is the room that may.

use super::{Attributes, EntryKind, Expect, Faults, Root, user_files};
use anyhow::{Context as _, Result, anyhow, bail};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use ruzstd::{decoding::StreamingDecoder, encoding::CompressionLevel, encoding::compress_to_vec};
use std::{
    collections::BTreeMap,
    io::{Read, Write as _},
    path::Path,
};

/// The document in a bundle, and where the texts of files are.
const DOCUMENT: &str = "castoff-bundle.json";
const FILES: &str = "files/";

/// Most that is read of an archive, of what is in it altogether, and of one file in it, in bytes.
const MAX_ARCHIVE: u64 = 64 << 20;
const MAX_CONTENT: u64 = 256 << 20;
const MAX_FILE: u64 = 16 << 20;
/// Most files.
const MAX_FILES: usize = 10_000;
/// Deepest directory of an unpacked bundle.
const MAX_DEPTH: usize = 64;

/// What is in a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleContent {
    /// The document.
    pub document: String,
    /// Texts of files by their path on the node.
    pub texts: BTreeMap<String, String>,
}

/// True for an archive's file, and for a directory with a bundle's document in it.
pub fn is_bundle(path: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(path) else { return false };
    meta.is_file() || (meta.is_dir() && std::fs::symlink_metadata(path.join(DOCUMENT)).is_ok_and(|meta| meta.is_file()))
}

/// Reads a bundle.
///
/// # Errors
/// When it cannot be read, is no bundle, or is larger than any bundle.
pub fn read(path: &Path) -> Result<BundleContent> {
    let shown = path.display();
    if std::fs::metadata(path).with_context(|| format!("cannot look at {shown}"))?.is_dir() {
        return read_dir(path).with_context(|| format!("cannot use the bundle in {shown}"));
    }
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_ARCHIVE + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > MAX_ARCHIVE {
        bail!("{shown} is no support bundle: it is larger than {MAX_ARCHIVE} bytes");
    }
    unpack(&bytes).with_context(|| format!("{shown} is no support bundle"))
}

/// Writes a bundle that only its owner may read. The name says how: `.tar.zst`, `.tar.gz` or `.tgz`, `.tar`.
///
/// # Errors
/// Another name; a file that is there already, unless `force` replaces it; whatever the system refuses.
pub fn write(path: &Path, content: &BundleContent, force: bool) -> Result<()> {
    let path = user_files::absolute(path)?;
    let name = path.to_str().ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))?;
    let bytes = pack(name, content)?;
    let root = Root::open(Path::new("/"), Faults::none())?;
    if force {
        return user_files::replace(&path, &bytes, 0o600);
    }
    root.write_atomic(name, &bytes, Expect::Absent, Attributes::Keep { mode: 0o600 })
}

/// The name that says how a bundle is packed.
///
/// # Errors
/// A sentence that names what there is.
pub fn check_name(name: &str) -> Result<(), String> {
    if [".tar.zst", ".tar.gz", ".tgz", ".tar"].iter().any(|end| name.ends_with(end)) {
        return Ok(());
    }
    Err(format!("a bundle's name ends in .tar.zst, .tar.gz or .tar, and `{name}` does not"))
}

fn pack(name: &str, content: &BundleContent) -> Result<Vec<u8>> {
    check_name(name).map_err(|why| anyhow!(why))?;
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, DOCUMENT, &content.document)?;
    for (path, text) in &content.texts {
        append(&mut archive, &format!("{FILES}{}", name_in(path)), text)?;
    }
    let plain = archive.into_inner().context("cannot end the archive")?;
    Ok(if name.ends_with(".zst") {
        compress_to_vec(plain.as_slice(), CompressionLevel::Fastest)
    } else if name.ends_with("gz") {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).and_then(|()| encoder.finish()).context("cannot compress the archive")?
    } else {
        plain
    })
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, text: &str) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(text.len() as u64);
    // Their real times, owners and modes are in the document; here they would be lost on unpacking anyway.
    header.set_mtime(0);
    archive.append_data(&mut header, name, text.as_bytes()).with_context(|| format!("cannot add {name}"))
}

/// A path as a name below [`FILES`]; parts that lead elsewhere are written in another way.
fn name_in(path: &str) -> String {
    let part = |part: &str| match part {
        "" => "%".to_owned(),
        "." | ".." => part.replace('.', "%2e"),
        part => part.replace('%', "%25"),
    };
    path.trim_start_matches('/').split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The path that a name below [`FILES`] stands for.
///
/// # Errors
/// When it leads elsewhere.
fn path_of(name: &str) -> Result<String> {
    let mut path = String::new();
    for part in name.split('/') {
        if matches!(part, "" | "." | "..") || part.contains('\0') {
            bail!("`{}` is no plain path", name.escape_debug());
        }
        path.push('/');
        path.push_str(&if part == "%" { String::new() } else { part.replace("%2e", ".").replace("%25", "%") });
    }
    Ok(path)
}

fn unpack(bytes: &[u8]) -> Result<BundleContent> {
    match bytes {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = StreamingDecoder::new(bytes).map_err(|error| anyhow!("it is broken: {error}"))?;
            entries(decoder)
        }
        [0x1f, 0x8b, ..] => entries(GzDecoder::new(bytes)),
        _ => entries(bytes),
    }
}

fn entries(archive: impl Read) -> Result<BundleContent> {
    let mut found = BundleContent::default();
    let (mut left, mut count) = (MAX_CONTENT, 0);
    // One byte more than may be there, so that the end tells a whole archive from a cut one.
    let mut archive = tar::Archive::new(archive.take(MAX_CONTENT + MAX_FILE));
    for entry in archive.entries().context("it is no tar archive")? {
        let mut entry = entry.context("it is broken")?;
        let name = String::from_utf8(entry.path_bytes().into_owned()).context("a name in it is not UTF-8")?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let shown = name.escape_debug();
        if !entry.header().entry_type().is_file() {
            bail!("`{shown}` in it is no plain file");
        }
        count += 1;
        if count > MAX_FILES {
            bail!("it has more than {MAX_FILES} files");
        }
        let mut text = Vec::new();
        (&mut entry)
            .take(MAX_FILE + 1)
            .read_to_end(&mut text)
            .with_context(|| format!("cannot read `{shown}` in it"))?;
        if text.len() as u64 > MAX_FILE {
            bail!("`{shown}` in it is larger than {MAX_FILE} bytes");
        }
        if text.len() as u64 != entry.size() {
            bail!("`{shown}` in it is cut off");
        }
        left =
            left.checked_sub(text.len() as u64).with_context(|| format!("it holds more than {MAX_CONTENT} bytes"))?;
        let text = String::from_utf8(text).with_context(|| format!("`{shown}` in it is not UTF-8"))?;
        // `tar` writes `./` before names when it packs a directory again.
        found.take(name.strip_prefix("./").unwrap_or(&name), text)?;
    }
    found.checked()
}

impl BundleContent {
    fn take(&mut self, name: &str, text: String) -> Result<()> {
        let twice = if name == DOCUMENT {
            !std::mem::replace(&mut self.document, text).is_empty()
        } else {
            let path =
                name.strip_prefix(FILES).ok_or_else(|| anyhow!("`{}` has no place in it", name.escape_debug()))?;
            self.texts.insert(path_of(path)?, text).is_some()
        };
        if twice { Err(anyhow!("`{}` is in it twice", name.escape_debug())) } else { Ok(()) }
    }

    fn checked(self) -> Result<Self> {
        if self.document.is_empty() { Err(anyhow!("there is no {DOCUMENT} in it")) } else { Ok(self) }
    }
}

/// Reads an unpacked bundle; links in it are followed nowhere.
fn read_dir(path: &Path) -> Result<BundleContent> {
    let root = Root::open(&user_files::absolute(path)?, Faults::none())?;
    let mut found = BundleContent::default();
    let mut left = MAX_CONTENT;
    let mut dirs = vec![("/files".to_owned(), 0)];
    let mut names = vec![format!("/{DOCUMENT}")];
    while let Some((dir, depth)) = dirs.pop() {
        for (name, kind) in root.list(&dir).unwrap_or_default() {
            let inner = format!("{dir}/{name}");
            match kind {
                EntryKind::Dir if depth < MAX_DEPTH => dirs.push((inner, depth + 1)),
                EntryKind::File if names.len() <= MAX_FILES => names.push(inner),
                EntryKind::File => bail!("it has more than {MAX_FILES} files"),
                _ => bail!("{inner} is neither a plain file nor a directory, or too deep"),
            }
        }
    }
    for name in names {
        let read = root.read(&name)?.ok_or_else(|| anyhow!("{name} is gone"))?;
        left = left
            .checked_sub(read.bytes.len() as u64)
            .with_context(|| format!("it holds more than {MAX_CONTENT} bytes"))?;
        let text = String::from_utf8(read.bytes).with_context(|| format!("{name} is not UTF-8"))?;
        found.take(name.trim_start_matches('/'), text)?;
    }
    found.checked()
}

#[cfg(test)]
#[path = "bundle_file_tests.rs"]
mod tests;
