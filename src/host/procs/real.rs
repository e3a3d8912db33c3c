#![allow(clippy::disallowed_methods)] // the one place that starts programs, waits for them and reads /proc
//! The real [`Procs`]: `std::process` and `/proc`, no async. A program may be fed from inside an async client's call
//! (an image stream of the Docker daemon), so nothing here may enter the runtime.

use super::{CgroupLine, Procs, Ran, parse_cgroup};
use crate::host::{Cage, Caged, Faults, cage};
use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::{AccessFlags, Pid, access},
};
use std::{
    io::{Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Where programs are looked for, in this order. Fixed: whoever starts castoff must not be able to choose.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// More standard output than this is taken for a program run wild.
const STDOUT_LIMIT: usize = 64 << 20;
const STDERR_KEPT: usize = 4 << 10;
/// How long to wait for the pipes of a program that has ended: a grandchild may hold them open forever.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// Runs programs on this machine.
#[derive(Clone, Debug)]
pub struct RealProcs {
    faults: Faults,
    proc_root: PathBuf,
    path: String,
}

impl RealProcs {
    /// Programs from the fixed search path, processes from `/proc`.
    pub fn new(faults: Faults) -> Self {
        Self { faults, proc_root: PathBuf::from("/proc"), path: PATH.to_owned() }
    }

    /// Looks for processes below another directory, and for programs in other directories; for tests.
    #[must_use]
    pub fn with_roots(mut self, proc_root: impl Into<PathBuf>, path: &str) -> Self {
        (self.proc_root, self.path) = (proc_root.into(), path.to_owned());
        self
    }

    fn spawn(&self, program: &str, args: &[&str], env: &[(&str, &str)], stdin: Stdio) -> anyhow::Result<Running> {
        let file =
            self.find(program).with_context(|| format!("{program} is not installed (looked in {})", self.path))?;
        let mut command = Command::new(&file);
        command.args(args).env_clear().env("PATH", &self.path).env("LANG", "C").current_dir("/");
        command.envs(env.iter().copied());
        // An own process group: Ctrl-C on the terminal stops castoff after the step, not the program in its middle,
        // and a program that runs too long is killed together with its children.
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("failed to run {file}"))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (none, nothing) = (Drain::ended(), Drain::ended());
        // From here on dropping kills it, also when no thread can be started any more.
        let mut running = Running { name: program.to_owned(), child, stdout: none, stderr: nothing, reaped: false };
        running.stdout = Drain::start(stdout, Keep::First(STDOUT_LIMIT))?;
        running.stderr = Drain::start(stderr, Keep::Last(STDERR_KEPT))?;
        Ok(running)
    }

    fn start(&self, program: &str, args: &[&str], timeout: Duration) -> anyhow::Result<Ran> {
        self.spawn(program, args, &[], Stdio::null())?.finish(Instant::now(), timeout)
    }

    fn file(&self, pid: u32, name: &str) -> PathBuf {
        self.proc_root.join(pid.to_string()).join(name)
    }

    fn state(&self, pid: u32) -> Option<u8> {
        let stat = std::fs::read(self.file(pid, "stat")).ok()?;
        // The name stands in brackets and may hold anything, brackets too; the state follows the last one.
        stat.rsplit(|byte| *byte == b')').next().and_then(|rest| rest.trim_ascii_start().first()).copied()
    }

    fn runs(&self, pid: u32, name: &str) -> bool {
        match std::fs::read_link(self.file(pid, "exe")) {
            Ok(exe) => {
                let exe = exe.to_string_lossy();
                // A program replaced by a package upgrade keeps running from its deleted file.
                let exe = exe.strip_suffix(" (deleted)").unwrap_or(&exe);
                Path::new(exe).file_name().is_some_and(|file| file.to_string_lossy() == name)
            }
            // Not ours to look at, or a zombie; the kernel keeps 15 bytes of the name.
            Err(_) => {
                let comm = std::fs::read(self.file(pid, "comm")).unwrap_or_default();
                let wanted = &name.as_bytes()[..name.len().min(15)];
                comm.trim_ascii_end() == wanted && self.cmdline(pid).is_some()
            }
        }
    }
}

impl Procs for RealProcs {
    fn run(&self, program: &str, args: &[&str], timeout: Duration) -> anyhow::Result<Ran> {
        self.faults.effect(&described(program, args), || self.start(program, args, timeout))
    }

    fn query(&self, program: &str, args: &[&str], timeout: Duration) -> anyhow::Result<Ran> {
        self.start(program, args, timeout)
    }

    fn pipe_into(
        &self,
        program: &str,
        args: &[&str],
        feed: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<u64>,
        timeout: Duration,
    ) -> anyhow::Result<Ran> {
        self.faults.effect(&described(program, args), || {
            let began = Instant::now();
            let mut running = self.spawn(program, args, &[], Stdio::piped())?;
            running.feed(feed, timeout)?;
            running.finish(began, timeout)
        })
    }

    fn talk(&self, program: &str, env: &[(&str, &str)], input: &[u8], timeout: Duration) -> anyhow::Result<Ran> {
        self.faults.effect(&described(program, &[]), || {
            let began = Instant::now();
            let mut running = self.spawn(program, &[], env, Stdio::piped())?;
            let mut feed = |sink: &mut dyn Write| {
                sink.write_all(input)?;
                Ok(input.len() as u64)
            };
            running.feed(&mut feed, timeout)?;
            running.finish(began, timeout)
        })
    }

    fn caged(&self, cage: &Cage) -> anyhow::Result<Box<dyn Caged>> {
        cage::start(cage)
    }

    fn end_cgroup(&self, dir: &str) {
        end_cgroup(Path::new(dir));
    }

    fn namespace(&self, pid: u32, kind: &str) -> Option<String> {
        let link = std::fs::read_link(self.file(pid, "ns").join(kind)).ok()?;
        Some(link.to_string_lossy().into_owned())
    }

    fn end_abandoned_cages(&self) {
        cage::end_abandoned();
    }

    fn find(&self, program: &str) -> Option<String> {
        let usable = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
        if program.starts_with('/') {
            return usable(Path::new(program)).then(|| program.to_owned());
        }
        if program.is_empty() || program.contains('/') {
            return None;
        }
        let places = self.path.split(':').map(|dir| Path::new(dir).join(program));
        places.into_iter().find(|file| usable(file)).map(|file| file.to_string_lossy().into_owned())
    }

    fn cmdline(&self, pid: u32) -> Option<Vec<String>> {
        let bytes = std::fs::read(self.file(pid, "cmdline")).ok()?;
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        if bytes.is_empty() {
            return None;
        }
        Some(bytes.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect())
    }

    fn cgroup(&self, pid: u32) -> anyhow::Result<Vec<CgroupLine>> {
        let file = self.file(pid, "cgroup");
        let text = std::fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        Ok(parse_cgroup(&String::from_utf8_lossy(&text)))
    }

    fn exists(&self, pid: u32) -> bool {
        !matches!(self.state(pid), None | Some(b'Z' | b'X'))
    }

    fn is_stopped(&self, pid: u32) -> bool {
        self.state(pid) == Some(b'T')
    }

    fn wake(&self, pid: u32) -> anyhow::Result<()> {
        self.faults.effect(&format!("continue {pid}"), || {
            let pid = Pid::from_raw(i32::try_from(pid).context("no such process")?);
            kill(pid, Signal::SIGCONT).with_context(|| format!("cannot let process {pid} go on"))
        })
    }

    fn pids_of(&self, name: &str) -> Vec<u32> {
        let Ok(entries) = std::fs::read_dir(&self.proc_root) else { return Vec::new() };
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut pids: Vec<u32> = numbers.filter(|pid| self.runs(*pid, name)).collect();
        pids.sort_unstable();
        pids
    }
}

/// Kills what is in a cgroup, and in those below it: with systemd's driver crun before 1.22 has a container in one of its
/// own below its scope.
fn end_cgroup(dir: &Path) {
    // v1: what is frozen does not die. A runtime that was killed while it set limits leaves it so.
    let state = dir.join("freezer.state");
    if state.exists() {
        let _ = std::fs::write(state, "THAWED");
    }
    let pids = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    // 0 is how the kernel writes a process of another namespace, and how `kill` is told to kill its caller's group.
    for pid in pids.lines().filter_map(|pid| pid.parse::<i32>().ok()).filter(|pid| *pid > 1) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for below in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        end_cgroup(&below.path());
    }
}

