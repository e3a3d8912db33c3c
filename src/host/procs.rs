//! Programs and processes: runs the few programs castoff needs, without a shell and with a clean environment, and
//! reads what `/proc` says about processes that already run.

mod fake;
mod real;

pub use fake::{FakeCaged, FakeProcs};
pub use real::RealProcs;

pub use crate::formats::cgroup_file::{CgroupLine, parse_cgroup};

use super::{Cage, Caged};
use anyhow::bail;
use std::{fmt::Debug, io::Write, time::Duration};

/// What a program that ended left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Exit status; 128 + signal number when a signal ended it.
    pub status: i32,
    /// Everything it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// The last 4 KiB of its standard error.
    pub stderr: String,
}

impl Ran {
    /// The result when the status is 0, else an error that ends with the program's own last words.
    pub fn ok(self, program: &str) -> anyhow::Result<Self> {
        if self.status == 0 {
            return Ok(self);
        }
        let words = self.stderr.trim();
        let words = if words.is_empty() { String::new() } else { format!(": {words}") };
        bail!("{program} ended with status {}{words}", self.status)
    }

    /// Standard output as text, where it is text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs programs and looks at processes.
pub trait Procs: Debug {
    /// Runs a program that may change the machine; counts as a side effect. Standard input is empty. A status other
    /// than 0 is no error here: see [`Ran::ok`].
    fn run(&self, program: &str, args: &[&str], timeout: Duration) -> anyhow::Result<Ran>;

    /// Like [`Procs::run`] for programs that only look; does not count as a side effect.
    fn query(&self, program: &str, args: &[&str], timeout: Duration) -> anyhow::Result<Ran>;

    /// Runs a program and streams into its standard input what `feed` writes; the program sees the end of its input
    /// only after `feed` succeeded. When `feed` fails the program is killed first, so that it cannot take half of
    /// the input for the whole.
    fn pipe_into(
        &self,
        program: &str,
        args: &[&str],
        feed: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<u64>,
        timeout: Duration,
    ) -> anyhow::Result<Ran>;

    /// Runs a program with this added to its environment and `input` on its standard input; counts as a side effect.
    fn talk(&self, program: &str, env: &[(&str, &str)], input: &[u8], timeout: Duration) -> anyhow::Result<Ran>;

    /// Starts a program in a cage, where it cannot change the machine; no side effect.
    fn caged(&self, cage: &Cage) -> anyhow::Result<Box<dyn Caged>> {
        bail!("{} cannot be caged here", cage.program)
    }

    /// Ends what is left of cages for pods whose castoff was killed.
    fn end_abandoned_cages(&self) {}

    /// Where a program is, if it is installed.
    fn find(&self, program: &str) -> Option<String>;

    /// The command line of a live process; `None` when it is gone, or a kernel thread.
    fn cmdline(&self, pid: u32) -> Option<Vec<String>>;

    /// The cgroups of a live process.
    fn cgroup(&self, pid: u32) -> anyhow::Result<Vec<CgroupLine>>;

    /// Kills all processes in a cgroup of castoff's own.
    fn end_cgroup(&self, _dir: &str) {}

    /// A namespace of a live process, as `/proc/PID/ns/KIND` names it; `None` when it is gone or not ours to see.
    fn namespace(&self, _pid: u32, _kind: &str) -> Option<String> {
        None
    }

    /// True while the process exists and is not a zombie.
    fn exists(&self, pid: u32) -> bool;

    /// True for a process that job control or `kill -STOP` has stopped.
    fn is_stopped(&self, _pid: u32) -> bool {
        false
    }

    /// Lets a stopped process go on; counts as a side effect.
    fn wake(&self, pid: u32) -> anyhow::Result<()> {
        bail!("process {pid} cannot be reached here")
    }

    /// Processes that run the program of this name (`dockerd`), lowest pid first.
    fn pids_of(&self, name: &str) -> Vec<u32>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_quoted() {
        let ran = Ran { status: 1, stdout: Vec::new(), stderr: "ctr: no such image\n".into() };
        assert_eq!(ran.ok("ctr").unwrap_err().to_string(), "ctr ended with status 1: ctr: no such image");
        assert_eq!(Ran { status: 2, ..Ran::default() }.ok("x").unwrap_err().to_string(), "x ended with status 2");
        assert_eq!(Ran::default().ok("x").unwrap(), Ran::default());
    }
}
