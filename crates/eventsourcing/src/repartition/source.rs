//! An old partition, read under R.

use super::chain::Chain;
use super::target::Target;
use super::{Flaw, RepartitionError, Settings, end_of};
use crate::codec::{Parsed, in_term, parse};
use crate::copy::{Range, bounds};
use crate::ids::{AggregateId, Offset};
use crate::log::Log;
use crate::record::{Record, Stored};
use crate::rule::{Rule, Verdict};
use crate::topic::{TopicPartition, partition_of};

/// How far an old partition is copied and verified.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) at: TopicPartition,
    pub(super) next: Offset,
    pub(super) rule: Rule,
    /// Its events so far, by new partition.
    pub(super) chains: Vec<Chain>,
    /// Where its seal lies, once it was read.
    pub(super) sealed: Option<Offset>,
}

/// What one reading of an old partition came to.
pub(super) struct Read {
    /// As it stands when all of that is verified.
    pub(super) source: Source,
    /// What each new partition does not hold yet.
    pub(super) missing: Vec<Vec<Record>>,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Source {
    pub(super) fn new(at: TopicPartition, targets: u32) -> Self {
        Self {
            at,
            next: Offset(0),
            rule: Rule::default(),
            chains: (0..targets).map(|_| Chain::default()).collect(),
            sealed: None,
        }
    }

    /// Counting needs the beginning.
    pub(super) async fn check(&self, log: &dyn Log) -> Result<(), RepartitionError> {
        let start = bounds(log, &self.at).await?.start;
        if start == Offset(0) {
            return Ok(());
        }
        Err(RepartitionError::Cut {
            at: self.at.clone(),
            start,
        })
    }

    /// Records up to its end, or up to the seal.
    pub(super) async fn behind(&self, log: &dyn Log) -> Result<u64, RepartitionError> {
        if self.sealed.is_some() {
            return Ok(0);
        }
        Ok(end_of(log, &self.at).await?.0.saturating_sub(self.next.0))
    }

    /// Reads on, as far as a round goes. What a new partition holds already must be what is read here.
    pub(super) async fn read(
        mut self,
        settings: &Settings,
        there: Vec<&Chain>,
    ) -> Result<Read, RepartitionError> {
        let log = &*settings.log;
        let end = end_of(log, &self.at).await?;
        let mut range = Range::of(log, self.at.clone(), self.next, end);
        let mut missing = vec![Vec::new(); self.chains.len()];
        let (mut records, mut bytes) = (0, 0);
        while self.sealed.is_none()
            && records < settings.config.round_records_max as u64
            && let Some(stored) = range.next().await?
        {
            records += 1;
            bytes += stored.record.size() as u64;
            let accepted = self.judge(&stored, settings)?;
            self.next = stored.offset.next();
            let Some(aggregate) = accepted else { continue };
            let to = partition_of(&aggregate, settings.to.partitions);
            let to = usize::try_from(to).expect("partitions fit");
            let chain = &mut self.chains[to];
            let known = chain.count() < there[to].count();
            chain.add(&stored.record).map_err(|defect| defect.at(&stored))?;
            if !known {
                missing[to].push(stored.record);
            } else if chain.count() == there[to].count() && !chain.equals(there[to]) {
                return Err(self.differs(settings, to, format!("the first {} differ", there[to].count())));
            }
        }
        Ok(Read {
            source: self,
            missing,
            records,
            bytes,
        })
    }

    /// The aggregate of an accepted event.
    fn judge(
        &mut self,
        stored: &Stored,
        settings: &Settings,
    ) -> Result<Option<AggregateId>, RepartitionError> {
        let parsed = parse(stored)?;
        let verdict = self.rule.judge(parsed.claim());
        if self.rule.is_sealed() && verdict == Verdict::Opened {
            self.sealed = Some(stored.offset);
        }
        let counts = verdict == Verdict::Accepted || settings.config.has(Flaw::VoidCopied);
        Ok(match parsed {
            Parsed::Event(envelope) if counts => Some(envelope.aggregate),
            Parsed::Event(_) | Parsed::Fence(_) => None,
        })
    }

    /// What was read back must be what was read here.
    pub(super) fn compare(&self, from: usize, targets: &[Target]) -> Result<(), RepartitionError> {
        for (chain, target) in self.chains.iter().zip(targets) {
            let there = &target.chains[from];
            // A run before this one was further; the next rounds come to that.
            let ahead = self.sealed.is_none() && there.count() > chain.count();
            if !ahead && !chain.equals(there) {
                let what = format!("{} events there, {} here", there.count(), chain.count());
                return Err(RepartitionError::Differs {
                    from: self.at.clone(),
                    to: target.at.clone(),
                    what,
                });
            }
        }
        Ok(())
    }

    fn differs(&self, settings: &Settings, to: usize, what: String) -> RepartitionError {
        let to = u32::try_from(to).expect("made from a u32");
        RepartitionError::Differs {
            from: self.at.clone(),
            to: settings.to.topic.partition(to),
            what,
        }
    }
}

/// The record as the copier writes it.
pub(super) fn rewritten(record: &Record, term: crate::rule::Term) -> Record {
    in_term(record, term).expect("its header was read when it was judged")
}
