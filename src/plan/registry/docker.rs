//! What Docker does with registries, in containerd's words.

use super::{
    super::draft::Draft,
    Release,
    hosts::{Wanted, add, authority, certificates, path_of},
    networks::{Insecure, known},
};
use crate::{
    formats::hosts_toml::HostOptions,
    model::{DOCKER_CERTS_D, DockerSetting, Facts, Origin, RegistryDir, SettingVerdict, Severity, Verdict},
};

/// Docker Hub, which Docker asks when no mirror has an image.
const HUB: &str = "https://registry-1.docker.io";

/// Names of Docker Hub below `certs.d`: dockerd reads no certificates for it.
const HUB_NAMES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What must hold so that containerd does what Docker did; verdicts follow.
pub(super) fn wanted(draft: &mut Draft<'_>, release: Release) -> Wanted {
    let mut wanted = Wanted::default();
    let insecure = Insecure::of(&texts(draft.facts.docker.setting("insecure-registries")));
    mirrors(draft, &insecure, &mut wanted);
    insecure_registries(draft, release, &insecure, &mut wanted);
    if draft.facts.docker.installed {
        docker_certs(draft, &insecure, &mut wanted);
    }
    wanted
}

fn texts(setting: Option<&DockerSetting>) -> Vec<String> {
    let Some(setting) = setting else { return Vec::new() };
    match setting.raw.reveal() {
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Array(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn place_of(draft: &Draft<'_>, key: &str) -> Origin {
    let known = draft.facts.docker.setting(key).map(|setting| setting.origin.clone());
    known.unwrap_or_else(|| Origin::default_of("dockerd"))
}

/// Adds a finding at the place of a Docker setting.
fn find(draft: &mut Draft<'_>, id: &str, summary: &str, cause: &str, fix: &str, origin: Origin) {
    draft.find(id, Severity::Warn, summary, cause, fix, "");
    if let Some(last) = draft.findings.last_mut() {
        last.origins = vec![origin];
    }
}

/// Docker asks mirrors for images of Docker Hub only, in their order, and Docker Hub itself last.
fn mirrors(draft: &mut Draft<'_>, insecure: &Insecure, wanted: &mut Wanted) {
    let key = "registry-mirrors";
    let urls = texts(draft.facts.docker.setting(key));
    if draft.facts.docker.setting(key).is_some() && urls.is_empty() {
        return draft.judge(key, Verdict::Equal, None, "the list is empty");
    }
    let mut odd = Vec::new();
    let mut any = false;
    for url in &urls {
        let Some(url) = mirror_url(url) else {
            odd.push(url.clone());
            continue;
        };
        if url.ends_with("/v2") {
            let summary = format!("the path of the mirror {url} ends with /v2");
            let cause = "Docker appends /v2 whatever is there and asked for /v2/v2; containerd will ask for /v2";
            find(
                draft,
                "registry-mirror-path",
                &summary,
                cause,
                "see which of both the mirror serves",
                place_of(draft, key),
            );
        }
        let host = authority(&url);
        let mut options = HostOptions::default();
        if url.starts_with("https://") {
            if insecure.covers(host) {
                options.skip_verify = Some(true);
            } else if let Some(dir) = docker_dir(draft.facts, host) {
                options = certificates(dir);
            }
        }
        options.capabilities = vec!["pull".to_owned(), "resolve".to_owned()];
        let target = wanted.registry("docker.io");
        target.server = Some(HUB.to_owned());
        add(target, &url, options);
        any = true;
    }
    not_understood(draft, key, &odd);
    if any {
        let target = path_of(draft.facts, &super::directory(draft.facts), "docker.io");
        let verdict = if odd.is_empty() { Verdict::Carried } else { Verdict::Manual };
        draft.judge(key, verdict, Some(&target), "asked for images of Docker Hub in the same order, Docker Hub last");
    }
}

/// A mirror's URL without its last slash; Docker takes no other form.
fn mirror_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let bad = rest.is_empty() || rest.starts_with('/') || rest.contains(['?', '#', '@', '"', '\\', ' ']);
    (matches!(scheme, "http" | "https") && !bad).then(|| format!("{scheme}://{}", rest.trim_end_matches('/')))
}

fn not_understood(draft: &mut Draft<'_>, key: &str, odd: &[String]) {
    if odd.is_empty() {
        return;
    }
    let summary = format!("entries of {key} are not carried over");
    let cause = format!("Docker would not take them either: {}", odd.join(", "));
    let origin = place_of(draft, key);
    find(draft, "registry-entry-odd", &summary, &cause, "correct them, or write a hosts.toml by hand", origin);
}

/// For an insecure registry Docker takes any certificate, and plain HTTP if there is no TLS.
fn insecure_registries(draft: &mut Draft<'_>, release: Release, insecure: &Insecure, wanted: &mut Wanted) {
    let key = "insecure-registries";
    let hub = |host: &&str| HUB_NAMES.contains(host);
    let mut hosts: Vec<String> = insecure.hosts.iter().filter(|host| !hub(&host.as_str())).cloned().collect();
    let known = known(draft.facts);
    let networks: Vec<_> = insecure.networks.iter().filter(|network| !network.is_loopback()).collect();
    let mut unused = false;
    for network in &networks {
        let inside = network.members(&known);
        unused |= inside.is_empty();
        let summary =
            format!("registries in the network {} are insecure for Docker; containerd knows no networks", network.text);
        let cause = if inside.is_empty() {
            "no registry in use here is known to be in it".to_owned()
        } else {
            format!("carried over for what is in use here: {}", inside.join(", "))
        };
        let fix = "write a hosts.toml for every other registry in it, those with names among them";
        find(draft, "registry-network", &summary, &cause, fix, place_of(draft, key));
        for host in inside {
            if !hosts.iter().any(|known| known == host) {
                hosts.push(host.to_owned());
            }
        }
    }
    not_understood(draft, key, &insecure.odd);
    for host in &hosts {
        let target = wanted.registry(host);
        target.server = Some(format!("http://{host}"));
        let options = HostOptions { skip_verify: Some(true), ..HostOptions::default() };
        add(target, &insecure_url(host, release), options);
    }
    if draft.facts.docker.setting(key).is_none() {
        return;
    }
    let dir = super::directory(draft.facts);
    let files = hosts.iter().map(|host| path_of(draft.facts, &dir, host)).collect::<Vec<_>>().join(", ");
    let target = (!files.is_empty()).then_some(files);
    if unused || !insecure.odd.is_empty() {
        draft.judge(
            key,
            Verdict::Manual,
            target.as_deref(),
            "containerd knows no networks of registries, see the findings",
        );
    } else if target.is_none() {
        draft.judge(key, Verdict::Equal, None, "containerd trusts the loopback network by itself");
    } else {
        draft.judge(
            key,
            Verdict::Carried,
            target.as_deref(),
            "any certificate will do, and plain HTTP where there is no TLS",
        );
    }
}

/// The host that is tried before plain HTTP. A port other than 80 is ambiguous: there newer releases try TLS first by
/// themselves and remember what worked.
fn insecure_url(host: &str, release: Release) -> String {
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let ambiguous = port.is_some_and(|port| port != "80");
    let scheme = if ambiguous && release.falls_back_to_http() { "http" } else { "https" };
    format!("{scheme}://{host}")
}

fn docker_dir<'f>(facts: &'f Facts, host: &str) -> Option<&'f RegistryDir> {
    let useful = |dir: &&RegistryDir| dir.host == host && (!dir.ca.is_empty() || !dir.client.is_empty());
    facts.registry.docker_certs.iter().find(useful)
}

