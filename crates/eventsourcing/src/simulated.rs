//! A log in memory that misbehaves on purpose, the same way for the same seed: appends are delayed,
//! lost, late, split, acknowledged to nobody; reads fail now and then. What it never does is what no
//! log may do: lose an acknowledged record, reorder one append, or write one append twice. Beside it, for
//! those who read the log, stores for rows and checkpoints that misbehave in the same way.

mod checkpoints;
mod read_model;
mod states;
mod store;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::ids::Offset;
use crate::log::{Appended, Bounds, Log, LogError, Reader};
use crate::record::{Record, Stored};
use crate::topic::{Topic, TopicPartition};

pub use checkpoints::SimulatedCheckpoints;
pub use read_model::{CheckpointBug, Rows, SimulatedReadModel};
pub use states::{SimulatedStates, TableFaults};
pub use store::StoreFaults;

/// How badly the log behaves; probabilities from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The append never lands, and nobody knows.
    pub lost: f64,
    /// It lands, but the acknowledgement is lost.
    pub ack_lost: f64,
    /// Nobody knows, and it lands later, after whatever came meanwhile.
    pub late: f64,
    /// Its records land one by one, so that those of others can come between.
    pub split: f64,
    /// A read or a look at the bounds fails.
    pub unavailable: f64,
    /// The longest delay of an operation, in milliseconds.
    pub delay_ms_max: u64,
}

impl Faults {
    /// A log as one wishes it.
    pub const NONE: Self = Self {
        lost: 0.0,
        ack_lost: 0.0,
        late: 0.0,
        split: 0.0,
        unavailable: 0.0,
        delay_ms_max: 0,
    };

    /// A bad day.
    pub const MANY: Self = Self {
        lost: 0.04,
        ack_lost: 0.06,
        late: 0.06,
        split: 0.3,
        unavailable: 0.03,
        delay_ms_max: 20,
    };
}

/// See the module. Clones share one log.
#[derive(Clone)]
pub struct SimulatedLog {
    shared: Arc<Shared>,
    partitions: u32,
}

struct Shared {
    state: Mutex<State>,
    /// And no `watch`, which wakes several waiters in an order of its own, another one in each run.
    grown: Notify,
}

struct State {
    records: BTreeMap<TopicPartition, Vec<Stored>>,
    random: StdRng,
    faults: Faults,
}

/// What will become of one append.
#[derive(Clone, Copy)]
enum Fate {
    Lands,
    AckLost,
    Lost,
    Late,
}

