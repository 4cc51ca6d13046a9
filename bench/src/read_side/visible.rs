//! G10: from the acknowledgement of an order until a query that asks for its position shows it, against a raw record
//! from `produce` until a consumer that is warm has it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::net::TcpStream;

use crate::cell::{Cell, Contender, histogram, note};
use crate::goals::Weight;
use crate::load::{Requests, open};
use crate::processor;
use crate::report::{Bar, Row};
use crate::series::alternate;
use crate::shop::{self, Orders};
use crate::stage::{Durability, Grounds};
use crate::system;

/// Orders a second: enough to see a tail, few enough that nothing queues.
const RATE: u32 = 100;
/// Clients in turn, each with a connection for commands and one for queries.
const CLIENTS: u32 = 16;
/// So long the broker's compiler has a quarter of the processors, whoever works then.
const BROKER_WARM_UP: Duration = Duration::from_mins(1);

struct Visible {
    commands: SocketAddr,
    queries: SocketAddr,
    orders: Orders,
    numbers: AtomicU64,
}

impl Visible {
    /// Orders when it is due, reads at once when the order is acknowledged, and notes how long that took.
    fn client(
        &self,
        due: impl Iterator<Item = Instant>,
        latencies: &mut Histogram<u64>,
    ) -> anyhow::Result<()> {
        let (mut commands, mut queries) = (open::connect(self.commands)?, open::connect(self.queries)?);
        let (mut request, mut received) = (Vec::new(), Vec::new());
        for due in due {
            request.clear();
            self.orders
                .write(self.numbers.fetch_add(1, Ordering::Relaxed), &mut request);
            open::sleep_until(due);
            let accepted = open::exchange(&mut commands, &request, &mut received)?;
            let at = Instant::now();
            let ack = accepted
                .ack
                .with_context(|| format!("status {}", accepted.status))?;
            request.clear();
            write!(
                request,
                "GET /v1/orders/{} HTTP/1.1\r\nhost: bench\r\ndaybook-position: orders/{}@{}\r\n\r\n",
                id(&received)?,
                ack.partition,
                ack.offset
            )?;
            let shown = open::exchange(&mut queries, &request, &mut received)?;
            ensure!(shown.status == 200, "the query answers {}", shown.status);
            note(latencies, at.elapsed());
        }
        Ok(())
    }
}

/// Of the order in an answer.
fn id(answer: &[u8]) -> anyhow::Result<String> {
    let text = std::str::from_utf8(answer)?;
    let body = text.split_once("\r\n\r\n").context("an answer without a body")?.1;
    let body: serde_json::Value = serde_json::from_str(body)?;
    Ok(body["id"].as_str().context("an order without an id")?.to_owned())
}

/// The latencies of `clients` threads that share one schedule.
fn all(
    duration: Duration,
    clients: u32,
    client: impl Fn(Box<dyn Iterator<Item = Instant>>, &mut Histogram<u64>) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Cell> {
    let worked = processor::busy_seconds()?;
    let start = Instant::now() + Duration::from_millis(200);
    let mut latencies = histogram();
    thread::scope(|scope| {
        let begin = |number| {
            let client = &client;
            scope.spawn(move || {
                let mut latencies = histogram();
                let due = open::schedule(start, RATE, number, clients, duration);
                client(Box::new(due), &mut latencies).map(|()| latencies)
            })
        };
        let begun: Vec<_> = (0..clients).map(begin).collect();
        for ended in begun {
            latencies.add(ended.join().expect("a client does not panic")?)?;
        }
        anyhow::Ok(())
    })?;
    let count = latencies.len();
    Ok(Cell {
        acknowledged: count,
        worked: count,
        cpu_seconds: processor::busy_seconds()? - worked,
        latencies,
        ..Cell::of_one(duration)
    })
}

#[async_trait]
impl Contender for Visible {
    fn name(&self) -> String {
        format!("Daybook, {RATE} orders/s, each read at once")
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let this = &*self;
        tokio::task::block_in_place(|| all(duration, CLIENTS, |due, latencies| this.client(due, latencies)))
    }
}

/// A record's way through the broker, alone.
struct Echo {
    brokers: String,
    topic: String,
}

/// Of a record: about an order's.
const RECORD_BYTES: usize = 500;
/// A record comes within this time, or something is wrong.
const RECORD_MAX: Duration = Duration::from_secs(30);

impl Echo {
    fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "bench")
            .set("enable.auto.commit", "false")
            .set("fetch.queue.backoff.ms", "0")
            .create()?;
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(&self.topic, 0, Offset::End)?;
        consumer.assign(&all)?;
        Ok(consumer)
    }

    fn producer(&self) -> anyhow::Result<BaseProducer> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .create()?)
    }

    /// Sends the number of a record.
    fn send(&self, producer: &BaseProducer, number: u64) -> anyhow::Result<()> {
        let mut value = [0; RECORD_BYTES];
        value[..8].copy_from_slice(&number.to_be_bytes());
        let record = BaseRecord::<(), [u8]>::to(&self.topic)
            .partition(0)
            .payload(&value);
        producer
            .send(record)
            .map_err(|(error, _)| anyhow::Error::from(error))
    }
}

