//! The trial: the planned configuration, read by the node's own containerd before anything is touched.
//!
//! containerd does not fail when its CRI plugin does, so systemd's word proves nothing, and `containerd config dump`
//! does not run a single plugin. Here the daemon really starts, in a [`Cage`] in which it sees the node's files with
//! the planned ones in their place, and is asked what kubelet would ask. Then it is killed, and the cage is gone.

use crate::{
    formats::containerd::{Effective, Release},
    host::{Cage, Caged, Containerd, Cri, CriCgroupDriver, CriStatus, DaemonError, Host, Plugin},
    model::{Action, Facts, Finding, Goal, Plan, Severity, mask_text},
};
use serde_json::Value;
use std::time::Duration;

/// How long an honest daemon may take on a busy node; on a quiet one it needs a tenth of a second.
const LIMIT: Duration = Duration::from_secs(20);
/// The CRI service refuses questions for a moment after the socket is there.
const GRACE: Duration = Duration::from_secs(5);
pub(super) const CONFIG: &str = "/etc/containerd/config.toml";
const PAUSE: Duration = Duration::from_millis(5);
/// Plugins that together serve CRI; the cause of a failure is in the first of them that failed.
const CRI_PLUGINS: [&str; 4] = [
    "io.containerd.cri.v1.images",
    "io.containerd.cri.v1.runtime",
    "io.containerd.podsandbox.controller.v1.podsandbox",
    CRI,
];
const CRI: &str = "io.containerd.grpc.v1.cri";
/// Snapshotters that work on a directory in memory as they do on a disk.
const PLAIN_SNAPSHOTTERS: [&str; 2] = ["overlayfs", "native"];

/// What a trial found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// How long it took, in all.
    pub took: Duration,
    /// What was learned, one line each.
    pub learned: Vec<String>,
    /// What is notable; empty when the configuration does what it should.
    pub findings: Vec<Finding>,
}

/// What a verdict is made with.
struct Look<'a> {
    host: &'a Host,
    /// False for a file tree, which another kernel than this one will run.
    live: bool,
    /// What containerd makes of the planned files, where it can read them.
    config: Option<&'a Effective>,
}

/// How a trial ended.
enum Verdict {
    /// CRI comes up, on systemd's cgroup driver.
    Works,
    /// It does not come up.
    Fails(String),
    /// It comes up on the wrong cgroup driver.
    Driver(String),
    /// It was tried, and nothing can be said.
    Undecided(String),
    /// It was not tried.
    Skipped(String),
}

/// Tries the plan's containerd configuration; `None` when the plan leaves that alone.
pub fn run(host: &Host, facts: &Facts, plan: &Plan) -> Option<Trial> {
    let config_path = &facts.containerd.config_path.as_ref()?.value;
    let files = planned(plan, config_path);
    if plan.goal != Goal::Containerd || files.is_empty() {
        return None;
    }
    Some(try_files(host, facts, &plan.desired.endpoint, files))
}

/// Tries the node's containerd configuration with these files (path and content) in the place of those that are there.
pub fn try_files(host: &Host, facts: &Facts, endpoint: &str, files: Vec<(String, String)>) -> Trial {
    let began = host.clock.monotonic();
    let config_path = facts.containerd.config_path.as_ref().map_or(CONFIG, |path| &path.value);
    let config = joined(facts, &files);
    let mut trial = Trial { took: Duration::ZERO, learned: Vec::new(), findings: Vec::new() };
    let cage = cage(host, facts, endpoint, files, config.as_ref());
    let look = Look { host, live: facts.live, config: config.as_ref() };
    let verdict = attempt(&look, &cage, &mut trial.learned);
    trial.findings.extend(finding(&verdict, config_path, facts.live));
    trial.took = host.clock.monotonic().saturating_sub(began);
    trial
}

/// What the plan writes for containerd to read.
pub(super) fn files_of(facts: &Facts, plan: &Plan) -> Vec<(String, String)> {
    planned(plan, facts.containerd.config_path.as_ref().map_or(CONFIG, |path| &path.value))
}

/// What containerd makes of its files with these (path and content) in the place of the node's: what is imported wins over
/// the main file. Nothing where it cannot read them.
pub(super) fn joined(facts: &Facts, files: &[(String, String)]) -> Option<Effective> {
    let containerd = &facts.containerd;
    let main = containerd.config_path.as_ref().map_or(CONFIG, |path| path.value.as_str());
    let release = containerd.version.as_ref().and_then(|version| Release::parse(&version.value));
    let mut texts = facts.texts.clone();
    texts.extend(files.iter().cloned());
    Effective::join(main, release.unwrap_or_default(), &texts).ok()
}

