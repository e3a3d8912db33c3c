//! What the user states about a node: `--assume KEY=VALUE`.

use crate::model::{CgroupDriver, CgroupMode};

/// What the user states about a file tree, with `--assume KEY=VALUE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assumptions {
    /// `docker.version`.
    pub docker_version: Option<String>,
    /// `docker.cgroup-driver`.
    pub docker_cgroup_driver: Option<CgroupDriver>,
    /// `containerd.version`.
    pub containerd_version: Option<String>,
    /// `kubelet.version`.
    pub kubelet_version: Option<String>,
    /// `cgroup.mode`.
    pub cgroup_mode: Option<CgroupMode>,
    /// `kernel.version`.
    pub kernel_version: Option<String>,
    /// `systemd.version`.
    pub systemd_version: Option<String>,
}

impl Assumptions {
    /// The keys there are.
    pub const KEYS: [&str; 7] = [
        "docker.version",
        "docker.cgroup-driver",
        "containerd.version",
        "kubelet.version",
        "cgroup.mode",
        "kernel.version",
        "systemd.version",
    ];

    /// Takes one `KEY=VALUE`.
    pub fn set(&mut self, pair: &str) -> Result<(), String> {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        let version = || {
            let plain = value.strip_prefix('v').unwrap_or(value);
            if plain.starts_with(|c: char| c.is_ascii_digit()) && plain.contains('.') {
                Ok(Some(plain.to_owned()))
            } else {
                Err(format!("`{value}` is no version; write it like `1.29.4`"))
            }
        };
        match key {
            "docker.version" => self.docker_version = version()?,
            "docker.cgroup-driver" => self.docker_cgroup_driver = Some(value.parse()?),
            "containerd.version" => self.containerd_version = version()?,
            "kubelet.version" => self.kubelet_version = version()?,
            "kernel.version" => self.kernel_version = version()?,
            // Its versions are whole numbers.
            "systemd.version" if value.starts_with(|c: char| c.is_ascii_digit()) => {
                self.systemd_version = Some(value.to_owned());
            }
            "systemd.version" => return Err(format!("`{value}` is no version; write it like `252`")),
            "cgroup.mode" => self.cgroup_mode = Some(value.parse()?),
            _ => return Err(format!("`{key}` cannot be assumed; the keys are {}", Self::KEYS.join(", "))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assumptions_are_checked() {
        let mut assumptions = Assumptions::default();
        assumptions.set("kubelet.version=v1.20.2").unwrap();
        assumptions.set("cgroup.mode=unified").unwrap();
        assumptions.set("kernel.version=3.10.0-1160.el7.x86_64").unwrap();
        assumptions.set("systemd.version=219").unwrap();
        assert_eq!(assumptions.systemd_version.as_deref(), Some("219"));
        assert_eq!(assumptions.kubelet_version.as_deref(), Some("1.20.2"));
        assert_eq!(assumptions.cgroup_mode, Some(CgroupMode::Unified));
        for wrong in [
            "kubelet.version",
            "kubelet.version=new",
            "systemd.version=v",
            "kernel.version=new",
            "cgroup.mode=v2",
            "moon.phase=full",
        ] {
            assert!(assumptions.set(wrong).is_err(), "{wrong}");
        }
    }
}
