//! What stands beside the rows and concerns a batch: events that were left out, and keys that wait behind a parked one.
//! Nearly always there is neither, and one statement says so.

use std::collections::HashSet;

use eventsourcing::readers::{Event, Key};
use sqlx::PgConnection;

use super::apply::Batch;
use super::skipped::{self, Skipped};

/// Whether the version of a batch has any.
pub(super) struct Beside<'a> {
    batch: &'a Batch<'a>,
    skipped: bool,
    parked: bool,
}

impl<'a> Beside<'a> {
    /// Looks, after the checkpoints were moved: whoever parks, retries or skips holds them meanwhile. Readers are told
    /// `told` when the transaction commits.
    pub(super) async fn look(
        connection: &mut PgConnection,
        batch: &'a Batch<'a>,
        told: Option<String>,
    ) -> Result<Self, sqlx::Error> {
        let Batch {
            projection,
            version,
            topic,
            ..
        } = batch;
        let (skipped, parked) = sqlx::query_as(
            "SELECT EXISTS (SELECT FROM daybook.skipped_events WHERE projection = $1 AND topic = $2),
                    EXISTS (SELECT FROM daybook.parked_events WHERE projection = $3 AND version = $4)
             FROM (SELECT CASE WHEN $5::text IS NOT NULL THEN pg_notify('daybook_checkpoints', $5) END) AS told",
        )
        .bind(projection.name.base())
        .bind(topic.as_str())
        .bind(projection.name.as_str())
        .bind(version)
        .bind(told)
        .fetch_one(connection)
        .await?;
        Ok(Self {
            batch,
            skipped,
            parked,
        })
    }

    /// Whether there is anything.
    pub(super) const fn is_any(&self) -> bool {
        self.skipped || self.parked
    }

    /// Those of the batch's events that are left out.
    pub(super) async fn skipped(&self, connection: &mut PgConnection) -> Result<Skipped, sqlx::Error> {
        if !self.skipped {
            return Ok(Skipped::default());
        }
        let Batch {
            projection,
            topic,
            scanned,
            ..
        } = self.batch;
        skipped::among(connection, projection.name.base(), topic, &scanned.events).await
    }

    /// Which keys of these events have one parked: whatever follows must wait behind it.
    pub(super) async fn parked_keys(
        &self,
        connection: &mut PgConnection,
        events: &[Event],
    ) -> Result<HashSet<Key>, sqlx::Error> {
        if !self.parked {
            return Ok(HashSet::new());
        }
        let (partitions, keys): (Vec<i32>, Vec<String>) = events
            .iter()
            .map(Event::key)
            .map(|(partition, key)| (partition.cast_signed(), key))
            .unzip();
        let parked: Vec<(i32, String)> = sqlx::query_as(
            "SELECT DISTINCT partition, key FROM daybook.parked_events
             WHERE projection = $1 AND version = $2
               AND (partition, key) IN (SELECT * FROM UNNEST($3::integer[], $4::text[]))",
        )
        .bind(self.batch.projection.name.as_str())
        .bind(self.batch.version)
        .bind(partitions)
        .bind(keys)
        .fetch_all(connection)
        .await?;
        let of = |(partition, key): (i32, String)| (partition.cast_unsigned(), key);
        Ok(parked.into_iter().map(of).collect())
    }
}
