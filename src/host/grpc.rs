//! gRPC calls over a unix socket, one connection per call: a call costs about a millisecond more and never meets a
//! connection that a restarted daemon has left behind. Who knows that the daemon stays keeps the connection.

use super::{Aio, DaemonError, aio::deadline};
use anyhow::{Context, anyhow, bail};
use hyper::http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use std::{cell::RefCell, rc::Rc, sync::Mutex, time::Duration};
use tokio::{net::UnixStream, sync::mpsc};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// The limit kubelet sets for its own calls is 16 MiB; lists of a node with thousands of images come near it.
const MESSAGE_LIMIT: usize = 64 << 20;

/// Requests of a stream that are made and not sent yet.
const WAITING_REQUESTS: usize = 4;

/// A gRPC server behind a unix socket.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    aio: Aio,
    socket: String,
    namespace: Option<&'static str>,
    lease: Option<String>,
    kept: Option<Rc<RefCell<Option<Channel>>>>,
}

impl Server {
    /// `endpoint` is a path, or a path with the scheme `unix:` as kubelet writes it.
    pub(crate) fn new(aio: Aio, endpoint: &str) -> anyhow::Result<Self> {
        let path = endpoint.strip_prefix("unix://").or_else(|| endpoint.strip_prefix("unix:")).unwrap_or(endpoint);
        if !path.starts_with('/') {
            bail!(
                "`{endpoint}` is not the endpoint of a unix socket; it looks like unix:///run/containerd/containerd.sock"
            );
        }
        Ok(Self { aio, socket: path.to_owned(), namespace: None, lease: None, kept: None })
    }

    /// Sends the header that selects a containerd namespace.
    pub(crate) fn in_namespace(mut self, namespace: &'static str) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Sends the header that puts what is made under a lease of containerd.
    pub(crate) fn under_lease(mut self, lease: &str) -> Self {
        self.lease = Some(lease.to_owned());
        self
    }

    /// Calls share one connection from now on.
    pub(crate) fn keeping_connection(mut self) -> Self {
        self.kept = Some(Rc::default());
        self
    }

    /// Runs calls made of [`Server::unary`].
    pub(crate) fn run<T>(&self, calls: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.aio.run(calls)
    }

    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    /// Calls `path` (`/package.Service/Method`).
    pub(crate) fn call<Q, A>(&self, path: &str, request: Q, limit: Duration) -> anyhow::Result<A>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.aio.run(self.unary(path, request, limit))
    }

