//! The contract suite on a real broker.

use std::sync::Arc;
use std::time::Duration;

use eventsourcing::contract::Harness;
use eventsourcing::log::Log as _;
use eventsourcing::topic::Topic;
use eventsourcing_kafka::{Config, Flush, KafkaLog, Keeps, TopicSettings, create_topics};

const LEADS_MAX: Duration = Duration::from_mins(1);

async fn harness() -> Harness {
    let broker = tokio::task::spawn_blocking(testkit::kafka)
        .await
        .expect("a broker");
    let topic = Topic::events(&broker.prefix, "accounts");
    let settings = TopicSettings {
        partitions: Harness::PARTITIONS,
        replication: 1,
        flush: Flush::PageCache,
        keeps: Keeps::Everything,
    };
    create_topics(&broker.brokers, std::slice::from_ref(&topic), &settings)
        .await
        .expect("creates");
    let log = KafkaLog::open(&Config::new(broker.brokers)).expect("opens");
    // A broker leads a partition a moment after it has created it.
    for number in 0..Harness::PARTITIONS {
        let at = topic.partition(number);
        testkit::eventually("the broker leads it", LEADS_MAX, async || {
            log.bounds(&at).await.ok()
        })
        .await;
    }
    Harness {
        log: Arc::new(log),
        topic,
        guard: Box::new(()),
    }
}

eventsourcing::contract_suite!(harness);
