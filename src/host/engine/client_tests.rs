//! Against servers on real sockets that answer what a daemon may answer, and what it should not.
#![allow(clippy::disallowed_methods, reason = "its servers are threads")]

use super::*;
use std::{
    io::{BufRead, BufReader},
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Barrier, mpsc},
    thread,
};

type Handler = Arc<dyn Fn(&str, &mut UnixStream) + Send + Sync>;

struct Daemon {
    dir: tempfile::TempDir,
    requests: mpsc::Receiver<String>,
}

impl Daemon {
    /// Every connection is one request, given to `handle` in a thread of its own.
    fn new(handle: impl Fn(&str, &mut UnixStream) + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("d.sock")).unwrap();
        let (sender, requests) = mpsc::channel();
        let handle: Handler = Arc::new(handle);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handle, sender) = (Arc::clone(&handle), sender.clone());
                thread::spawn(move || answer(stream, &handle, &sender));
            }
        });
        Self { dir, requests }
    }

    fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |_, stream| {
            let _ = stream.write_all(&answer);
        })
    }

    fn engine(&self) -> DockerEngine {
        let limit = Duration::from_millis(400);
        let socket = self.dir.path().join("d.sock").display().to_string();
        DockerEngine::new(Aio::new().unwrap(), &socket, Faults::none()).unwrap().with_limits(Limits {
            ask: limit,
            act: limit,
            first_byte: limit,
            idle: limit,
        })
    }
}

fn answer(mut stream: UnixStream, handle: &Handler, requests: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    let first = first.trim_end().strip_suffix(" HTTP/1.1").unwrap_or_default().to_owned();
    let _ = requests.send(first.clone());
    handle(&first, &mut stream);
}

