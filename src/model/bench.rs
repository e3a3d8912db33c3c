//! Benchmark figures, in the form critest writes them (cri-tools `pkg/benchmark`, "datapoints").

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Samples of one benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Benchmark {
    /// `pods`, `containers`, …; critest has it in the name of its file.
    #[serde(default)]
    pub name: String,
    /// Which runtime was measured: name, version, handler.
    #[serde(default)]
    pub runtime: String,
    /// What was measured, in order.
    pub operations_names: Vec<String>,
    /// How many were done at the same time.
    pub num_parallel: u32,
    /// The samples.
    pub datapoints: Vec<Datapoint>,
}

/// One sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Datapoint {
    /// Counted from 0.
    pub sample_index: u32,
    /// Nanoseconds since 1970.
    pub start_time: i64,
    /// Nanoseconds since 1970.
    pub end_time: i64,
    /// How long each operation took, nanoseconds.
    pub operations_durations_ns: Vec<i64>,
    /// Whatever else is known.
    #[serde(default)]
    pub meta_info: BTreeMap<String, String>,
}

/// Milliseconds of an operation over all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Half of the samples took no longer.
    pub median: f64,
    /// 95 of 100 samples took no longer.
    pub p95: f64,
    /// How many samples there are.
    pub samples: usize,
}

impl Benchmark {
    /// The spread of every operation, in order; nothing for one without samples.
    pub fn spreads(&self) -> Vec<(&str, Option<Spread>)> {
        let of = |index: usize| {
            let times = self.datapoints.iter().filter_map(|point| point.operations_durations_ns.get(index).copied());
            let mut times: Vec<i64> = times.collect();
            times.sort_unstable();
            // The smallest value that so many samples in a hundred do not exceed.
            let rank = |percent: usize| {
                let rank = (times.len() * percent).div_ceil(100).max(1) - 1;
                times.get(rank).map(|ns| milliseconds(*ns))
            };
            Some(Spread { median: rank(50)?, p95: rank(95)?, samples: times.len() })
        };
        self.operations_names.iter().enumerate().map(|(index, name)| (name.as_str(), of(index))).collect()
    }
}

#[allow(clippy::cast_precision_loss, reason = "an operation that takes three months is not measured")]
fn milliseconds(ns: i64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(times: &[i64]) -> Benchmark {
        let point = |ns: &i64| Datapoint { operations_durations_ns: vec![*ns * 1_000_000], ..Datapoint::default() };
        let names = vec!["CreatePod".to_owned()];
        Benchmark { operations_names: names, datapoints: times.iter().map(point).collect(), ..Benchmark::default() }
    }

    #[test]
    fn median_and_p95() {
        let ten: Vec<i64> = (1..=100).rev().collect();
        let spread = samples(&ten).spreads()[0].1.unwrap();
        assert_eq!((spread.median, spread.p95, spread.samples), (50.0, 95.0, 100));
        assert_eq!(samples(&[7]).spreads()[0].1, Some(Spread { median: 7.0, p95: 7.0, samples: 1 }));
        assert_eq!(samples(&[]).spreads(), [("CreatePod", None)]);
    }

    #[test]
    fn what_critest_writes_is_read() {
        let text = r#"{"operationsNames":["CreatePod","StatusPod"],"numParallel":2,"datapoints":[{"sampleIndex":0,"startTime":1,"endTime":2,"operationsDurationsNs":[1000000,2000000],"metaInfo":{"podId":"x"}}]}"#;
        let read: Benchmark = serde_json::from_str(text).unwrap();
        assert_eq!(read.spreads()[1].1, Some(Spread { median: 2.0, p95: 2.0, samples: 1 }));
        let again = serde_json::to_value(&read).unwrap();
        assert_eq!(again["datapoints"][0]["operationsDurationsNs"][0], 1_000_000);
    }
}
