//! Pieces of Markdown out of text that others wrote.

use crate::report::markup::{is_unseen, seen};

/// Text on one line: what would end it, or begin something of Markdown's or HTML's own, is escaped. Fits into cells.
pub fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '~' | '#' => cell.extend(['\\', c]),
            '&' => cell.push_str("&amp;"),
            '\n' | '\r' | '\t' => cell.push(' '),
            c if is_unseen(c) => cell.push_str(&seen(c).replace('[', "\\[").replace(']', "\\]")),
            c => cell.push(c),
        }
    }
    cell
}

/// Sentences on one line, escaped as in a cell: what stands between backticks is code.
pub fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // One without a partner is a backtick like any other letter.
    if parts.len().is_multiple_of(2) {
        return cell(text);
    }
    let one = |(place, part): (usize, &&str)| match place % 2 {
        0 => cell(part),
        _ if part.is_empty() => "\\`\\`".to_owned(),
        _ => code(part),
    };
    parts.iter().enumerate().map(one).collect()
}

/// The longest run of backticks in a text.
fn ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// Text as code on one line, between more backticks than it has in a row. A bar in it would end a cell.
pub fn code(text: &str) -> String {
    // Code knows no escapes, so a cell's bar behind a backslash could not be told from one that ends the cell.
    if text.contains("\\|") {
        return cell(text);
    }
    let mut flat = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' => flat.push_str("\\|"),
            '\n' | '\r' | '\t' => flat.push(' '),
            c if is_unseen(c) => flat.push_str(&seen(c)),
            c => flat.push(c),
        }
    }
    let marks = "`".repeat(ticks(&flat) + 1);
    // A blank beside the marks is taken away again where there is one on both sides.
    let pad = if flat.starts_with(['`', ' ']) || flat.ends_with(['`', ' ']) { " " } else { "" };
    if flat.is_empty() { String::new() } else { format!("{marks}{pad}{flat}{pad}{marks}") }
}

/// A block of text as it is, between more backticks than it has in a row.
pub fn fence(language: &str, text: &str) -> String {
    let mut block = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\t' && is_unseen(c) { block.push_str(&seen(c)) } else { block.push(c) }
    }
    if !block.ends_with('\n') {
        block.push('\n');
    }
    let marks = "`".repeat((ticks(&block) + 1).max(3));
    format!("{marks}{language}\n{block}{marks}\n")
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// A table; its cells are Markdown.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = row(&head.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>());
    text.push_str(&row(&vec!["---".to_owned(); head.len()]));
    rows.for_each(|cells| text.push_str(&row(&cells)));
    text
}

/// Something that is folded; its body is Markdown.
pub fn folded(summary: &str, body: &str) -> String {
    format!("<details>\n<summary>{summary}</summary>\n\n{body}\n</details>\n")
}
