use super::*;
use crate::model::{Action, Digest, FileFacts, Goal, Origin, Profile, Sourced};

const MAIN: &str = "/etc/containerd/config.toml";
const SITE: &str = "/etc/containerd/conf.d/10-site.toml";
const IMPORT: &str = "imports = [\"/etc/containerd/conf.d/*.toml\"]\n";
const WARN: &str = "[debug]\n  level = \"warn\"\n";
const PAUSE: &str = "[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"p:1\"\n";

fn node(version: &str, main: &str, site: &str) -> Facts {
    let mut facts = Facts::empty(false);
    facts.containerd.installed = true;
    facts.containerd.version = Some(Sourced::new(version.to_owned(), Origin::default_of("x")));
    facts.containerd.config_path = Some(Sourced::new(MAIN.to_owned(), Origin::default_of("containerd")));
    facts.texts.insert(MAIN.to_owned(), main.to_owned());
    facts.texts.insert(SITE.to_owned(), site.to_owned());
    facts
}

fn planned(facts: &Facts, to: u32, file: Option<&str>) -> Plan {
    let desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap();
    convert(facts, &desired, Options::default(), to, file)
}

fn only(plan: &Plan) -> &Finding {
    let [finding] = plan.findings.as_slice() else { panic!("{:?}", plan.findings) };
    finding
}

fn written(plan: &Plan) -> Vec<(&str, &str)> {
    let files = plan.steps.iter().filter_map(|step| match &step.action {
        Action::WriteFile { path, content, .. } => Some((path.as_str(), content.as_deref()?)),
        _ => None,
    });
    files.collect()
}

#[test]
fn an_import_alone_is_not_made_newer_than_its_main_file() {
    let facts = node("2.3.4", &format!("version = 3\n{IMPORT}"), &format!("version = 3\n{WARN}"));
    let plan = planned(&facts, 4, Some(SITE));
    let finding = only(&plan);
    assert_eq!((finding.id.as_str(), finding.severity), ("conversion-incomplete", Severity::Block));
    assert!(finding.cause.contains("newer than the main one") && finding.cause.contains(SITE), "{finding:?}");
    assert!(finding.fix.contains("leave FILE out"), "{finding:?}");

    // 2.0 to 2.2 start, and read nothing of the main file's CRI settings any more.
    let facts = node("2.1.4", &format!("version = 2\n{IMPORT}{PAUSE}"), &format!("version = 2\n{WARN}"));
    let plan = planned(&facts, 3, Some(SITE));
    assert!(only(&plan).cause.contains(MAIN), "{:?}", plan.findings);
    for (facts, to) in [(&facts, 3), (&node("2.3.4", &format!("version = 3\n{IMPORT}"), "version = 3\n"), 4)] {
        let plan = planned(facts, to, None);
        assert_eq!(plan.findings, [], "{to}");
        assert_eq!(written(&plan).iter().map(|(path, _)| *path).collect::<Vec<_>>(), [MAIN, SITE]);
    }
}

#[test]
fn short_names_beside_a_version_are_those_of_version_1_on_2() {
    let site = "disabled_plugins = [\"cri\"]\n[plugins.cri]\n  sandbox_image = \"p:1\"\n";
    let plan = planned(&node("2.1.4", &format!("version = 2\n{IMPORT}"), site), 3, None);
    assert_eq!(plan.findings, []);
    let all = written(&plan);
    let (_, text) = all.iter().find(|(path, _)| *path == SITE).unwrap();
    assert!(text.contains("disabled_plugins = [\"io.containerd.grpc.v1.cri\"]"), "{text}");
    assert!(text.contains("[plugins.\"io.containerd.cri.v1.images\".pinned_images]\n  sandbox = \"p:1\""), "{text}");
}

#[test]
fn what_has_no_effect_today_decides_over_nothing() {
    let old = format!(
        "version = 2\n{PAUSE}[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n  SystemdCgroup = false\n"
    );
    let main = format!(
        "version = 3\n{IMPORT}[plugins.\"io.containerd.cri.v1.images\".pinned_images]\n  sandbox = \"p:3\"\n\
         [plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.runc.options]\n  SystemdCgroup = true\n"
    );
    let mut facts = node("2.1.4", &main, &old);
    facts.texts.insert("/etc/containerd/conf.d/20-new.toml".to_owned(), format!("version = 3\n{WARN}"));
    for file in [None, Some(SITE)] {
        let plan = planned(&facts, 3, file);
        let finding = only(&plan);
        assert_eq!(finding.id, "conversion-incomplete");
        for name in ["pinned_images.sandbox", "SystemdCgroup", "config.toml:4", SITE] {
            assert!(finding.cause.contains(name), "{name}: {finding:?}");
        }
        assert!(!finding.fix.contains("FILE"), "{finding:?}");
    }
    // Where nobody else says it, it takes effect, and is named.
    facts.texts.insert(MAIN.to_owned(), format!("version = 3\n{IMPORT}"));
    let plan = planned(&facts, 3, None);
    let finding = only(&plan);
    assert_eq!((finding.id.as_str(), finding.severity), ("conversion-takes-effect", Severity::Warn));
    assert!(finding.cause.contains("pinned_images.sandbox") && finding.cause.contains("SystemdCgroup"), "{finding:?}");
    assert_eq!(finding.origins, [Origin::path(SITE)]);
    assert_eq!(written(&plan).iter().map(|(path, _)| *path).collect::<Vec<_>>(), [SITE]);
    // As on 2.1 with a file of version 1.
    let plan = planned(&node("2.1.4", "[plugins.cri]\n  sandbox_image = \"p:1\"\n", ""), 3, None);
    assert_eq!(only(&plan).id, "conversion-takes-effect");
}

#[test]
fn a_conversion_does_not_switch_cri_off() {
    let plan = planned(&node("1.7.24", "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n", ""), 2, None);
    assert_eq!(only(&plan).id, "conversion-incomplete");
}

#[test]
fn a_file_that_is_newer_is_told_what_helps() {
    for (version, fix) in [("2.1.4", "castoff convert --to 3"), ("1.7.24", "regenerate")] {
        let plan = planned(&node(version, "version = 3\n", ""), 2, None);
        let finding = only(&plan);
        assert_eq!(finding.id, "config-not-editable");
        assert!(finding.fix.contains(fix) && !finding.fix.contains("by hand"), "{version}: {finding:?}");
    }
}

#[test]
fn one_file_under_two_names_is_converted_once() {
    let mut facts = node("2.1.4", &format!("version = 2\n{IMPORT}"), &format!("version = 2\n{WARN}"));
    let link = "/etc/containerd/conf.d/20-link.toml";
    facts.texts.insert(link.to_owned(), facts.texts[SITE].clone());
    let (digest, target) = (Digest::of(facts.texts[SITE].as_bytes()), Some(SITE.to_owned()));
    facts.files.insert(link.to_owned(), FileFacts { digest, mode: 0o644, uid: 0, gid: 0, target });
    let plan = planned(&facts, 3, None);
    assert_eq!(plan.findings, []);
    assert_eq!(written(&plan).iter().map(|(path, _)| *path).collect::<Vec<_>>(), [MAIN, SITE]);
}
