//! Pages of HTML that need nothing from elsewhere: one look for plans, runs and fleets.
//!
//! Everything can be read with scripts switched off; a script only adds filters, and opens what is folded for print.

mod diff;
mod page;
mod plan;
mod plot;
mod run;
mod table;
#[cfg(test)]
mod tests;

pub(super) use page::{Page, Tone, badge, card, finding_tone};
pub(super) use plot::{Segment, bar, histogram};
pub(super) use table::{Choice, Table, filter, yes_no};
pub use {plan::plan, run::run};
