//! A verification as metrics, in Prometheus' text format, for the textfile collector of the node exporter.

use crate::model::{CheckStatus, Level, Outcome, RunReport, RunSummary, TOOL_VERSION, Verification};
use jiff::Timestamp;
use std::{collections::BTreeMap, fmt::Display};

/// What stands beside the verification.
#[derive(Clone, Copy, Debug)]
pub struct MetricsOf<'a> {
    /// What was looked at.
    pub verification: &'a Verification,
    /// When it ended: RFC 3339, UTC.
    pub time: &'a str,
    /// Every run, the newest first; absent where the runs cannot be read.
    pub history: Option<&'a [RunSummary]>,
    /// The newest run's report; absent where there was no run or its report cannot be read.
    pub last: Option<&'a RunReport>,
}

/// Metrics being written.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    /// A metric and what it is. Its samples follow at once.
    fn metric(&mut self, name: &str, help: &str) {
        self.0.push_str(&format!("# HELP {name} {}\n# TYPE {name} gauge\n", escape_help(help)));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape_label(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0.push_str(&format!("{name}{labels} {value}\n"));
    }

    /// A metric with one sample without labels; nothing where there is no value.
    fn single(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.metric(name, help);
            self.sample(name, &[], value);
        }
    }
}

/// As the text format wants a label's value (Prometheus, "Exposition formats").
fn escape_label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn escape_help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Seconds since 1970 of a time in RFC 3339, to the millisecond.
fn unix(time: &str) -> Option<f64> {
    let time: Timestamp = time.parse().ok()?;
    #[allow(clippy::cast_precision_loss)] // Exact for 285 000 years.
    Some(time.as_millisecond() as f64 / 1000.0)
}

const fn status(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Pass => "pass",
        CheckStatus::Fail => "fail",
        CheckStatus::Skip => "skip",
        CheckStatus::Inconclusive => "inconclusive",
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Config => "config",
        Level::Runtime => "runtime",
        Level::Cri => "cri",
        Level::Node => "node",
    }
}

/// All of it.
pub fn metrics(of: MetricsOf<'_>) -> String {
    let mut page = Page::default();
    page.metric("castoff_build_info", "The castoff that wrote this file.");
    page.sample("castoff_build_info", &[("version", TOOL_VERSION)], 1);
    verification(&mut page, of);
    runs(&mut page, of);
    page.0
}

fn verification(page: &mut Page, of: MetricsOf<'_>) {
    let verification = of.verification;
    let name = "castoff_verify_ok";
    page.metric(name, "1 when no check of the last verification failed, 0 when one did.");
    page.sample(name, &[("level", level(verification.level))], u8::from(verification.passed()));
    // One check may look at several things, and be there several times.
    let mut checks: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for check in &verification.checks {
        *checks.entry((&check.id, status(check.status))).or_default() += 1;
    }
    if !checks.is_empty() {
        let name = "castoff_verify_check";
        page.metric(name, "Results of the last verification, by check and status: pass, fail, skip, inconclusive.");
        for ((id, status), count) in checks {
            page.sample(name, &[("id", id), ("status", status)], count);
        }
    }
    page.single("castoff_verify_timestamp_seconds", "When the last verification ended, Unix time.", unix(of.time));
    let seconds: f64 = verification.checks.iter().map(|check| check.seconds).sum();
    page.single(
        "castoff_verify_duration_seconds",
        "How long its checks took together.",
        Some((seconds * 1e3).round() / 1e3),
    );
}

