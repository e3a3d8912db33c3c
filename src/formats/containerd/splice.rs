//! Cuts in the text of a TOML document: one setting set, removed or renamed, every other byte kept.
//!
//! New settings are written as explicit `[tables]`, because containerd 1.4's parser refuses dotted keys; an inline table
//! or a dotted key that is already there is extended in its own style, since TOML forbids to mix them.

use super::super::{newline_of, splice};
use super::lex::{Entry, Statement, inline_entries, statements};
use std::ops::Range;

/// A basic string: the one kind that every TOML parser of every containerd reads the same.
pub(in crate::formats) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.extend(format!("\\u{:04x}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A part of a key; names with dots are quoted the way the document quotes them.
fn key_text(text: &str, name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else if text.contains("[plugins.'") && !name.contains(['\'', '\n']) {
        format!("'{name}'")
    } else {
        quoted(name)
    }
}

pub(super) fn joined_keys(text: &str, names: &[String]) -> String {
    names.iter().map(|name| key_text(text, name)).collect::<Vec<_>>().join(".")
}

fn starts_with(path: &[&str], prefix: &[String]) -> bool {
    path.len() >= prefix.len() && path.iter().zip(prefix).all(|(left, right)| left == right)
}

fn is_path(path: &[&str], other: &[String]) -> bool {
    path.len() == other.len() && starts_with(path, other)
}

pub(super) fn get<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap_or_default()
}

/// Where a value stands.
pub(super) struct Found {
    pub value: Range<usize>,
}

pub(super) fn find(text: &str, path: &[String]) -> Option<Found> {
    statements(text).iter().filter(|statement| !statement.is_header()).find_map(|statement| {
        let own = statement.path();
        if is_path(&own, path) {
            return Some(Found { value: statement.value.clone() });
        }
        let inside = path.get(own.len()..).unwrap_or_default();
        let leads_in = path.get(..own.len()).is_some_and(|prefix| is_path(&own, prefix));
        if leads_in { find_inline(text, &statement.value, inside) } else { None }
    })
}

fn find_inline(text: &str, range: &Range<usize>, path: &[String]) -> Option<Found> {
    if !get(text, range).starts_with('{') {
        return None;
    }
    let entries = inline_entries(text, range);
    entries.iter().find_map(|entry| {
        let own: Vec<&str> = entry.keys.iter().map(|segment| segment.name.as_str()).collect();
        if is_path(&own, path) {
            return Some(Found { value: entry.value.clone() });
        }
        let inside = path.get(own.len()..).unwrap_or_default();
        let leads_in = path.get(..own.len()).is_some_and(|prefix| is_path(&own, prefix));
        if leads_in { find_inline(text, &entry.value, inside) } else { None }
    })
}

/// From the entry to the next one, or for the last entry from the end of the one before: one comma goes along.
fn inline_removal(entries: &[Entry], index: usize) -> Range<usize> {
    let start = |entry: &Entry| entry.keys.first().map_or(entry.value.start, |segment| segment.range.start);
    let Some(entry) = entries.get(index) else { return 0..0 };
    let before = index.checked_sub(1).and_then(|index| entries.get(index));
    match (before, entries.get(index + 1)) {
        (_, Some(next)) => start(entry)..start(next),
        (Some(before), None) => before.value.end..entry.value.end,
        (None, None) => start(entry)..entry.value.end,
    }
}

/// The text without a key, a table or whatever else is written below `path`: as headers, dotted keys or inline.
/// Comments stay, but for those on the lines that go.
pub(in crate::formats) fn remove(text: &str, path: &[String]) -> String {
    let mut text = text.to_owned();
    // Inline entries first, one at a time: each cut moves the others.
    while let Some(cut) = inline_cut(&text, path) {
        text = splice(&text, cut, "");
    }
    let all = statements(&text);
    let gone: Vec<&Statement> = all.iter().filter(|statement| starts_with(&statement.path(), path)).collect();
    gone.iter().rev().fold(text.clone(), |text, statement| {
        let start = if statement.is_header() { gap_start(&text, statement.lines.start) } else { statement.lines.start };
        splice(&text, start..statement.lines.end, "")
    })
}

/// The first entry of an inline table that is `path` or lies below it.
fn inline_cut(text: &str, path: &[String]) -> Option<Range<usize>> {
    statements(text).iter().filter(|statement| !statement.is_header()).find_map(|statement| {
        let own = statement.path();
        let leads_in = own.len() < path.len() && path.get(..own.len()).is_some_and(|prefix| is_path(&own, prefix));
        if leads_in { cut_within(text, &statement.value, path.get(own.len()..)?) } else { None }
    })
}

fn cut_within(text: &str, range: &Range<usize>, path: &[String]) -> Option<Range<usize>> {
    if !get(text, range).starts_with('{') {
        return None;
    }
    let entries = inline_entries(text, range);
    entries.iter().enumerate().find_map(|(index, entry)| {
        let own: Vec<&str> = entry.keys.iter().map(|segment| segment.name.as_str()).collect();
        if starts_with(&own, path) {
            return Some(inline_removal(&entries, index));
        }
        let leads_in = path.get(..own.len()).is_some_and(|prefix| is_path(&own, prefix));
        if leads_in { cut_within(text, &entry.value, path.get(own.len()..)?) } else { None }
    })
}

/// Where the blank lines above a line begin: they set its section apart and go with it.
fn gap_start(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before
        .split_inclusive('\n')
        .rev()
        .take_while(|line| line.trim().is_empty())
        .map(str::len)
        .fold(at, |at, len| at - len)
}

/// The text with a key set to a rendered value.
pub(in crate::formats) fn set(text: &str, path: &[String], literal: &str) -> String {
    match find(text, path) {
        Some(found) => {
            let like_before = requoted(get(text, &found.value), literal);
            splice(text, found.value, &like_before)
        }
        None => insert(text, path, literal),
    }
}

/// A text takes over the quotes of the text it replaces (`config default` of containerd 2.x writes single ones).
fn requoted(old: &str, new: &str) -> String {
    let plain = new.strip_prefix('"').and_then(|new| new.strip_suffix('"')).filter(|new| !new.contains(['\\', '\'']));
    match plain {
        Some(plain) if old.starts_with('\'') => format!("'{plain}'"),
        _ => new.to_owned(),
    }
}

/// Adds a key that is not there yet, beside what exists of its path.
fn insert(text: &str, path: &[String], literal: &str) -> String {
    let Some((key, parent)) = path.split_last() else { return text.to_owned() };
    let all = statements(text);
    let line = |name: &str| format!("{name} = {literal}");
    if parent.is_empty() {
        return insert_at_top(text, &all, &line(&key_text(text, key)));
    }
    for depth in (1..=parent.len()).rev() {
        let (ancestor, rest) = path.split_at(depth);
        if let Some(table) = find(text, ancestor) {
            return insert_inline(text, &table.value, rest, literal);
        }
        if all.iter().any(|statement| statement.is_header() && starts_with(&statement.path(), ancestor)) {
            break;
        }
        let dotted =
            all.iter().rev().find(|statement| !statement.is_header() && starts_with(&statement.path(), ancestor));
        if let Some(statement) = dotted {
            let own = statement.keys.get(..depth.saturating_sub(statement.section.len()));
            let name =
                own.unwrap_or_default().iter().map(|segment| get(text, &segment.range)).collect::<Vec<_>>().join(".");
            return add_line(
                text,
                statement.lines.end,
                &indent(text, statement),
                &line(&format!("{name}.{}", joined_keys(text, rest))),
            );
        }
    }
    let key_line = line(&key_text(text, key));
    match all.iter().position(|statement| statement.is_header() && is_path(&statement.path(), parent)) {
        Some(header) => insert_in_section(text, &all, header, &key_line),
        None => insert_section(text, &all, parent, &key_line),
    }
}

fn insert_inline(text: &str, range: &Range<usize>, rest: &[String], literal: &str) -> String {
    let Some((first, deeper)) = rest.split_first() else { return text.to_owned() };
    let entries = inline_entries(text, range);
    // Beside `a.b = 1` a table `a` can only grow by dots.
    let dotted =
        entries.iter().any(|entry| entry.keys.len() > 1 && entry.keys.first().is_some_and(|key| key.name == *first));
    let entry = if dotted {
        format!("{} = {literal}", joined_keys(text, rest))
    } else {
        let nest = |inner: String, name: &String| format!("{{ {} = {inner} }}", key_text(text, name));
        format!("{} = {}", key_text(text, first), deeper.iter().rev().fold(literal.to_owned(), nest))
    };
    match entries.last() {
        Some(last) => splice(text, last.value.end..last.value.end, &format!(", {entry}")),
        None => splice(text, range.clone(), &format!("{{ {entry} }}")),
    }
}

fn indent(text: &str, statement: &Statement) -> String {
    let line = get(text, &statement.lines);
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..blank).unwrap_or_default().to_owned()
}

