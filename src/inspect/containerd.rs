//! containerd: what its configuration says, and whether CRI answers.

use super::{
    files::Files,
    node::package_version,
    service::{self, Service},
};
use crate::{
    formats::{At, containerd::ContainerdConfig, package_db},
    host::{DaemonError, Host},
    model::{Assumptions, ContainerdFacts, Facts, Origin, Sourced},
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
    let mut containerd = ContainerdFacts {
        installed: unit.is_there() || package.is_some(),
        running: unit.active == "active",
        version: package,
        ..ContainerdFacts::default()
    };
    if containerd.installed {
        if host.is_live()
            && let Some(version) = binary_version(host, &service)
        {
            containerd.version = Some(version);
        }
        let path = config_path(&service);
        from_config(files, &path.value, endpoint, &mut containerd);
        containerd.config_path = Some(path);
        containerd.command = service.words.first().map(|word| {
            let words = service.words.iter().map(|word| word.text.clone()).collect();
            Sourced::new(words, word.origin.clone())
        });
    }
    if let Some(version) = &assumptions.containerd_version {
        containerd.version = Some(Sourced::new(version.clone(), Origin::assumed("containerd.version")));
        containerd.installed = true;
    }
    if containerd.running {
        containerd.cri_answers = cri_answers(host, endpoint, files);
    }
    facts.containerd = containerd;
}

fn config_path(service: &Service) -> Sourced<String> {
    let mut words = service.words.iter();
    while let Some(word) = words.next() {
        let value = match word.text.as_str() {
            "-c" | "--config" => words.next().map(|next| next.text.clone()),
            text => text.strip_prefix("--config=").map(str::to_owned),
        };
        if let Some(value) = value {
            return Sourced::new(value, word.origin.clone());
        }
    }
    Sourced::new(CONFIG.to_owned(), Origin::default_of("containerd"))
}

/// The version the installed binary gives; the running daemon may be older until it is restarted.
fn binary_version(host: &Host, service: &Service) -> Option<Sourced<String>> {
    let program = service.words.first().map_or("containerd", |word| word.text.as_str());
    let ran = host.procs.query(program, &["--version"], Duration::from_secs(5)).ok()?;
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
    let config = match ContainerdConfig::parse(&text) {
        Ok(config) => config,
        Err(error) => return files.broken(path, "TOML", &error),
    };
    let at = |at: At<String>| Sourced::new(at.value, Origin::file(path, at.line));
    let version_origin = config.version_line().map_or_else(|| Origin::path(path), |line| Origin::file(path, line));
    containerd.config_version = Some(Sourced::new(config.schema(), version_origin));
    containerd.cri_enabled = Some(match config.cri_disabled_by().into_iter().next() {
        Some(entry) => Sourced::new(false, Origin::file(path, entry.line).with_detail("disabled_plugins")),
        None => Sourced::new(true, Origin::path(path)),
    });
    containerd.imports = config.imports().into_iter().map(at).collect();
    containerd.sandbox_image = config.sandbox_image().map(at);
    containerd.cni_bin_dir = config.cni_bin_dir().into_iter().next().map(at);
    containerd.cni_conf_dir = config.cni_conf_dir().map(at);
    if let Some(root) = config.root() {
        containerd.root = Some(at(root));
    }
    if let Some(address) = config.grpc_address() {
        containerd.endpoint = Some(at(address).map(|path| format!("unix://{path}")));
    }
    let name = config.default_runtime_name().map_or_else(|| "runc".to_owned(), |name| name.value);
    let handler = config.runtimes().into_iter().find(|handler| handler.name == name);
    containerd.systemd_cgroup = Some(match handler.and_then(|handler| handler.systemd_cgroup) {
        Some(on) => Sourced::new(on.value, Origin::file(path, on.line)),
        None => Sourced::new(false, default()),
    });
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
