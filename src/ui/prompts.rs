//! Questions. They need a terminal on standard input and standard error; otherwise the caller says what to do instead.

use crate::report::visible;
use anyhow::{Result, anyhow};
use console::Term;
use dialoguer::{Confirm, Input, Select, theme::SimpleTheme};
use std::io::{self, IsTerminal as _};

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The answer.
    Given(T),
    /// Ctrl-C or Esc.
    Cancelled,
}

/// Asks questions on a terminal.
#[derive(Debug)]
pub struct Prompter(Term);

impl Prompter {
    /// A prompter, where somebody can answer.
    pub fn new() -> Option<Self> {
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then(|| Self(Term::stderr()))
    }

    /// One of several.
    ///
    /// # Errors
    /// When the terminal fails.
    pub fn choose(&self, question: &str, items: &[String], default: usize) -> Result<Answer<usize>> {
        let select = Select::with_theme(&SimpleTheme).with_prompt(visible(question)).items(items).default(default);
        self.settle(select.interact_on_opt(&self.0)).map(|answer| match answer {
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
        self.settle(confirm.interact_on_opt(&self.0)).map(|answer| match answer {
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
        self.settle(input.interact_text_on(&self.0))
    }

    /// The exact word, typed: for what must not happen by a slip of the finger.
    ///
    /// # Errors
    /// When the terminal fails.
    pub fn type_word(&self, question: &str, word: &str) -> Result<Answer<bool>> {
        let input = Input::<String>::with_theme(&SimpleTheme).with_prompt(visible(question)).allow_empty(true);
        self.settle(input.interact_text_on(&self.0)).map(|answer| match answer {
            Answer::Given(text) => Answer::Given(text.trim() == word),
            Answer::Cancelled => Answer::Cancelled,
        })
    }

    /// A prompt that was interrupted leaves the cursor hidden; show it whatever happened.
    fn settle<T>(&self, result: dialoguer::Result<T>) -> Result<Answer<T>> {
        let _ = self.0.show_cursor();
        match result {
            Ok(answer) => Ok(Answer::Given(answer)),
            Err(dialoguer::Error::IO(error)) if error.kind() == io::ErrorKind::Interrupted => Ok(Answer::Cancelled),
            Err(error) => Err(anyhow!("cannot ask on this terminal: {error}")),
        }
    }
}
