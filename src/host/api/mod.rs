//! The cluster's API server.

mod client;
mod fake;
mod plain;
mod tls;

pub use client::HttpsApi;
pub use fake::{FakeApi, FakeEviction};
pub(super) use plain::get as plain_get;

use anyhow::Result;
use serde_json::Value;
use std::fmt::Debug;

/// What is asked of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Looks.
    Get,
    /// Makes.
    Post,
    /// Changes some fields of what is there (JSON merge patch, RFC 7386).
    Patch,
    /// Removes.
    Delete,
}

impl Verb {
    /// The method of HTTP.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// True when something may be changed by it.
    pub const fn acts(self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// Why the API server did not do it. Reach it through `error.downcast_ref::<ApiError>()`.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nothing answers there in time, or not as an API server does: it may come back.
    #[error("the API server {server} does not answer {what}: {why}")]
    Away {
        /// Its address.
        server: String,
        /// The request.
        what: String,
        /// The system's words.
        why: String,
    },
    /// It does not know us, or does not let us.
    #[error("the API server does not let us: {message}")]
    Forbidden {
        /// Its words.
        message: String,
    },
    /// It asks for patience: a disruption budget, or too much load.
    #[error("the API server puts it off: {message}")]
    Later {
        /// Its words.
        message: String,
    },
    /// It was changed by somebody else meanwhile.
    #[error("it was changed meanwhile: {message}")]
    Conflict {
        /// Its words.
        message: String,
    },
    /// Anything else.
    #[error("the API server refuses {what} ({status}): {message}")]
    Refused {
        /// The request.
        what: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
}

impl ApiError {
    /// The error of an answer that is not good; `None` where the thing is not there (404), which callers decide on.
    pub fn of(what: &str, status: u16, body: &Value) -> Option<Self> {
        let mut message = body.get("message").and_then(Value::as_str).unwrap_or("no reason was given").to_owned();
        // Which budget it is, and what it needs, is told as the cause only.
        for cause in body.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten() {
            if let Some(why) = cause.get("message").and_then(Value::as_str) {
                message = format!("{message} {why}");
            }
        }
        Some(match status {
            404 => return None,
            401 | 403 => Self::Forbidden { message },
            409 => Self::Conflict { message },
            429 => Self::Later { message },
            // 500 is also the answer for a pod that two budgets cover, for ever: no reason to try again.
            502..=504 => Self::Away { server: String::new(), what: what.to_owned(), why: message },
            _ => Self::Refused { what: what.to_owned(), status, message },
        })
    }

    /// What kind of error it is, if it is one of these.
    pub fn in_chain(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }

    /// True when the server is not there: it may be one of the pods that move.
    pub fn is_away(error: &anyhow::Error) -> bool {
        matches!(Self::in_chain(error), Some(Self::Away { .. }))
    }

    /// True for what it answers and may not answer the next time: etcd changes its leader or is slow (500), the server has
    /// just started and is busy (429) or does not know its own rules yet (401, 403), somebody was faster (409).
    pub fn may_pass(error: &anyhow::Error) -> bool {
        match Self::in_chain(error) {
            Some(Self::Forbidden { .. } | Self::Later { .. } | Self::Conflict { .. }) => true,
            Some(Self::Refused { status, .. }) => (500..=599).contains(status),
            Some(Self::Away { .. }) | None => false,
        }
    }
}

/// The API server, as far as castoff needs it.
pub trait Api: Debug {
    /// Its address.
    fn server(&self) -> &str;

    /// One request; `None` when what the path names is not there.
    ///
    /// # Errors
    /// [`ApiError`].
    fn request(&self, verb: Verb, path: &str, body: Option<&Value>) -> Result<Option<Value>>;

    /// Looks at one thing.
    ///
    /// # Errors
    /// [`ApiError`].
    fn get(&self, path: &str) -> Result<Option<Value>> {
        self.request(Verb::Get, path, None)
    }

    /// Everything of a list, page by page.
    ///
    /// # Errors
    /// [`ApiError`].
    fn list(&self, path: &str) -> Result<Vec<Value>> {
        let join = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut from) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{join}limit=500{from}"))?.unwrap_or_default();
            items.extend(page.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
            match page.pointer("/metadata/continue").and_then(Value::as_str).filter(|next| !next.is_empty()) {
                Some(next) => from = format!("&continue={next}"),
                None => return Ok(items),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_told_apart() {
        let of = |status| ApiError::of("GET /x", status, &json!({ "message": "m" }));
        assert!(of(404).is_none());
        assert!(matches!(of(403), Some(ApiError::Forbidden { .. })));
        assert!(matches!(of(429), Some(ApiError::Later { .. })));
        assert!(matches!(of(503), Some(ApiError::Away { .. })));
        assert!(matches!(of(422), Some(ApiError::Refused { status: 422, .. })));
        let may_pass = |status| ApiError::may_pass(&of(status).unwrap().into());
        assert!([401, 403, 409, 429, 500, 507].into_iter().all(may_pass));
        // 503 is away: it is waited for as one that does not answer.
        assert!(![400, 422, 503].into_iter().any(may_pass));
    }
}
