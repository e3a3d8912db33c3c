//! Support bundles: out of one comes the plan that the node had, down to its digest, and no secret.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

mod common;

use castoff::{
    host::{
        FakeClock, Faults, Host,
        bundle_file::{self, BundleContent},
    },
    inspect,
    model::{Action, Assumptions, Bundle, BundleText, Desired, Facts, Goal, Plan},
    plan,
};
use common::{
    fixture,
    program::{Node, castoff},
    sim::Sim,
    tree,
    world::{World as _, tree_host},
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

const SECRETS: [&str; 4] = ["hunter2", "dXNlcjpodW50ZXIy", "s3cr3t-of-nobody", "c2VjcmV0LWtleQ"];

fn both(desired: &Desired) -> impl Fn(&Facts) -> Vec<(Goal, Plan)> {
    let desired = desired.clone();
    move |facts| {
        let plan = |goal| {
            let desired = Desired { goal, ..desired.clone() };
            (goal, plan::plan(facts, &desired, plan::Options::default()))
        };
        vec![plan(Goal::Containerd), plan(Goal::CgroupDriver)]
    }
}

/// Writes a node's bundle, reads it back, and plans out of it.
fn through_a_file(host: &Host, assumptions: &Assumptions, desired: &Desired) -> (Bundle, BundleContent, Facts) {
    let facts = fixture::facts_for(host, assumptions, desired);
    let (bundle, texts) = inspect::bundle::capture(host, &facts, None, &both(desired)).unwrap();
    let document = serde_json::to_string_pretty(&bundle).unwrap();
    let dir = tree::scratch();
    let file = dir.path().join("node.tar.zst");
    bundle_file::write(&file, &BundleContent { document, texts }, false).unwrap();
    let content = bundle_file::read(&file).unwrap();
    let read: Bundle = serde_json::from_str(&content.document).unwrap();
    assert_eq!(read, bundle_without_hidden(bundle));
    let there = read.facts(content.texts.clone()).unwrap();
    (read, content, there)
}

/// As it comes out of its JSON: what is never serialised is gone.
fn bundle_without_hidden(bundle: Bundle) -> Bundle {
    serde_json::from_value(serde_json::to_value(bundle).unwrap()).unwrap()
}

#[test]
fn every_fixture_has_the_same_plans_out_of_its_bundle() {
    let (mut masked, mut settled, mut steps) = (0, 0, 0);
    for fixture in fixture::all() {
        let name = &fixture.name;
        let dir = tree::scratch();
        fixture.lay_out("in", dir.path());
        let host = tree_host(dir.path(), &Faults::none(), FakeClock::new());
        let desired = fixture.desired();
        let (bundle, content, there) = through_a_file(&host, &fixture.assumptions(), &desired);
        let real = both(&desired)(&fixture::facts_for(&host, &fixture.assumptions(), &desired));
        for ((goal, real), (_, mut plan)) in real.into_iter().zip(both(&desired)(&there)) {
            settled += usize::from(bundle.settle(&mut plan));
            assert_eq!(plan.digest, real.digest, "{name}, {goal:?}: {:#?}", plan.steps);
            assert_eq!(plan.summary, real.summary, "{name}");
            steps += plan.steps.len();
            let known = bundle.plans.iter().find(|known| known.goal == goal).unwrap();
            assert!(known.same && known.digest == real.digest, "{name}");
        }
        masked += bundle.files.iter().filter(|file| file.text == BundleText::Masked).count();
        for secret in SECRETS {
            assert!(!content.document.contains(secret), "{name}: {secret}");
            assert!(content.texts.iter().all(|(_, text)| !text.contains(secret)), "{name}: {secret}");
        }
    }
    assert!(masked >= 3 && settled >= 2 && steps > 100, "{masked} masked, {settled} settled, {steps} steps");
}

/// A simulated node that runs, with a secret wherever one may be.
fn sim_with_secrets() -> Sim {
    let sim = Sim::new();
    let edit = |path: &str, f: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(tree::at(sim.root(), path)).unwrap_or_default();
        tree::put(sim.root(), path, f(text));
    };
    edit("/etc/containerd/config.toml", &|text| {
        format!(
            "{text}\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r.example\".auth]\n  username = \"bob\"\n  \
             password = \"hunter2\"\n"
        )
    });
    edit("/etc/docker/daemon.json", &|text| {
        let open = text.find('{').unwrap() + 1;
        let more = r#" "proxies": {"http-proxy": "http://bob:hunter2@proxy.example:3128", "no-proxy": "localhost"}, "#;
        let rest = text[open..].trim_start();
        let more = if rest.starts_with('}') { more.trim_end().trim_end_matches(',') } else { more };
        format!("{}{more}{rest}", &text[..open])
    });
    edit("/etc/systemd/system/kubelet.service.d/90-proxy.conf", &|_| {
        "[Service]\nEnvironment=HTTPS_PROXY=http://bob:hunter2@proxy.example:3128 API_TOKEN=s3cr3t-of-nobody\n"
            .to_owned()
    });
    edit("/etc/containerd/certs.d/r.example/hosts.toml", &|_| {
        "server = \"https://r.example\"\n[host.\"https://m.example\".header]\n  X-Key = [\"s3cr3t-of-nobody\"]\n"
            .to_owned()
    });
    edit("/root/.docker/config.json", &|_| r#"{"auths":{"r.example":{"auth":"dXNlcjpodW50ZXIy"}}}"#.to_owned());
    edit("/etc/kubernetes/kubelet.conf", &|_| {
        "apiVersion: v1\nkind: Config\nusers:\n- name: me\n  user:\n    client-key-data: c2VjcmV0LWtleQ==\n".to_owned()
    });
    sim
}

#[test]
fn a_running_node_with_secrets_everywhere_has_the_same_plan_and_tells_none() {
    let sim = sim_with_secrets();
    let host = sim.host(&Faults::none());
    let desired = fixture::desired(&[]);
    let facts = fixture::facts_for(&host, &Assumptions::default(), &desired);
    let (bundle, content, there) = through_a_file(&host, &Assumptions::default(), &desired);
    let everything = format!("{}{:?}", content.document, content.texts);
    for secret in SECRETS {
        assert!(!everything.contains(secret), "{secret}");
    }
    assert!(everything.contains("proxy.example:3128") && everything.contains("username"));
    // Live answers came along.
    assert!(there.live && !there.docker.containers.is_empty() && there.docker.running);
    assert_eq!(there.docker.containers, facts.docker.containers);
    assert_eq!((&there.units, &there.pods, &there.cgroup), (&facts.units, &facts.pods, &facts.cgroup));
    assert!(bundle.files.iter().all(|file| file.modified.is_some()));
    for ((goal, real), (_, mut plan)) in both(&desired)(&facts).into_iter().zip(both(&desired)(&there)) {
        assert!(!real.is_empty());
        let masked = bundle.settle(&mut plan);
        assert_eq!(plan.digest, real.digest, "{goal:?}");
        // A mask is never masked again, so the same secret looks the same in both.
        assert_eq!(diffs(&plan), diffs(&real), "{goal:?}");
        assert_eq!(plan.verdicts, real.verdicts, "{goal:?}");
        if goal == Goal::Containerd {
            assert!(masked, "config.toml holds a password and is written");
            let config = |plan: &Plan| {
                plan.steps.iter().find_map(|step| match &step.action {
                    Action::WriteFile { path, after, content, .. } if path.ends_with("config.toml") => {
                        Some((after.digest.clone(), content.clone()))
                    }
                    _ => None,
                })
            };
            let (there, here) = (config(&plan).unwrap(), config(&real).unwrap());
            assert_eq!(there.0, here.0);
            assert_eq!((there.1.is_none(), here.1.is_some()), (true, true), "a masked content is never written");
        }
    }
    assert!(bundle.plans.iter().all(|plan| plan.same));
}

fn diffs(plan: &Plan) -> Vec<&str> {
    let written = plan.steps.iter().filter_map(|step| match &step.action {
        Action::WriteFile { diff, .. } => Some(diff.as_str()),
        _ => None,
    });
    written.collect()
}

#[test]
fn another_secret_is_another_plan() {
    let sim = sim_with_secrets();
    let desired = fixture::desired(&[]);
    let host = sim.host(&Faults::none());
    let (old, _, _) = through_a_file(&host, &Assumptions::default(), &desired);
    let config = tree::at(sim.root(), "/etc/containerd/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("hunter2", "hunter3")).unwrap();
    let (new, content, _) = through_a_file(&host, &Assumptions::default(), &desired);
    assert_ne!(old.plans[0].digest, new.plans[0].digest);
    assert!(!content.document.contains("hunter3"));
}

#[test]
fn a_bundle_that_was_changed_is_not_believed() {
    let sim = Sim::new();
    let host = sim.host(&Faults::none());
    let (bundle, content, _) = through_a_file(&host, &Assumptions::default(), &fixture::desired(&[]));
    let path = content.texts.keys().next().unwrap().clone();
    let with = |change: &dyn Fn(&mut std::collections::BTreeMap<String, String>)| {
        let mut texts = content.texts.clone();
        change(&mut texts);
        bundle.facts(texts).unwrap_err()
    };
    assert!(with(&|texts| drop(texts.remove(&path))).contains("missing"));
    assert!(with(&|texts| drop(texts.insert(path.clone(), "x".into()))).contains("changed"));
    assert!(with(&|texts| drop(texts.insert("/etc/shadow".into(), "x".into()))).contains("not in its list"));
    let other = Bundle { kind: "Facts".into(), ..bundle.clone() };
    assert!(other.facts(content.texts.clone()).unwrap_err().contains("Bundle"));
    let newer = Bundle { api_version: "castoff/v2".into(), ..bundle };
    assert!(newer.facts(content.texts).unwrap_err().contains("castoff/v2"));
}

fn digest(root: &Path) -> String {
    let ran = castoff(&["plan", "-o", "json", "--root", root.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    ran.json()["digest"].as_str().unwrap().to_owned()
}

#[test]
fn the_program_makes_and_reads_bundles() {
    let node = Node::new("bookworm-dockershim-1.20");
    let there = node.run(&["plan", "-o", "json"]).code(0).json()["digest"].as_str().unwrap().to_owned();
    let dir = tree::scratch();
    for name in ["node.tar.zst", "node.tar.gz", "node.tar"] {
        let file = dir.path().join(name);
        let shown = file.to_str().unwrap();
        node.unchanged(&["inspect", "--bundle", shown]).code(0).silent().says(&["castoff plan --root"]);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        node.run(&["inspect", "--bundle", shown]).code(1).silent().error(&["there already", "--force"]);
        node.run(&["inspect", "--bundle", shown, "--force"]).code(0);
        assert_eq!(digest(&file), there, "{name}");
    }
    let archive = dir.path().join("node.tar.zst");
    let shown = archive.to_str().unwrap();
    // What is told can be pasted: a name with blanks, and no bundle for `apply` and `rollback`.
    let spaced = dir.path().join("the node.tar");
    let ran = node.run(&["inspect", "--bundle", spaced.to_str().unwrap()]).code(0);
    ran.says(&[&format!("castoff plan --root '{}'", spaced.display())]);
    for form in ["markdown", "html"] {
        let page = castoff(&["plan", "--root", shown, "-o", form]).code(0).out;
        assert!(page.contains("castoff apply plan.json"), "{page}");
    }
    // Unpacked, by whatever program.
    let unpacked = dir.path().join("unpacked");
    let content = bundle_file::read(&archive).unwrap();
    fs::create_dir(&unpacked).unwrap();
    fs::write(unpacked.join("castoff-bundle.json"), &content.document).unwrap();
    for (path, text) in &content.texts {
        tree::put(&unpacked, &format!("/files{path}"), text.clone());
    }
    assert_eq!(digest(&unpacked), there);
    castoff(&["inspect", "--root", shown]).code(0);
    castoff(&["check", "--root", shown, "--no-trial"]).code(0);
    let saved = dir.path().join("plan.json");
    let ran = castoff(&["plan", "--root", shown, "--no-diff", "--out", saved.to_str().unwrap()]).code(0);
    ran.says(&["This is plan", "castoff apply "]);
    node.run(&["apply", "--yes", "--no-trial", saved.to_str().unwrap()]).code(0);

    for command in ["apply", "migrate", "verify", "rollback", "resume", "commit", "history", "show"] {
        castoff(&[command, "--root", shown]).code(64).silent().error(&["is a support bundle", "hint: "]);
    }
    castoff(&["plan", "--root", shown, "--assume", "kubelet.version=1.2"]).code(64).error(&["--assume"]);
    castoff(&["inspect", "--root", shown, "--bundle", "/nowhere/x.tar"]).code(64).error(&["already"]);
    node.run(&["inspect", "--bundle", "/nowhere/x.zip"]).code(64).error(&[".tar.zst"]);
    fs::write(&saved, "{}").unwrap();
    castoff(&["plan", "--root", saved.to_str().unwrap()]).code(1).silent().error(&["no support bundle"]);
}

#[test]
fn a_profile_comes_along_and_a_masked_plan_is_not_saved() {
    let node = Node::new("ubuntu-old-tables-1.25");
    tree::put(node.path(), "/etc/castoff/profile.toml", "sandbox-image = \"castoff.test/pause:7\"\n");
    let real = node.run(&["plan", "-o", "json"]).json()["digest"].as_str().unwrap().to_owned();
    let dir = tree::scratch();
    let file = dir.path().join("n.tar.zst");
    let shown = file.to_str().unwrap();
    node.run(&["inspect", "--bundle", shown]).code(0);
    let ran = castoff(&["plan", "-o", "json", "--root", shown]);
    assert_eq!(ran.json()["digest"], real.as_str());
    assert!(ran.out.contains("castoff.test/pause:7"));
    let saved = dir.path().join("p.json");
    castoff(&["plan", "--root", shown, "--out", saved.to_str().unwrap()]).code(1).error(&["cannot be saved", &real]);
    assert!(!saved.exists());
}

/// Replaces the string number `at`; true when there was one.
fn replace(value: &mut serde_json::Value, at: &mut usize, by: &str) -> bool {
    match value {
        serde_json::Value::String(text) if *at == 0 => {
            by.clone_into(text);
            true
        }
        serde_json::Value::String(_) => {
            *at -= 1;
            false
        }
        serde_json::Value::Array(items) => items.iter_mut().any(|item| replace(item, at, by)),
        serde_json::Value::Object(fields) => fields.values_mut().any(|field| replace(field, at, by)),
        _ => false,
    }
}

#[test]
fn planning_with_facts_that_somebody_made_up_does_not_panic() {
    let sim = sim_with_secrets();
    let desired = fixture::desired(&[]);
    let (bundle, content, _) = through_a_file(&sim.host(&Faults::none()), &Assumptions::default(), &desired);
    let document = serde_json::to_value(&bundle).unwrap();
    let (mut read, mut planned) = (0, 0);
    for by in ["", "é/../..\u{0}\n", "=[{\"'-:@.99999999999999999999"] {
        for at in (0..).step_by(2) {
            let (mut changed, mut left) = (document.clone(), at);
            if !replace(&mut changed, &mut left, by) {
                break;
            }
            // A word that stands for one of a few is an error where it is read.
            let Ok(changed) = serde_json::from_value::<Bundle>(changed) else { continue };
            read += 1;
            let Ok(facts) = changed.facts(content.texts.clone()) else { continue };
            for (_, mut plan) in both(&desired)(&facts) {
                changed.settle(&mut plan);
                planned += 1;
            }
        }
    }
    assert!(read > 200 && planned > 300, "{read} read, {planned} planned");
}