fn runs(page: &mut Page, of: MetricsOf<'_>) {
    let Some(history) = of.history else { return };
    page.single("castoff_runs", "Runs that castoff keeps on this node.", Some(history.len()));
    let drift = history.iter().map(|run| run.drift.len()).sum::<usize>();
    page.single(
        "castoff_drift_files",
        "Files that are no longer as the newest run that holds has left them.",
        Some(drift),
    );
    let Some(newest) = history.first() else { return };
    let name = "castoff_last_run_state";
    page.metric(name, "Where the newest run stands: 1 for that state.");
    for state in ["dirty", "running", "applied", "committed", "rolled-back", "stuck"] {
        page.sample(name, &[("state", state)], u8::from(newest.state.word() == state));
    }
    page.single(
        "castoff_last_run_start_timestamp_seconds",
        "When the newest run began, Unix time.",
        unix(&newest.started),
    );
    let Some(last) = of.last else { return };
    let name = "castoff_last_run_outcome";
    page.metric(name, "How the newest run ended: 1 for that outcome.");
    for outcome in Outcome::ALL {
        // A run that was cut off has not ended yet.
        let is_it = outcome == last.outcome && !last.cut_off;
        page.sample(name, &[("outcome", outcome.word())], u8::from(is_it));
    }
    let downtime = [("kubelet", last.downtime.kubelet_seconds), ("workload", last.downtime.workload_seconds)];
    if downtime.iter().any(|(_, seconds)| seconds.is_some()) {
        let name = "castoff_last_run_downtime_seconds";
        page.metric(name, "How long kubelet and the pods were away in the newest run.");
        for (of, seconds) in downtime {
            if let Some(seconds) = seconds {
                page.sample(name, &[("of", of)], seconds);
            }
        }
    }
    page.single(
        "castoff_run_commit_deadline_timestamp_seconds",
        "When the newest run is taken back unless somebody keeps it, Unix time; absent when none waits.",
        last.keep_until.as_deref().filter(|_| newest.state.word() == "applied").and_then(unix),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{API_VERSION, Check, Downtime, Goal, RunState, Rung};

    fn verification(checks: Vec<Check>) -> Verification {
        Verification {
            api_version: API_VERSION.to_owned(),
            kind: "Verification".to_owned(),
            node: "n".to_owned(),
            level: Level::Config,
            checks,
            runtime: None,
            bench: Vec::new(),
        }
    }

    fn check(id: &str, status: CheckStatus) -> Check {
        Check { seconds: 0.25, ..Check::new(id, Rung::Facts, status, String::new()) }
    }

    fn run(state: RunState) -> RunSummary {
        RunSummary {
            run: "r".to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            state,
            plan: "7f3a".to_owned(),
            goal: Goal::Containerd,
            kubelet_seconds: None,
            workload_seconds: None,
            backup_bytes: 0,
            drift: vec!["/etc/a".to_owned(), "/etc/b".to_owned()],
        }
    }

    #[test]
    fn a_page_has_what_alerts_need() {
        let verification = verification(vec![
            check("cri-plugin", CheckStatus::Pass),
            check("driver", CheckStatus::Fail),
            check("driver", CheckStatus::Fail),
            check("odd \"\\\n", CheckStatus::Skip),
        ]);
        let history = [run(RunState::Applied)];
        let json = include_str!("../../tests/documents/v1/run-report.json");
        let report: RunReport = serde_json::from_str(json).unwrap();
        let report = RunReport {
            keep_until: Some("2026-01-01T00:10:00Z".to_owned()),
            downtime: Downtime { kubelet_seconds: Some(9.5), workload_seconds: None },
            ..report
        };
        let of = MetricsOf {
            verification: &verification,
            time: "2026-01-01T00:00:01.500Z",
            history: Some(&history),
            last: Some(&report),
        };
        let page = metrics(of);
        for line in [
            "castoff_verify_ok{level=\"config\"} 0",
            "castoff_verify_check{id=\"driver\",status=\"fail\"} 2",
            "castoff_verify_check{id=\"odd \\\"\\\\\\n\",status=\"skip\"} 1",
            "castoff_verify_timestamp_seconds 1767225601.5",
            "castoff_verify_duration_seconds 1",
            "castoff_drift_files 2",
            "castoff_last_run_state{state=\"applied\"} 1",
            "castoff_last_run_state{state=\"stuck\"} 0",
            "castoff_last_run_outcome{outcome=\"applied\"} 1",
            "castoff_last_run_downtime_seconds{of=\"kubelet\"} 9.5",
            "castoff_run_commit_deadline_timestamp_seconds 1767226200",
        ] {
            assert!(page.lines().any(|there| there == line), "{line} is not in\n{page}");
        }
        well_formed(&page);
        // Kept: nothing waits any more.
        let kept = [run(RunState::Committed)];
        assert!(!metrics(MetricsOf { history: Some(&kept), ..of }).contains("commit_deadline"));
    }

    #[test]
    fn a_node_without_runs_has_metrics_too() {
        let verification = verification(Vec::new());
        let of = MetricsOf { verification: &verification, time: "never", history: Some(&[]), last: None };
        let page = metrics(of);
        assert!(page.contains("castoff_verify_ok{level=\"config\"} 1\n") && page.contains("castoff_runs 0\n"));
        assert!(!page.contains("timestamp") && !page.contains("last_run"));
        well_formed(&page);
        // Runs that cannot be read are not runs that are not there.
        let unknown = metrics(MetricsOf { history: None, ..of });
        assert!(unknown.contains("castoff_verify_ok") && !unknown.contains("castoff_runs"), "{unknown}");
        assert!(!unknown.contains("castoff_drift_files"), "{unknown}");
    }

    /// Each metric is described once, right before all of its samples; no sample is there twice.
    fn well_formed(page: &str) {
        let (mut described, mut samples, mut current) = (Vec::new(), Vec::new(), String::new());
        assert!(page.ends_with('\n'));
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!described.contains(&name.to_owned()) && !help.is_empty(), "{name}");
                name.clone_into(&mut current);
                described.push(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert_eq!(rest, format!("{current} gauge"));
            } else {
                let (key, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(key.split('{').next(), Some(current.as_str()));
                assert!(value.parse::<f64>().is_ok() && !samples.contains(&key), "{line}");
                samples.push(key);
            }
        }
    }
}
