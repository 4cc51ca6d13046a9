//! The contract suite on a real broker.

use std::sync::Arc;

use eventsourcing::contract::Harness;
use eventsourcing::topic::Topic;
use eventsourcing_kafka::{Config, Flush, KafkaLog, Keeps, TopicSettings, create_topics};

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
    Harness {
        log: Arc::new(log),
        topic,
        guard: Box::new(()),
    }
}

eventsourcing::contract_suite!(harness);
