//! An event that the old build cannot read, in the midst of a partition: its key waits, the others go on, and the new
//! build brings it up to date.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::nodes::{Role, before};
use super::{PATIENCE, place, run};
use crate::on_both_logs;
use crate::shop::{Log, Shop};

on_both_logs!(what_an_old_projector_cannot_read_waits_for_the_new_build);

/// Whatever folds orders, by what brings a parked one back: the fold is the same, or it has changed.
const SAME_FOLD: [&str; 2] = ["order_states", "sales"];
const CHANGED_FOLD: [&str; 2] = ["order_history", "orders"];

/// As after a deployment that left the projections behind, or took them back.
async fn what_an_old_projector_cannot_read_waits_for_the_new_build(log: Log) {
    let Some(before) = before() else { return };
    let now = testkit::daybook_binary().expect("built");
    let mut shop = Shop::prepare(log, "commands", &[("DAYBOOK_TOPICS_PARTITIONS", "1")]).await;
    let mut old = Role::start(&shop, &before, "projections");
    old.says(r#"reading reader="order_states""#).await;
    let _others = ["queries", "workers"].map(|role| Role::start(&shop, &now, role));
    shop.process.launch().await;
    shop.sell("MUG", 999, 100).await;
    shop.sell("RARE", 250, 1).await;
    let mut good = vec![place(&shop, "MUG", 1, "before").await];
    shop.settled(&good[0]).await;

    let mut bad = Vec::new();
    for number in 0..3 {
        bad.push(place(&shop, "RARE", 3, &format!("poisoned {number}")).await);
        good.push(place(&shop, "MUG", 1, &format!("behind {number}")).await);
    }
    its_keys_wait(&shop, &bad).await;
    let waiting = status_of_all(&shop, &bad).await;
    assert_eq!(waiting, vec!["placed"; 3], "as they were before the event");
    for id in &good {
        assert_eq!(shop.settled(id).await["status"], "confirmed");
    }
    let listed = run(&shop, Some(&before), &["parked", "list"], true).await;
    assert!(
        listed.contains(r#"unknown event type "daybook.order.rejected.v2""#),
        "{listed}"
    );

    // The fix is deployed.
    old.stop().await;
    let _new = Role::start(&shop, &now, "projections");
    let retried = run(&shop, None, &["parked", "retry", "--all"], false).await;
    for id in &bad {
        for name in SAME_FOLD {
            let applied = format!("{name} {id:?}: 1 applied, none wait");
            assert!(retried.contains(&applied), "{retried}");
        }
    }
    for name in CHANGED_FOLD {
        assert!(
            retried.contains(&format!("run `daybook rebuild {name}`")),
            "{retried}"
        );
    }
    run(&shop, None, &["rebuild", "orders", "order_history"], true).await;
    all_is_up_to_date(&shop, &bad).await;
    // A repeat of the fix changes nothing.
    run(&shop, None, &["parked", "retry", "--all"], true).await;
    all_is_up_to_date(&shop, &bad).await;
}

/// Until each of them is parked wherever orders are folded, and nothing else is.
async fn its_keys_wait(shop: &Shop, keys: &[String]) {
    let mut database = PgConnection::connect(&shop.database_url).await.expect("connects");
    let mut expected: Vec<(String, String)> = Vec::new();
    for name in [CHANGED_FOLD, SAME_FOLD].concat() {
        expected.extend(keys.iter().map(|key| (name.to_owned(), key.clone())));
    }
    expected.sort_unstable();
    testkit::eventually("they are parked", PATIENCE, async || {
        let parked = "SELECT projection, key FROM daybook.parked_events";
        let parked = sqlx::query_as(parked).fetch_all(&mut database).await;
        let mut parked: Vec<(String, String)> = parked.expect("readable");
        parked.sort_unstable();
        (parked == expected).then_some(())
    })
    .await;
    let warned = run(shop, None, &["doctor"], true).await;
    for name in CHANGED_FOLD {
        let fold = format!("warning: the live version 1 of {name} was made by another fold");
        let parked = format!("warning: {name} has events parked: 3; see `daybook parked list {name}`");
        assert!(warned.contains(&fold) && warned.contains(&parked), "{warned}");
    }
}

async fn status_of_all(shop: &Shop, orders: &[String]) -> Vec<Value> {
    let mut all = Vec::new();
    for id in orders {
        let page = shop.get(&format!("/v1/orders/{id}"), None).await;
        all.push(page.body["status"].clone());
    }
    all
}

/// Nothing waits, each rejected order shows what happened to it in its order, and everything is what the log says.
async fn all_is_up_to_date(shop: &Shop, rejected: &[String]) {
    let listed = run(shop, None, &["parked", "list"], true).await;
    assert_eq!(listed, "keys with parked events: 0\n");
    for id in rejected {
        let path = format!("/v1/orders/{id}");
        let page = shop.get(&path, None).await.body;
        let short = json!({ "sku": "RARE", "requested": 3, "available": 1 });
        assert_eq!((&page["status"], &page["shortage"]), (&json!("rejected"), &short));
        let history = shop.get(&format!("{path}/history"), None).await.body;
        let entries = history["entries"].as_array().expect("entries").iter();
        let entries: Vec<_> = entries
            .map(|entry| (&entry["sequence"], &entry["type"]))
            .collect();
        let types = ["daybook.order.placed.v1", "daybook.order.rejected.v2"].map(Value::from);
        assert_eq!(entries, [(&json!(1), &types[0]), (&json!(2), &types[1])]);
    }
    run(shop, None, &["verify", "--all"], true).await;
}
