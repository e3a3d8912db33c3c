//! kubelet's flags and configuration files.

use super::{
    draft::Draft,
    service::{self, CommandChange, Home, is_packaged},
};
use crate::{
    formats::{
        kubelet_config::KubeletConfig,
        kubelet_fields::field,
        kubelet_flags::{self, Program},
        package_db::version_pair,
        service::Service,
        unit_edit::Op,
    },
    model::{DOCKER_UNITS, Facts, KubeletFlag, RuntimeKind, Severity, same_endpoint},
};

const UNIT: &str = "kubelet.service";

/// kubeadm's variable; its file is read by the unit like any other.
const KUBEADM_ARGS: &str = "KUBELET_KUBEADM_ARGS";

/// Where an administrator adds flags.
const EXTRA_ARGS: &str = "KUBELET_EXTRA_ARGS";

const WHY_DRIVER: &str = "one cgroup driver for everything: systemd's";
const WHY_ENDPOINT: &str = "kubelet must ask containerd, with the flags its release knows";
const WHY_CGROUPS: &str = "Docker's cgroup is containerd's now";

/// Sets kubelet's cgroup driver to systemd: in its configuration file, without a flag that would beat it; with a flag
/// where there is no file.
pub fn cgroup_driver(draft: &mut Draft<'_>) {
    if draft.facts.kubelet.cgroup_driver.as_ref().is_some_and(|driver| driver.value.word() == "systemd") {
        return;
    }
    set_fields_or_flags(draft, &[("cgroupDriver", Some("systemd"))], WHY_DRIVER);
}

/// Points kubelet to the wanted endpoint, and takes away what its release would die of.
pub fn endpoint(draft: &mut Draft<'_>) {
    let kubelet = &draft.facts.kubelet;
    let Some(version) = kubelet.version.as_ref().and_then(|version| version_pair(&version.value)) else { return };
    let Some(runtime) = kubelet.runtime.as_ref().map(|runtime| runtime.value) else { return };
    let wanted = draft.desired.endpoint.clone();
    let (mut remove, set) = kubelet_flags::for_endpoint(version, &wanted);
    let from_docker = matches!(runtime, RuntimeKind::Dockershim | RuntimeKind::CriDockerd);
    let images = kubelet.flag("image-service-endpoint");
    if images.is_some_and(|flag| from_docker || of_docker(&flag.value)) {
        remove.push("image-service-endpoint");
    }
    // Also where the endpoint itself is a flag, as kubeadm has it up to 1.33. kubelet knows the field from 1.27 on.
    let images = config_value(draft, "imageServiceEndpoint").filter(|images| of_docker(images));
    if images.is_some() && version >= (1, 27) {
        set_fields(draft, &[("imageServiceEndpoint", None)], WHY_ENDPOINT);
    }
    if in_config(draft, version) {
        let mut changes: Vec<(&str, Option<&str>)> = Vec::new();
        let now = config_value(draft, "containerRuntimeEndpoint");
        if !now.is_some_and(|now| same_endpoint(&now, &wanted)) {
            changes.push(("containerRuntimeEndpoint", Some(&wanted)));
        }
        // A flag that says the same as the file is left alone.
        let flag = kubelet.flag("container-runtime-endpoint");
        let misleads = !changes.is_empty() || flag.is_some_and(|flag| !same_endpoint(&flag.value, &wanted));
        if set_fields(draft, &changes, WHY_ENDPOINT) {
            if misleads {
                remove.push("container-runtime-endpoint");
            }
            rewrite_flags(draft, &remove, &[], WHY_ENDPOINT);
            return instance_config(draft, &wanted);
        }
    }
    let same = |flag: &KubeletFlag| same_endpoint(&flag.value, &wanted);
    let is_right = draft.facts.kubelet.flag("container-runtime-endpoint").is_some_and(same);
    // kubelet's own default is left unsaid where nobody said it.
    let by_default = draft.facts.kubelet.endpoint.as_ref().is_some_and(|endpoint| {
        endpoint.origin.path.is_none() && version >= (1, 27) && same_endpoint(&endpoint.value, &wanted)
    });
    // An endpoint that is right is left as it is written (`/run/…` and `unix:///run/…` are the same).
    let set: Vec<(&str, String)> = set
        .into_iter()
        .filter(|(name, _)| !((is_right || by_default) && *name == "container-runtime-endpoint"))
        .collect();
    rewrite_flags(draft, &remove, &set, WHY_ENDPOINT);
    instance_config(draft, &wanted);
}