/// Certificates below `/etc/docker/certs.d` are named where they are: whoever renews them goes on doing so.
fn docker_certs(draft: &mut Draft<'_>, insecure: &Insecure, wanted: &mut Wanted) {
    let facts = draft.facts;
    let mut named = Vec::new();
    for dir in &facts.registry.docker_certs {
        let files: Vec<&String> = dir.ca.iter().chain(dir.client.iter().map(|(cert, _)| cert)).collect();
        if files.is_empty() {
            continue;
        }
        let mut verdict = SettingVerdict {
            setting: dir.path.clone(),
            value: files.iter().map(|path| path.rsplit('/').next().unwrap_or_default()).collect(),
            origin: Origin::path(dir.path.clone()),
            verdict: Verdict::Equal,
            target: None,
            note: String::new(),
        };
        if HUB_NAMES.contains(&dir.host.as_str()) {
            "dockerd has no use for certificates of Docker Hub".clone_into(&mut verdict.note);
        } else if insecure.covers(&dir.host) && !loopback_by_default(&dir.host, insecure) {
            "Docker does not read them for an insecure registry".clone_into(&mut verdict.note);
        } else {
            let options = certificates(dir);
            let url = format!("https://{}", dir.host);
            let target = wanted.registry(&dir.host);
            add(target, &url, options.clone());
            target.server.get_or_insert(url);
            target.options = HostOptions { ca: options.ca, client: options.client, ..HostOptions::default() };
            verdict.verdict = Verdict::Carried;
            verdict.target = Some(path_of(facts, &super::directory(facts), &dir.host));
            "named by containerd where they are".clone_into(&mut verdict.note);
            named.push(dir.host.clone());
        }
        draft.verdicts.push(verdict);
    }
    if !named.is_empty() {
        let cause = format!("certificates of {} stay where they are", named.join(", "));
        let fix = "keep the directory when Docker is removed, or move it and change the hosts.toml files";
        let summary = "containerd goes on reading certificates below /etc/docker/certs.d";
        draft.find("registry-docker-certs", Severity::Note, summary, &cause, fix, DOCKER_CERTS_D);
    }
}

/// Docker takes the loopback network for insecure without being told; certificates somebody put there anyway are meant.
fn loopback_by_default(host: &str, insecure: &Insecure) -> bool {
    !insecure.hosts.iter().any(|known| known == host) && Insecure::default().covers(host)
}
