//! What every role stands on: PostgreSQL, the log, time.

mod database;
pub mod generation;
pub mod home;
mod log;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use embedded::postgres::Postgres;
use eventsourcing::clock::{Environment, System};
use eventsourcing::fan_out::FanOut;
use eventsourcing::log::Log;
use eventsourcing::topic::{FIRST_GENERATION, Topic};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgPool};

use crate::config::{Config, LogKind};
pub use log::{Topics, services};

/// How often a local server is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// A connection that was idle for longer is tried before it is used.
const RESTED: Duration = Duration::from_millis(500);
/// One may be chance (a full backlog); more in a row are not.
const WATCH_REFUSALS_MAX: u32 = 3;

/// See the module. Clones share everything.
#[derive(Clone)]
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// Time and ids.
    pub environment: Arc<dyn Environment>,
    /// Where PostgreSQL is; holds the password.
    pub database_url: String,
    /// Connections of the read side.
    pub pool: PgPool,
    /// The log.
    pub log: Arc<dyn Log>,
    /// The same log, for those who follow it: what several of them want at its head is read once.
    pub followed: Arc<dyn Log>,
    /// The same log, as the one who can create and check its topics.
    pub topics: Topics,
}

/// A local PostgreSQL that this process has started or adopted; stopped when dropped.
pub struct LocalPostgres(Option<Postgres>);

impl LocalPostgres {
    /// Its port, when there is one that this process stops.
    pub fn port(&self) -> Option<u16> {
        self.0.as_ref().map(Postgres::port)
    }

    /// Ends with an error when nobody answers at this port any more: nobody else would start it again.
    pub async fn watch(port: u16) -> anyhow::Result<std::convert::Infallible> {
        let mut refused = 0;
        while refused < WATCH_REFUSALS_MAX {
            tokio::time::sleep(WATCH_INTERVAL).await;
            match tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                Ok(_) => refused = 0,
                Err(_) => refused += 1,
            }
        }
        bail!("it ended by itself; start daybook again, and see postgres.log in the data directory")
    }

    /// Stops it, when there is one.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(server) = self.0.take() {
            if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, server.port()))
                .await
                .is_err()
            {
                // It is gone already. Its process is a child not yet waited for, which would look alive
                // to whoever stops it; it goes with us.
                std::mem::forget(server);
                return Ok(());
            }
            tokio::task::spawn_blocking(move || server.stop()).await??;
        }
        Ok(())
    }
}

impl Parts {
    /// Opens everything: starts PostgreSQL when none is configured, creates tables and topics that are
    /// missing, and refuses a log that breaks a promise.
    pub async fn open(config: Config) -> anyhow::Result<(Self, LocalPostgres)> {
        let (parts, local) = Self::connect(config).await?;
        generation::check(&parts).await?;
        home::check(&parts).await?;
        let (prefix, partitions) = (&parts.config.topics.prefix, parts.config.topics.partitions);
        parts.topics.create(prefix).await.context("topics")?;
        for topic in parts.all_topics() {
            let found = parts.log.partitions(&topic).await?;
            if found != partitions {
                bail!(
                    "topic {topic} has {found} partitions, but topics.partitions is {partitions}; the number is pinned \
                     when a topic is created: set it to {found}; or go on with another number in new topics, by \
                     `daybook log repartition`; or choose another topics.prefix for a new shop"
                );
            }
        }
        let (errors, warnings): (Vec<_>, Vec<_>) = parts
            .topics
            .check(prefix)
            .await?
            .into_iter()
            .partition(|finding| finding.error);
        for finding in warnings {
            tracing::warn!("{finding}");
        }
        let broken: Vec<String> = errors.iter().map(ToString::to_string).collect();
        if !broken.is_empty() {
            bail!(
                "the log breaks a promise (see `daybook doctor`):\n{}",
                broken.join("\n")
            );
        }
        Ok((parts, local))
    }

    /// The topics of this shop in another kind of log than its own.
    pub fn other(&self, kind: LogKind) -> anyhow::Result<Topics> {
        let config = Config {
            log: kind,
            ..(*self.config).clone()
        };
        if kind == LogKind::Kafka && config.kafka.brokers.is_empty() {
            bail!("nobody says where Kafka is: set KAFKA_BROKERS or kafka.brokers");
        }
        Topics::open(&config, &self.database_url)
    }

    /// The topics of the next generation, with so many partitions each.
    pub fn next_generation(&self, partitions: u32) -> anyhow::Result<Topics> {
        let mut config = (*self.config).clone();
        config.topics.generation += 1;
        config.topics.partitions = partitions;
        Topics::open(&config, &self.database_url)
    }

    /// Opens everything, creates no topic and checks none.
    pub async fn connect(config: Config) -> anyhow::Result<(Self, LocalPostgres)> {
        if config.log == LogKind::Kafka && config.kafka.brokers.is_empty() {
            bail!(
                "the log is Kafka, but nobody says where it is: set KAFKA_BROKERS or kafka.brokers, or use --log postgres"
            );
        }
        let (database_url, local) = database::locate(&config).await?;
        let pool = PgPoolOptions::new()
            .max_connections(config.postgres.connections_max)
            .acquire_timeout(Duration::from_millis(config.postgres.connect_timeout_ms))
            // Whoever is at work would pay a round trip each time; a connection that has rested may have died.
            .test_before_acquire(false)
            .before_acquire(|connection, rested| {
                Box::pin(async move {
                    if rested.idle_for > RESTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy(&database_url)
            .context("the URL of the database")?;
        database::migrate(&pool).await?;
        let topics = Topics::open(&config, &database_url)?;
        let parts = Self {
            environment: Arc::new(System),
            database_url,
            pool,
            followed: Arc::new(FanOut::new(topics.log())),
            log: topics.log(),
            topics,
            config: Arc::new(config),
        };
        Ok((parts, LocalPostgres(local)))
    }

    /// The topic of a service.
    #[must_use]
    pub fn topic(&self, service: &str) -> Topic {
        Topic::generation(&self.config.topics.prefix, service, self.config.topics.generation)
    }

    /// The topics of all services.
    #[must_use]
    pub fn all_topics(&self) -> Vec<Topic> {
        services()
            .into_iter()
            .map(|service| self.topic(service))
            .collect()
    }

    /// The topics of all services in this generation and those before it: where one of them is, the shop is.
    #[must_use]
    pub fn topics_so_far(&self) -> Vec<Topic> {
        let topics = &self.config.topics;
        let of =
            |generation| services().map(|service| Topic::generation(&topics.prefix, service, generation));
        (FIRST_GENERATION..=topics.generation).flat_map(of).collect()
    }

    /// The directory of the local parts.
    #[must_use]
    pub fn data(&self) -> &Path {
        Path::new(&self.config.data)
    }
}