impl SimulatedLog {
    /// An empty log in which every topic has `partitions` partitions.
    #[must_use]
    pub fn new(seed: u64, partitions: u32, faults: Faults) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let state = Mutex::new(State {
            records: BTreeMap::new(),
            random,
            faults,
        });
        let shared = Shared {
            state,
            grown: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            partitions,
        }
    }

    /// From now on the log behaves like this.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Everything in the partition so far.
    pub fn records(&self, of: &TopicPartition) -> Vec<Stored> {
        self.state().records.get(of).cloned().unwrap_or_default()
    }

    /// The records of the partition in this range of offsets.
    pub fn stretch(&self, of: &TopicPartition, range: std::ops::Range<Offset>) -> Vec<Stored> {
        let state = self.state();
        let records = state.records.get(of).map_or(&[][..], Vec::as_slice);
        let index = |offset: Offset| {
            usize::try_from(offset.0)
                .expect("offsets in memory fit")
                .min(records.len())
        };
        records[index(range.start)..index(range.end)].to_vec()
    }

    /// How many records the partition has so far.
    pub fn len(&self, of: &TopicPartition) -> u64 {
        self.state()
            .records
            .get(of)
            .map_or(0, |records| records.len() as u64)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no holder of this lock panics")
    }

    /// A delay drawn from the seed.
    async fn delay(&self) {
        let millis = {
            let mut state = self.state();
            let most = state.faults.delay_ms_max;
            state.random.random_range(0..=most)
        };
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    fn chance(&self, of: impl Fn(&Faults) -> f64) -> bool {
        let mut state = self.state();
        let probability = of(&state.faults);
        state.random.random_bool(probability)
    }

    fn fate(&self) -> Fate {
        let mut state = self.state();
        let Faults {
            lost, ack_lost, late, ..
        } = state.faults;
        let draw: f64 = state.random.random();
        match draw {
            draw if draw < lost => Fate::Lost,
            draw if draw < lost + ack_lost => Fate::AckLost,
            draw if draw < lost + ack_lost + late => Fate::Late,
            _ => Fate::Lands,
        }
    }

    fn write(&self, to: &TopicPartition, record: Record) -> Offset {
        let mut state = self.state();
        let records = state.records.entry(to.clone()).or_default();
        let offset = Offset(records.len() as u64);
        let timestamp = OffsetDateTime::UNIX_EPOCH;
        records.push(Stored {
            at: to.clone(),
            offset,
            timestamp,
            record,
        });
        drop(state);
        self.shared.grown.notify_waiters();
        offset
    }

    async fn land(&self, to: &TopicPartition, records: Vec<Record>) -> Vec<Offset> {
        let split = self.chance(|faults| faults.split);
        let mut offsets = Vec::with_capacity(records.len());
        for record in records {
            offsets.push(self.write(to, record));
            if split {
                self.delay().await;
            }
        }
        offsets
    }

    fn check(&self, at: &TopicPartition) -> Result<(), LogError> {
        if at.partition >= self.partitions || at.topic.as_str().starts_with("missing") {
            return Err(LogError::NoSuchTopic(at.to_string()));
        }
        if self.chance(|faults| faults.unavailable) {
            return Err(LogError::Unavailable("simulated".to_owned()));
        }
        Ok(())
    }

    fn bounds_now(&self, of: &TopicPartition) -> Bounds {
        Bounds {
            start: Offset(0),
            end: Offset(self.len(of)),
        }
    }
}

#[async_trait]
impl Log for SimulatedLog {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        // The log's side goes on when the caller dies, as it would across a network.
        let (log, at) = (self.clone(), to.clone());
        let fate = self.fate();
        let landing = tokio::spawn(async move {
            log.delay().await;
            match fate {
                Fate::Lost => return None,
                Fate::Late => {
                    for _ in 0..5 {
                        log.delay().await;
                    }
                }
                Fate::Lands | Fate::AckLost => {}
            }
            Some(log.land(&at, records).await)
        });
        match fate {
            Fate::Lands => match landing.await {
                Ok(Some(offsets)) => {
                    self.delay().await;
                    Appended::At(offsets)
                }
                Ok(None) | Err(_) => Appended::Unknown("simulated crash".to_owned()),
            },
            Fate::AckLost | Fate::Lost | Fate::Late => {
                self.delay().await;
                Appended::Unknown("simulated".to_owned())
            }
        }
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        for (at, asked) in &from {
            self.check(at)?;
            self.bounds_now(at).check(at, *asked)?;
        }
        let log = self.clone();
        Ok(Box::new(SimulatedReader { log, from }))
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        self.delay().await;
        self.check(of)?;
        let bounds = self.bounds_now(of);
        self.delay().await;
        Ok(bounds)
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        self.check(&of.partition(0)).map(|()| self.partitions)
    }
}

struct SimulatedReader {
    log: SimulatedLog,
    from: Vec<(TopicPartition, Offset)>,
}

#[async_trait]
impl Reader for SimulatedReader {
    async fn next(&mut self, max: usize) -> Result<Vec<Stored>, LogError> {
        let shared = Arc::clone(&self.log.shared);
        loop {
            // Listening before looking: what is written in between is noticed.
            let mut grown = pin!(shared.grown.notified());
            grown.as_mut().enable();
            let mut batch: Vec<Stored> = Vec::new();
            for (at, next) in &mut self.from {
                self.log.check(at)?;
                let state = self.log.state();
                let records = state.records.get(at).map_or(&[][..], Vec::as_slice);
                let start = usize::try_from(next.0)
                    .expect("offsets in memory fit")
                    .min(records.len());
                let end = records.len().min(start + (max - batch.len()));
                batch.extend_from_slice(&records[start..end]);
                *next = Offset(end as u64);
            }
            if !batch.is_empty() {
                return Ok(batch);
            }
            grown.await;
        }
    }
}
