//! Files that systemd reads for `EnvironmentFile=`: `kubeadm-flags.env`, `/etc/default/kubelet`, `/etc/default/docker`.
//!
//! The grammar is the state machine of systemd's `env-file.c` (257; a backslash at the end of a comment continues the
//! comment only before 254). It is not a shell's: `export X=1` is not an assignment, `#` inside a value is text, and a
//! quote counts only at the start of a value or behind another quoted piece.

use super::{At, BOM, newline_of, splice};
use std::ops::Range;

/// A parsed environment file.
#[derive(Clone, Debug)]
pub struct EnvFile {
    text: String,
    assignments: Vec<Assignment>,
    unreadable: Vec<At<String>>,
    /// What a text appended to the file would still belong to.
    open: State,
}

#[derive(Clone, Debug)]
struct Assignment {
    name: String,
    value: String,
    line: u32,
    /// The value as written, without the line end.
    raw: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    BeforeKey,
    Key,
    BeforeValue,
    Value,
    ValueEscape,
    Single,
    Double,
    DoubleEscape,
    Comment,
    CommentEscape,
}

/// Reads an environment file; any text is one, since systemd skips what it does not understand.
pub fn parse(text: &str) -> EnvFile {
    let mut reader = Reader::new(text);
    for (at, c) in text.char_indices() {
        if !(at == 0 && c == BOM) {
            reader.step(at, c);
        }
    }
    reader.finish()
}

impl EnvFile {
    /// Reads an environment file; any text is one, since systemd skips what it does not understand.
    pub fn parse(text: &str) -> Self {
        parse(text)
    }

    /// The value of a variable without quotes and escapes; the last assignment wins.
    pub fn get(&self, name: &str) -> Option<At<String>> {
        self.last(name).map(|found| At::new(found.value.clone(), found.line))
    }

    /// All assignments in the file's order, overridden ones included.
    pub fn vars(&self) -> Vec<(String, At<String>)> {
        let pair = |found: &Assignment| (found.name.clone(), At::new(found.value.clone(), found.line));
        self.assignments.iter().map(pair).collect()
    }

    /// Lines that systemd ignores although they are no comments: no `=`, or a name that is none (`export X=1`).
    pub fn unreadable_lines(&self) -> Vec<At<String>> {
        self.unreadable.clone()
    }

    /// The text with `name` set to `value`: in the place and the quotes it had, else as a new last line.
    ///
    /// `name` must be a variable name; systemd ignores the line otherwise.
    pub fn with(&self, name: &str, value: &str) -> String {
        match self.last(name) {
            Some(found) if found.value == value => self.text.clone(),
            Some(found) => {
                let place = self.solid(&found.raw);
                let old = self.text.get(place.clone()).unwrap_or_default();
                splice(&self.text, place, &written_like(old, value))
            }
            None => self.appended(name, value),
        }
    }

    fn last(&self, name: &str) -> Option<&Assignment> {
        self.assignments.iter().rev().find(|found| found.name == name)
    }

    /// A value without the blanks around it that mean nothing. A backslash may stand before the last blank and give it
    /// a meaning; then the end stays.
    fn solid(&self, raw: &Range<usize>) -> Range<usize> {
        let old = self.text.get(raw.clone()).unwrap_or_default();
        let start = raw.end - old.trim_start_matches([' ', '\t']).len();
        let rest = self.text.get(start..raw.end).unwrap_or_default();
        let end = if rest.contains('\\') { raw.end } else { start + rest.trim_end_matches([' ', '\t']).len() };
        start..end
    }

    fn appended(&self, name: &str, value: &str) -> String {
        let newline = newline_of(&self.text);
        // What is still open would swallow the new line.
        let close = match self.open {
            State::BeforeKey if self.text.is_empty() || self.text.ends_with(['\n', BOM]) => String::new(),
            State::Single => format!("'{newline}"),
            State::Double => format!("\"{newline}"),
            State::DoubleEscape => format!("\n\"{newline}"),
            State::ValueEscape => format!("\n{newline}"),
            _ => newline.to_owned(),
        };
        format!("{}{close}{name}={}{newline}", self.text, double_quoted(value))
    }
}

