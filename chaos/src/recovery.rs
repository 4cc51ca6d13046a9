//! How long a partition whose owner died accepts nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eventsourcing::topic::TopicPartition;

/// The partitions that lost their owner, each until something new is accepted there.
#[derive(Default)]
pub(crate) struct Recovery(Mutex<Vec<Orphan>>);

/// One partition after one death.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    pub(crate) at: TopicPartition,
    since: Instant,
    /// From the death to the first answer that accepts a command sent after it.
    pub(crate) took: Option<Duration>,
}

impl Recovery {
    /// The owner of these partitions dies now.
    pub(crate) fn orphaned(&self, partitions: Vec<TopicPartition>) {
        let since = Instant::now();
        self.orphans().extend(partitions.into_iter().map(|at| Orphan {
            at,
            since,
            took: None,
        }));
    }

    /// A command sent at `sent` has just been accepted for the first time.
    pub(crate) fn accepted(&self, at: &TopicPartition, sent: Instant) {
        for orphan in self.orphans().iter_mut() {
            if orphan.took.is_none() && orphan.at == *at && orphan.since <= sent {
                orphan.took = Some(orphan.since.elapsed());
            }
        }
    }

    /// All of them, in the order of the deaths.
    pub(crate) fn all(&self) -> Vec<Orphan> {
        self.orphans().clone()
    }

    /// Whether something has been accepted everywhere again.
    pub(crate) fn is_over(&self) -> bool {
        self.orphans().iter().all(|orphan| orphan.took.is_some())
    }

    fn orphans(&self) -> MutexGuard<'_, Vec<Orphan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
