//! A projection is one pure fold from events to rows, run live and in a rebuild alike.
//!
//! There are two kinds, told apart by whose rows they write. A [`View`] row belongs to one
//! aggregate; a [`Tally`] row is a counter that many aggregates add to.

#[cfg(feature = "runtime")]
pub mod read_model;
#[cfg(feature = "runtime")]
pub mod runner;
#[cfg(feature = "runtime")]
mod stranded;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::aggregate::{Event, Recorded};

/// Why a fold cannot apply an event. The event (and all later ones of its key) is parked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason}")]
pub struct FoldError {
    /// For the person who will mend it.
    pub reason: String,
}

impl FoldError {
    /// An error with this reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// A table's row: its serde fields are the table's columns, by name and order; one that is left out is `NULL`.
pub trait Row: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The table and its indexes.
    const TABLE: Table;
}

/// A table without its schema; the schema is the projection's version.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The primary key's columns. For a view exactly one: the aggregate id.
    pub key: &'static [&'static str],
    /// The columns with type and constraints, as in `CREATE TABLE`.
    pub columns: &'static [(&'static str, &'static str)],
    /// Bodies of secondary indexes, as in `(customer, placed_at DESC)`; built after a rebuild's fold.
    pub indexes: &'static [&'static str],
}

/// What a fold says of its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<R> {
    /// This is the row now.
    Put(R),
    /// The row goes.
    Delete,
    /// The event does not concern this view.
    Keep,
}

/// See [`View::WRITTEN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// What cannot be stored is parked at its event, wherever its batch ends.
    AfterEachEvent,
    /// Once, however many events of the row are in the batch.
    AfterTheBatch,
}

/// A projection whose row belongs to one aggregate.
pub trait View: Send + Sync + 'static {
    /// The projection's name.
    const NAME: &'static str;
    /// The service whose topic it folds.
    const SERVICE: &'static str;
    /// Of the fold: raise it when the same events come to give other rows.
    const FOLD: u32 = 1;
    /// Whether a row is looked at as JSON after each event or only when its batch is written. A row that grows
    /// with its aggregate wants the latter, and must not hold what PostgreSQL cannot store.
    const WRITTEN: Written = Written::AfterEachEvent;
    /// What it folds.
    type Event: Event;
    /// What it writes.
    type Row: Row;

    /// The row of the event's aggregate after the event.
    fn fold(row: Option<&Self::Row>, event: &Recorded<Self::Event>) -> Result<Change<Self::Row>, FoldError>;
}

/// A row that counts; two with one key merge by addition.
pub trait Counter: Row {
    /// The columns that are added; all others are the key.
    const ADDED: &'static [&'static str];
    /// The key, for merging in memory.
    type Key: Ord + Send;

    /// This row's key.
    fn key(&self) -> Self::Key;

    /// Adds `other`, a row of the same key. Overflow is an error, never a wrong sum; the row may be
    /// half added then. Declare the added columns `NUMERIC`: their sums outgrow what one row here holds.
    fn add(&mut self, other: &Self) -> Result<(), FoldError>;
}

/// A projection of counters.
pub trait Tally: Send + Sync + 'static {
    /// The projection's name.
    const NAME: &'static str;
    /// The service whose topic it folds.
    const SERVICE: &'static str;
    /// Of the fold: raise it when the same events come to give other rows.
    const FOLD: u32 = 1;
    /// What it folds.
    type Event: Event;
    /// What it adds to.
    type Counter: Counter;

    /// What this event adds.
    fn count(event: &Recorded<Self::Event>) -> Result<Vec<Self::Counter>, FoldError>;
}
