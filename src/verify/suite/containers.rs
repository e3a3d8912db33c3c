//! Containers: their life, commands in them, their logs, figures and ends.

use super::{Bed, Seen, Unfit, bed::LABEL};
use crate::{
    host::{ContainerSpec, ContainerState, ContainerStatus, CriApi, DaemonError, Stats, StatsOf, scratch},
    runtime::attempt,
};
use anyhow::{Context as _, Result, bail, ensure};
use std::time::Duration;

/// Created, running, exited, gone; one that runs is stopped by SIGTERM, one that heeds nothing is killed.
pub(super) fn lifecycle(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.pod(bed.spec("lifecycle"))?;
    // One that says when it is ready to be told to end: before that, its first process is told nothing.
    let container = pod.create(&bed.running("lifecycle", &["tick"]))?;
    ensure!(container.status()?.state == ContainerState::Created, "a new container is not `created`");
    ensure!(listed(bed, &container.id)?, "a new container is not in the list");
    let unused = pod.create(&bed.container("unused"))?;
    bed.cri.remove_container(&unused.id)?;
    ensure!(!listed(bed, &unused.id)?, "a container that was removed before its start is in the list");
    bed.cri.start_container(&container.id)?;
    ensure!(container.status()?.state == ContainerState::Running, "a started container is not `running`");
    container.says("tick")?;
    bed.cri.stop_container(&container.id, Duration::from_secs(30))?;
    let status = container.end()?;
    ensure!(status.exit_code == 0, "a container that ended itself on SIGTERM has exit code {}", status.exit_code);
    let stubborn = pod.start(&bed.running("stubborn", &["stubborn"]))?;
    stubborn.says("stubborn")?;
    bed.cri.stop_container(&stubborn.id, Duration::from_secs(1))?;
    let code = stubborn.end()?.exit_code;
    ensure!(code == 137, "a container that was killed has exit code {code}, not 137");
    let removed = pod.start(&bed.container("removed"))?;
    bed.cri.remove_container(&removed.id)?;
    ensure!(!listed(bed, &removed.id)?, "a container that was removed is in the list");
    Ok("created, running, exited, gone; SIGTERM first, then SIGKILL".to_owned())
}

fn listed(bed: &Bed<'_>, id: &str) -> Result<bool> {
    Ok(bed.cri.containers()?.iter().any(|found| found.id == id))
}

/// Commands beside a container's own, with their output and exit codes.
pub(super) fn exec(bed: &Bed<'_>) -> Result<String> {
    let container = bed.common()?.start(&bed.container("exec"))?;
    let done = container.exec(&["echo", "out", "err"])?;
    let told = (done.code, done.stdout.as_str(), done.stderr.as_str());
    if told != (0, "out\n", "err\n") {
        let said = format!("{} {:?} {:?}", done.code, done.stdout, done.stderr);
        return Err(Seen::new("a command's output does not come back", "ExecSync", said).into());
    }
    container.expect(&["exit", "7"], 7, "an exit code does not come back")?;
    if let Ok(done) = bed.cri.exec(&container.id, &["/not-there"], Duration::from_secs(10)) {
        ensure!(done.code != 0, "a command that does not exist ends well");
    }
    Ok("output and exit codes of commands come back".to_owned())
}

/// A command that takes too long is ended.
pub(super) fn exec_timeout(bed: &Bed<'_>) -> Result<String> {
    let container = bed.common()?.start(&bed.container("exec-timeout"))?;
    let began = bed.host.clock.monotonic();
    let done = bed.cri.exec(&container.id, &["/probe", "sleep", "60"], Duration::from_secs(1));
    let took = bed.host.clock.monotonic().saturating_sub(began);
    match done {
        Err(error) if took < Duration::from_millis(900) => Err(error.context("a command could not be run")),
        Err(_) if took < Duration::from_secs(50) => Ok(format!("ended after {:.1} s", took.as_secs_f32())),
        Err(error) => Err(error.context("a command was not ended after its second")),
        Ok(done) => bail!("a command of a minute ended with {} after {} s", done.code, took.as_secs()),
    }
}

