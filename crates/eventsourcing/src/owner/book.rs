//! The committed state of a partition: R and the aggregates, a pure fold of the log up to `next`.

use std::collections::HashMap;

use crate::aggregate::Aggregate;
use crate::codec::{self, CorruptRecord, Defect, Parsed};
use crate::ids::{AggregateId, CommandId, Offset, Sequence};
use crate::memory::{Memory, Remembered};
use crate::record::Stored;
use crate::rule::{Rule, Term, Verdict};

/// One aggregate as of the last committed record.
pub(super) struct Entry<A: Aggregate> {
    pub(super) state: A::State,
    pub(super) sequence: Sequence,
    pub(super) memory: Memory,
}

impl<A: Aggregate> Default for Entry<A> {
    fn default() -> Self {
        Self {
            state: A::State::default(),
            sequence: Sequence(0),
            memory: Memory::default(),
        }
    }
}

/// All aggregates of a partition, and where the fold stands.
pub(super) struct Book<A: Aggregate> {
    pub(super) rule: Rule,
    pub(super) next: Offset,
    pub(super) entries: HashMap<AggregateId, Entry<A>>,
}

/// Commands whose events a stretch of log was found to hold, and the terms these are of.
pub(super) type Found = HashMap<CommandId, (Remembered, Term)>;

impl<A: Aggregate> Book<A> {
    pub(super) fn new() -> Self {
        Self {
            rule: Rule::default(),
            next: Offset(0),
            entries: HashMap::new(),
        }
    }

    /// Folds the next record of the partition; notes an accepted command in `found`.
    pub(super) fn apply(&mut self, stored: &Stored, found: &mut Found) -> Result<(), CorruptRecord> {
        let parsed = codec::parse(stored)?;
        let verdict = self.rule.judge(parsed.claim());
        if let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) {
            let recorded = codec::decode::<A::Event>(stored, envelope)?;
            let entry = self.entries.entry(recorded.aggregate.clone()).or_default();
            if recorded.meta.sequence != entry.sequence.next() {
                let breach = Defect::Sequence {
                    aggregate: recorded.aggregate,
                    last: entry.sequence,
                    found: recorded.meta.sequence,
                };
                return Err(breach.at(stored));
            }
            A::evolve(&mut entry.state, &recorded.event);
            entry.sequence = recorded.meta.sequence;
            let remembered = Remembered {
                command: recorded.meta.command,
                digest: recorded.meta.digest,
                sequence: recorded.meta.sequence,
                offset: stored.offset,
            };
            entry.memory.remember(remembered);
            found.insert(remembered.command, (remembered, recorded.meta.term));
        }
        self.next = stored.offset.next();
        Ok(())
    }

    /// [`super::SeededBug::MemoryNotReplayed`].
    pub(super) fn forget(&mut self) {
        for entry in self.entries.values_mut() {
            entry.memory = Memory::default();
        }
    }

    /// [`super::SeededBug::FenceAssumed`], [`super::SeededBug::ServesBeforeFence`].
    pub(super) fn presume(&mut self, term: Term) {
        self.rule = Rule::resumed(Some(term));
    }
}
