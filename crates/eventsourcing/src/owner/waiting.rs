//! Callers who wait for an aggregate to reach a committed state.

use crate::aggregate::Aggregate;
use crate::ids::{AggregateId, Offset};

use super::batch::Batch;
use super::mailbox::Waiter;
use super::partition::Partition;

impl<A: Aggregate> Partition<A> {
    pub(super) fn wait(&mut self, waiter: Waiter<A>) {
        let committed = self.book.get(&waiter.aggregate);
        if committed.is_some_and(|entry| (waiter.reached)(&entry.state)) {
            let _ = waiter.reply.send(self.last());
        } else if self.waiting < self.settings.config.waiters_max {
            self.waiting += 1;
            self.waiters
                .entry(waiter.aggregate.clone())
                .or_default()
                .push(waiter);
        }
    }

    /// The last committed record. A state that was reached has one.
    fn last(&self) -> Offset {
        Offset(self.book.next.0.saturating_sub(1))
    }

    pub(super) fn touched(&self, batch: &Batch<A>) -> Vec<AggregateId> {
        if self.waiting == 0 {
            return Vec::new();
        }
        batch
            .entries
            .keys()
            .filter(|id| self.waiters.contains_key(*id))
            .cloned()
            .collect()
    }

    pub(super) fn wake_all(&mut self) {
        self.wake(self.waiters.keys().cloned().collect());
    }

    /// Answers the waiters whose state has come; forgets those who gave up.
    pub(super) fn wake(&mut self, aggregates: Vec<AggregateId>) {
        for aggregate in aggregates {
            let Some(waiters) = self.waiters.remove(&aggregate) else {
                continue;
            };
            self.waiting -= waiters.len();
            let state = self.book.get(&aggregate).map(|entry| &entry.state);
            let (reached, still): (Vec<_>, Vec<_>) = waiters
                .into_iter()
                .filter(|waiter| !waiter.reply.is_closed())
                .partition(|waiter| state.is_some_and(waiter.reached));
            for waiter in reached {
                let _ = waiter.reply.send(self.last());
            }
            if !still.is_empty() {
                self.waiting += still.len();
                self.waiters.insert(aggregate, still);
            }
        }
    }
}
