//! Docker settings that are carried over, other than registries: what containerd, kubelet and the host need so that
//! pods find what they had. One file a subject; each says what it decided in a verdict.

mod daemon;
mod disks;
mod kernel;
mod limits;
mod logs;
mod proxy;
mod runtimes;
mod security;
#[cfg(test)]
mod tests;
mod unit;
mod values;

use super::{draft::Draft, kubelet};
use crate::{
    formats::{
        containerd::{ContainerdConfig, Literal, Place, Setting},
        package_db::version_pair,
    },
    model::{Facts, Origin, SettingVerdict, Sourced, Verdict, mask_text},
};

/// Mode of a file that everybody may read, and of one that holds a secret.
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// Files that are written once the old side has stopped.
#[derive(Debug, Default)]
pub struct Carried {
    files: Vec<OwnFile>,
    kubelet: Vec<(&'static str, String)>,
}

/// A file of castoff's own.
#[derive(Debug)]
struct OwnFile {
    id: &'static str,
    path: String,
    text: String,
    mode: u32,
    why: &'static str,
}

/// Judges the settings and gathers what must be written. containerd's share joins the edit of its configuration.
pub fn gather(draft: &mut Draft<'_>) -> Carried {
    let mut carried = Carried::default();
    logs::carry(draft, &mut carried);
    proxy::carry(draft, &mut carried);
    limits::carry(draft, &mut carried);
    runtimes::carry(draft);
    daemon::carry(draft);
    security::carry(draft);
    disks::carry(draft, &mut carried);
    unit::carry(draft, &mut carried);
    kernel::carry(draft, &mut carried);
    carried
}

impl Carried {
    fn file(&mut self, id: &'static str, path: &str, text: String, mode: u32, why: &'static str) {
        self.files.push(OwnFile { id, path: path.to_owned(), text, mode, why });
    }

    /// Adds the steps.
    pub fn write(self, draft: &mut Draft<'_>) {
        for file in self.files {
            draft.write_as(file.id, &file.path, &file.text, file.mode, file.why);
        }
        let changes: Vec<(&str, Option<&str>)> =
            self.kubelet.iter().map(|(key, value)| (*key, Some(value.as_str()))).collect();
        if !changes.is_empty() {
            kubelet::set_fields_or_flags(draft, &changes, "logs are rotated as Docker rotated them");
        }
    }
}

/// What becomes of a setting.
#[derive(Debug, Clone)]
struct Judged {
    verdict: Verdict,
    target: Option<String>,
    note: String,
}

impl Judged {
    fn new(verdict: Verdict, target: impl Into<String>, note: impl AsRef<str>) -> Self {
        let target = target.into();
        Self { verdict, target: Some(target).filter(|target| !target.is_empty()), note: mask_text(note.as_ref()) }
    }
}

impl Draft<'_> {
    /// Says what becomes of a setting.
    fn decide(&mut self, key: &str, judged: &Judged) {
        self.judge(key, judged.verdict, judged.target.as_deref(), &judged.note);
    }

    /// Says what becomes of something that is no setting of dockerd but did as much: its unit, its defaults.
    fn decide_other(&mut self, name: &str, value: impl Into<serde_json::Value>, origin: &Origin, judged: &Judged) {
        self.others.push(SettingVerdict {
            setting: name.to_owned(),
            value: value.into(),
            origin: origin.clone(),
            verdict: judged.verdict,
            target: judged.target.clone(),
            note: judged.note.clone(),
        });
    }

    /// containerd's configuration as it is, if it can be read.
    fn containerd_config(&self) -> Option<ContainerdConfig> {
        let path = &self.facts.containerd.config_path.as_ref()?.value;
        ContainerdConfig::parse(self.facts.texts.get(path).map_or("", String::as_str)).ok()
    }

    /// What containerd's configuration says now.
    fn containerd_says(&self, place: &Place) -> Option<Sourced<Literal>> {
        let path = &self.facts.containerd.config_path.as_ref()?.value;
        let found = self.containerd_config()?.literal(place)?;
        Some(Sourced::new(found.value, Origin::file(path, found.line)))
    }

    /// containerd's root as the plan leaves it, when that is another one.
    pub fn new_root(&self) -> Option<&str> {
        let root = Place::Top(path_of(&["root"]));
        self.containerd.iter().find_map(|setting| match &setting.value {
            Some(Literal::Text(text)) if setting.place == root => Some(text.as_str()),
            _ => None,
        })
    }

    /// Makes containerd's configuration say something.
    fn set_containerd(&mut self, place: Place, value: Literal) {
        self.containerd.push(Setting { place, value: Some(value) });
    }
}

fn containerd_version(facts: &Facts) -> Option<(u32, u32)> {
    version_pair(&facts.containerd.version.as_ref()?.value)
}

fn path_of(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// A drop-in of containerd's unit.
fn drop_in(name: &str) -> String {
    format!("/etc/systemd/system/containerd.service.d/{name}.conf")
}
