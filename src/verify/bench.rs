//! critest's benchmarks with castoff's own images: the same operations and figures, without a registry.

use super::{
    Options,
    suite::{self, Bed, Unfit},
};
use crate::{
    host::{Order, PodSpec, scratch},
    model::{Benchmark, Check, Datapoint, Rung},
};
use anyhow::{Context as _, Result, bail};
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Samples of every benchmark.
    pub samples: u32,
    /// How many at the same time.
    pub parallel: u32,
}

/// critest's names (cri-tools `pkg/benchmark`).
const POD: [&str; 4] = ["CreatePod", "StatusPod", "StopPod", "RemovePod"];
const CONTAINER: [&str; 5] =
    ["CreateContainer", "StartContainer", "StatusContainer", "StopContainer", "RemoveContainer"];
const FROM_SCRATCH: [&str; 1] = ["StartContainerFromScratch"];
const LISTING: [&str; 1] = ["ListImages"];

/// All benchmarks. Samples at the same time go through each operation together.
///
/// # Errors
/// When an operation fails: a time without a result is no figure.
pub(crate) fn run(bed: &Bed<'_>, amount: Amount, runtime: &str) -> Result<Vec<Benchmark>> {
    let mut all = vec![empty("pods", runtime, &POD, amount), empty("containers", runtime, &CONTAINER, amount)];
    all.push(empty("container-from-scratch", runtime, &FROM_SCRATCH, amount));
    all.push(empty("image-listing", runtime, &LISTING, amount));
    let mut done = 0;
    while done < amount.samples {
        if bed.is_interrupted() {
            bail!(Unfit("interrupted".to_owned()));
        }
        let count = amount.parallel.clamp(1, amount.samples - done);
        let [pods, containers, scratch, listing] = all.as_mut_slice() else { break };
        pods.datapoints.extend(batch(bed, done, count, pod_sample)?);
        containers.datapoints.extend(batch(bed, done, count, container_sample)?);
        scratch.datapoints.extend(batch(bed, done, count, scratch_sample)?);
        listing.datapoints.extend(batch(bed, done, count, listing_sample)?);
        done += count;
    }
    Ok(all)
}

/// The benchmarks that are asked for, and why there are none.
pub(crate) fn figures(
    bed: &Bed<'_>,
    options: &Options,
    runtime: &str,
    id: &str,
    rung: Rung,
) -> (Vec<Benchmark>, Option<Check>) {
    match options.bench.map(|amount| run(bed, amount, runtime)) {
        None => (Vec::new(), None),
        Some(Ok(figures)) => (figures, None),
        Some(Err(error)) => (Vec::new(), Some(suite::judged(id, rung, Err(error)))),
    }
}

fn empty(name: &str, runtime: &str, operations: &[&str], amount: Amount) -> Benchmark {
    Benchmark {
        name: name.to_owned(),
        runtime: runtime.to_owned(),
        operations_names: operations.iter().map(|name| (*name).to_owned()).collect(),
        num_parallel: amount.parallel.max(1),
        datapoints: Vec::new(),
    }
}

/// What one operation gave: how long it took, and its answer.
type Answers = Vec<(Duration, String)>;

fn batch(
    bed: &Bed<'_>,
    first: u32,
    count: u32,
    sample: fn(&Bed<'_>, u32) -> Result<Vec<Vec<Duration>>>,
) -> Result<Vec<Datapoint>> {
    let start = nanoseconds(bed)?;
    let times = sample(bed, count)?;
    let end = nanoseconds(bed)?;
    let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let point = |(index, times): (u32, Vec<Duration>)| Datapoint {
        sample_index: first + index,
        start_time: start,
        end_time: end,
        operations_durations_ns: times.into_iter().map(ns).collect(),
        ..Datapoint::default()
    };
    Ok((0..).zip(times).map(point).collect())
}

fn nanoseconds(bed: &Bed<'_>) -> Result<i64> {
    i64::try_from(bed.host.clock.timestamp()?.as_nanosecond()).context("the clock is past the year 2262")
}

/// Gives one order for each sample; all must succeed.
fn all(bed: &Bed<'_>, orders: impl Iterator<Item = Order>) -> Result<Answers> {
    let answers = bed.cri.at_once(orders.collect())?;
    answers.into_iter().map(|(time, answer)| Ok((time, answer?))).collect()
}

fn times(operations: &[Answers]) -> Vec<Vec<Duration>> {
    let samples = operations.first().map_or(0, Vec::len);
    let of = |index: usize| operations.iter().filter_map(|answers| answers.get(index)).map(|(time, _)| *time).collect();
    (0..samples).map(of).collect()
}

fn pod_sample(bed: &Bed<'_>, count: u32) -> Result<Vec<Vec<Duration>>> {
    let specs = specs(bed, count)?;
    let made = all(bed, specs.into_iter().map(|spec| Order::RunSandbox(Box::new(spec))))?;
    let ids = || made.iter().map(|(_, id)| id.clone());
    let status = all(bed, ids().map(Order::SandboxStatus))?;
    let stopped = all(bed, ids().map(Order::StopSandbox))?;
    let removed = all(bed, ids().map(Order::RemoveSandbox))?;
    Ok(times(&[made, status, stopped, removed]))
}

fn specs(bed: &Bed<'_>, count: u32) -> Result<Vec<PodSpec>> {
    (0..count)
        .map(|_| {
            let spec = bed.spec("bench");
            scratch::put(&bed.place.tree, spec.log_dir.trim_start_matches('/'), 0o755, None)?;
            Ok(spec)
        })
        .collect()
}

/// The pods are made before and are not measured, as with critest.
fn container_sample(bed: &Bed<'_>, count: u32) -> Result<Vec<Vec<Duration>>> {
    let pods = specs(bed, count)?.into_iter().map(|spec| bed.pod(spec)).collect::<Result<Vec<_>>>()?;
    let create = pods
        .iter()
        .map(|pod| Order::Create(pod.id.clone(), Box::new(pod.spec.clone()), Box::new(bed.container("bench"))));
    let made = all(bed, create)?;
    let ids = || made.iter().map(|(_, id)| id.clone());
    let started = all(bed, ids().map(Order::Start))?;
    let status = all(bed, ids().map(Order::ContainerStatus))?;
    let stopped = all(bed, ids().map(Order::Stop))?;
    let removed = all(bed, ids().map(Order::Remove))?;
    Ok(times(&[made, started, status, stopped, removed]))
}

/// From nothing to a container that runs; taking it away is not measured.
fn scratch_sample(bed: &Bed<'_>, count: u32) -> Result<Vec<Vec<Duration>>> {
    let specs = specs(bed, count)?;
    let made = all(bed, specs.iter().map(|spec| Order::RunSandbox(Box::new(spec.clone()))))?;
    let create = made
        .iter()
        .zip(&specs)
        .map(|((_, id), spec)| Order::Create(id.clone(), Box::new(spec.clone()), Box::new(bed.container("bench"))));
    let containers = all(bed, create)?;
    let started = all(bed, containers.iter().map(|(_, id)| Order::Start(id.clone())))?;
    let steps = times(&[made.clone(), containers, started]);
    all(bed, made.iter().map(|(_, id)| Order::StopSandbox(id.clone())))?;
    all(bed, made.iter().map(|(_, id)| Order::RemoveSandbox(id.clone())))?;
    Ok(steps.into_iter().map(|steps| vec![steps.iter().sum()]).collect())
}

fn listing_sample(bed: &Bed<'_>, count: u32) -> Result<Vec<Vec<Duration>>> {
    Ok(times(&[all(bed, (0..count).map(|_| Order::Images))?]))
}
