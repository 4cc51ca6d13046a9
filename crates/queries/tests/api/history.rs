//! The history of an order, and the order as it was.

use axum::http::StatusCode;
use serde_json::json;

use crate::fixture::Fixture;

/// Placed, confirmed and cancelled, at times that a column cannot hold: PostgreSQL rounds them.
const ENTRIES: &str = r#"[
    {"sequence": 1, "type": "daybook.order.placed.v1", "time": "2026-01-01T10:00:00.123456501Z", "actor": "client",
     "request_id": "r-1", "event_id": "00000000-0000-0000-0000-000000000001", "status": "placed", "reason": null},
    {"sequence": 2, "type": "daybook.order.confirmed.v1", "time": "2026-01-01T10:00:01.5Z", "actor": "process:checkout",
     "request_id": "r-1", "event_id": "00000000-0000-0000-0000-000000000002", "status": "confirmed", "reason": null},
    {"sequence": 3, "type": "daybook.order.cancelled.v1", "time": "2026-01-02T10:00:00.000000999Z", "actor": "client",
     "request_id": "r-3", "event_id": "00000000-0000-0000-0000-000000000003", "status": "cancelled", "reason": "no"}
]"#;

/// The order's columns at its last event.
const NOW: &str = r#"'order_1', 'cancelled', 'no', 'ada', NULL, NULL, 'EUR', 200, 2,
    '[{"sku": "MUG", "quantity": 2, "unit_price": 100}]', 3, '2026-01-01T10:00:00.123456501Z',
    '2026-01-02T10:00:00.000000999Z', NULL"#;

async fn shop() -> Fixture {
    let shop = Fixture::start().await;
    shop.sql(&format!(
        "INSERT INTO read.orders VALUES ({NOW}); INSERT INTO read.order_history VALUES ({NOW}, '{ENTRIES}')"
    ))
    .await;
    shop.checkpoint("orders", "orders", 0, 7).await;
    shop.checkpoint("order_history", "orders", 0, 5).await;
    shop
}

#[tokio::test]
async fn a_history_is_shown_with_its_position_and_etag() {
    let shop = shop().await;
    let history = shop.get("/v1/orders/order_1/history", &[]).await;
    assert_eq!(history.status, StatusCode::OK, "{:?}", history.body);
    assert_eq!(history.header("etag"), "\"3\"");
    assert_eq!(history.header("daybook-position"), "orders/0@5");
    let first = json!({
        "sequence": 1, "type": "daybook.order.placed.v1", "time": "2026-01-01T10:00:00.123457Z", "actor": "client",
        "request_id": "r-1", "event_id": "00000000-0000-0000-0000-000000000001", "status": "placed",
    });
    assert_eq!(history.body["entries"][0], first);
    assert_eq!(history.body["entries"][2]["reason"], "no");
    assert_eq!(
        (&history.body["id"], &history.body["sequence"]),
        (&json!("order_1"), &json!(3))
    );

    let known = shop
        .get("/v1/orders/order_1/history", &[("if-none-match", "\"3\"")])
        .await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    let missing = shop.get("/v1/orders/order_0/history", &[]).await;
    assert_eq!(
        (missing.status, missing.code()),
        (StatusCode::NOT_FOUND, "order_not_found")
    );
    assert_eq!(missing.header("daybook-position"), "orders/0@5");
}

