//! A read model in memory, with the faults of a store and a memory for what was done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::store::{Store, StoreFaults};
use crate::checkpoint::Checkpoint;
use crate::ids::Offset;
use crate::projection::read_model::{Prepared, ReadModel, ReadModelError, Started};
use crate::projection::{Change, Counter, Row, Tally, View};
use crate::readers::{Event, Key, Move, Scanned};
use crate::topic::{Topic, TopicPartition};

/// Rows by their key, as JSON.
pub type Rows = BTreeMap<String, Value>;

/// One event's change of the rows; an error parks the event.
type Fold = dyn Fn(&mut Rows, &Event) -> Result<(), String> + Send + Sync;

/// See the module. Clones share everything.
#[derive(Clone)]
pub struct SimulatedReadModel {
    name: &'static str,
    fold: Arc<Fold>,
    store: Store<State>,
}

/// Known ways to keep checkpoints wrongly, for showing that a checker notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointBug {
    /// The checkpoint moves wherever it is: a projector that was overtaken applies twice.
    NotCompared,
    /// Rows and checkpoint are two transactions, and every other time the second is lost.
    NotAtomic,
    /// The same the other way round: the checkpoint moves, and the rows are lost.
    CheckpointFirst,
}

#[derive(Default)]
struct State {
    version: i32,
    rows: Rows,
    checkpoints: BTreeMap<TopicPartition, Checkpoint>,
    parked: BTreeSet<Key>,
    moves: Vec<(TopicPartition, Offset, Offset)>,
    bug: Option<CheckpointBug>,
    /// Whether the second of two transactions was lost the last time.
    second_lost: bool,
}

impl SimulatedReadModel {
    /// The rows of a view.
    #[must_use]
    pub fn view<V: View>(seed: u64, faults: StoreFaults) -> Self {
        Self::new(V::NAME, Arc::new(fold_view::<V>), seed, faults)
    }

    /// The counters of a tally.
    #[must_use]
    pub fn tally<T: Tally>(seed: u64, faults: StoreFaults) -> Self {
        Self::new(T::NAME, Arc::new(fold_tally::<T>), seed, faults)
    }

    fn new(name: &'static str, fold: Arc<Fold>, seed: u64, faults: StoreFaults) -> Self {
        let state = State {
            version: 1,
            ..State::default()
        };
        let store = Store::new(seed, faults, state);
        Self { name, fold, store }
    }

    /// From now on the store behaves like this.
    pub fn set_faults(&self, faults: StoreFaults) {
        self.store.set_faults(faults);
    }

    /// From now on checkpoints are kept wrongly.
    pub fn set_bug(&self, bug: CheckpointBug) {
        self.store.with(|state| state.bug = Some(bug));
    }

    /// Another version becomes the live one, at the same checkpoints and with the same rows, as after a
    /// rebuild.
    pub fn switch(&self) {
        self.store.with(|state| state.version += 1);
    }

    /// All rows.
    pub fn rows(&self) -> Rows {
        self.store.with(|state| state.rows.clone())
    }

    /// Where a partition stands.
    pub fn checkpoint(&self, at: &TopicPartition) -> Checkpoint {
        self.store
            .with(|state| state.checkpoints.get(at).copied().unwrap_or_default())
    }

    /// Every move of a checkpoint, in the order of the transactions: from, to.
    pub fn moves(&self) -> Vec<(TopicPartition, Offset, Offset)> {
        self.store.with(|state| state.moves.clone())
    }

    /// Keys that have an event parked.
    pub fn parked(&self) -> BTreeSet<Key> {
        self.store.with(|state| state.parked.clone())
    }
}

#[async_trait]
impl ReadModel for SimulatedReadModel {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn look(&self, topic: &Topic, partitions: u32) -> Result<Started, ReadModelError> {
        let topic = topic.clone();
        let started = self.store.ask(move |state| {
            let known = |number: u32| {
                let checkpoint = state.checkpoints.get(&topic.partition(number));
                (number, checkpoint.copied().unwrap_or_default())
            };
            Started {
                version: state.version,
                checkpoints: (0..partitions).map(known).collect(),
            }
        });
        started.await.map_err(away)
    }

