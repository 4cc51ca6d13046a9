//! Rebuild: the same fold from offset 0 into a new version beside the live one, caught up, compared
//! row for row at the same checkpoint, and switched in one transaction. Killed at any point it leaves
//! the live version as it was; the next rebuild clears what was left.

use std::collections::BTreeMap;
use std::sync::Arc;

use eventsourcing::ids::Offset;
use eventsourcing::log::Log;
use eventsourcing::topic::Topic;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use thiserror::Error;

use crate::projection::{
    Checkpoint, Projection, ProjectionError, Scan, apply, create_indexes, create_table, point_view, schema,
};

mod compare;

/// Records folded in one transaction.
const BATCH_RECORDS_MAX: usize = 5_000;

/// Why a rebuild did not switch. The live version is as before.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// There is nothing to rebuild.
    #[error("the projection {0} has no live version yet; it is built when `daybook projections` first runs")]
    NoLiveVersion(&'static str),
    /// Another rebuild of it is running.
    #[error("another rebuild of {0} is running")]
    Running(&'static str),
    /// The rebuilt rows are not the live ones.
    #[error("the rebuilt {projection} differs from the live one, which stays: {}", examples.join("; "))]
    Differs {
        /// Which projection.
        projection: &'static str,
        /// The first rows that differ.
        examples: Vec<String>,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Projection(error.into())
    }
}

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The version that is live now.
    pub version: i32,
    /// Its rows, equal to the ones before.
    pub rows: i64,
    /// Records read.
    pub records: u64,
}

/// Rebuilds one projection. `progress` gets records done and records to do.
pub async fn rebuild(
    pool: &PgPool,
    log: &Arc<dyn Log>,
    prefix: &str,
    projection: &Projection,
    progress: impl Fn(u64, u64) + Send + Sync,
) -> Result<Rebuilt, RebuildError> {
    // A session of its own: its advisory lock goes with it, however this ends.
    let mut connection = pool.acquire().await?.detach();
    let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 1))")
        .bind(format!("daybook.rebuild.{}", projection.name))
        .fetch_one(&mut connection)
        .await?;
    if !locked {
        return Err(RebuildError::Running(projection.name));
    }
    let topic = Topic::events(prefix, projection.service);
    let live = live_version(&mut connection, projection.name)
        .await?
        .ok_or(RebuildError::NoLiveVersion(projection.name))?;
    let version = begin(&mut connection, projection).await?;
    let mut build = Build {
        log,
        projection,
        topic,
        live,
        version,
        scan: Scan {
            checkpoints: BTreeMap::new(),
        },
        records: 0,
    };
    build.catch_up(&mut connection, &progress).await?;
    create_indexes(
        &mut connection,
        &schema(projection.name, version),
        &projection.table,
    )
    .await?;
    build.catch_up(&mut connection, &progress).await?;
    let outcome = build.switch(&mut connection).await;
    if outcome.is_err() {
        discard(&mut connection, projection.name, version).await?;
    }
    connection.close().await?;
    outcome
}

async fn live_version(connection: &mut PgConnection, name: &str) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar("SELECT version FROM daybook.projections WHERE name = $1 AND status = 'active'")
        .bind(name)
        .fetch_optional(connection)
        .await
}

/// Clears what a dead rebuild left, and makes the new version.
async fn begin(connection: &mut PgConnection, projection: &Projection) -> Result<i32, sqlx::Error> {
    let dead: Vec<i32> =
        sqlx::query_scalar("SELECT version FROM daybook.projections WHERE name = $1 AND status = 'building'")
            .bind(projection.name)
            .fetch_all(&mut *connection)
            .await?;
    for version in dead {
        discard(&mut *connection, projection.name, version).await?;
    }
    let mut transaction = connection.begin().await?;
    let version: i32 = sqlx::query_scalar(
        "INSERT INTO daybook.projections (name, version, status)
         SELECT $1, max(version) + 1, 'building' FROM daybook.projections WHERE name = $1 RETURNING version",
    )
    .bind(projection.name)
    .fetch_one(&mut *transaction)
    .await?;
    create_table(
        &mut transaction,
        &schema(projection.name, version),
        &projection.table,
    )
    .await?;
    transaction.commit().await?;
    Ok(version)
}

/// Removes a version with everything that belongs to it.
async fn discard(connection: &mut PgConnection, name: &str, version: i32) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(name, version));
    transaction.execute(AssertSqlSafe(drop)).await?;
    for sql in [
        "DELETE FROM daybook.checkpoints WHERE projection = $1 AND version = $2",
        "DELETE FROM daybook.parked_events WHERE projection = $1 AND version = $2",
        "DELETE FROM daybook.projections WHERE name = $1 AND version = $2",
    ] {
        sqlx::query(sql)
            .bind(name)
            .bind(version)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

struct Build<'a> {
    log: &'a Arc<dyn Log>,
    projection: &'a Projection,
    topic: Topic,
    live: i32,
    version: i32,
    scan: Scan,
    records: u64,
}

