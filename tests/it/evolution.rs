//! What an older build wrote is read for ever, by everybody; what a newer one wrote is told as such (P5, P7).

mod build;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::Connection;

use crate::on_both_logs;
use crate::shop::{Log, Shop};
use build::{PATIENCE, Written, write};

const ORDER: &str = "order_0198c0de00007000800000000000beef";
const PAGE: &str = "/v1/orders/order_0198c0de00007000800000000000beef";

on_both_logs!(
    an_old_rejection_is_shown_with_its_shortage,
    a_record_of_a_newer_build_is_told_by_whoever_meets_it,
);

/// Two units of one SKU, five of another that is short, in two lines.
fn placed() -> Written {
    let line = |sku: &str, quantity: u32| json!({ "sku": sku, "quantity": quantity, "unit_price": 250 });
    let lines = [line("SHORT", 2), line("HELD", 2), line("SHORT", 3)];
    Written(
        "daybook.order.placed.v1",
        json!({ "sale": { "currency": "EUR", "lines": lines } }),
    )
}

/// As builds wrote it that did not say how many units were asked for.
fn rejected() -> Written {
    let items = json!([{ "sku": "HELD", "quantity": 2 }, { "sku": "SHORT", "quantity": 5 }]);
    let reason = json!({ "code": "insufficient_stock", "sku": "SHORT", "available": 1 });
    Written(
        "daybook.order.rejected.v1",
        json!({ "reason": reason, "items": items }),
    )
}

/// Everybody reads it: the projection, the owner, the checkout, the table of states, and a rebuild.
async fn an_old_rejection_is_shown_with_its_shortage(log: Log) {
    let mut shop = Shop::open(log).await;
    shop.sell("HELD", 250, 10).await;
    shop.sell("SHORT", 250, 1).await;
    // The old build had reserved what there was before it gave the order up, and died then.
    let reserve = json!({ "order": ORDER, "quantity": 2 });
    let reserved = shop.insist("/v1/stock/HELD/reserve", "reserve", &reserve).await;
    assert_eq!(reserved.status, 200, "{reserved:?}");
    assert!(shop.process.terminate().await, "{}", shop.process.tail());
    write(&shop, ORDER, vec![placed(), rejected()]).await;
    shop.process.launch().await;

    let page = shop.shows(PAGE, |order| order["status"] == "rejected").await;
    let shortage = json!({ "sku": "SHORT", "requested": 5, "available": 1 });
    assert_eq!(
        (&page["reason"], &page["shortage"], &page["sequence"]),
        (&json!("insufficient_stock"), &shortage, &json!(2)),
        "{page}"
    );
    let cancel = json!({ "reason": "changed my mind" });
    let refused = shop.insist(&format!("{PAGE}/cancel"), "cancel", &cancel).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (409, &json!("not_cancellable")),
        "{refused:?}"
    );
    shop.shows("/v1/stock/HELD", |stock| stock["reserved"] == 0).await;

    // The same of today, beside it in the log.
    let lines = json!({ "currency": "EUR", "lines": [{ "sku": "SHORT", "quantity": 3 }] });
    let order = shop.insist("/v1/orders", "of today", &lines).await;
    let id = order.body["id"].as_str().expect("an id").to_owned();
    let settled = shop.settled(&id).await;
    assert_eq!(
        settled["shortage"],
        json!({ "sku": "SHORT", "requested": 3, "available": 1 }),
        "{settled}"
    );
    assert_eq!(
        types(&shop, ORDER).await,
        ["daybook.order.placed.v1", "daybook.order.rejected.v1"]
    );
    assert_eq!(
        types(&shop, &id).await,
        ["daybook.order.placed.v1", "daybook.order.rejected.v2"]
    );

    let (rebuilt, said) = shop.run(&["rebuild", "orders", "order_states"]).await;
    assert!(
        rebuilt && said.contains("rows equal to the ones before"),
        "{said}"
    );
    assert_eq!(shop.get(PAGE, None).await.body, page);
    let (verified, said) = shop.run(&["verify", "--all"]).await;
    assert!(
        verified && said.contains("rows equal a rebuild from the log"),
        "{said}"
    );
    let (listed, parked) = shop.run(&["parked", "list"]).await;
    assert!(
        listed && parked.contains("keys with parked events: 0"),
        "{parked}"
    );
}