/// Puts a line at the start of a line, closing an unfinished last line first.
fn add_line(text: &str, at: usize, indent: &str, line: &str) -> String {
    let newline = newline_of(text);
    let open = text.get(..at).is_some_and(|before| !before.is_empty() && !before.ends_with('\n'));
    let first = if open { newline } else { "" };
    splice(text, at..at, &format!("{first}{indent}{line}{newline}"))
}

/// Behind the last key of a section, in its indentation.
fn insert_in_section(text: &str, all: &[Statement], header: usize, line: &str) -> String {
    let Some(statement) = all.get(header) else { return text.to_owned() };
    let own = all.iter().skip(header + 1).take_while(|statement| !statement.is_header());
    match own.last() {
        Some(last) => add_line(text, last.lines.end, &indent(text, last), line),
        None => {
            let deeper = format!("{}{}", indent(text, statement), key_step(text, all));
            add_line(text, statement.lines.end, &deeper, line)
        }
    }
}

/// Puts whole lines into a table: behind its last key, or under a new header.
pub(super) fn add_block(text: &str, table: &[String], block: &str) -> String {
    let all = statements(text);
    let key = block.lines().find(|line| !line.trim_start().starts_with('#')).unwrap_or_default();
    let old = key.len() - key.trim_start_matches([' ', '\t']).len();
    let Some(index) = all.iter().position(|statement| statement.is_header() && is_path(&statement.path(), table))
    else {
        if table.is_empty() {
            return insert_at_top(text, &all, block.trim_end_matches(['\r', '\n']));
        }
        // The section first, with its first line as a place holder that the block then takes.
        let made = insert_section(text, &all, table, "castoff-block = 0");
        let wanted = [table, &["castoff-block".to_owned()]].concat();
        let place = statements(&made).into_iter().find(|statement| is_path(&statement.path(), &wanted));
        return place.map_or(made.clone(), |found| {
            let line = get(&made, &found.lines);
            let lead = line.len() - line.trim_start_matches([' ', '\t']).len();
            let indent = line.get(..lead).unwrap_or_default().to_owned();
            splice(&made, found.lines, &reindented(block, old, &indent))
        });
    };
    let Some(header) = all.get(index) else { return text.to_owned() };
    let last = all.iter().skip(index + 1).take_while(|statement| !statement.is_header()).last();
    let (at, indent) = match last {
        Some(last) => (last.lines.end, indent(text, last)),
        None => (header.lines.end, format!("{}{}", indent(text, header), key_step(text, &all))),
    };
    let newline = newline_of(text);
    let open = text.get(..at).is_some_and(|before| !before.is_empty() && !before.ends_with('\n'));
    let first = if open { newline } else { "" };
    splice(text, at..at, &format!("{first}{}", reindented(block, old, &indent)))
}

