//! `castoff verify` for people.

use super::{
    bench::benchmarks,
    runtime::runtime,
    style::{self, BAD, DIM, GOOD, Look, paint},
    table::{pad, wrap},
};
use crate::model::{Check, CheckStatus, Verification};

/// Checks as text.
pub fn checks(checks: &[Check], look: Look) -> String {
    let mut text = String::new();
    for check in checks {
        let (style, symbol) = style::of_check(check.status, look.glyphs);
        let detail = wrap(&check.detail, look.width, 32);
        let detail = if check.status == CheckStatus::Fail { detail } else { paint(DIM, detail) };
        text.push_str(&format!("  {} {} {detail}\n", paint(style, pad(symbol, 2)), pad(&check.id, 26)));
        if let Some(remedy) = check.remedy.as_ref().filter(|_| check.status == CheckStatus::Fail) {
            text.push_str(&format!("{}{}\n", " ".repeat(32), wrap(&format!("hint: {remedy}"), look.width, 32)));
        }
    }
    text
}

/// A verification as text.
pub fn verification(verification: &Verification, look: Look) -> String {
    let count = |status| verification.checks.iter().filter(|check| check.status == status).count();
    let (all, failed) = (verification.checks.len(), count(CheckStatus::Fail));
    let skipped = count(CheckStatus::Skip);
    let open = match count(CheckStatus::Inconclusive) {
        0 => String::new(),
        open => format!(", {open} without a verdict"),
    };
    let last = if failed == 0 {
        paint(
            GOOD,
            format!(
                "{} is as expected: {} of {all} passed, {skipped} skipped{open}",
                verification.node,
                count(CheckStatus::Pass)
            ),
        )
    } else {
        paint(BAD, format!("{failed} of {all} expectations not met on {}", verification.node))
    };
    let mut text = format!("{}\n{last}\n", checks(&verification.checks, look));
    text.push_str(&benchmarks(&verification.bench));
    text.push_str(&verification.runtime.as_ref().map(runtime).unwrap_or_default());
    text
}
