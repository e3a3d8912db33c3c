//! Carrying images under every fault: each effect fails, or the process dies before it, after it or in its middle. Then
//! somebody goes on, or takes it back. Docker's layers are never lost, and never in two places.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]
#![allow(clippy::print_stdout, reason = "cargo shows it when a test failed, or with --nocapture")]

mod common;

use castoff::{
    host::{
        Containerd, Cri, Doors, FakeClock, FakeEngine, FakeKernel, FakeLayerStore, FakeProcs, FakeUnits, FaultMode,
        Faults, Host, LayerPlace, LayerStore, Parts, Root,
    },
    images::{DockerStore, Job, Loan, Places},
    model::{CarryMode, CarryOptions, Comparing, LentLayer},
};
use common::{
    docker_store::{Files, SOURCE, lay, sha},
    tree::make_dir,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    rc::Rc,
};

const ROOT: &str = "/var/lib/containerd";
const MODES: [FaultMode; 4] = [FaultMode::Fail, FaultMode::DieBefore, FaultMode::DieAfter, FaultMode::Torn];

#[derive(Debug)]
struct Behind(FakeLayerStore);

impl Doors for Behind {
    fn cri(&self, _: &str) -> anyhow::Result<Box<dyn Cri>> {
        anyhow::bail!("nobody is there")
    }

    fn containerd(&self, _: &str) -> anyhow::Result<Box<dyn Containerd>> {
        anyhow::bail!("nobody is there")
    }

    fn layers(&self, _: &str) -> anyhow::Result<Box<dyn LayerStore>> {
        Ok(Box::new(self.0.clone()))
    }
}

/// A node with Docker's store in a folder and a containerd in memory.
struct Node {
    dir: tempfile::TempDir,
    daemon: FakeLayerStore,
    images: Vec<String>,
}

