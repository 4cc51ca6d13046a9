//! Clients for reading: one that asks about watermarks, and a few warm ones for readers, because the
//! first message of a cold client takes half a second.

use std::sync::{Mutex, PoisonError};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::complaints::Plain;

/// Warm clients kept; each costs a few threads.
const WARM_MAX: usize = 8;

pub(crate) struct Consumers {
    brokers: String,
    asking: BaseConsumer<Plain>,
    warm: Mutex<Vec<BaseConsumer<Plain>>>,
}

impl Consumers {
    pub(crate) fn new(brokers: &str) -> Result<Self, KafkaError> {
        let asking = create(brokers)?;
        Ok(Self {
            brokers: brokers.to_owned(),
            asking,
            warm: Mutex::default(),
        })
    }

    /// The client for questions; it never has an assignment.
    pub(crate) const fn asking(&self) -> &BaseConsumer<Plain> {
        &self.asking
    }

    /// A client for one reader: warm when there is one.
    pub(crate) fn take(&self) -> Result<BaseConsumer<Plain>, KafkaError> {
        let warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner).pop();
        warm.map_or_else(|| create(&self.brokers), Ok)
    }

    /// Back from a reader that is done.
    pub(crate) fn give_back(&self, consumer: BaseConsumer<Plain>) {
        if consumer.unassign().is_err() {
            return;
        }
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        if warm.len() < WARM_MAX {
            warm.push(consumer);
        }
    }
}

fn create(brokers: &str) -> Result<BaseConsumer<Plain>, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("client.id", "daybook")
        // Offsets are ours to keep; the group exists in name only, because assign() wants one.
        .set("group.id", "daybook-unused")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A log that lacks what we ask for must be noticed, never papered over.
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        // A full queue is looked at this often: by default once a second, which may idle whoever empties it; at 0 the
        // client's thread does nothing else.
        .set("fetch.queue.backoff.ms", "10")
        // Of a partition, fetched ahead: several times what is read in such a pause, and not the memory of ten times that.
        .set("queued.min.messages", "10000")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "50")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000")
        .set("allow.auto.create.topics", "false")
        .create_with_context(Plain)
}
