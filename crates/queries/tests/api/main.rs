//! The query API on a real PostgreSQL, with read models made by hand.

mod as_of;
mod fixture;
mod frozen;
mod history;
mod switch;

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use fixture::{Fixture, config};
use serde_json::json;

#[tokio::test]
async fn a_product_is_shown_with_its_position_and_etag() {
    let shop = Fixture::start().await;
    shop.sql("INSERT INTO read.products VALUES ('product_1', 'MUG', 'Mug', NULL, 'ACME', NULL, 1999, 'GBP', 'published', 4, '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z')")
        .await;
    shop.checkpoint("products", "catalog", 2, 17).await;
    let answer = shop.get("/v1/products/product_1", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("etag"), "\"4\"");
    assert_eq!(answer.header("daybook-position"), "catalog/2@17");
    let expected = json!({
        "id": "product_1", "sku": "MUG", "name": "Mug", "brand": "ACME", "status": "published",
        "price": {"amount": 1999, "currency": "GBP"}, "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-02-01T00:00:00Z", "sequence": 4,
    });
    assert_eq!(answer.body, expected);

    let known = shop
        .get("/v1/products/product_1", &[("if-none-match", "\"4\"")])
        .await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    assert_eq!(known.header("daybook-position"), "catalog/2@17");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_still_says_its_position() {
    let shop = Fixture::start().await;
    shop.checkpoint("orders", "orders", 0, 3).await;
    let cases = [
        ("/v1/products/product_0", "product_not_found"),
        ("/v1/stock/NONE", "stock_not_found"),
        ("/v1/orders/order_0", "order_not_found"),
    ];
    for (path, code) in cases {
        let answer = shop.get(path, &[]).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, code));
    }
    let answer = shop.get("/v1/orders/order_0", &[]).await;
    assert_eq!(answer.header("daybook-position"), "orders/0@3");
}

#[tokio::test]
async fn stock_is_found_by_its_sku_as_it_is_written() {
    let shop = Fixture::start().await;
    shop.sql("INSERT INTO read.availability VALUES ('stock_BANK CHARGES', 'BANK CHARGES', 20, 5, 15, 3), ('stock_A', 'A', 1, 0, 1, 1)")
        .await;
    let answer = shop.get("/v1/stock/BANK%20CHARGES", &[]).await;
    let expected =
        json!({"sku": "BANK CHARGES", "on_hand": 20, "reserved": 5, "available": 15, "sequence": 3});
    assert_eq!(answer.body, expected);
    let list = shop.get("/v1/stock", &[]).await;
    assert_eq!(list.body["data"][0]["sku"], "A");
    assert_eq!(list.body["has_more"], false);
}

#[tokio::test]
async fn orders_are_paged_without_gap_or_repeat() {
    let shop = Fixture::start().await;
    // Seven orders, several of one instant: the id decides then.
    shop.sql(
        "INSERT INTO read.orders SELECT 'order_' || n, CASE WHEN n = 3 THEN 'rejected' ELSE 'confirmed' END, \
         CASE WHEN n = 3 THEN 'insufficient_stock' END, CASE WHEN n % 2 = 0 THEN 'anna' END, 'France', NULL, 'EUR', \
         n * 100, n, jsonb_build_array(jsonb_build_object('sku', 'MUG', 'quantity', n, 'unit_price', 100)), 2, \
         TIMESTAMPTZ '2011-06-01T00:00:00Z' + (n / 3) * INTERVAL '1 day', '2011-06-30T00:00:00Z', \
         CASE WHEN n = 3 THEN jsonb_build_object('sku', 'MUG', 'requested', 3, 'available', 1) END \
         FROM GENERATE_SERIES(1, 7) AS n",
    )
    .await;
    let (mut seen, mut path) = (Vec::new(), "/v1/orders?limit=2".to_owned());
    loop {
        let page = shop.get(&path, &[]).await;
        assert_eq!(page.status, StatusCode::OK, "{:?}", page.body);
        let ids = page.body["data"].as_array().expect("rows").iter();
        seen.extend(ids.map(|order| order["id"].as_str().expect("an id").to_owned()));
        if page.body["has_more"] == false {
            assert!(page.body["next_cursor"].is_null());
            break;
        }
        let link = page.header("link");
        let next = link
            .strip_prefix('<')
            .and_then(|rest| rest.split('>').next())
            .expect("a link");
        next.clone_into(&mut path);
    }
    assert_eq!(
        seen,
        [
            "order_7", "order_6", "order_5", "order_4", "order_3", "order_2", "order_1"
        ]
    );

    let anna = shop.get("/v1/orders?customer=anna&status=confirmed", &[]).await;
    assert_eq!(anna.body["data"].as_array().map(Vec::len), Some(3));
    let rejected = shop.get("/v1/orders?status=rejected", &[]).await;
    let mut expected = json!({
        "id": "order_3", "status": "rejected", "reason": "insufficient_stock", "country": "France",
        "shortage": {"sku": "MUG", "requested": 3, "available": 1},
        "total": {"amount": 300, "currency": "EUR"}, "units": 3,
        "lines": [{"sku": "MUG", "quantity": 3, "unit_price": {"amount": 100, "currency": "EUR"}}],
        "placed_at": "2011-06-02T00:00:00Z", "updated_at": "2011-06-30T00:00:00Z", "sequence": 2,
    });
    assert_eq!(rejected.body["data"], json!([expected]));

    // A version of the read model that was made before shortages were kept.
    shop.sql("ALTER TABLE read.orders DROP COLUMN shortage").await;
    let rejected = shop.get("/v1/orders?status=rejected", &[]).await;
    expected.as_object_mut().expect("an order").remove("shortage");
    assert_eq!(rejected.body["data"], json!([expected]));
}

