//! The contract suite on a real PostgreSQL.

use std::sync::Arc;

use eventsourcing::contract::Harness;
use eventsourcing::topic::Topic;
use eventsourcing_postgres::log::{Config, PostgresLog};
use eventsourcing_postgres::migrate::migrate;
use sqlx::PgPool;

async fn harness() -> Harness {
    let database = testkit::postgres().await;
    let pool = PgPool::connect(&database.url).await.expect("connects");
    migrate(&pool).await.expect("migrates");
    let options = database.url.parse().expect("a URL");
    let log = PostgresLog::open(
        options,
        Config {
            connections_max: 8,
            ..Config::default()
        },
    );
    let topic = Topic::events("contract", "accounts");
    log.create_topic(&topic, Harness::PARTITIONS)
        .await
        .expect("creates");
    Harness {
        log: Arc::new(log),
        topic,
        guard: Box::new(pool),
    }
}

eventsourcing::contract_suite!(harness);
