//! The events of a topic into another one with another number of partitions, each key's in their order.
//!
//! The copier is an owner of the new partitions: it fences each of them when it starts, and what it appends bears
//! its term. So whatever a killed copier still had on its way is void under rule R, and the valid events that a
//! new partition holds are all there is to know of how far the copy is: those of keys of one old partition are
//! the first of that partition's events for it. What is there is compared, what is not there yet is appended, and
//! an append of unknown outcome is never guessed: fence again, and count again.
//!
//! The order of a key is kept because a key has one old partition and one new one. The old partitions are sealed
//! by the last fence there can be ([`crate::ids::Epoch::LAST`]); what lies behind it counts for nobody.

mod chain;
mod error;
mod places;
mod seal;
mod source;
mod survey;
mod target;

use std::sync::Arc;

use futures::future::try_join_all;

use crate::clock::Environment;
use crate::copy::{Patience, Progress, bounds, fence};
use crate::ids::Offset;
use crate::log::{Log, LogError};
use crate::record::Record;
use crate::rule::Term;
use crate::topic::{Topic, TopicPartition};
use chain::Chain;
pub use error::RepartitionError;
pub use places::Checkpoints;
use source::Source;
pub use survey::survey;
use target::Target;

/// The node's name in the copier's fences.
pub const NODE: &str = "daybook log repartition";
/// How often in a row appends may be in doubt, each time after a pause, before the copier gives up.
const DOUBTS_MAX: u32 = 100;

/// Limits.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Records read from each old partition in one round.
    pub round_records_max: usize,
    /// Records in one batch.
    pub batch_records_max: usize,
    /// Bytes of keys, values and headers in one batch, unless one record has more.
    pub batch_bytes_max: usize,
    /// Breaks one rule, to show that the tests notice.
    #[cfg(test)]
    flaw: Option<Flaw>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            round_records_max: 5_000,
            batch_records_max: 1_000,
            batch_bytes_max: 900_000,
            #[cfg(test)]
            flaw: None,
        }
    }
}

/// Ways to get it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// Take an append of unknown outcome for "not written".
    DoubtMeansLost,
    /// Go on in the term of the copier before, without a fence.
    NoFence,
    /// Copy what is void as well.
    VoidCopied,
}

impl Config {
    #[cfg(test)]
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    #[cfg(not(test))]
    #[expect(
        clippy::unused_self,
        reason = "the shape of its twin, which asks the configuration"
    )]
    const fn has(&self, _flaw: Flaw) -> bool {
        false
    }
}

/// A topic and its number of partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The topic.
    pub topic: Topic,
    /// Its partitions.
    pub partitions: u32,
}

/// What is copied into what.
#[derive(Clone)]
pub struct Settings {
    /// The log of both.
    pub log: Arc<dyn Log>,
    /// Time and ids.
    pub environment: Arc<dyn Environment>,
    /// The old topic.
    pub from: Extent,
    /// The new one.
    pub to: Extent,
    /// Limits.
    pub config: Config,
}

impl Settings {
    fn fence(&self, term: Term) -> Record {
        fence(NODE, "/daybook/log/repartition", term, &*self.environment)
    }
}

/// The copy of one topic. One at a time, please; a second one deposes the first, which then ends with an error.
pub struct Repartition {
    settings: Settings,
    sources: Vec<Source>,
    targets: Vec<Target>,
}

impl Repartition {
    /// Fences the new partitions and reads what they hold.
    pub async fn open(settings: Settings) -> Result<Self, RepartitionError> {
        let (from, to) = (&settings.from, &settings.to);
        let sources =
            (0..from.partitions).map(|number| Source::new(from.topic.partition(number), to.partitions));
        let sources: Vec<Source> = sources.collect();
        for source in &sources {
            source.check(&*settings.log).await?;
        }
        let targets = (0..to.partitions).map(|number| {
            let mut target = Target::new(to.topic.partition(number), from.partitions, to.partitions);
            let settings = &settings;
            async move {
                target.fence(settings).await?;
                Ok::<_, RepartitionError>(target)
            }
        });
        let targets = try_join_all(targets).await?;
        Ok(Self {
            settings,
            sources,
            targets,
        })
    }

