//! The port where a process keeps how far it has come in each partition.

use async_trait::async_trait;
use thiserror::Error;

use crate::ids::Offset;
use crate::rule::Rule;
use crate::topic::TopicPartition;

/// How far a reader under R has come in a partition: everything before `next` is completely done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The next offset to look at.
    pub next: Offset,
    /// R as it stands there.
    pub rule: Rule,
}

/// Why a checkpoint was not read or moved.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// Not now.
    #[error("the checkpoints are not available: {0}")]
    Unavailable(String),
    /// Another runner of the same process moved it: stop and read it again.
    #[error("another runner moved the checkpoint")]
    Overtaken,
}

/// Loads and moves checkpoints.
#[async_trait]
pub trait ProcessCheckpoints: Send + Sync + 'static {
    /// The checkpoint; the beginning when there is none.
    async fn load(&self, process: &str, at: &TopicPartition) -> Result<Checkpoint, CheckpointError>;

    /// Moves it by compare-and-set.
    async fn store(
        &self,
        process: &str,
        at: &TopicPartition,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<(), CheckpointError>;
}
