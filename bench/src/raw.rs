//! The limit: librdkafka alone, with the settings that Daybook's producer has.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use eventsourcing::topic::{Topic, partition_of};
use hdrhistogram::Histogram;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use uuid::Uuid;

use crate::cell::{Cell, Contender, histogram, note};
use crate::load::{Ack, open};
use crate::processor;
use crate::shape::Shape;
use crate::verify::{Claims, Verifier};

/// How long the last reports may take.
const REPORTS_MAX: Duration = Duration::from_secs(30);
/// Pause when librdkafka's queue is full: a few batches' worth of time.
const FULL_PAUSE: Duration = Duration::from_micros(200);

/// What waits for a delivery report.
pub(crate) trait Delivered: Send + Sync + 'static {
    /// Where the record lies, or why nobody knows.
    fn delivered(self, at: Result<Ack, KafkaError>);
}

/// Hands reports to what waits for them.
pub(crate) struct Reports<T>(std::marker::PhantomData<T>);

impl<T: Delivered> ClientContext for Reports<T> {}

impl<T: Delivered> ProducerContext for Reports<T> {
    type DeliveryOpaque = Box<T>;

    fn delivery(&self, report: &DeliveryResult<'_>, waits: Box<T>) {
        waits.delivered(match report {
            Ok(message) => Ok(Ack {
                partition: message.partition().cast_unsigned(),
                offset: message.offset().cast_unsigned(),
            }),
            Err((error, _)) => Err(error.clone()),
        });
    }
}

/// One producer, polled by a thread of its own.
pub(crate) struct Producer<T: Delivered> {
    inner: ThreadedProducer<Reports<T>>,
    topic: Topic,
    partitions: u32,
    shape: Shape,
}

/// Where and how a limit produces.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) brokers: String,
    pub(crate) topic: Topic,
    pub(crate) partitions: u32,
    pub(crate) linger_ms: f64,
    pub(crate) shape: Shape,
}

impl<T: Delivered> Producer<T> {
    pub(crate) fn new(target: &Target) -> anyhow::Result<Self> {
        let inner = ClientConfig::new()
            .set("bootstrap.servers", &target.brokers)
            .set("client.id", "bench")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight", "5")
            .set("message.timeout.ms", "0")
            .set("request.timeout.ms", "5000")
            .set("retry.backoff.ms", "20")
            .set("compression.type", "lz4")
            .set("linger.ms", target.linger_ms.to_string())
            .set("allow.auto.create.topics", "false")
            .create_with_context(Reports(std::marker::PhantomData))?;
        Ok(Self {
            inner,
            topic: target.topic.clone(),
            partitions: target.partitions,
            shape: target.shape.clone(),
        })
    }

    /// One record of the shape, under the key that `id` makes.
    pub(crate) fn send(&self, id: Uuid, content: &[u8], waits: T) -> Result<(), (KafkaError, T)> {
        let mut hex = Uuid::encode_buffer();
        let hex: &str = id.simple().encode_lower(&mut hex);
        let key = self.shape.key(hex);
        let text = std::str::from_utf8(&key).expect("an id is text");
        let aggregate = text.parse().expect("the sample's key is an aggregate id");
        let value = self.shape.value(content);
        let record = BaseRecord::with_opaque_to(self.topic.as_str(), Box::new(waits))
            .partition(partition_of(&aggregate, self.partitions).cast_signed())
            .key(&key)
            .payload(&value)
            .headers(self.shape.headers(&key, hex));
        let sent = self.inner.send(record);
        sent.map_err(|(error, record)| (error, *record.delivery_opaque))
    }

    /// Records handed over and not yet reported.
    fn in_flight(&self) -> i32 {
        self.inner.in_flight_count()
    }

