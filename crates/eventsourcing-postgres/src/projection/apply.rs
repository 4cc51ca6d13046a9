//! One batch, one transaction: checkpoint and rows, or neither.

use std::collections::HashSet;

use eventsourcing::readers::{Event, Key, Move, Scanned};
use eventsourcing::topic::Topic;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::fold::Parked;
use super::{Projection, ProjectionError, active_version, checkpoint, schema, skipped};

/// A projector that is frozen in the midst of its transaction holds the checkpoint's row: the server ends
/// its session after this, so that whoever has the partition by then can go on.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// A transaction of a projector; not inside another one.
pub(crate) async fn begin(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    connection.begin_with(BEGIN).await
}

/// How much is written at a time.
#[derive(Clone, Copy)]
enum Pace {
    /// All of the batch.
    Batch,
    /// One event after the other: what the database refuses is parked alone.
    Event,
}

/// Applies a scanned batch to a version in a transaction of its own (a savepoint, inside another one);
/// with `live`, only while the version is the active one. What the database refuses of an event's data
/// is parked like what the fold refuses.
pub(crate) async fn transact(
    connection: &mut PgConnection,
    projection: &Projection,
    version: i32,
    topic: &Topic,
    scanned: &Scanned,
    live: bool,
) -> Result<(), ProjectionError> {
    let applied = attempt(
        &mut *connection,
        projection,
        version,
        topic,
        scanned,
        live,
        Pace::Batch,
    )
    .await;
    let Err(error) = applied else { return Ok(()) };
    if !error.is_data() {
        return Err(error);
    }
    tracing::warn!(projection = projection.name.as_str(), %error, "a batch is refused: its events one by one");
    match attempt(connection, projection, version, topic, scanned, live, Pace::Event).await {
        Err(ProjectionError::Database(source)) if ProjectionError::is_data_of(&source) => {
            let first = scanned.moves.first();
            let place = first
                .map(|Move { partition, from, .. }| format!("{}@{}", topic.partition(*partition), from.next));
            Err(ProjectionError::Halted {
                projection: projection.name.clone(),
                place: place.unwrap_or_default(),
                source,
            })
        }
        outcome => outcome,
    }
}

async fn attempt(
    connection: &mut PgConnection,
    projection: &Projection,
    version: i32,
    topic: &Topic,
    scanned: &Scanned,
    live: bool,
    pace: Pace,
) -> Result<(), ProjectionError> {
    let mut transaction = if live {
        begin(connection).await?
    } else {
        connection.begin().await?
    };
    let name = projection.name.as_str();
    if live && active_version(&mut transaction, name).await? != Some(version) {
        return Err(ProjectionError::Switched(projection.name.clone()));
    }
    if !checkpoint::advance(&mut transaction, name, version, topic, &scanned.moves).await? {
        return Err(ProjectionError::Overtaken(projection.name.clone()));
    }
    let skipped = skipped::among(&mut transaction, projection.name.base(), topic, &scanned.events).await?;
    let events = &*skipped.leave_out(&scanned.events);
    let keys = events.iter().map(Event::key).collect();
    let already = parked_keys(&mut transaction, name, version, keys).await?;
    let schema = schema(name, version);
    let parked = match pace {
        Pace::Batch => {
            projection
                .fold
                .apply(&mut transaction, &schema, events, already)
                .await?
        }
        Pace::Event => one_by_one(&mut transaction, projection, &schema, events, already).await?,
    };
    park(&mut transaction, projection, version, &parked).await?;
    sqlx::query("SELECT pg_notify('daybook_checkpoints', $1)")
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

/// Each in a savepoint: what the database refuses of an event is returned like what the fold refuses.
pub(crate) async fn one_by_one(
    connection: &mut PgConnection,
    projection: &Projection,
    schema: &str,
    events: &[Event],
    mut parked_keys: HashSet<Key>,
) -> Result<Vec<Parked>, ProjectionError> {
    let mut parked = Vec::new();
    for event in events {
        let mut savepoint = connection.begin().await?;
        let fold = projection.fold.apply(
            &mut savepoint,
            schema,
            std::slice::from_ref(event),
            parked_keys.clone(),
        );
        match fold.await {
            Ok(refused) => {
                savepoint.commit().await?;
                parked_keys.extend(refused.iter().map(|_| event.key()));
                parked.extend(refused);
            }
            Err(error) if error.is_data() => {
                savepoint.rollback().await?;
                parked_keys.insert(event.key());
                parked.push(Parked {
                    stored: event.stored.clone(),
                    error: error.to_string(),
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(parked)
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

/// Sets aside what could not be applied, where the policy is not to halt.
pub(crate) async fn park(
    connection: &mut PgConnection,
    projection: &Projection,
    version: i32,
    parked: &[Parked],
) -> Result<(), ProjectionError> {
    projection.tolerate(parked)?;
    let projection = projection.name.as_str();
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
