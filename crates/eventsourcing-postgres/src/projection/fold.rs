//! The two kinds of fold over a batch: load what is touched, fold in memory, write it in one statement.

mod storable;
mod tally;
mod view;

use std::collections::HashSet;

use async_trait::async_trait;
use eventsourcing::ids::Digest;
use eventsourcing::projection::Row;
use eventsourcing::readers::{Event, Key};
use eventsourcing::record::Stored;
use sqlx::{AssertSqlSafe, PgConnection};
use time::OffsetDateTime;

use super::ProjectionError;

pub(super) use tally::TallyFold;
pub(super) use view::ViewFold;

/// An event that could not be applied.
pub(crate) struct Parked {
    pub(crate) stored: Stored,
    pub(crate) error: String,
}

impl Parked {
    fn of(event: &Event, error: String) -> Self {
        let stored = event.stored.clone();
        Self { stored, error }
    }

    /// What it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.stored.record.key.len() + self.stored.record.value.len() + self.error.len()
    }
}

/// What a projection folds with, its types erased.
#[async_trait]
pub(crate) trait Fold: Send + Sync {
    /// Rows in memory. `fresh` when the table is known to hold none of those they will be asked for.
    fn rows(&self, fresh: bool) -> Box<dyn Rows>;

    /// Whether two writers add to one row: they must take turns, or they wait for each other.
    fn adds(&self) -> bool;

    /// What an event says of itself; nothing when nobody can read it.
    fn told(&self, event: &Event) -> Option<Told>;

    /// The types of its events.
    fn types(&self) -> &'static [&'static str];

    /// The same fold, plainly.
    fn reference(&self) -> Box<dyn Reference>;

    /// Applies accepted events to the table in `schema` and returns what could not be applied. `parked` are the keys
    /// that are parked already.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        schema: &str,
        events: &[Event],
        mut parked: HashSet<Key>,
    ) -> Result<Vec<Parked>, ProjectionError> {
        let mut rows = self.rows(false);
        rows.load(&mut *connection, schema, events).await?;
        let refused = rows.fold(events, &mut parked);
        rows.write(connection, schema, Writing::Statement).await?;
        Ok(refused)
    }
}

/// Rows between the table and the fold: few for a moment when they are live, as many as memory holds in a rebuild.
#[async_trait]
pub(crate) trait Rows: Send {
    /// Loads the rows that these events touch and that are not here yet.
    async fn load(
        &mut self,
        connection: &mut PgConnection,
        schema: &str,
        events: &[Event],
    ) -> Result<(), ProjectionError>;

    /// Folds. Returns what could not be applied, whose keys are `parked` then.
    fn fold(&mut self, events: &[Event], parked: &mut HashSet<Key>) -> Vec<Parked>;

    /// What they take, roughly.
    fn bytes(&self) -> usize;

    /// What has changed, to be written; it is kept as what the table will have.
    fn take(&mut self) -> Box<dyn Rows>;

    /// Keeps nothing of the first `taken` takes, which are written by now.
    fn forget(&mut self, taken: u64);

    /// Writes what has changed.
    async fn write(
        self: Box<Self>,
        connection: &mut PgConnection,
        schema: &str,
        writing: Writing,
    ) -> Result<(), ProjectionError>;
}

/// How rows that are new to the table get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// With all others, in one statement.
    Statement,
    /// Streamed by `COPY`.
    Copy,
}

/// The fold of a sample of keys, one event at a time and all in memory: what a rebuild by a changed
/// fold is checked against. It shares no batch, no loading and no merging with what it checks.
#[async_trait]
pub(crate) trait Reference: Send {
    /// Folds an event that was not parked; an error names what should have been.
    fn apply(&mut self, event: &Event) -> Result<(), String>;

    /// Writes the rows of the sample into `schema` and returns the sampled keys that have no row.
    async fn write(
        &self,
        connection: &mut PgConnection,
        schema: &str,
    ) -> Result<Vec<String>, ProjectionError>;
}

/// Folds one event after the other, but for those behind a parked one of their key. Returns what was not applied, whose
/// keys are `parked` then.
fn each(
    events: &[Event],
    parked: &mut HashSet<Key>,
    mut fold: impl FnMut(&Event, String) -> Result<(), String>,
) -> Vec<Parked> {
    let mut refused = Vec::new();
    for event in events {
        let place = event.key();
        if parked.contains(&place) {
            refused.push(Parked::of(event, BEHIND.to_owned()));
        } else if let Err(error) = fold(event, place.1) {
            parked.insert(event.key());
            refused.push(Parked::of(event, error));
        }
    }
    refused
}

const BEHIND: &str = "an earlier event of this key is parked";

/// Keys in a sample.
const SAMPLE_MAX: usize = 500;

/// A sample of keys: those with the smallest digests. Whether a key belongs to it is known at its
/// first event, so each is folded from its beginning or not at all.
struct Sample<T>(std::collections::BTreeMap<(u64, String), T>);

impl<T: Default> Sample<T> {
    fn get(&mut self, key: &str) -> Option<&mut T> {
        let place = (Digest::of(&[key.as_bytes()]).0, key.to_owned());
        self.0.entry(place.clone()).or_default();
        if self.0.len() > SAMPLE_MAX {
            self.0.pop_last();
        }
        self.0.get_mut(&place)
    }
}

/// When an event happened, and of which type it is for this build.
pub(crate) struct Told {
    pub(crate) happened_at: OffsetDateTime,
    pub(crate) event_type: &'static str,
}

impl Told {
    fn by<E: eventsourcing::aggregate::Event>(event: &Event) -> Option<Self> {
        let recorded = event.decode::<E>().ok()?;
        Some(Self {
            happened_at: recorded.happened_at(),
            event_type: recorded.event.event_type(),
        })
    }
}

fn decoded<E: eventsourcing::aggregate::Event>(
    event: &Event,
) -> Result<eventsourcing::aggregate::Recorded<E>, String> {
    event.decode().map_err(|error| error.to_string())
}

/// Writes rows by a statement that takes them as one JSON array.
async fn write<R: Row>(
    connection: &mut PgConnection,
    sql: String,
    rows: &[&R],
) -> Result<(), ProjectionError> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_string(rows).map_err(|source| ProjectionError::Row {
        table: R::TABLE.name,
        source,
    })?;
    sqlx::query(AssertSqlSafe(sql))
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
}
