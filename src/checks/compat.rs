//! Findings about what goes together: kubelet, containerd, kernel, systemd, cgroup mode, CNI, AppArmor.

use super::{matrix, on_docker};
use crate::{
    formats::containerd::{ContainerdConfig, Release},
    model::{CNI_BIN_DIRS, CgroupMode, Facts, Finding, Severity, Sourced},
};
use matrix::Version;

mod infos;

pub use infos::CHECKS;

fn version(of: Option<&Sourced<String>>) -> Option<(Version, &Sourced<String>)> {
    let of = of?;
    Some((matrix::version(&of.value)?, of))
}

fn kubelet(facts: &Facts) -> Option<(Version, &Sourced<String>)> {
    version(facts.kubelet.version.as_ref()).filter(|_| facts.kubelet.installed)
}

fn containerd(facts: &Facts) -> Option<(Version, &Sourced<String>)> {
    version(facts.containerd.version.as_ref()).filter(|_| facts.containerd.installed)
}

fn is_v1(facts: &Facts) -> Option<&Sourced<CgroupMode>> {
    facts.cgroup.mode.as_ref().filter(|mode| mode.value != CgroupMode::Unified)
}

pub fn cgroup_v1_refused(facts: &Facts) -> Vec<Finding> {
    let (Some(mode), Some((version, kubelet))) = (is_v1(facts), kubelet(facts)) else { return Vec::new() };
    let setting = facts.kubelet.setting("failCgroupV1");
    if version.1 < matrix::CGROUP_V1_REFUSED || setting.is_some_and(|setting| setting.value == false) {
        return Vec::new();
    }
    let summary = format!("kubelet {} refuses to start on cgroup v1", kubelet.value);
    let finding = Finding::new("cgroup-v1-refused", Severity::Block, summary)
        .cause(format!("the cgroup mode is {}, and `failCgroupV1` is not false", mode.value))
        .fix("boot with cgroup v2 (`systemd.unified_cgroup_hierarchy=1`), or set `failCgroupV1: false` for the time being")
        .at(mode.origin.clone())
        .at(kubelet.origin.clone());
    vec![match setting {
        Some(setting) => finding.at(setting.origin.clone()),
        None => finding,
    }]
}

pub fn cgroup_v1_ends(facts: &Facts) -> Vec<Finding> {
    let Some(mode) = is_v1(facts) else { return Vec::new() };
    if !cgroup_v1_refused(facts).is_empty() || !facts.kubelet.installed {
        return Vec::new();
    }
    let systemd = facts.node.systemd.as_ref().and_then(|version| matrix::systemd(&version.value));
    let boots = systemd.is_none_or(|version| version < matrix::SYSTEMD_WITHOUT_V1);
    let cause = if boots {
        "kubelet 1.35 and later refuse it by default, containerd 2.2 and Docker 29 deprecate it, systemd 258 cannot boot it"
    } else {
        "this systemd cannot boot it any more: the next boot is one with cgroup v2, and with other cgroup defaults"
    };
    vec![
        Finding::new("cgroup-v1-ends", Severity::Note, format!("this node runs with cgroup v1 ({})", mode.value))
            .cause(cause)
            .fix("plan a boot with cgroup v2 before the next upgrades; not at the same time as this migration")
            .at(mode.origin.clone()),
    ]
}

/// Up to 1.2 containerd reads files of version 1 only; it passes over another version and over plugins by their new names.
fn knows_no_version_2(facts: &Facts) -> Option<Finding> {
    let containerd = facts.containerd.version.as_ref().filter(|_| facts.containerd.installed)?;
    let reads = Release::parse(&containerd.value)?.newest_schema();
    let finding = || {
        let summary = format!("containerd {} reads none of the files that castoff writes for it", containerd.value);
        Finding::new("containerd-too-old", Severity::Block, summary)
            .cause("up to 1.2 it knows version 1 of its configuration only, and ignores CRI's settings in any other")
            .fix("upgrade containerd first, to 1.6 or 1.7")
            .at(containerd.origin.clone())
    };
    (reads < 2 && facts.kubelet.installed).then(finding)
}

