//! Why a repartitioning stops.

use thiserror::Error;

use crate::codec::CorruptRecord;
use crate::ids::Offset;
use crate::log::LogError;
use crate::topic::{Topic, TopicPartition};

/// Why a repartitioning stops. The old topic is as it was, but for the seal when that was already set; what lies in
/// the new one is left there.
#[derive(Debug, Error)]
pub enum RepartitionError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record that cannot be judged: nobody knows whose it is.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// The old partition no longer begins at 0.
    #[error("{at} begins at offset {start}: what lay before it is gone, and its events cannot be counted")]
    Cut {
        /// The partition.
        at: TopicPartition,
        /// Its first offset.
        start: Offset,
    },
    /// The new partition holds other events than the old one.
    #[error(
        "{to} does not hold the events of {from} as they are there ({what}): it is no copy of it. Delete the new \
         topics, and run this again"
    )]
    Differs {
        /// The old partition.
        from: TopicPartition,
        /// The new one.
        to: TopicPartition,
        /// In what.
        what: String,
    },
    /// Another copier, or an owner, has fenced the new partition.
    #[error(
        "{0} was fenced by somebody else: another repartitioning, or a node, is at work in the new topics"
    )]
    Overtaken(TopicPartition),
    /// The new partition is sealed: it was repartitioned itself.
    #[error("{0} is sealed: it has itself been repartitioned already")]
    Sealed(TopicPartition),
    /// The old topic has an end, but no seal there.
    #[error("{0} is copied to its end, but not sealed")]
    NotSealed(Topic),
    /// Appends stay in doubt.
    #[error("the log does not take what is appended: {0}. Run the same command again to go on")]
    Stuck(LogError),
}
