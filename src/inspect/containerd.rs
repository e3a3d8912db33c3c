//! containerd: what its configuration says, and whether CRI answers.

use super::{
    files::Files,
    node::package_version,
    service::{self, Service},
};
use crate::{
    formats::{
        containerd::{ContainerdConfig, Effective, Handler, Import, Release, segment_meets},
        package_db,
    },
    host::{DaemonError, Host},
    model::{Assumptions, ContainerdFacts, Facts, HandlerFacts, Origin, OriginKind, Sourced},
};
use std::time::Duration;

/// containerd's configuration file unless `--config` says otherwise.
pub const CONFIG: &str = "/etc/containerd/config.toml";
const PACKAGES: [&str; 2] = ["containerd.io", "containerd"];

/// Looks at containerd.
pub fn probe(host: &Host, assumptions: &Assumptions, endpoint: &str, files: &mut Files<'_>, facts: &mut Facts) {
    let unit = facts.unit("containerd.service");
    let package = PACKAGES.iter().find_map(|name| package_version(files, name));
    let service = service::read(&unit, files);
    let assumed = assumptions.containerd_version.as_ref();
    let assumed = assumed.map(|version| Sourced::new(version.clone(), Origin::assumed("containerd.version")));
    let mut containerd = ContainerdFacts {
        installed: unit.is_there() || package.is_some() || assumed.is_some(),
        running: unit.active == "active",
        version: package,
        ..ContainerdFacts::default()
    };
    if containerd.installed {
        let of_binary = || if host.is_live() { binary_version(host, &service) } else { None };
        // Before the files are read: the release decides what they mean.
        containerd.version = assumed.or_else(of_binary).or(containerd.version);
        let path = config_path(&service);
        from_config(files, &path.value, endpoint, &mut containerd);
        from_flags(&service, &mut containerd);
        containerd.config_path = Some(path);
        containerd.command = service.words.first().map(|word| {
            let words = service.words.iter().map(|word| word.text.clone()).collect();
            Sourced::new(words, word.origin.clone())
        });
    }
    if containerd.running {
        containerd.cri_answers = cri_answers(host, endpoint, files);
    }
    facts.containerd = containerd;
}

fn config_path(service: &Service) -> Sourced<String> {
    flag(service, &["c", "config"]).unwrap_or_else(|| Sourced::new(CONFIG.to_owned(), Origin::default_of("containerd")))
}

/// What the command line says wins over every file (containerd `cmd/containerd/command/main.go`, applyFlags; every release).
fn from_flags(service: &Service, containerd: &mut ContainerdFacts) {
    let path = |names: &[&str]| {
        let found = flag(service, names).filter(|path| path.value.starts_with('/'))?;
        let detail = names.last().map(|name| format!("--{name}"));
        let origin = Origin { kind: OriginKind::Flag, detail, ..found.origin };
        Some(Sourced::new(found.value, origin))
    };
    if let Some(root) = path(&["root"]) {
        containerd.root = Some(root);
    }
    if let Some(state) = path(&["state"]) {
        containerd.state = Some(state);
    }
    if let Some(address) = path(&["a", "address"]) {
        containerd.endpoint = Some(address.map(|path| format!("unix://{path}")));
    }
}

/// A flag's value. Go's flag package, which reads containerd's command line, takes one dash or two before either name and the
/// value behind `=` or as the next word; the last one counts.
fn flag(service: &Service, names: &[&str]) -> Option<Sourced<String>> {
    let mut found = None;
    let mut words = service.words.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.text.strip_prefix("--").or_else(|| word.text.strip_prefix('-')) else { continue };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        if names.contains(&name)
            && let Some(value) = value.or_else(|| words.next().map(|next| next.text.as_str()))
        {
            found = Some(Sourced::new(value.to_owned(), word.origin.clone()));
        }
    }
    found
}

