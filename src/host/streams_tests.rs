//! Against a server in a thread that speaks the protocol, or something else.

use super::*;
use std::{net::TcpListener, thread::JoinHandle};
use tungstenite::{
    accept_hdr,
    handshake::server::{Request, Response},
};

const LIMIT: Duration = Duration::from_secs(20);

/// A server for one connection, and the URL of a stream on it.
fn server<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/exec/token?port=80", listener.local_addr().unwrap());
    (url, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

#[allow(clippy::result_large_err)] // the library's
fn accepted(socket: TcpStream) -> WebSocket<TcpStream> {
    let answer = |request: &Request, mut response: Response| {
        assert_eq!(request.uri().to_string(), "/exec/token?port=80");
        assert_eq!(request.headers()["sec-websocket-protocol"], PROTOCOL);
        response.headers_mut().insert("sec-websocket-protocol", PROTOCOL.parse().unwrap());
        Ok(response)
    };
    accept_hdr(socket, answer).unwrap()
}

fn open(url: &str, limit: Duration) -> Result<Channels> {
    Channels::open(url, std::process::id(), limit)
}

fn kind(error: &anyhow::Error) -> &DaemonError {
    DaemonError::of(error).unwrap_or_else(|| panic!("{error:#}"))
}

#[test]
fn channels_are_told_apart_in_both_directions() {
    let (url, served) = server(|socket| {
        let mut socket = accepted(socket);
        let heard = socket.read().unwrap();
        for message in [&b"\x01out"[..], b"\x02err", b"\x01", b"\x03{}"] {
            socket.send(Message::binary(message.to_vec())).unwrap();
        }
        socket.close(None).unwrap();
        // The other side's farewell.
        while socket.read().is_ok() {}
        heard.into_data().to_vec()
    });
    let mut channels = open(&url, LIMIT).unwrap();
    channels.send(STDIN, b"in").unwrap();
    let mut heard = Vec::new();
    while let Some(piece) = channels.receive().unwrap() {
        heard.push(piece);
    }
    let wanted: [(u8, &[u8]); 4] = [(STDOUT, b"out"), (STDERR, b"err"), (STDOUT, b""), (STATUS, b"{}")];
    assert_eq!(heard, wanted.map(|(channel, bytes)| (channel, bytes.to_vec())));
    assert_eq!(served.join().unwrap(), b"\x00in");
    assert!(channels.receive().unwrap().is_none(), "what has ended has ended");
}

#[test]
fn an_end_without_farewell_is_an_end_and_other_messages_are_errors() {
    let (url, served) = server(|socket| drop(accepted(socket)));
    let mut channels = open(&url, LIMIT).unwrap();
    assert!(channels.receive().unwrap().is_none());
    served.join().unwrap();
    for wrong in [Message::text("\u{1}x"), Message::binary(Vec::new()), Message::binary(vec![0; MESSAGE_LIMIT + 1])] {
        let (url, served) = server(move |socket| {
            let mut socket = accepted(socket);
            let _ = socket.send(wrong);
            while socket.read().is_ok() {}
        });
        let mut channels = open(&url, LIMIT).unwrap();
        assert!(channels.receive().is_err());
        drop(channels);
        served.join().unwrap();
    }
}

#[test]
fn what_comes_after_the_farewell_does_not_count() {
    let (url, served) = server(|socket| {
        let mut socket = accepted(socket);
        socket.close(None).unwrap();
        socket.flush().unwrap();
        // A frame with one byte, past the library, which would not send it any more.
        socket.get_mut().write_all(&[0x82, 1, STDOUT]).unwrap();
        while socket.read().is_ok() {}
    });
    let mut channels = open(&url, LIMIT).unwrap();
    assert!(channels.receive().unwrap().is_none());
    drop(channels);
    served.join().unwrap();
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let short = Duration::from_millis(50);
    let (url, served) = server(|socket| {
        let mut socket = accepted(socket);
        while socket.read().is_ok() {}
    });
    let mut channels = open(&url, Duration::from_secs(2)).unwrap();
    channels.socket.get_mut().until = Instant::now() + short;
    assert!(matches!(kind(&channels.receive().unwrap_err()), DaemonError::Timeout { .. }));
    drop(channels);
    served.join().unwrap();
    // Not even the request is answered.
    let (url, served) = server(|mut socket| {
        let mut all = Vec::new();
        let _ = socket.read_to_end(&mut all);
    });
    assert!(matches!(kind(&open(&url, short).unwrap_err()), DaemonError::Timeout { .. }));
    served.join().unwrap();
}

#[test]
fn what_is_no_stream_is_quoted() {
    let answers = |text: &'static [u8]| {
        let (url, served) = server(move |mut socket| {
            let mut request = [0; 1024];
            let _ = socket.read(&mut request);
            socket.write_all(text).unwrap();
        });
        let error = open(&url, LIMIT).unwrap_err();
        served.join().unwrap();
        error
    };
    let error = answers(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
    assert!(matches!(kind(&error), DaemonError::Rejected { code, .. } if code.contains("404")), "{error:#}");
    let error = answers(b"SSH-2.0-OpenSSH\r\n\r\n");
    assert!(matches!(kind(&error), DaemonError::Protocol { .. }), "{error:#}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = open(&format!("http://{closed}/exec/x"), LIMIT).unwrap_err();
    assert!(matches!(kind(&error), DaemonError::Refused { .. }), "{error:#}");
}

#[test]
fn urls_lead_to_this_node_only() {
    let leads = |url: &str| target(url).map(|(address, uri)| (address.to_string(), uri.to_string()));
    let to = |address: &str, uri: &str| (address.to_owned(), uri.to_owned());
    let found = |url: &str| leads(url).unwrap();
    assert_eq!(found("http://127.0.0.1:1/exec/a"), to("127.0.0.1:1", "ws://127.0.0.1:1/exec/a"));
    assert_eq!(found("http://[::1]:10010/attach/b"), to("[::1]:10010", "ws://[::1]:10010/attach/b"));
    assert_eq!(found("http://[::]:10010/x?port=1"), to("[::1]:10010", "ws://[::]:10010/x?port=1"));
    assert_eq!(found("http://0.0.0.0:5/x"), to("127.0.0.1:5", "ws://0.0.0.0:5/x"));
    assert_eq!(found("http://localhost:5/x"), to("127.0.0.1:5", "ws://localhost:5/x"));
    let wrong =
        ["", "http://", "/exec/a", "https://127.0.0.1:1/x", "http://127.0.0.1/x", "http://[::1/x", "ftp://[::1]:1/"];
    for url in wrong.into_iter().chain(["http://example.invalid:1/x", "http://127.0.0.1:99999/x"]) {
        assert!(leads(url).is_err(), "{url}");
    }
    // An address for documentation, which no node has.
    let error = open("http://192.0.2.1:80/x", LIMIT).unwrap_err();
    assert!(error.is::<Elsewhere>() && error.to_string().contains("no address of this node"), "{error:#}");
    assert!(is_own("127.0.0.1:1".parse().unwrap()));
}

#[test]
fn ends_of_commands() {
    let ended = |text: &str| exit_code(text.as_bytes());
    assert_eq!(ended(r#"{"metadata":{},"status":"Success"}"#).unwrap(), 0);
    let failure = r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code",
        "reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
    assert_eq!(ended(failure).unwrap(), 7);
    let error = ended(r#"{"status":"Failure","message":"no such container","reason":"InternalError"}"#).unwrap_err();
    assert_eq!(error.to_string(), "no such container");
    for odd in ["", "[]", "{}", r#"{"details":{"causes":null}}"#, r#"{"details":{"causes":[{"reason":"ExitCode"}]}}"#] {
        assert!(ended(odd).is_err(), "{odd}");
    }
}
