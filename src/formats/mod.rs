//! Files that belong to others: text in, values or edited text out.
//!
//! An edit touches only the bytes of the setting it is about: comments, order, indentation, unknown keys, line endings
//! and a byte order mark stay, and an edit that changes nothing gives back the very same text. Where a format is
//! nested enough to get lost in (TOML, YAML, JSON), the edited text is read again by an independent parser and compared
//! with what the edit was meant to do, so that a fault of ours ends as an error and never as a damaged file.
//!
//! Nothing here reads files, runs programs or asks the clock. Nothing here panics on any input.

use crate::model::mask_text;
use std::ops::Range;

pub mod boot_files;
pub mod cgroup_file;
pub mod cni;
pub mod cni_conf;
pub mod containerd;
pub mod crictl;
pub mod crio;
pub mod daemon_json;
pub mod docker_images;
pub mod dockerd;
pub mod env_file;
pub mod etcd;
pub mod host_paths;
pub mod hosts_toml;
pub mod image_manifest;
pub mod kubeconfig;
pub mod kubelet_config;
pub mod kubelet_fields;
pub mod kubelet_flags;
pub mod mentions;
pub mod mounts;
pub mod os_release;
pub mod package_db;
pub mod packages;
pub mod service;
pub mod specifiers;
pub mod spelling;
pub mod tar_split;
pub mod unit_edit;
pub mod unit_file;
mod words;
pub mod yaml;

/// The byte order mark that Windows editors put in front of UTF-8 text.
const BOM: char = '\u{feff}';

/// A file that cannot be understood. The caller knows the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", place(*.line, *.column))]
pub struct FormatError {
    /// What is wrong: one line, lower case, without a full stop.
    pub message: String,
    /// Line, counted from 1, where the fault has one.
    pub line: Option<u32>,
    /// Column in characters, counted from 1, where it is known.
    pub column: Option<u32>,
    /// The source line with a caret below the fault; credentials in it are masked.
    pub snippet: Option<String>,
    /// What to do about it, where the program that reads the file has no trouble with it.
    pub fix: Option<&'static str>,
}

fn place(line: Option<u32>, column: Option<u32>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!(" at line {line}, column {column}"),
        (Some(line), None) => format!(" at line {line}"),
        _ => String::new(),
    }
}

impl FormatError {
    /// A fault without a place.
    pub fn new(message: impl AsRef<str>) -> Self {
        Self { message: one_line(message.as_ref()), line: None, column: None, snippet: None, fix: None }
    }

    /// A fault at a byte offset of `text`.
    pub fn at_offset(text: &str, offset: usize, message: impl AsRef<str>) -> Self {
        let offset = floor_boundary(text, offset);
        let before = text.get(..offset).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = count(before.get(start..).unwrap_or_default().chars().count());
        Self::at_line_column(text, line_of(text, offset), Some(column.saturating_add(1)), message)
    }

    /// A fault on a line of `text`, counted from 1.
    pub fn at_line(text: &str, line: u32, message: impl AsRef<str>) -> Self {
        Self::at_line_column(text, line, None, message)
    }

    /// A fault at a line and column of `text`, both counted from 1.
    pub fn at_line_column(text: &str, line: u32, column: Option<u32>, message: impl AsRef<str>) -> Self {
        Self { line: Some(line), column, snippet: snippet(text, line, column), ..Self::new(message) }
    }

    /// The same fault with its place in `text`, for one that was found in an edited form of it. Without a line that is the
    /// only one of its kind there, no place is named.
    fn placed_in(mut self, text: &str) -> Self {
        let Some(found) = self.snippet.as_deref().and_then(|snippet| snippet.lines().next()).map(str::to_owned) else {
            return self;
        };
        let shown = mask_text(text);
        let same = |line: &str| line.trim_start_matches(BOM) == found;
        let there = self.line.and_then(|line| shown.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?));
        if there.is_some_and(same) {
            return self;
        }
        let mut places = shown.lines().enumerate().filter(|(_, line)| same(line)).map(|(index, _)| count(index + 1));
        match (places.next(), places.next()) {
            (Some(line), None) => self.line = Some(line),
            _ => (self.line, self.column, self.snippet) = (None, None, None),
        }
        self
    }

    /// A fault of castoff itself, found by the check after an edit.
    fn internal(message: impl AsRef<str>) -> Self {
        Self::new(format!("internal: {}", message.as_ref()))
    }
}

/// Messages are one line that starts in lower case, whatever a parser makes of them.
fn one_line(message: &str) -> String {
    let joined = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ");
    let mut chars = joined.chars();
    match (chars.next(), chars.clone().next()) {
        // `TOML …` and names in quotes keep their case.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => joined,
    }
}

