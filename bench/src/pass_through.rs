//! The limit of the command path: HTTP in, one record out, its acknowledgement back. No domain, no
//! idempotency, no protocol, not even a look at the JSON.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rdkafka::error::KafkaError;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::load::Ack;
use crate::raw::{Delivered, Producer, Target};

/// A connection that does not finish its head in this time is closed, as Daybook does.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for one report.
struct Waits(oneshot::Sender<Result<Ack, KafkaError>>);

impl Delivered for Waits {
    fn delivered(self, at: Result<Ack, KafkaError>) {
        // The client may have gone.
        let _ = self.0.send(at);
    }
}

struct Server {
    producer: Producer<Waits>,
    service: String,
    /// Ids are this process's and counted: cheaper than Daybook's.
    process: u64,
    ids: AtomicU64,
}

/// Serves until the process is ended.
pub(crate) async fn serve(address: SocketAddr, target: &Target) -> anyhow::Result<()> {
    let server = Arc::new(Server {
        producer: Producer::new(target)?,
        service: target.topic.service().to_owned(),
        process: rand::random(),
        ids: AtomicU64::new(0),
    });
    let router = Router::new().route("/v1/orders", post(accept)).with_state(server);
    answer(address, router).await
}

/// Answers as Daybook's server does, until the process is ended.
pub(crate) async fn answer(address: SocketAddr, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut connection = http1::Builder::new();
            connection
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT);
            // A client that breaks off is no event here.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn accept(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    if !headers.contains_key("idempotency-key") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let id = Uuid::from_u64_pair(server.process, server.ids.fetch_add(1, Ordering::Relaxed));
    let (waits, report) = oneshot::channel();
    if server.producer.send(id, &body, Waits(waits)).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match report.await {
        Ok(Ok(ack)) => created(&server.service, id, ack),
        Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// An answer with the heads and the body that Daybook's has.
fn created(service: &str, id: Uuid, ack: Ack) -> Response {
    let id = id.simple();
    let value = |text: String| HeaderValue::from_str(&text).expect("ids and numbers are ASCII");
    let heads = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::LOCATION, value(format!("/v1/orders/order_{id}"))),
        (header::ETAG, HeaderValue::from_static("\"1\"")),
        (
            header::HeaderName::from_static("daybook-position"),
            value(format!("{service}/{}@{}", ack.partition, ack.offset)),
        ),
    ];
    let body = format!(r#"{{"id":"order_{id}","sequence":1}}"#);
    (StatusCode::CREATED, heads, body).into_response()
}
