//! The server: hyper with a limit on everything. The framework's own has no time-out for a request
//! head, so a client that never finishes one would hold its connection for ever.

mod connection;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::metrics::HTTP_CONNECTIONS;

/// How long to wait after a failed accept (no file descriptors left, mostly) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits of one server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Which API, as metrics and log lines name it.
    pub api: &'static str,
    /// How long a request's head may take, from the end of the answer before it (so it also ends idle
    /// connections): 408 if some of it has come, and the connection is closed.
    pub header_read_timeout: Duration,
    /// The largest head, in bytes; over it 431.
    pub header_bytes_max: usize,
    /// The most connections; more wait in the listener's backlog.
    pub connections_max: usize,
    /// How long after the stop requests are still taken, each answer being the last of its connection, so that
    /// no client meets a connection that ends as it asks.
    pub linger: Duration,
    /// How long requests in flight may go on after that; then they are cut off.
    pub drain_timeout: Duration,
}

impl Limits {
    /// The defaults for the API called `api`.
    #[must_use]
    pub const fn new(api: &'static str) -> Self {
        Self {
            api,
            header_read_timeout: Duration::from_secs(10),
            header_bytes_max: 16 * 1024,
            connections_max: 10_000,
            linger: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Whether every request in flight could be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// All were.
    Completely,
    /// This many connections were cut off at the deadline.
    CutOff(usize),
}

/// Serves `router` until `shutdown` resolves, then for [`Limits::linger`] while there are connections, telling
/// each that it ends; then lets requests in flight finish, bounded by [`Limits::drain_timeout`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let (closing, _) = watch::channel(false);
    let mut server = Server {
        permits: Arc::new(Semaphore::new(limits.connections_max)),
        http: protocol(limits),
        connections: JoinSet::new(),
        listener,
        router,
        limits,
        closing,
    };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = server.connections.join_next() => {}
            accepted = accept(&server.listener, &server.permits) => server.connected(accepted).await,
        }
    }
    server.closing.send_replace(true);
    let mut linger = std::pin::pin!(tokio::time::sleep(limits.linger));
    while !server.connections.is_empty() {
        tokio::select! {
            biased;
            () = &mut linger => break,
            Some(_) = server.connections.join_next() => {}
            accepted = accept(&server.listener, &server.permits) => server.connected(accepted).await,
        }
    }
    // Whoever has connected and waits in the backlog would be reset with the listener.
    while let Some(Ok(accepted)) = accept(&server.listener, &server.permits).now_or_never() {
        server.connected(Ok(accepted)).await;
    }
    drop(server.listener);
    drain(server.connections, limits).await
}

/// A server and its connections.
struct Server {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    http: http1::Builder,
    connections: JoinSet<()>,
    router: Router,
    limits: Limits,
    closing: watch::Sender<bool>,
}

impl Server {
    async fn connected(&mut self, accepted: io::Result<(TcpStream, OwnedSemaphorePermit)>) {
        let api = self.limits.api;
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(api, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                return;
            }
        };
        let gauge = metrics::gauge!(HTTP_CONNECTIONS, "api" => api);
        let connection = connection::run(
            self.http.clone(),
            stream,
            self.router.clone(),
            self.closing.subscribe(),
            self.limits.linger,
        );
        self.connections.spawn(async move {
            gauge.increment(1.0);
            connection.await;
            gauge.decrement(1.0);
            drop(permit);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await;
    let permit = permit.expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    // Answers are small and complete: waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

async fn drain(mut connections: JoinSet<()>, limits: Limits) -> Drained {
    let all = async { while connections.join_next().await.is_some() {} };
    // Whoever came last may linger as long as the others did.
    if tokio::time::timeout(limits.linger + limits.drain_timeout, all)
        .await
        .is_ok()
    {
        return Drained::Completely;
    }
    let left = connections.len();
    tracing::warn!(
        api = limits.api,
        connections = left,
        "cut off at the drain deadline"
    );
    connections.shutdown().await;
    Drained::CutOff(left)
}

fn protocol(limits: Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_header_size(limits.header_bytes_max)
        .half_close(false)
        .keep_alive(true);
    http
}
