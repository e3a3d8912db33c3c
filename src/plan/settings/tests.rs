//! What becomes of single settings, on facts made by hand. Whole nodes are in `tests/fixtures`.

use super::*;
use crate::{
    model::{Desired, DiskFacts, DiskUse, DockerSetting, Goal, HandlerFacts, Profile, Secret, ServiceFacts, Severity},
    plan::Options,
};
use serde_json::{Value, json};

const CONFIG: &str = "/etc/containerd/config.toml";

fn facts(settings: &[(&str, Value)]) -> Facts {
    let mut facts = Facts::empty(true);
    facts.containerd.config_path = Some(Sourced::new(CONFIG.to_owned(), Origin::default_of("containerd")));
    facts.containerd.version = Some(Sourced::new("1.7.24".to_owned(), Origin::process("containerd")));
    facts.texts.insert(CONFIG.to_owned(), "version = 2\n".to_owned());
    facts.docker.settings = settings
        .iter()
        .map(|(key, value)| DockerSetting {
            key: (*key).to_owned(),
            value: value.clone(),
            raw: Secret::new(value.clone()),
            origin: Origin::file("/etc/docker/daemon.json", 2),
        })
        .collect();
    facts
}

/// What was said of each setting, the files that would be written, and the ids of findings.
struct Outcome {
    said: Vec<(String, Verdict, String)>,
    others: Vec<(String, Verdict)>,
    containerd: Vec<Setting>,
    files: Vec<(String, String, u32)>,
    findings: Vec<(String, Severity)>,
}

fn outcome(facts: &Facts) -> Outcome {
    let desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap();
    let mut draft = Draft::new(facts, &desired, Options::default());
    let carried = gather(&mut draft);
    Outcome {
        said: draft.said.iter().map(|said| (said.key.clone(), said.verdict, said.note.clone())).collect(),
        others: draft.others.iter().map(|other| (other.setting.clone(), other.verdict)).collect(),
        containerd: draft.containerd.clone(),
        files: carried.files.into_iter().map(|file| (file.path, file.text, file.mode)).collect(),
        findings: draft.findings.iter().map(|finding| (finding.id.clone(), finding.severity)).collect(),
    }
}

impl Outcome {
    #[track_caller]
    fn verdict(&self, key: &str) -> Verdict {
        self.said.iter().find(|said| said.0 == key).unwrap_or_else(|| panic!("nothing is said of {key}")).1
    }

    fn file(&self, name: &str) -> Option<&(String, String, u32)> {
        self.files.iter().find(|file| file.0.ends_with(name))
    }
}

fn unit(facts: &mut Facts, name: &str, environment: &[(&str, &str)], settings: &[(&str, &str)]) {
    let origin = || Origin::unit(format!("/etc/systemd/system/{name}"), Some(3));
    let service = ServiceFacts {
        settings: settings.iter().map(|(k, v)| ((*k).to_owned(), Sourced::new((*v).to_owned(), origin()))).collect(),
        environment: environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Sourced::new(Secret::new((*v).to_owned()), origin())))
            .collect(),
    };
    facts.surroundings.services.insert(name.to_owned(), service);
}

#[test]
fn a_handler_of_nvidias_own_file_stays_and_its_default_counts() {
    let mut facts = facts(&[
        ("default-runtime", json!("nvidia")),
        ("runtimes", json!({"nvidia": {"path": "nvidia-container-runtime"}})),
    ]);
    let import = Origin::file("/etc/containerd/conf.d/99-nvidia.toml", 5);
    facts.containerd.handlers = vec![HandlerFacts {
        name: "nvidia".into(),
        origin: import.clone(),
        runtime_type: None,
        binary_name: Some(Sourced::new("/usr/bin/nvidia-container-runtime".into(), import.clone())),
        systemd_cgroup: None,
        snapshotter: None,
    }];
    facts.containerd.default_runtime = Some(Sourced::new("nvidia".into(), import.clone()));
    let same = outcome(&facts);
    assert!(same.containerd.is_empty(), "{:?}", same.containerd);
    assert_eq!(same.verdict("default-runtime"), Verdict::Equal);

    facts.containerd.default_runtime = Some(Sourced::new("runc".into(), import));
    let beaten = outcome(&facts);
    assert_eq!(beaten.verdict("default-runtime"), Verdict::Manual);
    assert_eq!(beaten.findings, [("runtime-not-carried".to_owned(), Severity::Block)]);
}

