//! The engine's port to rows and checkpoints, on PostgreSQL: one transaction for each batch, in bounded time.

use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::projection::read_model::{Prepared, ReadModel, ReadModelError, Started};
use eventsourcing::readers::Scanned;
use eventsourcing::topic::Topic;
use sqlx::{PgConnection, PgPool};

use super::ahead::{Ahead, Folded};
use super::{Batch, Projection, ProjectionError, begin, checkpoint, ensure_active, refuse_replaced};
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
    ahead: Ahead,
}

impl PostgresReadModel {
    /// The rows of `projection` in the database of `pool`.
    #[must_use]
    pub fn new(pool: PgPool, projection: Projection, config: Config) -> Self {
        Self {
            pool,
            projection,
            config,
            ahead: Ahead::default(),
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
        self.ahead.begin().await;
        self.look(topic, partitions).await
    }

    async fn look(&self, topic: &Topic, partitions: u32) -> Result<Started, ReadModelError> {
        let look = async |connection: &mut PgConnection| {
            let mut transaction = begin(connection).await?;
            let version = ensure_active(&mut transaction, &self.projection).await?;
            let name = &self.projection.name;
            let checkpoints =
                checkpoint::load(&mut transaction, name.as_str(), version, topic, partitions).await?;
            refuse_replaced(&mut transaction, name, topic).await?;
            transaction.commit().await?;
            Ok(Started { version, checkpoints })
        };
        Ok(self.on_database(look).await?)
    }

    async fn prepare(&self, _: &Topic, version: i32, scanned: Scanned) -> Result<Prepared, ReadModelError> {
        // Before a connection is taken: who waits here is waited for by nobody who needs one.
        self.ahead.ready(&self.projection).await;
        let fold = async |connection: &mut PgConnection| {
            self.ahead
                .fold(connection, &self.projection, version, &scanned.events)
                .await
        };
        let folded = self.on_database(fold).await?;
        Ok(Prepared {
            scanned,
            ahead: folded.map(|folded| Box::new(folded) as _),
        })
    }

    async fn apply(&self, topic: &Topic, version: i32, batch: Prepared) -> Result<(), ReadModelError> {
        let Prepared { scanned, ahead } = batch;
        let batch = Batch {
            projection: &self.projection,
            version,
            topic,
            scanned: &scanned,
        };
        let folded = ahead.and_then(|ahead| ahead.downcast::<Folded>().ok());
        let apply = async |connection: &mut PgConnection| {
            let folded = folded.map(|folded| *folded);
            batch.apply_live(connection, &self.ahead, folded).await
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
