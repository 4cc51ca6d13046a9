//! The last items of a flash sale: nothing is oversold, whatever dies (P4, ACIDRain's inventory attack).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;

use crate::on_both_logs;
use crate::shop::{Log, Shop};

const STOCK: i64 = 20;
const ORDERS: usize = 200;
const CONNECTIONS: usize = 64;

on_both_logs!(
    twenty_of_two_hundred_are_confirmed,
    the_same_with_a_kill_in_the_middle
);

async fn twenty_of_two_hundred_are_confirmed(log: Log) {
    let shop = Shop::open(log).await;
    shop.sell("LAST", 500, STOCK).await;
    let placing = futures::stream::iter(0..ORDERS).map(|number| place(&shop, number));
    let ids: Vec<String> = placing.buffer_unordered(CONNECTIONS).collect().await;
    check(&shop, &ids).await;
}

async fn the_same_with_a_kill_in_the_middle(log: Log) {
    let shop = Shop::open(log).await;
    shop.sell("LAST", 500, STOCK).await;
    let shop = Arc::new(tokio::sync::RwLock::new(shop));
    let half: Vec<String> = place_some(&shop, 0..ORDERS / 2).await;
    // The checkout of these is under way, the rest is being sent: now it dies.
    let rest = {
        let shop = Arc::clone(&shop);
        tokio::spawn(async move { place_some(&shop, ORDERS / 2..ORDERS).await })
    };
    {
        let mut shop = shop.write().await;
        shop.process.kill();
        shop.process.launch().await;
    }
    let ids = [half, rest.await.expect("no panic")].concat();
    let shop = shop.read().await;
    check(&shop, &ids).await;
}

async fn place_some(shop: &tokio::sync::RwLock<Shop>, numbers: std::ops::Range<usize>) -> Vec<String> {
    let placing = futures::stream::iter(numbers).map(async |number| place(&*shop.read().await, number).await);
    placing.buffer_unordered(CONNECTIONS).collect().await
}

async fn place(shop: &Shop, number: usize) -> String {
    let placed = shop.order("LAST", &format!("order {number}")).await;
    assert!(placed.status == 201, "{placed:?}");
    placed.body["id"].as_str().expect("an id").to_owned()
}

async fn check(shop: &Shop, ids: &[String]) {
    let mut outcomes: BTreeMap<(String, String), usize> = BTreeMap::new();
    for id in ids {
        let order = shop.settled(id).await;
        let text = |field: &str| order[field].as_str().unwrap_or_default().to_owned();
        *outcomes.entry((text("status"), text("reason"))).or_default() += 1;
    }
    let outcome = |status: &str, reason: &str| {
        outcomes
            .get(&(status.to_owned(), reason.to_owned()))
            .copied()
            .unwrap_or_default()
    };
    let expected = (20, ORDERS - 20);
    assert_eq!(
        (
            outcome("confirmed", ""),
            outcome("rejected", "insufficient_stock")
        ),
        expected,
        "{outcomes:?}"
    );
    shop.shows("/v1/stock/LAST", |stock| {
        stock["available"] == 0 && stock["reserved"] == STOCK
    })
    .await;
}
