//! The configuration: flags over environment over file over defaults. Every key is known here, has a
//! default, and carries its unit in its name; a key nobody knows is refused with its place.

mod layers;
mod on_error;
mod sections;

pub use layers::{ConfigError, Effective, Overrides, Source, load};
pub use on_error::OnErrors;
pub use sections::{
    Http, Kafka, Listen, LogKind, Owner, Postgres, Process, Projections, Queries, Rebuild, Shutdown,
    Telemetry, TextFormat, Topics, reachable,
};

use serde::{Deserialize, Serialize};

/// Everything that can be set. The file's keys are `section.key`; the environment's are
/// `DAYBOOK_SECTION_KEY`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Lets everyone in and listens anywhere. For development only.
    pub dev: bool,
    /// This node's name, for people: in fences and log lines.
    pub node: String,
    /// The directory of the local parts.
    pub data: String,
    /// Which log.
    pub log: LogKind,
    /// Addresses to listen on.
    pub listen: Listen,
    /// Topics.
    pub topics: Topics,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Kafka.
    pub kafka: Kafka,
    /// The owners of partitions.
    pub owner: Owner,
    /// Both HTTP APIs.
    pub http: Http,
    /// The query API.
    pub queries: Queries,
    /// The projections.
    pub projections: Projections,
    /// Rebuilds of read models.
    pub rebuild: Rebuild,
    /// The processes.
    pub process: Process,
    /// Stopping.
    pub shutdown: Shutdown,
    /// Logs.
    pub telemetry: Telemetry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dev: false,
            node: "daybook".to_owned(),
            data: "./data".to_owned(),
            log: LogKind::Postgres,
            listen: Listen::default(),
            topics: Topics::default(),
            postgres: Postgres::default(),
            kafka: Kafka::default(),
            owner: Owner::default(),
            http: Http::default(),
            queries: Queries::default(),
            projections: Projections::default(),
            rebuild: Rebuild::default(),
            process: Process::default(),
            shutdown: Shutdown::default(),
            telemetry: Telemetry::default(),
        }
    }
}
