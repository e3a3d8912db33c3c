//! A gRPC server of a hundred lines: enough of HTTP/2 to answer unary calls in the order of a script.
#![allow(clippy::disallowed_methods, reason = "its servers are threads")]

use super::*;
use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream as Stream},
    sync::mpsc,
    thread,
};

/// One answer of the scripted server; every call of ours is a connection of its own.
pub(crate) enum Reply {
    /// A message.
    Message(Vec<u8>),
    /// A gRPC status with its text.
    Status(u32, &'static str),
    /// Bytes that are no HTTP/2.
    Garbage,
    /// Nothing, until the client gives up.
    Silence,
    /// The connection ends after the request.
    Close,
}

/// A socket whose server answers by script, and the bodies of the requests it got.
pub(crate) struct Scripted {
    dir: tempfile::TempDir,
    requests: mpsc::Receiver<Vec<u8>>,
}

impl Scripted {
    pub(crate) fn new(script: Vec<Reply>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s.sock")).unwrap();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for reply in script {
                let Ok((stream, _)) = listener.accept() else { return };
                // A client that gives up ends the conversation; that is what some scripts are for.
                let _ = serve(stream, &reply, &sender);
            }
        });
        Self { dir, requests }
    }

    pub(crate) fn socket(&self) -> String {
        self.dir.path().join("s.sock").display().to_string()
    }

    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.try_iter().collect()
    }
}

fn serve(mut stream: Stream, reply: &Reply, requests: &mpsc::Sender<Vec<u8>>) -> std::io::Result<()> {
    if matches!(reply, Reply::Garbage) {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
        // Read until the client hangs up, or its last write would fail before it reads ours.
        return std::io::copy(&mut stream, &mut std::io::sink()).map(drop);
    }
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(&frame(4, 0, 0, &[]))?;
    let mut body = Vec::new();
    let id = loop {
        let (kind, flags, id, payload) = read_frame(&mut stream)?;
        match kind {
            0 => body.extend_from_slice(&payload),
            4 if flags & 1 == 0 => stream.write_all(&frame(4, 1, 0, &[]))?,
            _ => {}
        }
        if kind <= 1 && flags & 1 == 1 {
            break id;
        }
    };
    requests.send(body.split_off(5.min(body.len()))).unwrap();
    match reply {
        Reply::Message(message) => answer(&mut stream, id, message)?,
        Reply::Status(code, text) => {
            let status = [head(), field("grpc-status", &code.to_string()), field("grpc-message", text)].concat();
            stream.write_all(&frame(1, 5, id, &status))?;
        }
        Reply::Close => return Ok(()),
        Reply::Silence | Reply::Garbage => {}
    }
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

fn answer(stream: &mut Stream, id: u32, message: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let data = [&[0], length.as_slice(), message].concat();
    stream.write_all(&frame(1, 4, id, &head()))?;
    for part in data.chunks(16_000) {
        stream.write_all(&frame(0, 0, id, part))?;
    }
    stream.write_all(&frame(1, 5, id, &field("grpc-status", "0")))
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

fn read_frame(stream: &mut Stream) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload)?;
    Ok((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// `:status: 200` from HPACK's static table and the type of the content.
fn head() -> Vec<u8> {
    [vec![0x88], field("content-type", "application/grpc")].concat()
}

fn field(name: &str, value: &str) -> Vec<u8> {
    let part = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], part(name), part(value)].concat()
}

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

const WHAT: &str = "/test.Service/Method";

fn call(socket: &str, limit: Duration) -> anyhow::Result<Text> {
    let server = Server::new(Aio::new()?, socket)?.in_namespace("k8s.io");
    server.call(WHAT, Text { text: "ask".into() }, limit)
}

fn failed(reply: Reply) -> (DaemonError, String) {
    let server = Scripted::new(vec![reply]);
    let error = call(&server.socket(), Duration::from_millis(400)).unwrap_err();
    let text = format!("{error:#}");
    (error.downcast().unwrap(), text)
}

#[test]
fn a_call_is_answered() {
    let server = Scripted::new(vec![Reply::Message(b"\x0a\x05hello".to_vec())]);
    assert_eq!(call(&server.socket(), Duration::from_secs(9)).unwrap().text, "hello");
    assert_eq!(server.requests(), [b"\x0a\x03ask"]);
}

#[test]
fn lists_longer_than_the_usual_limit_are_read() {
    // No WINDOW_UPDATE is awaited by the server, so stay below the client's first window.
    let text = "x".repeat(1 << 16);
    let bytes = Text { text: text.clone() };
    let server = Scripted::new(vec![Reply::Message(prost::Message::encode_to_vec(&bytes))]);
    assert_eq!(call(&server.socket(), Duration::from_secs(9)).unwrap().text, text);
}

#[test]
fn statuses_become_kinds() {
    assert!(matches!(failed(Reply::Status(12, "unknown service")).0, DaemonError::Unimplemented { .. }));
    assert!(matches!(failed(Reply::Status(5, "not found")).0, DaemonError::NotFound { .. }));
    assert!(matches!(failed(Reply::Status(4, "slow")).0, DaemonError::Timeout { .. }));
    let (error, text) = failed(Reply::Status(2, "no space left on device"));
    assert!(matches!(error, DaemonError::Rejected { .. }), "{text}");
    assert!(text.ends_with("s.sock answered /test.Service/Method with Unknown: no space left on device"), "{text}");
}

#[test]
fn broken_servers_are_told_apart_and_never_hang() {
    let (error, text) = failed(Reply::Garbage);
    assert!(matches!(error, DaemonError::Protocol { .. }), "{text}");
    let (error, text) = failed(Reply::Close);
    assert!(matches!(error, DaemonError::Protocol { .. }), "{text}");
    let (error, text) = failed(Reply::Silence);
    assert!(matches!(error, DaemonError::Timeout { .. }), "{text}");
    let (error, text) = failed(Reply::Message(b"\x0a\xff\xff".to_vec()));
    assert!(matches!(error, DaemonError::Rejected { .. } | DaemonError::Protocol { .. }), "{text}");
}

#[test]
fn absent_and_refused_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.sock").display().to_string();
    let kind = |path: &str| call(path, Duration::from_secs(1)).unwrap_err().downcast::<DaemonError>().unwrap();
    assert!(matches!(kind(&path), DaemonError::Absent { .. }));
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(kind(&path), DaemonError::Refused { .. }));
}

