//! The one async runtime of the program. Everything outside `host/` is blocking code; D-Bus, HTTP and gRPC clients
//! run inside short `block_on` calls on a single-threaded runtime that all of them share.

use super::DaemonError;
use anyhow::{Context, bail};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Handle, Runtime};

/// Rounds in which every task that can run does; one task may wake the next.
const TIDY_ROUNDS: u32 = 4;

/// The shared runtime. Clones are the same runtime.
#[derive(Clone, Debug)]
pub struct Aio(Arc<Runtime>);

impl Aio {
    /// Starts the runtime: no thread is created.
    pub fn new() -> anyhow::Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().build().context("failed to start the async runtime")?;
        Ok(Self(Arc::new(runtime)))
    }

    /// Runs a future to its end. The caller's future holds its own deadlines.
    pub(crate) fn run<T>(&self, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        // tokio panics when a runtime is entered twice, which a sink that calls another client would cause.
        if Handle::try_current().is_ok() {
            bail!("a client of a daemon was called from inside another client's call");
        }
        let result = self.0.block_on(future);
        // Connections that were dropped are closed by tasks, and tasks run only while the runtime does.
        self.0.block_on(async {
            for _ in 0..TIDY_ROUNDS {
                tokio::task::yield_now().await;
            }
        });
        result
    }

    /// Runs a future that must end within `limit`; `at` is the socket or address, `what` the request.
    pub(crate) fn within<T>(
        &self,
        limit: Duration,
        at: &str,
        what: &str,
        future: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.run(deadline(limit, at, what, future))
    }
}

/// Fails with [`DaemonError::Timeout`] when the future takes longer than `limit`.
pub(crate) async fn deadline<T>(
    limit: Duration,
    at: &str,
    what: &str,
    future: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(DaemonError::Timeout { at: at.to_owned(), what: what.to_owned(), limit }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_inside_a_call_is_an_error_not_a_panic() {
        let aio = Aio::new().unwrap();
        let inner = aio.clone();
        let result = aio.run(async move { inner.run(async { Ok(1) }) });
        assert!(result.unwrap_err().to_string().contains("inside another client"));
    }

    #[test]
    fn a_late_answer_is_a_timeout_that_can_be_told_apart() {
        let aio = Aio::new().unwrap();
        let error =
            aio.within::<()>(Duration::from_millis(5), "/run/x.sock", "GET /info", std::future::pending()).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(DaemonError::Timeout { .. })), "{error:#}");
    }
}
