//! The catalogue on offer: products with a price, and stock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use domain::sku::Sku;
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::command::{CURRENCY, Command, PRICE};
use super::line::{Line, Patience};
use super::told::Told;
use super::{PLENTY, PLENTY_UNITS, SCARCE_UNITS, Shared, skus};
use crate::http::{Connection, Request};

/// For all of it.
const SEED_MAX: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(100);
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns when every SKU can be ordered at every node.
pub(super) async fn offer(shared: &Arc<Shared>) -> anyhow::Result<()> {
    let deadline = Instant::now() + SEED_MAX;
    let numbered = skus().into_iter().enumerate();
    futures::stream::iter(numbered.map(Ok))
        .try_for_each_concurrent(AT_ONCE, |(number, sku)| one(shared, number, sku, deadline))
        .await?;
    for node in &shared.nodes {
        await_prices(node.commands, deadline).await?;
    }
    Ok(())
}

async fn one(shared: &Arc<Shared>, number: usize, sku: Sku, deadline: Instant) -> anyhow::Result<()> {
    let mut connection = Connection::to(shared.nodes[0].commands);
    let created = json!({ "sku": sku.as_str(), "name": format!("Product {number} of the chaos") });
    let created = insist(
        &mut connection,
        "/v1/products",
        &format!("create {sku}"),
        &created,
        deadline,
    )
    .await?;
    let id = created["id"].as_str().context("a product without an id")?;
    let price = json!({ "price": { "amount": PRICE, "currency": CURRENCY } });
    let path = format!("/v1/products/{id}/price");
    insist(&mut connection, &path, &format!("price {sku}"), &price, deadline).await?;
    let path = format!("/v1/products/{id}/publish");
    insist(
        &mut connection,
        &path,
        &format!("publish {sku}"),
        &Value::Null,
        deadline,
    )
    .await?;

    let units = if number < PLENTY {
        PLENTY_UNITS
    } else {
        SCARCE_UNITS
    };
    let command = Command::receive(format!("seed {sku}"), &sku, units);
    let mut lines = Line::to_all(shared);
    while !matches!(
        lines[0].attempt(&command, Patience(PATIENCE)).await,
        Told::Accepted(_)
    ) {
        ensure!(Instant::now() < deadline, "{sku} is not received");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Orders everything, the last line for a price it does not have, until the node looks as far as that: it
/// knows all prices then, and nothing was written.
async fn await_prices(node: SocketAddr, deadline: Instant) -> anyhow::Result<()> {
    let mut connection = Connection::to(node);
    let skus = skus();
    let line = |(number, sku): (usize, &Sku)| {
        let amount = if number + 1 == skus.len() {
            PRICE + 1
        } else {
            PRICE
        };
        let price = json!({ "amount": amount, "currency": CURRENCY });
        json!({ "sku": sku.as_str(), "quantity": 1, "unit_price": price })
    };
    let lines: Vec<Value> = skus.iter().enumerate().map(line).collect();
    let body = json!({ "currency": CURRENCY, "lines": lines }).to_string();
    loop {
        let headers = [("idempotency-key", "prices")];
        let request = Request {
            method: "POST",
            path: "/v1/orders",
            headers: &headers,
            body: &body,
        };
        let answer = connection.send(request, PATIENCE).await;
        let told: Value = answer
            .ok()
            .and_then(|answer| serde_json::from_slice(&answer.body).ok())
            .unwrap_or_default();
        if told["code"] == "price_changed" {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{node} does not know all prices: {told}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Repeats one command until it is accepted.
async fn insist(
    connection: &mut Connection,
    path: &str,
    key: &str,
    body: &Value,
    deadline: Instant,
) -> anyhow::Result<Value> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    loop {
        let headers = [("idempotency-key", key)];
        let request = Request {
            method: "POST",
            path,
            headers: &headers,
            body: &body,
        };
        let answer = connection.send(request, PATIENCE).await;
        if let Ok(answer) = &answer
            && answer.is_success()
        {
            return Ok(serde_json::from_slice(&answer.body)?);
        }
        let told = answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        ensure!(Instant::now() < deadline, "{path}: {told:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
