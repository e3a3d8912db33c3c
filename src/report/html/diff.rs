//! The diff of a file, folded, one column or two.

use crate::report::{
    diff::{Diff, Hunk, Kind, Line, differing},
    markup::{escape, seen},
};

/// Lines of all diffs together that are shown unfolded; more would bury what comes after them.
pub const UNFOLDED: usize = 600;
/// Lines longer than this, in bytes, are not looked at word by word.
const LONG: usize = 2000;

/// The switch between one column and two. It is the style sheet that listens to it, not the script.
pub const VIEWS: &str = "<fieldset class=\"views\"><legend class=\"vh\">Diffs</legend>\
<label><input type=\"radio\" name=\"view\" id=\"unified\" checked>Unified</label>\
<label><input type=\"radio\" name=\"view\" id=\"side\">Side by side</label>\
<button type=\"button\" id=\"every\" hidden>Open all</button></fieldset>\n";

/// One file: its line with symbol, path and counts, and its diff both ways. `remark` is HTML.
pub fn file(id: &str, symbol: char, path: &str, remark: &str, diff: &Diff<'_>, unfolded: bool) -> String {
    let (added, cut) = diff.counts();
    let open = if unfolded { " open" } else { "" };
    let shown = escape(path);
    let (mut unified, mut side) = (String::new(), String::new());
    for hunk in &diff.hunks {
        if !hunk.head.is_empty() {
            let head = escape(hunk.head);
            unified.push_str(&format!("<tr class=\"h\"><td colspan=\"4\">{head}\n"));
            side.push_str(&format!("<tr class=\"h\"><td colspan=\"6\">{head}\n"));
        }
        rows(hunk, &mut unified, &mut side);
    }
    format!(
        "<details class=\"file\" id=\"{id}\"{open}><summary><span class=\"sym\">{symbol}</span> <code>{shown}</code>\
         <span class=\"stat\"><span class=\"good\">+{added}</span> <span class=\"bad\">−{cut}</span></span>{remark}</summary>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Diff of {shown}\">\n\
         <table class=\"diff unified\"><caption class=\"vh\">Changes line by line</caption><thead class=\"vh\"><tr><th scope=\"col\">Old line\
         <th scope=\"col\">New line<th scope=\"col\">Change<th scope=\"col\">Text</thead><tbody>\n{unified}</tbody></table>\n\
         <table class=\"diff side\"><caption class=\"vh\">Old and new side by side</caption><colgroup><col class=\"n\"><col class=\"c\"><col>\
         <col class=\"n\"><col class=\"c\"><col></colgroup><thead class=\"vh\"><tr><th scope=\"col\">Old line<th scope=\"col\">Change\
         <th scope=\"col\">Old text<th scope=\"col\">New line<th scope=\"col\">Change<th scope=\"col\">New text</thead><tbody>\n\
         {side}</tbody></table>\n</div></details>\n"
    )
}

/// Lines removed and the lines added after them are put beside each other.
fn rows(hunk: &Hunk<'_>, unified: &mut String, side: &mut String) {
    let mut rest = hunk.lines.as_slice();
    while let Some(first) = rest.first() {
        let run = |from: &[Line<'_>], kind| from.iter().take_while(|line| line.kind == kind).count();
        match first.kind {
            Kind::Same => {
                let text = whole(first.text);
                unified.push_str(&one(first, "", " ", &text));
                side.push_str(&format!(
                    "<tr>{}{}\n",
                    half(first.old, "", " ", &text),
                    half(first.new, "v", " ", &text)
                ));
                rest = &rest[1..];
            }
            Kind::Remark => {
                let text = whole(first.text);
                unified.push_str(&format!("<tr class=\"h\"><td colspan=\"4\">{text}\n"));
                side.push_str(&format!("<tr class=\"h\"><td colspan=\"6\">{text}\n"));
                rest = &rest[1..];
            }
            Kind::Cut | Kind::Added => {
                let cut = run(rest, Kind::Cut);
                let added = run(&rest[cut..], Kind::Added);
                let (old, new) = (&rest[..cut], &rest[cut..cut + added]);
                change(old, new, unified, side);
                rest = &rest[cut + added..];
            }
        }
    }
}

fn change(old: &[Line<'_>], new: &[Line<'_>], unified: &mut String, side: &mut String) {
    let mut texts: Vec<(Option<String>, Option<String>)> = Vec::new();
    for place in 0..old.len().max(new.len()) {
        let pair = (old.get(place), new.get(place));
        let marks = match pair {
            // Only lines that surely belong together are compared word by word.
            (Some(a), Some(b)) if old.len() == new.len() && a.text.len().max(b.text.len()) <= LONG => {
                differing(a.text, b.text)
            }
            _ => None,
        };
        texts.push((
            pair.0.map(|line| marks.map_or_else(|| whole(line.text), |[part, _]| marked(line.text, part))),
            pair.1.map(|line| marks.map_or_else(|| whole(line.text), |[_, part]| marked(line.text, part))),
        ));
    }
    for (line, (text, _)) in old.iter().zip(&texts) {
        unified.push_str(&one(line, "d", "−", text.as_deref().unwrap_or_default()));
    }
    for (line, (_, text)) in new.iter().zip(&texts) {
        unified.push_str(&one(line, "a", "+", text.as_deref().unwrap_or_default()));
    }
    for (place, (before, after)) in texts.iter().enumerate() {
        let left = old.get(place).zip(before.as_ref()).map(|(line, text)| half(line.old, "d", "−", text));
        let right = new.get(place).zip(after.as_ref()).map(|(line, text)| half(line.new, "a v", "+", text));
        let none = |class: &str| format!("<td class=\"n o{class}\"><td class=\"c o\"><td class=\"o\">");
        side.push_str(&format!("<tr>{}{}\n", left.unwrap_or_else(|| none("")), right.unwrap_or_else(|| none(" v"))));
    }
}

fn number(number: Option<u32>) -> String {
    number.map(|number| format!(" data-n=\"{number}\"")).unwrap_or_default()
}

fn one(line: &Line<'_>, class: &str, sign: &str, text: &str) -> String {
    let (old, new) = (number(line.old), number(line.new));
    format!(
        "<tr><td class=\"n {class}\"{old}><td class=\"n {class}\"{new}><td class=\"c {class}\">{sign}<td class=\"{class}\">{text}\n"
    )
}

fn half(at: Option<u32>, class: &str, sign: &str, text: &str) -> String {
    let colour = class.trim_end_matches('v').trim_end();
    format!("<td class=\"n {class}\"{}><td class=\"c {colour}\">{sign}<td class=\"{colour}\">{text}", number(at))
}

/// A line's text. What ends a line in a file from elsewhere is shown, but not loudly.
fn whole(text: &str) -> String {
    match text.strip_suffix('\r') {
        Some(text) => format!("{}<i class=\"faint\" title=\"carriage return\">{}</i>", escape(text), seen('\r')),
        None => escape(text),
    }
}

fn marked(text: &str, (from, to): (usize, usize)) -> String {
    match (text.get(..from), text.get(from..to), text.get(to..)) {
        (Some(before), Some(part), Some(after)) if from < to => {
            format!("{}<mark>{}</mark>{}", escape(before), whole(part), whole(after))
        }
        _ => whole(text),
    }
}