    /// The new topic.
    pub const fn target(&self) -> &Topic {
        &self.settings.to.topic
    }

    /// The old topic.
    pub const fn source(&self) -> &Topic {
        &self.settings.from.topic
    }

    /// Records of the old topic that are not copied and verified yet; 0 when nothing is left.
    pub async fn behind(&self) -> Result<u64, RepartitionError> {
        let behind = self
            .sources
            .iter()
            .map(|source| source.behind(&*self.settings.log));
        Ok(try_join_all(behind).await?.into_iter().sum())
    }

    /// Whether every old partition is sealed, and copied and verified up to its seal.
    pub fn is_complete(&self) -> bool {
        self.sources.iter().all(|source| source.sealed.is_some())
    }

    /// Events copied and verified.
    pub fn events(&self) -> u64 {
        let chains = self.targets.iter().flat_map(|target| &target.chains);
        chains.map(Chain::count).sum()
    }

    /// The hash of each new partition's events, in hexadecimal, with their number; of what was read back.
    pub fn hashes(&self) -> Vec<(u64, String)> {
        let of = |target: &Target| {
            let count = target.chains.iter().map(Chain::count).sum();
            (count, Chain::digest_of_all(&target.chains))
        };
        self.targets.iter().map(of).collect()
    }

    /// Copies what there is, as far as one round goes, reads it back and compares it. Returns how many records
    /// are left behind.
    pub async fn round(&mut self, progress: &dyn Progress) -> Result<u64, RepartitionError> {
        let mut patience = Patience::default();
        for _ in 0..DOUBTS_MAX {
            match self.try_round(progress).await? {
                None => return self.behind().await,
                Some(doubt) => patience.wait(doubt).await.map_err(RepartitionError::Stuck)?,
            }
        }
        let reason = format!("{DOUBTS_MAX} times in a row appends were in doubt");
        Err(RepartitionError::Stuck(LogError::Unavailable(reason)))
    }

    /// What was in doubt, when something was. What was appended counts all the same, and the next round finds it.
    async fn try_round(&mut self, progress: &dyn Progress) -> Result<Option<String>, RepartitionError> {
        let (settings, targets) = (&self.settings, &self.targets);
        let reading = self.sources.iter().enumerate().map(|(from, source)| {
            let there: Vec<&Chain> = targets.iter().map(|target| &target.chains[from]).collect();
            source.clone().read(settings, there)
        });
        let mut drafts = Vec::new();
        let mut missing: Vec<Vec<Record>> = vec![Vec::new(); targets.len()];
        for read in try_join_all(reading).await? {
            for (target, records) in missing.iter_mut().zip(read.missing) {
                target.extend(records);
            }
            drafts.push((read.source, read.records, read.bytes));
        }
        let writing = self.targets.iter_mut().zip(missing);
        let writing = writing.map(|(target, records)| target.take(settings, records));
        let doubts = try_join_all(writing).await?;
        if let Some(doubt) = doubts.into_iter().flatten().next() {
            return Ok(Some(doubt));
        }
        for (from, (draft, records, bytes)) in drafts.into_iter().enumerate() {
            draft.compare(from, &self.targets)?;
            self.sources[from] = draft;
            progress.compared(records, bytes);
        }
        Ok(None)
    }

    /// Waits until nothing is left: what an old partition holds up to its seal is copied and verified.
    pub async fn finish(&mut self, progress: &dyn Progress) -> Result<(), RepartitionError> {
        while !self.is_complete() {
            if self.round(progress).await? == 0 && !self.is_complete() {
                return Err(RepartitionError::NotSealed(self.source().clone()));
            }
        }
        Ok(())
    }
}

async fn end_of(log: &dyn Log, at: &TopicPartition) -> Result<Offset, RepartitionError> {
    Ok(bounds(log, at).await?.end)
}

#[cfg(all(test, feature = "testing"))]
mod tests;
