//! kubelet: its command line out of unit, drop-ins and environment files, and what that makes of it.

use super::{
    files::Files,
    kubelet_config, kubelet_unit,
    node::package_version,
    service::{self, Service},
    static_pods::static_pods,
};
use crate::{
    checks,
    formats::{
        kubelet_flags::{self, Program},
        package_db,
        service::Word,
        unit_file,
    },
    host::Host,
    model::{
        Assumptions, CgroupDriver, DEFAULT_ENDPOINT, DOCKER_UNITS, Facts, KubeletFacts, KubeletFlag, Origin,
        OriginKind, RuntimeKind, Sourced, UnitFacts, UnitNeed,
    },
};
use std::time::Duration;

/// Where the shim inside kubelet ≤ 1.23 serves CRI.
const DOCKERSHIM: &str = "unix:///var/run/dockershim.sock";

/// Looks at kubelet.
pub fn probe(host: &Host, assumptions: &Assumptions, files: &mut Files<'_>, facts: &mut Facts) {
    let unit = facts.unit("kubelet.service");
    let service = service::read(&unit, files);
    let package = package_version(files, "kubelet");
    let mut kubelet = KubeletFacts {
        installed: unit.is_there() || package.is_some(),
        running: unit.active == "active",
        version: package,
        ..KubeletFacts::default()
    };
    match program(host, &service) {
        Program::At(start) => kubelet.flags = flags(&service, start),
        Program::Other(name) => {
            let origin = service.words.first().map_or_else(|| Origin::path("kubelet.service"), |w| w.origin.clone());
            kubelet.wrapper = Some(Sourced::new(name, origin));
        }
        Program::None => {}
    }
    if kubelet.installed && host.is_live() {
        if let Some(version) = binary_version(host, &service, files) {
            kubelet.version = Some(version);
        }
        if kubelet.running {
            kubelet.command_line = command_line(host, files);
        }
    }
    if let Some(version) = &assumptions.kubelet_version {
        kubelet.version = Some(Sourced::new(version.clone(), Origin::assumed("kubelet.version")));
        kubelet.installed = true;
    }
    let live = live_flags(&kubelet);
    if kubelet.wrapper.is_some() {
        // What a wrapper starts is seen only while it runs.
        kubelet.flags.extend(live.clone().unwrap_or_default());
    }
    let documents = kubelet_config::read(host, files, service.directory.as_deref(), &mut kubelet);
    let known = kubelet.config_path.as_ref().is_none_or(|path| files.is_understood(&path.value));
    kubelet_config::effective(&documents, &mut kubelet);
    effective(known, &mut kubelet);
    if kubelet.installed {
        compare(live.as_deref(), &mut kubelet);
        let runs = live.filter(|_| !kubelet.changed_since_start.is_empty()).unwrap_or_else(|| kubelet.flags.clone());
        runtime(&runs, !documents.is_empty(), &mut kubelet);
        shim(facts, files, &mut kubelet);
        docker_needs(host, &unit, files, &mut kubelet);
        kubelet.cpu_manager_state = noted_policy(files, &kubelet, "cpu_manager_state");
        kubelet.memory_manager_state = noted_policy(files, &kubelet, "memory_manager_state");
    }
    facts.kubelet = kubelet;
    static_pods(host, files, &facts.node_name(), &mut facts.kubelet);
}

/// Where kubelet's flags start. A script may be called kubelet too.
fn program(host: &Host, service: &Service) -> Program {
    let argv = service.argv();
    let found = kubelet_flags::program(&argv);
    let Program::At(start) = found else { return found };
    match start.checked_sub(1).and_then(|at| argv.get(at)) {
        Some(path) if host.root.starts_with(path, b"#!") => Program::Other(path.clone()),
        _ => found,
    }
}

/// The flags from a word on.
fn flags(service: &Service, start: usize) -> Vec<KubeletFlag> {
    let mut at = start;
    let mut flags = Vec::new();
    for flag in kubelet_flags::parse(service.argv().get(start..).unwrap_or_default()) {
        if let Some(word) = service.words.get(at)
            && !flag.name.is_empty()
        {
            flags.push(located(&flag, word));
        }
        at += flag.words.max(1);
    }
    flags
}

fn located(flag: &kubelet_flags::Flag, word: &Word) -> KubeletFlag {
    let kind = if word.origin.kind == OriginKind::EnvFile { OriginKind::EnvFile } else { OriginKind::Flag };
    let origin = Origin { kind, ..word.origin.clone() }.with_detail(format!("--{}", flag.name));
    let value = flag.value.clone().unwrap_or_else(|| "true".to_owned());
    KubeletFlag { name: flag.name.clone(), value, origin, variable: word.variable.clone() }
}

