//! Findings about what containerd's configuration says when all its files are joined.

use super::{CheckInfo, version};
use crate::{
    formats::containerd::{Effective, Ineffective, Release},
    model::{CERTS_D, DOCKER_CERTS_D, Facts, Finding, Origin, Severity},
};

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "containerd-schema-too-new",
        severity: Severity::Block,
        summary: "a configuration file has a version that this containerd does not read",
        explanation: "containerd 1.x reads configuration versions 1 and 2, 2.0 to 2.2 read up to 3, 2.3 reads 4. Some \
            releases refuse a newer file, but 1.4, 1.5, 1.6 before 1.6.32 and 1.7 before 1.7.17 start and ignore every \
            CRI setting in it, so that pods get cgroupfs. There is no way down that loses \
            nothing, so restore the older file, let it be made anew with `containerd-config = \"regenerate\"` in the \
            profile, or upgrade containerd. From 2.3 on an imported file may not be newer than the main one either; \
            `castoff convert --to N` without FILE raises them all.",
        run: Some(schema_too_new),
    },
    CheckInfo {
        id: "containerd-import-missing",
        severity: Severity::Block,
        summary: "containerd's configuration imports a file that is not there",
        explanation: "An entry of `imports` without a `*` names one file. When it is missing, containerd 1.5 and later \
            refuse to start, so the restart in the plan would fail. A pattern may match nothing. Put the file there or \
            take the entry out.",
        run: Some(import_missing),
    },
    CheckInfo {
        id: "containerd-import-version",
        severity: Severity::Warn,
        summary: "an imported file has another version than the main file",
        explanation: "containerd goes by the last version it reads. With a main file of version 2 and an imported one of \
            version 3, containerd 2.0 to 2.2 drop every CRI setting of the main file, and 2.3 refuses to start; 1.x \
            takes an imported version 3 as the version of everything. The plan brings the files to one version where \
            that is possible without losing anything, and is blocked where it is not.",
        run: Some(import_version),
    },
    CheckInfo {
        id: "conversion-incomplete",
        severity: Severity::Block,
        summary: "together, the converted files would not do what they do now",
        explanation: "`castoff convert` proves of each file that it says the same as before, and then joins the files as this \
            release of containerd does: what has an effect now must have the same one afterwards. With one file converted \
            alone that is often not so. From 2.3 on containerd refuses an imported file that is newer than the main one, and \
            2.0 to 2.2 go by the version of the last file and drop the CRI settings of the others. Convert the main file \
            and all it imports, without FILE. And a table of another version, which has no effect today, would decide \
            over what another file says, about the cgroup driver for example. Take it out first.",
        run: None,
    },
    CheckInfo {
        id: "conversion-takes-effect",
        severity: Severity::Warn,
        summary: "settings that containerd ignores today would take effect",
        explanation: "A table of another version than the one containerd goes by has no effect \
            (`containerd-setting-ignored`), and neither have the CRI settings of version 1 on containerd 2.0 to 2.2. After \
            `castoff convert` they have one, from containerd's next start on, which may be why you convert the file. \
            The settings are named as version 4 has them. What you do not want, take out before; a cgroup driver that is \
            not kubelet's keeps pods from starting.",
        run: None,
    },
    CheckInfo {
        id: "containerd-setting-ignored",
        severity: Severity::Warn,
        summary: "settings in containerd's configuration have no effect",
        explanation: "containerd ignores tables of another configuration version without an error: `plugins.cri` belongs \
            to version 1, `plugins.\"io.containerd.grpc.v1.cri\"` to version 2, and from version 3 on CRI is split in \
            `io.containerd.cri.v1.images` and `io.containerd.cri.v1.runtime`. Before containerd 2.0 an imported file \
            that has the table of a plugin replaces the whole of it. And 2.0 to 2.2 lose the CRI settings of version 1, \
            and the snapshotter of a version 2 file without runtimes. Move the settings, or take them out.",
        run: Some(setting_ignored),
    },
    CheckInfo {
        id: "containerd-setting-removed",
        severity: Severity::Note,
        summary: "containerd's configuration uses settings that a later release drops",
        explanation: "containerd 2.0 dropped a registry's TLS settings in the main file, the runtime of 1.0 to 1.2 with its \
            settings, `default_runtime` and `systemd_cgroup`; 2.4 is to drop `registry.mirrors`, `registry.configs` and \
            `registry.auths`. They work until the upgrade and are then lost in silence. Registries belong into hosts.toml \
            files, runtimes into the map `runtimes`.",
        run: Some(setting_removed),
    },
    CheckInfo {
        id: "containerd-byte-order-mark",
        severity: Severity::Note,
        summary: "a configuration file of containerd begins with a byte order mark",
        explanation: "Editors on other systems put an invisible mark in front of UTF-8 text. containerd 1.4 and 2.x take it \
            for text and refuse to start; 1.5 to 1.7 read over it. Whatever castoff writes has none.",
        run: Some(byte_order_mark),
    },
    CheckInfo {
        id: "containerd-plugin-name",
        severity: Severity::Warn,
        summary: "a list of plugins holds a short name, and containerd will not start",
        explanation: "From version 2 on `disabled_plugins` and `required_plugins` want full names such as \
            `io.containerd.snapshotter.v1.zfs`. A short one stops containerd itself from starting. The plan removes \
            every spelling of the CRI plugin; write the full name of any other.",
        run: Some(plugin_name),
    },
    CheckInfo {
        id: "runtime-undefined",
        severity: Severity::Block,
        summary: "the default runtime has no table of its own",
        explanation: "`default_runtime_name` must name an entry of the map `runtimes`. If it does not, the CRI plugin fails \
            to load while containerd itself stays active, and kubelet finds no runtime. Add the handler or name another.",
        run: Some(runtime_undefined),
    },
    CheckInfo {
        id: "shim-outdated",
        severity: Severity::Note,
        summary: "a runtime handler uses a shim that containerd 2.0 removed",
        explanation: "`io.containerd.runtime.v1.linux` and `io.containerd.runc.v1` are gone in containerd 2.0. The CRI plugin \
            still loads with such a handler; pods that use it fail. Neither knows the systemd cgroup driver as runc v2 \
            does. The plan replaces them with `io.containerd.runc.v2`, which every release since 1.3 has.",
        run: Some(shim_outdated),
    },
    CheckInfo {
        id: "snapshotter-unknown",
        severity: Severity::Block,
        summary: "the snapshotter is none that this containerd has",
        explanation: "The CRI plugin does not load when `snapshotter` names none of containerd's own (overlayfs, native, \
            btrfs, zfs, devmapper, blockfile, erofs) and none in `proxy_plugins`. Names of Docker's storage drivers such \
            as `overlay2` are a common mistake: containerd's is called `overlayfs`.",
        run: Some(snapshotter_unknown),
    },
    CheckInfo {
        id: "proxy-plugin-incomplete",
        severity: Severity::Warn,
        summary: "a proxy plugin has no type",
        explanation: "An entry of `proxy_plugins` needs `type` and `address`. Imported files replace an entry as a whole, in \
            every release, so a drop-in that sets one key alone takes the others away.",
        run: Some(proxy_plugin_incomplete),
    },
    CheckInfo {
        id: "registry-config-path-list",
        severity: Severity::Warn,
        summary: "config_path names several directories, which containerd 2.1 does not read",
        explanation: "`registry.config_path` may hold directories separated by colons. From containerd 2.1 on images are \
            pulled by the transfer service, which takes the whole text for one directory: no hosts.toml is found, and \
            mirrors and certificates are ignored. From 2.2 on that happens by itself where nothing is set: the default is \
            such a list, /etc/containerd/certs.d and /etc/docker/certs.d. The plan names one of the directories and copies into it what only the \
            others have; where both have a file for a registry, the one in the directory that stays is kept. With \
            `use_local_image_pull = true` CRI pulls as before and reads lists, and nothing is changed.",
        run: Some(config_path_list),
    },
];

