//! The real program, run on fixture trees, and what it says.

use super::{fixture, tree};
use serde_json::Value;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn code(self, wanted: i32) -> Self {
        assert_eq!(self.code, wanted, "{self:#?}");
        self
    }

    /// Standard error says all of this, beginning with `error: `.
    #[track_caller]
    pub fn error(self, words: &[&str]) -> Self {
        assert!(self.err.lines().any(|line| line.starts_with("error: ")), "no error is told: {self:#?}");
        self.says(words)
    }

    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not said: {self:#?}");
        }
        self
    }

    #[track_caller]
    pub fn silent(self) -> Self {
        assert_eq!(self.out, "", "data where none is: {self:#?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }
}

/// The program with an environment of its own and no terminal.
pub fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_castoff"));
    program.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    program
}

pub fn finish(program: &mut Command) -> Ran {
    let output = program.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn castoff<A: AsRef<OsStr>>(arguments: &[A]) -> Ran {
    finish(program().args(arguments))
}

/// A fixture's tree, with what must be stated about it.
pub struct Node {
    pub dir: TempDir,
    pub assumed: Vec<String>,
}

impl Node {
    pub fn new(name: &str) -> Self {
        let fixture = fixture::named(name);
        let dir = tree::scratch();
        fixture.lay_out("in", dir.path());
        Self { dir, assumed: fixture.assumed() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut program = program();
        program.args(arguments).arg("--root").arg(self.path());
        for pair in &self.assumed {
            program.arg("--assume").arg(pair);
        }
        program
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        finish(&mut self.command(arguments))
    }

    /// Saves the plan beside the tree, not in it.
    pub fn plan(&self) -> (TempDir, PathBuf) {
        let dir = tree::scratch();
        let path = dir.path().join("plan.json");
        self.run(&["plan", "--out", path.to_str().unwrap()]).code(0);
        (dir, path)
    }

    /// Runs a command that must leave the tree alone.
    #[track_caller]
    pub fn unchanged(&self, arguments: &[&str]) -> Ran {
        let before = tree::snapshot(self.path());
        let ran = self.run(arguments);
        assert_eq!(tree::diff(&before, &tree::snapshot(self.path())), "", "{arguments:?} changed the tree: {ran:#?}");
        ran
    }
}
