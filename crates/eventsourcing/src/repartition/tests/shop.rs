//! A topic with a history, owners that come and go, and a reader that judges a copy of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::super::*;
use crate::checkpoint::Checkpoint;
use crate::clock::Counted;
use crate::codec::{Envelope, EventHead, Fence, Meta, Parsed, encode_event, encode_fence, parse};
use crate::contract::account::Moved;
use crate::ids::{AggregateId, CommandId, Digest, Epoch, Offset, OwnerId, Sequence};
use crate::record::Stored;
use crate::repartition::Checkpoints;
use crate::rule::{Rule, Term, Verdict};
use crate::simulated::{Faults, SimulatedLog};
use crate::topic::{TopicPartition, partition_of};
use bytes::Bytes;

pub(super) const FROM: u32 = 3;
pub(super) const TO: u32 = 5;
const ACCOUNTS: u64 = 23;

pub(super) struct Silent;

impl Progress for Silent {
    fn copied(&self, _: u64, _: u64) {}
    fn compared(&self, _: u64, _: u64) {}
}

/// The topic that is copied.
pub(super) fn old() -> Extent {
    Extent {
        topic: Topic::generation("shop", "accounts", 1),
        partitions: FROM,
    }
}

/// The topic to be.
pub(super) fn new() -> Extent {
    Extent {
        topic: Topic::generation("shop", "accounts", 2),
        partitions: TO,
    }
}

pub(super) struct Shop {
    pub(super) log: SimulatedLog,
    environment: Arc<Counted>,
    owners: Mutex<Owners>,
}

struct Owners {
    random: StdRng,
    terms: Vec<Term>,
    sequences: BTreeMap<AggregateId, u64>,
    written: u64,
}

impl Shop {
    pub(super) fn open(seed: u64, faults: Faults) -> Self {
        let log = SimulatedLog::new(seed, FROM.max(TO), faults);
        let terms = (0..FROM).map(|number| Term {
            epoch: Epoch(0),
            owner: OwnerId(Uuid::from_u128(u128::from(number))),
        });
        let owners = Owners {
            random: StdRng::seed_from_u64(seed),
            terms: terms.collect(),
            sequences: BTreeMap::new(),
            written: 0,
        };
        Self {
            log,
            environment: Arc::default(),
            owners: Mutex::new(owners),
        }
    }

    pub(super) fn settings(&self, config: Config) -> Settings {
        Settings {
            log: Arc::new(self.log.clone()),
            environment: self.environment.clone(),
            from: old(),
            to: new(),
            config,
        }
    }

    /// So many records more: events, fences now and then, and what zombies write.
    pub(super) async fn trade(&self, records: u64) {
        for _ in 0..records {
            let (at, record) = self.owners.lock().expect("no panic inside").next(&old());
            while let crate::log::Appended::Unknown(_) = self.log.append(&at, vec![record.clone()]).await {}
        }
    }

