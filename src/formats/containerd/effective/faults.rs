//! What is wrong with a joined configuration, in the eyes of the release that reads it.

use super::{Effective, Ineffective, Part, dotted};
use crate::formats::containerd::Import;
use crate::model::Origin;

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

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

    /// What takes effect here and would not in `after`, which holds the same files in other words. A file of which something
    /// has no effect already is not held against the other.
    pub fn lost(&self, after: &Self) -> Vec<Ineffective> {
        let known = self.ineffective();
        let mut out = after.ineffective();
        out.retain(|one| !known.iter().any(|old| old.origin.path == one.origin.path));
        if self.cri_disabled_by().is_empty() {
            out.extend(after.cri_disabled_by().into_iter().map(|entry| {
                let why = format!("disabled_plugins holds {:?}, which counts then", entry.value);
                Ineffective { name: "CRI would be off".to_owned(), origin: entry.origin, why }
            }));
        }
        if !out.is_empty() {
            return out;
        }
        let here = self.neutral.leaves();
        let gone = here.into_iter().filter(|(path, node)| !node.is_zero() && after.neutral.get(path).is_none());
        gone.map(|(path, node)| {
            let why = "it would have no effect any more".to_owned();
            Ineffective { name: dotted(&owned(&path)), origin: self.origin(node), why }
        })
        .collect()
    }

    /// What `after`, which holds the same files in other words, says otherwise: the place here, and the file that decides then.
    pub fn changed(&self, after: &Self) -> Vec<Ineffective> {
        let mut out = Vec::new();
        for (path, node) in self.neutral.leaves() {
            let Some(twin) = after.neutral.get(&path) else { continue };
            if node.table().is_none() && !node.says_the_same(twin) {
                let why = format!("{} says something else, and would decide", after.path(twin.file));
                out.push(Ineffective { name: dotted(&owned(&path)), origin: self.origin(node), why });
            }
        }
        out
    }

    /// What says nothing here and would take effect in `after`: each setting and its file.
    pub fn woken(&self, after: &Self) -> Vec<(String, Origin)> {
        let new = after.neutral.leaves().into_iter();
        let new = new.filter(|(path, node)| node.table().is_none() && self.neutral.get(path).is_none());
        new.map(|(path, node)| (dotted(&owned(&path)), Origin::path(after.path(node.file)))).collect()
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

    /// Imported files that are newer than the main one, with which 2.3 and later do not start. What is newer than the release
    /// itself is another fault.
    pub fn newer_imports(&self) -> Vec<Ineffective> {
        let main = self.parts.first().map_or(0, |part| part.version);
        if !self.release.converts_each_file() || main == 0 {
            return Vec::new();
        }
        let newest = self.release.newest_schema();
        let newer = self.parts.iter().filter(|part| part.version > main && part.version <= newest);
        let why = format!("an imported file may not be newer than the main one, which has version {main}");
        newer.map(|part| Self::version_of(part, why.clone())).collect()
    }

    fn version_of(part: &Part, why: String) -> Ineffective {
        let origin = part.version_line.map_or_else(|| Origin::path(&part.path), |line| Origin::file(&part.path, line));
        Ineffective { name: format!("version = {}", part.version), origin, why }
    }

    /// Reasons for which this containerd would not start at all, each with the place.
    pub fn faults(&self) -> Vec<Ineffective> {
        let mut out = Vec::new();
        let newest = self.release.newest_schema();
        for part in &self.parts {
            if part.version > newest && self.release.refuses_newer_schema() {
                let why = format!("containerd {} reads versions up to {newest}", self.said());
                out.push(Self::version_of(part, why));
            }
            if part.byte_order_mark && self.release.refuses_byte_order_mark() {
                let why = "its parser takes the mark for text".to_owned();
                out.push(Ineffective { name: "byte order mark".to_owned(), origin: Origin::file(&part.path, 1), why });
            }
        }
        out.extend(self.newer_imports());
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
