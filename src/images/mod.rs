//! Carrying images from Docker's store to containerd's: layer by layer without a copy where the file systems allow, else
//! by `docker save`, streamed straight into containerd's import. No temporary file is written either way.
//!
//! A layer that is lent stays Docker's too: its directory is with containerd, and a link to it where Docker looks.

mod back;
mod carry;
mod docker_store;
mod list;
mod manifests;
mod moby;
mod private;
mod source;
mod ways;

pub use back::Loan;
pub use carry::{Carried, Job, LEASE_PREFIX, Said, Sorted, snapshots_dir};
pub use docker_store::{DockerStore, Image, Layer};
pub use list::{Listed, Places, list};
pub use manifests::{Documents, RUN_LABEL, ids_of};
pub use private::with_containerd;
pub use source::Source;
pub use ways::{SNAPSHOTS, Terrain, seconds};

use crate::host::Host;
use anyhow::{Context as _, Result, bail};
use std::time::Duration;

/// containerd's namespace for everything kubelet makes (containerd `pkg/cri/constants`).
const NAMESPACE: &str = "k8s.io";

/// Fails when containerd's file system has no room for a second copy of `bytes`. Asked before anything stops.
///
/// # Errors
/// When there is too little room, with both figures.
pub fn check_room(host: &Host, containerd_root: &str, bytes: u64) -> Result<()> {
    // Blobs and unpacked layers both: an import takes about twice what Docker reports (measured on a 2.1 GB image).
    let needed = bytes.saturating_mul(2);
    let free = host.kernel.free_bytes(&host.root.outside(containerd_root))?;
    if free < needed {
        let (needed, free) = (needed / 1_000_000, free / 1_000_000);
        bail!("{containerd_root} has room for {free} MB, and the images need about {needed} MB there");
    }
    Ok(())
}

/// Carries `images` (names as Docker knows them) into the containerd behind `socket`, and checks that each is there. For CRI's
/// `snapshotter`, where that is another than `ctr` unpacks to, they are left packed: CRI unpacks what it needs.
///
/// # Errors
/// When Docker or containerd refuses, or an image cannot be found afterwards.
pub fn stream(
    host: &Host,
    socket: &str,
    images: &[String],
    snapshotter: Option<&str>,
    timeout: Duration,
    moved: &mut dyn FnMut(u64),
) -> Result<u64> {
    if images.is_empty() {
        return Ok(0);
    }
    let mut bytes = 0;
    let mut feed = |sink: &mut dyn std::io::Write| {
        bytes = host.engine.save(images, &mut Counting { sink, bytes: 0, moved })?;
        Ok(bytes)
    };
    let mut import = vec!["--address", socket, "--namespace", NAMESPACE, "images", "import"];
    import.extend(snapshotter.map(|_| "--no-unpack"));
    import.push("-");
    host.procs
        .pipe_into("ctr", &import, &mut feed, timeout)
        .and_then(|ran| ran.ok("ctr images import"))
        .context("cannot carry images from Docker to containerd")?;
    let there = names(host, socket)?;
    let missing: Vec<&str> =
        images.iter().filter(|image| !there.contains(&canonical(image))).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("containerd took the archive but does not know {}", missing.join(", "));
    }
    Ok(bytes)
}

/// Waits until no import that outlived a killed castoff is still at work: it would make names after they were looked for.
/// Its archive has ended with castoff, so it ends soon.
pub fn await_imports(host: &Host, socket: &str, limit: Duration) {
    let is_import = |pid: &u32| {
        host.procs.cmdline(*pid).is_some_and(|words| {
            let has = |wanted: &str| words.iter().any(|word| word == wanted);
            has(socket) && has("import") && has("-")
        })
    };
    let began = host.clock.monotonic();
    while host.procs.pids_of("ctr").iter().any(is_import) && host.clock.monotonic().saturating_sub(began) < limit {
        host.clock.sleep(Duration::from_millis(100));
    }
}

/// Tells how much went through.
struct Counting<'a> {
    sink: &'a mut dyn std::io::Write,
    bytes: u64,
    moved: &'a mut dyn FnMut(u64),
}

impl std::io::Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.bytes += count as u64;
        (self.moved)(self.bytes);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

fn names(host: &Host, socket: &str) -> Result<Vec<String>> {
    let list = ["--address", socket, "--namespace", NAMESPACE, "images", "list", "--quiet"];
    let ran = host.procs.query("ctr", &list, Duration::from_secs(30))?.ok("ctr images list")?;
    Ok(ran.text().lines().map(|line| line.trim().to_owned()).collect())
}