/// The configuration of the node's containerd as its release joins it; nothing where there is no file or it cannot be
/// read.
pub fn effective(facts: &Facts) -> Option<Effective> {
    let path = &facts.containerd.config_path.as_ref()?.value;
    facts.texts.get(path)?;
    let release = facts.containerd.version.as_ref().and_then(|version| Release::parse(&version.value));
    Effective::join(path, release.unwrap_or_default(), &facts.texts).ok()
}

/// One finding for a list of places with the same meaning.
fn finding(id: &'static str, list: &[Ineffective], fix: &str) -> Vec<Finding> {
    let Some(info) = super::find(id).filter(|_| !list.is_empty()) else { return Vec::new() };
    let causes: Vec<String> = list.iter().map(|one| format!("{}: {}", one.name, one.why)).collect();
    let mut finding = Finding::new(id, info.severity, info.summary).cause(causes.join("; ")).fix(fix);
    finding.origins = list.iter().map(|one| one.origin.clone()).collect();
    vec![finding]
}

fn faults(facts: &Facts, wanted: fn(&str) -> bool) -> Vec<Ineffective> {
    let all = effective(facts).map(|config| config.faults()).unwrap_or_default();
    all.into_iter().filter(|fault| wanted(&fault.name)).collect()
}

fn schema_too_new(facts: &Facts) -> Vec<Finding> {
    let imports = effective(facts).map(|config| config.newer_imports()).unwrap_or_default();
    let mut list = faults(facts, |name| name.starts_with("version"));
    list.retain(|fault| !imports.contains(fault));
    // An older release says nothing and ignores the settings, which is worse.
    if let Some(config) = effective(facts).filter(|config| !config.release().refuses_newer_schema()) {
        let newest = config.release().newest_schema();
        for part in config.parts.iter().filter(|part| part.version > newest) {
            let line = part.version_line.unwrap_or(1);
            list.push(Ineffective {
                name: format!("version = {}", part.version),
                origin: Origin::file(&part.path, line),
                why: format!("this release reads versions up to {newest} and ignores the CRI settings of newer ones"),
            });
        }
    }
    let fix = "restore the older file, set `containerd-config = \"regenerate\"` in the profile, or upgrade containerd";
    let mut found = finding("containerd-schema-too-new", &list, fix);
    let newest = imports.iter().filter_map(|import| import.name.rsplit(' ').next()).max().unwrap_or_default();
    let fix = format!("raise the main file too: `castoff convert --to {newest}`");
    found.extend(finding("containerd-schema-too-new", &imports, &fix));
    found
}