/// The version the installed binary gives; the running daemon may be older until it is restarted.
fn binary_version(host: &Host, service: &Service) -> Option<Sourced<String>> {
    let program = service.words.first().map_or("containerd", |word| word.text.as_str());
    let ran = host.procs.query(program, &["--version"], Duration::from_secs(30)).ok()?;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    // `containerd github.com/containerd/containerd v1.6.20 <commit>`; Debian leaves the `v` out and adds `~ds1`.
    let word = text.split_whitespace().nth(2)?;
    let version = package_db::upstream_version(word.strip_prefix('v').unwrap_or(word));
    Some(Sourced::new(version, Origin::process(program.to_owned()).with_detail("--version")))
}

fn from_config(files: &mut Files<'_>, path: &str, endpoint: &str, containerd: &mut ContainerdFacts) {
    let default = || Origin::default_of("containerd");
    containerd.root = Some(Sourced::new("/var/lib/containerd".to_owned(), default()));
    containerd.endpoint = Some(Sourced::new(endpoint.to_owned(), default()));
    let Some(text) = files.text(path) else {
        // No file: every release then runs with CRI on and cgroupfs.
        containerd.cri_enabled = Some(Sourced::new(true, default()));
        containerd.systemd_cgroup = Some(Sourced::new(false, default()));
        return;
    };
    if let Err(error) = ContainerdConfig::parse(&text) {
        return files.broken(path, "TOML", &error);
    }
    let release = release(containerd);
    read_imports(files, path, release);
    let Ok(config) = Effective::join(path, release, files.texts()) else { return };
    let version_line = config.parts.first().and_then(|part| part.version_line);
    let version_origin = version_line.map_or_else(|| Origin::path(path), |line| Origin::file(path, line));
    let own = config.parts.first().map_or(1, |part| part.version.max(1));
    containerd.config_version = Some(Sourced::new(own, version_origin));
    containerd.cri_enabled = Some(match config.cri_disabled_by().into_iter().next() {
        Some(entry) => Sourced::new(false, entry.origin.with_detail("disabled_plugins")),
        None => Sourced::new(true, Origin::path(path)),
    });
    containerd.config_files = config.parts.iter().map(|part| part.path.clone()).collect();
    containerd.imports = config.imports.iter().map(|imported| imported.entry.clone()).collect();
    containerd.disabled_plugins = config.disabled_plugins();
    containerd.required_plugins = config.required_plugins();
    containerd.sandbox_image = config.sandbox_image();
    containerd.snapshotter = config.snapshotter().or_else(|| config.unread_snapshotter());
    containerd.overlayfs_root = config.overlayfs_root();
    containerd.state = config.state();
    containerd.registry_config_path = config.registry_config_path();
    containerd.cni_bin_dir = config.cni_bin_dirs().into_iter().next();
    containerd.cni_conf_dir = config.cni_conf_dir();
    containerd.default_runtime = config.default_runtime();
    if let Some(root) = config.root() {
        containerd.root = Some(root);
    }
    if let Some(address) = config.grpc_address() {
        containerd.endpoint = Some(address.map(|path| format!("unix://{path}")));
    }
    let handlers = config.handlers();
    let name = containerd.default_runtime.as_ref().map_or("runc", |name| name.value.as_str());
    let driver =
        handlers.iter().find(|handler| handler.name == name).and_then(|handler| handler.systemd_cgroup.clone());
    containerd.systemd_cgroup = Some(driver.unwrap_or_else(|| Sourced::new(false, default())));
    containerd.handlers = handlers
        .into_iter()
        .map(|Handler { name, origin, runtime_type, binary_name, systemd_cgroup, snapshotter }| HandlerFacts {
            name,
            origin,
            runtime_type,
            binary_name,
            systemd_cgroup,
            snapshotter,
        })
        .collect();
}

fn release(containerd: &ContainerdFacts) -> Release {
    containerd.version.as_ref().and_then(|version| Release::parse(&version.value)).unwrap_or_default()
}

/// What the node's containerd makes of its files; nothing where there is none or it cannot be read. Runs after
/// [`probe`], which reads them.
pub fn effective(files: &Files<'_>, containerd: &ContainerdFacts) -> Option<Effective> {
    let path = &containerd.config_path.as_ref()?.value;
    files.texts().get(path)?;
    Effective::join(path, release(containerd), files.texts()).ok()
}

