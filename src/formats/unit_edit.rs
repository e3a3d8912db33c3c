//! Changes in unit files: single words of a setting, and settings that are added. Lines that are not meant keep their
//! bytes, also where a setting runs over several lines.
//!
//! An edited text is read again by [`super::unit_file`], which must find the words that were meant and every other
//! setting unchanged.

use super::{
    BOM, FormatError, newline_of,
    unit_file::{self, Entry},
    words::{Escapes, split},
};
use std::ops::Range;

pub use super::words::Op;

/// One line of the file, as a range of its text without the line end, and whether it continues.
#[derive(Clone, Debug)]
struct Line {
    text: String,
    end: String,
    comment: bool,
}

/// A setting that starts on a line: its lines, and its value with the place of each byte.
#[derive(Debug, Default)]
struct Setting {
    lines: Range<usize>,
    value: String,
    /// Line and byte in it, for each byte of the value.
    places: Vec<(usize, usize)>,
}

/// A word as it is written in a setting: systemd's escapes, `%` doubled.
pub fn written(word: &str) -> String {
    super::words::quote_setting(word)
}

/// The value of a variable with one [`Op`] for each of its words, as `$VAR` is cut, and words added behind them.
pub fn edit_value(value: &str, ops: &[Op], append: &[String]) -> String {
    super::words::edited(value, ops, append)
}

/// The raw words of a value, quotes and escapes included.
pub fn raw_words(value: &str) -> Vec<String> {
    let words = split(value, Escapes::C);
    words.into_iter().filter_map(|word| value.get(word.range).map(str::to_owned)).collect()
}

/// The text with one [`Op`] for each word of the setting that starts on `line` (counted from 1), and raw words added at
/// its end. Words in `Set` and `append` are written as they are given: see [`written`]. Where a word that changes runs over
/// several lines, as in kubespray's `Environment="DOCKER_OPTS=…`, the setting comes out in one line.
///
/// # Errors
/// When no setting starts there, or the edited text does not read as meant.
pub fn with_words(text: &str, line: u32, ops: &[Op], append: &[String]) -> Result<String, FormatError> {
    let mut lines = lines_of(text);
    let setting = setting_at(&lines, line).ok_or_else(|| FormatError::at_line(text, line, "no setting starts here"))?;
    let words = split(&setting.value, Escapes::C);
    let mut per_line: Vec<Vec<(Range<usize>, &Op)>> = vec![Vec::new(); lines.len()];
    for (index, word) in words.iter().enumerate() {
        let op = ops.get(index).unwrap_or(&Op::Keep);
        let first = setting.places.get(word.range.start).copied();
        let last = word.range.end.checked_sub(1).and_then(|at| setting.places.get(at)).copied();
        let (Some((first_line, start)), Some((last_line, end))) = (first, last) else { continue };
        if first_line != last_line && *op != Op::Keep {
            return in_one_line(text, line, &setting, ops, append);
        }
        if let Some(words) = per_line.get_mut(first_line) {
            words.push((start..end + 1, op));
        }
    }
    let mut gone = Vec::new();
    for (index, words) in per_line.iter().enumerate() {
        if words.iter().all(|(_, op)| **op == Op::Keep) {
            continue;
        }
        if let Some(line) = lines.get_mut(index) {
            line.text = changed(&line.text, words);
            // The first line holds the key.
            if index != setting.lines.start && content(&line.text).trim_matches(is_blank).is_empty() {
                gone.push(index);
            }
        }
    }
    close_gap(&mut lines, &setting, &gone);
    let kept = |index: &usize| !gone.contains(index) && lines.get(*index).is_some_and(|line| !line.comment);
    if let Some(last) = setting.lines.clone().rev().find(kept)
        && let Some(line) = lines.get_mut(last)
        && !append.is_empty()
    {
        let end = content(&line.text).trim_end_matches(is_blank).len();
        line.text.insert_str(end, &format!(" {}", append.join(" ")));
    }
    let left = lines.iter().enumerate().filter(|(index, _)| !gone.contains(index));
    let out: String = left.flat_map(|(_, line)| [line.text.as_str(), line.end.as_str()]).collect();
    check(text, &out, line, ops, append)?;
    Ok(out)
}

