//! What a transaction refuses, what it leaves alone, and what it tells: other hands on the files, on the journal and on
//! the lock, units that misbehave, signals.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

mod common;

use castoff::{
    apply::{self as engine, Observer, Options, Refusal, Silent, Store},
    host::{FakeClock, FaultMode, Faults, Host, ImageName, LOCK_PATH, LayerStore as _, Lock, Locked, Root, UnitState},
    model::{Action, Outcome, Plan, Retention, RunState, Step},
};
use common::{
    fixture,
    sim::Sim,
    tree,
    world::{
        State, TreeWorld, World, applied, apply, expect, newest, newest_dir, none, options, plan_of, refusal, resume,
        rollback,
    },
};
use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

fn bookworm() -> TreeWorld {
    TreeWorld::new(&fixture::named("bookworm-dockershim-1.20"))
}

/// A run that died in the middle of writing kubelet's configuration.
fn dirty(world: &dyn World) -> (Plan, State) {
    let (old, plan) = (world.state(), plan_of(world));
    let log = {
        let scout = bookworm();
        let faults = Faults::at(u64::MAX, FaultMode::Fail);
        apply(&scout, &plan_of(&scout), &faults).unwrap();
        faults.log()
    };
    let at = log.iter().position(|what| what == "rename /var/lib/kubelet/config.yaml").unwrap() as u64 + 1;
    apply(world, &plan, &Faults::at(at, FaultMode::DieAfter)).unwrap();
    assert_eq!(newest(world), Some(RunState::Dirty));
    (plan, old)
}

#[test]
fn a_committed_run_is_taken_back_once() {
    let world = bookworm();
    let (_, old, new) = applied(&world);
    assert_eq!(newest(&world), Some(RunState::Committed));
    let error = resume(&world, &none()).unwrap_err();
    assert!(error.to_string().contains("nothing to resume"), "{error:#}");
    expect(&new, &world);
    assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    expect(&old, &world);
    let error = rollback(&world, &none()).unwrap_err();
    assert!(error.to_string().contains("taken back already"), "{error:#}");
    let error = engine::commit(&world.host(&none()), None).unwrap_err();
    assert!(error.to_string().contains("rolled-back"), "{error:#}");
    expect(&old, &world);
}

/// kubelet names them after `--hostname-override`, which kubespray sets on every node.
#[test]
fn static_pods_are_looked_for_by_the_name_that_kubelet_gives_the_node() {
    let node = Sim::new();
    let edit = |path: &str, from: &str, to: &str| {
        let text = fs::read_to_string(tree::at(node.dir(), path)).unwrap();
        assert!(text.contains(from), "{text}");
        tree::put(node.dir(), path, text.replace(from, to));
    };
    // The pod that runs is web-worker-3, so this is the node `3` on the host worker-3.
    edit("/etc/kubernetes/manifests/web.yaml", "name: web\n  namespace", "name: web-worker\n  namespace");
    edit("/var/lib/kubelet/kubeadm-flags.env", "=\"--", "=\"--hostname-override=3 --");
    node.reboot();
    applied(&node);
}

#[test]
fn nothing_is_applied_over_a_run_that_was_cut_off() {
    let world = bookworm();
    let (plan, _) = dirty(&world);
    let there = world.state();
    assert!(matches!(refusal(apply(&world, &plan, &none())), Refusal::Dirty(_)));
    let error = engine::commit(&world.host(&none()), None).unwrap_err();
    assert!(error.to_string().contains("dirty"), "{error:#}");
    expect(&there, &world);
}