impl Node {
    /// Two images that share their lowest layer.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layers: [Files<'_>; 3] = [&[("a", "base"), ("d/b", "second")], &[("c", "top")], &[("e", "other")]];
        let images = ["one:1", "two:1"];
        lay(dir.path(), &layers, &[(images[0], &[0, 1]), (images[1], &[0, 2])]);
        make_dir(dir.path(), "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots");
        let root = Rc::new(Root::open(dir.path(), Faults::none()).unwrap());
        Self { daemon: FakeLayerStore::new(root, Faults::none()), dir, images: images.map(str::to_owned).to_vec() }
    }

    fn host(&self, faults: &Faults) -> Host {
        let root = Root::open(self.dir.path(), faults.clone()).unwrap();
        let same = Rc::new(Root::open(self.dir.path(), faults.clone()).unwrap());
        Host::from_parts(Parts {
            root,
            units: Some(Box::new(FakeUnits::new(Faults::none()))),
            engine: Box::new(FakeEngine::new("/run/docker.sock", Faults::none())),
            procs: Box::new(FakeProcs::new(Faults::none())),
            kernel: Box::new(FakeKernel::new("node")),
            clock: Box::new(FakeClock::new()),
            doors: Box::new(Behind(self.daemon.asked_by(same, faults.clone()))),
            live: true,
        })
    }

    fn carry(&self, options: &CarryOptions, faults: &Faults) -> anyhow::Result<usize> {
        let host = self.host(faults);
        let job = job(&host, &self.images, options);
        let docker = job.docker("")?.unwrap();
        let sorted = job.sort(Some(&*docker))?;
        assert!(sorted.streamed.is_empty(), "{:?}", sorted.streamed);
        let store = host.doors.layers("")?;
        Ok(job.carry_layers(&*docker, &sorted, &*store, &mut |_| Ok(()))?.layers)
    }

    fn lendable(&self, options: &CarryOptions) -> Vec<LentLayer> {
        let host = self.host(&Faults::none());
        job(&host, &self.images, options).loan("").unwrap().0
    }

    fn give_back(&self, layers: &[LentLayer], faults: &Faults) -> anyhow::Result<()> {
        let host = self.host(faults);
        let store = host.doors.layers("")?;
        let loan = Loan { run: "r", source: SOURCE, root: ROOT, layers, ids: &[], images: &[], had: None };
        loan.expect_unused(&host, &*store)?;
        let needed = loan.needed(&*store)?;
        loan.return_layers(&host, &needed)?;
        loan.forget(&*store, &needed).map(drop)
    }

    /// Everything below Docker's root as it is, links not followed, and times and owners with it.
    fn docker(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        walk(&self.dir.path().join("var/lib/docker"), &mut all);
        all
    }

    /// What Docker sees in its layers, wherever they are.
    fn seen(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for cache in ["cache0", "cache1", "cache2"] {
            let at = self.dir.path().join("var/lib/docker/overlay2").join(cache).join("diff");
            // A link made by castoff is absolute on the node, that is below this folder.
            let at = match fs::read_link(&at) {
                Ok(link) => self.dir.path().join(link.strip_prefix("/").unwrap()),
                Err(_) => at,
            };
            assert!(at.is_dir(), "{} is lost", at.display());
            let mut layer = BTreeMap::new();
            walk(&at, &mut layer);
            let short = |path: String| path.strip_prefix(at.to_str().unwrap()).unwrap().to_owned();
            all.extend(layer.into_iter().map(|(path, meta)| (format!("{cache}{}", short(path)), meta)));
        }
        all
    }

    fn names(&self) -> Vec<String> {
        self.daemon.names().unwrap().into_iter().map(|name| name.name).collect()
    }

    fn assert_done(&self, what: &str) {
        let names = self.names();
        for name in ["docker.io/library/one:1", "docker.io/library/two:1"] {
            assert!(names.iter().any(|known| known == name), "{what}: {names:?}");
        }
        assert_eq!(names.iter().filter(|name| name.starts_with("sha256:")).count(), 2, "{what}: {names:?}");
        let layers = self.daemon.snapshots().unwrap();
        assert_eq!(layers.iter().filter(|layer| layer.is_layer).count(), 3, "{what}: {layers:?}");
        assert!(layers.iter().all(|layer| layer.is_layer), "{what}: something begun is left: {layers:?}");
        let host = self.host(&Faults::none());
        let docker = DockerStore::open(&host, SOURCE).unwrap();
        for id in docker.all_ids().unwrap() {
            let image = docker.read_image(&id).unwrap();
            let dirs = self.daemon.directories(&image.layers.last().unwrap().chain_id, "").unwrap();
            for (layer, dir) in image.layers.iter().rev().zip(dirs) {
                host.root.compare_layers(&docker.dir_of(layer).unwrap(), &dir, true).unwrap();
                docker.check_layer(layer).unwrap();
            }
        }
    }

    fn assert_undone(&self, before: &BTreeMap<String, String>, what: &str) {
        assert_eq!(&self.docker(), before, "{what}");
        assert!(self.names().is_empty(), "{what}: {:?}", self.names());
        assert!(self.daemon.snapshots().unwrap().is_empty() && self.daemon.leases().unwrap().is_empty(), "{what}");
    }
}

fn job<'a>(host: &'a Host, images: &'a [String], options: &'a CarryOptions) -> Job<'a> {
    let (from_containerd, snapshotter, sandbox) = (false, None, None);
    Job { host, images, source: SOURCE, from_containerd, snapshotter, root: ROOT, options, run: "r", sandbox }
}

fn walk(dir: &Path, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() {
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        } else {
            String::new()
        };
        // The time of a directory that holds layers changes, as it does whenever Docker makes one.
        let time = if meta.is_dir() { 0 } else { meta.mtime_nsec() };
        all.insert(path.display().to_string(), format!("{:o} {} {time} {content}", meta.mode(), meta.uid()));
        if meta.is_dir() {
            walk(&path, all);
        }
    }
}

fn options(mode: CarryMode) -> CarryOptions {
    CarryOptions {
        mode,
        verify_layers: true,
        with_blobs: mode == CarryMode::Copy,
        compare: Comparing::Full,
        online: false,
    }
}

