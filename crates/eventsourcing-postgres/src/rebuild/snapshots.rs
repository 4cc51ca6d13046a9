//! The snapshots that are there: each has a row in `daybook.snapshots`, one active version, and a view in `read`.

use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use time::OffsetDateTime;

use eventsourcing::ids::Offset;
use eventsourcing::position::{Position, Positions};
use eventsourcing::topic::Topic;

use super::snapshot::Built;
use super::switch::{LOCK_TIMEOUT, RETRY_PAUSE, TRIES_MAX};
use super::{RebuildError, versions};
use crate::deadline::is_lock;
use crate::projection::{Filter, Name, Projection, point_view_at, schema};

/// Of one read model.
pub(super) const SNAPSHOTS_MAX: i64 = 100;
/// How long removing one waits for its readers.
const REMOVE_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// Refuses one more than there may be.
pub(super) async fn refuse_another(connection: &mut PgConnection, name: &Name) -> Result<(), RebuildError> {
    let others: i64 =
        sqlx::query_scalar("SELECT count(*) FROM daybook.snapshots WHERE projection = $1 AND name <> $2")
            .bind(name.base())
            .bind(name.as_str())
            .fetch_one(connection)
            .await?;
    if others >= SNAPSHOTS_MAX {
        return Err(RebuildError::TooManySnapshots(name.base()));
    }
    Ok(())
}

/// Events of a version that could not be applied, and of how many keys they are.
pub(super) async fn parked(
    connection: &mut PgConnection,
    name: &str,
    version: i32,
) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "SELECT count(*), count(DISTINCT (partition, key)) FROM daybook.parked_events
         WHERE projection = $1 AND version = $2",
    )
    .bind(name)
    .bind(version)
    .fetch_one(connection)
    .await
}

/// Puts a version that is built in its place, and in that of the one before it. Readers see the one or the other.
pub(super) async fn put(
    connection: &mut PgConnection,
    projection: &Projection,
    filter: &Filter,
    built: &Built,
) -> Result<(), RebuildError> {
    let name = &projection.name;
    for _ in 0..TRIES_MAX {
        match attempt(&mut *connection, projection, filter, built).await {
            Err(error) if is_lock(&error) => {
                tracing::info!(projection = name.as_str(), %error, "the snapshot waits for readers");
            }
            outcome => return Ok(outcome?),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Err(RebuildError::InUse(name.clone()))
}

async fn attempt(
    connection: &mut PgConnection,
    projection: &Projection,
    filter: &Filter,
    built: &Built,
) -> Result<(), sqlx::Error> {
    let name = projection.name.as_str();
    let mut transaction = connection.begin().await?;
    transaction.execute(LOCK_TIMEOUT).await?;
    sqlx::query("UPDATE daybook.projections SET status = 'retired' WHERE name = $1 AND status = 'active'")
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE daybook.projections SET status = 'active' WHERE name = $1 AND version = $2")
        .bind(name)
        .bind(built.version)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO daybook.snapshots (name, projection, as_of, only_types, rows, events)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name) DO UPDATE SET only_types = EXCLUDED.only_types, rows = EXCLUDED.rows,
             events = EXCLUDED.events, built_at = now()",
    )
    .bind(name)
    .bind(projection.name.base())
    .bind(filter.as_of)
    .bind(&filter.only)
    .bind(built.rows)
    .bind(built.events.cast_signed())
    .execute(&mut *transaction)
    .await?;
    // Last: from here on readers wait.
    point_view_at(
        &mut transaction,
        name,
        &schema(name, built.version),
        &projection.table,
    )
    .await?;
    transaction.commit().await
}

/// Removes the versions that were replaced. One that is in use stays until the next time: that is no error.
pub(super) async fn discard_replaced(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    for version in versions::retired(&mut *connection, name).await? {
        if let Err(error) = versions::discard(&mut *connection, name, version).await {
            tracing::warn!(projection = name, version, %error, "a replaced snapshot stays until the next one");
        }
    }
    Ok(())
}

