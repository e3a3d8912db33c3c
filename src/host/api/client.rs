//! [`Api`] over HTTPS, one connection per request: the server may be one of the pods that move, and a request must not meet
//! a connection that died with it.

use super::{
    Api, ApiError, Verb,
    tls::{Credentials, Reader},
};
use crate::{
    formats::kubeconfig::Kubeconfig,
    host::{Aio, DaemonError, Faults},
};
use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::TlsConnector;

/// For one request. An eviction waits for admission webhooks, which may take ten seconds (API server's default).
const LIMIT: Duration = Duration::from_secs(30);
/// To find out that nobody is there: a node's network drops packets as often as it refuses them.
const CONNECT: Duration = Duration::from_secs(5);
/// More than a page of pods is no answer.
const BODY_LIMIT: usize = 64 << 20;

/// The API server of a kubeconfig.
#[derive(Debug)]
pub struct HttpsApi {
    aio: Aio,
    server: String,
    credentials: Credentials,
    faults: Faults,
    limit: Duration,
}

impl HttpsApi {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// When certificates, key or address cannot be used.
    pub fn new(aio: Aio, config: &Kubeconfig, read: &Reader<'_>, faults: Faults) -> Result<Self> {
        let credentials = Credentials::read(config, read)?;
        Ok(Self { aio, server: config.server.clone(), credentials, faults, limit: LIMIT })
    }

    fn away(&self, what: &str, why: impl std::fmt::Display) -> anyhow::Error {
        ApiError::Away { server: self.server.clone(), what: what.to_owned(), why: why.to_string() }.into()
    }

    async fn ask(&self, verb: Verb, path: &str, what: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let at = &self.credentials;
        let connect = TcpStream::connect((at.host.as_str(), at.port));
        let tcp = match tokio::time::timeout(CONNECT, connect).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => return Err(self.away(what, error)),
            Err(_) => return Err(self.away(what, format!("no connection within {} s", CONNECT.as_secs()))),
        };
        let tls = TlsConnector::from(at.tls.clone()).connect(at.name.clone(), tcp).await;
        let tls = tls.map_err(|error| self.away(what, error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(tls)).await.map_err(|error| self.away(what, error))?;
        // It ends with this call, whatever comes of it.
        let _connection = Task(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let response = sender.send_request(self.built(verb, path, body)?).await;
        let response = response.map_err(|error| self.away(what, error))?;
        let status = response.status().as_u16();
        let whole = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        let whole = whole.map_err(|error| self.away(what, error))?.to_bytes();
        // A proxy in between answers with a page of its own.
        let value = serde_json::from_slice(&whole).unwrap_or(Value::Null);
        if value.is_null() && status == 200 {
            return Err(self.away(what, "the answer is no JSON"));
        }
        Ok((status, value))
    }

    fn built(&self, verb: Verb, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>> {
        let at = &self.credentials;
        let host = if at.host.contains(':') { format!("[{}]", at.host) } else { at.host.clone() };
        let mut request = Request::builder()
            .method(verb.word())
            .uri(format!("{}{path}", at.prefix))
            .header(header::HOST, format!("{host}:{}", at.port))
            .header(header::USER_AGENT, concat!("castoff/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json");
        if let Some(token) = &at.token {
            let mut value =
                header::HeaderValue::from_str(&format!("Bearer {token}")).context("the token is no token")?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let kind = if verb == Verb::Patch { "application/merge-patch+json" } else { "application/json" };
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = if body.is_some() { request.header(header::CONTENT_TYPE, kind) } else { request };
        request.body(Full::new(bytes)).with_context(|| format!("`{path}` is no path"))
    }
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Api for HttpsApi {
    fn server(&self) -> &str {
        &self.server
    }

    fn request(&self, verb: Verb, path: &str, body: Option<&Value>) -> Result<Option<Value>> {
        let what = format!("{} {}", verb.word(), path.split('?').next().unwrap_or(path));
        let ask = || {
            let asked = self.aio.within(self.limit, &self.server, &what, self.ask(verb, path, &what, body));
            let (status, value) = match asked {
                Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::Timeout { .. })) => {
                    return Err(self.away(&what, format!("nothing came within {} s", self.limit.as_secs())));
                }
                asked => asked?,
            };
            if (200..300).contains(&status) {
                return Ok(Some(value));
            }
            ApiError::of(&what, status, &value).map_or(Ok(None), |error| Err(error.into()))
        };
        if verb.acts() { self.faults.effect(&what, ask) } else { ask() }
    }
}
