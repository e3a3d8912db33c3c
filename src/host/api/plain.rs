//! What daemons tell of themselves on the loopback over plain HTTP, without asking who we are: health and metrics.

use crate::host::Aio;
use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// A daemon that is there answers at once.
const LIMIT: Duration = Duration::from_secs(5);
/// etcd's metrics are some 100 kB.
const BODY_LIMIT: usize = 8 << 20;

/// Address and path of a URL on this machine's loopback; `None` for anything else: nobody else is asked.
fn place(url: &str) -> Option<(String, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = authority.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    match host {
        // A daemon that listens everywhere listens there too.
        "127.0.0.1" | "localhost" | "0.0.0.0" => Some((format!("127.0.0.1:{port}"), path)),
        "[::1]" | "[::]" => Some((format!("[::1]:{port}"), path)),
        _ => None,
    }
}

/// Asks; gives the status and what came with it.
pub fn get(aio: &Aio, url: &str) -> Result<(u16, String)> {
    let Some((address, path)) = place(url) else { bail!("{url} is not on the loopback, or not plain HTTP") };
    aio.within(LIMIT, &address, &format!("GET {path}"), async {
        let tcp = TcpStream::connect(&address).await.with_context(|| format!("nothing answers at {address}"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
        let task = tokio::spawn(connection);
        let request = Request::builder().uri(path).header(header::HOST, &address).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let whole = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        task.abort();
        let whole = whole.map_err(|error| anyhow::anyhow!("{address}: {error}"))?.to_bytes();
        Ok((status, String::from_utf8_lossy(&whole).into_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn only_the_loopback_is_asked() {
        assert_eq!(place("http://127.0.0.1:2381/health"), Some(("127.0.0.1:2381".into(), "/health")));
        assert_eq!(place("http://0.0.0.0:2381"), Some(("127.0.0.1:2381".into(), "/")));
        assert_eq!(place("http://[::1]:2381/m"), Some(("[::1]:2381".into(), "/m")));
        for other in ["https://127.0.0.1:2381", "http://10.0.0.1:2381", "http://127.0.0.1", "http://x:99999", ""] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "its server is a thread")]
    fn it_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 503 x\r\ncontent-length: 2\r\n\r\nno").unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let aio = Aio::new().unwrap();
        assert_eq!(get(&aio, &format!("http://127.0.0.1:{port}/health")).unwrap(), (503, "no".to_owned()));
        assert!(server.join().unwrap().starts_with("GET /health HTTP/1.1"));
        assert!(get(&aio, &format!("http://127.0.0.1:{port}/health")).is_err(), "nobody is there any more");
    }
}
