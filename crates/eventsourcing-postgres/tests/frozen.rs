//! The log over a PostgreSQL that is stopped in its tracks: every call ends in time, and what was in
//! doubt is settled by the log when the server goes on.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Log, LogError};
use eventsourcing::record::Record;
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_postgres::log::{Config, PostgresLog};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use testkit::Frozen;

const PATIENCE: Duration = Duration::from_secs(1);
/// The wait for a connection and the answer, and slack for a busy machine.
const BOUND: Duration = Duration::from_secs(5);

async fn open(url: &str) -> (PostgresLog, TopicPartition) {
    let pool = PgPool::connect(url).await.expect("connects");
    eventsourcing_postgres::migrate::migrate(&pool)
        .await
        .expect("migrates");
    let config = Config {
        append_timeout: PATIENCE,
        answer_timeout: PATIENCE,
        connect_timeout: PATIENCE,
        connections_max: 4,
        ..Config::default()
    };
    let log = PostgresLog::open(PgConnectOptions::from_str(url).expect("a URL"), config);
    let topic = Topic::events("frozen", "things");
    log.create_topic(&topic, 2).await.expect("created");
    (log, topic.partition(0))
}

fn record(value: &'static str) -> Vec<Record> {
    vec![Record {
        key: Bytes::from_static(b"key"),
        value: Bytes::from_static(value.as_bytes()),
        headers: Vec::new(),
    }]
}

async fn values(log: &PostgresLog, at: &TopicPartition) -> Vec<String> {
    let end = log.bounds(at).await.expect("bounds").end;
    let mut reader = log.reader(vec![(at.clone(), Offset(0))]).await.expect("a reader");
    let mut values = Vec::new();
    while (values.len() as u64) < end.0 {
        let records = reader.next(100).await.expect("records");
        values.extend(
            records
                .into_iter()
                .map(|stored| String::from_utf8_lossy(&stored.record.value).into_owned()),
        );
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_ends_every_call_in_time_and_is_used_again() {
    let (server, _directory) = testkit::private_postgres();
    let (log, at) = open(&server.url("postgres")).await;
    assert_eq!(
        log.append(&at, record("before")).await,
        Appended::At(vec![Offset(0)])
    );
    let mut reader = log.reader(vec![(at.clone(), Offset(0))]).await.expect("a reader");
    assert_eq!(reader.next(10).await.expect("one").len(), 1);

    let frozen = Frozen::tree(server.process_id().expect("ours"));
    // More rounds than the pool has connections: none of them may be lost to a call that was given up.
    for _ in 0..6 {
        let unseen = Topic::events("frozen", "unseen");
        let asking = async {
            tokio::join!(
                log.append(&at, record("meanwhile")),
                log.bounds(&at),
                reader.next(10),
                log.partitions(&unseen),
            )
        };
        let answers = tokio::time::timeout(BOUND, asking).await.expect("in time");
        let (appended, bounds, next, topic) = answers;
        assert!(matches!(appended, Appended::Unknown(_)), "{appended:?}");
        assert!(matches!(bounds, Err(LogError::Unavailable(_))), "{bounds:?}");
        assert!(matches!(next, Err(LogError::Unavailable(_))), "{next:?}");
        assert!(matches!(topic, Err(LogError::Unavailable(_))), "{topic:?}");
    }
    drop(frozen);

    let after = testkit::eventually(
        "it is appended again",
        Duration::from_secs(20),
        async || match log.append(&at, record("after")).await {
            Appended::At(offsets) => Some(offsets[0]),
            Appended::Unknown(_) => None,
        },
    )
    .await;
    let values = values(&log, &at).await;
    // What was in doubt may be there or not, but everything has one place and no hole.
    assert_eq!(values[0], "before");
    assert_eq!(values[usize::try_from(after.0).expect("small")], "after");
    assert!(reader.next(10).await.expect("goes on where it was")[0].offset == Offset(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_records_are_named_at_once_though_other_partitions_go_on() {
    let database = testkit::postgres().await;
    let (log, at) = open(&database.url).await;
    let other = at.topic.partition(1);
    for _ in 0..3 {
        log.append(&at, record("x")).await;
        log.append(&other, record("y")).await;
    }
    let pool = PgPool::connect(&database.url).await.expect("connects");
    sqlx::query(r#"DELETE FROM daybook_log.records WHERE partition = 0 AND "offset" = 1"#)
        .execute(&pool)
        .await
        .expect("deleted");
    let mut reader = log
        .reader(vec![(at, Offset(0)), (other, Offset(0))])
        .await
        .expect("a reader");
    let error = loop {
        match tokio::time::timeout(BOUND, reader.next(1))
            .await
            .expect("in time")
        {
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(
        error.contains("frozen.things.events/0") && error.contains("from offset 1 to 2"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_partition_does_not_keep_another_waiting() {
    let database = testkit::postgres().await;
    let (log, at) = open(&database.url).await;
    let other = at.topic.partition(1);
    for _ in 0..20 {
        log.append(&at, record("full")).await;
    }
    log.append(&other, record("one")).await;
    let from = vec![(at, Offset(0)), (other.clone(), Offset(0))];
    let mut reader = log.reader(from).await.expect("a reader");
    let mut places = Vec::new();
    for _ in 0..3 {
        places.extend(
            reader
                .next(2)
                .await
                .expect("records")
                .into_iter()
                .map(|stored| stored.at),
        );
    }
    assert!(places.contains(&other), "{places:?}");
}
