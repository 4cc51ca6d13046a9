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

/// Killed at moments all over its course, each is taken up and ended by the next one. `REBUILD_KILLS` sets how many times.
async fn a_killed_rebuild_leaves_the_live_version(log: Log) {
    let shop = busy_shop(log).await;
    let before = snapshot(&shop).await;
    let kills: u32 = std::env::var("REBUILD_KILLS").map_or(3, |kills| kills.parse().expect("a number"));
    // A whole one takes so long.
    let started = std::time::Instant::now();
    ends(&shop, &before).await;
    let whole = started.elapsed();
    let mut killed = 0;
    for round in 1..=kills {
        let mut rebuild = shop.command(&["rebuild", "--all"]);
        let mut rebuild = rebuild
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        // Steps of the golden ratio leave no large gap, however many there are.
        let delay = whole.mul_f64((f64::from(round) * 0.618_033_988_75).fract());
        tokio::time::sleep(delay).await;
        killed += u32::from(rebuild.try_wait().expect("ours").is_none());
        rebuild.kill().expect("ours");
        rebuild.wait().expect("ours");
        assert_eq!(snapshot(&shop).await, before, "killed after {delay:?}");
        ends(&shop, &before).await;
    }
    println!(
        "{killed} of {kills} rebuilds killed under way, within {whole:?}; each was ended by the next one"
    );
}

/// A rebuild ends, and has changed nothing.
async fn ends(shop: &Shop, before: &[Vec<String>]) {
    // The session of one that was killed, and so its lock, ends a moment later.
    testkit::eventually("the rebuild ends", Duration::from_secs(30), async || {
        let (succeeded, output) = shop.run(&["rebuild", "--all"]).await;
        assert!(succeeded || output.contains("another rebuild"), "{output}");
        succeeded.then_some(())
    })
    .await;
    assert_eq!(snapshot(shop).await, before);
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
