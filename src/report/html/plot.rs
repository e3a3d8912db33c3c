//! Drawings, without sizes in pixels across: they are as wide as their place, and their letters stay as large as they are.

use super::Tone;
use crate::report::{
    markup::escape,
    table::{counted, seconds},
};

/// A piece of a bar.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its colour.
    pub tone: Tone,
    /// Where it begins, as a share of the whole, 0 to 1.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What it is.
    pub title: String,
}

/// A bar. What it shows must stand beside it in words: readers of the screen pass over it.
pub fn bar(segments: &[Segment]) -> String {
    let pieces = segments.iter().fold(String::new(), |all, Segment { tone, from, to, title }| {
        let (from, to) = (from.clamp(0.0, 1.0) * 100.0, to.clamp(0.0, 1.0) * 100.0);
        all + &format!(
            "<rect class=\"{}\" x=\"{from:.2}%\" width=\"{:.2}%\" y=\"0\" height=\"100%\"><title>{}</title></rect>",
            tone.class(),
            (to - from).max(0.35).min(100.0 - from.min(99.6)),
            escape(title)
        )
    });
    format!(
        "<svg class=\"bar\" aria-hidden=\"true\"><rect class=\"track\" width=\"100%\" height=\"100%\"/>{pieces}</svg>"
    )
}

/// Classes of a histogram.
const CLASSES: usize = 16;
/// Height of its bars in points.
const HEIGHT: f64 = 110.0;
/// Room above them for the names of two marks.
const TOP: f64 = 32.0;

/// How many of `times` (seconds) lie where, with the median and the 95th percentile marked. Equal classes from nothing to
/// the longest, so that two pages can be compared by eye. The figures are in a table below.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A few thousand nodes.
pub fn histogram(title: &str, times: &[f64], marks: &[(&str, f64)], summary: &str) -> String {
    let longest = times.iter().copied().fold(1.0, f64::max);
    let mut counts = [0_usize; CLASSES];
    for time in times {
        let class = ((time.max(0.0) / longest) * CLASSES as f64) as usize;
        if let Some(count) = counts.get_mut(class.min(CLASSES - 1)) {
            *count += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let (mut bars, mut rows) = (String::new(), String::new());
    for (place, count) in counts.iter().enumerate() {
        let bound = |place: usize| seconds(longest * place as f64 / CLASSES as f64);
        let what = format!("{} to {}: {}", bound(place), bound(place + 1), counted(*count, "node"));
        let height = HEIGHT * *count as f64 / most as f64;
        if *count > 0 {
            bars.push_str(&format!(
                "<rect class=\"wait\" x=\"{:.2}%\" y=\"{:.1}\" width=\"{:.2}%\" height=\"{height:.1}\"><title>{what}</title></rect>",
                place as f64 * 100.0 / CLASSES as f64 + 0.3,
                TOP + HEIGHT - height,
                100.0 / CLASSES as f64 - 0.6,
            ));
            rows.push_str(&format!("<li>{what}</li>"));
        }
    }
    for (row, (name, at)) in marks.iter().enumerate() {
        let x = (at / longest).clamp(0.0, 1.0) * 100.0;
        // Beside its line, on the side where there is room.
        let (shift, anchor) = if x > 70.0 { ("-4", "end") } else { ("4", "start") };
        bars.push_str(&format!(
            "<line class=\"mark\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{}\" y2=\"{:.0}\"/>\
             <text x=\"{x:.2}%\" dx=\"{shift}\" y=\"{}\" text-anchor=\"{anchor}\">{name}</text>",
            3 + row * 14,
            TOP + HEIGHT,
            12 + row * 14
        ));
    }
    let title = escape(title);
    format!(
        "<figure><figcaption>{title} <span class=\"faint\">{}</span></figcaption>\
         <svg width=\"100%\" height=\"{}\" role=\"img\" aria-label=\"{title}: {}\">{bars}\
         <line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"{base:.0}.5\" y2=\"{base:.0}.5\"/>\
         <text x=\"0\" y=\"{feet:.0}\">0 s</text><text x=\"50%\" y=\"{feet:.0}\" text-anchor=\"middle\">{}</text>\
         <text x=\"100%\" y=\"{feet:.0}\" text-anchor=\"end\">{}</text></svg>\
         <details><summary>The same in figures</summary><ul>{rows}</ul></details></figure>\n",
        escape(summary),
        TOP + HEIGHT + 22.0,
        escape(summary),
        seconds(longest / 2.0),
        seconds(longest),
        base = TOP + HEIGHT,
        feet = TOP + HEIGHT + 17.0,
    )
}
