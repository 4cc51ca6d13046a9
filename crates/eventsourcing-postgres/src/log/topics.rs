//! Topics and their pinned number of partitions.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use eventsourcing::log::LogError;
use eventsourcing::topic::{Topic, TopicPartition};

use super::{PostgresLog, unavailable};
use crate::deadline::{lend, within};

/// What is known of a topic once it was looked up; neither part ever changes.
#[derive(Clone, Copy)]
pub(crate) struct KnownTopic {
    pub(crate) id: i32,
    pub(crate) partitions: u32,
}

impl PostgresLog {
    /// Creates the topic, or makes sure that it has this many partitions: a key's partition must
    /// never change, so the number is pinned when the topic is created.
    pub async fn create_topic(&self, topic: &Topic, partitions: u32) -> Result<(), LogError> {
        let creating = sqlx::query(
            "INSERT INTO daybook_log.topics (name, partitions) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(topic.as_str())
        .bind(partitions.cast_signed());
        let mut lent = lend(&self.pool).await.map_err(unavailable)?;
        within(self.config.answer_timeout, creating.execute(&mut *lent))
            .await
            .map_err(unavailable)?;
        lent.give_back();
        let pinned = self.topic(topic).await?.partitions;
        if pinned == partitions {
            return Ok(());
        }
        Err(LogError::Misconfigured(format!(
            "topic {topic} was created with {pinned} partitions, but {partitions} are configured; the number is \
             pinned for good: set `partitions` to {pinned}, or use another topic prefix for a new shop"
        )))
    }

    /// The topic's id, when it has this partition.
    pub(crate) async fn place(&self, at: &TopicPartition) -> Result<i32, LogError> {
        let topic = self.topic(&at.topic).await?;
        if at.partition < topic.partitions {
            return Ok(topic.id);
        }
        Err(LogError::NoSuchTopic(at.to_string()))
    }

    pub(crate) async fn topic(&self, topic: &Topic) -> Result<KnownTopic, LogError> {
        let known = |topics: &RwLock<HashMap<_, _>>| {
            let topics = topics.read().unwrap_or_else(PoisonError::into_inner);
            topics.get(topic).copied()
        };
        if let Some(found) = known(&self.topics) {
            return Ok(found);
        }
        let asking = sqlx::query_as("SELECT id, partitions FROM daybook_log.topics WHERE name = $1")
            .bind(topic.as_str());
        let mut lent = lend(&self.pool).await.map_err(unavailable)?;
        let row = within(self.config.answer_timeout, asking.fetch_optional(&mut *lent));
        let row: Option<(i32, i32)> = row.await.map_err(unavailable)?;
        lent.give_back();
        let (id, partitions) = row.ok_or_else(|| LogError::NoSuchTopic(topic.to_string()))?;
        let found = KnownTopic {
            id,
            partitions: partitions.cast_unsigned(),
        };
        let mut known = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(topic.clone(), found);
        Ok(found)
    }
}
