//! A bundle to try a runtime with: castoff's own workload, confined as a pod's container is.

use super::workload::PROBE;
use crate::model::CgroupMode;
use serde_json::{Value, json};

/// Where the host's cgroups are seen from inside, read-only.
pub const HOST_CGROUPS: &str = "/host-cgroup";
/// The slice of all containers of bundles, under systemd's driver.
pub const SLICE: &str = "castoff.slice";
/// Memory a container of a bundle may use, in MiB.
pub const MEMORY_MIB: u64 = 32;
/// Processes it may have.
pub const PIDS: u64 = 64;
/// Its host name.
pub const HOSTNAME: &str = "castoff-probe";
/// Its directories: mount points, for a root file system that is read-only.
const DIRS: [&str; 5] = ["dev", "proc", "sys", "tmp", "host-cgroup"];

/// What a bundle is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Bundle<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Arguments of the workload.
    pub args: &'a [&'a str],
    /// Whether systemd makes the cgroup.
    pub systemd: bool,
    /// Whether the kernel can limit its swap.
    pub swap_limit: bool,
}

impl Bundle<'_> {
    /// `linux.cgroupsPath`: a slice and a directory of castoff's own, apart from those of pods.
    pub fn cgroups_path(&self) -> String {
        if self.systemd { format!("castoff.slice:castoff:{}", self.id) } else { format!("/castoff/{}", self.id) }
    }

    /// Where the cgroup then is, below the mount of the controllers.
    pub fn cgroup(&self) -> String {
        let Self { id, systemd, .. } = self;
        if *systemd { format!("/castoff.slice/castoff-{id}.scope") } else { format!("/castoff/{id}") }
    }

    /// The file with a limit of the container, as the host sees it, below `/sys/fs/cgroup`: at its cgroup, or at a
    /// cgroup `below` that (`/container`).
    pub fn limit_file(&self, mode: CgroupMode, below: &str, controller: &str) -> String {
        let cgroup = self.cgroup() + below;
        match (mode, controller) {
            (CgroupMode::Unified, _) => format!("{cgroup}/{controller}.max"),
            (_, "memory") => format!("/memory{cgroup}/memory.limit_in_bytes"),
            _ => format!("/{controller}{cgroup}/{controller}.max"),
        }
    }

    /// What is in its folder: path, mode, and content; folders have none.
    pub fn files(&self) -> Vec<(String, u32, Option<Vec<u8>>)> {
        let mut files: Vec<_> = DIRS.iter().map(|dir| (format!("rootfs/{dir}"), 0o755, None)).collect();
        files.push(("rootfs/probe".to_owned(), 0o755, Some(PROBE.to_vec())));
        files.push(("config.json".to_owned(), 0o600, Some(self.config().to_string().into_bytes())));
        files
    }

    /// `config.json` (runtime-spec 1.0.2, which every runc of the supported releases reads).
    pub fn config(&self) -> Value {
        let mut args = vec!["/probe"];
        args.extend(self.args);
        let kept = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
        let mount = |at: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": at, "type": kind, "source": source, "options": options });
        let limit = MEMORY_MIB << 20;
        // Memory and swap together (runtime-spec, "Memory"). Where the kernel has no such limit, runtimes refuse one.
        let memory = if self.swap_limit { json!({ "limit": limit, "swap": limit }) } else { json!({ "limit": limit }) };
        let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "hostname": HOSTNAME,
            "root": { "path": "rootfs", "readonly": true },
            "process": {
                "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": args, "env": ["PATH=/"], "noNewPrivileges": true,
                "capabilities": { "bounding": kept, "effective": kept, "permitted": kept },
            },
            "mounts": [
                mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
                mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
                mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777", "size=1024k"]),
                mount(HOST_CGROUPS, "bind", "/sys/fs/cgroup", &["rbind", "ro"]),
            ],
            "linux": {
                "namespaces": namespaces,
                "cgroupsPath": self.cgroups_path(),
                "resources": {
                    "devices": [{ "allow": false, "access": "rwm" }],
                    "memory": memory, "pids": { "limit": PIDS },
                    "cpu": { "shares": 512, "quota": 50_000, "period": 100_000 },
                },
                "maskedPaths": ["/proc/kcore", "/proc/keys"],
                "readonlyPaths": ["/proc/sys", "/proc/bus"],
                "seccomp": {
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_knows_where_it_will_be() {
        let bundle = |systemd| Bundle { id: "c1", args: &["exit", "0"], systemd, swap_limit: systemd };
        assert_eq!(bundle(true).config()["linux"]["cgroupsPath"], "castoff.slice:castoff:c1");
        let (v1, v2) = (CgroupMode::Hybrid, CgroupMode::Unified);
        assert_eq!(bundle(true).limit_file(v2, "", "memory"), "/castoff.slice/castoff-c1.scope/memory.max");
        assert_eq!(bundle(false).limit_file(v1, "", "memory"), "/memory/castoff/c1/memory.limit_in_bytes");
        assert_eq!(bundle(false).limit_file(v1, "", "pids"), "/pids/castoff/c1/pids.max");
        assert_eq!(bundle(true).limit_file(v2, "/a", "pids"), "/castoff.slice/castoff-c1.scope/a/pids.max");
        assert_eq!(bundle(false).config()["process"]["args"], json!(["/probe", "exit", "0"]));
        let memory = |systemd| bundle(systemd).config()["linux"]["resources"]["memory"].clone();
        assert_eq!((memory(true)["swap"].as_u64(), memory(false)["swap"].as_u64()), (Some(MEMORY_MIB << 20), None));
    }
}