fn planned(plan: &Plan, config_path: &str) -> Vec<(String, String)> {
    let dir = config_path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let ours = |path: &str| {
        path == config_path
            || ["/etc/containerd", dir].iter().any(|dir| path.strip_prefix(dir).is_some_and(|r| r.starts_with('/')))
            // `hosts.toml` and imported files, wherever they are.
            || path.ends_with(".toml")
    };
    let writes = plan.steps.iter().filter_map(|step| match &step.action {
        Action::WriteFile { path, content: Some(content), .. } if ours(path) => Some((path.clone(), content.clone())),
        _ => None,
    });
    writes.collect()
}

fn attempt(look: &Look<'_>, cage: &Cage, learned: &mut Vec<String>) -> Verdict {
    if !look.host.kernel.is_root() {
        return Verdict::Skipped("only root can start a daemon without side effects".to_owned());
    }
    if !is_there(look.host, &cage.program) {
        return Verdict::Skipped(format!("there is no {} here", cage.program));
    }
    match look.host.procs.caged(cage) {
        Ok(mut caged) => ask(look, &mut *caged, cage, learned),
        Err(error) if look.live => Verdict::Undecided(format!("{error:#}")),
        Err(error) => Verdict::Skipped(format!("{error:#}")),
    }
}

/// Whether a program is in the tree; it is larger than what may be read.
fn is_there(host: &Host, path: &str) -> bool {
    let Some((dir, name)) = path.rsplit_once('/') else { return false };
    let entries = host.root.list(if dir.is_empty() { "/" } else { dir });
    entries.is_ok_and(|entries| entries.iter().any(|(entry, _)| entry == name))
}

/// containerd as its unit starts it, on the planned files, with its data in memory.
pub(super) fn cage(
    host: &Host,
    facts: &Facts,
    endpoint: &str,
    files: Vec<(String, String)>,
    config: Option<&Effective>,
) -> Cage {
    let command = facts.containerd.command.as_ref().map(|command| command.value.clone()).unwrap_or_default();
    let mut words = command.into_iter();
    let program = words.next().filter(|program| program.starts_with('/'));
    let program = program.unwrap_or_else(|| "/usr/bin/containerd".to_owned());
    let args: Vec<String> = words.collect();
    let mut empty = vec!["/var/lib/containerd".to_owned()];
    empty.extend(facts.containerd.root.as_ref().map(|root| root.value.clone()));
    empty.extend(config.and_then(Effective::root).map(|at| at.value));
    empty.extend(config.and_then(Effective::state).map(|at| at.value));
    for (index, word) in args.iter().enumerate() {
        match word.as_str() {
            "--root" | "--state" => empty.extend(args.get(index + 1).cloned()),
            word => {
                let value = word.strip_prefix("--root=").or_else(|| word.strip_prefix("--state="));
                empty.extend(value.map(str::to_owned));
            }
        }
    }
    empty.retain(|dir| dir.starts_with('/') && dir != "/" && !dir.starts_with("/run/"));
    let conf_dir = config.and_then(Effective::cni_conf_dir).map(|at| at.value).filter(|dir| !dir.is_empty());
    Cage {
        root: host.root.dir().to_owned(),
        program,
        args,
        files,
        empty,
        dirs: vec![conf_dir.unwrap_or_else(|| "/etc/cni/net.d".to_owned())],
        socket: endpoint.trim_start_matches("unix://").to_owned(),
        pods: false,
    }
}

fn ask(look: &Look<'_>, caged: &mut dyn Caged, cage: &Cage, learned: &mut Vec<String>) -> Verdict {
    let host = look.host;
    let began = host.clock.monotonic();
    let endpoint = format!("unix://{}", caged.socket());
    let doors = host.doors.containerd(&endpoint).and_then(|daemon| Ok((daemon, host.cri(&endpoint)?)));
    let (daemon, cri) = match doors {
        Ok(doors) => doors,
        Err(error) => return Verdict::Undecided(format!("{error:#}")),
    };
    let plugins = loop {
        let error = match daemon.plugins() {
            Ok(plugins) => break plugins,
            Err(error) => error,
        };
        if let Some(how) = caged.ended() {
            let words = last_words(&caged.words());
            let why = if words.is_empty() { how } else { words };
            return fails(&format!("containerd gave up: {why}"), look);
        }
        if host.clock.monotonic().saturating_sub(began) > LIMIT {
            return late(&error, caged, cage);
        }
        host.clock.sleep(PAUSE);
    };
    learned.push(format!("answered after {} ms", host.clock.monotonic().saturating_sub(began).as_millis()));
    if let Some(verdict) = plugins_verdict(&plugins, look) {
        return verdict;
    }
    answers(look, &*daemon, &*cri, learned)
}

