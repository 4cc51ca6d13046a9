//! Partitions that are somebody else's to work on, and on which nobody works: his node is frozen, or of a build whose
//! fold did not make the live version. A share is for liveness only, so whoever sees it may work on them: the
//! compare-and-set keeps it safe, and the first who is overtaken gives way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::read_model::{ReadModelError, Started};
use super::runner::{RunError, Settings};
use crate::ids::Offset;
use crate::log::LogError;
use crate::readers::Interrupted;

/// Looks in the time that a partition may stand still.
const LOOKS: u32 = 2;
/// Between two looks at least.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Where a partition that is behind stood, and since when.
type Behind = BTreeMap<u32, (Offset, Instant)>;

impl Settings {
    /// Looks at all partitions but those of `work` until some of them are stranded, or another version than this one is live.
    pub(super) async fn watch_others(
        &self,
        version: i32,
        partitions: u32,
        work: BTreeSet<u32>,
    ) -> Interrupted<RunError> {
        let pause = (self.config.stranded_after / LOOKS).max(PAUSE_MIN);
        let (mut before, mut behind) = (BTreeMap::new(), Behind::new());
        loop {
            tokio::time::sleep(pause).await;
            let mut now = match self.read_model.look(&self.topic, partitions).await {
                Ok(started) if started.version == version => started,
                Ok(_) => return ReadModelError::Switched.into(),
                Err(foreign @ ReadModelError::Foreign(_)) => return foreign.into(),
                Err(error) => {
                    // Whoever has work meets the same and says so.
                    tracing::debug!(reader = self.read_model.name(), %error, "cannot look at the others' work");
                    continue;
                }
            };
            now.checkpoints.retain(|partition, _| !work.contains(partition));
            match self.still_behind(&now, &before, &behind).await {
                Ok(still) => behind = still,
                Err(error) => {
                    tracing::debug!(reader = self.read_model.name(), %error, "cannot look at the others' work");
                    continue;
                }
            }
            let stranded: BTreeSet<u32> = behind
                .iter()
                .filter(|(_, (_, since))| since.elapsed() >= self.config.stranded_after)
                .map(|(partition, _)| *partition)
                .collect();
            if !stranded.is_empty() {
                return Interrupted::Stranded(stranded);
            }
            before = now.checkpoints.iter().map(|(of, at)| (*of, at.next)).collect();
        }
    }

    /// Those that have not moved since `before` and have something to read.
    async fn still_behind(
        &self,
        now: &Started,
        before: &BTreeMap<u32, Offset>,
        behind: &Behind,
    ) -> Result<Behind, LogError> {
        let mut still = Behind::new();
        for (partition, checkpoint) in &now.checkpoints {
            if before.get(partition) != Some(&checkpoint.next) {
                continue;
            }
            let end = self.log.bounds(&self.topic.partition(*partition)).await?.end;
            if end > checkpoint.next {
                let since = behind.get(partition).filter(|(at, _)| *at == checkpoint.next);
                let since = since.map_or_else(Instant::now, |(_, since)| *since);
                still.insert(*partition, (checkpoint.next, since));
            }
        }
        Ok(still)
    }
}
