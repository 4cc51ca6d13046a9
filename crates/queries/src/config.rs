//! What the query API needs to know.

use std::time::Duration;

/// Where the read models are and how long a read may take.
#[derive(Clone, Debug)]
pub struct Config {
    /// `postgres://…`; a read replica will do.
    pub database_url: String,
    /// The most connections for reads. One more is used for watching checkpoints.
    pub connections_max: u32,
    /// How long a read may wait for the position it asks for; then 503 `position_not_reached`.
    pub position_wait_max: Duration,
    /// How long the database may take for one read; then 503 `read_models_unavailable`.
    pub query_timeout: Duration,
    /// How often checkpoints are read anew when no notification comes.
    pub checkpoint_poll: Duration,
}

impl Config {
    /// The defaults for this database.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            connections_max: 16,
            position_wait_max: Duration::from_secs(2),
            query_timeout: Duration::from_secs(3),
            checkpoint_poll: Duration::from_millis(250),
        }
    }
}