/// The flags of the process that runs.
fn live_flags(kubelet: &KubeletFacts) -> Option<Vec<KubeletFlag>> {
    let line = kubelet.command_line.as_ref()?;
    let Program::At(start) = kubelet_flags::program(&line.value) else { return None };
    let parsed = kubelet_flags::parse(line.value.get(start..).unwrap_or_default());
    let flags = parsed.into_iter().filter(|flag| !flag.name.is_empty()).map(|flag| KubeletFlag {
        origin: line.origin.clone().with_detail(format!("--{}", flag.name)),
        value: flag.value.unwrap_or_else(|| "true".to_owned()),
        name: flag.name,
        variable: None,
    });
    Some(flags.collect())
}

/// Notes where the running kubelet has other flags than its files give it.
fn compare(live: Option<&[KubeletFlag]>, kubelet: &mut KubeletFacts) {
    let Some(live) = live.filter(|_| kubelet.wrapper.is_none()) else { return };
    let last = |flags: &[KubeletFlag], name: &str| {
        flags.iter().rev().find(|flag| flag.name == name).map(|flag| flag.value.clone())
    };
    let mut names: Vec<&str> = kubelet.flags.iter().chain(live).map(|flag| flag.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut changed = Vec::new();
    for name in names {
        let (file, runs) = (last(&kubelet.flags, name), last(live, name));
        // A specifier such as %H is systemd's to fill in.
        if file == runs || file.as_ref().is_some_and(|value| value.contains('%')) {
            continue;
        }
        changed.push(runs.map_or_else(|| format!("no --{name}"), |value| format!("--{name}={value}")));
    }
    kubelet.changed_since_start = changed;
}

/// cri-dockerd's flags count as dockershim's did.
fn shim(facts: &Facts, files: &mut Files<'_>, kubelet: &mut KubeletFacts) {
    if let Some(unit) = facts.shim_unit() {
        kubelet.shim_flags = flags(&service::read(&facts.unit(unit), files), 1);
    }
}

fn docker_needs(host: &Host, unit: &UnitFacts, files: &mut Files<'_>, kubelet: &mut KubeletFacts) {
    let declared = service::unit_files(unit, files);
    kubelet.docker_uses = kubelet_unit::docker_uses(host, &declared);
    for need in unit_file::needs(&declared, &DOCKER_UNITS) {
        let origin = Origin::unit(need.path, Some(need.line));
        kubelet.docker_needs.push(UnitNeed { key: need.key, unit: need.unit, origin });
    }
    for dir in ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"] {
        for (kind, key) in [("wants", "Wants"), ("requires", "Requires")] {
            let dir = format!("{dir}/kubelet.service.{kind}");
            for (name, _) in host.root.list(&dir).unwrap_or_default() {
                if DOCKER_UNITS.contains(&name.as_str()) {
                    let origin = Origin::path(format!("{dir}/{name}"));
                    kubelet.docker_needs.push(UnitNeed { key: key.to_owned(), unit: name, origin });
                }
            }
        }
    }
}

/// The policy under which a manager of kubelet's noted what it gave to whom.
fn noted_policy(files: &mut Files<'_>, kubelet: &KubeletFacts, state: &str) -> Option<Sourced<String>> {
    let root = kubelet.setting_text("rootDir").unwrap_or("/var/lib/kubelet");
    let path = format!("{}/{state}", root.trim_end_matches('/'));
    let state: serde_json::Value = serde_json::from_str(&files.text(&path)?).ok()?;
    Some(Sourced::new(state.get("policyName")?.as_str()?.to_owned(), Origin::path(path)))
}

fn binary_version(host: &Host, service: &Service, files: &mut Files<'_>) -> Option<Sourced<String>> {
    let program = service.words.first().map_or("kubelet", |word| word.text.as_str());
    // A large program: on a node short of processor or disk, loading it alone takes many seconds.
    let ran = match host.procs.query(program, &["--version"], Duration::from_secs(60)) {
        Ok(ran) => ran,
        Err(error) => {
            files.unseen(checks::KUBELET_VERSION_UNSEEN, format!("{program} --version: {error:#}"));
            return None;
        }
    };
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let version = text.trim().strip_prefix("Kubernetes ")?.trim_start_matches('v').to_owned();
    Some(Sourced::new(version, Origin::process(program.to_owned()).with_detail("--version")))
}

