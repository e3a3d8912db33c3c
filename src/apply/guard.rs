//! What outlives castoff while a run is open: two units that bring order back after a reboot, and a timer that takes the
//! run back when nobody keeps it in time.
//!
//! They are plain files below `/etc/systemd/system`, there before the first step and gone when the run has ended, so
//! that a power cut needs nobody and a node without an open run has nothing of castoff in its boot. The early unit ends
//! before the runtimes and kubelet start and only makes files what they should be; starting and stopping is for the late
//! one, since jobs that wait for a unit ordered behind would never end.

use super::{Observer, Refusal, Run, mounts, undo};
use crate::{
    formats::{mounts::unit_name, unit_edit::written},
    host::{Attributes, Expect, Host, OwnProcess, Scope, env, unit_links::ADMIN_DIR},
    model::Plan,
};
use anyhow::{Context as _, Result, anyhow, bail};
use jiff::Timestamp;
use std::{collections::BTreeSet, time::Duration};

/// Runs before containerd, Docker and kubelet start.
pub const EARLY: &str = "castoff-recover.service";
/// Runs behind them, and when the timer says so.
pub const LATE: &str = "castoff-recover-late.service";
/// The dead man's switch.
pub const TIMER: &str = "castoff-try.timer";

const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";
/// Nobody else's unit holds this section, which systemd passes over.
const OURS: &str = "[X-Castoff]";
const MADE: &str = "Made=";

/// Whose start decides on which runtime pods run.
const BEHIND: &str = "containerd.service docker.service cri-docker.service cri-dockerd.service kubelet.service";

/// After so long the time is looked at again.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The moment `seconds` from now, RFC 3339.
pub fn until(host: &Host, seconds: u64) -> Result<String> {
    let now = host.clock.timestamp()?;
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let then = now.checked_add(jiff::SignedDuration::from_secs(seconds)).context("that is too far away")?;
    Ok(then.to_string())
}

/// True when that moment has passed.
pub fn is_over(host: &Host, until: &str) -> bool {
    let parsed = |text: &str| text.parse::<Timestamp>();
    matches!((parsed(&host.clock.now()), parsed(until)), (Ok(now), Ok(until)) if now >= until)
}

/// How long it is until that moment; nothing when it has passed.
///
/// # Errors
/// When one of the two is no time.
pub fn left(host: &Host, until: &str) -> Result<Duration> {
    let until: Timestamp = until.parse().context("the journal tells no time")?;
    Ok(Duration::try_from(until.duration_since(host.clock.timestamp()?)).unwrap_or_default())
}

/// Writes the units of a run, and starts the timer when there is a moment to wait for. A file tree has no boot of its
/// own that could be cut off.
///
/// # Errors
/// When they cannot be written: then nothing may be begun.
pub fn arm(host: &Host, run: &Run, mounts: &[String], until: Option<&str>) -> Result<()> {
    if !host.is_live() {
        return Ok(());
    }
    let program = env::program().context("cannot find the program that runs")?;
    let program = program.to_string_lossy();
    let needed = [&*program, run.dir.as_str()];
    let mounts: BTreeSet<String> = mounts.iter().cloned().chain(mounts::below(host, needed.into_iter())).collect();
    let (program, mounts) = (written(&program), behind(&mounts));
    let before = host.root.text(&path(LATE))?.unwrap_or_default();
    let mut made: Vec<String> = made(&before).map(str::to_owned).collect();
    made.extend(host.root.missing_dirs(WANTS));
    host.root.make_dirs(WANTS, 0o755)?;
    // The late unit, which can tidy up everything, is there first and goes last.
    put(host, LATE, &late(&program, run, &mounts, &made))?;
    host.root.make_link(&link(LATE), &path(LATE))?;
    put(host, EARLY, &early(&program, run, &mounts))?;
    host.root.make_link(&link(EARLY), &path(EARLY))?;
    until.map_or(Ok(()), |until| set_timer(host, run, until))
}

/// The same for a run that goes on or is taken back: better without than not at all.
pub fn arm_again(host: &Host, run: &Run, mounts: &[String], observer: &mut dyn Observer) {
    if let Err(error) = arm(host, run, mounts, None) {
        observer.warn(&format!("a reboot now would leave this run to `castoff resume`: {error:#}"));
    }
}

