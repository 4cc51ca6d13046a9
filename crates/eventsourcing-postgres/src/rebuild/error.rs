//! Why a rebuild did not switch. Whatever it is, the live version is as before.

use sqlx::error::DatabaseError;
use thiserror::Error;

use super::snapshots::SNAPSHOTS_MAX;
use crate::projection::{Name, ProjectionError};

/// PostgreSQL's class of codes for what it has too little of: disk, memory, connections.
const INSUFFICIENT_RESOURCES: &str = "53";

/// See the module.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// There is nothing to rebuild.
    #[error("the projection {0} has no live version yet; it is built when `daybook projections` first runs")]
    NoLiveVersion(Name),
    /// Another rebuild of it is running, or a retry or skip of its parked events.
    #[error("another rebuild of {0} is running, here or on another node: see `daybook rebuild status`")]
    Running(Name),
    /// None is under way that could be told anything.
    #[error("no rebuild of {0} is under way: see `daybook rebuild status`")]
    NotUnderWay(Name),
    /// It was told to.
    #[error("cancelled; the live version of {} is as before", .0.base())]
    Cancelled(Name),
    /// It was told to.
    #[error(
        "interrupted; what was built is kept: `daybook rebuild {0}` goes on with it, `daybook rebuild cancel {0}` removes it"
    )]
    Interrupted(Name),
    /// The rebuilt rows are not the live ones, though one fold made both.
    #[error("the rebuilt {projection} differs from the live one, which stays: {}", examples.join("; "))]
    Differs {
        /// Which projection.
        projection: Name,
        /// The first rows that differ.
        examples: Vec<String>,
    },
    /// The rows of the changed fold are not those of the same fold done plainly.
    #[error("the rebuilt {projection} differs from a plain fold of a sample, the live one stays: {}", examples.join("; "))]
    SampleDiffers {
        /// Which projection.
        projection: Name,
        /// The first rows that differ.
        examples: Vec<String>,
    },
    /// Somebody has changed the live table by hand.
    #[error("the live table {table} was altered by hand, {difference}: undo that, then rebuild again")]
    Altered {
        /// The table with its schema.
        table: String,
        /// What is not as it was made.
        difference: String,
    },
    /// There is no version before the live one.
    #[error("{0} has nothing to roll back to: the version before the live one was dropped, or never was")]
    NothingBefore(Name),
    /// The version before was made by another fold, which this build does not have.
    #[error(
        "version {version} of {projection} was made by another fold than this build's: roll back with the build that made it"
    )]
    OtherBuild {
        /// Which projection.
        projection: Name,
        /// The version before.
        version: i32,
    },
    /// There is nothing to retry or skip.
    #[error("{projection} has nothing parked{}: see `daybook parked list`", of_key(key.as_deref()))]
    NothingParked {
        /// Which projection.
        projection: Name,
        /// Of which key, if one was named.
        key: Option<String>,
    },
    /// What follows of a key waits behind its first parked event, so only that one can be skipped.
    #[error("the first parked event of {key:?} in {projection} is {first}: only that one can be skipped")]
    NotFirst {
        /// Which projection.
        projection: Name,
        /// Which key.
        key: String,
        /// The place of the first.
        first: String,
    },
    /// A parked event's record is not in the log any more.
    #[error(
        "{projection}: the record {at} is gone from the log; restore the log, or leave it out by `daybook parked skip`"
    )]
    Gone {
        /// Which projection.
        projection: Name,
        /// Its place.
        at: String,
    },
    /// Long reads never let go of the view.
    #[error("{0} cannot be switched: its view is in use all the time; end the long reads and try again")]
    InUse(Name),
    /// A row of a view needs each event of its aggregate.
    #[error(
        "{0} cannot be made of some types of events only: each row needs every event of its aggregate; --only is for counters, such as sales"
    )]
    NotCounters(Name),
    /// A snapshot of before the first event.
    #[error("nothing of what {projection} is made of happened before {}; {}", projection.as_of().unwrap_or_default(), match first {
        Some(first) => format!("the first event is of {first}"),
        None => "there is no such event at all".to_owned(),
    })]
    NothingHappened {
        /// Which projection.
        projection: Name,
        /// When the first event happened, RFC 3339.
        first: Option<String>,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot of {}: see `daybook rebuild snapshots`", said(.0))]
    NoSnapshot(Name),
    /// Each takes room.
    #[error(
        "there are {SNAPSHOTS_MAX} snapshots of {0} already: drop one first, see `daybook rebuild snapshots`"
    )]
    TooManySnapshots(&'static str),
    /// PostgreSQL ran out of disk, memory or connections.
    #[error(
        "PostgreSQL has no room for another version of {projection}; what was built is dropped, and the live version is as before. Make room, then run it again: {source}"
    )]
    NoRoom {
        /// Which projection.
        projection: Name,
        /// What PostgreSQL says.
        source: sqlx::Error,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Projection(error.into())
    }
}

impl RebuildError {
    /// The same, where PostgreSQL lacks resources as what that is.
    pub(super) fn told_apart(self, projection: Name) -> Self {
        match self {
            Self::Projection(ProjectionError::Database(source)) if lacks_room(&source) => {
                Self::NoRoom { projection, source }
            }
            other => other,
        }
    }

    /// Whether another build's fold made the live version.
    #[must_use]
    pub const fn is_other_fold(&self) -> bool {
        matches!(
            self,
            Self::Projection(ProjectionError::OtherFold { .. } | ProjectionError::NewerFold { .. })
        )
    }

    /// Whether the same again, later, may go on with what was built. Not when there is no room: what was built takes
    /// what the live shop needs.
    pub(super) fn can_go_on(&self) -> bool {
        match self {
            Self::Interrupted(_) | Self::InUse(_) => true,
            Self::Projection(error) => !error.is_final(),
            Self::NoLiveVersion(_)
            | Self::Running(_)
            | Self::NotUnderWay(_)
            | Self::Cancelled(_)
            | Self::Differs { .. }
            | Self::SampleDiffers { .. }
            | Self::Altered { .. }
            | Self::NothingBefore(_)
            | Self::NotCounters(_)
            | Self::NothingHappened { .. }
            | Self::NoSnapshot(_)
            | Self::TooManySnapshots(_)
            | Self::NothingParked { .. }
            | Self::NotFirst { .. }
            | Self::Gone { .. }
            | Self::NoRoom { .. }
            | Self::OtherBuild { .. } => false,
        }
    }
}

/// A snapshot in words.
fn said(name: &Name) -> String {
    format!("{} as of {}", name.base(), name.as_of().unwrap_or_default())
}

fn of_key(key: Option<&str>) -> String {
    key.map_or_else(String::new, |key| format!(" of the key {key:?}"))
}

fn lacks_room(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code.starts_with(INSUFFICIENT_RESOURCES))
}
