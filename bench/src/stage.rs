//! What a measurement stands on: broker, database, topics, and the programs under test.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use eventsourcing::log::Log;
use eventsourcing::topic::Topic;
use eventsourcing_kafka::{Flush, KafkaLog, Keeps, TopicSettings};
use eventsourcing_postgres::log::PostgresLog;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::load::Requests;
use crate::raw::Target;
use crate::shape::Shape;
use crate::shop::{self, Orders};
use crate::system::{self, Place, Server};
use crate::verify::{Counts, Shared, Verifier};

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Kafka's page cache.
    PageCache,
    /// Kafka with `flush.messages=1`.
    Flushed,
    /// PostgreSQL with `synchronous_commit=on`.
    Postgres,
}

impl Durability {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::PageCache => "Kafka, page cache",
            Self::Flushed => "Kafka, flushed",
            Self::Postgres => "PostgreSQL, committed",
        }
    }

    const fn flush(self) -> Flush {
        match self {
            Self::PageCache | Self::Postgres => Flush::PageCache,
            Self::Flushed => Flush::EachBatch,
        }
    }
}

/// What all measurements of a run share.
pub(crate) struct Grounds {
    pub(crate) daybook: PathBuf,
    pub(crate) partitions: u32,
    /// What librdkafka waits for company.
    pub(crate) linger_cached_ms: f64,
    /// The same when each batch is flushed.
    pub(crate) linger_flushed_ms: f64,
}

/// A Daybook serving commands, seeded, with a view of its log.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) place: Place,
    pub(crate) durability: Durability,
    pub(crate) log: Arc<dyn Log>,
    /// Told apart from other runs.
    pub(crate) run: u64,
}

impl Grounds {
    pub(crate) fn linger_ms(&self, durability: Durability) -> f64 {
        if durability == Durability::Flushed {
            self.linger_flushed_ms
        } else {
            self.linger_cached_ms
        }
    }

    /// A fresh database, and fresh topics on a broker where the log is Kafka.
    pub(crate) async fn daybook(&self, durability: Durability) -> anyhow::Result<Stage> {
        self.daybook_limited(durability, None).await
    }

    /// The same, with so many places for requests.
    pub(crate) async fn daybook_limited(
        &self,
        durability: Durability,
        requests_max: Option<usize>,
    ) -> anyhow::Result<Stage> {
        let place = self.place(durability, requests_max).await?;
        let server = system::daybook(&self.daybook, &place).await?;
        shop::seed(server.address).await.context("seeding the products")?;
        let log: Arc<dyn Log> = match durability {
            Durability::Postgres => {
                let options = PgConnectOptions::from_str(&place.database)?;
                Arc::new(PostgresLog::open(
                    options,
                    eventsourcing_postgres::log::Config::default(),
                ))
            }
            Durability::PageCache | Durability::Flushed => kafka(&place.brokers)?,
        };
        Ok(Stage {
            server,
            place,
            durability,
            log,
            run: rand::random(),
        })
    }

    /// A fresh database, and a prefix for topics of its own.
    pub(crate) async fn place(
        &self,
        durability: Durability,
        requests_max: Option<usize>,
    ) -> anyhow::Result<Place> {
        let broker = tokio::task::spawn_blocking(testkit::kafka).await?;
        Ok(Place {
            log: if durability == Durability::Postgres {
                "postgres"
            } else {
                "kafka"
            },
            brokers: broker.brokers,
            database: testkit::postgres().await.url,
            prefix: broker.prefix,
            partitions: self.partitions,
            flush: durability == Durability::Flushed,
            linger_ms: self.linger_ms(durability),
            requests_max,
        })
    }

    /// A topic that only this run writes to, as a limit's or an engine's in process.
    pub(crate) async fn topic(&self, durability: Durability, name: &str) -> anyhow::Result<(String, Topic)> {
        Self::fresh_topic(self.partitions, durability, name).await
    }

    /// The same, with one partition.
    pub(crate) async fn one_partition(
        &self,
        durability: Durability,
        name: &str,
    ) -> anyhow::Result<(String, Topic)> {
        Self::fresh_topic(1, durability, name).await
    }

    async fn fresh_topic(
        partitions: u32,
        durability: Durability,
        name: &str,
    ) -> anyhow::Result<(String, Topic)> {
        let broker = tokio::task::spawn_blocking(testkit::kafka).await?;
        let topic = Topic::events(&format!("{}-{name}", broker.prefix), "orders");
        let settings = TopicSettings {
            keeps: Keeps::Everything,
            partitions,
            replication: 1,
            flush: durability.flush(),
        };
        eventsourcing_kafka::create_topics(&broker.brokers, std::slice::from_ref(&topic), &settings).await?;
        Ok((broker.brokers, topic))
    }

    /// Where a limit produces records of `shape`, and the check behind it.
    pub(crate) async fn limit(
        &self,
        durability: Durability,
        shape: Shape,
    ) -> anyhow::Result<(Target, Verifier)> {
        let (brokers, topic) = self.topic(durability, "limit").await?;
        let verifier = Verifier::new(kafka(&brokers)?, topic.clone(), Counts::All).await?;
        let target = Target {
            brokers,
            topic,
            partitions: self.partitions,
            linger_ms: self.linger_ms(durability),
            shape,
        };
        Ok((target, verifier))
    }
}

/// The log of these brokers, as Daybook's own adapter reads it.
pub(crate) fn kafka(brokers: &str) -> anyhow::Result<Arc<dyn Log>> {
    Ok(Arc::new(KafkaLog::open(&eventsourcing_kafka::Config::new(
        brokers,
    ))?))
}

impl Stage {
    /// The check of one service's topic, past what is there already.
    pub(crate) async fn verifier(&self, service: &str) -> anyhow::Result<Verifier> {
        let topic = Topic::events(&self.place.prefix, service);
        let mut verifier = Verifier::new(Arc::clone(&self.log), topic, Counts::Accepted).await?;
        verifier.catch_up().await?;
        Ok(verifier)
    }

    /// The check of the orders, and the shape of one.
    pub(crate) async fn orders(&self) -> anyhow::Result<(Shared, Shape)> {
        let mut stream = TcpStream::connect(self.server.address).await?;
        shop::await_prices(&mut stream).await?;
        let mut verifier = self.verifier("orders").await?;
        let mut request = Vec::new();
        Orders { run: rand::random() }.write(0, &mut request);
        shop::send_raw(&mut stream, &request)
            .await
            .context("placing an order")?;
        verifier.catch_up().await?;
        let shape = Shape::of(&verifier.sample()?);
        Ok((Arc::new(Mutex::new(verifier)), shape))
    }
}
