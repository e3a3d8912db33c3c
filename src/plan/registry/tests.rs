use super::*;
use crate::{
    model::{
        Desired, DockerImage, DockerSetting, Goal, Origin, Profile, RegistryConfig, RegistryDir, RegistryMirror,
        RegistryTls, Secret, Sourced, Verdict,
    },
    plan::{Options, verdicts},
};
use serde_json::{Value, json};

fn node(version: &str, settings: &[(&str, Value)]) -> Facts {
    let mut facts = Facts::empty(false);
    facts.docker.installed = true;
    facts.containerd.version = Some(at(version));
    facts.containerd.config_path = Some(at("/etc/containerd/config.toml"));
    for (key, value) in settings {
        facts.docker.settings.push(DockerSetting {
            key: (*key).to_owned(),
            value: value.clone(),
            raw: Secret::new(value.clone()),
            origin: Origin::file("/etc/docker/daemon.json", 2),
        });
    }
    facts
}

fn at(text: &str) -> Sourced<String> {
    Sourced::new(text.to_owned(), Origin::path("/x"))
}

fn mirror(host: &str, endpoints: &[&str]) -> RegistryMirror {
    RegistryMirror { host: at(host), endpoints: endpoints.iter().map(|url| (*url).to_owned()).collect() }
}

fn config(host: &str, tls: Option<RegistryTls>, auth: bool) -> RegistryConfig {
    RegistryConfig { host: at(host), tls, auth }
}

struct Done {
    files: Vec<(String, String)>,
    settings: Vec<String>,
    verdicts: Vec<(String, Verdict)>,
    findings: Vec<String>,
}

impl Done {
    fn file(&self, host: &str) -> &str {
        let path = format!("/etc/containerd/certs.d/{host}/hosts.toml");
        self.files.iter().find(|(known, _)| *known == path).map_or("", |(_, text)| text.split_once('\n').unwrap().1)
    }
}

fn run(facts: &Facts, job: impl Fn(&mut Draft<'_>)) -> Done {
    let desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap();
    let mut draft = Draft::new(facts, &desired, Options::default());
    job(&mut draft);
    let mut judged = verdicts::judge(&draft);
    judged.append(&mut draft.verdicts);
    let files = draft.steps.iter().filter_map(|step| match &step.action {
        crate::model::Action::WriteFile { path, content, .. } => Some((path.clone(), content.clone().unwrap())),
        _ => None,
    });
    Done {
        files: files.collect(),
        settings: draft
            .containerd
            .iter()
            .map(|setting| match (&setting.place, &setting.value) {
                (Place::Images(path), Some(value)) => format!("{} = {value:?}", path.join("/")),
                (Place::Images(path), None) => format!("-{}", path.join("/")),
                other => format!("{other:?}"),
            })
            .collect(),
        verdicts: judged.iter().map(|verdict| (verdict.setting.clone(), verdict.verdict)).collect(),
        findings: draft.findings.iter().map(|finding| finding.id.clone()).collect(),
    }
}

#[test]
fn mirrors_are_asked_in_their_order_and_docker_hub_last() {
    let facts = node(
        "1.7.24",
        &[
            ("registry-mirrors", json!(["https://a.example/", "http://b:5000", "https://c.example/proxy/hub/"])),
            ("insecure-registries", json!(["a.example"])),
        ],
    );
    let done = run(&facts, from_docker);
    assert_eq!(
        done.file("docker.io"),
        "server = \"https://registry-1.docker.io\"\n\n[host.\"https://a.example\"]\n  capabilities = [\"pull\", \"resolve\"]\n  skip_verify = true\n\n[host.\"http://b:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n\n[host.\"https://c.example/proxy/hub\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
    );
    assert_eq!(done.settings, ["registry/config_path = Text(\"/etc/containerd/certs.d\")"]);
    assert!(done.verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Carried), "{:?}", done.verdicts);
    assert_eq!(done.findings, [""; 0]);
}

#[test]
fn odd_mirrors_are_named() {
    let facts = node("2.1.9", &[("registry-mirrors", json!(["m.example", "https://u:p@m", "https://m.example/v2"]))]);
    let done = run(&facts, from_docker);
    assert!(done.file("docker.io").contains("\n[host.\"https://m.example/v2\"]\n"));
    assert_eq!(done.findings, ["registry-mirror-path", "registry-entry-odd"]);
    assert_eq!(done.verdicts[0].1, Verdict::Manual);
    let none = run(&node("2.1.9", &[("registry-mirrors", json!([]))]), from_docker);
    assert_eq!((none.files.len(), none.settings.len(), none.verdicts[0].1), (0, 0, Verdict::Equal));
}

