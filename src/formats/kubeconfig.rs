//! kubeconfig files: where the API server is, how it is known, and who we are there (client-go `tools/clientcmd/api/v1`).
//!
//! Only the current context counts. What castoff cannot do is told, not passed over: a plugin that makes credentials is a
//! program of somebody's, and nothing of that kind is executed by a process that runs as root.

use super::yaml::lenient;
use crate::model::Secret;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// Bytes in the file, or in another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// As they are.
    Inline(Secret<Vec<u8>>),
    /// The file that holds them; absolute.
    File(String),
}

/// Who we are for the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A client certificate with its key, PEM.
    Certificate {
        /// The certificate and those above it.
        certificate: Material,
        /// Its key; kubelet keeps both in one file.
        key: Material,
    },
    /// A bearer token.
    Token(Material),
}

/// What a kubeconfig says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubeconfig {
    /// `https://HOST:PORT`, perhaps with a path.
    pub server: String,
    /// Certificates of the authority that the server's is from, PEM.
    pub authority: Option<Material>,
    /// The name the server's certificate must have, where that is not the host of `server`.
    pub server_name: Option<String>,
    /// Who we are.
    pub identity: Identity,
    /// The user's name in the file.
    pub user: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    #[serde(rename = "current-context")]
    current: String,
    clusters: Vec<NamedCluster>,
    contexts: Vec<NamedContext>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default)]
    cluster: Cluster,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: String,
    certificate_authority_data: String,
    insecure_skip_tls_verify: bool,
    tls_server_name: String,
    proxy_url: String,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Context,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    #[serde(rename = "client-certificate")]
    certificate: String,
    #[serde(rename = "client-certificate-data")]
    certificate_data: String,
    #[serde(rename = "client-key")]
    key: String,
    #[serde(rename = "client-key-data")]
    key_data: String,
    token: String,
    #[serde(rename = "tokenFile")]
    token_file: String,
    username: String,
    exec: Option<serde_json::Value>,
    #[serde(rename = "auth-provider")]
    provider: Option<serde_json::Value>,
}

impl Kubeconfig {
    /// Reads the text of the file at `path`, whose directory relative paths in it start from.
    ///
    /// # Errors
    /// A sentence that says what is missing or cannot be used, without the file's name.
    pub fn parse(text: &str, path: &str) -> Result<Self, String> {
        // Its error would quote the line, which may be the key.
        let file: File = lenient(text).map_err(|_| "it is no kubeconfig in YAML or JSON".to_owned())?;
        let context = match file.current.as_str() {
            "" => file.contexts.first().filter(|_| file.contexts.len() == 1).ok_or("it names no current-context")?,
            current => file
                .contexts
                .iter()
                .find(|context| context.name == current)
                .ok_or_else(|| format!("its current-context `{current}` is not in it"))?,
        };
        let wanted = &context.context;
        let cluster = file.clusters.iter().find(|cluster| cluster.name == wanted.cluster);
        let cluster = &cluster.ok_or_else(|| format!("the cluster `{}` is not in it", wanted.cluster))?.cluster;
        let user = file.users.iter().find(|user| user.name == wanted.user);
        let named = user.ok_or_else(|| format!("the user `{}` is not in it", wanted.user))?;
        let server = cluster.server.trim_end_matches('/');
        if server.strip_prefix("https://").is_none_or(str::is_empty) {
            return Err(format!("its server is `{}`; it has to be https://HOST:PORT", cluster.server));
        }
        if cluster.insecure_skip_tls_verify {
            return Err("it says insecure-skip-tls-verify: credentials would go to whoever answers".to_owned());
        }
        if !cluster.proxy_url.is_empty() {
            return Err("it names a proxy-url, and castoff speaks to the API server itself only".to_owned());
        }
        let dir = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
        let authority = material(&cluster.certificate_authority_data, &cluster.certificate_authority, dir)?;
        Ok(Self {
            server: server.to_owned(),
            authority,
            server_name: Some(cluster.tls_server_name.clone()).filter(|name| !name.is_empty()),
            identity: identity(&named.user, dir)?,
            user: named.name.clone(),
        })
    }
}

