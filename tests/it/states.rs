//! A new owner starts from the table of states: it reads the tail of the log, has few aggregates in memory,
//! and remembers every command all the same (P1, P3).

use std::time::Duration;

use serde_json::json;
use sqlx::Connection;

use crate::on_both_logs;
use crate::shop::{Answer, Log, Shop};

const SKUS: usize = 60;
const FOLLOW_MAX: Duration = Duration::from_mins(1);

on_both_logs!(a_restart_reads_the_tail_and_remembers_everything);

async fn a_restart_reads_the_tail_and_remembers_everything(log: Log) {
    let mut shop = Shop::open_with(log, &[("DAYBOOK_OWNER_AGGREGATES_MAX", "2")]).await;
    let before = receive_all(&shop, "before").await;
    kept(&shop).await;
    shop.process.kill();
    shop.process.launch().await;
    let started = shop.process.log();
    assert!(started.contains("starting from the table of states"), "{started}");
    for (before, again) in before.iter().zip(receive_all(&shop, "before").await) {
        assert!(again.replayed, "{again:?}");
        assert_eq!((&again.position, &again.body), (&before.position, &before.body));
    }
    for answer in receive_all(&shop, "after").await {
        assert_eq!(
            (answer.replayed, &answer.body["sequence"]),
            (false, &json!(2)),
            "{answer:?}"
        );
    }
    for number in 0..SKUS {
        shop.shows(&format!("/v1/stock/{}", sku(number)), |stock| {
            stock["on_hand"] == 2
        })
        .await;
    }
}

fn sku(number: usize) -> String {
    format!("KEPT-{number}")
}

async fn receive_all(shop: &Shop, run: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for number in 0..SKUS {
        let (path, key) = (
            format!("/v1/stock/{}/receive", sku(number)),
            format!("{run} {number}"),
        );
        let answer = shop.insist(&path, &key, &json!({ "quantity": 1 })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answers.push(answer);
    }
    answers
}

/// Waits until the table has all of them.
async fn kept(shop: &Shop) {
    let mut connection = sqlx::PgConnection::connect(&shop.database_url)
        .await
        .expect("connects");
    testkit::eventually("the table has all of them", FOLLOW_MAX, async || {
        let kept = sqlx::query_scalar("SELECT count(*) FROM read.stock_states WHERE id LIKE 'stock_KEPT-%'")
            .fetch_one(&mut connection);
        let kept: i64 = kept.await.ok()?;
        (kept == i64::try_from(SKUS).expect("few")).then_some(())
    })
    .await;
}
