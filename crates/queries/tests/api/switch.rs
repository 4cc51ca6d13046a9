//! A rebuild switches versions under the readers: each answer is of one of them, rows and position.

use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_switch_of_versions_is_never_seen_half_done() {
    // Version 1 has one unit and stands at offset 1, version 2 has two and stands at offset 2.
    let shop = Fixture::start().await;
    shop.sql(
        "DROP TABLE read.availability, read.checkpoints; CREATE TABLE active AS SELECT 1 AS version; \
         CREATE TABLE checkpoints AS SELECT n AS version, 'availability' AS projection, \
         'test.inventory.events' AS topic, 0 AS partition, n::BIGINT AS \"offset\", 1::BIGINT AS epoch \
         FROM GENERATE_SERIES(1, 2) AS n; \
         CREATE VIEW read.checkpoints AS SELECT projection, topic, partition, \"offset\", epoch \
         FROM checkpoints JOIN active USING (version)",
    )
    .await;
    for version in 1..=2 {
        shop.sql(&format!(
            "CREATE TABLE availability_v{version} AS SELECT 'A' AS sku, {version}::BIGINT AS on_hand, \
             0::BIGINT AS reserved, 0::BIGINT AS available, 1::BIGINT AS sequence"
        ))
        .await;
    }
    let switch = async |version: i32| {
        let view = "DROP VIEW IF EXISTS read.availability; CREATE VIEW read.availability AS SELECT sku, on_hand, \
                    reserved, available, sequence FROM availability_v";
        let active = format!("UPDATE active SET version = {version}");
        shop.sql(&format!("BEGIN; {active}; {view}{version}; COMMIT"))
            .await;
    };
    switch(1).await;
    // The switches go on for as long as anybody reads: otherwise they may all be over before the first read.
    let read = std::cell::Cell::new(false);
    let switching = async {
        let mut switches = 0;
        while !read.get() || switches < 100 {
            switch(switches % 2 + 1).await;
            switches += 1;
        }
    };
    let reading = async {
        let mut seen = [0; 3];
        let started = Instant::now();
        while seen[1] < 50 || seen[2] < 50 {
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "both versions are to be seen: {seen:?}"
            );
            let answer = shop.get("/v1/stock/A", &[]).await;
            assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
            let on_hand = answer.body["on_hand"].as_u64().expect("a number");
            assert_eq!(
                answer.header("daybook-position"),
                format!("inventory/0@{on_hand}")
            );
            seen[usize::try_from(on_hand).expect("small")] += 1;
        }
        read.set(true);
    };
    let ((), other, ()) = tokio::join!(reading, reading_too(&shop), switching);
    assert!(other);
}

/// A second reader, so that a statement is nearly always under way.
async fn reading_too(shop: &Fixture) -> bool {
    for _ in 0..400 {
        let answer = shop.get("/v1/stock", &[]).await;
        let on_hand = answer.body["data"][0]["on_hand"].as_u64().expect("a number");
        assert_eq!(
            answer.header("daybook-position"),
            format!("inventory/0@{on_hand}")
        );
    }
    true
}
