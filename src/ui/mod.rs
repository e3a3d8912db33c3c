//! Talking to people: streams, colours, prompts, progress. Reached from `cli` alone.

mod printer;
mod progress;
mod prompts;

pub use printer::{ColourChoice, Printer};
pub use progress::Progress;
pub use prompts::{Answer, Prompter};
