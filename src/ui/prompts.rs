//! Questions. They need a terminal on standard input and standard error; otherwise the caller says what to do instead.

use crate::report::visible;
use anyhow::{Result, anyhow};
use console::Term;
use dialoguer::{Confirm, Input, Select, theme::SimpleTheme};
use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The answer.
    Given(T),
    /// Ctrl-C or Esc, or another signal.
    Cancelled,
}

/// Asks questions on a terminal.
#[derive(Debug)]
pub struct Prompter {
    term: Term,
    interrupt: Arc<AtomicBool>,
}

impl Prompter {
    /// A prompter, where somebody can answer. Signals set `interrupt`: with a handler of nobody's, Ctrl-C at a question is a death
    /// with a hidden cursor.
    pub fn new(interrupt: Arc<AtomicBool>) -> Option<Self> {
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then(|| Self { term: Term::stderr(), interrupt })
    }

    /// One of several.
    ///
    /// # Errors
    /// When the terminal fails.
    pub fn choose(&self, question: &str, items: &[String], default: usize) -> Result<Answer<usize>> {
        let select = Select::with_theme(&SimpleTheme).with_prompt(visible(question)).items(items).default(default);
        self.ask(|term| select.interact_on_opt(term)).map(|answer| match answer {
            Answer::Given(Some(index)) => Answer::Given(index),
            _ => Answer::Cancelled,
        })
    }

    /// Yes or no; enter means no.
    ///
    /// # Errors
    /// When the terminal fails.
    pub fn confirm(&self, question: &str) -> Result<Answer<bool>> {
        let confirm = Confirm::with_theme(&SimpleTheme).with_prompt(visible(question)).default(false);
        self.ask(|term| confirm.interact_on_opt(term)).map(|answer| match answer {
            Answer::Given(Some(yes)) => Answer::Given(yes),
            _ => Answer::Cancelled,
        })
    }

    /// A text, asked again until `check` is content.
    ///
    /// # Errors
    /// When the terminal fails.
    pub fn text(&self, question: &str, default: &str, check: fn(&str) -> Result<(), String>) -> Result<Answer<String>> {
        let input = Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(visible(question))
            .allow_empty(true)
            .validate_with(move |text: &String| check(text));
        let input = if default.is_empty() { input } else { input.default(default.to_owned()) };
        self.ask(|term| input.interact_text_on(term))
    }

    /// The exact word, typed: for what must not happen by a slip of the finger.
    ///
    /// # Errors
    /// When the terminal fails.
    pub fn type_word(&self, question: &str, word: &str) -> Result<Answer<bool>> {
        let input = Input::<String>::with_theme(&SimpleTheme).with_prompt(visible(question)).allow_empty(true);
        self.ask(|term| input.interact_text_on(term)).map(|answer| match answer {
            Answer::Given(text) => Answer::Given(text.trim() == word),
            Answer::Cancelled => Answer::Cancelled,
        })
    }

    /// A prompt that was interrupted leaves the cursor hidden; show it whatever happened. After a signal nothing is asked: the next
    /// one would end the process at once.
    fn ask<T>(&self, question: impl FnOnce(&Term) -> dialoguer::Result<T>) -> Result<Answer<T>> {
        let is_interrupted = || self.interrupt.load(Ordering::Relaxed);
        if is_interrupted() {
            return Ok(Answer::Cancelled);
        }
        let result = question(&self.term);
        let _ = self.term.show_cursor();
        match result {
            Ok(_) if is_interrupted() => Ok(Answer::Cancelled),
            Ok(answer) => Ok(Answer::Given(answer)),
            Err(dialoguer::Error::IO(error)) if error.kind() == io::ErrorKind::Interrupted => Ok(Answer::Cancelled),
            Err(error) => Err(anyhow!("cannot ask on this terminal: {error}")),
        }
    }
}
