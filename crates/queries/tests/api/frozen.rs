//! A PostgreSQL that is stopped in its tracks (SIGSTOP): it closes no socket and answers nothing.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use queries::Config;
use testkit::{Frozen, TestDatabase};

use crate::fixture::Fixture;

#[tokio::test]
async fn a_frozen_database_is_503_in_bounded_time_and_comes_back() {
    let (server, _directory) = testkit::private_postgres();
    let url = server.url("postgres");
    let mut config = Config::new(url.clone());
    config.connections_max = 2;
    config.query_timeout = Duration::from_millis(500);
    config.position_wait_max = Duration::from_millis(500);
    let shop = Fixture::over(config, TestDatabase { url }).await;
    shop.checkpoint("orders", "orders", 0, 7).await;
    let position = [("daybook-position", "orders/0@7")];
    assert_eq!(shop.get("/v1/orders", &position).await.status, StatusCode::OK);
    let frozen = Frozen::tree(server.process_id().expect("ours"));
    // More reads than connections, one after the other and at once: none waits for ever.
    for _ in 0..3 {
        let started = Instant::now();
        let (plain, waiting, beyond) = tokio::join!(
            shop.get("/v1/orders", &[]),
            shop.get("/v1/orders/order_1", &position),
            shop.get("/v1/orders", &[("daybook-position", "orders/0@8")]),
        );
        for answer in [plain, waiting, beyond] {
            assert_eq!(
                (answer.status, answer.code()),
                (StatusCode::SERVICE_UNAVAILABLE, "read_models_unavailable")
            );
            assert_eq!(answer.header("retry-after"), "1");
        }
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
        assert!(!shop.reads.ready().await);
    }
    drop(frozen);
    testkit::eventually("it is read again", Duration::from_secs(10), async || {
        (shop.get("/v1/orders", &position).await.status == StatusCode::OK).then_some(())
    })
    .await;
    // And the watcher follows again.
    shop.sql("UPDATE read.checkpoints SET \"offset\" = 9").await;
    testkit::eventually("it follows again", Duration::from_secs(10), async || {
        let answer = shop
            .get("/v1/orders", &[("daybook-position", "orders/0@9")])
            .await;
        (answer.status == StatusCode::OK).then_some(())
    })
    .await;
}
