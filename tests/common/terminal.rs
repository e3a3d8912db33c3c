//! The real program on a real pseudo-terminal: what is typed, what the screen shows, and how the terminal is left behind.

use super::tree;
use nix::pty::{Winsize, openpty};
use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub const ENTER: &str = "\r";
pub const DOWN: &str = "\u{1b}[B";
pub const CTRL_C: &str = "\u{3}";

/// A terminal with a program on it.
pub struct Terminal {
    keyboard: File,
    /// Kept open, so that the terminal outlives the program and can be looked at.
    line: OwnedFd,
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    size: (u16, u16),
}

impl Terminal {
    /// Starts a program on a terminal of so many columns and rows. `setsid` makes it the program's own, so that Ctrl-C reaches it.
    pub fn start(program: &Command, (columns, rows): (u16, u16), variables: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let line = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args());
        command.env_clear().env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin");
        command.envs(variables.iter().copied()).stdin(line()).stdout(line()).stderr(line());
        let child = command.spawn().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, kept) = (File::from(pty.master.try_clone().unwrap()), Arc::clone(&output));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Self { keyboard: File::from(pty.master), line: pty.slave, child, output, size: (columns, rows) }
    }

    /// Everything that was written to the terminal so far.
    pub fn raw(&self) -> Vec<u8> {
        self.output.lock().unwrap().clone()
    }

    /// The terminal as somebody sees it now, with what has scrolled off.
    fn emulated(&self) -> vt100::Parser {
        let mut parser = vt100::Parser::new(side(self.size.1), side(self.size.0), 0);
        parser.process(&self.raw());
        parser
    }

    /// What the screen shows.
    pub fn screen(&self) -> String {
        self.emulated().screen().contents()
    }

    /// What was written since, without escape sequences.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let raw = String::from_utf8_lossy(&self.raw()).into_owned();
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            if c == '\u{1b}' {
                // CSI: up to its final letter.
                let _ = chars.by_ref().skip(1).find(|c| ('@'..='~').contains(c));
            } else if c != '\r' {
                text.push(c);
            }
        }
        text
    }

    /// Waits until the screen shows something.
    #[track_caller]
    pub fn shows(&self, what: &str) {
        let start = Instant::now();
        while !self.screen().contains(what) {
            assert!(start.elapsed() < PATIENCE, "`{what}` is not shown:\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until something is shown, and types then.
    #[track_caller]
    pub fn at(&mut self, what: &str, keys: &str) {
        self.shows(what);
        self.keys(keys);
    }

    fn stty(&self, arguments: &[&str]) -> String {
        let line = Stdio::from(self.line.try_clone().unwrap());
        let ran = Command::new("stty").args(arguments).stdin(line).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Somebody pulls at the window's corner.
    pub fn resize(&mut self, (columns, rows): (u16, u16)) {
        self.stty(&["cols", &columns.to_string(), "rows", &rows.to_string()]);
        self.size = (columns, rows);
    }

    /// Forgets what was written so far.
    pub fn forget(&self) {
        self.output.lock().unwrap().clear();
    }

    /// Waits for the program's end; gives its exit code. The terminal must be as it was: lines are edited and echoed, the cursor is seen.
    #[track_caller]
    pub fn ends(&mut self) -> i32 {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end:\n{}", self.screen());
            }
            thread::sleep(Duration::from_millis(20));
        };
        let settings = self.stty(&["-a"]);
        for wanted in ["icanon", "echo", "isig", "opost"] {
            assert!(settings.split_whitespace().any(|word| word == wanted), "no {wanted} at the end: {settings}");
        }
        // Its last words may still be on their way, and on a busy machine for long.
        thread::sleep(Duration::from_millis(50));
        while self.emulated().screen().hide_cursor() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!self.emulated().screen().hide_cursor(), "the cursor is hidden:\n{}", self.screen());
        status.code().unwrap_or(-1)
    }
}

fn side(length: u16) -> std::num::NonZero<u16> {
    std::num::NonZero::new(length).unwrap()
}

/// True when two snapshots of a tree are the same.
pub fn unchanged(before: &tree::Snapshot, dir: &std::path::Path) -> bool {
    tree::diff(before, &tree::snapshot(dir)).is_empty()
}
