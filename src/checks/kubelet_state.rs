//! Findings about how kubelet is configured and what its state holds: what each means, and how it is found in facts.

use super::{CheckInfo, on_docker, version};
use crate::{
    formats::kubelet_flags,
    model::{CgroupDriver, Facts, Finding, KubeletFlag, Origin, Severity, Sourced, same_endpoint},
};

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "kubelet-wrapper",
        severity: Severity::Block,
        summary: "kubelet is started by a script, whose flags castoff cannot change",
        explanation: "kubelet.service starts a shell, a script or another program that starts kubelet. Its flags are in \
            that script, or made by it, so castoff can neither see all of them nor change them safely. Let the unit start \
            kubelet itself (`ExecStart=/usr/bin/kubelet $KUBELET_EXTRA_ARGS`), then plan again. With \
            `--skip-check kubelet-wrapper` castoff does everything but kubelet's flags, which you then change in the script.",
        run: Some(kubelet_wrapper),
    },
    CheckInfo {
        id: "kubelet-restart-pending",
        severity: Severity::Warn,
        summary: "kubelet runs with other flags than its files give it",
        explanation: "The command line of the process differs from what unit, drop-ins and environment files amount to: \
            they were changed after kubelet started, or variables come from somewhere else (systemd's own environment). \
            What runs tells castoff what the node's pods run on today; what the files say is what the plan changes, and \
            what kubelet gets at its next start, migration or not. Look at both before you go on.",
        run: Some(restart_pending),
    },
    CheckInfo {
        id: "kubelet-flag-fatal",
        severity: Severity::Warn,
        summary: "kubelet has a flag its release refuses to start with",
        explanation: "kubelets die of unknown flags: those of dockershim (`--network-plugin`, `--cni-*`, \
            `--docker-*`) from 1.24 on, `--container-runtime` from 1.27 on, `--pod-infra-container-image` from 1.35 on. A \
            migration removes them wherever they stand; `--goal cgroup-driver` does not touch them.",
        run: Some(flag_fatal),
    },
    CheckInfo {
        id: "kubelet-flags-next-release",
        severity: Severity::Note,
        summary: "kubelet has flags that a later release refuses to start with",
        explanation: "They are right for the installed release and stay. Before kubelet is upgraded to the release named, \
            they must go: `--container-runtime` before 1.27, `--pod-infra-container-image` before 1.35. Run `castoff plan` \
            after the package is upgraded and before kubelet is restarted: it removes them.",
        run: Some(flags_next_release),
    },
    CheckInfo {
        id: "kubelet-endpoint-shadowed",
        severity: Severity::Warn,
        summary: "a flag beats what kubelet's configuration file says",
        explanation: "Flags always win over KubeletConfiguration. Here the file names one endpoint or cgroup driver and a \
            flag another, so the file misleads whoever reads it, and the node changes when somebody tidies up the flags. A \
            plan removes the flag where it stands, and sets the file.",
        run: Some(endpoint_shadowed),
    },
    CheckInfo {
        id: "kubelet-endpoint-ignored",
        severity: Severity::Warn,
        summary: "kubelet's file holds fields that its release ignores",
        explanation: "KubeletConfiguration is read leniently: a field that a release does not know is ignored without an \
            error. `containerRuntimeEndpoint` and `imageServiceEndpoint` exist from 1.27 on; up to 1.26 only the flags \
            count, and castoff sets those.",
        run: Some(endpoint_ignored),
    },
    CheckInfo {
        id: "kubelet-config-invalid",
        severity: Severity::Warn,
        summary: "a drop-in of kubelet's configuration lacks its version and kind",
        explanation: "Every `*.conf` file below `--config-dir` must name `apiVersion: kubelet.config.k8s.io/v1beta1` and \
            `kind: KubeletConfiguration`. kubelet does not start with one that does not; when it runs, the file came later.",
        run: None,
    },
    CheckInfo {
        id: "cgroup-driver-from-runtime",
        severity: Severity::Note,
        summary: "kubelet takes its cgroup driver from containerd, not from its file",
        explanation: "kubelet from 1.31 on asks its runtime for the cgroup driver (CRI RuntimeConfig), and containerd from \
            2.0 on answers. Then `cgroupDriver` in kubelet's file counts for nothing: `SystemdCgroup` in containerd's \
            configuration decides, and without it containerd answers cgroupfs. castoff sets both to systemd.",
        run: Some(driver_from_runtime),
    },
    CheckInfo {
        id: "static-cpu-policy",
        severity: Severity::Warn,
        summary: "kubelet pins CPUs or memory, and keeps a state file of it",
        explanation: "With `cpuManagerPolicy: static` or `memoryManagerPolicy: Static` kubelet keeps cpu_manager_state and \
            memory_manager_state in its directory and refuses to start when they do not fit the pods or the policy. Drain \
            the node first. If kubelet does not start afterwards and its journal names such a file, move that file away and \
            start kubelet again; pods then get their CPUs anew.",
        run: Some(static_policy),
    },
    CheckInfo {
        id: "cpu-manager-state-mismatch",
        severity: Severity::Block,
        summary: "kubelet will not start again: its CPU policy is not the one in its state",
        explanation: "cpu_manager_state holds the name of the policy it was written under, and kubelet refuses to start \
            under another one (\"configured policy differs from state checkpoint policy\"). A migration restarts kubelet. \
            Drain the node, move the file away, and plan again.",
        run: Some(cpu_state_mismatch),
    },
    CheckInfo {
        id: "memory-manager-state-mismatch",
        severity: Severity::Block,
        summary: "kubelet will not start again: its memory policy is not the one in its state",
        explanation: "memory_manager_state holds the name of the policy it was written under, and kubelet refuses to start \
            under another one (\"configured policy differs from state checkpoint policy\"), as when `memoryManagerPolicy` was \
            changed and kubelet has not been restarted since. A migration restarts kubelet. Drain the node, move the file away, \
            and plan again.",
        run: Some(memory_state_mismatch),
    },
    CheckInfo {
        id: "kubelet-cgroup-root",
        severity: Severity::Warn,
        summary: "kubelet names cgroups that must exist under systemd's names",
        explanation: "Under the cgroupfs driver `cgroupRoot`, `kubeReservedCgroup` and `systemReservedCgroup` are plain \
            paths; under the systemd driver they are slices (`/kube` is kube.slice) and must exist when kubelet starts. Make \
            those slices, or change the settings, before the driver changes.",
        run: Some(cgroup_root),
    },
    CheckInfo {
        id: "kubepods-leftover",
        severity: Severity::Note,
        summary: "empty cgroups of the old driver stay until the node is rebooted",
        explanation: "Under cgroupfs pods live below /kubepods, under systemd below kubepods.slice. When the driver changes, \
            the old tree is left behind, empty. It does no harm; a reboot removes it.",
        run: Some(kubepods_leftover),
    },
    CheckInfo {
        id: "kubelet-unit-copied",
        severity: Severity::Note,
        summary: "kubelet.service is copied to /etc to change what it requires",
        explanation: "systemd cannot take back a `Requires=` or `BindsTo=` in a drop-in. Where a package's kubelet.service \
            requires Docker, castoff puts a copy into /etc/systemd/system with containerd.service in that place. A copy \
            hides later changes of the package; `castoff rollback` removes it.",
        run: None,
    },
    CheckInfo {
        id: "kubeadm-cri-socket",
        severity: Severity::Warn,
        summary: "kubeadm's note of this node's endpoint in the cluster must follow",
        explanation: "kubeadm keeps each node's endpoint in the annotation kubeadm.alpha.kubernetes.io/cri-socket of the node \
            object, and `kubeadm upgrade node` and `kubeadm reset` use it. Where the API server answers while castoff plans, \
            a step changes it; here it did not, so run the `kubectl annotate` that is named when the node is back. \
            From kubeadm 1.34 on the endpoint is in /var/lib/kubelet/instance-config.yaml instead, which castoff edits.",
        run: None,
    },
    CheckInfo {
        id: "kubeadm-cgroup-driver",
        severity: Severity::Warn,
        summary: "kubeadm's configuration of all kubelets may still say cgroupfs",
        explanation: "`kubeadm upgrade node` writes the ConfigMap kube-system/kubelet-config (kubelet-config-1.NN up to 1.23) \
            over /var/lib/kubelet/config.yaml. As long as it says `cgroupDriver: cgroupfs`, or nothing with a kubeadm before \
            1.22, the next upgrade takes this node back to cgroupfs. Change it once for the cluster, when all nodes are moved.",
        run: None,
    },
];

