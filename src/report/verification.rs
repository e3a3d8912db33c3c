//! `castoff verify` for people.

use super::{
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
    }
    text
}

/// A verification as text.
pub fn verification(verification: &Verification, look: Look) -> String {
    let count = |status| verification.checks.iter().filter(|check| check.status == status).count();
    let (all, failed) = (verification.checks.len(), count(CheckStatus::Fail));
    let skipped = count(CheckStatus::Skip);
    let last = if failed == 0 {
        paint(
            GOOD,
            format!("{} is as expected: {} of {all} passed, {skipped} skipped", verification.node, all - skipped),
        )
    } else {
        paint(BAD, format!("{failed} of {all} expectations not met on {}", verification.node))
    };
    format!("{}\n{last}\n", checks(&verification.checks, look))
}
