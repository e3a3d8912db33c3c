//! [`Engine`] over the daemon's socket. Paths carry no API version: the daemon then speaks its newest, which works
//! with all of them, while a fixed version is refused by daemons that dropped it.

use super::{
    Engine, EngineContainer, EngineImage, EngineVersion,
    http::{self, Answer, encode},
    parse_containers, parse_images, parse_version,
};
use crate::host::{Aio, DaemonError, Faults, aio::deadline};
use anyhow::{Context, bail};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::Value;
use std::{io::Write, time::Duration};

/// Where the daemon listens unless it is told otherwise.
pub const DOCKER_SOCKET: &str = "/run/docker.sock";

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A question. A daemon under load, or one that is being socket-activated, takes its time.
    pub ask: Duration,
    /// What the daemon may need on top of the grace period to stop a container, and to start one.
    pub act: Duration,
    /// From a request to save images to the first byte: the daemon first writes the archive to its own disk.
    pub first_byte: Duration,
    /// Between two pieces of an archive.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { ask: seconds(60), act: seconds(60), first_byte: seconds(1800), idle: seconds(300) }
    }
}

/// The Docker daemon behind a socket.
#[derive(Clone, Debug)]
pub struct DockerEngine {
    aio: Aio,
    socket: String,
    faults: Faults,
    limits: Limits,
}

impl DockerEngine {
    /// A client; nothing is connected yet. `endpoint` is a path or `unix:///…`.
    pub fn new(aio: Aio, endpoint: &str, faults: Faults) -> anyhow::Result<Self> {
        let socket = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
        if !socket.starts_with('/') {
            bail!("`{endpoint}` is not the endpoint of a unix socket; it looks like unix://{DOCKER_SOCKET}");
        }
        Ok(Self { aio, socket: socket.to_owned(), faults, limits: Limits::default() })
    }

    /// Other deadlines.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn get(&self, target: &str) -> anyhow::Result<Vec<u8>> {
        self.aio.within(self.limits.ask, &self.socket, &format!("GET {target}"), async {
            http::request(&self.socket, Method::GET, target).await?.good().await?.whole().await
        })
    }

    fn get_json(&self, target: &str) -> anyhow::Result<Value> {
        let body = self.get(target)?;
        serde_json::from_slice(&body)
            .with_context(|| format!("failed to read what {} says to GET {target}", self.socket))
    }

    async fn post(&self, target: String, limit: Duration) -> anyhow::Result<()> {
        let what = format!("POST {target}");
        deadline(limit, &self.socket, &what, async {
            http::request(&self.socket, Method::POST, &target).await?.good().await.map(drop)
        })
        .await
    }

    async fn stop_one(&self, id: &str, grace: Duration) -> anyhow::Result<()> {
        let target = format!("/containers/{}/stop?t={}", checked(id)?, grace.as_secs());
        gone_is_fine(self.post(target, self.limits.act.saturating_add(grace)).await)
    }

    /// Sends the archive on, piece by piece.
    async fn stream(&self, target: &str, sink: &mut dyn Write) -> anyhow::Result<u64> {
        let what = "GET /images/get";
        let asked = async { http::request(&self.socket, Method::GET, target).await?.good().await };
        let mut answer = deadline(self.limits.first_byte, &self.socket, what, asked).await?;
        let (mut total, mut end) = (0_u64, Tail::default());
        let mut wait = self.limits.first_byte;
        while let Some(chunk) = answer.chunk_within(wait).await? {
            wait = self.limits.idle;
            end.push(&chunk);
            total = total.saturating_add(chunk.len() as u64);
            sink.write_all(&chunk).context("failed to pass on the archive of Docker's images")?;
        }
        sink.flush().context("failed to pass on the archive of Docker's images")?;
        end.judge(&answer)?;
        Ok(total)
    }
}

impl Engine for DockerEngine {
    fn socket(&self) -> &str {
        &self.socket
    }

    fn ping(&self) -> anyhow::Result<()> {
        self.get("/_ping").map(drop)
    }

    fn version(&self) -> anyhow::Result<EngineVersion> {
        parse_version(&self.get("/version")?)
    }

