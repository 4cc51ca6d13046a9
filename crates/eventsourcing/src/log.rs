//! The port to a log. What each adapter must do is the contract suite's to say ([`crate::contract`]).

use async_trait::async_trait;
use thiserror::Error;

use crate::ids::Offset;
use crate::record::{Record, Stored};
use crate::topic::{Topic, TopicPartition};

/// An append-only, partitioned log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Appends `records` to one partition in this order. Bounded in time by the adapter. Records of
    /// others may come to lie between them, and an append whose outcome was unknown may still land
    /// later: the protocol above copes with both.
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended;

    /// A reader of these partitions, each from its offset on, in offset order per partition.
    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError>;

    /// The first offset kept and the high watermark. Linearizable: everything acknowledged before
    /// the call lies below the end it returns.
    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError>;

    /// How many partitions the topic has.
    async fn partitions(&self, of: &Topic) -> Result<u32, LogError>;
}

/// Reads records as they become final (below the high watermark).
#[async_trait]
pub trait Reader: Send {
    /// The next records, at least one and at most `max`; waits for them. Cancel-safe: a dropped call
    /// loses nothing. Offsets rise but need not be dense.
    async fn next(&mut self, max: usize) -> Result<Vec<Stored>, LogError>;
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// All records are in the log, durably as configured, at these offsets (rising, as many as records).
    At(Vec<Offset>),
    /// Some, all or none are in the log or will be; nobody knows. The reason is for people.
    Unknown(String),
}

/// The extent of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset still kept.
    pub start: Offset,
    /// The offset the next record will get (high watermark).
    pub end: Offset,
}

impl Bounds {
    /// Refuses an offset that the log does not hold and will not get next.
    pub fn check(self, at: &TopicPartition, asked: Offset) -> Result<(), LogError> {
        let Self { start, end } = self;
        if (start..=end).contains(&asked) {
            return Ok(());
        }
        Err(LogError::OutOfRange {
            at: at.clone(),
            start,
            end,
            asked,
        })
    }
}

/// Why the log cannot be read.
#[derive(Debug, Error)]
pub enum LogError {
    /// Not now; the same call may succeed later.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// The topic or partition is not there.
    #[error("{0} does not exist; `daybook topics create` creates it")]
    NoSuchTopic(String),
    /// The log does not hold what it must: it was cut, recreated or expired.
    #[error(
        "the log of {at} begins at {start} and ends at {end}, but whoever reads it has come to offset {asked}: its \
         checkpoint belongs to another log, or this one was cut; give each log a database of its own, or restore it"
    )]
    OutOfRange {
        /// The partition.
        at: TopicPartition,
        /// The first offset kept.
        start: Offset,
        /// The high watermark.
        end: Offset,
        /// The offset asked for.
        asked: Offset,
    },
    /// The settings of the topic break a promise; says which and how to mend it.
    #[error("{0}")]
    Misconfigured(String),
}
