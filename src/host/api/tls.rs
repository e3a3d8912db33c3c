//! Who the API server is, and who we are.

use crate::formats::kubeconfig::{Identity, Kubeconfig, Material};
use anyhow::{Context as _, Result, anyhow, bail};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use std::sync::Arc;

/// Reads a file that a kubeconfig names.
pub type Reader<'a> = dyn Fn(&str) -> Result<Vec<u8>> + 'a;

/// What a connection needs.
pub(super) struct Credentials {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) name: ServerName<'static>,
    /// What stands before every path.
    pub(super) prefix: String,
    pub(super) token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials for {}:{}", self.host, self.port)
    }
}

impl Credentials {
    /// Reads everything that a kubeconfig names; certificates that rotate are read when a client is made.
    pub(super) fn read(config: &Kubeconfig, read: &Reader<'_>) -> Result<Self> {
        let bytes = |material: &Material| match material {
            Material::Inline(bytes) => Ok(bytes.reveal().clone()),
            Material::File(path) => read(path),
        };
        let mut roots = RootCertStore::empty();
        let authority = config.authority.as_ref().context("it names no certificate-authority")?;
        for certificate in certificates(&bytes(authority)?, "the certificate authority")? {
            roots.add(certificate).context("the certificate authority cannot be used")?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .with_root_certificates(roots);
        let mut token = None;
        let tls = match &config.identity {
            Identity::Certificate { certificate, key } => {
                let chain = certificates(&bytes(certificate)?, "the client certificate")?;
                // Its error would not hold the key, and says no more than this.
                let key = PrivateKeyDer::from_pem_slice(&bytes(key)?)
                    .map_err(|_| anyhow!("the client certificate's key is no PEM private key"))?;
                builder.with_client_auth_cert(chain, key).context("the client certificate cannot be used")?
            }
            Identity::Token(from) => {
                let text = String::from_utf8(bytes(from)?).map_err(|_| anyhow!("the token is no text"))?;
                token = Some(text.trim().to_owned());
                builder.with_no_client_auth()
            }
        };
        let (host, port, prefix) = address(&config.server)?;
        let name = config.server_name.clone().unwrap_or_else(|| host.clone());
        let name = ServerName::try_from(name.clone()).map_err(|_| anyhow!("`{name}` is no name of a server"))?;
        Ok(Self { tls: Arc::new(tls), host, port, name, prefix, token })
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| anyhow!("{what} is no PEM: {error:?}"))?;
    if all.is_empty() {
        bail!("{what} holds no certificate");
    }
    Ok(all)
}

/// Host, port and path of `https://HOST[:PORT][/PATH]`; IPv6 in brackets.
fn address(server: &str) -> Result<(String, u16, String)> {
    let uri: hyper::Uri = server.parse().with_context(|| format!("`{server}` is no address"))?;
    let host = uri.host().with_context(|| format!("`{server}` names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, uri.port_u16().unwrap_or(443), uri.path().trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let of = |text| address(text).unwrap();
        assert_eq!(of("https://10.0.0.1:6443"), ("10.0.0.1".into(), 6443, String::new()));
        assert_eq!(of("https://api.example.com/k8s/c1/"), ("api.example.com".into(), 443, "/k8s/c1".into()));
        assert_eq!(of("https://[fd00::1]:6443"), ("fd00::1".into(), 6443, String::new()));
    }
}
