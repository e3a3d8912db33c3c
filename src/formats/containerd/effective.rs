//! What containerd goes by: its main file joined with everything it imports, by the rules of its release.
//!
//! * The main file is read first, then its imports in their order, then what those import: breadth first, each file
//!   once, the later one winning.
//! * At the top, a value that is empty, zero or false cannot win; lists are appended.
//! * containerd 1.x takes a later file's whole table of a plugin and forgets the earlier one; 2.x joins such tables
//!   key by key, lists replaced.
//! * The schema is that of the last file that names one; from 2.3 on each file is converted by itself.
//!
//! All answers are Sourced: they name the file and line that decides.

mod answers;
mod faults;
mod target;

use super::lift::{Gone, lift, step};
use super::release::{Import, Release};
use super::schema::{self, CRI, CRI_IMAGES, CRI_RUNTIME, Places};
use super::tree::{Data, Node};
use super::{ContainerdConfig, is_runc_shim};
use crate::formats::FormatError;
use crate::model::{Origin, Sourced};
use std::collections::{BTreeMap, VecDeque};

/// A file that takes part.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its path.
    pub path: String,
    /// The schema it names itself; 0 where it names none.
    pub version: u32,
    /// The line of its version, if it names one.
    pub version_line: Option<u32>,
    /// Whether it begins with a byte order mark.
    pub byte_order_mark: bool,
    tree: Node,
}

/// An entry of `imports`.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The entry as written.
    pub entry: Sourced<String>,
    /// What it means.
    pub import: Import,
    /// The files it led to.
    pub files: Vec<String>,
}

/// A runtime handler as containerd sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Handler {
    /// Its name.
    pub name: String,
    /// Where it is named first.
    pub origin: Origin,
    /// The shim.
    pub runtime_type: Option<Sourced<String>>,
    /// The OCI runtime's program.
    pub binary_name: Option<Sourced<String>>,
    /// Whether runc talks to systemd.
    pub systemd_cgroup: Option<Sourced<bool>>,
    /// The snapshotter of its containers, where that is another one (1.7 and later).
    pub snapshotter: Option<Sourced<String>>,
}

impl Handler {
    /// Whether it runs through a runc shim, or would if it named one.
    pub fn is_runc(&self) -> bool {
        is_runc_shim(self.runtime_type.as_ref().map_or("", |shim| shim.value.as_str()))
    }
}

/// A setting that has no effect, or none any more in a later schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Ineffective {
    /// Its name with dots, as the file has it.
    pub name: String,
    /// Where it stands.
    pub origin: Origin,
    /// Why.
    pub why: String,
}

/// The joined configuration.
#[derive(Clone, Debug)]
pub struct Effective {
    release: Release,
    /// The files in the order they are read; the first is the main file.
    pub parts: Vec<Part>,
    /// All entries of `imports`.
    pub imports: Vec<Imported>,
    /// Files that are there and cannot be read as TOML.
    pub broken: Vec<(String, FormatError)>,
    /// The schema containerd goes by.
    pub schema: u32,
    /// Neutral form of what has an effect.
    neutral: Node,
    /// What the newest schema has no place for.
    gone: Vec<Gone>,
    disabled: Vec<Node>,
    required: Vec<Node>,
    /// Plugin tables of 1.x that a later file's table pushed out: the table, and which file did it.
    replaced: Vec<(String, Node, usize)>,
    /// Tables of a schema that is not the one containerd goes by.
    foreign: Vec<(Vec<String>, Node)>,
}

impl Effective {
    /// Joins the file `main` with what it imports. `texts` holds the texts of all files that may take part.
    ///
    /// # Errors
    /// When the main file is no TOML. Without a text it is empty.
    pub fn join(main: &str, release: Release, texts: &BTreeMap<String, String>) -> Result<Self, FormatError> {
        let first = ContainerdConfig::parse(texts.get(main).map_or("", String::as_str))?;
        let (mut parts, mut imports, mut broken) = (Vec::<Part>::new(), Vec::new(), Vec::new());
        let mut pending = VecDeque::from([(main.to_owned(), Some(first))]);
        while let Some((path, parsed)) = pending.pop_front() {
            if parts.iter().any(|part| part.path == path) {
                continue;
            }
            let config = match parsed
                .map_or_else(|| ContainerdConfig::parse(texts.get(&path)?.as_str()).into(), |c| Some(Ok(c)))
            {
                Some(Ok(config)) => config,
                Some(Err(error)) => {
                    broken.push((path, error));
                    continue;
                }
                None => continue,
            };
            for entry in config.imports() {
                let import = release.import(&path, &entry.value);
                let files: Vec<String> = match &import {
                    Import::File(file) => texts.contains_key(file).then(|| file.clone()).into_iter().collect(),
                    Import::Pattern(_) => texts.keys().filter(|path| import.meets(path)).cloned().collect(),
                };
                pending.extend(files.iter().map(|file| (file.clone(), None)));
                let entry = Sourced::new(entry.value, Origin::file(&path, entry.line));
                imports.push(Imported { entry, import, files });
            }
            parts.push(Part {
                version: if config.version_line().is_some() { config.written_version() } else { 0 },
                version_line: config.version_line(),
                byte_order_mark: !config.bom.is_empty(),
                tree: Node::of(&config, parts.len()),
                path,
            });
        }
        Ok(Self::of(release, parts, imports, broken))
    }