fn identity(user: &User, dir: &str) -> Result<Identity, String> {
    let certificate = material(&user.certificate_data, &user.certificate, dir)?;
    let key = material(&user.key_data, &user.key, dir)?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => return Ok(Identity::Certificate { certificate, key }),
        (Some(_), None) => return Err("it has a client certificate and no key".to_owned()),
        (None, _) => {}
    }
    if !user.token_file.is_empty() {
        return Ok(Identity::Token(Material::File(joined(dir, &user.token_file))));
    }
    if !user.token.is_empty() {
        return Ok(Identity::Token(Material::Inline(Secret::new(user.token.clone().into_bytes()))));
    }
    if user.exec.is_some() || user.provider.is_some() {
        return Err("its credentials come from a plugin, and castoff runs no programs of that kind as root; \
                    make one with a token: `kubectl create token`, `kubectl config set-credentials`"
            .to_owned());
    }
    if !user.username.is_empty() {
        return Err("it has a user name and a password, which API servers since 1.19 do not take".to_owned());
    }
    Err("it has no credentials".to_owned())
}

/// What is in the file wins over a path, as in client-go.
fn material(data: &str, file: &str, dir: &str) -> Result<Option<Material>, String> {
    if !data.is_empty() {
        let bytes = STANDARD.decode(data.trim()).map_err(|_| "one of its -data fields is no base64".to_owned())?;
        return Ok(Some(Material::Inline(Secret::new(bytes))));
    }
    Ok((!file.is_empty()).then(|| Material::File(joined(dir, file))))
}

fn joined(dir: &str, file: &str) -> String {
    if file.starts_with('/') { file.to_owned() } else { format!("{}/{file}", dir.trim_end_matches('/')) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kubeadm writes `/etc/kubernetes/kubelet.conf`.
    const KUBELET: &str = "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: Q0E=\n    server: https://10.0.0.1:6443\n  name: default-cluster\ncontexts:\n- context:\n    cluster: default-cluster\n    namespace: default\n    user: default-auth\n  name: default-context\ncurrent-context: default-context\npreferences: {}\nusers:\n- name: default-auth\n  user:\n    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem\n";

    fn with(from: &str, to: &str) -> Result<Kubeconfig, String> {
        assert!(KUBELET.contains(from), "{from}");
        Kubeconfig::parse(&KUBELET.replace(from, to), "/etc/kubernetes/kubelet.conf")
    }

    #[test]
    fn kubelets_own() {
        let config = Kubeconfig::parse(KUBELET, "/etc/kubernetes/kubelet.conf").unwrap();
        let pem = Material::File("/var/lib/kubelet/pki/kubelet-client-current.pem".into());
        assert_eq!(config.server, "https://10.0.0.1:6443");
        assert_eq!(config.authority, Some(Material::Inline(Secret::new(b"CA".to_vec()))));
        assert_eq!(config.identity, Identity::Certificate { certificate: pem.clone(), key: pem });
    }

    #[test]
    fn it_is_read_as_client_go_reads_it() {
        let text =
            format!("---\n{}extensions:\n---\nkind: Pod\n", KUBELET.replace("kind: Config", "kind: x\nkind: Config"));
        let config =
            Kubeconfig::parse(&text.replace("preferences: {}", "preferences:"), "/etc/kubernetes/kubelet.conf");
        assert_eq!(config, Kubeconfig::parse(KUBELET, "/etc/kubernetes/kubelet.conf"));
    }

    #[test]
    fn paths_start_from_the_file() {
        let config = with("certificate-authority-data: Q0E=", "certificate-authority: pki/ca.crt").unwrap();
        assert_eq!(config.authority, Some(Material::File("/etc/kubernetes/pki/ca.crt".into())));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        const KEY: &str = "    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem\n";
        const BOTH: &str = "client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem\n";
        for (from, to, words) in [
            ("https://", "http://", "it has to be https:"),
            ("https://10.0.0.1:6443", "https://", "it has to be https:"),
            ("current-context: default-context", "current-context: other", "`other` is not in it"),
            ("    server:", "    insecure-skip-tls-verify: true\n    server:", "insecure-skip-tls-verify"),
            ("    server:", "    proxy-url: http://p\n    server:", "proxy-url"),
            (KEY, "", "no key"),
            (BOTH, "exec: {command: aws}\n", "plugin"),
            (BOTH, "username: a\n    password: b\n", "password"),
            (BOTH, "{}\n", "no credentials"),
            ("Q0E=", "Q0E!", "no base64"),
            ("clusters:", "clusters: {", "no kubeconfig"),
        ] {
            let error = with(from, to).unwrap_err();
            assert!(error.contains(words), "{to:?}: {error}");
        }
        let config = with(BOTH, "token: hunter2\n").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
}
