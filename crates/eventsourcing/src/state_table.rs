//! The port to the table of states ([`crate::states`]), as an owner uses it.
//!
//! A new owner reads the partition's checkpoint and folds only the log above it. From then on it has in
//! memory every aggregate touched since that checkpoint, and the table has all others, exactly: nothing
//! touched them since. What memory holds below a newer checkpoint may be forgotten again.
//!
//! A row may be newer than the checkpoint an owner started from, because the projector goes on. It names
//! the offset of its last event, so the owner skips what is in it already.

use async_trait::async_trait;
use thiserror::Error;

use crate::aggregate::Aggregate;
use crate::checkpoint::Checkpoint;
use crate::ids::AggregateId;
use crate::memory::Memory;
use crate::topic::TopicPartition;

/// One version of the table. Another version may hold states of another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub i32);

/// One aggregate as the table has it.
pub struct Kept<A: Aggregate> {
    /// Its state.
    pub state: A::State,
    /// The commands it remembers; the newest made the last event in `state`.
    pub memory: Memory,
}

/// Why the table does not answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StateTableError {
    /// Not now.
    #[error("the states are not available: {0}")]
    Unavailable(String),
    /// This version cannot be used, now or ever: open the table again.
    #[error("the table of states cannot be used any more: {0}")]
    Unusable(String),
}

/// The table of states of one aggregate type. Bounded in time by the adapter.
#[async_trait]
pub trait StateTable<A: Aggregate>: Send + Sync + 'static {
    /// The version this build can read and how far it has come in `at`; `None` when there is none.
    async fn open(&self, at: &TopicPartition) -> Result<Option<(Version, Checkpoint)>, StateTableError>;

    /// The rows of these aggregates; one without a row has no event below the checkpoint. Each row is at
    /// least as new as any checkpoint that was returned before the call.
    async fn load(
        &self,
        version: Version,
        ids: &[AggregateId],
    ) -> Result<Vec<(AggregateId, Kept<A>)>, StateTableError>;
}
