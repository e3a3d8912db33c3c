//! Another schema for a file, in the file's own words.
//!
//! Headers and keys are renamed where they stand; a key whose new table is another one moves there with the comment
//! above it. What the new schema has no place for goes when it says nothing, and stops the conversion when it does.
//! Afterwards both texts are read by an independent parser and brought to one neutral form: they must say the same.

use super::ContainerdConfig;
use super::items::rename_item;
use super::lex::{Kind, Statement, statements};
use super::lift::{Fate, SERVER_TTRPC, also, fate, lift, plugin_name, says_nothing};
use super::schema::{self, CRI_IMAGES, CRI_RUNTIME};
use super::splice::{add_block, comment_block_start, joined_keys, quoted, remove, set};
use super::tree::Node;
use crate::formats::{FormatError, splice};
use std::ops::Range;

impl ContainerdConfig {
    /// The file in another schema, saying the same; the same text if it has that schema already. A byte order mark
    /// goes, because several releases refuse it.
    ///
    /// # Errors
    /// A schema that is not known or older than the file's, and settings that the new schema has no place for, with
    /// their line. `internal: …` if the new text does not say what the old one did.
    pub fn converted(&self, to: u32) -> Result<String, FormatError> {
        self.converted_to(to).map(|done| done.text).map_err(|error| error.placed_in(&self.text))
    }

    pub(super) fn converted_to(&self, to: u32) -> Result<Self, FormatError> {
        let refuse = |message: String| match self.item(&["version"]) {
            Some(item) => Err(self.error_at(item, message)),
            None => Err(FormatError::new(message)),
        };
        if self.schema > schema::NEWEST {
            let newest = schema::NEWEST;
            return refuse(format!("version {} is not known: castoff knows versions 1 to {newest}", self.schema));
        }
        if !(2..=schema::NEWEST).contains(&to) || self.schema > to {
            return refuse(format!("a file of version {} cannot become version {to}", self.schema));
        }
        self.check_losses(to)?;
        let mut config = self.clone();
        while config.schema < to {
            config = config.next_schema()?;
        }
        Ok(config)
    }

    /// Whatever one of the steps has no place for, by the name and line it has here.
    fn check_losses(&self, to: u32) -> Result<(), FormatError> {
        for (path, node) in Node::of(self, 0).leaves() {
            let names: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            let mut here = names.clone();
            for from in self.schema..to {
                let next = fate(from, &here.iter().map(String::as_str).collect::<Vec<_>>());
                match next {
                    Fate::Stays => {}
                    Fate::To(new) | Fate::UnlessEmpty(new) => here = new,
                    Fate::Gone(_, harmless) if says_nothing(node, harmless) => break,
                    Fate::Gone(why, _) => {
                        let message = format!("{} would be lost: {why}", super::effective::dotted(&names));
                        return Err(FormatError::at_line(&self.text, node.line, message));
                    }
                }
            }
        }
        Ok(())
    }

    fn next_schema(&self) -> Result<Self, FormatError> {
        let next = self.schema + 1;
        let text = match self.schema {
            1 => self.with_long_names()?,
            from => self.moved(from)?,
        };
        let text = set(&text, &["version".to_owned()], &next.to_string());
        let done = Self::parse(&format!("{}{text}", self.bom)).map_err(|error| {
            // Tables that are half inline and half not cannot always be moved apart.
            FormatError::new(format!(
                "the settings of CRI are written in too many notations to be moved ({})",
                error.message
            ))
        })?;
        let (before, after) = (self.neutral(self.schema)?, done.neutral(next)?);
        match before.difference(&after) {
            Some(path) => Err(FormatError::internal(format!("version {next} would say something else at {path}"))),
            None => Ok(done),
        }
    }

    /// What the file says, by another parser than the one the edits rely on.
    fn neutral(&self, schema: u32) -> Result<Node, FormatError> {
        let table = toml::from_str::<toml::Table>(&self.text).map_err(|error| {
            FormatError::at_offset(&self.text, error.span().map_or(0, |span| span.start), error.message())
        })?;
        Ok(lift(&Node::of_toml(&toml::Value::Table(table)), schema).0)
    }

    fn with_long_names(&self) -> Result<String, FormatError> {
        Ok(self.apply(&self.long_names()?)?.text)
    }

