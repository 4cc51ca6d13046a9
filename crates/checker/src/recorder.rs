//! Recording: cheap, append-only, from many tasks at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventsourcing::aggregate::Aggregate;
use eventsourcing::ids::Offset;
use tokio::time::Instant;

use crate::history::{Attempt, CheckpointMove, History, Moment, Outcome, Question, Read};

/// See the module. Clones share one history.
pub struct Recorder<A: Aggregate> {
    history: Arc<Mutex<History<A>>>,
    started: Instant,
}

impl<A: Aggregate> Clone for Recorder<A> {
    fn clone(&self) -> Self {
        Self {
            history: Arc::clone(&self.history),
            started: self.started,
        }
    }
}

impl<A: Aggregate> Default for Recorder<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Aggregate> Recorder<A> {
    /// An empty history; time counts from now.
    pub fn new() -> Self {
        Self {
            history: Arc::default(),
            started: Instant::now(),
        }
    }

    /// A command is being sent, while its partition ends at `end` (where that is known exactly).
    /// Give the answer to what comes back; when it is dropped instead, the outcome is unknown.
    pub fn ask(&self, question: Question<A>, end: Option<Offset>) -> Pending<A> {
        Pending {
            sent: self.moment(end),
            asked: Some(question),
            recorder: self.clone(),
        }
    }

    /// A read was answered.
    pub fn read(&self, read: Read) {
        self.history().reads.push(read);
    }

    /// A checkpoint was seen. Moves of one reader in one partition must be noted in the order they were seen.
    pub fn checkpoint(&self, seen: CheckpointMove) {
        self.history().moves.push(seen);
    }

    /// Everything so far; the recorder begins anew. Attempts without an answer yet are not in it.
    pub fn take(&self) -> History<A> {
        std::mem::take(&mut *self.history())
    }

    fn moment(&self, end: Option<Offset>) -> Moment {
        Moment {
            elapsed: self.started.elapsed(),
            end,
        }
    }

    fn history(&self) -> MutexGuard<'_, History<A>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command without an answer yet.
pub struct Pending<A: Aggregate> {
    recorder: Recorder<A>,
    asked: Option<Question<A>>,
    sent: Moment,
}

impl<A: Aggregate> Pending<A> {
    /// The answer came, while the partition ended at `end` (where that is known exactly).
    pub fn answered(mut self, outcome: Outcome, end: Option<Offset>) {
        self.close(outcome, end);
    }

    fn close(&mut self, outcome: Outcome, end: Option<Offset>) {
        if let Some(question) = self.asked.take() {
            let attempt = Attempt {
                question,
                sent: self.sent,
                answered: self.recorder.moment(end),
                outcome,
            };
            self.recorder.history().attempts.push(attempt);
        }
    }
}

impl<A: Aggregate> Drop for Pending<A> {
    fn drop(&mut self) {
        self.close(Outcome::Unknown, None);
    }
}
