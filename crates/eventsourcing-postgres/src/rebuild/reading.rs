//! The log on its way into a fold: batch by batch up to a target, and not a record further.

use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::ids::Offset;
use eventsourcing::log::Reader;
use eventsourcing::readers::{Scan, Scanned};
use eventsourcing::record::Stored;

use super::Rebuilder;
use super::course::Checkpoints;
use crate::projection::{Admitted, Projection, ProjectionError};

pub(super) struct Reading<'a> {
    reader: Box<dyn Reader>,
    scan: Scan,
    targets: &'a Checkpoints,
    projection: Projection,
    admitted: Admitted,
}

/// What was read at once.
pub(super) struct Batch {
    pub(super) scanned: Scanned,
    pub(super) records: u64,
    /// Of keys and values.
    pub(super) bytes: u64,
}

/// Records between where a scan is and where it is to be.
pub(super) fn missing(here: &Checkpoints, targets: &Checkpoints) -> u64 {
    let behind = |(partition, target): (&u32, &Checkpoint)| {
        let here = here.get(partition).map_or(Offset(0), |here| here.next);
        target.next.0.saturating_sub(here.0)
    };
    targets.iter().map(behind).sum()
}

fn bytes(records: &[Stored]) -> u64 {
    let of_record = |stored: &Stored| stored.record.key.len() + stored.record.value.len();
    records.iter().map(of_record).sum::<usize>() as u64
}

impl<'a> Reading<'a> {
    pub(super) async fn begin(
        rebuilder: &Rebuilder,
        from: Checkpoints,
        targets: &'a Checkpoints,
    ) -> Result<Self, ProjectionError> {
        let scan = Scan::of(from);
        let reader = rebuilder.log.reader(scan.places(&rebuilder.topic)).await?;
        Ok(Self {
            reader,
            scan,
            targets,
            projection: rebuilder.projection.clone(),
            admitted: Admitted::default(),
        })
    }

    /// Whether the target is reached.
    pub(super) fn is_over(&self) -> bool {
        missing(self.here(), self.targets) == 0
    }

    pub(super) const fn here(&self) -> &Checkpoints {
        self.scan.checkpoints()
    }

    /// What a snapshot's filter has let through so far.
    pub(super) const fn admitted(&self) -> Admitted {
        self.admitted
    }

    pub(super) async fn next(&mut self, records_max: usize) -> Result<Batch, ProjectionError> {
        let mut records = self.reader.next(records_max).await?;
        // A comparison needs both versions at the same place.
        records.retain(|stored| {
            let target = self.targets.get(&stored.at.partition);
            target.is_some_and(|target| stored.offset < target.next)
        });
        let (count, bytes) = (records.len() as u64, bytes(&records));
        let mut scanned = self.scan.judge(records);
        // Before anybody folds, loads or parks: what a snapshot leaves out is not there for them.
        self.projection.admit(&mut scanned.events, &mut self.admitted);
        Ok(Batch {
            records: count,
            bytes,
            scanned,
        })
    }

    /// The batch is folded.
    pub(super) fn moved(&mut self, batch: &Batch) {
        self.scan.moved(&batch.scanned.moves);
    }
}
