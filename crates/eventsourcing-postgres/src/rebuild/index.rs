//! Indexes, made after the rows: sorted at once, which is several times cheaper than row by row.

use eventsourcing::projection::Table;
use futures::{TryStreamExt as _, stream};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::build::Build;
use super::{Limits, RebuildError, Rebuilder};
use crate::deadline::lend;
use crate::projection::{ensure_key, indexes, key_index, schema};

/// Of one index, whatever a rebuild's own memory is.
const SORT_KILOBYTES_MAX: usize = 1024 * 1024;

/// How an index may be sorted.
#[derive(Clone, Copy)]
pub(super) struct Sort {
    pub(super) bytes: usize,
    /// Processes beside the one that is asked.
    pub(super) helpers: usize,
}

/// The primary key, where it is missing.
pub(super) async fn key(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
    sort: Sort,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sort.allow(&mut transaction).await?;
    ensure_key(&mut transaction, schema, table).await?;
    transaction.commit().await
}

/// All that are missing, as many at once as there are workers.
pub(super) async fn all(
    connection: &mut PgConnection,
    build: &Build<'_>,
    limits: &Limits,
) -> Result<(), RebuildError> {
    let Rebuilder { pool, projection, .. } = build.rebuilder;
    let table = &projection.table;
    let schema = schema(projection.name.as_str(), build.version);
    let mut missing = indexes(&schema, table);
    missing.insert(0, key_index(&schema, table));
    let workers = limits.workers.max(1);
    let at_once = workers.min(missing.len());
    let sort = Sort {
        bytes: limits.memory_bytes / at_once,
        helpers: workers / at_once - 1,
    };
    let create = async |sql: String| {
        let mut lent = lend(pool).await?;
        let mut transaction = lent.begin().await?;
        sort.allow(&mut transaction).await?;
        transaction.execute(AssertSqlSafe(sql)).await?;
        transaction.commit().await?;
        lent.give_back();
        Ok::<_, sqlx::Error>(())
    };
    stream::iter(missing.into_iter().map(Ok))
        .try_for_each_concurrent(at_once, create)
        .await?;
    Ok(ensure_key(connection, &schema, table).await?)
}

impl Sort {
    /// Until the transaction ends. More memory than the database gives by itself, never less: what does not fit goes
    /// through files, and so does whatever helpers sort. The commit waits for no disk, as that of the rows.
    async fn allow(self, transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
        let kilobytes = (self.bytes / 1024).min(SORT_KILOBYTES_MAX);
        sqlx::query(
            "SELECT set_config('maintenance_work_mem',
                 greatest(pg_size_bytes(current_setting('maintenance_work_mem')) / 1024, $1) || 'kB', true),
                 set_config('max_parallel_maintenance_workers', $2::text, true),
                 set_config('synchronous_commit', 'off', true)",
        )
        .bind(i64::try_from(kilobytes).unwrap_or(i64::MAX))
        .bind(i32::try_from(self.helpers).unwrap_or(i32::MAX).min(1024))
        .execute(transaction)
        .await
        .map(|_| ())
    }
}
