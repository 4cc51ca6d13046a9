//! The versions around a rebuild: the live one, the new one, those that go.

use eventsourcing::projection::Table;
use eventsourcing::topic::Topic;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::projection::{Projection, create_table, ensure_key, record_fingerprint, schema};

/// How long dropping an old version waits for its readers; then it stays until the next rebuild.
const DROP_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// The version of an interrupted rebuild by this very fold and from this very topic.
pub(super) async fn resumable(
    connection: &mut PgConnection,
    projection: &Projection,
    topic: &Topic,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT p.version FROM daybook.projections p JOIN daybook.projection_folds f USING (name, version)
         WHERE p.name = $1 AND p.status = 'building' AND f.fingerprint = $2 AND NOT EXISTS (
             SELECT FROM daybook.checkpoints c WHERE c.projection = p.name AND c.version = p.version AND c.topic <> $3)
         ORDER BY version DESC LIMIT 1",
    )
    .bind(projection.name.as_str())
    .bind(projection.fingerprint())
    .bind(topic.as_str())
    .fetch_optional(connection)
    .await
}

/// Removes what rebuilds left that did not end, but for `kept`; how many there were.
async fn discard_all_but(
    connection: &mut PgConnection,
    name: &str,
    kept: Option<i32>,
) -> Result<u64, sqlx::Error> {
    let dead: Vec<i32> = sqlx::query_scalar(
        "SELECT version FROM daybook.projections WHERE name = $1 AND status = 'building' AND version IS DISTINCT FROM $2",
    )
    .bind(name)
    .bind(kept)
    .fetch_all(&mut *connection)
    .await?;
    for version in &dead {
        discard(&mut *connection, name, *version).await?;
    }
    Ok(dead.len() as u64)
}

/// Removes what rebuilds left that did not end; how many there were.
pub(super) async fn discard_unfinished(
    connection: &mut PgConnection,
    name: &str,
) -> Result<u64, sqlx::Error> {
    discard_all_but(connection, name, None).await
}

/// The version to build: that of an interrupted rebuild, or a new one, whose table has no key yet.
pub(super) async fn begin(
    connection: &mut PgConnection,
    projection: &Projection,
    topic: &Topic,
) -> Result<i32, sqlx::Error> {
    let resumed = resumable(&mut *connection, projection, topic).await?;
    discard_all_but(&mut *connection, projection.name.as_str(), resumed).await?;
    if let Some(version) = resumed {
        let schema = schema(projection.name.as_str(), version);
        ensure_key(&mut *connection, &schema, &projection.table).await?;
        return Ok(version);
    }
    let mut transaction = connection.begin().await?;
    let version: i32 = sqlx::query_scalar(
        "INSERT INTO daybook.projections (name, version, status)
         SELECT $1, coalesce(max(version), 0) + 1, 'building' FROM daybook.projections WHERE name = $1 RETURNING version",
    )
    .bind(projection.name.as_str())
    .fetch_one(&mut *transaction)
    .await?;
    record_fingerprint(&mut transaction, projection, version).await?;
    create_table(
        &mut transaction,
        &schema(projection.name.as_str(), version),
        &projection.table,
    )
    .await?;
    transaction.commit().await?;
    Ok(version)
}

/// The versions that were live before, the latest first.
pub(super) async fn retired(connection: &mut PgConnection, name: &str) -> Result<Vec<i32>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT version FROM daybook.projections LEFT JOIN daybook.projection_retirements USING (name, version)
         WHERE name = $1 AND status = 'retired' ORDER BY retired_at DESC NULLS LAST, version DESC",
    )
    .bind(name)
    .fetch_all(connection)
    .await
}

/// Drops the retired versions but the latest, which a roll-back would need. One that is in use stays
/// until the next rebuild: the switch is done, so that is no error.
pub(super) async fn retire_old(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let old = retired(&mut *connection, name).await?;
    for version in old.into_iter().skip(1) {
        if let Err(error) = discard(&mut *connection, name, version).await {
            tracing::warn!(projection = name, version, %error, "an old version stays until the next rebuild");
        }
    }
    Ok(())
}

/// Removes the version of a rebuild that failed; what fails here too is left to the next one.
pub(super) async fn discard_failed(connection: &mut PgConnection, name: &str, version: i32) {
    if let Err(error) = discard(connection, name, version).await {
        tracing::warn!(projection = name, version, %error, "the next rebuild clears this version");
    }
}

/// Removes a version with everything that belongs to it.
pub(super) async fn discard(
    connection: &mut PgConnection,
    name: &str,
    version: i32,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    transaction.execute(DROP_LOCK_TIMEOUT).await?;
    let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(name, version));
    transaction.execute(AssertSqlSafe(drop)).await?;
    for sql in [
        "DELETE FROM daybook.checkpoints WHERE projection = $1 AND version = $2",
        "DELETE FROM daybook.parked_events WHERE projection = $1 AND version = $2",
        "DELETE FROM daybook.projection_folds WHERE name = $1 AND version = $2",
        "DELETE FROM daybook.projection_retirements WHERE name = $1 AND version = $2",
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

/// The rows of a version.
pub(super) async fn rows(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
) -> Result<i64, sqlx::Error> {
    let count = format!("SELECT count(*) FROM {schema}.{}", table.name);
    sqlx::query_scalar(AssertSqlSafe(count))
        .fetch_one(connection)
        .await
}
