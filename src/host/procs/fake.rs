//! A scripted [`Procs`] for tests: answers by command line, records calls in order.

use super::{CgroupLine, Procs, Ran};
use crate::host::{Cage, Caged, Faults};
use anyhow::{Context, anyhow};
use std::{cell::RefCell, collections::BTreeMap, io::Write, rc::Rc, time::Duration};

/// What a caged program does in a test.
#[derive(Clone, Debug, Default)]
pub struct FakeCaged {
    /// Where its socket is.
    pub socket: String,
    /// How it ended, if it did.
    pub ended: Option<String>,
    /// What it says.
    pub words: String,
}

impl Caged for FakeCaged {
    fn socket(&self) -> String {
        self.socket.clone()
    }

    fn tree(&self) -> std::path::PathBuf {
        std::path::PathBuf::from("/proc/0/root")
    }

    fn ended(&mut self) -> Option<String> {
        self.ended.clone()
    }

    fn words(&self) -> String {
        self.words.clone()
    }
}

/// Programs that answer what the test says. Clones share the script.
#[derive(Clone, Debug, Default)]
pub struct FakeProcs(Rc<RefCell<Script>>);

#[derive(Debug, Default)]
struct Script {
    faults: Faults,
    answers: Vec<(String, Result<Ran, String>)>,
    calls: Vec<String>,
    fed: Vec<u8>,
    caged: Option<Result<FakeCaged, String>>,
    cages: Vec<Cage>,
    processes: BTreeMap<u32, Process>,
}

#[derive(Clone, Debug, Default)]
struct Process {
    cmdline: Vec<String>,
    cgroup: Vec<CgroupLine>,
    stopped: bool,
}

impl FakeProcs {
    /// No program is installed and no process runs.
    pub fn new(faults: Faults) -> Self {
        let fake = Self::default();
        fake.0.borrow_mut().faults = faults;
        fake
    }

    /// The same programs and processes, asked by another process: its failures are scripted anew.
    #[must_use]
    pub fn with_faults(&self, faults: Faults) -> Self {
        self.0.borrow_mut().faults = faults;
        self.clone()
    }

    /// Command lines that begin with `start` answer with this status and output. Later answers go before earlier.
    #[must_use]
    pub fn answer(self, start: &str, status: i32, stdout: &str, stderr: &str) -> Self {
        let ran = Ran { status, stdout: stdout.as_bytes().to_vec(), stderr: stderr.to_owned() };
        self.0.borrow_mut().answers.push((start.to_owned(), Ok(ran)));
        self
    }

    /// Command lines that begin with `start` cannot be run at all (missing, too slow).
    #[must_use]
    pub fn broken(self, start: &str, why: &str) -> Self {
        self.0.borrow_mut().answers.push((start.to_owned(), Err(why.to_owned())));
        self
    }

    /// Programs in a cage do this from now on; `Err` is why there can be no cage.
    #[must_use]
    pub fn cage(self, outcome: Result<FakeCaged, &str>) -> Self {
        self.0.borrow_mut().caged = Some(outcome.map_err(str::to_owned));
        self
    }

    /// Every cage so far.
    pub fn cages(&self) -> Vec<Cage> {
        self.0.borrow().cages.clone()
    }

    /// Adds a live process.
    pub fn add_process(&self, pid: u32, cmdline: &[&str], cgroup: Vec<CgroupLine>) {
        let cmdline = cmdline.iter().map(|&arg| arg.to_owned()).collect();
        self.0.borrow_mut().processes.insert(pid, Process { cmdline, cgroup, stopped: false });
    }

    /// Stops a process, as Ctrl-Z does.
    pub fn stop_process(&self, pid: u32) {
        if let Some(process) = self.0.borrow_mut().processes.get_mut(&pid) {
            process.stopped = true;
        }
    }

    /// Ends a process.
    pub fn end_process(&self, pid: u32) {
        self.0.borrow_mut().processes.remove(&pid);
    }

    /// Every command line so far, in order; those that were fed end with ` <`.
    pub fn calls(&self) -> Vec<String> {
        self.0.borrow().calls.clone()
    }

    /// Everything that was streamed into programs so far.
    pub fn fed(&self) -> Vec<u8> {
        self.0.borrow().fed.clone()
    }

    fn answered(&self, line: &str) -> anyhow::Result<Ran> {
        let script = self.0.borrow();
        let mut answers = script.answers.iter().rev();
        let found = answers.find(|(start, _)| line.starts_with(start.as_str()));
        let (_, answer) = found.with_context(|| format!("no program is scripted for `{line}`"))?;
        answer.clone().map_err(|why| anyhow!(why))
    }

    fn record(&self, line: &str) {
        self.0.borrow_mut().calls.push(line.to_owned());
    }
}

fn line(program: &str, args: &[&str]) -> String {
    let mut words = vec![program];
    words.extend(args);
    words.join(" ")
}

