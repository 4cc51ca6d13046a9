//! Versions: which one is active, and the first one.

use eventsourcing::topic::Topic;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::generations::replaced;

use super::{Name, Projection, ProjectionError, create_table, ensure_key, indexes, point_view, schema};

/// The active version, its row locked against a switch until the transaction ends.
pub(crate) async fn active_version(
    connection: &mut PgConnection,
    projection: &str,
) -> Result<Option<i32>, sqlx::Error> {
    loop {
        let locked = sqlx::query_scalar(
            "SELECT version FROM daybook.projections WHERE name = $1 AND status = 'active' FOR SHARE",
        )
        .bind(projection)
        .fetch_optional(&mut *connection)
        .await?;
        // None, too, when it waited for a switch: the row it waited for is active no more, and the other one was not yet
        // when the statement began.
        if locked.is_some() || active(connection, projection).await?.is_none() {
            return Ok(locked);
        }
    }
}

/// The active version, whoever changes it meanwhile.
pub(crate) async fn active(connection: &mut PgConnection, name: &str) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar("SELECT version FROM daybook.projections WHERE name = $1 AND status = 'active'")
        .bind(name)
        .fetch_optional(connection)
        .await
}

/// Refuses a topic whose generation is no longer the shop's: its offsets are not those of the rows.
pub(crate) async fn refuse_replaced(
    connection: &mut PgConnection,
    projection: &Name,
    topic: &Topic,
) -> Result<(), ProjectionError> {
    match replaced(connection, topic).await? {
        Some(generation) => Err(ProjectionError::Replaced {
            projection: projection.clone(),
            generation,
        }),
        None => Ok(()),
    }
}

/// The active version; the first one is made when there is none.
pub(crate) async fn ensure_active(
    connection: &mut PgConnection,
    projection: &Projection,
) -> Result<i32, ProjectionError> {
    // Two projectors that start at once must not both make it.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("daybook.projection.{}", projection.name.as_str()))
        .execute(&mut *connection)
        .await?;
    if let Some(version) = active_version(&mut *connection, projection.name.as_str()).await? {
        // Two folds must never write one table. Readers keep what it shows until a rebuild.
        let made = fingerprint(connection, projection.name.as_str(), version).await?;
        return projection.own(version, made.as_deref()).map(|()| version);
    }
    let version: i32 = sqlx::query_scalar(
        "INSERT INTO daybook.projections (name, version, status)
         SELECT $1, coalesce(max(version), 0) + 1, 'active' FROM daybook.projections WHERE name = $1
         RETURNING version",
    )
    .bind(projection.name.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let schema = schema(projection.name.as_str(), version);
    record_fingerprint(&mut *connection, projection, version).await?;
    create_table(&mut *connection, &schema, &projection.table).await?;
    ensure_key(&mut *connection, &schema, &projection.table).await?;
    for index in indexes(&schema, &projection.table) {
        connection.execute(AssertSqlSafe(index)).await?;
    }
    point_view(&mut *connection, &schema, &projection.table).await?;
    Ok(version)
}

/// What made a version; `None` when it is from before fingerprints were kept.
pub(crate) async fn fingerprint(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT fingerprint FROM daybook.projection_folds WHERE name = $1 AND version = $2")
        .bind(projection)
        .bind(version)
        .fetch_optional(connection)
        .await
}

/// Notes that this projection makes a version.
pub(crate) async fn record_fingerprint(
    connection: &mut PgConnection,
    projection: &Projection,
    version: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO daybook.projection_folds (name, version, fingerprint) VALUES ($1, $2, $3)")
        .bind(projection.name.as_str())
        .bind(version)
        .bind(projection.fingerprint())
        .execute(connection)
        .await
        .map(|_| ())
}
