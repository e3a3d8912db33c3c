#![allow(clippy::disallowed_methods)] // this runtime's own state, in a process of its own: nothing of a node's
//! What the runtime keeps of a container besides libcontainer's state: the specification as it was asked for, and the
//! one libcontainer was given in its place.

use anyhow::{Context as _, Result, bail};
use libcontainer::oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Below the state directory; no id of a container begins with a dot.
const BUNDLES: &str = ".bundles";
const CONFIG: &str = "config.json";
const ORIGINAL: &str = "original.json";
const NOTES: &str = "notes.json";

/// What is noted about a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// The bundle it was made from.
    pub bundle: PathBuf,
    /// The scope made for it, where libcontainer makes none.
    pub scope: Option<String>,
}

/// The containers below one state directory.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// A store; nothing is made yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory of all containers.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where libcontainer keeps a container's state.
    pub fn container(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    /// Whether there is such a container.
    pub fn has(&self, id: &str) -> bool {
        self.container(id).join("state.json").is_file()
    }

    fn bundle(&self, id: &str) -> PathBuf {
        self.dir.join(BUNDLES).join(id)
    }

    /// Keeps a specification as asked for and as libcontainer is to see it; gives the bundle for libcontainer.
    pub fn keep(&self, id: &str, original: &Spec, adapted: &Spec, notes: &Notes) -> Result<PathBuf> {
        let bundle = self.bundle(id);
        make_dir(&bundle)?;
        write_json(&bundle.join(ORIGINAL), original)?;
        write_json(&bundle.join(CONFIG), adapted)?;
        write_json(&bundle.join(NOTES), notes)?;
        Ok(bundle)
    }

    /// The specification as it was asked for.
    pub fn original(&self, id: &str) -> Result<Spec> {
        read_json(&self.bundle(id).join(ORIGINAL))
    }

    /// What was noted; nothing for a container of another runtime below the same directory.
    pub fn notes(&self, id: &str) -> Option<Notes> {
        read_json(&self.bundle(id).join(NOTES)).ok()
    }

    /// Writes the process of an `exec` where libcontainer reads it; the file goes with the container, or when dropped.
    pub fn process(&self, id: &str, process: &impl Serialize) -> Result<Temporary> {
        let path = self.bundle(id).join(format!("process-{}.json", std::process::id()));
        write_json(&path, process)?;
        Ok(Temporary(path))
    }

    /// Forgets a container.
    pub fn forget(&self, id: &str) -> Result<()> {
        let bundle = self.bundle(id);
        match fs::remove_dir_all(&bundle) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", bundle.display()))
            }
            _ => Ok(()),
        }
    }

    /// Forgets a container wholly, when its state cannot be read.
    pub fn remove(&self, id: &str) -> Result<()> {
        let dir = self.container(id);
        if dir.is_dir() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        self.forget(id)
    }

    /// The ids of all containers, in order.
    pub fn ids(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let ids = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<String> = ids.filter(|id| !id.starts_with('.') && self.has(id)).collect();
        ids.sort();
        ids
    }
}

/// A file that is removed when its name is dropped.
#[derive(Debug)]
pub struct Temporary(pub PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Fails for an id that would lead out of the state directory.
pub fn check_id(id: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() || id.starts_with('.') || id.len() > 1024 || !id.chars().all(plain) {
        bail!("invalid container id {id:?}: letters, digits and _ + - . are allowed, and no . in front");
    }
    Ok(())
}

/// Only root reads it: environment variables are in specifications.
fn make_dir(dir: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot make {}", dir.display()))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).with_context(what)?;
    let text = serde_json::to_vec(value).with_context(what)?;
    file.write_all(&text).with_context(what)
}

/// Writes a file for everybody to read.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// A JSON document.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path)?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what it should be", path.display()))
}

/// A text.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Standard input, to its end.
pub fn read_stdin() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(text)
}

/// A file to add lines to.
pub fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// An absolute path without links.
pub fn real(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))
}
