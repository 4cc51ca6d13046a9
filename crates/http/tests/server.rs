//! The server and the conventions around it, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use eventsourcing::clock::System;
use http_kit::conventions::{self, Conventions};
use http_kit::health::{self, Readiness};
use http_kit::json::Json;
use http_kit::problem::Document;
use http_kit::serve::{Drained, Limits, serve};
use http_kit::trace::RequestContext;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    quantity: u32,
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

/// Two requests hold `/hold` until `released`; `entered` tells that one is inside.
#[derive(Clone, Default)]
struct Held {
    entered: Arc<Notify>,
    released: Arc<Notify>,
}

fn router(held: &Held) -> Router {
    let held = held.clone();
    let handler = move || async move {
        held.entered.notify_one();
        held.released.notified().await;
        "held"
    };
    Router::new()
        .route(
            "/orders",
            post(async |order: Json<Order>| order.value.quantity.to_string()),
        )
        .route(
            "/trace",
            get(async |context: RequestContext| context.traceparent.to_string()),
        )
        .route("/hold", get(handler))
        .route("/panic", get(async || -> &'static str { panic!("on purpose") }))
}

async fn start(change: impl FnOnce(&mut Conventions, &mut Limits), held: &Held) -> Server {
    let (mut conventions, mut limits) = (Conventions::new("test"), Limits::new("test"));
    change(&mut conventions, &mut limits);
    let router = conventions::apply(router(held), conventions, Arc::new(System));
    let readiness = Readiness::new().check("log", || async { false });
    let router = router.merge(health::router(Arc::new(readiness), None));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has one");
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, router, limits, async {
        let _ = stopped.await;
    }));
    Server { address, stop, task }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn problem(&self) -> Document {
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{}",
            self.head
        );
        serde_json::from_str(&self.body).expect("a problem document")
    }
}

/// Sends `request` as it stands and reads until the server closes.
async fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(request).await.expect("writes");
    answer(stream).await
}

async fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes));
    read.await.expect("the server closes").expect("reads");
    let text = String::from_utf8(bytes).expect("is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("has a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("has a status");
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn request(line: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn a_request_is_answered_under_its_id_and_trace() {
    let server = start(|_, _| (), &Held::default()).await;
    let fine = send(
        server.address,
        &request("POST /orders", JSON, r#"{"quantity":3}"#),
    )
    .await;
    assert_eq!((fine.status, fine.body.as_str()), (200, "3"));
    assert!(fine.head.contains("x-request-id: "), "{}", fine.head);
    let headers =
        "x-request-id: mine\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let traced = send(server.address, &request("GET /trace", headers, "")).await;
    assert!(
        traced.body.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{}",
        traced.body
    );
    assert!(traced.head.contains("x-request-id: mine"), "{}", traced.head);
}

#[tokio::test]
async fn every_refusal_is_a_problem_that_names_its_request() {
    let server = start(
        |conventions, _| conventions.body_bytes_max = 1000,
        &Held::default(),
    )
    .await;
    let long = format!("{{\"quantity\":{}}}", " ".repeat(2000));
    let id = "x-request-id: mine\r\n";
    let json = format!("{JSON}{id}");
    let cases = [
        (request("GET /nowhere", id, ""), 404, "route_not_found"),
        (request("DELETE /orders", id, ""), 405, "method_not_allowed"),
        (request("POST /orders", id, "{}"), 415, "unsupported_media_type"),
        (request("POST /orders", &json, "{"), 400, "malformed_json"),
        (
            request("POST /orders", &json, r#"{"quantity":1,"x":1}"#),
            422,
            "unknown_field",
        ),
        (request("POST /orders", &json, &long), 413, "body_too_large"),
        (request("GET /panic", id, ""), 500, "internal"),
    ];
    for (request, status, code) in cases {
        let refused = send(server.address, &request).await;
        let problem = refused.problem();
        assert_eq!((refused.status, problem.code.as_ref()), (status, code));
        assert_eq!(problem.request_id.as_deref(), Some("mine"), "{code}");
        if status == 405 {
            assert!(refused.head.contains("allow: post"), "{}", refused.head);
        }
    }
}

#[tokio::test]
async fn a_body_far_over_the_limit_is_refused_while_it_is_still_coming() {
    let server = start(|_, _| (), &Held::default()).await;
    let body = " ".repeat(3 * 1024 * 1024);
    let refused = send(server.address, &request("POST /orders", JSON, &body)).await;
    assert_eq!(
        (refused.status, refused.problem().code.as_ref()),
        (413, "body_too_large")
    );
}

#[tokio::test]
async fn a_head_that_never_ends_gets_408_and_an_idle_connection_is_closed() {
    let timeout = Duration::from_millis(300);
    let server = start(|_, limits| limits.header_read_timeout = timeout, &Held::default()).await;
    let started = Instant::now();
    let slow = send(server.address, b"GET /trace HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    assert_eq!(
        (slow.status, slow.problem().code.as_ref()),
        (408, "request_timeout")
    );
    assert!(started.elapsed() >= timeout && started.elapsed() < Duration::from_secs(5));

    let mut idle = TcpStream::connect(server.address).await.expect("connects");
    let mut bytes = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut bytes)).await;
    assert_eq!(closed.expect("is closed").expect("cleanly"), 0);
}

#[tokio::test]
async fn a_head_over_the_limit_gets_431() {
    let server = start(|_, limits| limits.header_bytes_max = 4096, &Held::default()).await;
    let header = format!("x-long: {}\r\n", "x".repeat(5000));
    assert_eq!(
        send(server.address, &request("GET /trace", &header, ""))
            .await
            .status,
        431
    );
    let header = format!("x-long: {}\r\n", "x".repeat(3000));
    assert_eq!(
        send(server.address, &request("GET /trace", &header, ""))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_request_too_many_is_shed_but_probes_are_not() {
    let held = Held::default();
    let server = start(|conventions, _| conventions.requests_max = 1, &held).await;
    let address = server.address;
    let inside = tokio::spawn(async move { send(address, &request("GET /hold", "", "")).await });
    held.entered.notified().await;
    let shed = send(address, &request("GET /trace", "", "")).await;
    assert_eq!((shed.status, shed.problem().code.as_ref()), (503, "overloaded"));
    assert!(shed.head.contains("retry-after: 1"), "{}", shed.head);
    assert!(shed.head.contains("daybook-attempted: false"), "{}", shed.head);
    assert_eq!(send(address, &request("GET /livez", "", "")).await.status, 200);
    let ready = send(address, &request("GET /readyz", "", "")).await;
    assert_eq!(
        (ready.status, ready.body.as_str()),
        (503, r#"{"ready":false,"failing":["log"]}"#)
    );
    held.released.notify_one();
    assert_eq!(inside.await.expect("ends").body, "held");
}

#[tokio::test]
async fn a_stop_lets_requests_in_flight_finish() {
    let held = Held::default();
    let server = start(|_, _| (), &held).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connects");
    // Kept alive by the client: the server has to end it.
    stream
        .write_all(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("writes");
    held.entered.notified().await;
    server.stop.send(()).expect("is running");
    held.released.notify_one();
    assert_eq!(answer(stream).await.body, "held");
    assert_eq!(server.task.await.expect("ends"), Drained::Completely);
}

/// An idle connection may be asked again at any moment: for a while it is still answered, for the last time.
#[tokio::test]
async fn a_stop_tells_each_connection_with_its_last_answer() {
    let server = start(
        |_, limits| limits.linger = Duration::from_secs(30),
        &Held::default(),
    )
    .await;
    let mut kept = TcpStream::connect(server.address).await.expect("connects");
    kept.write_all(b"GET /trace HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("writes");
    let mut head = [0; 512];
    let count = kept.read(&mut head).await.expect("reads");
    let head = String::from_utf8_lossy(&head[..count]).to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 200") && !head.contains("connection: close"),
        "{head}"
    );
    server.stop.send(()).expect("is running");
    // The stop is seen by another connection first, so that the next request comes after it.
    let told = async {
        loop {
            let kept_alive = b"GET /trace HTTP/1.1\r\nhost: x\r\nx-end: 1\r\n\r\n";
            let mut other = TcpStream::connect(server.address).await.expect("connects");
            other.write_all(kept_alive).await.expect("writes");
            let mut bytes = vec![0; 512];
            let count = other.read(&mut bytes).await.expect("reads");
            if String::from_utf8_lossy(&bytes[..count]).contains("connection: close") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told)
        .await
        .expect("is told");
    kept.write_all(b"GET /trace HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("writes");
    let last = answer(kept).await;
    assert!(
        last.status == 200 && last.head.contains("connection: close"),
        "{}",
        last.head
    );
    // Nobody is left, so nobody is waited for.
    let ended = tokio::time::timeout(Duration::from_secs(20), server.task).await;
    assert_eq!(ended.expect("in time").expect("ends"), Drained::Completely);
    let refused = TcpStream::connect(server.address)
        .await
        .expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let held = Held::default();
    let server = start(
        |_, limits| {
            limits.linger = Duration::from_millis(50);
            limits.drain_timeout = Duration::from_millis(100);
        },
        &held,
    )
    .await;
    let mut stream = TcpStream::connect(server.address).await.expect("connects");
    stream
        .write_all(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("writes");
    held.entered.notified().await;
    server.stop.send(()).expect("is running");
    assert_eq!(server.task.await.expect("ends"), Drained::CutOff(1));
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let held = Held::default();
    let server = start(|_, limits| limits.connections_max = 1, &held).await;
    let address = server.address;
    let first = tokio::spawn(async move { send(address, &request("GET /hold", "", "")).await });
    held.entered.notified().await;
    let second = tokio::spawn(async move { send(address, &request("GET /trace", "", "")).await });
    let early = tokio::time::timeout(Duration::from_millis(200), async {
        while !second.is_finished() {
            tokio::task::yield_now().await;
        }
    });
    assert!(early.await.is_err(), "the second must wait");
    held.released.notify_one();
    assert_eq!(first.await.expect("ends").status, 200);
    assert_eq!(second.await.expect("ends").status, 200);
}
