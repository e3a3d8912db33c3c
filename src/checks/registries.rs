//! Findings about how registries are reached: what each means, and how it is found in facts.

use super::{CheckInfo, version};
use crate::model::{DOCKER_CERTS_D, Facts, Finding, Severity};

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "registry-tables-conflict",
        severity: Severity::Warn,
        summary: "containerd's old registry tables beside config_path keep CRI from loading",
        explanation: "Since containerd 1.5 registries are described by hosts.toml files below the directory that \
            `config_path` names. Where that is set, a `mirrors` table (and until 1.7 a `configs.*.tls` table) is an error: \
            containerd starts, its unit is active, but the CRI plugin is not there and kubelet finds no runtime. The plan \
            moves what the tables say to hosts.toml files and takes the tables out; credentials stay in `configs.*.auth`.",
        run: Some(tables_conflict),
    },
    CheckInfo {
        id: "registry-tls-ignored",
        severity: Severity::Warn,
        summary: "containerd 2.x ignores the TLS settings in its old registry tables",
        explanation: "`registry.configs.*.tls` (certificate files, insecure_skip_verify) was dropped in containerd 2.0. The \
            tables are passed over without a word, and pulls fail with certificate errors. The plan moves them, and the \
            mirrors with them, to hosts.toml files.",
        run: Some(tls_ignored),
    },
    CheckInfo {
        id: "registry-auth-in-config",
        severity: Severity::Warn,
        summary: "credentials of registries stand in containerd's configuration",
        explanation: "`registry.configs.*.auth` and `registry.auths` are deprecated and announced to be removed in containerd \
            2.4; hosts.toml has no place for credentials. They are left where they are. Give kubelet the credentials \
            instead: as image pull secrets, in /var/lib/kubelet/config.json (Docker's format), or by an image credential \
            provider. From containerd 2.1 on, any such table also makes CRI pull images the older, slower way.",
        run: Some(auth_in_config),
    },
    CheckInfo {
        id: "registry-hosts-toml-ignored",
        severity: Severity::Warn,
        summary: "containerd ignores a hosts.toml that it cannot read",
        explanation: "A hosts.toml with a fault (wrong TOML, an unknown capability, a value of a wrong type) is no error to \
            containerd: it logs a line at each pull and goes on as if there were none, past mirrors and certificates. \
            containerd 1.x (1.6.20 and 1.7.24 among them) ignores a file without any `[host]` table too: a `server` alone \
            says nothing there. 2.x ignores a file that begins with a byte order mark; a plan that writes the file takes it out.",
        run: Some(hosts_toml_ignored),
    },
    CheckInfo {
        id: "registry-certs-unpaired",
        severity: Severity::Warn,
        summary: "a client certificate for a registry lacks its key, or a key its certificate",
        explanation: "Docker looks for NAME.cert and NAME.key and refuses to talk to a registry when one of them is missing. \
            Such a file is not carried over. A certificate authority must end in .crt.",
        run: Some(certs_unpaired),
    },
    CheckInfo {
        id: "registry-network",
        severity: Severity::Warn,
        summary: "registries in a network are insecure for Docker; containerd knows no networks",
        explanation: "Docker's `insecure-registries` may hold networks such as 10.0.0.0/8: a registry whose address lies in one \
            is used without verification. containerd has one hosts.toml for each registry and nothing like a network. The \
            plan writes one for each registry by address that images, static pods or settings of this node name. Registries \
            with a name whose address lies there cannot be told without asking DNS: add a hosts.toml for each.",
        run: None,
    },
    CheckInfo {
        id: "registry-mirror-path",
        severity: Severity::Warn,
        summary: "the path of a mirror ends with /v2",
        explanation: "Docker appends /v2 to a mirror's URL in any case, so `https://mirror/v2` was asked for /v2/v2, and most \
            mirrors know no such path: Docker then went on to Docker Hub without a word. containerd does not append a \
            second /v2. The mirror may be heard for the first time.",
        run: None,
    },
    CheckInfo {
        id: "registry-entry-odd",
        severity: Severity::Warn,
        summary: "an entry about registries cannot be carried over",
        explanation: "A mirror must be an http or https URL without user, query and fragment; an insecure registry must be a \
            host with or without port, or a network. containerd before 1.5 takes one certificate authority and one client \
            certificate for a registry. The entry that is named does not fit.",
        run: None,
    },
    CheckInfo {
        id: "registry-docker-certs",
        severity: Severity::Note,
        summary: "containerd goes on reading certificates below /etc/docker/certs.d",
        explanation: "The hosts.toml files name certificates and keys where they are, so that whoever renews them there goes on \
            doing so, and no private key is copied. Do not remove /etc/docker/certs.d with Docker: containerd refuses all \
            pulls from a registry whose certificate file is missing.",
        run: None,
    },
];

