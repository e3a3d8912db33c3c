//! dockerd's `daemon.json`.
//!
//! dockerd accepts a byte order mark and an empty file, but no comments. It reads the last of two equal keys without a
//! word; castoff refuses such a file, because an edit could change the one that does not count.

use super::{At, BOM, FormatError, line_of, newline_of, splice, split_bom};
use serde_json::Value;
use std::ops::Range;

/// A parsed `daemon.json`.
#[derive(Clone, Debug)]
pub struct DaemonJson {
    text: String,
    entries: Vec<Entry>,
    /// The object with its braces; `None` for an empty file.
    object: Option<Range<usize>>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    value: Value,
    key_range: Range<usize>,
    value_range: Range<usize>,
}

/// The key that holds options of the OCI runtime, `native.cgroupdriver` among them.
const EXEC_OPTS: &str = "exec-opts";

/// Reads a `daemon.json`; the empty text is one.
///
/// # Errors
/// See [`DaemonJson::parse`].
pub fn parse(text: &str) -> Result<DaemonJson, FormatError> {
    DaemonJson::parse(text)
}

impl DaemonJson {
    /// Reads a `daemon.json`; the empty text is one.
    ///
    /// # Errors
    /// Text that is not JSON, not an object, or has a key twice, with line and column.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let (bom, body) = split_bom(text);
        if body.trim().is_empty() {
            return Ok(Self { text: text.to_owned(), entries: Vec::new(), object: None });
        }
        let value = serde_json::from_str::<Value>(body).map_err(|error| fault(body, &error))?;
        let start = bom.len() + (body.len() - body.trim_start().len());
        let Value::Object(values) = value else {
            return Err(FormatError::at_offset(text, start, "not a JSON object"));
        };
        let mut scan = Scan { text, at: start };
        let parts = scan.object();
        let mut entries: Vec<Entry> = Vec::new();
        for (key_range, value_range) in parts {
            let raw = text.get(key_range.clone()).unwrap_or_default();
            let key: String = serde_json::from_str(raw).unwrap_or_default();
            if entries.iter().any(|entry| entry.key == key) {
                let error = FormatError::at_offset(text, key_range.start, format!("key {key:?} is there twice"));
                return Err(FormatError {
                    fix: Some("leave one of the two in the file; dockerd reads the last"),
                    ..error
                });
            }
            let value = values.get(&key).cloned().unwrap_or_default();
            entries.push(Entry { key, value, key_range, value_range });
        }
        Ok(Self { text: text.to_owned(), entries, object: Some(start..scan.at) })
    }

    /// Top-level keys with their values and lines, in the file's order.
    pub fn entries(&self) -> Vec<(String, Value, u32)> {
        let line = |entry: &Entry| line_of(&self.text, entry.key_range.start);
        self.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone(), line(entry))).collect()
    }

    /// The value of a top-level key, with the key's line.
    pub fn value(&self, key: &str) -> Option<At<&Value>> {
        let entry = self.entry(key)?;
        Some(At::new(&entry.value, line_of(&self.text, entry.key_range.start)))
    }

    /// An option of `exec-opts`, such as `native.cgroupdriver`. dockerd compares names without case and takes the first.
    pub fn exec_opt(&self, name: &str) -> Option<At<String>> {
        self.options(name).into_iter().next().map(|(item, value)| At::new(value, line_of(&self.text, item.start)))
    }

    /// The text in which `exec-opts` has `name=value`: in the place of the option's other value, else as a new item.
    ///
    /// # Errors
    /// `exec-opts` that is not a list of texts, with line and column. `internal: …` if the edited text does not say
    /// what was meant.
    pub fn with_exec_opt(&self, name: &str, value: &str) -> Result<String, FormatError> {
        let option = Value::from(format!("{name}={value}")).to_string();
        let edited = match self.entry(EXEC_OPTS) {
            None => self.with_entry(&format!("[{option}]")),
            Some(entry) => match &entry.value {
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    self.with_item(entry, name, value, &option)
                }
                Value::Null => splice(&self.text, entry.value_range.clone(), &format!("[{option}]")),
                _ => {
                    return Err(FormatError::at_offset(
                        &self.text,
                        entry.value_range.start,
                        "exec-opts is not a list of texts",
                    ));
                }
            },
        };
        self.check(&edited, name, value)?;
        Ok(edited)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The items of `exec-opts` that set an option, with their value.
    fn options(&self, name: &str) -> Vec<(Range<usize>, String)> {
        let Some(entry) = self.entry(EXEC_OPTS) else { return Vec::new() };
        let items = Scan { text: &self.text, at: entry.value_range.start }.array();
        let values = entry.value.as_array().into_iter().flatten();
        let pairs = items.into_iter().zip(values).filter_map(|(range, item)| {
            let (key, value) = item.as_str()?.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| (range, value.trim().to_owned()))
        });
        pairs.collect()
    }

    fn with_item(&self, entry: &Entry, name: &str, value: &str, option: &str) -> String {
        let known = self.options(name);
        if !known.is_empty() {
            let wrong = known.into_iter().rev().filter(|(_, old)| old != value);
            return wrong.fold(self.text.clone(), |text, (range, _)| splice(&text, range, option));
        }
        let items = Scan { text: &self.text, at: entry.value_range.start }.array();
        match items.last() {
            Some(last) => {
                let gap = self.gap_before(last.start).unwrap_or_else(|| " ".to_owned());
                splice(&self.text, last.end..last.end, &format!(",{gap}{option}"))
            }
            None => splice(&self.text, entry.value_range.clone(), &format!("[{option}]")),
        }
    }

    /// Adds `exec-opts` as the last key, laid out like the one before it.
    fn with_entry(&self, value: &str) -> String {
        let newline = newline_of(&self.text);
        let pair = format!("\"{EXEC_OPTS}\": {value}");
        match (&self.object, self.entries.last()) {
            (None, _) => {
                let bom = if self.text.starts_with(BOM) { "\u{feff}" } else { "" };
                format!("{bom}{{{newline}  {pair}{newline}}}{newline}")
            }
            (Some(object), None) => splice(&self.text, object.clone(), &format!("{{{newline}  {pair}{newline}}}")),
            (Some(_), Some(last)) => {
                let gap = self.gap_before(last.key_range.start).unwrap_or_else(|| " ".to_owned());
                splice(&self.text, last.value_range.end..last.value_range.end, &format!(",{gap}{pair}"))
            }
        }
    }

    /// Line end and indentation in front of a place, if it is the first on its line.
    fn gap_before(&self, at: usize) -> Option<String> {
        let before = self.text.get(..at)?;
        let indent = before.len() - before.trim_end_matches([' ', '\t']).len();
        before.get(..at - indent)?.ends_with('\n').then_some(())?;
        Some(format!("{}{}", newline_of(&self.text), before.get(at - indent..)?))
    }

    fn check(&self, edited: &str, name: &str, value: &str) -> Result<(), FormatError> {
        let after = Self::parse(edited).map_err(|error| FormatError::internal(format!("edited text: {error}")))?;
        let others = |file: &Self| -> Vec<(String, Value)> {
            let rest = file.entries.iter().filter(|entry| entry.key != EXEC_OPTS);
            rest.map(|entry| (entry.key.clone(), entry.value.clone())).collect()
        };
        let rest = |file: &Self| -> Vec<Value> {
            let all = file.entry(EXEC_OPTS).and_then(|entry| entry.value.as_array()).cloned().unwrap_or_default();
            let own = |item: &Value| {
                let key = item.as_str().and_then(|item| item.split_once('=')).map(|(key, _)| key.trim());
                key.is_some_and(|key| key.eq_ignore_ascii_case(name))
            };
            all.into_iter().filter(|item| !own(item)).collect()
        };
        let set = after.exec_opt(name).is_some_and(|at| at.value == value.trim());
        if set && others(&after) == others(self) && rest(&after) == rest(self) {
            return Ok(());
        }
        Err(FormatError::internal("the edited file differs from what was meant"))
    }
}