fn import_missing(facts: &Facts) -> Vec<Finding> {
    let list = faults(facts, |name| name.starts_with("imports"));
    finding("containerd-import-missing", &list, "put the file there, or take the entry out of `imports`")
}

fn import_version(facts: &Facts) -> Vec<Finding> {
    let Some(config) = effective(facts) else { return Vec::new() };
    let main = config.parts.first().map_or(0, |part| part.version);
    let odd = config.parts.iter().skip(1).filter(|part| part.version > 0 && part.version != main.max(1));
    let list: Vec<Ineffective> = odd
        .map(|part| Ineffective {
            name: format!("version = {}", part.version),
            origin: Origin::file(&part.path, part.version_line.unwrap_or(1)),
            why: format!("the main file has version {}", main.max(1)),
        })
        .collect();
    finding("containerd-import-version", &list, "nothing to do if the plan converts it; else give both one version")
}

fn setting_ignored(facts: &Facts) -> Vec<Finding> {
    let list = effective(facts).map(|config| config.ineffective()).unwrap_or_default();
    finding("containerd-setting-ignored", &list, "move them to where this release reads them, or take them out")
}

fn setting_removed(facts: &Facts) -> Vec<Finding> {
    let Some(config) = effective(facts) else { return Vec::new() };
    let mut list = config.legacy();
    list.extend(config.registry_tables().into_iter().map(|(table, host)| Ineffective {
        name: format!("registry.{table}.{:?}", host.value),
        origin: host.origin,
        why: "to be dropped in containerd 2.4".to_owned(),
    }));
    finding("containerd-setting-removed", &list, "move them before containerd is upgraded")
}

fn byte_order_mark(facts: &Facts) -> Vec<Finding> {
    let list = faults(facts, |name| name == "byte order mark");
    finding(
        "containerd-byte-order-mark",
        &list,
        "nothing to do for a file that the plan edits; else save it without one",
    )
}

fn plugin_name(facts: &Facts) -> Vec<Finding> {
    let list = faults(facts, |name| name.contains("_plugins: "));
    finding("containerd-plugin-name", &list, "write full names; the plan removes `cri`")
}