/// Replaces Docker's unit where kubelet measures or limits the runtime by its cgroup.
pub fn cgroups(draft: &mut Draft<'_>) {
    for key in ["runtimeCgroups", "kubeletCgroups", "kubeReservedCgroup", "systemReservedCgroup"] {
        let Some(now) = draft.facts.kubelet.setting_text(key) else { continue };
        let services = DOCKER_UNITS.into_iter().filter(|unit| unit.ends_with(".service"));
        let new = services.fold(now.to_owned(), |text, unit| text.replace(unit, "containerd.service"));
        if new == now {
            continue;
        }
        let flag = field(key).and_then(|field| field.flag).filter(|flag| draft.facts.kubelet.flag(flag).is_some());
        match flag {
            Some(flag) => rewrite_flags(draft, &[], &[(flag, new)], WHY_CGROUPS),
            None => {
                set_fields(draft, &[(key, Some(&new))], WHY_CGROUPS);
            }
        }
    }
}

fn of_docker(endpoint: &str) -> bool {
    ["dockershim.sock", "cri-dockerd.sock", "cri-docker.sock"].iter().any(|name| endpoint.ends_with(name))
}

/// Whether the endpoint is a matter of the configuration file: it knows the field (1.27 and later), and holds it or
/// kubeadm would put it there again.
fn in_config(draft: &Draft<'_>, version: (u32, u32)) -> bool {
    let kubelet = &draft.facts.kubelet;
    if version < (1, 27) || kubelet.config_files.is_empty() {
        return false;
    }
    let by_kubeadm = kubelet.instance_config.as_ref().is_some_and(|path| {
        let text = draft.text(path).unwrap_or_default();
        KubeletConfig::parse(text).is_ok_and(|config| config.string("containerRuntimeEndpoint").is_some())
    });
    let unsaid = kubelet.flag("container-runtime-endpoint").is_none()
        && !kubelet.endpoint.as_ref().is_some_and(|endpoint| same_endpoint(&endpoint.value, &draft.desired.endpoint));
    by_kubeadm || config_value(draft, "containerRuntimeEndpoint").is_some() || unsaid
}

/// What kubelet's files say of a field, the last one winning; empty counts as nothing.
fn config_value(draft: &Draft<'_>, key: &str) -> Option<String> {
    let file = home_of(draft, key)?;
    let config = KubeletConfig::parse(draft.text(&file)?).ok()?;
    config.string(key).map(|at| at.value).filter(|value| !value.is_empty())
}

/// The last of kubelet's files that holds a field.
fn home_of(draft: &Draft<'_>, key: &str) -> Option<String> {
    let holds = |path: &&String| {
        let text = draft.text(path).unwrap_or_default();
        KubeletConfig::parse(text).is_ok_and(|config| config.value(key).is_some())
    };
    draft.facts.kubelet.config_files.iter().rev().find(holds).cloned()
}

/// A change of a field, and the file that gets it.
type Placed<'a> = (String, &'a str, Option<&'a str>);

/// Where fields of kubelet's configuration are decided: in the last file that holds one, else in the main file, else in
/// a drop-in of castoff's. `None` where there is no file to hold them.
fn places<'a>(draft: &Draft<'_>, changes: &[(&'a str, Option<&'a str>)]) -> Option<Vec<Placed<'a>>> {
    let kubelet = &draft.facts.kubelet;
    let main = kubelet.config_files.first()?;
    let dir = kubelet.config_dir.as_ref().map(|dir| dir.value.trim_end_matches('/').to_owned());
    let place = |key: &str| {
        let place = home_of(draft, key).unwrap_or_else(|| main.clone());
        match (&dir, is_packaged(draft.facts, &place)) {
            // A file that is named but not there is for kubelet's administrator to bring; one that could not be
            // understood has its finding already.
            (_, false) => (draft.text(&place).is_some() || draft.facts.files.contains_key(&place)).then_some(place),
            (Some(dir), true) if !is_packaged(draft.facts, dir) => Some(format!("{dir}/zz-castoff.conf")),
            _ => None,
        }
    };
    changes.iter().map(|(key, value)| Some((place(key)?, *key, *value))).collect()
}