pub fn containerd_too_old(facts: &Facts) -> Vec<Finding> {
    if let Some(finding) = knows_no_version_2(facts) {
        return vec![finding];
    }
    let (Some((k, kubelet)), Some((c, containerd))) = (kubelet(facts), containerd(facts)) else { return Vec::new() };
    if k.1 < matrix::RUNTIME_CONFIG_REQUIRED || c >= (2, 0, 0) {
        return Vec::new();
    }
    let summary = format!("kubelet {} needs containerd 2.0 or later, this is {}", kubelet.value, containerd.value);
    vec![
        Finding::new("containerd-too-old", Severity::Block, summary)
            .cause("it asks the runtime for its cgroup driver (RuntimeConfig), which containerd 1.x does not answer")
            .fix("upgrade containerd first")
            .at(kubelet.origin.clone())
            .at(containerd.origin.clone()),
    ]
}

pub fn containerd_untested(facts: &Facts) -> Vec<Finding> {
    let (Some((k, kubelet)), Some((c, containerd))) = (kubelet(facts), containerd(facts)) else { return Vec::new() };
    let Some(tested) = matrix::untested(k, c) else { return Vec::new() };
    let summary = format!("containerd {} is not among those tested with Kubernetes 1.{}", containerd.value, k.1);
    vec![
        Finding::new("containerd-untested", Severity::Note, summary)
            .cause(format!("containerd's own table names {}", matrix::shown(tested)))
            .fix("upgrade containerd when there is time")
            .at(kubelet.origin.clone())
            .at(containerd.origin.clone()),
    ]
}

/// Red Hat's release 7 and its rebuilds, whose systemd 219 has much of later releases patched in.
fn is_el7(facts: &Facts) -> bool {
    let kernel = facts.node.kernel.as_ref().is_some_and(|kernel| kernel.value.contains(".el7"));
    let id = facts.node.os_id.as_ref().map(|id| id.value.as_str());
    kernel || matches!(id, Some("centos" | "rhel" | "ol" | "scientific"))
}

pub fn systemd_too_old(facts: &Facts) -> Vec<Finding> {
    let Some(systemd) = &facts.node.systemd else { return Vec::new() };
    let Some(version) = matrix::systemd(&systemd.value) else { return Vec::new() };
    let unified = facts.cgroup.mode.as_ref().is_some_and(|mode| mode.value == CgroupMode::Unified);
    let cause = if version < matrix::TRANSIENT_SLICES && !is_el7(facts) {
        "it makes no transient slices, so kubelet cannot make kubepods.slice with the cgroup driver systemd (228 or later)"
    } else if unified && version < matrix::CPUSET_DELEGATED {
        "on cgroup v2 it does not delegate the cpuset controller to containers (244 or later)"
    } else {
        return Vec::new();
    };
    vec![
        Finding::new("systemd-too-old", Severity::Warn, format!("systemd {} is old for containers", systemd.value))
            .cause(cause)
            .fix("upgrade the distribution before the migration")
            .at(systemd.origin.clone()),
    ]
}

/// True when both switches are off in containerd's file.
fn unprivileged_off(facts: &Facts) -> bool {
    let path = facts.containerd.config_path.as_ref().map(|path| path.value.as_str()).unwrap_or_default();
    let Some(text) = facts.texts.get(path).filter(|text| ContainerdConfig::parse(text).is_ok()) else { return false };
    let off = |key: &str| {
        text.lines().any(|line| line.split_once('=').is_some_and(|(k, v)| k.trim() == key && v.trim() == "false"))
    };
    off("enable_unprivileged_ports") && off("enable_unprivileged_icmp")
}

pub fn kernel_too_old(facts: &Facts) -> Vec<Finding> {
    let Some((version, kernel)) = version(facts.node.kernel.as_ref()) else { return Vec::new() };
    let unified = facts.cgroup.mode.as_ref().is_some_and(|mode| mode.value == CgroupMode::Unified);
    let second = containerd(facts).is_some_and(|(version, _)| version >= (2, 0, 0));
    let (least, good) = matrix::CGROUP2_KERNEL;
    let (severity, cause) = if second && version < matrix::UNPRIVILEGED_KERNEL && !unprivileged_off(facts) {
        (
            Severity::Block,
            "containerd 2.x lets pods use low ports and ping without privileges, which needs 4.11; its CRI plugin refuses to load",
        )
    } else if unified && version < least {
        (Severity::Block, "on cgroup v2, devices cannot be kept from containers before 4.15")
    } else if unified && version < good {
        (Severity::Warn, "on cgroup v2 there is no freezer before 5.2: pausing and killing containers is not reliable")
    } else {
        return Vec::new();
    };
    let fix = if second && !unified {
        "set enable_unprivileged_ports and enable_unprivileged_icmp to false, or use containerd 1.7, or a newer kernel"
    } else {
        "boot a newer kernel, or boot with cgroup v1"
    };
    vec![
        Finding::new("kernel-too-old", severity, format!("the kernel {} is old for this setup", kernel.value))
            .cause(cause)
            .fix(fix)
            .at(kernel.origin.clone()),
    ]
}

