//! Plain HTTP/1.1 over a unix socket, one connection per request.

use crate::host::DaemonError;
use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::{net::UnixStream, task::JoinHandle};

/// More JSON than this is no answer of a Docker daemon.
const BODY_LIMIT: usize = 128 << 20;
/// An error's body is read only this far.
const ERROR_LIMIT: usize = 64 << 10;

/// A request that was answered: the body is still to be read.
pub(super) struct Answer {
    response: Response<Incoming>,
    at: String,
    what: String,
    _connection: Connection,
}

/// Sends a request without a body and waits for the head of the answer. Has no deadline of its own.
pub(super) async fn request(socket: &str, method: Method, target: &str) -> anyhow::Result<Answer> {
    let what = format!("{method} {}", target.split('?').next().unwrap_or(target));
    let broken = |error: &dyn std::error::Error| protocol(socket, &what, error);
    let stream = UnixStream::connect(socket).await.map_err(|error| DaemonError::connecting(socket, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let connection = Connection(tokio::spawn(async move {
        // What goes wrong on the connection is reported by the request that uses it.
        let _ = connection.await;
    }));
    let request =
        Request::builder().method(method).uri(target).header("host", "docker").header("user-agent", "castoff");
    let request = request.body(Empty::<Bytes>::new()).with_context(|| format!("`{target}` is not a request"))?;
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    Ok(Answer { response, at: socket.to_owned(), what, _connection: connection })
}

/// The task that moves the bytes. It ends with its owner, so that a deadline leaves nothing behind, and whoever stops
/// reading closes the connection, which tells the daemon to stop sending.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answer {
    /// The answer when its status is good, else the daemon's own message as an error.
    pub(super) async fn good(self) -> anyhow::Result<Self> {
        let status = self.response.status();
        // 304: already in the state asked for.
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(self);
        }
        let (at, what) = (self.at.clone(), self.what.clone());
        let body = self.body(ERROR_LIMIT).await.unwrap_or_default();
        let detail = message(&body);
        Err(match status {
            StatusCode::NOT_FOUND => DaemonError::NotFound { at, what, detail },
            status => DaemonError::Rejected { at, what, code: format!("HTTP {}", status.as_u16()), detail },
        }
        .into())
    }

    /// The whole body.
    pub(super) async fn whole(self) -> anyhow::Result<Vec<u8>> {
        self.body(BODY_LIMIT).await
    }

    async fn body(mut self, limit: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                let detail = format!("the answer is longer than {} KiB", limit >> 10);
                return Err(self.improper(detail));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The next piece of the body.
    pub(super) async fn chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            match self.response.body_mut().frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(protocol(&self.at, &self.what, &error)),
                // Trailers carry nothing for us.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The next piece of the body, which must come within `idle`.
    pub(super) async fn chunk_within(&mut self, idle: Duration) -> anyhow::Result<Option<Bytes>> {
        match tokio::time::timeout(idle, self.chunk()).await {
            Ok(chunk) => chunk,
            Err(_) => {
                let (at, what) = (self.at.clone(), format!("{} (stalled)", self.what));
                Err(DaemonError::Timeout { at, what, limit: idle }.into())
            }
        }
    }

    /// An error of this answer.
    pub(super) fn improper(&self, detail: impl Into<String>) -> anyhow::Error {
        DaemonError::Protocol { at: self.at.clone(), what: self.what.clone(), detail: detail.into() }.into()
    }
}

fn protocol(at: &str, what: &str, error: &dyn std::error::Error) -> anyhow::Error {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    DaemonError::Protocol { at: at.to_owned(), what: what.to_owned(), detail: format!("{error}{cause}") }.into()
}

/// Docker answers errors with `{"message": …}`; what stands before it (a proxy) may answer with anything.
fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let told = json.as_ref().and_then(|json| json.get("message")).and_then(|message| message.as_str());
    let text = told.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let text: String = text.trim().chars().take(500).collect();
    if text.is_empty() { "no message".to_owned() } else { text }
}

/// Encodes a piece of a path or a value of a query: everything but letters, digits and `-._~`.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_for_a_query() {
        assert_eq!(encode("registry:5000/a b@sha256:1&x=ä"), "registry%3A5000%2Fa%20b%40sha256%3A1%26x%3D%C3%A4");
        assert_eq!(encode("a-b_c.d~e"), "a-b_c.d~e");
    }

    #[test]
    fn messages_are_read_from_whatever_comes() {
        assert_eq!(message(br#"{"message":"No such image: x"}"#), "No such image: x");
        assert_eq!(message(b"<html>502</html>\n"), "<html>502</html>");
        assert_eq!(message(b""), "no message");
        assert_eq!(message(br#"{"message":7}"#), r#"{"message":7}"#);
    }
}
