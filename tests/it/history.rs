//! The history of an order, and the order as it was at each of its events.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::on_both_logs;
use crate::shop::{Answer, Log, Shop};

on_both_logs!(an_order_has_a_past);

async fn an_order_has_a_past(log: Log) {
    let shop = Shop::open(log).await;
    shop.sell("MUG", 999, 10).await;
    let placed = shop.order("MUG", "o-1").await;
    let id = placed.body["id"].as_str().expect("an id");
    let at_first = shop
        .get(&format!("/v1/orders/{id}?sequence=1"), Some(&placed.position))
        .await;
    assert_eq!(
        (at_first.status, &at_first.body["status"]),
        (200, &json!("placed")),
        "{at_first:?}"
    );
    assert_eq!(shop.settled(id).await["status"], "confirmed");
    let reason = json!({ "reason": "changed my mind" });
    let cancelled = shop
        .insist(&format!("/v1/orders/{id}/cancel"), "cancel", &reason)
        .await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");

    // Never older than the answer of the command.
    let history = shop
        .get(&format!("/v1/orders/{id}/history"), Some(&cancelled.position))
        .await;
    let entries = entries(&history);
    tells_it_all(&entries);
    let order = async |query: &str| shop.get(&format!("/v1/orders/{id}?{query}"), None).await;
    let now = order(&format!("at={}", cancelled.position)).await;
    assert_eq!(order("sequence=3").await.body, now.body);
    assert_eq!(order("sequence=1").await.body, at_first.body);

    let times: Vec<OffsetDateTime> = entries.iter().map(time_of).collect();
    let at = async |time: OffsetDateTime| {
        let text = time.format(&Rfc3339).expect("a year of four digits");
        order(&format!("at={text}")).await
    };
    for (number, time) in times.iter().enumerate() {
        let shown = at(*time).await;
        assert_eq!(shown.body["sequence"], number + 1, "{shown:?}");
        let before = at(*time - Duration::MICROSECOND).await;
        if number == 0 {
            assert_eq!(
                (before.status, &before.body["code"]),
                (404, &json!("order_not_found"))
            );
        } else {
            assert_eq!(before.body["sequence"], number, "{before:?}");
        }
    }
    assert_eq!(at(times[2] + Duration::DAY).await.body, now.body);

    let beyond = order("sequence=4").await;
    assert_eq!(
        (beyond.status, &beyond.body["code"], &beyond.body["sequence"]),
        (404, &json!("sequence_not_reached"), &json!(3))
    );
    for query in ["sequence=0", "at=yesterday", "sequence=1&at=2026-01-01T00:00:00Z"] {
        let refused = order(query).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (400, &json!("invalid_parameter")),
            "{query}"
        );
    }

    // Read from the log again it is the same, in its bytes.
    let (succeeded, output) = shop.run(&["verify", "order_history"]).await;
    assert!(
        succeeded && output.contains("rows equal a rebuild from the log"),
        "{output}"
    );
}

fn entries(history: &Answer) -> Vec<Value> {
    assert_eq!(history.status, 200, "{history:?}");
    history.body["entries"].as_array().expect("entries").clone()
}

/// Who did what, in which order, and how the order stood then.
fn tells_it_all(entries: &[Value]) {
    let told: Vec<[&str; 2]> = entries
        .iter()
        .map(|entry| ["type", "status"].map(|field| entry[field].as_str().expect("a text")))
        .collect();
    assert_eq!(
        told,
        [
            ["daybook.order.placed.v1", "placed"],
            ["daybook.order.confirmed.v1", "confirmed"],
            ["daybook.order.cancelled.v1", "cancelled"],
        ]
    );
    assert_eq!(entries[1]["actor"], "process:checkout");
    assert_eq!(
        entries[0]["actor"], entries[2]["actor"],
        "one client did the rest"
    );
    assert_ne!(entries[0]["actor"], entries[1]["actor"]);
    assert_eq!(entries[2]["reason"], "changed my mind");
    assert_eq!(
        entries[0]["request_id"], entries[1]["request_id"],
        "the checkout acts for the request that placed it"
    );
    assert_ne!(entries[0]["request_id"], entries[2]["request_id"]);
}

fn time_of(entry: &Value) -> OffsetDateTime {
    let text = entry["time"].as_str().expect("a time");
    OffsetDateTime::parse(text, &Rfc3339).expect("RFC 3339")
}
