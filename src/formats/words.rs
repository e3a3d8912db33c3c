//! Words as systemd cuts them (`extract_first_word` in its source).
//!
//! Quotes may stand anywhere in a word (`a"b c"d` is one word), a backslash takes the next character out of its role,
//! and what is left open at the end of the text is closed there.

use std::ops::Range;

/// A word and where it stands, quotes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    pub range: Range<usize>,
}

/// Whether a backslash starts an escape of C (`\n`, `\x41`), or just makes the next character literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// As in `Environment=` and `ExecStart=`.
    C,
    /// As in the value of a variable that is expanded by `$VAR`.
    Plain,
}

/// The words of `text`.
pub(super) fn split(text: &str, escapes: Escapes) -> Vec<Word> {
    let mut out = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.peek().copied() {
        if is_blank(first) {
            chars.next();
            continue;
        }
        let mut word = String::new();
        let mut quote = None;
        let mut end = text.len();
        while let Some((at, c)) = chars.peek().copied() {
            if quote.is_none() && is_blank(c) {
                end = at;
                break;
            }
            chars.next();
            match c {
                '\\' => escape(&mut chars, escapes, &mut word),
                '"' | '\'' if quote == Some(c) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(c),
                _ => word.push(c),
            }
        }
        out.push(Word { text: word, range: start..end });
    }
    out
}

/// systemd's blanks; other Unicode space belongs to words.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

type Chars<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

fn escape(chars: &mut Chars<'_>, escapes: Escapes, word: &mut String) {
    let Some((_, c)) = chars.next() else { return };
    if escapes == Escapes::Plain {
        word.push(c);
        return;
    }
    match c {
        'a' => word.push('\x07'),
        'b' => word.push('\x08'),
        'f' => word.push('\x0c'),
        'n' => word.push('\n'),
        'r' => word.push('\r'),
        's' => word.push(' '),
        't' => word.push('\t'),
        'v' => word.push('\x0b'),
        'x' => coded(chars, 'x', 2, 16, word),
        'u' => coded(chars, 'u', 4, 16, word),
        'U' => coded(chars, 'U', 8, 16, word),
        '\\' | '"' | '\'' => word.push(c),
        digit if digit.is_digit(8) => coded_from(chars, String::from(digit), 3, 8, word),
        // systemd keeps what it does not know, backslash included.
        other => word.extend(['\\', other]),
    }
}

fn coded(chars: &mut Chars<'_>, letter: char, length: usize, radix: u32, word: &mut String) {
    let before = word.len();
    coded_from(chars, String::new(), length, radix, word);
    if word.get(before..).is_some_and(|added| added.starts_with('\\')) {
        word.insert(before + 1, letter);
    }
}

/// A character by its number. Too few digits leave the text as it was.
fn coded_from(chars: &mut Chars<'_>, mut digits: String, length: usize, radix: u32, word: &mut String) {
    while digits.len() < length
        && let Some((_, c)) = chars.peek().copied()
        && c.is_digit(radix)
    {
        digits.push(c);
        chars.next();
    }
    let decoded = u32::from_str_radix(&digits, radix).ok().filter(|_| digits.len() == length).and_then(char::from_u32);
    match decoded.filter(|c| *c != '\0') {
        Some(c) => word.push(c),
        None => word.extend(std::iter::once('\\').chain(digits.chars())),
    }
}

/// A word written so that [`split`] reads it back; plain where that is enough.
pub(super) fn quote(word: &str) -> String {
    let special = |c: char| is_blank(c) || matches!(c, '"' | '\'' | '\\');
    if !word.is_empty() && !word.contains(special) {
        return word.to_owned();
    }
    let escaped: String =
        word.chars().flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] }).collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str, escapes: Escapes) -> Vec<String> {
        split(text, escapes).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_cut_as_systemd_cuts_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("  \t ", &[]),
            ("--a=b --c", &["--a=b", "--c"]),
            ("a\"b c\"d 'e \"f'", &["ab cd", "e \"f"]),
            ("\"\" x", &["", "x"]),
            ("a\\ b \\\"c", &["a b", "\"c"]),
            ("\"open end", &["open end"]),
            ("tail\\", &["tail"]),
            ("a\u{a0}b", &["a\u{a0}b"]),
        ] {
            assert_eq!(texts(text, Escapes::Plain), expected, "{text}");
        }
    }

    #[test]
    fn escapes_of_c_are_read_where_they_count() {
        for (text, expected) in [
            (r"a\x20b \101 \u00e4 \s", &["a b", "A", "ä", " "][..]),
            (r"\q \x4 \9", &[r"\q", r"\x4", r"\9"]),
            (r"'a\tb' \\", &["a\tb", "\\"]),
            (r"\x00", &[r"\x00"]),
        ] {
            assert_eq!(texts(text, Escapes::C), expected, "{text}");
        }
    }

    #[test]
    fn ranges_cover_the_word_with_its_quotes() {
        let text = "  a \"b c\"d\te";
        let seen: Vec<_> = split(text, Escapes::Plain).into_iter().map(|w| text.get(w.range).unwrap()).collect();
        assert_eq!(seen, ["a", "\"b c\"d", "e"]);
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec("[a-z \\\\\"'\t$=ä-]{0,8}", 0..5)) {
            let text = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(texts(&text, Escapes::Plain), words);
        }

        #[test]
        fn any_text_is_survived(text in ".{0,40}") {
            for word in split(&text, Escapes::C) {
                prop_assert!(text.get(word.range).is_some());
            }
        }
    }
}