/// The next record's number.
fn next(consumer: &BaseConsumer) -> anyhow::Result<u64> {
    let message = consumer.poll(RECORD_MAX).context("no record comes")??;
    let value = message.payload().context("a record without a value")?;
    Ok(u64::from_be_bytes(
        value.first_chunk().copied().context("a short record")?,
    ))
}

#[async_trait]
impl Contender for Echo {
    fn name(&self) -> String {
        format!("produce to consume, {RATE} records/s")
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let this = &*self;
        tokio::task::block_in_place(|| {
            let (consumer, producer) = (this.consumer()?, this.producer()?);
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        producer.poll(Duration::from_millis(10));
                    }
                });
                // Both are warm when the first one that counts is on its way.
                let outcome = warm(this, &producer, &consumer).and_then(|()| {
                    all(duration, 1, |due, latencies| {
                        for (number, due) in (1..).zip(due) {
                            open::sleep_until(due);
                            let at = Instant::now();
                            this.send(&producer, number)?;
                            let received = next(&consumer)?;
                            ensure!(received == number, "record {received} instead of {number}");
                            note(latencies, at.elapsed());
                        }
                        Ok(())
                    })
                });
                over.store(true, Ordering::Relaxed);
                outcome
            })
        })
    }
}

/// Sends records until one of them comes, and takes all of them.
fn warm(echo: &Echo, producer: &BaseProducer, consumer: &BaseConsumer) -> anyhow::Result<()> {
    let deadline = Instant::now() + RECORD_MAX;
    while consumer.poll(Duration::from_millis(200)).is_none() {
        ensure!(Instant::now() < deadline, "no record comes");
        echo.send(producer, 0)?;
    }
    while consumer.poll(Duration::from_millis(500)).is_some() {}
    Ok(())
}

/// G10.
pub(crate) async fn g10(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let (brokers, topic) = grounds.one_partition(durability, "echo").await?;
    let place = grounds.place(durability, None).await?;
    let (server, queries) = system::whole(&grounds.daybook, &place).await?;
    shop::seed(server.address).await.context("seeding the products")?;
    let mut stream = TcpStream::connect(server.address).await?;
    shop::await_prices(&mut stream).await?;
    let mut a = Visible {
        commands: server.address,
        queries,
        orders: Orders { run: rand::random() },
        numbers: AtomicU64::new(0),
    };
    let mut b = Echo {
        brokers,
        topic: topic.as_str().to_owned(),
    };
    a.run(BROKER_WARM_UP).await?;
    let series = alternate(&mut a, &mut b, weight.plan).await?;
    let names = (
        "an order's acknowledgement → a query that asks for its position shows it",
        "raw produce → consume",
    );
    let row = |unit, bar, figure: fn(&Cell) -> f64| {
        Row::of("G10", unit, bar, names, durability.text(), (&series, figure))
    };
    Ok(vec![
        row("ms, p99", Bar::AtMost(3.0), Cell::p99_ms),
        row("ms, p50", Bar::None, Cell::p50_ms),
    ])
}