    fn of(release: Release, parts: Vec<Part>, imports: Vec<Imported>, broken: Vec<(String, FormatError)>) -> Self {
        let last = parts.iter().rev().map(|part| part.version).find(|version| *version > 0);
        let schema = last.unwrap_or(1).max(1);
        let mut out = Self {
            release,
            imports,
            broken,
            schema,
            neutral: Node::empty(),
            gone: Vec::new(),
            disabled: Vec::new(),
            required: Vec::new(),
            replaced: Vec::new(),
            foreign: Vec::new(),
            parts: Vec::new(),
        };
        let mut joined = Node::empty();
        for part in &parts {
            let mut tree = part.tree.clone();
            let lists = [("disabled_plugins", &mut out.disabled), ("required_plugins", &mut out.required)];
            for (key, list) in lists {
                if let Some(items) = tree.take(&[key]).as_ref().and_then(Node::list) {
                    // Up to schema 1 the short names; a later file's schema does not change what 2.x made of them.
                    let short = |item: &Node| translated(release, part.version, item);
                    list.extend(items.iter().map(short));
                }
            }
            if release.converts_each_file() {
                let own = if part.version == 0 { Self::schema_without_version() } else { part.version };
                out.note_foreign(&tree, own);
                let (neutral, gone) = lift(&tree, own);
                out.gone.extend(gone);
                tree = neutral;
            } else if release.merges_plugins() && part.version <= 1 && schema > 1 {
                // 2.x gives short names their full ones file by file (`v1Migrate`); then they are read as the others are.
                tree = step(&tree, 1, &mut out.gone);
            }
            out.add(&mut joined, tree);
        }
        if !release.converts_each_file() {
            out.note_foreign(&joined, schema);
            // What nobody reads must not be lifted to a place where somebody would.
            for (path, _) in out.foreign.clone() {
                joined.take(&path);
            }
            let (mut neutral, gone) = lift(&joined, out.reading_schema());
            out.gone = gone;
            out.drop_what_2_loses(&joined, &mut neutral);
            joined = neutral;
        }
        (out.neutral, out.parts) = (joined, parts);
        out
    }

    /// 2.3 and later take a file without a version for schema 1, whose migration leaves full names alone.
    fn schema_without_version() -> u32 {
        1
    }

    /// The schema by which names are looked up: 1.x knows two, whatever number the file has.
    fn reading_schema(&self) -> u32 {
        if self.release.merges_plugins() { self.schema } else { self.schema.min(2) }
    }

    /// Joins one more file to what is there, as Go's structures are joined.
    fn add(&mut self, joined: &mut Node, later: Node) {
        let Data::Table(entries) = later.data else { return };
        for (key, node) in entries {
            match key.as_str() {
                "plugins" if !self.release.merges_plugins() => self.replace_entries(joined, &key, node, true),
                "plugins" => joined.overlay(wrapped(&key, node)),
                "proxy_plugins" | "stream_processors" | "timeouts" => self.replace_entries(joined, &key, node, false),
                _ => overlay_unless_zero(joined, &key, node),
            }
        }
    }

    fn replace_entries(&mut self, joined: &mut Node, key: &str, later: Node, note: bool) {
        let Data::Table(entries) = later.data else { return };
        for (name, node) in entries {
            let winner = node.file;
            if let Some(old) = joined.take(&[key, name.as_str()])
                && note
                && old.table().is_some_and(|table| !table.is_empty())
            {
                self.replaced.push((name.clone(), old, winner));
            }
            joined.put(&[key, name.as_str()], node);
        }
    }

    /// Tables written for another schema: nobody reads them.
    fn note_foreign(&mut self, tree: &Node, own: u32) {
        let read = if self.release.merges_plugins() { own } else { own.min(2) };
        let Some(plugins) = tree.get(&["plugins"]).and_then(Node::table) else { return };
        for (name, node) in plugins {
            // 2.x translates short names in a file of schema 1 and leaves long ones as they are.
            let fits = schema::plugin_fits(read, name) || (self.release.merges_plugins() && name.contains('.'));
            if !fits {
                self.foreign.push((vec!["plugins".to_owned(), name.clone()], node.clone()));
            } else if name == CRI && read >= 3 {
                for (key, node) in node.table().into_iter().flatten() {
                    if !schema::is_server_key(key) {
                        self.foreign.push((vec!["plugins".to_owned(), name.clone(), key.clone()], node.clone()));
                    }
                }
            }
        }
    }