const WAYS: [CarryMode; 3] = [CarryMode::Adopt, CarryMode::Copy, CarryMode::Hardlink];

#[test]
fn carried_and_taken_back() {
    for mode in WAYS {
        let node = Node::new();
        let (before, seen, options) = (node.docker(), node.seen(), options(mode));
        let layers = node.lendable(&options);
        assert_eq!(layers.len(), if mode == CarryMode::Adopt { 3 } else { 0 });
        assert_eq!(node.carry(&options, &Faults::none()).unwrap(), 3, "{mode}");
        node.assert_done(mode.word());
        assert_eq!(node.seen(), seen, "{mode}");
        let lent = matches!(
            node.host(&Faults::none()).root.layer_place("/var/lib/docker/overlay2/cache0/diff"),
            LayerPlace::Lent(_)
        );
        assert_eq!(lent, mode == CarryMode::Adopt);
        assert_eq!(node.daemon.leases().unwrap().len(), usize::from(lent), "only what was lent needs a lease");
        assert_eq!(node.carry(&options, &Faults::none()).unwrap(), 0, "{mode}: a second time there is nothing to do");
        node.give_back(&layers, &Faults::none()).unwrap();
        node.assert_undone(&before, mode.word());
        node.give_back(&layers, &Faults::none()).unwrap();
    }
}

