//! YAML as kubelet, crictl and client-go read it, and top-level keys of such a document changed without touching the rest.
//!
//! goyaml's `Unmarshal` takes a file's first document and passes over the others; of equal keys the last one counts
//! (sigs.k8s.io/yaml `YAMLToJSON`; kubelet refuses neither, its strict reading of KubeletConfiguration only logs it).
//!
//! `yaml-edit` makes the changes because it keeps comments, order, flow style and line endings; it is young, so
//! `serde-saphyr` reads the text before and after and has to find exactly the difference that was asked for.

use super::{At, BOM, FormatError, count, newline_of, split_bom};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;
use std::fmt;
use std::str::FromStr;

/// Reads a value out of a file's first document. `null` is as good as nothing there, as it is for a field in Go.
///
/// # Errors
/// Text that is not YAML, with its place; a value of a wrong type, without one.
pub fn lenient<T: DeserializeOwned + Default>(text: &str) -> Result<T, FormatError> {
    let (first, _) = first_document(text);
    let read = |text: &str| {
        let mut options = options();
        // A number too large for a float is a text to goyaml; what is read here is never written back.
        options.non_finite_float_policy = serde_saphyr::NonFiniteFloatPolicy::AsString;
        serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|error| fault(text, &error))
    };
    let value = read(first).or_else(|error| read(&without_tabs(first)).map_err(|_| error))?;
    let read = serde_json::from_value::<Option<T>>(without_nulls(value));
    read.map(Option::unwrap_or_default).map_err(|error| FormatError::new(error.to_string()))
}

/// Equal keys come to the visitor one by one; JSON's map keeps the last.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough }
}

