//! The course of a rebuild, shared by those who work on it: how far it has come, and what is wanted of it.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use eventsourcing::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Limits, RebuildError};
use crate::projection::Name;

/// Records folded in one transaction.
pub(super) const BATCH_RECORDS_MAX: usize = 5_000;
/// Records folded at once in memory: their allocations are small enough to be used again.
const FOLDED_RECORDS_MAX: usize = 1_000;
/// Batches a second, at least, of a rebuild that is held back: so long it takes at most until it hears what is wanted.
const BATCHES_PER_S: u64 = 4;

/// Where a version, or somebody who folds into it, stands in each partition.
pub(super) type Checkpoints = BTreeMap<u32, Checkpoint>;

/// What a rebuild is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Folding the log.
    Reading,
    /// Building secondary indexes.
    Indexing,
    /// Comparing rows, at one checkpoint.
    Verifying,
    /// Making the new version the live one.
    Switching,
}

impl Phase {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Indexing => "indexing",
            Self::Verifying => "verifying",
            Self::Switching => "switching",
        }
    }
}

/// How far one partition is, in offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionProgress {
    /// Which.
    pub partition: u32,
    /// The next offset to fold.
    pub done: u64,
    /// Where the live version stood.
    pub total: u64,
}

/// How far a rebuild is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Which projection.
    pub projection: Name,
    /// The version being built.
    pub version: i32,
    /// What is being done.
    pub phase: Phase,
    /// Whether somebody paused it.
    pub paused: bool,
    /// Each partition.
    pub partitions: Vec<PartitionProgress>,
    /// Records read by this run.
    pub records: u64,
    /// Bytes of keys and values read by this run.
    pub bytes: u64,
}

/// Offsets done and offsets in all.
#[must_use]
pub fn offsets(partitions: &[PartitionProgress]) -> (u64, u64) {
    let done = partitions.iter().map(|partition| partition.done).sum();
    let total = partitions.iter().map(|partition| partition.total).sum();
    (done, total)
}

/// What is wanted of a rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) paused: bool,
    pub(super) cancelled: bool,
    pub(super) events_per_s: Option<NonZeroU64>,
}

struct State {
    phase: Phase,
    partitions: BTreeMap<u32, (u64, u64)>,
    records: u64,
    bytes: u64,
    /// When the records that were read are due, at the pace that is wanted.
    due: Instant,
}

pub(super) struct Course {
    pub(super) projection: Name,
    pub(super) version: i32,
    state: Mutex<State>,
    wanted: watch::Sender<Wanted>,
    stop: CancellationToken,
}

impl Course {
    pub(super) fn new(projection: Name, version: i32, limits: &Limits) -> Self {
        let wanted = Wanted {
            events_per_s: limits.events_per_s,
            ..Wanted::default()
        };
        Self {
            projection,
            version,
            state: Mutex::new(State {
                phase: Phase::Reading,
                partitions: BTreeMap::new(),
                records: 0,
                bytes: 0,
                due: Instant::now(),
            }),
            wanted: watch::Sender::new(wanted),
            stop: limits.stop.child_token(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.state().phase = phase;
    }

    pub(super) fn want(&self, wanted: Wanted) {
        self.wanted
            .send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
    }

    /// Where it stands and where it is to be.
    pub(super) fn aims(&self, here: &Checkpoints, targets: &Checkpoints) {
        let mut state = self.state();
        for (partition, target) in targets {
            let here = here.get(partition).map_or(0, |here| here.next.0);
            state.partitions.insert(*partition, (here, target.next.0));
        }
    }

    /// So many records were read.
    pub(super) fn read(&self, here: &Checkpoints, records: u64, bytes: u64) {
        let mut state = self.state();
        for (partition, here) in here {
            state.partitions.entry(*partition).or_default().0 = here.next.0;
        }
        state.records += records;
        state.bytes += bytes;
    }

    /// Records to be read at once.
    pub(super) fn batch_max(&self) -> usize {
        let pace = self.wanted.borrow().events_per_s;
        let records = pace.and_then(|pace| usize::try_from(pace.get() / BATCHES_PER_S).ok());
        records.map_or(FOLDED_RECORDS_MAX, |records| records.clamp(1, FOLDED_RECORDS_MAX))
    }

    /// Waits until so many records more are due at the pace that is wanted.
    pub(super) async fn keep_pace(&self, records: u64) {
        let Some(pace) = self.wanted.borrow().events_per_s else {
            return;
        };
        let due = {
            let mut state = self.state();
            // What was not used earlier is not made up for.
            let due = state.due.max(Instant::now());
            state.due = due + Duration::from_secs(1).mul_f64(ratio(records, pace));
            due
        };
        tokio::time::sleep_until(due).await;
    }

    /// Whether to go on at once.
    pub(super) fn is_wanted(&self) -> bool {
        let wanted = *self.wanted.borrow();
        !(wanted.paused || wanted.cancelled || self.stop.is_cancelled())
    }

    /// Ends the work of all at the next batch; what they have folded is stored.
    pub(super) fn abandon(&self) {
        self.stop.cancel();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.wanted.borrow().cancelled
    }

    /// Waits while it is paused.
    pub(super) async fn go_on(&self) -> Result<(), RebuildError> {
        let mut wanted = self.wanted.subscribe();
        loop {
            if self.stop.is_cancelled() {
                return Err(RebuildError::Interrupted(self.projection.clone()));
            }
            let now = *wanted.borrow_and_update();
            if now.cancelled {
                return Err(RebuildError::Cancelled(self.projection.clone()));
            }
            if !now.paused {
                return Ok(());
            }
            tokio::select! {
                changed = wanted.changed() => changed.expect("the sender is in this very value"),
                () = self.stop.cancelled() => {}
            }
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.state().records
    }

    pub(super) fn progress(&self) -> Progress {
        let paused = self.wanted.borrow().paused;
        let state = self.state();
        let partitions = state.partitions.iter();
        Progress {
            projection: self.projection.clone(),
            version: self.version,
            phase: state.phase,
            paused,
            partitions: partitions
                .map(|(partition, (done, total))| PartitionProgress {
                    partition: *partition,
                    done: *done,
                    total: *total,
                })
                .collect(),
            records: state.records,
            bytes: state.bytes,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a pause need not be exact")]
fn ratio(records: u64, pace: NonZeroU64) -> f64 {
    records as f64 / pace.get() as f64
}
