//! Cold aggregates: only the table of states knows them. Who asks for one waits for a look-up; one look-up
//! is under way at a time, for all that were asked for meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::codec::CorruptRecord;
use crate::command::Unavailable;
use crate::ids::AggregateId;
use crate::state_table::{Kept, StateTable, StateTableError, Version};

use super::SeededBug;
use super::batch::{Batch, not_attempted};
use super::mailbox::Message;
use super::partition::Partition;
use super::serve::{Ended, Flight};

/// What the table said of some aggregates.
type Rows<A> = Result<Vec<(AggregateId, Kept<A>)>, StateTableError>;

struct LookUp<A: Aggregate> {
    asked: Vec<AggregateId>,
    rows: Pin<Box<dyn Future<Output = Rows<A>> + Send>>,
}

/// Messages that wait for a look-up.
pub(super) struct Cold<A: Aggregate> {
    waiting: BTreeMap<AggregateId, Vec<Message<A>>>,
    messages: usize,
    /// To be asked for when the look-up under way is back.
    next: Vec<AggregateId>,
    under_way: Option<LookUp<A>>,
    /// Their aggregates are in memory now.
    ready: VecDeque<Message<A>>,
}

/// What a look-up brought.
pub(super) struct LookedUp<A: Aggregate> {
    asked: Vec<AggregateId>,
    rows: Rows<A>,
}

impl<A: Aggregate> Default for Cold<A> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            messages: 0,
            next: Vec::new(),
            under_way: None,
            ready: VecDeque::new(),
        }
    }
}

impl<A: Aggregate> Cold<A> {
    /// How many messages wait, and are not yet decided.
    pub(super) fn len(&self) -> usize {
        self.messages + self.ready.len()
    }

    /// Whether anybody waits for this aggregate.
    pub(super) fn waits_for(&self, aggregate: &AggregateId) -> bool {
        self.waiting.contains_key(aggregate)
    }

    /// The next message whose aggregate is in memory now.
    pub(super) fn ready(&mut self) -> Option<Message<A>> {
        self.ready.pop_front()
    }

    /// The message waits until the aggregate is in memory.
    fn wait(&mut self, message: Message<A>) {
        self.messages += 1;
        let aggregate = message.aggregate();
        if let Some(waiting) = self.waiting.get_mut(aggregate) {
            waiting.push(message);
        } else {
            self.next.push(aggregate.clone());
            self.waiting.insert(aggregate.clone(), vec![message]);
        }
    }

    /// Begins a look-up when there is something to ask and none is under way.
    pub(super) fn look_up(&mut self, table: Option<(&Arc<dyn StateTable<A>>, Version)>) {
        let Some((table, version)) = table else { return };
        if self.under_way.is_none() && !self.next.is_empty() {
            let (asked, table) = (mem::take(&mut self.next), Arc::clone(table));
            let ids = asked.clone();
            let rows = Box::pin(async move { table.load(version, &ids).await });
            self.under_way = Some(LookUp { asked, rows });
        }
    }

    /// What the look-up under way brings; never, when there is none. Cancel-safe.
    pub(super) async fn looked_up(&mut self) -> LookedUp<A> {
        match &mut self.under_way {
            Some(look_up) => {
                let rows = look_up.rows.as_mut().await;
                let asked = mem::take(&mut look_up.asked);
                self.under_way = None;
                LookedUp { asked, rows }
            }
            None => std::future::pending().await,
        }
    }

    fn take(&mut self, aggregate: &AggregateId) -> Vec<Message<A>> {
        let messages = self.waiting.remove(aggregate).unwrap_or_default();
        self.messages -= messages.len();
        messages
    }

    /// Nobody waits any more; none of it was attempted.
    pub(super) fn turn_away(&mut self, reason: Unavailable) {
        let Self { waiting, ready, .. } = mem::take(self);
        for message in waiting.into_values().flatten().chain(ready) {
            turn_away(message, reason);
        }
    }
}

/// Tells whoever sent the message that nothing was attempted.
pub(super) fn turn_away<A: Aggregate>(message: Message<A>, reason: Unavailable) {
    if let Message::Execute(execute) = message {
        let _ = execute.reply.send(Err(not_attempted(reason)));
    }
}

impl<A: Aggregate> Partition<A> {
    /// Gives back a message whose aggregate is known, and lets any other wait for a look-up.
    pub(super) fn known(
        &mut self,
        message: Message<A>,
        flight: Option<&Flight<A>>,
        deciding: &Batch<A>,
    ) -> Option<Message<A>> {
        let aggregate = message.aggregate();
        let speculative = |batch: &Batch<A>| batch.entries.contains_key(aggregate);
        if !self.book.is_cold(aggregate)
            || self.settings.config.has(SeededBug::ColdMeansNew)
            || speculative(deciding)
            || flight.is_some_and(|flight| speculative(&flight.batch))
        {
            return Some(message);
        }
        self.cold.wait(message);
        None
    }

    /// What was looked up is in memory now, and whoever waited for it goes on. `Some` when the table that memory
    /// rests on is gone.
    pub(super) fn warm(
        &mut self,
        LookedUp { asked, rows }: LookedUp<A>,
    ) -> Result<Option<Ended>, CorruptRecord> {
        let messages: Vec<_> = asked
            .iter()
            .flat_map(|aggregate| self.cold.take(aggregate))
            .collect();
        match rows {
            Ok(kept) => {
                self.book.warm(asked, kept)?;
                self.cold.ready.extend(messages);
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(partition = %self.at, %error, "cannot look up aggregates");
                for message in messages {
                    turn_away(message, Unavailable::NoState);
                }
                Ok(matches!(error, StateTableError::Unusable(_)).then_some(Ended::Reopen))
            }
        }
    }
}
