//! What is parked: the first event of each key, and how many wait behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eventsourcing::codec::{self, Parsed};
use eventsourcing::ids::Offset;
use eventsourcing::log::{LogError, Reader};
use eventsourcing::readers::Event;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::{RebuildError, Rebuilder};
use crate::projection::ProjectionError;

/// Events read and folded at once.
pub(super) const CHUNK: u16 = 1_000;
/// Records read over before a new reader begins nearer to the next parked one.
const GAP_MAX: u64 = 10_000;
/// How long a record that is in the log may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A key of the live version whose events wait.
#[derive(Clone, Debug, Serialize)]
pub struct ParkedKey {
    /// Which projection.
    pub projection: String,
    /// Of the first event.
    pub topic: String,
    /// Of the first event.
    pub partition: i32,
    /// Of the first event.
    pub offset: i64,
    /// Which key.
    pub key: String,
    /// What the first one failed on.
    pub error: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub parked_at: OffsetDateTime,
    /// Events behind the first one.
    pub waiting: i64,
}

/// The keys of these projections, those that are parked longest first; at most `limit`.
pub async fn list(pool: &PgPool, projections: &[&str], limit: u32) -> Result<Vec<ParkedKey>, sqlx::Error> {
    type Row = (String, String, i32, i64, String, String, OffsetDateTime, i64);
    let rows: Vec<Row> = sqlx::query_as(
        r#"SELECT e.projection, e.topic, e.partition, e."offset", e.key, e.error, e.parked_at, f.waiting
           FROM (SELECT projection, version, topic, partition, key, min("offset") AS "offset", count(*) - 1 AS waiting
                 FROM daybook.parked_events WHERE projection = ANY($1) GROUP BY 1, 2, 3, 4, 5) f
           JOIN daybook.parked_events e USING (projection, version, topic, partition, "offset")
           JOIN daybook.projections p ON p.name = e.projection AND p.version = e.version AND p.status = 'active'
           ORDER BY e.parked_at, e.projection, e.partition, e."offset" LIMIT $2"#,
    )
    .bind(projections)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let entry = |(projection, topic, partition, offset, key, error, parked_at, waiting): Row| ParkedKey {
        projection,
        topic,
        partition,
        offset,
        key,
        error,
        parked_at,
        waiting,
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// How many events are parked in live versions, by projection, in their names' order; those without any are not named.
pub async fn count(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT e.projection, count(*) FROM daybook.parked_events e
         JOIN daybook.projections p ON p.name = e.projection AND p.version = e.version AND p.status = 'active'
         GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(pool)
    .await
}

/// Where the first `CHUNK` parked events of a key are.
pub(super) async fn offsets(
    connection: &mut PgConnection,
    rebuilder: &Rebuilder,
    version: i32,
    (partition, key): (i32, &str),
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        r#"SELECT "offset" FROM daybook.parked_events
           WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4 AND key = $5
           ORDER BY 1 LIMIT $6"#,
    )
    .bind(rebuilder.projection.name.as_str())
    .bind(version)
    .bind(rebuilder.topic.as_str())
    .bind(partition)
    .bind(key)
    .bind(i64::from(CHUNK))
    .fetch_all(connection)
    .await
}

impl Rebuilder {
    /// The events at these places, read again. They were accepted when they were parked, and a verdict never changes; a
    /// record that could not be read then is one that nobody can read.
    pub(super) async fn read_again(
        &self,
        partition: i32,
        offsets: &[i64],
    ) -> Result<BTreeMap<i64, Event>, RebuildError> {
        let at = self.topic.partition(partition.cast_unsigned());
        let bounds = self.log.bounds(&at).await.map_err(ProjectionError::from)?;
        let gone = |offset: i64| RebuildError::Gone {
            projection: self.projection.name.clone(),
            at: format!("{at}@{offset}"),
        };
        let mut events = BTreeMap::new();
        let mut reading: Option<(Box<dyn Reader>, u64)> = None;
        for wanted in offsets {
            let offset = wanted.cast_unsigned();
            if offset < bounds.start.0 || offset >= bounds.end.0 {
                return Err(gone(*wanted));
            }
            while !events.contains_key(wanted) {
                let near = |next: u64| next <= offset && offset - next < GAP_MAX;
                let (mut reader, mut next) = match reading.take() {
                    Some((reader, next)) if near(next) => (reader, next),
                    Some(_) | None => {
                        let from = vec![(at.clone(), Offset(offset))];
                        (
                            self.log.reader(from).await.map_err(ProjectionError::from)?,
                            offset,
                        )
                    }
                };
                let records = tokio::time::timeout(READ_TIMEOUT, reader.next(usize::from(CHUNK))).await;
                let late = |_| LogError::Unavailable(format!("{at}@{offset} does not arrive"));
                let records = records.map_err(late).and_then(|read| read);
                for stored in records.map_err(ProjectionError::from)? {
                    next = stored.offset.0 + 1;
                    let place = stored.offset.0.cast_signed();
                    if offsets.binary_search(&place).is_err() {
                        continue;
                    }
                    let headers = match codec::parse(&stored) {
                        Ok(Parsed::Event(envelope)) => Ok(envelope),
                        // Only events are parked: another log has taken the place of this one.
                        Ok(Parsed::Fence(_)) => return Err(gone(place)),
                        Err(corrupt) => Err(Arc::new(corrupt)),
                    };
                    events.insert(place, Event { stored, headers });
                }
                if next > offset && !events.contains_key(wanted) {
                    return Err(gone(*wanted));
                }
                reading = Some((reader, next));
            }
        }
        Ok(events)
    }
}
