//! The checkpoints of processes in memory, with the faults of a store.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::store::{Store, StoreFaults};
use crate::checkpoint::{Checkpoint, CheckpointError, ProcessCheckpoints};
use crate::topic::TopicPartition;

type Known = BTreeMap<(String, TopicPartition), Checkpoint>;

/// See the module. Clones share everything.
#[derive(Clone)]
pub struct SimulatedCheckpoints(Store<Known>);

impl SimulatedCheckpoints {
    /// None yet.
    #[must_use]
    pub fn new(seed: u64, faults: StoreFaults) -> Self {
        Self(Store::new(seed, faults, Known::new()))
    }

    /// From now on the store behaves like this.
    pub fn set_faults(&self, faults: StoreFaults) {
        self.0.set_faults(faults);
    }

    /// Where a process stands.
    pub fn checkpoint(&self, process: &str, at: &TopicPartition) -> Checkpoint {
        let place = (process.to_owned(), at.clone());
        self.0
            .with(|known| known.get(&place).copied().unwrap_or_default())
    }
}

#[async_trait]
impl ProcessCheckpoints for SimulatedCheckpoints {
    async fn load(&self, process: &str, at: &TopicPartition) -> Result<Checkpoint, CheckpointError> {
        let place = (process.to_owned(), at.clone());
        let loaded = self
            .0
            .ask(move |known| known.get(&place).copied().unwrap_or_default());
        loaded.await.map_err(away)
    }

    async fn store(
        &self,
        process: &str,
        at: &TopicPartition,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<(), CheckpointError> {
        let place = (process.to_owned(), at.clone());
        let stored = self.0.ask(move |known| {
            let checkpoint = known.entry(place).or_default();
            if *checkpoint != from {
                return Err(CheckpointError::Overtaken);
            }
            *checkpoint = to;
            Ok(())
        });
        stored.await.map_err(away)?
    }
}

fn away(why: &str) -> CheckpointError {
    CheckpointError::Unavailable(why.to_owned())
}
