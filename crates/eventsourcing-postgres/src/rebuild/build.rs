//! The version being built, and how it is folded as the live projector would do it.

use std::sync::Arc;

use sqlx::PgConnection;

use super::course::{BATCH_RECORDS_MAX, Checkpoints, Course};
use super::reading::{Batch, Reading, missing};
use super::{RebuildError, Rebuilder};
use crate::projection::{self, ProjectionError, load_checkpoints};

pub(super) struct Build<'a> {
    pub(super) rebuilder: &'a Rebuilder,
    pub(super) aim: Aim,
    pub(super) version: i32,
    pub(super) course: Arc<Course>,
}

/// What a version is folded up to.
pub(super) enum Aim {
    /// Where this version, the live one, stands by then.
    Live(i32),
    /// Where the log ended when it was begun.
    End(Checkpoints),
}

/// Where a version's stored rows stand, in every partition of the topic; makes what is missing.
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
    Ok(load_checkpoints(connection, projection.name.as_str(), version, topic, partitions).await?)
}

/// Folds what is read, each batch in a transaction of its own; what the database refuses of an event is parked.
/// `folded` is told of each batch, and where that leads to.
pub(super) async fn fold(
    connection: &mut PgConnection,
    rebuilder: &Rebuilder,
    version: i32,
    mut reading: Reading<'_>,
    folded: impl Fn(&Checkpoints, &Batch),
) -> Result<(), RebuildError> {
    let Rebuilder {
        topic, projection, ..
    } = rebuilder;
    while !reading.is_over() {
        let batch = reading.next(BATCH_RECORDS_MAX).await?;
        if batch.scanned.moves.is_empty() {
            continue;
        }
        let scanned = &batch.scanned;
        let apply = projection::Batch {
            projection,
            version,
            topic,
            scanned,
        };
        apply.apply(&mut *connection).await?;
        reading.moved(&batch);
        folded(reading.here(), &batch);
    }
    Ok(())
}

impl Build<'_> {
    /// What it is to be folded up to, as things stand.
    pub(super) async fn targets(&self, connection: &mut PgConnection) -> Result<Checkpoints, RebuildError> {
        match &self.aim {
            Aim::Live(live) => stored(connection, self.rebuilder, *live).await,
            Aim::End(end) => Ok(end.clone()),
        }
    }

    /// Folds up to its aim.
    pub(super) async fn catch_up(&self, connection: &mut PgConnection) -> Result<(), RebuildError> {
        self.course.go_on().await?;
        let targets = self.targets(&mut *connection).await?;
        self.fold_to(connection, &targets).await
    }

    /// Folds up to `targets`, exactly. Inside a transaction each batch is a savepoint of it.
    pub(super) async fn fold_to(
        &self,
        connection: &mut PgConnection,
        targets: &Checkpoints,
    ) -> Result<(), RebuildError> {
        // What an attempt that was rolled back had folded is to be folded again.
        let here = stored(&mut *connection, self.rebuilder, self.version).await?;
        self.course.aims(&here, targets);
        if missing(&here, targets) == 0 {
            return Ok(());
        }
        let reading = Reading::begin(self.rebuilder, here, targets).await?;
        let folded = |here: &Checkpoints, batch: &Batch| self.course.read(here, batch.records, batch.bytes);
        fold(connection, self.rebuilder, self.version, reading, folded).await
    }
}
