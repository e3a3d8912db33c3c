//! What a verification runs: containers by castoff's runtime and by others, sound and broken.

use super::bundle;
use castoff::{
    host::{Faults, Host, scratch::Scratch},
    model::CgroupMode,
    runtime::attempt::{Bench, Came, Runner, Way, abandon},
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

fn host() -> Host {
    Host::open(Path::new("/"), &Faults::none()).unwrap()
}

fn way(host: &Host) -> Way {
    Way { mode: host.kernel.cgroup_mode().unwrap(), systemd: host.units.available().is_ok() }
}

fn castoff() -> Runner {
    Runner { args: vec!["oci".to_owned()], state: "reference", ..Runner::other(env!("CARGO_BIN_EXE_castoff")) }
}

fn program(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn why(came: &Came) -> String {
    match came {
        Came::Right(what) => panic!("it went well: {what}"),
        Came::Wrong { why, evidence } => format!("{why} {evidence:?}"),
    }
}

#[test]
#[ignore = "needs root and the runc of tests/containerd/fetch.sh"]
fn sound_runtimes_pass() {
    let host = host();
    let way = way(&host);
    let scratch = Scratch::new("test-sound").unwrap();
    for runner in bundle::sound_runcs().iter().map(|program| Runner::other(program)).chain([castoff()]) {
        let name = runner.name.clone();
        let mut bench = Bench::new(&host, &scratch, runner, way);
        for came in [bench.runs().unwrap(), bench.confines().unwrap()] {
            assert!(matches!(came, Came::Right(_)), "{name}: {came:?}");
        }
    }
}

#[test]
#[ignore = "needs root and the runc of tests/containerd/fetch.sh"]
fn broken_runtimes_are_told_from_sound_ones() {
    let host = host();
    let way = way(&host);
    let scratch = Scratch::new("test-broken").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let runc = bundle::sound_runcs().remove(0);
    let tried = |program: &str| {
        Bench::new(&host, &scratch, Runner::other(program), way)
            .runs()
            .unwrap_or_else(|error| Came::Wrong { why: format!("{error:#}"), evidence: Vec::new() })
    };
    let confines = |program: &str| Bench::new(&host, &scratch, Runner::other(program), way).confines().unwrap();
    let whole = fs::read(&runc).unwrap();
    let half = program(dir.path(), "half", &whole[..whole.len() / 2]);
    assert!(
        why(&tried(&half)).contains("could not be run") || why(&tried(&half)).contains("failed to run"),
        "{:?}",
        tried(&half)
    );
    let empty = program(dir.path(), "empty", b"");
    assert!(why(&tried(&empty)).contains("failed to run"), "{:?}", tried(&empty));
    let silent = program(dir.path(), "silent", b"#!/bin/sh\nexit 1\n");
    assert!(why(&tried(&silent)).contains("exit code 1, without a word"), "{:?}", tried(&silent));
    // Says that all is well, and runs nothing.
    let liar = program(dir.path(), "liar", b"#!/bin/sh\nexit 0\n");
    assert!(why(&tried(&liar)).contains("host name"), "{:?}", tried(&liar));
    assert!(why(&confines(&liar)).contains("exit code 0, not 137"), "{:?}", confines(&liar));
    // Without what confines: the specification loses it on the way.
    let without = |name: &str, filter: &str| {
        let text = format!(
            "#!/bin/sh\npython3 - \"$5\" <<'END'\nimport json, sys\np = sys.argv[1] + '/config.json'\nc = json.load(open(p))\n{filter}\njson.dump(c, open(p, 'w'))\nEND\nexec {runc} \"$@\"\n"
        );
        program(dir.path(), name, text.as_bytes())
    };
    let free = without("free", "del c['linux']['resources']['memory']");
    assert!(why(&tried(&free)).contains("its memory is not limited"), "{:?}", tried(&free));
    assert!(why(&confines(&free)).contains("twice its memory did not end it"), "{:?}", confines(&free));
    let open = without("open", "del c['linux']['seccomp']");
    assert!(why(&tried(&open)).contains("seccomp"), "{:?}", tried(&open));
    assert!(why(&confines(&open)).contains("a forbidden system call did not fail"), "{:?}", confines(&open));
    let elsewhere = without(
        "elsewhere",
        "c['linux']['cgroupsPath'] = c['linux']['cgroupsPath'].replace('/castoff/', '/elsewhere/')",
    );
    let told = why(&tried(&elsewhere));
    assert!(told.contains("No such file") || told.contains("errno 2") || told.contains("it is not in"), "{told}");
    let _ = fs::remove_dir("/sys/fs/cgroup/memory/elsewhere");
}

#[test]
#[ignore = "needs root"]
fn without_systemd_its_driver_is_what_fails() {
    let host = host();
    let scratch = Scratch::new("test-driver").unwrap();
    let way = Way { mode: host.kernel.cgroup_mode().unwrap_or(CgroupMode::Unified), systemd: true };
    let came = Bench::new(&host, &scratch, castoff(), way).runs().unwrap();
    if host.units.available().is_ok() {
        assert!(matches!(came, Came::Right(_)), "{came:?}");
    } else {
        assert!(why(&came).contains("systemd"), "{came:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn what_a_killed_verification_left_is_taken_away() {
    let (host, dir) = (host(), tempfile::tempdir().unwrap());
    let (state, bundle) = (dir.path().join("reference"), bundle::Bundle::new(&["pause"]));
    let oci = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_castoff"));
        let null = std::process::Stdio::null;
        command.args(["oci", "--root", state.to_str().unwrap()]).args(args);
        command.stdin(null()).stdout(null()).stderr(null()).status().unwrap().success()
    };
    assert!(oci(&["run", "--detach", "--bundle", bundle.path(), &bundle.id]) && oci(&["state", &bundle.id]));
    abandon(&host, dir.path(), &castoff());
    assert!(!oci(&["state", &bundle.id]) && !bundle.cgroup("memory").exists());
}
