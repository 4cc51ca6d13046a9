//! One batch, one transaction: checkpoint and rows, or neither.

use std::collections::HashSet;

use eventsourcing::readers::{Event, Key, Move, Scanned};
use eventsourcing::topic::Topic;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::ahead::{Ahead, Folded};
use super::beside::Beside;
use super::fold::Parked;
use super::{Projection, ProjectionError, Writing, active, checkpoint, schema};

/// A projector that is frozen in the midst of its transaction holds the checkpoint's row: the server ends
/// its session after this, so that whoever has the partition by then can go on.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// A live batch waits for no disk, too: should the server crash, the rows of the last moments are lost together with
/// their checkpoints, and are folded again from the log.
const BEGIN_LIVE: &str =
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL synchronous_commit = off";

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

/// A batch on its way into a version.
pub(crate) struct Batch<'a> {
    pub(crate) projection: &'a Projection,
    pub(crate) version: i32,
    pub(crate) topic: &'a Topic,
    pub(crate) scanned: &'a Scanned,
}

impl Batch<'_> {
    /// Applies it in a transaction of its own (a savepoint, inside another one). What the database refuses of an event's
    /// data is parked like what the fold refuses.
    pub(crate) async fn apply(&self, connection: &mut PgConnection) -> Result<(), ProjectionError> {
        match self.attempt(&mut *connection, Pace::Batch).await {
            Err(error) if error.is_data() => self.event_by_event(connection, error, None).await,
            outcome => outcome,
        }
    }

    /// The same only while the version is the active one, by what was folded ahead as far as that holds.
    pub(super) async fn apply_live(
        &self,
        connection: &mut PgConnection,
        ahead: &Ahead,
        folded: Option<Folded>,
    ) -> Result<(), ProjectionError> {
        match self
            .attempt_live(&mut *connection, ahead, folded, Pace::Batch)
            .await
        {
            Err(error) if error.is_data() => self.event_by_event(connection, error, Some(ahead)).await,
            outcome => outcome,
        }
    }

    async fn event_by_event(
        &self,
        connection: &mut PgConnection,
        error: ProjectionError,
        live: Option<&Ahead>,
    ) -> Result<(), ProjectionError> {
        let projection = &self.projection.name;
        tracing::warn!(projection = projection.as_str(), %error, "a batch is refused: its events one by one");
        let outcome = match live {
            Some(ahead) => self.attempt_live(connection, ahead, None, Pace::Event).await,
            None => self.attempt(connection, Pace::Event).await,
        };
        match outcome {
            Err(ProjectionError::Database(source)) if ProjectionError::is_data_of(&source) => {
                let first = self.scanned.moves.first();
                let place = |Move { partition, from, .. }: &Move| {
                    format!("{}@{}", self.topic.partition(*partition), from.next)
                };
                Err(ProjectionError::Halted {
                    projection: projection.clone(),
                    place: first.map(place).unwrap_or_default(),
                    source,
                })
            }
            outcome => outcome,
        }
    }

    async fn attempt(&self, connection: &mut PgConnection, pace: Pace) -> Result<(), ProjectionError> {
        let mut transaction = connection.begin().await?;
        if !checkpoint::advance(&mut transaction, self.version_of(), &self.scanned.moves).await? {
            return Err(ProjectionError::Overtaken(self.projection.name.clone()));
        }
        let beside = Beside::look(&mut transaction, self, None).await?;
        self.fold(&mut transaction, &beside, pace).await?;
        Ok(transaction.commit().await?)
    }

    async fn attempt_live(
        &self,
        connection: &mut PgConnection,
        ahead: &Ahead,
        folded: Option<Folded>,
        pace: Pace,
    ) -> Result<(), ProjectionError> {
        let name = &self.projection.name;
        let mut transaction = connection.begin_with(BEGIN_LIVE).await?;
        if !checkpoint::advance_active(&mut transaction, self.version_of(), &self.scanned.moves).await? {
            let active = active(&mut transaction, name.as_str()).await?;
            return Err(if active == Some(self.version) {
                ProjectionError::Overtaken(name.clone())
            } else {
                ProjectionError::Switched(name.clone())
            });
        }
        let told = checkpoint::told(name.as_str(), self.topic, &self.scanned.moves);
        let beside = Beside::look(&mut transaction, self, Some(told)).await?;
        let rows = ahead.holding(folded, beside.is_any());
        let plainly = rows.is_none();
        match rows {
            Some(rows) => {
                let schema = schema(name.as_str(), self.version);
                rows.write(&mut transaction, &schema, Writing::Copy).await?;
            }
            None => self.fold(&mut transaction, &beside, pace).await?,
        }
        transaction.commit().await?;
        ahead.written(plainly, beside.is_any());
        Ok(())
    }

    /// Folds it plainly, from the table.
    async fn fold(
        &self,
        transaction: &mut PgConnection,
        beside: &Beside<'_>,
        pace: Pace,
    ) -> Result<(), ProjectionError> {
        let skipped = beside.skipped(&mut *transaction).await?;
        let events = &*skipped.leave_out(&self.scanned.events);
        let already = beside.parked_keys(&mut *transaction, events).await?;
        let schema = schema(self.projection.name.as_str(), self.version);
        let parked = match pace {
            Pace::Batch => {
                let fold = &self.projection.fold;
                fold.apply(&mut *transaction, &schema, events, already).await?
            }
            Pace::Event => one_by_one(&mut *transaction, self.projection, &schema, events, already).await?,
        };
        park(transaction, self.projection, self.version, &parked).await
    }

    fn version_of(&self) -> (&str, i32, &Topic) {
        (self.projection.name.as_str(), self.version, self.topic)
    }
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
        .bind(stored.record.key_text())
        .bind(error.replace('\0', "\u{fffd}"))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
