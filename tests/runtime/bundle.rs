//! Bundles and runtimes to run them.

use castoff::runtime::workload::PROBE;
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Where `tests/containerd/fetch.sh` puts the programs of a suite.
pub fn programs(suite: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/castoff");
    std::env::var_os("CASTOFF_CACHE").map_or_else(home, PathBuf::from).join("containerd").join(suite)
}

/// Every runc of `tests/containerd/fetch.sh` that this machine's C library can run.
pub fn sound_runcs() -> Vec<String> {
    let all = ["bullseye", "bookworm", "trixie", "forky"].iter().map(|suite| programs(suite).join("runc"));
    let runs =
        |program: &PathBuf| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    let sound: Vec<String> = all.filter(runs).map(|program| program.to_str().unwrap().to_owned()).collect();
    assert!(!sound.is_empty(), "no runc of tests/containerd/fetch.sh runs here");
    sound
}

/// An OCI runtime on the command line, with a state directory of its own.
pub struct Runtime {
    pub name: String,
    program: PathBuf,
    args: Vec<String>,
    dir: tempfile::TempDir,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Runtime {
    pub fn castoff() -> Self {
        Self::new("castoff", Path::new(env!("CARGO_BIN_EXE_castoff")), &["oci"])
    }

    /// Every runc there is.
    pub fn runcs() -> Vec<Self> {
        let runcs: Vec<Self> = sound_runcs()
            .iter()
            .map(|program| {
                let version = Command::new(program).arg("--version").output().unwrap().stdout;
                let version = String::from_utf8(version).unwrap();
                let version = version.lines().next().unwrap().replace(" version ", " ");
                Self::new(&version, Path::new(program), &[])
            })
            .collect();
        runcs
    }

    fn new(name: &str, program: &Path, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { name: name.to_owned(), program: program.to_owned(), args, dir: tempfile::tempdir().unwrap() }
    }

    pub fn state_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs one command of the runtime; one that takes too long is killed, and fails.
    pub fn call(&self, args: &[&str]) -> Ended {
        self.call_with(&[], args, "")
    }

    pub fn call_with(&self, global: &[&str], args: &[&str], input: &str) -> Ended {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "60"]).arg(&self.program).args(&self.args);
        command.arg("--root").arg(self.dir.path()).args(global).args(args);
        // A pipe that a detached container keeps open would never end: files.
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command.stdin(Stdio::piped()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let status = child.wait().unwrap();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        assert!(code != 124, "{} {args:?} did not end", self.name);
        Ended { code, out: whole(out), err: whole(err) }
    }

    /// `run` of a bundle, with an id of its own.
    pub fn run(&self, bundle: &Bundle) -> Ended {
        let ended = self.call(&["run", "--bundle", bundle.path(), &bundle.id]);
        let left = self.call(&["state", &bundle.id]);
        assert!(
            left.code != 0,
            "{}: {} is still there: {ended:?} {}\n{}",
            self.name,
            bundle.id,
            left.out,
            bundle.config
        );
        ended
    }
}

fn whole(mut file: fs::File) -> String {
    use std::io::{Read as _, Seek as _};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A bundle with the probe in it.
pub struct Bundle {
    dir: tempfile::TempDir,
    pub id: String,
    pub config: Value,
}

impl Bundle {
    /// A container with everything a pod's has, that runs `probe ARGS`.
    pub fn new(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rootfs = dir.path().join("rootfs");
        for path in ["proc", "dev", "sys", "tmp", "data", "etc"] {
            fs::create_dir_all(rootfs.join(path)).unwrap();
        }
        fs::write(rootfs.join("probe"), PROBE).unwrap();
        fs::set_permissions(rootfs.join("probe"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(rootfs.join("not-a-program"), "text").unwrap();
        fs::write(rootfs.join("broken"), "no program").unwrap();
        fs::set_permissions(rootfs.join("broken"), fs::Permissions::from_mode(0o755)).unwrap();
        let id = format!("castoff-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let config = config(args, &id);
        Self { dir, id, config }
    }

    /// Another value at a place of the specification.
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = self.config.pointer_mut(parent).unwrap();
        match name {
            "-" => parent.as_array_mut().unwrap().push(value),
            name => parent[name] = value,
        }
        self
    }

    /// Writes the specification; gives the folder.
    pub fn path(&self) -> &str {
        fs::write(self.dir.path().join("config.json"), self.config.to_string()).unwrap();
        self.dir.path().to_str().unwrap()
    }

    /// Its cgroup of a v1 controller or, when there are no controllers of v1, of v2.
    pub fn cgroup(&self, controller: &str) -> PathBuf {
        let v1 = Path::new("/sys/fs/cgroup").join(controller);
        let base = if v1.is_dir() { v1 } else { PathBuf::from("/sys/fs/cgroup") };
        base.join("castoff-test").join(&self.id)
    }
}

fn config(args: &[&str], id: &str) -> Value {
    let mut words = vec!["probe"];
    words.extend(args);
    let kept = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mount = |at: &str, kind: &str, options: &[&str]| json!({ "destination": at, "type": kind, "source": kind, "options": options });
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "hostname": "reference",
        "root": { "path": "rootfs", "readonly": true },
        "process": {
            "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": words, "env": ["PATH=/", "WHO=castoff"],
            "capabilities": { "bounding": kept, "effective": kept, "permitted": kept },
        },
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
            mount("/tmp", "tmpfs", &["nosuid", "nodev", "mode=1777", "size=1024k"]),
        ],
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": format!("/castoff-test/{id}"),
            "resources": {
                "memory": { "limit": 32 << 20 }, "pids": { "limit": 16 },
                "cpu": { "shares": 512, "quota": 50000, "period": 100_000 },
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys", "/proc/bus"],
        },
    })
}