#[tokio::test]
async fn an_order_at_its_newest_sequence_is_the_order() {
    let shop = shop().await;
    let now = shop.get("/v1/orders/order_1", &[]).await;
    for path in [
        "/v1/orders/order_1?sequence=3",
        "/v1/orders/order_1?at=2026-01-02T10:00:00.000001Z",
    ] {
        let past = shop.get(path, &[]).await;
        assert_eq!(past.status, StatusCode::OK, "{path}");
        assert_eq!(past.bytes, now.bytes, "{path}");
        assert_eq!(past.header("etag"), now.header("etag"));
        assert_eq!(past.header("daybook-position"), "orders/0@5");
    }
    let known = shop
        .get("/v1/orders/order_1?sequence=1", &[("if-none-match", "\"1\"")])
        .await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn an_order_is_shown_as_it_was() {
    let shop = shop().await;
    let mut placed = shop.get("/v1/orders/order_1", &[]).await.body;
    placed["status"] = json!("placed");
    placed["sequence"] = json!(1);
    placed["updated_at"] = json!("2026-01-01T10:00:00.123457Z");
    placed.as_object_mut().expect("an order").remove("reason");
    // A time as it was shown means the event that it was shown of.
    for moment in [
        "sequence=1",
        "at=2026-01-01T10:00:00.123457Z",
        "at=2026-01-01T12:00:01.499999%2B02:00",
    ] {
        let past = shop.get(&format!("/v1/orders/order_1?{moment}"), &[]).await;
        assert_eq!((past.status, &past.body), (StatusCode::OK, &placed), "{moment}");
    }
    let confirmed = shop
        .get("/v1/orders/order_1?at=2026-01-01T10:00:01.5Z", &[])
        .await;
    assert_eq!(confirmed.body["status"], "confirmed");
}

#[tokio::test]
async fn a_moment_without_the_order_is_404_and_says_why() {
    let shop = shop().await;
    let before = shop
        .get("/v1/orders/order_1?at=2026-01-01T10:00:00.123456Z", &[])
        .await;
    assert_eq!(
        (before.status, before.code()),
        (StatusCode::NOT_FOUND, "order_not_found")
    );
    assert_eq!(
        before.body["detail"],
        "The order did not exist at 2026-01-01T10:00:00.123456Z; its first event is of 2026-01-01T10:00:00.123457Z."
    );
    assert_eq!(before.header("daybook-position"), "orders/0@5");

    let beyond = shop.get("/v1/orders/order_1?sequence=4", &[]).await;
    assert_eq!(
        (beyond.status, beyond.code()),
        (StatusCode::NOT_FOUND, "sequence_not_reached")
    );
    assert_eq!(beyond.body["sequence"], 3);
    assert_eq!(beyond.header("daybook-position"), "orders/0@5");

    // What is asked for is waited for first.
    let waiting = shop.get("/v1/orders/order_1?sequence=4&at=orders/0@6", &[]);
    let writing = async {
        let entry = ENTRIES
            .replace('[', "")
            .replace("\"sequence\": 1", "\"sequence\": 4");
        let entry = entry.split_once("},").expect("an entry").0;
        shop.sql(&format!(
            "WITH row AS (UPDATE read.order_history SET entries = entries || '[{entry}}}]') \
             UPDATE read.checkpoints SET \"offset\" = 6 WHERE projection = 'order_history'"
        ))
        .await;
    };
    let (reached, ()) = tokio::join!(waiting, writing);
    assert_eq!(
        (reached.status, &reached.body["sequence"]),
        (StatusCode::OK, &json!(4)),
        "{:?}",
        reached.body
    );
}

#[tokio::test]
async fn an_event_is_not_there_before_the_one_it_follows() {
    let shop = shop().await;
    // The second owner's clock is an hour behind.
    shop.sql(
        "UPDATE read.order_history SET entries = jsonb_set(entries, '{1,time}', '\"2026-01-01T09:00:00Z\"')",
    )
    .await;
    let before = shop.get("/v1/orders/order_1?at=2026-01-01T09:30:00Z", &[]).await;
    assert_eq!(before.status, StatusCode::NOT_FOUND);
    let after = shop.get("/v1/orders/order_1?at=2026-01-01T10:30:00Z", &[]).await;
    assert_eq!(after.body["status"], "confirmed");
}

#[tokio::test]
async fn moments_that_are_none_are_refused() {
    let shop = shop().await;
    for (query, code, place) in [
        ("?sequence=0", "invalid_parameter", "sequence"),
        ("?sequence=-1", "invalid_parameter", "sequence"),
        ("?sequence=first", "invalid_parameter", "sequence"),
        ("?sequence=1&sequence=2", "invalid_parameter", "sequence"),
        ("?at=soon", "invalid_parameter", "at"),
        ("?at=2026-01-01T10:00:00+02:00", "invalid_parameter", "at"),
        (
            "?at=2026-01-01T10:00:00Z&sequence=1",
            "invalid_parameter",
            "sequence",
        ),
        (
            "?at=2026-01-01T10:00:00Z&at=orders/0@1",
            "invalid_parameter",
            "at",
        ),
        ("?time=2026-01-01T10:00:00Z", "unknown_parameter", "time"),
        ("/history?at=2026-01-01T10:00:00Z", "invalid_parameter", "at"),
        ("/history?sequence=1", "unknown_parameter", "sequence"),
    ] {
        let answer = shop.get(&format!("/v1/orders/order_1{query}"), &[]).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, code),
            "{query}"
        );
        assert_eq!(answer.body["errors"][0]["pointer"], place, "{query}");
    }
    let neither = shop.get("/v1/orders/order_1?at=soon", &[]).await;
    let detail = neither.body["detail"].as_str().expect("says what to do");
    assert!(
        detail.contains("2026-01-31T12:00:00Z") && detail.contains("orders/3@1042"),
        "{detail}"
    );
}