/// Reads what the file imports, and what that imports, each once. What cannot be read has its finding then.
fn read_imports(files: &mut Files<'_>, main: &str, release: Release) {
    let (mut seen, mut at) = (vec![main.to_owned()], 0);
    while let Some(path) = seen.get(at).cloned() {
        at += 1;
        let Some(text) = files.text(&path) else { continue };
        let config = match ContainerdConfig::parse(&text) {
            Ok(config) => config,
            Err(error) => {
                files.broken(&path, "TOML", &error);
                continue;
            }
        };
        for entry in config.imports() {
            let found = match release.import(&path, &entry.value) {
                Import::File(file) => vec![file],
                Import::Pattern(pattern) => matches(files, &pattern),
            };
            for file in found {
                if !seen.contains(&file) {
                    seen.push(file);
                }
            }
        }
    }
}

/// The paths a pattern matches, in order.
fn matches(files: &Files<'_>, pattern: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        let magic = segment.contains(['*', '?', '[', '\\']);
        found = found
            .into_iter()
            .flat_map(|dir| {
                let names = if magic { files.names(&format!("{dir}/")) } else { vec![segment.to_owned()] };
                let fits = names.into_iter().filter(move |name| !magic || segment_meets(segment, name));
                fits.map(move |name| format!("{dir}/{name}")).collect::<Vec<_>>()
            })
            .collect();
    }
    found
}

fn cri_answers(host: &Host, endpoint: &str, files: &mut Files<'_>) -> Option<Sourced<bool>> {
    match host.cri(endpoint).and_then(|cri| cri.version()) {
        Ok(_) => Some(Sourced::new(true, Origin::daemon(endpoint, "RuntimeService/Version"))),
        Err(error) => match DaemonError::of(&error) {
            Some(DaemonError::Unimplemented { .. }) => {
                Some(Sourced::new(false, Origin::daemon(endpoint, "RuntimeService/Version: no CRI service")))
            }
            _ => {
                files.unseen("CRI", format!("{error:#}"));
                None
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::service::Word;

    fn started_as(command: &str) -> Service {
        let origin = Origin::unit("/etc/systemd/system/containerd.service", Some(3));
        let word = |text: &str| Word { text: text.to_owned(), origin: origin.clone(), variable: None, at: 0, inner: 0 };
        Service { words: command.split(' ').map(word).collect(), ..Service::default() }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let read = |command: &str| {
            let mut facts = ContainerdFacts {
                root: Some(Sourced::new("/in/file".to_owned(), Origin::file(CONFIG, 2))),
                ..ContainerdFacts::default()
            };
            from_flags(&started_as(command), &mut facts);
            facts
        };
        let said = read("containerd --root /data/containerd -state=/data/run -a /run/x.sock");
        assert_eq!(
            said.root.unwrap().to_string(),
            "/data/containerd (--root in /etc/systemd/system/containerd.service:3)"
        );
        assert_eq!(said.state.unwrap().value, "/data/run");
        assert_eq!(said.endpoint.unwrap().value, "unix:///run/x.sock");
        for nothing in ["containerd", "containerd --root=", "containerd --rootless /x --address"] {
            let facts = read(nothing);
            assert_eq!(facts.root.unwrap().value, "/in/file", "{nothing}");
            assert!(facts.state.is_none() && facts.endpoint.is_none(), "{nothing}");
        }
    }

    #[test]
    fn the_configuration_is_named_in_every_spelling() {
        for (command, path) in [
            ("/usr/bin/containerd", CONFIG),
            ("containerd -c /c.toml", "/c.toml"),
            ("containerd -c=/c.toml", "/c.toml"),
            ("containerd --c /c.toml", "/c.toml"),
            ("containerd --c=/c.toml", "/c.toml"),
            ("containerd --log-level debug -config /c.toml", "/c.toml"),
            ("containerd -config=/c.toml", "/c.toml"),
            ("containerd --config /a.toml --config=/c.toml", "/c.toml"),
            ("containerd --configs=/c.toml ---c=/c.toml c=/c.toml", CONFIG),
        ] {
            assert_eq!(config_path(&started_as(command)).value, path, "{command}");
        }
    }
}
