//! What the mock cannot do: a real broker that takes a batch in, and whose answer never comes.

use std::time::Duration;

use eventsourcing::log::Appended;
use eventsourcing::topic::Topic;
use eventsourcing_kafka::{Config, Flush, KafkaLog, Keeps, TopicSettings, create_topics};
use testkit::Frozen;

use crate::cluster::{TIMEOUT, all};
use crate::ledger::Ledger;

/// Longer than the adapter allows a broker to be silent: it has cut the connection and sends again.
const FROZEN: Duration = Duration::from_secs(12);

/// What was sent into the frozen broker lies in its sockets and is read when it wakes up; what the client
/// sent again comes after it. Both are the same records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_frozen_broker_was_sent_twice_is_there_once() {
    let (kafka, _directory) = tokio::task::spawn_blocking(testkit::private_kafka)
        .await
        .expect("a broker");
    let topic = Topic::events("frozen", "accounts");
    let settings = TopicSettings {
        partitions: 1,
        replication: 1,
        flush: Flush::PageCache,
        keeps: Keeps::Everything,
    };
    create_topics(&kafka.brokers(), std::slice::from_ref(&topic), &settings)
        .await
        .expect("creates");
    let log = KafkaLog::open(&Config {
        timeout: TIMEOUT,
        ..Config::new(kafka.brokers())
    })
    .expect("opens");
    let at = topic.partition(0);
    let mut ledger = Ledger::default();
    ledger.works(&log, &at, "before").await;
    let frozen = Frozen::tree(kafka.process_id().expect("it runs"));
    let (outcome, _) = ledger.append(&log, &at, "into the ice").await;
    assert!(matches!(outcome, Appended::Unknown(_)), "{outcome:?}");
    tokio::time::sleep(FROZEN).await;
    drop(frozen);
    ledger.works(&log, &at, "after").await;
    let there = all(&log, &at).await;
    assert_eq!(ledger.check(&there), Ok(()));
    assert_eq!(Ledger::found(&there, "into the ice"), 3);
}
