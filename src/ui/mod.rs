//! Talking to people: streams, colours, prompts, progress. Reached from `cli` alone.

mod pager;
mod printer;
mod progress;
mod prompts;

pub use pager::page;
pub use printer::{ColourChoice, Printer, is_lost};
pub use progress::Progress;
pub use prompts::{Answer, Prompter};
