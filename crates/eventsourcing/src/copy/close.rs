//! The fence behind a complete copy. A batch of a killed run may still be on its way, and under rule R what it
//! carries would count a second time, for its records bear the term that is open at the end of the copy. With a
//! fence right behind the last record it comes too late, or it was there before the fence and is noticed.

use super::range::{Range, bounds};
use super::{CopyError, PartitionCopy, fence};
use crate::clock::Environment;
use crate::codec::{Parsed, parse};
use crate::ids::{Offset, OwnerId};
use crate::log::{Appended, Log};
use crate::record::Stored;
use crate::rule::Term;

/// The node's name in such a fence.
pub const NODE: &str = "daybook log copy";

impl PartitionCopy {
    /// Puts the fence behind the copy, which must be complete. Does nothing when an earlier run has done it.
    pub async fn close(&mut self, target: &dyn Log, environment: &dyn Environment) -> Result<(), CopyError> {
        if self.closed {
            return Ok(());
        }
        let term = Term {
            epoch: self.rule.epoch().next(),
            owner: OwnerId(environment.fresh()),
        };
        let record = fence(NODE, "/daybook/log/copy", term, environment);
        let expected = self.end;
        match target.append(&self.at, vec![record.clone()]).await {
            Appended::At(offsets) if offsets == [expected] => {}
            Appended::At(offsets) => {
                return Err(CopyError::Intruder {
                    at: self.at.clone(),
                    expected,
                    found: offsets[0],
                });
            }
            Appended::Unknown(reason) => {
                self.arrives(target, expected.next(), reason).await?;
                let mut there = Range::of(target, self.at.clone(), expected, expected.next());
                let found = there.next().await.map_err(CopyError::Target)?;
                if found.is_none_or(|found| found.record != record) {
                    return Err(self.differs(expected, "it is not the fence that closes the copy"));
                }
            }
        }
        self.closed = true;
        Ok(())
    }

    /// Whether an earlier run has closed the copy: behind the source's last record the target holds nothing
    /// but such fences.
    pub(super) async fn look_behind(&mut self, target: &dyn Log, from: Offset) -> Result<(), CopyError> {
        let end = bounds(target, &self.at).await.map_err(CopyError::Target)?.end;
        let mut behind = Range::of(target, self.at.clone(), from, end);
        while let Some(stored) = behind.next().await.map_err(CopyError::Target)? {
            if !closes(&stored) {
                return Err(self.differs(stored.offset, "the source has nothing there"));
            }
            self.closed = true;
        }
        Ok(())
    }
}

fn closes(stored: &Stored) -> bool {
    matches!(parse(stored), Ok(Parsed::Fence(fence)) if fence.node == NODE)
}
