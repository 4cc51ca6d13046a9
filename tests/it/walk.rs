//! An order goes through: command, log, read model, query.

use serde_json::json;

use crate::on_both_logs;
use crate::shop::{Log, Shop};

on_both_logs!(
    an_order_goes_through,
    a_cancelled_order_gives_its_stock_back,
    a_start_after_sigterm_finds_everything
);

async fn an_order_goes_through(log: Log) {
    let shop = Shop::open(log).await;
    shop.sell("MUG", 999, 10).await;
    let order = json!({
        "customer": "c-1", "country": "Austria", "currency": "EUR",
        "lines": [{ "sku": "MUG", "quantity": 2, "unit_price": { "amount": 999, "currency": "EUR" } }],
    });
    let placed = shop.insist("/v1/orders", "o-1", &order).await;
    assert_eq!(
        (placed.status, placed.body["sequence"].as_u64()),
        (201, Some(1)),
        "{placed:?}"
    );
    let id = placed.body["id"].as_str().expect("an id");

    let seen = shop
        .get(&format!("/v1/orders/{id}"), Some(&placed.position))
        .await;
    assert_eq!(
        (seen.status, seen.body["total"]["amount"].as_i64()),
        (200, Some(1998)),
        "{seen:?}"
    );
    assert_eq!(shop.settled(id).await["status"], "confirmed");

    shop.shows("/v1/stock/MUG", |stock| {
        stock["on_hand"] == 10 && stock["available"] == 8
    })
    .await;
    let of_customer = shop.get("/v1/orders?customer=c-1", None).await;
    assert_eq!(of_customer.body["data"][0]["id"], id, "{of_customer:?}");
    let expected = json!({
        "key": "Austria", "orders": 1, "units": 2, "revenue": { "amount": 1998, "currency": "EUR" },
        "credit_notes": 0, "credited_units": 0, "credited": { "amount": 0, "currency": "EUR" },
    });
    shop.shows("/v1/sales?by=country", |sales| sales["data"][0] == expected)
        .await;
}

async fn a_cancelled_order_gives_its_stock_back(log: Log) {
    let shop = Shop::open(log).await;
    shop.sell("MUG", 999, 1).await;
    let first = shop.order("MUG", "first").await;
    let id = first.body["id"].as_str().expect("an id");
    assert_eq!(shop.settled(id).await["status"], "confirmed");
    let reason = json!({ "reason": "changed my mind" });
    let cancelled = shop
        .insist(&format!("/v1/orders/{id}/cancel"), "cancel", &reason)
        .await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    shop.shows("/v1/stock/MUG", |stock| stock["available"] == 1).await;
    let sales = shop.get("/v1/sales?by=sku", Some(&cancelled.position)).await;
    assert_eq!(
        sales.body["data"][0]["units"], 0,
        "what was sold is taken back: {sales:?}"
    );
}

async fn a_start_after_sigterm_finds_everything(log: Log) {
    let mut shop = Shop::open(log).await;
    shop.sell("MUG", 999, 1).await;
    let placed = shop.order("MUG", "first").await;
    assert!(
        shop.process.terminate().await,
        "a clean end:\n{}",
        shop.process.tail()
    );
    shop.process.launch().await;
    let again = shop.order("MUG", "first").await;
    assert_eq!(
        (again.replayed, &again.body, &again.position),
        (true, &placed.body, &placed.position)
    );
    assert_eq!(
        shop.settled(placed.body["id"].as_str().expect("an id")).await["status"],
        "confirmed"
    );
}