fn command_line(host: &Host, files: &mut Files<'_>) -> Option<Sourced<Vec<String>>> {
    let pid = host.units.state("kubelet.service").ok()?.main_pid?;
    match host.procs.cmdline(pid) {
        Some(words) => Some(Sourced::new(words, Origin::process(format!("/proc/{pid}/cmdline")))),
        None => {
            files.unseen("kubelet's command line", format!("/proc/{pid}/cmdline cannot be read"));
            None
        }
    }
}

/// A flag beats the files, the files beat the default.
fn effective(known: bool, kubelet: &mut KubeletFacts) {
    let driver = kubelet.setting("cgroupDriver").and_then(|driver| {
        let value: CgroupDriver = driver.value.as_str()?.parse().ok()?;
        Some(Sourced::new(value, driver.origin.clone()))
    });
    let pods = kubelet.setting("staticPodPath").and_then(|path| {
        let value = path.value.as_str().filter(|path| !path.is_empty())?;
        Some(Sourced::new(value.to_owned(), path.origin.clone()))
    });
    if kubelet.installed {
        let default = || Sourced::new(CgroupDriver::Cgroupfs, Origin::default_of("kubelet"));
        kubelet.cgroup_driver = driver.or_else(|| known.then(default));
        kubelet.static_pod_path = pods;
    }
}

/// What the pods run on, by the flags it runs with.
fn runtime(flags: &[KubeletFlag], has_config: bool, kubelet: &mut KubeletFacts) {
    let version = kubelet.version.as_ref().and_then(|version| package_db::version_pair(&version.value));
    let flag = |name: &str| flags.iter().rev().find(|flag| flag.name == name);
    let remote = flag("container-runtime").map(|flag| flag.value == "remote");
    // Up to 1.23 the default is Docker through the shim; from 1.24 on there is no shim. Without a version, flags that
    // only the shim understood tell.
    let shim_flag = flags.iter().find(|flag| kubelet_flags::docker_only(&flag.name)).map(|f| f.origin.clone());
    let shim = match (remote, version) {
        (Some(remote), Some(version)) => !remote && version <= (1, 23),
        (Some(remote), None) => !remote,
        (None, Some(version)) => version <= (1, 23),
        (None, None) => shim_flag.is_some(),
    };
    if shim {
        let origin = flag("container-runtime")
            .map(|flag| flag.origin.clone())
            .or(shim_flag)
            .unwrap_or_else(|| Origin::default_of("kubelet"));
        kubelet.runtime = Some(Sourced::new(RuntimeKind::Dockershim, origin));
        kubelet.endpoint = Some(Sourced::new(DOCKERSHIM.to_owned(), Origin::default_of("kubelet")));
        return;
    }
    let from_flag =
        flag("container-runtime-endpoint").map(|flag| Sourced::new(flag.value.clone(), flag.origin.clone()));
    // A flag of the files is among the settings too.
    let field = kubelet.setting("containerRuntimeEndpoint").filter(|field| field.origin.kind == OriginKind::File);
    let from_file = field.and_then(|field| {
        let value = field.value.as_str().filter(|value| !value.is_empty())?;
        Some(Sourced::new(value.to_owned(), field.origin.clone()))
    });
    // A configuration file without the field means containerd from 1.27 on.
    let default = version.is_some_and(|version| version >= (1, 27)) && has_config;
    let default = default.then(|| Sourced::new(DEFAULT_ENDPOINT.to_owned(), Origin::default_of("kubelet")));
    let Some(endpoint) = from_flag.filter(|flag| !flag.value.is_empty()).or(from_file).or(default) else { return };
    kubelet.runtime = Some(Sourced::new(kind_of(&endpoint.value), endpoint.origin.clone()));
    kubelet.endpoint =
        Some(endpoint.map(|value| if value.starts_with('/') { format!("unix://{value}") } else { value }));
}

fn kind_of(endpoint: &str) -> RuntimeKind {
    let name = endpoint.rsplit('/').next().unwrap_or_default();
    match name {
        "containerd.sock" => RuntimeKind::Containerd,
        "cri-dockerd.sock" | "cri-docker.sock" => RuntimeKind::CriDockerd,
        "dockershim.sock" => RuntimeKind::Dockershim,
        "crio.sock" => RuntimeKind::CriO,
        _ => RuntimeKind::Other,
    }
}
