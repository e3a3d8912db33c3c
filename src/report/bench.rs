//! Benchmark figures for people: one runtime, or two side by side.

use super::{
    style::{DIM, paint},
    table::pad,
};
use crate::model::{Benchmark, Spread};

const NAME: usize = 28;

fn number(value: f64) -> String {
    format!("{:>10}", format!("{value:.1}"))
}

/// Median and p95 of every operation.
pub fn benchmarks(all: &[Benchmark]) -> String {
    let mut text = String::new();
    let mut last = "";
    for bench in all {
        if bench.runtime != last {
            text.push_str(&format!("\n{}, {} at a time\n", bench.runtime, bench.num_parallel));
            text.push_str(&format!("  {}{:>10}{:>10}{:>9}\n", pad("milliseconds", NAME), "median", "p95", "samples"));
            last = &bench.runtime;
        }
        for (name, spread) in bench.spreads() {
            let figures = spread.map_or_else(
                || format!("{:>10}", "-"),
                |Spread { median, p95, samples }| format!("{}{}{samples:>9}", number(median), number(p95)),
            );
            text.push_str(&format!("  {}{figures}\n", pad(name, NAME)));
        }
    }
    text
}

/// The same operations of two runtimes, and how much longer the second takes.
pub fn comparison(first: &[Benchmark], second: &[Benchmark]) -> String {
    let mut text = String::new();
    for (a, b) in pairs(first, second) {
        let title = format!("{}: {} against {}", a.name, named(a), named(b));
        text.push_str(&format!("{title}\n"));
        let head = format!(
            "  {}{:>10}{:>10}{:>10}{:>10}{:>9}",
            pad("milliseconds", NAME),
            "median A",
            "median B",
            "p95 A",
            "p95 B",
            "B / A"
        );
        text.push_str(&format!("{}\n", paint(DIM, head)));
        let theirs = b.spreads();
        for (name, spread) in a.spreads() {
            let other = theirs.iter().find(|(other, _)| *other == name).and_then(|(_, spread)| *spread);
            let (Some(x), Some(y)) = (spread, other) else { continue };
            let ratio = if x.median > 0.0 { format!("{:.2}", y.median / x.median) } else { "-".to_owned() };
            text.push_str(&format!(
                "  {}{}{}{}{}{ratio:>9}\n",
                pad(name, NAME),
                number(x.median),
                number(y.median),
                number(x.p95),
                number(y.p95)
            ));
        }
    }
    text
}

fn named(bench: &Benchmark) -> &str {
    if bench.runtime.is_empty() { "?" } else { &bench.runtime }
}

/// Benchmarks with operations in common, in the order of the first. A document may have each of them for several
/// runtimes: the first belongs to the first, the second to the second.
pub fn pairs<'a>(first: &'a [Benchmark], second: &'a [Benchmark]) -> Vec<(&'a Benchmark, &'a Benchmark)> {
    let same = |a: &Benchmark, b: &Benchmark| a.operations_names.iter().any(|name| b.operations_names.contains(name));
    let pair = |(index, a): (usize, &'a Benchmark)| {
        let before = first.iter().take(index).filter(|earlier| same(a, earlier)).count();
        Some((a, second.iter().filter(|b| same(a, b)).nth(before)?))
    };
    first.iter().enumerate().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runtime_is_compared_with_its_own() {
        let bench = |runtime: &str, operation: &str| Benchmark {
            runtime: runtime.to_owned(),
            operations_names: vec![operation.to_owned()],
            ..Benchmark::default()
        };
        let two = |runc: &str, other: &str| {
            [(runc, "CreatePod"), (runc, "ListImages"), (other, "CreatePod"), (other, "ListImages")]
                .map(|(runtime, operation)| bench(runtime, operation))
        };
        let (before, after) = (two("runc 1", "castoff 1"), two("runc 2", "castoff 2"));
        let names = |pairs: Vec<(&Benchmark, &Benchmark)>| -> Vec<String> {
            pairs.iter().map(|(a, b)| format!("{} {} {}", a.runtime, b.runtime, b.operations_names[0])).collect()
        };
        assert_eq!(
            names(pairs(&before, &after)),
            [
                "runc 1 runc 2 CreatePod",
                "runc 1 runc 2 ListImages",
                "castoff 1 castoff 2 CreatePod",
                "castoff 1 castoff 2 ListImages"
            ]
        );
        assert_eq!(names(pairs(&before, &after[..1])), ["runc 1 runc 2 CreatePod"]);
        assert!(pairs(&before, &[]).is_empty());
    }
}