/// The types of an order's events.
async fn types(shop: &Shop, order: &str) -> Vec<String> {
    let (read, lines) = shop.run(&["log", "read", "orders", "--json"]).await;
    assert!(read, "{lines}");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let events = lines.filter(|line| line["verdict"] == "accepted" && line["aggregate"] == order);
    events
        .map(|line| line["type"].as_str().expect("a type").to_owned())
        .collect()
}

/// Owners and processes stop where they are, for the next build to go on; the projection sets the order aside.
async fn a_record_of_a_newer_build_is_told_by_whoever_meets_it(log: Log) {
    const TOLD: &str = "daybook.order.rejected.v9 was written by a newer build (this one reads up to v2): deploy it here, too";
    let mut shop = Shop::open(log).await;
    assert!(shop.process.terminate().await, "{}", shop.process.tail());
    let future = Written("daybook.order.rejected.v9", json!({ "because": "of this" }));
    write(&shop, ORDER, vec![placed(), future]).await;
    // Another order, behind it in the log or beside it.
    let other = "order_0198c0de00007000800000000000cafe";
    write(&shop, other, vec![placed(), rejected()]).await;

    for role in ["commands", "workers"] {
        let (succeeded, said) = ends(&shop, role).await;
        assert!(!succeeded && said.contains(TOLD), "{role}: {said}");
        assert!(said.contains(".orders.events/"), "{role} names the place: {said}");
    }
    let mut projecting = tokio::process::Command::from(of_role(&shop, "projections"));
    let projecting = projecting
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let projecting = projecting.spawn().expect("starts");
    testkit::eventually("it is set aside", PATIENCE, async || {
        let (listed, parked) = shop.run(&["parked", "list"]).await;
        assert!(listed, "{parked}");
        let told = |view: &str| {
            parked
                .lines()
                .any(|line| line.starts_with(view) && line.ends_with(TOLD))
        };
        (told("orders ") && told("sales ") && told("order_states ")).then_some(())
    })
    .await;
    let mut connection = sqlx::PgConnection::connect(&shop.database_url)
        .await
        .expect("connects");
    testkit::eventually("the others go on", PATIENCE, async || {
        let rows = sqlx::query_as("SELECT id, status FROM read.orders ORDER BY id");
        let rows: Vec<(String, String)> = rows.fetch_all(&mut connection).await.expect("readable");
        let expected = [(ORDER, "placed"), (other, "rejected")];
        rows.iter()
            .map(|(id, status)| (id.as_str(), status.as_str()))
            .eq(expected)
            .then_some(())
    })
    .await;
    drop(projecting);
}

fn of_role(shop: &Shop, role: &str) -> Command {
    let mut command = shop.command(&[role]);
    for name in ["COMMANDS", "WORKERS", "PROJECTIONS"] {
        command.env(format!("DAYBOOK_LISTEN_{name}"), "127.0.0.1:0");
    }
    command
}

/// A role until it ends by itself.
async fn ends(shop: &Shop, role: &str) -> (bool, String) {
    let mut command = tokio::process::Command::from(of_role(shop, role));
    let output = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output());
    let output = output
        .await
        .unwrap_or_else(|_| panic!("{role} goes on"))
        .expect("starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Every line that any commit pinned is still there. A pinned file that changes or goes fails in `domain::schemas`.
#[test]
fn what_was_frozen_stays_frozen() {
    const MANIFEST: &str = "schemas/events/frozen.sha256";
    let root = testkit::workspace();
    let now = std::fs::read_to_string(root.join(MANIFEST)).expect("readable");
    let Some(commits) = git(&root, &["log", "--format=%H", "--", MANIFEST]) else {
        println!("not a checkout with git: nothing to compare with");
        return;
    };
    for commit in commits.lines() {
        let then = git(&root, &["show", &format!("{commit}:{MANIFEST}")]).unwrap_or_default();
        assert_eq!(
            taken_back(&then, &now),
            Vec::<&str>::new(),
            "since {commit}: lines are only ever added"
        );
    }
}

/// The lines of `then` that are not in `now`.
fn taken_back<'a>(then: &'a str, now: &str) -> Vec<&'a str> {
    then.lines()
        .filter(|line| !now.lines().any(|kept| kept == *line))
        .collect()
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_line_that_is_taken_back_is_found() {
    assert_eq!(
        taken_back("a  one\nb  two\n", "b  two\na  one\nc  three\n"),
        Vec::<&str>::new()
    );
    assert_eq!(taken_back("a  one\nb  two\n", "a  one\nc  two\n"), ["b  two"]);
}
