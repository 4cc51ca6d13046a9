//! Events whose aggregates nobody has asked for since the take-over. They are folded onto the aggregate's row
//! when somebody does: so a new owner serves as soon as it has read them, and waits for no table.

use std::collections::BTreeMap;

use crate::aggregate::Recorded;
use crate::ids::{AggregateId, Offset};

/// Aggregates asked for at a time: an answer takes a moment.
const LOOK_UP_MAX: usize = 5_000;

/// See the module. In the order of the ids: the same seed gives the same simulation.
pub(super) struct Tail<E> {
    of: BTreeMap<AggregateId, Vec<Recorded<E>>>,
    events: usize,
}

impl<E> Tail<E> {
    pub(super) fn new() -> Self {
        Self {
            of: BTreeMap::new(),
            events: 0,
        }
    }

    pub(super) fn push(&mut self, recorded: Recorded<E>) {
        self.events += 1;
        self.of
            .entry(recorded.aggregate.clone())
            .or_default()
            .push(recorded);
    }

    /// The events of this aggregate, in order; they are no longer here.
    pub(super) fn take(&mut self, aggregate: &AggregateId) -> Vec<Recorded<E>> {
        let events = self.of.remove(aggregate).unwrap_or_default();
        self.events -= events.len();
        events
    }

    /// How many aggregates have events here.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// Some aggregates that should be looked up though nobody has asked for them, while there are more than `most`
    /// events.
    pub(super) fn beyond(&self, most: usize) -> Vec<AggregateId> {
        let look_up = if self.events > most { LOOK_UP_MAX } else { 0 };
        self.of.keys().take(look_up).cloned().collect()
    }

    /// Forgets aggregates all of whose events lie `below` the table's checkpoint: the table has them. But a row
    /// that is being looked up may be older than that.
    pub(super) fn forget(&mut self, below: Offset, looked_up: impl Fn(&AggregateId) -> bool) {
        self.of.retain(|aggregate, events| {
            events.last().is_some_and(|last| last.offset >= below) || looked_up(aggregate)
        });
        self.events = self.of.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::codec::Meta;
    use crate::ids::{CommandId, Digest, Epoch, OwnerId, Sequence};
    use crate::rule::Term;
    use crate::topic::Topic;

    fn id(number: u64) -> AggregateId {
        format!("account-{number}").parse().expect("an id")
    }

    /// Event `offset` is of aggregate `offset` modulo 3.
    fn tail(offsets: u64) -> Tail<()> {
        let mut tail = Tail::new();
        for offset in 0..offsets {
            tail.push(Recorded {
                event: (),
                aggregate: id(offset % 3),
                time: OffsetDateTime::UNIX_EPOCH,
                at: Topic::events("test", "accounts").partition(0),
                offset: Offset(offset),
                meta: Meta {
                    sequence: Sequence(offset / 3 + 1),
                    term: Term {
                        epoch: Epoch(1),
                        owner: OwnerId(Uuid::nil()),
                    },
                    command: CommandId(Uuid::from_u128(offset.into())),
                    digest: Digest(0),
                    correlation: "".into(),
                    causation: None,
                    actor: "".into(),
                },
                traceparent: None,
            });
        }
        tail
    }

    #[test]
    fn events_come_back_in_order_and_once() {
        let mut tail = tail(7);
        let offsets: Vec<u64> = tail.take(&id(0)).iter().map(|event| event.offset.0).collect();
        assert_eq!(offsets, [0, 3, 6]);
        assert!(tail.take(&id(0)).is_empty());
        assert_eq!((tail.len(), tail.events), (2, 4));
    }

    #[test]
    fn only_a_long_tail_is_looked_up_unasked() {
        assert!(tail(6).beyond(6).is_empty());
        assert_eq!(tail(7).beyond(6), [id(0), id(1), id(2)]);
    }

    #[test]
    fn what_the_table_has_is_forgotten_unless_an_older_row_is_on_its_way() {
        let mut tail = tail(6);
        // The last events are 3, 4 and 5.
        tail.forget(Offset(5), |aggregate| *aggregate == id(1));
        assert!(tail.take(&id(0)).is_empty());
        assert_eq!(tail.take(&id(1)).len(), 2, "its row may be older");
        assert_eq!(tail.take(&id(2)).len(), 2, "the table has only the first");
        assert_eq!(tail.events, 0);
    }
}
