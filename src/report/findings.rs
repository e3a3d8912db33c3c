//! Findings for people, with cause, place and what to do.

use super::{
    style::{self, DIM, HINT, Look, STRONG, paint},
    table::{counted, pad, wrap},
};
use crate::model::{Explanation, Finding, Severity};

/// Findings as text; those in `skipped` are shown as such.
pub fn findings(findings: &[Finding], skipped: &[String], look: Look) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", paint(STRONG, "Findings"));
    for finding in findings {
        let style = style::of_severity(finding.severity);
        let symbol = style::symbol_of(finding.severity, look.glyphs);
        let word = pad(finding.severity.word(), 6);
        let off = if skipped.contains(&finding.id) { paint(DIM, " (skipped)") } else { String::new() };
        text.push_str(&format!("  {}{off}\n", paint(style, format!("{symbol} {word}{}", finding.id))));
        let mut line = |label: &str, body: &str| {
            if !body.is_empty() {
                text.push_str(&format!("      {}{}\n", pad(label, 7), wrap(body, look.width, 13)));
            }
        };
        line("", &finding.summary);
        line("cause", &finding.cause);
        for origin in &finding.origins {
            line("at", &origin.to_string());
        }
        line("fix", &finding.fix);
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (block, warn, note) = (count(Severity::Block), count(Severity::Warn), count(Severity::Note));
    let dot = look.glyphs.dot();
    text.push_str(&format!("\n{block} blocking"));
    // A list may be of some only: what is not in it was not counted.
    for (count, noun) in [(warn, "warning"), (note, "note")].into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(" {dot} {}", counted(count, noun)));
    }
    text.push('\n');
    text
}

/// What `castoff explain` prints of a word that is no finding.
pub fn meaning(head: &str, summary: &str, text: &str, look: Look) -> String {
    let (summary, text) = (wrap(summary, look.width, 0), wrap(text, look.width, 0));
    format!("{}\n{summary}\n\n{text}\n", paint(STRONG, head))
}

/// What `castoff explain` prints.
pub fn explanation(info: &Explanation, look: Look) -> String {
    let head =
        format!("{} ({})", paint(STRONG, info.id), paint(style::of_severity(info.severity), info.severity.word()));
    let skip = if info.severity == Severity::Block {
        format!("\nTo go on in spite of it: {}\n", paint(HINT, format!("--skip-check {}", info.id)))
    } else {
        String::new()
    };
    format!("{head}\n{}\n\n{}\n{skip}", wrap(info.summary, look.width, 0), wrap(info.text, look.width, 0))
}
