//! The committed state of a partition: R and the aggregates, a pure fold of the log up to `next`. Memory
//! has all of them, or those touched lately while the table of states has the others.

use std::collections::{HashMap, VecDeque};

use crate::aggregate::{Aggregate, Recorded};
use crate::checkpoint::Checkpoint;
use crate::codec::{self, CorruptRecord, Defect, Parsed};
use crate::ids::{AggregateId, CommandId, Offset, Sequence};
use crate::memory::{Memory, Remembered};
use crate::record::Stored;
use crate::rule::{Rule, Term, Verdict};
use crate::state_table::{Kept, Version};

use super::tail::Tail;

/// One aggregate as of the last committed record.
pub(super) struct Entry<A: Aggregate> {
    pub(super) state: A::State,
    pub(super) memory: Memory,
}

impl<A: Aggregate> Entry<A> {
    pub(super) fn sequence(&self) -> Sequence {
        self.memory.sequence()
    }

    /// Of its last event; `None` before the first.
    fn offset(&self) -> Option<Offset> {
        self.memory.newest().map(|newest| newest.offset)
    }
}

impl<A: Aggregate> Default for Entry<A> {
    fn default() -> Self {
        Self {
            state: A::State::default(),
            memory: Memory::default(),
        }
    }
}

/// See the module.
pub(super) struct Book<A: Aggregate> {
    pub(super) rule: Rule,
    pub(super) next: Offset,
    /// Where those are that memory does not have; `None` when memory has all.
    pub(super) table: Option<Version>,
    entries: HashMap<AggregateId, Entry<A>>,
    /// Of cold aggregates, above the table's checkpoint.
    tail: Tail<A::Event>,
    /// Each entry once, with its last event when it was put here: who comes up again untouched may go.
    clock: VecDeque<(Option<Offset>, AggregateId)>,
}

/// Commands whose events a stretch of log was found to hold, and the terms these are of.
pub(super) type Found = HashMap<CommandId, (Remembered, Term)>;

impl<A: Aggregate> Book<A> {
    pub(super) fn new() -> Self {
        Self {
            rule: Rule::default(),
            next: Offset(0),
            table: None,
            entries: HashMap::new(),
            tail: Tail::new(),
            clock: VecDeque::new(),
        }
    }

    /// The book as this version of the table has it at its checkpoint.
    pub(super) fn resumed(table: Version, from: Checkpoint) -> Self {
        Self {
            rule: from.rule,
            next: from.next,
            table: Some(table),
            ..Self::new()
        }
    }

    pub(super) fn get(&self, aggregate: &AggregateId) -> Option<&Entry<A>> {
        self.entries.get(aggregate)
    }

    /// Of how many aggregates there is anything in memory.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.tail.len()
    }

    /// Whether only the table can tell about the aggregate.
    pub(super) fn is_cold(&self, aggregate: &AggregateId) -> bool {
        self.table.is_some() && !self.entries.contains_key(aggregate)
    }

    /// The entry of an aggregate that is in memory or new.
    pub(super) fn entry(&mut self, aggregate: AggregateId) -> &mut Entry<A> {
        self.entries.entry(aggregate).or_insert_with_key(|aggregate| {
            self.clock.push_back((None, aggregate.clone()));
            Entry::default()
        })
    }

    /// Takes what the table said of these aggregates, nothing included, and folds their tails onto it. What is
    /// in memory is newer.
    pub(super) fn warm(
        &mut self,
        asked: Vec<AggregateId>,
        kept: Vec<(AggregateId, Kept<A>)>,
    ) -> Result<(), CorruptRecord> {
        for (aggregate, Kept { state, memory }) in kept {
            if !self.entries.contains_key(&aggregate) {
                *self.entry(aggregate) = Entry { state, memory };
            }
        }
        for aggregate in asked {
            let tail = self.tail.take(&aggregate);
            self.entry(aggregate);
            for recorded in tail {
                self.fold(recorded)?;
            }
        }
        Ok(())
    }

    /// Some aggregates to be looked up because their tail has more than `most` events; none when it has not.
    pub(super) fn tail_beyond(&self, most: usize) -> Vec<AggregateId> {
        self.tail.beyond(most)
    }

    /// The table has come so far: it has the tails that end below, unless the aggregate is being `looked_up`.
    pub(super) fn forget_tails(&mut self, below: Offset, looked_up: impl Fn(&AggregateId) -> bool) {
        self.tail.forget(below, looked_up);
    }

    /// Forgets aggregates until `most` are left, the least lately touched first, that are not `busy` and whose
    /// last event lies `below` the table's checkpoint. Looks at `looks` entries at most: nobody should wait
    /// for it.
    pub(super) fn evict(
        &mut self,
        most: usize,
        below: Offset,
        looks: usize,
        busy: impl Fn(&AggregateId) -> bool,
    ) {
        for _ in 0..looks {
            if self.entries.len() <= most {
                return;
            }
            let Some((before, aggregate)) = self.clock.pop_front() else {
                return;
            };
            let now = self.entries.get(&aggregate).and_then(Entry::offset);
            if now != before || busy(&aggregate) {
                self.clock.push_back((now, aggregate));
            } else if now < Some(below) {
                self.entries.remove(&aggregate);
            } else {
                // The table has not come so far; whoever was touched later is not in it either.
                self.clock.push_front((now, aggregate));
                return;
            }
        }
    }

    /// Reads the next record of the partition; notes an accepted command in `found`. The event of an aggregate
    /// about which only the table can tell waits until it is asked for.
    pub(super) fn apply(&mut self, stored: &Stored, found: &mut Found) -> Result<(), CorruptRecord> {
        let parsed = codec::parse(stored)?;
        let verdict = self.rule.judge(parsed.claim());
        if let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) {
            let recorded = codec::decode::<A::Event>(stored, envelope)?;
            let remembered = Remembered::of(&recorded);
            found.insert(remembered.command, (remembered, recorded.meta.term));
            if self.is_cold(&recorded.aggregate) {
                self.tail.push(recorded);
            } else {
                self.fold(recorded)?;
            }
        }
        self.next = stored.offset.next();
        Ok(())
    }

    /// Folds an accepted event. Its aggregate is in memory or new.
    fn fold(&mut self, recorded: Recorded<A::Event>) -> Result<(), CorruptRecord> {
        let remembered = Remembered::of(&recorded);
        let entry = self.entry(recorded.aggregate.clone());
        // A row of the table may be ahead of the log as far as it is read here.
        if entry.offset() >= Some(recorded.offset) {
            return Ok(());
        }
        if remembered.sequence != entry.sequence().next() {
            return Err(CorruptRecord {
                at: recorded.at,
                offset: recorded.offset,
                defect: Defect::Sequence {
                    last: entry.sequence(),
                    aggregate: recorded.aggregate,
                    found: remembered.sequence,
                },
            });
        }
        A::evolve(&mut entry.state, &recorded.event);
        entry.memory.remember(remembered);
        Ok(())
    }

    /// [`super::SeededBug::MemoryNotReplayed`].
    pub(super) fn forget(&mut self) {
        for entry in self.entries.values_mut() {
            let newest = entry.memory.newest().copied();
            entry.memory = Memory::default();
            if let Some(newest) = newest {
                let command = CommandId(uuid::Uuid::nil());
                entry.memory.remember(Remembered { command, ..newest });
            }
        }
    }

    /// [`super::SeededBug::FenceAssumed`], [`super::SeededBug::ServesBeforeFence`].
    pub(super) fn presume(&mut self, term: Term) {
        self.rule = Rule::resumed(Some(term));
    }
}