#[test]
fn a_rollback_that_was_cut_off_goes_on_under_another_name() {
    let world = bookworm();
    let (_, old) = dirty(&world);
    let (scout, counting) = (bookworm(), Faults::at(u64::MAX, FaultMode::Fail));
    dirty(&scout);
    rollback(&scout, &counting).unwrap();
    let _ = rollback(&world, &Faults::at(counting.count() / 2, FaultMode::DieAfter));
    assert_eq!(newest(&world), Some(RunState::Dirty));
    // As where DHCP gives the name, and has given another.
    let mut wanted = old;
    tree::put(world.root(), "/etc/hostname", "elsewhere\n");
    wanted.files.insert("/etc/hostname".into(), world.state().files["/etc/hostname"].clone());
    let report = resume(&world, &none()).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{:#?}", report.by_hand);
    expect(&wanted, &world);
    // Forward it is still for one node.
    let world = bookworm();
    dirty(&world);
    tree::put(world.root(), "/etc/hostname", "elsewhere\n");
    assert!(matches!(refusal(resume(&world, &none())), Refusal::Unfit(_)));
}

#[test]
fn the_newest_run_is_the_last_one_however_fast_they_follow() {
    let world = bookworm();
    applied(&world);
    // The clock stands still, and the ids of the plans are in any order.
    for round in 0..12 {
        let path = format!("{}.disabled", "/etc/crictl.yaml");
        tree::put(world.root(), &path, "");
        tree::put(world.root(), "/etc/crictl.yaml", format!("timeout: {round}\n"));
        let plan = plan_of(&world);
        assert!(!plan.is_empty());
        let report = apply(&world, &plan, &none()).unwrap();
        let newest = Store::new(&world.host(&none())).find(None).unwrap();
        assert_eq!(newest.id, report.run, "round {round}");
    }
}

const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A new process on a node whose clock was set right after it had been ten years ahead.
fn set_right(node: &Sim) -> Host {
    let mut host = node.host(&none());
    host.clock = Box::new(FakeClock::new());
    host
}

#[test]
fn the_newest_run_is_the_last_one_whatever_becomes_of_the_clock() {
    let node = Sim::new();
    node.clock.advance(TEN_YEARS);
    let first = apply(&node, &plan_of(&node), &none()).unwrap().run;
    assert!(first.starts_with("2035"), "{first}");
    tree::put(node.root(), "/etc/crictl.yaml", "timeout: 1\n");
    let plan = plan_of(&node);
    let unkept = Options { commit: false, ..options() };
    let second = engine::apply(&set_right(&node), &plan, &unkept, &mut Silent).unwrap().run;
    assert_eq!(Store::new(&node.host(&none())).find(None).unwrap().id, second);
    let error = engine::rollback(&set_right(&node), Some(&first), &options(), &mut Silent).unwrap_err();
    assert!(error.to_string().contains(&format!("run {second} stands on run {first}")), "{error:#}");
    let report = engine::rollback(&set_right(&node), None, &options(), &mut Silent).unwrap();
    assert_eq!((report.run, report.outcome), (second, Outcome::RolledBack));
    // Those in between were removed, and their numbers are not given again.
    let mut last = first;
    for _ in 0..3 {
        let report = engine::apply(&set_right(&node), &plan, &options(), &mut Silent).unwrap();
        assert!(report.run > last, "{} after {last}", report.run);
        last = report.run;
        engine::rollback(&set_right(&node), None, &options(), &mut Silent).unwrap();
        engine::prune(&node.host(&none()), Retention { runs: 2, megabytes: 200 }).unwrap();
    }
}

/// What Docker left, as `castoff cleanup` sees it.
fn left(node: &Sim, host: &Host) -> anyhow::Result<engine::Leftovers> {
    let facts = fixture::facts_for(host, &node.assumptions(), &node.desired());
    engine::leftovers(host, &facts, node.desired().socket(), "/var/lib/containerd")
}

fn clean(node: &Sim, host: &Host, shown: &engine::Leftovers) -> anyhow::Result<()> {
    engine::clean(host, shown, &|| left(node, host), node.desired().socket(), true, &mut Silent)
}

#[test]
fn a_cleanup_removes_only_what_is_still_as_it_was_shown() {
    let node = Sim::new();
    tree::make_dir(node.root(), "/var/lib/docker/containers");
    tree::make_dir(node.root(), "/var/lib/docker/volumes");
    let docker = tree::at(node.root(), "/var/lib/docker");
    node.clock.advance(TEN_YEARS);
    let run = apply(&node, &plan_of(&node), &none()).unwrap().run;
    let host = set_right(&node);
    let shown = left(&node, &host).unwrap();
    assert!(shown.obstacles.is_empty() && shown.root.is_some(), "{shown:?}");
    // While the question stands somebody makes a volume, or the time to keep the run is over and Docker runs again.
    tree::make_dir(node.root(), "/var/lib/docker/volumes/new");
    let error = clean(&node, &host, &shown).unwrap_err();
    assert!(error.to_string().contains("not what was shown"), "{error:#}");
    let shown = left(&node, &host).unwrap();
    rollback(&node, &none()).unwrap();
    let error = clean(&node, &host, &shown).unwrap_err();
    assert!(error.to_string().contains("nothing was removed"), "{error:#}");
    assert!(docker.join("volumes/new").is_dir());
    // Where nothing has changed, it goes, and with it the way back, whatever the clock says.
    let plan = plan_of(&node);
    let again = engine::apply(&set_right(&node), &plan, &options(), &mut Silent).unwrap().run;
    assert!(again > run, "{again}");
    clean(&node, &host, &left(&node, &host).unwrap()).unwrap();
    assert!(!docker.join("image").exists());
    assert!(matches!(refusal(rollback(&node, &none())), Refusal::Cleaned { .. }));
}

#[test]
fn a_cleanup_knows_where_a_docker_with_userns_remap_has_its_data() {
    let node = Sim::new();
    apply(&node, &plan_of(&node), &none()).unwrap();
    let host = set_right(&node);
    let mut facts = fixture::facts_for(&host, &node.assumptions(), &node.desired());
    let remapped = "/var/lib/docker/100000.100000";
    let origin = castoff::model::Origin::path("/etc/docker/daemon.json");
    facts.docker.remapped_root = Some(castoff::model::Sourced::new(remapped.to_owned(), origin));
    let look = || engine::leftovers(&host, &facts, node.desired().socket(), "/var/lib/containerd").unwrap();
    assert_eq!(look().root.as_deref(), Some("/var/lib/docker"), "it never started with it");
    for dir in ["containers", "image"] {
        tree::make_dir(node.root(), &format!("{remapped}/{dir}"));
    }
    let left = look();
    assert_eq!(left.root.as_deref(), Some(remapped));
    assert!(left.obstacles.is_empty(), "{left:?}");
}

#[test]
fn a_cleanup_knows_a_docker_that_kept_its_images_in_containerd() {
    let node = Sim::new();
    for dir in ["containers", "buildkit", "volumes"] {
        tree::make_dir(node.root(), &format!("/var/lib/docker/{dir}"));
    }
    apply(&node, &plan_of(&node), &none()).unwrap();
    let image = tree::at(node.root(), "/var/lib/docker/image");
    fs::remove_dir_all(&image).unwrap();
    let docker = node.layers.of_docker();
    let name = ImageName { name: "docker.io/library/web:1".to_owned(), ..ImageName::default() };
    docker.put_name(&name).unwrap();
    docker.lease("container", None).unwrap();
    let ours = node.layers.names().unwrap();
    let host = node.host(&none());
    let shown = left(&node, &host).unwrap();
    assert!(shown.obstacles.is_empty() && shown.images == ["docker.io/library/web:1"], "{shown:?}");
    clean(&node, &host, &shown).unwrap();
    assert!(docker.names().unwrap().is_empty() && docker.leases().unwrap().is_empty());
    assert_eq!(node.layers.names().unwrap(), ours, "CRI's are its own");
    assert!(left(&node, &host).unwrap().is_empty());
    // Something else is not Docker's for having containers.
    tree::make_dir(node.root(), "/var/lib/docker/volumes");
    tree::make_dir(node.root(), "/var/lib/docker/containers");
    fs::remove_file(tree::at(node.root(), "/var/lib/castoff/cleanup.json")).unwrap();
    let left = left(&node, &host).unwrap();
    assert!(left.obstacles.iter().any(|why| why.contains("does not look like Docker's")), "{left:?}");
    tree::put(node.root(), "/var/lib/docker/engine-id", "x");
    let left = self::left(&node, &host).unwrap();
    assert!(left.obstacles.is_empty(), "{left:?}");
}

#[test]
fn a_repair_that_edits_what_is_back_already_does_not_keep_a_rollback_from_its_end() {
    let world = TreeWorld::new(&fixture::named("ubuntu-kubeadm-1.23"));
    let (_, old, _) = applied(&world);
    // The backup of a file that comes back late is away.
    let backups = newest_dir(&world).join("backups");
    let hidden = world.root().join("hidden");
    let mut stuck = false;
    for entry in fs::read_dir(&backups).unwrap() {
        let path = entry.unwrap().path();
        if fs::read(&path).unwrap() == bytes_of(&old, "/etc/containerd/config.toml") {
            fs::rename(&path, &hidden).unwrap();
            let report = rollback(&world, &none()).unwrap();
            assert_eq!(report.outcome, Outcome::Stuck);
            fs::rename(&hidden, &path).unwrap();
            stuck = true;
        }
    }
    assert!(stuck);
    let edited = "/etc/docker/daemon.json";
    let real = tree::at(world.root(), edited);
    let restored = fs::read(&real).unwrap();
    assert_eq!(restored, bytes_of(&old, edited), "it is back before the one that failed");
    let mine = [&restored[..], b"\n"].concat();
    fs::write(&real, &mine).unwrap();
    let report = rollback(&world, &none()).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{:#?}", report.by_hand);
    let told: Vec<&str> = report.steps.iter().filter_map(|step| step.detail.as_deref()).collect();
    assert!(told.iter().any(|text| text.contains(edited) && text.contains("left alone")), "{told:?}");
    assert_eq!(fs::read(&real).unwrap(), mine);
    // Forced, it goes too.
    let forced = Options { force: true, ..options() };
    let report = engine::rollback(&world.host(&none()), None, &forced, &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{:#?}", report.by_hand);
    expect(&old, &world);
}

fn bytes_of(state: &State, path: &str) -> Vec<u8> {
    match &state.files[path] {
        tree::Entry::File { bytes, .. } => bytes.clone(),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn a_second_rollback_is_judged_by_what_it_takes_back() {
    let node = Sim::new();
    applied(&node);
    let edited = tree::at(node.root(), "/etc/crictl.yaml");
    fs::write(&edited, "timeout: 1\n").unwrap();
    let report = rollback(&node, &none()).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{:#?}", report.by_hand);
    // Life goes on: another file, other pods, a unit that nobody wants any more.
    fs::write(tree::at(node.root(), "/etc/docker/daemon.json"), "{}\n").unwrap();
    node.forget_pod("app-5d7c");
    node.engine.change(|daemon| daemon.containers.retain(|container| !container.id.contains("app-5d7c")));
    node.units.change("docker-monitor.service", |state| state.active = "inactive".into());
    let orders = node.units.calls().len();
    let forced = Options { force: true, ..options() };
    let report = engine::rollback(&node.host(&none()), None, &forced, &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{:#?}", report.by_hand);
    assert!(!edited.exists(), "what was left alone is forced back");
    assert_eq!(fs::read_to_string(tree::at(node.root(), "/etc/docker/daemon.json")).unwrap(), "{}\n");
    let later = node.units.calls().split_off(orders);
    assert!(later.iter().all(|call| call == "reload" || call.contains("castoff")), "{later:?}");
    assert_eq!(newest(&node), Some(RunState::RolledBack));
}

#[test]
fn other_peoples_edits_are_left_alone_and_forced_back_later() {
    let world = bookworm();
    let (_, old, _) = applied(&world);
    let edited = ["/etc/containerd/config.toml", "/etc/crictl.yaml"];
    for path in edited {
        let real = tree::at(world.root(), path);
        let text = fs::read_to_string(&real).unwrap();
        fs::write(&real, format!("{text}# somebody was here\n")).unwrap();
    }
    let mine = world.state();
    let report = rollback(&world, &none()).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack);
    let told: Vec<&str> = report.steps.iter().filter_map(|step| step.detail.as_deref()).collect();
    let there = world.state();
    for path in edited {
        assert!(told.iter().any(|text| text.contains(path) && text.contains("left alone")), "{path}: {told:?}");
        assert_eq!(there.files[path], mine.files[path], "{path} was touched");
    }
    let others = |path: &String| !edited.contains(&path.as_str());
    let (mut wanted, mut rest) = (old.clone(), there);
    wanted.files.retain(|path, _| others(path));
    rest.files.retain(|path, _| others(path));
    assert_eq!(wanted.diff(&rest), "");
    // The message names `--force`: it works afterwards too, and loses nothing.
    let forced = Options { force: true, ..options() };
    let report = engine::rollback(&world.host(&none()), None, &forced, &mut Silent).unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{:#?}", report.by_hand);
    expect(&old, &world);
    let backups = newest_dir(&world).join("backups");
    let kept: Vec<String> = fs::read_dir(backups)
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .filter(|text| text.contains("somebody was here"))
        .collect();
    assert_eq!(kept.len(), edited.len(), "an edit that was overwritten is not in the backups");
}

#[test]
fn what_somebody_removed_comes_back_and_what_he_gave_away_too() {
    let world = bookworm();
    let (_, old, _) = applied(&world);
    fs::remove_file(tree::at(world.root(), "/var/lib/kubelet/config.yaml")).unwrap();
    fs::remove_file(tree::at(world.root(), "/etc/crictl.yaml")).unwrap();
    tree::set_mode(world.root(), "/etc/docker/daemon.json", 0o600);
    fs::remove_file(tree::at(world.root(), "/etc/systemd/system/docker.service")).unwrap();
    fs::remove_dir(tree::at(world.root(), "/etc/systemd/system/sockets.target.wants")).unwrap();
    assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    expect(&old, &world);
}

#[test]
fn a_stale_plan_names_the_file() {
    type Change = fn(&std::path::Path);
    let changes: [(&str, &str, Change); 3] = [
        ("/etc/containerd/config.toml", "changed", |root| {
            tree::put(root, "/etc/containerd/config.toml", "version = 2\n");
        }),
        ("/etc/crictl.yaml", "is there now", |root| tree::put(root, "/etc/crictl.yaml", "timeout: 1\n")),
        ("/etc/docker/daemon.json", "gone", |root| fs::remove_file(tree::at(root, "/etc/docker/daemon.json")).unwrap()),
    ];
    for (path, word, change) in changes {
        let world = bookworm();
        let plan = plan_of(&world);
        change(world.root());
        let there = world.state();
        let Refusal::Stale(why) = refusal(apply(&world, &plan, &none())) else { panic!("{path}: another refusal") };
        assert!(why.contains(path) && why.contains(word), "{why}");
        expect(&there, &world);
        assert_eq!(newest(&world), None, "{path}: a run was begun");
    }
}

#[test]
fn a_file_changed_while_the_run_was_cut_off_stops_the_resume() {
    let world = bookworm();
    let (_, old) = dirty(&world);
    tree::put(world.root(), "/etc/docker/daemon.json", "{}\n");
    let there = world.state();
    let Refusal::Drifted { why, .. } = refusal(resume(&world, &none())) else { panic!("another refusal") };
    assert!(why.contains("/etc/docker/daemon.json"), "{why}");
    expect(&there, &world);
    // Not begun yet, so not ours: the rollback leaves it as it is.
    assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    let mut wanted = old;
    wanted.files.insert("/etc/docker/daemon.json".into(), there.files["/etc/docker/daemon.json"].clone());
    expect(&wanted, &world);
}

/// The id of the finding that keeps a run from beginning.
fn unready(result: anyhow::Result<castoff::model::RunReport>) -> String {
    match refusal(result) {
        Refusal::Unready { id, .. } => id,
        other => panic!("another refusal: {other}"),
    }
}

#[test]
fn nothing_begins_while_somebody_else_changes_the_node() {
    let node = Sim::new();
    let (old, mut plan) = (node.state(), plan_of(&node));
    // kubeadm at work.
    node.procs.add_process(4711, &["/usr/bin/kubeadm", "upgrade", "node"], Vec::new());
    let Refusal::Unready { id, what, why } = refusal(apply(&node, &plan, &none())) else { panic!("another refusal") };
    assert_eq!(id, "node-being-changed");
    assert!(what.contains("kubeadm (pid 4711)") && why.contains("kubeadm upgrade"), "{what} {why}");
    expect(&old, &node);
    // Whoever knows better says so.
    plan.desired.skip_checks.push(id);
    plan.digest = plan.compute_digest();
    assert_eq!(apply(&node, &plan, &none()).unwrap().outcome, Outcome::Applied);
    // A package manager that holds its lock.
    let node = Sim::new();
    let lock = "/var/lib/dpkg/lock-frontend";
    tree::put(node.root(), lock, "");
    let file = fs::OpenOptions::new().write(true).open(tree::at(node.root(), lock)).unwrap();
    let held = libc::flock { l_type: 1, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&held)).unwrap();
    assert_eq!(unready(apply(&node, &plan_of(&node), &none())), "node-being-changed");
    drop(file);
    assert_eq!(apply(&node, &plan_of(&node), &none()).unwrap().outcome, Outcome::Applied);
}

#[test]
fn nothing_begins_without_room_for_backups() {
    let node = Sim::new();
    let (old, plan) = (node.state(), plan_of(&node));
    node.free_bytes.set(1 << 19);
    assert_eq!(unready(apply(&node, &plan, &none())), "no-room-for-run");
    expect(&old, &node);
    node.free_bytes.set(1 << 21);
    assert_eq!(apply(&node, &plan, &none()).unwrap().outcome, Outcome::Applied);
}

/// A world with so many runs that were taken back, and one that holds at the end.
fn with_runs(count: usize) -> (TreeWorld, State) {
    let world = bookworm();
    for _ in 0..count {
        applied(&world);
        assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    }
    let (_, old, _) = applied(&world);
    (world, old)
}

fn runs(world: &dyn World) -> Vec<String> {
    Store::new(&world.host(&none())).runs().unwrap().into_iter().map(|run| run.id).collect()
}

#[test]
fn old_runs_go_and_the_one_that_holds_stays() {
    let (world, old) = with_runs(4);
    let all = runs(&world);
    assert_eq!(all.len(), 5);
    let keep = |runs, megabytes| Retention { runs, megabytes };
    // What a kill left behind is swept up, and nothing else.
    let junk = format!("{}/20200101T000000Z-dead/backups/x", castoff::apply::RUNS);
    tree::put(world.root(), &junk, "");
    let pruned = engine::prune(&world.host(&none()), keep(5, 200)).unwrap();
    assert_eq!((pruned.runs.len(), pruned.bytes), (0, 0));
    assert!(!tree::at(world.root(), &junk).exists());
    let pruned = engine::prune(&world.host(&none()), keep(3, 200)).unwrap();
    assert_eq!(pruned.runs, all[..2]);
    assert!(pruned.bytes > 1000);
    // Too many bytes, or too many runs: the one that holds stays all the same.
    let pruned = engine::prune(&world.host(&none()), keep(0, 0)).unwrap();
    assert_eq!((pruned.runs.as_slice(), runs(&world).as_slice()), (&all[2..4], &all[4..]));
    assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    expect(&old, &world);
}

#[test]
fn a_new_run_removes_old_ones_but_none_that_waits() {
    let (world, _) = with_runs(3);
    assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    let few = Options { commit: false, retention: Retention { runs: 1, megabytes: 200 }, ..options() };
    let report = engine::apply(&world.host(&none()), &plan_of(&world), &few, &mut Silent).unwrap();
    assert_eq!((report.outcome, runs(&world).len()), (Outcome::Applied, 2), "the newest stayed, and the new one came");
    // It was not committed.
    tree::put(world.root(), "/etc/crictl.yaml", "timeout: 1\n");
    let plan = plan_of(&world);
    for _ in 0..2 {
        let report = engine::apply(&world.host(&none()), &plan, &few, &mut Silent).unwrap();
        assert_eq!(report.outcome, Outcome::Applied);
        assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    }
    assert!(runs(&world).contains(&report.run), "a run that nobody has committed was removed");
}

#[test]
fn a_removal_that_is_cut_off_leaves_nothing_that_looks_like_a_run() {
    let scout = with_runs(1).0;
    let faults = Faults::at(u64::MAX, FaultMode::Fail);
    let keep = Retention { runs: 1, megabytes: 200 };
    engine::prune(&scout.host(&faults), keep).unwrap();
    for at in 1..=faults.count() {
        let (world, old) = with_runs(1);
        let newest = runs(&world).pop().unwrap();
        let _ = engine::prune(&world.host(&Faults::at(at, FaultMode::DieAfter)), keep);
        let left = runs(&world);
        assert!(left.len() <= 2 && left.contains(&newest), "{at}: {left:?}");
        let host = world.host(&none());
        assert!(Store::new(&host).history().unwrap().iter().all(|run| !run.started.is_empty()), "{at}: a damaged run");
        engine::prune(&host, keep).unwrap();
        let dirs = fs::read_dir(tree::at(world.root(), castoff::apply::RUNS)).unwrap().count();
        assert_eq!(dirs, 1, "{at}: something is left behind");
        assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
        expect(&old, &world);
    }
}

#[test]
fn a_held_lock_is_told_with_its_holder() {
    let world = bookworm();
    let plan = plan_of(&world);
    let root = Root::open(world.root(), none()).unwrap();
    let Locked::Ours(held) = Lock::take(&root, "pid 4711 (apply, run x)").unwrap() else { panic!("not free") };
    let Refusal::Locked(by) = refusal(apply(&world, &plan, &none())) else { panic!("another refusal") };
    assert!(by.contains("4711"), "{by}");
    assert!(matches!(refusal(resume(&world, &none())), Refusal::Locked(_)));
    assert!(matches!(refusal(rollback(&world, &none())), Refusal::Locked(_)));
    drop(held);
    assert!(tree::at(world.root(), LOCK_PATH).exists());
    assert_eq!(apply(&world, &plan, &none()).unwrap().outcome, Outcome::Applied);
}

/// The journal's path, and a run in which everything was done.
fn with_journal() -> (TreeWorld, State, PathBuf) {
    let world = bookworm();
    let (_, _, new) = applied(&world);
    let journal = newest_dir(&world).join("journal.jsonl");
    (world, new, journal)
}

/// A rollback over a changed journal must touch nothing outside the plan.
fn tampered(change: impl Fn(&str) -> String, canary: &str) {
    let (world, _, journal) = with_journal();
    tree::put(world.root(), canary, "not yours\n");
    let before = world.state().files[canary].clone();
    let text = fs::read_to_string(&journal).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed, "nothing was changed in the journal");
    fs::write(&journal, changed).unwrap();
    let told = match rollback(&world, &none()) {
        Ok(report) => {
            assert_eq!(report.outcome, Outcome::Stuck, "a tampered journal was believed");
            report.by_hand.join("\n")
        }
        Err(error) => format!("{error:#}"),
    };
    assert!(told.contains("journal"), "{told}");
    let there = world.state();
    assert_eq!(there.files.get(canary), Some(&before), "{told}");
    let strangers: Vec<&String> = there.files.keys().filter(|path| path.contains("evil")).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn a_tampered_journal_cannot_write_elsewhere() {
    let other = |text: &str| text.replace("\"path\":\"/var/lib/kubelet/config.yaml\"", "\"path\":\"/etc/canary\"");
    tampered(other, "/etc/canary");
    tampered(|text| text.replace("\"path\":\"/etc/crictl.yaml\"", "\"path\":\"/etc/canary\""), "/etc/canary");
}

#[test]
fn a_tampered_journal_cannot_say_what_lies_behind_a_path() {
    let (world, _, journal) = with_journal();
    tree::put(world.root(), "/etc/canary", "not yours\n");
    let text = fs::read_to_string(&journal).unwrap();
    let changed = text.replace("\"target\":\"/etc/crictl.yaml\"", "\"target\":\"/etc/canary\"");
    assert_ne!(text, changed);
    fs::write(&journal, changed).unwrap();
    assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack);
    let there = world.state();
    assert!(there.files.contains_key("/etc/canary") && !there.files.contains_key("/etc/crictl.yaml"));
}

#[test]
fn a_tampered_journal_cannot_remove_directories() {
    let (world, _, journal) = with_journal();
    tree::make_dir(world.root(), "/srv/empty");
    let text = fs::read_to_string(&journal).unwrap();
    let changed = text.replacen("\"dirs\":[]", "\"dirs\":[\"/srv/empty\"]", 1);
    assert_ne!(text, changed);
    fs::write(&journal, changed).unwrap();
    let report = rollback(&world, &none()).unwrap();
    assert_eq!(report.outcome, Outcome::Stuck);
    assert!(tree::at(world.root(), "/srv/empty").is_dir());
}

#[test]
fn a_tampered_journal_cannot_enable_another_unit() {
    let wants = "/etc/systemd/system/multi-user.target.wants";
    for path in ["/etc/evil.service", &format!("{wants}/evil.service"), "/etc/systemd/system/../../evil.service"] {
        let link = |text: &str| {
            let ours =
                format!("{{\"path\":\"{wants}/docker.service\",\"target\":\"/lib/systemd/system/docker.service\"}}");
            text.replace(&ours, &format!("{ours},{{\"path\":\"{path}\",\"target\":\"/tmp/evil.service\"}}"))
        };
        tampered(link, "/etc/canary");
    }
    tampered(|text| text.replace("\"unit\":\"docker.service\"", "\"unit\":\"evil.service\""), "/etc/canary");
}

#[test]
fn a_tampered_journal_cannot_start_or_stop_another_unit() {
    let changes: [(&str, &str); 3] = [
        ("\"was\":{\"unit\":\"docker.service\"", "\"was\":{\"unit\":\"evil.service\""),
        ("\"dependents\":[\"docker-monitor.service\"]", "\"dependents\":[\"docker-monitor.service\",\"evil.service\"]"),
        ("\"endpoint\":\"unix:///run/containerd/containerd.sock\"", "\"endpoint\":\"unix:///run/evil.sock\""),
    ];
    for (was, evil) in changes {
        let world = Sim::new();
        world.units.put(UnitState { load: "loaded".to_owned(), ..UnitState::not_found("evil.service") });
        let (_, old, _) = applied(&world);
        let journal = newest_dir(&world).join("journal.jsonl");
        let text = fs::read_to_string(&journal).unwrap();
        assert!(text.contains(was), "{was} is not in the journal");
        fs::write(&journal, text.replace(was, evil)).unwrap();
        let report = rollback(&world, &none()).unwrap();
        assert!(!world.units.calls().iter().any(|call| call.contains("evil")), "{evil}: {:?}", world.units.calls());
        if evil.contains("dependents") {
            // The rest is as good as ever.
            assert_eq!(report.outcome, Outcome::RolledBack, "{:#?}", report.by_hand);
            expect(&old, &world);
        } else {
            assert_eq!((report.outcome, report.exit_code), (Outcome::Stuck, 5), "{evil}");
            assert!(report.by_hand[0].contains("evil"), "{:#?}", report.by_hand);
        }
    }
}

#[test]
fn a_tampered_journal_cannot_restore_another_content() {
    let digest = |text: &str| {
        let at = text.find("\"digest\":\"sha256:").unwrap() + "\"digest\":\"".len();
        format!("{}../../../../../../etc/canary{}", &text[..at], &text[at + "sha256:".len() + 64..])
    };
    tampered(digest, "/etc/canary");
    tampered(|text| text.replace("\"seq\":3", "\"seq\":4"), "/etc/canary");
    tampered(|text| text.replacen('{', "{]", 1), "/etc/canary");
    let plan = |text: &str| {
        let at = text.find("\"plan\":\"sha256:").unwrap() + "\"plan\":\"sha256:".len();
        format!("{}{}{}", &text[..at], "0".repeat(64), &text[at + 64..])
    };
    tampered(plan, "/etc/canary");
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let (world, _, journal) = with_journal();
    let backups = journal.parent().unwrap().join("backups");
    for entry in fs::read_dir(backups).unwrap() {
        fs::write(entry.unwrap().path(), "rubbish").unwrap();
    }
    let new = world.state();
    let report = rollback(&world, &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::Stuck, 5));
    assert!(report.by_hand[0].contains("damaged"), "{:#?}", report.by_hand);
    let rubbish = |entry: &tree::Entry| matches!(entry, tree::Entry::File { bytes, .. } if bytes == b"rubbish");
    assert!(!world.state().files.values().any(rubbish));
    assert_eq!(world.state().files["/etc/containerd/config.toml"], new.files["/etc/containerd/config.toml"]);
    // Stuck is not done: nothing new is begun over it.
    assert!(matches!(refusal(apply(&world, &plan_of(&bookworm()), &none())), Refusal::Dirty(_)));
}

#[test]
fn the_plan_beside_the_journal_must_be_its_own() {
    let world = bookworm();
    let (plan, _) = dirty(&world);
    let path = newest_dir(&world).join("plan.json");
    let there = world.state();
    let mut other = plan.clone();
    other.steps.truncate(2);
    other.digest = other.compute_digest();
    let mut altered = plan.clone();
    altered.node = "elsewhere".to_owned();
    for (swapped, words) in [
        (serde_json::to_string(&other).unwrap(), "not the one its journal began with"),
        (serde_json::to_string(&altered).unwrap(), "changed after it was made"),
        (serde_json::to_string(&plan.for_reading()).unwrap(), "no file contents"),
        ("{}".to_owned(), "damaged"),
        (String::new(), "damaged"),
    ] {
        fs::write(&path, swapped).unwrap();
        for error in [resume(&world, &none()).unwrap_err(), rollback(&world, &none()).unwrap_err()] {
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
        expect(&there, &world);
    }
    fs::write(&path, serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(resume(&world, &none()).unwrap().outcome, Outcome::Applied);
}

#[test]
fn a_torn_last_record_does_not_count() {
    for cut in [1, 20, 60] {
        let world = bookworm();
        let (_, old) = dirty(&world);
        let journal = newest_dir(&world).join("journal.jsonl");
        let text = fs::read(&journal).unwrap();
        fs::write(&journal, &text[..text.len() - cut]).unwrap();
        assert_eq!(rollback(&world, &none()).unwrap().outcome, Outcome::RolledBack, "cut {cut}");
        // The record that was cut off is the announcement of the write that had happened: only without it is the write
        // nobody's. A record is on disk before its act, so a crash cannot do that; a thief of records can.
        let there = world.state();
        let config = "/var/lib/kubelet/config.yaml";
        assert_eq!(old.files["/etc/containerd/config.toml"], there.files["/etc/containerd/config.toml"]);
        assert!(there.files.contains_key(config));
    }
}

#[test]
fn a_run_without_room_begins_nothing() {
    let world = bookworm();
    let plan = plan_of(&world);
    tree::put(world.root(), "/var/lib/castoff", "a file where the runs should be");
    let old = world.state();
    let error = apply(&world, &plan, &none()).unwrap_err();
    assert!(format!("{error:#}").contains("/var/lib/castoff"), "{error:#}");
    expect(&old, &world);
}

#[test]
fn a_file_that_cannot_be_written_takes_everything_back() {
    let world = bookworm();
    let plan = plan_of(&world);
    // A directory that is not empty stands where the new content would be written first.
    tree::put(world.root(), &format!("/etc/docker/.daemon.json{}/x", tree::TEMPORARY), "");
    let old = world.state();
    let report = apply(&world, &plan, &none()).unwrap();
    assert_eq!((report.outcome, report.exit_code), (Outcome::RolledBack, 4), "{:#?}", report.by_hand);
    expect(&old, &world);
}

/// Raises the signal when a step begins.
struct SignalAt<'a>(usize, &'a AtomicBool);

impl Observer for SignalAt<'_> {
    fn step_started(&mut self, step: &Step, _: usize) {
        if step.index == self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_signal_during_any_step_brings_the_old_state_back() {
    let makes: [&dyn Fn() -> Box<dyn World>; 2] = [&|| Box::new(bookworm()), &|| Box::new(Sim::new())];
    for make in makes {
        let steps = plan_of(&*make()).steps;
        for step in &steps {
            let world = make();
            let (old, plan, signal) = (world.state(), plan_of(&*world), AtomicBool::new(false));
            let options = Options { interrupt: &signal, ..options() };
            let report =
                engine::apply(&world.host(&none()), &plan, &options, &mut SignalAt(step.index, &signal)).unwrap();
            if step.index == steps.len() {
                // There was nothing left to stop.
                assert_eq!(report.outcome, Outcome::Applied, "{}", step.id);
                continue;
            }
            assert_eq!((report.outcome, report.exit_code), (Outcome::Interrupted, 130), "{}", step.id);
            expect(&old, &*world);
            assert_eq!(world.violations(), [""; 0]);
        }
    }
}

#[test]
fn a_report_that_was_not_saved_is_made_from_the_journal() {
    let world = bookworm();
    let (_, _, new) = applied(&world);
    let path = newest_dir(&world).join("report.json");
    let earlier = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let host = world.host(&none());
    let store = Store::new(&host);
    let shown = || store.report_or_so_far(&store.find(None).unwrap()).unwrap();
    assert_eq!((shown().outcome, shown().exit_code, shown().committed), (Outcome::Applied, 0, true));
    expect(&new, &world);
    rollback(&world, &none()).unwrap();
    // The report of an earlier end is not that of this one.
    fs::write(&path, earlier).unwrap();
    assert_eq!(shown().outcome, Outcome::RolledBack);
}

#[test]
fn a_plan_for_another_kind_of_tree_is_refused() {
    let (tree, node) = (bookworm(), Sim::new());
    let (of_tree, of_node) = (plan_of(&tree), plan_of(&node));
    assert!(matches!(refusal(apply(&tree, &of_node, &none())), Refusal::Unfit(_)));
    assert!(matches!(refusal(apply(&node, &of_tree, &none())), Refusal::Unfit(_)));
    let mut outside = of_tree.clone();
    if let Action::WriteFile { path, .. } = &mut outside.steps[0].action {
        *path = "/etc/containerd/../../outside".to_owned();
    }
    outside.digest = outside.compute_digest();
    assert!(matches!(refusal(apply(&tree, &outside, &none())), Refusal::Unfit(_)));
}
