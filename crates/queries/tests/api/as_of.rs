//! `?as_of=`: read models as they stood.

use axum::http::StatusCode;
use serde_json::json;

use crate::fixture::Fixture;

const SALES: &str = "/v1/sales?by=country&as_of=2011-06-30T00:00:00Z";

/// A shop with three countries' sales of today, and two as of the end of June.
async fn shop() -> Fixture {
    let shop = Fixture::start().await;
    shop.sql(
        "INSERT INTO read.sales SELECT 'country', country, 'GBP', 9, 9, 9, 0, 0, 0 \
         FROM UNNEST(ARRAY['France', 'Italy', 'Spain']) AS country; \
         CREATE TABLE read.sales_as_of_20110630t000000z AS TABLE read.sales; \
         DELETE FROM read.sales_as_of_20110630t000000z WHERE key = 'Spain'; \
         UPDATE read.sales_as_of_20110630t000000z SET orders = 4; \
         INSERT INTO read.snapshots VALUES \
         ('sales', '2011-06-30T00:00:00Z', 'sales_as_of_20110630t000000z', '{daybook.order.imported.v1}', now())",
    )
    .await;
    shop.checkpoint("sales", "orders", 0, 20).await;
    shop.checkpoint("sales_as_of_20110630t000000z", "orders", 0, 10)
        .await;
    shop
}

#[tokio::test]
async fn a_list_is_shown_as_it_stood_with_where_and_when_that_was() {
    let shop = shop().await;
    // However the instant is written.
    for path in [SALES, "/v1/sales?by=country&as_of=2011-06-30T02:00:00%2B02:00"] {
        let answer = shop.get(path, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let rows = answer.body["data"].as_array().expect("rows");
        let shown: Vec<_> = rows.iter().map(|row| (&row["key"], &row["orders"])).collect();
        assert_eq!(
            shown,
            [(&json!("France"), &json!(4)), (&json!("Italy"), &json!(4))]
        );
        assert_eq!(answer.header("daybook-as-of"), "2011-06-30T00:00:00Z");
        assert_eq!(answer.header("daybook-only"), "daybook.order.imported.v1");
        assert_eq!(answer.header("daybook-position"), "orders/0@10");
        let tag = answer.header("etag");
        let known = shop.get(path, &[("if-none-match", &tag)]).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED);
        assert_eq!(known.header("daybook-as-of"), "2011-06-30T00:00:00Z");
    }
    // The live one says nothing of it.
    let live = shop.get("/v1/sales?by=country", &[]).await;
    assert_eq!(live.body["data"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (live.header("daybook-as-of"), live.header("daybook-position")),
        (String::new(), "orders/0@20".to_owned())
    );
}

#[tokio::test]
async fn the_next_page_is_of_the_same_snapshot() {
    let shop = shop().await;
    let first = shop.get(&format!("{SALES}&limit=1"), &[]).await;
    let link = first.header("link");
    let next = link
        .strip_prefix('<')
        .and_then(|rest| rest.split('>').next())
        .expect("a link");
    assert!(next.contains("as_of=2011-06-30T00:00:00Z"), "{next}");
    let second = shop.get(next, &[]).await;
    assert_eq!(second.body["data"][0]["key"], "Italy");
    assert_eq!(second.body["has_more"], false, "the third country came later");
    assert_eq!(second.header("daybook-as-of"), "2011-06-30T00:00:00Z");
}

#[tokio::test]
async fn one_thing_is_shown_as_it_stood() {
    let shop = Fixture::start().await;
    let suffix = "as_of_20110630t000000_000001z";
    shop.sql(&format!(
        "INSERT INTO read.availability VALUES ('stock_A', 'A', 20, 5, 15, 3); \
         CREATE TABLE read.availability_{suffix} AS TABLE read.availability; \
         UPDATE read.availability_{suffix} SET on_hand = 7, available = 2, sequence = 2"
    ))
    .await;
    shop.checkpoint(&format!("availability_{suffix}"), "inventory", 1, 3)
        .await;
    let answer = shop
        .get("/v1/stock/A?as_of=2011-06-30T00:00:00.000001Z", &[])
        .await;
    let expected = json!({"sku": "A", "on_hand": 7, "reserved": 5, "available": 2, "sequence": 2});
    assert_eq!((answer.status, answer.body.clone()), (StatusCode::OK, expected));
    assert_eq!(
        (answer.header("etag"), answer.header("daybook-position")),
        ("\"2\"".to_owned(), "inventory/1@3".to_owned())
    );
    assert_eq!(answer.header("daybook-as-of"), "2011-06-30T00:00:00.000001Z");
    let missing = shop
        .get("/v1/stock/B?as_of=2011-06-30T00:00:00.000001Z", &[])
        .await;
    assert_eq!(
        (missing.status, missing.code()),
        (StatusCode::NOT_FOUND, "stock_not_found")
    );
    assert_eq!(missing.header("daybook-as-of"), "2011-06-30T00:00:00.000001Z");
}

#[tokio::test]
async fn a_snapshot_that_is_not_there_is_404_and_the_detail_says_how_to_make_it() {
    let shop = shop().await;
    let cases = [
        (
            "/v1/products?as_of=2011-06-30T00:00:00Z",
            "There is no snapshot of products at all; `daybook rebuild products --as-of 2011-06-30T00:00:00Z` makes",
        ),
        (
            "/v1/orders/order_1?as_of=2011-06-30T00:00:00Z",
            "no snapshot of orders at all",
        ),
        (
            "/v1/sales?by=sku&as_of=2011-07-01T00:00:00Z",
            "the nearest are 2011-06-30T00:00:00Z. `daybook rebuild sales --as-of 2011-07-01T00:00:00Z`",
        ),
    ];
    for (path, detail) in cases {
        let answer = shop.get(path, &[]).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::NOT_FOUND, "snapshot_not_found")
        );
        let found = answer.body["detail"].as_str().expect("a detail");
        assert!(found.contains(detail), "{found}");
    }
    // Of another build, which had no credit notes.
    shop.sql("ALTER TABLE read.sales_as_of_20110630t000000z DROP COLUMN credited")
        .await;
    let answer = shop.get(SALES, &[]).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::NOT_FOUND, "snapshot_not_found")
    );
    assert!(
        answer.body["detail"]
            .as_str()
            .expect("a detail")
            .contains("made by another build")
    );
}

