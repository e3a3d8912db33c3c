//! containerd's `config.toml`: what it says about the CRI plugin, and the edit that makes it fit Kubernetes.
//!
//! The schema version decides where each setting lives (containerd ignores tables of another schema without a word), so
//! every question here is answered for the version the file declares. [`ContainerdConfig`] is one file and names its
//! imports; [`Effective`] is what containerd makes of a file and all that it imports, which differs between releases.

pub(in crate::formats) mod change;
mod convert;
#[cfg(test)]
mod convert_tests;
mod edit;
mod effective;
#[cfg(test)]
mod effective_tests;
mod items;
mod lex;
mod lift;
mod read;
mod registry;
mod release;
mod schema;
mod share;
mod splice;
#[cfg(test)]
mod tests;
mod tree;

pub use change::Literal;
pub use edit::{CriTarget, Place, Setting};
pub use effective::{Effective, Handler, Imported, Ineffective, Part};
pub use registry::{ClientTls, HostConfig, Mirror, OldRegistry};
pub use release::{Import, Release, segment_meets};

pub(in crate::formats) use lex::beyond_1_0;

use super::{At, FormatError, line_of, toml_document};
use schema::{CRI, CRI_SPELLINGS, Places};
use toml_edit::{Document, Item, TableLike};

/// A parsed `config.toml`, or one of the files it imports.
#[derive(Clone, Debug)]
pub struct ContainerdConfig {
    /// Byte order mark, if any.
    bom: String,
    text: String,
    doc: Document<String>,
    schema: u32,
}

/// One entry of the CRI plugin's map of runtimes.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeHandler {
    /// The handler's name, as RuntimeClass objects use it.
    pub name: String,
    /// The shim; absent or empty leaves the handler without one on containerd 1.x.
    pub runtime_type: Option<At<String>>,
    /// `options.BinaryName`: the OCI runtime's program.
    pub binary_name: Option<At<String>>,
    /// `options.SystemdCgroup`, if it is a boolean.
    pub systemd_cgroup: Option<At<bool>>,
    /// `options.SystemdCgroup` as written, if it is *not* a boolean (containerd refuses to start then).
    pub systemd_cgroup_raw: Option<At<String>>,
    /// Line of the handler's table or key.
    pub line: u32,
}

impl RuntimeHandler {
    /// Whether the handler runs through a runc shim, or would if it named one: its cgroup driver is then
    /// `options.SystemdCgroup`.
    pub fn is_runc(&self) -> bool {
        let shim = self.runtime_type.as_ref().map_or("", |at| at.value.as_str());
        is_runc_shim(shim)
    }
}

/// Whether a handler of this `runtime_type` runs through a runc shim; an empty one would if it named any.
pub fn is_runc_shim(shim: &str) -> bool {
    shim.is_empty() || shim.starts_with("io.containerd.runc.") || shim == schema::LEGACY_LINUX
}

