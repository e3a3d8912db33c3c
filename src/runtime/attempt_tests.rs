use super::*;
use crate::host::{Containerd, Cri, Doors, FakeClock, FakeEngine, FakeKernel, Faults, Parts, RealProcs, Root};

#[derive(Debug)]
struct NoDoors;

impl Doors for NoDoors {
    fn cri(&self, endpoint: &str) -> Result<Box<dyn Cri>> {
        anyhow::bail!("nobody is at {endpoint}")
    }

    fn containerd(&self, endpoint: &str) -> Result<Box<dyn Containerd>> {
        anyhow::bail!("nobody is at {endpoint}")
    }
}

const SWAPS: (&str, &str) = ("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1048572 0 -2\n");

/// What comes of a task on a node with these files, when a runtime does what the script says. That knows `$config` and
/// `$id`.
fn came(way: Way, files: &[(&str, &str)], script: &str, task: fn(&mut Bench<'_>) -> Result<Came>) -> Came {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        scratch::put(dir.path(), path, 0o644, Some(text.as_bytes())).unwrap();
    }
    let words = "while [ \"$1\" != --bundle ]; do shift; done\nconfig=\"$2/config.json\" id=\"$3\"\n";
    scratch::put(dir.path(), "runtime", 0o644, Some(format!("{words}{script}").as_bytes())).unwrap();
    let host = Host::from_parts(Parts {
        root: Root::open(dir.path(), Faults::none()).unwrap(),
        units: None,
        engine: Box::new(FakeEngine::new("unix:///run/docker.sock", Faults::none())),
        procs: Box::new(RealProcs::new(Faults::none())),
        kernel: Box::new(FakeKernel::new("n1")),
        clock: Box::new(FakeClock::new()),
        doors: Box::new(NoDoors),
        live: true,
    });
    let scratch = Scratch::below(&dir.path().join("scratch"), "verify").unwrap();
    let args = vec![dir.path().join("runtime").display().to_string()];
    let runner = Runner { args, ..Runner::other("/bin/sh") };
    task(&mut Bench::new(&host, &scratch, runner, way)).unwrap()
}

fn told(came: &Came) -> &str {
    match came {
        Came::Right(what) => what,
        Came::Wrong { why, .. } => why,
    }
}

/// A kernel that swaps unless it is told not to.
const SWAPPING: &str = "if grep -q '\"alloc\"' \"$config\"; then\n\
    grep -q '\"swap\":33554432' \"$config\" && exit 137\nexit 0\nfi\necho 'probe mkdir: errno 1' >&2\nexit 1\n";

#[test]
#[allow(clippy::redundant_closure_for_method_calls, reason = "the methods themselves are for one lifetime only")]
fn memory_that_goes_to_swap_is_nobodys_fault() {
    let way = |mode| Way { mode, systemd: false };
    let tried = |mode, files: &[(&str, &str)]| came(way(mode), files, SWAPPING, |bench| bench.confines());
    let limits = [
        (CgroupMode::Legacy, "sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"),
        (CgroupMode::Hybrid, "sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"),
        (CgroupMode::Unified, "sys/fs/cgroup/system.slice/memory.swap.max"),
    ];
    for (mode, limit) in limits {
        let without = tried(mode, &[SWAPS]);
        assert!(matches!(without, Came::Right(_)) && told(&without).contains("has swap"), "{mode:?}: {without:?}");
        let with = tried(mode, &[SWAPS, (limit, "max\n")]);
        assert!(matches!(with, Came::Right(_)) && told(&with).contains("it was killed"), "{mode:?}: {with:?}");
        // Only a heading: nothing can be swapped, so somebody let it have the memory.
        let neither = tried(mode, &[("proc/swaps", "Filename Type Size Used Priority\n")]);
        assert!(told(&neither).contains("twice its memory did not end it"), "{mode:?}: {neither:?}");
    }
}

/// crun before 1.22 on v2: the container is below its scope. `SCOPE` is what the scope says of its memory.
const CRUN: &str = "grep -q '\"exit\"' \"$config\" && exit 7\nmemory=SCOPE\n\
    grep -q 'scope/container/memory.max' \"$config\" && memory=33554432\n\
    printf 'castoff-probe\\n0::/castoff.slice/castoff-%s.scopeBELOW\\n%s\\n64\\nNoNewPrivs:\\t1\\nSeccomp:\\t2\\n' \"$id\" $memory\n";

#[test]
#[allow(clippy::redundant_closure_for_method_calls, reason = "the methods themselves are for one lifetime only")]
fn a_container_may_be_below_its_scope() {
    let way = Way { mode: CgroupMode::Unified, systemd: true };
    let tried = |scope: &str, below: &str| {
        came(way, &[], &CRUN.replace("SCOPE", scope).replace("BELOW", below), |bench| bench.runs())
    };
    for (scope, below) in [("33554432", ""), ("33554432", "/container"), ("max", "/container")] {
        let found = tried(scope, below);
        assert!(matches!(found, Came::Right(_)), "{scope} {below}: {found:?}");
    }
    assert_eq!(told(&tried("max", "")), "its memory is not limited");
    assert_eq!(told(&tried("max", "/elsewhere/max")), "its memory is not limited");
    assert!(told(&tried("33554432", "-2.scope")).starts_with("it is not in /castoff.slice/castoff-verify-"));
}

#[test]
fn kernels_that_are_too_old() {
    for (release, enough) in [
        ("5.10.0-32-cloud-amd64", false),
        ("4.18.0-553.el8", false),
        ("5.12", true),
        ("6.1.0-50-amd64", true),
        ("6.18.5", true),
        ("custom", true),
    ] {
        assert_eq!(is_new_enough(release), enough, "{release}");
    }
}

#[test]
fn a_runtimes_last_words() {
    let ran = |stderr: &str| Ran { status: 1, stdout: Vec::new(), stderr: stderr.to_owned() };
    let runc = "time=\"2026-11-29T02:59:22Z\" level=error msg=\"runc run failed: read-only file system\"\n";
    assert_eq!(said(&ran(runc)), ": runc run failed: read-only file system");
    assert_eq!(said(&ran("error: failed to create the container: x\n\n")), ": failed to create the container: x");
    assert_eq!(errno(&ran("x\nprobe cat: errno 2\n")).unwrap().errno, Some(2));
    assert_eq!(errno(&ran("runc: no\n")), None);
    assert_eq!(failure(&ran("")), "a container could not be run: exit code 1, without a word");
}