#[tokio::test]
async fn a_position_is_honoured_by_what_the_snapshot_was_folded_to() {
    let shop = shop().await;
    let reached = shop
        .get(SALES, &[("daybook-position", "orders/0@10,catalog/0@99")])
        .await;
    assert_eq!(reached.status, StatusCode::OK);
    // The live one is there already; the snapshot never will be, so nobody waits for it.
    let asked = std::time::Instant::now();
    let behind = shop.get(SALES, &[("daybook-position", "orders/0@11")]).await;
    assert_eq!(
        (behind.status, behind.code()),
        (StatusCode::NOT_FOUND, "snapshot_not_found")
    );
    assert_eq!(behind.header("daybook-position"), "orders/0@10");
    assert!(
        asked.elapsed() < std::time::Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn what_is_no_instant_is_an_invalid_parameter() {
    let shop = shop().await;
    for wrong in [
        "yesterday",
        "2011-06-30",
        "",
        "2011-06-30T00:00:00.0000001Z",
        "9999-12-31T23:59:59-01:00",
        "x%22;DROP",
    ] {
        for path in [
            format!("/v1/sales?by=sku&as_of={wrong}"),
            format!("/v1/stock/A?as_of={wrong}"),
        ] {
            let answer = shop.get(&path, &[]).await;
            assert_eq!(
                (answer.status, answer.code()),
                (StatusCode::BAD_REQUEST, "invalid_parameter"),
                "{path}"
            );
            assert_eq!(answer.body["errors"][0]["pointer"], "as_of", "{path}");
            let detail = answer.body["detail"].as_str().expect("a detail");
            assert!(detail.contains("2011-06-30T00:00:00Z"), "{detail}");
        }
    }
}