#[test]
fn every_fault_ends_in_done_or_undone() {
    let mut tried = 0;
    for mode in WAYS {
        let options = options(mode);
        let counted = Faults::at(u64::MAX, FaultMode::Fail);
        Node::new().carry(&options, &counted).unwrap();
        for n in 1..=counted.count() {
            for fault in MODES {
                for on in [true, false] {
                    let node = Node::new();
                    let (before, seen) = (node.docker(), node.seen());
                    let layers = node.lendable(&options);
                    let what = format!(
                        "{mode}, effect {n} ({}), {fault:?}, {}",
                        counted.log()[usize::try_from(n).unwrap() - 1],
                        if on { "on" } else { "back" }
                    );
                    let _ = node.carry(&options, &Faults::at(n, fault));
                    assert_eq!(node.seen(), seen, "{what}: Docker lost something");
                    if on {
                        node.carry(&options, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                        node.assert_done(&what);
                        assert_eq!(node.seen(), seen, "{what}");
                    } else {
                        node.give_back(&layers, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                        node.assert_undone(&before, &what);
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
    println!("{tried} faults while carrying");
}

#[test]
fn every_fault_on_the_way_back_is_survived() {
    let mut tried = 0;
    for mode in WAYS {
        let options = options(mode);
        let start = || {
            let node = Node::new();
            let (before, layers) = (node.docker(), node.lendable(&options));
            node.carry(&options, &Faults::none()).unwrap();
            (node, before, layers)
        };
        let counted = Faults::at(u64::MAX, FaultMode::Fail);
        let (node, _, layers) = start();
        node.give_back(&layers, &counted).unwrap();
        for n in 1..=counted.count() {
            for fault in MODES {
                let (node, before, layers) = start();
                let seen = node.seen();
                let what =
                    format!("{mode}, effect {n} ({}), {fault:?}", counted.log()[usize::try_from(n).unwrap() - 1]);
                let _ = node.give_back(&layers, &Faults::at(n, fault));
                assert_eq!(node.seen(), seen, "{what}: Docker lost something");
                node.give_back(&layers, &Faults::none()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
                node.assert_undone(&before, &what);
                tried += 1;
            }
        }
    }
    println!("{tried} faults while giving back");
}

#[test]
fn damage_is_found_before_anything_is_lent() {
    let node = Node::new();
    let docker = node.dir.path().join("var/lib/docker");
    fs::write(docker.join("overlay2/cache0/diff/a"), "bit rot").unwrap();
    let error = format!("{:#}", node.carry(&options(CarryMode::Adopt), &Faults::none()).unwrap_err());
    assert!(error.contains("cannot carry one:1") && error.contains("/a is longer than 4 bytes"), "{error}");
    fs::write(docker.join("overlay2/cache0/diff/a"), "bits").unwrap();
    let error = format!("{:#}", node.carry(&options(CarryMode::Adopt), &Faults::none()).unwrap_err());
    assert!(error.contains("are not those of sha256:"), "{error}");
    assert!(node.names().is_empty());

    let node = Node::new();
    fs::remove_dir_all(node.dir.path().join("var/lib/docker/overlay2/cache1/diff")).unwrap();
    let error = format!("{:#}", node.carry(&options(CarryMode::Auto), &Faults::none()).unwrap_err());
    assert!(error.contains("cache1/diff"), "{error}");
}

#[test]
fn nothing_is_lent_to_where_it_would_not_be_taken_back_from() {
    let node = Node::new();
    let (before, options) = (node.docker(), options(CarryMode::Adopt));
    let host = node.host(&Faults::none());
    // The running containerd has another root than its configuration says.
    let job = Job { root: "/data/containerd", ..job(&host, &node.images, &options) };
    let docker = job.docker("").unwrap().unwrap();
    let sorted = job.sort(Some(&*docker)).unwrap();
    let error = job.carry_layers(&*docker, &sorted, &node.daemon, &mut |_| Ok(())).unwrap_err();
    assert!(format!("{error:#}").contains("it is not lent"), "{error:#}");
    assert_eq!(node.docker(), before);
}

#[test]
fn a_tampered_journal_moves_nothing() {
    let node = Node::new();
    let host = node.host(&Faults::none());
    for dir in [
        "/etc",
        "/var/lib/docker/overlay2/../../../etc/diff",
        "/var/lib/docker/overlay2/a/b/diff",
        "/var/lib/docker/overlay2/diff",
    ] {
        let layers = [LentLayer { dir: dir.to_owned(), chain: String::new() }];
        let loan = Loan { run: "r", source: SOURCE, root: ROOT, layers: &layers, ids: &[], images: &[], had: None };
        let error = loan.return_layers(&host, &BTreeSet::new()).unwrap_err().to_string();
        assert!(error.contains("no layer of Docker's"), "{error}");
    }
    // A link that somebody else made.
    let diff = node.dir.path().join("var/lib/docker/overlay2/cache0/diff");
    fs::rename(&diff, node.dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("/elsewhere", &diff).unwrap();
    let layers = [LentLayer { dir: "/var/lib/docker/overlay2/cache0/diff".to_owned(), chain: String::new() }];
    let loan = Loan { run: "r", source: SOURCE, root: ROOT, layers: &layers, ids: &[], images: &[], had: None };
    assert!(
        loan.return_layers(&host, &BTreeSet::new()).unwrap_err().to_string().contains("none of containerd's layers")
    );
}

#[test]
fn only_what_has_a_name_is_streamed() {
    let node = Node::new();
    let host = node.host(&Faults::none());
    let id = DockerStore::open(&host, SOURCE).unwrap().id_of("two:1").unwrap();
    let (images, options) = (["one:1".to_owned(), id.clone()], options(CarryMode::Stream));
    let sorted = job(&host, &images, &options).sort(None).unwrap();
    let names = |list: &[(String, String)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&sorted.streamed), names(&sorted.nameless)), (vec!["one:1".to_owned()], vec![id]));
}

#[test]
fn a_name_that_means_something_else_is_left() {
    let node = Node::new();
    let other =
        castoff::host::ImageName { name: "docker.io/library/one:1".into(), target: sha(b"x"), ..Default::default() };
    node.daemon.put_name(&other).unwrap();
    node.carry(&options(CarryMode::Adopt), &Faults::none()).unwrap();
    let kept = node.daemon.names().unwrap().into_iter().find(|name| name.name == other.name).unwrap();
    assert_eq!(kept.target, other.target);
}

/// An image in the store that Docker keeps in containerd: its configuration's digest, and those of two manifests of it.
fn lay_in_containerd(node: &Node) -> (String, [String; 2]) {
    let docker = node.daemon.of_docker();
    let (layer, unlabelled) = (sha(b"layer"), castoff::host::Labels::new);
    let dir = docker.begin_layer("unpacked", "", &layer, "").unwrap();
    common::tree::put(node.dir.path(), &format!("{dir}/a"), "base");
    docker.end_layer("unpacked", &layer, "").unwrap();
    let rootfs = serde_json::json!({ "type": "layers", "diff_ids": [layer] });
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "rootfs": rootfs }).to_string();
    let id = sha(config.as_bytes());
    docker.put_blob(&id, config.as_bytes(), unlabelled(), "").unwrap();
    let targets = ["one:1", "two:1"].map(|name| {
        // Compressed another way for each.
        let layers = [(sha(name.as_bytes()), 5)];
        let manifest = castoff::formats::image_manifest::made((&id, config.len() as u64), &layers);
        let target = sha(manifest.as_bytes());
        docker.put_blob(&target, manifest.as_bytes(), unlabelled(), "").unwrap();
        let name = castoff::host::ImageName {
            name: format!("docker.io/library/{name}"),
            target: target.clone(),
            ..Default::default()
        };
        docker.put_name(&name).unwrap();
        target
    });
    (id, targets)
}

#[test]
fn images_that_docker_keeps_in_containerd_are_known_by_dockers_ids() {
    let node = Node::new();
    let (id, targets) = lay_in_containerd(&node);
    let host = node.host(&Faults::none());
    let needs = BTreeMap::from([(targets[1].clone(), vec!["pod default/web".to_owned()])]);
    let (from_containerd, snapshotter, mode) = (true, None, CarryMode::Copy);
    let places = Places { source: "", from_containerd, snapshotter, root: ROOT, socket: "", mode };
    let seen = castoff::images::list(&host, places, &[], &needs).unwrap();
    let listed: Vec<(&str, bool)> =
        seen.images.iter().map(|image| (image.id.as_str(), !image.needed_by.is_empty())).collect();
    assert_eq!(listed, [(targets[1].as_str(), true), (targets[0].as_str(), false)]);

    let options = CarryOptions { mode: CarryMode::Copy, compare: Comparing::Full, ..CarryOptions::default() };
    let [first, second] = targets.clone();
    // The last one is what an older castoff called it.
    for (images, count) in [(vec![first, "two:1".to_owned(), second], 2), (vec![id.clone()], 1)] {
        let job = Job { source: "", from_containerd: true, ..job(&host, &images, &options) };
        let docker = job.docker("").unwrap().unwrap();
        let sorted = job.sort(Some(&*docker)).unwrap();
        assert_eq!((sorted.layered.len(), sorted.streamed.len()), (count, 0), "{images:?}");
        let carried = job.carry_layers(&*docker, &sorted, &node.daemon, &mut |_| Ok(())).unwrap();
        assert!(carried.notes.is_empty(), "{:?}", carried.notes);
    }
    let target = |name: &str| node.daemon.names().unwrap().into_iter().find(|at| at.name == name).unwrap().target;
    assert_eq!(["one:1", "two:1"].map(|name| target(&format!("docker.io/library/{name}"))), targets);
    assert_eq!(target(&id), targets[0]);
}

#[test]
fn of_several_platforms_that_are_here_the_nodes_is_carried() {
    let node = Node::new();
    let (id, [ours, _]) = lay_in_containerd(&node);
    let docker = node.daemon.of_docker();
    let put = |text: &str| {
        docker.put_blob(&sha(text.as_bytes()), text.as_bytes(), castoff::host::Labels::new(), "").unwrap();
        sha(text.as_bytes())
    };
    let rootfs = serde_json::json!({ "type": "layers", "diff_ids": [sha(b"another layer")] });
    let foreign = put(&serde_json::json!({ "architecture": "mips", "os": "linux", "rootfs": rootfs }).to_string());
    let theirs = put(&castoff::formats::image_manifest::made((&foreign, 1), &[(sha(b"x"), 1)]));
    let here = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let child = |digest: &str, architecture: &str| {
        let platform = serde_json::json!({ "os": "linux", "architecture": architecture });
        serde_json::json!({ "digest": digest, "size": 1, "platform": platform })
    };
    let children = [child(&theirs, "mips"), child(&ours, here)];
    let index = put(&serde_json::json!({ "schemaVersion": 2, "manifests": children }).to_string());
    let (host, options) = (node.host(&Faults::none()), CarryOptions::default());
    let job = Job { source: "", from_containerd: true, ..job(&host, &[], &options) };
    assert_eq!(job.docker("").unwrap().unwrap().image(&index).unwrap().id, id);
}

#[test]
fn only_containers_on_lent_layers_keep_them() {
    let node = Node::new();
    let (before, options) = (node.docker(), options(CarryMode::Adopt));
    let layers = node.lendable(&options);
    node.carry(&options, &Faults::none()).unwrap();
    // A sandbox that was on containerd before, on an image of containerd's own.
    node.daemon.begin_layer("pulled", "", "sha256:pause", "").unwrap();
    node.daemon.end_layer("pulled", "sha256:pause", "").unwrap();
    node.daemon.begin_layer("sandbox", "sha256:pause", "", "").unwrap();
    // A container on a layer that somebody has made above one of Docker's.
    let all = node.daemon.snapshots().unwrap();
    let lowest = all.iter().find(|one| layers.iter().any(|layer| layer.chain == one.name)).unwrap();
    node.daemon.begin_layer("made", &lowest.name, "sha256:committed", "").unwrap();
    node.daemon.end_layer("made", "sha256:committed", "").unwrap();
    node.daemon.begin_layer("web", "sha256:committed", "", "").unwrap();
    let error = node.give_back(&layers, &Faults::none()).unwrap_err().to_string();
    assert!(error.contains("the container web of containerd still uses"), "{error}");
    node.daemon.drop_layer("web").unwrap();
    node.daemon.drop_layer("sha256:committed").unwrap();
    // One that kubelet had begun when it stopped is given up by containerd soon.
    node.daemon.begin_layer("begun", &lowest.name, "", "").unwrap();
    node.daemon.gives_up("begun", 5);
    node.give_back(&layers, &Faults::none()).unwrap();
    assert_eq!(node.docker(), before);
}

#[test]
fn what_others_need_stays_and_docker_gets_a_copy() {
    for fault in [FaultMode::Fail, FaultMode::DieBefore, FaultMode::DieAfter] {
        for n in 1.. {
            let node = Node::new();
            let (before, options) = (node.docker(), options(CarryMode::Adopt));
            let layers = node.lendable(&options);
            node.carry(&options, &Faults::none()).unwrap();
            // Somebody names the same image once more.
            let mut other =
                node.daemon.names().unwrap().into_iter().find(|name| name.name.ends_with("/one:1")).unwrap();
            "example.test/mine:1".clone_into(&mut other.name);
            other.labels.clear();
            node.daemon.put_name(&other).unwrap();
            let faults = Faults::at(n, fault);
            let died = node.give_back(&layers, &faults).is_err();
            node.give_back(&layers, &Faults::none()).unwrap();
            assert_eq!(node.docker(), before, "{fault:?} {n}");
            assert_eq!(node.names(), ["example.test/mine:1"]);
            let host = node.host(&Faults::none());
            let docker = DockerStore::open(&host, SOURCE).unwrap();
            let image = docker.read_image(&docker.id_of("one:1").unwrap()).unwrap();
            let dirs = node.daemon.directories(&image.layers.last().unwrap().chain_id, "").unwrap();
            for (layer, dir) in image.layers.iter().rev().zip(dirs) {
                host.root.compare_layers(&layer.dir, &dir, true).unwrap();
            }
            if !died && faults.count() < n {
                break;
            }
        }
    }
}