    fn info(&self) -> anyhow::Result<Value> {
        self.get_json("/info")
    }

    fn containers(&self, all: bool) -> anyhow::Result<Vec<EngineContainer>> {
        parse_containers(&self.get(if all { "/containers/json?all=1" } else { "/containers/json" })?)
    }

    fn inspect(&self, id: &str) -> anyhow::Result<Value> {
        self.get_json(&format!("/containers/{}/json", checked(id)?))
    }

    fn images(&self) -> anyhow::Result<Vec<EngineImage>> {
        parse_images(&self.get("/images/json")?)
    }

    fn stop(&self, id: &str, grace: Duration) -> anyhow::Result<()> {
        self.faults.effect(&format!("stop container {id}"), || self.aio.run(self.stop_one(id, grace)))
    }

    fn stop_all(&self, ids: &[(String, Duration)]) -> Vec<(String, anyhow::Result<()>)> {
        // One effect: they are stopped together or, when a script says so, not at all.
        let all = self.faults.effect(&format!("stop {} containers", ids.len()), || {
            self.aio.run(async { Ok(join_all(ids.iter().map(|(id, grace)| self.stop_one(id, *grace))).await) })
        });
        match all {
            Ok(results) => ids.iter().map(|(id, _)| id.clone()).zip(results).collect(),
            Err(error) => all_failed(ids, error),
        }
    }

    fn start(&self, id: &str) -> anyhow::Result<()> {
        let target = format!("/containers/{}/start", checked(id)?);
        self.faults.effect(&format!("start container {id}"), || self.aio.run(self.post(target, self.limits.act)))
    }

    fn save(&self, names: &[String], sink: &mut dyn Write) -> anyhow::Result<u64> {
        if names.is_empty() {
            bail!("no image was named to be saved");
        }
        let query: Vec<String> = names.iter().map(|name| format!("names={}", encode(name))).collect();
        self.aio.run(self.stream(&format!("/images/get?{}", query.join("&")), sink))
    }
}

/// The first gets the error itself, so that its kind can be found; an error cannot be copied for the others.
fn all_failed(ids: &[(String, Duration)], error: anyhow::Error) -> Vec<(String, anyhow::Result<()>)> {
    let text = format!("{error:#}");
    let mut original = Some(error);
    let mut next = || original.take().unwrap_or_else(|| anyhow::anyhow!("{text}"));
    ids.iter().map(|(id, _)| (id.clone(), Err(next()))).collect()
}

/// A container's id, fit for a path.
fn checked(id: &str) -> anyhow::Result<String> {
    if id.is_empty() || id == "." || id == ".." {
        bail!("`{id}` is not the id of a container");
    }
    Ok(encode(id))
}

fn gone_is_fine(done: anyhow::Result<()>) -> anyhow::Result<()> {
    match done {
        Err(error) if matches!(DaemonError::of(&error), Some(DaemonError::NotFound { .. })) => Ok(()),
        other => other,
    }
}

/// The end of an archive. When saving fails after the daemon began to send, it writes its error as JSON into the
/// archive and ends the answer as if all were well, so only the end tells whether the archive is whole.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    const KEPT: usize = 4096;
    /// A tar archive ends with two empty blocks.
    const END: usize = 1024;

    fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(Self::KEPT)..];
        self.0.extend_from_slice(chunk);
        let surplus = self.0.len().saturating_sub(Self::KEPT);
        self.0.drain(..surplus);
    }

    fn judge(&self, answer: &Answer) -> anyhow::Result<()> {
        if self.0.len() >= Self::END && self.0.iter().rev().take(Self::END).all(|byte| *byte == 0) {
            return Ok(());
        }
        let told = self.error().map(|error| format!(": {error}")).unwrap_or_default();
        Err(answer.improper(format!("the archive of images is not complete{told}")))
    }

    fn error(&self) -> Option<String> {
        let mark = br#"{"errorDetail""#;
        let start = self.0.windows(mark.len()).rposition(|window| window == mark)?;
        let told: Value = serde_json::Deserializer::from_slice(&self.0[start..]).into_iter().next()?.ok()?;
        told.pointer("/errorDetail/message").or_else(|| told.get("error"))?.as_str().map(str::to_owned)
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
