//! A cage for a daemon that is only tried: the node's own program with the node's own files, but in namespaces of its
//! own, where everything is read-only except memory.
//!
//! The program sees the node's file tree with some files exchanged, an empty `/run` and `/tmp`, empty directories where
//! it keeps its data, and a network of its own. It cannot reach a socket of the node or a port, and what it writes or
//! mounts is gone with it: the kernel takes the namespaces down when the last process in them ends, however that
//! happens. Needs root. Nothing here is for hostile programs: it keeps an honest daemon from leaving traces.

#![allow(clippy::disallowed_methods)] // a cage is made of mounts, processes and waiting, which only host may do

mod build;
mod strays;

pub(super) use strays::end_abandoned;

use anyhow::{Context as _, anyhow};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fmt::Debug,
    io::Read as _,
    path::PathBuf,
    process::Child,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The last part of what a program says that is kept.
const WORDS_KEPT: usize = 64 << 10;

/// What is tried, and what it may see.
#[derive(Clone, Debug, Default)]
pub struct Cage {
    /// The node's file tree, `/` for the running node.
    pub root: PathBuf,
    /// The program, an absolute path in the tree.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Files that are there with another content, or that are not there yet.
    pub files: Vec<(String, String)>,
    /// Directories that are empty in the cage, and may be written.
    pub empty: Vec<String>,
    /// Directories that must exist; made where they do not.
    pub dirs: Vec<String>,
    /// The socket the program will serve on.
    pub socket: String,
    /// Pods are to run in it: the kernel's cgroups and parameters can be written, systemd is reachable, castoff is
    /// there as an OCI runtime under [`RUNTIME`], and whatever is started in it is ended with it.
    pub pods: bool,
}

/// Where castoff is in a cage for pods, under a name by which it is an OCI runtime.
pub const RUNTIME: &str = "/run/castoff-oci";
/// In the environment of everything in a cage for pods: the process of castoff that made it.
const MARK: &str = "CASTOFF_CAGE";

/// A program in its cage. Dropping it ends the program.
pub trait Caged: Debug {
    /// Path of the socket as seen from outside.
    fn socket(&self) -> String;
    /// The cage's file tree as seen from outside.
    fn tree(&self) -> PathBuf;
    /// How the program ended, if it did.
    fn ended(&mut self) -> Option<String>;
    /// What it wrote to its standard error so far.
    fn words(&self) -> String;
}

/// Starts a program in a cage.
pub(super) fn start(cage: &Cage) -> anyhow::Result<Box<dyn Caged>> {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    let spec = cage.clone();
    let strays = cage.pods.then(strays::Strays::gather).transpose()?;
    // Namespaces belong to a thread. This one makes them, starts the program in them, and stays until it has ended:
    // the program is killed by the kernel when its parent thread is gone, and so with castoff itself.
    let keeper = thread::Builder::new()
        .spawn(move || {
            let made = build::build(&spec).and_then(|socket| Ok((build::spawn(&spec)?, socket)));
            match made {
                Err(error) => drop(tell.send(Err(error))),
                Ok((mut child, socket)) => {
                    let stderr = child.stderr.take();
                    let ended = Arc::new(Mutex::new(None));
                    let started = Started { pid: child.id(), socket, stderr, ended: Arc::clone(&ended) };
                    if tell.send(Ok(started)).is_ok() {
                        watch(&mut child, &stopped, &ended);
                    }
                    end(&mut child);
                }
            }
        })
        .context("failed to start a thread")?;
    match told.recv() {
        Ok(Ok(started)) => {
            let words = Arc::new(Mutex::new(Vec::new()));
            let reader = started.stderr.map(|pipe| read_words(pipe, &words)).transpose()?;
            Ok(Box::new(Running {
                pid: started.pid,
                socket: started.socket,
                ended: started.ended,
                words,
                reader,
                stop: Some(stop),
                keeper: Some(keeper),
                strays,
            }))
        }
        Ok(Err(error)) => {
            let _ = keeper.join();
            Err(error)
        }
        Err(_) => Err(anyhow!("the thread that keeps the cage ended early")),
    }
}

struct Started {
    pid: u32,
    socket: String,
    stderr: Option<std::process::ChildStderr>,
    ended: Arc<Mutex<Option<String>>>,
}

/// Waits until the program ends or nobody wants it any more.
fn watch(child: &mut Child, stopped: &mpsc::Receiver<()>, ended: &Mutex<Option<String>>) {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            *ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(status.to_string());
            return;
        }
        match stopped.recv_timeout(Duration::from_millis(5)) {
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            _ => return,
        }
    }
}

/// Ends the program with everything it started.
fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // Fails only when everything in the group is already gone.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.wait();
}

fn read_words(
    mut pipe: std::process::ChildStderr,
    words: &Arc<Mutex<Vec<u8>>>,
) -> anyhow::Result<(JoinHandle<()>, mpsc::Receiver<()>)> {
    let kept = Arc::clone(words);
    let (done, finished) = mpsc::channel();
    let reader = thread::Builder::new().spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let surplus = kept.len().saturating_sub(WORDS_KEPT);
            kept.drain(..surplus);
        }
        let _ = done.send(());
    });
    Ok((reader.context("failed to start a thread")?, finished))
}

struct Running {
    pid: u32,
    socket: String,
    ended: Arc<Mutex<Option<String>>>,
    words: Arc<Mutex<Vec<u8>>>,
    reader: Option<(JoinHandle<()>, mpsc::Receiver<()>)>,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
    strays: Option<strays::Strays>,
}

impl Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("pid", &self.pid).field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Caged for Running {
    fn socket(&self) -> String {
        // The cage's own mounts, seen through its process. No part of the path is a link any more, so it cannot lead
        // out to a socket of the node.
        format!("/proc/{}/root{}", self.pid, self.socket)
    }

    fn tree(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid))
    }

    fn ended(&mut self) -> Option<String> {
        let how = self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if how.is_some()
            && let Some((_, finished)) = &self.reader
        {
            // Its last words are the ones that matter.
            let _ = finished.recv_timeout(Duration::from_millis(500));
        }
        how
    }

    fn words(&self) -> String {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&words).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        drop(self.strays.take());
        // The mounts go when the last process does; a straggler of another process group would hold them.
        let deadline = Instant::now() + Duration::from_secs(1);
        while std::path::Path::new(&format!("/proc/{}", self.pid)).exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
