//! Lines in columns.

use super::style::Look;

/// Wraps `text` at blanks to `width`, continuing lines with `indent` blanks. A word longer than a line stays whole:
/// paths are never cut.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(20);
    let pad = format!("\n{}", " ".repeat(indent));
    let mut out = String::new();
    for (number, paragraph) in text.lines().enumerate() {
        if number > 0 {
            out.push_str(&pad);
        }
        let mut column = 0;
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > room {
                out.push_str(&pad);
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
    }
    out
}

/// Pads `text` to `width` columns; longer text is left whole.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// Names and values in two columns; a row without a value is left out.
pub fn rows(rows: &[(&str, String)], look: Look) -> String {
    let names = rows.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.chars().count());
    let column = names.max().unwrap_or_default() + 4;
    let line =
        |(name, value): &(&str, String)| format!("  {}{}\n", pad(name, column - 2), wrap(value, look.width, column));
    rows.iter().filter(|(_, value)| !value.is_empty()).map(line).collect()
}

/// A count with its noun: `1 note`, `2 notes`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Bytes as people read them.
#[allow(clippy::cast_precision_loss)] // One decimal is shown.
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        c if c < 1e3 => format!("{c} B"),
        c if c < 1e6 => format!("{:.1} kB", c / 1e3),
        c if c < 1e9 => format!("{:.1} MB", c / 1e6),
        c => format!("{:.1} GB", c / 1e9),
    }
}

/// Seconds as people read them.
pub fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Whole, positive seconds.
    let whole = seconds.round() as u64;
    format!("{} min {} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_stay_whole() {
        let text = wrap("see /a/very/long/path/that/does/not/fit/into/the/line at all", 30, 2);
        assert!(text.contains("/a/very/long/path/that/does/not/fit/into/the/line"));
        assert_eq!(wrap("a b", 80, 4), "a b");
        assert_eq!(wrap("one\ntwo", 80, 2), "one\n  two");
    }

    #[test]
    fn figures() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(2_100_000_000), "2.1 GB");
        assert_eq!(seconds(9.94), "9.9 s");
        assert_eq!(seconds(112.4), "1 min 52 s");
    }
}