    fn wait_for_reports(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + REPORTS_MAX;
        while self.in_flight() > 0 {
            anyhow::ensure!(Instant::now() < deadline, "Kafka does not report");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// What the reports of one cell add up to.
struct Reported {
    acks: Vec<Ack>,
    in_time: u64,
    failures: u64,
    latencies: Histogram<u64>,
}

/// A record on its way.
struct Sent {
    due: Instant,
    deadline: Instant,
    reported: Arc<Mutex<Reported>>,
}

impl Delivered for Sent {
    fn delivered(self, at: Result<Ack, KafkaError>) {
        let now = Instant::now();
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        match at {
            Ok(ack) => {
                reported.acks.push(ack);
                reported.in_time += u64::from(now <= self.deadline);
                note(&mut reported.latencies, now - self.due);
            }
            Err(_) => reported.failures += 1,
        }
    }
}

/// When a raw producer sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As fast as librdkafka takes records, in batches.
    Full,
    /// One record at each tick of this many per second.
    PerSecond(u32),
}

/// librdkafka alone, as a contender.
pub(crate) struct Raw {
    pace: Pace,
    verifier: Verifier,
    producer: Arc<Producer<Sent>>,
}

impl Raw {
    pub(crate) fn new(pace: Pace, target: &Target, verifier: Verifier) -> anyhow::Result<Self> {
        let producer = Arc::new(Producer::new(target)?);
        Ok(Self {
            pace,
            verifier,
            producer,
        })
    }
}

#[async_trait]
impl Contender for Raw {
    fn name(&self) -> String {
        match self.pace {
            Pace::Full => "raw batched produce".to_owned(),
            Pace::PerSecond(rate) => format!("raw produce, {rate} single records/s"),
        }
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let (producer, pace) = (Arc::clone(&self.producer), self.pace);
        let produce = move || produce(&producer, pace, duration);
        let (reported, cpu_seconds) = tokio::task::spawn_blocking(produce).await??;
        let claims = Claims {
            acks: &reported.acks,
            unknown: reported.failures,
        };
        let checked = self.verifier.check(claims).await?;
        Ok(Cell {
            acknowledged: reported.in_time,
            seconds: duration.as_secs_f64(),
            cpu_seconds,
            worked: reported.acks.len() as u64,
            bytes: checked.bytes_of(reported.in_time),
            latencies: reported.latencies,
            failures: reported.failures,
            refusals: histogram(),
            void: checked.void,
        })
    }
}

fn produce(producer: &Producer<Sent>, pace: Pace, duration: Duration) -> anyhow::Result<(Reported, f64)> {
    let reported = Arc::new(Mutex::new(Reported {
        acks: Vec::new(),
        in_time: 0,
        failures: 0,
        latencies: histogram(),
    }));
    let worked = processor::busy_seconds()?;
    let start = Instant::now();
    let deadline = start + duration;
    let send = |due: Instant| -> anyhow::Result<()> {
        let mut sent = Sent {
            due,
            deadline,
            reported: Arc::clone(&reported),
        };
        let id = Uuid::new_v4();
        while let Err((error, back)) = producer.send(id, &[], sent) {
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            anyhow::ensure!(full, "cannot produce: {error}");
            thread::sleep(FULL_PAUSE);
            sent = back;
        }
        Ok(())
    };
    match pace {
        Pace::Full => {
            let mut now = start;
            while now < deadline {
                send(now)?;
                now = Instant::now();
            }
        }
        Pace::PerSecond(rate) => {
            for due in open::schedule(start, rate, 0, 1, duration) {
                open::sleep_until(due);
                send(due)?;
            }
        }
    }
    producer.wait_for_reports()?;
    let cpu_seconds = processor::busy_seconds()? - worked;
    // The last report may still be leaving the callback.
    let mut reported = reported.lock().unwrap_or_else(PoisonError::into_inner);
    let reported = Reported {
        acks: std::mem::take(&mut reported.acks),
        in_time: reported.in_time,
        failures: reported.failures,
        latencies: reported.latencies.clone(),
    };
    Ok((reported, cpu_seconds))
}
