//! Deciding: a command becomes a record of the batch, or an answer that waits for it.

use indexmap::map::Entry as MapEntry;

use crate::aggregate::Aggregate;
use crate::codec::{self, EventHead, Meta};
use crate::command::{Expected, Failure};
use crate::ids::{AggregateId, Sequence};

use super::SeededBug;
use super::batch::{Batch, Fresh, Held, Speculative, accepted};
use super::book::Entry;
use super::mailbox::{Execute, Message};
use super::partition::Partition;
use super::serve::Flight;

impl<A: Aggregate> Partition<A> {
    /// One message from the mailbox.
    pub(super) fn take(
        &mut self,
        message: Message<A>,
        flight: &mut Option<Flight<A>>,
        deciding: &mut Batch<A>,
    ) {
        let Some(message) = self.known(message, flight.as_ref(), deciding) else {
            return;
        };
        match message {
            // The caller was told "unknown" and is gone: not attempting it is one of the two outcomes.
            Message::Execute(execute) if execute.reply.is_closed() => {}
            Message::Execute(execute) => {
                if let Some(execute) = self.repeated(execute, flight, deciding) {
                    self.decide(execute, flight.as_ref().map(|flight| &flight.batch), deciding);
                }
            }
            Message::Wait(waiter) => self.wait(waiter),
        }
    }

    /// Answers a repeat of an accepted command, or lets it wait for the original; gives back any other.
    fn repeated(
        &self,
        execute: Execute<A>,
        flight: &mut Option<Flight<A>>,
        deciding: &mut Batch<A>,
    ) -> Option<Execute<A>> {
        if self.settings.config.has(SeededBug::DedupeDropped) {
            return Some(execute);
        }
        let (command, digest) = (execute.context.id, execute.context.digest);
        let committed = self.book.get(&execute.aggregate);
        if let Some(known) = committed.and_then(|entry| entry.memory.recall(command)) {
            // In the log and final; no later state can change this answer.
            let same = known.digest == digest || self.settings.config.has(SeededBug::DigestIgnored);
            let outcome = if same {
                Ok(accepted(&self.at, known, true))
            } else {
                Err(Failure::KeyReused)
            };
            let _ = execute.reply.send(outcome);
            return None;
        }
        if self.settings.config.has(SeededBug::RepeatInFlightDecided) {
            return Some(execute);
        }
        let batches = [Some(deciding), flight.as_mut().map(|flight| &mut flight.batch)];
        for batch in batches.into_iter().flatten() {
            if let Some(fresh) = batch.recall(&execute.aggregate, command) {
                let reply = execute.reply;
                batch.held.push(if fresh.digest == digest {
                    Held::Event {
                        fresh,
                        replayed: true,
                        reply,
                    }
                } else {
                    Held::Answer {
                        outcome: Err(Failure::KeyReused),
                        reply,
                    }
                });
                return None;
            }
        }
        Some(execute)
    }

    /// Decides a command on the speculative state.
    fn decide(&self, execute: Execute<A>, flight: Option<&Batch<A>>, deciding: &mut Batch<A>) {
        let Execute {
            aggregate,
            command,
            context,
            reply,
        } = execute;
        let (state, sequence) = match deciding.entries.get(&aggregate) {
            Some(entry) => (Some(&entry.state), entry.sequence),
            None => self.before(flight, &aggregate),
        };
        let blank = A::State::default();
        let state = state.unwrap_or(&blank);
        let refused = match context.expected {
            Expected::Exactly(expected)
                if expected != sequence && !self.settings.config.has(SeededBug::IfMatchIgnored) =>
            {
                Err(Failure::VersionConflict { current: sequence })
            }
            Expected::Any | Expected::Exactly(_) => A::decide(state, &command).map_err(Failure::Refused),
        };
        let event = match refused {
            Ok(event) => event,
            Err(failure) if self.settings.config.has(SeededBug::RefusedAtOnce) => {
                let _ = reply.send(Err(failure));
                return;
            }
            Err(failure) => {
                deciding.held.push(Held::Answer {
                    outcome: Err(failure),
                    reply,
                });
                return;
            }
        };
        let sequence = sequence.next();
        let term = self.term.expect("serving follows a fence of ours");
        let fresh = Fresh {
            command: context.id,
            digest: context.digest,
            sequence,
            term,
            record: deciding.records.len(),
        };
        let meta = Meta {
            sequence,
            term,
            command: context.id,
            digest: context.digest,
            correlation: context.correlation,
            causation: context.causation,
            actor: context.actor,
        };
        let time = self.settings.environment.now();
        let traceparent = context.traceparent.as_deref();
        let head = EventHead {
            aggregate: &aggregate,
            time,
            meta: &meta,
            traceparent,
        };
        let record = codec::encode_event(&self.source, &head, &event);
        deciding.bytes += record.size();
        deciding.records.push(record);
        deciding.held.push(Held::Event {
            fresh,
            replayed: false,
            reply,
        });
        let entry = match deciding.entries.entry(aggregate) {
            MapEntry::Occupied(entry) => entry.into_mut(),
            MapEntry::Vacant(place) => {
                let (state, _) = self.before(flight, place.key());
                place.insert(Speculative {
                    state: state.cloned().unwrap_or_default(),
                    sequence,
                    fresh: Vec::new(),
                })
            }
        };
        A::evolve(&mut entry.state, &event);
        entry.sequence = sequence;
        entry.fresh.push(fresh);
    }

    /// The aggregate as the batch in flight will leave it, or as committed.
    fn before<'a>(
        &'a self,
        flight: Option<&'a Batch<A>>,
        aggregate: &AggregateId,
    ) -> (Option<&'a A::State>, Sequence) {
        if let Some(entry) = flight.and_then(|batch| batch.entries.get(aggregate)) {
            return (Some(&entry.state), entry.sequence);
        }
        let committed = self.book.get(aggregate);
        (
            committed.map(|entry| &entry.state),
            committed.map_or(Sequence(0), Entry::sequence),
        )
    }
}
