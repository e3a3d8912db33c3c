use super::*;
use crate::model::{KubeletSetting, Origin, RuntimeKind};

/// kubelet, containerd, kernel, systemd, cgroup mode.
fn node(kubelet: &str, containerd: &str, kernel: &str, systemd: &str, mode: CgroupMode) -> Facts {
    let mut facts = Facts::empty(true);
    let known = |value: &str| Some(Sourced::new(value.to_owned(), Origin::kernel("test")));
    facts.kubelet.installed = true;
    facts.kubelet.version = known(kubelet);
    facts.kubelet.runtime = Some(Sourced::new(RuntimeKind::CriDockerd, Origin::default_of("kubelet")));
    facts.containerd.installed = true;
    facts.containerd.version = known(containerd);
    facts.node.kernel = known(kernel);
    facts.node.systemd = known(systemd);
    facts.cgroup.mode = Some(Sourced::new(mode, Origin::kernel("/sys/fs/cgroup")));
    facts
}

fn modern() -> Facts {
    node("1.34.2", "2.1.9", "6.1.0-17-amd64", "252.22-1~deb12u1", CgroupMode::Unified)
}

fn ids(facts: &Facts) -> Vec<String> {
    CHECKS.iter().filter_map(|check| check.run).flat_map(|run| run(facts)).map(|finding| finding.id).collect()
}

#[test]
fn a_modern_node_has_nothing_to_hear() {
    assert!(ids(&modern()).is_empty());
}

#[test]
fn cgroup_v1_is_refused_from_1_35_on() {
    for (kubelet, mode, found) in [
        ("1.34.9", CgroupMode::Hybrid, "cgroup-v1-ends"),
        ("1.35.0", CgroupMode::Hybrid, "cgroup-v1-refused"),
        ("1.35.0", CgroupMode::Legacy, "cgroup-v1-refused"),
    ] {
        let facts = node(kubelet, "2.2.1", "6.1.0", "252", mode);
        assert_eq!(ids(&facts), [found], "{kubelet} {mode}");
    }
    assert!(ids(&node("1.35.0", "2.2.1", "6.1.0", "252", CgroupMode::Unified)).is_empty());
    let mut facts = node("1.35.0", "2.2.1", "6.1.0", "252", CgroupMode::Legacy);
    let origin = Origin::file("/etc/kubernetes/kubelet.conf.d/10-v1.conf", 3);
    let mut setting = KubeletSetting { key: "failCgroupV1".to_owned(), value: false.into(), origin };
    facts.kubelet.settings = vec![setting.clone()];
    assert_eq!(ids(&facts), ["cgroup-v1-ends"]);
    setting.value = true.into();
    facts.kubelet.settings = vec![setting];
    assert_eq!(ids(&facts), ["cgroup-v1-refused"]);
}

#[test]
fn versions_that_do_not_go_together() {
    for (kubelet, containerd, found) in [
        ("1.38.0", "1.7.34", &["containerd-too-old"][..]),
        ("1.37.0", "1.7.34", &[]),
        ("1.38.0", "2.0.0", &[]),
        ("1.32.0", "1.7.23", &["containerd-untested"]),
        ("1.20.0", "1.2.13", &["containerd-too-old"]),
        ("1.20.0", "1.3.0", &[]),
        ("1.24.0", "1.6.3", &["cni-version-trap"]),
        ("1.24.0", "1.6.4", &[]),
    ] {
        assert_eq!(
            ids(&node(kubelet, containerd, "6.1.0", "252", CgroupMode::Unified)),
            found,
            "{kubelet} {containerd}"
        );
    }
}

#[test]
fn old_kernels_and_systemds() {
    let (v1, v2) = (CgroupMode::Legacy, CgroupMode::Unified);
    for (containerd, kernel, systemd, mode, found) in [
        ("1.6.28", "3.10.0-1160.el7.x86_64", "219", v1, None),
        ("1.6.28", "3.10.0-1160.lt.x86_64", "219", v1, Some(("systemd-too-old", Severity::Warn))),
        ("1.6.28", "4.15.0-20-generic", "227", v1, Some(("systemd-too-old", Severity::Warn))),
        ("1.6.28", "4.15.0-20-generic", "228", v1, None),
        ("2.1.9", "3.10.0-1160.el7.x86_64", "219", v1, Some(("kernel-too-old", Severity::Block))),
        ("2.1.9", "4.10.0", "237", v1, Some(("kernel-too-old", Severity::Block))),
        ("2.1.9", "4.11.0", "237", v1, None),
        ("1.7.24", "4.14.0", "244", v2, Some(("kernel-too-old", Severity::Block))),
        ("1.7.24", "4.15.0", "244", v2, Some(("kernel-too-old", Severity::Warn))),
        ("1.7.24", "5.2.0", "244", v2, None),
        ("1.7.24", "5.2.0", "243", v2, Some(("systemd-too-old", Severity::Warn))),
    ] {
        let facts = node("1.31.0", containerd, kernel, systemd, mode);
        let found_now = systemd_too_old(&facts).into_iter().chain(kernel_too_old(&facts)).next();
        let row = found_now.as_ref().map(|finding| (finding.id.as_str(), finding.severity));
        assert_eq!(row, found, "{containerd} {kernel} {systemd}");
    }
    let mut facts = node("1.31.0", "2.1.9", "4.10.0", "237", v1);
    facts.containerd.config_path = Some(Sourced::new("/c".to_owned(), Origin::default_of("containerd")));
    let off = "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\nenable_unprivileged_ports = false\nenable_unprivileged_icmp = false\n";
    facts.texts.insert("/c".to_owned(), off.to_owned());
    assert!(kernel_too_old(&facts).is_empty(), "both are off");
}

#[test]
fn runc_with_a_profile() {
    let mut facts = node("1.30.0", "1.7.12", "6.8.0-31-generic", "255.4", CgroupMode::Unified);
    assert!(ids(&facts).is_empty());
    let profile = Sourced::new("/usr/sbin/runc".to_owned(), Origin::path("/etc/apparmor.d/runc"));
    facts.node.state.runc_profile = Some(profile);
    assert_eq!(ids(&facts), ["apparmor-stops-runc"]);
    facts.containerd.version = Some(Sourced::new("1.7.16".to_owned(), Origin::kernel("test")));
    assert!(ids(&facts).is_empty());
}

#[test]
fn cni_lacks_what_it_calls() {
    let mut facts = modern();
    facts.cni.config = Some(Sourced::new("/etc/cni/net.d/10-x.conflist".to_owned(), Origin::path("x")));
    facts.cni.calls = vec!["bridge".to_owned(), "host-local".to_owned()];
    let there = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    facts.cni.plugins.insert("/opt/cni/bin".to_owned(), there(&["bridge", "loopback"]));
    assert_eq!(cni_plugin_missing(&facts)[0].summary, "CNI plugins are missing: host-local");
    facts.cni.plugins.insert("/usr/lib/cni".to_owned(), there(&["host-local"]));
    assert_eq!(cni_plugin_missing(&facts).len(), 1, "containerd looks into one of the directories");
    facts.cni.plugins.insert("/srv/cni".to_owned(), there(&["bridge", "host-local", "loopback"]));
    assert!(cni_plugin_missing(&facts).is_empty());
    facts.cni.others = there(&["/etc/cni/net.d/87-podman.conflist"]);
    assert_eq!(cni_several_configs(&facts).len(), 1);
}
