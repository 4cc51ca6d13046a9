//! The version being built, and how far it has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Log, Reader};
use eventsourcing::readers::Scan;
use eventsourcing::topic::Topic;
use sqlx::PgConnection;

use super::RebuildError;
use crate::projection::{Projection, ProjectionError, load_checkpoints, transact};

/// Records folded in one transaction.
pub(super) const BATCH_RECORDS_MAX: usize = 5_000;

pub(super) type Checkpoints = BTreeMap<u32, Checkpoint>;

pub(super) struct Build<'a> {
    pub(super) log: &'a Arc<dyn Log>,
    pub(super) projection: &'a Projection,
    pub(super) topic: Topic,
    pub(super) live: i32,
    pub(super) version: i32,
    scan: Scan,
    pub(super) records: u64,
}

/// Records between where a scan is and where it is to be.
pub(super) fn missing(here: &Checkpoints, targets: &Checkpoints) -> u64 {
    let behind = |(partition, target): (&u32, &Checkpoint)| {
        let here = here
            .get(partition)
            .map_or(Offset(0), |checkpoint| checkpoint.next);
        target.next.0.saturating_sub(here.0)
    };
    targets.iter().map(behind).sum()
}

impl<'a> Build<'a> {
    pub(super) const fn new(
        log: &'a Arc<dyn Log>,
        projection: &'a Projection,
        topic: Topic,
        live: i32,
        version: i32,
    ) -> Self {
        Self {
            log,
            projection,
            topic,
            live,
            version,
            scan: Scan::of(BTreeMap::new()),
            records: 0,
        }
    }

    pub(super) async fn checkpoints(
        &self,
        connection: &mut PgConnection,
        version: i32,
    ) -> Result<Checkpoints, RebuildError> {
        let partitions = self
            .log
            .partitions(&self.topic)
            .await
            .map_err(ProjectionError::from)?;
        let name = self.projection.name;
        Ok(load_checkpoints(connection, name, version, &self.topic, partitions).await?)
    }

    /// A reader for `scan`.
    pub(super) async fn reader(&self, scan: &Scan) -> Result<Box<dyn Reader>, RebuildError> {
        let from = scan.places(&self.topic);
        Ok(self.log.reader(from).await.map_err(ProjectionError::from)?)
    }

    /// Folds up to where the live version stands, each batch in a transaction of its own.
    pub(super) async fn catch_up(
        &mut self,
        connection: &mut PgConnection,
        progress: &(impl Fn(u64, u64) + Send + Sync),
    ) -> Result<(), RebuildError> {
        let targets = self.checkpoints(connection, self.live).await?;
        self.fold_to(connection, &targets, progress).await
    }

    /// Folds up to `targets`, exactly. Inside a transaction each batch is a savepoint of it.
    pub(super) async fn fold_to(
        &mut self,
        connection: &mut PgConnection,
        targets: &Checkpoints,
        progress: &(impl Fn(u64, u64) + Send + Sync),
    ) -> Result<(), RebuildError> {
        // What an attempt that was rolled back had folded is to be folded again.
        self.scan = Scan::of(self.checkpoints(connection, self.version).await?);
        let total = self.records + missing(self.scan.checkpoints(), targets);
        if missing(self.scan.checkpoints(), targets) == 0 {
            return Ok(());
        }
        let mut reader = self.reader(&self.scan).await?;
        while missing(self.scan.checkpoints(), targets) > 0 {
            let mut records = reader
                .next(BATCH_RECORDS_MAX)
                .await
                .map_err(ProjectionError::from)?;
            // Never ahead of the live version: the comparison needs both at the same place.
            records.retain(|stored| {
                targets
                    .get(&stored.at.partition)
                    .is_some_and(|target| stored.offset < target.next)
            });
            let count = records.len() as u64;
            let scanned = self.scan.judge(records);
            if scanned.moves.is_empty() {
                continue;
            }
            transact(
                &mut *connection,
                self.projection,
                self.version,
                &self.topic,
                &scanned,
                false,
            )
            .await?;
            self.scan.moved(&scanned.moves);
            self.records += count;
            progress(self.records, total);
        }
        Ok(())
    }
}
