//! Projections: the fold is the domain's, everything around it is here. Rows and checkpoint move in
//! one transaction, the checkpoint by compare-and-set, so an event is applied exactly once whoever
//! else believes to be the projector.

mod ahead;
mod apply;
mod beside;
mod checkpoint;
mod copy_in;
mod filter;
mod fold;
mod name;
mod read_model;
mod skipped;
mod table;
mod version;

use std::sync::Arc;

use eventsourcing::log::LogError;
use eventsourcing::projection::{Table, Tally, View};
use eventsourcing::readers::Event;
use thiserror::Error;

pub(crate) use apply::{Batch, begin, one_by_one, park};
pub(crate) use checkpoint::{advance, from_row, load as load_checkpoints, read as read_checkpoints};
pub(crate) use filter::Admitted;
pub use filter::Filter;
pub(crate) use fold::{Parked, Rows, Writing};
pub use name::Name;
pub use read_model::{Config, PostgresReadModel};
pub(crate) use skipped::{Skipped, of_projection as skipped_of};
pub(crate) use table::{
    create_table, ensure_key, indexes, key_index, load as load_sql, point_view, point_view_at, schema, shape,
};
pub(crate) use version::{
    active, active_version, ensure_active, fingerprint, record_fingerprint, refuse_replaced,
};

use fold::Fold;

/// What becomes of an event that cannot be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It waits, and what follows of its key behind it; other keys go on.
    #[default]
    Park,
    /// The projection ends, before the event's batch.
    Halt,
}

/// A projection with its types erased.
#[derive(Clone)]
pub struct Projection {
    pub(crate) name: Name,
    pub(crate) service: &'static str,
    pub(crate) table: Table,
    pub(crate) fold_version: u32,
    pub(crate) fold: Arc<dyn Fold>,
    /// Of a snapshot.
    pub(crate) filter: Option<Filter>,
    pub(crate) on_error: OnError,
}

impl Projection {
    /// A projection whose rows belong to aggregates.
    #[must_use]
    pub fn view<V: View>() -> Self {
        use eventsourcing::projection::Row;
        let fold = Arc::new(fold::ViewFold::<V>::new());
        Self {
            name: Name::of(V::NAME),
            service: V::SERVICE,
            table: V::Row::TABLE,
            fold_version: V::FOLD,
            fold,
            filter: None,
            on_error: OnError::default(),
        }
    }

    /// A projection of counters.
    #[must_use]
    pub fn tally<T: Tally>() -> Self {
        use eventsourcing::projection::Row;
        let fold = Arc::new(fold::TallyFold::<T>::new());
        Self {
            name: Name::of(T::NAME),
            service: T::SERVICE,
            table: T::Counter::TABLE,
            fold_version: T::FOLD,
            fold,
            filter: None,
            on_error: OnError::default(),
        }
    }

    /// The same with this policy, live and in a rebuild.
    #[must_use]
    pub fn on_error(self, on_error: OnError) -> Self {
        Self { on_error, ..self }
    }

    /// An error when one of these must not be set aside.
    pub(crate) fn tolerate(&self, refused: &[Parked]) -> Result<(), ProjectionError> {
        let (OnError::Halt, Some(Parked { stored, error })) = (self.on_error, refused.first()) else {
            return Ok(());
        };
        let header = |name| {
            let value = stored.record.header(name).map(|value| &**value);
            String::from_utf8_lossy(value.unwrap_or(b"unknown")).into_owned()
        };
        Err(ProjectionError::Refused {
            projection: self.name.clone(),
            place: format!("{}@{}", stored.at, stored.offset),
            event_type: header("ce_type"),
            event_id: header("ce_id"),
            reason: error.clone(),
        })
    }

    /// An error unless this very fold made the live version.
    pub(crate) fn own(&self, version: i32, made: Option<&str>) -> Result<(), ProjectionError> {
        let projection = self.name.clone();
        let number = |made: &str| made.strip_prefix("fold ")?.split(' ').next()?.parse::<u32>().ok();
        match made {
            Some(made) if made == self.fingerprint() => Ok(()),
            Some(made) if number(made) > Some(self.fold_version) => {
                Err(ProjectionError::NewerFold { projection, version })
            }
            _ => Err(ProjectionError::OtherFold { projection, version }),
        }
    }

    /// What decides its rows, given the log: the fold's version and the row's type. Secondary indexes
    /// do not.
    pub(crate) fn fingerprint(&self) -> String {
        let Table {
            name,
            key,
            columns,
            indexes: _,
        } = self.table;
        let columns: Vec<String> = columns
            .iter()
            .map(|(name, definition)| format!("{name} {definition}"))
            .collect();
        format!(
            "fold {} of {name} ({}; key {}){}",
            self.fold_version,
            columns.join(", "),
            key.join(", "),
            self.filter.as_ref().map(Filter::fingerprint).unwrap_or_default()
        )
    }

