use super::*;
use crate::model::{KubeletSetting, RuntimeKind};

fn node(version: &str, settings: &[(&str, &str)], flags: &[(&str, &str)]) -> Facts {
    let mut facts = Facts::empty(true);
    let kubelet = &mut facts.kubelet;
    kubelet.installed = true;
    kubelet.version = Some(Sourced::new(version.into(), Origin::default_of("x")));
    kubelet.runtime = Some(Sourced::new(RuntimeKind::Dockershim, Origin::default_of("kubelet")));
    kubelet.settings = settings
        .iter()
        .map(|(key, value)| KubeletSetting {
            key: (*key).into(),
            value: (*value).into(),
            origin: Origin::file("/var/lib/kubelet/config.yaml", 1),
        })
        .collect();
    kubelet.flags = flags
        .iter()
        .map(|(name, value)| KubeletFlag {
            name: (*name).into(),
            value: (*value).into(),
            origin: Origin::env_file("/etc/default/kubelet", 1),
            variable: None,
        })
        .collect();
    facts
}

fn ids(facts: &Facts) -> Vec<String> {
    CHECKS.iter().filter_map(|check| check.run).flat_map(|run| run(facts)).map(|finding| finding.id).collect()
}

#[test]
fn pinned_cpus_and_their_state_are_seen() {
    let mut facts = node("1.22.0", &[("cpuManagerPolicy", "static")], &[]);
    assert_eq!(ids(&facts), ["static-cpu-policy"]);
    let state =
        |policy: &str| Some(Sourced::new(policy.to_owned(), Origin::path("/var/lib/kubelet/cpu_manager_state")));
    facts.kubelet.cpu_manager_state = state("static");
    assert_eq!(ids(&facts), ["static-cpu-policy"]);
    facts.kubelet.cpu_manager_state = state("none");
    assert_eq!(ids(&facts), ["static-cpu-policy", "cpu-manager-state-mismatch"]);
    facts = node("1.22.0", &[("memoryManagerPolicy", "Static")], &[]);
    facts.kubelet.cpu_manager_state = state("none");
    facts.kubelet.memory_manager_state = state("Static");
    assert_eq!(ids(&facts), ["static-cpu-policy"]);
    facts.kubelet.memory_manager_state = state("None");
    assert_eq!(ids(&facts), ["static-cpu-policy", "memory-manager-state-mismatch"]);
    facts.kubelet.settings.clear();
    assert!(ids(&facts).is_empty());
}

#[test]
fn flags_are_judged_by_release() {
    let flags = [("container-runtime", "remote"), ("pod-infra-container-image", "x"), ("network-plugin", "cni")];
    for (version, expected) in [
        ("1.23.1", &["kubelet-flags-next-release"][..]),
        ("1.26.1", &["kubelet-flag-fatal", "kubelet-flags-next-release"]),
        ("1.35.0", &["kubelet-flag-fatal"]),
    ] {
        let facts = node(version, &[], &flags);
        assert_eq!(ids(&facts), expected, "{version}");
    }
    let facts = node("1.26.1", &[], &flags);
    let fatal = flag_fatal(&facts);
    assert!(fatal[0].summary.ends_with("--network-plugin"), "{}", fatal[0].summary);
}

#[test]
fn a_beaten_endpoint_is_told_only_where_it_differs() {
    let mut facts = node("1.29.0", &[("containerRuntimeEndpoint", "unix:///run/containerd/containerd.sock")], &[]);
    let mut beaten = facts.kubelet.settings.clone();
    beaten[0].value = "unix:///var/run/containerd/containerd.sock".into();
    facts.kubelet.shadowed = beaten.clone();
    assert!(ids(&facts).is_empty());
    beaten[0].value = "unix:///run/cri-dockerd.sock".into();
    facts.kubelet.shadowed = beaten;
    assert_eq!(ids(&facts), ["kubelet-endpoint-shadowed"]);
}

#[test]
fn secrets_of_the_command_line_stay_out_of_findings() {
    let mut facts = node("1.29.0", &[], &[]);
    facts.kubelet.command_line = Some(Sourced::new(Vec::new(), Origin::process("/proc/1/cmdline")));
    facts.kubelet.changed_since_start = vec!["--manifest-url=https://u:hunter2@h/x".into()];
    let finding = restart_pending(&facts).remove(0);
    assert!(!finding.cause.contains("hunter2"), "{}", finding.cause);
}
