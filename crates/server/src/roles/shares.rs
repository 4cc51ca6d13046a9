//! Which of a shop's nodes reads what: projections and processes share out the partitions like owners.

use std::collections::BTreeMap;
use std::time::Duration;

use eventsourcing::assignment::Assignment;
use eventsourcing::readers::{Presumption, Share};
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_kafka::GroupConfig;
use eventsourcing_postgres::assignment::ProcessLock;

use crate::config::LogKind;
use crate::parts::Parts;

/// This process's share in each of these topics, by topic. `readers` names the work; all processes that
/// do it compete under that name.
pub(super) fn shares(
    parts: &Parts,
    readers: &str,
    topics: &[Topic],
) -> anyhow::Result<BTreeMap<Topic, Share>> {
    let name = format!("{}.{readers}", parts.config.topics.prefix);
    let mut shares = BTreeMap::new();
    match parts.config.log {
        // One process reads everything, the next one stands by.
        LogKind::Postgres => {
            let lock = ProcessLock::compete(&parts.pool, format!("daybook.{name}"));
            for topic in topics {
                let assignment = Box::new(lock.assignment(all(parts, topic)));
                shares.insert(topic.clone(), share(topic, assignment, Presumption::Nothing));
            }
        }
        LogKind::Kafka => {
            let timeout = parts.config.kafka.session_timeout_ms;
            let group = GroupConfig {
                session_timeout: Duration::from_millis(timeout),
                heartbeat_interval: Duration::from_millis(timeout / 3),
                ..GroupConfig::new(&parts.config.kafka.brokers, name)
            };
            for (topic, assignment) in topics.iter().zip(eventsourcing_kafka::join(&group, topics)?) {
                let assignment = Box::new(assignment);
                shares.insert(topic.clone(), share(topic, assignment, Presumption::Everything));
            }
        }
    }
    Ok(shares)
}

fn all(parts: &Parts, topic: &Topic) -> Vec<TopicPartition> {
    let partitions = 0..parts.config.topics.partitions;
    partitions.map(|number| topic.partition(number)).collect()
}

fn share(topic: &Topic, assignment: Box<dyn Assignment>, presumption: Presumption) -> Share {
    Share::follow(topic.clone(), assignment, presumption)
}
