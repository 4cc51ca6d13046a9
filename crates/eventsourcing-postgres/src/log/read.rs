//! Reading: a query per round for all partitions, woken by commits here and elsewhere.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Bounds, Log, LogError, Reader};
use eventsourcing::record::{Record, Stored};
use eventsourcing::topic::TopicPartition;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::{CHANNEL, PostgresLog, headers, unavailable};

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
    grown: watch::Receiver<u64>,
}

type Row = (i32, i32, i64, Vec<u8>, Vec<u8>, Vec<u8>, OffsetDateTime);

/// Refuses an offset that the log does not hold and will not get next.
pub(super) fn check(at: &TopicPartition, bounds: Bounds, asked: Offset) -> Result<(), LogError> {
    if asked < bounds.start || asked > bounds.end {
        let Bounds { start, end } = bounds;
        return Err(LogError::OutOfRange {
            at: at.clone(),
            start,
            end,
            asked,
        });
    }
    Ok(())
}

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
            grown,
        }
    }

    async fn fetch(&self, max: usize) -> Result<Vec<Row>, LogError> {
        let column = |of: fn(&Cursor) -> i32| self.cursors.iter().map(of).collect::<Vec<_>>();
        let next: Vec<i64> = self
            .cursors
            .iter()
            .map(|cursor| cursor.next.0.cast_signed())
            .collect();
        sqlx::query_as(
            r#"SELECT r.topic, r.partition, r."offset", r.key, r.value, r.headers, r.written_at
               FROM UNNEST($1::integer[], $2::integer[], $3::bigint[]) AS c (topic, partition, next)
               CROSS JOIN LATERAL (
                   SELECT * FROM daybook_log.records r
                   WHERE r.topic = c.topic AND r.partition = c.partition AND r."offset" >= c.next
                   ORDER BY r."offset" LIMIT $4) r
               LIMIT $4"#,
        )
        .bind(column(|cursor| cursor.topic))
        .bind(column(|cursor| cursor.at.partition.cast_signed()))
        .bind(next)
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(&self.log.pool)
        .await
        .map_err(unavailable)
    }

    /// Takes the rows that continue their partition. Offsets are dense, so a gap is either an append
    /// of another process that is not visible yet, or a log that was cut.
    async fn take(&mut self, rows: Vec<Row>) -> Result<Vec<Stored>, LogError> {
        let mut taken = Vec::with_capacity(rows.len());
        let mut gap = None;
        for (topic, partition, offset, key, value, headers, timestamp) in rows {
            let Some(index) = self.by_place.get(&(topic, partition)) else {
                continue;
            };
            let cursor = &mut self.cursors[*index];
            let offset = Offset(offset.cast_unsigned());
            if offset != cursor.next {
                gap = Some((cursor.at.clone(), cursor.next));
                continue;
            }
            let at = cursor.at.clone();
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
        if let (Some((at, asked)), true) = (gap, taken.is_empty()) {
            check(&at, self.log.bounds(&at).await?, asked)?;
        }
        Ok(taken)
    }
}

#[async_trait]
impl Reader for PostgresReader {
    async fn next(&mut self, max: usize) -> Result<Vec<Stored>, LogError> {
        loop {
            // Marked before the query: a commit during it wakes the wait below at once.
            self.grown.borrow_and_update();
            let rows = self.fetch(max).await?;
            let found = !rows.is_empty();
            let taken = self.take(rows).await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            let patience = if found {
                Duration::from_millis(1)
            } else {
                self.log.config.poll_interval
            };
            let _ = tokio::time::timeout(patience, self.grown.changed()).await;
        }
    }
}

/// Wakes the readers of this process when another one commits. Ends with the log.
pub(super) fn spawn_listener(pool: PgPool, grown: Weak<watch::Sender<u64>>, pause: Duration) {
    tokio::spawn(async move {
        while grown.strong_count() > 0 {
            if let Err(error) = listen(&pool, &grown).await {
                tracing::debug!(%error, "not listening, readers poll meanwhile");
                tokio::time::sleep(pause).await;
            }
        }
    });
}

async fn listen(pool: &PgPool, grown: &Weak<watch::Sender<u64>>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let Some(sender) = grown.upgrade() else {
            return Ok(());
        };
        // What was committed before the connection came up is found by this first wake-up.
        sender.send_modify(|commits| *commits += 1);
        drop(sender);
        listener.recv().await?;
    }
}
