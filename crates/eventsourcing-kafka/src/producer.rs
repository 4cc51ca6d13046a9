//! Appending: a batch goes to librdkafka record by record and comes back as one ticket, so that a
//! batch costs one wake-up and not one per record.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use eventsourcing::ids::Offset;
use eventsourcing::log::Appended;
use eventsourcing::record::Record;
use eventsourcing::topic::TopicPartition;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::complaints;
use crate::log::Config;

/// One idempotent producer for all partitions of the process.
pub(crate) struct Producer {
    config: Config,
    current: RwLock<Arc<ThreadedProducer<Reports>>>,
}

/// Waits for the delivery reports of one batch.
struct Ticket {
    missing: AtomicUsize,
    delivered: Mutex<Delivered>,
}

struct Delivered {
    offsets: Vec<Offset>,
    failure: Option<String>,
    reply: Option<oneshot::Sender<Appended>>,
}

/// Receives the delivery reports.
struct Reports;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        complaints::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complaints::error(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Ticket>;

    fn delivery(&self, report: &DeliveryResult<'_>, ticket: Arc<Ticket>) {
        match report {
            Ok(message) if message.offset() >= 0 => {
                ticket.settle(1, Some(Offset(message.offset().cast_unsigned())), None);
            }
            Ok(_) => ticket.settle(1, None, Some("delivered at an unknown offset".to_owned())),
            Err((error, _)) => ticket.settle(1, None, Some(error.to_string())),
        }
    }
}

impl Ticket {
    /// Notes the fate of `count` records; the last one answers for all.
    fn settle(&self, count: usize, offset: Option<Offset>, failure: Option<String>) {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        delivered.offsets.extend(offset);
        if delivered.failure.is_none() {
            delivered.failure = failure;
        }
        if self.missing.fetch_sub(count, Ordering::AcqRel) == count {
            // Reports of one partition come in order; sorting costs nothing then and assumes nothing.
            delivered.offsets.sort_unstable();
            let offsets = std::mem::take(&mut delivered.offsets);
            let outcome = delivered
                .failure
                .take()
                .map_or(Appended::At(offsets), Appended::Unknown);
            if let Some(reply) = delivered.reply.take() {
                // The caller may have given up at its deadline.
                let _ = reply.send(outcome);
            }
        }
    }
}

impl Producer {
    pub(crate) fn new(config: Config) -> Result<Self, KafkaError> {
        let current = RwLock::new(Arc::new(create(&config)?));
        Ok(Self { config, current })
    }

    pub(crate) async fn append(&self, to: &TopicPartition, records: &[Record]) -> Appended {
        let (reply, outcome) = oneshot::channel();
        let producer = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        send(&producer, to, records, reply);
        // The deadline is ours: librdkafka goes on trying, and a late append is the protocol's to handle.
        let outcome = match tokio::time::timeout(self.config.timeout, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Appended::Unknown("the producer is gone".to_owned()),
            Err(_) => Appended::Unknown("Kafka did not acknowledge in time".to_owned()),
        };
        if matches!(outcome, Appended::Unknown(_)) {
            self.replace_if_broken(&producer);
        }
        outcome
    }

    /// A fatal error of the idempotent producer is for ever; a new one starts clean, and whatever
    /// the old one still had in flight is in doubt, as its callers are told.
    fn replace_if_broken(&self, seen: &Arc<ThreadedProducer<Reports>>) {
        let Some((code, reason)) = seen.client().fatal_error() else {
            return;
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, seen) {
            tracing::error!(
                ?code,
                reason,
                "the producer failed for good, a new one takes over"
            );
            match create(&self.config) {
                Ok(fresh) => *current = Arc::new(fresh),
                Err(error) => tracing::error!(%error, "cannot create a producer"),
            }
        }
    }
}

fn create(config: &Config) -> Result<ThreadedProducer<Reports>, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "daybook")
        // Retries inside the client neither duplicate nor reorder.
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight", "5")
        // Never dropped by the client: a dropped record would be a gap it cannot close.
        .set("message.timeout.ms", "0")
        .set(
            "request.timeout.ms",
            Duration::from_secs(5).as_millis().to_string(),
        )
        .set("retry.backoff.ms", "20")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000")
        .set("compression.type", "lz4")
        .set("linger.ms", config.linger_ms.to_string())
        .set("allow.auto.create.topics", "false")
        .create_with_context(Reports)
}

fn send(
    producer: &ThreadedProducer<Reports>,
    to: &TopicPartition,
    records: &[Record],
    reply: oneshot::Sender<Appended>,
) {
    let delivered = Delivered {
        offsets: Vec::with_capacity(records.len()),
        failure: None,
        reply: Some(reply),
    };
    let ticket = Arc::new(Ticket {
        missing: AtomicUsize::new(records.len()),
        delivered: Mutex::new(delivered),
    });
    for (index, record) in records.iter().enumerate() {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (name, value) in &record.headers {
            headers = headers.insert(Header {
                key: name,
                value: Some(&value[..]),
            });
        }
        let message = BaseRecord::with_opaque_to(to.topic.as_str(), Arc::clone(&ticket))
            .partition(to.partition.cast_signed())
            .key(&record.key[..])
            .payload(&record.value[..])
            .headers(headers);
        if let Err((error, message)) = producer.send(message) {
            // The client's queue is full or the record too large; what went before is in flight. The
            // records must not overtake each other, so the rest is not tried.
            drop(message);
            ticket.settle(records.len() - index, None, Some(error.to_string()));
            return;
        }
    }
}
