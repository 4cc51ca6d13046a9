//! Acquiring a partition and fencing again: both are "append a fence, then read what the log says".

use std::time::Duration;

use crate::aggregate::Aggregate;
use crate::checkpoint::Checkpoint;
use crate::codec::{self, CorruptRecord, Fence};
use crate::ids::{Offset, OwnerId};
use crate::log::{Appended, Bounds, LogError};
use crate::rule::Term;
use crate::state_table::{StateTable, StateTableError, Version};

use super::book::{Book, Found};
use super::partition::Partition;
use super::{OwnerError, SeededBug};

/// The most records folded between two looks at the clock.
const READ_RECORDS_MAX: usize = 10_000;
/// All that is folded here is in the log already: a reader that hands out nothing for so long is given up for
/// another one, and the assignment asked again.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Why a stretch of log was not folded to its end.
enum Interrupted {
    /// Log or table are away; the same again may succeed later.
    Away(String),
    /// The table cannot go on with what memory has.
    Unusable(String),
    /// For good.
    Fatal(OwnerError),
}

impl From<LogError> for Interrupted {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(reason) => Self::Away(reason),
            LogError::NoSuchTopic(_) | LogError::OutOfRange { .. } | LogError::Misconfigured(_) => {
                Self::Fatal(error.into())
            }
        }
    }
}

impl From<CorruptRecord> for Interrupted {
    fn from(error: CorruptRecord) -> Self {
        Self::Fatal(error.into())
    }
}

impl From<StateTableError> for Interrupted {
    fn from(error: StateTableError) -> Self {
        match error {
            StateTableError::Unavailable(_) => Self::Away(error.to_string()),
            StateTableError::Unusable(_) => Self::Unusable(error.to_string()),
        }
    }
}

impl<A: Aggregate> Partition<A> {
    /// Replays the log and fences. True when the partition is ours; false when the race was lost or
    /// the assignment changed its mind.
    pub(super) async fn acquire(&mut self) -> Result<bool, OwnerError> {
        if !self.open_states().await {
            return Ok(false);
        }
        let Some(bounds) = self.patiently_bounds().await? else {
            return Ok(false);
        };
        bounds.check(&self.at, self.book.next)?;
        let mut found = Found::new();
        if !self.fold_to(bounds.end, &mut found).await? || self.book.rule.is_sealed() {
            return Ok(false);
        }
        let ours = self.fence(&mut found).await?;
        if ours {
            let epoch = self.book.rule.epoch();
            tracing::info!(partition = %self.at, %epoch, next = %self.book.next, "serving");
        }
        Ok(ours)
    }

    /// Starts from the table of states where that is further than memory. False when the assignment changed
    /// its mind meanwhile.
    async fn open_states(&mut self) -> bool {
        let opened = match self.states.clone() {
            Some(states) => self.patiently_open(&*states).await,
            None => None,
        };
        self.upkeep.begin(opened);
        match opened {
            Some((version, checkpoint)) => {
                let another = self.book.table.is_some_and(|table| table != version);
                if another || checkpoint.next > self.book.next {
                    tracing::info!(partition = %self.at, next = %checkpoint.next, "starting from the table of states");
                    self.book = Book::resumed(version, checkpoint);
                }
            }
            None if self.book.table.is_some() => self.book = Book::new(),
            None => {}
        }
        self.wanted()
    }

    /// What the table has; `None` when there is none, or when it stays away: the log has everything.
    async fn patiently_open(&mut self, states: &dyn StateTable<A>) -> Option<(Version, Checkpoint)> {
        let deadline = tokio::time::Instant::now() + self.settings.config.states_timeout;
        loop {
            match states.open(&self.at).await {
                Ok(opened) => return opened,
                Err(StateTableError::Unavailable(reason))
                    if self.wanted() && tokio::time::Instant::now() < deadline =>
                {
                    tracing::warn!(partition = %self.at, reason, "waiting for the table of states");
                    tokio::time::sleep(self.settings.config.retry_pause).await;
                }
                Err(error) => {
                    tracing::warn!(partition = %self.at, %error, "reading the whole log instead");
                    return None;
                }
            }
        }
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
                Ok(()) => return Ok(true),
                Err(Interrupted::Away(reason)) => {
                    tracing::warn!(partition = %self.at, reason, "waiting");
                    tokio::time::sleep(self.settings.config.retry_pause).await;
                    if !self.wanted() {
                        return Ok(false);
                    }
                }
                Err(Interrupted::Unusable(reason)) => {
                    tracing::warn!(partition = %self.at, reason, "beginning again");
                    self.book = Book::new();
                    return Ok(false);
                }
                Err(Interrupted::Fatal(error)) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn try_fold_to(&mut self, end: Offset, found: &mut Found) -> Result<(), Interrupted> {
        let from = vec![(self.at.clone(), self.book.next)];
        let mut reader = self.settings.log.reader(from).await?;
        while self.book.next < end {
            let reading = tokio::time::timeout(SILENCE_MAX, reader.next(READ_RECORDS_MAX));
            let silent = |_| Interrupted::Away(format!("no records of the log for {SILENCE_MAX:?}"));
            for stored in &reading.await.map_err(silent)?? {
                self.book.apply(stored, found)?;
            }
            let most = self.settings.config.tail_events_max;
            while let (cold @ [_, ..], Some(states), Some(version)) =
                (&*self.book.tail_beyond(most), &self.states, self.book.table)
            {
                let kept = states.load(version, cold).await?;
                self.book.warm(cold.to_vec(), kept)?;
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
