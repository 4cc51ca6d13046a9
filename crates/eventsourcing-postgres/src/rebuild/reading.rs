//! The log on its way into a fold: batch by batch up to a target, and not a record further.

use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::ids::Offset;
use eventsourcing::log::Reader;
use eventsourcing::readers::{Scan, Scanned};
use eventsourcing::record::Stored;

use super::Rebuilder;
use super::course::Checkpoints;
use crate::projection::ProjectionError;

pub(super) struct Reading<'a> {
    reader: Box<dyn Reader>,
    scan: Scan,
    targets: &'a Checkpoints,
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
        })
    }

    /// Whether the target is reached.
    pub(super) fn is_over(&self) -> bool {
        missing(self.here(), self.targets) == 0
    }

    pub(super) const fn here(&self) -> &Checkpoints {
        self.scan.checkpoints()
    }

    pub(super) async fn next(&mut self, records_max: usize) -> Result<Batch, ProjectionError> {
        let mut records = self.reader.next(records_max).await?;
        // A comparison needs both versions at the same place.
        records.retain(|stored| {
            let target = self.targets.get(&stored.at.partition);
            target.is_some_and(|target| stored.offset < target.next)
        });
        Ok(Batch {
            records: records.len() as u64,
            bytes: bytes(&records),
            scanned: self.scan.judge(records),
        })
    }

    /// The batch is folded.
    pub(super) fn moved(&mut self, batch: &Batch) {
        self.scan.moved(&batch.scanned.moves);
    }
}
