#![allow(clippy::disallowed_methods)] // sockets, their deadlines and the network they are in belong to the machine
//! Streams to containers and pods, as `kubectl exec`, `attach` and `port-forward` use them. A runtime answers such an
//! order with a URL. Behind it is a WebSocket, and the first byte of each of its messages is the number of a channel.

use super::DaemonError;
use anyhow::{Context as _, Result, anyhow, bail};
use hyper::http::Uri;
use nix::sched::{CloneFlags, setns};
use serde::Deserialize;
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};
use tungstenite::{
    ClientRequestBuilder, Error, HandshakeError, Message, WebSocket, client::client_with_config, error::ProtocolError,
    protocol::WebSocketConfig,
};

/// Channels with numbers, and the end of a command as JSON.
const PROTOCOL: &str = "v4.channel.k8s.io";
/// More than any runtime puts into one message.
const MESSAGE_LIMIT: usize = 1 << 20;

/// Channel of a command's or container's standard input.
pub const STDIN: u8 = 0;
/// Channel of its standard output.
pub const STDOUT: u8 = 1;
/// Channel of its standard error.
pub const STDERR: u8 = 2;
/// Channel that tells how a command ended: see [`exit_code`].
pub const STATUS: u8 = 3;

/// That a stream is said to be where its network does not lead.
#[derive(Debug, thiserror::Error)]
#[error("a stream is said to be on {0}, which is no address of this node")]
pub struct Elsewhere(
    /// The address.
    pub IpAddr,
);

/// Channels to a container or a pod. Dropping them leaves it.
#[derive(Debug)]
pub struct Channels {
    socket: WebSocket<Timed>,
    at: String,
}

impl Channels {
    /// Opens what a runtime gave the URL of, in the network of process `node_pid`. Everything that is done with the
    /// channels must be over within `limit`.
    ///
    /// # Errors
    /// A [`DaemonError`] when nobody answers, or not in this protocol; [`Elsewhere`] when the URL leads away from the
    /// node; when it is encrypted.
    pub fn open(url: &str, node_pid: u32, limit: Duration) -> Result<Self> {
        let (address, uri) = target(url)?;
        let at = address.to_string();
        let socket = connect(address, node_pid, limit)?;
        let stream = Timed { socket, until: Instant::now() + limit, limit };
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(PROTOCOL);
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        match client_with_config(request, stream, Some(config)) {
            Ok((socket, _)) => Ok(Self { socket, at }),
            Err(HandshakeError::Failure(error)) => Err(failed(&at, "the request for a stream", limit, error)),
            // Only a socket that does not wait is interrupted.
            Err(HandshakeError::Interrupted(_)) => Err(anyhow!("{at} did not answer the request for a stream")),
        }
    }

    /// Sends something into a channel.
    ///
    /// # Errors
    /// A [`DaemonError`] when the other side is gone or the time is over.
    pub fn send(&mut self, channel: u8, bytes: &[u8]) -> Result<()> {
        let message = Message::binary([&[channel], bytes].concat());
        let limit = self.socket.get_ref().limit;
        self.socket.send(message).map_err(|error| failed(&self.at, "what a stream was sent", limit, error))
    }

    /// What comes next, with its channel; `None` when the other side has closed the stream.
    ///
    /// # Errors
    /// A [`DaemonError`] when the time is over, or for what is no message of this protocol.
    pub fn receive(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        loop {
            let message = match self.socket.read() {
                Ok(message) => message,
                Err(error) if is_end(&error) => return Ok(None),
                Err(error) => return Err(failed(&self.at, "a stream", self.socket.get_ref().limit, error)),
            };
            match message {
                Message::Binary(bytes) => {
                    let (channel, rest) = bytes.split_first().context("a message of a stream is empty")?;
                    return Ok(Some((*channel, rest.to_vec())));
                }
                Message::Text(_) => bail!("{} sends text where channels were asked for", self.at),
                // Pings are answered by the library; a close is followed by the end.
                _ => {}
            }
        }
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        // So that the other side is told and need not guess.
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }
}

