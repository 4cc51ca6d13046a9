//! A batch: commands decided on the speculative state, waiting for the log to make it true.

use indexmap::IndexMap;

use crate::aggregate::Aggregate;
use crate::command::{Accepted, Failure, Unavailable};
use crate::ids::{AggregateId, CommandId, Digest, Offset, Sequence};
use crate::memory::Remembered;
use crate::position::Position;
use crate::record::Record;
use crate::rule::Term;
use crate::topic::TopicPartition;

use super::book::{Book, Found};
use super::mailbox::{Outcome, Reply};

/// An aggregate as it will be once the batches before it are committed.
pub(super) struct Speculative<A: Aggregate> {
    pub(super) state: A::State,
    pub(super) sequence: Sequence,
    /// What this batch accepted for the aggregate.
    pub(super) fresh: Vec<Fresh>,
}

/// A command accepted in a batch, before its event has an offset.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    pub(super) command: CommandId,
    pub(super) digest: Digest,
    pub(super) sequence: Sequence,
    /// The term its event is written in.
    pub(super) term: Term,
    /// Which record of the batch is its event.
    pub(super) record: usize,
}

impl Fresh {
    /// Its event, now that the batch lies at these offsets.
    fn at(&self, offsets: &[Offset]) -> Remembered {
        Remembered {
            command: self.command,
            digest: self.digest,
            sequence: self.sequence,
            offset: offsets[self.record],
        }
    }

    /// The answer when the log was found to hold an event of the command. One of another term was made by
    /// another owner, to which the command was sent as well, or another request under its key.
    fn told<A: Aggregate>(&self, at: &TopicPartition, found: &Found, replayed: bool) -> Option<Outcome<A>> {
        let (known, term) = found.get(&self.command)?;
        Some(if *term == self.term {
            Ok(accepted(at, known, replayed))
        } else if known.digest == self.digest {
            Ok(accepted(at, known, true))
        } else {
            Err(Failure::KeyReused)
        })
    }
}

/// An answer that must wait for the batch.
pub(super) enum Held<A: Aggregate> {
    /// The outcome of this command: decided here, or repeated while in flight.
    Event {
        fresh: Fresh,
        replayed: bool,
        reply: Reply<A>,
    },
    /// A refusal or the answer to a repeat, true as of the state before this batch ends.
    Answer { outcome: Outcome<A>, reply: Reply<A> },
}

/// See the module.
pub(super) struct Batch<A: Aggregate> {
    pub(super) records: Vec<Record>,
    pub(super) bytes: usize,
    /// In the order in which they were first touched, so that the same run gives the same trace.
    pub(super) entries: IndexMap<AggregateId, Speculative<A>>,
    pub(super) held: Vec<Held<A>>,
}

impl<A: Aggregate> Default for Batch<A> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            entries: IndexMap::new(),
            held: Vec::new(),
        }
    }
}

impl<A: Aggregate> Batch<A> {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The command, when this batch accepted it for that aggregate.
    pub(super) fn recall(&self, aggregate: &AggregateId, command: CommandId) -> Option<Fresh> {
        let entry = self.entries.get(aggregate)?;
        entry
            .fresh
            .iter()
            .rev()
            .find(|fresh| fresh.command == command)
            .copied()
    }

    /// The log has it at these offsets, with nothing in between: the speculative state is true.
    pub(super) fn commit(self, at: &TopicPartition, offsets: &[Offset], book: &mut Book<A>) {
        for (aggregate, speculative) in self.entries {
            let entry = book.entry(aggregate);
            entry.state = speculative.state;
            for fresh in speculative.fresh {
                entry.memory.remember(fresh.at(offsets));
            }
        }
        if let Some(last) = offsets.last() {
            book.next = last.next();
        }
        answer(self.held, Unavailable::Deposed, |fresh, replayed| {
            Some(Ok(accepted(at, &fresh.at(offsets), replayed)))
        });
    }

    /// [`super::SeededBug::SpeculationKept`].
    pub(super) fn keep(&self, book: &mut Book<A>) {
        for (aggregate, speculative) in &self.entries {
            let entry = book.entry(aggregate.clone());
            entry.state = speculative.state.clone();
        }
    }

    /// The log was read instead, and holds what was `found`: whatever is not among it is void.
    pub(super) fn settle(self, at: &TopicPartition, found: &Found, void: Unavailable) {
        answer(self.held, void, |fresh, replayed| {
            fresh.told::<A>(at, found, replayed)
        });
    }

    /// Like [`Batch::settle`], but answers that rest on the speculative state are void as well.
    pub(super) fn void(self, at: &TopicPartition, found: &Found, void: Unavailable) {
        let held = self.held.into_iter().map(|held| match held {
            Held::Answer { reply, .. } => Held::Answer {
                outcome: Err(not_attempted(void)),
                reply,
            },
            event @ Held::Event { .. } => event,
        });
        answer(held.collect(), void, |fresh, replayed| {
            fresh.told::<A>(at, found, replayed)
        });
    }
}

/// The definite answer "nothing was written".
pub(super) fn not_attempted<R>(reason: Unavailable) -> Failure<R> {
    Failure::NotAttempted {
        reason,
        retry_after: std::time::Duration::from_secs(1),
    }
}

/// The outcome of a command whose event lies in the log.
pub(super) fn accepted(at: &TopicPartition, known: &Remembered, replayed: bool) -> Accepted {
    Accepted {
        sequence: known.sequence,
        position: Position::new(at, known.offset),
        replayed,
    }
}

/// Answers everybody; `told` is the outcome of a command whose event lies in the log, `void` says what to tell
/// where it does not.
fn answer<A: Aggregate>(
    held: Vec<Held<A>>,
    void: Unavailable,
    told: impl Fn(&Fresh, bool) -> Option<Outcome<A>>,
) {
    for held in held {
        // A caller that gave up has been told "unknown"; there is nobody left to answer.
        let _ = match held {
            Held::Answer { outcome, reply } => reply.send(outcome),
            Held::Event {
                fresh,
                replayed,
                reply,
            } => reply.send(told(&fresh, replayed).unwrap_or_else(|| Err(not_attempted(void)))),
        };
    }
}
