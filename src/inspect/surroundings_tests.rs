#![allow(clippy::disallowed_methods, reason = "it makes file trees to look at")]

use super::*;
use crate::{host::Faults, inspect::inspect, model::Assumptions};
use std::{fs, os::unix::fs::symlink, path::Path};

fn put(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn look(dir: &Path) -> Facts {
    let host = Host::open(dir, &Faults::none()).unwrap();
    inspect(&host, &Assumptions::default(), "unix:///run/containerd/containerd.sock")
}

#[test]
fn only_what_systemd_reads_is_set_at_boot() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    put(dir, "/usr/lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/dockerd\n");
    put(dir, "/etc/sysctl.conf", "net.ipv4.ip_forward=1\n");
    put(dir, "/etc/modules", "overlay\n");
    put(dir, "/etc/sysctl.d/README", "net.ipv4.ip_forward=1\n");
    put(dir, "/etc/modules-load.d/README", "overlay\n");
    let seen = |facts: &Facts| {
        let path = |switch: &KernelSwitch| switch.persisted.as_ref().and_then(|at| at.origin.path.clone());
        let around = &facts.surroundings;
        (path(&around.sysctls["net.ipv4.ip_forward"]), path(&around.modules["overlay"]))
    };
    assert_eq!(seen(&look(dir)), (None, None), "nothing leads to either file");
    symlink("../sysctl.conf", dir.join("etc/sysctl.d/99-sysctl.conf")).unwrap();
    symlink("../modules", dir.join("etc/modules-load.d/modules.conf")).unwrap();
    let linked = (Some("/etc/sysctl.d/99-sysctl.conf".to_owned()), Some("/etc/modules-load.d/modules.conf".to_owned()));
    assert_eq!(seen(&look(dir)), linked);
}