/// A value in the quoting style of the one it replaces, where that can hold it.
fn written_like(old: &str, value: &str) -> String {
    if old.starts_with('\'') && !value.contains('\'') {
        return format!("'{value}'");
    }
    let bare_was = !old.starts_with(['"', '\'']) && !old.contains('\\') && !old.is_empty();
    let blank_ends = value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
    let bare_can =
        !value.is_empty() && !blank_ends && !value.contains(['\\', '\n', '\r']) && !value.starts_with(['"', '\'']);
    if bare_was && bare_can { value.to_owned() } else { double_quoted(value) }
}

/// In double quotes. The dollar sign and the backtick mean nothing to systemd, but these files are sourced by shells too.
fn double_quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '`' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Reader<'a> {
    text: &'a str,
    state: State,
    line: u32,
    key: String,
    key_line: u32,
    value: String,
    /// Length of the value without trailing blanks, while those are collected.
    solid: Option<usize>,
    value_start: usize,
    line_start: usize,
    assignments: Vec<Assignment>,
    unreadable: Vec<At<String>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            state: State::BeforeKey,
            line: 1,
            key: String::new(),
            key_line: 1,
            value: String::new(),
            solid: None,
            value_start: 0,
            line_start: 0,
            assignments: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    fn step(&mut self, at: usize, c: char) {
        match self.state {
            State::BeforeKey => self.before_key(at, c),
            State::Key => self.in_key(at, c),
            State::BeforeValue => match c {
                c if is_newline(c) => self.push(at),
                '\'' => self.state = State::Single,
                '"' => self.state = State::Double,
                '\\' => self.state = State::ValueEscape,
                c if is_blank(c) => {}
                c => {
                    self.state = State::Value;
                    self.value.push(c);
                }
            },
            State::Value => self.in_value(at, c),
            State::ValueEscape => {
                self.state = State::Value;
                if !is_newline(c) {
                    self.value.push(c);
                }
            }
            State::Single if c == '\'' => self.state = State::BeforeValue,
            State::Double if c == '"' => self.state = State::BeforeValue,
            State::Double if c == '\\' => self.state = State::DoubleEscape,
            State::Single | State::Double => self.value.push(c),
            State::DoubleEscape => {
                self.state = State::Double;
                match c {
                    '"' | '\\' | '`' | '$' => self.value.push(c),
                    '\n' => {}
                    c => self.value.extend(['\\', c]),
                }
            }
            State::Comment if c == '\\' => self.state = State::CommentEscape,
            State::Comment | State::CommentEscape => {
                self.state = if is_newline(c) { State::BeforeKey } else { State::Comment };
            }
        }
        if c == '\n' {
            self.line = self.line.saturating_add(1);
        }
    }

    fn before_key(&mut self, at: usize, c: char) {
        if matches!(c, '#' | ';') {
            self.state = State::Comment;
        } else if !is_blank(c) {
            self.state = State::Key;
            self.key = String::from(c);
            self.key_line = self.line;
            self.line_start = at;
        }
    }

    fn in_key(&mut self, at: usize, c: char) {
        if is_newline(c) {
            self.state = State::BeforeKey;
            self.ignore(at);
        } else if c == '=' {
            self.state = State::BeforeValue;
            self.value.clear();
            self.solid = None;
            self.value_start = at + 1;
        } else {
            self.key.push(c);
        }
    }

    fn in_value(&mut self, at: usize, c: char) {
        if is_newline(c) {
            self.push(at);
        } else if c == '\\' {
            self.state = State::ValueEscape;
            self.solid = None;
        } else {
            if !is_blank(c) {
                self.solid = None;
            } else if self.solid.is_none() {
                self.solid = Some(self.value.len());
            }
            self.value.push(c);
        }
    }

    fn push(&mut self, end: usize) {
        if self.state == State::Value
            && let Some(solid) = self.solid
        {
            self.value.truncate(solid);
        }
        self.state = State::BeforeKey;
        let name = self.key.trim_end_matches([' ', '\t']).to_owned();
        if !is_name(&name) {
            self.ignore(end);
            return;
        }
        let value = std::mem::take(&mut self.value);
        self.assignments.push(Assignment { name, value, line: self.key_line, raw: self.value_start..end });
    }

    fn ignore(&mut self, end: usize) {
        let line = self.text.get(self.line_start..end).unwrap_or_default();
        self.unreadable.push(At::new(line.to_owned(), self.key_line));
    }

    fn finish(mut self) -> EnvFile {
        let open = self.state;
        let end = self.text.len();
        match open {
            State::Key => self.ignore(end),
            State::BeforeKey | State::Comment | State::CommentEscape => {}
            _ => self.push(end),
        }
        EnvFile { text: self.text.to_owned(), assignments: self.assignments, unreadable: self.unreadable, open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_as_systemd_reads_them() {
        for (text, expected) in [
            ("A=b", "b"),
            ("A = b c  \n", "b c"),
            ("A=\"b c\"\n", "b c"),
            ("A='b \\n'\n", "b \\n"),
            ("A=\"a\"\"b\"\n", "ab"),
            ("A=\"a\" b\n", "ab"),
            ("A=a\"b\"\n", "a\"b\""),
            ("A=a\\ b\\\nc\n", "a bc"),
            ("A=\"x\\\"y\\$z\\n\"\n", "x\"y$z\\n"),
            ("A=\"x\\\ny\"\n", "xy"),
            ("A=b # c\r\n", "b # c"),
            ("A=\"open", "open"),
            ("A=\n", ""),
            ("# A=no\n;A=no\nA=yes\n", "yes"),
            ("# c \\\nA=yes\n", "yes"),
            ("A=1\nA=2\n", "2"),
            ("\u{feff}A=bom\n", "bom"),
        ] {
            assert_eq!(parse(text).get("A").map(|at| at.value).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn lines_are_those_of_the_name() {
        let file = parse("# c\n\nA=\"x\ny\"\r\nB=2\nexport C=3\nnonsense\n=1\n");
        assert_eq!(file.vars().iter().map(|(n, at)| (n.as_str(), at.line)).collect::<Vec<_>>(), [("A", 3), ("B", 5)]);
        let ignored: Vec<_> = file.unreadable_lines().into_iter().map(|at| (at.line, at.value)).collect();
        assert_eq!(ignored, [(6, "export C=3".into()), (7, "nonsense".into()), (8, "=1".into())]);
    }

    #[test]
    fn replacing_keeps_the_quotes_and_everything_else() {
        for (text, value, expected) in [
            ("K=\"--a=b\"\n# end\n", "--c", "K=\"--c\"\n# end\n"),
            ("K='--a'\r\nX=1\r\n", "--c d", "K='--c d'\r\nX=1\r\n"),
            ("K=--a\n", "--c d", "K=--c d\n"),
            ("K=--a\n", " x", "K=\" x\"\n"),
            ("K='a'\n", "it's", "K=\"it's\"\n"),
            ("K=\n", "", "K=\n"),
            ("K=\n", "a", "K=\"a\"\n"),
            ("K=a\\\n b\nL=1\n", "c", "K=\"c\"\nL=1\n"),
            ("K=1\nK=2\n", "3", "K=1\nK=3\n"),
            ("K=\"a\"'b' \n", "ab", "K=\"a\"'b' \n"),
            ("  K = \"a\"\n", "b", "  K = \"b\"\n"),
            ("K= a \t\n", "b", "K= b \t\n"),
        ] {
            assert_eq!(parse(text).with("K", value), expected, "{text:?}");
        }
    }

    #[test]
    fn missing_variables_are_appended_where_they_count() {
        for text in ["", "A=1", "A=1\n", "A=\"open", "A='open", "A=x\\", "A=\"x\\", "# c\\", "# c", "junk", "A=1\r\n"] {
            let out = parse(text).with("K", "--a \"b\" $c");
            assert_eq!(parse(&out).get("K").map(|at| at.value).as_deref(), Some("--a \"b\" $c"), "{out:?}");
            assert!(out.starts_with(text), "{out:?}");
        }
        assert_eq!(parse("A=1\r\n").with("K", "v"), "A=1\r\nK=\"v\"\r\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else_changes(
            text in "([A-C ]{1,2}=?[a-c\"'\\\\ #$\r\n]{0,6}\n?){0,6}",
            value in "[a-c\"'\\\\ #$`\n=-]{0,10}",
        ) {
            let before = parse(&text);
            let out = before.with("B", &value);
            let after = parse(&out);
            prop_assert_eq!(after.get("B").map(|at| at.value), Some(value.clone()));
            let others = |file: &EnvFile| file.vars().into_iter().filter(|(n, _)| n != "B").map(|(n, at)| (n, at.value)).collect::<Vec<_>>();
            prop_assert_eq!(others(&after), others(&before));
            prop_assert_eq!(after.with("B", &value), out);
        }

        #[test]
        fn any_text_is_survived(text in ".{0,60}") {
            parse(&text).with("A", "x");
        }
    }
}
