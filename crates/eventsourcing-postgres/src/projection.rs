//! Projections: the fold is the domain's, everything around it is here. Rows and checkpoint move in
//! one transaction, the checkpoint by compare-and-set, so an event is applied exactly once whoever
//! else believes to be the projector.

mod apply;
mod checkpoint;
mod fold;
mod runner;
mod scan;
mod table;
mod version;

use eventsourcing::log::LogError;
use eventsourcing::projection::{Table, Tally, View};
use thiserror::Error;

pub(crate) use apply::apply;
pub(crate) use checkpoint::{Checkpoint, load as load_checkpoints};
pub use runner::{Config, Runner, Status};
pub(crate) use scan::Scan;
pub(crate) use table::{create_indexes, create_table, point_view, schema};
pub(crate) use version::{active_version, ensure_active};

use fold::Fold;

/// A projection with its types erased.
pub struct Projection {
    pub(crate) name: &'static str,
    pub(crate) service: &'static str,
    pub(crate) table: Table,
    pub(crate) fold: Box<dyn Fold>,
}

impl Projection {
    /// A projection whose rows belong to aggregates.
    #[must_use]
    pub fn view<V: View>() -> Self {
        use eventsourcing::projection::Row;
        let fold = Box::new(fold::ViewFold::<V>::new());
        Self {
            name: V::NAME,
            service: V::SERVICE,
            table: V::Row::TABLE,
            fold,
        }
    }

    /// A projection of counters.
    #[must_use]
    pub fn tally<T: Tally>() -> Self {
        use eventsourcing::projection::Row;
        let fold = Box::new(fold::TallyFold::<T>::new());
        Self {
            name: T::NAME,
            service: T::SERVICE,
            table: T::Counter::TABLE,
            fold,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
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
    /// Somebody else moved the checkpoint: apply nothing, read it again.
    #[error("another projector moved the checkpoint of {0}")]
    Overtaken(&'static str),
    /// Another version became active: go on with that one.
    #[error("another version of {0} became active")]
    Switched(&'static str),
}

impl ProjectionError {
    /// Whether trying again cannot help.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::Log(LogError::OutOfRange { .. } | LogError::Misconfigured(_)) | Self::Row { .. } => true,
            Self::Log(LogError::Unavailable(_) | LogError::NoSuchTopic(_))
            | Self::Database(_)
            | Self::Overtaken(_)
            | Self::Switched(_) => false,
        }
    }
}
