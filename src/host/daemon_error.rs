//! Why a daemon behind a unix socket did not give an answer, in the kinds that callers act upon differently.

use std::{io, time::Duration};

/// Why a daemon did not answer. Reach it through `error.downcast_ref::<DaemonError>()`.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// No socket file: the daemon never ran, or was removed.
    #[error("there is no socket at {at}")]
    Absent {
        /// The socket.
        at: String,
    },
    /// A socket file that nothing listens on: the daemon is stopped or died.
    #[error("nothing listens on {at} (connection refused)")]
    Refused {
        /// The socket.
        at: String,
    },
    /// This user may not connect.
    #[error("no permission to connect to {at}; run as root")]
    Permission {
        /// The socket.
        at: String,
    },
    /// No answer within the deadline.
    #[error("no answer from {at} to {what} within {}", seconds(*.limit))]
    Timeout {
        /// The socket.
        at: String,
        /// The request.
        what: String,
        /// The deadline.
        limit: Duration,
    },
    /// The peer does not speak the expected protocol, or stopped in the middle.
    #[error("{at} did not answer {what} properly: {detail}")]
    Protocol {
        /// The socket.
        at: String,
        /// The request.
        what: String,
        /// What was wrong.
        detail: String,
    },
    /// The gRPC service does not exist there. For CRI: the CRI plugin is not loaded.
    #[error("{at} does not serve {what}: {detail}")]
    Unimplemented {
        /// The socket.
        at: String,
        /// The request.
        what: String,
        /// The daemon's words.
        detail: String,
    },
    /// The daemon does not know the thing asked for.
    #[error("{at} does not know what {what} asks for: {detail}")]
    NotFound {
        /// The socket.
        at: String,
        /// The request.
        what: String,
        /// The daemon's words.
        detail: String,
    },
    /// The daemon answered with an error of its own.
    #[error("{at} answered {what} with {code}: {detail}")]
    Rejected {
        /// The socket.
        at: String,
        /// The request.
        what: String,
        /// HTTP status or gRPC code.
        code: String,
        /// The daemon's words.
        detail: String,
    },
}

impl DaemonError {
    /// Sorts the outcome of a failed `connect`.
    pub(crate) fn connecting(at: &str, error: &io::Error) -> Self {
        let at = at.to_owned();
        match error.kind() {
            // A path through a file (`ENOTDIR`) holds no socket either.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent { at },
            io::ErrorKind::ConnectionRefused => Self::Refused { at },
            io::ErrorKind::PermissionDenied => Self::Permission { at },
            _ => Self::Protocol { at, what: "connect".to_owned(), detail: error.to_string() },
        }
    }

    /// True when there is no daemon to talk to, as opposed to one that answers badly.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Absent { .. } | Self::Refused { .. })
    }

    /// Finds the kind inside an error with context around it.
    pub fn of(error: &anyhow::Error) -> Option<&Self> {
        error.downcast_ref()
    }
}

fn seconds(limit: Duration) -> String {
    if limit.subsec_millis() == 0 { format!("{} s", limit.as_secs()) } else { format!("{} ms", limit.as_millis()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_errors_are_sorted_into_what_to_do_about_them() {
        let sorted = |kind: io::ErrorKind| DaemonError::connecting("/run/x.sock", &kind.into());
        assert!(matches!(sorted(io::ErrorKind::NotFound), DaemonError::Absent { .. }));
        assert!(matches!(sorted(io::ErrorKind::ConnectionRefused), DaemonError::Refused { .. }));
        assert!(matches!(sorted(io::ErrorKind::PermissionDenied), DaemonError::Permission { .. }));
        assert!(sorted(io::ErrorKind::NotFound).is_down());
        assert!(!sorted(io::ErrorKind::PermissionDenied).is_down());
        let late =
            DaemonError::Timeout { at: "/s".into(), what: "GET /info".into(), limit: Duration::from_millis(1500) };
        assert_eq!(late.to_string(), "no answer from /s to GET /info within 1500 ms");
    }
}
