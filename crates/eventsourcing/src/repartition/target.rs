//! A new partition: fenced, appended to, and read back under R.

use std::collections::HashMap;
use std::mem;

use sha2::{Digest, Sha256};

use super::chain::Chain;
use super::source::rewritten;
use super::{Flaw, RepartitionError, Settings, end_of};
use crate::codec::{Defect, Envelope, Parsed, parse};
use crate::copy::{Patience, Range};
use crate::ids::{Offset, OwnerId, Sequence};
use crate::log::{Appended, Log};
use crate::record::{Record, Stored};
use crate::rule::{Rule, Term, Verdict};
use crate::topic::{TopicPartition, partition_of};

/// Fences of killed copiers may still arrive and win an epoch; so often in a row they do not.
const RIVALS_MAX: u32 = 8;
/// Records between two places to which a search can go back.
const PLACE_EVERY: u64 = 5_000;

/// A place in a new partition, and how many events of each old one lie before it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) next: Offset,
    pub(super) rule: Rule,
    pub(super) counts: Vec<u64>,
}

/// What a new partition holds.
pub(super) struct Target {
    pub(super) at: TopicPartition,
    pub(super) next: Offset,
    pub(super) rule: Rule,
    /// Ours, since the last fence.
    term: Option<Term>,
    /// Its events, by old partition.
    pub(super) chains: Vec<Chain>,
    pub(super) places: Vec<Place>,
    /// The last sequence of each aggregate, by the first half of its id's hash: there may be millions.
    sequences: HashMap<[u8; 16], Sequence>,
    partitions: u32,
}

impl Target {
    pub(super) fn new(at: TopicPartition, sources: u32, partitions: u32) -> Self {
        let begin = Place {
            next: Offset(0),
            rule: Rule::default(),
            counts: (0..sources).map(|_| 0).collect(),
        };
        Self {
            at,
            next: Offset(0),
            rule: Rule::default(),
            term: None,
            chains: (0..sources).map(|_| Chain::default()).collect(),
            places: vec![begin],
            sequences: HashMap::new(),
            partitions,
        }
    }

    /// Opens an epoch of our own: nobody else's records count from here on. Everything before it is read then.
    pub(super) async fn fence(&mut self, settings: &Settings) -> Result<(), RepartitionError> {
        let log = &*settings.log;
        self.read_to(log, end_of(log, &self.at).await?).await?;
        if settings.config.has(Flaw::NoFence) && self.rule.current().is_some() {
            self.term = self.rule.current();
            return Ok(());
        }
        for _ in 0..RIVALS_MAX {
            if self.rule.is_sealed() {
                return Err(RepartitionError::Sealed(self.at.clone()));
            }
            let term = Term {
                epoch: self.rule.epoch().next(),
                owner: OwnerId(settings.environment.fresh()),
            };
            self.open(settings, term).await?;
            if self.rule.current() == Some(term) {
                self.term = Some(term);
                return Ok(());
            }
        }
        Err(RepartitionError::Overtaken(self.at.clone()))
    }

    /// Appends the fence of `term` until its epoch is open, whoever opened it.
    async fn open(&mut self, settings: &Settings, term: Term) -> Result<(), RepartitionError> {
        let record = settings.fence(term);
        let log = &*settings.log;
        let mut patience = Patience::default();
        while self.rule.epoch() < term.epoch {
            let appended = log.append(&self.at, vec![record.clone()]).await;
            self.read_to(log, end_of(log, &self.at).await?).await?;
            if let Appended::Unknown(reason) = appended
                && self.rule.epoch() < term.epoch
            {
                patience.wait(reason).await.map_err(RepartitionError::Stuck)?;
            }
        }
        Ok(())
    }

    /// Appends these events and reads back what lies there then. What was in doubt is settled by a fence, and
    /// its reason returned.
    pub(super) async fn take(
        &mut self,
        settings: &Settings,
        records: Vec<Record>,
    ) -> Result<Option<String>, RepartitionError> {
        let log = &*settings.log;
        let doubt = self.append(settings, records).await?;
        if doubt.is_some() && !settings.config.has(Flaw::DoubtMeansLost) {
            self.fence(settings).await?;
            return Ok(doubt);
        }
        self.read_to(log, end_of(log, &self.at).await?).await?;
        if self.rule.current() != self.term {
            return Err(RepartitionError::Overtaken(self.at.clone()));
        }
        Ok(doubt)
    }

    /// Batch by batch; stops at the first of unknown outcome.
    async fn append(
        &self,
        settings: &Settings,
        records: Vec<Record>,
    ) -> Result<Option<String>, RepartitionError> {
        let Some(term) = self.term else {
            return Err(RepartitionError::Overtaken(self.at.clone()));
        };
        let config = settings.config;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut batches = Vec::new();
        for record in records {
            let record = rewritten(&record, term);
            let size = record.size();
            let full = batch.len() >= config.batch_records_max || bytes + size > config.batch_bytes_max;
            if full && !batch.is_empty() {
                batches.push(mem::take(&mut batch));
                bytes = 0;
            }
            bytes += size;
            batch.push(record);
        }
        batches.push(batch);
        for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
            // Whatever comes to lie between them is void: where they lie does not matter.
            if let Appended::Unknown(reason) = settings.log.append(&self.at, batch).await {
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    async fn read_to(&mut self, log: &dyn Log, end: Offset) -> Result<(), RepartitionError> {
        let mut range = Range::of(log, self.at.clone(), self.next, end);
        while let Some(stored) = range.next().await? {
            let parsed = parse(&stored)?;
            let verdict = self.rule.judge(parsed.claim());
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, &parsed) {
                self.add(&stored, envelope)?;
            }
            self.next = stored.offset.next();
            let last = self.places.last().map_or(Offset(0), |place| place.next);
            if self.next.0 >= last.0 + PLACE_EVERY {
                self.places.push(Place {
                    next: self.next,
                    rule: self.rule,
                    counts: self.chains.iter().map(Chain::count).collect(),
                });
            }
        }
        Ok(())
    }

    fn add(&mut self, stored: &Stored, envelope: &Envelope) -> Result<(), RepartitionError> {
        let (aggregate, found) = (&envelope.aggregate, envelope.meta.sequence);
        let from = partition_of(
            aggregate,
            u32::try_from(self.chains.len()).expect("made from a u32"),
        );
        let from = usize::try_from(from).expect("partitions fit");
        if partition_of(aggregate, self.partitions) != self.at.partition {
            return Err(Defect::Malformed("key").at(stored).into());
        }
        let hash = Sha256::digest(aggregate.as_str().as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        let last = self.sequences.entry(short).or_default();
        if found != last.next() {
            let breach = Defect::Sequence {
                aggregate: aggregate.clone(),
                last: *last,
                found,
            };
            return Err(breach.at(stored).into());
        }
        *last = found;
        self.chains[from]
            .add(&stored.record)
            .map_err(|defect| defect.at(stored))?;
        Ok(())
    }
}