/// The same, with the setting in one line.
fn in_one_line(text: &str, line: u32, setting: &Setting, ops: &[Op], append: &[String]) -> Result<String, FormatError> {
    let mut words: Vec<&str> = Vec::new();
    for (index, word) in split(&setting.value, Escapes::C).into_iter().enumerate() {
        match ops.get(index) {
            None | Some(Op::Keep) => words.extend(setting.value.get(word.range)),
            Some(Op::Set(new)) => words.push(new),
            Some(Op::Drop) => {}
        }
    }
    words.extend(append.iter().map(String::as_str));
    let out = with_value(text, line, &words.join(" "))?;
    check(text, &out, line, ops, append)?;
    Ok(out)
}

/// The text with settings added: behind the last one of their section where the file has it, else in a new section at
/// its end. Where the file ends in the middle of a continued setting, an empty line ends that one first.
pub fn with_settings(text: &str, section: &str, settings: &[(&str, &str)]) -> String {
    let newline = newline_of(text);
    let added: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}{newline}")).collect();
    let added = added.concat();
    let mut lines = lines_of(text);
    let parsed = unit_file::parse(text);
    let last = parsed.entries().iter().rfind(|entry| entry.section == section);
    let behind = last.and_then(|entry| setting_at(&lines, entry.line)).map(|setting| setting.lines.end);
    if let Some(last) = behind.and_then(|end| lines.get_mut(end.checked_sub(1)?)) {
        if last.end.is_empty() {
            newline.clone_into(&mut last.end);
        }
        if continues(&last.text) {
            last.end.push_str(newline);
        }
        last.end.push_str(&added);
        return lines.iter().flat_map(|line| [line.text.as_str(), line.end.as_str()]).collect();
    }
    let mut gap = if text.is_empty() {
        String::new()
    } else if text.ends_with('\n') {
        newline.to_owned()
    } else {
        newline.repeat(2)
    };
    if lines.iter().rfind(|line| !line.comment).is_some_and(|line| continues(&line.text)) {
        gap.push_str(newline);
    }
    format!("{text}{gap}[{section}]{newline}{added}")
}

