//! One connection, from accept to close.

use std::future::poll_fn;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Written by hand: hyper closes the connection without a word. It ends with the connection, so it needs
/// no length.
const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    content-type: application/problem+json\r\nconnection: close\r\n\r\n\
    {\"type\":\"/errors/request_timeout\",\"title\":\"The request took too long to arrive\",\
    \"status\":408,\"code\":\"request_timeout\",\"retryable\":true}";

/// Serves one connection until either side is done; after the stop, until the request in flight is.
pub(super) async fn run(
    http: http1::Builder,
    stream: TcpStream,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut told = false;
    let outcome = loop {
        tokio::select! {
            outcome = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break outcome,
            _ = stopping.wait_for(|stop| *stop), if !told => {
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
    let _ = stream.shutdown().await;
}
