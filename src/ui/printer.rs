//! Standard output is data, standard error is talk.

use crate::{
    host::env,
    report::{Glyphs, Look, visible},
};
use anstream::{AutoStream, ColorChoice};
use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColourChoice {
    /// On a terminal, unless `NO_COLOR` or `TERM=dumb` says otherwise.
    #[default]
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
}

/// Widest lines castoff writes; longer ones are hard to read.
const MAX_WIDTH: usize = 120;
/// Below that nothing can be laid out.
const NARROWEST: usize = 40;

/// Where output goes and how it looks.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    colour: ColorChoice,
    look: Look,
    quiet: bool,
    verbose: u8,
    still: bool,
}

/// Requested data could not be written.
static LOST: AtomicBool = AtomicBool::new(false);

/// True when requested data could not be written.
pub fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Columns of the terminal: where results go, else where talk does.
fn width() -> usize {
    let terms = [console::Term::stdout(), console::Term::stderr()];
    let columns = terms.iter().find_map(console::Term::size_checked).map_or(80, |(_, columns)| usize::from(columns));
    columns.clamp(NARROWEST, MAX_WIDTH)
}

impl Printer {
    /// A printer for this terminal.
    pub fn new(colour: ColourChoice, quiet: bool, verbose: u8) -> Self {
        let choice = match colour {
            ColourChoice::Auto => ColorChoice::Auto,
            ColourChoice::Always => ColorChoice::Always,
            ColourChoice::Never => ColorChoice::Never,
        };
        let look = Look { glyphs: Glyphs::new(env::is_utf8()), width: width() };
        Self { colour: choice, look, quiet, verbose, still: env::is_set("CASTOFF_NO_PROGRESS") }
    }

    /// The same for a window that may have been resized.
    #[must_use]
    pub fn resized(self) -> Self {
        Self { look: Look { width: width(), ..self.look }, ..self }
    }

    /// The same without lines that move, where somebody wants none.
    #[must_use]
    pub const fn without_progress(mut self, still: bool) -> Self {
        self.still |= still;
        self
    }

    /// What the terminal can show.
    pub const fn look(&self) -> Look {
        self.look
    }

    /// How much detail is wanted.
    pub const fn verbose(&self) -> u8 {
        self.verbose
    }

    /// True when only the outcome is wanted.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// True when progress may be drawn.
    pub fn is_live(&self) -> bool {
        !self.quiet && self.verbose == 0 && !self.still && io::stderr().is_terminal()
    }

    /// Requested data, for people: what a file of the node holds must not act on their terminal.
    pub fn data(&self, text: &str) {
        self.document(&visible(text));
    }

    /// Requested data as it is: documents, for programs. A closed pipe (`| head`) is the reader's choice, not an error; of
    /// any other failure standard error tells, once, and [`is_lost`] from then on.
    pub fn document(&self, text: &str) {
        let mut out = AutoStream::new(io::stdout().lock(), self.resolved(&io::stdout()));
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
            && error.kind() != io::ErrorKind::BrokenPipe
            && !LOST.swap(true, Ordering::Relaxed)
        {
            self.insist(&format!("error: cannot write to standard output: {error}"));
        }
    }

    /// Talk; not in quiet mode.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Talk that also quiet users need: outcomes, warnings, errors.
    pub fn insist(&self, text: &str) {
        let mut out = AutoStream::new(io::stderr().lock(), self.resolved(&io::stderr()));
        let _ = writeln!(out, "{}", self.look.glyphs.plain(&visible(text)));
    }

    fn resolved(&self, stream: &impl anstream::stream::RawStream) -> ColorChoice {
        match self.colour {
            ColorChoice::Auto => AutoStream::choice(stream),
            other => other,
        }
    }
}