fn warn(id: &str, summary: &str, cause: String, fix: &str) -> Finding {
    Finding::new(id, Severity::Warn, summary).cause(cause).fix(fix)
}

/// Old tables matter on a node that will use containerd or does already.
fn concerns(facts: &Facts) -> bool {
    facts.containerd.installed && facts.kubelet.runtime.is_some()
}

fn before_two(facts: &Facts) -> bool {
    version(facts.containerd.version.as_ref()).is_none_or(|version| version < (2, 0))
}

pub fn tables_conflict(facts: &Facts) -> Vec<Finding> {
    let registry = &facts.registry;
    let Some(path) = registry.config_path.as_ref().filter(|_| concerns(facts)) else { return Vec::new() };
    let tls = registry.configs.iter().filter(|config| config.tls.is_some() && before_two(facts));
    let tables = registry.mirrors.iter().map(|mirror| ("mirrors", &mirror.host));
    let tables: Vec<_> = tables.chain(tls.map(|config| ("configs", &config.host))).collect();
    if tables.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = tables.iter().map(|(table, host)| format!("{table}.{:?}", host.value)).collect();
    let mut finding = warn(
        "registry-tables-conflict",
        "containerd's old registry tables beside config_path keep CRI from loading",
        format!("config_path is {:?}; tables: {}", path.value, names.join(", ")),
        "the plan moves them to hosts.toml files",
    );
    finding.origins =
        std::iter::once(&path.origin).chain(tables.iter().map(|(_, host)| &host.origin)).cloned().collect();
    vec![finding]
}

pub fn tls_ignored(facts: &Facts) -> Vec<Finding> {
    let with_tls: Vec<_> = facts.registry.configs.iter().filter(|config| config.tls.is_some()).collect();
    if with_tls.is_empty() || before_two(facts) || !concerns(facts) {
        return Vec::new();
    }
    let hosts: Vec<&str> = with_tls.iter().map(|config| config.host.value.as_str()).collect();
    let mut finding = warn(
        "registry-tls-ignored",
        "containerd 2.x ignores the TLS settings in its old registry tables",
        format!("TLS settings for {}", hosts.join(", ")),
        "the plan moves them to hosts.toml files",
    );
    finding.origins = with_tls.iter().map(|config| config.host.origin.clone()).collect();
    vec![finding]
}

pub fn auth_in_config(facts: &Facts) -> Vec<Finding> {
    let configs = facts.registry.configs.iter().filter(|config| config.auth).map(|config| &config.host);
    let all: Vec<_> = configs.chain(&facts.registry.auths).collect();
    if all.is_empty() || !concerns(facts) {
        return Vec::new();
    }
    let hosts: Vec<&str> = all.iter().map(|host| host.value.as_str()).collect();
    let mut finding = warn(
        "registry-auth-in-config",
        "credentials of registries stand in containerd's configuration",
        format!("for {}", hosts.join(", ")),
        "give them to kubelet (/var/lib/kubelet/config.json or image pull secrets) before containerd 2.4",
    );
    finding.origins = all.iter().map(|host| host.origin.clone()).collect();
    vec![finding]
}

pub fn hosts_toml_ignored(facts: &Facts) -> Vec<Finding> {
    let broken = facts.registry.hosts.iter().filter_map(|dir| Some((dir, dir.fault.as_ref()?)));
    broken
        .map(|(dir, fault)| {
            let path = format!("{}/hosts.toml", dir.path);
            let summary = "containerd ignores a hosts.toml that it cannot read";
            warn("registry-hosts-toml-ignored", summary, fault.clone(), "correct the file")
                .at(crate::model::Origin::path(path))
        })
        .collect()
}

pub fn certs_unpaired(facts: &Facts) -> Vec<Finding> {
    // Docker's own are among both where containerd reads them too.
    let hosts = facts.registry.hosts.iter().filter(|dir| dir.root != DOCKER_CERTS_D);
    let dirs = facts.registry.docker_certs.iter().chain(hosts);
    let files: Vec<&String> = dirs.filter(|dir| !dir.hosts_toml).flat_map(|dir| &dir.unpaired).collect();
    if files.is_empty() {
        return Vec::new();
    }
    let summary = "a client certificate for a registry lacks its key, or a key its certificate";
    let mut finding = warn(
        "registry-certs-unpaired",
        summary,
        "certificate and key must have the same name, ending in .cert and .key".to_owned(),
        "add what is missing, or name a certificate authority *.crt",
    );
    finding.origins = files.into_iter().map(|path| crate::model::Origin::path(path.clone())).collect();
    vec![finding]
}
