//! What a broker is asked about topics and partitions.

use std::time::{Duration, Instant};

use eventsourcing::ids::Offset;
use eventsourcing::log::{Bounds, LogError};
use eventsourcing::topic::{Topic, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;

use crate::complaints::Plain;
use crate::log::log_error;

/// Where the partition begins and ends. Blocks, at most `timeout`.
pub(crate) fn bounds(
    consumer: &BaseConsumer<Plain>,
    of: &TopicPartition,
    timeout: Duration,
) -> Result<Bounds, LogError> {
    let deadline = Instant::now() + timeout;
    match watermarks(consumer, of, timeout) {
        // Also said of a partition that had no leader when the client last heard of it, and said again for as long as the
        // client remembers that, a quarter of an hour: it does not ask anew. The broker knows whether it is there, and
        // what it answers is remembered instead.
        Err(LogError::NoSuchTopic(_)) => {
            let left = || deadline.saturating_duration_since(Instant::now());
            if of.partition >= partitions(consumer, &of.topic, left())? {
                return Err(LogError::NoSuchTopic(of.to_string()));
            }
            match watermarks(consumer, of, left()) {
                Err(LogError::NoSuchTopic(_)) => {
                    Err(LogError::Unavailable(format!("{of} has no leader now")))
                }
                answer => answer,
            }
        }
        answer => answer,
    }
}

fn watermarks(
    consumer: &BaseConsumer<Plain>,
    of: &TopicPartition,
    timeout: Duration,
) -> Result<Bounds, LogError> {
    let bounds = consumer.fetch_watermarks(of.topic.as_str(), of.partition.cast_signed(), timeout);
    let (start, end) = bounds.map_err(|error| log_error(&of.topic, &error))?;
    Ok(Bounds {
        start: Offset(start.cast_unsigned()),
        end: Offset(end.cast_unsigned()),
    })
}

/// How many partitions the topic has, as the broker itself says. Blocks, at most `timeout`.
pub(crate) fn partitions(
    consumer: &BaseConsumer<Plain>,
    of: &Topic,
    timeout: Duration,
) -> Result<u32, LogError> {
    let metadata = consumer.fetch_metadata(Some(of.as_str()), timeout);
    let metadata = metadata.map_err(|error| log_error(of, &error))?;
    let topic = metadata.topics().first();
    // A topic about which the broker has an error is shown without partitions as well.
    if let Some(error) = topic.and_then(MetadataTopic::error) {
        return Err(log_error(of, &KafkaError::MetadataFetch(error.into())));
    }
    match topic.map_or(0, |topic| topic.partitions().len()) {
        0 => Err(LogError::NoSuchTopic(of.to_string())),
        count => Ok(u32::try_from(count).expect("a partition number fits")),
    }
}
