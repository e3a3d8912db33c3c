//! Giving back the networks of Docker's pods while their network namespaces still live.
//!
//! A sandbox that merely dies never gets its CNI DEL: its address stays leased, and worse, the host-port rule of the
//! dead pod comes before that of the new one and leads its traffic nowhere (seen in the lab with bridge and portmap).

use crate::{
    formats::cni::CachedResult,
    host::{EntryKind, Host, container_pid},
    model::CNI_BIN_DIRS,
};
use anyhow::{Context as _, Result, bail};
use std::time::Duration;

/// Where libcni keeps what it added: for dockershim and cri-dockerd (kubelet's `--cni-cache-dir`, cri-dockerd's own flag), and
/// for containerd, which leaves libcni's default (libcni `CacheDir`; both seen in the lab).
const CACHES: [&str; 2] = ["/var/lib/cni/cache/results", "/var/lib/cni/results"];

/// A plugin that takes longer is stuck; the pod is gone either way.
const LIMIT: Duration = Duration::from_secs(30);

/// Takes back every network of a sandbox that libcni remembers. `plugin_dirs` are those that a
/// setting names; the usual ones come behind them. Returns what could not be taken back.
pub fn release(host: &Host, sandbox: &str, plugin_dirs: &[String]) -> Vec<String> {
    let ours = results(host).unwrap_or_default().into_iter().filter(|path| path.contains(sandbox));
    let dirs: Vec<&str> = plugin_dirs.iter().map(String::as_str).chain(CNI_BIN_DIRS).collect();
    let mut left = Vec::new();
    for path in ours {
        if let Err(error) = take_back(host, sandbox, &dirs, &path) {
            left.push(format!("{error:#}"));
        }
    }
    left
}

/// The files of what libcni remembers.
fn results(host: &Host) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for dir in CACHES {
        let files = host.root.list(dir)?.into_iter().filter(|(_, kind)| *kind == EntryKind::File);
        found.extend(files.map(|(name, _)| format!("{dir}/{name}")));
    }
    Ok(found)
}

/// Removes results that a power cut has left empty or half written: libcni does not sync them, and a runtime that finds one
/// can neither stop nor remove its sandbox any more, so that kubelet waits for it for ever (seen in the lab with containerd
/// 1.6). True when there was one.
///
/// # Errors
/// When one cannot be removed.
pub fn forget_broken(host: &Host) -> Result<bool> {
    let mut found = false;
    for path in results(host)? {
        let Some(read) = host.root.read(&path)? else { continue };
        if serde_json::from_slice::<serde::de::IgnoredAny>(&read.bytes).is_err() {
            host.root.remove_link(&path)?;
            found = true;
        }
    }
    Ok(found)
}

fn take_back(host: &Host, sandbox: &str, dirs: &[&str], path: &str) -> Result<()> {
    let Some(text) = host.root.text(path)? else { return Ok(()) };
    let cached = CachedResult::parse(&text).with_context(|| format!("{path} cannot be understood"))?;
    if cached.container != sandbox {
        return Ok(());
    }
    let pid = container_pid(&host.engine.inspect(sandbox)?);
    let namespace = pid.map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default();
    for call in &cached.del {
        // The loopback device dies with its namespace.
        if call.plugin == "loopback" {
            continue;
        }
        let program = dirs.iter().map(|dir| format!("{dir}/{}", call.plugin)).find(|path| host.root.exists(path));
        let Some(program) = program else { bail!("the CNI plugin {} is not installed", call.plugin) };
        let search = dirs.join(":");
        let env = [
            ("CNI_COMMAND", "DEL"),
            ("CNI_CONTAINERID", sandbox),
            ("CNI_NETNS", namespace.as_str()),
            ("CNI_IFNAME", cached.interface.as_str()),
            ("CNI_ARGS", cached.arguments.as_str()),
            ("CNI_PATH", search.as_str()),
        ];
        let ran = host.procs.talk(&program, &env, call.input.to_string().as_bytes(), LIMIT)?;
        if ran.status != 0 {
            // Plugins tell errors as JSON on standard output.
            bail!("{} could not take back {}: {}", call.plugin, cached.network, ran.text().trim());
        }
    }
    host.root.remove_file(path)
}