pub fn apparmor_stops_runc(facts: &Facts) -> Vec<Finding> {
    let (Some(profile), Some((version, containerd))) = (&facts.node.state.runc_profile, containerd(facts)) else {
        return Vec::new();
    };
    if !matrix::apparmor_stops_runc(version) {
        return Vec::new();
    }
    let summary = format!("AppArmor keeps runc from stopping pods of containerd {}", containerd.value);
    vec![
        Finding::new("apparmor-stops-runc", Severity::Warn, summary)
            .cause(format!(
                "{} has a profile of its own, whose signals containerd's template does not allow",
                profile.value
            ))
            .fix("upgrade containerd (1.6.32, 1.7.16 or later), or disable that profile")
            .at(profile.origin.clone())
            .at(containerd.origin.clone()),
    ]
}

pub fn cni_version_trap(facts: &Facts) -> Vec<Finding> {
    let Some((version, containerd)) = containerd(facts) else { return Vec::new() };
    if !matrix::cni_version_trap(version) {
        return Vec::new();
    }
    let said = facts.cni.version.as_ref().map_or("no version", |version| version.value.as_str());
    let finding = Finding::new(
        "cni-version-trap",
        Severity::Warn,
        format!("containerd {} has trouble with older CNI plugins", containerd.value),
    )
    .cause(format!("its loopback network is for CNI 1.0.0; this node's configuration says {said}"))
    .fix("upgrade containerd to 1.6.4 or later, or the CNI plugins to 1.0 or later")
    .at(containerd.origin.clone());
    vec![match &facts.cni.version {
        Some(version) => finding.at(version.origin.clone()),
        None => finding,
    }]
}

pub fn cni_plugin_missing(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) {
        return Vec::new();
    }
    let Some(config) = &facts.cni.config else { return Vec::new() };
    let configured = super::effective(facts).map(|joined| joined.cni_bin_dirs()).unwrap_or_default();
    let configured: Vec<&str> = configured.iter().map(|dir| dir.value.as_str()).collect();
    let release = facts.containerd.version.as_ref().and_then(|version| Release::parse(&version.value));
    let told = facts.cni_bin_dir(&configured, release.is_some_and(Release::has_cni_dir_list));
    // Where nothing is to be told, one of the directories that may be containerd's own lacks no more than the other.
    let dirs: Vec<&str> = match (&told, &configured[..]) {
        (Some(dir), [] | [_]) => vec![dir],
        (Some(dir), list) => std::iter::once(dir.as_str()).chain(list.iter().copied()).collect(),
        (None, []) => CNI_BIN_DIRS[..1].to_vec(),
        (None, list) => list.to_vec(),
    };
    // dockershim wanted them as containerd does; one of Calico's and Cilium's installers may bring some later.
    let missing = facts.cni.lacking(&dirs);
    if missing.is_empty() || facts.cni.plugins.is_empty() && !facts.live {
        return Vec::new();
    }
    vec![
        Finding::new("cni-plugin-missing", Severity::Warn, format!("CNI plugins are missing: {}", missing.join(", ")))
            .cause(format!("they are called for every pod; containerd will look for them in {}", dirs.join(", ")))
            .fix("install them there (packages kubernetes-cni or containernetworking-plugins) unless a pod here does")
            .at(config.origin.clone()),
    ]
}

pub fn cni_several_configs(facts: &Facts) -> Vec<Finding> {
    let (Some(config), [_, ..]) = (&facts.cni.config, facts.cni.others.as_slice()) else { return Vec::new() };
    if !on_docker(facts) {
        return Vec::new();
    }
    vec![
        Finding::new(
            "cni-several-configs",
            Severity::Note,
            format!("of several CNI configurations {} wins", config.value),
        )
        .cause(format!("the lexically first one is used; ignored: {}", facts.cni.others.join(", ")))
        .fix("remove what is left over from another network")
        .at(config.origin.clone()),
    ]
}

#[cfg(test)]
#[path = "compat/tests.rs"]
mod tests;