    /// Calls `path` with many requests at the same time; answers in the order of the requests.
    pub(crate) fn call_all<Q, A>(
        &self,
        path: &str,
        requests: Vec<(Q, Duration)>,
    ) -> anyhow::Result<Vec<anyhow::Result<A>>>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let calls = requests.into_iter().map(|(request, limit)| self.unary(path, request, limit));
        self.aio.run(async { Ok(futures_util::future::join_all(calls).await) })
    }

    /// Calls a method that takes a stream and answers with one; all answers.
    pub(crate) fn stream<Q, A>(&self, path: &str, requests: Vec<Q>, limit: Duration) -> anyhow::Result<Vec<A>>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.aio.run(deadline(limit, &self.socket, path, async {
            let (mut client, method) = self.client(path).await?;
            let requests = self.request(futures_util::stream::iter(requests), limit);
            let refused = |status: Status| anyhow::Error::from(self.refused(path, limit, &status));
            let reply = client.streaming(requests, method, ProstCodec::<Q, A>::default()).await.map_err(refused)?;
            let mut answers = reply.into_inner();
            let mut all = Vec::new();
            while let Some(answer) = answers.message().await.map_err(refused)? {
                all.push(answer);
            }
            Ok(all)
        }))
    }

    /// Calls a method that takes a stream and answers with one, with requests that `make` makes while the call runs: only a
    /// few of them are in memory at a time. All answers. `limit` is for all of it.
    pub(crate) fn upload<Q, A>(
        &self,
        path: &str,
        limit: Duration,
        make: impl FnOnce(&mut dyn FnMut(Q) -> anyhow::Result<()>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<A>>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let (sender, mut waiting) = mpsc::channel::<Q>(WAITING_REQUESTS);
        let requests = futures_util::stream::poll_fn(move |context| waiting.poll_recv(context));
        // A task of its own: it goes on whenever a request waits for its place.
        let call = self.aio.run(deadline(limit, &self.socket, path, async {
            let (mut client, method) = self.client(path).await?;
            let requests = self.request(requests, limit);
            Ok(tokio::spawn(async move {
                let reply = client.streaming(requests, method, ProstCodec::<Q, A>::default()).await?;
                let (mut answers, mut all) = (reply.into_inner(), Vec::new());
                while let Some(answer) = answers.message().await? {
                    all.push(answer);
                }
                Ok::<_, Status>(all)
            }))
        }))?;
        let sent_all = make(&mut |request| {
            let sent =
                async { sender.send(request).await.map_err(|_| anyhow!("the call ended before its last request")) };
            self.aio.run(deadline(limit, &self.socket, path, sent))
        });
        drop(sender);
        match self.aio.run(deadline(limit, &self.socket, path, async { Ok(call.await) }))? {
            Ok(Ok(answers)) => sent_all.map(|()| answers),
            Ok(Err(status)) => Err(self.refused(path, limit, &status).into()),
            Err(error) => Err(self.protocol(path, &error)),
        }
    }

    async fn client(&self, path: &str) -> anyhow::Result<(Grpc<Channel>, PathAndQuery)> {
        let kept = self.kept.as_ref().and_then(|kept| kept.borrow().clone());
        let channel = match kept {
            Some(channel) => channel,
            None => {
                let channel = self.connect(path).await?;
                if let Some(kept) = &self.kept {
                    *kept.borrow_mut() = Some(channel.clone());
                }
                channel
            }
        };
        let mut client = Grpc::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
        client.ready().await.map_err(|error| self.protocol(path, &error))?;
        Ok((client, path.parse().with_context(|| format!("`{path}` is not a method"))?))
    }

    pub(crate) async fn unary<Q, A>(&self, path: &str, request: Q, limit: Duration) -> anyhow::Result<A>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        deadline(limit, &self.socket, path, async {
            let (mut client, method) = self.client(path).await?;
            let request = self.request(request, limit);
            match client.unary(request, method, ProstCodec::<Q, A>::default()).await {
                Ok(reply) => Ok(reply.into_inner()),
                Err(status) => Err(self.refused(path, limit, &status).into()),
            }
        })
        .await
    }

    async fn connect(&self, path: &str) -> anyhow::Result<Channel> {
        // Connected here and not by tonic, whose errors do not tell a missing socket from a silent one.
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| DaemonError::connecting(&self.socket, &e))?;
        let stream = Mutex::new(Some(stream));
        let connector = tower::service_fn(move |_| {
            // Handed out once; a second connect is tonic trying again on a connection that ended.
            let stream = stream.lock().ok().and_then(|mut stream| stream.take());
            std::future::ready(stream.map(TokioIo::new).ok_or_else(|| std::io::Error::other("connection closed")))
        });
        // The URI names no host: the socket is already open, and Go servers want an ordinary authority.
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await;
        channel.map_err(|error| self.protocol(path, &error))
    }

    fn request<Q>(&self, message: Q, limit: Duration) -> Request<Q> {
        let mut request = Request::new(message);
        // A little later than ours, which says what timed out; this one tells the server not to go on for ever.
        request.set_timeout(limit.saturating_add(Duration::from_secs(1)));
        if let Some(namespace) = self.namespace {
            request.metadata_mut().insert("containerd-namespace", MetadataValue::<Ascii>::from_static(namespace));
        }
        if let Some(lease) = self.lease.as_ref().and_then(|lease| MetadataValue::<Ascii>::try_from(lease).ok()) {
            request.metadata_mut().insert("containerd-lease", lease);
        }
        request
    }

    fn protocol(&self, what: &str, error: &dyn std::error::Error) -> anyhow::Error {
        DaemonError::Protocol { at: self.socket.clone(), what: what.to_owned(), detail: chain(error) }.into()
    }

    fn refused(&self, what: &str, limit: Duration, status: &Status) -> DaemonError {
        let (at, what) = (self.socket.clone(), what.to_owned());
        let detail = status.message().to_owned();
        match status.code() {
            Code::Unimplemented => DaemonError::Unimplemented { at, what, detail },
            Code::NotFound => DaemonError::NotFound { at, what, detail },
            Code::DeadlineExceeded => DaemonError::Timeout { at, what, limit },
            // A status that did not come from the server: the connection broke, or it is no gRPC server.
            _ if std::error::Error::source(status).is_some() => {
                let cause = std::error::Error::source(status).map(chain).unwrap_or_default();
                DaemonError::Protocol { at, what, detail: format!("{detail}: {cause}") }
            }
            code => DaemonError::Rejected { at, what, code: format!("{code:?}"), detail },
        }
    }
}

/// An error with its causes: tonic's own words (`transport error`) say nothing without them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.iter().any(|word| word.contains(&text)) {
            words.push(text);
        }
        cause = error.source();
    }
    words.join(": ")
}

#[cfg(test)]
#[path = "grpc_tests.rs"]
pub(crate) mod tests;
