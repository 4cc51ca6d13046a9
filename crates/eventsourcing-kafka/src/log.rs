//! The port's methods, each a thin call into its part.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Bounds, Log, LogError, Reader};
use eventsourcing::record::Record;
use eventsourcing::topic::{Topic, TopicPartition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::consumers::Consumers;
use crate::producer::Producer;
use crate::questions;
use crate::reader::KafkaReader;

/// How to reach the broker, and limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// After this an append is `Unknown`, and a read or a look at the bounds `Unavailable`.
    pub timeout: Duration,
    /// How long librdkafka waits for company before it sends a batch. 0 is best with page-cache
    /// acknowledgements; a fraction of a millisecond pays with `flush.messages=1` under load.
    pub linger_ms: f64,
}

impl Config {
    /// The defaults, for these brokers.
    #[must_use]
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            timeout: Duration::from_secs(5),
            linger_ms: 0.0,
        }
    }
}

/// The log. Clones share one producer.
#[derive(Clone)]
pub struct KafkaLog {
    producer: Arc<Producer>,
    consumers: Arc<Consumers>,
    timeout: Duration,
}

impl KafkaLog {
    /// Opens the log; connects in the background, so a broker that is away is no error here.
    pub fn open(config: &Config) -> Result<Self, LogError> {
        let misconfigured = |error: KafkaError| LogError::Misconfigured(error.to_string());
        let producer = Producer::new(config.clone()).map_err(misconfigured)?;
        let consumers = Consumers::new(&config.brokers).map_err(misconfigured)?;
        Ok(Self {
            producer: Arc::new(producer),
            consumers: Arc::new(consumers),
            timeout: config.timeout,
        })
    }

    /// Asks the broker on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Consumers, Duration) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (consumers, timeout) = (Arc::clone(&self.consumers), self.timeout);
        blocking(move || question(&consumers, timeout)).await
    }
}

/// Does this on a thread that may block.
async fn blocking<T: Send + 'static>(
    does: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    match tokio::task::spawn_blocking(does).await {
        Ok(done) => done,
        Err(death) if death.is_panic() => std::panic::resume_unwind(death.into_panic()),
        // Not begun, and never will be.
        Err(_) => Err(LogError::Unavailable("the process ends".to_owned())),
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        self.producer.append(to, &records).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        for (at, asked) in &from {
            self.bounds(at).await?.check(at, *asked)?;
        }
        let (consumers, timeout) = (Arc::clone(&self.consumers), self.timeout);
        let reader = blocking(move || KafkaReader::start(consumers, &from, timeout)).await?;
        Ok(Box::new(reader))
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        let of = of.clone();
        self.ask(move |consumers, timeout| questions::bounds(consumers.asking(), &of, timeout))
            .await
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        let of = of.clone();
        self.ask(move |consumers, timeout| questions::partitions(consumers.asking(), &of, timeout))
            .await
    }
}

/// What a client error means to a reader.
pub(crate) fn log_error(topic: &Topic, error: &KafkaError) -> LogError {
    let unknown = [
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::UnknownTopic,
    ];
    match error.rdkafka_error_code() {
        Some(code) if unknown.contains(&code) => LogError::NoSuchTopic(topic.to_string()),
        Some(RDKafkaErrorCode::UnknownPartition) => LogError::NoSuchTopic(topic.to_string()),
        _ => LogError::Unavailable(error.to_string()),
    }
}
