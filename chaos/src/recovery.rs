//! How long a partition whose owner died accepts nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eventsourcing::topic::TopicPartition;

/// The partitions that lost their owner, each until something new is accepted there.
#[derive(Default)]
pub(crate) struct Recovery(Mutex<Vec<Orphan>>);

/// Why a partition has no owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was killed: the group notices when its session is over.
    Killed,
    /// It sleeps: the same.
    Asleep,
    /// It was told to stop: it hands over.
    Stopped,
}

impl Cause {
    pub(crate) const ALL: [Self; 3] = [Self::Killed, Self::Asleep, Self::Stopped];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Killed => "kill -9",
            Self::Asleep => "SIGSTOP",
            Self::Stopped => "SIGTERM",
        }
    }
}

/// One partition after one death.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    pub(crate) at: TopicPartition,
    /// What became of the owner.
    pub(crate) cause: Cause,
    since: Instant,
    /// From the death to the first answer that accepts a command sent after it.
    pub(crate) took: Option<Duration>,
}

impl Recovery {
    /// The owner of these partitions is lost now.
    pub(crate) fn orphaned(&self, partitions: Vec<TopicPartition>, cause: Cause) {
        let since = Instant::now();
        self.orphans().extend(partitions.into_iter().map(|at| Orphan {
            at,
            cause,
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
