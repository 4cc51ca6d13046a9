//! What the load generator asks of the shop: seeded products, orders over them, receipts of stock.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Answer, Requests};

/// Products that the load is spread over.
pub(crate) const PRODUCTS: u64 = 300;

fn sku(number: u64) -> String {
    format!("BENCH-{:04}", number % PRODUCTS)
}

fn request(method: &str, path: &str, key: &str, body: &str, out: &mut Vec<u8>) {
    write!(
        out,
        "{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         idempotency-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("a vector takes everything");
}

/// Orders of one line, spread over the products and, being new aggregates, over all partitions.
pub(crate) struct Orders {
    /// Keeps the keys of runs on the same log apart.
    pub(crate) run: u64,
}

impl Requests for Orders {
    fn write(&self, number: u64, out: &mut Vec<u8>) {
        let mut body = String::with_capacity(160);
        write!(
            body,
            r#"{{"customer":"{:05}","country":"United Kingdom","currency":"GBP","lines":[{{"sku":"{}","quantity":1}}]}}"#,
            number % 100_000,
            sku(number)
        )
        .expect("a string takes everything");
        request(
            "POST",
            "/v1/orders",
            &format!("{:x}-{number}", self.run),
            &body,
            out,
        );
    }
}

/// Which stock items receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heat {
    /// All products' in turn.
    Spread,
    /// One, over and over.
    Hot,
}

/// Receipts of one unit of stock.
pub(crate) struct Receipts {
    pub(crate) run: u64,
    pub(crate) heat: Heat,
}

impl Requests for Receipts {
    fn write(&self, number: u64, out: &mut Vec<u8>) {
        let sku = sku(if self.heat == Heat::Hot { 0 } else { number });
        let key = format!("{:x}-{:?}-{number}", self.run, self.heat);
        request(
            "POST",
            &format!("/v1/stock/{sku}/receive"),
            &key,
            r#"{"quantity":1}"#,
            out,
        );
    }
}

/// Creates, prices and publishes the products. Repeating it changes nothing.
pub(crate) async fn seed(server: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(server).await.context("connecting")?;
    for number in 0..PRODUCTS {
        let sku = sku(number);
        let body = format!(r#"{{"sku":"{sku}","name":"Product {number} of the bench"}}"#);
        let created = send(&mut stream, "/v1/products", &format!("create-{sku}"), &body).await?;
        let id = created["id"]
            .as_str()
            .context("a product without an id")?
            .to_owned();
        let price = r#"{"price":{"amount":1295,"currency":"GBP"}}"#;
        let path = format!("/v1/products/{id}");
        send(
            &mut stream,
            &format!("{path}/price"),
            &format!("price-{sku}"),
            price,
        )
        .await?;
        send(
            &mut stream,
            &format!("{path}/publish"),
            &format!("publish-{sku}"),
            "",
        )
        .await?;
    }
    Ok(())
}

/// The price list must know all products within this time.
const PRICES_MAX: Duration = Duration::from_secs(30);

/// Waits until one order of all products is accepted: the price list follows the log.
pub(crate) async fn await_prices(stream: &mut TcpStream) -> anyhow::Result<()> {
    let lines: Vec<String> = (0..PRODUCTS)
        .map(|number| format!(r#"{{"sku":"{}","quantity":1}}"#, sku(number)))
        .collect();
    let body = format!(r#"{{"currency":"GBP","lines":[{}]}}"#, lines.join(","));
    let deadline = Instant::now() + PRICES_MAX;
    loop {
        match send(stream, "/v1/orders", "all-products", &body).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// One request and the JSON of its answer.
async fn send(
    stream: &mut TcpStream,
    path: &str,
    key: &str,
    body: &str,
) -> anyhow::Result<serde_json::Value> {
    let mut out = Vec::new();
    request("POST", path, key, body, &mut out);
    send_raw(stream, &out).await.with_context(|| path.to_owned())
}

/// One request as bytes, and the JSON of its answer; an error unless it was accepted.
pub(crate) async fn send_raw(stream: &mut TcpStream, request: &[u8]) -> anyhow::Result<serde_json::Value> {
    stream.write_all(request).await?;
    let mut received = Vec::new();
    loop {
        let read = stream.read_buf(&mut received).await?;
        ensure!(read > 0, "the server closed the connection");
        if let Some(answer) = Answer::parse(&received)? {
            let text = String::from_utf8_lossy(&received);
            ensure!(answer.ack.is_some(), "{text}");
            let json = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            return Ok(serde_json::from_str(json)?);
        }
    }
}