/// `TIME STREAM TAG TEXT`, as `kubectl logs` reads it.
pub(super) fn logs(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let container = pod.start(&bed.running("logs", &["echo", "to-out", "to-err"]))?;
    container.end()?;
    container.says("to-err")?;
    let log = container.log()?;
    for wanted in [" stdout F to-out", " stderr F to-err"] {
        let line = log.lines().find(|line| line.ends_with(wanted));
        let time = line.and_then(|line| line.split(' ').next()).unwrap_or_default();
        if time.parse::<jiff::Timestamp>().is_err() {
            let why = format!("the log has no line `TIME{wanted}`");
            return Err(Seen::new(why, &container.log.display().to_string(), log).into());
        }
    }
    Ok("both streams are in the log, with their times".to_owned())
}

/// A log that was moved away goes on in a new file.
pub(super) fn reopen(bed: &Bed<'_>) -> Result<String> {
    let container = bed.common()?.start(&bed.running("reopen", &["tick"]))?;
    container.says("tick")?;
    scratch::rename(&container.log, "reopen.log.1")?;
    bed.cri.reopen_log(&container.id)?;
    container.says("tick").context("after the rotation nothing is written")?;
    let old = container.log.with_file_name("reopen.log.1");
    let before = scratch::text(&old)?;
    let lines = container.log()?.lines().count();
    container.wait("after the rotation nothing more is written", || {
        Ok((container.log()?.lines().count() > lines).then_some(()))
    })?;
    ensure!(scratch::text(&old)? == before, "after the rotation the old file is still written");
    Ok("a rotated log goes on in a new file".to_owned())
}

/// A container that goes while figures are gathered makes older runtimes give up on all of them.
fn figures(bed: &Bed<'_>, of: StatsOf<'_>) -> Result<Vec<Stats>> {
    for _ in 0..20 {
        match bed.cri.stats_list(of) {
            Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::NotFound { .. })) => {
                bed.host.clock.sleep(Duration::from_millis(100));
            }
            listed => return listed,
        }
    }
    bed.cri.stats_list(of)
}

/// Figures of containers that run: alone, by id, by label, and of all.
pub(super) fn stats(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let container = pod.start(&bed.running("stats", &["tick"]))?;
    let stats = bed.cri.stats(&container.id)?;
    ensure!(stats.id == container.id, "figures of another container were answered");
    ensure!(stats.name == "stats", "the figures are of a container `{}`", stats.name);
    ensure!(stats.at > 0, "the figures have no time");
    let memory = stats.memory.context("no figure for memory")?;
    let cpu = stats.cpu.context("no figure for CPU time")?;
    ensure!(cpu > 0, "a container that works has used no CPU time");
    let has = |of| -> Result<bool> { Ok(figures(bed, of)?.iter().any(|found| found.id == container.id)) };
    ensure!(has(StatsOf::Label(LABEL.0, LABEL.1))?, "a container is not among those with its label");
    ensure!(!has(StatsOf::Label(LABEL.0, "false"))?, "a container is among those with another label");
    let alone = figures(bed, StatsOf::Id(&container.id))?;
    ensure!(alone.len() == 1 && alone[0].id == container.id, "by its id {} containers were answered", alone.len());
    let more = [pod.start(&bed.container("more"))?, pod.start(&bed.container("still-more"))?];
    let all = figures(bed, StatsOf::All)?;
    let known = |id: &String| all.iter().any(|found| found.id == *id);
    let complete = known(&container.id) && more.iter().all(|one| known(&one.id));
    // containerd 1.4 answers nothing where there is no filter; kubelet always sends one.
    ensure!(complete || all.is_empty() && bed.cri.api()? == CriApi::V1Alpha2, "a container is not among all");
    Ok(format!("{} kB of memory, {} ms of CPU time", memory / 1000, cpu / 1_000_000))
}

