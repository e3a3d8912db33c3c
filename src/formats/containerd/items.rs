//! Items of arrays: one renamed or taken out, with its comma, every other byte kept.

use super::super::splice;
use super::lex::{array_items, skip_blank};
use super::splice::{find, get, quoted};
use std::ops::Range;

fn items_of(text: &str, path: &[String]) -> Option<(Range<usize>, Vec<Range<usize>>)> {
    let array = find(text, path)?.value;
    let items = array_items(text, &array);
    Some((array, items))
}

fn item_is(text: &str, item: &Range<usize>, name: &str) -> bool {
    get(text, item).parse::<toml_edit::Value>().is_ok_and(|value| value.as_str() == Some(name))
}

/// The text with a text in an array replaced.
pub(super) fn rename_item(text: &str, path: &[String], old: &str, new: &str) -> String {
    let Some((_, items)) = items_of(text, path) else { return text.to_owned() };
    let hits = items.into_iter().filter(|item| item_is(text, item, old));
    hits.rev().fold(text.to_owned(), |text, item| splice(&text, item, &quoted(new)))
}

/// The text without some texts of an array.
pub(super) fn remove_items(text: &str, path: &[String], names: &[String]) -> String {
    let mut text = text.to_owned();
    // One at a time, because each removal moves the others.
    while let Some((array, items)) = items_of(&text, path) {
        let Some(index) = items.iter().position(|item| names.iter().any(|name| item_is(&text, item, name))) else {
            break;
        };
        text = remove_item(&text, &array, &items, index);
    }
    text
}

fn remove_item(text: &str, array: &Range<usize>, items: &[Range<usize>], index: usize) -> String {
    let Some(item) = items.get(index) else { return text.to_owned() };
    if items.len() == 1 && !get(text, array).contains('#') {
        return splice(text, array.clone(), "[]");
    }
    let comma = Some(skip_blank(text, item.end)).filter(|at| text.as_bytes().get(*at) == Some(&b','));
    if let Some(comma) = comma.filter(|comma| get(text, &(item.end..*comma)).contains('\n')) {
        return remove_apart(text, array, item, comma);
    }
    let end = comma.map_or(item.end, |comma| comma + 1);
    if let Some(line) = own_line(text, item.start, end).filter(|line| lies_in(line, array)) {
        return splice(text, line, "");
    }
    let before = index.checked_sub(1).and_then(|index| items.get(index));
    match (before, items.get(index + 1)) {
        // Up to the next item, but only on the same line: comments in between stay.
        (_, Some(next)) if !get(text, &(end..next.start)).contains('\n') => splice(text, item.start..next.start, ""),
        // From the item before, but not over a comment on that one; a comma may stand at the end.
        (Some(before), None) if !get(text, &(before.end..item.start)).contains('#') => {
            splice(text, before.end..end, "")
        }
        _ => splice(text, item.start..end, ""),
    }
}

/// An item whose comma stands on a later line. The comment beside the item goes with it; what else lies in between is about
/// others and stays.
fn remove_apart(text: &str, array: &Range<usize>, item: &Range<usize>, comma: usize) -> String {
    let rest = text.get(comma + 1..).unwrap_or_default();
    let behind = comma + 1 + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
    let alone = own_line(text, comma, comma + 1).filter(|line| get(text, line).trim() == ",");
    let beside = get(text, &(item.end..comma)).find(['\r', '\n']).map_or(item.end, |len| item.end + len);
    let line = own_line(text, item.start, item.end).filter(|line| lies_in(line, array));
    let text = splice(text, alone.unwrap_or(comma..behind), "");
    splice(&text, line.unwrap_or(item.start..beside), "")
}

fn lies_in(line: &Range<usize>, array: &Range<usize>) -> bool {
    line.start > array.start && line.end <= array.end
}

/// The lines that hold nothing but what stands from `start` to `end` and a comment behind it.
fn own_line(text: &str, start: usize, end: usize) -> Option<Range<usize>> {
    let before = text.get(..start)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let after = text.get(end..)?;
    let line_len = after.find('\n')? + 1;
    let tail = after.get(..line_len)?.trim();
    let alone = before.get(line_start..)?.trim().is_empty() && (tail.is_empty() || tail.starts_with('#'));
    alone.then_some(line_start..end + line_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_cri(list: &str) -> String {
        let text = format!("disabled_plugins = {list}\nroot = 1\n");
        let out = remove_items(&text, &["disabled_plugins".to_owned()], &["cri".to_owned()]);
        assert!(out.parse::<toml_edit::DocumentMut>().is_ok(), "{out}");
        let rest = out.strip_prefix("disabled_plugins = ").and_then(|out| out.strip_suffix("\nroot = 1\n"));
        rest.unwrap_or_else(|| panic!("{out}")).to_owned()
    }

    #[test]
    fn an_item_goes_with_its_comma_and_its_own_comment() {
        for (before, after) in [
            ("[ \"cri\" # off\n, \"a.b\" ]", "[ \n\"a.b\" ]"),
            ("[\n  \"cri\" # off\n  # about a.b\n  , \"a.b\"\n]", "[\n  # about a.b\n  \"a.b\"\n]"),
            ("[\n  \"cri\"\n  ,\n  \"a.b\" # why\n]", "[\n  \"a.b\" # why\n]"),
            ("[ \"x.y\", \"cri\" # off\r\n, \"a.b\" ]", "[ \"x.y\", \r\n\"a.b\" ]"),
            ("[ \"cri\" # café\n,# é\n\"a.b\" ]", "[ \n# é\n\"a.b\" ]"),
            ("[ \"cri\" # off\n , ]", "[ \n ]"),
            ("[ \"a.b\" # x\n, \"cri\" ]", "[ \"a.b\" # x\n,  ]"),
            ("[ \"a.b\", # x\n  \"cri\" ]", "[ \"a.b\", # x\n   ]"),
            ("[\"a.b\", \"cri\"]", "[\"a.b\"]"),
            ("[\"cri\" , \"a.b\"]", "[\"a.b\"]"),
            ("[\n  \"cri\", # off\n  \"a.b\",\n]", "[\n  \"a.b\",\n]"),
        ] {
            assert_eq!(without_cri(before), after, "{before}");
        }
    }
}