#[test]
fn a_default_runtime_that_nobody_defines_is_not_written() {
    let nowhere = outcome(&facts(&[("default-runtime", json!("sysbox"))]));
    assert_eq!(nowhere.verdict("default-runtime"), Verdict::Manual);
    assert!(nowhere.containerd.is_empty());
    assert_eq!(nowhere.findings[0].0, "runtime-not-carried");
    assert_eq!(outcome(&facts(&[("default-runtime", json!("runc"))])).verdict("default-runtime"), Verdict::Equal);
}

#[test]
fn a_root_that_the_command_line_names_is_not_written_to_a_file() {
    let mut facts = facts(&[("data-root", json!("/data/docker"))]);
    let disk = |of, path: &str, mount_point: &str| DiskFacts {
        of,
        path: path.to_owned(),
        target: None,
        mount_point: mount_point.to_owned(),
        source: format!("/dev{mount_point}"),
        fs_type: "ext4".to_owned(),
        total_bytes: None,
        free_bytes: None,
        total_inodes: None,
        free_inodes: None,
        apart: false,
        origin: Origin::kernel("/proc/self/mountinfo"),
    };
    facts.node.disks =
        vec![disk(DiskUse::Docker, "/data/docker", "/data"), disk(DiskUse::Containerd, "/var/lib/containerd", "/")];
    assert_eq!(outcome(&facts).verdict("data-root"), Verdict::Carried);
    let origin = Origin::flag("--root", "/lib/systemd/system/containerd.service", Some(7));
    facts.containerd.root = Some(Sourced::new("/var/lib/containerd".to_owned(), origin));
    assert_eq!(outcome(&facts).verdict("data-root"), Verdict::Manual);
}

#[test]
fn proxies_of_containerds_own_unit_stay() {
    let mut facts = facts(&[]);
    unit(&mut facts, "docker.service", &[("HTTP_PROXY", "http://u:hunter2@p:1"), ("https_proxy", "http://p:2")], &[]);
    let alone = outcome(&facts);
    let (_, text, mode) = alone.file("50-castoff-proxy.conf").unwrap();
    assert!(
        text.contains("\"HTTP_PROXY=http://u:hunter2@p:1\"") && text.contains("\"HTTPS_PROXY=http://p:2\""),
        "{text}"
    );
    assert_eq!(*mode, 0o600, "a password is in it");
    unit(&mut facts, "containerd.service", &[("http_proxy", "http://other:1"), ("HTTPS_PROXY", "http://p:2")], &[]);
    let both = outcome(&facts);
    assert_eq!(both.file("50-castoff-proxy.conf"), None);
    let verdict = |name: &str| both.others.iter().find(|other| other.0 == name).map(|other| other.1);
    assert_eq!((verdict("HTTP_PROXY"), verdict("HTTPS_PROXY")), (Some(Verdict::Manual), Some(Verdict::Equal)));
    let json = serde_json::to_string(&facts).unwrap();
    assert!(!json.contains("hunter2") && !both.said.iter().any(|said| said.2.contains("hunter2")));
    // A password may hold anything, with a scheme or without.
    for proxy in ["http://u:a,hunter2@p:1", "u:a,hunter2@p:1"] {
        unit(&mut facts, "docker.service", &[("HTTP_PROXY", proxy)], &[]);
        let both = outcome(&facts);
        assert!(!both.said.is_empty() && !both.said.iter().any(|said| said.2.contains("hunter2")), "{:?}", both.said);
        let mut alone = facts.clone();
        alone.surroundings.services.remove("containerd.service");
        assert_eq!(outcome(&alone).file("50-castoff-proxy.conf").unwrap().2, 0o600, "{proxy}");
    }
}

#[test]
fn a_setting_of_dockerd_beats_its_environment() {
    let mut facts = facts(&[("http-proxy", json!("http://from-file:1"))]);
    unit(&mut facts, "docker.service", &[("HTTP_PROXY", "http://from-unit:1")], &[]);
    let outcome = outcome(&facts);
    let (_, text, mode) = outcome.file("50-castoff-proxy.conf").unwrap();
    assert!(text.contains("from-file") && !text.contains("from-unit"), "{text}");
    assert_eq!((outcome.verdict("http-proxy"), *mode), (Verdict::Carried, 0o644));
}