/// Removes a snapshot with everything that belongs to it; whether there was one, or the beginning of one.
pub(super) async fn remove(
    connection: &mut PgConnection,
    projection: &Projection,
) -> Result<bool, sqlx::Error> {
    let name = projection.name.as_str();
    let mut transaction = connection.begin().await?;
    transaction.execute(REMOVE_LOCK_TIMEOUT).await?;
    let view = format!("DROP VIEW IF EXISTS read.{name}");
    transaction.execute(AssertSqlSafe(view)).await?;
    sqlx::query("DELETE FROM daybook.snapshots WHERE name = $1")
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    let all: Vec<i32> = sqlx::query_scalar("SELECT version FROM daybook.projections WHERE name = $1")
        .bind(name)
        .fetch_all(&mut *transaction)
        .await?;
    for version in &all {
        versions::discard(&mut transaction, name, *version).await?;
    }
    transaction.commit().await?;
    Ok(!all.is_empty())
}

/// A snapshot that is there.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// Of which read model.
    pub projection: String,
    /// The instant.
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
    /// The types of events it is made of; of all without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// Its rows.
    pub rows: i64,
    /// The events that counted.
    pub events: i64,
    /// Events that could not be applied.
    pub parked_events: i64,
    /// How many keys, and so rows, lack them.
    pub parked_keys: i64,
    /// What of the log was looked at.
    pub position: String,
    /// Whether this build would fold it the same way.
    pub same_fold: bool,
    /// When it was built.
    #[serde(with = "time::serde::rfc3339")]
    pub built_at: OffsetDateTime,
}

type KeptRow = (
    String,
    i32,
    String,
    OffsetDateTime,
    Option<Vec<String>>,
    i64,
    i64,
    OffsetDateTime,
    String,
);

/// All snapshots, by read model and instant.
pub async fn snapshots(pool: &PgPool, read_models: &[Projection]) -> Result<Vec<Kept>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let rows: Vec<KeptRow> = sqlx::query_as(
        "SELECT s.name, p.version, s.projection, s.as_of, s.only_types, s.rows, s.events, s.built_at, f.fingerprint
         FROM daybook.snapshots s
         JOIN daybook.projections p ON p.name = s.name AND p.status = 'active'
         JOIN daybook.projection_folds f ON f.name = p.name AND f.version = p.version
         ORDER BY s.projection, s.as_of",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for (name, version, projection, as_of, only, rows, events, built_at, made) in rows {
        let (parked_events, parked_keys) = parked(&mut connection, &name, version).await?;
        let position = positions(&mut connection, &name, version).await?;
        all.push(Kept {
            same_fold: same_fold(read_models, &projection, as_of, only.as_deref(), &made),
            projection,
            as_of,
            only,
            rows,
            events,
            parked_events,
            parked_keys,
            position: position.to_string(),
            built_at,
        });
    }
    Ok(all)
}

fn same_fold(
    read_models: &[Projection],
    projection: &str,
    as_of: OffsetDateTime,
    only: Option<&[String]>,
    made: &str,
) -> bool {
    let Some(projection) = read_models.iter().find(|known| known.name() == projection) else {
        return false;
    };
    let known = |asked: &String| {
        projection
            .event_types()
            .iter()
            .find(|known| *known == asked)
            .copied()
    };
    let only = only.map(|types| types.iter().map(known).collect::<Option<Vec<_>>>());
    let only = match only {
        None => None,
        Some(Some(types)) => Some(types),
        // A type that this build does not have.
        Some(None) => return false,
    };
    projection.filtered(Filter { as_of, only }).fingerprint() == made
}

async fn positions(
    connection: &mut PgConnection,
    name: &str,
    version: i32,
) -> Result<Positions, sqlx::Error> {
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(
        r#"SELECT topic, partition, "offset" FROM daybook.checkpoints
           WHERE projection = $1 AND version = $2 AND "offset" >= 0"#,
    )
    .bind(name)
    .bind(version)
    .fetch_all(connection)
    .await?;
    let position = |(topic, partition, offset): (String, i32, i64)| Position {
        service: Topic::named(&topic).service().to_owned(),
        partition: partition.cast_unsigned(),
        offset: Offset(offset.cast_unsigned()),
    };
    Ok(rows.into_iter().map(position).collect())
}