    fn moved(&self, from: u32) -> Result<String, FormatError> {
        let tree = Node::of(self, 0);
        if from == 2 {
            let newer = [CRI_IMAGES, CRI_RUNTIME].into_iter().find_map(|name| self.item(&["plugins", name]));
            if let Some(item) = newer {
                return Err(self.error_at(item, "a table of version 3 in a file of version 2; take it out first"));
            }
        }
        let mut text = self.without_gone(&tree, from);
        let copies = copies(&tree, from, &text);
        text = relocate(&text, from)?;
        for (path, literal) in copies {
            text = set(&text, &path, &literal);
        }
        for list in ["disabled_plugins", "required_plugins"] {
            for name in self.strings(&[list]) {
                let new = plugin_name(from, &name.value);
                if new != name.value {
                    text = rename_item(&text, &[list.to_owned()], &name.value, &new);
                }
            }
        }
        Ok(text)
    }

    /// The text without what the next schema has no place for.
    fn without_gone(&self, tree: &Node, from: u32) -> String {
        let mut text = self.text.clone();
        for (path, node) in tree.leaves() {
            let gone = match fate(from, &path) {
                Fate::Gone(..) => true,
                Fate::UnlessEmpty(_) => node.is_zero(),
                _ => false,
            };
            if gone {
                text = remove(&text, &path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
            }
        }
        let all = statements(&text);
        let headers = all.iter().filter(|statement| statement.kind == Kind::Table);
        let gone = headers.filter(|header| matches!(fate(from, &header.path()), Fate::Gone(..)));
        let cuts: Vec<Range<usize>> = gone.map(|header| header.lines.clone()).collect();
        cuts.into_iter().rev().fold(text, |text, cut| splice(&text, cut, ""))
    }
}

/// What must stand in a second place as well, as it is written in the first.
fn copies(tree: &Node, from: u32, text: &str) -> Vec<(Vec<String>, String)> {
    let mut out = Vec::new();
    for (path, node) in tree.leaves() {
        if let Some(other) = also(tree, from, &path)
            && let Some(literal) = literal(node)
        {
            out.push((other, literal));
        }
    }
    if from == 3 && !text.is_empty() {
        let (old, _) = lift(tree, 3);
        let derived = old.get(&["plugins", SERVER_TTRPC]).and_then(Node::table);
        for (key, node) in derived.into_iter().flatten() {
            let own = tree.get(&["ttrpc", key.as_str()]);
            if own.is_none_or(Node::is_zero)
                && let Some(literal) = literal(node)
            {
                out.push((vec!["plugins".to_owned(), SERVER_TTRPC.to_owned(), key.clone()], literal));
            }
        }
    }
    out
}

fn literal(node: &Node) -> Option<String> {
    node.text().map(quoted).or_else(|| node.integer().map(|number| number.to_string()))
}

/// A key on its way to another table.
struct Moving {
    table: Vec<String>,
    /// Its lines with the comment above, the key renamed.
    block: String,
}

/// Renames headers and keys, and carries keys over.
fn relocate(text: &str, from: u32) -> Result<String, FormatError> {
    let all = statements(text);
    let mut cuts: Vec<(Range<usize>, String)> = Vec::new();
    let mut moving: Vec<Moving> = Vec::new();
    let mut section: Vec<String> = Vec::new();
    for (index, statement) in all.iter().enumerate() {
        if statement.is_header() {
            section = section_target(from, &all, index);
            if section != statement.path() && statement.kind == Kind::Table {
                cuts.push((keys_range(statement), joined_keys(text, &section)));
            }
            continue;
        }
        let target = key_target(text, from, statement)?;
        let here = target.get(..section.len()).is_some_and(|prefix| prefix == section);
        let inside =
            target.get(if here { section.len() } else { target.len().saturating_sub(1) }..).unwrap_or_default();
        let names: Vec<&str> = statement.keys.iter().map(|segment| segment.name.as_str()).collect();
        let renamed = (names != inside).then(|| joined_keys(text, inside));
        if here {
            cuts.extend(renamed.map(|name| (keys_range(statement), name)));
            continue;
        }
        let start = comment_block_start(text, statement.lines.start);
        let whole = start..statement.lines.end;
        let mut block = text.get(whole.clone()).unwrap_or_default().to_owned();
        if let Some(name) = renamed {
            let keys = keys_range(statement);
            block = splice(&block, keys.start - start..keys.end - start, &name);
        }
        let table = target.split_last().map(|(_, table)| table.to_vec()).unwrap_or_default();
        moving.push(Moving { table, block });
        cuts.push((whole, String::new()));
    }
    let kept = cuts.into_iter().rev().fold(text.to_owned(), |text, (range, new)| splice(&text, range, &new));
    let kept = without_empty_doubles(&kept);
    Ok(moving.into_iter().fold(kept, |text, moved| add_block(&text, &moved.table, &moved.block)))
}

fn keys_range(statement: &Statement) -> Range<usize> {
    let start = statement.keys.first().map_or(statement.lines.start, |segment| segment.range.start);
    start..statement.keys.last().map_or(start, |segment| segment.range.end)
}

/// Where a table goes: where all its keys go, if that is one place and no other header leads there; else where the
/// bulk of such a table belongs.
fn section_target(from: u32, all: &[Statement], index: usize) -> Vec<String> {
    let Some(header) = all.get(index) else { return Vec::new() };
    let own: Vec<String> = header.path().into_iter().map(str::to_owned).collect();
    let usual = moved_path(from, &header.path());
    let keys = all.iter().skip(index + 1).take_while(|statement| !statement.is_header());
    let mut targets: Vec<Vec<String>> = keys
        .map(|key| {
            let target = moved_path(from, &key.path());
            target.get(..target.len().saturating_sub(key.keys.len())).unwrap_or_default().to_vec()
        })
        .collect();
    targets.dedup();
    match targets.as_slice() {
        [only] if *only != usual => {
            let taken = all.iter().enumerate().any(|(other, statement)| {
                other != index
                    && statement.is_header()
                    && (statement.path() == *only || moved_path(from, &statement.path()) == *only)
            });
            if taken || only.len() < own.len().min(2) { usual } else { only.clone() }
        }
        _ => usual,
    }
}

/// The place of a setting in the next schema.
pub(super) fn moved_path(from: u32, path: &[&str]) -> Vec<String> {
    match fate(from, path) {
        Fate::To(new) | Fate::UnlessEmpty(new) => new,
        Fate::Stays | Fate::Gone(..) => path.iter().map(|part| (*part).to_owned()).collect(),
    }
}

/// Where a key goes. The settings of an inline table must all go the same way.
fn key_target(text: &str, from: u32, statement: &Statement) -> Result<Vec<String>, FormatError> {
    let path = statement.path();
    let value = text.get(statement.value.clone()).unwrap_or_default();
    let inner = value.parse::<toml_edit::Value>().ok().filter(toml_edit::Value::is_inline_table);
    let Some(inner) = inner else { return Ok(moved_path(from, &path)) };
    let mut paths: Vec<Vec<String>> = Vec::new();
    inline_leaves(&inner, &mut Vec::new(), &mut paths);
    let mut target: Option<Vec<String>> = None;
    for leaf in &paths {
        let whole: Vec<&str> = path.iter().copied().chain(leaf.iter().map(String::as_str)).collect();
        let moved = moved_path(from, &whole);
        let base = moved.len().checked_sub(leaf.len()).and_then(|len| moved.get(..len)).unwrap_or_default().to_vec();
        let same_end = moved.get(base.len()..).is_some_and(|end| end == leaf);
        if !same_end || target.as_ref().is_some_and(|known| *known != base) {
            let message = "an inline table whose settings go to different tables; write it with headers first";
            return Err(FormatError::at_offset(text, statement.lines.start, message));
        }
        target = Some(base);
    }
    Ok(target.unwrap_or_else(|| moved_path(from, &path)))
}

fn inline_leaves(value: &toml_edit::Value, path: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    match value.as_inline_table() {
        Some(table) if !table.is_empty() => {
            for (key, value) in table {
                path.push(key.to_owned());
                inline_leaves(value, path, out);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => out.push(path.clone()),
    }
}

/// Two headers may have become the same table; the second goes if it is empty.
fn without_empty_doubles(text: &str) -> String {
    let all = statements(text);
    let double = all.iter().enumerate().find(|(index, statement)| {
        let empty = all.get(index + 1).is_none_or(Statement::is_header);
        let twin = |(other, twin): (usize, &Statement)| {
            other != *index && twin.kind == Kind::Table && twin.path() == statement.path()
        };
        statement.kind == Kind::Table && empty && all.iter().enumerate().any(twin)
    });
    match double {
        Some((_, statement)) => without_empty_doubles(&splice(text, statement.lines.clone(), "")),
        None => text.to_owned(),
    }
}