/// Whether kubelet has files that can hold these fields.
pub fn has_place(draft: &Draft<'_>, fields: &[&str]) -> bool {
    let changes: Vec<(&str, Option<&str>)> = fields.iter().map(|field| (*field, None)).collect();
    places(draft, &changes).is_some()
}

/// Whether flags can be added to kubelet's command line.
pub fn has_command_line(draft: &Draft<'_>) -> bool {
    let is_kubelet = || matches!(kubelet_flags::program(&service::read(draft, UNIT).argv()), Program::At(_));
    draft.facts.kubelet.wrapper.is_none() && is_kubelet()
}

/// Sets fields of kubelet's configuration, and takes away flags that would beat them. False where there is no file to
/// hold them.
pub fn set_fields(draft: &mut Draft<'_>, changes: &[(&str, Option<&str>)], why: &str) -> bool {
    let Some(edits) = places(draft, changes) else { return false };
    for (path, key, value) in edits {
        let is_ours = path.ends_with("/zz-castoff.conf");
        let Some(text) = draft.text(&path).map(str::to_owned).or_else(|| is_ours.then(KubeletConfig::empty_drop_in))
        else {
            continue;
        };
        match KubeletConfig::parse(&text).and_then(|config| config.with(&[(key, value)])) {
            Ok(after) => draft.write("kubelet-config", &path, &after, why),
            Err(error) => draft.not_editable(&path, &error, &format!("set {key} by hand")),
        }
    }
    let flags: Vec<&str> = changes.iter().filter_map(|(key, _)| field(key)?.flag).collect();
    rewrite_flags(draft, &flags, &[], why);
    true
}

/// Sets fields of kubelet's configuration, or their flags where there is no file to hold them.
pub fn set_fields_or_flags(draft: &mut Draft<'_>, changes: &[(&str, Option<&str>)], why: &str) {
    if !set_fields(draft, changes, why) {
        let flag = |(key, value): &(&str, Option<&str>)| Some((field(key)?.flag?, (*value)?.to_owned()));
        let flags: Vec<(&str, String)> = changes.iter().filter_map(flag).collect();
        rewrite_flags(draft, &[], &flags, why);
    }
}

/// kubeadm applies its own copy of the endpoint again at every upgrade.
fn instance_config(draft: &mut Draft<'_>, wanted: &str) {
    let Some(path) = draft.facts.kubelet.instance_config.clone() else { return };
    let Some(text) = draft.text(&path) else { return };
    let key = "containerRuntimeEndpoint";
    let edited = KubeletConfig::parse(text).map(|config| {
        let is_right = config.string(key).is_some_and(|now| same_endpoint(&now.value, wanted));
        if is_right { Ok(text.to_owned()) } else { config.with(&[(key, Some(wanted))]) }
    });
    match edited.and_then(|edited| edited) {
        Ok(after) => {
            let why = "kubeadm puts what stands here into kubelet's configuration at every upgrade";
            draft.write("kubelet-instance-config", &path, &after, why);
        }
        Err(error) => draft.not_editable(&path, &error, &format!("set {key} by hand")),
    }
}