#[test]
fn dockerds_own_limits_count_only_for_a_containerd_that_is_its_child() {
    let mut facts = facts(&[]);
    unit(&mut facts, "docker.service", &[], &[("LimitNOFILE", "1048576")]);
    assert!(outcome(&facts).file("50-castoff-limits.conf").is_none());
    facts.docker.managed_containerd = Some(Sourced::new(true, Origin::path("/run/containerd/containerd.sock")));
    let child = outcome(&facts);
    assert!(child.file("50-castoff-limits.conf").unwrap().1.contains("LimitNOFILE=1048576\n"));
    assert_eq!(child.others[0], ("LimitNOFILE of docker.service".to_owned(), Verdict::Carried));
}

#[test]
fn an_old_systemd_takes_one_number() {
    let mut facts =
        facts(&[("default-ulimits", json!({"nofile": {"Name": "nofile", "Soft": 65536, "Hard": 1_048_576}}))]);
    facts.node.systemd = Some(Sourced::new("219".into(), Origin::daemon("systemd", "Version")));
    assert!(outcome(&facts).file("50-castoff-limits.conf").unwrap().1.contains("LimitNOFILE=1048576\n"));
    facts.node.systemd = Some(Sourced::new("247.3-7".into(), Origin::daemon("systemd", "Version")));
    assert!(outcome(&facts).file("50-castoff-limits.conf").unwrap().1.contains("LimitNOFILE=65536:1048576\n"));
}

#[test]
fn a_profile_whose_conditions_only_docker_reads_is_not_carried() {
    let mut facts = facts(&[("seccomp-profile", json!("/etc/docker/s.json"))]);
    assert_eq!(outcome(&facts).verdict("seccomp-profile"), Verdict::Manual, "it is not there");
    for (rules, verdict) in [
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["swapon"],"action":"SCMP_ACT_ERRNO"}]}"#,
            Verdict::Carried,
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["mount"],"includes":{"caps":["CAP_SYS_ADMIN"]}}]}"#,
            Verdict::Manual,
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"includes":{},"excludes":{}}]}"#,
            Verdict::Carried,
        ),
        ("[]", Verdict::Manual),
        ("{", Verdict::Manual),
    ] {
        facts.texts.insert("/etc/docker/s.json".to_owned(), rules.to_owned());
        assert_eq!(outcome(&facts).verdict("seccomp-profile"), verdict, "{rules}");
    }
}

#[test]
fn downloads_go_where_the_release_reads_them() {
    for (version, path) in [("1.6.20", Some("max_concurrent_downloads")), ("2.1.9", Some("plugins"))] {
        let mut facts = facts(&[("max-concurrent-downloads", json!(8))]);
        facts.containerd.version = Some(Sourced::new(version.to_owned(), Origin::process("containerd")));
        let set = outcome(&facts).containerd;
        let first = match &set[0].place {
            Place::Images(path) | Place::Top(path) => path.first().cloned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(first.as_deref(), path, "{version}");
    }
    assert!(outcome(&facts(&[("max-concurrent-downloads", json!(3))])).containerd.is_empty());
}

#[test]
fn a_root_on_the_command_line_is_not_beaten_by_a_file() {
    let mut facts = facts(&[]);
    let disk = |of: &str, path: &str, mount: &str| {
        let origin = Origin::kernel("/proc/self/mountinfo");
        json!({"of": of, "path": path, "mountPoint": mount, "source": mount, "fsType": "ext4", "origin": origin})
    };
    let disks = json!([disk("docker", "/data/docker", "/data"), disk("containerd", "/var/lib/containerd", "/")]);
    facts.node.disks = serde_json::from_value(disks).unwrap();
    assert!(outcome(&facts).file("50-castoff-root.conf").is_some());
    let unit = Origin::unit("/etc/systemd/system/containerd.service", Some(3));
    let flag = Origin { kind: crate::model::OriginKind::Flag, ..unit };
    facts.containerd.root = Some(Sourced::new("/var/lib/containerd".to_owned(), flag));
    let outcome = outcome(&facts);
    assert!(outcome.file("50-castoff-root.conf").is_none() && outcome.containerd.is_empty());
    assert!(outcome.findings.contains(&("data-root-own-disk".to_owned(), Severity::Warn)));
}
