//! Text that others wrote, inside HTML and Markdown and on terminals.

use super::style::PAINTS;
use std::borrow::Cow;

/// True for characters that act on the text around them instead of being seen: controls, marks that turn its direction,
/// and those without width. A reviewer must not take a line for something else because of them.
pub const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}'
            | '\u{b}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// What is shown for such a character.
pub fn seen(c: char) -> String {
    if c == '\r' { "\u{240d}".to_owned() } else { format!("[U+{:04X}]", u32::from(c)) }
}

/// Text as a terminal shows it. Colours stay, of the few kinds that castoff uses: what else a file may hold for a terminal
/// could hide a line, or write another over it.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(at) = rest.find(is_unseen) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let colour = colour_at(from);
        if let Some(c) = from.chars().next().filter(|_| colour == 0) {
            out.push_str(&seen(c));
            rest = &from[c.len_utf8()..];
        } else {
            let (code, after) = from.split_at(colour);
            out.push_str(code);
            rest = after;
        }
    }
    out.push_str(rest);
    out.into()
}

/// The length of the colour that a text begins with, if it is one that castoff paints with.
fn colour_at(text: &str) -> usize {
    PAINTS.iter().find(|paint| text.starts_with(**paint)).map_or(0, |paint| paint.len())
}

/// Text as HTML shows it, in elements and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_unseen(c) => out.push_str(&seen(c)),
            c => out.push(c),
        }
    }
    out
}

/// Sentences as HTML: what stands between backticks is code.
pub fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // One without a partner is a backtick like any other letter.
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    let one = |(place, part): (usize, &&str)| match place % 2 {
        0 => escape(part),
        _ if part.is_empty() => "``".to_owned(),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.iter().enumerate().map(one).collect()
}

/// A path as HTML that is broken behind its slashes first.
pub fn path(text: &str) -> String {
    escape(text).replace('/', "/<wbr>")
}

/// Fills `{{name}}` places of a template. Each is looked for in the template alone: what is filled in may hold braces.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let room: usize = values.iter().map(|(_, value)| value.len()).sum();
    let mut out = String::with_capacity(template.len() + room);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, next)) = after.split_once("}}") else {
            rest = after;
            break;
        };
        out.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = next;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{
        super::style::{BAD, CAUTION, DIM, GOOD, HINT, STRONG, paint},
        *,
    };

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(escape("<a href=\"x\">'&'"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;");
        assert_eq!(fill("a {{b}} c {{d}}", &[("b", "{{d}}"), ("d", "1")]), "a {{d}} c 1");
    }

    #[test]
    fn code_in_sentences_is_code() {
        assert_eq!(prose("see `a <b>`; ok"), "see <code>a &lt;b&gt;</code>; ok");
        assert_eq!(prose("one ` alone <"), "one ` alone &lt;");
        assert_eq!(prose("``"), "``");
        assert_eq!(path("/a/<b>"), "/<wbr>a/<wbr>&lt;b&gt;");
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(escape("a\u{202e}b\u{200b}\u{7}\r\n\tc"), "a[U+202E]b[U+200B][U+0007]\u{240d}\n\tc");
        assert_eq!(escape("Größe – ä 日本 🙂"), "Größe – ä 日本 🙂");
    }

    #[test]
    fn a_terminal_gets_colours_and_nothing_else_that_it_would_obey() {
        let styles = [STRONG, DIM, GOOD, BAD, CAUTION, HINT];
        let painted: String = styles.into_iter().map(|style| paint(style, "a\n\tb ✔")).collect();
        assert_eq!(visible(&painted), painted, "every style that there is");
        assert_eq!(
            visible("\u{1b}[8mx\u{1b}[0m\r\u{1b}]0;t\u{7}"),
            "[U+001B][8mx\u{1b}[0m\u{240d}[U+001B]]0;t[U+0007]"
        );
        assert_eq!(visible("\u{1b}[2Ka\u{202e}b\u{9b}1A"), "[U+001B][2Ka[U+202E]b[U+009B]1A");
        assert!(matches!(visible("Größe\n"), Cow::Borrowed(_)));
    }
}