#[test]
fn insecure_registries_take_the_form_that_the_release_knows() {
    for (version, host, first) in [
        ("1.6.20", "r:5000", "https://r:5000"),
        ("1.6.39", "r:5000", "http://r:5000"),
        ("1.7.0", "r:5000", "https://r:5000"),
        ("1.7.24", "r:5000", "http://r:5000"),
        ("2.1.9", "r:5000", "http://r:5000"),
        ("2.1.9", "r", "https://r"),
        ("2.1.9", "r:80", "https://r:80"),
    ] {
        let done = run(&node(version, &[("insecure-registries", json!([host]))]), from_docker);
        assert_eq!(
            done.file(host),
            format!("server = \"http://{host}\"\n\n[host.\"{first}\"]\n  skip_verify = true\n"),
            "{version}"
        );
    }
}

#[test]
fn networks_become_the_registries_known_to_be_in_them() {
    let mut facts = node("1.7.24", &[("insecure-registries", json!(["10.0.0.0/8", "127.0.0.0/8", "192.168.0.0/16"]))]);
    let image = |tag: &str| DockerImage { id: "sha256:0".into(), tags: vec![tag.into()], size: 1 };
    facts.docker.images = vec![image("10.1.2.3:5000/app:1"), image("busybox:1"), image("r.example/x:1")];
    let done = run(&facts, from_docker);
    assert_eq!(done.files.len(), 1);
    assert!(done.file("10.1.2.3:5000").contains("skip_verify = true"));
    assert_eq!(done.findings, ["registry-network", "registry-network"]);
    assert_eq!(done.verdicts[0].1, Verdict::Manual);
    let loopback = run(&node("1.7.24", &[("insecure-registries", json!(["127.0.0.0/8"]))]), from_docker);
    assert_eq!((loopback.files.len(), loopback.verdicts[0].1), (0, Verdict::Equal));
}

#[test]
fn certificates_of_docker_are_named_where_they_are() {
    let mut facts = node("1.6.20", &[("registry-mirrors", json!(["https://m.example"]))]);
    let dir = |host: &str| RegistryDir {
        root: DOCKER_CERTS_D.into(),
        path: format!("{DOCKER_CERTS_D}/{host}"),
        host: host.into(),
        ca: vec![format!("{DOCKER_CERTS_D}/{host}/ca.crt")],
        ..RegistryDir::default()
    };
    facts.registry.docker_certs = vec![dir("m.example"), dir("docker.io"), dir("r:5000")];
    let done = run(&facts, from_docker);
    assert!(done.file("docker.io").ends_with("\"resolve\"]\n  ca = \"/etc/docker/certs.d/m.example/ca.crt\"\n"));
    let ca = "ca = \"/etc/docker/certs.d/r:5000/ca.crt\"\n";
    assert_eq!(done.file("r:5000"), format!("server = \"https://r:5000\"\n{ca}\n[host.\"https://r:5000\"]\n  {ca}"));
    let of = |name: &str| done.verdicts.iter().find(|(setting, _)| setting.ends_with(name)).unwrap().1;
    assert_eq!((of("r:5000"), of("docker.io")), (Verdict::Carried, Verdict::Equal));
    assert_eq!(done.findings, ["registry-docker-certs"]);
}

