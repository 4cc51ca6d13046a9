//! Reading the read models: one snapshot a read, never older than asked.
//!
//! A read is one statement, so checkpoint and rows are of one snapshot, whatever the runner writes or
//! switches meanwhile. Waiting for a position costs no connection: a [`Watcher`] follows the
//! checkpoints, and readers wait for what it tells. It only says when it is worth to look; the
//! decision is made on the checkpoint in the snapshot itself.

mod checkpoints;
mod model;
mod not_found;
mod snapshot;
mod source;
mod statement;
mod unavailable;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use eventsourcing::position::Positions;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::Instant;

pub use checkpoints::Checkpoints;
pub use model::ReadModel;
pub(crate) use snapshot::Snapshot;
pub(crate) use source::AsOf;
pub(crate) use statement::Statement;
pub(crate) use unavailable::SumTooLarge;
pub use watcher::Watcher;

use crate::config::Config;

/// Access to the read models. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reads {
    pool: PgPool,
    config: Arc<Config>,
    newest: watch::Receiver<Arc<Checkpoints>>,
}

impl Reads {
    /// Prepares access; connects when first used, so that the API starts without its database. The
    /// [`Watcher`] must be run beside it.
    pub fn new(config: Config) -> Result<(Self, Watcher), sqlx::Error> {
        let (pool, watching) = (pool(&config, config.connections_max)?, pool(&config, 1)?);
        let (sender, newest) = watch::channel(Arc::default());
        let watcher = Watcher::new(watching, config.checkpoint_poll, config.query_timeout, sender);
        let reads = Self {
            pool,
            config: Arc::new(config),
            newest,
        };
        Ok((reads, watcher))
    }

    /// Whether the database answers and the views are there; for `/readyz`.
    pub async fn ready(&self) -> bool {
        let probe = sqlx::query("SELECT FROM read.checkpoints LIMIT 1").fetch_optional(&self.pool);
        let probe = tokio::time::timeout(self.config.query_timeout, probe).await;
        matches!(probe, Ok(Ok(_)))
    }

    /// Waits, at most `wait`, until every read model that reads one of the services shows these
    /// positions; whether they do. For `Daybook-Wait: visible` of a command.
    pub async fn visible(&self, positions: &Positions, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        for model in ReadModel::ALL {
            if !self.reached(model, positions, deadline).await {
                return false;
            }
        }
        true
    }

    /// Waits until the watcher has seen `asked`, as far as it concerns `model`.
    async fn reached(&self, model: ReadModel, asked: &Positions, deadline: Instant) -> bool {
        let mut newest = self.newest.clone();
        let seen = newest.wait_for(|checkpoints| checkpoints.cover(model, asked));
        matches!(tokio::time::timeout_at(deadline, seen).await, Ok(Ok(_)))
    }
}

fn pool(config: &Config, connections: u32) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = config.database_url.parse()?;
    let statement_timeout = config.query_timeout.as_millis().to_string();
    // The database itself refuses anything but reading, should a defect try.
    let options = options.application_name("daybook-queries").options([
        ("default_transaction_read_only", "on"),
        ("statement_timeout", statement_timeout.as_str()),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        // Made in the background as soon as the process starts: with the first readers all of them would log in at once.
        .min_connections(connections)
        .acquire_timeout(config.query_timeout)
        // A dead connection shows when it is used, and the read is tried again on another: no need to
        // pay a round trip on each read.
        .test_before_acquire(false)
        .connect_lazy_with(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_database_refuses_anything_but_reading() {
        let config = Config::new(testkit::postgres().await.url);
        let pool = pool(&config, 1).expect("a URL");
        let refused = sqlx::query("CREATE TABLE mine (id INT)").execute(&pool).await;
        let code = refused
            .expect_err("is refused")
            .into_database_error()
            .and_then(|error| error.code().map(Into::into));
        // read_only_sql_transaction
        assert_eq!(code, Some("25006".to_owned()));
    }
}