/// Removes and sets flags wherever they stand.
fn rewrite_flags(draft: &mut Draft<'_>, remove: &[&str], set: &[(&str, String)], why: &str) {
    // A wrapper has a finding of its own.
    if draft.facts.kubelet.wrapper.is_some() {
        return;
    }
    let service = service::read(draft, UNIT);
    let argv = service.argv();
    let Program::At(start) = kubelet_flags::program(&argv) else {
        if !set.is_empty() {
            nowhere(draft, set);
        }
        return;
    };
    let flags = kubelet_flags::parse(argv.get(start..).unwrap_or_default());
    let mut starts = Vec::new();
    let mut at = start;
    for flag in &flags {
        starts.push(at);
        at += flag.words;
    }
    let variable_at = |at: usize| service.words.get(at).and_then(|word| word.variable.as_deref());
    // Of several copies one stays: kubeadm's, which kubeadm reads too, else the last, which counts today.
    let keeper = |name: &str| {
        let copies = || flags.iter().zip(&starts).rev().filter(|(flag, _)| flag.name == name).map(|(_, at)| *at);
        copies().find(|at| variable_at(*at) == Some(KUBEADM_ARGS)).or_else(|| copies().next())
    };
    let mut ops = vec![Op::Keep; argv.len()];
    for (flag, at) in flags.iter().zip(&starts) {
        let mut put = None;
        match set.iter().find(|(name, _)| *name == flag.name) {
            Some((name, value)) if keeper(name) == Some(*at) => {
                if flag.value.as_deref() == Some(value) {
                    continue;
                }
                put = Some(format!("--{name}={value}"));
            }
            Some(_) => {}
            None if remove.contains(&flag.name.as_str()) => {}
            None => continue,
        }
        for op in ops.get_mut(*at..*at + flag.words).unwrap_or_default() {
            *op = put.take().map_or(Op::Drop, Op::Set);
        }
    }
    let missing = set.iter().filter(|(name, _)| keeper(name).is_none());
    let missing: Vec<String> = missing.map(|(name, value)| format!("--{name}={value}")).collect();
    let append = (!missing.is_empty()).then(|| (home(draft, &service), missing));
    let change = CommandChange { service: &service, ops, append };
    service::change(draft, UNIT, &change, "kubelet-flags", why);
}

/// Where flags are added: in kubeadm's variable, else where a flag of the shim stands, else in the administrator's
/// variable or any other one that a file of variables holds, else in the command itself.
fn home(draft: &Draft<'_>, service: &Service) -> Home {
    let exec = service.exec.as_ref();
    let variables: Vec<&str> =
        exec.iter().flat_map(|exec| exec.variables.iter().flatten()).map(String::as_str).collect();
    let editable = |path: &str| !is_packaged(draft.facts, path);
    let in_file = |name: &str| {
        let path = service.env_file_of(name).filter(|path| variables.contains(&name) && editable(path))?;
        Some(Home::Variable(name.to_owned(), path.to_owned()))
    };
    let shim = || {
        let flag = draft.facts.kubelet.flags.iter().rev().find(|flag| kubelet_flags::docker_only(&flag.name))?;
        in_file(flag.variable.as_deref()?)
    };
    // The unit names a file for them that may not be there yet.
    let extra = || {
        if !variables.contains(&EXTRA_ARGS) || service.environment.contains_key(EXTRA_ARGS) {
            return None;
        }
        let usual = |path: &str| path.starts_with("/etc/default/") || path.starts_with("/etc/sysconfig/");
        let named = service.env_files.iter().rev().find(|file| usual(&file.path) && editable(&file.path))?;
        Some(Home::Variable(EXTRA_ARGS.to_owned(), named.path.clone()))
    };
    let any = || variables.iter().rev().find_map(|name| in_file(name));
    in_file(KUBEADM_ARGS)
        .or_else(shim)
        .or_else(|| in_file(EXTRA_ARGS))
        .or_else(extra)
        .or_else(any)
        .unwrap_or(Home::Exec)
}

fn nowhere(draft: &mut Draft<'_>, set: &[(&str, String)]) {
    let names: Vec<String> = set.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    draft.find(
        "kubelet-flags-nowhere",
        Severity::Block,
        "kubelet has no command line in which its runtime flags could be set",
        &format!("needed: {}", names.join(" ")),
        "give kubelet.service an ExecStart= that starts kubelet, then plan again",
        &unit_path(draft.facts),
    );
}

/// The unit file of kubelet, for findings.
pub fn unit_path(facts: &Facts) -> String {
    facts.unit(UNIT).fragment.unwrap_or_else(|| UNIT.to_owned())
}
