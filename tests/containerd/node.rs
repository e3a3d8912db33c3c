//! Nodes with a real containerd in their tree.

use super::common::{
    fixture::{self, Fixture},
    tree,
};
use castoff::{
    host::{Faults, Host},
    inspect,
    model::{Action, Assumptions, Facts, Plan},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A suite's containerd.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// Debian's name.
    pub suite: &'static str,
    /// containerd's version there, as far as it matters.
    pub version: &'static str,
    /// The same without the patch release.
    pub line: &'static str,
}

pub const RELEASES: &[Release] = &[
    Release { suite: "bullseye", version: "1.4.13", line: "1.4" },
    Release { suite: "bookworm", version: "1.6.20", line: "1.6" },
    Release { suite: "trixie", version: "1.7.24", line: "1.7" },
    Release { suite: "forky", version: "2.1.9", line: "2.1" },
];

/// The release here that reads configuration as that version does.
pub fn release_like(version: &str) -> Option<&'static Release> {
    let suite = match version.split('.').take(2).collect::<Vec<_>>().join(".").as_str() {
        "1.3" | "1.4" => "bullseye",
        "1.5" | "1.6" => "bookworm",
        "1.7" => "trixie",
        "2.0" | "2.1" | "2.2" => "forky",
        _ => return None,
    };
    RELEASES.iter().find(|release| release.suite == suite)
}

/// A configuration to start from.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub text: String,
}

/// Every source that this release can have: the files in `sources/`, and what its own `config default` prints.
pub fn sources(release: &Release) -> Vec<Source> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/containerd/sources");
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default().trim_start_matches('\u{feff}').trim().to_owned();
        let meant = first.strip_prefix("# releases: ").is_none_or(|lines| lines.split(' ').any(|l| l == release.line));
        if meant {
            found.push(Source { name: path.file_name().unwrap().to_string_lossy().into_owned(), text });
        }
    }
    let default = Command::new(binaries(release).join("containerd")).args(["config", "default"]).output().unwrap();
    assert!(default.status.success());
    found.push(Source { name: "config default".into(), text: String::from_utf8(default.stdout).unwrap() });
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Every `hosts.toml` that a plan writes.
pub fn hosts(plan: &Plan) -> String {
    let texts = plan.steps.iter().filter_map(|step| match &step.action {
        Action::WriteFile { path, content, .. } if path.ends_with("/hosts.toml") => content.clone(),
        _ => None,
    });
    texts.collect()
}

/// The configuration that a release's containerd makes of a file.
pub fn dump(release: &Release, text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let program = binaries(release).join("containerd");
    let ran = Command::new(program).arg("--config").arg(file.path()).args(["config", "dump"]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// Where a release's programs are.
pub fn binaries(release: &Release) -> PathBuf {
    let var = |name: &str| env::var_os(name).map(PathBuf::from);
    let home = || var("HOME").unwrap_or_else(|| "/root".into()).join(".cache");
    let cache = var("CASTOFF_CACHE").unwrap_or_else(|| var("XDG_CACHE_HOME").unwrap_or_else(home).join("castoff"));
    let dir = cache.join("containerd").join(release.suite);
    assert!(dir.join("containerd").is_file(), "no containerd in {}: run tests/containerd/fetch.sh", dir.display());
    dir
}

/// A file tree with a containerd that runs.
#[derive(Debug)]
pub struct Node {
    dir: TempDir,
    assumptions: Assumptions,
}

impl Node {
    /// A node on Docker with this containerd and this configuration of it.
    pub fn new(release: &Release, source: &Source) -> Self {
        let node = Self::empty(release);
        tree::put(node.dir(), "/etc/containerd/config.toml", &source.text);
        if source.text.contains("/etc/containerd/conf.d/*.toml") {
            let text = "version = 2\n[timeouts]\n\"io.containerd.timeout.task.state\" = \"4s\"\n";
            tree::put(node.dir(), "/etc/containerd/conf.d/50-timeouts.toml", text);
        }
        node
    }

    /// A node on Docker with this containerd and no configuration of it.
    pub fn empty(release: &Release) -> Self {
        let node = Self::of_fixture(&fixture::named("ubuntu-kubeadm-1.23"), "in", Some(release));
        fs::remove_file(tree::at(node.dir(), "/etc/containerd/config.toml")).unwrap();
        node
    }

    /// The tree of a fixture; with a release, its containerd is there and its version is stated.
    pub fn of_fixture(fixture: &Fixture, which: &str, release: Option<&Release>) -> Self {
        let dir = TempDir::with_prefix("castoff-containerd-").unwrap();
        fixture.lay_out(which, dir.path());
        let mut stated = fixture.assumed();
        if let Some(release) = release {
            stated.push(format!("containerd.version={}", release.version));
        }
        let node = Self { dir, assumptions: fixture::assumptions(&stated) };
        if let Some(release) = release {
            node.install(release);
        }
        node
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Puts the programs where the unit has them, and the C library they are linked with.
    fn install(&self, release: &Release) {
        let program = self.facts().containerd.command.and_then(|command| command.value.into_iter().next());
        let program = program.unwrap_or_else(|| "/usr/bin/containerd".to_owned());
        let home = program.rsplit_once('/').unwrap().0.to_owned();
        for name in ["containerd", "containerd-shim-runc-v2", "runc"] {
            let to = if name == "containerd" { program.clone() } else { format!("{home}/{name}") };
            self.bring(&fs::canonicalize(binaries(release).join(name)).unwrap(), &to);
        }
        let listed = Command::new("ldd").arg(binaries(release).join("containerd")).output().unwrap();
        for word in String::from_utf8(listed.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
            self.bring(&fs::canonicalize(word).unwrap(), word);
        }
    }

    fn bring(&self, from: &Path, to: &str) {
        // `/lib` may be a link of the tree, and an absolute one would lead out of it.
        let lib = fs::read_link(self.dir().join("lib")).is_ok();
        let to = if lib && to.starts_with("/lib/") { format!("/usr{to}") } else { to.to_owned() };
        let real = tree::at(self.dir(), &to);
        tree::make_dir(self.dir(), to.rsplit_once('/').unwrap().0);
        let _ = fs::remove_file(&real);
        if fs::hard_link(from, &real).is_err() {
            fs::copy(from, &real).unwrap();
        }
    }

    /// As castoff sees it with `--root`.
    pub fn host(&self) -> Host {
        Host::open(self.dir(), &Faults::none()).unwrap()
    }

    pub fn facts(&self) -> Facts {
        inspect::inspect(&self.host(), &self.assumptions, "unix:///run/containerd/containerd.sock")
    }

    pub fn plan(&self) -> Plan {
        fixture::plan_for(&self.host(), &self.assumptions, &fixture::desired(&[]))
    }

    /// What the plan makes of the main configuration file.
    pub fn planned_config(&self, plan: &Plan) -> String {
        let planned = plan.steps.iter().find_map(|step| match &step.action {
            Action::WriteFile { path, content, .. } if path == "/etc/containerd/config.toml" => content.clone(),
            _ => None,
        });
        planned.unwrap_or_else(|| fs::read_to_string(tree::at(self.dir(), "/etc/containerd/config.toml")).unwrap())
    }
}
