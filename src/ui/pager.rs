//! Long texts, a screenful at a time, so that a plan can be read before it is confirmed. Built in: what runs as root starts no
//! pager of somebody's environment.

use super::{Answer, Printer};
use anyhow::{Result, anyhow};
use console::{Key, Term, measure_text_width};
use std::io;

/// Fewer rows than that are no screen to page on.
const FEWEST: usize = 6;

/// Rows that a line takes on a screen.
fn rows(line: &str, columns: usize) -> usize {
    measure_text_width(line).div_ceil(columns.max(1)).max(1)
}

/// Shows a text on standard error, and waits for a key where it is longer than the screen. `Cancelled` when somebody has seen enough
/// for good (Ctrl-C); `Given` otherwise.
///
/// # Errors
/// When the terminal fails.
pub fn page(text: &str, printer: Printer) -> Result<Answer<()>> {
    let term = Term::stderr();
    let mut lines = text.lines().peekable();
    let mut shown = 0;
    let mut to_the_end = false;
    while let Some(line) = lines.next() {
        printer.insist(line);
        // Asked each time: somebody may make the window larger.
        let (height, width) = term.size();
        shown += rows(line, usize::from(width));
        let screen = usize::from(height).max(FEWEST) - 1;
        let next = lines.peek().map_or(0, |line| rows(line, usize::from(width)));
        if to_the_end || next == 0 || shown + next <= screen {
            continue;
        }
        match ask(&term)? {
            Answer::Given(Step::Screen) => shown = 0,
            // One more line, and the question again.
            Answer::Given(Step::Line) => shown = screen.saturating_sub(next),
            Answer::Given(Step::End) => to_the_end = true,
            Answer::Given(Step::Enough) => break,
            Answer::Cancelled => return Ok(Answer::Cancelled),
        }
    }
    Ok(Answer::Given(()))
}

enum Step {
    Screen,
    Line,
    End,
    Enough,
}

fn ask(term: &Term) -> Result<Answer<Step>> {
    const QUESTION: &str = "-- more: space, enter, G to the end, q --";
    let asked = loop {
        term.write_str(QUESTION)?;
        let key = term.read_key();
        term.clear_line()?;
        match key {
            Ok(Key::Char(' ' | 'f') | Key::PageDown) => break Answer::Given(Step::Screen),
            Ok(Key::Enter | Key::ArrowDown | Key::Char('j')) => break Answer::Given(Step::Line),
            Ok(Key::Char('G') | Key::End) => break Answer::Given(Step::End),
            Ok(Key::Char('q' | 'Q') | Key::Escape) => break Answer::Given(Step::Enough),
            Ok(Key::CtrlC) => break Answer::Cancelled,
            // A key that means nothing here is asked again.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => break Answer::Cancelled,
            Err(error) => return Err(anyhow!("cannot ask on this terminal: {error}")),
        }
    };
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room_and_long_lines_take_more_rows() {
        assert_eq!(rows("", 80), 1);
        assert_eq!(rows("\u{1b}[32m+ x\u{1b}[0m", 3), 1);
        assert_eq!(rows(&"x".repeat(81), 80), 2);
        assert_eq!(rows("x", 0), 1);
    }
}
