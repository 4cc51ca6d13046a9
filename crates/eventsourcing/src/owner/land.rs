//! Landing: what the log said of a batch becomes state and answers.

use std::mem;

use crate::aggregate::Aggregate;
use crate::command::Unavailable;
use crate::ids::{Epoch, Offset};
use crate::log::Appended;

use super::batch::Batch;
use super::book::Found;
use super::partition::Partition;
use super::serve::{Ended, Landed};
use super::{OwnerError, SeededBug};

impl<A: Aggregate> Partition<A> {
    /// What the log said of `batch` becomes state and answers.
    pub(super) async fn land(
        &mut self,
        batch: Batch<A>,
        landed: Landed,
        deciding: &mut Batch<A>,
    ) -> Result<Option<Ended>, OwnerError> {
        match landed {
            Landed::Appended(Appended::At(offsets)) => {
                if self.contiguous(&offsets) || self.settings.config.has(SeededBug::FencingIgnored) {
                    let touched: Vec<_> = self.touched(&batch);
                    batch.commit(&self.at, &offsets, &mut self.book);
                    self.wake(touched);
                    return Ok(None);
                }
                let end = offsets.last().map_or(self.book.next, |last| last.next());
                self.read_gap(batch, end, deciding).await
            }
            Landed::Appended(Appended::Unknown(reason)) => {
                tracing::warn!(partition = %self.at, reason, "append in doubt, fencing again");
                self.resolve(batch, deciding).await
            }
            Landed::Checked(Ok(bounds)) => self.read_gap(batch, bounds.end, deciding).await,
            Landed::Checked(Err(error)) => {
                if !batch.is_empty() {
                    tracing::warn!(partition = %self.at, %error, "cannot confirm refusals");
                }
                batch.void(&self.at, &Found::new(), Unavailable::NoOwner);
                Ok(None)
            }
        }
    }

    fn contiguous(&self, offsets: &[Offset]) -> bool {
        let expected = (self.book.next.0..).map(Offset);
        let looked_at = if self.settings.config.has(SeededBug::FirstOffsetOnly) {
            1
        } else {
            offsets.len()
        };
        offsets
            .iter()
            .copied()
            .take(looked_at)
            .zip(expected)
            .all(|(offset, expected)| offset == expected)
    }

    /// Somebody may have come between: what lies below `end` is read under R and the log decides.
    async fn read_gap(
        &mut self,
        batch: Batch<A>,
        end: Offset,
        deciding: &mut Batch<A>,
    ) -> Result<Option<Ended>, OwnerError> {
        let mut found = Found::new();
        let complete = self.fold_to(end, &mut found).await?;
        if complete && self.book.rule.current() == self.term {
            // Only void records in between: the speculative state was right.
            batch.settle(&self.at, &found, Unavailable::Deposed);
            self.wake_all();
            return Ok(None);
        }
        if self.settings.config.has(SeededBug::SplitAllVoid) {
            found.clear();
        }
        self.part(batch, complete, &found, Unavailable::Deposed, deciding);
        Ok(Some(if complete { Ended::Deposed } else { Ended::Released }))
    }

    /// Never guess: a fence of our own ends the term of the batch, and what lies before it counts.
    async fn resolve(
        &mut self,
        batch: Batch<A>,
        deciding: &mut Batch<A>,
    ) -> Result<Option<Ended>, OwnerError> {
        let mut found = Found::new();
        if self.settings.config.has(SeededBug::UnknownMeansLost) {
            self.part(batch, true, &found, Unavailable::NoOwner, deciding);
            return Ok(None);
        }
        if self.settings.config.has(SeededBug::NoBarrier) {
            let end = self.patiently_bounds().await?.map(|bounds| bounds.end);
            self.fold_to(end.unwrap_or(self.book.next), &mut found).await?;
            self.part(batch, true, &found, Unavailable::NoOwner, deciding);
            return Ok(None);
        }
        let old = self.term;
        self.signals.serving(false);
        let ours = self.fence(&mut found).await?;
        // Any valid fence after the batch closes its term, ours or not. A book that has to begin again has read
        // none, and knows nothing of the batch.
        let closed = self.book.rule.epoch() > old.map_or(Epoch(0), |term| term.epoch);
        self.part(batch, closed, &found, Unavailable::NoOwner, deciding);
        self.wake_all();
        if ours {
            self.signals.serving(true);
            return Ok(None);
        }
        Ok(Some(if closed { Ended::Deposed } else { Ended::Released }))
    }

    /// The speculative state is gone. Where the term is closed, what was not found is void for ever;
    /// otherwise the outcome stays unknown (the dropped replies say so).
    fn part(
        &mut self,
        batch: Batch<A>,
        closed: bool,
        found: &Found,
        void: Unavailable,
        deciding: &mut Batch<A>,
    ) {
        if self.settings.config.has(SeededBug::SpeculationKept) {
            batch.keep(&mut self.book);
        }
        if closed {
            batch.void(&self.at, found, void);
        }
        // Decided on top, but never sent.
        mem::take(deciding).void(&self.at, found, void);
    }
}
