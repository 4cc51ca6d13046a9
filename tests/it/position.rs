//! P6: a read that carries a position never shows an older state.

use futures::StreamExt;

use crate::on_both_logs;
use crate::shop::{Log, Shop};

/// `POSITION_ROUNDS` sets another number.
const ROUNDS: usize = 1_000;

on_both_logs!(a_placed_order_is_never_missing);

async fn a_placed_order_is_never_missing(log: Log) {
    let rounds = std::env::var("POSITION_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ROUNDS);
    let shop = Shop::open(log).await;
    shop.sell("MUG", 999, 1_000_000).await;
    let reading = futures::stream::iter(0..rounds).map(async |number: usize| {
        let placed = shop.order("MUG", &format!("order {number}")).await;
        let id = placed.body["id"].as_str().expect("an id").to_owned();
        let seen = shop
            .get(&format!("/v1/orders/{id}"), Some(&placed.position))
            .await;
        assert_eq!(
            seen.status,
            200,
            "{} {seen:?}\n{}",
            placed.position,
            shop.process.tail()
        );
        assert!(
            seen.body["sequence"].as_i64() >= placed.body["sequence"].as_i64(),
            "{seen:?}"
        );
    });
    let count = reading.buffer_unordered(16).count().await;
    println!("{count} orders read back at their position");
}
