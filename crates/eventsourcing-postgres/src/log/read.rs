//! Reading: a query per round for all partitions, woken by commits here and elsewhere.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use eventsourcing::ids::Offset;
use eventsourcing::log::{LogError, Reader};
use eventsourcing::record::{Record, Stored};
use eventsourcing::topic::TopicPartition;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::{PostgresLog, headers, unavailable};
use crate::deadline::{lend, within};

/// Where a reader stands in one partition.
pub(super) struct Cursor {
    pub(super) at: TopicPartition,
    pub(super) topic: i32,
    pub(super) next: Offset,
}

pub(super) struct PostgresReader {
    log: PostgresLog,
    cursors: Vec<Cursor>,
    by_place: HashMap<(i32, i32), usize>,
    /// Which cursor is asked for first.
    first: usize,
    grown: watch::Receiver<u64>,
}

type Row = (i32, i32, i64, Vec<u8>, Vec<u8>, Vec<u8>, OffsetDateTime);

impl PostgresReader {
    pub(super) fn new(log: PostgresLog, cursors: Vec<Cursor>, grown: watch::Receiver<u64>) -> Self {
        let place = |cursor: &Cursor| (cursor.topic, cursor.at.partition.cast_signed());
        let by_place = cursors
            .iter()
            .enumerate()
            .map(|(index, cursor)| (place(cursor), index))
            .collect();
        Self {
            log,
            cursors,
            by_place,
            first: 0,
            grown,
        }
    }

    async fn fetch(&mut self, max: usize) -> Result<Vec<Row>, LogError> {
        // Another partition is first each time: a full one must not keep the others waiting for ever.
        self.first = (self.first + 1) % self.cursors.len().max(1);
        let (after, before) = self.cursors.split_at(self.first);
        let cursors = || before.iter().chain(after);
        let next: Vec<i64> = cursors().map(|cursor| cursor.next.0.cast_signed()).collect();
        // A nested loop keeps the rows of each partition in their order, which the index gives.
        let asking = sqlx::query_as(
            r#"SELECT r.topic, r.partition, r."offset", r.key, r.value, r.headers, r.written_at
               FROM UNNEST($1::integer[], $2::integer[], $3::bigint[]) AS c (topic, partition, next)
               CROSS JOIN LATERAL (
                   SELECT * FROM daybook_log.records r
                   WHERE r.topic = c.topic AND r.partition = c.partition AND r."offset" >= c.next
                   ORDER BY r."offset" LIMIT $4) r
               LIMIT $4"#,
        )
        .bind(cursors().map(|cursor| cursor.topic).collect::<Vec<_>>())
        .bind(
            cursors()
                .map(|cursor| cursor.at.partition.cast_signed())
                .collect::<Vec<_>>(),
        )
        .bind(next)
        .bind(i64::try_from(max).unwrap_or(i64::MAX));
        let mut lent = lend(&self.log.pool).await.map_err(unavailable)?;
        let rows = within(self.log.config.answer_timeout, asking.fetch_all(&mut *lent));
        let rows = rows.await.map_err(unavailable)?;
        lent.give_back();
        Ok(rows)
    }

    /// Takes the rows, which continue their partitions. Offsets are dense and a writer sees the last
    /// one before it takes the next, so a gap is never an append on its way: the log was cut.
    fn take(&mut self, rows: Vec<Row>) -> Result<Vec<Stored>, LogError> {
        let mut taken = Vec::with_capacity(rows.len());
        for (topic, partition, offset, key, value, headers, timestamp) in rows {
            let Some(index) = self.by_place.get(&(topic, partition)) else {
                continue;
            };
            let cursor = &mut self.cursors[*index];
            let (at, offset) = (cursor.at.clone(), Offset(offset.cast_unsigned()));
            if offset != cursor.next {
                return Err(hole(&at, cursor.next, offset));
            }
            // A damaged column is a record without headers: whoever judges it says where it lies.
            let headers = headers::decode(Bytes::from(headers)).unwrap_or_default();
            let record = Record {
                key: Bytes::from(key),
                value: Bytes::from(value),
                headers,
            };
            taken.push(Stored {
                at,
                offset,
                timestamp,
                record,
            });
            cursor.next = offset.next();
        }
        Ok(taken)
    }
}

fn hole(at: &TopicPartition, from: Offset, to: Offset) -> LogError {
    LogError::Misconfigured(format!(
        "the log of {at} has lost its records from offset {from} to {to}: nothing may be built on what follows; \
         restore the table daybook_log.records from a backup"
    ))
}

#[async_trait]
impl Reader for PostgresReader {
    async fn next(&mut self, max: usize) -> Result<Vec<Stored>, LogError> {
        loop {
            // Marked before the query: a commit during it wakes the wait below at once.
            self.grown.borrow_and_update();
            let rows = self.fetch(max).await?;
            if !rows.is_empty() {
                return self.take(rows);
            }
            let _ = tokio::time::timeout(self.log.config.poll_interval, self.grown.changed()).await;
        }
    }
}