    /// What counts, by key, in the order of the log.
    pub(super) fn accepted(&self, of: &Extent) -> Vec<(Stored, Envelope, Rule)> {
        let mut accepted = Vec::new();
        for number in 0..of.partitions {
            let mut rule = Rule::default();
            for stored in self.log.records(&of.topic.partition(number)) {
                let parsed = parse(&stored).expect("well formed");
                if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed) {
                    accepted.push((stored, envelope, rule));
                }
            }
        }
        accepted
    }

    /// Each key's events, all there is of them but the term.
    fn histories(&self, of: &Extent) -> BTreeMap<AggregateId, Vec<String>> {
        let mut histories: BTreeMap<AggregateId, Vec<String>> = BTreeMap::new();
        for (stored, mut envelope, _) in self.accepted(of) {
            envelope.meta.term = Term {
                epoch: Epoch(0),
                owner: OwnerId(Uuid::nil()),
            };
            let event = format!(
                "{envelope:?} {:?} {:?}",
                stored.record.value,
                stored.record.headers.len()
            );
            histories.entry(envelope.aggregate).or_default().push(event);
        }
        histories
    }

    /// Whether the new topic holds what counts in the old one, each event once and where it belongs.
    pub(super) fn is_whole(&self) -> Result<(), String> {
        let (before, after) = (self.histories(&old()), self.histories(&new()));
        for (key, events) in &before {
            let found = after.get(key).map_or(0, Vec::len);
            if after.get(key) != Some(events) {
                return Err(format!("{key}: {} events, {found} copied", events.len()));
            }
        }
        if before.len() != after.len() {
            return Err("keys out of nowhere".to_owned());
        }
        for (stored, envelope, _) in self.accepted(&new()) {
            if stored.at.partition != partition_of(&envelope.aggregate, TO) {
                return Err(format!("{} lies in {}", envelope.aggregate, stored.at));
            }
        }
        Ok(())
    }

    /// The new topic of another shop as this one's.
    pub(super) async fn take_target_of(&self, other: &Self) {
        for number in 0..TO {
            let at = new().topic.partition(number);
            let records = other.log.records(&at).into_iter().map(|stored| stored.record);
            self.log.append(&at, records.collect()).await;
        }
    }

    /// Checkpoints after this many records of each old partition.
    pub(super) fn seen(&self, records: impl Fn(u32) -> usize) -> Checkpoints {
        let of = |number| {
            let mut checkpoint = Checkpoint::default();
            let all = self.log.records(&old().topic.partition(number));
            for stored in all.into_iter().take(records(number)) {
                checkpoint
                    .rule
                    .judge(parse(&stored).expect("well formed").claim());
                checkpoint.next = stored.offset.next();
            }
            (number, checkpoint)
        };
        (0..FROM).map(of).collect()
    }

    /// The first event of a new partition that lies behind these checkpoints in the old topic.
    pub(super) fn first_unseen(&self, partition: u32, seen: &Checkpoints) -> Option<(Offset, Rule)> {
        let unseen: Vec<CommandId> = self
            .accepted(&old())
            .into_iter()
            .filter(|(stored, _, _)| stored.offset >= seen[&stored.at.partition].next)
            .map(|(_, envelope, _)| envelope.meta.command)
            .collect();
        let mut there = self.accepted(&new()).into_iter();
        let first = there.find(|(stored, envelope, _)| {
            stored.at.partition == partition && unseen.contains(&envelope.meta.command)
        });
        first.map(|(stored, _, rule)| (stored.offset, rule))
    }
}

impl Owners {
    fn next(&mut self, from: &Extent) -> (TopicPartition, crate::record::Record) {
        let id: AggregateId = format!("account-{}", self.random.random_range(0..ACCOUNTS))
            .parse()
            .expect("an id");
        let number = partition_of(&id, from.partitions);
        let at = from.topic.partition(number);
        let index = number as usize;
        let source = Bytes::from_static(b"/shop/accounts");
        self.written += 1;
        let term = self.terms[index];
        if term.epoch == Epoch(0) || self.random.random_bool(0.05) {
            let term = Term {
                epoch: term.epoch.next(),
                owner: OwnerId(Uuid::from_u128(u128::from(self.written) << 64)),
            };
            self.terms[index] = term;
            let fence = Fence {
                epoch: term.epoch,
                owner: term.owner,
                node: "node".to_owned(),
                url: String::new(),
            };
            return (
                at,
                encode_fence(&source, &fence, time::OffsetDateTime::UNIX_EPOCH),
            );
        }
        // A zombie's event is of an earlier term, and its sequence may be any.
        let zombie = self.random.random_bool(0.1);
        let sequence = self.sequences.entry(id.clone()).or_default();
        let term = if zombie {
            Term {
                epoch: Epoch(term.epoch.0 - 1),
                ..term
            }
        } else {
            *sequence += 1;
            term
        };
        let meta = Meta {
            sequence: Sequence(*sequence),
            term,
            command: CommandId(Uuid::from_u128(u128::from(self.written))),
            digest: Digest(self.written),
            correlation: "request".into(),
            causation: None,
            actor: "tester".into(),
        };
        let head = EventHead {
            aggregate: &id,
            time: time::OffsetDateTime::UNIX_EPOCH,
            meta: &meta,
            traceparent: self.random.random_bool(0.5).then_some("00-1-2-01"),
        };
        let event = Moved {
            by: 1,
            balance: i64::try_from(self.written).expect("small"),
        };
        (at, encode_event(&source, &head, &event))
    }
}