#[test]
fn endpoints_are_paths_with_or_without_scheme() {
    let socket = |endpoint| Server::new(Aio::new().unwrap(), endpoint).map(|s| s.socket().to_owned());
    assert_eq!(socket("unix:///run/c.sock").unwrap(), "/run/c.sock");
    assert_eq!(socket("unix:/run/c.sock").unwrap(), "/run/c.sock");
    assert_eq!(socket("/run/c.sock").unwrap(), "/run/c.sock");
    assert!(socket("tcp://1.2.3.4:1").is_err() && socket("npipe:////./pipe/x").is_err() && socket("").is_err());
}

fn upload(server: &Scripted, parts: usize, failing: Option<usize>) -> anyhow::Result<Vec<Text>> {
    let server = Server::new(Aio::new().unwrap(), &server.socket()).unwrap();
    server.upload("/test.Service/Method", Duration::from_secs(5), |send| {
        for part in 0..parts {
            if failing == Some(part) {
                bail!("the layer has no file {part}");
            }
            send(Text { text: part.to_string() })?;
        }
        Ok(())
    })
}

#[test]
fn parts_go_up_one_after_the_other_in_one_call() {
    let server = Scripted::new(vec![Reply::Message(b"\x0a\x02ok".to_vec())]);
    let answers = upload(&server, 9, None).unwrap();
    assert_eq!(answers.iter().map(|answer| answer.text.as_str()).collect::<Vec<_>>(), ["ok"]);
    // Each after the five bytes of its head, the first of which the server has cut off.
    let parts: Vec<Vec<u8>> = (0..9).map(|part| format!("\x0a\x01{part}").into_bytes()).collect();
    assert_eq!(server.requests(), [parts.join(b"\x00\x00\x00\x00\x03".as_slice())]);
}

#[test]
fn an_upload_says_who_failed() {
    let text = |error: anyhow::Error| format!("{error:#}");
    let full = Scripted::new(vec![Reply::Status(2, "no space left on device")]);
    assert!(text(upload(&full, 3, None).unwrap_err()).contains("no space left on device"));
    let good = Scripted::new(vec![Reply::Message(b"\x0a\x02ok".to_vec())]);
    assert!(text(upload(&good, 3, Some(2)).unwrap_err()).contains("no file 2"));
    let gone = Scripted::new(vec![Reply::Close]);
    assert!(matches!(
        upload(&gone, 3, None).unwrap_err().downcast::<DaemonError>().unwrap(),
        DaemonError::Protocol { .. }
    ));
}
