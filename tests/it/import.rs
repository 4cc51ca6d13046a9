//! Real sales data: eight months of a wholesaler, imported like any client would, with a kill.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::on_both_logs;
use crate::shop::{Log, Shop};

on_both_logs!(online_retail_survives_a_kill_and_is_right_to_the_penny);

async fn online_retail_survives_a_kill_and_is_right_to_the_penny(log: Log) {
    let Some(data) = testkit::shared_data() else {
        println!("skipped: the folder of real data is not here");
        return;
    };
    let file = data.join("online-retail-2010-12_2011-08.csv.gz");
    let file = file.to_str().expect("a plain path").to_owned();
    let mut shop = Shop::open(log).await;
    let commands = shop.process.commands.clone();
    let directory = testkit::directory().expect("a directory");
    let rejects = directory.path().join("rejects.csv");
    let rejects = rejects.to_str().expect("a plain path").to_owned();
    let arguments = [
        "import",
        "online-retail",
        &file,
        "--commands",
        &commands,
        "--rejects",
        &rejects,
        "--concurrency",
        "64",
    ];

    // The first run loses its shop somewhere in the middle, and is killed itself.
    let mut first = shop
        .command(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    testkit::eventually("a part is imported", Duration::from_mins(2), async || {
        let orders = shop.get("/v1/sales?by=country&limit=200", None).await;
        (total(&orders.body, |row| row["orders"].as_i64()) > 2_000).then_some(())
    })
    .await;
    shop.process.kill();
    first.kill().expect("ours");
    first.wait().expect("ours");
    shop.process.launch().await;

    let (succeeded, output) = shop.run(&arguments).await;
    assert!(succeeded, "{output}\n{}", shop.process.tail());
    let lines = std::fs::read_to_string(&rejects).expect("rejects are written");
    let count = |code: &str| lines.lines().filter(|line| line.contains(code)).count();
    let counted = (
        count("invalid_price"),
        count("price_precision"),
        count("unknown_invoice_kind"),
    );
    assert_eq!(counted, (1_797, 2, 3), "{output}");
    check(&shop).await;

    // Once more: nothing changes.
    let (succeeded, output) = shop.run(&arguments).await;
    assert!(succeeded, "{output}");
    check(&shop).await;
}

fn total(page: &Value, of: impl Fn(&Value) -> Option<i64>) -> i64 {
    page["data"].as_array().into_iter().flatten().filter_map(of).sum()
}

async fn check(shop: &Shop) {
    let expected = json!({
        "key": "United Kingdom", "orders": 11_326, "units": 2_735_456,
        "revenue": { "amount": 526_014_024, "currency": "GBP" },
        "credit_notes": 2_272, "credited_units": 140_461,
        "credited": { "amount": 47_226_937, "currency": "GBP" },
    });
    testkit::eventually("the sales are all there", Duration::from_mins(2), async || {
        let sales = shop.get("/v1/sales?by=country&limit=200", None).await;
        let orders = total(&sales.body, |row| row["orders"].as_i64());
        let notes = total(&sales.body, |row| row["credit_notes"].as_i64());
        (orders >= 12_494 && notes >= 2_554).then_some(())
    })
    .await;
    let sales = shop.get("/v1/sales?by=country&limit=200", None).await.body;
    let rows = sales["data"].as_array().expect("rows");
    let kingdom = rows
        .iter()
        .find(|row| row["key"] == "United Kingdom")
        .expect("the United Kingdom");
    assert_eq!(kingdom, &expected);
    assert_eq!(rows.len(), 37, "countries");
    let sums = (
        total(&sales, |row| row["orders"].as_i64()),
        total(&sales, |row| row["credit_notes"].as_i64()),
        total(&sales, |row| row["units"].as_i64()),
        total(&sales, |row| row["revenue"]["amount"].as_i64()),
    );
    assert_eq!(sums, (12_494, 2_554, 3_325_397, 629_376_400));
    assert_eq!(count_skus(shop).await, 3_642);
}

/// All pages of the sales by SKU.
async fn count_skus(shop: &Shop) -> usize {
    let mut count = 0;
    let mut after = String::new();
    loop {
        let page = shop
            .get(&format!("/v1/sales?by=sku&limit=200{after}"), None)
            .await
            .body;
        count += page["data"].as_array().expect("rows").len();
        let Some(cursor) = page["next_cursor"].as_str() else {
            return count;
        };
        after = format!("&after={cursor}");
    }
}
