//! The ports of a node, gated by its life.

use std::sync::Arc;

use async_trait::async_trait;
use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing::checkpoint::{Checkpoint, CheckpointError, ProcessCheckpoints};
use eventsourcing::ids::{AggregateId, Offset};
use eventsourcing::log::{Appended, Bounds, Log, LogError, Reader};
use eventsourcing::projection::read_model::{Prepared, ReadModel, ReadModelError, Started};
use eventsourcing::record::{Record, Stored};
use eventsourcing::simulated::SimulatedStates;
use eventsourcing::simulated::{SimulatedCheckpoints, SimulatedLog, SimulatedReadModel};
use eventsourcing::state_table::{Kept, StateTable, StateTableError, Version};
use eventsourcing::topic::{Topic, TopicPartition};
use tokio::sync::mpsc;

use crate::bank::account::Account;
use crate::life::Life;

/// The log as a node reaches it.
pub(crate) struct GatedLog {
    pub(crate) log: SimulatedLog,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl Log for GatedLog {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        self.life.gate().await;
        let appended = self.log.append(to, records).await;
        self.life.gate().await;
        appended
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        self.life.gate().await;
        let reader = self.log.reader(from).await?;
        let life = Arc::clone(&self.life);
        Ok(Box::new(GatedReader {
            reader,
            life,
            read: None,
        }))
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        self.life.gate().await;
        let bounds = self.log.bounds(of).await;
        self.life.gate().await;
        bounds
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        self.life.gate().await;
        self.log.partitions(of).await
    }
}

struct GatedReader {
    reader: Box<dyn Reader>,
    life: Arc<Life>,
    /// Read, but not handed over: a call that is dropped loses nothing.
    read: Option<Vec<Stored>>,
}

#[async_trait]
impl Reader for GatedReader {
    async fn next(&mut self, max: usize) -> Result<Vec<Stored>, LogError> {
        if self.read.is_none() {
            self.read = Some(self.reader.next(max).await?);
        }
        self.life.gate().await;
        Ok(self.read.take().expect("read above"))
    }
}

/// What the group tells a node.
pub(crate) struct GatedAssignment {
    changes: mpsc::UnboundedReceiver<AssignmentChange>,
    life: Arc<Life>,
    told: Option<AssignmentChange>,
}

impl GatedAssignment {
    pub(crate) const fn new(changes: mpsc::UnboundedReceiver<AssignmentChange>, life: Arc<Life>) -> Self {
        Self {
            changes,
            life,
            told: None,
        }
    }
}

#[async_trait]
impl Assignment for GatedAssignment {
    async fn next(&mut self) -> Option<AssignmentChange> {
        if self.told.is_none() {
            self.told = Some(self.changes.recv().await?);
        }
        self.life.pass().await;
        self.told.take()
    }
}

/// A read model as a node reaches it.
pub(crate) struct GatedReadModel {
    pub(crate) rows: SimulatedReadModel,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl ReadModel for GatedReadModel {
    fn name(&self) -> &'static str {
        self.rows.name()
    }

    async fn look(&self, topic: &Topic, partitions: u32) -> Result<Started, ReadModelError> {
        self.life.gate().await;
        let started = self.rows.look(topic, partitions).await;
        self.life.gate().await;
        started
    }

    async fn apply(&self, topic: &Topic, version: i32, batch: Prepared) -> Result<(), ReadModelError> {
        self.life.gate().await;
        let applied = self.rows.apply(topic, version, batch).await;
        self.life.gate().await;
        applied
    }
}

/// The checkpoints of processes as a node reaches them.
pub(crate) struct GatedCheckpoints {
    pub(crate) checkpoints: SimulatedCheckpoints,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl ProcessCheckpoints for GatedCheckpoints {
    async fn load(&self, process: &str, at: &TopicPartition) -> Result<Checkpoint, CheckpointError> {
        self.life.gate().await;
        let loaded = self.checkpoints.load(process, at).await;
        self.life.gate().await;
        loaded
    }

    async fn store(
        &self,
        process: &str,
        at: &TopicPartition,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<(), CheckpointError> {
        self.life.gate().await;
        let stored = self.checkpoints.store(process, at, from, to).await;
        self.life.gate().await;
        stored
    }
}

/// The table of states as a node reaches it.
pub(crate) struct GatedStates {
    pub(crate) table: SimulatedStates<Account>,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl StateTable<Account> for GatedStates {
    async fn open(&self, at: &TopicPartition) -> Result<Option<(Version, Checkpoint)>, StateTableError> {
        self.life.gate().await;
        let opened = self.table.open(at).await;
        self.life.gate().await;
        opened
    }

    async fn load(
        &self,
        version: Version,
        ids: &[AggregateId],
    ) -> Result<Vec<(AggregateId, Kept<Account>)>, StateTableError> {
        self.life.gate().await;
        let loaded = self.table.load(version, ids).await;
        self.life.gate().await;
        loaded
    }
}
