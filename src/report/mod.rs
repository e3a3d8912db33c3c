//! Documents → text for people. Pure: what the terminal can show is said in [`Look`].

mod facts;
mod findings;
mod plan;
mod run;
mod style;
mod table;
mod verification;

pub use facts::facts;
pub use findings::{explanation, findings};
pub use plan::{plan, verdicts};
pub use run::{history, outcome_line, run_report};
pub use style::{Glyphs, Look, command, paint};
pub use verification::verification;
