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

/// What becomes of one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// It stays as it is written.
    Keep,
    /// It goes.
    Drop,
    /// It is replaced by this word.
    Set(String),
}

/// The text with one [`Op`] for each of its words, and words added behind them. Words that stay keep their spelling and
/// the blanks in front of them.
pub(super) fn edited(text: &str, ops: &[Op], append: &[String]) -> String {
    let words = split(text, Escapes::Plain);
    let pieces = words.iter().zip(ops).filter_map(|(word, op)| match op {
        Op::Keep => Some((word.range.clone(), None)),
        Op::Drop => None,
        Op::Set(new) => Some((word.range.clone(), (*new != word.text).then(|| quote(new)))),
    });
    let pieces: Vec<Piece> = pieces.collect();
    if pieces.len() == words.len() && pieces.iter().all(|(_, new)| new.is_none()) && append.is_empty() {
        return text.to_owned();
    }
    appended(joined(text, &words, &pieces), append.iter().cloned())
}

/// A range of a text that stays, and what is written there instead.
pub(super) type Piece = (Range<usize>, Option<String>);

/// The pieces that are left, each with the blanks that stood before it.
pub(super) fn joined(value: &str, words: &[Word], pieces: &[Piece]) -> String {
    let Some((first, last)) = words.first().zip(words.last()) else { return value.to_owned() };
    let part = |range: Range<usize>| value.get(range).unwrap_or_default();
    let mut out = part(0..first.range.start).to_owned();
    for (index, (own, new)) in pieces.iter().enumerate() {
        let before = words.iter().rev().map(|word| word.range.end).find(|end| *end <= own.start);
        if let Some(before) = before.filter(|_| index > 0) {
            out.push_str(part(before..own.start));
        }
        out.push_str(new.as_deref().unwrap_or_else(|| part(own.clone())));
    }
    out.push_str(part(last.range.end..value.len()));
    out
}

/// The text with words added behind what is there. A quote left open at its end is closed.
pub(super) fn appended(mut out: String, missing: impl Iterator<Item = String>) -> String {
    for word in missing {
        let texts = |text: &str| split(text, Escapes::Plain).into_iter().map(|word| word.text).collect::<Vec<_>>();
        let wanted = [texts(&out), vec![word.clone()]].concat();
        let shown = quote(&word);
        // A quote or backslash that nothing closes would swallow the new word.
        let cut = out.strip_suffix('\\').unwrap_or(&out);
        let bases = [out.clone(), cut.to_owned(), format!("{cut}\"\"")];
        let tries = bases.iter().flat_map(|base| ["", " ", "\" ", "' "].map(|close| format!("{base}{close}{shown}")));
        let next = tries.into_iter().find(|text| texts(text) == wanted);
        out = next.unwrap_or_else(|| format!("{out} {shown}"));
    }
    out
}

/// A word written so that systemd reads it back out of a setting of a unit: C escapes, percent signs doubled.
pub(super) fn quote_setting(word: &str) -> String {
    let special = |c: char| is_blank(c) || matches!(c, '"' | '\'' | '\\' | ';');
    let doubled = word.replace('%', "%%");
    if !word.is_empty() && !word.contains(special) {
        return doubled;
    }
    let mut out = String::from("\"");
    for c in doubled.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '"' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push('"');
    out
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
