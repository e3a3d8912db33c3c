//! The runtime's log. containerd's shim reads the file given with `--log` for the reason of a failure: JSON objects
//! with `level`, `msg` and `time`, one a line, the last `error` counts (go-runc, `getLastRuntimeError`).
//!
//! libcontainer hands an error from the container's process to its caller as a few words; the reason is in what it
//! logs there. So its errors are kept in a file in memory that both processes have, and told with the last one.

use super::args::{Global, LogFormat};
use jiff::Timestamp;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::json;
use std::{
    fmt::{Debug, Write as _},
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Where lines go.
#[derive(Clone, Debug)]
pub struct Log {
    file: Option<Arc<Mutex<File>>>,
    causes: Option<Arc<Mutex<File>>>,
    format: LogFormat,
    debug: bool,
}

/// More than this of an error is no help.
const CAUSE_LIMIT: usize = 600;

/// Opens the log and has libcontainer write there too. A log that cannot be opened is standard error.
pub fn start(global: &Global) -> Log {
    let file = global.log.as_ref().and_then(|path| super::store::append(path).ok());
    let shared = |file| Arc::new(Mutex::new(file));
    let causes = memfd_create(c"castoff-oci-causes", MFdFlags::MFD_CLOEXEC).ok().map(File::from);
    let log =
        Log { file: file.map(shared), causes: causes.map(shared), format: global.log_format, debug: global.debug };
    // Fails only when there is one already, which happens in tests alone.
    let _ = tracing::subscriber::set_global_default(log.clone());
    log
}

impl Log {
    /// The error the command ends with: to the log and, for people, to standard error.
    pub fn fatal(&self, message: &str) {
        let message = match self.cause() {
            Some(cause) if !cause.rsplit(": ").next().is_some_and(|end| message.contains(end)) => {
                format!("{message}: {cause}")
            }
            _ => message.to_owned(),
        };
        self.tell(&message);
    }

    /// What went wrong in the container's process after the command was done with it: its program could not be started.
    pub fn afterthought(&self) {
        if let Some(cause) = self.cause() {
            self.tell(&cause);
        }
    }

    fn tell(&self, message: &str) {
        self.line("error", message);
        if self.file.is_some() {
            let _ = writeln!(std::io::stderr(), "{message}");
        }
    }

    /// The first of libcontainer's errors that says why; what follows only passes it on.
    fn cause(&self) -> Option<String> {
        let mut file = self.causes.as_ref()?.lock().ok()?;
        let mut text = String::new();
        file.rewind().ok()?;
        file.read_to_string(&mut text).ok()?;
        let cause = text.lines().find(|line| line.contains("err=")).or_else(|| text.lines().next())?;
        Some(cause.chars().take(CAUSE_LIMIT).collect())
    }

    fn keep_cause(&self, words: &str) {
        let Some(Ok(mut file)) = self.causes.as_ref().map(|causes| causes.lock()) else { return };
        let _ = writeln!(file, "{}", words.replace('\n', " "));
    }

    fn line(&self, level: &str, message: &str) {
        let line = match self.format {
            LogFormat::Json => {
                let time = Timestamp::now().to_string();
                json!({ "level": level, "msg": message, "time": time }).to_string()
            }
            LogFormat::Text => format!("{level}: {message}"),
        };
        // One write a line: the container's init, a process of its own, writes to the same file.
        let line = format!("{line}\n");
        let _ = match &self.file {
            Some(file) => match file.lock() {
                Ok(mut file) => file.write_all(line.as_bytes()),
                Err(_) => Ok(()),
            },
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && (self.debug || *metadata.level() <= Level::ERROR)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        let words = words.finish();
        if *event.metadata().level() == Level::ERROR {
            self.keep_cause(&words);
        }
        let level = match *event.metadata().level() {
            // On its way up; what the command ends with is the error.
            Level::ERROR | Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        };
        // Standard error may be the container's; a file is ours, and after `start` the only place to tell.
        if self.debug || (self.file.is_some() && *event.metadata().level() == Level::ERROR) {
            self.line(level, &words);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The fields of an event in one sentence.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Words {
    fn finish(self) -> String {
        if self.fields.is_empty() { self.message } else { format!("{} ({})", self.message, self.fields.trim_start()) }
    }
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn the_shim_finds_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.json");
        let global = Global {
            state: PathBuf::from("/x"),
            log: Some(path.clone()),
            log_format: LogFormat::Json,
            debug: false,
            systemd_cgroup: false,
            rootless: None,
            criu: None,
        };
        let log = start(&global);
        tracing::subscriber::with_default(log.clone(), || {
            tracing::warn!("of no interest");
            tracing::error!(err = ?std::io::ErrorKind::NotFound, "inner");
            tracing::error!("passed on");
        });
        log.fatal("outer");
        let lines = super::super::store::read_text(&path).unwrap();
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let levels: Vec<&str> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["warning", "warning", "error"]);
        assert_eq!(lines[2]["msg"], "outer: inner (err=NotFound)");
        assert!(lines[2]["time"].as_str().unwrap().ends_with('Z'));
    }
}
