//! Where things stand in the text of a TOML document.
//!
//! `toml_edit` keeps the places of values but not of the parts of a table header, and it drops carriage returns when it
//! writes a document. Edits here are therefore cuts in the text itself, and this file finds where to cut. It expects a
//! document that a real parser has accepted; on anything else its answers are useless but it never panics.

use std::ops::Range;

/// One part of a key: `runc` in `[plugins.cri.containerd.runtimes.runc]`.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The name without quotes and escapes.
    pub name: String,
    /// Where it stands, quotes included.
    pub range: Range<usize>,
}

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[a.b]`
    Table,
    /// `[[a.b]]`
    ArrayOfTables,
    /// `a.b = value`
    Value,
}

/// A table header or a key with its value.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub kind: Kind,
    /// The table it belongs to, as names; for a header its own full name.
    pub section: Vec<String>,
    /// The key or header as written.
    pub keys: Vec<Segment>,
    /// The value; empty for headers.
    pub value: Range<usize>,
    /// The whole lines it takes, indentation and line end included.
    pub lines: Range<usize>,
}

impl Statement {
    /// The full path of what the statement defines.
    pub fn path(&self) -> Vec<&str> {
        let keys = self.keys.iter().map(|segment| segment.name.as_str());
        match self.kind {
            Kind::Value => self.section.iter().map(String::as_str).chain(keys).collect(),
            Kind::Table | Kind::ArrayOfTables => self.section.iter().map(String::as_str).collect(),
        }
    }

    /// Whether this is a header.
    pub fn is_header(&self) -> bool {
        self.kind != Kind::Value
    }
}

/// One `key = value` inside braces.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub keys: Vec<Segment>,
    pub value: Range<usize>,
}

/// Marks the name of an array of tables, so that no path of ours leads into one.
const ARRAY_MARK: &str = "[[]]";

/// All statements of a document, in order.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let mut out = Vec::new();
    let mut scan = Scan { text, at: 0 };
    let mut section: Vec<String> = Vec::new();
    loop {
        scan.skip_blank();
        let Some(byte) = scan.peek() else { break };
        let start = scan.line_start();
        let (kind, keys, value) = if byte == b'[' {
            let (kind, keys) = scan.header();
            section = keys.iter().map(|segment| segment.name.clone()).collect();
            if kind == Kind::ArrayOfTables {
                section.push(ARRAY_MARK.to_owned());
            }
            (kind, keys, scan.at..scan.at)
        } else {
            let keys = scan.keys();
            scan.skip_spaces();
            scan.eat(b'=');
            scan.skip_spaces();
            let value = scan.value();
            (Kind::Value, keys, value)
        };
        scan.finish_line();
        out.push(Statement { kind, section: section.clone(), keys, value, lines: start..scan.at });
    }
    out
}

/// The entries of an inline table; `range` covers it with its braces.
pub(super) fn inline_entries(text: &str, range: &Range<usize>) -> Vec<Entry> {
    let mut out = Vec::new();
    let mut scan = Scan { text, at: range.start };
    scan.eat(b'{');
    while scan.at < range.end {
        scan.skip_blank_and(b',');
        match scan.peek() {
            None | Some(b'}') => break,
            Some(_) => {}
        }
        let before = scan.at;
        let keys = scan.keys();
        scan.skip_spaces();
        scan.eat(b'=');
        scan.skip_spaces();
        let value = scan.value();
        out.push(Entry { keys, value });
        scan.must_move(before);
    }
    out
}

/// The items of an array; `range` covers it with its brackets.
pub(super) fn array_items(text: &str, range: &Range<usize>) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut scan = Scan { text, at: range.start };
    scan.eat(b'[');
    while scan.at < range.end {
        scan.skip_blank_and(b',');
        match scan.peek() {
            None | Some(b']') => break,
            Some(_) => {}
        }
        let before = scan.at;
        out.push(scan.value());
        scan.must_move(before);
    }
    out
}

/// Where something stands that is neither blank nor comment, from an offset on.
pub(super) fn skip_blank(text: &str, at: usize) -> usize {
    let mut scan = Scan { text, at };
    scan.skip_blank();
    scan.at
}

/// The first place of a document, and what is wrong there, that TOML 1.1 allows and 1.0 does not.
pub(in crate::formats) fn beyond_1_0(text: &str) -> Option<(usize, &'static str)> {
    statements(text).iter().find_map(|statement| {
        let in_keys = statement.keys.iter().find_map(|key| new_escape(text, &key.range));
        in_keys.or_else(|| beyond_in_value(text, &statement.value))
    })
}

fn beyond_in_value(text: &str, range: &Range<usize>) -> Option<(usize, &'static str)> {
    match text.as_bytes().get(range.start)? {
        b'"' => new_escape(text, range),
        b'[' => array_items(text, range).iter().find_map(|item| beyond_in_value(text, item)),
        b'{' => beyond_in_braces(text, range),
        _ => None,
    }
}

fn beyond_in_braces(text: &str, range: &Range<usize>) -> Option<(usize, &'static str)> {
    let find = |gap: Range<usize>, what: char| Some(gap.start + text.get(gap.clone())?.find(what)?);
    let line_break = |gap: Range<usize>| Some((find(gap, '\n')?, "no line break inside `{…}`"));
    let mut gap = range.start + 1;
    for Entry { keys, value } in inline_entries(text, range) {
        let start = keys.first().map_or(value.start, |key| key.range.start);
        let found = line_break(gap..start)
            .or_else(|| keys.iter().find_map(|key| new_escape(text, &key.range)))
            .or_else(|| beyond_in_value(text, &value));
        if found.is_some() {
            return found;
        }
        gap = value.end;
    }
    let last = gap..range.end.saturating_sub(1);
    line_break(last.clone()).or_else(|| Some((find(last, ',')?, "no comma before `}`")))
}

fn new_escape(text: &str, range: &Range<usize>) -> Option<(usize, &'static str)> {
    let raw = text.get(range.clone()).filter(|raw| raw.starts_with('"'))?;
    let mut bytes = raw.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' && bytes.next().is_some_and(|(_, next)| matches!(next, b'x' | b'e')) {
            return Some((range.start + at, "no `\\x` and no `\\e` in a text"));
        }
    }
    None
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn starts_with(&self, what: &str) -> bool {
        self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(what.as_bytes()))
    }

    fn eat(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.at += 1;
        }
    }

    fn eat_while(&mut self, test: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&test) {
            self.at += 1;
        }
    }

    /// Every loop must come to an end, also on text that is not TOML.
    fn must_move(&mut self, before: usize) {
        if self.at == before {
            self.at += 1;
        }
    }

    fn skip_spaces(&mut self) {
        self.eat_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn skip_comment(&mut self) {
        if self.peek() == Some(b'#') {
            self.eat_while(|byte| byte != b'\n');
        }
    }

    /// Spaces, line ends and comments.
    fn skip_blank(&mut self) {
        self.skip_blank_and(b'\n');
    }

    fn skip_blank_and(&mut self, extra: u8) {
        loop {
            self.eat_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n') || byte == extra);
            if self.peek() != Some(b'#') {
                return;
            }
            self.skip_comment();
        }
    }

    fn line_start(&self) -> usize {
        let before = self.text.as_bytes().get(..self.at).unwrap_or_default();
        before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
    }

    /// To the start of the next line.
    fn finish_line(&mut self) {
        self.eat_while(|byte| byte != b'\n');
        self.eat(b'\n');
    }

    fn header(&mut self) -> (Kind, Vec<Segment>) {
        self.eat(b'[');
        let kind = if self.peek() == Some(b'[') { Kind::ArrayOfTables } else { Kind::Table };
        self.eat(b'[');
        let keys = self.keys();
        self.skip_spaces();
        self.eat(b']');
        if kind == Kind::ArrayOfTables {
            self.eat(b']');
        }
        (kind, keys)
    }

    /// A key with its dots.
    fn keys(&mut self) -> Vec<Segment> {
        let mut out = Vec::new();
        loop {
            self.skip_spaces();
            let start = self.at;
            match self.peek() {
                Some(b'"' | b'\'') => self.string(),
                _ => self.eat_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')),
            }
            let raw = self.text.get(start..self.at).unwrap_or_default();
            out.push(Segment { name: key_name(raw), range: start..self.at });
            self.skip_spaces();
            if self.peek() != Some(b'.') {
                return out;
            }
            self.at += 1;
        }
    }

    /// Any value, from its first to behind its last byte.
    fn value(&mut self) -> Range<usize> {
        let start = self.at;
        match self.peek() {
            Some(b'"' | b'\'') => self.string(),
            Some(b'[' | b'{') => self.nested(),
            // Dates with a space between day and time are one value.
            _ => {
                self.eat_while(|byte| !matches!(byte, b',' | b']' | b'}' | b'#' | b'\n' | b'\r'));
                let raw = self.text.get(start..self.at).unwrap_or_default();
                self.at = start + raw.trim_end_matches([' ', '\t']).len();
            }
        }
        start..self.at
    }

    /// An array or inline table. Counting brackets is enough: strings and comments are skipped as a whole.
    fn nested(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' | b'\'' => {
                    self.string();
                    continue;
                }
                b'#' => {
                    self.skip_comment();
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        let Some(quote) = self.peek() else { return };
        let (long, escapes) = if quote == b'"' { ("\"\"\"", true) } else { ("'''", false) };
        if !self.starts_with(long) {
            self.at += 1;
            self.string_body(|scan| scan.peek() == Some(quote), escapes);
            self.eat(quote);
            return;
        }
        self.at += 3;
        self.string_body(|scan| scan.starts_with(long), escapes);
        // A long string may end in up to two quotes of its own, directly before the closing three.
        self.eat_while(|byte| byte == quote);
    }

    fn string_body(&mut self, ends: impl Fn(&Self) -> bool, escapes: bool) {
        while let Some(byte) = self.peek() {
            if ends(self) {
                return;
            }
            self.at += if escapes && byte == b'\\' { 2 } else { 1 };
        }
        self.at = self.at.min(self.text.len());
    }
}

fn key_name(raw: &str) -> String {
    raw.parse::<toml_edit::Key>().map_or_else(|_| raw.to_owned(), |key| key.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
        text.get(range.clone()).unwrap()
    }

    #[test]
    fn statements_know_their_path_and_lines() {
        let text = "# top\nversion = 2 # why\n\n[plugins]\n  [ plugins . 'io.containerd.x' ]\r\n    a.\"b c\" = [ # [\n  \"x]\",\n]\n[[list]]\nz = 1979-05-27 07:32:00\n";
        let all = statements(text);
        let seen: Vec<_> = all.iter().map(|s| (s.path().join("/"), text_of(text, &s.value))).collect();
        assert_eq!(
            seen,
            [
                ("version".to_owned(), "2"),
                ("plugins".to_owned(), ""),
                ("plugins/io.containerd.x".to_owned(), ""),
                ("plugins/io.containerd.x/a/b c".to_owned(), "[ # [\n  \"x]\",\n]"),
                ("list/[[]]".to_owned(), ""),
                ("list/[[]]/z".to_owned(), "1979-05-27 07:32:00"),
            ]
        );
        assert_eq!(text_of(text, &all[0].lines), "version = 2 # why\n");
        assert_eq!(text_of(text, &all[2].lines), "  [ plugins . 'io.containerd.x' ]\r\n");
        assert_eq!(text_of(text, &all[3].lines), "    a.\"b c\" = [ # [\n  \"x]\",\n]\n");
    }

    #[test]
    fn strings_hide_brackets_quotes_and_comments() {
        let text =
            "a = \"\"\"x\n[no]\n\\\"\"\"\"\"\nb = '''[#'''\nc = \"\\\"#\"\nd = { e = \"}\", 'f' = { g = [1, 2] } }\n";
        let all = statements(text);
        let names: Vec<_> = all.iter().map(|s| s.path().join("/")).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        let entries = inline_entries(text, &all[3].value);
        let values: Vec<_> = entries.iter().map(|e| text_of(text, &e.value)).collect();
        assert_eq!(values, ["\"}\"", "{ g = [1, 2] }"]);
        assert_eq!(entries[1].keys[0].name, "f");
    }

    #[test]
    fn what_toml_1_1_added_is_found() {
        for (text, at) in [
            ("a = { b = 1, }", 11),
            ("a = {\n b = 1 }", 5),
            ("a = { b = 1,\n c = 2 }", 12),
            ("a = { b = 1 # c\n}", 15),
            ("a = [{ b = [1], },]", 14),
            ("a = { b = { c = 1, } }", 17),
            ("a = \"x\\x41\"", 6),
            ("a = \"\"\"\n\\e\"\"\"", 8),
            ("[\"\\x41\"]", 2),
            ("a = { \"\\e\" = 1 }", 7),
        ] {
            assert_eq!(beyond_1_0(text).map(|found| found.0), Some(at), "{text}");
            assert!(text.parse::<toml_edit::DocumentMut>().is_ok(), "{text}");
        }
        for text in [
            "a = { b = [1,\n 2,\n], c = \"\"\"\n,\"\"\" } # ,}\n",
            "a = [ # c\n 1,\n]\nb = {}\nc = { }\n",
            "a = '\\x41'\nb = \"\\\\x41\\\\e\"\nc = \"\"\"\\\\e\\\n\"\"\"\n",
            "a = { b = '}, ', c = \",}\" }\n",
        ] {
            assert_eq!(beyond_1_0(text), None, "{text}");
            assert!(text.parse::<toml_edit::DocumentMut>().is_ok(), "{text}");
        }
    }

    #[test]
    fn array_items_are_found_across_lines_and_comments() {
        let text = "[ 'a', # not ] this\n  [1, 2],\n \"b\",\n]";
        let items: Vec<_> = array_items(text, &(0..text.len())).iter().map(|r| text_of(text, r)).collect();
        assert_eq!(items, ["'a'", "[1, 2]", "\"b\""]);
        assert!(array_items("[]", &(0..2)).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[\\[\\]{}\"'=.,# \\\\\na-z1\r]{0,80}") {
            for statement in statements(&text) {
                prop_assert!(text.get(statement.lines.clone()).is_some());
                inline_entries(&text, &statement.value);
                array_items(&text, &statement.value);
            }
            beyond_1_0(&text);
        }

        #[test]
        fn any_unicode_is_survived(text in ".{0,80}") {
            for statement in statements(&text) {
                prop_assert!(text.get(statement.lines.clone()).is_some());
            }
        }
    }
}
