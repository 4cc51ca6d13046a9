//! Reading: a client with a manual assignment, polled by a thread of its own into a bounded channel.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::BytesMut;
use eventsourcing::codec;
use eventsourcing::ids::Offset;
use eventsourcing::log::{LogError, Reader};
use eventsourcing::record::{Record, Stored};
use eventsourcing::topic::{Topic, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::complaints::Plain;
use crate::consumers::Consumers;
use crate::log::log_error;
use crate::questions;

/// Records that travel together from the thread to the reader.
const BATCH_RECORDS_MAX: usize = 1_000;
/// Batches waiting for a slow reader.
const BATCHES_MAX: usize = 8;
/// The thread looks this often whether its reader is still there.
const POLL: Duration = Duration::from_millis(100);
/// A client that reports trouble for so long without a record is reported as unavailable.
const TROUBLE_MAX: Duration = Duration::from_secs(5);

type Batch = Result<Vec<Stored>, LogError>;

pub(crate) struct KafkaReader {
    batches: mpsc::Receiver<Batch>,
    pending: VecDeque<Stored>,
    /// Came behind what is pending.
    end: Option<LogError>,
}

impl KafkaReader {
    /// Blocks for a question to the broker, at most `timeout`.
    pub(crate) fn start(
        consumers: Arc<Consumers>,
        from: &[(TopicPartition, Offset)],
        timeout: Duration,
    ) -> Result<Self, LogError> {
        let unavailable = |error: KafkaError| LogError::Unavailable(error.to_string());
        let consumer = consumers.take().map_err(unavailable)?;
        // A client that does not know a topic's leaders looks for them on a timer of a second: that would be
        // most of a takeover.
        let topics: BTreeSet<&str> = from.iter().map(|(at, _)| at.topic.as_str()).collect();
        for topic in topics {
            let known = consumer.fetch_metadata(Some(topic), timeout);
            known.map_err(unavailable)?;
        }
        let mut assignment = TopicPartitionList::new();
        for (at, offset) in from {
            let (partition, offset) = (
                at.partition.cast_signed(),
                KafkaOffset::Offset(offset.0.cast_signed()),
            );
            assignment
                .add_partition_offset(at.topic.as_str(), partition, offset)
                .map_err(unavailable)?;
        }
        consumer.assign(&assignment).map_err(unavailable)?;
        let topics = from
            .iter()
            .map(|(at, _)| (at.topic.as_str().to_owned(), at.topic.clone()))
            .collect();
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let poller = Poller {
            topics,
            from: from.to_vec(),
            sender,
        };
        std::thread::Builder::new()
            .name("kafka-reader".to_owned())
            .spawn(move || {
                poller.run(&consumer);
                consumers.give_back(consumer);
            })
            .map_err(|error| LogError::Unavailable(error.to_string()))?;
        Ok(Self {
            batches,
            pending: VecDeque::new(),
            end: None,
        })
    }
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self, max: usize) -> Result<Vec<Stored>, LogError> {
        while self.pending.is_empty() {
            if let Some(error) = self.end.take() {
                return Err(error);
            }
            // Nothing is taken from the channel before it is in `pending`, so a dropped call loses nothing.
            match self.batches.recv().await {
                Some(batch) => self.pending.extend(batch?),
                None => return Err(LogError::Unavailable("the reader's thread ended".to_owned())),
            }
        }
        while self.pending.len() < max
            && let Ok(batch) = self.batches.try_recv()
        {
            match batch {
                Ok(records) => self.pending.extend(records),
                Err(error) => {
                    self.end = Some(error);
                    break;
                }
            }
        }
        let count = max.min(self.pending.len());
        Ok(self.pending.drain(..count).collect())
    }
}

/// A message's own copy: slices of one allocation, because they are made here and dropped in other threads.
fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers: Vec<_> = message.headers().into_iter().flat_map(Headers::iter).collect();
    let (key, value) = (message.key(), message.payload());
    let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let in_headers: usize = headers.iter().map(|header| len(header.value)).sum();
    let mut room = BytesMut::with_capacity(len(key) + len(value) + in_headers);
    let mut own = |part: Option<&[u8]>| {
        room.extend_from_slice(part.unwrap_or_default());
        room.split().freeze()
    };
    Record {
        key: own(key),
        value: own(value),
        headers: headers
            .into_iter()
            .map(|header| (codec::header_name(header.key), own(header.value)))
            .collect(),
    }
}

