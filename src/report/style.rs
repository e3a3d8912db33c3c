//! What the terminal can show. Colours carry no meaning that a symbol or word does not carry too.

use crate::model::{Change, CheckStatus, Severity};
use anstyle::{AnsiColor, Style};

/// The characters a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    unicode: bool,
}

impl Glyphs {
    /// Unicode, or plain ASCII for other locales.
    pub const fn new(unicode: bool) -> Self {
        Self { unicode }
    }

    const fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// Something went right.
    pub const fn ok(self) -> &'static str {
        self.pick("✔", "ok")
    }

    /// Something went wrong.
    pub const fn bad(self) -> &'static str {
        self.pick("✘", "x")
    }

    /// Talk as the terminal can show it: our own few characters beyond ASCII have something plain instead.
    pub fn plain(self, text: &str) -> std::borrow::Cow<'_, str> {
        if self.unicode || text.is_ascii() {
            return text.into();
        }
        text.replace('…', "...").replace(['·', '–'], "-").replace('✔', "ok").replace('✘', "x").into()
    }

    /// What turns while something is waited for.
    pub const fn spinner(self) -> &'static str {
        self.pick("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ", "|/-\\ ")
    }

    /// Between parts of a line.
    pub const fn dot(self) -> &'static str {
        self.pick("·", "-")
    }
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its characters.
    pub glyphs: Glyphs,
    /// Its width in columns.
    pub width: usize,
}

impl Look {
    /// 80 columns of Unicode.
    pub const fn plain() -> Self {
        Self { glyphs: Glyphs::new(true), width: 80 }
    }
}

/// Bold.
pub const STRONG: Style = Style::new().bold();
/// Dimmed: origins, times.
pub const DIM: Style = Style::new().dimmed();
/// Good.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Bad.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Worth a look.
pub const CAUTION: Style = AnsiColor::Yellow.on_default();
/// Hints and commands.
pub const HINT: Style = AnsiColor::Cyan.on_default();

/// What the styles above look like to a terminal: all that it is told by castoff.
pub const PAINTS: [&str; 7] =
    ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[36m"];

/// Wraps text in a style. The printer takes colours away where they are not wanted.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Style of a severity.
pub const fn of_severity(severity: Severity) -> Style {
    match severity {
        Severity::Block => BAD,
        Severity::Warn => CAUTION,
        Severity::Note => DIM,
    }
}

/// Symbol of a severity.
pub const fn symbol_of(severity: Severity, glyphs: Glyphs) -> &'static str {
    match severity {
        Severity::Block => glyphs.bad(),
        Severity::Warn => "!",
        Severity::Note => glyphs.dot(),
    }
}

/// Style of a change.
pub const fn of_change(change: Change) -> Style {
    match change {
        Change::Create => GOOD,
        Change::Update | Change::Run => CAUTION,
        Change::Delete => BAD,
        Change::NoOp => DIM,
    }
}

/// Style and symbol of a check.
pub const fn of_check(status: CheckStatus, glyphs: Glyphs) -> (Style, &'static str) {
    match status {
        CheckStatus::Pass => (GOOD, glyphs.ok()),
        CheckStatus::Fail => (BAD, glyphs.bad()),
        CheckStatus::Skip => (DIM, "-"),
        CheckStatus::Inconclusive => (CAUTION, "?"),
    }
}

/// A command the user can type.
pub fn command(text: &str) -> String {
    paint(HINT, text)
}
