//! One castoff at a time: `flock` on `/run/castoff.lock`. The kernel gives it back when the process dies. And who holds
//! the locks of others.

use super::{Root, steady::Steady};
use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, Flock, FlockArg, fcntl},
    libc,
};
use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    thread,
    time::Duration,
};

/// Where the lock is, below the root.
pub const LOCK_PATH: &str = "/run/castoff.lock";

/// The lock, held.
#[derive(Debug)]
pub struct Lock {
    file: Flock<File>,
    _steady: Option<Steady>,
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
        Self::take_at(root, LOCK_PATH, holder)
    }

    /// The same for the pods of verifications, which take away each other's leavings.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn take_for_pods(root: &Root, holder: &str) -> Result<Locked> {
        Self::take_at(root, "/run/castoff-verify.lock", holder)
    }

    /// Who holds the lock, by what they wrote into it; `None` where nobody does, or that cannot be seen. It is asked for as
    /// something to share and given back at once, so that nobody who looks meets another one who does.
    pub fn holder(root: &Root) -> Option<String> {
        let mut file = root.open_to_look(LOCK_PATH)?;
        let mut text = String::new();
        let _ = (&mut file).take(4096).read_to_string(&mut text);
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Err((_, Errno::EWOULDBLOCK)) => Some(text.trim().to_owned()),
            _ => None,
        }
    }

    #[allow(clippy::disallowed_methods, reason = "no clock of a node's: it waits for a look of microseconds")]
    fn take_at(root: &Root, path: &str, holder: &str) -> Result<Locked> {
        root.make_dirs("/run", 0o755)?;
        let mut file = root.open_for_lock(path)?;
        let mut text = String::new();
        // Only for the message: what is in the file proves nothing.
        let _ = (&mut file).take(4096).read_to_string(&mut text);
        let mut asked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        // Whoever only looks has it for a moment too, see `holder`.
        for _ in 0..5 {
            let Err((file, Errno::EWOULDBLOCK)) = asked else { break };
            thread::sleep(Duration::from_millis(10));
            asked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        }
        match asked {
            Ok(file) => {
                let mut lock = Self { file, _steady: (path == LOCK_PATH).then(Steady::begin) };
                lock.say(holder);
                Ok(Locked::Ours(lock))
            }
            Err((_, Errno::EWOULDBLOCK)) => Ok(Locked::Held(text.trim().to_owned())),
            Err((_, errno)) => Err(std::io::Error::from(errno)).context(format!("cannot lock {path}")),
        }
    }

    /// Writes who holds it and for what, where there is room for that: the lock is held without it too.
    pub fn say(&mut self, holder: &str) {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())
        };
        let _: std::io::Result<()> = write(&mut self.file);
    }
}

/// Who holds a lock of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This process.
    Process(u32),
    /// A process that cannot be named: of another pid namespace, or the lock belongs to an open file.
    Unknown,
}

impl Holder {
    /// Who holds a record lock (`fcntl`) on a file, as dpkg and rpm take them; `None` when it is free or not there.
    pub fn of(root: &Root, path: &str) -> Option<Self> {
        let file = root.open_to_look(path)?;
        let mut lock = libc::flock {
            l_type: i16::try_from(libc::F_WRLCK).ok()?,
            l_whence: i16::try_from(libc::SEEK_SET).ok()?,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
        if i32::from(lock.l_type) == libc::F_UNLCK {
            return None;
        }
        Some(u32::try_from(lock.l_pid).ok().filter(|pid| *pid > 0).map_or(Self::Unknown, Self::Process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Faults;
    use nix::{fcntl::OFlag, sys::stat::Mode};

    #[test]
    fn a_name_that_cannot_be_written_gives_no_lock_away() {
        // It takes no byte, and can be locked.
        let full = nix::fcntl::open("/dev/full", OFlag::O_WRONLY, Mode::empty()).unwrap();
        let file = Flock::lock(File::from(full), FlockArg::LockExclusiveNonblock).unwrap();
        let mut lock = Lock { file, _steady: None };
        lock.say("pid 1 (rollback)");
    }

    #[test]
    fn who_holds_the_lock_is_seen_without_taking_it() {
        let tmp = tempfile::tempdir().unwrap();
        let root = Root::open(tmp.path(), Faults::none()).unwrap();
        assert_eq!(Lock::holder(&root), None);
        assert!(!root.exists("/run"), "looking makes nothing");
        let Locked::Ours(lock) = Lock::take(&root, "pid 7 (apply)").unwrap() else { panic!("held") };
        assert_eq!(Lock::holder(&root).as_deref(), Some("pid 7 (apply)"));
        drop(lock);
        assert_eq!(Lock::holder(&root), None, "what is left in the file proves nothing");
        let Locked::Ours(_lock) = Lock::take(&root, "pid 8").unwrap() else { panic!("a look keeps it") };
    }

    #[test]
    fn who_holds_a_record_lock_is_seen() {
        let tmp = tempfile::tempdir().unwrap();
        let root = Root::open(tmp.path(), Faults::none()).unwrap();
        assert_eq!(Holder::of(&root, "/lock"), None, "not there");
        let file = root.open_for_lock("/lock").unwrap();
        assert_eq!(Holder::of(&root, "/lock"), None, "free");
        // One that belongs to the open file counts even against the process that has it, which makes it good for a test.
        let mut lock = libc::flock { l_type: 1, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        assert_eq!(Holder::of(&root, "/lock"), Some(Holder::Unknown));
        lock.l_type = 2;
        fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        assert_eq!(Holder::of(&root, "/lock"), None, "given back");
    }
}
