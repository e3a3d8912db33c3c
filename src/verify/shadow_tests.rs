use super::*;
use crate::{
    host::Faults,
    model::{CgroupMode, Desired, Facts, Goal, Origin, Profile, Sourced},
};
use std::sync::atomic::AtomicBool;

const WAY: Way = Way { mode: CgroupMode::Unified, systemd: true };

fn check(id: &str, rung: Rung, why: Option<&str>) -> Check {
    let status = if why.is_some() { CheckStatus::Fail } else { CheckStatus::Pass };
    Check::new(id, rung, status, why.unwrap_or("fine").to_owned())
}

fn compared(theirs: Option<&str>, ours: Option<&str>, alone: CheckStatus) -> (Check, Check) {
    let (mut theirs, mut ours) = (check("shadow-pod", Rung::Shadow, theirs), check("handler-pod", Rung::Handler, ours));
    compare(&mut theirs, &mut ours, alone, WAY);
    (theirs, ours)
}

#[test]
fn whose_fault_a_pod_is() {
    let (theirs, ours) = compared(Some("x"), None, CheckStatus::Pass);
    assert!(theirs.detail.starts_with("the handler's table"), "{}", theirs.detail);
    assert_eq!((theirs.status, ours.status), (CheckStatus::Fail, CheckStatus::Pass));
    let (theirs, _) = compared(Some("x"), None, CheckStatus::Fail);
    assert!(theirs.detail.starts_with("the node's runc: ") && theirs.remedy.is_some(), "{}", theirs.detail);
    let (theirs, ours) = compared(Some("x"), Some("y"), CheckStatus::Pass);
    assert!(theirs.detail.starts_with("containerd, its configuration or its shim: "), "{}", theirs.detail);
    assert_eq!(ours.status, CheckStatus::Inconclusive);
    let (theirs, _) = compared(Some("EOF"), Some("oom_score_adj: permission denied"), CheckStatus::Pass);
    assert!(theirs.detail.starts_with("a privilege is missing: "), "{}", theirs.detail);
    let (theirs, ours) = compared(None, Some("y"), CheckStatus::Pass);
    assert_eq!((theirs.status, ours.status), (CheckStatus::Pass, CheckStatus::Inconclusive));
}

#[test]
fn paths_are_told_as_the_daemon_has_them() {
    assert_eq!(without_tree("/proc/7/root/run/x.sock answered: /proc/self/y"), "/run/x.sock answered: /proc/self/y");
    assert_eq!(without_tree("no path"), "no path");
}

const IMPORT: &str = "/etc/containerd/conf.d/50-site.toml";

/// What is tried on a node with this containerd, a main file, and one that it imports; and the handlers there are then.
fn candidate(version: &str, main: &str, import: &str) -> (Candidate, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), &Faults::none()).unwrap();
    let mut facts = Facts::empty(true);
    facts.containerd.version = Some(Sourced::new(version.to_owned(), Origin::assumed("containerd.version")));
    let main = format!("imports = ['/etc/containerd/conf.d/*.toml']\n{main}");
    facts.texts = [(trial::CONFIG, main.as_str()), (IMPORT, import)].map(|(p, t)| (p.to_owned(), t.to_owned())).into();
    let desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap();
    let interrupt = AtomicBool::new(false);
    let look = Look { host: &host, facts: &facts, desired: &desired, interrupt: &interrupt };
    let tried = Candidate::new(&look, Vec::new(), WAY, RUNTIME);
    let handlers = trial::joined(&facts, &tried.cage.files).unwrap().handlers();
    (tried, handlers.into_iter().map(|handler| handler.name).collect())
}

#[test]
fn an_imported_file_wins_over_the_main_one() {
    let images = "[plugins.'io.containerd.cri.v1.images']";
    let file = |snapshotter: &str, registry: &str| {
        let pinned = format!("pinned_images = {{ sandbox = '{registry}/pause:3.10' }}");
        format!("version = 3\n{images}\nsnapshotter = '{snapshotter}'\n{pinned}\n")
    };
    let (tried, handlers) =
        candidate("2.1.4", &file("overlayfs", "registry.k8s.io"), &file("zfs", "registry.corp.example"));
    assert_eq!(tried.sandbox_image.as_deref(), Some("registry.corp.example/pause:3.10"));
    assert_eq!(tried.special_snapshotter(), Some("zfs"));
    assert_eq!(handlers, [HANDLER, "runc"]);
}

#[test]
fn the_handler_is_where_1_x_looks_for_it() {
    let cri = "plugins.'io.containerd.grpc.v1.cri'";
    let handler = |name: &str| format!("[{cri}.containerd.runtimes.{name}]\nruntime_type = 'io.containerd.runc.v2'\n");
    let main = format!("version = 2\n[{cri}]\nsandbox_image = 'registry.k8s.io/pause:3.9'\n{}", handler("runc"));
    // Its table replaces the main file's; it has the main file's version.
    let (tried, handlers) = candidate("1.7.24", &main, &handler("nvidia"));
    assert_eq!(handlers, [HANDLER, "nvidia"]);
    assert_eq!(tried.cage.files.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [IMPORT]);
    assert_eq!(tried.sandbox_image, None);
}

#[test]
#[allow(clippy::disallowed_methods)] // a folder of this test
fn a_file_that_castoff_cannot_read_is_left_to_containerd() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), &Faults::none()).unwrap();
    let desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap();
    let (facts, interrupt) = (Facts::empty(true), AtomicBool::new(false));
    let look = Look { host: &host, facts: &facts, desired: &desired, interrupt: &interrupt };
    let files = || Candidate::new(&look, Vec::new(), WAY, RUNTIME).cage.files;
    assert_eq!(files().len(), 1, "there is none, and it gets the handler");
    std::fs::create_dir_all(dir.path().join("etc/containerd")).unwrap();
    std::fs::write(dir.path().join(&trial::CONFIG[1..]), "[nonsense\n").unwrap();
    assert_eq!(files(), []);
}