    /// The same fold of fewer events, under a name of its own: a snapshot. Whatever works by the name works beside
    /// the live one.
    #[must_use]
    pub(crate) fn filtered(&self, filter: Filter) -> Self {
        Self {
            name: self.name.filtered(&filter),
            filter: Some(filter),
            ..self.clone()
        }
    }

    /// Leaves of `events` what it folds.
    pub(crate) fn admit(&self, events: &mut Vec<Event>, admitted: &mut Admitted) {
        if let Some(filter) = &self.filter {
            admitted.keep(filter, self.fold.as_ref(), events);
        }
    }

    /// The types of the events it folds.
    #[must_use]
    pub fn event_types(&self) -> &'static [&'static str] {
        self.fold.types()
    }

    /// Whether its rows are counters, so that each event counts by itself.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.fold.adds()
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name.base()
    }

    /// The service whose topic it folds.
    pub const fn service(&self) -> &'static str {
        self.service
    }
}

/// Why a projection stops or pauses.
#[derive(Debug, Error)]
pub enum ProjectionError {
    /// PostgreSQL is away or refuses; tried again.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    /// The log is away (tried again), or is not the one it was (final).
    #[error(transparent)]
    Log(#[from] LogError),
    /// A row in the database is not what its type says.
    #[error("a row of {table} does not decode: {source}")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The database refuses what an event asks for, even alone, and the event cannot be parked.
    #[error("{projection} halts at {place}: {source}")]
    Halted {
        /// Which projection.
        projection: Name,
        /// Topic, partition and offset of the first record of the batch.
        place: String,
        /// What the database says.
        source: sqlx::Error,
    },
    /// An event cannot be applied, and the policy is to halt.
    #[error(
        "{projection} halts before {place} (type {event_type}, id {event_id}), which it cannot apply: {reason}; mend that, or \
         set the event aside by projections.on_error=park"
    )]
    Refused {
        /// Which projection.
        projection: Name,
        /// Topic, partition and offset of the event.
        place: String,
        /// The event's type, as its record has it.
        event_type: String,
        /// The event's id, as its record has it.
        event_id: String,
        /// What it fails on.
        reason: String,
    },
    /// The live version was made by another fold than this build's; a rebuild makes one of this fold.
    #[error(
        "the live version {version} of {projection} was made by another fold: run `daybook rebuild {projection}`"
    )]
    OtherFold {
        /// Which projection.
        projection: Name,
        /// The live version.
        version: i32,
    },
    /// The live version was made by the fold of a newer build: what this one would make is of the past.
    #[error(
        "the live version {version} of {projection} was made by a newer build: deploy it here, too, or stop this node; \
         `daybook rebuild rollback {projection}` of this build is the way back"
    )]
    NewerFold {
        /// Which projection.
        projection: Name,
        /// The live version.
        version: i32,
    },
    /// Somebody else moved the checkpoint: apply nothing, read it again.
    #[error("another projector moved the checkpoint of {0}")]
    Overtaken(Name),
    /// The shop goes on in topics of a newer generation: whoever reads the old ones must not write any more.
    #[error(
        "{projection}: generation {generation} of the topics is live; start this node anew with topics.generation={generation}"
    )]
    Replaced {
        /// Which projection.
        projection: Name,
        /// The live generation.
        generation: i32,
    },
    /// Another version became active: go on with that one.
    #[error("another version of {0} became active")]
    Switched(Name),
}

impl ProjectionError {
    /// Whether the database refuses the data: class 22 (what a value is) or 23 (what a table allows).
    /// Trying the same again cannot help.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self, Self::Database(error) if Self::is_data_of(error))
    }

    fn is_data_of(error: &sqlx::Error) -> bool {
        let sqlx::Error::Database(error) = error else {
            return false;
        };
        error
            .code()
            .is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
    }

    /// Whether trying again cannot help.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::Log(LogError::OutOfRange { .. } | LogError::Misconfigured(_))
            | Self::Row { .. }
            | Self::Refused { .. }
            | Self::Halted { .. } => true,
            Self::Log(LogError::Unavailable(_) | LogError::NoSuchTopic(_))
            | Self::Database(_)
            | Self::OtherFold { .. }
            | Self::NewerFold { .. }
            | Self::Replaced { .. }
            | Self::Overtaken(_)
            | Self::Switched(_) => false,
        }
    }
}