impl ContainerdConfig {
    /// Reads a configuration; the empty text is one.
    ///
    /// # Errors
    /// Text that is not TOML, with line, column and the line itself.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let (bom, text, doc) = toml_document(text)?;
        let mut config = Self { bom: bom.to_owned(), text: text.to_owned(), doc, schema: 1 };
        config.schema = config.read_version()?;
        Ok(config)
    }

    fn read_version(&self) -> Result<u32, FormatError> {
        let Some(item) = self.item(&["version"]) else { return Ok(1) };
        match item.as_integer().map(u32::try_from) {
            // containerd treats 0 like a missing version.
            Some(Ok(version)) => Ok(version.max(1)),
            _ => Err(self.error_at(item, "version is not a small whole number")),
        }
    }

    /// The text, as it was given.
    pub fn text(&self) -> String {
        format!("{}{}", self.bom, self.text)
    }

    /// The schema version: 1 where the file names none. Versions above 4 are unknown here.
    pub fn schema(&self) -> u32 {
        self.schema
    }

    /// The number the file itself writes; 0 where it writes none.
    fn written_version(&self) -> u32 {
        let number = self.item(&["version"]).and_then(Item::as_integer).unwrap_or_default();
        u32::try_from(number).unwrap_or_default()
    }

    /// The line of `version`, if the file has one.
    pub fn version_line(&self) -> Option<u32> {
        self.item(&["version"]).map(|item| self.line(item))
    }

    /// `disabled_plugins`, in the file's order.
    pub fn disabled_plugins(&self) -> Vec<At<String>> {
        self.strings(&["disabled_plugins"])
    }

    /// `required_plugins`: containerd exits when one of them fails to load.
    pub fn required_plugins(&self) -> Vec<At<String>> {
        self.strings(&["required_plugins"])
    }

    /// `imports`: paths and patterns of further files, later ones winning over this one.
    pub fn imports(&self) -> Vec<At<String>> {
        self.strings(&["imports"])
    }

    /// The entries of `disabled_plugins` that name the CRI plugin or a part it cannot do without.
    ///
    /// All spellings of all releases count. Which of them bites depends on the release that reads the file; see
    /// [`Self::cri_disabled_on`].
    pub fn cri_disabled_by(&self) -> Vec<At<String>> {
        self.disabled_plugins().into_iter().filter(|name| CRI_SPELLINGS.contains(&name.value.as_str())).collect()
    }

    /// The entries of `disabled_plugins` that keep a containerd of this major version from serving CRI.
    ///
    /// containerd 1.x compares schema 1 entries with the plugin's short name alone and knows no split plugin. A bare
    /// `cri` in a file of schema 2 or later stops containerd itself from starting, on every release.
    pub fn cri_disabled_on(&self, major: u32) -> Vec<At<String>> {
        let bites = |name: &str| match (major, self.schema) {
            (0 | 1, 1) => name == "cri",
            (0 | 1, _) => name == "cri" || name == CRI,
            _ => true,
        };
        self.cri_disabled_by().into_iter().filter(|name| bites(&name.value)).collect()
    }

    /// Top-level `root`: where images and snapshots are kept.
    pub fn root(&self) -> Option<At<String>> {
        self.string(&["root"])
    }

    /// Top-level `state`: where sockets and task state are kept.
    pub fn state(&self) -> Option<At<String>> {
        self.string(&["state"])
    }

    /// The address containerd serves on. Schema 4 ignores `[grpc]` and has a plugin for it.
    pub fn grpc_address(&self) -> Option<At<String>> {
        if self.schema >= 4 {
            return self.string(&["plugins", "io.containerd.server.v1.grpc", "address"]);
        }
        self.string(&["grpc", "address"])
    }

    /// The runtime handlers, in the file's order.
    pub fn runtimes(&self) -> Vec<RuntimeHandler> {
        let places = self.places();
        let Some(map) = self.table(&places.runtimes()) else { return Vec::new() };
        map.iter().map(|(name, item)| self.handler(&places.runtimes(), name, item)).collect()
    }

    fn handler(&self, parent: &[&str], name: &str, item: &Item) -> RuntimeHandler {
        let at = |rest: &[&'static str]| -> Vec<&str> {
            parent.iter().copied().chain([name]).chain(rest.iter().copied()).collect()
        };
        let cgroup = self.item(&at(&["options", "SystemdCgroup"]));
        RuntimeHandler {
            name: name.to_owned(),
            runtime_type: self.string(&at(&["runtime_type"])),
            binary_name: self.string(&at(&["options", "BinaryName"])),
            systemd_cgroup: cgroup.and_then(|item| Some(At::new(item.as_bool()?, self.line(item)))),
            systemd_cgroup_raw: cgroup
                .filter(|item| item.as_bool().is_none())
                .map(|item| At::new(self.source(item).to_owned(), self.line(item))),
            line: self.line(item),
        }
    }

    /// The handler that pods without a RuntimeClass get; containerd's own default is `runc`.
    pub fn default_runtime_name(&self) -> Option<At<String>> {
        self.string(&self.places().runtime(&["containerd", "default_runtime_name"]))
    }

    /// The sandbox (pause) image.
    pub fn sandbox_image(&self) -> Option<At<String>> {
        self.string(&self.places().sandbox_image())
    }

    /// The CRI plugin's snapshotter.
    pub fn snapshotter(&self) -> Option<At<String>> {
        self.string(&self.places().snapshotter())
    }

    /// Directories of CNI plugins: `bin_dirs` (containerd 2.1 and later) and a non-empty `bin_dir`, in this order.
    pub fn cni_bin_dir(&self) -> Vec<At<String>> {
        let places = self.places();
        let mut dirs = self.strings(&places.runtime(&["cni", "bin_dirs"]));
        dirs.extend(self.string(&places.runtime(&["cni", "bin_dir"])).filter(|dir| !dir.value.is_empty()));
        dirs
    }

    /// Directory of CNI configurations.
    pub fn cni_conf_dir(&self) -> Option<At<String>> {
        self.string(&self.places().runtime(&["cni", "conf_dir"]))
    }

    /// `registry.config_path`: the directory of `hosts.toml` files (containerd 1.5 and later).
    pub fn registry_config_path(&self) -> Option<At<String>> {
        self.string(&self.places().images(&["registry", "config_path"]))
    }

    /// The hosts under `registry.mirrors` and `registry.configs`: their presence rules a `config_path` out.
    pub fn registry_tables(&self) -> Vec<At<String>> {
        let places = self.places();
        ["mirrors", "configs"]
            .iter()
            .filter_map(|name| self.table(&places.images(&["registry", name])))
            .flat_map(|table| table.iter().map(|(host, item)| At::new(host.to_owned(), self.line(item))))
            .collect()
    }

    /// A true `systemd_cgroup` in the CRI table. Only the shim of containerd 1.0-1.2 knew it; beside runc v2 it makes
    /// the CRI plugin of containerd 1.x fail to load.
    pub fn legacy_systemd_cgroup(&self) -> Option<At<bool>> {
        let item = self.item(&self.places().runtime(&["systemd_cgroup"]))?;
        item.as_bool().filter(|on| *on).map(|on| At::new(on, self.line(item)))
    }

    /// Tables that containerd ignores in a file of this schema: settings written for another one.
    pub fn foreign_schema_tables(&self) -> Vec<At<String>> {
        let mut out = Vec::new();
        let plugins = self.table(&["plugins"]).map(TableLike::iter).into_iter().flatten();
        for (name, item) in plugins {
            if !schema::plugin_fits(self.schema, name) {
                out.push(At::new(format!("plugins.{name:?}"), self.line(item)));
            } else if name == CRI && self.schema >= 3 {
                let keys = item.as_table_like().map(TableLike::iter).into_iter().flatten();
                let lost = keys.filter(|(key, _)| !schema::is_server_key(key));
                out.extend(lost.map(|(key, item)| At::new(format!("plugins.{name:?}.{key}"), self.line(item))));
            }
        }
        if self.schema >= 4 {
            let moved = ["grpc", "ttrpc", "metrics"].iter().filter_map(|name| Some((name, self.item(&[name])?)));
            out.extend(moved.map(|(name, item)| At::new((*name).to_owned(), self.line(item))));
        }
        out
    }

    fn places(&self) -> Places {
        Places::of(self.schema)
    }

    fn item(&self, path: &[&str]) -> Option<&Item> {
        path.iter().try_fold(self.doc.as_item(), |item, key| item.as_table_like()?.get(key))
    }

    fn table(&self, path: &[&str]) -> Option<&dyn TableLike> {
        self.item(path)?.as_table_like()
    }

    fn string(&self, path: &[&str]) -> Option<At<String>> {
        let item = self.item(path)?;
        item.as_str().map(|value| At::new(value.to_owned(), self.line(item)))
    }

    fn strings(&self, path: &[&str]) -> Vec<At<String>> {
        let array = self.item(path).and_then(Item::as_array).into_iter().flatten();
        array
            .filter_map(|value| {
                let line = line_of(&self.text, value.span().map_or(0, |span| span.start));
                value.as_str().map(|text| At::new(text.to_owned(), line))
            })
            .collect()
    }

    fn source(&self, item: &Item) -> &str {
        item.span().and_then(|span| self.text.get(span)).unwrap_or_default()
    }

    /// The offset of an item; a table that only its children name starts where the first of them does.
    fn offset(item: &Item) -> usize {
        if let Some(span) = item.span() {
            return span.start;
        }
        let children = item.as_table_like().map(TableLike::iter).into_iter().flatten();
        children.map(|(_, child)| Self::offset(child)).min().unwrap_or(0)
    }

    fn line(&self, item: &Item) -> u32 {
        line_of(&self.text, Self::offset(item))
    }

    fn error_at(&self, item: &Item, message: impl AsRef<str>) -> FormatError {
        FormatError::at_offset(&self.text, Self::offset(item), message)
    }
}