fn kubelet_wrapper(facts: &Facts) -> Vec<Finding> {
    let Some(wrapper) = &facts.kubelet.wrapper else { return Vec::new() };
    let summary = format!("kubelet is started by {}, whose flags castoff cannot change", wrapper.value);
    vec![
        Finding::new("kubelet-wrapper", Severity::Block, summary)
            .cause("the unit's ExecStart= does not start kubelet itself")
            .fix("let the unit start kubelet itself, with its flags in ExecStart= or an EnvironmentFile=")
            .at(wrapper.origin.clone()),
    ]
}

fn restart_pending(facts: &Facts) -> Vec<Finding> {
    let changed = &facts.kubelet.changed_since_start;
    let Some(live) = facts.kubelet.command_line.as_ref().filter(|_| !changed.is_empty()) else { return Vec::new() };
    let shown: Vec<&str> = changed.iter().take(6).map(String::as_str).collect();
    let more =
        if changed.len() > shown.len() { format!(" and {} more", changed.len() - shown.len()) } else { String::new() };
    vec![
        Finding::new("kubelet-restart-pending", Severity::Warn, "kubelet runs with other flags than its files give it")
            .cause(format!("it runs with {}{more}", shown.join(", ")))
            .fix("look at what changed; the next start of kubelet, migration or not, follows the files")
            .at(live.origin.clone()),
    ]
}

