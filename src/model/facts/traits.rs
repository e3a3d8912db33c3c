//! What a node is made of, in few words: for putting many nodes side by side.

use super::Facts;
use crate::model::Sourced;
use std::{collections::BTreeMap, fmt::Display};

impl Facts {
    /// Versions, drivers and modes by name; what is not known is left out. Names are those of `--assume` where it has them.
    pub fn traits(&self) -> BTreeMap<String, String> {
        fn add<T: Display>(all: &mut BTreeMap<String, String>, name: &str, value: Option<&Sourced<T>>) {
            if let Some(value) = value {
                all.insert(name.to_owned(), value.value.to_string());
            }
        }
        let mut all = BTreeMap::from([("castoff.version".to_owned(), self.tool.clone())]);
        add(&mut all, "os", self.node.os.as_ref());
        add(&mut all, "kernel.version", self.node.kernel.as_ref());
        add(&mut all, "arch", self.node.arch.as_ref());
        add(&mut all, "systemd.version", self.node.systemd.as_ref());
        add(&mut all, "cgroup.mode", self.cgroup.mode.as_ref());
        add(&mut all, "docker.version", self.docker.version.as_ref());
        add(&mut all, "docker.cgroup-driver", self.docker.cgroup_driver.as_ref());
        add(&mut all, "docker.storage-driver", self.docker.storage_driver.as_ref());
        add(&mut all, "containerd.version", self.containerd.version.as_ref());
        add(&mut all, "containerd.config-version", self.containerd.config_version.as_ref());
        add(&mut all, "kubelet.version", self.kubelet.version.as_ref());
        add(&mut all, "kubelet.runtime", self.kubelet.runtime.as_ref());
        add(&mut all, "kubelet.endpoint", self.kubelet.endpoint.as_ref());
        add(&mut all, "kubelet.cgroup-driver", self.kubelet.cgroup_driver.as_ref());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut facts = Facts::empty(false);
        assert_eq!(facts.traits().keys().collect::<Vec<_>>(), ["castoff.version"]);
        facts.docker.version = Some(Sourced::new("24.0.7".to_owned(), Origin::assumed("docker.version")));
        assert_eq!(facts.traits().get("docker.version").map(String::as_str), Some("24.0.7"));
    }
}