impl Build<'_> {
    async fn checkpoints(
        &self,
        connection: &mut PgConnection,
        version: i32,
    ) -> Result<BTreeMap<u32, Checkpoint>, RebuildError> {
        let partitions = self
            .log
            .partitions(&self.topic)
            .await
            .map_err(ProjectionError::from)?;
        let name = self.projection.name;
        Ok(crate::projection::load_checkpoints(connection, name, version, &self.topic, partitions).await?)
    }

    /// Folds up to where the live version stands, each batch in a transaction of its own.
    async fn catch_up(
        &mut self,
        connection: &mut PgConnection,
        progress: &(impl Fn(u64, u64) + Send + Sync),
    ) -> Result<(), RebuildError> {
        let targets = self.checkpoints(connection, self.live).await?;
        self.scan.checkpoints = self.checkpoints(connection, self.version).await?;
        self.fold_to(connection, &targets, progress).await
    }

    /// Folds up to `targets`. The nested transaction is a savepoint when one is open already.
    async fn fold_to(
        &mut self,
        connection: &mut PgConnection,
        targets: &BTreeMap<u32, Checkpoint>,
        progress: &(impl Fn(u64, u64) + Send + Sync),
    ) -> Result<(), RebuildError> {
        let missing = |scan: &Scan| -> u64 {
            let behind = |(partition, target): (&u32, &Checkpoint)| {
                let here = scan
                    .checkpoints
                    .get(partition)
                    .map_or(Offset(0), |checkpoint| checkpoint.next);
                target.next.0.saturating_sub(here.0)
            };
            targets.iter().map(behind).sum()
        };
        let total = self.records + missing(&self.scan);
        if missing(&self.scan) == 0 {
            return Ok(());
        }
        let from = self
            .scan
            .checkpoints
            .iter()
            .map(|(number, at)| (self.topic.partition(*number), at.next));
        let mut reader = self
            .log
            .reader(from.collect())
            .await
            .map_err(ProjectionError::from)?;
        while missing(&self.scan) > 0 {
            let mut records = reader
                .next(BATCH_RECORDS_MAX)
                .await
                .map_err(ProjectionError::from)?;
            // Never ahead of the live version: the comparison needs both at the same place.
            records.retain(|stored| {
                targets
                    .get(&stored.at.partition)
                    .is_some_and(|target| stored.offset < target.next)
            });
            let count = records.len() as u64;
            let scanned = self.scan.judge(records);
            if scanned.moves.is_empty() {
                continue;
            }
            let moves = scanned.moves.clone();
            let mut transaction = connection.begin().await?;
            apply(
                &mut transaction,
                self.projection,
                self.version,
                &self.topic,
                scanned,
            )
            .await?;
            transaction.commit().await?;
            self.scan.moved(&moves);
            self.records += count;
            progress(self.records, total);
        }
        Ok(())
    }

    /// Holds the live version still, folds the rest, compares, and switches.
    async fn switch(&mut self, connection: &mut PgConnection) -> Result<Rebuilt, RebuildError> {
        let name = self.projection.name;
        let mut transaction = connection.begin().await?;
        // The live projector takes this row FOR SHARE in each of its transactions.
        sqlx::query("SELECT 1 FROM daybook.projections WHERE name = $1 AND status = 'active' FOR UPDATE")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        let targets = self.checkpoints(&mut transaction, self.live).await?;
        self.fold_to(&mut transaction, &targets, &|_, _| ()).await?;
        let (live, rebuilt) = (schema(name, self.live), schema(name, self.version));
        let table = &self.projection.table;
        let rows = match compare::compare(&mut transaction, &live, &rebuilt, table).await? {
            Ok(rows) => rows,
            Err(examples) => {
                return Err(RebuildError::Differs {
                    projection: name,
                    examples,
                });
            }
        };
        for (version, status) in [(self.live, "retired"), (self.version, "active")] {
            sqlx::query("UPDATE daybook.projections SET status = $3 WHERE name = $1 AND version = $2")
                .bind(name)
                .bind(version)
                .bind(status)
                .execute(&mut *transaction)
                .await?;
        }
        point_view(&mut transaction, &rebuilt, table).await?;
        sqlx::query("SELECT pg_notify('daybook_checkpoints', $1)")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Rebuilt {
            version: self.version,
            rows,
            records: self.records,
        })
    }
}