fn late(error: &anyhow::Error, caged: &dyn Caged, cage: &Cage) -> Verdict {
    if caged.words().contains("containerd successfully booted") {
        return Verdict::Fails(format!("containerd runs but does not serve on {}", cage.socket));
    }
    Verdict::Undecided(format!("containerd did not answer within {} s: {error:#}", LIMIT.as_secs()))
}

/// The first of the plugins that serve CRI which failed, and why.
pub(super) fn failed_plugin(plugins: &[Plugin]) -> Option<String> {
    let failed = plugins.iter().filter(|plugin| CRI_PLUGINS.contains(&plugin.uri().as_str()));
    let order = |plugin: &&Plugin| CRI_PLUGINS.iter().position(|uri| *uri == plugin.uri());
    let plugin = failed.filter(|plugin| plugin.init_error.is_some()).min_by_key(order)?;
    Some(format!("{} failed to load: {}", plugin.uri(), plugin.init_error.as_deref().unwrap_or_default()))
}

/// What is wrong with the plugins, if something is.
fn plugins_verdict(plugins: &[Plugin], look: &Look<'_>) -> Option<Verdict> {
    if let Some(why) = failed_plugin(plugins) {
        return Some(fails(&why, look));
    }
    let there = plugins.iter().any(|plugin| plugin.uri() == CRI);
    (!there).then(|| Verdict::Fails(format!("containerd does not load {CRI}: it is disabled")))
}

/// A failure, unless the cage itself may be its cause.
fn fails(why: &str, look: &Look<'_>) -> Verdict {
    let why = mask_text(why);
    let config = look.config;
    let snapshotter = config.and_then(Effective::snapshotter).map(|at| at.value).unwrap_or_default();
    let special = !snapshotter.is_empty() && !PLAIN_SNAPSHOTTERS.contains(&snapshotter.as_str());
    if why.contains("read-only file system") {
        return Verdict::Undecided(format!("it wants to write where a trial must not: {why}"));
    }
    if special && why.contains("snapshotter") && KNOWN_SNAPSHOTTERS.contains(&snapshotter.as_str()) {
        return Verdict::Undecided(format!(
            "the snapshotter {snapshotter} needs its own disk, which a trial has not: {why}"
        ));
    }
    if !look.live && why.contains("cgroup") {
        return Verdict::Undecided(format!("this machine's cgroups may not be the node's: {why}"));
    }
    Verdict::Fails(why)
}

/// Snapshotters that containerd has, but that need more than a directory.
const KNOWN_SNAPSHOTTERS: [&str; 4] = ["btrfs", "zfs", "devmapper", "blockfile"];

/// Asks what kubelet asks.
fn answers(look: &Look<'_>, daemon: &dyn Containerd, cri: &dyn Cri, learned: &mut Vec<String>) -> Verdict {
    let host = look.host;
    let began = host.clock.monotonic();
    let status = loop {
        match cri.version().and_then(|version| Ok((version, cri.status(true)?))) {
            Ok(answer) => break answer,
            Err(error) => {
                let final_word = matches!(DaemonError::of(&error), Some(DaemonError::Unimplemented { .. }));
                if final_word || host.clock.monotonic().saturating_sub(began) > GRACE {
                    return Verdict::Fails(mask_text(&format!("CRI does not answer: {error:#}")));
                }
            }
        }
        host.clock.sleep(PAUSE);
    };
    let (version, status) = status;
    let version = daemon.version().map_or(version.runtime_version, |daemon| daemon.version);
    let api = cri.api().map_or("?", |api| api.word());
    learned.push(format!("containerd {version} serves CRI {api}"));
    if !status.network_ready {
        learned.push(format!("network not ready: {} {}", status.network_reason, status.network_message));
    }
    driver(cri, &status, look.config, learned)
}

