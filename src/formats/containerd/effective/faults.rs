//! What is wrong with a joined configuration, in the eyes of the release that reads it.

use super::{Effective, Ineffective, dotted};
use crate::formats::containerd::Import;
use crate::model::Origin;

impl Effective {
    /// Settings that stand in a file and have no effect: tables of another schema, tables that a later file replaced,
    /// and what this release drops when it converts the file.
    pub fn ineffective(&self) -> Vec<Ineffective> {
        let mut out = Vec::new();
        for (path, node) in &self.foreign {
            let why = format!("containerd {} does not read it there: it goes by version {}", self.said(), self.schema);
            out.push(Ineffective { name: dotted(path), origin: self.origin(node), why });
        }
        for (plugin, node, winner) in &self.replaced {
            let why = format!("{} has the same table and replaces the whole of it", self.path(*winner));
            let name = dotted(&["plugins".to_owned(), plugin.clone()]);
            out.push(Ineffective { name, origin: self.origin(node), why });
        }
        if self.release.merges_plugins() {
            for gone in self.gone.iter().filter(|gone| gone.matters) {
                let why = gone.why.to_owned();
                out.push(Ineffective { name: dotted(&gone.path), origin: self.origin(&gone.node), why });
            }
        }
        out
    }

    /// Settings that this release still reads and the next major release drops.
    pub fn legacy(&self) -> Vec<Ineffective> {
        if self.release.merges_plugins() {
            return Vec::new();
        }
        let matters = self.gone.iter().filter(|gone| gone.matters);
        matters
            .map(|gone| Ineffective {
                name: dotted(&gone.path),
                origin: self.origin(&gone.node),
                why: gone.why.to_owned(),
            })
            .collect()
    }

    fn said(&self) -> String {
        let (major, minor) = self.release.pair();
        format!("{major}.{minor}")
    }

    /// Reasons for which this containerd would not start at all, each with the place.
    pub fn faults(&self) -> Vec<Ineffective> {
        let mut out = Vec::new();
        let newest = self.release.newest_schema();
        for part in &self.parts {
            let origin =
                part.version_line.map_or_else(|| Origin::path(&part.path), |line| Origin::file(&part.path, line));
            if part.version > newest && self.release.refuses_newer_schema() {
                let why = format!("containerd {} reads versions up to {newest}", self.said());
                out.push(Ineffective { name: format!("version = {}", part.version), origin: origin.clone(), why });
            }
            let first = self.parts.first().map_or(0, |part| part.version);
            if self.release.pair() >= (2, 3) && first > 0 && part.version > first {
                let why = format!("an imported file may not be newer than the main one, which has version {first}");
                out.push(Ineffective { name: format!("version = {}", part.version), origin, why });
            }
            if part.byte_order_mark && self.release.refuses_byte_order_mark() {
                let why = "its parser takes the mark for text".to_owned();
                out.push(Ineffective { name: "byte order mark".to_owned(), origin: Origin::file(&part.path, 1), why });
            }
        }
        let dotted_names = self.schema >= 2 || self.release.merges_plugins();
        let lists = [("disabled_plugins", &self.disabled), ("required_plugins", &self.required)];
        for (key, list) in
            lists.into_iter().filter(|(key, _)| *key == "disabled_plugins" || self.release.merges_plugins())
        {
            for entry in self.sourced(list).into_iter().filter(|entry| dotted_names && !entry.value.contains('.')) {
                let why = format!("version {} wants the plugin's full name", self.schema);
                out.push(Ineffective { name: format!("{key}: {}", entry.value), origin: entry.origin, why });
            }
        }
        for imported in &self.imports {
            if self.release.needs_literal_imports()
                && matches!(imported.import, Import::File(_))
                && imported.files.is_empty()
            {
                let why = "the file is not there".to_owned();
                let name = format!("imports: {}", imported.entry.value);
                out.push(Ineffective { name, origin: imported.entry.origin.clone(), why });
            }
        }
        out
    }
}
