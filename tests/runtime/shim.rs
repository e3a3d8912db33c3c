//! containerd with castoff's runtime in runc's place: a real containerd and its real shim, in a folder of their own.

use castoff::runtime::workload;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// A containerd of `tests/containerd/fetch.sh`, ended when dropped.
pub struct Daemon {
    dir: tempfile::TempDir,
    programs: PathBuf,
    child: Child,
}

impl Daemon {
    pub fn start(programs: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = \"{}\"\n",
            at("root").display(),
            at("state").display(),
            at("sock").display(),
        );
        fs::write(at("config.toml"), config).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let child = Command::new(programs.join("containerd"))
            .arg("--config")
            .arg(at("config.toml"))
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        symlink(env!("CARGO_BIN_EXE_castoff"), at("castoff-oci")).unwrap();
        let daemon = Self { dir, programs: programs.to_owned(), child };
        for _ in 0..200 {
            if daemon.ctr(&["version"]).status.success() {
                return daemon;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("containerd does not answer: {}", daemon.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn ctr(&self, args: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "60"]).arg(self.programs.join("ctr"));
        command.arg("--address").arg(self.dir.path().join("sock")).args(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Brings the probe's image in.
    pub fn import(&self) {
        let file = self.dir.path().join("probe.tar");
        fs::write(&file, workload::probe().unwrap().archive().unwrap()).unwrap();
        let imported = self.ctr(&["images", "import", file.to_str().unwrap()]);
        assert!(imported.status.success(), "{imported:?}");
    }

    /// castoff under the name by which it is an OCI runtime.
    pub fn runtime(&self) -> String {
        self.dir.path().join("castoff-oci").display().to_string()
    }

    /// Runs a container to its end, with castoff as its runtime.
    pub fn run(&self, options: &[&str], args: &[&str]) -> Output {
        let runtime = self.runtime();
        let base = ["run", "--rm", "--runc-binary", &runtime, "--snapshotter", "native"];
        self.ctr(&[&base[..], options, &["castoff.invalid/probe:1", "probe-1", "/probe"], args].concat())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
