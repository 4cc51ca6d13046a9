//! Which of a shop's nodes works on what: whoever the consumer group gives a partition to, or, on the
//! PostgreSQL log, whoever holds the lock. For liveness only.

use std::time::Duration;

use eventsourcing::assignment::Assignment;
use eventsourcing::topic::Topic;
use eventsourcing_kafka::GroupConfig;
use eventsourcing_postgres::assignment::ProcessLock;

use super::Process;
use crate::config::{self, LogKind};
use crate::supervisor::Stage;

/// This process's assignments, one for each of these topics, in their order. `work` names what is shared
/// out: all processes that do it compete under that name, each with one membership or lock for everything.
pub(super) fn assignments(
    process: &mut Process,
    stage: Stage,
    work: &'static str,
    topics: &[Topic],
) -> anyhow::Result<Vec<Box<dyn Assignment>>> {
    let config = &process.parts.config;
    let name = format!("{}.{work}", config.topics.prefix);
    match config.log {
        // One process does everything, the next one stands by.
        LogKind::Postgres => {
            let lock = ProcessLock::compete(&process.parts.pool, format!("daybook.{name}"));
            let assigned = |topic: &Topic| {
                let all = (0..config.topics.partitions).map(|number| topic.partition(number));
                Box::new(lock.assignment(all.collect())) as Box<dyn Assignment>
            };
            Ok(topics.iter().map(assigned).collect())
        }
        LogKind::Kafka => {
            let group = GroupConfig {
                session_timeout: Duration::from_millis(config.kafka.session_timeout_ms),
                heartbeat_interval: heartbeat(&config.kafka),
                ..GroupConfig::new(&config.kafka.brokers, name)
            };
            let joined = eventsourcing_kafka::join(&group, topics)?;
            // So the process does not end before the group knows: the others would wait for its session's time-out.
            let leaving = joined.membership.ends();
            process
                .supervisor
                .spawn(stage, work, async move { Ok(leaving.await?) });
            let assigned = joined.assignments.into_iter();
            Ok(assigned.map(|of| Box::new(of) as Box<dyn Assignment>).collect())
        }
    }
}

/// A third of the session's time-out at most, or one lost heartbeat may end it.
fn heartbeat(kafka: &config::Kafka) -> Duration {
    Duration::from_millis(kafka.heartbeat_interval_ms.min(kafka.session_timeout_ms / 3))
}