/// The text with the value of the setting on `line` replaced, in one line.
///
/// # Errors
/// When no setting starts there or the edited text does not read as meant.
pub fn with_value(text: &str, line: u32, value: &str) -> Result<String, FormatError> {
    let mut lines = lines_of(text);
    let setting = setting_at(&lines, line).ok_or_else(|| FormatError::at_line(text, line, "no setting starts here"))?;
    let last_end = lines.get(setting.lines.end.saturating_sub(1)).map(|line| line.end.clone()).unwrap_or_default();
    if let Some(first) = lines.get_mut(setting.lines.start) {
        let key = first.text.find('=').map_or(first.text.len(), |at| at + 1);
        first.text = format!("{}{value}", first.text.get(..key).unwrap_or_default());
        first.end = last_end;
    }
    let others = setting.lines.start + 1..setting.lines.end;
    let left = lines.iter().enumerate().filter(|(index, line)| !others.contains(index) || line.comment);
    let out: String = left.flat_map(|(_, line)| [line.text.as_str(), line.end.as_str()]).collect();
    let (before, after) = (unit_file::parse(text), unit_file::parse(&out));
    let wanted: Vec<(&str, &str, &str)> = before
        .entries()
        .iter()
        .map(|entry| {
            (entry.section.as_str(), entry.key.as_str(), if entry.line == line { value } else { &entry.value })
        })
        .collect();
    let found: Vec<(&str, &str, &str)> = after
        .entries()
        .iter()
        .map(|entry| (entry.section.as_str(), entry.key.as_str(), entry.value.as_str()))
        .collect();
    if wanted == found { Ok(out) } else { Err(FormatError::internal("the edited unit differs from what was meant")) }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

fn lines_of(text: &str) -> Vec<Line> {
    let split = text.split_inclusive('\n').map(|line| {
        // A carriage return ends a line only before a newline.
        let ended = line.strip_suffix('\n').map(|body| body.strip_suffix('\r').unwrap_or(body));
        let body = ended.unwrap_or(line);
        let bare = body.trim_start_matches(BOM).trim_start_matches(is_blank);
        Line {
            text: body.to_owned(),
            end: line.get(body.len()..).unwrap_or_default().to_owned(),
            comment: bare.starts_with(['#', ';']),
        }
    });
    split.collect()
}

fn continues(text: &str) -> bool {
    let backslashes = text.len() - text.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// A line without the backslash that continues it.
fn content(text: &str) -> &str {
    if continues(text) { text.get(..text.len() - 1).unwrap_or_default() } else { text }
}

fn setting_at(lines: &[Line], line: u32) -> Option<Setting> {
    let start = usize::try_from(line.checked_sub(1)?).ok()?;
    let mut setting = Setting { lines: start..start, ..Setting::default() };
    let mut in_value = false;
    for (index, line) in lines.iter().enumerate().skip(start) {
        setting.lines.end = index + 1;
        if line.comment {
            if index == start {
                return None;
            }
            continue;
        }
        let body = content(&line.text);
        let indent = body.len() - body.trim_start_matches([BOM, ' ', '\t', '\r']).len();
        let mut from = indent;
        if !in_value {
            from = body.find('=')? + 1;
            in_value = true;
        }
        setting.value.push_str(body.get(from..).unwrap_or_default());
        setting.places.extend((from..body.len()).map(|at| (index, at)));
        if !continues(&line.text) {
            break;
        }
        // The backslash reads as a blank.
        setting.value.push(' ');
        setting.places.push((index, body.len()));
    }
    // Comments behind the last line of a setting that the file's end cuts off are not its own.
    while setting.lines.end > setting.lines.start + 1
        && lines.get(setting.lines.end - 1).is_some_and(|line| line.comment)
    {
        setting.lines.end -= 1;
    }
    in_value.then_some(setting)
}

/// One line with its words changed. A word that goes takes the blanks before it along, or behind it where it is the
/// first of its line, so that the indentation stays.
fn changed(text: &str, words: &[(Range<usize>, &Op)]) -> String {
    let mut out = text.to_owned();
    for (range, op) in words.iter().rev() {
        match op {
            Op::Keep => {}
            Op::Set(new) => out.replace_range(range.clone(), new),
            Op::Drop => {
                let before = out.get(..range.start).unwrap_or_default();
                let is_first = before.trim_matches(is_blank).is_empty();
                let range = if is_first {
                    let behind = out.get(range.end..).unwrap_or_default();
                    let blanks = behind.len() - behind.trim_start_matches(is_blank).len();
                    range.start..range.end + blanks
                } else {
                    before.trim_end_matches(is_blank).len()..range.end
                };
                out.replace_range(range, "");
            }
        }
    }
    out
}

/// When the last lines of a setting went, the line that is the last now must not continue.
fn close_gap(lines: &mut [Line], setting: &Setting, gone: &[usize]) {
    let own: Vec<usize> =
        setting.lines.clone().filter(|index| lines.get(*index).is_some_and(|line| !line.comment)).collect();
    let Some(last) = own.last() else { return };
    if !gone.contains(last) || lines.get(*last).is_some_and(|line| continues(&line.text)) {
        return;
    }
    let now_last = own.iter().rev().find(|index| !gone.contains(index)).copied();
    if let Some(line) = now_last.and_then(|index| lines.get_mut(index)) {
        line.text = content(&line.text).trim_end_matches(is_blank).to_owned();
    }
}

fn check(before: &str, after: &str, line: u32, ops: &[Op], append: &[String]) -> Result<(), FormatError> {
    let (was, is) = (unit_file::parse(before), unit_file::parse(after));
    let at = was.entries().iter().position(|entry| entry.line == line);
    let others = |entries: &[Entry]| -> Vec<(String, String, String)> {
        let rest = entries.iter().enumerate().filter(|(index, _)| Some(*index) != at);
        rest.map(|(_, entry)| (entry.section.clone(), entry.key.clone(), entry.value.clone())).collect()
    };
    let texts = |value: &str| -> Vec<String> { split(value, Escapes::C).into_iter().map(|word| word.text).collect() };
    let value = |entries: &[Entry]| at.and_then(|at| entries.get(at)).map(|entry| entry.value.clone());
    let mut wanted = Vec::new();
    for (index, word) in texts(&value(was.entries()).unwrap_or_default()).into_iter().enumerate() {
        match ops.get(index) {
            None | Some(Op::Keep) => wanted.push(word),
            Some(Op::Drop) => {}
            Some(Op::Set(new)) => wanted.extend(texts(new)),
        }
    }
    wanted.extend(append.iter().flat_map(|word| texts(word)));
    let found = texts(&value(is.entries()).unwrap_or_default());
    let same_rest = others(was.entries()) == others(is.entries());
    if same_rest && found == wanted && was.unreadable_lines().len() == is.unreadable_lines().len() {
        return Ok(());
    }
    Err(FormatError::internal("the edited unit differs from what was meant"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNIT: &str = "[Unit]\nA=b\n\n[Service]\n# why\nExecStart=/usr/bin/kubelet \\\n  --config=/x \\\n  # inner\n  --network-plugin=cni \\\n  --cni-bin-dir /opt --v=2\nRestart=always\n";

    fn drop(text: &str, line: u32, gone: &[usize], append: &[&str]) -> String {
        let ops: Vec<Op> = (0..20).map(|index| if gone.contains(&index) { Op::Drop } else { Op::Keep }).collect();
        let append: Vec<String> = append.iter().map(|word| (*word).to_owned()).collect();
        with_words(text, line, &ops, &append).unwrap()
    }

    #[test]
    fn words_go_with_their_lines_and_nothing_else_changes() {
        assert_eq!(drop(UNIT, 6, &[], &[]), UNIT);
        assert_eq!(drop(UNIT, 6, &[2], &[]), UNIT.replace("  --network-plugin=cni \\\n", ""));
        assert_eq!(drop(UNIT, 6, &[3, 4], &[]), UNIT.replace("--cni-bin-dir /opt --v=2", "--v=2"));
        assert_eq!(
            drop(UNIT, 6, &[2, 3, 4, 5], &["--a=b"]),
            UNIT.replace("--config=/x \\", "--config=/x --a=b")
                .replace("  --network-plugin=cni \\\n  --cni-bin-dir /opt --v=2\n", "")
        );
        assert_eq!(
            drop("[Service]\r\nExecStart=/k --a --b\r\n", 2, &[1], &["--c"]),
            "[Service]\r\nExecStart=/k --b --c\r\n"
        );
        assert_eq!(drop("[Service]\nExecStart=/k --a \\", 2, &[], &["--c"]), "[Service]\nExecStart=/k --a --c \\");
    }

    #[test]
    fn words_are_replaced_where_they_stand() {
        let text = "[Service]\nEnvironment=\"A=x y\"  'B=1' # no comment\n";
        let ops = [Op::Set(written("A=x % \"z\"")), Op::Keep];
        let after = with_words(text, 2, &ops, &[]).unwrap();
        assert_eq!(after, "[Service]\nEnvironment=\"A=x %% \\\"z\\\"\"  'B=1' # no comment\n");
        assert_eq!(unit_file::environment_assignments(&unit_file::parse(&after).entries()[0].value)[0].1, "x % \"z\"");
        let text = "[S]\nB=1\nA=\"x \\\n# c\n y\" z \\\n 'u v'\nC=2\n";
        assert_eq!(
            with_words(text, 3, &[Op::Set("\"x  w\"".to_owned())], &["q".to_owned()]).unwrap(),
            "[S]\nB=1\nA=\"x  w\" z 'u v' q\n# c\nC=2\n",
            "a word over several lines"
        );
        assert_eq!(with_words("[S]\nA=\"x \\\n y\"\n", 2, &[Op::Drop], &[]).unwrap(), "[S]\nA=\n");
        assert!(with_words("[S]\nA=1\n", 1, &[], &[]).is_err());
    }

    #[test]
    fn settings_are_added_to_their_section() {
        assert_eq!(with_settings("", "Service", &[("A", ""), ("A", "b")]), "[Service]\nA=\nA=b\n");
        let text = "[Service]\nA=1 \\\n 2\n\n[Install]\nB=2";
        assert_eq!(with_settings(text, "Service", &[("C", "3")]), "[Service]\nA=1 \\\n 2\nC=3\n\n[Install]\nB=2");
        assert_eq!(with_settings(text, "Install", &[("C", "3")]), format!("{text}\nC=3\n"));
        assert_eq!(with_settings("[Unit]\nA=1\n", "Service", &[("B", "2")]), "[Unit]\nA=1\n\n[Service]\nB=2\n");
        assert_eq!(with_settings("[Service]\nA=1\r", "Service", &[("B", "2")]), "[Service]\nA=1\r\nB=2\n");
        let cut_off = "[Service]\nA=1 \\\n";
        assert_eq!(with_settings(cut_off, "Service", &[("B", "2")]), format!("{cut_off}\nB=2\n"));
        assert_eq!(with_settings(cut_off, "Unit", &[("B", "2")]), format!("{cut_off}\n\n[Unit]\nB=2\n"));
    }

    #[test]
    fn a_value_is_replaced_as_a_whole() {
        let text = "[Unit]\nAfter=a.service \\\n # c\n docker.service\nWants=x\n";
        assert_eq!(with_value(text, 2, "a.service b").unwrap(), "[Unit]\nAfter=a.service b\n # c\nWants=x\n");
    }

    proptest! {
        #[test]
        fn edited_units_say_what_was_asked(
            pieces in proptest::collection::vec("(--[ab]=[a-c]{0,2}|\"q [a-c]\"|'s'|x\\\\\\\\y|# c|; c)( |  | \\\\\n|\\\\\n  |\t)", 0..8),
            gone in proptest::collection::vec(any::<bool>(), 8),
            newline in prop_oneof![Just("\n"), Just("\r\n")],
            append in any::<bool>(),
        ) {
            let text = format!("[Service]\n# c\nExecStart=/k {}--end\n\nRestart=always\n", pieces.concat()).replace('\n', newline);
            let value = unit_file::parse(&text).entries()[0].value.clone();
            let count = raw_words(&value).len();
            let ops: Vec<Op> = (0..count).map(|i| if i > 0 && gone.get(i).copied().unwrap_or_default() { Op::Drop } else { Op::Keep }).collect();
            let append: Vec<String> = append.then(|| "--new=1".to_owned()).into_iter().collect();
            // Its own check compares every setting and word.
            if let Ok(out) = with_words(&text, 3, &ops, &append) {
                for line in text.lines().filter(|line| line.trim_start().starts_with(['#', ';'])) {
                    prop_assert!(out.lines().any(|other| other == line), "lost {line:?} in {out:?}");
                }
                if ops.iter().all(|op| *op == Op::Keep) && append.is_empty() {
                    prop_assert_eq!(out, text);
                }
            } else {
                // A word that would read as a comment at the start of its line.
                prop_assert!(text.contains(['"', '\'', '#', ';']), "{text:?}");
            }
        }

        #[test]
        fn any_text_is_survived(text in "[a=\\[\\]\\\\ \"'#;\n\r]{0,40}", line in 0..6_u32) {
            let _ = with_words(&text, line, &[Op::Drop, Op::Set("x".into())], &["y".into()]);
            let _ = with_value(&text, line, "v");
            let out = with_settings(&text, "Service", &[("Castoff", "1")]);
            let found = unit_file::parse(&out).entries().iter().any(|e| e.key == "Castoff" && e.section == "Service");
            prop_assert!(found, "{out:?}");
        }
    }
}
