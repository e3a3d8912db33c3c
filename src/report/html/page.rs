//! The frame of a page.

use crate::{
    model::{Severity, TOOL_VERSION},
    report::markup::{escape, fill},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

const FRAME: &str = include_str!("../../../templates/report/page.html");
const STYLE: &str = include_str!("../../../templates/report/page.css");
const SCRIPT: &str = include_str!("../../../templates/report/page.js");

/// What something is to the reader. Never said by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Neither good nor bad.
    Wait,
    /// Worth a look.
    Care,
    /// Wrong.
    Bad,
    /// By the way.
    Faint,
}

impl Tone {
    /// Its class in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Care => "care",
            Self::Bad => "bad",
            Self::Faint => "faint",
        }
    }

    /// The symbol that says the same without colour.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Good => "✔",
            Self::Wait => "→",
            Self::Care => "!",
            Self::Bad => "✘",
            Self::Faint => "·",
        }
    }
}

/// The tone of a finding.
pub const fn finding_tone(severity: Severity) -> Tone {
    match severity {
        Severity::Block => Tone::Bad,
        Severity::Warn => Tone::Care,
        Severity::Note => Tone::Faint,
    }
}

/// A word with its symbol, in its tone.
pub fn badge(tone: Tone, symbol: &str, word: &str) -> String {
    format!(
        "<span class=\"badge {}\"><span class=\"sym\">{}</span> {}</span>",
        tone.class(),
        escape(symbol),
        escape(word)
    )
}

/// A figure with what it counts, and a remark.
pub fn card(tone: Option<Tone>, figure: &str, what: &str, remark: &str) -> String {
    let class = tone.map(|tone| format!(" class=\"{}\"", tone.class())).unwrap_or_default();
    let remark = if remark.is_empty() { String::new() } else { format!("<small>{}</small>", escape(remark)) };
    format!("<li><b{class}>{}</b>{}{remark}</li>\n", escape(figure), escape(what))
}

/// A page while it is put together. What goes in is HTML, but for title and eyebrow.
#[derive(Debug)]
pub struct Page {
    eyebrow: String,
    title: String,
    tone: Tone,
    lead: String,
    contents: String,
    sections: String,
}

impl Page {
    /// A page without sections. `lead` stands below the title, `eyebrow` above it.
    pub fn new(eyebrow: &str, title: &str, tone: Tone, lead: &str) -> Self {
        let (contents, sections) = (String::new(), String::new());
        Self { eyebrow: eyebrow.to_owned(), title: title.to_owned(), tone, lead: lead.to_owned(), contents, sections }
    }

    /// The sentence that matters most, for a `lead`.
    pub fn state(tone: Tone, sentence: &str) -> String {
        let (class, symbol) = (tone.class(), tone.symbol());
        format!("<p class=\"state {class}\"><span class=\"sym\">{symbol}</span> {}</p>\n", escape(sentence))
    }

    /// Adds a section; one without body is left out.
    pub fn section(&mut self, id: &str, title: &str, count: Option<usize>, body: &str) {
        if body.is_empty() {
            return;
        }
        let count = count.map(|count| format!(" <span class=\"count\">{count}</span>")).unwrap_or_default();
        self.contents.push_str(&format!("<li><a href=\"#{id}\">{title}{count}</a></li>\n"));
        self.sections.push_str(&format!(
            "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}{count}</h2>\n{body}</section>\n"
        ));
    }

    /// The whole page.
    pub fn html(&self) -> String {
        fill(
            FRAME,
            &[
                ("policy", &policy()),
                ("style", STYLE),
                ("script", SCRIPT),
                ("title", &escape(&self.title)),
                ("tone", self.tone.class()),
                ("eyebrow", &escape(&self.eyebrow)),
                ("lead", &self.lead),
                ("contents", &self.contents),
                ("sections", &self.sections),
                (
                    "footer",
                    &format!(
                        "Made by castoff {TOOL_VERSION}. This page holds all it needs and asks nothing of the network."
                    ),
                ),
            ],
        )
    }
}

/// What the browser may do with the page: nothing but its own style and its own script, told by their digests.
fn policy() -> String {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}
