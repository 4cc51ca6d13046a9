//! The port that says which partitions this node should own. For liveness only: safety rests on R.

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::topic::TopicPartition;

/// A change of what this node should own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignmentChange {
    /// Own this partition: fence and serve.
    Assigned(TopicPartition),
    /// Hand it over: finish what is in flight, then let go.
    Revoked(TopicPartition),
    /// It is another's already: stop at once.
    Lost(TopicPartition),
}

/// A stream of changes.
#[async_trait]
pub trait Assignment: Send + 'static {
    /// The next change; `None` when the node is to own nothing any more. Cancel-safe.
    async fn next(&mut self) -> Option<AssignmentChange>;
}

/// One node owns everything, for ever.
#[derive(Debug)]
pub struct Everything(std::vec::IntoIter<TopicPartition>);

impl Everything {
    /// All of `partitions`.
    #[must_use]
    pub fn of(partitions: Vec<TopicPartition>) -> Self {
        Self(partitions.into_iter())
    }
}

#[async_trait]
impl Assignment for Everything {
    async fn next(&mut self) -> Option<AssignmentChange> {
        match self.0.next() {
            Some(partition) => Some(AssignmentChange::Assigned(partition)),
            None => std::future::pending().await,
        }
    }
}

/// Whatever is sent: for assignments that come about elsewhere. Ends with its sender.
#[async_trait]
impl Assignment for mpsc::UnboundedReceiver<AssignmentChange> {
    async fn next(&mut self) -> Option<AssignmentChange> {
        self.recv().await
    }
}
