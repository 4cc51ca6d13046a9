//! The log of either kind, with what the port leaves out: creating topics and checking them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use eventsourcing::log::{Log, LogError};
use eventsourcing::routes;
use eventsourcing::topic::Topic;
use eventsourcing_kafka::{Flush, KafkaLog, Keeps, Severity, TopicSettings};
use eventsourcing_postgres::log::PostgresLog;

use crate::config::{Config, LogKind};

/// The services, each with one topic.
#[must_use]
pub const fn services() -> [&'static str; 3] {
    [
        domain::product::SERVICE,
        domain::stock_item::SERVICE,
        domain::order::SERVICE,
    ]
}

/// What is wrong with a topic.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Whether a promise does not hold.
    pub error: bool,
    /// Which topic.
    pub topic: Topic,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.error { "error" } else { "warning" };
        write!(f, "{kind}: {}: {}\n  mend: {}", self.topic, self.what, self.mend)
    }
}

/// Creates and checks topics.
#[derive(Clone)]
pub struct Topics {
    kind: Kind,
    partitions: u32,
    generation: u32,
}

#[derive(Clone)]
enum Kind {
    Postgres(PostgresLog),
    Kafka {
        log: KafkaLog,
        brokers: String,
        settings: TopicSettings,
    },
}

impl Topics {
    pub(super) fn open(config: &Config, database_url: &str) -> anyhow::Result<Self> {
        let kind = match config.log {
            LogKind::Postgres => Kind::Postgres(open_postgres(config, database_url)?),
            LogKind::Kafka => {
                let brokers = config.kafka.brokers.clone();
                let log = KafkaLog::open(&eventsourcing_kafka::Config {
                    brokers: brokers.clone(),
                    timeout: Duration::from_millis(config.kafka.timeout_ms),
                    linger_ms: config.kafka.linger_ms,
                })?;
                let flush = if config.topics.flush {
                    Flush::EachBatch
                } else {
                    Flush::PageCache
                };
                let (partitions, replication) = (config.topics.partitions, config.topics.replication);
                Kind::Kafka {
                    log,
                    brokers,
                    settings: TopicSettings {
                        partitions,
                        replication,
                        flush,
                        keeps: Keeps::Everything,
                    },
                }
            }
        };
        Ok(Self {
            kind,
            partitions: config.topics.partitions,
            generation: config.topics.generation,
        })
    }

    /// The log they are in.
    #[must_use]
    pub fn log(&self) -> Arc<dyn Log> {
        match &self.kind {
            Kind::Postgres(log) => Arc::new(log.clone()),
            Kind::Kafka { log, .. } => Arc::new(log.clone()),
        }
    }

    /// The topic of each service.
    fn topics(&self, prefix: &str) -> [Topic; 3] {
        services().map(|service| Topic::generation(prefix, service, self.generation))
    }

    /// Creates the topics that are missing, with the pinned settings.
    pub async fn create(&self, prefix: &str) -> Result<(), LogError> {
        let topics = self.topics(prefix);
        match &self.kind {
            Kind::Postgres(log) => {
                for topic in &topics {
                    log.create_topic(topic, self.partitions).await?;
                }
                log.create_topic(&routes::topic(prefix), 1).await
            }
            Kind::Kafka {
                brokers, settings, ..
            } => {
                eventsourcing_kafka::create_topics(brokers, &topics, settings).await?;
                let routes = [routes::topic(prefix)];
                eventsourcing_kafka::create_topics(brokers, &routes, &of_routes(settings)).await
            }
        }
    }

    /// Everything that is wrong with the topics.
    pub async fn check(&self, prefix: &str) -> Result<Vec<Finding>, LogError> {
        let topics = self.topics(prefix);
        match &self.kind {
            Kind::Postgres(log) => {
                let mut findings = Vec::new();
                for topic in topics {
                    findings.extend(check_postgres(log, topic, self.partitions).await?);
                }
                findings.extend(check_postgres(log, routes::topic(prefix), 1).await?);
                Ok(findings)
            }
            Kind::Kafka {
                brokers, settings, ..
            } => {
                let mut findings = eventsourcing_kafka::check_topics(brokers, &topics, settings).await?;
                let routes = [routes::topic(prefix)];
                findings
                    .extend(eventsourcing_kafka::check_topics(brokers, &routes, &of_routes(settings)).await?);
                let ours = |finding: eventsourcing_kafka::Finding| Finding {
                    error: finding.severity == Severity::Error,
                    topic: finding.topic,
                    what: finding.what,
                    mend: finding.mend,
                };
                Ok(findings.into_iter().map(ours).collect())
            }
        }
    }
}

/// The topic of routes: one partition, and of each partition's owners only the newest counts.
fn of_routes(settings: &TopicSettings) -> TopicSettings {
    TopicSettings {
        partitions: 1,
        keeps: Keeps::Newest,
        ..settings.clone()
    }
}

async fn check_postgres(log: &PostgresLog, topic: Topic, wanted: u32) -> Result<Option<Finding>, LogError> {
    let (what, mend) = match log.partitions(&topic).await {
        Ok(found) if found == wanted => return Ok(None),
        Ok(found) => (
            format!("it has {found} partitions, but {wanted} are configured"),
            format!("set topics.partitions to {found}: the number is pinned when a topic is created"),
        ),
        Err(LogError::NoSuchTopic(_)) => (
            "the topic does not exist".to_owned(),
            "daybook topics create".to_owned(),
        ),
        Err(error) => return Err(error),
    };
    Ok(Some(Finding {
        error: true,
        topic,
        what,
        mend,
    }))
}

fn open_postgres(config: &Config, database_url: &str) -> anyhow::Result<PostgresLog> {
    let limits = eventsourcing_postgres::log::Config {
        committers: config.postgres.log_committers,
        commit_records_max: config.postgres.log_commit_records_max,
        append_timeout: Duration::from_millis(config.postgres.log_append_timeout_ms),
        connect_timeout: Duration::from_millis(config.postgres.connect_timeout_ms),
        connections_max: config.postgres.log_connections_max,
        ..eventsourcing_postgres::log::Config::default()
    };
    Ok(PostgresLog::open(
        database_url.parse().context("the URL of the database")?,
        limits,
    ))
}