struct Poller {
    topics: HashMap<String, Topic>,
    /// Where each partition is read from.
    from: Vec<(TopicPartition, Offset)>,
    sender: mpsc::Sender<Batch>,
}

impl Poller {
    fn run(&self, consumer: &BaseConsumer<Plain>) {
        let mut trouble: Option<(Instant, String)> = None;
        while !self.sender.is_closed() {
            let batch = match self.poll(consumer) {
                // It says some troubles only once. With nothing read since, whoever reads had better look anew.
                Ok(records) if records.is_empty() => match &trouble {
                    Some((since, reason)) if since.elapsed() >= TROUBLE_MAX => {
                        Err(LogError::Unavailable(reason.clone()))
                    }
                    _ => continue,
                },
                Ok(records) => {
                    trouble = None;
                    Ok(records)
                }
                // The client goes on trying by itself; only lasting or final trouble is passed on.
                Err(LogError::Unavailable(reason)) => {
                    let since = trouble.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                    if since.elapsed() < TROUBLE_MAX {
                        trouble = Some((since, reason));
                        continue;
                    }
                    Err(LogError::Unavailable(reason))
                }
                Err(error) => Err(error),
            };
            let last = batch.is_err();
            if self.sender.blocking_send(batch).is_err() || last {
                return;
            }
        }
    }

    /// What is there: waits for the first record, takes the rest as it comes.
    fn poll(&self, consumer: &BaseConsumer<Plain>) -> Batch {
        let mut records = Vec::new();
        let mut patience = POLL;
        while records.len() < BATCH_RECORDS_MAX {
            match consumer.poll(patience) {
                None => break,
                Some(Ok(message)) => records.push(self.stored(&message)),
                // The records before it are good; the client repeats a lasting error.
                Some(Err(_)) if !records.is_empty() => break,
                Some(Err(error)) => return Err(self.read_error(consumer, &error)),
            }
            patience = Duration::ZERO;
        }
        Ok(records)
    }

    fn stored(&self, message: &BorrowedMessage<'_>) -> Stored {
        let topic = self.topics.get(message.topic()).cloned();
        let topic = topic.unwrap_or_else(|| Topic::named(message.topic()));
        let millis = i128::from(message.timestamp().to_millis().unwrap_or_default());
        let timestamp = OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000);
        Stored {
            at: topic.partition(message.partition().cast_unsigned()),
            offset: Offset(message.offset().cast_unsigned()),
            timestamp: timestamp.unwrap_or(OffsetDateTime::UNIX_EPOCH),
            record: record(message),
        }
    }

    fn first(&self, of: &TopicPartition) -> Option<Offset> {
        let (_, offset) = self.from.iter().find(|(at, _)| at == of)?;
        Some(*offset)
    }

    /// A position that the broker no longer (or not yet) has is final; so is a missing topic.
    fn read_error(&self, consumer: &BaseConsumer<Plain>, error: &KafkaError) -> LogError {
        let gone = [
            RDKafkaErrorCode::AutoOffsetReset,
            RDKafkaErrorCode::OffsetOutOfRange,
        ];
        if !error
            .rdkafka_error_code()
            .is_some_and(|code| gone.contains(&code))
        {
            let topic = self
                .topics
                .values()
                .next()
                .cloned()
                .unwrap_or_else(|| Topic::named(""));
            return log_error(&topic, error);
        }
        let assigned = consumer.position().ok();
        for element in assigned.iter().flat_map(TopicPartitionList::elements) {
            let Some(topic) = self.topics.get(element.topic()) else {
                continue;
            };
            let at = topic.partition(element.partition().cast_unsigned());
            // Of a partition of which nothing was read yet, the client knows no position.
            let asked = match element.offset() {
                KafkaOffset::Offset(asked) => Some(Offset(asked.cast_unsigned())),
                _ => self.first(&at),
            };
            let Some(asked) = asked else { continue };
            if let Ok(bounds) = questions::bounds(consumer, &at, TROUBLE_MAX)
                && let Err(gone) = bounds.check(&at, asked)
            {
                return gone;
            }
        }
        // The broker had it out of range a moment ago, and it is not: whoever reads looks again.
        LogError::Unavailable(format!("the broker denies an offset that the log holds: {error}"))
    }
}