/// The comment lines and the first line of a key in another indentation. Further lines of a value stay as they are: they
/// may be part of a text.
fn reindented(block: &str, old: usize, indent: &str) -> String {
    let newline = newline_of(block);
    let mut key_seen = false;
    let mut out: String = block
        .split_inclusive('\n')
        .map(|line| {
            let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
            let cut = line.get(blank.min(old)..).unwrap_or(line);
            let shown = if key_seen { line.to_owned() } else { format!("{indent}{cut}") };
            key_seen |= !line.trim_start().starts_with('#');
            shown
        })
        .collect();
    if !out.ends_with('\n') {
        out.push_str(newline);
    }
    out
}

/// Top-level keys must stand before the first header. A comment right above the first statement belongs to it.
fn insert_at_top(text: &str, all: &[Statement], line: &str) -> String {
    let Some(first) = all.first() else { return add_line(text, text.len(), "", line) };
    let at = comment_block_start(text, first.lines.start);
    let gap = if first.is_header() { newline_of(text) } else { "" };
    splice(text, at..at, &format!("{line}{}{gap}", newline_of(text)))
}

/// The text with a new top-level key behind those that are there; `None` where there are none.
pub(in crate::formats) fn append_at_top(text: &str, key: &str, literal: &str) -> Option<String> {
    let all = statements(text);
    let last = all.iter().take_while(|statement| !statement.is_header()).last()?;
    Some(add_line(text, last.lines.end, &indent(text, last), &format!("{} = {literal}", key_text(text, key))))
}

pub(super) fn comment_block_start(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before
        .split_inclusive('\n')
        .rev()
        .take_while(|line| line.trim_start().starts_with('#'))
        .map(str::len)
        .fold(at, |at, len| at - len)
}

/// Comment lines directly behind a section belong to it, unless they lead over to the next one without a gap.
fn comment_block_end(text: &str, at: usize) -> usize {
    let mut end = at;
    for line in text.get(at..).unwrap_or_default().split_inclusive('\n') {
        match line.trim() {
            "" => return end,
            comment if comment.starts_with('#') => end += line.len(),
            _ => return at,
        }
    }
    end
}

