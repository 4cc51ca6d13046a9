//! A sealed log: whatever was acknowledged lies below its last offset, and nothing comes after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Log};
use eventsourcing::record::Record;
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_postgres::log::moves::{self, CopyLock, Home};
use eventsourcing_postgres::log::{Config, PostgresLog};
use eventsourcing_postgres::migrate::migrate;
use sqlx::PgPool;

const PARTITIONS: u32 = 4;
const WRITERS: usize = 8;

struct Place {
    pool: PgPool,
    log: PostgresLog,
    moving: Topic,
    staying: Topic,
}

async fn place() -> Place {
    let url = testkit::postgres().await.url;
    let pool = PgPool::connect(&url).await.expect("connects");
    migrate(&pool).await.expect("tables");
    let log = PostgresLog::open(url.parse().expect("a URL"), Config::default());
    let (moving, staying) = (
        Topic::events("moving", "orders"),
        Topic::events("staying", "orders"),
    );
    for topic in [&moving, &staying] {
        log.create_topic(topic, PARTITIONS).await.expect("creates");
    }
    Place {
        pool,
        log,
        moving,
        staying,
    }
}

fn record(text: &str) -> Record {
    Record {
        key: Bytes::from_static(b"order-1"),
        value: Bytes::from(text.to_owned()),
        headers: Vec::new(),
    }
}

/// Appends until it is told to stop; returns what was acknowledged.
async fn write(
    log: PostgresLog,
    topic: Topic,
    writer: usize,
    stop: Arc<AtomicBool>,
) -> Vec<(TopicPartition, Offset, Record)> {
    let mut acknowledged = Vec::new();
    for number in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (at, record) = (
            topic.partition(number % PARTITIONS),
            record(&format!("{writer} {number}")),
        );
        if let Appended::At(offsets) = log.append(&at, vec![record.clone()]).await {
            acknowledged.push((at, offsets[0], record));
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_lies_below_the_last_offset() {
    let place = place().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            tokio::spawn(write(
                place.log.clone(),
                place.moving.clone(),
                writer,
                Arc::clone(&stop),
            ))
        })
        .collect();
    let moving = [place.moving.clone()];
    testkit::eventually("they write", Duration::from_secs(30), async || {
        let end = place.log.bounds(&place.moving.partition(0)).await.ok()?.end;
        (end > Offset(50)).then_some(())
    })
    .await;
    moves::seal(&place.pool, &moving, "elsewhere")
        .await
        .expect("seals");
    let mut ends = Vec::new();
    for number in 0..PARTITIONS {
        ends.push(
            place
                .log
                .bounds(&place.moving.partition(number))
                .await
                .expect("bounds")
                .end,
        );
    }
    // They go on trying, against a log that takes nothing in.
    let refused = place
        .log
        .append(&place.moving.partition(0), vec![record("late")])
        .await;
    assert!(
        matches!(&refused, Appended::Unknown(why) if why.contains("moved_topic")),
        "{refused:?}"
    );
    stop.store(true, Ordering::Relaxed);
    let mut there = BTreeMap::new();
    for number in 0..PARTITIONS {
        let at = place.moving.partition(number);
        let end = place.log.bounds(&at).await.expect("bounds").end;
        assert_eq!(end, ends[number as usize], "{at} grew after the seal");
        let mut reader = place
            .log
            .reader(vec![(at.clone(), Offset(0))])
            .await
            .expect("a reader");
        while !there.contains_key(&(at.clone(), Offset(end.0 - 1))) {
            for stored in reader.next(1_000).await.expect("can be read") {
                there.insert((stored.at, stored.offset), stored.record);
            }
        }
    }
    let mut count = 0;
    for writer in writers {
        for (at, offset, record) in writer.await.expect("no panic") {
            assert_eq!(there.get(&(at, offset)), Some(&record));
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
    // Another shop in the same database goes on.
    let other = place
        .log
        .append(&place.staying.partition(0), vec![record("other")])
        .await;
    assert!(matches!(other, Appended::At(_)), "{other:?}");
}

#[tokio::test]
async fn a_log_is_here_then_sealed_then_moved() {
    let place = place().await;
    let moving = [place.moving.clone()];
    let home = async || moves::home(&place.pool, &moving).await.expect("answers");
    assert_eq!(home().await, Home::Here { used: false });
    place
        .log
        .append(&place.moving.partition(0), vec![record("first")])
        .await;
    assert_eq!(home().await, Home::Here { used: true });
    for _ in 0..2 {
        moves::seal(&place.pool, &moving, "Kafka")
            .await
            .expect("seals, once and again");
        assert!(matches!(home().await, Home::Sealed { to, .. } if to == "Kafka"));
    }
    moves::complete(&place.pool, &moving).await.expect("completes");
    assert!(matches!(home().await, Home::Moved { to, .. } if to == "Kafka"));
    // A later start makes its tables, and the seal stays.
    migrate(&place.pool).await.expect("tables");
    assert!(matches!(home().await, Home::Moved { .. }));
}

#[tokio::test]
async fn two_copies_at_once_are_one_too_many() {
    let place = place().await;
    let first = CopyLock::take(&place.pool, "moving").await.expect("answers");
    assert!(first.is_some());
    let second = CopyLock::take(&place.pool, "moving").await.expect("answers");
    assert!(second.is_none());
    assert!(
        CopyLock::take(&place.pool, "staying")
            .await
            .expect("answers")
            .is_some()
    );
    drop(first);
    testkit::eventually("it is let go", Duration::from_secs(10), async || {
        CopyLock::take(&place.pool, "moving").await.expect("answers")
    })
    .await;
}