fn described(program: &str, args: &[&str]) -> String {
    format!("run {program} {}", args.join(" "))
}

/// A program that runs. Dropping it kills it, with everything it started.
struct Running {
    name: String,
    child: Child,
    stdout: Drain,
    stderr: Drain,
    reaped: bool,
}

impl Running {
    /// Runs `feed` on the program's standard input and closes it.
    fn feed(
        &mut self,
        feed: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<u64>,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        let Some(mut stdin) = self.child.stdin.take() else { bail!("{} has no standard input", self.name) };
        let watchdog = Watchdog::start(self.group(), timeout)?;
        let result = feed(&mut stdin);
        let late = watchdog.stop();
        match result {
            Ok(_) if !late => Ok(()),
            Ok(_) => self.late(timeout),
            Err(error) => self.feed_failed(stdin, error, late, timeout),
        }
    }

    /// Kills the program *before* its input is closed, and finds out whose fault it was.
    fn feed_failed(
        &mut self,
        stdin: ChildStdin,
        error: anyhow::Error,
        late: bool,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        if late {
            drop(stdin);
            return self.late(timeout);
        }
        // A program that gave up closes its input; what it said is the cause and the broken pipe only the effect.
        let gave_up = is_broken_pipe(&error) && self.wait(Instant::now(), DRAIN_GRACE).is_ok_and(|s| s.is_some());
        self.kill();
        drop(stdin);
        let words = self.stderr.finish(DRAIN_GRACE);
        let words = String::from_utf8_lossy(&words);
        if gave_up {
            bail!("{} stopped reading its input: {}", self.name, words.trim());
        }
        Err(error.context(format!("failed to feed {}", self.name)))
    }

