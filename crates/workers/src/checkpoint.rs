//! How far a process has come: the port, and the adapter in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use eventsourcing::ids::Offset;
use eventsourcing::rule::Term;
use eventsourcing::topic::TopicPartition;
use thiserror::Error;

/// A place in a partition, with what rule R knows there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first offset that is not done.
    pub next: Offset,
    /// The term open there; `None` before the first fence.
    pub term: Option<Term>,
}

/// Why a checkpoint cannot be read or moved.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Not now; the same call may succeed later.
    #[error("checkpoints are not available: {0}")]
    Unavailable(String),
    /// Another runner of this process has moved it.
    #[error("another runner has moved the checkpoint of {0}")]
    Moved(TopicPartition),
}

/// Keeps the checkpoints of processes.
#[async_trait]
pub trait ProcessCheckpoints: Send + Sync + 'static {
    /// The checkpoint of `process` in this partition; the default one before the first store.
    async fn load(&self, process: &str, at: &TopicPartition) -> Result<Checkpoint, CheckpointError>;

    /// Moves it from `from` to `to`, when it still lies at `from.next` ([`CheckpointError::Moved`] else).
    async fn store(
        &self,
        process: &str,
        at: &TopicPartition,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<(), CheckpointError>;
}

/// Checkpoints that live as long as this value; for tests.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<BTreeMap<(String, TopicPartition), Checkpoint>>);

impl InMemory {
    /// The first offset that is not done.
    pub fn next(&self, process: &str, at: &TopicPartition) -> Offset {
        let known = self.0.lock().expect("no holder of this lock panics");
        known.get(&(process.to_owned(), at.clone())).map_or(Offset(0), |checkpoint| checkpoint.next)
    }
}

#[async_trait]
impl ProcessCheckpoints for InMemory {
    async fn load(&self, process: &str, at: &TopicPartition) -> Result<Checkpoint, CheckpointError> {
        let known = self.0.lock().expect("no holder of this lock panics");
        Ok(known.get(&(process.to_owned(), at.clone())).copied().unwrap_or_default())
    }

    async fn store(
        &self,
        process: &str,
        at: &TopicPartition,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<(), CheckpointError> {
        let mut known = self.0.lock().expect("no holder of this lock panics");
        let checkpoint = known.entry((process.to_owned(), at.clone())).or_default();
        if checkpoint.next != from.next {
            return Err(CheckpointError::Moved(at.clone()));
        }
        *checkpoint = to;
        Ok(())
    }
}