/// The line with a caret under `column`. Such lines are shown to people, so credentials are masked; a masked line has
/// other columns and gets no caret.
fn snippet(text: &str, line: u32, column: Option<u32>) -> Option<String> {
    let index = usize::try_from(line.checked_sub(1)?).ok()?;
    let source = text.lines().nth(index)?.trim_start_matches(BOM);
    // Masked as a whole: what stands before a line may say that it is a secret.
    let shown = mask_text(text);
    let shown = shown.lines().nth(index)?.trim_start_matches(BOM);
    match column {
        Some(column) if shown == source => {
            let pad: String = source
                .chars()
                .take(usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            Some(format!("{shown}\n{pad}^"))
        }
        _ => Some(shown.to_owned()),
    }
}

/// A value and the line it stands on, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// The line, counted from 1.
    pub line: u32,
}

impl<T> At<T> {
    /// Joins a value and its line.
    pub fn new(value: T, line: u32) -> Self {
        Self { value, line }
    }

    /// Keeps the line, changes the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), line: self.line }
    }
}

/// A count as the type that lines have; files beyond four thousand million lines do not occur.
fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> u32 {
    let newlines = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    count(newlines).saturating_add(1)
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Splits a byte order mark off, so that parsers which do not know it see plain text.
fn split_bom(text: &str) -> (&str, &str) {
    match text.strip_prefix(BOM) {
        Some(rest) => (text.get(..text.len() - rest.len()).unwrap_or_default(), rest),
        None => ("", text),
    }
}

/// Reads TOML behind a byte order mark, if there is one. A second one is no TOML, although the parser would read over it.
///
/// The parser reads TOML 1.1. containerd's do not, and refuse or ignore the whole file: BurntSushi/toml in 1.4, go-toml 1 in 1.5
/// to 1.7, go-toml 2 since, as each vendors them. castoff's own profile is not read here and may be 1.1.
fn toml_document(text: &str) -> Result<(&str, &str, toml_edit::Document<String>), FormatError> {
    let (bom, text) = split_bom(text);
    if text.starts_with(BOM) {
        return Err(FormatError::at_line(text, 1, "a byte order mark stands here twice"));
    }
    let doc = toml_edit::Document::parse(text.to_owned()).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        FormatError::at_offset(text, offset, error.message())
    })?;
    if let Some((offset, what)) = containerd::beyond_1_0(text) {
        return Err(FormatError::at_offset(text, offset, format!("containerd reads TOML 1.0: {what}")));
    }
    Ok((bom, text, doc))
}

/// The line ending of a text: that of its first line.
fn newline_of(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text.get(..at).is_some_and(|line| line.ends_with('\r')) => "\r\n",
        _ => "\n",
    }
}

/// `text` with `range` replaced. A range outside the text changes nothing.
fn splice(text: &str, range: Range<usize>, with: &str) -> String {
    match (text.get(..range.start), text.get(range.end..)) {
        (Some(head), Some(tail)) => format!("{head}{with}{tail}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_place_and_show_the_line() {
        let error = FormatError::at_offset("a = 1\n\tb == 2\n", 10, "Unexpected `=`\nexpected a value\n");
        assert_eq!((error.line, error.column), (Some(2), Some(5)));
        assert_eq!(error.to_string(), "unexpected `=`, expected a value at line 2, column 5");
        assert_eq!(error.snippet.as_deref(), Some("\tb == 2\n\t   ^"));
        assert_eq!(FormatError::new("TOML is hard").to_string(), "TOML is hard");
    }

    #[test]
    fn snippets_hide_credentials() {
        let error = FormatError::at_offset("password = \"hunter2\" x\n", 21, "no");
        assert!(!error.snippet.clone().unwrap_or_default().contains("hunter2"), "{error:?}");
        assert_eq!(error.line, Some(1));
    }

    #[test]
    fn offsets_beyond_the_text_or_inside_a_character_do_not_panic() {
        for (text, offset) in [("", 7), ("ä", 1), ("a\n", 2), ("a", 99)] {
            assert!(FormatError::at_offset(text, offset, "x").line.is_some());
        }
        assert_eq!(splice("abc", 1..2, "X"), "aXc");
        assert_eq!(splice("ä", 1..2, "X"), "ä");
        assert_eq!(splice("abc", 2..9, "X"), "abc");
    }

    #[test]
    fn bom_and_line_endings_are_found() {
        assert_eq!(split_bom("\u{feff}a"), ("\u{feff}", "a"));
        assert_eq!(split_bom("a"), ("", "a"));
        assert!(toml_document("\u{feff}a = 1").is_ok());
        let found = FormatError::at_line_column("new\nb = x\n", 2, Some(5), "wrong");
        assert_eq!(found.clone().placed_in("b = x\n").line, Some(1));
        assert_eq!(found.clone().placed_in("b = x\nb = x\nz\n").line, Some(2));
        assert_eq!(found.placed_in("c\n").line, None);
        assert!(toml_document("\u{feff}\u{feff}a = 1").is_err());
        let newer = toml_document("a = 1\nb = { c = 1, }\n").unwrap_err();
        assert_eq!((newer.line, newer.column), (Some(2), Some(12)), "{newer}");
        assert_eq!(newline_of("a\r\nb\n"), "\r\n");
        assert_eq!(newline_of("a\nb\r\n"), "\n");
        assert_eq!(newline_of(""), "\n");
    }
}
