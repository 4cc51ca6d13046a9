//! The sections of the configuration. A key's name ends in its unit where it has one.

use serde::{Deserialize, Serialize};

use super::OnErrors;

/// Where events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// A table in PostgreSQL.
    Postgres,
    /// Apache Kafka.
    Kafka,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TextFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section!(
    /// `listen`: addresses, `host:port`.
    Listen {
        /// The command API.
        commands: String = "127.0.0.1:8080".to_owned(),
        /// The query API.
        queries: String = "127.0.0.1:8081".to_owned(),
        /// Health, metrics and admin API of the `projections` role.
        projections: String = "127.0.0.1:8082".to_owned(),
        /// Health and metrics of the `workers` role.
        workers: String = "127.0.0.1:8083".to_owned(),
        /// Where other processes reach the command API; written into fences, used by `workers` and by nodes that forward. Follows `commands` where it is not set.
        commands_url: String = "http://127.0.0.1:8080".to_owned(),
    }
);

section!(
    /// `topics`: pinned when they are created.
    Topics {
        /// First part of every topic's name.
        prefix: String = "daybook".to_owned(),
        /// Partitions of each topic.
        partitions: u32 = 4,
        /// Which topics: each repartitioning makes new ones, with another number of partitions (`daybook log repartition`).
        generation: u32 = 1,
        /// Copies of each partition (Kafka). 3 on a cluster.
        replication: u32 = 1,
        /// Whether a Kafka broker flushes each batch to disk before it acknowledges.
        flush: bool = false,
    }
);

section!(
    /// `postgres`.
    Postgres {
        /// Where it is; empty for a local server under `data`. Holds the password: never shown.
        url: String = String::new(),
        /// Connections of the read side of each role.
        connections_max: u32 = 16,
        /// How long to wait for a connection.
        connect_timeout_ms: u64 = 2_000,
        /// Connections of the log.
        log_connections_max: u32 = 24,
        /// Tasks that commit appends.
        log_committers: usize = 2,
        /// Records in one commit.
        log_commit_records_max: usize = 4_000,
        /// After this an append's outcome counts as unknown.
        log_append_timeout_ms: u64 = 5_000,
    }
);

section!(
    /// `kafka`.
    Kafka {
        /// `host:port`, separated by commas.
        brokers: String = String::new(),
        /// After this an append's outcome counts as unknown.
        timeout_ms: u64 = 5_000,
        /// How long a batch waits for company.
        linger_ms: f64 = 0.0,
        /// A process that is silent for so long loses its partitions to the others.
        session_timeout_ms: u64 = 6_000,
        /// How often it says that it lives, and hears that partitions move; a third of the session time-out at most.
        heartbeat_interval_ms: u64 = 100,
    }
);

section!(
    /// `owner`.
    Owner {
        /// Commands waiting per partition before new ones are refused.
        mailbox_commands_max: usize = 4_096,
        /// Commands in one batch.
        batch_commands_max: usize = 1_024,
        /// Bytes of records in one batch.
        batch_bytes_max: usize = 900_000,
        /// The most that a caller waits for its outcome; a client may ask for less (`Daybook-Timeout-Ms`).
        command_timeout_ms: u64 = 10_000,
        /// How long a partition that is to go to another node is still served, unless that node has it before.
        handover_ms: u64 = 3_000,
        /// How long a command waits for its partition to have an owner again, within its time-out.
        route_wait_ms: u64 = 5_000,
        /// Commands that wait so, per partition; one more is refused.
        route_waiters_max: usize = 1_024,
        /// Commands on their way to other nodes at once, and as many waits for a settled order; one more is refused.
        forwards_max: usize = 1_024,
        /// Pause before another try when the log is away.
        retry_pause_ms: u64 = 100,
        /// Callers that wait for a state, per partition.
        waiters_max: usize = 10_000,
        /// Aggregates in memory per partition, beyond which those that the table of states has are forgotten.
        aggregates_max: usize = 500_000,
        /// How long a new owner waits for the table of states before it reads the whole log instead.
        states_timeout_ms: u64 = 10_000,
    }
);

section!(
    /// `http`.
    Http {
        /// The largest body.
        body_bytes_max: usize = 1_048_576,
        /// Requests worked on at once; one more is refused.
        requests_max: usize = 4_096,
        /// How long a request's head may take.
        header_read_timeout_ms: u64 = 10_000,
        /// The largest head.
        header_bytes_max: usize = 16_384,
        /// Connections; more wait in the listener's backlog.
        connections_max: usize = 10_000,
    }
);

section!(
    /// `queries`.
    Queries {
        /// How long a read waits for the position it asked for.
        position_wait_ms: u64 = 2_000,
    }
);

section!(
    /// `projections`.
    Projections {
        /// Records in one transaction.
        batch_records_max: usize = 5_000,
        /// Pause before another try when PostgreSQL or the log is away.
        retry_pause_ms: u64 = 200,
        /// Pause between batches of the states of aggregates; a take-over reads so much more of the log.
        states_linger_ms: u64 = 1_000,
        /// How long another node's partition may stand still with records to read; then it is read here, too.
        stranded_after_ms: u64 = 5_000,
        /// What becomes of an event that cannot be applied: `park` it and what follows of its key, or `halt`; for some by name: `park,orders=halt`.
        on_error: OnErrors = OnErrors::default(),
    }
);

section!(
    /// `rebuild`.
    Rebuild {
        /// Rows held in memory, of all workers together; beyond it they are written out and read back when needed.
        memory_bytes: usize = 268_435_456,
        /// Partitions read at once; 0 for half of the processors, which leaves the shop the others.
        workers: usize = 0,
    }
);

section!(
    /// `process`.
    Process {
        /// Events worked on at once, of different keys.
        in_flight_max: usize = 64,
        /// Records read at once.
        batch_records_max: usize = 500,
        /// First pause before another try of a command.
        retry_pause_ms: u64 = 20,
        /// The longest such pause.
        retry_pause_max_ms: u64 = 2_000,
    }
);

section!(
    /// `shutdown`.
    Shutdown {
        /// How long `/readyz` says 503 before anything is stopped, so that a gateway notices.
        readiness_ms: u64 = 0,
        /// How long a server still takes requests, each answer being the last of its connection, once the partitions are let go.
        linger_ms: u64 = 1_000,
        /// How long requests in flight may go on after that.
        drain_timeout_ms: u64 = 10_000,
    }
);

section!(
    /// `telemetry`.
    Telemetry {
        /// How log lines are written.
        log_format: TextFormat = TextFormat::Text,
        /// Which lines, in `tracing`'s filter syntax.
        log_filter: String = "info,sqlx=error".to_owned(),
    }
);

impl Listen {
    /// Where others reach this node's command API: as configured, else where it listens.
    #[must_use]
    pub fn own_url(&self) -> String {
        if self.commands_url == Self::default().commands_url {
            return reachable(&self.commands);
        }
        self.commands_url.clone()
    }
}

/// The URL of an address to listen on: `0.0.0.0` is where one listens, not where one goes.
#[must_use]
pub fn reachable(address: &str) -> String {
    let host = address
        .replacen("0.0.0.0", "127.0.0.1", 1)
        .replacen("[::]", "[::1]", 1);
    format!("http://{host}")
}
