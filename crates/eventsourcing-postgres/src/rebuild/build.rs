//! The version being built, and how far it has come.

use std::sync::Arc;

use eventsourcing::ids::Offset;
use eventsourcing::log::Reader;
use eventsourcing::readers::Scan;
use eventsourcing::record::Stored;
use sqlx::PgConnection;

use super::course::{BATCH_RECORDS_MAX, Checkpoints, Course};
use super::{RebuildError, Rebuilder};
use crate::projection::{ProjectionError, load_checkpoints, transact};

pub(super) struct Build<'a> {
    pub(super) rebuilder: &'a Rebuilder,
    pub(super) live: i32,
    pub(super) version: i32,
    pub(super) course: Arc<Course>,
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

/// Leaves out what lies beyond the targets: a comparison needs both versions at the same place.
pub(super) fn up_to(targets: &Checkpoints, records: &mut Vec<Stored>) {
    records.retain(|stored| {
        targets
            .get(&stored.at.partition)
            .is_some_and(|target| stored.offset < target.next)
    });
}

/// Keys and values.
pub(super) fn bytes(records: &[Stored]) -> u64 {
    let bytes = records
        .iter()
        .map(|stored| stored.record.key.len() + stored.record.value.len());
    bytes.sum::<usize>() as u64
}

/// Where a version's stored rows stand, in every partition of the topic.
pub(super) async fn stored(
    connection: &mut PgConnection,
    rebuilder: &Rebuilder,
    version: i32,
) -> Result<Checkpoints, RebuildError> {
    let Rebuilder {
        log,
        topic,
        projection,
        ..
    } = rebuilder;
    let partitions = log.partitions(topic).await.map_err(ProjectionError::from)?;
    Ok(load_checkpoints(connection, projection.name, version, topic, partitions).await?)
}

impl Build<'_> {
    /// A reader for `scan`.
    pub(super) async fn reader(&self, scan: &Scan) -> Result<Box<dyn Reader>, RebuildError> {
        let from = scan.places(&self.rebuilder.topic);
        Ok(self
            .rebuilder
            .log
            .reader(from)
            .await
            .map_err(ProjectionError::from)?)
    }

    /// Folds up to where the live version stands, each batch in a transaction of its own.
    pub(super) async fn catch_up(&self, connection: &mut PgConnection) -> Result<(), RebuildError> {
        self.course.go_on().await?;
        let targets = stored(&mut *connection, self.rebuilder, self.live).await?;
        self.fold_to(connection, &targets).await
    }

    /// Folds up to `targets`, exactly. Inside a transaction each batch is a savepoint of it.
    pub(super) async fn fold_to(
        &self,
        connection: &mut PgConnection,
        targets: &Checkpoints,
    ) -> Result<(), RebuildError> {
        let Rebuilder {
            projection, topic, ..
        } = self.rebuilder;
        // What an attempt that was rolled back had folded is to be folded again.
        let here = stored(&mut *connection, self.rebuilder, self.version).await?;
        self.course.aims(&here, targets);
        if missing(&here, targets) == 0 {
            return Ok(());
        }
        let mut scan = Scan::of(here);
        let mut reader = self.reader(&scan).await?;
        while missing(scan.checkpoints(), targets) > 0 {
            let mut records = reader
                .next(BATCH_RECORDS_MAX)
                .await
                .map_err(ProjectionError::from)?;
            up_to(targets, &mut records);
            let (count, bytes) = (records.len() as u64, bytes(&records));
            let scanned = scan.judge(records);
            if scanned.moves.is_empty() {
                continue;
            }
            transact(&mut *connection, projection, self.version, topic, &scanned, false).await?;
            scan.moved(&scanned.moves);
            self.course.read(scan.checkpoints(), count, bytes);
        }
        Ok(())
    }
}