fn plain(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn chunked(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for part in parts {
        out.extend(format!("{:x}\r\n", part.len()).bytes());
        out.extend_from_slice(part);
        out.extend(b"\r\n");
    }
    out
}

/// Says nothing more until the client hangs up.
fn silent(stream: &mut UnixStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

fn kind(error: &anyhow::Error) -> String {
    let text = format!("{:?}", DaemonError::of(error));
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn questions_are_answered() {
    let daemon = Daemon::new(|request, stream| {
        let body = match request {
            "GET /_ping" => "OK".to_owned(),
            "GET /version" => r#"{"Version":"24.0.7","ApiVersion":"1.43"}"#.to_owned(),
            "GET /info" => r#"{"CgroupDriver":"systemd"}"#.to_owned(),
            "GET /containers/json?all=1" => r#"[{"Id":"a"},{"Id":"b"}]"#.to_owned(),
            "GET /containers/json" => "null".to_owned(),
            "GET /containers/a%2Fb/json" => r#"{"State":{"Pid":7}}"#.to_owned(),
            "GET /images/json" => "[]".to_owned(),
            other => panic!("{other}"),
        };
        stream.write_all(plain("200 OK", &body).as_bytes()).unwrap();
    });
    let engine = daemon.engine();
    engine.ping().unwrap();
    assert_eq!(engine.version().unwrap().version, "24.0.7");
    assert_eq!(engine.info().unwrap()["CgroupDriver"], "systemd");
    assert_eq!((engine.containers(true).unwrap().len(), engine.containers(false).unwrap().len()), (2, 0));
    assert_eq!(super::super::container_pid(&engine.inspect("a/b").unwrap()), Some(7));
    assert!(engine.images().unwrap().is_empty());
    assert!(engine.inspect("").is_err() && engine.inspect("..").is_err());
}

#[test]
fn chunked_answers_are_put_together() {
    let daemon = Daemon::saying([chunked(&[b"{\"a\"", b":[1,", b"2]}"]), b"0\r\n\r\n".to_vec()].concat());
    assert_eq!(daemon.engine().info().unwrap()["a"][1], 2);
}

#[test]
fn errors_carry_the_daemons_words() {
    let daemon = Daemon::saying(plain("500 Internal Server Error", r#"{"message":"driver failed"}"#));
    let error = daemon.engine().info().unwrap_err();
    assert!(error.to_string().ends_with("d.sock answered GET /info with HTTP 500: driver failed"), "{error:#}");
    assert_eq!(kind(&error), "Some(Rejected");
    let daemon = Daemon::saying(plain("404 Not Found", r#"{"message":"No such container: x"}"#));
    assert_eq!(kind(&daemon.engine().inspect("x").unwrap_err()), "Some(NotFound");
    daemon.engine().stop("x", Duration::from_secs(1)).unwrap();
    assert!(daemon.engine().start("x").is_err(), "what is gone cannot be started");
}

#[test]
fn stopped_is_stopped_and_started_is_started() {
    let daemon = Daemon::saying("HTTP/1.1 304 Not Modified\r\n\r\n");
    daemon.engine().stop("x", Duration::from_secs(30)).unwrap();
    daemon.engine().start("x").unwrap();
    let asked: Vec<_> = daemon.requests.try_iter().collect();
    assert_eq!(asked, ["POST /containers/x/stop?t=30", "POST /containers/x/start"]);
}

#[test]
fn broken_daemons_are_errors_and_never_hang() {
    let info = |answer: &str| daemon_info(Daemon::saying(answer));
    assert_eq!(info(""), "Some(Protocol", "closed at once");
    assert_eq!(info("\x00\x01 garbage\r\n\r\n"), "Some(Protocol");
    assert_eq!(info("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"cut\":"), "Some(Protocol");
    assert_eq!(info("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "Some(Protocol");
    assert_eq!(info(&plain("200 OK", "not json")), "None");
    let slow = Daemon::new(|_, stream| silent(stream));
    assert_eq!(daemon_info(slow), "Some(Timeout");
    let half = Daemon::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{").unwrap();
        silent(stream);
    });
    assert_eq!(daemon_info(half), "Some(Timeout");
}

#[test]
fn a_deadline_hangs_up_at_once() {
    let (gone, is_gone) = mpsc::channel();
    let daemon = Daemon::new(move |_, stream| {
        silent(stream);
        gone.send(()).unwrap();
    });
    let engine = daemon.engine();
    assert_eq!(kind(&engine.info().unwrap_err()), "Some(Timeout");
    is_gone.recv_timeout(Duration::from_secs(5)).unwrap();
    drop(engine);
}

fn daemon_info(daemon: Daemon) -> String {
    let error = daemon.engine().info().unwrap_err();
    drop(daemon);
    kind(&error)
}

#[test]
fn absent_and_dead_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docker.sock").display().to_string();
    let engine = DockerEngine::new(Aio::new().unwrap(), &format!("unix://{path}"), Faults::none()).unwrap();
    assert_eq!(kind(&engine.ping().unwrap_err()), "Some(Absent");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(kind(&engine.ping().unwrap_err()), "Some(Refused");
    assert!(DockerEngine::new(Aio::new().unwrap(), "tcp://127.0.0.1:2375", Faults::none()).is_err());
}

#[test]
fn many_are_stopped_at_the_same_time() {
    // Each of the three is answered only when all three have asked.
    let together = Arc::new(Barrier::new(3));
    let daemon = Daemon::new(move |request, stream| {
        together.wait();
        let bad = plain("500 Internal Server Error", r#"{"message":"cannot stop"}"#);
        let answer = if request.contains("/b/") { &bad } else { "HTTP/1.1 204 No Content\r\n\r\n" };
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let ids: Vec<_> = ["a", "b", "c"].map(|id| (id.to_owned(), Duration::from_secs(5))).into();
    let results = daemon.engine().stop_all(&ids);
    let shown: Vec<_> = results.iter().map(|(id, result)| (id.as_str(), result.is_ok())).collect();
    assert_eq!(shown, [("a", true), ("b", false), ("c", true)]);
}

#[test]
fn a_fault_stops_nothing() {
    let daemon = Daemon::saying("HTTP/1.1 204 No Content\r\n\r\n");
    let mut engine = daemon.engine();
    engine.faults = Faults::nth(1);
    let results = engine.stop_all(&[("a".into(), Duration::ZERO), ("b".into(), Duration::ZERO)]);
    assert!(results.iter().all(|(_, result)| result.is_err()));
    assert!(daemon.requests.try_recv().is_err(), "nothing was asked");
}

fn save(daemon: &Daemon) -> (anyhow::Result<u64>, Vec<u8>) {
    let mut sink = Vec::new();
    let names = ["registry:5000/a:1".to_owned(), "sha256:ab".to_owned()];
    (daemon.engine().save(&names, &mut sink), sink)
}

#[test]
fn archives_are_streamed_whole() {
    let block = vec![5_u8; 100_000];
    let parts: &[&[u8]] = &[&block, &block, &[0; 1024]];
    let daemon = Daemon::saying([chunked(parts), b"0\r\n\r\n".to_vec()].concat());
    let (length, sink) = save(&daemon);
    assert_eq!((length.unwrap(), sink.len()), (201_024, 201_024));
    assert_eq!(daemon.requests.recv().unwrap(), "GET /images/get?names=registry%3A5000%2Fa%3A1&names=sha256%3Aab");
    assert!(daemon.engine().save(&[], &mut Vec::new()).is_err());
}

#[test]
fn half_an_archive_is_an_error() {
    let cut = Daemon::saying(chunked(&[&[5; 5000]]));
    assert_eq!(kind(&save(&cut).0.unwrap_err()), "Some(Protocol", "the connection broke");
    let short = Daemon::saying([chunked(&[&[5; 5000]]), b"0\r\n\r\n".to_vec()].concat());
    let error = save(&short).0.unwrap_err();
    assert!(error.to_string().ends_with("the archive of images is not complete"), "{error:#}");
    let told = br#"{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}"#;
    let failed = Daemon::saying([chunked(&[&[0; 2048], told, b"\r\n"]), b"0\r\n\r\n".to_vec()].concat());
    let error = save(&failed).0.unwrap_err();
    assert!(error.to_string().ends_with("is not complete: no space left on device"), "{error:#}");
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stalled_archive_and_a_full_sink_are_errors() {
    let stalled = Daemon::new(|_, stream| {
        stream.write_all(&chunked(&[&[5; 100]])).unwrap();
        silent(stream);
    });
    let error = save(&stalled).0.unwrap_err();
    assert!(error.to_string().contains("(stalled) within 400 ms"), "{error:#}");
    let daemon = Daemon::saying([chunked(&[&[0; 2048]]), b"0\r\n\r\n".to_vec()].concat());
    let error = daemon.engine().save(&["a".into()], &mut Full).unwrap_err();
    assert!(format!("{error:#}").starts_with("failed to pass on the archive"), "{error:#}");
}

#[test]
fn a_sink_that_calls_back_is_refused_not_a_panic() {
    struct Calls(DockerEngine);
    impl Write for Calls {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            self.0.ping().map(|()| 1).map_err(std::io::Error::other)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let daemon = Daemon::saying([chunked(&[&[0; 2048]]), b"0\r\n\r\n".to_vec()].concat());
    let engine = daemon.engine();
    let error = engine.save(&["a".into()], &mut Calls(engine.clone())).unwrap_err();
    assert!(format!("{error:#}").contains("inside another client's call"), "{error:#}");
}

#[test]
fn an_archive_flows_into_a_program() {
    use crate::host::procs::{Procs, RealProcs};
    let block = vec![5_u8; 300_000];
    let daemon = Daemon::saying([chunked(&[&block, &[0; 1024]]), b"0\r\n\r\n".to_vec()].concat());
    let engine = daemon.engine();
    let procs = RealProcs::new(Faults::none());
    let mut feed = |sink: &mut dyn Write| engine.save(&["a".to_owned()], sink);
    let ran = procs.pipe_into("wc", &["-c"], &mut feed, Duration::from_secs(20)).unwrap();
    assert_eq!(ran.text().trim(), "301024");
}
