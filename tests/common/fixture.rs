//! Fixture nodes: folders below `tests/fixtures` with a file tree before and after.
//!
//! git keeps neither empty directories nor modes nor absolute links that lead nowhere, so beside `in/` and `out/` stand
//! `in.tree` and `out.tree`, one line each: `dir PATH MODE`, `mode PATH MODE`, `link PATH -> TARGET`. What is not
//! named there is a file of mode 0644 or a directory of mode 0755.
//!
//! `assume` holds what would be `--assume`, `goal` the word of `--goal`, `profile.toml` a profile; each may be missing.

use super::tree;
use castoff::{
    host::Host,
    inspect,
    model::{Assumptions, Desired, Facts, Goal, Plan, Profile},
    plan,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// One fixture node.
#[derive(Clone, Debug)]
pub struct Fixture {
    pub name: String,
    pub dir: PathBuf,
}

/// Every fixture there is.
pub fn all() -> Vec<Fixture> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<Fixture> = fs::read_dir(base)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("in").is_dir())
        .map(|dir| Fixture { name: dir.file_name().unwrap().to_string_lossy().into_owned(), dir })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The fixture of that name.
pub fn named(name: &str) -> Fixture {
    all().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("no fixture {name}"))
}

impl Fixture {
    /// Lays out `in` or `out` below `root`.
    pub fn lay_out(&self, which: &str, root: &Path) {
        let from = self.dir.join(which);
        let mut dirs = vec![PathBuf::new()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(from.join(&dir)).unwrap() {
                let entry = entry.unwrap();
                let path = dir.join(entry.file_name());
                let shown = format!("/{}", path.display());
                if entry.file_type().unwrap().is_dir() {
                    tree::make_dir(root, &shown);
                    dirs.push(path);
                } else {
                    tree::put(root, &shown, fs::read(entry.path()).unwrap());
                }
            }
        }
        let lines = fs::read_to_string(self.dir.join(format!("{which}.tree"))).unwrap_or_default();
        let (to_link, others): (Vec<&str>, Vec<&str>) =
            lines.lines().filter(|line| !line.is_empty()).partition(|line| line.starts_with("link "));
        for line in to_link {
            let (path, target) = line.trim_start_matches("link ").split_once(" -> ").unwrap();
            tree::put_link(root, path, target);
        }
        for line in others {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, path, mode] = words.as_slice() else { panic!("{}: `{line}`", self.name) };
            if *kind == "dir" {
                tree::make_dir(root, path);
            }
            tree::set_mode(root, path, u32::from_str_radix(mode, 8).unwrap());
        }
    }

    /// Writes the tree at `root` back into the fixture as `out`.
    pub fn store_out(&self, root: &Path) {
        let out = self.dir.join("out");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).unwrap();
        let (mut special, all) = (String::new(), tree::snapshot(root));
        for (path, entry) in &all {
            match entry {
                tree::Entry::File { bytes, mode, .. } => {
                    let real = tree::at(&out, path);
                    fs::create_dir_all(real.parent().unwrap()).unwrap();
                    fs::write(real, bytes).unwrap();
                    if *mode != 0o644 {
                        special.push_str(&format!("mode {path} {mode:04o}\n"));
                    }
                }
                tree::Entry::Link { target } => special.push_str(&format!("link {path} -> {target}\n")),
                tree::Entry::Dir { mode, .. } => {
                    let is_file = |entry: &tree::Entry| matches!(entry, tree::Entry::File { .. });
                    let inner = format!("{path}/");
                    let kept = all.iter().any(|(other, entry)| other.starts_with(&inner) && is_file(entry));
                    if *mode != 0o755 || !kept {
                        special.push_str(&format!("dir {path} {mode:04o}\n"));
                    }
                }
                tree::Entry::Other => panic!("{path} is neither file nor link nor directory"),
            }
        }
        fs::write(self.dir.join("out.tree"), special).unwrap();
    }

    /// What the fixture's `assume` file states, as `KEY=VALUE` each.
    pub fn assumed(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("assume")).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    }

    /// The same, taken.
    pub fn assumptions(&self) -> Assumptions {
        assumptions(&self.assumed())
    }

    /// What is wanted of this node.
    pub fn desired(&self) -> Desired {
        let text = |name: &str| fs::read_to_string(self.dir.join(name)).ok();
        let goal = match text("goal").as_deref().map(str::trim) {
            None | Some("containerd") => Goal::Containerd,
            Some("cgroup-driver") => Goal::CgroupDriver,
            Some(other) => panic!("{}: there is no goal `{other}`", self.name),
        };
        let profile: Profile = toml::from_str(&text("profile.toml").unwrap_or_default()).unwrap();
        Desired::resolve(goal, &profile, &[]).unwrap()
    }
}

/// Assumptions out of `KEY=VALUE` pairs.
pub fn assumptions(pairs: &[String]) -> Assumptions {
    let mut assumptions = Assumptions::default();
    for pair in pairs {
        assumptions.set(pair).unwrap();
    }
    assumptions
}

/// What is wanted unless a test says otherwise.
pub fn desired(skip_checks: &[&str]) -> Desired {
    let skip: Vec<String> = skip_checks.iter().map(|&id| id.to_owned()).collect();
    Desired::resolve(Goal::Containerd, &Profile::default(), &skip).unwrap()
}

/// The plan of a host for somebody's wishes.
pub fn plan_for(host: &Host, assumptions: &Assumptions, desired: &Desired) -> Plan {
    plan::plan(&facts_for(host, assumptions, desired), desired, plan::Options::default())
}

/// The facts of a host for somebody's wishes.
pub fn facts_for(host: &Host, assumptions: &Assumptions, desired: &Desired) -> Facts {
    inspect::inspect(host, assumptions, &desired.endpoint)
}

/// A map of names for messages.
pub type Live = BTreeMap<String, String>;
