//! One batch, one transaction: checkpoint and rows, or neither.

use std::collections::HashSet;

use eventsourcing::topic::Topic;
use sqlx::PgConnection;

use super::fold::Parked;
use super::scan::{Event, Key, Scanned};
use super::{Projection, ProjectionError, checkpoint, schema};

/// Applies a scanned batch to a version, inside the caller's transaction.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    projection: &Projection,
    version: i32,
    topic: &Topic,
    scanned: Scanned,
) -> Result<(), ProjectionError> {
    let Scanned { events, moves } = scanned;
    if !checkpoint::advance(&mut *connection, projection.name, version, topic, &moves).await? {
        return Err(ProjectionError::Overtaken(projection.name));
    }
    let keys = events.iter().map(Event::key).collect();
    let already = parked_keys(&mut *connection, projection.name, version, keys).await?;
    let schema = schema(projection.name, version);
    let parked = projection
        .fold
        .apply(&mut *connection, &schema, events, already)
        .await?;
    park(&mut *connection, projection.name, version, &parked).await?;
    sqlx::query("SELECT pg_notify('daybook_checkpoints', $1)")
        .bind(projection.name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Which of these keys have an event parked: whatever follows must wait behind it.
async fn parked_keys(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
    keys: Vec<Key>,
) -> Result<HashSet<Key>, sqlx::Error> {
    let (partitions, keys): (Vec<i32>, Vec<String>) = keys
        .into_iter()
        .map(|(partition, key)| (partition.cast_signed(), key))
        .unzip();
    let parked: Vec<(i32, String)> = sqlx::query_as(
        "SELECT DISTINCT partition, key FROM daybook.parked_events
         WHERE projection = $1 AND version = $2
           AND (partition, key) IN (SELECT * FROM UNNEST($3::integer[], $4::text[]))",
    )
    .bind(projection)
    .bind(version)
    .bind(partitions)
    .bind(keys)
    .fetch_all(connection)
    .await?;
    Ok(parked
        .into_iter()
        .map(|(partition, key)| (partition.cast_unsigned(), key))
        .collect())
}

async fn park(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
    parked: &[Parked],
) -> Result<(), sqlx::Error> {
    for Parked { stored, error } in parked {
        tracing::error!(projection, at = %stored.at, offset = %stored.offset, error, "event parked");
        metrics::counter!("daybook_projection_parked_events_total", "projection" => projection.to_owned())
            .increment(1);
        sqlx::query(
            r#"INSERT INTO daybook.parked_events (projection, version, topic, partition, "offset", key, error)
               VALUES ($1, $2, $3, $4, $5, $6, $7)"#,
        )
        .bind(projection)
        .bind(version)
        .bind(stored.at.topic.as_str())
        .bind(stored.at.partition.cast_signed())
        .bind(stored.offset.0.cast_signed())
        .bind(String::from_utf8_lossy(&stored.record.key).replace('\0', "\u{fffd}"))
        .bind(error.replace('\0', "\u{fffd}"))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
