//! Reading with memory: digests for the plan's preconditions, texts for its edits, findings for what cannot be read.

use crate::{
    formats::{FormatError, service},
    host::{EntryKind, Host},
    model::{Facts, FileFacts, Finding, Origin, Severity, Unseen},
};
use std::collections::BTreeMap;

impl service::Reader for Files<'_> {
    fn text(&mut self, path: &str) -> Option<String> {
        Files::text(self, path)
    }

    fn glob(&mut self, pattern: &str) -> Vec<String> {
        Files::glob(self, pattern)
    }
}

/// Files read so far.
pub struct Files<'h> {
    host: &'h Host,
    seen: BTreeMap<String, FileFacts>,
    texts: BTreeMap<String, String>,
    unseen: Vec<Unseen>,
    findings: Vec<Finding>,
}

impl<'h> Files<'h> {
    /// Nothing read yet.
    pub fn new(host: &'h Host) -> Self {
        Self { host, seen: BTreeMap::new(), texts: BTreeMap::new(), unseen: Vec::new(), findings: Vec::new() }
    }

    /// The text of a file; `None` when it is not there or cannot be read (then that is noted).
    pub fn text(&mut self, path: &str) -> Option<String> {
        if let Some(text) = self.texts.get(path) {
            return Some(text.clone());
        }
        let read = match self.host.root.read(path) {
            Ok(read) => read?,
            Err(error) if error.is_permission() => {
                self.unseen.push(Unseen { what: path.to_owned(), why: "permission denied; run as root".to_owned() });
                return None;
            }
            Err(error) => {
                self.unreadable(path, None, &error.source.to_string(), "make it a readable regular file");
                return None;
            }
        };
        let digest = read.digest();
        let (mode, uid, gid) = (read.meta.mode, read.meta.uid, read.meta.gid);
        let target = Some(read.target.clone()).filter(|target| target != path);
        self.seen.insert(path.to_owned(), FileFacts { digest, mode, uid, gid, target });
        match String::from_utf8(read.bytes) {
            Ok(text) => {
                self.texts.insert(path.to_owned(), text.clone());
                Some(text)
            }
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
                let line = u32::try_from(line).ok();
                self.unreadable(path, line, "it is not UTF-8 text", "save it as UTF-8, or restore it from a backup");
                None
            }
        }
    }

    /// Names in a directory; nothing when it is not there or cannot be listed.
    pub fn names(&self, dir: &str) -> Vec<String> {
        self.host.root.list(dir).unwrap_or_default().into_iter().map(|(name, _)| name).collect()
    }

    /// All texts read so far, by path.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }

    /// The files that a shell pattern names, sorted. Only file names may hold wildcards, as is usual.
    pub fn glob(&self, pattern: &str) -> Vec<String> {
        let Some((dir, pattern)) = pattern.rsplit_once('/') else { return Vec::new() };
        let names = self.host.root.list(dir).unwrap_or_default();
        let names = names.into_iter().filter(|(name, kind)| *kind != EntryKind::Dir && service::fits(pattern, name));
        names.map(|(name, _)| format!("{dir}/{name}")).collect()
    }

    /// A finding about a file.
    pub fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// False for a file that is there and could not be read or understood: what it says is unknown, not the default.
    pub fn is_understood(&self, path: &str) -> bool {
        self.texts.contains_key(path) || !self.host.root.exists(path)
    }

    /// Notes that a file could not be understood, and forgets its text, so that nobody edits it.
    pub fn broken(&mut self, path: &str, format: &str, error: &FormatError) {
        self.texts.remove(path);
        let snippet = error.snippet.as_ref().map(|text| format!("\n{text}")).unwrap_or_default();
        let cause = format!("{format}: {}{snippet}", error.message);
        let fix = error.fix.unwrap_or("correct the file; the daemon that reads it most likely cannot read it either");
        self.unreadable(path, error.line, &cause, fix);
    }

    fn unreadable(&mut self, path: &str, line: Option<u32>, cause: &str, fix: &str) {
        let mut origin = Origin::path(path);
        origin.line = line;
        self.findings.push(
            Finding::new("file-unreadable", Severity::Block, format!("{path} cannot be understood"))
                .cause(cause)
                .fix(fix)
                .at(origin),
        );
    }

    /// Something that could not be seen.
    pub fn unseen(&mut self, what: &str, why: impl Into<String>) {
        self.unseen.push(Unseen { what: what.to_owned(), why: why.into() });
    }

    /// The same, where it may be come upon again.
    pub fn unseen_once(&mut self, what: &str, why: &str) {
        if !self.unseen.iter().any(|unseen| unseen.what == what) {
            self.unseen(what, why);
        }
    }

    /// Hands over beside what is there.
    pub fn add_to(self, facts: &mut Facts) {
        facts.files.extend(self.seen);
        facts.texts.extend(self.texts);
    }

    /// Hands everything over.
    pub fn finish(self, facts: &mut Facts) {
        facts.files = self.seen;
        facts.texts = self.texts;
        facts.unseen.extend(self.unseen);
        facts.findings.extend(self.findings);
    }
}