impl Procs for FakeProcs {
    fn run(&self, program: &str, args: &[&str], _timeout: Duration) -> anyhow::Result<Ran> {
        let (line, faults) = (line(program, args), self.0.borrow().faults.clone());
        faults.effect(&format!("run {line}"), || {
            self.record(&line);
            self.answered(&line)
        })
    }

    fn query(&self, program: &str, args: &[&str], _timeout: Duration) -> anyhow::Result<Ran> {
        let line = line(program, args);
        self.record(&line);
        self.answered(&line)
    }

    fn pipe_into(
        &self,
        program: &str,
        args: &[&str],
        feed: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<u64>,
        _timeout: Duration,
    ) -> anyhow::Result<Ran> {
        let (line, faults) = (line(program, args), self.0.borrow().faults.clone());
        faults.effect(&format!("run {line}"), || {
            self.record(&format!("{line} <"));
            let mut bytes = Vec::new();
            feed(&mut bytes).with_context(|| format!("failed to feed {program}"))?;
            self.0.borrow_mut().fed.append(&mut bytes);
            self.answered(&line)
        })
    }

    fn talk(&self, program: &str, env: &[(&str, &str)], input: &[u8], _timeout: Duration) -> anyhow::Result<Ran> {
        let words: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let line = format!("{program} < {} {}", words.join(" "), String::from_utf8_lossy(input));
        let faults = self.0.borrow().faults.clone();
        faults.effect(&line, || {
            self.record(&line);
            self.answered(&line)
        })
    }

    fn caged(&self, cage: &Cage) -> anyhow::Result<Box<dyn Caged>> {
        let mut script = self.0.borrow_mut();
        script.cages.push(cage.clone());
        match &script.caged {
            Some(Ok(caged)) => Ok(Box::new(caged.clone())),
            Some(Err(why)) => Err(anyhow!("{why}")),
            None => Err(anyhow!("no cage is scripted")),
        }
    }

    fn find(&self, program: &str) -> Option<String> {
        let script = self.0.borrow();
        let known = script.answers.iter().any(|(start, _)| start.split(' ').next() == Some(program));
        known.then(|| format!("/usr/bin/{program}"))
    }

    fn cmdline(&self, pid: u32) -> Option<Vec<String>> {
        self.0.borrow().processes.get(&pid).map(|process| process.cmdline.clone())
    }

    fn cgroup(&self, pid: u32) -> anyhow::Result<Vec<CgroupLine>> {
        let script = self.0.borrow();
        let process = script.processes.get(&pid).with_context(|| format!("failed to read /proc/{pid}/cgroup"))?;
        Ok(process.cgroup.clone())
    }

    fn exists(&self, pid: u32) -> bool {
        self.0.borrow().processes.contains_key(&pid)
    }

    fn is_stopped(&self, pid: u32) -> bool {
        self.0.borrow().processes.get(&pid).is_some_and(|process| process.stopped)
    }

    fn wake(&self, pid: u32) -> anyhow::Result<()> {
        let (line, faults) = (format!("continue {pid}"), self.0.borrow().faults.clone());
        faults.effect(&line, || {
            self.record(&line);
            let mut script = self.0.borrow_mut();
            let process = script.processes.get_mut(&pid).with_context(|| format!("there is no process {pid}"))?;
            process.stopped = false;
            Ok(())
        })
    }

    fn pids_of(&self, name: &str) -> Vec<u32> {
        let runs =
            |process: &Process| process.cmdline.first().and_then(|program| program.rsplit('/').next()) == Some(name);
        let script = self.0.borrow();
        script.processes.iter().filter(|(_, process)| runs(process)).map(|(pid, _)| *pid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_command_line_and_records() {
        let procs = FakeProcs::new(Faults::none()).answer("ctr", 1, "", "no").answer("ctr version", 0, "1.7", "");
        let second = Duration::from_secs(1);
        assert_eq!(procs.query("ctr", &["version"], second).unwrap().text(), "1.7");
        assert_eq!(procs.run("ctr", &["images", "ls"], second).unwrap().status, 1);
        assert!(procs.run("runc", &[], second).is_err());
        let fed = procs.pipe_into("ctr", &["version"], &mut |sink| Ok(sink.write(b"tar")? as u64), second);
        assert_eq!(fed.unwrap().status, 0);
        assert_eq!(procs.calls(), ["ctr version", "ctr images ls", "runc", "ctr version <"]);
        assert_eq!(procs.fed(), b"tar");
        assert_eq!((procs.find("ctr").as_deref(), procs.find("runc")), (Some("/usr/bin/ctr"), None));
    }

    #[test]
    fn processes_come_and_go() {
        let procs = FakeProcs::default();
        procs.add_process(7, &["/usr/bin/dockerd", "-H"], Vec::new());
        assert_eq!(procs.pids_of("dockerd"), [7]);
        assert!(procs.cgroup(7).unwrap().is_empty());
        procs.end_process(7);
        assert!(!procs.exists(7) && procs.cgroup(7).is_err() && procs.cmdline(7).is_none());
    }
}
