//! P3: one key, one outcome, however often and whatever dies.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use crate::on_both_logs;
use crate::shop::{Log, Shop};

on_both_logs!(
    a_repeat_finds_its_order_whatever_the_price_is_now,
    a_hundred_repeats_make_one_order,
    a_hundred_repeats_across_a_kill_make_one_order
);

async fn a_hundred_repeats_make_one_order(log: Log) {
    let shop = Shop::open(log).await;
    shop.sell("MUG", 999, 1_000).await;
    let repeats = (0..100).map(|_| shop.order("MUG", "the same"));
    let answers = futures::future::join_all(repeats).await;
    let ids: BTreeSet<String> = answers
        .iter()
        .map(|answer| answer.body["id"].to_string())
        .collect();
    let originals = answers.iter().filter(|answer| !answer.replayed).count();
    assert_eq!((ids.len(), originals), (1, 1), "{answers:?}");
    one_order(&shop, &answers[0].position).await;
}

async fn a_hundred_repeats_across_a_kill_make_one_order(log: Log) {
    let shop = Shop::open(log).await;
    shop.sell("MUG", 999, 1_000).await;
    let shop = Arc::new(tokio::sync::RwLock::new(shop));
    let repeats: Vec<_> = (0..100)
        .map(|_| {
            let shop = Arc::clone(&shop);
            tokio::spawn(async move { shop.read().await.order("MUG", "the same").await })
        })
        .collect();
    {
        let mut shop = shop.write().await;
        shop.process.kill();
        shop.process.launch().await;
    }
    let mut ids = BTreeSet::new();
    let mut position = String::new();
    for repeat in repeats {
        let answer = repeat.await.expect("no panic");
        assert_eq!(answer.status, 201, "{answer:?}");
        ids.insert(answer.body["id"].to_string());
        position = answer.position;
    }
    assert_eq!(ids.len(), 1);
    one_order(&*shop.read().await, &position).await;
}

async fn one_order(shop: &Shop, position: &str) {
    let orders = shop.get("/v1/orders?limit=200", Some(position)).await;
    assert_eq!(
        orders.body["data"].as_array().map(Vec::len),
        Some(1),
        "{orders:?}"
    );
}

/// A client that lost the answer and repeats after the price has changed must not be told "refused":
/// it would order again.
async fn a_repeat_finds_its_order_whatever_the_price_is_now(log: Log) {
    let shop = Shop::open(log).await;
    shop.sell("MUG", 999, 1_000).await;
    let unit_price = json!({ "amount": 999, "currency": "EUR" });
    let line = json!({ "sku": "MUG", "quantity": 1, "unit_price": unit_price });
    let order = json!({ "currency": "EUR", "lines": [line] });
    let placed = shop.insist("/v1/orders", "lost", &order).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    shop.set_price("MUG", 1_000).await;
    let again = shop.insist("/v1/orders", "lost", &order).await;
    assert_eq!(
        (again.status, again.replayed, &again.body),
        (201, true, &placed.body),
        "{again:?}"
    );
    let other = shop.insist("/v1/orders", "another", &order).await;
    assert_eq!(
        (other.status, &other.body["code"]),
        (409, &json!("price_changed")),
        "{other:?}"
    );
}
