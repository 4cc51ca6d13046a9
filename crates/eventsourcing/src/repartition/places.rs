//! Where readers of the old topic go on in the new one.

use std::collections::BTreeMap;

use super::target::{Place, Target};
use super::{Repartition, RepartitionError, end_of};
use crate::checkpoint::Checkpoint;
use crate::codec::{Parsed, parse};
use crate::copy::Range;
use crate::ids::Offset;
use crate::rule::Verdict;
use crate::topic::partition_of;

/// Checkpoints by partition.
pub type Checkpoints = BTreeMap<u32, Checkpoint>;

impl Repartition {
    /// Where the seals of the old partitions lie, as far as they were read: whoever is past them has seen
    /// everything of the old topic.
    pub fn seals(&self) -> BTreeMap<u32, Offset> {
        let seal = |source: &super::Source| Some((source.at.partition, source.sealed?));
        self.sources.iter().filter_map(seal).collect()
    }

    /// Where whoever has seen everything of the old topic goes on.
    pub fn ends(&self) -> Checkpoints {
        self.targets
            .iter()
            .map(|target| (target.at.partition, target.end()))
            .collect()
    }

    /// Where whoever has come so far in the old topic goes on: no later than the first event it has not seen. What
    /// lies behind that and was seen, it sees again. A partition that is not named was not begun.
    pub async fn resumed(&self, seen: &Checkpoints) -> Result<Checkpoints, RepartitionError> {
        let mut unseen: Vec<Vec<u64>> = Vec::new();
        for source in &self.sources {
            let seen = seen.get(&source.at.partition).copied().unwrap_or_default();
            let until = source.next;
            unseen.push(self.unseen(&source.at, seen, until).await?);
        }
        let mut resumed = Checkpoints::new();
        for (number, target) in self.targets.iter().enumerate() {
            // Of each old partition: how many of its events here were seen, when not all were.
            let first = unseen.iter().zip(&target.chains).map(|(unseen, chain)| {
                let unseen = unseen[number];
                (unseen > 0).then(|| chain.count() - unseen)
            });
            let first: Vec<Option<u64>> = first.collect();
            resumed.insert(target.at.partition, self.find(target, &first).await?);
        }
        Ok(resumed)
    }

    /// How many events lie behind `seen`, by new partition.
    async fn unseen(
        &self,
        at: &crate::topic::TopicPartition,
        seen: Checkpoint,
        until: Offset,
    ) -> Result<Vec<u64>, RepartitionError> {
        let mut unseen = vec![0; self.targets.len()];
        let mut rule = seen.rule;
        let mut range = Range::of(&*self.settings.log, at.clone(), seen.next, until);
        while let Some(stored) = range.next().await? {
            let parsed = parse(&stored)?;
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed) {
                let to = partition_of(&envelope.aggregate, self.settings.to.partitions);
                unseen[usize::try_from(to).expect("partitions fit")] += 1;
            }
        }
        Ok(unseen)
    }

    /// The first event of which an old partition's count is `first`.
    async fn find(&self, target: &Target, first: &[Option<u64>]) -> Result<Checkpoint, RepartitionError> {
        if first.iter().all(Option::is_none) {
            return Ok(target.end());
        }
        let before = |place: &&Place| {
            let mut pairs = first.iter().zip(&place.counts);
            pairs.all(|(first, count)| first.is_none_or(|first| *count <= first))
        };
        let place = target.places.iter().rev().find(before);
        let Place {
            next,
            mut rule,
            mut counts,
        } = place.expect("nothing lies before the beginning").clone();
        let end = end_of(&*self.settings.log, &target.at).await?.min(target.next);
        let mut range = Range::of(&*self.settings.log, target.at.clone(), next, end);
        while let Some(stored) = range.next().await? {
            let parsed = parse(&stored)?;
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed) {
                let from = partition_of(&envelope.aggregate, self.settings.from.partitions);
                let from = usize::try_from(from).expect("partitions fit");
                if first[from] == Some(counts[from]) {
                    return Ok(Checkpoint {
                        next: stored.offset,
                        rule,
                    });
                }
                counts[from] += 1;
            }
        }
        Ok(target.end())
    }
}

impl Target {
    fn end(&self) -> Checkpoint {
        Checkpoint {
            next: self.next,
            rule: self.rule,
        }
    }
}