/// Leaves what may end before the run does and take along whatever belongs to it: a login session, a service, a pod.
///
/// # Errors
/// [`Refusal::Unready`] when this is a container that cannot be left: the run stops the node's containers, and would end itself.
pub fn leave_session(host: &Host, run: &Run, plan: &Plan, observer: &mut dyn Observer) -> Result<()> {
    if !host.is_live() {
        return Ok(());
    }
    let own = host.units.own().unwrap_or_else(|_| OwnProcess { pid: host.pid(), unit: String::new() });
    if own.unit == LATE || (own.unit.starts_with("castoff-") && own.unit.ends_with(".scope")) {
        return Ok(());
    }
    // Not the run's alone: what outlives a castoff that was killed, or the scope's failure, keeps the name.
    let (name, description) = (format!("castoff-{}-{}.scope", run.id, own.pid), format!("castoff run {}", run.id));
    let scope = Scope { name: &name, description: &description, slice: None, delegate: false };
    let left = if own.pid == host.pid() {
        host.units.adopt(&scope, own.pid)
    } else {
        Err(anyhow!("it has a pid namespace of its own, which ends with its first process"))
    };
    let is_skipped = plan.desired.skip_checks.iter().any(|id| id == CONTAINED);
    match left {
        Ok(()) => Ok(()),
        Err(error) if plan.restarts_pods() && is_contained(host, &own) && !is_skipped => {
            let what = "castoff is in a container of this node, and the run stops those".to_owned();
            Err(Refusal::Unready { id: CONTAINED.to_owned(), what, why: format!("{error:#}") }.into())
        }
        Err(error) => {
            observer.warn(&format!("this run ends with the session or service it was started in: {error:#}"));
            Ok(())
        }
    }
}

const CONTAINED: &str = "castoff-in-container";

/// How runtimes and kubelet call their cgroups, and systemd's units for them.
const CONTAINERS: [&str; 5] = ["kubepods", "docker", "containerd", "crio", "libpod"];

fn is_contained(host: &Host, own: &OwnProcess) -> bool {
    let named = |text: &str| CONTAINERS.iter().any(|mark| text.contains(mark));
    let cgroups = host.procs.cgroup(own.pid).unwrap_or_default();
    // One with a cgroup namespace of its own sees a root there, and nothing else.
    let space = |pid| host.procs.namespace(pid, "cgroup");
    let is_apart = matches!((space(own.pid), space(1)), (Some(ours), Some(first)) if ours != first);
    own.pid != host.pid() || is_apart || named(&own.unit) || cgroups.iter().any(|line| named(&line.path))
}

/// Starts the timer for another moment.
///
/// # Errors
/// When it cannot be written or started. The earlier moment may count still.
pub fn set_timer(host: &Host, run: &Run, until: &str) -> Result<()> {
    if !host.is_live() {
        return Ok(());
    }
    put(host, TIMER, &timer(run, until, left(host, until)?)?)?;
    host.root.make_link(&link(TIMER), &path(TIMER))?;
    host.units.reload()?;
    // Started anew, it takes the new moment.
    host.units.restart(TIMER, super::TIMER_LIMIT)?;
    Ok(())
}

/// Removes the units again.
///
/// # Errors
/// When one cannot be removed. What is left does nothing without an open run.
pub fn disarm(host: &Host) -> Result<()> {
    if !host.is_live() {
        return Ok(());
    }
    let text = host.root.text(&path(LATE))?.unwrap_or_default();
    let made: Vec<&str> = made(&text).collect();
    let timed = host.root.exists(&path(TIMER));
    // At a boot, this may be the late unit's own process.
    let known = timed || (!text.is_empty() && host.units.state(LATE)?.active != "inactive");
    if timed {
        host.units.stop(TIMER, super::TIMER_LIMIT)?;
    }
    for unit in [TIMER, EARLY, LATE] {
        host.root.remove_link_leftover(&link(unit))?;
        host.root.remove_leftover(&path(unit))?;
        if host.root.text(&path(unit))?.is_some_and(|text| text.contains(OURS)) {
            host.root.remove_link(&link(unit))?;
            if unit == LATE {
                let mut ours = made.iter().rev().filter(|dir| undo::is_above(dir, &link(LATE)));
                ours.try_for_each(|dir| host.root.remove_empty_dir(dir))?;
            }
            host.root.remove_file(&path(unit))?;
        }
    }
    if known { host.units.reload() } else { Ok(()) }
}