/// The exit code of a command, out of what the channel [`STATUS`] said.
///
/// # Errors
/// When the command could not be run, in the runtime's words, or that is no status.
pub fn exit_code(status: &[u8]) -> Result<i32> {
    let told = || String::from_utf8_lossy(status).into_owned();
    let found: Outcome = serde_json::from_slice(status).with_context(|| format!("no status but `{}`", told()))?;
    if found.status == "Success" {
        return Ok(0);
    }
    let causes = found.details.unwrap_or_default().causes.unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason == "ExitCode").map(|cause| &cause.message);
    match code {
        Some(code) => code.parse().with_context(|| format!("`{code}` is no exit code")),
        None if found.message.is_empty() => bail!("no exit code in `{}`", told()),
        None => bail!("{}", found.message),
    }
}

/// Kubernetes' way to tell how something went.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    status: String,
    message: String,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Option<Vec<Cause>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

/// A socket with a last moment for all that is done with it.
#[derive(Debug)]
struct Timed {
    socket: TcpStream,
    until: Instant,
    limit: Duration,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

/// The kernel tells a timeout of a socket as if the socket did not wait.
fn late(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(self.left()?)?;
            match self.socket.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map_err(late),
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.socket.set_write_timeout(self.left()?)?;
            match self.socket.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map_err(late),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// Whether the other side has ended the stream, by the protocol's way or another.
fn is_end(error: &Error) -> bool {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        // containerd's server may still write what it has when it has said goodbye.
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::ReceivedAfterClosing) => true,
        Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

fn failed(at: &str, what: &str, limit: Duration, error: Error) -> anyhow::Error {
    let (at, what) = (at.to_owned(), what.to_owned());
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => DaemonError::Timeout { at, what, limit },
        Error::Http(answer) => {
            let detail = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).trim().to_owned();
            DaemonError::Rejected { at, what, code: answer.status().to_string(), detail }
        }
        other => DaemonError::Protocol { at, what, detail: other.to_string() },
    }
    .into()
}

/// Where a URL leads, and the same URL for a WebSocket.
fn target(url: &str) -> Result<(SocketAddr, Uri)> {
    // Not the whole of it: whoever has its path has the stream.
    let uri: Uri = url.parse().context("the runtime's URL of a stream is none")?;
    let authority = uri.authority().context("the runtime's URL of a stream names no host")?;
    if uri.scheme_str() != Some("http") {
        bail!("streams of {authority} are not to be had over plain HTTP");
    }
    let host = authority.host();
    let ip = match host.trim_start_matches('[').trim_end_matches(']') {
        "localhost" => IpAddr::from(Ipv4Addr::LOCALHOST),
        host => host.parse().with_context(|| format!("the runtime's URL of a stream names the host `{host}`"))?,
    };
    // Who listens everywhere names no address.
    let ip = match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let port = authority.port_u16().with_context(|| format!("the runtime's URL of a stream on {host} has no port"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = format!("ws://{authority}{path}").parse().context("the runtime's URL of a stream has no path")?;
    Ok((SocketAddr::new(ip, port), uri))
}

/// Connects in the network of a process. A socket stays in the network it was made in.
fn connect(address: SocketAddr, node_pid: u32, limit: Duration) -> Result<TcpStream> {
    let path = format!("/proc/{node_pid}/ns/net");
    let what = || format!("the network of process {node_pid} cannot be seen");
    let there = fs::read_link(&path).with_context(what)?;
    if fs::read_link("/proc/thread-self/ns/net").is_ok_and(|here| here == there) {
        return dial(address, limit);
    }
    let network = File::open(&path).with_context(what)?;
    // Namespaces belong to a thread, and this one is gone again when the socket is there.
    let inside = thread::Builder::new().spawn(move || {
        setns(&network, CloneFlags::CLONE_NEWNET).context("failed to enter the daemon's network")?;
        dial(address, limit)
    });
    let inside = inside.context("failed to start a thread")?;
    inside.join().map_err(|_| anyhow!("the thread that connects to {address} ended early"))?
}

fn dial(address: SocketAddr, limit: Duration) -> Result<TcpStream> {
    if !address.ip().is_loopback() && !is_own(address) {
        bail!(Elsewhere(address.ip()));
    }
    let at = address.to_string();
    TcpStream::connect_timeout(&address, limit).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => DaemonError::Timeout { at, what: "connect".to_owned(), limit }.into(),
        _ => DaemonError::connecting(&at, &error).into(),
    })
}

/// Whether an address is one of this network's own: what is sent there comes from there. Nothing is sent to find out.
fn is_own(address: SocketAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address).and_then(|()| socket.local_addr()));
    from.is_ok_and(|from| from.ip() == address.ip())
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
