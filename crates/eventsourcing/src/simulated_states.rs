//! A table of states in memory that misbehaves on purpose, the same way for the same seed: it lags behind
//! the log by as much as it likes, is away now and then, and is sometimes replaced by another version that
//! begins somewhere else. What it never does is what no table may do: forget what it said it had.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::aggregate::Aggregate;
use crate::checkpoint::Checkpoint;
use crate::codec::{self, Parsed};
use crate::ids::{AggregateId, Offset};
use crate::memory::{Memory, Remembered};
use crate::rule::Verdict;
use crate::simulated::SimulatedLog;
use crate::state_table::{Kept, StateTable, StateTableError, Version};
use crate::topic::TopicPartition;

/// How badly the table behaves; probabilities from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct TableFaults {
    /// A call fails.
    pub unavailable: f64,
    /// A call finds that another version has taken the place of this one.
    pub replaced: f64,
    /// There is no table that this build can read.
    pub absent: f64,
    /// The longest delay of a call, in milliseconds.
    pub delay_ms_max: u64,
}

impl TableFaults {
    /// A bad day.
    pub const MANY: Self = Self {
        unavailable: 0.05,
        replaced: 0.01,
        absent: 0.05,
        delay_ms_max: 30,
    };
}

/// The table of one partition. Clones share it.
pub struct SimulatedStates<A: Aggregate>(Arc<Shared<A>>);

struct Shared<A: Aggregate> {
    log: SimulatedLog,
    at: TopicPartition,
    faults: TableFaults,
    contents: Mutex<Contents<A>>,
}

struct Contents<A: Aggregate> {
    random: StdRng,
    version: Version,
    checkpoint: Checkpoint,
    rows: HashMap<AggregateId, (A::State, Memory)>,
}

impl<A: Aggregate> Clone for SimulatedStates<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Aggregate> SimulatedStates<A> {
    /// A table that folds `at`.
    #[must_use]
    pub fn new(seed: u64, log: SimulatedLog, at: TopicPartition, faults: TableFaults) -> Self {
        let contents = Contents {
            random: StdRng::seed_from_u64(seed),
            version: Version(1),
            checkpoint: Checkpoint::default(),
            rows: HashMap::new(),
        };
        Self(Arc::new(Shared {
            log,
            at,
            faults,
            contents: Mutex::new(contents),
        }))
    }

    /// The contents after a delay, in which the projector may have come further.
    async fn later(&self) -> Result<MutexGuard<'_, Contents<A>>, StateTableError> {
        let delay = self
            .contents()
            .random
            .random_range(0..=self.0.faults.delay_ms_max);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let mut contents = self.contents();
        if contents.random.random_bool(self.0.faults.replaced) {
            contents.version.0 += 1;
            contents.checkpoint = Checkpoint::default();
            contents.rows.clear();
        }
        self.project(&mut contents);
        if contents.random.random_bool(self.0.faults.unavailable) {
            return Err(StateTableError::Unavailable("simulated".to_owned()));
        }
        Ok(contents)
    }

    fn contents(&self) -> MutexGuard<'_, Contents<A>> {
        self.0.contents.lock().expect("no holder of this lock panics")
    }

    /// Folds some of what the log has beyond the checkpoint.
    fn project(&self, contents: &mut Contents<A>) {
        let from = contents.checkpoint.next;
        let end = self.0.log.len(&self.0.at);
        let to = Offset(contents.random.random_range(from.0..=end));
        for stored in self.0.log.stretch(&self.0.at, from..to) {
            let parsed = codec::parse(&stored).expect("owners write what parses");
            let verdict = contents.checkpoint.rule.judge(parsed.claim());
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) {
                let recorded =
                    codec::decode::<A::Event>(&stored, envelope).expect("owners write what decodes");
                let (state, memory) = contents.rows.entry(recorded.aggregate).or_default();
                A::evolve(state, &recorded.event);
                memory.remember(Remembered {
                    command: recorded.meta.command,
                    digest: recorded.meta.digest,
                    sequence: recorded.meta.sequence,
                    offset: stored.offset,
                });
            }
        }
        contents.checkpoint.next = to;
    }
}

#[async_trait]
impl<A: Aggregate> StateTable<A> for SimulatedStates<A> {
    async fn open(&self, _at: &TopicPartition) -> Result<Option<(Version, Checkpoint)>, StateTableError> {
        let mut contents = self.later().await?;
        let absent = contents.random.random_bool(self.0.faults.absent);
        Ok((!absent).then_some((contents.version, contents.checkpoint)))
    }

    async fn load(
        &self,
        version: Version,
        ids: &[AggregateId],
    ) -> Result<Vec<(AggregateId, Kept<A>)>, StateTableError> {
        let contents = self.later().await?;
        if contents.version != version {
            return Err(StateTableError::Unusable("another version is active".to_owned()));
        }
        let row = |id: &AggregateId| {
            let (state, memory) = contents.rows.get(id)?.clone();
            Some((id.clone(), Kept { state, memory }))
        };
        Ok(ids.iter().filter_map(row).collect())
    }
}
