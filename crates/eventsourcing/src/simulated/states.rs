//! A table of states in memory that misbehaves on purpose, the same way for the same seed: it lags behind
//! the log by as much as it likes, is away now and then, and is sometimes replaced by another version that
//! begins anew. What it never does is what no table may do: forget what it said it had.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::SimulatedLog;
use super::store::{Store, StoreFaults};
use crate::aggregate::Aggregate;
use crate::checkpoint::Checkpoint;
use crate::codec::{self, Parsed};
use crate::ids::{AggregateId, Offset};
use crate::memory::{Memory, Remembered};
use crate::record::Stored;
use crate::rule::Verdict;
use crate::state_table::{Kept, StateTable, StateTableError, Version};
use crate::topic::TopicPartition;

/// How badly the table behaves.
#[derive(Clone, Copy, Debug)]
pub struct TableFaults {
    /// As a store.
    pub store: StoreFaults,
    /// The chance that a call finds another version in the place of this one.
    pub replaced: f64,
    /// The chance that there is no table that this build can read.
    pub absent: f64,
}

impl TableFaults {
    /// A table as one wishes it; it lags all the same.
    pub const NONE: Self = Self {
        store: StoreFaults::NONE,
        replaced: 0.0,
        absent: 0.0,
    };

    /// A bad day.
    pub const MANY: Self = Self {
        store: StoreFaults::MANY,
        replaced: 0.01,
        absent: 0.05,
    };
}

/// The table of one topic. Clones share it.
pub struct SimulatedStates<A: Aggregate> {
    log: SimulatedLog,
    table: Store<Contents<A>>,
}

struct Contents<A: Aggregate> {
    random: StdRng,
    faults: TableFaults,
    version: Version,
    checkpoints: BTreeMap<TopicPartition, Checkpoint>,
    rows: HashMap<AggregateId, (A::State, Memory)>,
}

impl<A: Aggregate> Clone for SimulatedStates<A> {
    fn clone(&self) -> Self {
        Self {
            log: self.log.clone(),
            table: self.table.clone(),
        }
    }
}

impl<A: Aggregate> SimulatedStates<A> {
    /// A table that folds these partitions of `log`.
    #[must_use]
    pub fn new(
        seed: u64,
        log: SimulatedLog,
        partitions: impl IntoIterator<Item = TopicPartition>,
        faults: TableFaults,
    ) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let store = random.random();
        let contents = Contents {
            random,
            faults,
            version: Version(1),
            checkpoints: partitions
                .into_iter()
                .map(|at| (at, Checkpoint::default()))
                .collect(),
            rows: HashMap::new(),
        };
        Self {
            log,
            table: Store::new(store, faults.store, contents),
        }
    }

    /// From now on the table behaves like this.
    pub fn set_faults(&self, faults: TableFaults) {
        self.table.set_faults(faults.store);
        self.table.with(|contents| contents.faults = faults);
    }

    /// Asks the table, whose projector may have come further meanwhile.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Contents<A>) -> T + Send + 'static,
    ) -> Result<T, StateTableError> {
        let log = self.log.clone();
        let asked = self.table.ask(move |contents| {
            contents.go_on(&log);
            question(contents)
        });
        asked
            .await
            .map_err(|away| StateTableError::Unavailable(away.to_owned()))
    }
}

impl<A: Aggregate> Contents<A> {
    fn go_on(&mut self, log: &SimulatedLog) {
        if self.random.random_bool(self.faults.replaced) {
            self.version.0 += 1;
            self.rows.clear();
            self.checkpoints
                .values_mut()
                .for_each(|checkpoint| *checkpoint = Checkpoint::default());
        }
        let Self {
            random,
            checkpoints,
            rows,
            ..
        } = self;
        for (at, checkpoint) in checkpoints {
            let records = log.records(at);
            let from = checkpoint.next.0;
            let to = random.random_range(from..=records.len() as u64);
            for stored in records
                .iter()
                .filter(|stored| (from..to).contains(&stored.offset.0))
            {
                fold::<A>(stored, checkpoint, rows);
            }
            checkpoint.next = Offset(to);
        }
    }
}

fn fold<A: Aggregate>(
    stored: &Stored,
    checkpoint: &mut Checkpoint,
    rows: &mut HashMap<AggregateId, (A::State, Memory)>,
) {
    let parsed = codec::parse(stored).expect("owners write what parses");
    let verdict = checkpoint.rule.judge(parsed.claim());
    if let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) {
        let recorded = codec::decode::<A::Event>(stored, envelope).expect("owners write what decodes");
        let (state, memory) = rows.entry(recorded.aggregate.clone()).or_default();
        A::evolve(state, &recorded.event);
        memory.remember(Remembered::of(&recorded));
    }
}

#[async_trait]
impl<A: Aggregate> StateTable<A> for SimulatedStates<A> {
    async fn open(&self, at: &TopicPartition) -> Result<Option<(Version, Checkpoint)>, StateTableError> {
        let at = at.clone();
        self.ask(move |contents| {
            let absent = contents.random.random_bool(contents.faults.absent);
            let checkpoint = contents.checkpoints.get(&at).filter(|_| !absent)?;
            Some((contents.version, *checkpoint))
        })
        .await
    }

    async fn load(
        &self,
        version: Version,
        ids: &[AggregateId],
    ) -> Result<Vec<(AggregateId, Kept<A>)>, StateTableError> {
        let ids = ids.to_vec();
        let rows = self.ask(move |contents| {
            let row = |id: AggregateId| {
                let (state, memory) = contents.rows.get(&id)?.clone();
                Some((id, Kept { state, memory }))
            };
            (contents.version == version).then(|| ids.into_iter().filter_map(row).collect())
        });
        let replaced = || StateTableError::Unusable("another version is active".to_owned());
        rows.await?.ok_or_else(replaced)
    }
}