    async fn apply(&self, topic: &Topic, version: i32, batch: Prepared) -> Result<(), ReadModelError> {
        let (topic, scanned, fold) = (topic.clone(), batch.scanned, Arc::clone(&self.fold));
        let applied = self
            .store
            .ask(move |state| transact(state, &*fold, &topic, version, &scanned));
        applied.await.map_err(away)?
    }
}

fn away(why: &str) -> ReadModelError {
    ReadModelError::Away(why.to_owned())
}

/// Everything or nothing.
fn transact(
    state: &mut State,
    fold: &Fold,
    topic: &Topic,
    version: i32,
    scanned: &Scanned,
) -> Result<(), ReadModelError> {
    if state.version != version {
        return Err(ReadModelError::Switched);
    }
    for Move { partition, from, .. } in &scanned.moves {
        let now = state.checkpoints.get(&topic.partition(*partition));
        let stands = now.copied().unwrap_or_default() == *from;
        if !stands && state.bug != Some(CheckpointBug::NotCompared) {
            return Err(ReadModelError::Overtaken);
        }
    }
    if matches!(
        state.bug,
        Some(CheckpointBug::NotAtomic | CheckpointBug::CheckpointFirst)
    ) {
        state.second_lost = !state.second_lost;
    }
    if !(state.second_lost && state.bug == Some(CheckpointBug::CheckpointFirst)) {
        for event in &scanned.events {
            let key = event.key();
            if state.parked.contains(&key) || fold(&mut state.rows, event).is_err() {
                state.parked.insert(key);
            }
        }
    }
    if state.second_lost && state.bug == Some(CheckpointBug::NotAtomic) {
        return Err(ReadModelError::Away("the checkpoint was lost".to_owned()));
    }
    for Move { partition, from, to } in &scanned.moves {
        let at = topic.partition(*partition);
        state.moves.push((at.clone(), from.next, to.next));
        state.checkpoints.insert(at, *to);
    }
    Ok(())
}

fn fold_view<V: View>(rows: &mut Rows, event: &Event) -> Result<(), String> {
    let recorded = event.decode::<V::Event>().map_err(|error| error.to_string())?;
    let (_, key) = event.key();
    let row: Option<V::Row> = match rows.get(&key) {
        Some(row) => Some(serde_json::from_value(row.clone()).map_err(|error| error.to_string())?),
        None => None,
    };
    match V::fold(row.as_ref(), &recorded).map_err(|error| error.to_string())? {
        Change::Keep => {}
        Change::Delete => {
            rows.remove(&key);
        }
        Change::Put(row) => {
            let row = serde_json::to_value(&row).map_err(|error| error.to_string())?;
            rows.insert(key, row);
        }
    }
    Ok(())
}

fn fold_tally<T: Tally>(rows: &mut Rows, event: &Event) -> Result<(), String> {
    let recorded = event.decode::<T::Event>().map_err(|error| error.to_string())?;
    for counter in T::count(&recorded).map_err(|error| error.to_string())? {
        let row = serde_json::to_value(&counter).map_err(|error| error.to_string())?;
        let key: Vec<&Value> = T::Counter::TABLE.key.iter().map(|column| &row[*column]).collect();
        let key = serde_json::to_string(&key).map_err(|error| error.to_string())?;
        let sum = match rows.get(&key) {
            None => counter,
            Some(sum) => {
                let mut sum: T::Counter =
                    serde_json::from_value(sum.clone()).map_err(|error| error.to_string())?;
                sum.add(&counter).map_err(|error| error.to_string())?;
                sum
            }
        };
        let sum = serde_json::to_value(&sum).map_err(|error| error.to_string())?;
        rows.insert(key, sum);
    }
    Ok(())
}