/// The directories that a late unit knows to have been made for the links.
fn made(late: &str) -> impl Iterator<Item = &str> {
    late.lines().filter_map(|line| line.strip_prefix(MADE))
}

fn link(unit: &str) -> String {
    format!("{WANTS}/{unit}")
}

fn path(unit: &str) -> String {
    format!("{ADMIN_DIR}/{unit}")
}

fn put(host: &Host, unit: &str, text: &str) -> Result<()> {
    let path = path(unit);
    host.root.remove_leftover(&path)?;
    let before = host.root.read(&path)?;
    if let Some(before) = &before {
        let theirs = !String::from_utf8_lossy(&before.bytes).contains(OURS);
        if theirs {
            bail!("{path} is there and not castoff's; move it away");
        }
    }
    if before.as_ref().is_some_and(|before| before.bytes == text.as_bytes()) {
        return Ok(());
    }
    let digest = before.map(|before| before.digest());
    let expect = digest.as_ref().map_or(Expect::Absent, Expect::Content);
    host.root.write_atomic(&path, text.as_bytes(), expect, Attributes::Keep { mode: 0o644 })
}

fn head(run: &Run, what: &str) -> String {
    format!(
        "# Made by castoff for run {}, and removed by it when that has ended.\n[Unit]\nDescription={what}\n\
         Documentation=man:castoff(8)\n",
        run.id
    )
}

/// Nothing else makes a unit wait for file systems that a boot does not wait for itself (`nofail`, `_netdev`). Waiting is all: with
/// `RequiresMountsFor=` a disk that is gone for good would keep the rest from being put right, and nobody would tell.
fn behind(mounts: &BTreeSet<String>) -> String {
    if mounts.is_empty() {
        return String::new();
    }
    let units: Vec<String> = mounts.iter().map(|point| unit_name(point)).collect();
    format!("After={}\n", units.join(" "))
}

fn early(program: &str, run: &Run, mounts: &str) -> String {
    let head = head(run, "castoff: files of an interrupted migration");
    format!(
        "{head}ConditionPathExists={dir}\n{mounts}Before={BEHIND}\n\n[Service]\nType=oneshot\nExecStart={program} recover --early\n\
         TimeoutStartSec=5min\n\n[Install]\nWantedBy=multi-user.target\n\n{OURS}\n",
        dir = run.dir
    )
}

fn late(program: &str, run: &Run, mounts: &str, made: &[String]) -> String {
    let made = made.iter().fold(String::new(), |text, dir| text + MADE + dir + "\n");
    let head = head(run, "castoff: ends an interrupted migration");
    format!(
        "{head}ConditionPathExists={dir}\n{mounts}After={EARLY} {BEHIND}\n\n[Service]\nType=simple\nExecStart={program} recover\n\n\
         [Install]\nWantedBy=multi-user.target\n\n{OURS}\n{made}",
        dir = run.dir
    )
}

/// A timer with a time of the calendar waits for the clock to be set (`time-sync.target`), and the unit it starts, which ends what was
/// cut off, waits for the timer: for ever, where nobody sets the clock (systemd.timer(5), "Default Dependencies"). A clock that is
/// wrong does no harm: whoever comes too early sets the timer anew.
const AT_BOOT: &str = "DefaultDependencies=no\nRequires=sysinit.target\nAfter=sysinit.target\nConflicts=shutdown.target\n\
                       Before=shutdown.target\n";

/// Twice, since systemd before OnClockChange= (242) forgets a single moment that the clock jumps over: it looks for the next one and finds none
/// (src/core/timer.c, `timer_enter_waiting`). Whichever comes too early sets the timer anew.
fn timer(run: &Run, until: &str, left: Duration) -> Result<String> {
    let until: Timestamp = until.parse().context("the journal tells no time")?;
    let head = head(run, "castoff: takes a migration back unless it is kept");
    // A full second: what is left of one would come too early.
    let at = until.as_second().saturating_add(1);
    let at = Timestamp::from_second(at).context("that is too far away")?.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    // A clock that is years behind at a boot would say years.
    let seconds = left.min(LONGEST).as_secs().saturating_add(2);
    Ok(format!(
        "{head}{AT_BOOT}\n[Timer]\nOnCalendar={at}\nOnActiveSec={seconds}s\nAccuracySec=1s\nUnit={LATE}\n\n[Install]\nWantedBy=multi-user.target\n\n{OURS}\n"
    ))
}
