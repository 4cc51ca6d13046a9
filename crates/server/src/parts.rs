//! What every role stands on: PostgreSQL, the log, time.

mod database;
mod log;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use embedded::postgres::Postgres;
use eventsourcing::clock::{Environment, System};
use eventsourcing::log::Log;
use eventsourcing::topic::Topic;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::config::{Config, LogKind};
pub use log::{Topics, services};

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
    /// The same log, as the one who can create and check its topics.
    pub topics: Topics,
}

/// A local PostgreSQL that this process has started or adopted; stopped when dropped.
pub struct LocalPostgres(Option<Postgres>);

impl LocalPostgres {
    /// Stops it, when there is one.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(server) = self.0.take() {
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
        let (prefix, partitions) = (&parts.config.topics.prefix, parts.config.topics.partitions);
        parts.topics.create(prefix).await.context("topics")?;
        for topic in parts.all_topics() {
            let found = parts.log.partitions(&topic).await?;
            if found != partitions {
                bail!(
                    "topic {topic} has {found} partitions, but topics.partitions is {partitions}; the number is pinned \
                     when a topic is created: set it to {found}, or choose another topics.prefix for a new shop"
                );
            }
        }
        let broken: Vec<String> = parts
            .topics
            .check(prefix)
            .await?
            .into_iter()
            .filter(|f| f.error)
            .map(|f| f.to_string())
            .collect();
        if !broken.is_empty() {
            bail!(
                "the log breaks a promise (see `daybook doctor`):\n{}",
                broken.join("\n")
            );
        }
        Ok((parts, local))
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
            .connect_lazy(&database_url)
            .context("the URL of the database")?;
        database::migrate(&pool).await?;
        let topics = Topics::open(&config, &database_url)?;
        let parts = Self {
            environment: Arc::new(System),
            database_url,
            pool,
            log: topics.log(),
            topics,
            config: Arc::new(config),
        };
        Ok((parts, LocalPostgres(local)))
    }

    /// The topic of a service.
    #[must_use]
    pub fn topic(&self, service: &str) -> Topic {
        Topic::events(&self.config.topics.prefix, service)
    }

    /// The topics of all services.
    #[must_use]
    pub fn all_topics(&self) -> Vec<Topic> {
        services()
            .into_iter()
            .map(|service| self.topic(service))
            .collect()
    }

    /// The directory of the local parts.
    #[must_use]
    pub fn data(&self) -> &Path {
        Path::new(&self.config.data)
    }
}
