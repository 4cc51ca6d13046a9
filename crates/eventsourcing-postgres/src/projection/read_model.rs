//! The engine's port to rows and checkpoints, on PostgreSQL: one transaction for each batch, in bounded time.

use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::projection::read_model::{ReadModel, ReadModelError, Started};
use eventsourcing::readers::Scanned;
use eventsourcing::topic::Topic;
use sqlx::{PgConnection, PgPool};

use super::{Projection, ProjectionError, begin, checkpoint, ensure_active, refuse_replaced, transact};
use crate::deadline::within;

/// Limits of a read model.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long PostgreSQL may take for one transaction; then its connection is given up.
    pub database_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database_timeout: Duration::from_secs(30),
        }
    }
}

/// The live version of a projection's rows, with its checkpoints.
pub struct PostgresReadModel {
    pool: PgPool,
    projection: Projection,
    config: Config,
}

impl PostgresReadModel {
    /// The rows of `projection` in the database of `pool`.
    #[must_use]
    pub const fn new(pool: PgPool, projection: Projection, config: Config) -> Self {
        Self {
            pool,
            projection,
            config,
        }
    }

    /// Does `work` on a connection, both in bounded time. After an error the connection is closed: what
    /// it was sent may yet be carried out, even a commit, and then the checkpoint has moved.
    async fn on_database<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, ProjectionError>,
    ) -> Result<T, ProjectionError> {
        let limit = self.config.database_timeout;
        let mut connection = within(limit, self.pool.acquire()).await?;
        let outcome = within(limit, work(&mut connection)).await;
        if outcome.is_err() {
            drop(connection.detach());
        }
        outcome
    }
}

#[async_trait]
impl ReadModel for PostgresReadModel {
    fn name(&self) -> &'static str {
        self.projection.name()
    }

    async fn start(&self, topic: &Topic, partitions: u32) -> Result<Started, ReadModelError> {
        let start = async |connection: &mut PgConnection| {
            let mut transaction = begin(connection).await?;
            let version = ensure_active(&mut transaction, &self.projection).await?;
            let name = &self.projection.name;
            let checkpoints =
                checkpoint::load(&mut transaction, name.as_str(), version, topic, partitions).await?;
            refuse_replaced(&mut transaction, name, topic).await?;
            transaction.commit().await?;
            Ok(Started { version, checkpoints })
        };
        Ok(self.on_database(start).await?)
    }

    async fn apply(&self, topic: &Topic, version: i32, scanned: &Scanned) -> Result<(), ReadModelError> {
        let apply = async |connection: &mut PgConnection| {
            transact(connection, &self.projection, version, topic, scanned, true).await
        };
        Ok(self.on_database(apply).await?)
    }
}

impl From<ProjectionError> for ReadModelError {
    fn from(error: ProjectionError) -> Self {
        match error {
            ProjectionError::Overtaken(_) => Self::Overtaken,
            ProjectionError::Switched(_) => Self::Switched,
            ProjectionError::OtherFold { .. } | ProjectionError::NewerFold { .. } => {
                Self::Foreign(error.to_string())
            }
            error if error.is_final() => Self::Final(error.to_string()),
            error => Self::Away(error.to_string()),
        }
    }
}
