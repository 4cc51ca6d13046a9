//! One read: rows and the checkpoint they stand at, of one snapshot.

use std::time::Duration;

use eventsourcing::position::Positions;
use http_kit::metrics::QUERY_POSITION_WAIT_SECONDS;
use http_kit::problem::Problem;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::time::Instant;

use super::checkpoints::{concerns, covers, of_text};
use super::source::Source;
use super::statement::Statement;
use super::{Reads, not_found, unavailable};

/// How long to wait before a read is tried again, on another connection or for a newer snapshot.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Rows and where their projection stood when they were read.
#[derive(Debug)]
pub(crate) struct Snapshot<T> {
    /// The rows, in the statement's order.
    pub(crate) rows: Vec<T>,
    /// What they show.
    pub(crate) shown: Positions,
    /// The types of events they are made of, where those are not all.
    pub(crate) only: Option<Vec<String>>,
}

impl<T> Snapshot<T> {
    /// As a client is to see it: older generations are contained in the newest.
    fn newest(self) -> Self {
        Self {
            shown: self.shown.newest_generations(),
            ..self
        }
    }
}

impl Reads {
    /// Reads a snapshot that shows at least `asked`, or says why not in bounded time.
    pub(crate) async fn read<T>(
        &self,
        source: Source,
        asked: &Positions,
        statement: impl Fn() -> Statement,
        decode: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Snapshot<T>, Problem> {
        let (started, model) = (Instant::now(), source.model);
        if source.as_of.is_some() {
            // It stands still: there is nothing to wait for.
            let snapshot = self.select(source, &statement, &decode).await?;
            return if covers(&snapshot.shown, model, asked) {
                Ok(snapshot.newest())
            } else {
                Err(not_found::not_so_far(source, &snapshot.shown))
            };
        }
        if !asked.iter().any(|position| concerns(&position, model)) {
            return Ok(self.select(source, &statement, &decode).await?.newest());
        }
        let deadline = started + self.config.position_wait_max;
        loop {
            // Woken by the watcher; should it be blind, look ourselves now and then.
            let look = deadline.min(Instant::now() + self.config.checkpoint_poll);
            self.reached(model, asked, look).await;
            let snapshot = self.select(source, &statement, &decode).await?;
            let reached = covers(&snapshot.shown, model, asked);
            if reached || Instant::now() >= deadline {
                let outcome = if reached { "reached" } else { "behind" };
                metrics::histogram!(
                    QUERY_POSITION_WAIT_SECONDS,
                    "projection" => model.projection(),
                    "outcome" => outcome
                )
                .record(started.elapsed());
                return if reached {
                    Ok(snapshot.newest())
                } else {
                    Err(unavailable::behind(&snapshot.shown, asked, model))
                };
            }
            // A replica or a version just switched to may lag behind what the watcher saw.
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn select<T>(
        &self,
        source: Source,
        statement: &impl Fn() -> Statement,
        decode: &impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Snapshot<T>, Problem> {
        let reading = async {
            loop {
                match statement().finish().fetch_all(&self.pool).await {
                    // Each dead connection is found out once; then new ones are made.
                    Err(error) if unavailable::is_connection(&error) => {
                        tracing::debug!(%error, "a connection is lost; trying another");
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    outcome => return outcome,
                }
            }
        };
        let rows = match tokio::time::timeout(self.config.query_timeout, reading).await {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) if source.as_of.is_some() && not_found::is_absence(&error) => {
                return Err(not_found::of(self, source, &error).await);
            }
            Ok(Err(error)) => return Err(unavailable::of(&error)),
            Err(_) => {
                tracing::warn!("the database does not answer in time");
                return Err(unavailable::read_models());
            }
        };
        of_rows(&rows, decode).map_err(|error| unavailable::of(&error))
    }
}

fn of_rows<T>(
    rows: &[PgRow],
    decode: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<Snapshot<T>, sqlx::Error> {
    let (checkpoints, only): (Option<Vec<String>>, _) = match rows.first() {
        Some(row) => (row.try_get("checkpoints")?, row.try_get("only_types")?),
        None => (None, None),
    };
    let shown = checkpoints
        .unwrap_or_default()
        .iter()
        .filter_map(|text| of_text(text))
        .collect();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<bool>, _>("found")?.is_some() {
            found.push(decode(row)?);
        }
    }
    Ok(Snapshot {
        rows: found,
        shown,
        only,
    })
}