/// A name as containerd stores it: with registry and tag (`nginx` → `docker.io/library/nginx:latest`). What has capitals is a
/// registry, because a repository has none (distribution/reference `normalize.go`, splitDockerDomain).
pub fn canonical(name: &str) -> String {
    const HUB: &str = "docker.io";
    let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first;
    let (host, rest) = match name.split_once('/') {
        Some((HUB | "index.docker.io", rest)) => (HUB, rest),
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => (HUB, name),
    };
    let library = if host == HUB && !rest.contains('/') { "library/" } else { "" };
    let full = format!("{host}/{library}{rest}");
    let tagged = full.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if tagged { full } else { format!("{full}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::{
            Containerd, Cri, Doors, FakeClock, FakeEngine, FakeProcs, FakeUnits, Faults, Kernel, Parts, RealKernel,
            Root, Space,
        },
        model::CgroupMode,
    };
    use std::path::Path;

    #[derive(Debug)]
    struct Closed;

    impl Doors for Closed {
        fn cri(&self, _: &str) -> Result<Box<dyn Cri>> {
            bail!("nobody is there")
        }

        fn containerd(&self, _: &str) -> Result<Box<dyn Containerd>> {
            bail!("nobody is there")
        }
    }

    /// A kernel whose disks have this much room.
    #[derive(Debug)]
    struct Room(u64);

    impl Kernel for Room {
        fn hostname(&self) -> String {
            "node".to_owned()
        }

        fn release(&self) -> Result<String> {
            RealKernel.release()
        }

        fn arch(&self) -> Result<String> {
            RealKernel.arch()
        }

        fn cgroup_mode(&self) -> Result<CgroupMode> {
            Ok(CgroupMode::Unified)
        }

        fn space(&self, path: &Path) -> Result<Space> {
            let space = RealKernel.space(path)?;
            assert!(space.free_bytes > 0, "the nearest directory that is there is asked");
            Ok(Space { free_bytes: self.0, ..space })
        }

        fn is_root(&self) -> bool {
            true
        }
    }

    #[test]
    fn too_little_room_is_found_before_anything_stops() {
        let dir = tempfile::tempdir().unwrap();
        let host = |free| {
            Host::from_parts(Parts {
                root: Root::open(dir.path(), Faults::none()).unwrap(),
                units: Some(Box::new(FakeUnits::new(Faults::none()))),
                engine: Box::new(FakeEngine::new("/run/docker.sock", Faults::none())),
                procs: Box::new(FakeProcs::new(Faults::none())),
                kernel: Box::new(Room(free)),
                clock: Box::new(FakeClock::new()),
                doors: Box::new(Closed),
                live: true,
            })
        };
        check_room(&host(200_000_000), "/var/lib/containerd", 100_000_000).unwrap();
        let error = check_room(&host(199_000_000), "/var/lib/containerd", 100_000_000).unwrap_err().to_string();
        assert_eq!(error, "/var/lib/containerd has room for 199 MB, and the images need about 200 MB there");
    }

    #[test]
    fn archives_for_another_snapshotter_are_left_packed() {
        for (snapshotter, import) in [(None, "import -"), (Some("`native`"), "import --no-unpack -")] {
            let dir = tempfile::tempdir().unwrap();
            let procs = FakeProcs::new(Faults::none()).answer("ctr", 0, "docker.io/library/a:1\n", "");
            let host = Host::from_parts(Parts {
                root: Root::open(dir.path(), Faults::none()).unwrap(),
                units: Some(Box::new(FakeUnits::new(Faults::none()))),
                engine: Box::new(FakeEngine::new("/run/docker.sock", Faults::none())),
                procs: Box::new(procs.clone()),
                kernel: Box::new(RealKernel),
                clock: Box::new(FakeClock::new()),
                doors: Box::new(Closed),
                live: true,
            });
            let limit = Duration::from_secs(1);
            let _ = stream(&host, "/s", &["a:1".to_owned()], snapshotter, limit, &mut |_| ());
            assert_eq!(procs.calls()[0], format!("ctr --address /s --namespace k8s.io images {import} <"));
        }
    }

    #[test]
    fn names_as_containerd_stores_them() {
        for (docker, containerd) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.25", "docker.io/library/nginx:1.25"),
            ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
            ("registry.k8s.io/pause:3.6", "registry.k8s.io/pause:3.6"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            ("castoff.test/web:1", "castoff.test/web:1"),
            ("MYREG/app:1", "MYREG/app:1"),
            ("MYREG/team/app", "MYREG/team/app:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/bitnami/redis:7", "docker.io/bitnami/redis:7"),
            ("docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ] {
            assert_eq!(canonical(docker), containerd);
        }
    }
}
