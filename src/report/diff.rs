//! Unified diffs, read back: what a page shows side by side comes from the same text as what a terminal shows.

/// What a line of a diff is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The same on both sides.
    Same,
    /// Only in the old file.
    Cut,
    /// Only in the new file.
    Added,
    /// Of neither: a remark such as `\ No newline at end of file`.
    Remark,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its number in the old file.
    pub old: Option<u32>,
    /// Its number in the new file.
    pub new: Option<u32>,
    /// Without its sign.
    pub text: &'a str,
}

/// Lines that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk<'a> {
    /// `@@ -1,3 +1,4 @@`
    pub head: &'a str,
    /// In order.
    pub lines: Vec<Line<'a>>,
}

/// The diff of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff<'a> {
    /// In order.
    pub hunks: Vec<Hunk<'a>>,
}

impl<'a> Diff<'a> {
    /// Reads a diff. How long a hunk is stands in its head: a line of a file may look like a head itself. What is not
    /// understood becomes a remark, so that nothing is left out.
    pub fn read(text: &'a str) -> Self {
        let mut diff = Self::default();
        let (mut old, mut new, mut old_left, mut new_left) = (1, 1, 0, 0);
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if old_left == 0 && new_left == 0 {
                if let Some([from, removed, to, added]) = head(line) {
                    (old, old_left, new, new_left) = (from, removed, to, added);
                    diff.hunks.push(Hunk { head: line, lines: Vec::new() });
                    continue;
                }
                if diff.hunks.is_empty() && (line.starts_with("--- ") || line.starts_with("+++ ") || line.is_empty()) {
                    continue;
                }
            }
            if diff.hunks.is_empty() {
                diff.hunks.push(Hunk { head: "", lines: Vec::new() });
            }
            let Some(hunk) = diff.hunks.last_mut() else { continue };
            let sign = if old_left == 0 && new_left == 0 { None } else { line.chars().next() };
            let rest = line.get(1..).unwrap_or_default();
            let remark = Line { kind: Kind::Remark, old: None, new: None, text: line };
            hunk.lines.push(match sign {
                Some('-') if old_left > 0 => Line { kind: Kind::Cut, old: Some(old), text: rest, ..remark },
                Some('+') if new_left > 0 => Line { kind: Kind::Added, new: Some(new), text: rest, ..remark },
                Some(' ') => Line { kind: Kind::Same, old: Some(old), new: Some(new), text: rest },
                _ => remark,
            });
            let kind = hunk.lines.last().map_or(Kind::Remark, |line| line.kind);
            if matches!(kind, Kind::Same | Kind::Cut) {
                (old, old_left) = (old + 1, old_left.saturating_sub(1));
            }
            if matches!(kind, Kind::Same | Kind::Added) {
                (new, new_left) = (new + 1, new_left.saturating_sub(1));
            }
        }
        diff
    }

    /// Lines added and lines removed.
    pub fn counts(&self) -> (usize, usize) {
        let count = |kind| self.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.kind == kind).count();
        (count(Kind::Added), count(Kind::Cut))
    }
}

/// First lines and lengths of both sides in the head of a hunk.
fn head(line: &str) -> Option<[u32; 4]> {
    let ranges = line.strip_prefix("@@ -")?;
    let (ranges, _) = ranges.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| match text.split_once(',') {
        Some((from, length)) => Some((from.parse().ok()?, length.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    let ((from, removed), (to, added)): ((u32, u32), (u32, u32)) = (range(old)?, range(new)?);
    Some([from, removed, to, added])
}

/// Where two lines differ: the bytes of each that have no counterpart at the beginning or the end of the other, whole
/// words of them. `None` when the lines have too little in common for that to help.
pub fn differing(old: &str, new: &str) -> Option<[(usize, usize); 2]> {
    let alike = |(a, b): &(char, char)| a == b;
    let width =
        |pairs: &mut dyn Iterator<Item = (char, char)>| pairs.take_while(alike).map(|(c, _)| c.len_utf8()).sum();
    let mut front: usize = width(&mut old.chars().zip(new.chars()));
    while inside_word(old, front) || inside_word(new, front) {
        front -= old.get(..front)?.chars().next_back()?.len_utf8();
    }
    let (old_rest, new_rest) = (old.get(front..)?, new.get(front..)?);
    let mut back: usize = width(&mut old_rest.chars().rev().zip(new_rest.chars().rev()));
    while inside_word(old, old.len() - back) || inside_word(new, new.len() - back) {
        back -= old.get(old.len() - back..)?.chars().next()?.len_utf8();
    }
    let shared = front + back;
    let blank = old.get(..front)?.trim().is_empty() && old.get(old.len() - back..)?.trim().is_empty();
    if blank || shared * 3 < old.len().min(new.len()) {
        return None;
    }
    Some([(front, old.len() - back), (front, new.len() - back)])
}

fn inside_word(text: &str, at: usize) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    word(text.get(..at).and_then(|before| before.chars().next_back()))
        && word(text.get(at..).and_then(|after| after.chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "--- /etc/x\n+++ /etc/x (planned)\n@@ -1,3 +1,3 @@\n a\n--- b\n+++ c\n d\n\\ No newline at end of file\n";

    #[test]
    fn lines_that_look_like_heads_are_lines() {
        let diff = Diff::read(TEXT);
        assert_eq!(diff.counts(), (1, 1));
        let lines: Vec<(Kind, &str)> = diff.hunks[0].lines.iter().map(|line| (line.kind, line.text)).collect();
        assert_eq!(
            lines,
            [
                (Kind::Same, "a"),
                (Kind::Cut, "-- b"),
                (Kind::Added, "++ c"),
                (Kind::Same, "d"),
                (Kind::Remark, "\\ No newline at end of file")
            ]
        );
        assert_eq!((diff.hunks[0].lines[3].old, diff.hunks[0].lines[3].new), (Some(3), Some(3)));
    }

    #[test]
    fn nothing_is_left_out_of_what_is_not_understood() {
        for text in ["hello\nworld", "@@ -1,9 +1,9 @@\n a\nwhat\n", "@@ -1 +1 @@\n-a\n+b\n+c\n", "@@ nonsense @@\n+x\n"]
        {
            let diff = Diff::read(text);
            let shown: usize =
                diff.hunks.iter().map(|hunk| hunk.lines.len() + usize::from(!hunk.head.is_empty())).sum();
            assert_eq!(shown, text.lines().count(), "{text}");
        }
        assert!(Diff::read("").hunks.is_empty());
    }

    #[test]
    fn what_differs_is_whole_words() {
        let parts =
            |old: &'static str, new: &'static str| differing(old, new).map(|[(a, b), (c, d)]| (&old[a..b], &new[c..d]));
        assert_eq!(parts("SystemdCgroup = false", "SystemdCgroup = true"), Some(("false", "true")));
        assert_eq!(parts("names = []", "names = [\"ä\"]"), Some(("", "\"ä\"")));
        assert_eq!(parts("a: übel", "a: über"), Some(("übel", "über")));
        assert_eq!(parts("one", "two"), None);
        assert_eq!(parts("", "x"), None);
        assert_eq!(parts("aaaa", "aa"), None);
    }
}