fn flags_with<'f>(
    facts: &'f Facts,
    wanted: impl Fn((u32, u32), (u32, u32)) -> bool + 'f,
) -> Vec<(&'f KubeletFlag, (u32, u32))> {
    let Some(release) = version(facts.kubelet.version.as_ref()) else { return Vec::new() };
    let flags = facts.kubelet.flags.iter();
    flags
        .filter_map(|flag| Some((flag, kubelet_flags::fatal_from(&flag.name)?)))
        .filter(|(_, from)| wanted(release, *from))
        .collect()
}

fn flag_fatal(facts: &Facts) -> Vec<Finding> {
    let found = flags_with(facts, |release, from| release >= from);
    let release = facts.kubelet.version.as_ref().map_or("?", |version| version.value.as_str());
    if found.is_empty() {
        return Vec::new();
    }
    let mut finding = Finding::new(
        "kubelet-flag-fatal",
        Severity::Warn,
        format!("kubelet {release} refuses to start with {}", names(&found)),
    )
    .fix("`castoff plan` removes them where they stand");
    finding.origins = found.iter().map(|(flag, _)| flag.origin.clone()).collect();
    vec![finding]
}

fn names(flags: &[(&KubeletFlag, (u32, u32))]) -> String {
    let mut names: Vec<String> = flags.iter().map(|(flag, _)| format!("--{}", flag.name)).collect();
    names.dedup();
    names.join(", ")
}

fn flags_next_release(facts: &Facts) -> Vec<Finding> {
    let mut found = flags_with(facts, |release, from| release < from);
    // Those of dockershim go anyway.
    found.retain(|(flag, _)| !kubelet_flags::docker_only(&flag.name));
    let Some(first) = found.iter().map(|(_, from)| *from).min() else { return Vec::new() };
    let mut finding = Finding::new(
        "kubelet-flags-next-release",
        Severity::Note,
        format!("kubelet {}.{} will refuse to start with {}", first.0, first.1, names(&found)),
    )
    .cause("the installed release still takes them")
    .fix("plan again after kubelet's package is upgraded, before kubelet is restarted");
    finding.origins = found.iter().map(|(flag, _)| flag.origin.clone()).collect();
    vec![finding]
}

fn endpoint_shadowed(facts: &Facts) -> Vec<Finding> {
    let shadowed = facts.kubelet.shadowed.iter();
    let shadowed =
        shadowed.filter(|setting| matches!(setting.key.as_str(), "containerRuntimeEndpoint" | "cgroupDriver"));
    shadowed
        .filter_map(|beaten| {
            let wins = facts.kubelet.setting(&beaten.key)?;
            let summary = format!("a flag beats {} in kubelet's configuration file", beaten.key);
            let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if same_endpoint(&text(&beaten.value), &text(&wins.value)) {
                return None;
            }
            Some(
                Finding::new("kubelet-endpoint-shadowed", Severity::Warn, summary)
                    .cause(format!("the file says {}, the flag {}", text(&beaten.value), text(&wins.value)))
                    .fix("`castoff plan` removes the flag where it stands when it changes this setting")
                    .at(wins.origin.clone())
                    .at(beaten.origin.clone()),
            )
        })
        .collect()
}

fn endpoint_ignored(facts: &Facts) -> Vec<Finding> {
    let ignored: Vec<_> = facts.kubelet.ignored.iter().filter(|setting| setting.value.as_str() != Some("")).collect();
    if ignored.is_empty() {
        return Vec::new();
    }
    let keys: Vec<&str> = ignored.iter().map(|setting| setting.key.as_str()).collect();
    let release = facts.kubelet.version.as_ref().map_or("?", |version| version.value.as_str());
    let mut finding = Finding::new(
        "kubelet-endpoint-ignored",
        Severity::Warn,
        format!("kubelet {release} ignores {} in its configuration file", keys.join(", ")),
    )
    .cause("the release is older than the field, and says nothing about it")
    .fix("use the flag of the same meaning; castoff does");
    finding.origins = ignored.iter().map(|setting| setting.origin.clone()).collect();
    vec![finding]
}

