//! One castoff at a time: `flock` on `/run/castoff.lock`. The kernel gives it back when the process dies.

use super::Root;
use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
};

/// Where the lock is, below the root.
pub const LOCK_PATH: &str = "/run/castoff.lock";

/// The lock, held.
#[derive(Debug)]
pub struct Lock {
    file: Flock<File>,
}

/// What came of asking for the lock.
#[derive(Debug)]
pub enum Locked {
    /// It is ours.
    Ours(Lock),
    /// Somebody holds it; this is what they wrote into it.
    Held(String),
}

impl Lock {
    /// Asks for the lock without waiting.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn take(root: &Root, holder: &str) -> Result<Locked> {
        root.make_dirs("/run", 0o755)?;
        let mut file = root.open_for_lock(LOCK_PATH)?;
        let mut text = String::new();
        // Only for the message: what is in the file proves nothing.
        let _ = (&mut file).take(4096).read_to_string(&mut text);
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => {
                let mut lock = Self { file };
                lock.say(holder)?;
                Ok(Locked::Ours(lock))
            }
            Err((_, Errno::EWOULDBLOCK)) => Ok(Locked::Held(text.trim().to_owned())),
            Err((_, errno)) => Err(std::io::Error::from(errno)).context(format!("cannot lock {LOCK_PATH}")),
        }
    }

    /// Writes who holds it and for what.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn say(&mut self, holder: &str) -> Result<()> {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())
        };
        write(&mut self.file).with_context(|| format!("cannot write {LOCK_PATH}"))
    }
}
