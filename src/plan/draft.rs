//! A plan while it is being made.

use super::{Options, diff, verdicts::Said};
use crate::{
    formats::{FormatError, containerd::Setting},
    model::{
        Action, Change, Desired, Digest, Facts, FileAfter, FileBefore, Finding, Origin, Risk, SettingVerdict, Severity,
        Step, Summary, UndoKind, Verdict,
    },
};

use std::collections::BTreeMap;

/// Phases that are timed.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    /// Images are carried; nothing stops.
    Images,
    /// Pods leave.
    Drain,
    /// The old side stops.
    Stop,
    /// Files and links change.
    Configure,
    /// The new side starts.
    Start,
    /// The node is proven.
    Verify,
}

impl Phase {
    const fn word(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Drain => "drain",
            Self::Stop => "stop",
            Self::Configure => "configure",
            Self::Start => "start",
            Self::Verify => "verify",
        }
    }
}

/// A plan while it is being made.
#[derive(Debug)]
pub struct Draft<'a> {
    pub facts: &'a Facts,
    pub desired: &'a Desired,
    pub steps: Vec<Step>,
    pub findings: Vec<Finding>,
    pub verdicts: Vec<SettingVerdict>,
    /// What parts of the planner say of settings they have dealt with; see [`Draft::judge`].
    pub said: Vec<Said>,
    /// Verdicts on what is no setting of dockerd but did as much.
    pub others: Vec<SettingVerdict>,
    pub deferred: Vec<String>,
    /// What containerd's configuration must hold besides CRI itself; gathered before that file is planned.
    pub containerd: Vec<Setting>,
    options: Options,
}

impl<'a> Draft<'a> {
    pub fn new(facts: &'a Facts, desired: &'a Desired, options: Options) -> Self {
        let (steps, findings, verdicts, deferred) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (said, others, containerd) = (Vec::new(), Vec::new(), Vec::new());
        Self { facts, desired, steps, findings, verdicts, said, others, deferred, containerd, options }
    }

    /// Adds a step.
    #[allow(clippy::too_many_arguments)] // A step is that many words, and each call reads as one.
    pub fn step(
        &mut self,
        id: &str,
        phase: Phase,
        change: Change,
        risk: Risk,
        undo: UndoKind,
        why: &str,
        action: Action,
    ) {
        let is_taken = |id: &str| self.steps.iter().any(|step| step.id == id);
        let numbered = (2..).map(|number| format!("{id}-{number}"));
        let id = std::iter::once(id.to_owned()).chain(numbered).find(|id| !is_taken(id)).unwrap_or_default();
        let (why, phase) = (vec![why.to_owned()], phase.word().to_owned());
        self.steps.push(Step { id, index: 0, change, risk, undo, why, phase, action });
    }

    /// The name under which a file is planned already: one that is known by two names is written once.
    fn planned_as(&self, path: &str) -> String {
        let same = |planned: &&String| real(self.facts, planned) == real(self.facts, path);
        let mut planned = self.steps.iter().filter_map(|step| match &step.action {
            Action::WriteFile { path, .. } => Some(path),
            _ => None,
        });
        planned.find(same).cloned().unwrap_or_else(|| path.to_owned())
    }

    /// The text of a file as the plan leaves it so far.
    pub fn text(&self, path: &str) -> Option<&str> {
        let path = &self.planned_as(path);
        let planned = self.steps.iter().find_map(|step| match &step.action {
            Action::WriteFile { path: p, content: Some(text), .. } if p == path => Some(text.as_str()),
            _ => None,
        });
        planned.or_else(|| self.facts.texts.get(path).map(String::as_str))
    }

