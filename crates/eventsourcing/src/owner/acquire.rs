//! Acquiring a partition and fencing again: both are "append a fence, then read what the log says".

use crate::aggregate::Aggregate;
use crate::codec::{self, Fence};
use crate::ids::{Offset, OwnerId};
use crate::log::{Appended, Bounds, LogError};
use crate::rule::Term;

use super::book::Found;
use super::partition::Partition;
use super::{OwnerError, SeededBug};

/// The most records folded between two looks at the clock.
const READ_RECORDS_MAX: usize = 10_000;

impl<A: Aggregate> Partition<A> {
    /// Replays the log and fences. True when the partition is ours; false when the race was lost or
    /// the assignment changed its mind.
    pub(super) async fn acquire(&mut self) -> Result<bool, OwnerError> {
        let Some(bounds) = self.patiently_bounds().await? else {
            return Ok(false);
        };
        if bounds.end < self.book.next || bounds.start > self.book.next {
            let Bounds { start, end } = bounds;
            let asked = self.book.next;
            return Err(LogError::OutOfRange {
                at: self.at.clone(),
                start,
                end,
                asked,
            }
            .into());
        }
        let mut found = Found::new();
        if !self.fold_to(bounds.end, &mut found).await? {
            return Ok(false);
        }
        let ours = self.fence(&mut found).await?;
        if ours {
            let epoch = self.book.rule.epoch();
            tracing::info!(partition = %self.at, %epoch, next = %self.book.next, "serving");
        }
        Ok(ours)
    }

    /// Opens the next epoch and reads until the log says whose it is. Everything of ours that lies
    /// before the fence has been folded and is in `found` then; nothing else of ours can ever count.
    pub(super) async fn fence(&mut self, found: &mut Found) -> Result<bool, OwnerError> {
        let epoch = self.book.rule.epoch().next();
        let owner = OwnerId(self.settings.environment.fresh());
        let node = self.settings.node.clone();
        let fence = Fence {
            epoch,
            owner,
            node,
            url: self.settings.url.clone(),
        };
        let term = Term { epoch, owner };
        while self.book.rule.epoch() < epoch {
            if !self.wanted() {
                return Ok(false);
            }
            let time = self.settings.environment.now();
            let record = codec::encode_fence(&self.source, &fence, time);
            let appended = self.settings.log.append(&self.at, vec![record]).await;
            if self.assumes(&appended) {
                self.book.presume(term);
                break;
            }
            let end = match appended {
                Appended::At(offsets) => offsets.last().copied().map(Offset::next),
                // It may have landed all the same; at most one of them is valid, so look and repeat.
                Appended::Unknown(reason) => {
                    tracing::warn!(partition = %self.at, %epoch, reason, "fence in doubt");
                    tokio::time::sleep(self.settings.config.retry_pause).await;
                    self.patiently_bounds().await?.map(|bounds| bounds.end)
                }
            };
            let Some(end) = end else { return Ok(false) };
            if !self.fold_to(end, found).await? {
                return Ok(false);
            }
        }
        self.term = Some(term);
        Ok(self.book.rule.current() == Some(term))
    }

    /// [`SeededBug::FenceAssumed`] and [`SeededBug::ServesBeforeFence`].
    fn assumes(&self, fence: &Appended) -> bool {
        let bug = match fence {
            Appended::At(_) => SeededBug::ServesBeforeFence,
            Appended::Unknown(_) => SeededBug::FenceAssumed,
        };
        self.settings.config.has(bug)
    }

    /// Folds everything below `end` under R. False when the assignment changed its mind meanwhile.
    pub(super) async fn fold_to(&mut self, end: Offset, found: &mut Found) -> Result<bool, OwnerError> {
        while self.book.next < end {
            match self.try_fold_to(end, found).await {
                Err(OwnerError::Log(LogError::Unavailable(reason))) => {
                    tracing::warn!(partition = %self.at, reason, "waiting for the log");
                    tokio::time::sleep(self.settings.config.retry_pause).await;
                    if !self.wanted() {
                        return Ok(false);
                    }
                }
                other => return other.map(|()| true),
            }
        }
        Ok(true)
    }

    async fn try_fold_to(&mut self, end: Offset, found: &mut Found) -> Result<(), OwnerError> {
        let from = vec![(self.at.clone(), self.book.next)];
        let mut reader = self.settings.log.reader(from).await?;
        while self.book.next < end {
            for stored in reader.next(READ_RECORDS_MAX).await? {
                self.book.apply(&stored, found)?;
            }
        }
        if self.settings.config.has(SeededBug::MemoryNotReplayed) {
            self.book.forget();
        }
        Ok(())
    }

    /// The partition's bounds, however long the log is away; `None` when no longer wanted.
    pub(super) async fn patiently_bounds(&mut self) -> Result<Option<Bounds>, OwnerError> {
        loop {
            match self.settings.log.bounds(&self.at).await {
                Ok(bounds) => return Ok(Some(bounds)),
                Err(LogError::Unavailable(reason)) if self.wanted() => {
                    tracing::warn!(partition = %self.at, reason, "waiting for the log");
                    tokio::time::sleep(self.settings.config.retry_pause).await;
                }
                Err(LogError::Unavailable(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