fn fault(text: &str, error: &serde_json::Error) -> FormatError {
    let to_u32 = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (line, column) = (to_u32(error.line()).max(1), to_u32(error.column()).max(1));
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    FormatError::at_line_column(text, line, Some(column), message)
}

/// Finds the parts of JSON that a real parser has accepted. Never panics on other text.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':')) {
            self.at += 1;
        }
    }

    /// Keys and values of an object, from its opening to behind its closing brace.
    fn object(&mut self) -> Vec<(Range<usize>, Range<usize>)> {
        let mut out = Vec::new();
        self.at += 1;
        loop {
            self.skip();
            match self.peek() {
                None => return out,
                Some(b'}') => {
                    self.at += 1;
                    return out;
                }
                Some(_) => {}
            }
            let key = self.value();
            self.skip();
            let value = self.value();
            out.push((key, value));
        }
    }

    /// The items of an array.
    fn array(&mut self) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        if self.peek() != Some(b'[') {
            return out;
        }
        self.at += 1;
        loop {
            self.skip();
            match self.peek() {
                None | Some(b']') => return out,
                Some(_) => out.push(self.value()),
            }
        }
    }

    fn value(&mut self) -> Range<usize> {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.string(),
                b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                _ if depth > 0 => self.at += 1,
                _ => self.word(),
            }
            if depth == 0 {
                break;
            }
        }
        start..self.at
    }

    fn word(&mut self) {
        self.at += 1;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
            self.at += 1;
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CGROUP: &str = "native.cgroupdriver";

    fn systemd(text: &str) -> String {
        parse(text).unwrap().with_exec_opt(CGROUP, "systemd").unwrap()
    }

    #[test]
    fn entries_keep_order_and_lines() {
        let file = parse("\u{feff}{\n  \"log-opts\": {\"max-size\": \"10m\", \"x\": [1, \"}\"]},\n\n  \"exec-opts\":\n    [\"native.cgroupdriver=systemd\"], \"a\\u0062\": null\n}\n").unwrap();
        let seen: Vec<_> = file.entries().into_iter().map(|(key, _, line)| (key, line)).collect();
        assert_eq!(seen, [("log-opts".into(), 2), ("exec-opts".into(), 4), ("ab".into(), 5)]);
        assert_eq!(file.exec_opt(CGROUP), Some(At::new("systemd".into(), 5)));
        assert_eq!(file.exec_opt("other"), None);
        assert_eq!(file.value("ab").unwrap().value, &Value::Null);
    }

    #[test]
    fn the_option_is_set_in_the_files_own_layout() {
        for (text, expected) in [
            ("", "{\n  \"exec-opts\": [\"native.cgroupdriver=systemd\"]\n}\n"),
            ("\u{feff}", "\u{feff}{\n  \"exec-opts\": [\"native.cgroupdriver=systemd\"]\n}\n"),
            ("{}\n", "{\n  \"exec-opts\": [\"native.cgroupdriver=systemd\"]\n}\n"),
            ("{\"a\":1}", "{\"a\":1, \"exec-opts\": [\"native.cgroupdriver=systemd\"]}"),
            (
                "{\r\n\t\"a\": {\r\n\t\t\"b\": 1\r\n\t}\r\n}\r\n",
                "{\r\n\t\"a\": {\r\n\t\t\"b\": 1\r\n\t},\r\n\t\"exec-opts\": [\"native.cgroupdriver=systemd\"]\r\n}\r\n",
            ),
            (
                "{\"exec-opts\": [\"native.cgroupdriver=cgroupfs\" , \"x=y\"]}\n",
                "{\"exec-opts\": [\"native.cgroupdriver=systemd\" , \"x=y\"]}\n",
            ),
            (
                "{\n \"exec-opts\": [\n   \"x=y\"\n ]\n}",
                "{\n \"exec-opts\": [\n   \"x=y\",\n   \"native.cgroupdriver=systemd\"\n ]\n}",
            ),
            ("{\"exec-opts\": null}", "{\"exec-opts\": [\"native.cgroupdriver=systemd\"]}"),
            ("{\"exec-opts\": [ ]}", "{\"exec-opts\": [\"native.cgroupdriver=systemd\"]}"),
            (
                "{\"exec-opts\":[\"Native.CgroupDriver = systemd\"]}",
                "{\"exec-opts\":[\"Native.CgroupDriver = systemd\"]}",
            ),
            (
                "{\"exec-opts\":[\"native.cgroupdriver=a\",\"native.cgroupdriver=systemd\",\"native.cgroupdriver=b\"]}",
                "{\"exec-opts\":[\"native.cgroupdriver=systemd\",\"native.cgroupdriver=systemd\",\"native.cgroupdriver=systemd\"]}",
            ),
        ] {
            assert_eq!(systemd(text), expected, "{text}");
            assert_eq!(systemd(expected), expected);
        }
    }

    #[test]
    fn faults_name_line_and_column() {
        for (text, line, column) in
            [("{\n \"a\": 1,\n \"a\": 2\n}", 3, 2), ("{\n // no\n}", 2, 2), ("[1]", 1, 1), ("{\"a\": }", 1, 7)]
        {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line, error.column), (Some(line), Some(column)), "{text}: {error}");
            assert_eq!(error.fix.is_some(), error.message.contains("twice"), "{text}: {error}");
        }
        for text in ["{\"exec-opts\": \"x\"}", "{\"exec-opts\": [1]}"] {
            let error = parse(text).unwrap().with_exec_opt(CGROUP, "systemd").unwrap_err();
            assert_eq!((error.line, error.column), (Some(1), Some(15)));
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c\"\\\\{}\\[\\],: ä\n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::hash_map("[a-c\"]{1,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_edit_changes_one_option(
            map in proptest::collection::hash_map("[a-c\"\\\\]{1,3}", json(), 0..4),
            opts in proptest::option::of(proptest::collection::vec("[a-c=\"]{0,4}|native.cgroupdriver=cgroupfs", 0..3)),
            pretty in any::<bool>(),
        ) {
            let mut object: serde_json::Map<String, Value> = map.into_iter().collect();
            if let Some(opts) = opts { object.insert(EXEC_OPTS.to_owned(), Value::from(opts)); }
            let value = Value::Object(object);
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            // The edit checks itself; what is left to see is that it succeeds, and only once.
            let out = systemd(&text);
            prop_assert_eq!(systemd(&out), out);
        }

        #[test]
        fn any_text_is_survived(text in "[\\[\\]{}\":, a1\\\\\n]{0,40}") {
            if let Ok(file) = parse(&text) {
                let _ = file.with_exec_opt(CGROUP, "systemd");
            }
            Scan { text: &text, at: 0 }.object();
            Scan { text: &text, at: 0 }.array();
        }
    }
}