/// A new section behind its nearest relatives.
fn insert_section(text: &str, all: &[Statement], path: &[String], line: &str) -> String {
    let newline = newline_of(text);
    let relatives = (1..path.len()).rev().find_map(|depth| {
        let family = path.get(..depth)?;
        let of_family =
            |statement: &&Statement| statement.section.len() >= depth && starts_with(&statement.path(), family);
        let first = all.iter().find(|statement| statement.is_header() && of_family(statement))?;
        Some((first, all.iter().rev().find(of_family)?))
    });
    let header = format!("[{}]", joined_keys(text, path));
    let (at, lead) = match relatives {
        Some((first, last)) => (comment_block_end(text, last.lines.end), header_indent(text, all, path, first)),
        None => (text.len(), String::new()),
    };
    let gap = if text.trim().is_empty() || (relatives.is_some() && !spaced(text, all)) { "" } else { newline };
    let open = text.get(..at).is_some_and(|before| !before.is_empty() && !before.ends_with('\n'));
    let close = if open { newline } else { "" };
    let step = key_step(text, all);
    splice(text, at..at, &format!("{close}{gap}{lead}{header}{newline}{lead}{step}{line}{newline}"))
}

/// The indentation of a sibling; else one step more than the relative's.
fn header_indent(text: &str, all: &[Statement], path: &[String], relative: &Statement) -> String {
    let parent = path.get(..path.len().saturating_sub(1)).unwrap_or_default();
    let sibling = all.iter().find(|statement| {
        statement.is_header() && statement.section.len() == path.len() && starts_with(&statement.path(), parent)
    });
    match sibling {
        Some(sibling) => indent(text, sibling),
        None if relative.section.len() < path.len() => format!("{}{}", indent(text, relative), header_step(text, all)),
        None => indent(text, relative),
    }
}

/// How much deeper the document indents a header than the header of the table around it.
fn header_step(text: &str, all: &[Statement]) -> String {
    let headers = || all.iter().filter(|statement| statement.is_header());
    headers()
        .find_map(|outer| {
            let base = indent(text, outer);
            let inner = headers().find(|inner| {
                inner.section.len() == outer.section.len() + 1 && starts_with(&inner.path(), &outer.section)
            })?;
            Some(indent(text, inner).strip_prefix(&base)?.to_owned())
        })
        .unwrap_or_default()
}

/// How much deeper the document indents keys than their header; two blanks where it has no keys yet.
fn key_step(text: &str, all: &[Statement]) -> String {
    all.iter()
        .zip(all.iter().skip(1))
        .find(|(header, key)| header.is_header() && !key.is_header())
        .and_then(|(header, key)| Some(indent(text, key).strip_prefix(&indent(text, header))?.to_owned()))
        .unwrap_or_else(|| "  ".to_owned())
}

/// Whether the document sets its nested headers apart by blank lines.
fn spaced(text: &str, all: &[Statement]) -> bool {
    let nested = all.iter().filter(|statement| statement.is_header() && statement.section.len() > 1);
    let (with, without): (Vec<_>, Vec<_>) = nested.partition(|statement| {
        let at = comment_block_start(text, statement.lines.start);
        let above = text.get(..at).unwrap_or_default().lines().next_back();
        above.is_none_or(|line| line.trim().is_empty())
    });
    with.len() >= without.len()
}

/// The text with `plugins.OLD` renamed in every header and key that spells it.
pub(super) fn rename_plugin(text: &str, old: &str, new: &str) -> String {
    let new_key = key_text(text, new);
    let target = ["plugins", old];
    let mut cuts: Vec<Range<usize>> = Vec::new();
    for statement in statements(text) {
        // Keys of a header count from the root, keys of a value from their section.
        let offset = if statement.is_header() { 0 } else { statement.section.len() };
        if statement.path().starts_with(&target) {
            cuts.extend(
                1_usize.checked_sub(offset).and_then(|i| statement.keys.get(i)).map(|segment| segment.range.clone()),
            );
        } else if statement.path() == ["plugins"] && get(text, &statement.value).starts_with('{') {
            let entries = inline_entries(text, &statement.value);
            let first = entries.iter().filter_map(|entry| entry.keys.first());
            cuts.extend(first.filter(|segment| segment.name == old).map(|segment| segment.range.clone()));
        }
    }
    cuts.into_iter().rev().fold(text.to_owned(), |text, cut| splice(&text, cut, &new_key))
}
