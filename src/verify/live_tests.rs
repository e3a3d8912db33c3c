use super::*;
use crate::{
    host::{Cri as _, FakeCri, Faults},
    model::{Desired, Facts, Goal, Level, Origin, Profile, Sourced},
};

#[test]
fn the_snapshotter_is_the_one_of_that_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), &Faults::none()).unwrap();
    let desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap();
    let (mut facts, interrupt) = (Facts::empty(true), AtomicBool::new(false));
    let named = |facts: &Facts, endpoint: &str, config: &str| {
        let cri = FakeCri::new(endpoint, Faults::none());
        cri.change(|runtime| drop(runtime.status.info.insert("config".to_owned(), config.to_owned())));
        let look = Look { host: &host, facts, desired: &desired, interrupt: &interrupt };
        snapshotter(&look, endpoint, &cri).unwrap()
    };
    let (here, elsewhere) = (desired.endpoint.as_str(), "unix:///run/other.sock");
    // As 1.x tells its configuration, and as 2.x does.
    let (old, new) = (r#"{"containerd":{"snapshotter":"native"}}"#, r#"{"containerd":{"runtimes":{}}}"#);
    assert_eq!(named(&facts, here, new), "overlayfs");
    facts.containerd.snapshotter = Some(Sourced::new("zfs".to_owned(), Origin::path("/etc/containerd/config.toml")));
    assert_eq!(named(&facts, here, new), "zfs");
    assert_eq!(named(&facts, here, old), "native");
    assert_eq!(named(&facts, elsewhere, new), "overlayfs");
}

#[test]
fn a_batch_of_which_one_fails_leaves_no_pod() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), &Faults::none()).unwrap();
    let (cri, interrupt) = (FakeCri::new("/run/fake.sock", Faults::nth(3)), AtomicBool::new(false));
    let bed = Bed::new(&host, &cri, Place::in_folder(dir.path()), 0, &interrupt);
    let amount = bench::Amount { samples: 5, parallel: 5 };
    let options = Options { bench: Some(amount), ..Options::gate(Level::Cri) };
    let (figures, failed) = measured(&bed, &options, "fake 1");
    assert!(figures.is_empty() && failed.is_some_and(|check| check.status == CheckStatus::Fail));
    assert_eq!(cri.calls().iter().filter(|call| call.starts_with("run-sandbox")).count(), 4);
    assert!(cri.sandboxes().unwrap().is_empty());
}
