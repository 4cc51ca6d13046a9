//! The defects that the tests must find, as a log that lies about another.

use async_trait::async_trait;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Bounds, Log, LogError, Reader};
use eventsourcing::record::Record;
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_kafka::KafkaLog;

/// What it does with an unknown outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lie {
    /// Says "written", at the end as it was.
    AnswersAt,
    /// Appends once more by itself.
    SendsAgain,
}

pub(crate) struct Liar {
    log: KafkaLog,
    lie: Lie,
}

impl Liar {
    pub(crate) const fn new(log: KafkaLog, lie: Lie) -> Self {
        Self { log, lie }
    }
}

#[async_trait]
impl Log for Liar {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        let end = self.log.bounds(to).await.map_or(0, |bounds| bounds.end.0);
        let count = records.len() as u64;
        match (self.log.append(to, records.clone()).await, self.lie) {
            (Appended::Unknown(_), Lie::AnswersAt) => {
                Appended::At((end + 1..=end + count).map(Offset).collect())
            }
            (Appended::Unknown(_), Lie::SendsAgain) => self.log.append(to, records).await,
            (at, _) => at,
        }
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        self.log.reader(from).await
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        self.log.bounds(of).await
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        self.log.partitions(of).await
    }
}