#[tokio::test]
async fn sales_have_the_shape_that_was_promised() {
    let shop = Fixture::start().await;
    shop.sql(
        "INSERT INTO read.sales VALUES \
         ('country', 'United Kingdom', 'GBP', 11326, 2735456, 526014024, 2272, 140461, 47226937), \
         ('country', 'France', 'GBP', 1, 2, 3, 0, 0, 0), ('month', '2011-06', 'GBP', 1, 2, 3, 0, 0, 0)",
    )
    .await;
    let answer = shop.get("/v1/sales?by=country&limit=200", &[]).await;
    let row = json!({
        "key": "United Kingdom", "orders": 11326, "units": 2_735_456,
        "revenue": {"amount": 526_014_024, "currency": "GBP"},
        "credit_notes": 2272, "credited_units": 140_461,
        "credited": {"amount": 47_226_937, "currency": "GBP"},
    });
    assert_eq!(answer.body["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer.body["data"][1], row);
    let known = shop
        .get(
            "/v1/sales?by=country&limit=200",
            &[("if-none-match", &answer.header("etag"))],
        )
        .await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_refused_by_name() {
    let shop = Fixture::start().await;
    shop.sql(
        "ALTER TABLE read.sales ALTER revenue TYPE NUMERIC; INSERT INTO read.sales VALUES \
         ('country', 'France', 'GBP', 1, 2, 9223372036854775807, 0, 0, 0), \
         ('country', 'Gaul', 'GBP', 1, 2, 9223372036854775808, 0, 0, 0)",
    )
    .await;
    let first = shop.get("/v1/sales?by=country&limit=1", &[]).await;
    // The page looks one row ahead to know whether there are more.
    assert_eq!(first.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(first.code(), "sum_too_large");
    let detail = first.body["detail"].as_str().expect("says which");
    assert!(detail.contains("revenue is 9223372036854775808"), "{detail}");
    shop.sql("UPDATE read.sales SET revenue = 9223372036854775807")
        .await;
    let fits = shop.get("/v1/sales?by=country", &[]).await;
    assert_eq!(fits.body["data"][1]["revenue"]["amount"], i64::MAX);
}

#[tokio::test]
async fn parameters_are_a_closed_list() {
    let shop = Fixture::start().await;
    let cases = [
        ("/v1/orders?colour=red", "unknown_parameter"),
        ("/v1/orders/order_1?customer=anna", "unknown_parameter"),
        ("/v1/orders?limit=0", "invalid_parameter"),
        ("/v1/orders?limit=201", "invalid_parameter"),
        ("/v1/orders?after=nonsense", "invalid_parameter"),
        ("/v1/orders?at=soon", "invalid_parameter"),
        ("/v1/sales", "invalid_parameter"),
        ("/v1/sales?by=colour", "invalid_parameter"),
    ];
    for (path, code) in cases {
        let answer = shop.get(path, &[]).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, code),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_read_waits_for_the_position_it_asks_for() {
    let shop = Fixture::start().await;
    shop.checkpoint("orders", "orders", 3, 10).await;
    let asked = shop.get("/v1/orders?at=orders/3@10,catalog/0@999", &[]).await;
    assert_eq!(
        asked.status,
        StatusCode::OK,
        "positions of other services do not concern it"
    );

    let waiting = shop.get("/v1/orders/order_1", &[("daybook-position", "orders/3@11")]);
    let posting = async {
        // Rows and checkpoint together, as the runner writes them.
        shop.sql(
            "WITH row AS (INSERT INTO read.orders VALUES ('order_1', 'placed', NULL, NULL, NULL, NULL, 'EUR', 1, 1, '[]', 1, \
             '2011-06-01T00:00:00Z', '2011-06-01T00:00:00Z')) \
             UPDATE read.checkpoints SET \"offset\" = 11 WHERE projection = 'orders'",
        )
        .await;
        shop.sql("NOTIFY daybook_checkpoints, 'orders'").await;
    };
    let (answer, ()) = tokio::join!(waiting, posting);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("daybook-position"), "orders/3@11");
}

#[tokio::test]
async fn a_lost_notification_delays_a_read_but_does_not_fail_it() {
    let shop = Fixture::start().await;
    let waiting = shop.get("/v1/orders", &[("daybook-position", "orders/3@11")]);
    let posting = shop.checkpoint("orders", "orders", 3, 11);
    let (answer, ()) = tokio::join!(waiting, posting);
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_position_out_of_reach_is_503_in_bounded_time() {
    let wait = Duration::from_millis(300);
    let shop = Fixture::start_with(|config| config.position_wait_max = wait).await;
    shop.checkpoint("orders", "orders", 3, 10).await;
    let started = Instant::now();
    let answer = shop
        .get("/v1/orders", &[("daybook-position", "orders/3@11")])
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "position_not_reached")
    );
    assert_eq!(answer.header("daybook-position"), "orders/3@10");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(started.elapsed() >= wait && started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn waiting_readers_hold_no_connection() {
    let shop = Fixture::start_with(|config| {
        config.connections_max = 1;
        config.checkpoint_poll = Duration::from_mins(1);
    })
    .await;
    shop.checkpoint("orders", "orders", 0, 1).await;
    let out_of_reach = [("daybook-position", "orders/0@99")];
    let waiting = futures::future::join_all((0..8).map(|_| shop.get("/v1/orders", &out_of_reach)));
    let others = async {
        for _ in 0..20 {
            assert_eq!(shop.get("/v1/orders", &[]).await.status, StatusCode::OK);
        }
        Instant::now()
    };
    let started = Instant::now();
    let (served, _) = tokio::join!(others, waiting);
    assert!(
        served - started < Duration::from_secs(1),
        "others were served while eight waited"
    );
}

#[tokio::test]
async fn the_checkpoint_shown_is_that_of_the_rows() {
    // Rows and checkpoint move together three hundred times while readers look: never apart.
    let shop = Fixture::start().await;
    shop.sql("INSERT INTO read.availability VALUES ('stock_A', 'A', 0, 0, 0, 0)")
        .await;
    shop.checkpoint("availability", "inventory", 0, 0).await;
    let writing = async {
        for n in 1..=300 {
            shop.sql(&format!(
                "WITH row AS (UPDATE read.availability SET on_hand = {n}, sequence = {n}) \
                 UPDATE read.checkpoints SET \"offset\" = {n}"
            ))
            .await;
        }
    };
    let reading = async {
        loop {
            let answer = shop.get("/v1/stock/A", &[]).await;
            let on_hand = answer.body["on_hand"].as_i64().expect("a number");
            assert_eq!(
                answer.header("daybook-position"),
                format!("inventory/0@{on_hand}")
            );
            if on_hand == 300 {
                break;
            }
        }
    };
    tokio::join!(writing, reading);
}

#[tokio::test]
async fn a_database_that_is_away_is_503_in_bounded_time_and_comes_back() {
    let (mut config, database) = config().await;
    config.query_timeout = Duration::from_millis(500);
    config.database_url = "postgres://nobody@127.0.0.1:1/none".to_owned();
    let away = Fixture::over(config, database).await;
    let started = Instant::now();
    for headers in [&[][..], &[("daybook-position", "orders/3@11")][..]] {
        let answer = away.get("/v1/orders", headers).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::SERVICE_UNAVAILABLE, "read_models_unavailable")
        );
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert!(started.elapsed() < Duration::from_secs(5));

    let shop = Fixture::start().await;
    assert_eq!(shop.get("/v1/orders", &[]).await.status, StatusCode::OK);
    // The server drops every connection of ours: the next read makes a new one.
    shop.sql(
        "SELECT PG_TERMINATE_BACKEND(pid) FROM pg_stat_activity \
         WHERE datname = CURRENT_DATABASE() AND application_name = 'daybook-queries'",
    )
    .await;
    assert_eq!(shop.get("/v1/orders", &[]).await.status, StatusCode::OK);
    // And the watcher follows again.
    shop.checkpoint("orders", "orders", 0, 7).await;
    let answer = shop
        .get("/v1/orders", &[("daybook-position", "orders/0@7")])
        .await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn read_models_that_are_not_there_yet_are_503() {
    let (config, database) = config().await;
    let shop = Fixture::over(config, database).await;
    shop.sql("DROP SCHEMA read CASCADE").await;
    let answer = shop.get("/v1/orders", &[]).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "read_models_unavailable")
    );
    assert!(!shop.reads.ready().await);
}

#[tokio::test]
async fn the_description_is_the_one_committed() {
    let mut current = serde_json::to_string_pretty(&queries::openapi()).expect("serializes");
    current.push('\n');
    let path = testkit::workspace().join("schemas/openapi/queries.json");
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::create_dir_all(path.parent().expect("has one")).expect("creates");
        std::fs::write(&path, &current).expect("writes");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "schemas/openapi/queries.json is stale: run with UPDATE_SCHEMAS=1"
    );
}
