//! Documents → text for people. Pure: what the terminal can show is said in [`Look`].

mod bench;
mod course;
mod diff;
mod facts;
mod findings;
pub mod fleet;
mod html;
mod images;
mod markdown;
mod markup;
mod metrics;
mod plan;
mod run;
mod runtime;
mod stops;
mod style;
mod table;
mod verification;
mod words;

pub use bench::{benchmarks, comparison, pairs};
pub use facts::facts;
pub use findings::{explanation, findings, meaning};
pub use html::{plan as plan_page, run as run_page};
pub use images::{images, leftovers};
pub use markdown::{plan as plan_markdown, run as run_markdown};
pub use markup::visible;
pub use metrics::{MetricsOf, metrics};
pub use plan::{Again, plan, verdicts};
pub use run::{RunView, history, outcome_line, run_report};
pub use runtime::runtime;
pub use style::{Glyphs, Look, command, paint};
pub use table::{counted, rows};
pub use verification::verification;
pub use words::goal;