    fn late<T>(&mut self, timeout: Duration) -> anyhow::Result<T> {
        self.kill();
        let words = self.stderr.finish(DRAIN_GRACE);
        let words = String::from_utf8_lossy(&words);
        let words = if words.trim().is_empty() { String::new() } else { format!(": {}", words.trim()) };
        bail!("{} did not end within {} s and was killed{words}", self.name, timeout.as_secs_f32())
    }

    fn finish(mut self, began: Instant, timeout: Duration) -> anyhow::Result<Ran> {
        let Some(status) = self.wait(began, timeout)? else { return self.late(timeout) };
        if self.stdout.overflowed() {
            bail!("{} wrote more than {} MiB to its standard output", self.name, STDOUT_LIMIT >> 20);
        }
        let status = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        let stdout = self.stdout.finish(DRAIN_GRACE);
        let stderr = String::from_utf8_lossy(&self.stderr.finish(DRAIN_GRACE)).into_owned();
        Ok(Ran { status, stdout, stderr })
    }

    /// Waits for the end; `None` at the deadline, or when it writes without end.
    fn wait(&mut self, began: Instant, timeout: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let mut pause = Duration::from_millis(1);
        loop {
            let status = self.child.try_wait().with_context(|| format!("failed to wait for {}", self.name))?;
            if status.is_some() {
                self.reaped = true;
                return Ok(status);
            }
            if self.stdout.overflowed() {
                self.kill();
                bail!("{} wrote more than {} MiB to its standard output", self.name, STDOUT_LIMIT >> 20);
            }
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().map(Pid::from_raw)
    }

    fn kill(&mut self) {
        if self.reaped {
            return;
        }
        kill_group(self.group());
        // Killed, so this wait is short; a process stuck in the kernel is the exception nobody can help.
        self.reaped = self.child.wait().is_ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill_group(group: Option<Pid>) {
    // Fails only when everything in the group is already gone.
    let _ = group.map(|group| killpg(group, Signal::SIGKILL));
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Kills a process group at the deadline, which frees a writer that is blocked on a full pipe.
struct Watchdog {
    cancel: mpsc::Sender<()>,
    fired: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    fn start(group: Option<Pid>, limit: Duration) -> anyhow::Result<Self> {
        let (cancel, cancelled) = mpsc::channel();
        let fired = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&fired);
        let thread = in_thread(move || {
            if cancelled.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                flag.store(true, Ordering::SeqCst);
                kill_group(group);
            }
        })?;
        Ok(Self { cancel, fired, thread })
    }

    /// Ends the watch; true when it had to kill. Joined, so that no kill can come after the pid is free again.
    fn stop(self) -> bool {
        let _ = self.cancel.send(());
        let _ = self.thread.join();
        self.fired.load(Ordering::SeqCst)
    }
}

/// Like `thread::spawn`, which panics where the machine has no thread left.
fn in_thread(work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    thread::Builder::new().spawn(work).context("failed to start a thread")
}

/// What of a stream is kept.
#[derive(Clone, Copy)]
enum Keep {
    First(usize),
    Last(usize),
}

/// Reads a pipe to its end in a thread, so that the program never blocks on it.
struct Drain {
    kept: Arc<Mutex<Vec<u8>>>,
    overflow: Arc<AtomicBool>,
    ended: mpsc::Receiver<()>,
}

impl Drain {
    fn start(pipe: Option<impl Read + Send + 'static>, keep: Keep) -> anyhow::Result<Self> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let overflow = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::channel();
        let (sink, full) = (Arc::clone(&kept), Arc::clone(&overflow));
        in_thread(move || {
            if let Some(mut pipe) = pipe {
                copy(&mut pipe, &sink, &full, keep);
            }
            let _ = end.send(());
        })?;
        Ok(Self { kept, overflow, ended })
    }

    /// A stream that has ended, empty.
    fn ended() -> Self {
        Self { kept: Arc::default(), overflow: Arc::default(), ended: mpsc::channel().1 }
    }

    fn overflowed(&self) -> bool {
        self.overflow.load(Ordering::SeqCst)
    }

    /// What was read; waits for the end of the stream, but not longer than `grace`.
    fn finish(&mut self, grace: Duration) -> Vec<u8> {
        let _ = self.ended.recv_timeout(grace);
        std::mem::take(&mut *locked(&self.kept))
    }
}

fn copy(pipe: &mut impl Read, sink: &Mutex<Vec<u8>>, full: &AtomicBool, keep: Keep) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut kept = locked(sink);
        match keep {
            // Goes on reading after the limit, or the program would block before it can be killed.
            Keep::First(limit) if kept.len() + count > limit => full.store(true, Ordering::SeqCst),
            Keep::First(_) => kept.extend_from_slice(&buffer[..count]),
            Keep::Last(limit) => {
                kept.extend_from_slice(&buffer[..count]);
                let surplus = kept.len().saturating_sub(limit);
                kept.drain(..surplus);
            }
        }
    }
}

fn locked(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "real_tests.rs"]
mod tests;
