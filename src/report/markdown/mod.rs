//! Markdown for merge requests: GitHub's and GitLab's, which share tables, fences and `<details>`.

mod plan;
mod run;
#[cfg(test)]
mod tests;
mod words;

pub use plan::plan;
pub use run::run;
pub(super) use words::{cell, table};