/// Lines that begin with a tab put behind the one before, unless that might end in a comment. In a flow collection, where both read
/// the same, libyaml lets such tabs pass; in a block it refuses them, and entries of a block are no YAML in one line.
fn without_tabs(text: &str) -> String {
    let (mut joined, mut above) = (String::new(), "#");
    for line in text.lines() {
        let (between, rest) = match line.strip_prefix('\t') {
            Some(rest) if !above.contains('#') => (' ', rest),
            _ => ('\n', line),
        };
        joined.push(between);
        joined.push_str(rest);
        above = line;
    }
    joined
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields.map(|(key, value)| (key, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect(),
        other => other,
    }
}

/// A text up to the mark behind its first document, and the rest. No line of a document begins with a mark.
fn first_document(text: &str) -> (&str, &str) {
    let is_mark = |line: &str, mark: &str| {
        line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    let (mut at, mut begun) = (0, false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start_matches(BOM);
        let starts = is_mark(bare, "---");
        if is_mark(bare, "...") || (starts && begun) {
            return text.split_at_checked(at).unwrap_or((text, ""));
        }
        let is_before = bare.trim().is_empty() || bare.trim_start().starts_with('#') || bare.starts_with('%');
        begun |= starts || !is_before;
        at += line.len();
    }
    (text, "")
}

/// A file's first document, which is a mapping or empty.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    text: String,
    /// What follows it, from the mark on.
    rest: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: At<String>,
    value: At<Value>,
}

/// The entries as `serde-saphyr` hands them over, places included.
struct Entries(Vec<(Spanned<String>, Spanned<Value>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_unit<E>(self) -> Result<Entries, E> {
                Ok(Entries(Vec::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Mapping {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let (text, rest) = first_document(text);
        let entries: Entries =
            serde_saphyr::from_str_with_options(text, options()).map_err(|error| fault(text, &error))?;
        let line = |location: serde_saphyr::Location| count(usize::try_from(location.line()).unwrap_or(usize::MAX));
        let entries = entries.0.into_iter().map(|(key, value)| Entry {
            key: At::new(key.value, line(key.referenced)),
            value: At::new(value.value, line(value.referenced)),
        });
        Ok(Self { text: text.to_owned(), rest: rest.to_owned(), entries: entries.collect() })
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &At<String>> {
        self.entries.iter().map(|entry| &entry.key)
    }

    /// Any value; the last of equal keys.
    pub fn value(&self, key: &str) -> Option<&At<Value>> {
        self.entries.iter().rev().find(|entry| entry.key.value == key).map(|entry| &entry.value)
    }

    /// A scalar as text; `null`, lists and mappings are none.
    pub fn scalar(&self, key: &str) -> Option<At<String>> {
        let found = self.value(key)?;
        Some(At::new(scalar_text(&found.value)?, found.line))
    }

    /// The text with scalars set or, for `None`, removed.
    ///
    /// A value reads as a number or a switch where it looks like one, unless the key holds a text now.
    pub fn with(&self, changes: &[(&str, Option<&str>)]) -> Result<String, FormatError> {
        let wanted: Vec<(&str, Option<Value>)> = changes
            .iter()
            .filter(|(key, new)| self.scalar(key).map(|at| at.value).as_deref() != *new || self.is_nested(key))
            .map(|(key, new)| (*key, new.map(|new| self.typed(key, new))))
            .filter(|(key, new)| new.is_some() || self.value(key).is_some())
            .collect();
        if wanted.is_empty() {
            return Ok(format!("{}{}", self.text, self.rest));
        }
        if let Some(refusal) = wanted.iter().find_map(|(key, _)| self.refusal(key)) {
            return Err(refusal);
        }
        let is_json = serde_json::from_str::<serde_json::Map<String, Value>>(&self.text).is_ok();
        let edited = match (is_json, self.is_open()) {
            (true, _) => self.json(&wanted)?,
            (false, true) => self.started(&wanted),
            (false, false) => self.edited(&wanted)?,
        };
        if is_json && serde_json::from_str::<Value>(&edited).is_err() {
            return Err(FormatError::internal("the edited document is no JSON any more"));
        }
        let edited = format!("{edited}{}", self.rest);
        self.check(&edited, &wanted)?;
        Ok(edited)
    }

    /// Why a key cannot be changed or added.
    fn refusal(&self, key: &str) -> Option<FormatError> {
        let refused = |line: u32, why: String| Some(FormatError::at_line(&self.text, line, why));
        let mut there = self.entries.iter().filter(|entry| entry.key.value == key);
        match (there.next(), there.next()) {
            (Some(_), Some(again)) => {
                refused(again.key.line, format!("{key} stands here again, and only the last one counts"))
            }
            (Some(entry), None) if self.is_nested(key) => {
                refused(entry.value.line, format!("{key} is not a single value"))
            }
            (None, _) if self.ends_in_block() => refused(
                count(self.text.lines().count()),
                "the last line has no line break, and would get one as a part of its value (`|` or `>`)".to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether the text ends without a line break in a block scalar that would keep one: goyaml and PyYAML read one more
    /// character there when something is put behind it; the reader here does not tell.
    fn ends_in_block(&self) -> bool {
        let is_indented = self.text.rsplit(['\n', '\r']).next().is_some_and(|line| line.starts_with(' '));
        let Some(last) = self.entries.last().filter(|_| is_indented) else { return false };
        let is_header = |line: &str| {
            let line = line.split(" #").next().unwrap_or(line).trim_end();
            let word = line.rsplit([' ', '\t']).next().unwrap_or_default();
            word.starts_with(['|', '>']) && word.len() <= 3 && !word.contains('-')
        };
        let above = usize::try_from(last.key.line).unwrap_or_default().saturating_sub(1);
        self.text.lines().skip(above).any(is_header)
    }

    fn is_nested(&self, key: &str) -> bool {
        self.value(key).is_some_and(|at| at.value.is_array() || at.value.is_object())
    }

    fn typed(&self, key: &str, new: &str) -> Value {
        if self.value(key).is_some_and(|at| at.value.is_string()) {
            return Value::from(new);
        }
        match (new, new.parse::<i64>()) {
            ("true", _) => Value::from(true),
            ("false", _) => Value::from(false),
            // `+1` and `007` do not come back as they were.
            (_, Ok(number)) if number.to_string() == new => Value::from(number),
            _ => Value::from(new),
        }
    }

    /// JSON stays JSON: what is there changes in its place, what is new goes behind the last key in the same layout.
    fn json(&self, wanted: &[(&str, Option<Value>)]) -> Result<String, FormatError> {
        let (there, new): (Vec<_>, Vec<_>) = wanted.iter().cloned().partition(|(key, _)| self.value(key).is_some());
        let mut text = if there.is_empty() { self.text.clone() } else { self.edited(&there)? };
        for (key, value) in new {
            let Some(value) = value else { continue };
            let open = text.find('{').map_or(0, |at| at + 1);
            let inner = text.get(open..).unwrap_or_default();
            let blanks = inner.len() - inner.trim_start().len();
            let gap = inner.get(..blanks).unwrap_or_default().to_owned();
            let close = text.rfind('}').unwrap_or(text.len());
            let end = text.get(..close).unwrap_or_default().trim_end().len();
            let colon = if text.contains("\": ") { ": " } else { ":" };
            let is_empty = text.get(..end).unwrap_or_default().ends_with('{');
            let (comma, gap) = match (is_empty, gap.is_empty()) {
                (true, _) => ("", String::new()),
                (false, true) if colon == ": " => (",", " ".to_owned()),
                _ => (",", gap),
            };
            text.insert_str(end, &format!("{comma}{gap}{}{colon}{value}", Value::from(key)));
        }
        Ok(text)
    }

    fn edited(&self, wanted: &[(&str, Option<Value>)]) -> Result<String, FormatError> {
        let file = yaml_edit::YamlFile::from_str(&self.text).map_err(|error| FormatError::new(error.to_string()))?;
        let mapping = file.document().and_then(|document| document.as_mapping());
        let mapping = mapping.ok_or_else(|| FormatError::new("the document holds no mapping that could be edited"))?;
        for (key, new) in wanted {
            match new {
                Some(Value::Bool(new)) => mapping.set(*key, *new),
                Some(Value::Number(new)) => mapping.set(*key, new.as_i64().unwrap_or_default()),
                Some(new) => match new.as_str().unwrap_or_default() {
                    text if is_ambiguous(text) => mapping.set(*key, yaml_edit::ScalarValue::double_quoted(text)),
                    text => mapping.set(*key, text),
                },
                None => {
                    mapping.remove(*key);
                }
            }
        }
        Ok(file.to_string())
    }

    /// Whether there is nothing but comments, so that lines put behind them are the document. `~` and `{}` have no
    /// entries either, but are values already.
    fn is_open(&self) -> bool {
        let (_, body) = split_bom(&self.text);
        let mut lines = body.split(['\n', '\r']).map(str::trim);
        self.entries.is_empty() && lines.all(|line| line.is_empty() || line == "---" || line.starts_with('#'))
    }

    /// An open document: the new lines go behind its comments.
    fn started(&self, wanted: &[(&str, Option<Value>)]) -> String {
        let newline = newline_of(&self.text);
        let (_, body) = split_bom(&self.text);
        let open = !body.is_empty() && !body.ends_with('\n');
        let lines = wanted.iter().filter_map(|(key, new)| {
            // JSON's way to write a scalar is one of YAML's.
            let value = match new.as_ref()? {
                Value::String(text) if is_plain(text) => text.clone(),
                other => other.to_string(),
            };
            Some(format!("{key}: {value}{newline}"))
        });
        let first = if open { newline } else { "" };
        format!("{}{first}{}", self.text, lines.collect::<String>())
    }

    /// An independent reader must find the wanted keys and, of the others, all and nothing else.
    fn check(&self, edited: &str, wanted: &[(&str, Option<Value>)]) -> Result<(), FormatError> {
        let after = Self::parse(edited)
            .map_err(|error| FormatError::new(format!("the document cannot be edited safely: {}", error.message)))?;
        let is_wanted = |entry: &&Entry| wanted.iter().any(|(key, _)| *key == entry.key.value);
        let others = |mapping: &Self| -> Vec<(String, Value)> {
            let others = mapping.entries.iter().filter(|entry| !is_wanted(entry));
            others.map(|entry| (entry.key.value.clone(), entry.value.value.clone())).collect()
        };
        let holds = wanted.iter().all(|(key, new)| after.value(key).map(|at| &at.value) == new.as_ref());
        let same = others(&after) == others(self) && after.rest == self.rest;
        if holds && same && comments(&after.text) >= comments(&self.text) {
            return Ok(());
        }
        // YAML is larger than what can be edited; whatever comes out wrong is refused here.
        Err(match rare(&self.text) {
            Some((line, what)) => {
                let message = format!("{what} stands here, and a document with one cannot be edited safely");
                FormatError::at_line(&self.text, line, message)
            }
            None => FormatError::new("the document is written in a way that cannot be edited safely"),
        })
    }
}

/// The first line with something that hand-written and generated configuration hardly ever has.
fn rare(text: &str) -> Option<(u32, &'static str)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let line = line.trim_start_matches([BOM, ' ', '-']);
        let value = line.split_once(": ").map_or(line, |(_, value)| value).trim_start();
        let what = match (line.chars().next(), value.chars().next()) {
            (Some('?'), _) => "an explicit key (`? …`)",
            (_, Some('!')) => "a tag (`!…`)",
            (_, Some('&' | '*')) => "an anchor or alias",
            _ => return None,
        };
        Some((count(index + 1), what))
    })
}

/// Full-line comments; an edit must not swallow one.
fn comments(text: &str) -> usize {
    text.lines().filter(|line| line.trim_start().starts_with('#')).count()
}

/// Whether a text can stand without quotes wherever a YAML reader looks at it: paths, endpoints, words.
fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(word)
        && !text.ends_with(':')
        && !is_ambiguous(text)
}

/// Words that YAML 1.1, which the kubelet's parser still follows here, takes for switches or for nothing.
fn is_ambiguous(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

fn fault(text: &str, error: &serde_saphyr::Error) -> FormatError {
    let shown = error.without_snippet().to_string();
    let to_u32 = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    match error.location() {
        Some(location) => {
            let (line, column) = (to_u32(location.line()), to_u32(location.column()));
            let message = shown.trim_end_matches(&format!(" at line {line}, column {column}"));
            // The parser advises its caller on its options there.
            let message = message.split([';', ',']).next().unwrap_or(message);
            FormatError::at_line_column(text, line, Some(column), message)
        }
        None => FormatError::new(shown),
    }
}
