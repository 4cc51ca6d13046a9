//! What a rebuild and those who watch it tell each other: a row per rebuild that is under way, and a lock while one runs.

use std::convert::Infallible;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::Serialize;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection, PgPool};
use time::OffsetDateTime;

use super::course::{Course, PartitionProgress, Progress, Wanted};
use super::{RebuildError, Rebuilder, versions};

/// How often a rebuild says how far it is and hears what is wanted.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Taken by whatever changes the versions of a projection.
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('daybook.rebuild.' || $1, 1))";

pub(super) async fn try_lock(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(LOCK).bind(name).fetch_one(connection).await
}

/// The next one may begin when this returns, and not only when the server has noticed that the session is over.
pub(super) async fn unlock(mut connection: PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_unlock_all()")
        .execute(&mut connection)
        .await?;
    connection.close().await
}

/// A pace as its column holds it.
fn column(events_per_s: NonZeroU64) -> i64 {
    i64::try_from(events_per_s.get()).unwrap_or(i64::MAX)
}

/// Notes that one is under way. A pause outlives nobody: whoever starts it anew wants it to run.
pub(super) async fn begin(
    connection: &mut PgConnection,
    name: &str,
    version: i32,
    events_per_s: Option<NonZeroU64>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO daybook.rebuilds (projection, version, phase, events_per_s) VALUES ($1, $2, 'reading', $3)
         ON CONFLICT (projection) DO UPDATE SET version = EXCLUDED.version, phase = EXCLUDED.phase, events_per_s = EXCLUDED.events_per_s,
             paused = FALSE, cancelled = FALSE, begun_at = now(), reported_at = now()",
    )
    .bind(name)
    .bind(version)
    .bind(events_per_s.map(column))
    .execute(connection)
    .await
    .map(|_| ())
}

pub(super) async fn end(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM daybook.rebuilds WHERE projection = $1")
        .bind(name)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Reports and listens until the rebuild is over.
pub(super) async fn follow(
    pool: &PgPool,
    course: &Course,
    watch: &(impl Fn(&Progress) + Send + Sync),
) -> Infallible {
    loop {
        tokio::time::sleep(REPORT_INTERVAL).await;
        let progress = course.progress();
        watch(&progress);
        match report(pool, &progress).await {
            Ok(Some(wanted)) => course.want(wanted),
            Ok(None) => {}
            // The rebuild itself finds out whether the database is away.
            Err(error) => {
                tracing::warn!(projection = progress.projection.as_str(), %error, "progress not noted");
            }
        }
    }
}

async fn report(pool: &PgPool, progress: &Progress) -> Result<Option<Wanted>, sqlx::Error> {
    let wanted: Option<(bool, bool, Option<i64>)> = sqlx::query_as(
        "UPDATE daybook.rebuilds SET phase = $2, partitions = $3, reported_at = now()
         WHERE projection = $1 RETURNING paused, cancelled, events_per_s",
    )
    .bind(progress.projection.as_str())
    .bind(progress.phase.word())
    .bind(Json(&progress.partitions))
    .fetch_optional(pool)
    .await?;
    Ok(wanted.map(|(paused, cancelled, pace)| Wanted {
        paused,
        cancelled,
        events_per_s: pace.and_then(|pace| NonZeroU64::new(pace.cast_unsigned())),
    }))
}

/// A rebuild that is under way or was interrupted.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Which projection.
    pub projection: String,
    /// Its instant, where a snapshot is being built.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub as_of: Option<OffsetDateTime>,
    /// The version being built.
    pub version: i32,
    /// Whether somebody is at work on it, on whatever node.
    pub running: bool,
    /// `reading`, `indexing`, `verifying` or `switching`.
    pub phase: String,
    /// Whether somebody paused it.
    pub paused: bool,
    /// Records a second at most.
    pub events_per_s: Option<i64>,
    /// Each partition.
    pub partitions: Vec<PartitionProgress>,
    /// When this run began.
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    /// When it last said how far it is.
    #[serde(with = "time::serde::rfc3339")]
    pub reported_at: OffsetDateTime,
}

type StatusRow = (
    String,
    i32,
    String,
    bool,
    Option<i64>,
    Json<Vec<PartitionProgress>>,
    OffsetDateTime,
    OffsetDateTime,
    bool,
);

/// All rebuilds that are under way, by name of the projection.
pub async fn status(pool: &PgPool) -> Result<Vec<Status>, sqlx::Error> {
    let rows: Vec<StatusRow> = sqlx::query_as(
        "SELECT projection, version, phase, paused, events_per_s, partitions, begun_at, reported_at,
             EXISTS (SELECT FROM pg_locks l, hashtextextended('daybook.rebuild.' || projection, 1) AS key
                     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
                       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                       AND (l.classid::BIGINT << 32 | l.objid::BIGINT) = key)
         FROM daybook.rebuilds ORDER BY projection",
    )
    .fetch_all(pool)
    .await?;
    let status = |row: StatusRow| {
        let (
            projection,
            version,
            phase,
            paused,
            events_per_s,
            Json(partitions),
            begun_at,
            reported_at,
            running,
        ) = row;
        let (projection, as_of) = match eventsourcing::snapshot::parse(&projection) {
            Some((base, as_of)) => (base.to_owned(), Some(as_of)),
            None => (projection, None),
        };
        Status {
            projection,
            as_of,
            version,
            running,
            phase,
            paused,
            events_per_s,
            partitions,
            begun_at,
            reported_at,
        }
    };
    Ok(rows.into_iter().map(status).collect())
}

impl Rebuilder {
    /// Pauses a running rebuild, or lets it go on: it hears of it within a second or two.
    pub async fn pause(&self, paused: bool) -> Result<(), RebuildError> {
        let sql = "UPDATE daybook.rebuilds SET paused = $2 WHERE projection = $1";
        let told = sqlx::query(sql).bind(self.projection.name.as_str()).bind(paused);
        self.told(told.execute(&self.pool).await?.rows_affected())
    }

    /// Holds a running rebuild back to so many records a second, or lets it run as fast as it can.
    pub async fn throttle(&self, events_per_s: Option<NonZeroU64>) -> Result<(), RebuildError> {
        let sql = "UPDATE daybook.rebuilds SET events_per_s = $2 WHERE projection = $1";
        let told = sqlx::query(sql)
            .bind(self.projection.name.as_str())
            .bind(events_per_s.map(column));
        self.told(told.execute(&self.pool).await?.rows_affected())
    }

    /// Ends a rebuild and removes what it built; one that was interrupted as well.
    pub async fn cancel(&self) -> Result<(), RebuildError> {
        let name = self.projection.name.as_str();
        let removing = self.locked(async |connection| {
            let removed = versions::discard_unfinished(&mut *connection, name).await?;
            end(connection, name).await?;
            Ok(removed)
        });
        match removing.await {
            Ok(removed) => self.told(removed),
            Err(RebuildError::Running(_)) => {
                let sql = "UPDATE daybook.rebuilds SET cancelled = TRUE WHERE projection = $1";
                let told = sqlx::query(sql).bind(name).execute(&self.pool).await?;
                self.told(told.rows_affected())
            }
            Err(error) => Err(error),
        }
    }

    fn told(&self, count: u64) -> Result<(), RebuildError> {
        if count == 0 {
            return Err(RebuildError::NotUnderWay(self.projection.name.clone()));
        }
        Ok(())
    }
}
