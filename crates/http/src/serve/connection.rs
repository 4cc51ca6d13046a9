//! One connection, from accept to close.

use std::future::poll_fn;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use futures::TryFutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::Service;

/// Written by hand: hyper closes the connection without a word. It ends with the connection, so it needs
/// no length.
const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    content-type: application/problem+json\r\nconnection: close\r\n\r\n\
    {\"type\":\"/errors/request_timeout\",\"title\":\"The request took too long to arrive\",\
    \"status\":408,\"code\":\"request_timeout\",\"retryable\":true}";

/// How long a client may take to notice that the connection has ended.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// The most that is read of what nobody will look at.
const FAREWELL_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Serves one connection until either side is done. Once the server is `closing`, each answer says that it was the
/// last; whoever has asked nothing `linger` later is told by the end of the connection.
pub(super) async fn run(
    http: http1::Builder,
    stream: TcpStream,
    router: Router,
    mut closing: watch::Receiver<bool>,
    linger: Duration,
) {
    let seen = closing.clone();
    let service = service_fn(move |request| {
        let seen = seen.clone();
        router.clone().call(request).map_ok(move |mut answer| {
            if *seen.borrow() {
                let last = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, last);
            }
            answer
        })
    });
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    let ending = async move {
        // The server outlives its connections.
        let _ = closing.wait_for(|closing| *closing).await;
        tokio::time::sleep(linger).await;
    };
    let mut ending = std::pin::pin!(ending);
    let mut told = false;
    let outcome = loop {
        tokio::select! {
            outcome = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break outcome,
            () = &mut ending, if !told => {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection");
        // An idle connection that times out has nothing to answer.
        if error.is_timeout() && !parts.read_buf.is_empty() {
            // The client may be gone: nobody is left to tell.
            let _ = stream.write_all(REQUEST_TIMEOUT).await;
        }
    }
    farewell(stream).await;
}

/// Ends a connection so that the client reads the last answer: closing it with bytes unread would reset it,
/// and a reset throws away what is on its way. So our side ends, and what still comes is read.
async fn farewell(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let (mut unread, mut nowhere) = (stream.take(FAREWELL_BYTES_MAX), tokio::io::sink());
    let reading = tokio::io::copy(&mut unread, &mut nowhere);
    // Whoever does not go in time is reset after all.
    let _ = tokio::time::timeout(FAREWELL_MAX, reading).await;
}
