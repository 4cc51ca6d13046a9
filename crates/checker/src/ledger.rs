//! The log as any reader under R sees it: the events that count, by aggregate and by command.

use std::collections::{BTreeMap, HashMap};

use eventsourcing::aggregate::{Event, Recorded};
use eventsourcing::codec::{self, Parsed};
use eventsourcing::ids::{AggregateId, CommandId, Offset};
use eventsourcing::record::Stored;
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::topic::TopicPartition;

use crate::breach::{Breach, Place};
use crate::terms::Terms;

/// See the module.
pub(crate) struct Ledger<E> {
    /// Per aggregate, in the order of the log.
    pub(crate) facts: BTreeMap<AggregateId, Vec<Recorded<E>>>,
    /// Which of the aggregate's facts a command made. Commands are scoped to their aggregate.
    made: HashMap<AggregateId, HashMap<CommandId, usize>>,
    /// Where each partition ends.
    pub(crate) ends: BTreeMap<TopicPartition, Offset>,
    /// Fences, valid or not.
    pub(crate) fences: u64,
    /// Fences that opened a term.
    pub(crate) terms: u64,
    /// Events that never counted.
    pub(crate) void: u64,
}

impl<E: Event> Ledger<E> {
    /// Reads all partitions; notes what breaks I3, I4 (as far as sequences go) and I5.
    pub(crate) fn read(log: &[Stored], breaches: &mut Vec<Breach>) -> Self {
        let mut ledger = Self {
            facts: BTreeMap::new(),
            made: HashMap::new(),
            ends: BTreeMap::new(),
            fences: 0,
            terms: 0,
            void: 0,
        };
        for (at, records) in by_partition(log) {
            ledger.partition(&records, breaches);
            let end = records.last().map_or(Offset(0), |last| last.offset.next());
            ledger.ends.insert(at.clone(), end);
        }
        ledger
    }

    /// The event that the command made, if any.
    pub(crate) fn made(&self, aggregate: &AggregateId, command: CommandId) -> Option<&Recorded<E>> {
        let index = *self.made.get(aggregate)?.get(&command)?;
        self.facts.get(aggregate)?.get(index)
    }

    /// All events that count.
    pub(crate) fn events(&self) -> u64 {
        self.facts.values().map(|facts| facts.len() as u64).sum()
    }

    fn partition(&mut self, records: &[&Stored], breaches: &mut Vec<Breach>) {
        let mut rule = Rule::default();
        let mut terms = Terms::default();
        for stored in records {
            let place = place(stored);
            let parsed = match codec::parse(stored) {
                Ok(parsed) => parsed,
                Err(error) => {
                    let defect = error.to_string();
                    breaches.push(Breach::Unreadable { place, defect });
                    continue;
                }
            };
            let verdict = rule.judge(parsed.claim());
            match (verdict, parsed) {
                (Verdict::Opened, Parsed::Fence(fence)) => {
                    breaches.extend(terms.opened(fence.term(), &place));
                    self.fences += 1;
                    self.terms += 1;
                }
                (Verdict::Accepted, Parsed::Event(envelope)) => {
                    breaches.extend(terms.counts(envelope.meta.term, &place));
                    match codec::decode::<E>(stored, envelope) {
                        Ok(fact) => self.fact(fact, breaches),
                        Err(error) => breaches.push(Breach::Unreadable {
                            place,
                            defect: error.to_string(),
                        }),
                    }
                }
                (Verdict::Void, Parsed::Fence(_)) => self.fences += 1,
                (Verdict::Void, Parsed::Event(_)) => self.void += 1,
                (Verdict::Opened, Parsed::Event(_)) | (Verdict::Accepted, Parsed::Fence(_)) => {
                    unreachable!("R opens with fences and accepts events")
                }
            }
        }
    }

    fn fact(&mut self, fact: Recorded<E>, breaches: &mut Vec<Breach>) {
        let (aggregate, command) = (fact.aggregate.clone(), fact.meta.command);
        let facts = self.facts.entry(aggregate.clone()).or_default();
        let place = place_of(&fact);
        if let Some(first) = facts.first().filter(|first| first.at != fact.at) {
            breaches.push(Breach::TwoPartitions {
                aggregate: aggregate.clone(),
                at: first.at.clone(),
                place: place.clone(),
            });
        }
        let last = facts.last().map(Recorded::sequence).unwrap_or_default();
        if fact.sequence() != last.next() {
            breaches.push(Breach::Gap {
                aggregate: aggregate.clone(),
                place: place.clone(),
                last,
                found: fact.sequence(),
            });
        }
        let made = self.made.entry(aggregate.clone()).or_default();
        if let Some(first) = made.get(&command).and_then(|index| facts.get(*index)) {
            breaches.push(Breach::Doubled {
                aggregate,
                command,
                first: place_of(first),
                second: place,
            });
        } else {
            made.insert(command, facts.len());
        }
        facts.push(fact);
    }
}

/// The records of each partition, in the order of their offsets.
pub(crate) fn by_partition(log: &[Stored]) -> BTreeMap<&TopicPartition, Vec<&Stored>> {
    let mut partitions: BTreeMap<&TopicPartition, Vec<&Stored>> = BTreeMap::new();
    for stored in log {
        partitions.entry(&stored.at).or_default().push(stored);
    }
    for records in partitions.values_mut() {
        records.sort_by_key(|stored| stored.offset);
    }
    partitions
}

fn place(stored: &Stored) -> Place {
    Place {
        at: stored.at.clone(),
        offset: stored.offset,
    }
}

/// Where a fact lies.
pub(crate) fn place_of<E>(fact: &Recorded<E>) -> Place {
    Place {
        at: fact.at.clone(),
        offset: fact.offset,
    }
}
