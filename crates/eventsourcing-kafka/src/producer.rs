//! Appending: a batch goes to librdkafka record by record and comes back as one ticket, so that a
//! batch costs one wake-up and not one per record.

use std::ops::Deref;
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

/// How long a broker may wait for its followers before it answers.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// A broker that has not answered for so long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// One idempotent producer for all partitions of the process.
pub(crate) struct Producer {
    config: Config,
    current: RwLock<Arc<Client>>,
}

/// A producer of librdkafka's. Closing one takes seconds when its broker is away, and its last user may
/// be a task of the runtime, so that is done elsewhere.
struct Client(Option<ThreadedProducer<Reports>>);

impl Client {
    /// The error after which it does nothing any more.
    fn failure(&self) -> Option<String> {
        let (code, reason) = self.client().fatal_error()?;
        Some(format!("{code}: {reason}"))
    }
}

impl Deref for Client {
    type Target = ThreadedProducer<Reports>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("taken only when it is dropped")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let closing = self.0.take();
        let closer = std::thread::Builder::new().name("kafka-closing".to_owned());
        // Without a thread the closure, and the client with it, is dropped here.
        if let Err(error) = closer.spawn(move || drop(closing)) {
            tracing::warn!(%error, "a producer had to be closed on the spot");
        }
    }
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
        // It may have failed while nobody waited for it.
        let mut producer = self.current();
        if self.replace_if_broken(&producer) {
            producer = self.current();
        }
        send(&producer, to, records, reply);
        // The deadline is ours: librdkafka goes on trying, and a late append is the protocol's to handle.
        let outcome = match tokio::time::timeout(self.config.timeout, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Appended::Unknown("the producer is gone".to_owned()),
            Err(_) => Appended::Unknown("Kafka did not acknowledge in time".to_owned()),
        };
        match outcome {
            // "Purged" says nothing; what it was purged for does.
            Appended::Unknown(reason) if self.replace_if_broken(&producer) => Appended::Unknown(format!(
                "{reason}; the producer failed for good: {}",
                producer.failure().unwrap_or_default()
            )),
            outcome => outcome,
        }
    }

    fn current(&self) -> Arc<Client> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A fatal error of the idempotent producer is for ever. A new one starts clean; whatever the old one
    /// still had in flight is in doubt, as its callers are told, and what of it the broker has already
    /// taken in may yet land.
    fn replace_if_broken(&self, seen: &Arc<Client>) -> bool {
        let Some(reason) = seen.failure() else {
            return false;
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, seen) {
            tracing::error!(reason, "the producer failed for good, a new one takes over");
            match create(&self.config) {
                Ok(fresh) => *current = Arc::new(fresh),
                // The next append tries again.
                Err(error) => tracing::error!(%error, "cannot create a producer"),
            }
        }
        true
    }
}

fn create(config: &Config) -> Result<Client, KafkaError> {
    let producer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "daybook")
        // Retries inside the client neither duplicate nor reorder.
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight", "5")
        // Never dropped by the client: a dropped record would be a gap it cannot close.
        .set("message.timeout.ms", "0")
        .set("request.timeout.ms", BROKER_TIMEOUT.as_millis().to_string())
        // A broker whose machine is gone says nothing, and until its requests are given up nothing goes to
        // its successor. More than the broker itself may take, far less than librdkafka's minute.
        .set("socket.timeout.ms", SILENCE_MAX.as_millis().to_string())
        .set("retry.backoff.ms", "20")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000")
        .set("compression.type", "lz4")
        .set("linger.ms", config.linger_ms.to_string())
        .set("allow.auto.create.topics", "false")
        .create_with_context(Reports)?;
    Ok(Client(Some(producer)))
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
