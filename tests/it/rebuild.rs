//! P7: a rebuilt read model equals the live one, and a rebuild can be killed at any point.

use std::process::Stdio;
use std::time::Duration;

use sqlx::Connection;

use crate::on_both_logs;
use crate::shop::{Log, Shop};

const TABLES: [&str; 4] = ["products", "availability", "orders", "sales"];

on_both_logs!(a_rebuild_changes_no_row, a_killed_rebuild_leaves_the_live_version);

async fn a_rebuild_changes_no_row(log: Log) {
    let shop = busy_shop(log).await;
    let before = snapshot(&shop).await;
    let (succeeded, output) = shop.run(&["rebuild", "--all"]).await;
    assert!(succeeded, "{output}");
    assert_eq!(snapshot(&shop).await, before);
    // The live projection goes on with the new version.
    let placed = shop.order("MUG", "after the rebuild").await;
    let id = placed.body["id"].as_str().expect("an id");
    assert_eq!(shop.settled(id).await["status"], "rejected", "everything is sold");
}

async fn a_killed_rebuild_leaves_the_live_version(log: Log) {
    let shop = busy_shop(log).await;
    let before = snapshot(&shop).await;
    for delay in [5, 40, 80, 160, 320] {
        let mut rebuild = shop.command(&["rebuild", "--all"]);
        let mut rebuild = rebuild
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        tokio::time::sleep(Duration::from_millis(delay)).await;
        rebuild.kill().expect("ours");
        rebuild.wait().expect("ours");
        assert_eq!(snapshot(&shop).await, before, "killed after {delay} ms");
    }
    let (succeeded, output) = shop.run(&["rebuild", "--all"]).await;
    assert!(succeeded, "{output}");
    assert_eq!(snapshot(&shop).await, before);
}

/// A shop with a history that is over.
async fn busy_shop(log: Log) -> Shop {
    let shop = Shop::open(log).await;
    shop.sell("MUG", 999, 250).await;
    let orders = futures::future::join_all((0..300).map(|number| {
        let shop = &shop;
        async move { shop.order("MUG", &number.to_string()).await }
    }))
    .await;
    for order in orders {
        shop.settled(order.body["id"].as_str().expect("an id")).await;
    }
    // The reservations follow the decisions.
    shop.shows("/v1/stock/MUG", |stock| stock["sequence"] == 1 + 250 + 250)
        .await;
    shop
}

/// Every row of every read model.
async fn snapshot(shop: &Shop) -> Vec<Vec<String>> {
    let mut connection = sqlx::PgConnection::connect(&shop.database_url)
        .await
        .expect("connects");
    let mut tables = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT to_jsonb(t)::text FROM read.{table} t ORDER BY 1");
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await;
        tables.push(rows.expect("readable"));
    }
    tables
}