    /// 2.0 to 2.2 lose the CRI settings of schema 1, and the default snapshotter of schema 2 without runtimes.
    fn drop_what_2_loses(&mut self, joined: &Node, neutral: &mut Node) {
        if !self.release.merges_plugins() {
            return;
        }
        if let Some(node) = joined.get(&["plugins", "cri"]).filter(|_| self.schema == 1) {
            self.foreign.push((vec!["plugins".to_owned(), "cri".to_owned()], node.clone()));
            neutral.take(&["plugins", CRI_IMAGES]);
            neutral.take(&["plugins", CRI_RUNTIME]);
        }
        self.lose_snapshotter(joined, neutral);
    }

    fn lose_snapshotter(&mut self, joined: &Node, neutral: &mut Node) {
        let runtimes = ["plugins", CRI, "containerd", "runtimes"];
        if self.schema != 2 || joined.get(&runtimes).is_some() {
            return;
        }
        for key in ["snapshotter", "discard_unpacked_layers", "disable_snapshot_annotations"] {
            let old = ["plugins", CRI, "containerd", key];
            if let Some(node) = joined.get(&old).filter(|node| !node.is_zero()) {
                self.foreign.push((old.iter().map(|part| (*part).to_owned()).collect(), node.clone()));
                neutral.take(&["plugins", CRI_IMAGES, key]);
            }
        }
    }

    /// The release whose rules were used.
    pub fn release(&self) -> Release {
        self.release
    }

    /// Path of a file by its number.
    fn path(&self, file: usize) -> &str {
        self.parts.get(file).map_or("", |part| part.path.as_str())
    }

    fn origin(&self, node: &Node) -> Origin {
        match node.line {
            0 => Origin::path(self.path(node.file)),
            line => Origin::file(self.path(node.file), line),
        }
    }

    fn places() -> Places {
        Places::of(schema::NEWEST)
    }

    fn text(&self, path: &[impl AsRef<str>]) -> Option<Sourced<String>> {
        let node = self.neutral.get(path)?;
        Some(Sourced::new(node.text()?.to_owned(), self.origin(node)))
    }

    fn texts(&self, path: &[impl AsRef<str>]) -> Vec<Sourced<String>> {
        self.sourced(self.neutral.get(path).and_then(Node::list).unwrap_or_default())
    }

    fn sourced(&self, items: &[Node]) -> Vec<Sourced<String>> {
        items.iter().filter_map(|item| Some(Sourced::new(item.text()?.to_owned(), self.origin(item)))).collect()
    }

    /// The last file that has a table of the CRI plugin: on 1.x the only one whose CRI settings count.
    pub fn cri_winner(&self) -> Option<&str> {
        let name = |part: &&Part| {
            let plugins = part.tree.get(&["plugins"]).and_then(Node::table);
            plugins.is_some_and(|plugins| plugins.contains_key(if self.schema == 1 { "cri" } else { CRI }))
        };
        self.parts.iter().rev().find(name).map(|part| part.path.as_str())
    }
}

fn wrapped(key: &str, node: Node) -> Node {
    let mut out = Node::empty();
    out.put(&[key], node);
    out
}

/// 2.x gives the short names of a file of schema 1 their full names before it looks at them.
fn translated(release: Release, version: u32, item: &Node) -> Node {
    match item.text() {
        Some(name) if release.merges_plugins() && version <= 1 => {
            Node { data: Data::Text(schema::full_name(name)), ..item.clone() }
        }
        _ => item.clone(),
    }
}

/// A value at the top, or in one of the tables that are structures in Go: what is zero cannot win, lists grow.
fn overlay_unless_zero(joined: &mut Node, key: &str, later: Node) {
    match later.data {
        Data::Table(entries) => {
            let mut inner =
                joined.take(&[key]).unwrap_or_else(|| Node { file: later.file, line: later.line, ..Node::empty() });
            for (name, node) in entries {
                overlay_unless_zero(&mut inner, &name, node);
            }
            joined.put(&[key], inner);
        }
        Data::List(items) => match joined.take(&[key]) {
            Some(Node { data: Data::List(mut old), file, line }) => {
                old.extend(items);
                joined.put(&[key], Node { data: Data::List(old), file, line });
            }
            _ => {
                joined.put(&[key], Node { data: Data::List(items), file: later.file, line: later.line });
            }
        },
        data => {
            let node = Node { data, file: later.file, line: later.line };
            if node.is_zero() && joined.get(&[key]).is_some() {
                return;
            }
            joined.take(&[key]);
            joined.put(&[key], node);
        }
    }
}

/// A path as people write it: names with dots in quotes.
pub(super) fn dotted(path: &[String]) -> String {
    let quoted = |name: &String| if name.contains('.') { format!("{name:?}") } else { name.clone() };
    path.iter().map(quoted).collect::<Vec<_>>().join(".")
}