    /// Paths of all files whose text is known, planned ones included, sorted.
    pub fn paths(&self) -> Vec<String> {
        let planned = self.steps.iter().filter_map(|step| match &step.action {
            Action::WriteFile { path, .. } => Some(path.clone()),
            _ => None,
        });
        let mut paths: Vec<String> = self.facts.texts.keys().cloned().chain(planned).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// All texts as the plan leaves them so far.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let mut texts = self.facts.texts.clone();
        for step in &self.steps {
            if let Action::WriteFile { path, content: Some(text), .. } = &step.action {
                texts.insert(path.clone(), text.clone());
                for (_, other) in
                    texts.iter_mut().filter(|(other, _)| real(self.facts, other) == real(self.facts, path))
                {
                    other.clone_from(text);
                }
            }
        }
        texts
    }

    /// Adds a step that writes a file, unless it holds that text already. A second edit of a file joins the first.
    pub fn write(&mut self, id: &str, path: &str, text: &str, why: &str) {
        self.write_as(id, path, text, 0o644, why);
    }

    /// The same with the mode that a file gets when it is created.
    pub fn write_as(&mut self, id: &str, path: &str, text: &str, mode: u32, why: &str) {
        if self.text(path) == Some(text) {
            return;
        }
        let path = &self.planned_as(path);
        let before = self.facts.texts.get(path).map(String::as_str);
        let diff = diff::unified(path, before, text, self.options.context);
        let after = FileAfter { digest: Digest::of(text.as_bytes()), mode };
        let planned = self
            .steps
            .iter_mut()
            .find(|step| matches!(&step.action, Action::WriteFile { path: planned, .. } if planned == path));
        if let Some(step) = planned {
            if step.why.iter().all(|known| known != why) {
                step.why.push(why.to_owned());
            }
            if let Action::WriteFile { after: old, diff: old_diff, content, .. } = &mut step.action {
                (*old, *old_diff, *content) = (after, diff, Some(text.to_owned()));
            }
            return;
        }
        let before = self.facts.files.get(path).map(|file| FileBefore {
            digest: file.digest.clone(),
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
        });
        let (change, undo) = match before {
            Some(_) => (Change::Update, UndoKind::RestoreBackup),
            None => (Change::Create, UndoKind::RemoveCreated),
        };
        let action = Action::WriteFile { path: path.to_owned(), before, after, diff, content: Some(text.to_owned()) };
        self.step(id, Phase::Configure, change, Risk::None, undo, why, action);
    }

    /// Adds a finding of the planner.
    pub fn find(&mut self, id: &str, severity: Severity, summary: &str, cause: &str, fix: &str, path: &str) {
        self.findings.push(Finding::new(id, severity, summary).cause(cause).fix(fix).at(Origin::path(path)));
    }

    /// Says what becomes of Docker's setting `key`, by the part of the planner that has just dealt with it. `Carried`
    /// is said only where the value is really written. The last word counts.
    pub fn judge(&mut self, key: &str, verdict: Verdict, target: Option<&str>, note: &str) {
        self.said.retain(|said| said.key != key);
        let (key, target, note) = (key.to_owned(), target.map(str::to_owned), note.to_owned());
        self.said.push(Said { key, verdict, target, note });
    }

    /// Notes that a file cannot be edited.
    pub fn not_editable(&mut self, path: &str, error: &FormatError, fix: &str) {
        let mut origin = Origin::path(path);
        origin.line = error.line;
        let summary = format!("{path} cannot be edited safely");
        let finding =
            Finding::new("config-not-editable", Severity::Block, summary).cause(error.message.clone()).fix(fix);
        self.findings.push(finding.at(origin));
    }
}

/// Where a file really is: two names that lead there through links are one file.
pub(super) fn real<'f>(facts: &'f Facts, path: &'f str) -> &'f str {
    facts.files.get(path).and_then(|file| file.target.as_deref()).unwrap_or(path)
}

/// Counts the steps.
pub fn summary(steps: &[Step]) -> Summary {
    let count = |change: Change| steps.iter().filter(|step| step.change == change).count();
    Summary {
        create: count(Change::Create),
        update: count(Change::Update),
        delete: count(Change::Delete),
        run: count(Change::Run),
        irreversible: steps.iter().filter(|step| step.risk == Risk::Irreversible).count(),
    }
}