fn driver_from_runtime(facts: &Facts) -> Vec<Finding> {
    let new = version(facts.kubelet.version.as_ref()).is_some_and(|version| version >= (1, 31))
        && version(facts.containerd.version.as_ref()).is_some_and(|version| version >= (2, 0));
    if !new {
        return Vec::new();
    }
    let origin =
        facts.containerd.version.as_ref().map_or_else(|| Origin::default_of("containerd"), |v| v.origin.clone());
    vec![
        Finding::new(
            "cgroup-driver-from-runtime",
            Severity::Note,
            "kubelet takes its cgroup driver from containerd, not from its file",
        )
        .cause("kubelet from 1.31 on asks, and containerd from 2.0 on answers by SystemdCgroup of its default runtime")
        .at(origin),
    ]
}

fn static_policy(facts: &Facts) -> Vec<Finding> {
    let pins = |key: &str| {
        facts.kubelet.setting(key).filter(|s| s.value.as_str().is_some_and(|v| v.eq_ignore_ascii_case("static")))
    };
    let Some(found) = pins("cpuManagerPolicy").or_else(|| pins("memoryManagerPolicy")) else { return Vec::new() };
    if !on_docker(facts) {
        return Vec::new();
    }
    vec![
        Finding::new("static-cpu-policy", Severity::Warn, "kubelet pins CPUs or memory, and keeps a state file of it")
            .cause(format!("{} is static", found.key))
            .fix("drain the node first; if kubelet does not start, move cpu_manager_state (memory_manager_state) away")
            .at(found.origin.clone()),
    ]
}

fn cpu_state_mismatch(facts: &Facts) -> Vec<Finding> {
    let summary = "kubelet will not start again: its CPU policy is not the one in its state";
    let finding = Finding::new("cpu-manager-state-mismatch", Severity::Block, summary);
    state_mismatch(facts, facts.kubelet.cpu_manager_state.as_ref(), ("cpuManagerPolicy", "none"), finding)
}

/// The memory manager (beta and on since 1.22) names its policies with a capital, and compares them as they are written
/// (`memorymanager/state/state_checkpoint.go`).
fn memory_state_mismatch(facts: &Facts) -> Vec<Finding> {
    let summary = "kubelet will not start again: its memory policy is not the one in its state";
    let finding = Finding::new("memory-manager-state-mismatch", Severity::Block, summary);
    state_mismatch(facts, facts.kubelet.memory_manager_state.as_ref(), ("memoryManagerPolicy", "None"), finding)
}

/// Completes a finding where the state was noted under another policy than kubelet has now.
fn state_mismatch(
    facts: &Facts,
    noted: Option<&Sourced<String>>,
    (key, default): (&str, &str),
    finding: Finding,
) -> Vec<Finding> {
    let configured = facts.kubelet.setting(key);
    let policy = configured.and_then(|setting| setting.value.as_str()).filter(|p| !p.is_empty()).unwrap_or(default);
    let Some(noted) = noted.filter(|noted| noted.value != policy) else { return Vec::new() };
    let path = noted.origin.path.clone().unwrap_or_default();
    let finding = finding
        .cause(format!("the policy is {policy}, and the state was written under {}", noted.value))
        .fix(format!("drain the node, then: mv {path} {path}.old"))
        .at(noted.origin.clone());
    vec![match configured {
        Some(setting) => finding.at(setting.origin.clone()),
        None => finding,
    }]
}

fn changes_driver(facts: &Facts) -> bool {
    facts.kubelet.cgroup_driver.as_ref().is_some_and(|driver| driver.value == CgroupDriver::Cgroupfs)
}

fn cgroup_root(facts: &Facts) -> Vec<Finding> {
    if !changes_driver(facts) {
        return Vec::new();
    }
    let named = ["cgroupRoot", "kubeReservedCgroup", "systemReservedCgroup"].into_iter().filter_map(|key| {
        facts.kubelet.setting(key).filter(|setting| setting.value.as_str().is_some_and(|path| path.len() > 1))
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        return Vec::new();
    }
    let list: Vec<String> =
        named.iter().map(|s| format!("{} {}", s.key, s.value.as_str().unwrap_or_default())).collect();
    let mut finding = Finding::new(
        "kubelet-cgroup-root",
        Severity::Warn,
        "kubelet names cgroups that must exist under systemd's names",
    )
    .cause(list.join(", "))
    .fix("make the slices before the driver changes, or change the settings");
    finding.origins = named.iter().map(|setting| setting.origin.clone()).collect();
    vec![finding]
}

fn kubepods_leftover(facts: &Facts) -> Vec<Finding> {
    let Some(driver) = facts.kubelet.cgroup_driver.as_ref().filter(|_| changes_driver(facts)) else {
        return Vec::new();
    };
    vec![
        Finding::new(
            "kubepods-leftover",
            Severity::Note,
            "empty cgroups of the old driver stay until the node is rebooted",
        )
        .cause("kubelet's cgroup driver changes from cgroupfs to systemd")
        .at(driver.origin.clone()),
    ]
}

#[cfg(test)]
#[path = "kubelet_state_tests.rs"]
mod tests;