fn ended(status: &ContainerStatus, code: i32, reason: &str) -> Result<()> {
    if (status.exit_code, status.reason.as_str()) == (code, reason) {
        return Ok(());
    }
    let told = format!("{} {}", status.exit_code, status.reason);
    let why = format!("a container's end is told as `{told}`, not `{code} {reason}`");
    Err(Seen::new(why, "ContainerStatus", told).into())
}

/// How a container ended.
pub(super) fn ends(bed: &Bed<'_>) -> Result<String> {
    ended(&bed.ended(&bed.running("completed", &["exit", "0"]))?.0, 0, "Completed")?;
    ended(&bed.ended(&bed.running("error", &["exit", "3"]))?.0, 3, "Error")?;
    Ok("exit codes and reasons are told".to_owned())
}

/// Memory over the limit. Not at once, since shims before containerd 1.7 begin to listen only after the start; and in a child,
/// since the kernel's word comes by another way than the container's end. Where that end is the same instant, the cgroup may be gone
/// before a shim has looked: on a busy machine containerd 1.7 and 2.1 told `Error` three times out of three.
pub(super) fn oom(bed: &Bed<'_>) -> Result<String> {
    // A busy node may lose one nevertheless.
    let mut told = over_memory(bed);
    for _ in 0..2 {
        if told.as_ref().is_err_and(anyhow::Error::is::<Seen>) {
            told = over_memory(bed);
        }
    }
    told?;
    Ok("over its memory a container ends with 137, OOMKilled".to_owned())
}

fn over_memory(bed: &Bed<'_>) -> Result<()> {
    let spec = ContainerSpec { memory: 16 << 20, ..bed.running("oom", &["alloc", "64", "500"]) };
    let container = bed.common()?.start(&spec)?;
    container.end()?;
    let began = bed.host.clock.monotonic();
    let late = || bed.host.clock.monotonic().saturating_sub(began) > Duration::from_secs(5);
    while container.status()?.reason != "OOMKilled" && !late() {
        bed.host.clock.sleep(Duration::from_millis(20));
    }
    let status = container.status()?;
    // containerd limits swap too, but not every release does, and not every kernel can.
    if status.exit_code == 0 && attempt::has_swap(bed.host) {
        bail!(Unfit("this node has swap, and containers here may use it".to_owned()));
    }
    ended(&status, 137, "OOMKilled")
}

/// What the runtime itself measures of pods. Few do.
pub(super) fn metrics(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let _container = pod.start(&bed.running("metrics", &["tick"]))?;
    let names = match bed.cri.metric_names() {
        Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::Unimplemented { .. })) => {
            bail!(Unfit("this runtime has no figures of its own".to_owned()))
        }
        names => names?,
    };
    ensure!(!names.is_empty(), "the runtime names no figure it has");
    let figures = bed.cri.pod_metrics()?.into_iter().find(|(id, _)| *id == pod.id);
    let count = figures.context("there are no figures of a pod that runs")?.1;
    ensure!(count > 0, "a pod that runs has no figure");
    Ok(format!("{count} figures of a pod, of {} there are", names.len()))
}

/// Environment, working directory, and what the image says of them; a terminal.
pub(super) fn environment(bed: &Bed<'_>) -> Result<String> {
    let env = vec![("CASTOFF".to_owned(), "a b".to_owned())];
    let spec = ContainerSpec { env, working_dir: "/home".to_owned(), ..bed.running("environment", &["env"]) };
    let (_, text) = bed.ended(&spec)?;
    for wanted in ["CASTOFF=a b", "PROBE=image"] {
        if !text.lines().any(|line| line == wanted) {
            return Err(Seen::new(format!("`{wanted}` is not in its environment"), "environment", text).into());
        }
    }
    let spec = ContainerSpec { working_dir: "/home".to_owned(), ..bed.container("cwd") };
    let at = bed.common()?.start(&spec)?.ask(&["cwd"])?;
    ensure!(at == "/home\n", "its working directory is {}", at.trim());
    let (status, _) = bed.ended(&ContainerSpec { tty: true, ..bed.running("tty", &["tty"]) })?;
    ensure!(status.exit_code == 0, "it was given no terminal");
    Ok("environment, working directory and terminal are as asked".to_owned())
}
