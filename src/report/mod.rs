//! Documents → text for people. Pure: what the terminal can show is said in [`Look`].

mod bench;
mod facts;
mod findings;
pub mod fleet;
mod images;
mod markup;
mod metrics;
mod plan;
mod run;
mod runtime;
mod style;
mod table;
mod verification;

pub use bench::{benchmarks, comparison, pairs};
pub use facts::facts;
pub use findings::{explanation, findings, meaning};
pub use images::{images, leftovers};
pub use metrics::{MetricsOf, metrics};
pub use plan::{plan, verdicts};
pub use run::{history, outcome_line, run_report};
pub use runtime::runtime;
pub use style::{Glyphs, Look, command, paint};
pub use table::rows;
pub use verification::verification;