fn runtime_undefined(facts: &Facts) -> Vec<Finding> {
    let Some(name) = &facts.containerd.default_runtime else { return Vec::new() };
    // Both 1.x and 2.x know `runc` without a table, 1.x only as long as there is no table at all.
    let handlers = &facts.containerd.handlers;
    if name.value == "runc" || handlers.iter().any(|handler| handler.name == name.value) {
        return Vec::new();
    }
    let one = Ineffective {
        name: format!("default_runtime_name = {:?}", name.value),
        origin: name.origin.clone(),
        why: "no such entry in `runtimes`".to_owned(),
    };
    finding("runtime-undefined", &[one], "add the handler's table, or name one that is there")
}

fn shim_outdated(facts: &Facts) -> Vec<Finding> {
    let old = |shim: &str| matches!(shim, "io.containerd.runtime.v1.linux" | "io.containerd.runc.v1");
    let list: Vec<Ineffective> = facts
        .containerd
        .handlers
        .iter()
        .filter_map(|handler| Some((handler, handler.runtime_type.as_ref()?)))
        .filter(|(_, shim)| old(&shim.value))
        .map(|(handler, shim)| Ineffective {
            name: format!("runtime {}", handler.name),
            origin: shim.origin.clone(),
            why: shim.value.clone(),
        })
        .collect();
    finding("shim-outdated", &list, "the plan replaces it with io.containerd.runc.v2")
}

fn snapshotter_unknown(facts: &Facts) -> Vec<Finding> {
    const KNOWN: [&str; 8] = ["overlayfs", "native", "btrfs", "zfs", "devmapper", "aufs", "blockfile", "erofs"];
    let Some(name) = &facts.containerd.snapshotter else { return Vec::new() };
    let Some(config) = effective(facts) else { return Vec::new() };
    let gone = name.value == "aufs" && config.release().merges_plugins();
    let proxy = config
        .proxy_plugins()
        .iter()
        .any(|(plugin, kind, _)| *plugin == name.value && kind.as_deref().is_none_or(|kind| kind == "snapshot"));
    if name.value.is_empty() || proxy || (KNOWN.contains(&name.value.as_str()) && !gone) {
        return Vec::new();
    }
    let why = if gone { "removed in containerd 2.0" } else { "neither built in nor a proxy plugin" };
    let one = Ineffective {
        name: format!("snapshotter = {:?}", name.value),
        origin: name.origin.clone(),
        why: why.to_owned(),
    };
    finding("snapshotter-unknown", &[one], "name a snapshotter that this containerd has, for example `overlayfs`")
}

fn proxy_plugin_incomplete(facts: &Facts) -> Vec<Finding> {
    let plugins = effective(facts).map(|config| config.proxy_plugins()).unwrap_or_default();
    let list: Vec<Ineffective> = plugins
        .into_iter()
        .filter(|(_, kind, _)| kind.as_deref().is_none_or(str::is_empty))
        .map(|(name, _, origin)| Ineffective { name, origin, why: "no `type`".to_owned() })
        .collect();
    finding("proxy-plugin-incomplete", &list, "give the entry `type` and `address` in one file")
}

fn config_path_list(facts: &Facts) -> Vec<Finding> {
    let release = version(facts.containerd.version.as_ref()).unwrap_or_default();
    let named = facts.containerd.registry_config_path.as_ref();
    let misread = release >= (2, 1) && !facts.registry.local_pull;
    let named = named.filter(|path| path.value.contains(':') && misread);
    let one = match named {
        Some(path) => Ineffective {
            name: format!("config_path = {:?}", path.value),
            origin: path.origin.clone(),
            why: "taken for one directory".to_owned(),
        },
        None if release >= (2, 2) && facts.registry.is_left_to_default() => Ineffective {
            name: "config_path".to_owned(),
            origin: Origin::default_of("containerd"),
            why: format!("not set, and the list {CERTS_D}:{DOCKER_CERTS_D} is taken for one directory"),
        },
        None => return Vec::new(),
    };
    finding("registry-config-path-list", &[one], "the plan names one of them; see that it holds what is needed")
}

#[cfg(test)]
#[path = "containerd_config_tests.rs"]
mod tests;