/// The cgroup driver it would use, from the most telling source there is.
fn driver(cri: &dyn Cri, status: &CriStatus, config: Option<&Effective>, learned: &mut Vec<String>) -> Verdict {
    let told = cri.cgroup_driver().ok().flatten();
    if let Some(driver) = told {
        let word = if driver == CriCgroupDriver::Systemd { "systemd" } else { "cgroupfs" };
        learned.push(format!("RuntimeConfig: cgroup driver {word}"));
    }
    if told == Some(CriCgroupDriver::Cgroupfs) {
        return Verdict::Driver("containerd tells kubelet to use cgroupfs (RuntimeConfig)".to_owned());
    }
    let handlers = loaded_handlers(status).unwrap_or_default();
    for (name, systemd) in &handlers {
        learned.push(format!("runtime handler {name}: SystemdCgroup = {systemd}"));
    }
    if let Some((name, _)) = handlers.iter().find(|(_, systemd)| !systemd) {
        return Verdict::Driver(format!("containerd loaded SystemdCgroup = false for the runtime handler {name}"));
    }
    if told.is_some() || !handlers.is_empty() {
        return Verdict::Works;
    }
    // containerd 1.3 and 1.4 show no options of a handler to anybody; what the file says is all there is.
    let written = config.map(Effective::handlers).unwrap_or_default();
    let default = config.and_then(Effective::default_runtime).map_or_else(|| "runc".to_owned(), |at| at.value);
    let on = written.iter().any(|h| h.name == default && h.systemd_cgroup.as_ref().is_some_and(|on| on.value));
    if on {
        learned.push(format!("this containerd shows no options; the file has SystemdCgroup = true for {default}"));
        return Verdict::Works;
    }
    Verdict::Undecided(format!("this containerd does not show whether {default} uses systemd's cgroup driver"))
}

/// Handlers that run through a runc shim, with what containerd loaded as `SystemdCgroup`; those it shows no options of
/// are left out.
fn loaded_handlers(status: &CriStatus) -> Option<Vec<(String, bool)>> {
    let config: Value = serde_json::from_str(status.info.get("config")?).ok()?;
    let runtimes = config.pointer("/containerd/runtimes")?.as_object()?;
    let handler = |(name, runtime): (&String, &Value)| {
        let shim = ["runtimeType", "runtime_type"].iter().find_map(|key| runtime.get(key)?.as_str())?;
        let options = runtime.get("options")?.as_object().filter(|options| !options.is_empty())?;
        let systemd = options.get("SystemdCgroup").and_then(Value::as_bool).unwrap_or(false);
        shim.starts_with("io.containerd.runc.").then(|| (name.clone(), systemd))
    };
    Some(runtimes.iter().filter_map(handler).collect())
}

/// Why a daemon ended: the last thing it called fatal, else the last thing it said.
pub(super) fn last_words(words: &str) -> String {
    let mut lines = words.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next().unwrap_or_default();
    let line = lines.find(|line| line.contains(" level=fatal ")).unwrap_or(last);
    let line = match line.split_once(" level=") {
        Some((time, rest)) if time.starts_with("time=") => rest.strip_prefix("fatal ").unwrap_or(rest),
        _ => line,
    };
    let line = line.strip_prefix("containerd: ").unwrap_or(line);
    line.chars().take(400).collect()
}

fn finding(verdict: &Verdict, config_path: &str, live: bool) -> Option<Finding> {
    let found = |id, severity, summary: &str, cause: &str, fix: &str| {
        Some(Finding::new(id, severity, summary).cause(cause.to_owned()).fix(fix))
    };
    match verdict {
        Verdict::Works => None,
        Verdict::Fails(why) => found(
            "containerd-trial-failed",
            Severity::Block,
            "the planned configuration does not bring CRI up in this node's containerd",
            why,
            &format!("correct {config_path} (or what it imports), then plan again; nothing was changed"),
        ),
        Verdict::Driver(why) => found(
            "containerd-trial-driver",
            Severity::Block,
            "with the planned configuration containerd would not use systemd's cgroup driver",
            why,
            "look for the file that sets it (imports win over the main file), then plan again",
        ),
        Verdict::Undecided(why) => found(
            "containerd-trial-undecided",
            Severity::Warn,
            "the planned configuration was tried, but nothing can be said about it",
            why,
            "the verification after the switch decides, and takes the node back if it fails",
        ),
        Verdict::Skipped(why) => found(
            "containerd-trial-skipped",
            Severity::Note,
            "the planned configuration was not tried with this node's containerd",
            why,
            if live { "run castoff as root" } else { "it is tried on the node itself, before anything is touched" },
        ),
    }
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