#[test]
fn old_tables_move_when_they_must_and_credentials_stay() {
    let mut facts = node("1.6.20", &[]);
    let skip = Some(RegistryTls { skip_verify: true, ..RegistryTls::default() });
    facts.registry.mirrors = vec![
        mirror("docker.io", &["https://m.example/hub", "https://registry-1.docker.io"]),
        mirror("r:5000", &["http://r:5000"]),
        mirror("*", &["cache.example"]),
    ];
    facts.registry.configs = vec![
        config("m.example", skip.clone(), true),
        config("s.example", skip, false),
        config("only-auth", None, true),
    ];
    assert_eq!(run(&facts, mend).files.len() + run(&facts, from_docker).files.len(), 0, "they work as they are");
    facts.registry.config_path = Some(at(CERTS_D));
    let done = run(&facts, mend);
    assert_eq!(
        done.file("docker.io"),
        "server = \"https://registry-1.docker.io\"\n\n[host.\"https://m.example/hub\"]\n  capabilities = [\"pull\", \"resolve\"]\n  skip_verify = true\n  override_path = true\n\n[host.\"https://registry-1.docker.io\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
    );
    assert!(done.file("r:5000").starts_with("server = \"http://r:5000\"\n\n[host.\"http://r:5000\"]\n"));
    assert_eq!(done.file("_default"), "\n[host.\"https://cache.example\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
    let hosts: Vec<&str> = done.file("s.example").lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(hosts, ["[host.\"https://cache.example\"]", "[host.\"https://s.example\"]"]);
    assert_eq!(
        done.settings,
        [
            "registry/config_path = Text(\"/etc/containerd/certs.d\")",
            "-registry/mirrors",
            "-registry/configs/m.example/tls",
            "-registry/configs/s.example",
        ]
    );
}

#[test]
fn a_release_without_config_path_gets_tables() {
    let settings = [("registry-mirrors", json!(["https://m.example/hub"])), ("insecure-registries", json!(["r:5000"]))];
    let mut facts = node("1.4.13", &settings);
    facts.registry.mirrors = vec![mirror("docker.io", &["https://registry-1.docker.io"])];
    let done = run(&facts, from_docker);
    assert_eq!(done.files.len(), 0);
    assert_eq!(
        done.settings,
        [
            "registry/mirrors/docker.io/endpoint = List([\"https://m.example/hub/v2\", \"https://registry-1.docker.io\"])",
            "registry/mirrors/r:5000/endpoint = List([\"https://r:5000\", \"http://r:5000\"])",
            "registry/configs/r:5000/tls/insecure_skip_verify = Bool(true)",
        ]
    );
}

#[test]
fn one_directory_stays_of_a_list() {
    let mut facts = node("2.1.9", &[]);
    facts.registry.config_path = Some(at("/srv/certs:/etc/containerd/certs.d/"));
    let dir = |root: &str, host: &str, toml: bool| RegistryDir {
        root: root.into(),
        path: format!("{root}/{host}"),
        host: host.into(),
        hosts_toml: toml,
        ca: vec![format!("{root}/{host}/ca.crt")],
        ..RegistryDir::default()
    };
    facts.registry.hosts = vec![
        dir("/srv/certs", "a", true),
        dir("/srv/certs", "b", false),
        dir(CERTS_D, "c", true),
        dir("/srv/certs", "c", true),
    ];
    facts.texts.insert("/srv/certs/a/hosts.toml".into(), "# a\n[host.\"https://x\"]\nca = 'x.crt'\n".into());
    facts.texts.insert(format!("{CERTS_D}/c/hosts.toml"), "server = 'https://c'\n".into());
    let done = run(&facts, mend);
    assert_eq!(done.file("a"), "[host.\"https://x\"]\nca = '/srv/certs/a/x.crt'\n");
    assert!(done.file("b").contains("ca = \"/srv/certs/b/ca.crt\"\n"));
    assert_eq!(done.files.len(), 2);
    facts.containerd.version = Some(at("1.7.24"));
    assert_eq!(run(&facts, mend).files.len(), 0, "1.7 reads the list");
}

#[test]
fn the_default_of_2_2_is_a_list_too() {
    let mut facts = node("2.2.1", &[]);
    let ca = format!("{DOCKER_CERTS_D}/r:5000/ca.crt");
    facts.registry.hosts = vec![RegistryDir {
        root: DOCKER_CERTS_D.into(),
        path: format!("{DOCKER_CERTS_D}/r:5000"),
        host: "r:5000".into(),
        ca: vec![ca.clone()],
        ..RegistryDir::default()
    }];
    let done = run(&facts, mend);
    assert!(done.file("r:5000").contains(&format!("ca = \"{ca}\"\n")), "{:?}", done.files);
    assert_eq!(done.settings, ["registry/config_path = Text(\"/etc/containerd/certs.d\")"]);
    facts.registry.local_pull = true;
    assert_eq!(run(&facts, mend).settings.len(), 0, "it is read as it was before 2.1");
    facts.registry.config_path = Some(at("/etc/containerd/certs.d:/etc/docker/certs.d"));
    assert_eq!(run(&facts, mend).settings.len(), 0, "and so is a list");
    facts.registry.local_pull = false;
    assert_eq!(run(&facts, mend).files.len(), 1);
    (facts.registry.config_path, facts.containerd.version) = (None, Some(at("2.1.9")));
    assert_eq!(run(&facts, mend).settings.len(), 0, "2.1 has no default");
}

#[test]
fn certificates_beside_a_new_file_are_named_in_it() {
    let mut facts = node("2.1.9", &[("insecure-registries", json!(["r:5000"]))]);
    let path = format!("{CERTS_D}/r_5000_");
    facts.registry.hosts = vec![RegistryDir {
        root: CERTS_D.into(),
        host: "r:5000".into(),
        client: vec![(format!("{path}/a.cert"), format!("{path}/a.key"))],
        path,
        ..RegistryDir::default()
    }];
    let done = run(&facts, from_docker);
    assert!(
        done.file("r_5000_").contains("client = [[\"/etc/containerd/certs.d/r_5000_/a.cert\", "),
        "{:?}",
        done.files
    );
}
