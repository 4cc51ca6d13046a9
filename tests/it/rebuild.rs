//! P7: a rebuilt read model equals the live one, and a rebuild can be killed at any point.

mod under_load;

use std::process::Stdio;
use std::time::Duration;

use sqlx::Connection;

use crate::on_both_logs;
use crate::shop::{Log, Shop};

const TABLES: [&str; 5] = ["products", "availability", "orders", "order_history", "sales"];

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

/// From the command line, as an operator would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_is_watched_told_interrupted_and_rolled_back() {
    let shop = busy_shop(Log::Postgres).await;
    let before = snapshot(&shop).await;
    let said = async |arguments: &[&str], succeeds: bool| {
        let (succeeded, output) = shop.run(arguments).await;
        assert_eq!(succeeded, succeeds, "{arguments:?}: {output}");
        output
    };
    let plan = said(&["rebuild", "orders", "sales", "--dry-run"], true).await;
    assert!(
        plan.contains("orders: version 1 is live; a new version; ") && plan.contains("all rows compared"),
        "{plan}"
    );
    assert!(
        said(&["rebuild", "ordres"], false)
            .await
            .contains("there is no projection \"ordres\"; there are products,")
    );
    assert!(
        said(&["rebuild", "pause", "orders"], false)
            .await
            .contains("no rebuild of orders is under way")
    );
    assert!(
        said(&["rebuild", "rollback", "orders"], false)
            .await
            .contains("nothing to roll back to")
    );
    assert!(
        said(&["rebuild", "throttle", "orders", "fast"], false)
            .await
            .contains("nor `off`")
    );
    assert!(
        said(&["rebuild", "status"], true)
            .await
            .contains("no rebuild is under way")
    );

    let mut slow = shop.command(&["rebuild", "orders", "--throttle", "100", "--json"]);
    let slow = slow
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    testkit::eventually("it runs", Duration::from_secs(30), async || {
        let status = said(&["rebuild", "status", "--json"], true).await;
        status.contains(r#""running":true"#).then_some(())
    })
    .await;
    assert!(
        said(&["rebuild", "sales", "orders"], false)
            .await
            .contains("another rebuild of orders is running")
    );
    said(&["rebuild", "pause", "orders"], true).await;
    testkit::eventually("it rests", Duration::from_secs(30), async || {
        let status = said(&["rebuild", "status"], true).await;
        status.contains("paused while reading").then_some(())
    })
    .await;
    // Ctrl-C: what it folded is stored.
    testkit::interrupt(&slow);
    let ended = slow.wait_with_output().expect("ends");
    assert_eq!(ended.status.code(), Some(130));
    let lines = String::from_utf8(ended.stdout).expect("text");
    let line = lines.lines().last().expect("progress");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(
        (line["event"].as_str(), line["projection"].as_str()),
        (Some("progress"), Some("orders")),
        "{line}"
    );
    assert!(
        said(&["rebuild", "status"], true)
            .await
            .contains("interrupted while reading; `daybook rebuild orders` goes on")
    );
    assert!(
        said(&["rebuild", "orders", "--dry-run"], true)
            .await
            .contains("goes on with version 2")
    );
    said(&["rebuild", "orders"], true).await;
    assert_eq!(snapshot(&shop).await, before);

    assert!(
        said(&["rebuild", "rollback", "orders"], true)
            .await
            .contains("version 1 is live again")
    );
    assert!(
        said(&["rebuild", "drop", "orders"], true)
            .await
            .contains("dropped version 2")
    );
    assert!(
        said(&["verify", "--all"], true)
            .await
            .contains("rows equal a rebuild from the log")
    );
    assert_eq!(snapshot(&shop).await, before);
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
